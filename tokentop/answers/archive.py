"""The history as a screen asks for it: two read-only connections, of which one can be interrupted.

Methods may block and are called from the screen's workers; `runtime` sees to it that one answers at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path

from tokentop.nouns.history import Ask, Entry, Listing, Scan
from tokentop.store import db, searching
from tokentop.store.indexing import Indexer
from tokentop.store.reader import data_version


class _Way:
    """One read-only connection; a new one where the database was put aside and made anew."""

    def __init__(self, folder: Path, cache_kib: int) -> None:
        self._folder, self._cache_kib = folder, cache_kib
        self._file: tuple[int, int] | None = None
        self.db: sqlite3.Connection | None = None

    def open(self) -> sqlite3.Connection:
        """db.StoreError, sqlite3.Error."""
        file = db.identity(self._folder)
        if self.db is None or file != self._file:
            self.close()
            self.db, self._file = db.open_reader(self._folder), file
            self.db.execute(f"PRAGMA cache_size=-{self._cache_kib}")
        return self.db

    def close(self) -> None:
        if self.db is not None:
            self.db.close()
            self.db = None


class Archive:
    """All sessions of one store. Answers and entries may be asked for by two threads, each by one at a time."""

    def __init__(self, folder: Path, zone: tzinfo, now_ms: Callable[[], int]) -> None:
        self._folder, self._zone, self._now_ms = folder, zone, now_ms
        self._asking, self._reading = _Way(folder, 16_000), _Way(folder, 2_000)
        self._last: tuple[Ask, object, Listing] | None = None

    def answer(self, ask: Ask) -> Listing | None:
        """The same object while nothing has been committed since; None = interrupted."""
        try:
            asking = self._asking.open()
            version = (asking, data_version(asking))
            if self._last is not None and self._last[:2] == (ask, version):
                return self._last[2]
            found = searching.answer(asking, ask, self._zone, self._now_ms())
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                return None
            return Listing(ask, (), problem=f"the history cannot be read: {error}")
        except (sqlite3.Error, db.StoreError) as error:
            return Listing(ask, (), problem=f"the history cannot be read: {error}")
        self._last = ask, version, found
        return found

    def interrupt(self) -> None:
        """What is being answered is not wanted any more; from any thread."""
        if self._asking.db is not None:
            self._asking.db.interrupt()

    def entries(self, ids: Sequence[int]) -> tuple[Entry, ...]:
        """The entries of sessions, in their order; none where the store cannot be read."""
        try:
            return tuple(searching.entries(self._reading.open(), ids))
        except (sqlite3.Error, db.StoreError):
            return ()

    def below(self, root: int) -> tuple[Entry, ...]:
        """The sub-agents of a session, by time."""
        try:
            return tuple(searching.below(self._reading.open(), root))
        except (sqlite3.Error, db.StoreError):
            return ()

    def search_said(self, query: str, told: Callable[[Scan], bool]) -> Scan:
        """Search prompts and replies, with a connection of its own: it takes long."""
        from .hearsay import scan

        way = self._own_way()
        try:
            return scan(way.open(), query, self._zone, self._now_ms(), told)
        except (sqlite3.Error, db.StoreError) as error:
            return Scan(problem=f"the history cannot be read: {error}")
        finally:
            way.close()

    def _own_way(self) -> _Way:
        return _Way(self._folder, 2_000)

    def close(self) -> None:
        self._asking.close()
        self._reading.close()


class MemoryArchive(Archive):
    """The sessions of a store in memory, whose one connection writes, too: the demo is searched as the real thing is."""

    def __init__(self, connection: sqlite3.Connection, zone: tzinfo, now_ms: Callable[[], int]) -> None:
        super().__init__(Path(), zone, now_ms)
        self._asking = self._reading = _Held(connection)
        self._indexer = Indexer(connection)

    def index(self) -> None:
        """Bring what has changed into the index."""
        while self._indexer.index_some():
            pass

    def answer(self, ask: Ask) -> Listing | None:
        self._last = None  # a connection does not see changes of its own as such
        return super().answer(ask)

    def search_said(self, _query: str, _told: Callable[[Scan], bool]) -> Scan:
        return Scan(problem="the agents of the demo are invented: nothing was said")


class _Held(_Way):
    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(Path(), 0)
        self.db = connection

    def open(self) -> sqlite3.Connection:
        assert self.db is not None
        return self.db
