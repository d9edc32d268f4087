"""What the screen "Limits & bill" shows, as one frozen value. Pure data; money is nano-dollars, times are UTC ms."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from tokentop.engine.correction import Corrected
from tokentop.engine.day_totals import DayTotal
from tokentop.engine.plans import Split
from tokentop.nouns.billing import Standing
from tokentop.nouns.money import Budget, Forecast, Quota
from tokentop.nouns.usage import Figures


class Day(Struct, frozen=True):
    """The local day so far: `spent` = (time, cumulated spend) from its first moment to now."""

    start_ms: int
    end_ms: int
    spent: tuple[tuple[int, int], ...] = ()


class Bills(Struct, frozen=True):
    """Our figures beside the providers', by UTC day, the newest first."""

    days: tuple[DayTotal, ...] = ()
    covered_nusd: int = 0  # of these days, by plans: never a difference
    discounts: tuple[tuple[str, float], ...] = ()  # provider, billed / list
    reported: bool = False  # any provider has told any of these days


class Statement(Struct, frozen=True):
    """One look at limits, plans, budgets, the day and the bills. None = not known (yet)."""

    at_ms: int
    mode: str = "live"  # live, reader, demo, paused: <why>
    reading: bool = False  # logs are still being read: figures will grow
    day: Day | None = None
    today: Figures = Figures()
    forecast: Forecast | None = None
    quotas: tuple[Quota, ...] = ()
    plans: Split | None = None
    budgets: tuple[Budget, ...] = ()
    agents: frozenset[str] = frozenset()  # that spent something this month
    providers: tuple[Standing, ...] = ()
    bills: Bills | None = None
    corrected: Corrected | None = None
    hooked: bool = False  # the status line hook has told limits
    problems: tuple[str, ...] = ()  # what could not be looked up


def cumulated(
    slots: Iterable[tuple[int, int]], slot_ms: int, start_ms: int, now_ms: int, now_nusd: int
) -> tuple[tuple[int, int], ...]:
    """(time, spend since `start_ms` by then) at the ends of the quarter hours with spend, ending with now."""
    points, done = [(start_ms, 0)], 0
    for at_ms, nusd in slots:
        if at_ms >= now_ms:
            break
        if at_ms > points[-1][0]:
            points.append((at_ms, done))
        done += nusd
        if at_ms + slot_ms < now_ms:
            points.append((at_ms + slot_ms, min(done, now_nusd)))
    return (*points, (now_ms, now_nusd)) if now_ms > points[-1][0] else tuple(points)
