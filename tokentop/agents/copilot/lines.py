"""Copilot CLI's `events.jsonl`: lines -> facts.

`{type, data, id, timestamp, agentId?}`. Newer versions write one `session.usage_record` per call; older ones only
totals at `session.shutdown`. A fork begins with a copy of its parent's lines, under their own times. Pure.
"""

from __future__ import annotations

from typing import Any

from msgspec import field

from tokentop.agents._lines import LineReader
from tokentop.agents.base import LogFile
from tokentop.agents.decoding import (
    count,
    epoch_ms,
    identifier,
    label,
    obj,
    string,
    text,
)
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind
from tokentop.text import title

from .calls import Calls
from .sidecar import AGENT_ID
from .totals import Vector, add, rest, vector_of
from .usage import Said, counted, heard, lost, nano_told, spoken, usage_of

_NEEDLES = (b'"session.', b'"assistant.turn_', b'"subagent.', b'"abort"')
_MESSAGE, _USER = b'"assistant.message"', b'"user.message"'
_LIVE = (b'"tool.execution_', b'"permission.')
_MAX_SAID = 2_000
_LIMITS = frozenset({"rate_limit", "quota"})


class _Memory(Calls):
    """Decoder state between slices and restarts: plain data."""

    session_id: str = ""
    first_ms: int = 0
    model: str = ""
    cwd: str = ""
    branch: str = ""
    titled: bool = False
    has_records: bool = False
    owner: str = ""  # of copied lines: the session that made the last copied call
    whole: dict[str, Vector] = field(default_factory=dict)  # counted in the session, by model
    part: dict[str, Vector] = field(default_factory=dict)  # counted since the last shutdown or resume
    said: dict[str, Said] = field(default_factory=dict)


class CopilotLines(LineReader[_Memory]):
    """Decoder of one session; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Memory)
        if not self._memory.session_id:
            named = file.parents[-1] if file.stem == "events" and file.parents else file.stem
            self._memory.session_id = identifier(named)
        self._context: dict[str, Context] = {}
        self._event_id = ""
        self._at_ms = 0
        self._timeless = False
        self._agent = ""
        self._copied = False
        self._handlers = {
            "session.start": self._start,
            "session.resume": self._start,
            "session.model_change": self._model_change,
            "session.usage_record": self._usage_record,
            "session.usage_info": self._usage_info,
            "session.compaction_complete": self._compaction,
            "session.shutdown": self._shutdown,
            "session.error": self._error,
            "user.message": self._prompt,
            "assistant.turn_start": self._turn_start,
            "assistant.turn_end": self._turn_end,
            "assistant.message": self._message,
            "abort": self._abort,
            "subagent.started": self._sub_agent,
            "subagent.completed": self._sub_agent_end,
            "subagent.failed": self._sub_agent_end,
            "tool.execution_start": self._tool,
            "tool.execution_complete": self._tool_end,
            "permission.requested": self._permission,
            "permission.completed": self._permission_end,
        }

    @property
    def needles(self) -> tuple[bytes, ...]:
        memory = self._memory
        needles = _NEEDLES if memory.has_records else (*_NEEDLES, _MESSAGE)
        if self.live:
            return (*needles, *_LIVE, _USER)
        return needles if memory.titled else (*needles, _USER)

    def flush(self) -> None:
        self.facts.extend(self._context.values())
        self._context.clear()

    def _record(self, found: dict[str, Any]) -> None:
        kind = found.get("type")
        handler = self._handlers.get(kind) if isinstance(kind, str) else None
        if handler is None:
            return
        memory, data = self._memory, obj(found.get("data"))
        told_ms = epoch_ms(found.get("timestamp"))
        self._at_ms, self._timeless = told_ms or memory.first_ms or self._file.mtime_ms, not told_ms
        self._copied = self._at_ms < memory.first_ms
        # Older versions name a sub-agent only by the tool call that started it.
        self._agent = identifier(string(found.get("agentId"))) or identifier(
            string(data.get("parentToolCallId"))
        )
        self._event_id = (
            identifier(string(found.get("id"))) or f"{memory.session_id}:{self._at_ms}:{self._agent}"
        )
        handler(data)

    # ------------------------------------------------------------ who

    def _session(self) -> str:
        """The session that the line belongs to: a sub-agent's, or in the copied part the parent's."""
        memory = self._memory
        root = (memory.owner if self._copied else "") or memory.session_id
        return f"{root}/{self._agent}" if self._agent else root

    def _start(self, data: dict[str, Any]) -> None:
        memory = self._memory
        if "startTime" in data and not memory.first_ms:
            memory.session_id = identifier(string(data.get("sessionId"))) or memory.session_id
            memory.first_ms = self._at_ms
        elif not self._copied and data.get("sessionWasActive") is not True:
            self._all_lost()
            memory.part, memory.said = {}, {}
        memory.model = label(string(data.get("selectedModel"))) or memory.model
        if self._copied:
            return
        place = obj(data.get("context"))
        memory.cwd = text(place.get("cwd"), 400) or memory.cwd
        memory.branch = text(place.get("branch")) or memory.branch
        self.facts.append(
            Session(
                AGENT_ID, memory.session_id, cwd=memory.cwd, branch=memory.branch,
                model=memory.model, first_ms=memory.first_ms, last_ms=self._at_ms,
                version=text(data.get("copilotVersion"), 20), log_path=self._file.path,
            )
        )  # fmt: skip

    def _model_change(self, data: dict[str, Any]) -> None:
        if not self._agent:
            self._memory.model = label(string(data.get("newModel"))) or self._memory.model

    def _prompt(self, data: dict[str, Any]) -> None:
        memory, said = self._memory, data.get("content")
        if not memory.titled and not self._agent and isinstance(said, str) and said.strip():
            memory.titled = True
            self.facts.append(Session(AGENT_ID, memory.session_id, title=title(said), title_rank=1))
        self._activity(State.WORKING)

    def _sub_agent(self, data: dict[str, Any]) -> None:
        self._agent = self._agent or identifier(string(data.get("toolCallId")))
        if self._agent and not self._copied:
            memory, parent = self._memory, self._memory.session_id
            name = data.get("agentDisplayName") or data.get("agentName")
            self.facts.append(
                Session(
                    AGENT_ID, f"{parent}/{self._agent}", parent, parent, Role.SUB_AGENT, memory.cwd, memory.branch,
                    title=title(name) if isinstance(name, str) else "", title_rank=1,
                    model=label(string(data.get("model"))), first_ms=self._at_ms, log_path=self._file.path,
                )
            )  # fmt: skip

    def _sub_agent_end(self, data: dict[str, Any]) -> None:
        self._agent = self._agent or identifier(string(data.get("toolCallId")))
        if self._agent:
            self._activity(State.IDLE)

    # ------------------------------------------------------------ how much

    def _usage_record(self, data: dict[str, Any]) -> None:
        memory, usage = self._memory, obj(data.get("usage"))
        named = obj(usage.get("accounting"))
        source, number = identifier(string(named.get("sourceSessionId"))), count(named.get("sequence"))
        if self._copied and source and not self._agent:
            self._copied_from(source)
        key = (
            f"{source}:{number}"
            if source and number
            else identifier(string(usage.get("apiCallId"))) or self._event_id
        )
        memory.has_records = True
        memory.answered(self._agent, goes_on=usage.get("finishReason") == "tool_calls")
        model = label(string(usage.get("model"))) or memory.model
        nano = nano_told(usage)
        self._note(model, vector_of(usage, nano or 0))
        self._count(key, model, usage, nano)
        self._answered()

    def _count(
        self, key: str, model: str, usage: dict[str, Any], nano: int | None, kind: Kind = Kind.RESPONSE
    ) -> None:
        session_id, at_ms = self._session(), self._at_ms
        found = counted(self.facts, session_id, key, at_ms, model, usage, nano, kind, timeless=self._timeless)
        self.facts.append(found)
        if kind is Kind.RESPONSE and not self._copied:
            used, window = found.tokens.prompt + found.tokens.output, count(usage.get("maxPromptTokens")) or 0
            self._context[session_id] = Context(AGENT_ID, session_id, at_ms, used, window)

    def _copied_from(self, source: str) -> None:
        memory = self._memory
        if source != memory.owner and source != memory.session_id:
            memory.owner = source
            self.facts.append(
                Session(
                    AGENT_ID, memory.session_id, source, source, Role.FORK, forked_at_ms=memory.first_ms,
                    first_ms=memory.first_ms,
                )
            )  # fmt: skip

    def _note(self, model: str, vector: Vector) -> None:
        add(self._memory.whole, model, vector)
        add(self._memory.part, model, vector)

    def _compaction(self, data: dict[str, Any]) -> None:
        """Its call has no usage record and is not in the shutdown's totals either."""
        used = obj(data.get("compactionTokensUsed"))
        if self._memory.has_records and any(vector_of(used, 0)):
            model = label(string(used.get("model"))) or label(string(data.get("model"))) or self._memory.model
            self._count(self._event_id, model, used, nano_told(used))
        self._gauge(data.get("postCompactionTokens"), data.get("tokenLimit"))

    def _usage_info(self, data: dict[str, Any]) -> None:
        self._gauge(data.get("currentTokens"), data.get("tokenLimit"))

    def _gauge(self, used: object, window: object) -> None:
        found = count(used)
        if found and not self._copied:
            session_id = self._session()
            self._context[session_id] = Context(AGENT_ID, session_id, self._at_ms, found, count(window) or 0)

    def _message(self, data: dict[str, Any]) -> None:
        """An answer; in versions without records all that is known of a call until the shutdown."""
        memory = self._memory
        if self.live:
            memory.answered(self._agent, goes_on=bool(data.get("toolRequests")))
        if memory.has_records:
            return
        key = identifier(string(data.get("messageId"))) or self._event_id
        before, model = memory.said.get(key), label(string(data.get("model")))
        now, gained = heard(
            before or Said(self._session(), self._at_ms, memory.model, None),
            model,
            count(data.get("outputTokens")),
        )
        if before is not None or len(memory.said) < _MAX_SAID:
            memory.said[key] = now
        self._note(now.model, [0, gained, 0, 0, 0, 0])
        self.facts.append(spoken(key, now, final=False))
        self._answered()

    def _shutdown(self, data: dict[str, Any]) -> None:
        """Totals: of the whole session where they name the counted calls, else since the start or resume."""
        memory = self._memory
        self._agent = ""
        watermarks = data.get("usageAccountingWatermarks")
        cumulative = isinstance(watermarks, dict) and bool(watermarks)
        metrics = data.get("modelMetrics")
        more = rest(metrics, memory.whole if cumulative else memory.part)
        if not self._copied:
            for model, vector in more.items():
                self._count(f"{self._event_id}:{model}", model, *usage_of(vector), Kind.HIDDEN)
            if metrics:
                self.facts += [spoken(key, said, final=True) for key, said in memory.said.items()]
        for model, vector in more.items():
            add(memory.whole, model, vector)
        memory.part, memory.said = {}, {}
        self._all_lost()
        self._gauge(data.get("currentTokens"), None)
        self._activity(State.DONE)

    # ------------------------------------------------------------ status

    def _turn_start(self, _data: dict[str, Any]) -> None:
        self._memory.send(self._agent, self._event_id, self._at_ms)
        self._activity(State.WORKING, call_id=self._event_id)

    def _answered(self) -> None:
        call, _ = self._memory.take(self._agent)
        if call:
            self._activity(State.WORKING, ends_call=call)

    def _turn_end(self, _data: dict[str, Any]) -> None:
        """The end of a turn whose request is unanswered stands before the abort or the error that tells why."""
        self._activity(State.WORKING if self._memory.end_turn(self._agent) else State.IDLE)

    def _abort(self, _data: dict[str, Any]) -> None:
        self._memory.goes_on.clear()
        self._all_lost()
        self._activity(State.IDLE)

    def _all_lost(self) -> None:
        for agent in tuple(self._memory.calls):
            self._agent = agent
            self._lost()
        self._agent = ""

    def _lost(self) -> None:
        call, at_ms = self._memory.take(self._agent)
        if call and not self._copied:
            session_id = self._session()
            self.facts.append(lost(session_id, call, at_ms, self._memory.model))
            self._activity(State.IDLE, ends_call=call)

    def _error(self, data: dict[str, Any]) -> None:
        state = State.LIMITED if data.get("errorType") in _LIMITS else State.ERROR
        self._memory.answered(self._agent, goes_on=False)
        self._memory.take(self._agent)
        self._activity(state, detail=text(data.get("message"), 120))

    def _tool(self, data: dict[str, Any]) -> None:
        name = text(data.get("toolName"), 40)
        self._memory.start_tool(self._agent, identifier(string(data.get("toolCallId"))), name)
        self._activity(State.TOOL, name)

    def _tool_end(self, data: dict[str, Any]) -> None:
        self._memory.tools.pop(identifier(string(data.get("toolCallId"))), None)
        self._tools_go_on()

    def _permission(self, data: dict[str, Any]) -> None:
        if data.get("resolvedByHook") is not True:
            asked = obj(data.get("permissionRequest"))
            what = asked.get("fullCommandText") or asked.get("intention")
            self._activity(State.PERMISSION, text(asked.get("kind"), 40), detail=text(what, 120))

    def _permission_end(self, _data: dict[str, Any]) -> None:
        self._tools_go_on()

    def _tools_go_on(self) -> None:
        running = self._memory.running(self._agent)
        self._activity(State.TOOL if running else State.WORKING, running)

    def _activity(
        self, state: State, tool: str = "", *, detail: str = "", call_id: str = "", ends_call: str = ""
    ) -> None:
        if self.live and not self._copied:
            self.facts.append(
                Activity(AGENT_ID, self._session(), self._at_ms, state, tool, detail, call_id, ends_call)
            )
