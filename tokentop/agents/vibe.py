"""Mistral Vibe: the journal and the generations of a session (3.x), the running total of older versions. Pure.

`logs/session/unified/<session>/journal/<sequence>.jsonl` holds the completions. Its client deletes segments that a
generation covers; `generations/<n>/projection-state.json` then keeps their sum, which is given as a running total.
`meta.json` alone names model, folder and branch. 2.x has `logs/session/<name>/meta.json` with a total and no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.agents._lines import LineReader
from tokentop.agents.base import Agent, JsonDocument, JsonLines, LogFile, Quality, Roots
from tokentop.agents.decoding import (
    count,
    document,
    epoch_ms,
    identifier,
    label,
    obj,
    objects,
    text,
    tokens,
)
from tokentop.agents.processes import Processes, before_dashes, flag_value, session_uuid
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import RunningTotal, Tokens, Usage
from tokentop.text import title

AGENT_ID = "vibe"

_NEEDLES = (b'"completion_succeeded"',)
_USER = b'"user_message"'
_LIVE = (_USER, b'"completion_failed"', b'"interrupt"', b'"action_intent"', b'"activeCallbacks"')


class _Memory(Struct):
    """Decoder state: plain data. Times stand in `core_input` and `projection_delta` alone."""

    named: bool = False
    titled: bool = False
    at_ms: int = 0
    call: str = ""


class VibeJournal(LineReader[_Memory]):
    """Decoder of one segment of a journal; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Memory)
        self._session = identifier(file.parents[0]) if file.parents else ""

    @property
    def needles(self) -> tuple[bytes, ...]:
        if self.live:
            return (*_NEEDLES, *_LIVE)
        return _NEEDLES if self._memory.titled else (*_NEEDLES, _USER)

    def _record(self, found: dict[str, Any]) -> None:
        kind, payload = found.get("type"), obj(found.get("payload"))
        if not self._session:
            return
        if not self._memory.named:
            self._memory.named = True
            self.facts.append(Session(AGENT_ID, self._session, log_path=self._file.path))
        if kind == "core_input":
            self._input(obj(payload.get("input")))
        elif kind == "action_intent":
            self._intent(payload)
        elif kind == "projection_delta":
            self._delta(payload)

    def _input(self, given: dict[str, Any]) -> None:
        memory, command = self._memory, obj(given.get("command"))
        at_ms = epoch_ms(obj(given.get("determinism")).get("time_unix_ms"))
        memory.at_ms = max(memory.at_ms, at_ms)
        kind = command.get("type")
        if kind == "completion_succeeded":
            self._completed(command, at_ms)
            calls = obj(command.get("result")).get("finish_reason") == "tool_call"
            self._activity(State.WORKING if calls else State.IDLE, ends=text(command.get("action_id")))
        elif kind == "user_message":
            said = (part.get("text") for part in objects(command.get("content")))
            prompt = next((part for part in said if isinstance(part, str)), "")
            if prompt.strip() and not memory.titled:
                memory.titled = True
                self.facts.append(Session(AGENT_ID, self._session, title=title(prompt), title_rank=1))
            self._activity(State.WORKING)
        elif kind == "completion_failed":
            said_why = text(obj(command.get("error")).get("message"))
            limited = "429" in said_why or "rate limit" in said_why.lower()
            self._activity(State.LIMITED if limited else State.ERROR, detail=said_why, lost=True)
        elif kind == "interrupt":
            self._activity(State.IDLE, lost=True)

    def _completed(self, command: dict[str, Any], at_ms: int) -> None:
        """A completion stands in an `action_result` as well, a moment before and without its time."""
        counts, key = obj(obj(command.get("result")).get("usage")), text(command.get("action_id"))
        if not counts or not key:
            return
        used = _tokens(self.facts, counts, "input_tokens", "cached_input_tokens", "output_tokens")
        self.facts.append(
            Usage(
                AGENT_ID, self._session, key, at_ms or self._file.mtime_ms, "", used, at_estimated=not at_ms
            )
        )  # fmt: skip
        if at_ms:
            self.facts.append(Context(AGENT_ID, self._session, at_ms, used.prompt))

    def _intent(self, payload: dict[str, Any]) -> None:
        kind, request = payload.get("kind"), obj(payload.get("request"))
        if kind == "completion":
            self._activity(State.WORKING, call=text(payload.get("action_id")))
        elif kind == "tool":
            name = text(obj(request.get("call")).get("name"), 60)
            self._activity(State.TOOL, tool=name.rsplit(".", 1)[-1])

    def _delta(self, payload: dict[str, Any]) -> None:
        """The picture that the client shows: what waits for a person."""
        for change in objects(payload.get("delta")):
            state = obj(change.get("state"))
            waiting = objects(state.get("activeCallbacks"))
            if waiting:
                at_ms = epoch_ms(obj(state.get("session")).get("updatedAt"))
                self._memory.at_ms = max(self._memory.at_ms, at_ms)
                asks = obj(waiting[-1].get("detail")).get("kind") == "user_input"
                said = text(waiting[-1].get("title"))
                self._activity(State.INPUT if asks else State.PERMISSION, detail=said)

    def _activity(
        self,
        state: State,
        *,
        tool: str = "",
        detail: str = "",
        call: str = "",
        ends: str = "",
        lost: bool = False,
    ) -> None:
        memory = self._memory
        lost_call = memory.call if lost else ""
        memory.call = call or ("" if ends or lost else memory.call)
        if self.live and memory.at_ms:
            self.facts.append(
                Activity(AGENT_ID, self._session, memory.at_ms, state, tool, detail, call, ends, lost_call)
            )


def _tokens(facts: list[Fact], counts: dict[str, Any], prompt: str, cached: str, output: str) -> Tokens:
    """The prompt holds what is cached; reasoning is a part of the output that no record tells."""
    return tokens(
        AGENT_ID, facts, prompt=counts.get(prompt), cache_read=counts.get(cached), output=counts.get(output)
    )


# ---------------------------------------------------------------- documents


def read_projection(file: LogFile, data: bytes) -> list[Fact]:
    """The running total of `generations/<n>/projection-state.json`: all completions up to its sequence."""
    found = obj(document(data))
    about = obj(obj(found.get("snapshot")).get("session"))
    session = identifier(text(about.get("id"))) or (identifier(file.parents[0]) if file.parents else "")
    counts, at_ms = obj(about.get("tokenUsage")), epoch_ms(about.get("updatedAt"))
    if not session or not counts or not at_ms:
        return []
    first = title(text(about.get("preview"), 400))  # a prompt whose segment may be gone
    facts: list[Fact] = [Session(AGENT_ID, session, title=first, title_rank=2)]
    used = _tokens(facts, counts, "inputTokens", "cachedInputTokens", "outputTokens")
    number = count(found.get("snapshot_sequence")) or 0
    facts.append(RunningTotal(AGENT_ID, session, number, at_ms, 0, (("", used, 0),)))
    return facts


def _session(about: dict[str, Any], file: LogFile) -> Session | None:
    session, parent = (identifier(text(about.get(k))) for k in ("session_id", "parent_session_id"))
    if not session:
        return None
    config, place = obj(about.get("config")), obj(about.get("environment"))
    first_ms, last_ms = (epoch_ms(about.get(name)) for name in ("start_time", "end_time"))
    sub_agent = "agents" in file.parents
    return Session(
        AGENT_ID, session, parent_id=parent, root_id=parent or session,
        role=Role.SUB_AGENT if sub_agent else None if parent else Role.MAIN,
        cwd=text(place.get("working_directory"), 400), branch=text(about.get("git_branch")),
        title=title(text(about.get("title"), 400)), title_rank=3, first_ms=first_ms,
        last_ms=max(first_ms, last_ms),
        model=label(text(config.get("model_name")) or text(config.get("active_model"))),
    )  # fmt: skip


def read_meta(file: LogFile, data: bytes) -> list[Fact]:
    """Facts of `unified/<session>/meta.json`."""
    found = _session(obj(document(data)), file)
    return [found] if found is not None else []


def read_old(file: LogFile, data: bytes) -> list[Fact]:
    """Facts of the `meta.json` of 2.x. Its cost is at the prices of the last model: it is not taken."""
    about = obj(document(data))
    session, stats = _session(about, file), obj(about.get("stats"))
    if session is None:
        return []
    facts: list[Fact] = [msgspec.structs.replace(session, log_path=file.path)]
    at_ms = session.last_ms or file.mtime_ms
    used = _tokens(
        facts, stats, "session_prompt_tokens", "session_cached_tokens", "session_completion_tokens"
    )
    if used.total:
        models = ((session.model, used, 0),)
        facts.append(RunningTotal(AGENT_ID, session.id, 0, at_ms, 0, models, only=True))
    gauge = count(stats.get("context_tokens"))
    if gauge:
        facts.append(Context(AGENT_ID, session.id, at_ms, gauge))
    return facts


# ---------------------------------------------------------------- processes


def one_shot(argv: Sequence[str]) -> bool:
    return any(word in {"-p", "--prompt"} or word.startswith("--prompt=") for word in before_dashes(argv))


def fd_session(path: str) -> str:
    """The session of the lock that its process holds."""
    folder, _, name = path.rpartition("/")
    return session_uuid(name.removesuffix(".lock")) if folder.endswith("/logs/session/active") else ""


PROCESSES = Processes(
    agent=AGENT_ID,
    label="Mistral Vibe",
    names=("vibe", "vibe-rs", "vibe-app-server"),
    common_name=True,
    root_env="VIBE_HOME",
    root_dirs=(".vibe",),
    one_shot=one_shot,
    argv_session=lambda argv: session_uuid(flag_value(argv, "--resume")),
    fd_session=fd_session,
    interrupt_keys=("Escape",),
    resume="vibe --resume {session_id}",
)

AGENT = Agent(
    id=AGENT_ID,
    label="Mistral Vibe",
    version=1,
    roots=Roots(env="VIBE_HOME", dirs=("~/.vibe",)),
    sources=(
        JsonLines(
            folder="logs/session/unified", suffixes=(".jsonl",), levels=("*", "journal"), decoder=VibeJournal
        ),
        JsonDocument(
            folder="logs/session/unified", suffixes=("projection-state.json",),
            levels=("*", "generations", "*"), read=read_projection,
        ),
        JsonDocument(folder="logs/session/unified", suffixes=("meta.json",), levels=("*",), read=read_meta),
        JsonDocument(
            folder="logs/session", suffixes=("meta.json",), levels=("*", "agents", "*"), read=read_old
        ),
    ),
    processes=PROCESSES,
    resume="vibe --resume {session_id}",
    signs=("vibe@mistral.ai",),
    start_hint="run `vibe` in a project folder",
    tokens=Quality.EXACT,
    missing="answers that were cut off, titles; what was deleted before it was read comes as a sum",
    tried=("3.0.2",),
)  # fmt: skip
