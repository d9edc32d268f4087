"""What budgets and plans can be set to: `[budgets]` and `[[plans]]` of the settings. Pure data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

NUSD = 1_000_000_000
LENGTH = r"[1-9][0-9]{0,2}[mhd]"  # of a window
PERIODS = ("day", "week", "month")
_Usd = Annotated[float, Meta(ge=0, le=1e9)]
_Value = Annotated[float, Meta(gt=0, le=1e9)]


class Amounts(Struct, frozen=True, forbid_unknown_fields=True):
    """Budgets in US dollars of the local day, week (from Monday) and calendar month; 0 = none."""

    day: _Usd = 0.0
    week: _Usd = 0.0
    month: _Usd = 0.0


class Budgets(Amounts, frozen=True, forbid_unknown_fields=True):
    """Budgets of everything, and of single projects and agents: a number is one of the day."""

    projects: dict[str, _Usd | Amounts] = {}
    agents: dict[str, _Usd | Amounts] = {}

    def items(self) -> Iterator[tuple[str, str, str, int]]:
        """(scope, name, period, nano-dollars) of each budget; scope is all, project or agent."""
        yield from _of("all", "", self)
        for scope, named in (("project", self.projects), ("agent", self.agents)):
            for name, given in named.items():
                yield from _of(scope, name, Amounts(day=given) if isinstance(given, float) else given)


def _of(scope: str, name: str, amounts: Amounts) -> Iterator[tuple[str, str, str, int]]:
    for period in PERIODS:
        usd = getattr(amounts, period)
        if usd > 0:
            yield scope, name, period, round(usd * NUSD)


class Plan(Struct, frozen=True, forbid_unknown_fields=True):
    """A subscription: the list value of what its agent uses is covered by `fee_usd` a month."""

    agent: Annotated[str, Meta(min_length=1)]
    name: str = ""
    account: str = ""  # of its limits: "" = the agent's usual login
    fee_usd: _Usd | None = None  # a month; None = not told, so no leverage
    # By length ("5h", "7d"): the list value that a window holds, where nothing tells how full it is.
    windows: dict[str, _Value] = {}


def minutes_of(length: str) -> int:
    """Minutes of a window's length such as `90m`, `5h`, `7d`, as the settings take them."""
    return int(length[:-1]) * {"m": 1, "h": 60, "d": 1440}[length[-1]]
