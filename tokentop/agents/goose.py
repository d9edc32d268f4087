"""Goose: `sessions.db`.

From schema 15 on `usage_ledger` has a row per call (`input_tokens` with everything cached in it); before, only the
`accumulated_*` columns of `sessions` tell what was used. What those hold beyond the ledger is an older version's:
goose itself writes it down as a row that is "carried forward", which therefore is no call. The plain token columns
of a session are its last call: the context. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import RunningTotal, Tokens, Usage
from tokentop.text import title

from .base import ROWS_MAX, Agent, Ask, Database, LogFile, Quality, Reading, Roots
from .decoding import at_least, count, epoch_ms, identifier, label, obj, objects, record, string, text, tokens
from .processes import Processes, flag_value, plain_role

AGENT_ID = "goose"

_FIRST_LEDGER = 15  # schema version
_COLUMNS = (
    "id", "name", "description", "user_set_name", "session_type", "working_dir", "created_at", "updated_at",
    "parent_session_id", "provider_name", "model_config_json", "total_tokens", "accumulated_input_tokens",
    "accumulated_output_tokens", "accumulated_total_tokens", "accumulated_cache_read_tokens",
    "accumulated_cache_write_tokens",
)  # fmt: skip
_SUMS = "sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens)"
_CARRIED = "carried_forward"
_MAX_NUSD = 10_000 * 10**9
_SIGNS = 8


class _State(Struct):
    """How far the tables were read: plain data."""

    ledger: int = 0
    messages: int = 0
    updated: str = ""
    after: str = ""  # the session that the last page of that moment ended with


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """Sessions that changed, calls and messages that are new."""
    memory = msgspec.msgpack.decode(state, type=_State) if state else _State()
    facts: list[Fact] = []
    since = _ledger_since(ask)
    more = _sessions(file, ask, memory, since, facts)
    if since:
        more = _ledger(ask, memory, facts) or more
    more = _messages(ask, memory, since, facts) or more
    return Reading(facts, msgspec.msgpack.encode(memory), more)


def _sessions(file: LogFile, ask: Ask, memory: _State, since: int, facts: list[Fact]) -> bool:
    """Sessions from the last seen moment on: its second may not have been over."""
    known = ask.tables.get("sessions", frozenset())
    columns = ", ".join(name if name in known else f"NULL AS {name}" for name in _COLUMNS)
    rows = ask(
        f"SELECT {columns} FROM sessions WHERE updated_at >= ? AND (updated_at > ? OR id > ?)"
        f" ORDER BY updated_at, id LIMIT {ROWS_MAX}",
        memory.updated, memory.updated, memory.after,
    )  # fmt: skip
    for values in rows:
        _session(file, ask, dict(zip(_COLUMNS, values, strict=True)), since, facts)
    more = len(rows) == ROWS_MAX
    if rows:
        memory.updated = str(rows[-1][_COLUMNS.index("updated_at")])
    memory.after = str(rows[-1][0]) if more else ""
    return more


def _session(file: LogFile, ask: Ask, row: dict[str, Any], since: int, facts: list[Fact]) -> None:
    session_id, parent = identifier(string(row["id"])), identifier(string(row["parent_session_id"]))
    config = obj(record(row["model_config_json"])) if isinstance(row["model_config_json"], str) else {}
    kind, model = text(row["session_type"], 20), text(config.get("model_name"))
    name = row["name"] or row["description"]
    named = isinstance(name, str) and bool(name.strip())
    role = Role.SUB_AGENT if kind == "sub_agent" else Role.MAIN
    at_ms = epoch_ms(row["updated_at"]) or file.mtime_ms
    facts.append(
        Session(
            AGENT_ID, session_id, parent, parent, role, text(row["working_dir"], 400),
            title=title(name) if named and isinstance(name, str) else "",
            title_rank=(2 if row["user_set_name"] else 1) if named else 0, model=model,
            first_ms=epoch_ms(row["created_at"]), last_ms=at_ms, surface=kind, log_path=file.path,
        )
    )  # fmt: skip
    total = _rest(ask, row, since, facts)
    if total.total:
        provider = text(row["provider_name"])
        facts.append(
            RunningTotal(
                AGENT_ID, session_id, 0, at_ms, 0, ((model, total, 0),), only=True, provider=provider
            )
        )
    used = count(row["total_tokens"])
    if used:
        window = count(config.get("context_limit")) or 0
        facts.append(Context(AGENT_ID, session_id, at_ms, used, window))


def _rest(ask: Ask, row: dict[str, Any], since: int, facts: list[Fact]) -> Tokens:
    """What a session used beyond the calls in the ledger, if there is one: only one older than it can have that."""
    names = ("input", "output", "cache_read", "cache_write")
    used = [count(row[f"accumulated_{name}_tokens"]) or 0 for name in names]
    counted: tuple[Any, ...] = (0, 0, 0, 0)
    if any(used) and since:
        if epoch_ms(row["created_at"]) >= since:
            return Tokens()
        (counted,) = ask(
            f"SELECT {_SUMS} FROM usage_ledger WHERE session_id=? AND cost_source IS NOT ?",
            row["id"],
            _CARRIED,
        )
    prompt, output, cached, written = (
        max(0, a - (count(b) or 0)) for a, b in zip(used, counted, strict=True)
    )
    return tokens(AGENT_ID, facts, prompt=prompt, output=output, cache_read=cached, cache_write=written)


def _ledger(ask: Ask, memory: _State, facts: list[Fact]) -> bool:
    (newest,) = ask("SELECT max(id) FROM usage_ledger")
    if (count(newest[0]) or 0) < memory.ledger:
        memory.ledger = 0  # another database in its place
    rows = ask(
        "SELECT u.id, u.session_id, u.created_timestamp, u.model, u.input_tokens, u.output_tokens,"
        " u.cache_read_tokens, u.cache_write_tokens, u.cost, u.cost_source, s.provider_name"
        " FROM usage_ledger u LEFT JOIN sessions s ON s.id = u.session_id"
        f" WHERE u.id > ? ORDER BY u.id LIMIT {ROWS_MAX}",
        memory.ledger,
    )
    for number, session, at, model, prompt, output, cached, written, cost, source, provider in rows:
        memory.ledger = at_least(memory.ledger, number)
        session_id, at_ms = identifier(string(session)), epoch_ms(at)
        if source == _CARRIED or not session_id or not at_ms:
            continue
        found = tokens(AGENT_ID, facts, prompt=prompt, output=output, cache_read=cached, cache_write=written)
        facts.append(
            Usage(
                AGENT_ID, session_id, f"{session_id}:{at_ms}:{number}", at_ms, label(text(model)), found,
                text(provider), logged_nusd=_nusd(cost) if source != "estimated" else None,
            )
        )  # fmt: skip
    return len(rows) == ROWS_MAX


def _nusd(cost: object) -> int | None:
    if isinstance(cost, int | float) and cost == cost and 0 <= cost * 1e9 <= _MAX_NUSD:
        return round(cost * 1e9)
    return None


def _messages(ask: Ask, memory: _State, since: int, facts: list[Fact]) -> bool:
    """The answers of versions without a ledger: when there were calls, but not what they used."""
    if "message_id" not in ask.tables.get("messages", frozenset()):
        return False
    if memory.messages < 0:
        return False
    (newest,) = ask("SELECT max(id) FROM messages")
    if (count(newest[0]) or 0) < memory.messages:
        memory.messages = 0
    rows = ask(
        "SELECT id, message_id, session_id, role, created_timestamp FROM messages WHERE id > ? ORDER BY id"
        f" LIMIT {ROWS_MAX}",
        memory.messages,
    )
    for number, message, session, role, at in rows:
        memory.messages = at_least(memory.messages, number)
        at_ms, session_id = epoch_ms(at), identifier(string(session))
        if since and at_ms >= since:
            memory.messages = -1  # from here on the ledger tells
            return False
        if role == "assistant" and session_id and at_ms:
            key = identifier(string(message)) or f"{session_id}:{number}"
            facts.append(Usage(AGENT_ID, session_id, key, at_ms, "", Tokens()))
    return len(rows) == ROWS_MAX


def _ledger_since(ask: Ask) -> int:
    """When this database got its ledger; 0 = it has none. Sessions of still older versions may have been imported."""
    if "usage_ledger" not in ask.tables:
        return 0
    rows: list[tuple[Any, ...]] = []
    if "schema_version" in ask.tables:
        rows = ask("SELECT version, applied_at FROM schema_version ORDER BY version")
    newer = (epoch_ms(at) for version, at in rows if (count(version) or 0) >= _FIRST_LEDGER)
    return next(newer, 0) or 1


def signs(file: LogFile, ask: Ask) -> list[Fact]:
    """What the newest message of the sessions that changed last says."""
    facts: list[Fact] = []
    rows = ask(f"SELECT id, updated_at FROM sessions ORDER BY updated_at DESC LIMIT {_SIGNS}")
    for session, updated in rows:
        last = ask(
            "SELECT role, content_json, created_timestamp FROM messages WHERE session_id=?"
            " ORDER BY id DESC LIMIT 1",
            session,
        )
        for role, content, at in last:
            at_ms = max(epoch_ms(at), epoch_ms(updated)) or file.mtime_ms
            state, tool = _doing(role, content)
            facts.append(Activity(AGENT_ID, identifier(string(session)), at_ms, state, tool))
    return facts


def _doing(role: object, content: object) -> tuple[State, str]:
    parts = objects((record(f'{{"parts":{content}}}') or {}).get("parts")) if isinstance(content, str) else []
    if role != "assistant":
        return State.WORKING, ""
    for part in parts:
        if part.get("type") == "toolRequest":
            name = obj(obj(part.get("toolCall")).get("value")).get("name")
            return State.TOOL, text(name, 40).replace("__", ".")
    return State.IDLE, ""


AGENT = Agent(
    id=AGENT_ID,
    label="Goose",
    version=1,
    roots=Roots(
        env="GOOSE_PATH_ROOT",
        below="data/sessions",
        dirs=(
            "~/.local/share/goose/sessions",
            "$XDG_DATA_HOME/goose/sessions",
            "~/Library/Application Support/Block/goose/sessions",
            "~/Library/Application Support/goose/sessions",
            "$APPDATA/Block/goose/data/sessions",
        ),
    ),
    sources=(Database(suffixes=("sessions.db",), levels=(), read=read, signs=signs),),
    processes=Processes(
        agent=AGENT_ID,
        label="Goose",
        names=("goose", "goosed"),
        common_name=True,
        root_dirs=(".local/share/goose", "Library/Application Support/Block/goose", ".config/goose"),
        role_of=lambda argv: (
            None if len(argv) > 1 and argv[1] in ("configure", "info", "mcp", "update") else plain_role(argv)
        ),
        one_shot=lambda argv: len(argv) > 1 and argv[1] == "run",
        argv_session=lambda argv: flag_value(argv, "--session-id"),
        resume="goose session --resume --session-id {session_id}",
    ),
    resume="goose session --resume --session-id {session_id}",
    start_hint="run `goose` in a project folder",
    tokens=Quality.EXACT,
    missing="versions before 2026-06 tell only a total of each session; session files older than sessions.db",
)
