"""What an agent is: where it keeps its data, the three kinds of source, its processes. Pure.

A decoder turns bytes into facts and keeps its state as plain data, so that any split of the bytes and any
restart gives the same facts. What decoders share is in `decoding.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.telemetry import Telemetry

if TYPE_CHECKING:
    from .processes import Processes


class Decoder(Protocol):
    """Lines of one file -> facts. `facts` is emptied by the caller.

    `needles` are the byte strings that a line must hold one of to be given to `line()`; the reader asks for
    them again before each slice. `ancestor` names a thread whose counts this file may repeat at its start:
    the reader then calls `set_ancestor` (with None when that log is not to be found) before the next line.
    """

    facts: list[Fact]
    ancestor: str
    live: bool  # the lines that come next are the end of the file: status and tools are wanted too

    @property
    def needles(self) -> tuple[bytes, ...]: ...

    def line(self, line: bytearray | bytes) -> None: ...

    def set_ancestor(self, vectors: Sequence[tuple[int, ...]] | None) -> None: ...

    def flush(self) -> None:
        """Put facts that were held back for merging into `facts`; called before each commit."""

    def state(self) -> bytes: ...


class LogFile(Struct, frozen=True):
    """What a decoder may know of its file: the name, never a position in the machine."""

    path: str
    stem: str  # file name without the suffix of its source
    parents: tuple[str, ...]  # folder names from the root down
    mtime_ms: int = 0  # last change: the time of records that have none of their own
    beside: bytes = b""  # the beginning of the file that its source names so


class Source(Struct, frozen=True, kw_only=True):
    """Files of one kind: `folder` below the root, and how their names end.

    `levels` are patterns of the folders below that are looked into, one a level: `("*", "chats")`; the last one
    may be `**` for any depth. None = any depth, () = `folder` alone.
    """

    folder: str = ""
    suffixes: tuple[str, ...]
    levels: tuple[str, ...] | None = None
    sidecar: str = ""  # suffix of small files beside the logs
    read_sidecar: Callable[[LogFile, bytes], list[Fact]] | None = None
    fallback: bool = False  # in a project folder: only where no file of another source lies
    file_id: Callable[[str], str] | None = None  # file name -> session id
    beside: str = ""  # a small file, by its path from the folder of each log, that its reader is given


class JsonLines(Source, frozen=True, kw_only=True):
    """Append-only JSON lines. `decoder(file, state)` makes a decoder from its stored state (b"" = fresh).

    `vectors` gives the counting vectors of a log,
    for forks that repeat their parent's.
    """

    decoder: Callable[[LogFile, bytes], Decoder]
    vectors: Callable[[Sequence[bytes]], list[tuple[int, ...]]] | None = None
    vector_needle: bytes = b""
    orphan_of: Callable[[bytes], str] | None = None  # decoder state -> the parent whose log was not there


class JsonDocument(Source, frozen=True, kw_only=True):
    """Whole documents that are rewritten in place. `read(file, data)` gives all facts of one.

    It raises ValueError where the bytes are no whole document: the file is being written, and is read again when
    it has changed. A fact that the document gave before is not counted again, so `read` keeps no state.
    """

    read: Callable[[LogFile, bytes], list[Fact]]


class Ask(Protocol):
    """Questions to an agent's database, read-only, inside one short transaction.

    `tables` = its tables with their columns. A call gives at most `ROWS_MAX` rows; texts with damaged UTF-8 have
    replacement characters. A question that cannot be answered (no such column, damage) raises DatabaseError,
    which the reader turns into a diagnostic.
    """

    @property
    def tables(self) -> Mapping[str, frozenset[str]]: ...

    def __call__(self, sql: str, *values: object) -> list[tuple[Any, ...]]: ...


ROWS_MAX = 5_000


class Reading(Struct):
    """What one look at a database gave: facts, the watermark to go on from, and whether there is more now."""

    facts: list[Fact]
    state: bytes = b""
    more: bool = False


class Database(Source, frozen=True, kw_only=True):
    """An agent's SQLite database. `read(file, ask, state)` gives what is new since `state` (b"" = everything).

    It is called when the file or its -wal has changed, and must do work in proportion to what is new.
    `signs(file, ask)` gives activities and contexts of the sessions that ran last, and counts nothing.
    `records(file, ask, session id)` gives the newest records of one session, oldest first, for who looks at it;
    `page(file, ask, session id, mark)` some of all its records, oldest first, and the mark of those that follow
    ("" begins, and ends).
    """

    read: Callable[[LogFile, Ask, bytes], Reading]
    signs: Callable[[LogFile, Ask], list[Fact]] | None = None
    records: Callable[[LogFile, Ask, str], list[dict[str, Any]]] | None = None
    page: Callable[[LogFile, Ask, str, str], tuple[list[dict[str, Any]], str]] | None = None


class Roots(Struct, frozen=True):
    """Where an agent keeps its data.

    `env` names a variable (a comma list is accepted) that replaces `dirs`, with `below` appended. `dirs` begin
    with `~/` or `$VARIABLE/` (left out where that is unset); one may be a file. `in_projects` = the data lies in
    the project folders themselves: those that are known, and the folders of the first two levels below HOME.
    """

    env: str = ""
    dirs: tuple[str, ...] = ()
    below: str = ""
    in_projects: bool = False


class Quality(StrEnum):
    """How good an agent's token counts are at best."""

    EXACT = "exact"  # per response
    TOTAL = "exact in total"  # only a running total: the time is an estimate
    ESTIMATE = "estimate"
    UNKNOWN = "unknown"  # money or credits at most


class Agent(Struct, frozen=True):
    """One agent. `version` grows when its decoder reads more than before: its files are read again."""

    id: str
    label: str
    version: int
    roots: Roots
    sources: tuple[Source, ...]  # () = it leaves nothing that can be counted: its processes alone are shown
    processes: Processes | None  # None = it lives inside an editor
    resume: str  # with {session_id}; "" = it cannot
    start_hint: str  # how a person starts it
    tokens: Quality = Quality.EXACT
    missing: str = ""  # what its logs do not give, in a few words
    transcript: Callable[[str], str] | None = None  # path of a session's log -> the file with its steps
    signs: tuple[str, ...] = ()  # what it puts into a trailer or the author of its commits, in small letters
    tried: tuple[str, ...] = ()  # versions whose real logs were compared with what the provider counted
    telemetry: Telemetry | None = None  # what it can send of itself, None = nothing that is understood

    def resume_command(self, session_id: str) -> str:
        return self.resume.format(session_id=session_id) if session_id and self.resume else ""
