"""Local calendar days: their bounds in every time zone, and past spend sorted into them. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo

from msgspec import Struct

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GAP_DAYS = 31

History = Sequence[tuple[int, int]]  # (hour_start_ms, cost_nusd)


class Day(Struct, frozen=True):
    """Spend of one past local day: (wall-clock ms since midnight, length in ms, cost) of each hour."""

    day: date
    hours: tuple[tuple[int, int, int], ...]
    total_nusd: int

    def until(self, wall_ms: int) -> float:
        """Nano-dollars spent before that time of day; an hour counts by its share."""
        done = 0.0
        for start, length, cost in self.hours:
            passed = wall_ms - start
            if passed > 0:
                done += cost * (passed if passed < length else length) / length
        return done


def midnight_ms(day: date, zone: tzinfo) -> int:
    """Return when the local day begins; where midnight does not exist, the first moment after it."""
    # Python maps a local time inside a gap with the offset before it: exactly the moment of the change.
    return round(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp() * 1000)


def local(at_ms: int, zone: tzinfo) -> datetime:
    """Return the local wall time of an instant."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)).astimezone(zone)


def day_bounds(at_ms: int, zone: tzinfo) -> tuple[int, int, date]:
    """Return (start, end, calendar day) of the local day of `at_ms`; a day has 23, 24 or 25 hours."""
    day = local(at_ms, zone).date()
    start = midnight_ms(day, zone)
    end = midnight_ms(day + timedelta(days=1), zone)
    return min(start, at_ms), max(end, at_ms), day


class Days:
    """The local days of a time span by their ISO names."""

    def __init__(self, since_ms: int, until_ms: int, zone: tzinfo) -> None:
        first, last = (local(at_ms, zone).date() for at_ms in (since_ms, until_ms))
        days = [first + timedelta(days=n) for n in range((last - first).days + 2)]
        self._zone = zone
        self._starts = [midnight_ms(day, zone) for day in days]
        self._names = [day.isoformat() for day in days]

    def of(self, at_ms: int) -> str:
        """The day of a moment, also of one outside the span."""
        at = bisect_right(self._starts, at_ms)
        if 0 < at < len(self._starts):
            return self._names[at - 1]
        return local(at_ms, self._zone).date().isoformat()

    def of_both(self, first_ms: int, last_ms: int) -> str | None:
        """The day of two moments of the span; None = the later one is on another day."""
        at = bisect_right(self._starts, first_ms)
        return self._names[at - 1] if last_ms < self._starts[at] else None


def wall_ms(at_ms: int, zone: tzinfo) -> int:
    """Return the wall-clock time since midnight: on a day of 23 hours noon is still 12 h."""
    return _since_midnight_ms(local(at_ms, zone))


def _since_midnight_ms(t: datetime) -> int:
    return ((t.hour * 60 + t.minute) * 60 + t.second) * 1000 + t.microsecond // 1000


def group_days(history: History, zone: tzinfo) -> tuple[Day, ...]:
    """Sort hourly spend `(hour_start_ms, cost_nusd)` into local days; days without spend in between count.

    Do it once for each history: it is the costly part of a projection. Timestamps come from logs: hours
    outside of the calendar are left out, and gaps of more than a month are not filled.
    """
    found: dict[date, list[tuple[int, int, int]]] = {}
    for start_ms, cost in history:
        try:
            begins = local(start_ms, zone)
        except (OverflowError, ValueError):
            continue
        wall = _since_midnight_ms(begins)
        found.setdefault(begins.date(), []).append((wall, min(HOUR_MS, DAY_MS - wall), cost))
    days: list[Day] = []
    for day in sorted(found):
        gap = (day - days[-1].day).days if days else 0
        if gap <= GAP_DAYS:
            days += [Day(day - timedelta(days=back), (), 0) for back in range(gap - 1, 0, -1)]
        hours = tuple(sorted(found[day]))
        days.append(Day(day, hours, sum(h[2] for h in hours)))
    return tuple(days)
