"""Hours of events: `event` lies by session and hour, so that a session's calls of a time are read one after the other.

A row has its hour and the milliseconds in it; `at_ms` is made of them. With `at_ms` itself in the key each call would
take seven bytes more, as the index on ids repeats the key.
"""

from __future__ import annotations

HOUR_MS = 3_600_000
EPOCH = 490_896  # hours from 1970 to 2026: two bytes from 2022 to 2029


def hour(at_ms: str) -> str:
    """SQL: the hour of a moment."""
    return f"{at_ms} / {HOUR_MS} - {EPOCH}"


def within(since: str, until: str) -> str:
    """SQL: events `e` of the hours of a time span; other minutes are in it too."""
    return f"e.hour BETWEEN {hour(since)} AND {hour(until)}"
