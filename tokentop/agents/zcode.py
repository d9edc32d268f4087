"""ZCode (Z.ai), a desktop application: one row per model request in its own SQLite database. Pure.

`model_usage(id, session_id, model_id, provider_id, agent, status, started_at, completed_at, input_tokens,
output_tokens, reasoning_tokens, cache_creation_input_tokens, cache_read_input_tokens, computed_total_tokens)`,
times in ms; `session(id, parent_id, directory, title, time_created, time_updated)`. The prompt includes what was
cached; some providers leave it out, which the row's own total tells. Reasoning is a part of the output.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Usage
from tokentop.text import title

from ._marks import Marks
from .base import Agent, Ask, Database, LogFile, Reading, Roots
from .decoding import count, epoch_ms, identifier, label, text, tokens

AGENT_ID = "zcode"
_FIELDS = (
    "session_id", "model_id", "provider_id", "agent", "status", "started_at", "completed_at", "input_tokens",
    "output_tokens", "reasoning_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
    "provider_total_tokens", "computed_total_tokens",
)  # fmt: skip
_ABOUT = ("parent_id", "directory", "title", "version", "time_created", "time_updated")
_DONE = {"completed", "cancelled", "error", "failed", "aborted"}
# It runs other agents inside, which keep logs of their own.
_OTHERS = ("claude", "codex", "gemini", "opencode")
_LIVE_MS = 3_600_000
_OPEN_MS = 7 * 24 * _LIVE_MS
_LAST_ROWS = 50


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """The requests that are new or were running, and the sessions that they belong to."""
    if not {"id", "session_id", "input_tokens"} <= ask.tables.get("model_usage", frozenset()):
        return Reading([], state)
    try:
        marks = msgspec.msgpack.decode(state, type=Marks) if state else Marks()
    except msgspec.MsgspecError:
        marks = Marks()
    rows, more = marks.rows(ask, "model_usage", f"rowid, id, {_columns(ask, 'model_usage', _FIELDS)}")
    facts: list[Fact] = []
    for row in rows:
        _request(file, row, marks, facts)
    _sessions(file, ask, {str(fact.session_id) for fact in facts if isinstance(fact, Usage)}, facts)
    marks.forget_old(file.mtime_ms - _OPEN_MS)
    return Reading(facts, msgspec.msgpack.encode(marks), more)


def signs(file: LogFile, ask: Ask) -> list[Fact]:
    if not {"id", "session_id", "input_tokens"} <= ask.tables.get("model_usage", frozenset()):
        return []
    columns = _columns(ask, "model_usage", _FIELDS)
    facts: list[Fact] = []
    for row in ask(f"SELECT rowid, id, {columns} FROM model_usage ORDER BY rowid DESC LIMIT {_LAST_ROWS}"):
        _request(file, row, Marks(), facts)
    return [fact for fact in facts if isinstance(fact, Activity | Context)]


def _columns(ask: Ask, table: str, names: tuple[str, ...]) -> str:
    has = ask.tables.get(table, frozenset())
    return ", ".join(name if name in has else f"NULL AS {name}" for name in names)


def _request(file: LogFile, row: tuple[Any, ...], marks: Marks, facts: list[Fact]) -> None:
    row_id, about = row[1], dict(zip(_FIELDS, row[2:], strict=True))
    session_id, key = identifier(text(about["session_id"])), identifier(text(row_id))
    started_ms, ended_ms = epoch_ms(about["started_at"]), epoch_ms(about["completed_at"])
    status = text(about["status"]).lower()
    if not session_id or not key or text(about["agent"]).lower().startswith(_OTHERS):
        return
    if not started_ms:
        started_ms = ended_ms or file.mtime_ms
    ended = bool(ended_ms) or status in _DONE
    if ended:
        marks.close(str(row_id))
    elif not marks.keep_open(str(row_id), started_ms):
        return
    fact = _usage(session_id, key, started_ms, ended_ms, about, facts)
    if fact.kind is Kind.RESPONSE or status not in {"error", "failed"}:
        facts.append(fact)
    if fact.tokens.total:
        used = fact.tokens.prompt + fact.tokens.output
        facts.append(Context(AGENT_ID, session_id, ended_ms or started_ms, used))
    if (ended_ms or started_ms) >= file.mtime_ms - _LIVE_MS:
        facts.append(
            Activity(AGENT_ID, session_id, ended_ms or started_ms, State.IDLE, ends_call=key)
            if ended
            else Activity(AGENT_ID, session_id, started_ms, State.WORKING, call_id=key)
        )


def _usage(
    session_id: str, key: str, started_ms: int, ended_ms: int, about: dict[str, Any], facts: list[Fact]
) -> Usage:
    prompt, read_, written, output, total = (
        count(about[name]) or 0
        for name in (
            "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens",
            "computed_total_tokens",
        )
    )  # fmt: skip
    total = count(about["provider_total_tokens"]) or total
    cached = read_ + written
    apart = prompt < cached or (
        total > 0 and abs(total - prompt - cached - output) < abs(total - prompt - output)
    )
    used = tokens(
        AGENT_ID, facts, **{"fresh" if apart else "prompt": about["input_tokens"]},
        cache_read=about["cache_read_input_tokens"], cache_write=about["cache_creation_input_tokens"],
        output=about["output_tokens"], reasoning=about["reasoning_tokens"],
    )  # fmt: skip
    return Usage(
        AGENT_ID, session_id, key, started_ms, label(text(about["model_id"])), used,
        label(text(about["provider_id"])), max(0, ended_ms - started_ms) if ended_ms else 0,
        kind=Kind.RESPONSE if used.total else Kind.UNKNOWN,
    )  # fmt: skip


def _sessions(file: LogFile, ask: Ask, ids: set[str], facts: list[Fact]) -> None:
    if not ids or "id" not in ask.tables.get("session", ()):
        return
    for row_id, *values in ask(
        f"SELECT id, {_columns(ask, 'session', _ABOUT)} FROM session"
        " WHERE id IN (SELECT value FROM json_each(?))",
        json.dumps(sorted(ids)),
    ):
        parent, directory, named, version, created, updated = values
        facts.append(
            Session(
                AGENT_ID, identifier(text(row_id)), parent_id=identifier(text(parent)),
                role=Role.SUB_AGENT if parent else None, cwd=text(directory, 1000), title=title(text(named, 400)),
                title_rank=1, first_ms=epoch_ms(created), last_ms=epoch_ms(updated), version=text(version, 20),
                log_path=file.path,
            )
        )  # fmt: skip


AGENT = Agent(
    id=AGENT_ID,
    label="ZCode",
    version=1,
    roots=Roots(env="ZCODE_HOME", dirs=("~/.zcode",)),
    sources=(Database(folder="cli/db", suffixes=(".sqlite",), levels=(), read=read, signs=signs),),
    processes=None,
    resume="",
    start_hint="open the ZCode application",
    missing="requests that failed; what it starts inside of other agents is in their logs",
)
