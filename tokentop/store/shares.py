"""What sessions spent in a span of time that they only partly lie in: the sums of their calls in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from .flags import FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_HIDDEN, FLAG_UNKNOWN
from .hours import within

# Columns of `session`, and what `parts` gives of the calls in a span. `estimated` is 0 or 1.
SUMS = (
    "responses", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_nusd",
    "unpriced_tokens", "unknown_calls", "estimated",
)  # fmt: skip
Sums = Sequence[int]

_TOKENS = "e.input + e.cache_read + e.cache_write_5m + e.cache_write_1h + e.output"
_INSIDE = (
    f"SELECT e.session, sum(NOT e.flags & {FLAG_HIDDEN | FLAG_UNKNOWN}), {', '.join(f'sum(e.{name})' for name in SUMS[1:7])},"
    f" coalesce(sum(e.cost_nusd), 0), coalesce(sum(CASE WHEN e.cost_nusd IS NULL THEN {_TOKENS} END), 0),"
    f" sum((e.flags & {FLAG_UNKNOWN}) != 0), max((e.flags & {FLAG_ESTIMATED | FLAG_COST_ESTIMATED}) != 0)"
    " FROM json_each(?1) j CROSS JOIN event e ON e.session = j.value WHERE e.at_ms >= ?2 AND e.at_ms < ?3"
    f" AND {within('?2', '?3')} GROUP BY e.session"
)


def parts(db: sqlite3.Connection, sessions: Iterable[int], since_ms: int, until_ms: int) -> dict[int, Sums]:
    """`SUMS` of the calls of some sessions, by their numbers, in a span; one without any is left out."""
    rows = db.execute(_INSIDE, (msgspec.json.encode(list(sessions)), since_ms, until_ms))
    return {number: sums for number, *sums in rows}
