"""What an agent is, and what its decoders share: typed decoding, coercion of counts, errors.

A decoder turns lines into facts and keeps its state as plain data, so that any split of the bytes and
any restart gives the same facts. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
from msgspec import Struct

from tokentop.model import Diagnostic, Fact
from tokentop.text import clean

if TYPE_CHECKING:
    from .processes import Processes

T = TypeVar("T")

# Everything that a decoder of untrusted JSON can raise: deep nesting is a RecursionError even in an unknown
# field, raw invalid UTF-8 in a known field a UnicodeDecodeError.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)

MAX_COUNT = 2**40  # no token count of one response or session is larger
_MIN_MS = 1_262_304_000_000  # 2010
_MAX_MS = 4_102_444_800_000  # 2100


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
    stem: str  # file name without .jsonl
    parents: tuple[str, ...]  # folder names from the root down


class JsonLines(Struct, frozen=True):
    """A source of JSON lines: folders below the root, and how to decode a file.

    `decoder(file, state)` makes a decoder from its stored state (b"" = fresh).
    `vectors` gives the counting vectors of a log, for forks that repeat their parent's.
    """

    folder: str
    suffixes: tuple[str, ...]
    decoder: Callable[[LogFile, bytes], Decoder]
    sidecar: str = ""  # suffix of small JSON files beside the logs
    read_sidecar: Callable[[LogFile, bytes], list[Fact]] | None = None
    file_id: Callable[[str], str] | None = None  # file name -> session id
    vectors: Callable[[Sequence[bytes]], list[tuple[int, ...]]] | None = None
    vector_needle: bytes = b""


class Roots(Struct, frozen=True):
    """Where an agent keeps its data: `env` (a comma list is accepted) replaces `dirs`."""

    env: str
    dirs: tuple[str, ...]


class Agent(Struct, frozen=True):
    """One agent. `version` grows when its decoder reads more than before: its files are read again."""

    id: str
    label: str
    version: int
    roots: Roots
    sources: tuple[JsonLines, ...]
    processes: Processes
    resume: str  # with {session_id}
    start_hint: str  # how a person starts it

    def resume_command(self, session_id: str) -> str:
        return self.resume.format(session_id=session_id) if session_id else ""


def decode(data: bytes | bytearray, kind: msgspec.json.Decoder[T]) -> T | None:
    """Decode one line; None if it is not JSON of that shape even after the lenient second chance.

    The second chance takes what real clients write and the strict decoder refuses: lone surrogates of a
    string cut inside an emoji, NULs left by a crash, a BOM, raw control characters, counts as floats.
    """
    try:
        return kind.decode(data)
    except DECODE_ERRORS:
        pass
    try:
        return kind.decode(bytes(data).lstrip(b"\0"))
    except DECODE_ERRORS:
        pass
    try:
        text = bytes(data).decode("utf-8", "replace").lstrip("\ufeff\0")
        value: Any = json.loads(text, strict=False)
        return msgspec.convert(_lenient(value), kind.type, strict=False)
    except (*DECODE_ERRORS, OverflowError):
        return None


_GLUED_BYTES = 4 << 20
_GLUED_TRIES = 50


def after_torn(line: bytes | bytearray) -> bytes | None:
    """The whole record at the end of a line that begins with a torn one; None if there is none.

    A writer that died inside a line leaves it without its end, and its successor goes on behind it.
    """
    data = bytes(line) if len(line) <= _GLUED_BYTES else b""
    place = data.find(b'{"', 1)
    for _ in range(_GLUED_TRIES):
        if place < 0:
            return None
        try:
            if isinstance(msgspec.json.decode(data[place:]), dict):
                return data[place:]
        except DECODE_ERRORS:
            pass
        place = data.find(b'{"', place + 1)
    return None


def _lenient(value: Any, depth: int = 0) -> Any:
    """Make a parsed document acceptable for typed conversion: no surrogates, whole floats as integers."""
    if depth > 40:
        return None
    if isinstance(value, dict):
        return {_safe(str(k)): _lenient(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_lenient(v, depth + 1) for v in value]
    if isinstance(value, str):
        return _safe(value)
    if isinstance(value, float):
        return int(value) if value == value and abs(value) <= MAX_COUNT and value == int(value) else -1
    if isinstance(value, bool):
        return value
    return value


def _safe(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8", "replace")


def count(value: object) -> int | None:
    """A token count from a log: an integer of at least 0 within bounds, 0 for null; None = not a count."""
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 14:
        value = int(value)
    if isinstance(value, float) and value == value and 0 <= value <= MAX_COUNT and value == int(value):
        value = int(value)
    if type(value) is int and 0 <= value <= MAX_COUNT:
        return value
    return None


def epoch_ms(value: object) -> int:
    """UTC milliseconds of an ISO text, or of a number in s, ms, us or ns; 0 = no usable time."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                if value.isdigit():
                    return epoch_ms(int(value))
                moment = moment.replace(tzinfo=UTC)
            ms = int(moment.timestamp() * 1000 + 0.5)
        elif type(value) in (int, float):
            number = float(value)  # type: ignore[arg-type]
            while number > 1e14:
                number /= 1000
            ms = int(number if number > 1e11 else number * 1000)
        else:
            return 0
    except (ValueError, OverflowError, OSError):
        return epoch_ms(int(value)) if isinstance(value, str) and value.isascii() and value.isdigit() else 0
    return ms if _MIN_MS <= ms <= _MAX_MS else 0


def unparsed(agent: str) -> Diagnostic:
    return Diagnostic(source=agent, kind="unparsed", detail="a line that is not readable JSON")


def bad_number(agent: str) -> Diagnostic:
    return Diagnostic(source=agent, kind="bad-number", detail="a token count out of bounds, counted as 0")


@lru_cache(2048)
def label(text: str | None) -> str:
    """A model, tier or provider name from a log, safe to show."""
    return clean(text, 100) if text else ""


@lru_cache(2048)
def identifier(text: str | None) -> str:
    """An id from a log, safe to show: ids are hexadecimal in practice, anything else is cleaned."""
    if not text:
        return ""
    if len(text) <= 100 and text.isascii() and text.replace("-", "").replace("_", "").isalnum():
        return text
    return clean(text, 100).replace("/", "_")


def project_of(cwd: str) -> str:
    """The last part of a working directory, on any system."""
    return cwd.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
