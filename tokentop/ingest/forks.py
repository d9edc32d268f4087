"""Logs that repeat the beginning of another one: which log that is, and what its counts are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from tokentop.agents.base import JsonLines
from tokentop.latelog import LateLog
from tokentop.nouns.facts import Cursor
from tokentop.text import clean

from .archive import open_zst, read_zst
from .listing import LogEntry
from .openfile import open_log
from .scan import each_line
from .tail import BLOCK_BYTES, MAX_LINE_BYTES

log = LateLog(__name__)


class Forks:
    """Session -> log of agents whose forks copy counts, and the forks that were read without their parent."""

    def __init__(self, cursors: Mapping[str, Cursor]) -> None:
        self._cursors = cursors
        self._by_session: dict[tuple[str, str], LogEntry] = {}
        self._orphans: dict[tuple[str, str], set[str]] = {}

    def index(self, changed: Iterable[LogEntry], files: Mapping[str, LogEntry]) -> list[str]:
        """Take over what a walk found; return the forks to be read anew: their parent has turned up."""
        found: list[str] = []
        if not self._by_session:
            self._recall(files.values())
        for entry in changed if self._by_session else files.values():
            if not isinstance(entry.source, JsonLines) or entry.source.vectors is None:
                continue
            key = (entry.agent, entry.session_id)
            known = self._by_session.get(key)
            if known is None or known.path not in files:
                self._by_session[key] = entry
            found += [path for path in self._orphans.pop(key, ()) if path in files]
        return found

    def _recall(self, files: Iterable[LogEntry]) -> None:
        """Forks that an earlier run read without their parent: their cursors say so."""
        for entry in files:
            cursor = self._cursors.get(entry.path)
            orphan_of = entry.source.orphan_of if isinstance(entry.source, JsonLines) else None
            if cursor is not None and cursor.state and orphan_of is not None:
                parent = orphan_of(cursor.state)
                if parent:
                    self._orphans.setdefault((entry.agent, parent), set()).add(entry.path)

    def vectors(self, child: LogEntry, thread_id: str) -> Sequence[tuple[int, ...]] | None:
        """The counting vectors of the log that `child` was forked from; None if it cannot be read."""
        key = (child.agent, thread_id)
        parent = self._by_session.get(key)
        source = child.source
        if parent is not None and isinstance(source, JsonLines) and source.vectors is not None:
            try:
                return source.vectors(_lines(parent.path, source.vector_needle))
            except (OSError, ImportError) as error:
                log.warning("the log of %s: %s", clean(thread_id, 60), error)
        self._orphans.setdefault(key, set()).add(child.path)
        return None


def _lines(path: str, needle: bytes) -> list[bytes]:
    """The lines of a whole log that hold `needle`; one above the limit of a line is passed over."""
    lines: list[bytes] = []
    carry = bytearray()
    with open_log(path) as file:
        read = partial(read_zst, open_zst(file)) if path.endswith(".zst") else file.read
        while block := read(BLOCK_BYTES):
            carry += block
            end = carry.rfind(b"\n") + 1
            each_line(carry, 0, end, (needle,), lambda line: lines.append(bytes(line)))
            del carry[:end]
            if len(carry) > MAX_LINE_BYTES:
                carry.clear()
    return lines
