"""Time in the store: quarter hours of rollups, hours of the index on events."""

from __future__ import annotations

SLOT_MS = 15 * 60_000  # every time zone is a whole number of quarter hours from UTC
HOUR_MS = 3_600_000
FIRST_HOUR = -490_896  # that of 1970, with all that has no time, or one before it
# Hours from 2026 on: two bytes from 2022 to 2029, and right at any time. A question must have this very text.
EVENT_HOUR = "at_ms / 3600000 - 490896"


def hour_of(at_ms: int) -> int:
    """`EVENT_HOUR` of a moment after the first hour of 1970."""
    return at_ms // HOUR_MS + FIRST_HOUR


def within(since: str, until: str) -> str:
    """SQL: events `e` of the hours of a time span, which the index on sessions tells; other minutes are in it too."""
    hour = EVENT_HOUR.replace("at_ms", "{}")
    return f"{hour.format('e.at_ms')} BETWEEN {hour.format(since)} AND {hour.format(until)}"
