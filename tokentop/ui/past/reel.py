"""Where somebody stands in the recording, and where a key leads from there. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from tokentop.nouns.recorded import Mark, Moment

SPEEDS = (1, 2, 5, 10, 30, 60, 120, 300, 600)
FIRST_SPEED = 60
STEPPED = frozenset({"alert", "action"})  # kinds of marks that are stepped to


class Reel:
    """The position in the past, how fast it moves, and what of the day is selected."""

    def __init__(self, at_ms: int) -> None:
        """`at_ms` 0 = the newest moment."""
        self.at_ms = at_ms
        self.playing = False
        self.speed = FIRST_SPEED
        self.begun_ms: int | None = None  # the begin of a span that is being selected
        self.marks: list[Mark] = []  # those that are stepped to
        self._times: list[int] = []  # of the marks
        self._moments: Sequence[Moment] = ()
        self._starts: list[int] = []

    def take(self, moments: Sequence[Moment], marks: Sequence[Mark]) -> None:
        """What there is; more of it may come while somebody looks."""
        self._moments, self._starts = moments, [moment.at_ms for moment in moments]
        self.marks = [mark for mark in marks if mark.kind in STEPPED]
        self._times = [mark.at_ms for mark in self.marks]
        self.go(self.at_ms or self.last_ms)

    @property
    def first_ms(self) -> int:
        return self._starts[0] if self._starts else 0

    @property
    def last_ms(self) -> int:
        return self._moments[-1].end_ms if self._moments else 0

    @property
    def at_end(self) -> bool:
        return self.at_ms >= self.last_ms

    def go(self, at_ms: int) -> None:
        """Stand at a time, or at the end that is nearest to it."""
        self.at_ms = min(max(at_ms, self.first_ms), self.last_ms)

    def step(self, by: int) -> None:
        """One frame on or back; back from within a frame leads to its beginning."""
        if not self._starts:
            return
        if by > 0:
            at = bisect_right(self._starts, self.at_ms)
            self.go(self._starts[at] if at < len(self._starts) else self.last_ms)
        else:
            at = bisect_left(self._starts, self.at_ms) - 1
            self.go(self._starts[max(at, 0)])

    def to_mark(self, by: int) -> Mark | None:
        """Stand at the next or previous alert or action; None where there is none."""
        times = self._times
        at = bisect_right(times, self.at_ms) if by > 0 else bisect_left(times, self.at_ms) - 1
        if not 0 <= at < len(times):
            return None
        self.go(times[at])
        return self.marks[at]

    def marks_in(self, from_ms: int, until_ms: int) -> tuple[Mark, ...]:
        """The alerts and actions of a span."""
        return tuple(self.marks[bisect_left(self._times, from_ms) : bisect_left(self._times, until_ms)])

    def faster(self, by: int) -> None:
        at = SPEEDS.index(self.speed) + by
        self.speed = SPEEDS[min(max(at, 0), len(SPEEDS) - 1)]

    def pass_time(self, seconds: float, end_of_gap: int | None) -> None:
        """Move on at the speed; a gap is passed over, and the end stops it."""
        self.go(end_of_gap if end_of_gap is not None else self.at_ms + round(seconds * 1000 * self.speed))
        if self.at_end:
            self.playing = False

    def next_start(self) -> int | None:
        """When the next frame begins."""
        at = bisect_right(self._starts, self.at_ms)
        return self._starts[at] if at < len(self._starts) else None

    def select(self) -> tuple[int, int] | None:
        """Mark the begin of a span; the second time its end: returns the span."""
        if self.begun_ms is None:
            self.begun_ms = self.at_ms
            return None
        span = min(self.begun_ms, self.at_ms), max(self.begun_ms, self.at_ms)
        self.begun_ms = None
        return span if span[0] < span[1] else None
