"""What recently written logs say of status, read from their ends alone: nothing is counted, no cursor moves.

For the start, when the ends have been read long ago, and beside another tokentop that does the counting.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from tokentop.agents.base import Agent, Database, JsonDocument, JsonLines
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context

from .discover import walk
from .listing import LogEntry, state_of
from .openfile import open_log, with_beside
from .scan import each_line
from .tail import LIVE_BYTES

WALK_S = 15.0
LOOK_S = 1.0
RECENT_NS = 15 * 60 * 1_000_000_000
MAX_FILES = 64
DOCUMENT_BYTES = 8 << 20


def last_signs(entry: LogEntry) -> list[Fact]:
    """Activities and contexts at the end of a log; empty where it cannot be read."""
    source = entry.source
    if entry.sidecar or entry.path.endswith(".zst"):
        return []
    if isinstance(source, Database):
        from .rows import signs

        return signs(entry)
    if isinstance(source, JsonDocument):
        return _of_document(entry, source)
    assert isinstance(source, JsonLines)
    try:
        with open_log(entry.path) as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - LIVE_BYTES))
            data = bytearray(file.read(LIVE_BYTES))
    except OSError:
        return []
    start = data.find(b"\n") + 1 if size > LIVE_BYTES else 0
    end = data.rfind(b"\n") + 1
    decoder = source.decoder(with_beside(entry), b"")
    decoder.live = True
    if start < end:
        each_line(data, start, end, decoder.needles, decoder.line)
    decoder.flush()
    return [fact for fact in decoder.facts if isinstance(fact, Activity | Context)]


def _of_document(entry: LogEntry, source: JsonDocument) -> list[Fact]:
    try:
        with open_log(entry.path) as file:
            found = source.read(with_beside(entry), file.read(DOCUMENT_BYTES))
    except (OSError, ValueError):
        return []
    return [fact for fact in found if isinstance(fact, Activity | Context)]


class Signs:
    """Looks at the ends of the newest logs; `look()` gives what is new since the last time."""

    def __init__(
        self, agents: Sequence[Agent], environ: Mapping[str, str], extra_roots: Mapping[str, Sequence[str]]
    ) -> None:
        self._agents, self._environ, self._extra = agents, environ, extra_roots
        self._recent: dict[str, LogEntry] = {}
        self._seen: dict[str, tuple[int, int, int]] = {}  # path -> size, mtime_ns, newest at_ms told
        self._walk_due_s = self._look_due_s = 0.0

    def look(self, now_s: float, wall_ns: int) -> list[Fact]:
        if now_s < self._look_due_s:
            return []
        self._look_due_s = now_s + LOOK_S
        if now_s >= self._walk_due_s:
            self._walk_due_s = now_s + WALK_S
            self._recent = self._newest(wall_ns)
        facts: list[Fact] = []
        for path, entry in self._recent.items():
            facts += self._news(path, entry)
        return facts

    def _newest(self, wall_ns: int) -> dict[str, LogEntry]:
        files: Iterable[LogEntry] = walk(self._agents, self._environ, self._extra).files.values()
        recent = sorted((e for e in files if e.mtime_ns > wall_ns - RECENT_NS), key=lambda e: e.mtime_ns)
        return {entry.path: entry for entry in recent[-MAX_FILES:]}

    def _news(self, path: str, entry: LogEntry) -> list[Fact]:
        try:
            now = state_of(path, entry.source)[2:]
        except OSError:
            return []
        size, mtime_ns, told_ms = self._seen.get(path, (-1, -1, -1))
        if now == (size, mtime_ns):
            return []
        found = [fact for fact in last_signs(entry) if isinstance(fact, Activity | Context)]
        newest = max((fact.at_ms for fact in found), default=told_ms)
        self._seen[path] = (*now, max(newest, told_ms))
        return [fact for fact in found if fact.at_ms > told_ms]
