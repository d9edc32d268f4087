"""Average rates over a longer time than the last minute, while a screen asks for them. Pure.

Up to five minutes the rings of `Rates` are enough. Beyond, a session's sum in the window is its own sum less what
it had spent before: nothing for a session that began in the window; for an older one the store is asked once, in
cells of a sixtieth of the window, which serve for half a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from tokentop.nouns.usage import Average

if TYPE_CHECKING:
    from tokentop.engine.rates import Rates
    from tokentop.engine.track import Track

MINUTE_MS = 60_000
RINGS_MIN = 5  # up to here nothing has to be asked
CELLS = 60

Sums = tuple[int, int, int]  # fresh tokens, cache reads, nano-dollars
_NONE: Sums = (0, 0, 0)


class Point(Protocol):
    """A node of the tree of sessions and processes."""

    key: str

    @property
    def track(self) -> Track | None: ...
    @property
    def below(self) -> Iterable[Point]: ...


class _Past:
    """What a session had spent when a window began, and cell by cell since."""

    __slots__ = ("before", "cells", "since_ms")

    def __init__(self, since_ms: int, cells: Mapping[int, Sums]) -> None:
        self.since_ms = since_ms
        self.before = cells.get(-1, _NONE)
        self.cells = {cell: sums for cell, sums in cells.items() if cell >= 0}


class Window:
    """The asked window. `wanted` names the sessions of which `learn` has to tell what they spent and when."""

    def __init__(self, minutes: int) -> None:
        self.minutes = minutes
        self.ms = minutes * MINUTE_MS
        self.cell_ms = self.ms // CELLS
        self.whole: Average | None = None  # of all sessions, where the store has to be asked for it
        self._past: dict[str, _Past] = {}
        self._wanted: dict[str, Track] = {}

    def wanted(self) -> list[tuple[str, Track]]:
        """Sessions that the last picture could not, or will soon not, be drawn for."""
        return list(self._wanted.items())

    def learn(self, key: str, since_ms: int, cells: Mapping[int, Sums]) -> None:
        """Sums of a session's events by `(at_ms - since_ms) // cell_ms`, -1 = all before `since_ms`."""
        self._past[key] = _Past(since_ms, cells)
        self._wanted.pop(key, None)

    def averages(self, nodes: list[Point], rates: Rates) -> dict[str, tuple[Average | None, Average | None]]:
        """Own average of each node and that with everything below; None = not known yet. Parents come first."""
        self._wanted = {}
        out: dict[str, tuple[Average | None, Average | None]] = {}
        for node in reversed(nodes):
            own = tree = self._of(node, rates)
            for kid in node.below:
                tree = _plus(tree, out[kid.key][1])
            out[node.key] = own, tree
        return out

    def total(self, rates: Rates) -> Average | None:
        """The average of all sessions together."""
        if self.ms <= rates.held_ms:
            return self._average(rates.sums_of_all(self.ms))
        return self.whole

    def _of(self, node: Point, rates: Rates) -> Average | None:
        if self.minutes <= RINGS_MIN:
            return self._average(rates.sums(node.key, self.ms))
        track, now_ms = node.track, rates.now_ms
        if track is None:
            return Average()
        if not track.loaded:
            return None
        before = self._before(node.key, track, now_ms)
        if before is None:
            return None
        tokens = track.own.tokens
        spent = (tokens.fresh, tokens.cache_read, track.own.cost_nusd)
        return self._average((max(0, a - b) for a, b in zip(spent, before, strict=True)))

    def _before(self, key: str, track: Track, now_ms: int) -> Sums | None:
        since_ms = now_ms - self.ms
        if track.session.first_ms >= since_ms:
            return _NONE
        past = self._past.get(key)
        if past is None or not 0 <= since_ms - past.since_ms <= self.ms // 2:
            self._wanted[key] = track
            if past is None or not 0 <= since_ms - past.since_ms <= self.ms:
                return None
        return self._until(past, since_ms)

    def _until(self, past: _Past, since_ms: int) -> Sums:
        edge, into = divmod(since_ms - past.since_ms, self.cell_ms)
        sums = past.before
        for cell, part in past.cells.items():
            if cell < edge:
                sums = (sums[0] + part[0], sums[1] + part[1], sums[2] + part[2])
            elif cell == edge:
                share = [value * into // self.cell_ms for value in part]
                sums = (sums[0] + share[0], sums[1] + share[1], sums[2] + share[2])
        return sums

    def _average(self, sums: Iterable[int]) -> Average:
        fresh, reads, cost = sums
        return Average(fresh / self.minutes, reads / self.minutes, cost * 60 // self.minutes)


def _plus(one: Average | None, other: Average | None) -> Average | None:
    if one is None or other is None:
        return None
    return Average(
        one.tokens_per_min + other.tokens_per_min,
        one.reads_per_min + other.reads_per_min,
        one.burn_nusd_per_h + other.burn_nusd_per_h,
    )
