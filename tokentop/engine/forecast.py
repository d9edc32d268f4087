"""The bill of the local day and its projection to midnight, with an 80 % interval. Pure.

With history the rest of the day is the user's own: the mean of what past days spent after this time of
day (recent days and days of the same kind weigh more), scaled by how today compares so far, with the
present burn rate for the next hour. Without history the present burn rate fades out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import date, datetime, tzinfo

from msgspec import Struct

from tokentop.engine.days import HOUR_MS, Day, History, day_bounds, group_days, midnight_ms, wall_ms
from tokentop.model import Forecast

HISTORY_DAYS = 28
MIN_DAYS = 7  # fewer past days give no interval of their own
HALF_LIFE_DAYS = 7.0
FADE_H = 1.5  # without history, burning stops after about so long
NEAR_H = 0.75  # how long the present burn rate says more than the profile
LOW, HIGH = 0.1, 0.9


class Point(Struct, frozen=True):
    """One replayed projection: what was said at `hour` and what the day became."""

    day: str
    hour: int
    actual_nusd: int
    projected_nusd: int
    low_nusd: int
    high_nusd: int
    naive_nusd: int


class Backtest(Struct, frozen=True):
    """How well past projections would have held, against the straight line (today / elapsed * day).

    `by_hour` = (hour, projections, mean absolute error, the naive one's) in nano-dollars; `coverage` is
    the share of days inside the interval, None without points.
    """

    points: tuple[Point, ...]
    days: int
    mae_nusd: int | None
    naive_mae_nusd: int | None
    coverage: float | None
    by_hour: tuple[tuple[int, int, int, int], ...]


def project(
    at_ms: int, zone: tzinfo, today_nusd: int, burn_nusd_per_h: int, days: Iterable[Day] = ()
) -> Forecast:
    """Project today's bill. `today_nusd` is the spend since local midnight, `days` come from `group_days`.

    Always low <= projected <= high and low >= today.
    """
    _, end_ms, today = day_bounds(at_ms, zone)
    left_h = (end_ms - at_ms) / HOUR_MS
    past = [d for d in days if 0 < (today - d.day).days <= HISTORY_DAYS]
    if today_nusd > 0:
        past = [d for d in past if d.total_nusd > 0]  # today is a day with work: idle days say nothing
    burn = max(0, burn_nusd_per_h)
    if past:
        rest, low, high = _by_profile(past, today, wall_ms(at_ms, zone), today_nusd, burn, left_h)
        method = "profile"
    else:
        rest, low, high = _by_burn(at_ms, zone, today_nusd, burn, left_h)
        method = "burn" if burn else "none"
    base = max(0, today_nusd)
    projected = base + round(rest)
    return Forecast(
        at_ms=at_ms,
        day=today.isoformat(),
        today_nusd=today_nusd,
        projected_nusd=projected,
        low_nusd=min(projected, max(base, base + math.floor(low))),
        high_nusd=max(projected, base + math.ceil(high)),
        method=method,
        days_of_history=len(past),
    )


def forecast(
    at_ms: int, zone: tzinfo, today_nusd: int, burn_nusd_per_h: int, history: History = ()
) -> Forecast:
    """Project today's bill from hourly history: `project()` for callers without grouped days."""
    return project(at_ms, zone, today_nusd, burn_nusd_per_h, group_days(history, zone))


def _by_burn(
    at_ms: int, zone: tzinfo, today_nusd: int, burn: int, left_h: float
) -> tuple[float, float, float]:
    """No history: (rest, low, high). The high end goes on as now, or at the day's pace, to midnight."""
    start_ms, _, _ = day_bounds(at_ms, zone)
    elapsed_h = max(1.0, (at_ms - start_ms) / HOUR_MS)
    fade = FADE_H * (1 - math.exp(-left_h / FADE_H))
    pace = max(0, today_nusd) / elapsed_h
    return burn * fade, burn * min(left_h, 0.1), max(burn, pace) * left_h


def _by_profile(
    past: list[Day], today: date, wall: int, today_nusd: int, burn: int, left_h: float
) -> tuple[float, float, float]:
    """With history: (rest, low, high) in nano-dollars."""
    weights = _weights(past, today)
    done = [d.until(wall) for d in past]
    rests = [d.total_nusd - x for d, x in zip(past, done, strict=True)]
    total_weight = sum(weights)
    mean_done = _mean(done, weights)
    mean_rest = _mean(rests, weights)
    prior = 0.3 * (mean_done + mean_rest)  # early in the day the pace is mostly noise: shrink it towards 1
    rest = mean_rest * _pace(today_nusd, mean_done, prior)
    rest = max(0.0, rest + _near(past, weights, wall, rest / mean_rest if mean_rest else 1.0, burn, left_h))
    if len(past) < MIN_DAYS:
        fade = burn * FADE_H * (1 - math.exp(-left_h / FADE_H))
        return rest, 0.2 * rest, max(3.0 * rest, 2.0 * fade)
    floor = 0.02 * (mean_done + mean_rest) + 1.0
    ratios = [
        (rest_d + floor) / (mean_rest * _pace(done_d, mean_done, prior) + floor)
        for rest_d, done_d in zip(rests, done, strict=True)
    ]
    low = _quantile(ratios, weights, LOW) * (rest + floor) - floor
    high = _quantile(ratios, weights, HIGH) * (rest + floor) - floor
    # A quantile of few days is itself uncertain: widen by the effective number of days.
    effective = total_weight**2 / sum(w * w for w in weights)
    slack = 1 + 1 / max(1.0, effective)
    return rest, rest - (rest - low) * slack, rest + (high - rest) * slack


def _pace(today: float, mean_done: float, prior: float) -> float:
    ratio = (max(0.0, today) + prior) / (mean_done + prior) if mean_done + prior > 0 else 1.0
    return min(5.0, max(0.2, ratio))


def _near(past: list[Day], weights: list[float], wall: int, scale: float, burn: int, left_h: float) -> float:
    """What the present burn rate adds to (or takes from) the profile within the next hour."""
    next_hour = [d.until(wall + HOUR_MS) - d.until(wall) for d in past]
    usual_per_h = _mean(next_hour, weights) * scale
    horizon = NEAR_H * (1 - math.exp(-left_h / NEAR_H))
    # Idle for a moment says less than burning: agents pause between turns.
    trust = 0.6 if burn > usual_per_h else 0.3
    return trust * (burn - usual_per_h) * horizon


def _weights(past: list[Day], today: date) -> list[float]:
    """Recent days weigh more. Days of the other kind (weekend, weekday) fade out as own ones are known."""
    same = [(d.day.weekday() >= 5) == (today.weekday() >= 5) for d in past]
    other = 0.5 / (1 + sum(same) ** 2)
    return [
        math.pow(0.5, (today - d.day).days / HALF_LIFE_DAYS) * (1.0 if alike else other)
        for d, alike in zip(past, same, strict=True)
    ]


def _mean(values: list[float], weights: list[float]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)


def _quantile(values: list[float], weights: list[float], q: float) -> float:
    """Weighted quantile, linear between the middles of the weights."""
    pairs = sorted(zip(values, weights, strict=True))
    target = q * sum(weights)
    below = 0.0
    previous: tuple[float, float] | None = None
    for value, weight in pairs:
        middle = below + weight / 2
        if middle >= target:
            if previous is None or middle == previous[0]:
                return value
            share = (target - previous[0]) / (middle - previous[0])
            return previous[1] + share * (value - previous[1])
        previous = (middle, value)
        below += weight
    return pairs[-1][0]


def backtest(
    history: History, zone: tzinfo, hours: Sequence[int] = (9, 12, 15, 18, 21), min_days: int = 3
) -> Backtest:
    """Replay past days: what would have been said at each local hour, with only what was known then.

    The last day of the history is taken as complete. Days without spend are not replayed.
    """
    days = group_days(history, zone)
    points: list[Point] = []
    for index, day in enumerate(days):
        if index < min_days or day.total_nusd <= 0:
            continue
        start_ms, end_ms, _ = day_bounds(midnight_ms(day.day, zone), zone)
        for hour in hours:
            at_ms = _at_hour(day.day, hour, zone)
            done = round(day.until(hour * HOUR_MS))
            burn = done - round(day.until((hour - 1) * HOUR_MS))
            said = project(at_ms, zone, done, burn, days[:index])
            naive = round(done * (end_ms - start_ms) / max(1, at_ms - start_ms))
            points.append(
                Point(
                    day.day.isoformat(),
                    hour,
                    day.total_nusd,
                    said.projected_nusd,
                    said.low_nusd,
                    said.high_nusd,
                    naive,
                )
            )
    return _judged(points, hours)


def _at_hour(day: date, hour: int, zone: tzinfo) -> int:
    return round(datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp() * 1000)


def _judged(points: list[Point], hours: Sequence[int]) -> Backtest:
    if not points:
        return Backtest((), 0, None, None, None, ())
    by_hour = []
    for hour in hours:
        own = [p for p in points if p.hour == hour]
        if own:
            by_hour.append((hour, len(own), _mae(own), _naive_mae(own)))
    inside = sum(p.low_nusd <= p.actual_nusd <= p.high_nusd for p in points)
    return Backtest(
        tuple(points),
        len({p.day for p in points}),
        _mae(points),
        _naive_mae(points),
        inside / len(points),
        tuple(by_hour),
    )


def _mae(points: list[Point]) -> int:
    return round(sum(abs(p.projected_nusd - p.actual_nusd) for p in points) / len(points))


def _naive_mae(points: list[Point]) -> int:
    return round(sum(abs(p.naive_nusd - p.actual_nusd) for p in points) / len(points))
