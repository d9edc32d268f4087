"""The pace of a plan limit: when a window will be full, and how it stands against even use. Pure.

A reading is `(at_ms, used_pct)`, as the provider's answer told it. Readings come only while somebody works,
may be whole per cents, and start anew when the window is reset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MINUTE_MS = 60_000
DAY_MS = 86_400_000
SPAN_MS = 30 * MINUTE_MS  # at least so much of the past makes a pace ...
RISE_PCT = 3.0  # ... and at least so much growth: sources round to whole per cents
OLDEST_MS = DAY_MS  # what was before says nothing about now
FELL_PCT = 1.5  # a smaller fall is rounding or another client's older answer, a greater one is a reset
AHEAD_MS = 120_000  # readings from the future, after the clock was set back, are left out
FARTHEST_MS = 31 * DAY_MS


def full_at(points: Sequence[tuple[int, float]], resets_at_ms: int, now_ms: int) -> int | None:
    """Return when the window is full at the recent pace, in UTC milliseconds.

    `points` are readings in any order; `resets_at_ms` 0 = not known. The time lies in the past where the window
    is full already. None = not before its reset, or not known: no pace yet, or the window is over.
    """
    if 0 < resets_at_ms <= now_ms:
        return None
    window = _this_window(points, now_ms)
    if not window:
        return None
    newest_ms, used = window[-1]
    if used >= 100:
        return next(at_ms for at_ms, pct in window if pct >= 100)
    start = _start(window)
    # Since the newest reading nothing was used that we know of: idle time lowers the pace.
    took_ms = max(now_ms, newest_ms) - start[0]
    grown = used - start[1]
    if grown <= 0 or took_ms <= 0 or len(window) < 2:
        return None
    left_ms = (100 - used) / grown * took_ms
    if left_ms > FARTHEST_MS:
        return None
    at_ms = max(now_ms, newest_ms) + math.ceil(left_ms)
    return at_ms if not resets_at_ms or at_ms < resets_at_ms else None


def ahead_pct(used_pct: float, window_minutes: int, resets_at_ms: int, now_ms: int) -> float | None:
    """Return by how many per cent of the window its use is ahead of even use; below 0 there is slack.

    None where the window is over, or its length or reset is not known.
    """
    length_ms = window_minutes * MINUTE_MS
    if length_ms <= 0 or resets_at_ms <= now_ms or resets_at_ms - now_ms > length_ms + AHEAD_MS:
        return None
    gone = 1 - min(length_ms, resets_at_ms - now_ms) / length_ms
    return used_pct - 100 * gone


def worth_keeping(last: tuple[int, float] | None, at_ms: int, used_pct: float) -> bool:
    """Tell whether a reading adds to the one before it: readings repeat every few seconds."""
    if last is None:
        return True
    return at_ms > last[0] and (used_pct != last[1] or at_ms - last[0] >= SPAN_MS // 2)


def _this_window(points: Sequence[tuple[int, float]], now_ms: int) -> list[tuple[int, float]]:
    """The readings since the last reset, by time, each at least as high as those before it."""
    known = sorted((at, pct) for at, pct in points if at <= now_ms + AHEAD_MS and math.isfinite(pct))
    window: list[tuple[int, float]] = []
    for at_ms, pct in known:
        high = window[-1][1] if window else pct
        if pct < high - FELL_PCT:
            window = [(at_ms, pct)]
        else:
            window.append((at_ms, max(pct, high)))
    return window


def _start(window: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """The reading that the pace counts from: far enough back for a rise that is more than rounding."""
    newest_ms, used = window[-1]
    start = window[-1]
    for point in reversed(window):
        if newest_ms - point[0] > OLDEST_MS:
            break
        start = point
        if newest_ms - point[0] >= SPAN_MS and used - point[1] >= RISE_PCT:
            break
    return start
