"""Compressed rollouts (`.jsonl.zst`): cold files, read whole in slices; the cursor only says that it was done."""

from __future__ import annotations

import os
import sys
from typing import IO, Any

from tokentop.agents.base import Decoder, JsonLines
from tokentop.nouns.facts import Cursor, Fact

from .listing import LogEntry
from .openfile import fingerprint, guarded, open_log
from .scan import each_line
from .tail import HEAD_BYTES, MAX_LINE_BYTES, FindVectors


def open_zst(raw: IO[bytes]) -> Any:
    """A reader of the decompressed bytes. ImportError where no decompressor is installed."""
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdFile(raw)
    import zstandard

    return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)


def read_zst(stream: Any, size: int) -> bytes:
    """Read decompressed bytes; a damaged archive raises OSError."""
    try:
        data: bytes = stream.read(size)
    except Exception as error:  # zstandard and compression.zstd have error types of their own
        raise OSError(5, f"damaged archive: {type(error).__name__}") from error
    return data


class Archive:
    """Reads one compressed file; the same interface as `Tail`."""

    def __init__(
        self,
        entry: LogEntry,
        cursor: Cursor | None,
        version: int,
        buffer: bytearray,
        find_vectors: FindVectors,
    ) -> None:
        self.live = False
        self.entry = entry
        self._version = version
        self._find_vectors = find_vectors
        self._done = (
            cursor is not None
            and cursor.agent_version == version
            and (cursor.size, cursor.mtime_ns) == (entry.size, entry.mtime_ns)
        )
        assert isinstance(entry.source, JsonLines)
        self._decoder: Decoder = entry.source.decoder(entry.file, b"")
        self._raw: IO[bytes] | None = None
        self._stream: Any = None
        self._carry = bytearray()
        self._block = len(buffer)
        self._read = 0

    @property
    def offset(self) -> int:
        return self.entry.size if self._done else min(self._read, self.entry.size)

    def close(self) -> None:
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    def read(self, facts: list[Fact]) -> tuple[int, bool]:
        """Decode one slice. A damaged archive raises OSError; what came before the damage is kept."""
        if self._done:
            return 0, True
        if self._raw is None:
            self._raw = open_log(self.entry.path)
            self._stream = open_zst(self._raw)
        before = self._raw.tell()
        data = read_zst(self._stream, self._block)
        self._carry += data
        if not data and self._carry:
            self._carry += b"\n"
        end = self._carry.rfind(b"\n") + 1
        each_line(self._carry, 0, end, self._decoder.needles, self._give)
        del self._carry[:end]
        if len(self._carry) > MAX_LINE_BYTES:
            self._carry.clear()
        facts.extend(self._decoder.facts)
        self._decoder.facts.clear()
        self._read = self._raw.tell()
        self._done = not data
        return self._read - before, self._done

    def _give(self, line: bytearray) -> None:
        if self._decoder.ancestor:
            self._decoder.set_ancestor(self._find_vectors(self.entry, self._decoder.ancestor))
        guarded(self._decoder, self.entry.agent)(line)

    def flush(self, facts: list[Fact]) -> None:
        self._decoder.flush()
        facts.extend(self._decoder.facts)
        self._decoder.facts.clear()

    def cursor(self) -> Cursor | None:
        """The finished file; None while it is being read: a cut run starts again, the keys make it harmless."""
        if not self._done:
            return None
        entry = self.entry
        with open_log(entry.path) as file:
            head = os.read(file.fileno(), HEAD_BYTES)
        return Cursor(
            entry.path, entry.agent, entry.dev, entry.ino, len(head), fingerprint(head), entry.size, 0,
            entry.size, entry.mtime_ns, self._version,
        )  # fmt: skip
