"""Amounts spread over cells of time, in whole numbers: the sum over all cells is exactly what was fed. Pure.

The work of an event is proportional to its own length, that of a sum to the cells of its window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import add, sub

from msgspec import Struct

from tokentop.nouns.looks import Minutes

MINUTE_MS = 60_000


class Entry(Struct, frozen=True, gc=False):
    """One response of the session `key`, as it is counted; the parts are tokens by kind and nano-dollars."""

    key: str
    start_ms: int
    span_ms: int
    parts: tuple[int, int, int, int, int]  # output, writes, input, reads, cost
    seen_ms: int  # the clock when it was added: cells that were too old then hold nothing of it


class Meter:
    """Sums in cells of `step` ms, for `keep` ms back. Cells are found by absolute number: no shifting."""

    __slots__ = ("cells", "inner", "keep", "since", "span", "step", "summed")

    def __init__(self, step: int, keep: int) -> None:
        self.step = step
        self.keep = keep
        self.since = -1  # of `summed`, -1 = to be summed
        self.summed = 0
        self.span: tuple[int, int] | None = (
            None  # (first, last) cell that `inner` is between, None = to be summed
        )
        self.inner: tuple[int, ...] = ()
        self.cells: dict[int, tuple[int, ...]] = {}

    def change(self, entry: Entry, parts: tuple[int, ...], now_ms: int, sign: int) -> None:
        self.since, self.span = -1, None
        start, span, step = entry.start_ms, entry.span_ms, self.step
        first, cell = (max(entry.seen_ms, now_ms) - self.keep) // step, start // step
        if span > 0 and (start + span - 1) // step != cell:
            for cell, part in _spread(start, span, parts, step, first):
                self._put(cell, part, sign)
        elif cell >= first:  # within one cell, as most are
            self._put(cell, parts, sign)

    def _put(self, cell: int, part: tuple[int, ...], sign: int) -> None:
        cells = self.cells
        old = cells.get(cell)
        new = tuple(map(add if sign > 0 else sub, old or (0,) * len(part), part))
        if any(new):
            cells[cell] = new
        elif old is not None:
            del cells[cell]

    def prune(self, now_ms: int) -> None:
        first = (now_ms - self.keep) // self.step
        for cell in [c for c in self.cells if c < first]:
            del self.cells[cell]

    def window(self, from_ms: int, to_ms: int) -> tuple[int, ...]:
        """Sums of (from_ms, to_ms]; the cell at the old edge counts by its share."""
        step = self.step
        first, last = from_ms // step, to_ms // step
        if self.span != (first, last):  # until a cell's end or an event only the share of the edge moves
            self.span, self.inner = (first, last), ()
            for cell, part in self.cells.items():
                if first < cell <= last:
                    self.inner = tuple(map(add, self.inner, part)) if self.inner else part
        edge = self.cells.get(first)
        if edge is None:
            return self.inner
        share = (first + 1) * step - from_ms
        values = tuple([p * share // step for p in edge])
        return tuple(map(add, self.inner, values)) if self.inner else values


def _spread(
    start: int, span: int, parts: tuple[int, ...], step: int, first: int
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield (cell, share) for the cells from `first` on; all shares together are exactly `parts`. `span` > 0."""
    end = start + span
    for cell in range(max(start // step, first), (end - 1) // step + 1):
        low = max(cell * step, start) - start
        high = min((cell + 1) * step, end) - start
        yield cell, tuple(p * high // span - p * low // span for p in parts)


def minutes_of(
    events: Iterable[tuple[int, int, tuple[int, ...]]], now_ms: int, source: str, count: int = 60
) -> Minutes:
    """Events (start, duration, output, writes, input, reads) in cells of a minute that end with the present one."""
    last = now_ms // MINUTE_MS
    first = last - count + 1
    cells = [[0] * count for _ in range(4)]
    for start, span, parts in events:
        spread = _spread(start, span, parts, MINUTE_MS, first) if span > 0 else [(start // MINUTE_MS, parts)]
        for cell, share in spread:
            if first <= cell <= last:
                for kind, part in zip(cells, share, strict=True):
                    kind[cell - first] += part
    output, writes, fresh, reads = map(tuple, cells)
    return Minutes(output, writes, fresh, reads, first * MINUTE_MS, source)
