"""Times as people write them on the command line -> UTC milliseconds."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo

from tokentop.engine.days import local, midnight_ms

_CLOCK = re.compile(r"(?:(today|yesterday)\s+)?(\d{1,2}):(\d\d)(?::(\d\d))?")
_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


class BadTime(ValueError):
    """Not a time; the text says what would be one."""


def parse_when(text: str, zone: tzinfo, now_ms: int, *, end: bool, after_ms: int | None = None) -> int:
    """A day, a moment, `today`, `yesterday 22:10`, `03:12` (the last one), or how long ago (`90m`, `24h`, `7d`).

    A day as the end of a span means to its last millisecond: the result is the start of the next day. `after_ms` is
    where the span begins: a time of day that would lie before it is that of the day after (22:00 to 02:00).
    Raises BadTime, also for what lies outside of the calendar.
    """
    ms = _parse(text, zone, now_ms, end)
    if (
        after_ms is not None
        and ms <= after_ms
        and (match := _CLOCK.fullmatch(text.strip().lower()))
        and not match[1]
    ):
        ms = _time_of_day(
            match, local(ms, zone).date() + timedelta(days=1), local(ms, zone).date(), zone, now_ms
        )
    try:
        local(ms, UTC)
    except (OverflowError, ValueError):
        raise BadTime(f"{text} is too far away") from None
    return ms


def _parse(text: str, zone: tzinfo, now_ms: int, end: bool) -> int:
    word = text.strip().lower()
    today = local(now_ms, zone).date()
    named = {"today": today, "yesterday": today - timedelta(days=1), "tomorrow": today + timedelta(days=1)}
    if word in named:
        return _day(named[word], zone, end)
    if word == "now":
        return now_ms
    if match := _CLOCK.fullmatch(word):
        return _time_of_day(match, named.get(match[1]), today, zone, now_ms)
    if match := _AGO.fullmatch(word):
        return now_ms - int(match[1]) * _UNIT_MS[match[2]]
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", word):
            return _day(date.fromisoformat(word), zone, end)
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
        return int(moment.timestamp() * 1000)
    except BadTime:
        raise
    except (ValueError, OverflowError):
        raise BadTime(
            f"'{text}' is not a time; write 2026-11-21, 2026-11-21T14:30, 03:12, today, 24h or 7d"
        ) from None


def _time_of_day(match: re.Match[str], day: date | None, today: date, zone: tzinfo, now_ms: int) -> int:
    """A time of that day; without one the last time that the clock showed it."""
    hour, minute, second = int(match[2]), int(match[3]), int(match[4] or 0)
    if hour > 23 or minute > 59 or second > 59:
        raise BadTime(f"'{match[0]}' is not a time of day")
    for chosen in (day or today, today - timedelta(days=1)):
        moment = datetime(chosen.year, chosen.month, chosen.day, hour, minute, second, tzinfo=zone)
        ms = int(moment.timestamp() * 1000)
        if day is not None or ms <= now_ms:
            break
    return ms


def _day(day: date, zone: tzinfo, end: bool) -> int:
    try:
        return midnight_ms(day + timedelta(days=1) if end else day, zone)
    except (OverflowError, ValueError):
        raise BadTime(f"{day} is too far away") from None
