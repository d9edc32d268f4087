"""What reading logs gives: facts, what could not be read, and how far it is."""

from __future__ import annotations

from msgspec import Struct

from .money import Quota
from .sessions import Activity, Context, Session, Spawn
from .usage import RunningTotal, Usage


class Diagnostic(Struct, frozen=True, gc=False):
    """Something that could not be read, counted and shown. `detail` never holds raw log text."""

    source: str
    kind: str  # unparsed, oversize, unreadable, bad-number, missing-parent, ...
    detail: str = ""
    count: int = 1


Fact = Usage | Session | Spawn | Activity | Context | Quota | RunningTotal | Diagnostic


class Cursor(Struct, frozen=True, gc=False):
    """How far a file has been read; committed together with the facts from before `offset`."""

    path: str
    agent: str
    dev: int
    ino: int
    head_len: int
    head_hash: int
    offset: int
    tail_hash: int
    size: int  # of the file when it was read; with `mtime_ns` the cheap test for "nothing new"
    mtime_ns: int
    agent_version: int
    state: bytes = b""  # the decoder's own state, MessagePack


class Progress(Struct, frozen=True, gc=False):
    """The backlog: how much of the logs is still to be read."""

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    seconds_left: float | None = None
    reading: bool = False


class Looked(Struct, frozen=True, gc=False):
    """Where an agent's logs were looked for, and what was there (empty screen, doctor)."""

    agent: str
    label: str
    path: str
    found: str  # "12 files", "no such folder", "not readable"
