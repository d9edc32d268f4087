"""Cline: the CLI and its core, and the tasks of the editor extension.

Below `~/.cline/data/sessions/<session>/`:
`<session>.json`           {"session_id", "cwd", "started_at", "ended_at"?, "status", "pid", "metadata": {"title"}}
`<stem>.messages.json`     {"sessionId", "origin": {"parentThreadId"?}, "messages": [{"id", "role", "ts", "content",
                           "modelInfo"?, "metrics"?}]}, one for the session and one for each of its sub-agents
`<session>.compaction.json` what is sent in place of old messages; the messages themselves stay.
The totals in `<session>.json` repeat the metrics of its own messages. A sub-agent's messages are written when it has
ended; until then only `~/.cline/data/db/sessions.db` knows of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tokentop.agents import _vscode_tasks as tasks
from tokentop.agents import decoding
from tokentop.agents.base import Agent, Ask, Database, JsonDocument, LogFile, Reading, Roots
from tokentop.agents.processes import Processes, RegistryEntry, flag_value, role_without
from tokentop.nouns.facts import Fact
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import clean, title

AGENT_ID = "cline"
_ASKS = frozenset({"ask_question", "ask_followup_question"})
_HELPERS = frozenset(
    {"auth", "config", "connect", "doctor", "history", "hook", "hub", "mcp", "plugin", "schedule", "update"}
)
_LONGEST_MS = 3_600_000  # between a prompt and its answer; beyond, the log does not tell when it was sent


def read(file: LogFile, data: bytes) -> list[Fact]:
    """The facts of one document. ValueError if it is not whole."""
    document = decoding.obj(decoding.document(data))
    if isinstance(document.get("messages"), list):
        return _messages(file, document)
    return _session(file, document) if document.get("session_id") else []


# ---------------------------------------------------------------- <session>.json


def _session(file: LogFile, about: dict[str, Any]) -> list[Fact]:
    session_id = decoding.identifier(decoding.string(about.get("session_id")))
    metadata = decoding.obj(about.get("metadata"))
    forked_from = decoding.identifier(
        decoding.string(decoding.obj(metadata.get("fork")).get("forkedFromSessionId"))
    )
    began_ms, ended_ms = (decoding.epoch_ms(about.get(name)) for name in ("started_at", "ended_at"))
    facts: list[Fact] = [
        Session(
            AGENT_ID, session_id, parent_id=forked_from, role=Role.FORK if forked_from else Role.MAIN,
            cwd=decoding.text(about.get("cwd"), 400), title=_title(metadata.get("title") or about.get("prompt")),
            title_rank=1, model=decoding.text(about.get("model")), first_ms=began_ms,
            last_ms=ended_ms, surface=decoding.text(about.get("source")), log_path=file.path,
            version=decoding.text(decoding.obj(metadata.get("sessionHistoryOrigin")).get("version")),
        )
    ]  # fmt: skip
    if ended_ms:
        failed = about.get("status") == "failed"
        facts.append(
            Activity(
                AGENT_ID, session_id, ended_ms, State.ERROR if failed else State.DONE,
                detail="its run failed" if failed else "",
            )
        )  # fmt: skip
    elif began_ms and about.get("status") == "running":
        # It is made with the first prompt, whose message is written together with the answer.
        facts.append(Activity(AGENT_ID, session_id, began_ms, State.WORKING))
    elif about.get("status") == "idle":
        # Written right after the end of a turn; of one that was stopped in a tool the messages have the result alone.
        facts.append(Activity(AGENT_ID, session_id, file.mtime_ms, State.IDLE))
    return facts


# ---------------------------------------------------------------- <stem>.messages.json


def _messages(file: LogFile, document: dict[str, Any]) -> list[Fact]:
    origin = decoding.obj(document.get("origin"))
    session_id = decoding.identifier(decoding.string(document.get("sessionId"))) or file.stem
    parent_id = decoding.identifier(decoding.string(origin.get("parentThreadId")))
    facts: list[Fact] = []
    asked_ms = first_ms = at_ms = 0
    prompt = model = ""
    context = Tokens()
    last: dict[str, Any] = {}
    for message in decoding.objects(document["messages"]):
        at_ms = decoding.epoch_ms(message.get("ts")) or at_ms
        first_ms = first_ms or at_ms
        if message.get("role") == "user":
            asked_ms = at_ms
            prompt = prompt or _first_text(message.get("content"))
        elif message.get("role") == "assistant":
            usage = _usage(file, session_id, message, at_ms, asked_ms, facts)
            if usage is not None:
                facts.append(usage)
                model = usage.model or model
                context = usage.tokens if usage.tokens.total else context
        last = message
    facts.append(
        Session(
            AGENT_ID, session_id, parent_id=parent_id, role=Role.SUB_AGENT if parent_id else None, title=_title(prompt),
            model=model, first_ms=first_ms, last_ms=at_ms, log_path=file.path,
            version=decoding.text(origin.get("version")), surface=decoding.text(origin.get("source")),
        )
    )  # fmt: skip
    if context.total:
        facts.append(Context(AGENT_ID, session_id, at_ms, context.prompt + context.output))
    if at_ms:
        facts.append(_activity(session_id, last, at_ms, asked_ms))
    return facts


def _usage(
    file: LogFile, session_id: str, message: dict[str, Any], at_ms: int, asked_ms: int, facts: list[Fact]
) -> Usage | None:
    """One answer. Its input includes what was read from and written to the cache."""
    metrics = decoding.obj(message.get("metrics"))
    if not metrics and decoding.obj(message.get("metadata")).get("displayOnly") is True:
        return None  # a notice to the reader, no answer of a model
    tokens = decoding.tokens(
        AGENT_ID, facts, prompt=metrics.get("inputTokens", 0), cache_read=metrics.get("cacheReadTokens"),
        cache_write=metrics.get("cacheWriteTokens"), output=metrics.get("outputTokens"),
    )  # fmt: skip
    info = decoding.obj(message.get("modelInfo"))
    name = decoding.identifier(decoding.string(message.get("id")))
    start_ms = asked_ms if 0 < at_ms - asked_ms < _LONGEST_MS else 0
    return Usage(
        AGENT_ID, session_id, name or f"{session_id}:{at_ms}", at_ms or file.mtime_ms, decoding.text(info.get("id")),
        tokens, decoding.text(info.get("provider")), at_ms - start_ms if start_ms else 0, start_ms=start_ms,
        logged_nusd=decoding.nusd(metrics.get("cost")), at_estimated=not at_ms,
        kind=Kind.RESPONSE if tokens.total else Kind.UNKNOWN,
    )  # fmt: skip


def _activity(session_id: str, last: dict[str, Any], at_ms: int, asked_ms: int) -> Activity:
    """What the newest message says: a prompt or a result is answered, a call runs, an answer ends the turn."""
    if last.get("role") == "user":
        return Activity(AGENT_ID, session_id, at_ms, State.WORKING, call_id=f"{session_id}:{at_ms}")
    ended = f"{session_id}:{asked_ms}"
    called = [b for b in decoding.objects(last.get("content")) if b.get("type") == "tool_use"]
    if not called:
        return Activity(AGENT_ID, session_id, at_ms, State.IDLE, ends_call=ended)
    tool = decoding.text(called[-1].get("name"))
    state = State.INPUT if tool in _ASKS else State.TOOL
    return Activity(AGENT_ID, session_id, at_ms, state, tool=tool, ends_call=ended)


def _first_text(content: object) -> str:
    if isinstance(content, str):
        return content
    found = (b.get("text") for b in decoding.objects(content) if b.get("type") == "text")
    return next((text for text in found if isinstance(text, str) and text.strip()), "")


def _title(value: object) -> str:
    """A prompt as a title, without the tag that tells its mode."""
    text = decoding.string(value)[:2_000].strip()
    if text.startswith("<user_input"):
        text = text.partition(">")[2].partition("</user_input>")[0]
    return title(text)


def read_any(file: LogFile, data: bytes) -> list[Fact]:
    """A document of the extension's tasks."""
    return tasks.read(AGENT_ID, file, data)


# ---------------------------------------------------------------- sessions.db

_STATE = msgspec.msgpack.Decoder(tuple[int, int])
_AGAIN = 64  # rows before the newest one that are looked at again: their status changes in place
_COLUMNS = ("session_id", "parent_session_id", "status", "prompt", "model", "cwd", "started_at", "ended_at")
_ROWS = 500


def read_sub_agents(file: LogFile, ask: Ask, state: bytes) -> Reading:
    """Sub-agents since the rowid in `state`."""
    if not {*_COLUMNS, "is_subagent"} <= ask.tables.get("sessions", frozenset()):
        return Reading([], state)
    top = ask("SELECT max(rowid) FROM sessions")[0][0] or 0
    done, highest = _known(state)
    start = max(0, done - _AGAIN) if top >= highest else 0
    rows = _rows(ask, "rowid > ? ORDER BY rowid", start)
    last = rows[-1][0] if rows else start
    facts = [fact for row in rows for fact in _sub_agent(file, row[1:])]
    return Reading(facts, msgspec.msgpack.encode((max(last, done if start else 0), top)), len(rows) == _ROWS)


def signs(file: LogFile, ask: Ask) -> list[Fact]:
    """What the newest rows say of status."""
    if not {*_COLUMNS, "is_subagent"} <= ask.tables.get("sessions", frozenset()):
        return []
    top = ask("SELECT max(rowid) FROM sessions")[0][0] or 0
    rows = _rows(ask, "rowid > ? ORDER BY rowid", max(0, top - _AGAIN))
    return [f for row in rows for f in _sub_agent(file, row[1:]) if isinstance(f, Activity)]


def _rows(ask: Ask, which: str, start: int) -> list[tuple[Any, ...]]:
    # `prompt` can be long, `metadata_json` always is.
    columns = ", ".join("substr(prompt, 1, 400)" if name == "prompt" else name for name in _COLUMNS)
    return ask(f"SELECT rowid, {columns}, is_subagent FROM sessions WHERE {which} LIMIT {_ROWS}", start)


def _known(state: bytes) -> tuple[int, int]:
    """(the last rowid that was read, the highest one then)."""
    try:
        return _STATE.decode(state)
    except decoding.DECODE_ERRORS:
        return 0, 0


def _sub_agent(file: LogFile, row: Sequence[Any]) -> list[Fact]:
    name, parent, status, prompt, model, cwd, started, ended, is_sub_agent = row
    session_id, parent_id = (
        decoding.identifier(decoding.string(name)),
        decoding.identifier(decoding.string(parent)),
    )
    began_ms, ended_ms = decoding.epoch_ms(started), decoding.epoch_ms(ended)
    if not is_sub_agent or not session_id or not parent_id:
        return []
    facts: list[Fact] = [
        Session(
            AGENT_ID, session_id, parent_id=parent_id, role=Role.SUB_AGENT, cwd=decoding.text(cwd, 400),
            title=_title(prompt), model=decoding.text(model), first_ms=began_ms, last_ms=ended_ms, log_path=file.path,
        )
    ]  # fmt: skip
    if ended_ms:
        facts.append(Activity(AGENT_ID, session_id, ended_ms, State.DONE))
    elif began_ms and status == "running":
        facts.append(Activity(AGENT_ID, session_id, began_ms, State.WORKING))
    return facts


# ---------------------------------------------------------------- processes


_of_command = role_without(_HELPERS)


def role_of(argv: Sequence[str]) -> ProcRole | None:
    return ProcRole.DAEMON if "--cline-hub-daemon" in argv else _of_command(argv)


def parse_registry(_name: str, data: bytes) -> RegistryEntry | None:
    """`<session>.json` while its process runs: {"session_id", "pid", "started_at", "cwd", "interactive"}."""
    about = decoding.obj(decoding.document(data))
    pid, began_ms = about.get("pid"), decoding.epoch_ms(about.get("started_at"))
    if type(pid) is not int or pid <= 1 or not began_ms or about.get("ended_at"):
        return None
    return RegistryEntry(
        pid, decoding.identifier(decoding.string(about.get("session_id"))), session_ms=began_ms,
        cwd=clean(decoding.string(about.get("cwd")), 400), one_shot=about.get("interactive") is False,
    )  # fmt: skip


PROCESSES = Processes(
    agent=AGENT_ID,
    label="Cline",
    names=("cline",),
    package_dirs=("/node_modules/cline/", "/node_modules/@cline/cli"),
    root_env="CLINE_DIR",
    root_dirs=(".cline",),
    # A session's own file; those of its messages have a second dot, those of sub-agents no such end.
    registry=("data/sessions/*/*_?????.json",),
    parse_registry=parse_registry,
    role_of=role_of,
    argv_session=lambda argv: decoding.identifier(flag_value(argv, "--id")),
    argv_cwd=lambda argv: flag_value(argv, "--cwd", "-c"),
    interrupt_keys=("Escape",),
    resume="cline --id {session_id}",
)


def transcript(path: str) -> str:
    """The file with the messages of a session or of a task in an editor."""
    if "/data/sessions/" in path:
        return path if path.endswith(".messages.json") else path.removesuffix(".json") + ".messages.json"
    return tasks.transcript(path) if "/tasks/" in path else path


AGENT = Agent(
    id=AGENT_ID,
    label="Cline",
    version=1,
    roots=Roots(dirs=("$CLINE_DIR/", "~/.cline", *tasks.places("saoudrizwan.claude-dev"))),
    sources=(
        JsonDocument(folder="data/sessions", suffixes=(".messages.json", ".json"), levels=("*",), read=read),
        Database(folder="data/db", suffixes=("sessions.db",), levels=(), read=read_sub_agents, signs=signs),
        *tasks.sources(read_any, tasks.USED),
        JsonDocument(
            folder="data/tasks", suffixes=tasks.NAMES, levels=("*",), read=read_any, beside=tasks.USED
        ),
    ),
    processes=PROCESSES,
    transcript=transcript,
    resume="cline --id {session_id}",
    start_hint="run `cline` in a project folder, or open Cline in an editor",
    missing="reasoning apart from output; a compaction's own call; sub-agents that were killed",
    tried=("3.0.65",),
)
