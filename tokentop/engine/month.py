"""The bill of the local calendar month, projected to its end. Pure.

Spent so far + the rest of today + for each day to come the usual spend of such a day. How far such sums of days
to come have been off, in the user's own past, gives the intervals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta, tzinfo

from msgspec import Struct

from tokentop.engine.days import HOUR_MS, midnight_ms, wall_ms
from tokentop.engine.intervals import LEVELS
from tokentop.engine.profile import HISTORY_DAYS, quantiles
from tokentop.nouns.money import Forecast, MonthForecast

HALF_LIFE_DAYS = 21.0
AHEAD_DAYS = 7  # past errors are known so far ahead; over more days they are taken as no smaller
MIN_DAYS = 7
_OTHER_KIND = 0.1
_PRIOR = (0.45, 0.62, 0.76, 0.88, 0.96, 1.04, 1.14, 1.3, 1.55, 2.2)  # actual / projected, before own ones
_PRIOR_WEIGHT = 0.6

Totals = Sequence[tuple[date, int]]  # (past day, nano-dollars), oldest first


def month_end(today: date) -> date:
    """The first day of the next month."""
    return (today.replace(day=1) + timedelta(days=32)).replace(day=1)


def expected(day: date, totals: Totals, known_until: date) -> float:
    """The usual spend of a day to come in nano-dollars: the weighted mean of past days, idle ones included."""
    whole = weights = 0.0
    for past, spent in totals:
        age = (known_until - past).days
        if not 0 <= age <= HISTORY_DAYS:
            continue
        weight = math.pow(0.5, age / HALF_LIFE_DAYS)
        if (past.weekday() >= 5) != (day.weekday() >= 5):
            weight *= _OTHER_KIND
        elif past.weekday() == day.weekday():
            weight *= 2
        whole += weight * spent
        weights += weight
    return whole / weights if weights else 0.0


class Ahead(Struct, frozen=True):
    """The days of the month after today: what they are expected to cost in nano-dollars, and what such sums
    became in the past as a share of what was expected, at LEVELS."""

    days: int
    left: float
    ratios: tuple[float, float, float, float]


def look_ahead(today: date, totals: Totals) -> Ahead:
    """What past days say about the rest of the month after today."""
    past = _until(today, totals)
    left = (month_end(today) - today).days - 1
    if left <= 0 or not past:
        return Ahead(left, 0.0, (1.0, 1.0, 1.0, 1.0))
    whole = sum(expected(today + timedelta(days=ahead), past, today) for ahead in range(1, left + 1))
    return Ahead(left, whole, _ratios(past, min(AHEAD_DAYS, left)))


AHEAD_MAX_DAYS = 37  # to the end of any month, and of the week it ends in


def days_ahead(
    today: date, totals: Totals, cumulated: Mapping[date, Sequence[float]], zone: tzinfo
) -> tuple[tuple[int, int], ...]:
    """(time, nano-dollars expected from the end of today by then) at each full hour of the days to come.

    `cumulated` = spend of past days by the full hours of their clock; days of the same kind give the shape.
    """
    past = _until(today, totals)
    out: list[tuple[int, int]] = []
    before = 0.0
    shapes = {weekend: _shape(cumulated, weekend) for weekend in (False, True)}
    for ahead in range(1, AHEAD_MAX_DAYS + 1 if past else 0):
        day = today + timedelta(days=ahead)
        whole = expected(day, past, today)
        start_ms, end_ms = midnight_ms(day, zone), midnight_ms(day + timedelta(days=1), zone)
        shape = shapes[day.weekday() >= 5]
        for at_ms in range(start_ms + HOUR_MS, end_ms + 1, HOUR_MS):
            hour = len(shape) - 1 if at_ms >= end_ms else wall_ms(at_ms, zone) // HOUR_MS
            out.append((at_ms, max(out[-1][1] if out else 0, round(before + whole * shape[hour]))))
        before += whole
        out[-1] = end_ms, round(before)
    return tuple(out)


def _shape(cumulated: Mapping[date, Sequence[float]], weekend: bool) -> list[float]:
    """The share of a usual day that is spent by each full hour."""
    alike = [c for d, c in cumulated.items() if (d.weekday() >= 5) == weekend and c[-1] > 0]
    alike = alike or [c for c in cumulated.values() if c[-1] > 0]
    whole = sum(c[-1] for c in alike)
    return [sum(c[hour] for c in alike) / whole if whole else hour / 24 for hour in range(25)]


def _until(today: date, totals: Totals) -> list[tuple[date, int]]:
    """The days of the profile up to yesterday; those since the last spend are idle ones."""
    past = [(d, max(0, spent)) for d, spent in totals if 0 < (today - d).days <= HISTORY_DAYS]
    if past:
        last = past[-1][0]
        past += [(last + timedelta(days=idle), 0) for idle in range(1, (today - last).days)]
    return past


def project_month(zone: tzinfo, spent_nusd: int, today: Forecast, ahead: Ahead) -> MonthForecast:
    """Project the month of `today.day`. `spent_nusd` is the spend since its first local midnight, today included.

    Always spent <= low <= low_half <= projected <= high_half <= high.
    """
    day = date.fromisoformat(today.day)
    base, done = max(0, spent_nusd), max(0, today.today_nusd)
    rest = max(0, today.projected_nusd - done)
    ends = (today.low_nusd, today.low_half_nusd, today.high_half_nusd, today.high_nusd)
    low, low_half, high_half, high = (
        _joined(rest + ahead.left, end - today.projected_nusd, ahead.left * (ratio - 1))
        for end, ratio in zip(ends, ahead.ratios, strict=True)
    )
    projected = base + round(rest + ahead.left)
    low_half_nusd = min(projected, base + max(0, math.floor(low_half)))
    high_half_nusd = max(projected, base + math.ceil(high_half))
    return MonthForecast(
        f"{day:%Y-%m}", spent_nusd, projected, min(low_half_nusd, base + max(0, math.floor(low))), low_half_nusd,
        high_half_nusd, max(high_half_nusd, base + math.ceil(high)), midnight_ms(month_end(day), zone),
    )  # fmt: skip


def _joined(middle: float, today: float, later: float) -> float:
    """Two errors that are independent of each other: what they are together."""
    sign = -1 if today + later < 0 else 1
    return middle + sign * math.hypot(today, later)


def _ratios(past: Totals, ahead: int) -> tuple[float, float, float, float]:
    """What `ahead` days became, as a share of what was expected, at LEVELS; from the user's own past."""
    found: list[tuple[float, float]] = [(ratio, _PRIOR_WEIGHT) for ratio in _PRIOR]
    for at in range(MIN_DAYS, len(past) - ahead + 1):
        said = sum(expected(day, past[:at], past[at - 1][0]) for day, _ in past[at : at + ahead])
        if said > 0:
            found.append((sum(spent for _, spent in past[at : at + ahead]) / said, 1.0))
    low, low_half, high_half, high = quantiles(found, LEVELS)
    return min(low, 1.0), min(low_half, 1.0), max(high_half, 1.0), max(high, 1.0)
