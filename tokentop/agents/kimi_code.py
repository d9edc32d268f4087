"""Kimi Code. Pure.

    ~/.kimi-code/sessions/wd_<project>_<hash>/<session>/{state.json, agents/<agent>/wire.jsonl}

A line of a wire is `{"type", "agentId", "time": ms, ...}`. Each answer has a `usage.record` right after it, before
its tools run; `step.end` and `agent.message.appended` repeat the figures. A record of zeros is an answer that was
cut off. `usage.record.model` is an alias; the `llm.request` before it tells the model. A fork is a copy of the
wires that ends with `forked`. Sessions that were migrated from Kimi CLI hold messages and no usage.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import clean, mask_secrets, title

from ._kimi import Turn, prompt_text
from ._lines import LineReader
from .base import Agent, JsonLines, LogFile, Roots
from .decoding import epoch_ms, identifier, label, obj, record, text, tokens
from .processes import Processes, before_dashes, flag_value

AGENT_ID = "kimi-code"
_MAIN = "main"
_ALIASES = 100  # models of one wire that are remembered


class _Memory(Struct):
    titled: bool = False
    counted: bool = False  # a usage.record was read
    models: dict[str, str] = {}  # alias -> model, as the requests tell
    model: str = ""  # of the newest request
    sent_ms: int = 0
    turn: Turn = msgspec.field(default_factory=Turn)


class WireLines(LineReader[_Memory]):
    """Decoder of one wire; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Memory)
        self._session_id, agent_id = _place(file)
        self._owner = f"{self._session_id}/{agent_id}" if agent_id != _MAIN else self._session_id
        self._agent_id = agent_id
        self._pending: list[Fact] = []  # dropped where `forked` follows

    @property
    def needles(self) -> tuple[bytes, ...]:
        needles: tuple[bytes, ...] = (b'"usage.record"', b'"llm.request"', b'"forked"', b'"subagent.spawned"')
        if not self._memory.counted:
            needles = (*needles, b'"step.end"')
        if self.live:
            return (*needles, b'"turn.', b'"tool.', b'"step.end"', b'"interaction.', b'"permission.approval')
        return needles if self._memory.titled else (*needles, b'"turn.prompt"')

    def flush(self) -> None:
        self.facts += self._pending
        self._pending.clear()

    def _record(self, found: dict[str, Any]) -> None:
        memory, kind, at_ms = self._memory, found.get("type"), epoch_ms(found.get("time"))
        event = obj(found.get("event"))
        if kind == "llm.request":
            self._request(found, at_ms)
        elif kind == "usage.record":
            memory.counted = True
            self._usage(found, obj(found.get("usage")), at_ms)
        elif kind == "context.append_loop_event":
            if (
                event.get("type") == "step.end"
                and not memory.counted
                and isinstance(event.get("usage"), dict)
            ):
                self._usage(found, event["usage"], at_ms)
            if self.live:
                self._step(event, at_ms)
        elif kind == "forked":
            self._pending.clear()
            memory.turn = Turn()
        elif kind == "subagent.spawned":
            self._spawned(found)
        elif kind == "turn.prompt" and not memory.titled:
            self._titled(found)
        if self.live:
            self._turn(kind, found, at_ms)

    # ------------------------------------------------------------ who

    def _titled(self, found: dict[str, Any]) -> None:
        if prompt := prompt_text(found.get("input")):
            self._memory.titled = True
            if self._agent_id == _MAIN:
                self.facts.append(
                    Session(
                        AGENT_ID, self._owner, title=title(prompt), title_rank=1, log_path=self._file.path
                    )
                )

    def _spawned(self, found: dict[str, Any]) -> None:
        child = identifier(text(found.get("subagentId")))
        name = text(found.get("description"), 400) or text(found.get("subagentName"), 40)
        if child:
            self._pending.append(
                Session(
                    AGENT_ID, f"{self._session_id}/{child}", self._owner, self._session_id, Role.SUB_AGENT,
                    title=title(name), title_rank=1, first_ms=epoch_ms(found.get("time")),
                )
            )  # fmt: skip

    # ------------------------------------------------------------ how much

    def _request(self, found: dict[str, Any], at_ms: int) -> None:
        memory = self._memory
        memory.model, memory.sent_ms = label(text(found.get("model"))), at_ms
        alias = text(found.get("modelAlias"))
        if memory.model and (alias in memory.models or len(memory.models) < _ALIASES):
            memory.models[alias] = memory.model

    def _usage(self, found: dict[str, Any], used: dict[str, Any], at_ms: int) -> None:
        memory, alias = self._memory, text(found.get("model"))
        counts = tokens(
            AGENT_ID, self.facts, fresh=used.get("inputOther"), cache_read=used.get("inputCacheRead"),
            cache_write=used.get("inputCacheCreation"), output=used.get("output"),
        )  # fmt: skip
        model = memory.models.get(alias) or memory.model or label(alias)
        start_ms = memory.sent_ms if 0 < memory.sent_ms <= at_ms else 0
        memory.sent_ms = 0
        self._pending.append(
            Usage(
                AGENT_ID, self._owner, f"{text(found.get('agentId'))}:{at_ms}:{alias}:{_vector(counts)}",
                at_ms or self._file.mtime_ms, model, counts, "", at_ms - start_ms if start_ms else 0,
                kind=Kind.RESPONSE if counts.total else Kind.UNKNOWN, start_ms=start_ms, at_estimated=not at_ms,
            )
        )  # fmt: skip
        if counts.total:
            self._pending.append(Context(AGENT_ID, self._owner, at_ms, counts.prompt + counts.output))

    # ------------------------------------------------------------ status

    def _step(self, event: dict[str, Any], at_ms: int) -> None:
        turn, kind, tool_id = self._memory.turn, event.get("type"), text(event.get("toolCallId"))
        if kind == "tool.call":
            name = text(event.get("name"), 40) or "tool"
            self.facts.append(turn.starts_tool(AGENT_ID, self._owner, at_ms, tool_id, name))
        elif kind == "tool.result":
            self.facts.append(turn.ends_tool(AGENT_ID, self._owner, at_ms, tool_id))
        elif kind == "step.end" and event.get("finishReason") == "error":
            # Refused: it is sent again, or the end of the turn tells why not.
            self.facts.append(turn.answered(AGENT_ID, self._owner, at_ms))

    def _turn(self, kind: object, found: dict[str, Any], at_ms: int) -> None:
        turn, owner = self._memory.turn, self._owner
        if kind == "llm.request":
            call = f"{at_ms}:{text(found.get('turnStep'), 20)}"
            self.facts.append(turn.sends(AGENT_ID, owner, at_ms, call))
        elif kind == "usage.record" and any(obj(found.get("usage")).values()):
            self.facts.append(turn.answered(AGENT_ID, owner, at_ms))
        elif kind == "turn.prompt":
            self.facts.append(Activity(AGENT_ID, owner, at_ms, State.WORKING))
        elif kind == "turn.step.retrying":
            limited = found.get("statusCode") == 429 or "429" in text(found.get("errorMessage"), 400)
            if limited:
                detail = clean(mask_secrets(text(found.get("errorMessage"), 400)), 120)
                self.facts.append(Activity(AGENT_ID, owner, at_ms, State.LIMITED, "", detail))
        elif kind == "turn.ended":
            failed = found.get("reason") in ("failed", "error")
            # What was cut off has a record of zeros, which the store counts as a call without usage.
            turn.call = ""
            detail = clean(mask_secrets(text(obj(found.get("error")).get("message"), 400)), 120)
            self.facts.append(
                turn.ends(
                    AGENT_ID, owner, at_ms, State.ERROR if failed else State.IDLE, detail if failed else ""
                )
            )
        elif kind in ("permission.approval.requested", "interaction.request"):
            asked = obj(found.get("request"))
            asks = kind == "permission.approval.requested" or found.get("kind") == "approval"
            tool, detail = text(asked.get("toolName"), 40) or turn.tool, text(asked.get("action"), 80)
            state = State.PERMISSION if asks else State.INPUT
            self.facts.append(Activity(AGENT_ID, owner, at_ms, state, tool, detail if asks else ""))
        elif kind in ("permission.approval.resolved", "interaction.resolved"):
            state = State.TOOL if turn.tools else State.WORKING
            self.facts.append(Activity(AGENT_ID, owner, at_ms, state, turn.tool))


def read_state(file: LogFile, data: bytes) -> list[Fact]:
    """`state.json` of a session: folder, title, the session it was forked from, its sub-agents."""
    found = record(data)
    if found is None or not file.parents:
        return []
    session_id = identifier(text(found.get("id"))) or identifier(file.parents[-1])
    first_ms, cwd = epoch_ms(found.get("createdAt")), text(found.get("cwd"), 400)
    parent, name = identifier(text(found.get("forkedFrom"))), text(found.get("title"), 400)
    facts: list[Fact] = [
        Session(
            AGENT_ID, session_id, parent, session_id, Role.FORK if parent else Role.MAIN, cwd,
            title=title(name), title_rank=2, first_ms=first_ms,
        )
    ]  # fmt: skip
    for agent_id, about in list(obj(found.get("agents")).items())[:1000]:
        sub, above = identifier(text(agent_id)), identifier(text(obj(about).get("parentAgentId")))
        if not sub or sub == _MAIN:
            continue
        owner = f"{session_id}/{above}" if above and above != _MAIN else session_id
        role = text(obj(obj(about).get("labels")).get("profileName"), 40)
        facts.append(
            Session(
                AGENT_ID, f"{session_id}/{sub}", owner, session_id, Role.SUB_AGENT, cwd, title=role
            )
        )  # fmt: skip
    return facts


def _vector(counts: Tokens) -> str:
    return f"{counts.input}.{counts.cache_read}.{counts.cache_write_5m}.{counts.output}"


def _place(file: LogFile) -> tuple[str, str]:
    """(session, agent) of a wire, by its folders."""
    parents = file.parents
    if "agents" in parents:
        at = parents.index("agents")
        return identifier(parents[at - 1] if at else ""), identifier(
            "/".join(parents[at + 1 : at + 2])
        ) or _MAIN
    return identifier(parents[-1] if parents else file.stem), _MAIN


AGENT = Agent(
    id=AGENT_ID,
    label="Kimi Code",
    version=1,
    roots=Roots(env="KIMI_CODE_HOME", dirs=("~/.kimi-code",)),
    sources=(
        JsonLines(
            folder="sessions", suffixes=("wire.jsonl",), levels=("*", "*", "agents", "*"), decoder=WireLines,
            sidecar="state.json", read_sidecar=read_state,
        ),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="Kimi Code",
        names=("kimi-code",),
        package_dirs=("/node_modules/@moonshot-ai/kimi-code",),
        entry_names=("main", "kimi"),
        root_env="KIMI_CODE_HOME",
        root_dirs=(".kimi-code",),
        one_shot=lambda argv: bool({"-p", "--prompt"} & set(before_dashes(argv))),
        argv_session=lambda argv: identifier(flag_value(argv, "-S", "--session")),
        interrupt_keys=("Escape",),
        resume="kimi --session {session_id}",
    ),
    resume="kimi --session {session_id}",
    start_hint="run `kimi` in a project folder",
    missing="reasoning apart; tokens of streams that were cut",
    tried=("2.1.0",),
)  # fmt: skip
