"""Kimi CLI, the Python client that Kimi Code has succeeded. Pure.

    ~/.kimi/sessions/<md5 of the project folder>/<session>/{wire.jsonl, context.jsonl, state.json}
    ~/.kimi/sessions/<md5 of the project folder>/<session>/subagents/<agent>/{wire.jsonl, meta.json}

A line of a wire is `{"timestamp": s, "message": {"type", "payload"}}`, with spaces. Usage is in StatusUpdate; a
sub-agent's records are in its own wire, and once more in its parent's inside SubagentEvent (older versions: only
there). The project folder is the one of the system prompt in `context.jsonl` that has the md5 of the folder name,
and that of the last session in `kimi.json`. A migration to Kimi Code takes messages along but no usage, so what is
here is not counted there. The model is logged nowhere. A fork is a copy without a mark: its copied answers are
counted once, for one of the two sessions.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Usage
from tokentop.text import title

from ._kimi import Turn, prompt_text
from ._lines import LineReader
from .base import Agent, JsonDocument, JsonLines, LogFile, Roots
from .decoding import (
    count,
    document,
    epoch_ms,
    identifier,
    obj,
    objects,
    record,
    text,
    tokens,
)
from .processes import Processes

AGENT_ID = "kimi-cli"
_UNIQUE = 16  # a shorter message id may come again: Ollama numbers its answers chatcmpl-0 to chatcmpl-998
_MAX_PATHS = 200  # quoted paths of a system prompt that are tried


class _Memory(Struct):
    first_ms: int = 0
    titled: bool = False
    steps: int = 0
    turn: Turn = msgspec.field(default_factory=Turn)


class _Prompt(Struct):
    found: bool = False


class WireLines(LineReader[_Memory]):
    """Decoder of one wire; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Memory)
        self._session_id, self._agent_id = _place(file)

    @property
    def needles(self) -> tuple[bytes, ...]:
        needles: tuple[bytes, ...] = (b'"token_usage"',)
        if not (self._memory.titled and self._memory.first_ms):
            needles = (*needles, b'"TurnBegin"')
        if self.live:
            return (
                *needles, b'"TurnBegin"', b'"Step', b'"Tool', b'"TurnEnd"', b'"Approval', b'"QuestionRequest"',
            )  # fmt: skip
        return needles

    def _record(self, found: dict[str, Any]) -> None:
        message, at_ms = obj(found.get("message")), epoch_ms(found.get("timestamp"))
        owner = f"{self._session_id}/{self._agent_id}" if self._agent_id else self._session_id
        if at_ms and not self._memory.first_ms:
            self._begin(owner, at_ms)
        kind, payload = message.get("type"), obj(message.get("payload"))
        own = True
        while kind == "SubagentEvent":
            own = False
            child = identifier(text(payload.get("agent_id")))
            owner = f"{self._session_id}/{child}" if child else self._session_id
            event = obj(payload.get("event"))
            kind, payload = event.get("type"), obj(event.get("payload"))
        if kind == "StatusUpdate":
            self._status(owner, at_ms, payload, own)
        elif own and kind == "TurnBegin" and not self._memory.titled:
            self._titled(owner, payload)
        if self.live and own and kind != "StatusUpdate":
            self._activity(owner, at_ms, kind, payload)

    def _begin(self, owner: str, at_ms: int) -> None:
        self._memory.first_ms = at_ms
        sub = bool(self._agent_id)
        self.facts.append(
            Session(
                AGENT_ID, owner, self._session_id if sub else "", self._session_id,
                Role.SUB_AGENT if sub else Role.MAIN, first_ms=at_ms, log_path=self._file.path,
            )
        )  # fmt: skip

    def _titled(self, owner: str, payload: dict[str, Any]) -> None:
        if prompt := prompt_text(payload.get("user_input")):
            self._memory.titled = True
            if not self._agent_id:
                self.facts.append(Session(AGENT_ID, owner, title=title(prompt), title_rank=1))

    def _status(self, owner: str, at_ms: int, payload: dict[str, Any], own: bool) -> None:
        used = payload.get("token_usage")
        if not isinstance(used, dict):
            return
        counts = tokens(
            AGENT_ID, self.facts, fresh=used.get("input_other"), cache_read=used.get("input_cache_read"),
            cache_write=used.get("input_cache_creation"), output=used.get("output"),
        )  # fmt: skip
        vector = f"{counts.input}.{counts.cache_read}.{counts.cache_write_5m}.{counts.output}"
        named = text(payload.get("message_id"), 200)
        key = named if len(named) >= _UNIQUE else f"{named or f'{owner}:{at_ms}'}:{vector}"
        self.facts.append(
            Usage(
                AGENT_ID, owner, key, at_ms or self._file.mtime_ms, "", counts,
                kind=Kind.RESPONSE if counts.total else Kind.UNKNOWN, at_estimated=not at_ms,
            )
        )  # fmt: skip
        filled, window = count(payload.get("context_tokens")), count(payload.get("max_context_tokens"))
        if filled:
            self.facts.append(Context(AGENT_ID, owner, at_ms, filled, window or 0))
        if self.live and own:
            self.facts.append(self._memory.turn.answered(AGENT_ID, owner, at_ms))

    def _activity(self, owner: str, at_ms: int, kind: object, payload: dict[str, Any]) -> None:
        turn, found = self._memory.turn, None
        if kind == "StepBegin":
            found = turn.sends(AGENT_ID, owner, at_ms, f"{at_ms}:{count(payload.get('n')) or 0}")
        elif kind == "ToolCall":
            name = text(obj(payload.get("function")).get("name"), 40) or "tool"
            found = turn.starts_tool(AGENT_ID, owner, at_ms, text(payload.get("id")), name)
        elif kind == "ToolResult":
            found = turn.ends_tool(AGENT_ID, owner, at_ms, text(payload.get("tool_call_id")))
        elif kind == "ApprovalRequest":
            found = Activity(
                AGENT_ID, owner, at_ms, State.PERMISSION, turn.tool, text(payload.get("action"), 80)
            )
        elif kind == "ApprovalResponse":
            found = Activity(AGENT_ID, owner, at_ms, State.TOOL if turn.tools else State.WORKING, turn.tool)
        elif kind == "QuestionRequest":
            found = Activity(AGENT_ID, owner, at_ms, State.INPUT)
        elif kind == "StepInterrupted" or kind == "TurnEnd":
            found = turn.ends(AGENT_ID, owner, at_ms, State.IDLE)
        elif kind == "TurnBegin":
            found = Activity(AGENT_ID, owner, at_ms, State.WORKING)
        if found is not None:
            self.facts.append(found)


class PromptLines(LineReader[_Prompt]):
    """Decoder of `context.jsonl`: the project folder, from the system prompt, verified by the folder's name."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Prompt)

    @property
    def needles(self) -> tuple[bytes, ...]:
        return (b'"no more lines"',) if self._memory.found else (b'"_system_prompt"',)

    def _record(self, found: dict[str, Any]) -> None:
        if self._memory.found or found.get("role") != "_system_prompt":
            return
        content = found.get("content")
        paths = (
            re.findall(r"`((?:/|[A-Za-z]:\\)[^`\n]{0,1000})`", content) if isinstance(content, str) else []
        )
        folder = self._file.parents[0] if self._file.parents else ""
        for path in paths[:_MAX_PATHS]:
            if _md5(path) == folder[-32:]:
                self._memory.found = True
                session_id, agent_id = _place(self._file)
                owner = f"{session_id}/{agent_id}" if agent_id else session_id
                self.facts.append(Session(AGENT_ID, owner, cwd=text(path, 400)))
                return


def read_state(file: LogFile, data: bytes) -> list[Fact]:
    """`state.json` of a session: the title that was given. Without `title_generated` it is the first prompt of the
    session or, in 1.50.0, of its sub-agent."""
    found = record(data) or {}
    name = text(found.get("custom_title"), 400) if found.get("title_generated") is True else ""
    return [Session(AGENT_ID, _place(file)[0], title=title(name), title_rank=2)] if name else []


def read_meta(file: LogFile, data: bytes) -> list[Fact]:
    """`meta.json` of a sub-agent: what it was started for."""
    found, (session_id, agent_id) = record(data) or {}, _place(file)
    name = text(found.get("description"), 400) or text(found.get("subagent_type"), 40)
    if not name or not agent_id:
        return []
    return [
        Session(
            AGENT_ID, f"{session_id}/{agent_id}", session_id, session_id, Role.SUB_AGENT, title=title(name), title_rank=1
        )
    ]  # fmt: skip


def read_folders(_file: LogFile, data: bytes) -> list[Fact]:
    """`kimi.json`: the project folders, each with its last session."""
    found = obj(document(data)).get("work_dirs")
    pairs = [
        (text(one.get("path"), 400), identifier(text(one.get("last_session_id")))) for one in objects(found)
    ]
    return [Session(AGENT_ID, session_id, cwd=path) for path, session_id in pairs if path and session_id]


def _place(file: LogFile) -> tuple[str, str]:
    """(session, sub-agent or "") that a file belongs to, by its folders."""
    parents = file.parents
    if "subagents" in parents:
        at = parents.index("subagents")
        return identifier(parents[at - 1] if at else ""), identifier("/".join(parents[at + 1 : at + 2]))
    return identifier(parents[-1] if parents else file.stem), ""


def _md5(value: str) -> str:
    from hashlib import md5  # loads OpenSSL, which no start should wait for

    return md5(value.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


AGENT = Agent(
    id=AGENT_ID,
    label="Kimi CLI",
    version=1,
    roots=Roots(env="KIMI_SHARE_DIR", dirs=("~/.kimi",)),
    sources=(
        JsonLines(
            folder="sessions", suffixes=("wire.jsonl",), levels=("*", "*"), decoder=WireLines,
            sidecar="state.json", read_sidecar=read_state,
        ),
        JsonLines(
            folder="sessions", suffixes=("wire.jsonl",), levels=("*", "*", "subagents", "*"), decoder=WireLines,
            sidecar="meta.json", read_sidecar=read_meta,
        ),
        JsonLines(folder="sessions", suffixes=("context.jsonl",), levels=("*", "*", "subagents", "*"), decoder=PromptLines),
        JsonDocument(suffixes=("kimi.json",), levels=(), read=read_folders),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="Kimi CLI",
        # It sets its title, which replaces its arguments.
        names=("kimi", "kimi-cli", "Kimi Code"),
        common_name=True,
        root_env="KIMI_SHARE_DIR",
        root_dirs=(".kimi",),
        interrupt_keys=("Escape",),
        resume="kimi --session {session_id}",
    ),
    resume="kimi --session {session_id}",
    start_hint="run `kimi` in a project folder",
    missing="the model, so no price; reasoning apart; compactions; streams that were cut",
    tried=("1.50.0",),
)  # fmt: skip
