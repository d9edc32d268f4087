"""What sessions spent in a span of time that they only partly lie in.

Each session's calls are read on the side of the span that has fewer of them: what lies outside, taken from the sums of
the whole session, is what lies inside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from .flags import FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_HIDDEN, FLAG_UNKNOWN
from .hours import EVENT_HOUR, within

# Columns of `session`, and what `parts` gives of the calls in a span. `estimated` is 0 or 1.
SUMS = (
    "responses", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_nusd",
    "unpriced_tokens", "unknown_calls", "estimated",
)  # fmt: skip
Sums = Sequence[int]

_TOKENS = "e.input + e.cache_read + e.cache_write_5m + e.cache_write_1h + e.output"
_OF_CALLS = (
    f"SELECT e.session, sum(NOT e.flags & {FLAG_HIDDEN | FLAG_UNKNOWN}), {', '.join(f'sum(e.{name})' for name in SUMS[1:7])},"
    f" coalesce(sum(e.cost_nusd), 0), coalesce(sum(CASE WHEN e.cost_nusd IS NULL THEN {_TOKENS} END), 0),"
    f" sum((e.flags & {FLAG_UNKNOWN}) != 0), max((e.flags & {FLAG_ESTIMATED | FLAG_COST_ESTIMATED}) != 0)"
    " FROM json_each(?1) j CROSS JOIN event e ON e.session = j.value WHERE"
)
_HOUR = EVENT_HOUR.replace("at_ms", "{}")
_INSIDE = f"{_OF_CALLS} e.at_ms >= ?2 AND e.at_ms < ?3 AND {within('?2', '?3')} GROUP BY e.session"
_BEFORE = f"{_OF_CALLS} e.at_ms < ?2 AND {_HOUR.format('e.at_ms')} <= {_HOUR.format('?2')} GROUP BY e.session"
_AFTER = f"{_OF_CALLS} e.at_ms >= ?2 AND {_HOUR.format('e.at_ms')} >= {_HOUR.format('?2')} GROUP BY e.session"
_COUNTED = f"SELECT j.value, (SELECT count(*) FROM event e WHERE e.session = j.value AND {within('?2', '?3')}) FROM json_each(?1) j"
_UNTOLD = (
    "SELECT session FROM {} WHERE session IN (SELECT value FROM json_each(?))"  # whose calls are not all here
)


def parts(db: sqlite3.Connection, own: Mapping[int, Sums], since_ms: int, until_ms: int) -> dict[int, Sums]:
    """`SUMS` of the calls of some sessions in a span; without any it is left out. `own` = those of their whole lives."""
    numbers = msgspec.json.encode(list(own))
    untold = {
        row[0]
        for table in ("purged", "imported_sum")
        for row in db.execute(_UNTOLD.format(table), (numbers,))
    }
    inside: list[int] = []
    outside: list[int] = []
    for number, count in db.execute(_COUNTED, (numbers, since_ms, until_ms)):
        if count:
            whole = own[number]
            # An estimate anywhere in a session does not tell whether there is one in the span.
            fewer = whole[0] - count < count and not whole[-1] and number not in untold
            (outside if fewer else inside).append(number)
    found: dict[int, Sums] = dict(_read(db, _INSIDE, inside, since_ms, until_ms))
    rest = {number: list(own[number]) for number in outside}
    for query, edge_ms in ((_BEFORE, since_ms), (_AFTER, until_ms)):
        for number, sums in _read(db, query, outside, edge_ms):
            rest[number] = [a - b for a, b in zip(rest[number], sums, strict=True)]
    return found | {number: sums for number, sums in rest.items() if any(sums)}


def _read(
    db: sqlite3.Connection, query: str, numbers: Sequence[int], *times: int
) -> Iterator[tuple[int, Sums]]:
    for number, *sums in db.execute(query, (msgspec.json.encode(numbers), *times)):
        yield number, sums
