"""What sessions spent in a span of time that they only partly lie in.

Beside a session's work are its sums by hour: those of the hours inside the span count, and of an hour that is cut its
calls. They serve while they tell of the calls that there are; else calls are read on the side of the span that has fewer:
what lies outside, taken from the sums of the whole session, is what lies inside.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from .flags import FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_HIDDEN, FLAG_UNKNOWN
from .hours import EVENT_HOUR, FIRST_HOUR, HOUR_MS, hour_of, within

# Columns of `session`, and what `parts` gives of the calls in a span. `estimated` is 0 or 1.
SUMS = (
    "responses", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_nusd",
    "unpriced_tokens", "unknown_calls", "estimated",
)  # fmt: skip
Sums = Sequence[int]

_TOKENS = "e.input + e.cache_read + e.cache_write_5m + e.cache_write_1h + e.output"
_SUMMED = (
    f"sum(NOT e.flags & {FLAG_HIDDEN | FLAG_UNKNOWN}), {', '.join(f'sum(e.{name})' for name in SUMS[1:7])},"
    f" coalesce(sum(e.cost_nusd), 0), coalesce(sum(CASE WHEN e.cost_nusd IS NULL THEN {_TOKENS} END), 0),"
    f" sum((e.flags & {FLAG_UNKNOWN}) != 0), max((e.flags & {FLAG_ESTIMATED | FLAG_COST_ESTIMATED}) != 0)"
)
_OF_CALLS = (
    f"SELECT e.session, {_SUMMED} FROM json_each(?1) j CROSS JOIN event e ON e.session = j.value WHERE"
)
_HOUR = EVENT_HOUR.replace("at_ms", "{}")
_OF = _HOUR.format("e.at_ms")
_INSIDE = f"{_OF_CALLS} e.at_ms >= ?2 AND e.at_ms < ?3 AND {within('?2', '?3')} GROUP BY e.session"
_BEFORE = f"{_OF_CALLS} e.at_ms < ?2 AND {_OF} <= {_HOUR.format('?2')} GROUP BY e.session"
_AFTER = f"{_OF_CALLS} e.at_ms >= ?2 AND {_OF} >= {_HOUR.format('?2')} GROUP BY e.session"
_COUNTED = f"SELECT j.value, (SELECT count(*) FROM event e WHERE e.session = j.value AND {within('?2', '?3')}) FROM json_each(?1) j"
_UNTOLD = (
    "SELECT session FROM {} WHERE session IN (SELECT value FROM json_each(?))"  # whose calls are not all here
)
_IDS = "coalesce(sum(e.id & 0xffffffff), 0)"  # tells whether they are the same calls; the index alone is read for it
_BY_HOUR = f"SELECT {_OF}, {_IDS}, {_SUMMED} FROM event e WHERE e.session = ? GROUP BY {_OF}"
_IN_HOURS = (
    f"SELECT j.value, (SELECT {_IDS} FROM event e WHERE e.session = j.value AND {_OF} >= ?2 AND {_OF} < ?3)"
    " FROM json_each(?1) j"
)
_KEPT = "SELECT session, hours FROM work WHERE session IN (SELECT value FROM json_each(?))"
_NOTHING = (0,) * len(SUMS)
_HOURS = msgspec.msgpack.Decoder(list[tuple[int, ...]])


def by_hour(db: sqlite3.Connection, number: int) -> bytes:
    """A session's sums by hour, as they are kept beside its work: a list of (hour, ids of its calls, *`SUMS`)."""
    return msgspec.msgpack.encode(db.execute(_BY_HOUR, (number,)).fetchall())


def parts(db: sqlite3.Connection, own: Mapping[int, Sums], since_ms: int, until_ms: int) -> dict[int, Sums]:
    """`SUMS` of the calls of some sessions in a span; without any it is left out. `own` = those of their whole lives."""
    if not own:
        return {}
    kept = _kept(db, own, since_ms, until_ms)
    found = {number: [pieces] * any(pieces) for number, pieces in kept.items()}
    for start_ms, end_ms in _cut(since_ms, until_ms):
        for number, sums in _read(db, _INSIDE, list(kept), start_ms, end_ms):
            found[number].append(sums)
    rest = {number: own[number] for number in own if number not in kept}
    return {n: _added(some) for n, some in found.items() if some} | _of_calls(db, rest, since_ms, until_ms)


def _kept(db: sqlite3.Connection, own: Mapping[int, Sums], since_ms: int, until_ms: int) -> dict[int, Sums]:
    """Sums of the whole hours of a span, of sessions whose hours have the same calls and together cost the same."""
    first, last = hour_of(since_ms + HOUR_MS - 1), hour_of(until_ms)
    numbers = msgspec.json.encode(list(own))
    ids = dict(db.execute(_IN_HOURS, (numbers, first, last)).fetchall())
    found = {}
    for number, hours in db.execute(_KEPT, (numbers,)):
        rows = _HOURS.decode(hours)
        inside = [row for row in rows if first <= row[0] < last]
        same = (
            _added(row[2:] for row in rows) == [*own[number]] and sum(row[1] for row in inside) == ids[number]
        )
        if same and all(row[0] != FIRST_HOUR for row in rows):
            found[number] = _added(row[2:] for row in inside)
    return found


def _cut(since_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """The parts of hours at the edges of a span."""
    first_ms, last_ms = -(-since_ms // HOUR_MS) * HOUR_MS, until_ms // HOUR_MS * HOUR_MS
    if first_ms > last_ms:
        return [(since_ms, until_ms)]
    return [(a, b) for a, b in ((since_ms, first_ms), (last_ms, until_ms)) if a < b]


def _added(some: Iterable[Sums]) -> Sums:
    *sums, estimated = map(sum, zip(_NOTHING, *some, strict=True))
    return [*sums, int(estimated > 0)]


def _of_calls(
    db: sqlite3.Connection, own: Mapping[int, Sums], since_ms: int, until_ms: int
) -> dict[int, Sums]:
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
