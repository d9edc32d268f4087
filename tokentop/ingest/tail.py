"""One log file, read from its cursor: keeps partial lines, notices rotation, truncation and replacement."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from tokentop.agents.base import Decoder, JsonLines
from tokentop.nouns.facts import Cursor, Diagnostic, Fact
from tokentop.text import clean

from .listing import LogEntry
from .openfile import fingerprint, guarded, with_beside
from .scan import each_line, find

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 64 << 20
LIVE_BYTES = 64 << 10  # the end of a file, where status and tools are read as well
HEAD_BYTES = 1024
_FIRST_LINES_BYTES = 4096
TAIL_BYTES = 64

FindVectors = Callable[[LogEntry, str], Sequence[tuple[int, ...]] | None]


class Tail:
    """Reads one plain JSON-lines file in slices; `buffer` is shared by all tails of a thread."""

    def __init__(
        self,
        entry: LogEntry,
        cursor: Cursor | None,
        version: int,
        buffer: bytearray,
        find_vectors: FindVectors,
    ) -> None:
        self.entry = entry
        self.live = False  # the end of the file is read for status as well
        self._version = version
        self._buffer = buffer
        self._find_vectors = find_vectors
        self._fd = -1
        self._cursor = cursor
        self._decoder: Decoder | None = None
        self._offset = 0
        self._head = (0, 0)
        self._long: tuple[int, int, bool] | None = None  # line start, scanned to, has a needle
        self._tail: int | None = None  # hash of the bytes before the offset, where the last block held them

    @property
    def offset(self) -> int:
        return self._offset

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @property
    def is_open(self) -> bool:
        return self._fd >= 0

    def open(self) -> None:
        """Open the file and take up its position. OSError as the system gives it."""
        if self._fd < 0:
            self._open()

    def doze(self) -> bool:
        """Let go of the file and keep the decoder, which costs more to make; False = not at a known position.

        The next `read` opens it again and, as before each slice, looks whether it still is the same file.
        """
        cursor = self._cursor
        if cursor is None or cursor.offset != self._offset or self._long is not None:
            return False
        self.close()
        return True

    def read(self, facts: list[Fact]) -> tuple[int, bool]:
        """Read one slice; return (bytes read, whether the end was reached). OSError as the system gives it."""
        if self._fd < 0:
            self._open()
        about = os.fstat(self._fd)
        self._check(about, facts)
        decoder = self._decoder
        assert decoder is not None
        read = self._slice(decoder, about.st_size, facts)
        self.entry = _seen(self.entry, about)
        return read, read == 0 or self._offset >= about.st_size

    def flush(self, facts: list[Fact]) -> None:
        """Add what the decoder held back; call before `cursor()`."""
        if self._decoder is not None:
            self._decoder.flush()
            self._drain(self._decoder, facts)

    def cursor(self) -> Cursor:
        """The position to commit together with the facts read so far."""
        entry = self.entry
        tail = self._tail if self._tail is not None else self._tail_hash(self._offset)
        head_len, head_hash = self._longer_head()
        assert self._decoder is not None
        self._cursor = Cursor(
            entry.path, entry.agent, entry.dev, entry.ino, head_len, head_hash, self._offset, tail,
            entry.size, entry.mtime_ns, self._version, self._decoder.state(),
        )  # fmt: skip
        return self._cursor

    def _longer_head(self) -> tuple[int, int]:
        """(length, hash) of the head: a file that was met while it was short is known by more of it later."""
        length, known = self._head
        if length < HEAD_BYTES:
            head = os.pread(self._fd, HEAD_BYTES, 0)
            if len(head) > length and fingerprint(head[:length]) == known:
                self._head = (len(head), fingerprint(head))
        return self._head

    # ------------------------------------------------------------ opening and identity

    def _open(self) -> None:
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        self._fd = os.open(self.entry.path, flags)
        about = os.fstat(self._fd)
        if not stat.S_ISREG(about.st_mode):
            self.close()
            raise OSError(22, "not a regular file")
        if self._decoder is None:  # else it was only closed; each read compares it with the cursor
            self._begin(about)

    def _begin(self, about: os.stat_result) -> None:
        """Take up the position of the cursor, or start at 0 where the file is not the one it knows."""
        cursor = self._cursor
        if cursor is not None and self._same(cursor, about):
            self._offset = cursor.offset
            self._head = (cursor.head_len, cursor.head_hash)
            state = cursor.state
        else:
            self._offset, state = 0, b""
            self._head = (0, fingerprint(b""))  # the first block brings it
        assert isinstance(self.entry.source, JsonLines)
        self._decoder = self.entry.source.decoder(with_beside(self.entry), state)
        self._long = self._tail = None

    def _same(self, cursor: Cursor, about: os.stat_result) -> bool:
        """Whether the file still begins and reads up to the cursor as it did; inodes are reused at once."""
        if cursor.agent_version != self._version or about.st_size < cursor.offset:
            return False
        if fingerprint(os.pread(self._fd, cursor.head_len, 0)) != cursor.head_hash:
            return False
        return self._tail_hash(cursor.offset) == cursor.tail_hash

    def _tail_hash(self, offset: int) -> int:
        return fingerprint(os.pread(self._fd, min(TAIL_BYTES, offset), max(0, offset - TAIL_BYTES)))

    def _check(self, about: os.stat_result, facts: list[Fact]) -> None:
        """Before each later slice: a truncated, rewritten or replaced file is read again from 0."""
        cursor = self._cursor
        if (
            cursor is not None and self._offset == cursor.offset and not self._same(cursor, about)
        ) or about.st_size < self._offset:
            self.flush(facts)
            self._cursor = None
            self._begin(about)

    # ------------------------------------------------------------ slices

    def _slice(self, decoder: Decoder, size: int, facts: list[Fact]) -> int:
        if self._long is not None:
            return self._long_line(decoder, facts)
        buffer = self._buffer
        read = os.preadv(self._fd, [buffer], self._offset)
        if read == 0:
            return 0
        if self._offset == 0 and bytes(buffer[:2]) in (b"\xff\xfe", b"\xfe\xff"):
            facts.append(Diagnostic(self.entry.agent, "not-utf8", clean(self.entry.relative, 120)))
        end = buffer.rfind(b"\n", 0, read) + 1
        if end == 0:
            if read == len(buffer):
                self._long = (self._offset, self._offset, False)
                return self._long_line(decoder, facts)
            return 0
        if self._offset == 0:
            length = min(HEAD_BYTES, read)
            self._head = (length, fingerprint(buffer[:length]))
        self._tail = fingerprint(buffer[end - TAIL_BYTES : end]) if end >= TAIL_BYTES else None
        self._lines(decoder, buffer, end, size, facts)
        self._offset += end
        return end

    def _lines(self, decoder: Decoder, buffer: bytearray, end: int, size: int, facts: list[Fact]) -> None:
        """Give the lines of a block to the decoder, the last part of the file as live."""
        live_from = max(0, min(end, size - LIVE_BYTES - self._offset)) if self.live else end
        if 0 < live_from < end:
            live_from = buffer.find(b"\n", live_from - 1, end) + 1
        if live_from > 0:
            decoder.live = False
            self._each(decoder, buffer, 0, live_from)
        if live_from < end:
            decoder.live = True
            self._each(decoder, buffer, live_from, end)
        self._drain(decoder, facts)

    def _each(self, decoder: Decoder, buffer: bytearray, start: int, end: int) -> None:
        give = guarded(decoder, self.entry.agent)
        self._meet_ancestor(decoder)
        if start == self._offset == 0:
            # The first line tells of which log a fork repeats the beginning.
            start = buffer.find(b"\n", 0, end) + 1
            each_line(buffer, 0, start, decoder.needles, give)
            self._meet_ancestor(decoder)
        if end - start > _FIRST_LINES_BYTES:
            # The first lines tell who writes and what for; after them fewer needles are left.
            head = buffer.find(b"\n", start + _FIRST_LINES_BYTES, end) + 1 or end
            each_line(buffer, start, head, decoder.needles, give)
            start = head
        if start < end:
            each_line(buffer, start, end, decoder.needles, give)

    def _meet_ancestor(self, decoder: Decoder) -> None:
        if decoder.ancestor:
            decoder.set_ancestor(self._find_vectors(self.entry, decoder.ancestor))

    def _drain(self, decoder: Decoder, facts: list[Fact]) -> None:
        facts.extend(decoder.facts)
        decoder.facts.clear()

    # ------------------------------------------------------------ lines longer than a block

    def _long_line(self, decoder: Decoder, facts: list[Fact]) -> int:
        """Pass over a giant line block by block; only one that holds a needle is ever held in memory."""
        assert self._long is not None
        start, position, wanted = self._long
        buffer, needles = self._buffer, decoder.needles
        overlap = max(len(needle) for needle in needles) - 1
        begin = max(start, position - overlap)
        read = os.preadv(self._fd, [buffer], begin)
        fresh = read - (position - begin)
        if fresh <= 0:
            return 0
        newline = buffer.find(b"\n", position - begin, read)
        stop = read if newline < 0 else newline
        wanted = wanted or any(find(buffer, needle, 0, stop) >= 0 for needle in needles)
        if newline < 0:
            self._long = (start, self._behind_hole(begin + read), wanted)
            return fresh
        end = begin + newline
        self._long = self._tail = None
        if wanted and end - start <= MAX_LINE_BYTES:
            line = bytearray(end - start)
            os.preadv(self._fd, [line], start)
            guarded(decoder, self.entry.agent)(line)
            self._meet_ancestor(decoder)
        elif wanted:
            name = clean(self.entry.relative, 120)
            facts.append(
                Diagnostic(self.entry.agent, "oversize", f"{name} at byte {start}: {end - start} bytes")
            )
        self._offset = end + 1
        self._drain(decoder, facts)
        return fresh

    def _behind_hole(self, position: int) -> int:
        """Where the next bytes that were ever written begin: a sparse file is not read zero by zero."""
        try:
            return os.lseek(self._fd, position, os.SEEK_DATA)
        except AttributeError:
            return position
        except OSError as error:
            return os.fstat(self._fd).st_size if error.errno == errno.ENXIO else position


def _seen(entry: LogEntry, about: os.stat_result) -> LogEntry:
    return LogEntry(
        entry.path, entry.agent, entry.source, entry.relative, about.st_dev, about.st_ino, about.st_size,
        about.st_mtime_ns, entry.sidecar,
    )  # fmt: skip
