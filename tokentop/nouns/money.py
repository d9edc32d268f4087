"""Plan limits, the forecast of the bill, budgets."""

from __future__ import annotations

from msgspec import Struct


class Quota(Struct, frozen=True, gc=False):
    """One plan limit window as its source reported it at `at_ms`."""

    provider: str
    account: str
    window_minutes: int
    limit_id: str
    used_pct: float
    resets_at_ms: int
    source: str
    at_ms: int
    plan: str = ""
    full_at_ms: int = 0  # at the recent pace, set in a snapshot; 0 = not before the reset, or not known


class Forecast(Struct, frozen=True, gc=False):
    """Today's bill and its projection to local midnight: the median, with an 80 % and a 50 % interval."""

    at_ms: int
    day: str  # local calendar day, ISO
    today_nusd: int
    projected_nusd: int
    low_nusd: int
    high_nusd: int
    method: str  # profile, burn, none
    days_of_history: int = 0
    low_half_nusd: int = 0  # the 50 % interval
    high_half_nusd: int = 0
    curve: tuple[tuple[int, int], ...] = ()  # (at_ms, projected spend of the day by then), to midnight
    month: MonthForecast | None = None


class MonthForecast(Struct, frozen=True, gc=False):
    """The bill of the local calendar month and its projection to the end of the month."""

    month: str  # 2026-11
    spent_nusd: int
    projected_nusd: int
    low_nusd: int
    low_half_nusd: int
    high_half_nusd: int
    high_nusd: int
    end_ms: int


class Budget(Struct, frozen=True, gc=False):
    """Where one budget stands; `projected_nusd` None = nothing is known of what is to come."""

    scope: str  # all, project, agent
    name: str  # of the project or agent
    period: str  # day, week, month
    amount_nusd: int
    spent_nusd: int
    projected_nusd: int | None
    exhausted_ms: int  # when the projection reaches it; 0 = not within the period, or it is exhausted already
    start_ms: int
    end_ms: int

    @property
    def used(self) -> float:
        """Spent as a share of the budget."""
        return self.spent_nusd / self.amount_nusd

    @property
    def label(self) -> str:
        """`day`, `week of project api`."""
        return self.period if self.scope == "all" else f"{self.period} of {self.scope} {self.name}"
