"""The reading side of the black box: the live table as it was at any recorded moment, and who spent when.

Nothing here can act. One connection, one question at a time, from any thread.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from collections import OrderedDict
from pathlib import Path

from tokentop.engine.frames.delta import decode
from tokentop.engine.frames.layout import DamagedFrame, Picture
from tokentop.engine.frames.texts import Texts
from tokentop.engine.frames.unpack import snapshot_of
from tokentop.engine.recorder import GAP_MS
from tokentop.nouns.actions import Receipt
from tokentop.nouns.recorded import KEY, STEP_MS, Coverage, Jump, Mark, Moment, Scene, Spent
from tokentop.store import db as database
from tokentop.store import frames, reader, spans

_PICTURES = 64  # decoded ones that are kept: the bases of where somebody looks


class Footage:
    """What was recorded in a database; `close()` closes it. sqlite3.Error where it cannot be read."""

    @classmethod
    def open(cls, folder: Path, limit_bytes: int = 0) -> Footage:
        """That of a state directory. StoreError where there is none."""
        return cls(database.open_reader(folder), limit_bytes)

    def __init__(self, connection: sqlite3.Connection, limit_bytes: int = 0) -> None:
        self._db = connection
        self._limit_bytes = limit_bytes
        self._texts = Texts()
        self._pictures: OrderedDict[int, Picture] = OrderedDict()
        self._damaged: set[int] = set()
        self.moments: list[Moment] = []
        self._starts: list[int] = []
        self.refresh()

    def refresh(self) -> bool:
        """Take what was recorded since, where another program still writes; True if that is anything."""
        since_ms = self.moments[-1].at_ms if self.moments else 0
        newest = frames.moments(self._db, since_ms)
        (oldest,) = self._db.execute("SELECT min(at_ms) FROM frame").fetchone()
        gone = bisect_right(self._starts, (oldest or 0) - 1)
        if newest == self.moments[-1:] and not gone:
            return False
        self.moments = [*self.moments[gone : len(self.moments) - 1 if newest else None], *newest]
        self._starts = [moment.at_ms for moment in self.moments]
        self._texts.learn(frames.texts(self._db, self._texts.last))
        return True

    def close(self) -> None:
        self._db.close()

    @property
    def lost(self) -> frames.Lost:
        """What thinning and the limit have taken away."""
        return frames.lost(self._db)

    def coverage(self) -> Coverage:
        """How much there is, and what there is no more."""
        return frames.coverage(self._db, self.moments, self._limit_bytes, GAP_MS)

    # ------------------------------------------------------------ moments

    def place(self, at_ms: int) -> int:
        """The place in `moments` of the frame that holds at a time, or of the last one before it; -1 = none."""
        return bisect_right(self._starts, at_ms) - 1

    def is_gap(self, at_ms: int) -> bool:
        """Whether nothing was recorded at that time."""
        at = self.place(at_ms)
        if at < 0:
            return True
        following = self._starts[at + 1] if at + 1 < len(self._starts) else None
        end_ms = self.moments[at].end_ms
        if following is None:  # the next look may be to come
            return at_ms > end_ms + 2 * STEP_MS
        return at_ms > end_ms and following - end_ms > GAP_MS

    def around(self, at_ms: int) -> tuple[int, int]:
        """(the last recorded time before a gap, the first one after it); 0 = none."""
        at = self.place(at_ms)
        before = self.moments[at].end_ms if at >= 0 else 0
        return before, self._starts[at + 1] if at + 1 < len(self._starts) else 0

    def last_in(self, from_ms: int, until_ms: int) -> int:
        """The last recorded time of a span; its end where nothing of it was recorded."""
        at = self.place(until_ms)
        if at < 0 or not self.is_gap(until_ms) or self.moments[at].end_ms < from_ms:
            return until_ms
        return self.moments[at].end_ms

    def at(self, at_ms: int) -> Scene:
        """The table at a time. Where its frame is damaged, the nearest one before it of the same ten minutes."""
        at = self.place(at_ms)
        if self.is_gap(at_ms):
            inside = 0 <= at < len(self.moments) - 1
            return Scene(at_ms, None, f"nothing is recorded{': tokentop did not run' if inside else ''}")
        moment, damaged = self.moments[at], 0
        while True:
            picture = self._picture(moment.at_ms)
            if picture is not None:
                try:
                    held_ms = min(max(at_ms, moment.at_ms), max(moment.until_ms, moment.at_ms))
                    snapshot = snapshot_of(picture, self._texts, held_ms)
                except DamagedFrame:
                    self._damaged.add(moment.at_ms)
                else:
                    note = f"{_frames(damaged)} damaged, skipped" if damaged else ""
                    if not note and at_ms > moment.until_ms and moment.covered_ms > moment.until_ms:
                        note = "one frame a minute is kept here"
                    return Scene(at_ms, snapshot, note, moment.at_ms, damaged)
            damaged += 1
            at -= 1
            if moment.level == KEY or at < 0:
                return Scene(
                    at_ms, None, f"{_frames(damaged)} damaged: this cannot be shown", moment.at_ms, damaged
                )
            moment = self.moments[at]

    def _picture(self, at_ms: int) -> Picture | None:
        """A decoded frame; None where it, or what it is built on, cannot be read."""
        found = self._pictures.get(at_ms)
        if found is not None:
            self._pictures.move_to_end(at_ms)
            return found
        place = bisect_right(self._starts, at_ms) - 1
        if at_ms in self._damaged or place < 0 or self._starts[place] != at_ms:
            return None
        moment = self.moments[place]
        base = None
        if moment.level != KEY:
            base = self._picture(moment.base_ms) if moment.base_ms < at_ms else None
            if base is None:
                return None
        try:
            body = frames.body(self._db, at_ms)
            if body is None:
                raise DamagedFrame("it is gone")
            found = decode(base, body, at_ms)
        except (DamagedFrame, sqlite3.DatabaseError):
            self._damaged.add(at_ms)
            return None
        self._pictures[at_ms] = found
        while len(self._pictures) > _PICTURES:
            self._pictures.popitem(last=False)
        return found

    def marks(self, since_ms: int, until_ms: int) -> list[Mark]:
        """What happened in a span, by time."""
        return frames.marks(self._db, since_ms, until_ms)

    def receipts(self) -> tuple[Receipt, ...]:
        """What was ever done to processes, newest first."""
        return tuple(reader.actions(self._db, limit=500))

    # ------------------------------------------------------------ money

    def curve(self, since_ms: int, until_ms: int, count: int) -> list[float | None]:
        """$/h (in nano-dollars) in `count` cells of a span, the highest of each; None where nothing was recorded."""
        cells: list[float | None] = [None] * count
        width = max(1.0, (until_ms - since_ms) / count)
        first = max(0, self.place(since_ms))
        last = self.place(until_ms)
        for at in range(first, last + 1):
            moment = self.moments[at]
            following = self._starts[at + 1] if at + 1 < len(self._starts) else moment.end_ms
            end_ms = following if following - moment.end_ms <= GAP_MS else moment.end_ms
            a = max(0, int((moment.at_ms - since_ms) / width))
            b = min(count - 1, int((max(end_ms - 1, moment.at_ms) - since_ms) / width))
            for cell in range(a, b + 1):
                cells[cell] = max(cells[cell] or 0.0, float(moment.burn_nusd_per_h))
        return cells

    def spent(self, since_ms: int, until_ms: int) -> Spent:
        """Who spent in a span, from the events themselves."""
        return spans.spent(self._db, since_ms, until_ms)

    def jumps(self, since_ms: int, until_ms: int, count: int = 5) -> list[Jump]:
        """Where the curve of spend rose the steepest in a span, the steepest first."""
        return spans.jumps(self._db, since_ms, until_ms, count)


def _frames(count: int) -> str:
    return "a frame is" if count == 1 else f"{count} frames are"
