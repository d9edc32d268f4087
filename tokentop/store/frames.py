"""The recording of the live table on disk: written by the one writer, thinned and kept within its limit.

A key frame and all that is built on it (ten minutes) is a block. Where the limit is passed, the oldest block goes;
while it still has its steps, only these go first. What was taken away is counted in `meta` and told.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec
from msgspec import Struct

from tokentop.engine.frames.texts import Texts
from tokentop.nouns.recorded import KEY, STEP, Coverage, Mark, Moment, Taken, Text

_LOST = "recording"  # in `meta`: what was taken away
_TOUCH_MS = 3_600_000  # a text's last use is noted at most this often
_TEXT_BYTES = 24  # of a stored text beside its letters
_FRAME_BYTES = 48
_BLOCKS_AT_ONCE = (
    6  # of old frames are thinned in one go: a writer that comes back after days does not stand still
)
_MOMENT = "at_ms, until_ms, covered_ms, base_ms, level, burn_nusd_per_h"


class Lost(Struct, frozen=True):
    """What thinning and the limit have taken away so far."""

    thinned_before_ms: int = 0
    thinned_frames: int = 0
    dropped_before_ms: int = 0
    dropped_frames: int = 0


class FrameStore:
    """Writes frames. One thread; sqlite3.Error where nothing can be written."""

    def __init__(self, db: sqlite3.Connection, *, full_ms: int, limit_bytes: int, keep_titles: bool) -> None:
        """`full_ms` = how long steps are kept."""
        self._db, self._full_ms, self._limit_bytes = db, full_ms, limit_bytes
        if not keep_titles:
            _erase_titles(db)
        self.texts = Texts(texts(db))
        self._used = dict(db.execute("SELECT id, used_ms FROM frame_text"))
        self._lost = lost(db)
        self._size = size_bytes(db)

    def write(self, taken: Taken) -> None:
        """Keep what a look has brought, in one transaction."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            self._put(taken)
            if taken.frame is not None and taken.frame.moment.level == KEY:
                self._make_room(taken.at_ms)
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _put(self, taken: Taken) -> None:
        db, at_ms = self._db, taken.at_ms
        db.executemany(
            "INSERT OR REPLACE INTO frame_text VALUES (?, ?, ?, ?)",
            [(one.id, one.title, at_ms, one.text) for one in taken.texts],
        )
        self._size += sum(len(one.text.encode()) + _TEXT_BYTES for one in taken.texts)
        self._used.update((one.id, at_ms) for one in taken.texts)
        stale = [number for number in taken.used if at_ms - self._used.get(number, 0) > _TOUCH_MS]
        db.executemany("UPDATE frame_text SET used_ms=? WHERE id=?", [(at_ms, number) for number in stale])
        self._used.update((number, at_ms) for number in stale)
        if taken.frame is None:
            db.execute("UPDATE frame SET until_ms=?1, covered_ms=?1 WHERE at_ms=?2", (at_ms, taken.same_ms))
        else:
            moment, body = taken.frame.moment, taken.frame.body
            db.execute(
                f"INSERT OR REPLACE INTO frame ({_MOMENT}, size) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*_values(moment), len(body)),
            )
            db.execute("INSERT OR REPLACE INTO frame_body VALUES (?, ?)", (moment.at_ms, body))
            self._size += len(body) + _FRAME_BYTES
        db.executemany(
            "INSERT INTO frame_mark (at_ms, kind, row_key, agent, text) VALUES (?, ?, ?, ?, ?)",
            [(mark.at_ms, mark.kind, mark.row_key, mark.agent, mark.text) for mark in taken.marks],
        )

    # ------------------------------------------------------------ keeping it small

    def _make_room(self, at_ms: int) -> None:
        for block in self._old_blocks(at_ms - self._full_ms):
            self._thin(block)
        while self._size > self._limit_bytes:
            blocks = self._db.execute(
                "SELECT at_ms FROM frame WHERE level=0 ORDER BY at_ms LIMIT 2"
            ).fetchall()
            if len(blocks) < 2:
                break
            span = blocks[0][0], blocks[1][0]
            if not self._thin(span):
                self._drop(span)
        self._sweep()
        document = msgspec.json.encode(self._lost).decode()
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_LOST, document))

    def _old_blocks(self, before_ms: int) -> Iterator[tuple[int, int]]:
        """Blocks that are to be thinned now: of those that ended before then and still have steps, the oldest."""
        starts = [
            start for (start,) in self._db.execute(
                "SELECT at_ms FROM frame WHERE level=0 AND at_ms >= ? AND at_ms < ? ORDER BY at_ms",
                (self._lost.thinned_before_ms, before_ms),
            )
        ]  # fmt: skip
        yield from list(pairwise(starts))[:_BLOCKS_AT_ONCE]

    def _thin(self, span: tuple[int, int]) -> int:
        """Leave one frame a minute; what is left covers what goes. Returns how many went."""
        db = self._db
        moments = [
            Moment(*row) for row in db.execute(
                f"SELECT {_MOMENT} FROM frame WHERE at_ms >= ? AND at_ms < ? ORDER BY at_ms", span
            )
        ]  # fmt: skip
        covered: dict[int, int] = {}
        gone = [one for one in moments if one.level == STEP]
        for one in gone:
            covered[one.base_ms] = max(covered.get(one.base_ms, 0), one.end_ms)
        db.executemany(
            "UPDATE frame SET covered_ms=max(covered_ms, ?) WHERE at_ms=?",
            [(end_ms, base_ms) for base_ms, end_ms in covered.items()],
        )
        self._delete([one.at_ms for one in gone])
        before_ms = max(self._lost.thinned_before_ms, span[1])
        self._lost = msgspec.structs.replace(
            self._lost, thinned_before_ms=before_ms, thinned_frames=self._lost.thinned_frames + len(gone)
        )
        return len(gone)

    def _drop(self, span: tuple[int, int]) -> None:
        gone = [at for (at,) in self._db.execute("SELECT at_ms FROM frame WHERE at_ms < ?", (span[1],))]
        self._delete(gone)
        self._db.execute("DELETE FROM frame_mark WHERE at_ms < ?", (span[1],))
        self._lost = msgspec.structs.replace(
            self._lost, dropped_before_ms=span[1], dropped_frames=self._lost.dropped_frames + len(gone)
        )

    def _delete(self, times: list[int]) -> None:
        if not times:
            return
        db, wanted = self._db, msgspec.json.encode(times)
        listed = "(SELECT value FROM json_each(?))"
        size, count = db.execute(
            f"SELECT coalesce(sum(size), 0), count(*) FROM frame WHERE at_ms IN {listed}", (wanted,)
        ).fetchone()
        db.execute(f"DELETE FROM frame WHERE at_ms IN {listed}", (wanted,))
        db.execute(f"DELETE FROM frame_body WHERE at_ms IN {listed}", (wanted,))
        self._size -= size + count * _FRAME_BYTES

    def _sweep(self) -> None:
        """Texts that no kept frame can name."""
        (oldest,) = self._db.execute("SELECT min(at_ms) FROM frame").fetchone()
        gone = [number for number, at_ms in self._used.items() if at_ms < (oldest or 0) - 2 * _TOUCH_MS]
        if len(gone) > 100:  # not for a few of them
            self._db.executemany("DELETE FROM frame_text WHERE id=?", [(number,) for number in gone])
            self.texts.drop(gone)
            for number in gone:
                del self._used[number]
            self._size = size_bytes(self._db)


def _values(moment: Moment) -> tuple[int, ...]:
    return (
        moment.at_ms, moment.until_ms, moment.covered_ms, moment.base_ms, moment.level, moment.burn_nusd_per_h
    )  # fmt: skip


def _erase_titles(db: sqlite3.Connection) -> None:
    """Take the titles out of the file, its free pages and its log: they can quote prompts."""
    if db.execute("SELECT 1 FROM frame_text WHERE title=1 AND text != '' LIMIT 1").fetchone() is None:
        return
    db.execute("PRAGMA secure_delete=ON")
    db.execute("UPDATE frame_text SET text='' WHERE title=1")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# ---------------------------------------------------------------- questions


def texts(db: sqlite3.Connection, after: int = 0) -> Iterator[Text]:
    """The dictionary, or what was added to it after a number."""
    for number, title, text in db.execute("SELECT id, title, text FROM frame_text WHERE id > ?", (after,)):
        yield Text(number, text, bool(title))


def moments(db: sqlite3.Connection, since_ms: int = 0) -> list[Moment]:
    """The frames from a time on, by time, without their content."""
    rows = db.execute(f"SELECT {_MOMENT} FROM frame WHERE at_ms >= ? ORDER BY at_ms", (since_ms,))
    return [Moment(*row) for row in rows]


def body(db: sqlite3.Connection, at_ms: int) -> bytes | None:
    """The content of a frame; None where it is not there (any more)."""
    row = db.execute("SELECT body FROM frame_body WHERE at_ms=?", (at_ms,)).fetchone()
    return bytes(row[0]) if row and isinstance(row[0], bytes) else None


def marks(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[Mark]:
    """What happened in a span: alerts, agents that came and went, and what was done to processes."""
    found = [
        Mark(*row) for row in db.execute(
            "SELECT at_ms, kind, row_key, agent, text FROM frame_mark WHERE at_ms >= ? AND at_ms < ?",
            (since_ms, until_ms),
        )
    ]  # fmt: skip
    rows = db.execute(
        "SELECT at_ms, agent, sid, action, result FROM action WHERE at_ms >= ? AND at_ms < ?",
        (since_ms, until_ms),
    )
    found += [
        Mark(at_ms, "action", f"{agent}:{sid}", agent, f"{action}: {result}")
        for at_ms, agent, sid, action, result in rows
    ]
    return sorted(found, key=lambda mark: mark.at_ms)


def lost(db: sqlite3.Connection) -> Lost:
    """What was taken away so far."""
    row = db.execute("SELECT value FROM meta WHERE name=?", (_LOST,)).fetchone()
    try:
        return msgspec.json.decode(row[0], type=Lost) if row else Lost()
    except msgspec.MsgspecError:
        return Lost()


def size_bytes(db: sqlite3.Connection) -> int:
    """Bytes of frames and texts, as the limit counts them."""
    size, count = db.execute("SELECT coalesce(sum(size), 0), count(*) FROM frame").fetchone()
    letters, texts_ = db.execute("SELECT coalesce(sum(length(text)), 0), count(*) FROM frame_text").fetchone()
    return int(size + count * _FRAME_BYTES + letters + texts_ * _TEXT_BYTES)


def coverage(db: sqlite3.Connection, known: Iterable[Moment], limit_bytes: int, gap_ms: int) -> Coverage:
    """How much is recorded; `known` are all moments by time."""
    frames = list(known)
    if not frames:
        return Coverage(limit_bytes=limit_bytes)
    gone = lost(db)
    gaps = tuple((a.end_ms, b.at_ms) for a, b in pairwise(frames) if b.at_ms - a.end_ms > gap_ms)
    return Coverage(
        frames[0].at_ms, frames[-1].end_ms, len(frames), size_bytes(db), limit_bytes, gone.thinned_before_ms,
        gone.thinned_frames, gone.dropped_before_ms, gone.dropped_frames, gaps,
    )  # fmt: skip


def forget(db: sqlite3.Connection, before_ms: int) -> int:
    """Drop every block that began before a time, with its marks; returns how many frames went."""
    row = db.execute("SELECT min(at_ms) FROM frame WHERE level=0 AND at_ms >= ?", (before_ms,)).fetchone()
    end_ms = row[0] if row and row[0] is not None else before_ms
    count = db.execute("DELETE FROM frame WHERE at_ms < ?", (end_ms,)).rowcount
    db.execute("DELETE FROM frame_body WHERE at_ms < ?", (end_ms,))
    db.execute("DELETE FROM frame_mark WHERE at_ms < ?", (before_ms,))
    return int(count)
