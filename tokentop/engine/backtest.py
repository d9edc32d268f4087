"""How well past projections would have held, against the straight line (today so far / share of the day gone).

Rolling origin: each moment is projected with what was known then, and so is the calibration of its intervals.
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, tzinfo
from statistics import median

from msgspec import Struct

from tokentop.engine.days import HOUR_MS, History, day_bounds, group_days, midnight_ms
from tokentop.engine.intervals import ends, replay
from tokentop.engine.profile import Shape

HOURS = (10, 14, 18)
MIN_DAYS = 14  # days of history before the first projection that is judged


class Point(Struct, frozen=True):
    """One replayed projection in nano-dollars: what was said at `hour`, and what the day became."""

    day: str
    hour: int
    actual_nusd: int
    projected_nusd: int
    low_nusd: int
    high_nusd: int
    low_half_nusd: int
    high_half_nusd: int
    naive_nusd: int
    done_nusd: int

    @property
    def error_nusd(self) -> int:
        return abs(self.projected_nusd - self.actual_nusd)

    @property
    def naive_error_nusd(self) -> int:
        return abs(self.naive_nusd - self.actual_nusd)

    @property
    def inside(self) -> bool:
        return self.low_nusd <= self.actual_nusd <= self.high_nusd

    @property
    def inside_half(self) -> bool:
        return self.low_half_nusd <= self.actual_nusd <= self.high_half_nusd


class Score(Struct, frozen=True):
    """Some projections judged: median and mean absolute errors, and the share of days inside the intervals."""

    projections: int
    median_error_nusd: int
    naive_median_error_nusd: int
    mean_error_nusd: int
    naive_mean_error_nusd: int
    coverage: float
    coverage_half: float

    @property
    def ratio(self) -> float | None:
        """Median error as a share of the straight line's; None where that is 0."""
        return self.median_error_nusd / self.naive_median_error_nusd if self.naive_median_error_nusd else None


class Backtest(Struct, frozen=True):
    """All points, and their score: in total and by hour. Without points `total` is None."""

    points: tuple[Point, ...]
    days: int
    total: Score | None
    by_hour: tuple[tuple[int, Score], ...]


def backtest(
    history: History, zone: tzinfo, hours: Sequence[int] = HOURS, min_days: int = MIN_DAYS
) -> Backtest:
    """Replay past days at each local hour. The last day of the history is taken as complete.

    Days without spend are not judged.
    """
    shapes = [Shape(day) for day in group_days(history, zone)]
    points: list[Point] = []
    for hour in hours:
        past = [shape.cut(hour * HOUR_MS) for shape in shapes]
        for step in replay(past):
            if not min_days <= step.index < len(past):
                continue
            one = past[step.index]
            low, low_half, high_half, high = ends(step.raw, step.hindsight, begun=one.done > 0)
            points.append(
                Point(
                    one.day.isoformat(), hour, shapes[step.index].total_nusd, round(one.done + step.raw.middle),
                    int(one.done + low), round(one.done + high + 0.5), int(one.done + low_half),
                    round(one.done + high_half + 0.5), straight_line(one.day, hour, one.done, zone), round(one.done),
                )
            )  # fmt: skip
    points.sort(key=lambda p: (p.day, p.hour))
    by_hour = [(hour, judged(p for p in points if p.hour == hour)) for hour in hours]
    return Backtest(
        tuple(points),
        len({p.day for p in points}),
        judged(points),
        tuple((hour, score) for hour, score in by_hour if score is not None),
    )


def straight_line(day: date, hour: int, done_nusd: float, zone: tzinfo) -> int:
    """What is spent so far, divided by the share of the local day (23 to 25 h) that is gone."""
    start_ms = midnight_ms(day, zone)
    at_ms = round(datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp() * 1000)
    _, end_ms, _ = day_bounds(start_ms, zone)
    return round(done_nusd * (end_ms - start_ms) / max(1, at_ms - start_ms))


def judged(points: Iterable[Point]) -> Score | None:
    """Judge some projections together; None without any."""
    found = list(points)
    if not found:
        return None
    count = len(found)
    return Score(
        count,
        round(median(p.error_nusd for p in found)),
        round(median(p.naive_error_nusd for p in found)),
        round(sum(p.error_nusd for p in found) / count),
        round(sum(p.naive_error_nusd for p in found) / count),
        sum(p.inside for p in found) / count,
        sum(p.inside_half for p in found) / count,
    )


class Held(Struct, frozen=True):
    """How projections that were stored held, on days that are over."""

    projections: int
    days: int
    median_error_nusd: int
    naive_median_error_nusd: int
    coverage: float


def held(
    stored: Iterable[tuple[int, str, int, int, int, int]], totals: dict[str, int], zone: tzinfo
) -> Held | None:
    """Judge stored projections `(at_ms, day, today, projected, low, high)` by what their days became.

    `totals` = nano-dollars of each complete local day with spend, by ISO date; other days are not judged.
    """
    errors, naive, inside, days = [], [], 0, set()
    for at_ms, day, today, projected, low, high in stored:
        actual = totals.get(day)
        start_ms, end_ms, found = day_bounds(at_ms, zone)
        if actual is None or found.isoformat() != day:
            continue
        line = round(today * (end_ms - start_ms) / max(1, at_ms - start_ms))
        errors.append(abs(projected - actual))
        naive.append(abs(line - actual))
        inside += low <= actual <= high
        days.add(day)
    if not errors:
        return None
    return Held(len(errors), len(days), round(median(errors)), round(median(naive)), inside / len(errors))
