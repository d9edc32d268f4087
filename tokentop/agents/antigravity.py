"""Antigravity, command line and IDE: one SQLite database a conversation, one protobuf message a call. Pure.

`gen_metadata(idx, data, size)`: `1.4` = usage {2 new input, 3 output = 9 thinking + 10 answer, 5 cached}, `1.9` =
{4 end time {1 s, 2 ns}, 8 duration}, `1.19` = model. `trajectory_metadata_blob` holds the URI of the folder. The
schema is not published: field numbers are those that several users found and checked. The `*.pb` files of older
versions are encrypted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

from tokentop.agents.base import Agent, Ask, Database, LogFile, Reading, Roots
from tokentop.agents.decoding import epoch_ms, identifier, label, text, tokens, unparsed
from tokentop.agents.processes import Processes, before_dashes
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Context, Role, Session
from tokentop.nouns.usage import Kind, Tokens, Usage

AGENT_ID = "antigravity"
_PROVIDER = "google"

_ROWS = 100  # of one question; a row can have some 100 KB
_AGAIN = 8  # rows without usage that are looked at again
_FIELDS = 10_000  # of one message
_DEPTH = 5

Value = int | bytes


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """(number, value) of each field of a message; ValueError where it is none. Fixed-width fields are left out."""
    at, end = 0, len(data)
    for _ in range(_FIELDS):
        if at >= end:
            return
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("cut off")
            yield number, data[at : at + size]
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise ValueError("not a message")
        if number == 0 or at > end:
            raise ValueError("not a message")
    raise ValueError("too many fields")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("cut off")


def field(data: Value | None, *path: int) -> Value | None:
    """The value at a path of field numbers; None where there is none. ValueError as of `fields`."""
    for number in path:
        if not isinstance(data, bytes):
            return None
        data = next((value for found, value in fields(data) if found == number), None)
    return data


def _number(data: Value | None, *path: int) -> int:
    value = field(data, *path)
    return value if isinstance(value, int) else 0


def _name(data: Value | None, *path: int) -> str:
    value = field(data, *path)
    return label(text(value.decode("utf-8", "replace"))) if isinstance(value, bytes) else ""


def _moment_ms(data: Value | None, *path: int) -> int:
    """Milliseconds of a {1 s, 2 ns}."""
    value = field(data, *path)
    return _number(value, 1) * 1000 + _number(value, 2) // 1_000_000 if isinstance(value, bytes) else 0


class _Watermark(Struct):
    next: int = 0  # the first row to look at
    last: int = -1
    model: str = ""
    named: bool = False


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """The calls since the watermark; rows without usage and the last one are looked at again."""
    mark = msgspec.msgpack.decode(state, type=_Watermark) if state else _Watermark()
    session, facts = identifier(file.stem), list[Fact]()
    if not session or not {"idx", "data"} <= ask.tables.get("gen_metadata", frozenset()):
        return Reading(facts, state)
    if not mark.named:
        mark.named = True
        facts.append(Session(AGENT_ID, session, role=Role.MAIN, cwd=_folder(ask), log_path=file.path))
    newest = ask("SELECT coalesce(max(idx), -1) FROM gen_metadata")[0][0]
    if type(newest) is int and newest < mark.last:
        mark.next, mark.last = 0, -1  # taken back: what comes next has the same numbers
    rows = ask("SELECT idx, data FROM gen_metadata WHERE idx >= ? ORDER BY idx LIMIT ?", mark.next, _ROWS)
    more, waits = len(rows) == _ROWS, -1
    for idx, data in rows:
        if type(idx) is not int or not isinstance(data, bytes):
            continue
        try:
            usage = _call(session, idx, data, mark, file, facts)
        except ValueError:
            facts.append(unparsed(AGENT_ID))
            continue
        facts.append(usage)
        mark.last = max(mark.last, idx)
        if usage.kind is Kind.UNKNOWN and waits < 0:
            waits = idx
    again = mark.last if waits < 0 else max(waits, mark.last - _AGAIN)
    mark.next = mark.last + 1 if more else max(again, 0)
    _gauge(facts)
    return Reading(facts, msgspec.msgpack.encode(mark), more)


def _call(session: str, idx: int, data: bytes, mark: _Watermark, file: LogFile, facts: list[Fact]) -> Usage:
    call = field(data, 1)
    mark.model = _name(call, 19) or mark.model or _name(call, 21)
    counts = field(call, 4)
    thinking, answer, output = (_number(counts, number) for number in (9, 10, 3))
    used = Tokens()
    if isinstance(counts, bytes):
        used = tokens(
            AGENT_ID, facts, fresh=_number(counts, 2), cache_read=_number(counts, 5),
            output=output or thinking + answer, reasoning=min(thinking, output or thinking),
        )  # fmt: skip
    at_ms = epoch_ms(_moment_ms(call, 9, 4))
    took_ms = _moment_ms(call, 9, 8)
    return Usage(
        AGENT_ID, session, f"{session}:{idx}", at_ms or file.mtime_ms, mark.model, used, _PROVIDER,
        duration_ms=took_ms if took_ms < 86_400_000 else 0, at_estimated=not at_ms,
        kind=Kind.RESPONSE if used.total else Kind.UNKNOWN,
    )  # fmt: skip


def _gauge(facts: list[Fact]) -> None:
    calls = [
        fact for fact in facts if isinstance(fact, Usage) and fact.tokens.prompt and not fact.at_estimated
    ]
    if calls:
        last = calls[-1]
        facts.append(Context(AGENT_ID, last.session_id, last.at_ms, last.tokens.prompt))


def _folder(ask: Ask) -> str:
    if "data" not in ask.tables.get("trajectory_metadata_blob", frozenset()):
        return ""
    for (data,) in ask("SELECT data FROM trajectory_metadata_blob LIMIT 1"):
        if isinstance(data, bytes):
            return _uri(data, _DEPTH)
    return ""


def _uri(data: bytes, depth: int) -> str:
    """The first file URI in a message of unknown layout, as a path."""
    try:
        parts = [value for _, value in fields(data) if isinstance(value, bytes)]
    except ValueError:
        return ""
    for part in parts:
        if part.startswith(b"file:///"):
            return text(_unquoted(part[7:]).decode("utf-8", "replace"), 400)
        found = _uri(part, depth - 1) if depth and b"file:///" in part else ""
        if found:
            return found
    return ""


def _unquoted(path: bytes) -> bytes:
    head, *rest = path.split(b"%")
    out = bytearray(head)
    for part in rest:
        try:
            out += bytes.fromhex(part[:2].decode("ascii")) + part[2:]
        except ValueError:
            out += b"%" + part
    return bytes(out)


def one_shot(argv: Sequence[str]) -> bool:
    return any(word in {"-p", "--print", "--prompt"} for word in before_dashes(argv))


PROCESSES = Processes(
    agent=AGENT_ID,
    label="Antigravity CLI",
    names=("agy",),
    common_name=True,
    root_dirs=(".gemini/antigravity-cli",),
    one_shot=one_shot,
)

AGENT = Agent(
    id=AGENT_ID,
    label="Antigravity",
    version=1,
    roots=Roots(env="GEMINI_CLI_HOME", dirs=("~/.gemini",), below=".gemini"),
    sources=tuple(
        Database(folder=f"{name}/conversations", suffixes=(".db",), levels=(), read=read)
        for name in ("antigravity-cli", "antigravity-ide", "antigravity")
    ),
    processes=PROCESSES,
    resume="",
    start_hint="run `agy` in a project folder",
    missing="conversations of older versions (*.pb), status",
)
