"""Budgets of the local day, week and month: what is spent, what it will be, when it runs out. Pure.

A budget of one project or agent takes its part of the projection: its share of what was spent in the last days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta, tzinfo

from msgspec import Struct

from tokentop.engine.days import day_bounds, midnight_ms
from tokentop.engine.forecast import Forecaster, reached_at
from tokentop.engine.month import month_end
from tokentop.nouns.money import Budget, Forecast
from tokentop.settings.spending import Budgets

RECENT_DAYS = 7  # the share of a project or an agent is that of so many days and today

By = Mapping[tuple[str, str], int]  # nano-dollars by (agent, project)


class Limit(Struct, frozen=True):
    """One budget as set; `scope` is all, project or agent."""

    scope: str
    name: str
    period: str
    amount_nusd: int


class Spent(Struct, frozen=True):
    """Nano-dollars by (agent, project): of today, and before today of the periods week, month and recent."""

    today: By
    earlier: Mapping[str, By]


def limits_of(budgets: Budgets) -> tuple[Limit, ...]:
    return tuple(Limit(*one) for one in budgets.items())


def periods(at_ms: int, zone: tzinfo) -> dict[str, tuple[int, int]]:
    """(start, end) of the local day, week (from Monday) and month of an instant, in UTC milliseconds."""
    start_ms, end_ms, day = day_bounds(at_ms, zone)
    monday = day - timedelta(days=day.weekday())
    return {
        "day": (start_ms, end_ms),
        "week": (midnight_ms(monday, zone), midnight_ms(monday + timedelta(days=7), zone)),
        "month": (midnight_ms(day.replace(day=1), zone), midnight_ms(month_end(day), zone)),
    }


def judge(
    limits: Iterable[Limit], forecast: Forecast, spent: Spent, forecaster: Forecaster, zone: tzinfo
) -> tuple[Budget, ...]:
    """Where each budget stands at `forecast.at_ms`. A projection without a method gives no projected end."""
    bounds = periods(forecast.at_ms, zone)
    out = []
    for limit in limits:
        start_ms, end_ms = bounds[limit.period]
        done = _sum(spent.today, limit)
        if limit.period != "day":
            done += _sum(spent.earlier.get(limit.period, {}), limit)
        if limit.scope == "all":
            done += forecast.today_nusd - sum(spent.today.values())  # one figure for today on every screen
        projected = exhausted_ms = None
        if forecast.method != "none":
            curve = _of_part(forecaster.curve(forecast, end_ms), _share(limit, spent), done)
            projected = curve[-1][1]
            exhausted_ms = reached_at(curve, limit.amount_nusd) if done < limit.amount_nusd else None
        out.append(
            Budget(
                limit.scope, limit.name, limit.period, limit.amount_nusd, done, projected, exhausted_ms or 0,
                start_ms, end_ms,
            )
        )  # fmt: skip
    return tuple(out)


def _of_part(curve: tuple[tuple[int, int], ...], share: float, done_nusd: int) -> list[tuple[int, int]]:
    """The part of what is still to come that belongs to the budget, on top of what it has spent."""
    base = curve[0][1]
    return [(at_ms, done_nusd + round(share * (nusd - base))) for at_ms, nusd in curve]


def _share(limit: Limit, spent: Spent) -> float:
    if limit.scope == "all":
        return 1.0
    recent = spent.earlier.get("recent", {})
    whole = sum(recent.values()) + sum(spent.today.values())
    return (_sum(recent, limit) + _sum(spent.today, limit)) / whole if whole > 0 else 0.0


def _sum(by: By, limit: Limit) -> int:
    if limit.scope == "all":
        return sum(by.values())
    at = 0 if limit.scope == "agent" else 1
    return sum(nusd for key, nusd in by.items() if key[at] == limit.name)
