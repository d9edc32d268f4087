"""An agent's own SQLite database: read-only, in short transactions, only when it or its -wal has changed.

Nothing is left beside the database: SQLite makes -wal and -shm files for a reader of a database in WAL mode that
nobody has open, so such a one is opened as immutable, and what was read is dropped if it changed meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from tokentop.agents.base import ROWS_MAX, Database, Reading
from tokentop.nouns.facts import Cursor, Fact

from .listing import LogEntry, state_of
from .openfile import open_log

BUSY_MS = 250
_STEPS = 1_000_000  # virtual machine steps between two looks at how long a question takes
_MAX_LOOKS = 100  # a second or two: a hostile database must not hold up the others
_TRIES = 3
_INT64 = (1 << 63) - 1


class Questions:
    """One open database; see `agents.base.Ask`."""

    def __init__(self, connection: sqlite3.Connection, *, immutable: bool = False) -> None:
        self._connection = connection
        self.immutable = immutable  # nothing keeps a writer from changing it under the reader
        self._looks = 0
        self.bytes = 0
        connection.set_progress_handler(self._goes_on, _STEPS)

    def _goes_on(self) -> int:
        self._looks += 1
        return int(self._looks > _MAX_LOOKS)

    @cached_property
    def tables(self) -> Mapping[str, frozenset[str]]:
        names = [row[0] for row in self("SELECT name FROM sqlite_master WHERE type='table'")]
        return {
            name: frozenset(row[1] for row in self(f"PRAGMA table_info({_quoted(name)})")) for name in names
        }

    def __call__(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        rows = self._connection.execute(sql, values).fetchmany(ROWS_MAX)
        self.bytes += sum(len(v) if isinstance(v, str | bytes) else 8 for row in rows for v in row)
        return rows


@contextlib.contextmanager
def questions(path: str) -> Iterator[Questions]:
    """Open a database for one look. OSError, sqlite3.Error."""
    with open_log(path) as file:
        header = file.read(20)
    quiet = header[18:20] == b"\2\2" and not os.path.exists(f"{path}-wal")
    mode = "immutable=1" if quiet else "mode=ro"
    connection = sqlite3.connect(
        f"file:{_escaped(path)}?{mode}", uri=True, timeout=BUSY_MS / 1000, isolation_level=None
    )
    try:
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.execute("PRAGMA query_only=1")
        # Kilo has an index on json_extract(), which an untrusted schema may not use in SQLite 3.40. Nothing unsafe
        # can be called: there are no functions of ours, and extensions cannot be loaded.
        connection.execute("PRAGMA trusted_schema=1")
        connection.execute("BEGIN")
        yield Questions(connection, immutable=quiet)
    finally:
        connection.close()


class Table:
    """Reads one database from its watermark; the same interface as `Tail`."""

    def __init__(self, entry: LogEntry, cursor: Cursor | None, version: int) -> None:
        self.entry = entry
        self.live = False
        self._version = version
        known = cursor is not None and cursor.agent_version == version and cursor.ino == entry.ino & _INT64
        self._state = cursor.state if cursor is not None and known else b""

    @property
    def offset(self) -> int:
        return self.entry.size

    def open(self) -> None:
        """A database is never held open: its agent could not tidy up behind itself."""

    def close(self) -> None:
        """Nothing is open between two readings."""

    def flush(self, facts: list[Fact]) -> None:
        """Nothing is held back."""

    def read(self, facts: list[Fact]) -> tuple[int, bool]:
        """Read what is new; (bytes of it, whether that is all). OSError with the reason where it cannot be read."""
        source = self.entry.source
        assert isinstance(source, Database)
        reading, size, immutable = Reading([], self._state, more=True), 0, False
        for _ in range(_TRIES):
            before = state_of(self.entry.path, source)
            try:
                with questions(self.entry.path) as ask:
                    reading = source.read(self.entry.file, ask, self._state)
                    size, immutable = ask.bytes, ask.immutable
            except sqlite3.Error as error:
                if before == state_of(self.entry.path, source):
                    raise OSError(5, reason(error)) from error
                continue
            if not immutable or before == state_of(self.entry.path, source):
                facts += reading.facts
                more = reading.more and reading.state != self._state  # else it would never end
                self._state = reading.state
                dev, ino, length, mtime_ns = before
                self.entry = msgspec.structs.replace(
                    self.entry, dev=dev, ino=ino, size=length, mtime_ns=mtime_ns
                )
                return size, not more
        raise OSError(11, "it changes too often to be read")

    def cursor(self) -> Cursor:
        entry = self.entry
        return Cursor(
            entry.path, entry.agent, entry.dev, entry.ino, 0, 0, entry.size, 0, entry.size, entry.mtime_ns,
            self._version, self._state,
        )  # fmt: skip


def signs(entry: LogEntry) -> list[Fact]:
    """Activities and contexts of what ran last; empty where they cannot be read."""
    source = entry.source
    if not isinstance(source, Database) or source.signs is None:
        return []
    try:
        with questions(entry.path) as ask:
            return source.signs(entry.file, ask)
    except (sqlite3.Error, OSError):
        return []


def reason(error: sqlite3.Error) -> str:
    """What is wrong with a database, in words without its contents."""
    if "locked" in str(error) or "busy" in str(error):
        return "locked by its agent"
    if "no such" in str(error):
        return "has another layout than the known ones"
    if "interrupted" in str(error):
        return "takes too long to read"
    return "damaged, or not a database"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _escaped(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
