"""Hermes Agent: `state.db`, one for each profile.

A session has only running totals: in its own row those of the main conversation, and in `session_model_usage` one
row for each model and task, with what was spent beside it (compaction, titles, vision). Input excludes everything
cached, and reasoning is a part of the output: that is how Hermes itself adds them up. A session that was compacted
goes on under a new id whose totals begin at 0. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Role, Session, State
from tokentop.nouns.usage import RunningTotal, Tokens, Usage
from tokentop.text import title

from .base import ROWS_MAX, Agent, Ask, Database, LogFile, Quality, Reading, Roots
from .decoding import at_least, count, epoch_ms, identifier, obj, record, string, text, tokens
from .processes import Processes, flag_value, plain_role

AGENT_ID = "hermes"

_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_SESSION = (
    "id", "source", "model", "model_config", "billing_provider", "parent_session_id", "started_at", "ended_at",
    "end_reason", "title", "cwd", "actual_cost_usd", *_COUNTS,
)  # fmt: skip
_MODEL = ("session_id", "model", "billing_provider", "task", "last_seen", "actual_cost_usd", *_COUNTS)
_GOES_ON = frozenset(
    {"compression", "branched", "session_reset", "session_switch", "idle", "daily", "suspended",
     "resume_pending_expired"}
)  # fmt: skip
_RECENT = 32
_PAGE = 500
_SIGNS = 40
_MAX_NUSD = 10_000 * 10**9


class _State(Struct):
    """How far the tables were read: plain data."""

    sessions: int = 0
    messages: int = 0
    recent: list[
        str
    ] = []  # sessions that had something new last: their totals are written behind the messages


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """New messages, and the totals of the sessions that have them, had them last, or are new."""
    memory = msgspec.msgpack.decode(state, type=_State) if state else _State()
    facts: list[Fact] = []
    more, active = _messages(ask, memory, facts)
    rows = _new_rows(ask, memory)
    more = more or len(rows) == _PAGE
    touched = list(dict.fromkeys((*memory.recent, *rows, *active)))
    memory.recent = touched[-_RECENT:]
    for start in range(0, len(touched), _PAGE):
        _sessions(file, ask, touched[start : start + _PAGE], facts)
    return Reading(facts, msgspec.msgpack.encode(memory), more)


def _new_rows(ask: Ask, memory: _State) -> list[str]:
    (newest,) = ask("SELECT max(rowid) FROM sessions")
    if (count(newest[0]) or 0) < memory.sessions:
        memory.sessions = 0  # another database in its place
    rows = ask(
        f"SELECT rowid, id FROM sessions WHERE rowid > ? ORDER BY rowid LIMIT {_PAGE}", memory.sessions
    )
    if rows:
        memory.sessions = at_least(memory.sessions, rows[-1][0])
    return [session for _, session in rows if isinstance(session, str)]


def _messages(ask: Ask, memory: _State, facts: list[Fact]) -> tuple[bool, list[str]]:
    """Answers, without what they used; and which sessions have new messages."""
    if not {"role", "timestamp"} <= ask.tables.get("messages", frozenset()):
        return False, []
    (newest,) = ask("SELECT max(id) FROM messages")
    if (count(newest[0]) or 0) < memory.messages:
        memory.messages = 0
    rows = ask(
        "SELECT m.id, m.session_id, m.role, m.timestamp, s.started_at, s.model FROM messages m"
        f" JOIN sessions s ON s.id = m.session_id WHERE m.id > ? ORDER BY m.id LIMIT {ROWS_MAX}",
        memory.messages,
    )
    active: dict[str, None] = {}
    for number, session, role, at, started, model in rows:
        memory.messages = at_least(memory.messages, number)
        session_id, at_ms = identifier(string(session)), epoch_ms(at)
        if not session_id:
            continue
        active[session] = None
        # What a session took over from another one is older than itself.
        if role == "assistant" and at_ms and at_ms >= epoch_ms(started):
            key = f"{session_id}:{at_ms}"
            facts.append(Usage(AGENT_ID, session_id, key, at_ms, text(model), Tokens()))
    return len(rows) == ROWS_MAX, list(active)


def _sessions(file: LogFile, ask: Ask, ids: list[str], facts: list[Fact]) -> None:
    wanted = json.dumps(ids)
    known = ask.tables.get("sessions", frozenset())
    columns = ", ".join(f"s.{name}" if name in known else f"NULL AS {name}" for name in _SESSION)
    above = "p.end_reason" if "end_reason" in known else "NULL"
    rows = ask(
        f"SELECT {columns}, {above} FROM sessions s LEFT JOIN sessions p ON p.id = s.parent_session_id"
        " WHERE s.id IN (SELECT value FROM json_each(?))",
        wanted,
    )
    parts: dict[str, list[dict[str, Any]]] = {}
    if set(_MODEL) <= ask.tables.get("session_model_usage", frozenset()):
        for values in ask(
            f"SELECT {', '.join(_MODEL)} FROM session_model_usage"
            " WHERE session_id IN (SELECT value FROM json_each(?))",
            wanted,
        ):
            part = dict(zip(_MODEL, values, strict=True))
            parts.setdefault(part["session_id"], []).append(part)
    for values in rows:
        row = dict(zip((*_SESSION, "parent_end"), values, strict=True))
        _session(file, row, facts)
        own = parts.get(row["id"], [])
        last_ms = epoch_ms(row["ended_at"]) or (0 if own else _last_message(ask, row["id"]))
        _totals(last_ms or file.mtime_ms, row, own, facts)


def _last_message(ask: Ask, session: object) -> int:
    if "timestamp" not in ask.tables.get("messages", frozenset()):
        return 0
    (newest,) = ask("SELECT max(timestamp) FROM messages WHERE session_id=?", session)
    return epoch_ms(newest[0])


def _session(file: LogFile, row: dict[str, Any], facts: list[Fact]) -> None:
    session_id, parent = identifier(string(row["id"])), identifier(string(row["parent_session_id"]))
    config = obj(record(row["model_config"])) if isinstance(row["model_config"], str) else {}
    goes_on = row["parent_end"] in _GOES_ON or "_branched_from" in config or "_reset_from" in config
    sub_agent = parent and ("_delegate_from" in config or not goes_on)
    name = row["title"]
    named = isinstance(name, str) and bool(name.strip())
    facts.append(
        Session(
            AGENT_ID, session_id, parent, parent, Role.SUB_AGENT if sub_agent else Role.MAIN,
            text(row["cwd"], 400), title=title(name) if named else "", title_rank=1 if named else 0,
            model=text(row["model"]), first_ms=epoch_ms(row["started_at"]), last_ms=epoch_ms(row["ended_at"]),
            surface=text(row["source"], 40), log_path=file.path,
        )
    )  # fmt: skip


def _totals(last_ms: int, row: dict[str, Any], parts: list[dict[str, Any]], facts: list[Fact]) -> None:
    """The session's total as a sum that grows model by model, the one used last at its end.

    So that each part is filed under its model at the first reading, and what is added later under the last one.
    """
    session_id = identifier(string(row["id"]))
    main = _sum(_counts(part, facts) for part in parts if not part["task"])
    whole = _counts(row, facts)
    rest = Tokens(
        max(0, whole.input - main.input), max(0, whole.cache_read - main.cache_read),
        max(0, whole.cache_write_5m - main.cache_write_5m), 0, max(0, whole.output - main.output),
        max(0, whole.reasoning - main.reasoning),
    )  # fmt: skip
    cost = _nusd(row["actual_cost_usd"]) - sum(_nusd(p["actual_cost_usd"]) for p in parts if not p["task"])
    steps = [(epoch_ms(part["last_seen"]) or last_ms, part) for part in parts]
    steps.sort(key=lambda step: (step[0], str(step[1]["model"]), str(step[1]["task"])))
    first_ms = min((at_ms for at_ms, _ in steps), default=last_ms)
    total, spent = rest, max(0, cost)
    _grown(session_id, first_ms, row, total, spent, facts)
    for at_ms, part in steps:
        total += _counts(part, [])
        spent += _nusd(part["actual_cost_usd"])
        _grown(session_id, at_ms, part, total, spent, facts)


def _grown(
    session_id: str, at_ms: int, row: dict[str, Any], total: Tokens, spent: int, facts: list[Fact]
) -> None:
    if total.total or spent:
        models = ((text(row["model"]), total, spent),)
        provider = text(row["billing_provider"])
        facts.append(RunningTotal(AGENT_ID, session_id, 0, at_ms, 0, models, only=True, provider=provider))


def _counts(row: dict[str, Any], facts: list[Fact]) -> Tokens:
    fresh, output, read_, written, reasoning = (row[name] for name in _COUNTS)
    return tokens(
        AGENT_ID,
        facts,
        fresh=fresh,
        output=output,
        cache_read=read_,
        cache_write=written,
        reasoning=reasoning,
    )


def _sum(parts: Iterable[Tokens]) -> Tokens:
    return sum(parts, Tokens())


def _nusd(cost: object) -> int:
    if isinstance(cost, int | float) and cost == cost and 0 <= cost * 1e9 <= _MAX_NUSD:
        return round(cost * 1e9)
    return 0


def signs(file: LogFile, ask: Ask) -> list[Fact]:
    """What the newest messages say, of each session the last one."""
    found: dict[str, Activity] = {}
    rows = ask(
        f"SELECT session_id, role, tool_calls, timestamp FROM messages ORDER BY id DESC LIMIT {_SIGNS}"
    )
    for session, role, calls, at in rows:
        session_id = identifier(string(session))
        if session_id and session_id not in found:
            tool = _tool(calls) if role == "assistant" else ""
            state = State.TOOL if tool else State.IDLE if role == "assistant" else State.WORKING
            found[session_id] = Activity(AGENT_ID, session_id, epoch_ms(at) or file.mtime_ms, state, tool)
    return list(found.values())


def _tool(calls: object) -> str:
    """The name of the first of some tool calls, `[{"function": {"name": …}}, …]`."""
    listed = (record(f'{{"calls":{calls}}}') or {}).get("calls") if isinstance(calls, str) and calls else None
    first = obj(listed[0]) if isinstance(listed, list) and listed else {}
    return text(obj(first.get("function")).get("name") or first.get("name"), 40)


AGENT = Agent(
    id=AGENT_ID,
    label="Hermes Agent",
    version=1,
    roots=Roots(env="HERMES_HOME", dirs=("~/.hermes",)),
    sources=tuple(
        Database(folder=folder, suffixes=("state.db",), levels=levels, read=read, signs=signs)
        for folder, levels in (("", ()), ("profiles", ("*",)))
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="Hermes Agent",
        names=("hermes",),
        common_name=True,
        root_env="HERMES_HOME",
        root_dirs=(".hermes",),
        role_of=lambda argv: (
            None if len(argv) > 1 and argv[1] in ("setup", "config", "update", "doctor") else plain_role(argv)
        ),
        one_shot=lambda argv: "-q" in argv or "-z" in argv or "--query" in argv,
        argv_session=lambda argv: flag_value(argv, "-r", "--resume"),
        resume="hermes --resume {session_id}",
    ),
    resume="hermes --resume {session_id}",
    start_hint="run `hermes` in a terminal",
    tokens=Quality.TOTAL,
    missing="usage per call; the lifetime of cache writes",
)
