"""Search in prompts and replies: the agents' own logs are read for who asks, newest first; nothing of them is kept.

Only where `search_prompts` is switched on.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from datetime import tzinfo
from pathlib import Path
from typing import IO

from tokentop.engine.terms import FilterError
from tokentop.ingest.openfile import open_log
from tokentop.nouns.history import Ask, Scan
from tokentop.store import reader, searching
from tokentop.store.sieve import sieve

MOST_LOGS = 5_000
MOST_BYTES = 8 << 30  # of all logs together
_LARGEST = 256 << 20  # a log that is larger is passed over, and counted
_PACKED = (".zst", ".gz")
_BLOCK_BYTES = 1 << 20
_ESCAPED = frozenset("\"'\\/<>&")  # letters that writers of JSON may write in another way

Told = Callable[[Scan], bool]


def scan(db: sqlite3.Connection, query: str, zone: tzinfo, now_ms: int, told: Told) -> Scan:
    """Look for all words of the query in what was said in the sessions that its filters leave in.

    `told` is given the state after each log; False ends it. Blocks; sqlite3.Error.
    """
    try:
        words = sieve(query, zone, now_ms).words
    except FilterError as error:
        return Scan(problem=str(error))
    if not words:
        return Scan(problem="type a word that was said")
    rest = " ".join(part for part in query.split() if part.casefold() not in words)
    order = searching.answer(db, Ask(rest, flat=True), zone, now_ms).order
    looker = _Looker(words)
    state = Scan(total=min(len(order), MOST_LOGS))
    for at, one in enumerate(order[:MOST_LOGS]):
        if looker.read_bytes > MOST_BYTES:
            return state.at(at, looker.passed + state.total - at)
        if looker.is_said(db, one):
            state = state.with_found(one)
        state = state.at(at + 1, looker.passed)
        if not told(state):
            break
    return state


class _Looker:
    """Looks into one log after the other; a log that several sessions share is searched once for the words."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._holds: dict[str, bool] = {}
        self.read_bytes = 0
        self.passed = 0  # logs that are gone, or too large

    def is_said(self, db: sqlite3.Connection, session_id: int) -> bool:
        found = reader.sessions_by_id(db, (session_id,))
        if not found or not found[0][0].log_path:
            self.passed += 1
            return False
        session = found[0][0]
        if not self._may_hold(session.log_path):
            return False
        from .transcript import transcript

        texts = (" ".join(said.lines) for said in transcript(session)[0] if said.kind in ("prompt", "answer"))
        whole = "\n".join(texts).casefold()
        return all(word in whole for word in self._words)

    def _may_hold(self, path: str) -> bool:
        """Whether the bytes of a log have the words; where it is packed, or words may be escaped, it is read in any case."""
        known = self._holds.get(path)
        if known is None:
            known = self._holds[path] = self._search(Path(path))
        return known

    def _search(self, path: Path) -> bool:
        try:
            with open_log(str(path)) as file:
                size = os.fstat(file.fileno()).st_size
                if size > _LARGEST:
                    self.passed += 1
                    return False
                self.read_bytes += size
                plain = all(word.isascii() and not _ESCAPED & set(word) for word in self._words)
                if not size or path.suffix in _PACKED or not plain:
                    return bool(size)
                return _holds(file, [word.encode() for word in self._words], size)
        except (OSError, ValueError):
            self.passed += 1
            return False


def _holds(file: IO[bytes], words: Sequence[bytes], size: int) -> bool:
    """Whether all words stand in the first `size` bytes, in capitals or not.

    Read in blocks, never mapped: a map of a log that its agent cuts short ends the program with SIGBUS.
    """
    missing, over = set(words), max(map(len, words)) - 1
    window = b""
    while missing and size > 0 and (block := file.read(min(_BLOCK_BYTES, size))):
        size -= len(block)
        window = window[len(window) - over :] + block.lower() if over else block.lower()
        missing = {word for word in missing if word not in window}
    return not missing
