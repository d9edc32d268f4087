"""The store as this tokentop has it: who holds the lock writes, the others read what it writes."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from tokentop.agents import all_agents
from tokentop.due import Due
from tokentop.ingest.signs import Signs
from tokentop.ledger import Ledger, Lock, is_reading
from tokentop.nouns.facts import Diagnostic
from tokentop.pricing.table import PriceTable
from tokentop.settings.config import Settings
from tokentop.store import db, reader

from .memory import Memory

log = logging.getLogger(__name__)

LOCK_S = 1.0  # between two tries to become the one that writes
RETRY_S = 2.0  # after a failure
T = TypeVar("T")


class StoreAccess:
    """At most one of `ledger` (this one writes) and `reader` (another one does) is open.

    What fails is told to `failed`, which keeps the screen alive: the store is then left alone for a moment.
    """

    def __init__(
        self, folder: Path, environ: Mapping[str, str], settings: Settings, table: PriceTable, memory: Memory,
        *, stays: bool,
    ) -> None:  # fmt: skip
        self._folder, self._environ, self._settings, self._table = folder, environ, settings, table
        self._memory, self._stays = memory, stays
        self.ledger: Ledger | None = None
        self.reader: sqlite3.Connection | None = None
        self._reader_file: tuple[int, int] | None = None
        self._version = -1  # of the data that the reader has taken
        self._signs: Signs | None = None
        self._lock: Lock | None = None
        self._damaged = False
        self._due = Due()

    @property
    def connection(self) -> sqlite3.Connection | None:
        """To ask with; None while no store is open."""
        return self.ledger.db if self.ledger is not None else self.reader

    def is_usable(self, now_s: float) -> bool:
        """Whether the last failure is long enough ago."""
        return self._due.is_due("store", now_s)

    # ------------------------------------------------------------ opened, failed, closed

    def open(self, now_s: float, wall_ms: int) -> bool:
        """Become the one that writes if nobody else is, else read what the other one writes. True: it writes now.

        sqlite3.Error, db.StoreError, OSError.
        """
        if not self._due.take("lock", now_s, LOCK_S):
            return False
        if self._lock is None:
            db.prepare_folder(self._folder)
            self._lock = Lock(self._folder)
        if not self._lock.take(keep=self._stays):
            self._open_reader(wall_ms)
            return False
        damaged, self._damaged = self._damaged, False
        ledger = None
        try:
            ledger = Ledger(
                self._folder, self._environ, self._settings, now_ms=wall_ms, live=True, table=self._table,
                damaged=damaged,
            )  # fmt: skip
            self._memory.prime(ledger.db, wall_ms)
        except db.TooNew as error:
            self._lock.release()
            self._memory.note("version", f"{error}; until then nothing new is read")
            self._open_reader(wall_ms)
            return False
        except BaseException as error:
            if ledger is not None:
                ledger.close()
            self._damaged = db.is_damaged(error)
            if not self._damaged:
                self._lock.release()
            raise
        self._close_reader()
        self.ledger = ledger
        self._memory.live.set_mode("live")
        return True

    def _open_reader(self, wall_ms: int) -> None:
        """Another one writes: follow its database, also when it had to make a new one."""
        if self.reader is not None and self._reader_file == db.identity(self._folder):
            return
        self._close_reader()
        self._reader_file = db.identity(self._folder)
        self.reader = db.open_reader(self._folder)
        self._version = -1
        self._signs = Signs(all_agents(), self._environ, self._settings.roots)
        self._memory.live.set_mode("reader")
        self._memory.prime(self.reader, wall_ms)

    def _close_reader(self) -> None:
        if self.reader is not None:
            self.reader.close()
            self.reader = None

    def works(self) -> None:
        """A slice has gone through: what was wrong with the store is over."""
        if self._memory.notes.pop("store", None) is not None:
            self._memory.live.set_mode("live" if self.ledger is not None else "reader")

    def failed(self, error: Exception) -> None:
        """Say what is wrong in one line, keep the screen alive, try again later."""
        self._due.put_off("store", time.monotonic() + RETRY_S)
        if isinstance(error, sqlite3.Error) and db.is_damaged(error):
            if self.ledger is not None:
                self._damaged = True  # the lock is kept: this one puts it aside
            self._close()
        if db.is_full(error):
            text = "paused: cannot write (disk full); nothing is lost, it goes on when there is room"
        elif "locked" in str(error) or "busy" in str(error):
            text = "paused: the database is busy; another program holds it"
        else:
            text = f"paused: {error}"
        self._memory.note("store", text)
        self._memory.live.set_mode(text)
        self._memory.live.aftermath.blinded("the logs could not be read meanwhile")

    def _close(self) -> None:
        if self.ledger is not None:
            with contextlib.suppress(sqlite3.Error):
                self.ledger.close()
            self.ledger = None
        with contextlib.suppress(sqlite3.Error):
            self._close_reader()

    def close(self) -> None:
        """The end: the store is closed, the lock free."""
        self._close()
        if self._lock is not None:
            self._lock.release()

    # ------------------------------------------------------------ used

    def follow(self, connection: sqlite3.Connection, wall_ms: int) -> None:
        """Another tokentop writes: take over what it has committed, look for status in the logs ourselves."""
        if self._signs is not None:
            self._memory.fold(connection, self._signs.look(time.monotonic(), time.time_ns()))
        version = reader.data_version(connection)
        if version != self._version:
            self._version = version
            self._memory.take_news(connection, wall_ms)

    def beside(self, work: Callable[[Ledger], T]) -> T | None:
        """Work that can wait, done if this one writes and nothing else is the matter with the store."""
        if self.ledger is None or self._memory.incomplete or not self.is_usable(time.monotonic()):
            return None
        try:
            return work(self.ledger)
        except sqlite3.Error as error:
            self.failed(error)
            return None

    def health(self) -> list[Diagnostic]:
        """What could not be read. sqlite3.Error."""
        if self.ledger is not None:
            return [d for d in self.ledger.health() if d.kind not in ("duplicate", "compaction")]
        if self.reader is not None and is_reading(self.reader):
            return [Diagnostic("store", "reading", "another tokentop still reads the logs; totals will grow")]
        return []

    def recall(self, name: str) -> str | None:
        """What `remember` kept under this name, "" = nothing; None while no store can be read."""
        try:
            return None if self.connection is None else reader.remembered(self.connection, name)
        except sqlite3.Error as error:
            log.warning("%s: %s", name, error)
            return None

    def remember(self, name: str, value: str) -> None:
        """Keep a line of text for the next run; only the one that writes does."""
        if self.ledger is None:
            return
        try:
            self.ledger.remember(name, value)
        except sqlite3.Error as error:
            log.warning("%s not kept: %s", name, error)
