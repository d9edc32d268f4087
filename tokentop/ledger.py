"""The write side without threads or clock: reads what is new in the logs and commits it, exactly once.

Whoever holds the lock of the state directory owns one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import stat
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import IO

from msgspec import Struct, to_builtins

from tokentop.latelog import LateLog

from .agents import all_agents
from .ingest.follow import SLICE_BYTES, Batch, Follower
from .nouns.facts import Diagnostic
from .pricing.table import PriceTable
from .settings.config import Settings
from .store import db, reader
from .store.recover import replace_damaged
from .store.settle import settle
from .store.writer import Committed, Writer

log = LateLog(__name__)

LOCK_NAME = "lock"
CALM_SHARE = 0.7  # of the screen's period: no row is painted twice within one, so its log can wait as long
_BACKLOG = "backlog"
_KEPT = b"collector\n"


class Step(Struct):
    """One step of reading: what was read and what it changed."""

    batch: Batch
    committed: Committed


class Lock:
    """The one lock of a state directory; the kernel drops it when its holder dies."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._file: IO[bytes] | None = None

    def take(self, *, keep: bool = False) -> bool:
        """Take the lock if it is free. `keep` tells others that its holder stays. OSError: it cannot be used."""
        if self._file is not None:
            return True
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        file = open(os.open(self._path, flags, 0o600), "r+b", buffering=0)  # noqa: SIM115 - held until release()
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise OSError(errno.EINVAL, "not a regular file", str(self._path))
        try:
            _lock(file)
        except OSError:
            file.close()
            return False
        self._file = file
        with contextlib.suppress(OSError):  # a full disk; others are only more patient then
            file.truncate(0)
            if keep:
                file.write(_KEPT)
        return True

    def is_kept(self) -> bool:
        """Whether the present holder stays and keeps the store up to date: a screen or a watch."""
        with contextlib.suppress(OSError):
            return self._path.read_bytes() == _KEPT
        return False

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[bytes]) -> None:
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def prices(settings: Settings) -> PriceTable:
    """The price table with the user's own prices over it."""
    return PriceTable({name: _given(own) for name, own in settings.prices.items()})


def _given(own: object) -> dict[str, object]:
    return {name: value for name, value in to_builtins(own).items() if value is not None}


class Ledger:
    """Reads the logs of all agents into the store. One thread only; times are arguments.

    Raises db.StoreError where the state directory cannot be used, sqlite3.Error where nothing can be written.
    A damaged database is put aside, and what can be read of it is kept; `damaged` says that it is known to be.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], settings: Settings, *, now_ms: int, live: bool,
        table: PriceTable | None = None, damaged: bool = False,
    ) -> None:  # fmt: skip
        self.folder = folder
        self._environ = environ
        self._settings = settings
        self._live = live
        self.prices = table or prices(settings)
        self.notes: list[Diagnostic] = []
        self.failed: Batch | None = None  # was read and could not be committed
        if damaged:
            self._recover(now_ms)
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if not db.is_damaged(error):
                raise
            self._recover(now_ms)
            self._open()

    def _open(self) -> None:
        connection = db.open_writer(self.folder)
        try:
            self.writer = Writer(connection, self.prices, self._settings.titles)
        except BaseException:
            connection.close()
            raise
        self.db = connection
        self.follower = Follower(
            all_agents(), self._environ, partial(reader.cursors, connection), self._settings.roots, live=self._live,
            projects=reader.project_folders(connection),
            calm_s=CALM_SHARE * min(1.0, self._settings.refresh_s) if self._live else 0.0,
        )  # fmt: skip

    def _recover(self, now_ms: int) -> None:
        kept, rows = replace_damaged(self.folder, now_ms)
        text = f"the database was damaged: {rows} rows kept, the old file is {kept.name}"
        self.notes.append(Diagnostic("store", "damaged", text))

    def step(
        self, now_s: float, recent_ms: int, pending: Batch | None = None, slice_bytes: int = SLICE_BYTES
    ) -> Step | None:
        """Read and commit the next slice; None when all is read. `pending` is a batch that failed to commit.

        Raises sqlite3.Error: the batch is in `failed` then and is to be given again.
        """
        self.failed = None
        batch = pending or self.follower.step(now_s, slice_bytes)
        if batch is None:
            return None
        try:
            committed = self.writer.commit(
                batch.facts, batch.cursors, recent_ms=recent_ms, forget=batch.forget
            )
        except sqlite3.Error:
            self.failed = batch
            raise
        except (OverflowError, ValueError, TypeError) as error:
            log.warning("a batch could not be stored at once: %s", type(error).__name__)
            committed = self._one_by_one(batch, recent_ms)
        return Step(batch, committed)

    def _one_by_one(self, batch: Batch, recent_ms: int) -> Committed:
        """Store each fact by itself; one that the database cannot hold becomes a diagnostic.

        The cursors come last: natural keys make it harmless to begin anew.
        """
        whole = self.writer.commit([], forget=batch.forget)
        for fact in batch.facts:
            try:
                one = self.writer.commit([fact], recent_ms=recent_ms)
            except (OverflowError, ValueError, TypeError) as error:
                agent = getattr(fact, "agent", "store")
                self.writer.commit(
                    [Diagnostic(agent, "bad-value", f"{type(fact).__name__}: {type(error).__name__}")]
                )
                continue
            whole.priced += one.priced
            whole.sessions += one.sessions
            whole.events += one.events
            whole.duplicates += one.duplicates
        self.writer.commit([], batch.cursors)
        return whole

    def settle(self, recent_ms: int) -> list[Committed]:
        """Account for spend that only running totals show; call when all is read."""
        return settle(self.writer, recent_ms)

    def catch_up(self, now_s: float, wall_ns: int) -> int:
        """Read everything there is; return the number of events read."""
        self.follower.walk(now_s, wall_ns)
        events = 0
        while (step := self.step(now_s, 1 << 62)) is not None:
            events += step.committed.events
        self.settle(1 << 62)
        return events

    def mark_backlog(self, reading: bool) -> None:
        """Tell other tokentops on this store whether the first read is still under way."""
        if reading == is_reading(self.db):
            return
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_BACKLOG, "1" if reading else ""))

    def remember(self, name: str, value: str) -> None:
        """Keep a line of text under a name of its own. sqlite3.Error."""
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (reader.KEPT + name, value))

    def health(self) -> tuple[Diagnostic, ...]:
        """What could not be read: now, and so far."""
        return (*self.notes, *self.follower.failures.diagnostics.values(), *reader.health(self.db))

    def close(self) -> None:
        self.follower.close()
        self.db.close()


def is_reading(connection: sqlite3.Connection) -> bool:
    """Whether another tokentop has not finished its first read: totals are not complete yet."""
    row = connection.execute("SELECT value FROM meta WHERE name=?", (_BACKLOG,)).fetchone()
    return bool(row and row[0])
