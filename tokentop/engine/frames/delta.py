"""A picture as its difference to another one, in bytes. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from itertools import accumulate, compress
from operator import ne

import msgspec

from tokentop.engine.rates import SERIES_SAMPLES

from .layout import (
    ALERT,
    ALERT_TIMES,
    HEAD,
    LIMIT,
    LIMIT_TIMES,
    NEW,
    TIMES,
    DamagedFrame,
    Picture,
    Vector,
    since,
    slid,
)

_NO_TIMES: tuple[int, ...] = ()
_LEVEL = 6
_COLUMNS = range(1 << 16)
_Table = tuple[list[int] | None, list[int]]  # where each vector was before, as steps; differences by column
_Document = tuple[_Table, _Table, _Table, list[int], list[int], bytes | None]
_ROW_KEY, _LIMIT_KEY, _ALERT_KEY = 3, 4, 2  # so many columns tell a vector from the others
_MAX_BYTES = 64 << 20


def encode(base: Picture | None, now: Picture) -> bytes:
    """The bytes of a picture, as its difference to `base`."""
    old = slid(base, now.at_ms) if base is not None else _nothing(now.epoch_ms)
    time = since(now.at_ms, now.epoch_ms)
    document = (
        _table(old.rows, now.rows, _ROW_KEY, NEW, TIMES, time),
        _table(old.limits, now.limits, _LIMIT_KEY, (0,) * LIMIT, LIMIT_TIMES, time),
        _table(old.alerts, now.alerts, _ALERT_KEY, (0,) * ALERT, ALERT_TIMES, time),
        _differences([old.head], [now.head], _NO_TIMES, 0),
        _differences(old.series, now.series, _NO_TIMES, 0),
        None if old.rest == now.rest else now.rest,
    )
    return zlib.compress(msgspec.msgpack.encode(document), _LEVEL)


def decode(base: Picture | None, body: bytes, at_ms: int) -> Picture:
    """The picture of `encode`. Raises DamagedFrame where the bytes are not those of a frame on this base."""
    epoch_ms = at_ms if base is None else base.epoch_ms
    old = slid(base, at_ms) if base is not None else _nothing(epoch_ms)
    time = since(at_ms, epoch_ms)
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(body, _MAX_BYTES)
        if not unpacker.eof:
            raise DamagedFrame("cut off, or too large")
        rows, limits, alerts, head, series, rest = msgspec.msgpack.decode(raw, type=_Document)
        return Picture(
            at_ms, epoch_ms,
            _from_table(old.rows, rows, NEW, TIMES, time),
            _applied([old.head], head, _NO_TIMES, 0)[0],
            _applied(old.series, series, _NO_TIMES, 0),
            _from_table(old.limits, limits, (0,) * LIMIT, LIMIT_TIMES, time),
            _from_table(old.alerts, alerts, (0,) * ALERT, ALERT_TIMES, time),
            old.rest if rest is None else rest,
        )  # fmt: skip
    except (zlib.error, msgspec.MsgspecError, IndexError, ValueError, TypeError) as error:
        raise DamagedFrame(str(error) or type(error).__name__) from error


def _nothing(epoch_ms: int) -> Picture:
    return Picture(0, epoch_ms, [], (0,) * HEAD, [(0,) * SERIES_SAMPLES] * 5, [], [], b"")


def _table(
    old: Sequence[Vector], new: Sequence[Vector], key: int, blank: Vector, times: Sequence[int], time: int
) -> _Table:
    place = {vector[:key]: at for at, vector in enumerate(old)}
    order, before, last = [], [], len(old)
    for vector in new:
        at = place.get(vector[:key], last)
        order.append(at)
        before.append(blank if at == last else old[at])
        last += at == last
    steps = None if order == list(range(len(old))) else _steps(order)
    return steps, _differences(before, new, times, time)


def _from_table(
    old: Sequence[Vector], table: _Table, blank: Vector, times: Sequence[int], time: int
) -> list[Vector]:
    order = range(len(old)) if table[0] is None else _summed(table[0])
    return _applied([old[at] if 0 <= at < len(old) else blank for at in order], table[1], times, time)


def _steps(numbers: Sequence[int]) -> list[int]:
    return [b - a for a, b in zip((0, *numbers), numbers, strict=False)]


def _summed(steps: Iterable[int]) -> list[int]:
    return list(accumulate(steps))


def _differences(old: Sequence[Vector], new: Sequence[Vector], times: Sequence[int], time: int) -> list[int]:
    """What changed, by column: its number, how many, which vectors (as steps), and by how much.

    A changed time is told as its distance to `time`.
    """
    columns: dict[int, tuple[list[int], list[int]]] = {}
    for at, (before, after) in enumerate(zip(old, new, strict=True)):
        if before is after or before == after:
            continue
        for column in compress(_COLUMNS, map(ne, before, after)):
            found = columns.get(column)
            if found is None:
                found = columns[column] = ([], [])
            found[0].append(at)
            found[1].append(after[column] - (time if column in times else before[column]))
    flat: list[int] = []
    for column in sorted(columns):
        places, deltas = columns[column]
        flat += (column, len(places), *_steps(places), *deltas)
    return flat


def _applied(old: Sequence[Vector], flat: Sequence[int], times: Sequence[int], time: int) -> list[Vector]:
    changed: dict[int, list[int]] = {}
    at = 0
    while at < len(flat):
        column, count = flat[at], flat[at + 1]
        places = _summed(flat[at + 2 : at + 2 + count])
        deltas = flat[at + 2 + count : at + 2 + 2 * count]
        if len(deltas) != count or column < 0 or count < 0 or min(places, default=0) < 0:
            raise DamagedFrame("cut off")
        timed = column in times
        for place, delta in zip(places, deltas, strict=True):
            row = changed.get(place)
            if row is None:
                row = changed[place] = list(old[place])
            row[column] = delta + (time if timed else row[column])
        at += 2 + 2 * count
    return [tuple(changed[place]) if place in changed else row for place, row in enumerate(old)]
