"""A whole JSON document that its agent rewrites in place: read anew when it has changed, only news given on."""

from __future__ import annotations

import os

import msgspec

from tokentop.agents.base import JsonDocument
from tokentop.nouns.facts import Cursor, Diagnostic, Fact
from tokentop.nouns.sessions import Activity, Context
from tokentop.nouns.usage import Usage
from tokentop.text import clean

from .listing import LogEntry
from .openfile import fingerprint, open_log, with_beside
from .tail import HEAD_BYTES

MAX_BYTES = 256 << 20
MAX_KNOWN = 50_000  # facts that are remembered as given; beyond, the store drops what it has
_HASHES = msgspec.msgpack.Decoder(list[int])


class Document:
    """Reads one document; the same interface as `Tail`."""

    def __init__(self, entry: LogEntry, cursor: Cursor | None, version: int) -> None:
        self.entry = entry
        self.live = False
        self._version = version
        self._known: dict[int, None] = {}
        self._whole = False
        self._head = b""
        if cursor is not None and cursor.agent_version == version and cursor.state:
            self._known = dict.fromkeys(_HASHES.decode(cursor.state))

    @property
    def offset(self) -> int:
        return self.entry.size

    def open(self) -> None:
        """A document is never held open: its successor may have another inode."""

    def close(self) -> None:
        """Nothing is open between two readings."""

    def flush(self, facts: list[Fact]) -> None:
        """Nothing is held back."""

    def read(self, facts: list[Fact]) -> tuple[int, bool]:
        """Read it whole; (bytes, True). OSError as the system gives it. Half a document gives only a diagnostic."""
        entry, source = self.entry, self.entry.source
        assert isinstance(source, JsonDocument)
        with open_log(entry.path) as file:
            about = os.fstat(file.fileno())
            # The time before the reading: what is written meanwhile looks changed to the next poll.
            self.entry = entry = _seen(entry, about)
            if about.st_size > MAX_BYTES:
                name = clean(entry.relative, 120)
                facts.append(Diagnostic(entry.agent, "oversize", f"{name}: {about.st_size} bytes"))
                self._whole = True
                return 0, True
            data = file.read()
        self._whole = False
        try:
            found = source.read(with_beside(entry), data)
        except ValueError:
            return len(data), True
        self._whole, self._head = True, data[:HEAD_BYTES]
        facts += [fact for fact in found if self._is_new(fact)]
        return len(data), True

    @property
    def is_whole(self) -> bool:
        """Whether the last reading found a whole document."""
        return self._whole

    def cursor(self) -> Cursor | None:
        """None for half a document: it is read again, by the next run at the latest."""
        if not self._whole:
            return None
        entry = self.entry
        state = msgspec.msgpack.encode(list(self._known)) if self._known else b""
        return Cursor(
            entry.path, entry.agent, entry.dev, entry.ino, len(self._head), fingerprint(self._head), entry.size, 0,
            entry.size, entry.mtime_ns, self._version, state,
        )  # fmt: skip

    def _is_new(self, fact: Fact) -> bool:
        if isinstance(fact, Activity | Context):
            return True  # for the live state; the store keeps nothing that repetition could spoil
        identity = _identity(fact)
        if identity in self._known:
            return False
        if len(self._known) < MAX_KNOWN:
            self._known[identity] = None
        return True


def _identity(fact: Fact) -> int:
    """A hash of what a fact says; of a record without a time of its own, not of when it was seen."""
    if isinstance(fact, Usage) and fact.at_estimated:
        fact = msgspec.structs.replace(fact, at_ms=0, start_ms=0)
    return fingerprint(type(fact).__name__.encode() + msgspec.msgpack.encode(fact))


def _seen(entry: LogEntry, about: os.stat_result) -> LogEntry:
    return msgspec.structs.replace(
        entry, dev=about.st_dev, ino=about.st_ino, size=about.st_size, mtime_ns=about.st_mtime_ns
    )
