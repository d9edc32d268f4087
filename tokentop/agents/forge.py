"""Forge (forgecode): conversations as JSON in one SQLite database. Pure.

`conversations(conversation_id, title, context, created_at, updated_at, cwd?, parent_id?, context_zstd?)`. `context`
is `{messages: [{message: {text: {role, model, tool_calls[{name, call_id}]}}, usage{prompt_tokens, completion_tokens,
cached_tokens, cost}}]}`; a count is `{actual: n}` or, where it was guessed, `{approx: n}`. The prompt includes what
was cached. Messages have no time and no id, and a compaction drops some: the first tool call names one, else its counts.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from tokentop.nouns.facts import Diagnostic, Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Usage
from tokentop.text import title

from .base import Agent, Ask, Database, LogFile, Reading, Roots
from .decoding import count, epoch_ms, identifier, label, obj, objects, record, text, tokens, unparsed
from .processes import Processes, before_dashes

AGENT_ID = "forge"
_ROWS = 20  # conversations of one look: each can have megabytes
_LAST = 4
_LIVE_MS = 3_600_000
_MAX_BYTES = 64 << 20
_MAX_USD = 10_000


class _Memory(msgspec.Struct):
    """The newest change seen, as the row writes it, and the rows that had it."""

    updated: str = ""
    rowids: list[int] = []


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """Conversations in the order of their change."""
    try:
        memory = msgspec.msgpack.decode(state, type=_Memory) if state else _Memory()
    except msgspec.MsgspecError:
        memory = _Memory()
    facts: list[Fact] = []
    since = memory.updated
    due = _changed(
        ask,
        "(updated_at > ? OR (updated_at = ? AND rowid NOT IN (SELECT value FROM json_each(?))))"
        f" ORDER BY updated_at LIMIT {_ROWS}",
        since, since, json.dumps(memory.rowids),
    )  # fmt: skip
    for at, rowid in sorted(due)[:_ROWS]:
        if at != memory.updated:
            memory.updated, memory.rowids = at, []
        memory.rowids.append(rowid)
        _one(file, ask, at, rowid, facts)
    return Reading(facts, msgspec.msgpack.encode(memory), more=len(due) >= _ROWS)


def signs(file: LogFile, ask: Ask) -> list[Fact]:
    facts: list[Fact] = []
    for at, rowid in _changed(ask, f"updated_at IS NOT NULL ORDER BY updated_at DESC LIMIT {_LAST}"):
        _one(file, ask, at, rowid, facts)
    return [fact for fact in facts if isinstance(fact, Activity | Context)]


def _changed(ask: Ask, where: str, *values: object) -> list[tuple[str, int]]:
    """(time of change, rowid): an index that has the time spares SQLite the contexts, which come before it."""
    has = ask.tables.get("conversations", frozenset())
    if not {"conversation_id", "context", "created_at", "updated_at"} <= has:
        return []
    kinds = ["context IS NOT NULL"]
    if {"context_zstd", "is_compressed"} <= has:
        kinds.append("is_compressed = 1")
    return [
        (at, rowid)
        for kind in kinds
        for at, rowid in ask(f"SELECT updated_at, rowid FROM conversations WHERE {kind} AND {where}", *values)
        if isinstance(at, str)
    ]


def _one(file: LogFile, ask: Ask, at: str, rowid: int, facts: list[Fact]) -> None:
    has = ask.tables["conversations"]
    names = ("title", "context", "created_at", "cwd", "parent_id", "context_zstd")
    columns = ", ".join(name if name in has else "NULL" for name in names)
    for row in ask(f"SELECT conversation_id, {columns} FROM conversations WHERE rowid = ?", rowid):
        _conversation(file, row, epoch_ms(at) or file.mtime_ms, facts)


def _conversation(file: LogFile, row: tuple[Any, ...], updated_ms: int, facts: list[Fact]) -> None:
    row_id, named, context, created, cwd, parent, packed = row
    session_id, parent_id = identifier(text(row_id)), identifier(text(parent))
    found = record(_unpacked(packed, facts) if isinstance(packed, bytes) else context or "")
    if found is None or not session_id:
        facts.append(unparsed(AGENT_ID))
        return
    messages = objects(found.get("messages"))
    model, seen, last = "", dict[str, int](), None
    for one in messages:
        about = _text(one)
        if text(about.get("role")).lower() != "assistant":
            continue
        model = label(text(about.get("model"))) or model
        key = _key(session_id, one, about)
        seen[key] = seen.get(key, 0) + 1
        if seen[key] > 1:
            key = f"{key}#{seen[key]}"
        last = _usage(session_id, key, model, one, updated_ms, facts)
    if last is not None:
        used = last.tokens.prompt + last.tokens.output
        facts.append(Context(AGENT_ID, session_id, updated_ms, used))
    facts.append(
        Session(
            AGENT_ID, session_id, parent_id=parent_id, role=Role.SUB_AGENT if parent_id else None,
            cwd=text(cwd, 1000), title=title(text(named, 400)), title_rank=1, model=model,
            first_ms=epoch_ms(created), last_ms=updated_ms, log_path=file.path,
        )
    )  # fmt: skip
    if messages and updated_ms >= file.mtime_ms - _LIVE_MS:
        facts.append(Activity(AGENT_ID, session_id, updated_ms, *_status(messages[-1])))


def _text(one: dict[str, Any]) -> dict[str, Any]:
    """The text of a message; older rows have it one level higher."""
    return obj((obj(one.get("message")) or one).get("text"))


def _count(one: dict[str, Any], name: str) -> tuple[object, bool]:
    """A count, and whether it was guessed."""
    value = obj(one.get("usage")).get(name)
    if not isinstance(value, dict):
        return value, False
    for kind, number in value.items():
        return number, str(kind).lower() != "actual"
    return None, False


def _key(session_id: str, one: dict[str, Any], about: dict[str, Any]) -> str:
    call = next((text(c.get("call_id")) for c in objects(about.get("tool_calls")) if c.get("call_id")), "")
    names = ("prompt_tokens", "completion_tokens", "cached_tokens")
    return ":".join(
        (session_id, call or "-", "" if call else "/".join(str(count(_count(one, n)[0])) for n in names))
    )


def _usage(
    session_id: str, key: str, model: str, one: dict[str, Any], at_ms: int, facts: list[Fact]
) -> Usage | None:
    """The call that a message is the answer of; a message without counts is a call of unknown tokens."""
    prompt, output, cached = (
        _count(one, name) for name in ("prompt_tokens", "completion_tokens", "cached_tokens")
    )
    used = tokens(AGENT_ID, facts, prompt=prompt[0], cache_read=cached[0], output=output[0])
    cost = obj(one.get("usage")).get("cost")
    known = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 < cost < _MAX_USD
    fact = Usage(
        AGENT_ID, session_id, key, at_ms, model, used, logged_nusd=round(cost * 1e9) if known else None,  # type: ignore[operator]
        kind=Kind.RESPONSE if used.total else Kind.UNKNOWN,
        estimated=used.total > 0 and (prompt[1] or output[1]), at_estimated=True,
    )  # fmt: skip
    facts.append(fact)
    return fact if used.total else None


def _status(newest: dict[str, Any]) -> tuple[State, str]:
    about = _text(newest)
    if text(about.get("role")).lower() != "assistant":
        return State.WORKING, ""
    calls = objects(about.get("tool_calls"))
    return (State.TOOL, text(calls[-1].get("name"))) if calls else (State.IDLE, "")


def _unpacked(data: bytes, facts: list[Fact]) -> bytes:
    """A context that the client has compressed; empty where it is damaged or too large."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd

            return zstd.ZstdDecompressor().decompress(data, _MAX_BYTES)
        import zstandard

        return zstandard.ZstdDecompressor().decompress(data, max_output_size=_MAX_BYTES)
    except Exception as error:  # zstandard and compression.zstd have error types of their own
        facts.append(Diagnostic(AGENT_ID, "damaged", f"a compressed conversation: {type(error).__name__}"))
        return b""


AGENT = Agent(
    id=AGENT_ID,
    label="Forge",
    version=1,
    roots=Roots(dirs=("~/.forge",)),
    sources=(Database(suffixes=(".forge.db",), levels=(), read=read, signs=signs),),
    processes=Processes(
        agent=AGENT_ID,
        label="Forge",
        names=("forge",),
        package_dirs=("/node_modules/forgecode",),
        common_name=True,
        root_dirs=(".forge",),
        one_shot=lambda argv: bool({"-p", "--prompt"} & set(before_dashes(argv))),
    ),
    resume="",
    start_hint="run `forge` in a project folder",
    missing="times of single calls; calls that a compaction dropped before they were seen; cache writes; reasoning",
)
