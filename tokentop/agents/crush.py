"""Crush (Charm): one SQLite database in each project, with money only. Pure.

`sessions(id, parent_session_id, title, cost, prompt_tokens, completion_tokens, created_at, updated_at)`: the token
columns are a gauge of the last call, only `cost` (USD) accumulates, and a child's cost is added to its parent.
`messages(id, session_id, role, parts, model, provider, created_at, finished_at)`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Session, State
from tokentop.nouns.usage import RunningTotal, Tokens
from tokentop.text import title

from .base import Agent, Ask, Database, LogFile, Quality, Reading, Roots
from .decoding import count, epoch_ms, identifier, label, obj, objects, text
from .processes import Processes, before_dashes

AGENT_ID = "crush"
_SECONDS = "CASE WHEN updated_at > 100000000000 THEN updated_at / 1000 ELSE updated_at END"
_COLUMNS = ("title", "cost", "prompt_tokens", "completion_tokens", "created_at", "updated_at")
_LIVE_MS = 3_600_000
_LAST = 8
_MAX_USD = 1_000_000


def read(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """The sessions that changed since the newest time seen; times are seconds or milliseconds."""
    if not {"id", "parent_session_id", "cost", "updated_at"} <= ask.tables.get("sessions", frozenset()):
        return Reading([], state)
    since = int(state) if state.isdigit() else 0
    has = ask.tables["sessions"]
    columns = ", ".join(name if name in has else "NULL" for name in _COLUMNS)
    # A table of some hundred short rows; it has no index on its times.
    rows = ask(
        f"SELECT {_SECONDS} AS seconds, id, parent_session_id, {columns} FROM sessions"
        " WHERE seconds >= ? ORDER BY seconds",
        since,
    )
    facts: list[Fact] = []
    for row in rows:
        if not row[2]:
            facts += _session(file, ask, row)
    newest = max((row[0] for row in rows if type(row[0]) is int), default=since)
    return Reading(facts, str(newest).encode())


def signs(file: LogFile, ask: Ask) -> list[Fact]:
    since = str(max(0, file.mtime_ms - _LIVE_MS) // 1000).encode()
    return [fact for fact in read(file, ask, since).facts if isinstance(fact, Activity | Context)]


def _session(file: LogFile, ask: Ask, row: tuple[Any, ...]) -> list[Fact]:
    """A session of the user's own, whose cost includes that of its children."""
    _, row_id, _, named, cost, prompt, completion, created, updated = row
    session_id = identifier(text(row_id))
    updated_ms = epoch_ms(updated) or file.mtime_ms
    if not session_id:
        return []
    model, provider, activity = _last_messages(ask, session_id, row_id)
    facts: list[Fact] = [
        Session(
            AGENT_ID, session_id, cwd=_project(file), title=title(text(named, 400)), title_rank=1, model=model,
            first_ms=epoch_ms(created), last_ms=updated_ms, log_path=file.path,
        )
    ]  # fmt: skip
    if isinstance(cost, int | float) and not isinstance(cost, bool) and 0 < cost < _MAX_USD:
        total = ((model, Tokens(), round(cost * 1e9)),)
        facts.append(
            RunningTotal(AGENT_ID, session_id, 0, updated_ms, 0, total, only=True, provider=provider)
        )
    used = (count(prompt) or 0) + (count(completion) or 0)
    if used:
        facts.append(Context(AGENT_ID, session_id, updated_ms, used))
    if activity is not None and activity.at_ms >= file.mtime_ms - _LIVE_MS:
        facts.append(activity)
    return facts


def _last_messages(ask: Ask, session_id: str, row_id: object) -> tuple[str, str, Activity | None]:
    """(model, provider, status) from the newest messages, which are found in the index on their session."""
    has = ask.tables.get("messages", frozenset())
    if not {"session_id", "role", "parts", "model", "created_at"} <= has:
        return "", "", None
    provider = "provider" if "provider" in has else "NULL"
    updated = "updated_at" if "updated_at" in has else "created_at"
    rows = ask(
        f"SELECT role, model, {provider}, {updated}, parts FROM messages WHERE rowid IN"
        f" (SELECT rowid FROM messages WHERE session_id = ? ORDER BY rowid DESC LIMIT {_LAST})"
        " ORDER BY rowid DESC",
        row_id,
    )
    if not rows:
        return "", "", None
    model, source = next(((m, p) for role, m, p, *_ in rows if role == "assistant" and m), ("", ""))
    role, _, _, at, parts = rows[0]
    activity = Activity(AGENT_ID, session_id, epoch_ms(at), *_status(text(role), parts))
    return label(text(model)), label(text(source)), activity


def _status(role: str, parts: object) -> tuple[State, str]:
    """Of the newest message: a prompt, results of tools, or an answer with calls of tools or an end."""
    if role != "assistant":
        return State.WORKING, ""
    found = objects(_json(parts))
    end = next((obj(part.get("data")) for part in found if part.get("type") == "finish"), {})
    calls = [obj(part.get("data")) for part in found if part.get("type") == "tool_call"]
    reason = text(end.get("reason"))
    if calls and reason in {"", "tool_use"}:
        return State.TOOL, text(calls[-1].get("name"))
    if reason == "error":
        return State.ERROR, ""
    return (State.IDLE, "") if end else (State.WORKING, "")


def _json(value: object) -> object:
    try:
        return msgspec.json.decode(value) if isinstance(value, str | bytes) else None
    except (ValueError, RecursionError):
        return None


def _project(file: LogFile) -> str:
    """`<project>/.crush/crush.db`; elsewhere the database does not tell."""
    folder, _, name = file.path.replace("\\", "/").rpartition("/")[0].rpartition("/")
    return folder if name == ".crush" else ""


AGENT = Agent(
    id=AGENT_ID,
    label="Crush",
    version=1,
    roots=Roots(in_projects=True),
    sources=(Database(folder=".crush", suffixes=("crush.db",), levels=(), read=read, signs=signs),),
    processes=Processes(
        agent=AGENT_ID,
        label="Crush",
        names=("crush",),
        package_dirs=("/node_modules/@charmland/crush",),
        common_name=True,
        root_dirs=(".local/share/crush", ".config/crush"),
        one_shot=lambda argv: "run" in before_dashes(argv)[:1],
    ),
    resume="",
    signs=("crush@charm.land",),
    start_hint="run `crush` in a project folder",
    tokens=Quality.UNKNOWN,
    missing="tokens: only money, and nothing where a plan is paid at a flat rate",
)
