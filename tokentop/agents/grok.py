"""Grok Build: usage of each user turn. Pure.

`sessions/<encoded cwd>/<session>/updates.jsonl`: `{timestamp: s, method, params: {sessionId, update: {sessionUpdate:
"turn_completed", prompt_id, usage: {..., modelUsage: {model: the same}}, _meta: {eventId, agentTimestampMs}}}}`. A
fork copies these lines with new envelope times; what is in `_meta` stays. A parent's turn holds what its sub-agents
used, so their own turns are not counted. Built from reports of users, not from a run of the client.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tokentop.agents._lines import LineReader
from tokentop.agents.base import Agent, JsonDocument, JsonLines, LogFile, Roots
from tokentop.agents.decoding import (
    count,
    document,
    epoch_ms,
    identifier,
    label,
    obj,
    record,
    text,
    tokens,
)
from tokentop.agents.processes import Processes, before_dashes, flag_value, session_uuid
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import title

AGENT_ID = "grok"
_PROVIDER = "xai"

_NEEDLES = (b'"turn_completed"',)
_LIVE = (b'"user_message_chunk"', b'"tool_call"', b'"tool_call_update"')


class _Memory(Struct):
    """Decoder state: plain data."""

    named: bool = False
    call: str = ""


class GrokUpdates(LineReader[_Memory]):
    """Decoder of one session's updates; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Memory)
        summary = obj(record(file.beside)) if file.beside else {}
        self._is_sub_agent = _is_sub_agent(summary)

    @property
    def needles(self) -> tuple[bytes, ...]:
        return (*_NEEDLES, *_LIVE) if self.live else _NEEDLES

    def _record(self, found: dict[str, Any]) -> None:
        params = obj(found.get("params"))
        update = obj(params.get("update"))
        about = obj(params.get("_meta")) or obj(update.get("_meta")) or obj(found.get("_meta"))
        session = _session_id(self._file) or identifier(text(params.get("sessionId")))
        at_ms = epoch_ms(about.get("agentTimestampMs")) or epoch_ms(found.get("timestamp"))
        if not session:
            return
        if not self._memory.named:
            self._memory.named = True
            cwd = _unquoted(self._file.parents[0]) if len(self._file.parents) > 1 else ""
            self.facts.append(
                Session(AGENT_ID, session, cwd=cwd if cwd[:1] == "/" else "", log_path=self._file.path)
            )
        kind = update.get("sessionUpdate")
        if kind == "turn_completed":
            self._turn(session, update, about, at_ms)
        elif self.live and at_ms:
            self._step(session, str(kind), update, at_ms)

    def _turn(self, session: str, update: dict[str, Any], about: dict[str, Any], at_ms: int) -> None:
        usage, prompt = obj(update.get("usage")), text(update.get("prompt_id"))
        key = text(about.get("eventId")) or prompt or f"{session}:{at_ms}"
        models = obj(usage.get("modelUsage")) or {text(update.get("model")): usage}
        if usage and not self._is_sub_agent:
            for name, counts in models.items():
                model = label(text(name))
                self.facts.append(self._usage(session, f"{key}:{model}", model, obj(counts), at_ms))
        if self.live and at_ms:
            ended, self._memory.call = self._memory.call, ""
            cut = update.get("stop_reason") == "cancelled"
            self.facts.append(
                Activity(
                    AGENT_ID, session, at_ms, State.IDLE, ends_call="" if cut else ended,
                    lost_call=ended if cut else "",
                )
            )  # fmt: skip

    def _usage(self, session: str, key: str, model: str, counts: dict[str, Any], at_ms: int) -> Usage:
        """`inputTokens` holds what is cached, `outputTokens` the reasoning. A tick is 1e-10 dollars."""
        used = _tokens(self.facts, counts)
        ticks = counts.get("costUsdTicks")
        spent = ticks // 10 if type(ticks) is int and 0 <= ticks < 1 << 60 else None
        return Usage(
            AGENT_ID, session, key, at_ms or self._file.mtime_ms, model, used, _PROVIDER,
            duration_ms=count(counts.get("apiDurationMs")) or 0, at_estimated=not at_ms,
            kind=Kind.RESPONSE if used.total else Kind.UNKNOWN, logged_nusd=spent,
        )  # fmt: skip

    def _step(self, session: str, kind: str, update: dict[str, Any], at_ms: int) -> None:
        memory, status = self._memory, update.get("status")
        if kind == "user_message_chunk" and not memory.call:
            memory.call = f"{session}:{at_ms}"
            self.facts.append(Activity(AGENT_ID, session, at_ms, State.WORKING, call_id=memory.call))
        elif kind == "tool_call" or (kind == "tool_call_update" and status == "in_progress"):
            name = text(update.get("title"), 60) or text(update.get("kind"), 60)
            self.facts.append(Activity(AGENT_ID, session, at_ms, State.TOOL, name))
        elif kind == "tool_call_update" and status in ("completed", "failed"):
            self.facts.append(Activity(AGENT_ID, session, at_ms, State.WORKING))


def _tokens(facts: list[Fact], counts: dict[str, Any]) -> Tokens:
    return tokens(
        AGENT_ID, facts, prompt=counts.get("inputTokens"), cache_read=counts.get("cachedReadTokens"),
        cache_write=counts.get("cacheCreationTokens"), output=counts.get("outputTokens"),
        reasoning=counts.get("reasoningTokens"),
    )  # fmt: skip


def _session_id(file: LogFile) -> str:
    return identifier(file.parents[1]) if len(file.parents) > 1 else ""


def _unquoted(name: str) -> str:
    """A folder from its percent-encoded name."""
    head, *rest = name.split("%")
    out = bytearray(head.encode("utf-8", "replace"))
    for part in rest:
        try:
            out += bytes.fromhex(part[:2]) + part[2:].encode("utf-8", "replace")
        except ValueError:
            return ""
    return text(out.decode("utf-8", "replace"), 400)


# ---------------------------------------------------------------- what lies beside


def _is_sub_agent(summary: dict[str, Any]) -> bool:
    return text(summary.get("session_kind")).startswith("subagent")


def read_summary(file: LogFile, data: bytes) -> list[Fact]:
    """Facts of `summary.json`."""
    about = obj(document(data))
    info = obj(about.get("info"))
    session = _session_id(file) or identifier(text(info.get("id")))
    if not session:
        return []
    parent = identifier(text(about.get("parent_session_id")))
    sub_agent = _is_sub_agent(about)
    first_ms = epoch_ms(about.get("created_at"))
    last_ms = epoch_ms(about.get("last_active_at")) or epoch_ms(about.get("updated_at"))
    return [
        Session(
            AGENT_ID, session, parent_id=parent, root_id=parent or session,
            role=Role.SUB_AGENT if sub_agent else Role.FORK if parent else Role.MAIN,
            cwd=text(info.get("cwd"), 400), branch=text(about.get("head_branch")),
            title=title(text(about.get("generated_title") or about.get("session_summary"), 400)),
            title_rank=2, model=label(text(about.get("current_model_id") or info.get("model"))),
            first_ms=first_ms, last_ms=max(first_ms, last_ms),
        )
    ]  # fmt: skip


def read_signals(file: LogFile, data: bytes) -> list[Fact]:
    """The context gauge, in `signals.json`; it is rewritten without a time."""
    about = obj(document(data))
    used, session = count(about.get("contextTokensUsed")), _session_id(file)
    if not used or not session:
        return []
    window = count(about.get("contextWindowTokens")) or 0
    return [Context(AGENT_ID, session, file.mtime_ms, used, window)]


def one_shot(argv: Sequence[str]) -> bool:
    return any(word in {"-p", "--prompt", "--single"} for word in before_dashes(argv))


PROCESSES = Processes(
    agent=AGENT_ID,
    label="Grok Build",
    names=("grok",),
    common_name=True,
    root_env="GROK_HOME",
    root_dirs=(".grok",),
    one_shot=one_shot,
    argv_session=lambda argv: session_uuid(flag_value(argv, "--resume", "-r")),
    resume="grok --resume {session_id}",
)

_LEVELS = ("*", "*")

AGENT = Agent(
    id=AGENT_ID,
    label="Grok Build",
    version=1,
    roots=Roots(env="GROK_HOME", dirs=("~/.grok",)),
    sources=(
        JsonLines(
            folder="sessions", suffixes=("updates.jsonl",), levels=_LEVELS, beside="summary.json",
            decoder=GrokUpdates,
        ),
        JsonDocument(folder="sessions", suffixes=("summary.json",), levels=_LEVELS, read=read_summary),
        JsonDocument(folder="sessions", suffixes=("signals.json",), levels=_LEVELS, read=read_signals),
    ),
    processes=PROCESSES,
    resume="grok --resume {session_id}",
    start_hint="run `grok` in a project folder",
    missing="one record a turn, not one a call; turns that were cut off",
)  # fmt: skip
