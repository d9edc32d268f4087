"""The whole log of one session, read in small pieces. Nothing is counted or held open between looks.

A piece is some milliseconds of work, but for a whole document and for a line of some megabytes. Lines of more than
`LINE_BYTES`, documents of more than `DOCUMENT_BYTES` and what lies beyond `LOG_BYTES` are passed over, and said.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Generator
from typing import IO, Any, Generic, Protocol, TypeVar

from tokentop.agents.base import Agent, Database, Decoder, JsonDocument, JsonLines, Source
from tokentop.agents.decoding import document, objects, record
from tokentop.nouns.sessions import Activity, Session
from tokentop.text import plural

from .glance import source_of
from .listing import LogEntry, state_of
from .openfile import guarded, open_log
from .scan import each_line

PIECE_BYTES = 64 << 10
LINE_BYTES = 8 << 20
DOCUMENT_BYTES = 64 << 20
LOG_BYTES = 4 << 30
_GONE = "the log is gone: its agent has deleted or moved it"


class Sink(Protocol):
    """Takes what a session's log holds, oldest first."""

    def feed(self, record: dict[str, Any]) -> None: ...

    def activity(self, told: Activity) -> None: ...


S = TypeVar("S", bound=Sink)


class WholeLog(Generic[S]):
    """Reads one session's log into a sink of `make`; call `step()` until it says that it is done.

    It raises nothing: what cannot be read is in `notes`. `sink` is then the one that was fed.
    """

    def __init__(self, agent: Agent, session: Session, make: Callable[[], S]) -> None:
        self._agent, self._session = agent, session
        self._all = make()
        self._sub = session.id.partition("/")[
            2
        ]  # it may share its parent's file: then only its own records count
        self._own = make() if self._sub else None
        self._owns = False
        self.notes: list[str] = []
        self.state = (0, 0)  # size and mtime_ns of the log
        self._pieces = self._read()

    @property
    def sink(self) -> S:
        return self._own if self._own is not None and self._owns else self._all

    def step(self) -> bool:
        """Read one piece; True when all is read."""
        try:
            next(self._pieces)
        except StopIteration:
            return True
        except FileNotFoundError:
            self.notes.append(_GONE)
            return True
        except sqlite3.Error as error:
            from .rows import reason

            self.notes.append(f"its database: {reason(error)}")
            return True
        except OSError as error:
            self.notes.append(f"it cannot be read: {error.strerror or type(error).__name__}")
            return True
        return False

    def finish(self) -> S:
        """Read to the end at once."""
        while not self.step():
            pass
        return self.sink

    def close(self) -> None:
        """Leave the log before its end."""
        self._pieces.close()

    # ------------------------------------------------------------ kinds of files

    def _read(self) -> Generator[None]:
        path = self._session.log_path
        if not path:
            self.notes.append("no log of this session is known")
            return
        counted, path = path, self._agent.transcript(path) if self._agent.transcript is not None else path
        source = (
            source_of(self._agent, path) if path == counted else JsonDocument(suffixes=(".json",), read=_none)
        )
        if source is None:
            self.notes.append(f"its file is none of the kinds of {self._agent.label} that tell tools")
            return
        dev, ino, size, mtime_ns = state_of(path, source)
        self.state = (size, mtime_ns)
        entry = LogEntry(
            path, self._agent.id, source, "/".join(path.split("/")[-6:]), dev, ino, size, mtime_ns
        )
        if isinstance(source, Database):
            yield from self._of_database(entry, source)
        elif isinstance(source, JsonDocument):
            yield from self._of_document(entry)
        else:
            yield from self._of_lines(entry, source)

    def _of_lines(self, entry: LogEntry, source: Source) -> Generator[None]:
        assert isinstance(source, JsonLines)
        decoder = source.decoder(entry.file, b"")
        with contextlib.ExitStack() as stack:
            raw = stack.enter_context(open_log(entry.path))
            read: Callable[[int], bytes] = raw.read
            if entry.path.endswith(".zst"):
                read = _unpacked(raw)
            yield from self._blocks(read, decoder)

    def _blocks(self, read: Callable[[int], bytes], decoder: Decoder) -> Generator[None]:
        carry, long, total, passed = bytearray(), False, 0, 0
        while True:
            data = read(PIECE_BYTES)
            total += len(data)
            if not data or total > LOG_BYTES:
                break
            carry += data
            end = carry.rfind(b"\n") + 1
            if long and end:  # the rest of a line that is passed over
                first = carry.find(b"\n") + 1
                del carry[:first]
                end, long = end - first, False
            if end:
                self._lines(carry, end, decoder)
                del carry[:end]
            if len(carry) > LINE_BYTES or (long and carry):
                passed += not long
                long = True
                carry.clear()
            yield
        if carry and total <= LOG_BYTES and record(carry) is not None:
            carry += b"\n"
            self._lines(carry, len(carry), decoder)
        if passed:
            self.notes.append(f"{plural(passed, 'line')} of more than {LINE_BYTES >> 20} MiB passed over")
        if total > LOG_BYTES:
            self.notes.append(f"only its first {LOG_BYTES >> 30} GiB were read")

    def _lines(self, block: bytearray, end: int, decoder: Decoder) -> None:
        for line in bytes(block[:end]).splitlines():
            if (found := record(line)) is not None:
                self._feed(found)
        decoder.live = True
        each_line(block, 0, end, decoder.needles, guarded(decoder, self._agent.id))
        for fact in decoder.facts:
            if isinstance(fact, Activity) and fact.session_id == self._session.id:
                self._all.activity(fact)
                if self._own is not None:
                    self._own.activity(fact)
        decoder.facts.clear()

    def _of_document(self, entry: LogEntry) -> Generator[None]:
        if entry.size > DOCUMENT_BYTES:
            self.notes.append(f"its file is one document of more than {DOCUMENT_BYTES >> 20} MiB")
            return
        with open_log(entry.path) as file:
            data = file.read(DOCUMENT_BYTES)
        yield
        try:
            whole = document(data)
        except ValueError:
            self.notes.append("its file is being written, or damaged")
            return
        yield
        for one in [whole] if isinstance(whole, dict) else objects(whole):
            self._feed(one)
            yield

    def _of_database(self, entry: LogEntry, source: Database) -> Generator[None]:
        if source.page is None:
            self.notes.append("its agent keeps it in a database that tells no tools")
            return
        from .rows import questions

        mark = ""
        while True:
            with questions(entry.path) as ask:
                found, following = source.page(entry.file, ask, self._session.id, mark)
            for one in found:
                self._feed(one)
            yield
            if not following or following == mark:
                return
            mark = following

    def _feed(self, found: dict[str, Any]) -> None:
        if self._own is not None and found.get("agentId") == self._sub:
            self._owns = True
            self._own.feed(found)
        if not self._owns:
            self._all.feed(found)


def _unpacked(raw: IO[bytes]) -> Callable[[int], bytes]:
    from .archive import open_zst, read_zst

    try:
        stream = open_zst(raw)
    except ImportError as error:
        raise OSError(95, "no decompressor is installed") from error
    return lambda size: read_zst(stream, size)


def _none(_file: object, _data: bytes) -> list[Any]:
    return []


def log_state(agent: Agent, path: str) -> tuple[int, int]:
    """(size, mtime_ns) of a session's log as its outline keeps them; (0, 0) = it is gone."""
    path = agent.transcript(path) if agent.transcript is not None else path
    source = source_of(agent, path)
    try:
        if source is None:
            about = os.stat(path)
            return about.st_size, about.st_mtime_ns
        return state_of(path, source)[2:]
    except OSError:
        return 0, 0
