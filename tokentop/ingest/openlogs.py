"""The logs that are being read, each with its reader; active ones stay open, so that a rename loses nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tokentop.agents.base import Agent, Database, JsonDocument
from tokentop.nouns.facts import Cursor, Fact

from .archive import Archive
from .document import Document
from .forks import Forks
from .listing import LogEntry
from .tail import BLOCK_BYTES, Tail

MAX_OPEN = 64


class Reader(Protocol):
    """What reads one file or database in slices."""

    entry: LogEntry
    live: bool

    @property
    def offset(self) -> int: ...
    def read(self, facts: list[Fact]) -> tuple[int, bool]: ...
    def flush(self, facts: list[Fact]) -> None: ...
    def cursor(self) -> Cursor | None: ...
    def close(self) -> None: ...


class OpenLogs:
    """Readers by path. `calm_s`: a log that was read to its end is left alone for this long."""

    def __init__(
        self, agents: Mapping[str, Agent], cursors: Mapping[str, Cursor], forks: Forks, calm_s: float
    ) -> None:
        self._agents, self._cursors, self._forks, self._calm_s = agents, cursors, forks, calm_s
        self._buffer = bytearray(BLOCK_BYTES)
        self._readers: dict[str, Reader] = {}
        self._order: dict[str, None] = {}  # of the open ones, the longest unread first
        self._calm: dict[str, float] = {}

    def get(self, path: str) -> Reader | None:
        """The reader of a log, None = it is not read at present."""
        return self._readers.get(path)

    def reader(self, entry: LogEntry, *, live: bool) -> Reader:
        """The reader of a log, made where there is none; `live` = status is wanted too."""
        reader = self._readers.get(entry.path)
        if reader is None:
            reader = self._readers[entry.path] = self._made(entry)
        elif not isinstance(reader, Tail | Archive):
            reader.entry = entry
        reader.live = live
        return reader

    def _made(self, entry: LogEntry) -> Reader:
        version = self._agents[entry.agent].version
        cursor = self._cursors.get(entry.path)
        if isinstance(entry.source, JsonDocument):
            return Document(entry, cursor, version)
        if isinstance(entry.source, Database):
            # sqlite3's own cost is paid by the store, this one's by who has such agents
            from .rows import Table

            return Table(entry, cursor, version)
        kind = Archive if entry.path.endswith(".zst") else Tail
        return kind(entry, cursor, version, self._buffer, self._forks.vectors)

    def hold(self, entry: LogEntry, *, live: bool) -> None:
        """Keep an active file open: what is written until it is deleted or replaced can then be read."""
        reader = self.reader(entry, live=live)
        if isinstance(reader, Tail):
            try:
                reader.open()
                self._order[entry.path] = None
            except OSError:
                self.drop(entry.path)

    def keep(self, path: str, now_s: float) -> None:
        """After a file's end: stay open, the longest unread one makes room."""
        reader = self._readers[path]
        if (
            self._calm_s and isinstance(reader, Tail) and reader.offset >= reader.entry.size
        ):  # no half line waits
            self._calm[path] = now_s + self._calm_s
        self._order.pop(path, None)
        self._order[path] = None
        while len(self._order) > MAX_OPEN:
            other = next(iter(self._order))
            del self._order[other]
            oldest = self._readers.get(other)
            if not (isinstance(oldest, Tail) and oldest.doze()):
                self.drop(other)

    def is_calm(self, path: str, now_s: float) -> bool:
        """Whether it is too soon to look for more."""
        return self._calm.get(path, 0.0) > now_s

    def rouse(self) -> None:
        """No log is left alone."""
        self._calm.clear()

    def drop(self, path: str) -> None:
        """Let go of a log."""
        reader = self._readers.pop(path, None)
        self._order.pop(path, None)
        self._calm.pop(path, None)
        if reader is not None:
            reader.close()

    def close(self) -> None:
        for path in list(self._readers):
            self.drop(path)
