"""Chats of Qwen Code: lines -> facts. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tokentop.agents._lines import LineReader
from tokentop.agents.base import LogFile
from tokentop.agents.decoding import count, epoch_ms, identifier, label, obj, objects, text
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import title

from .records import AGENT_ID, Counts, usage_of

_NEEDLES = (b'"qwen-code.api_', b'"assistant"', b'"custom_title"')
_USER, _NAME, _RESULT = b'"user"', b'"sessionId"', b'"tool_result"'
_TOOLS = 64  # tools of one step that are remembered


class _Memory(Struct):
    """Decoder state: plain data."""

    session: str = ""
    cwd: str = ""
    titled: bool = False
    forked: bool = False  # its copied part is not over yet
    answered: bool = False  # the response of the next message is counted
    call: str = ""
    tools: dict[str, str] = {}
    told: bool = False  # one of the tools of this step has a result that is sent


class QwenChat(LineReader[_Memory]):
    """Decoder of one chat; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Memory)

    @property
    def needles(self) -> tuple[bytes, ...]:
        if not self._memory.session or self._memory.forked:
            return (*_NEEDLES, _USER, _NAME)
        if self.live:
            return (*_NEEDLES, _USER, _RESULT)
        return _NEEDLES if self._memory.titled else (*_NEEDLES, _USER)

    def _record(self, found: dict[str, Any]) -> None:
        memory, kind = self._memory, found.get("type")
        copied = identifier(text(obj(found.get("forkedFrom")).get("sessionId")))
        at_ms = epoch_ms(found.get("timestamp"))
        if not memory.session:
            self._begin(found, at_ms, copied)
        if not memory.session:
            return
        if memory.forked and not copied:
            memory.forked = False
            self.facts.append(Session(AGENT_ID, memory.session, forked_at_ms=at_ms))
        if kind == "system":
            self._system(found, at_ms, copied)
        elif kind == "assistant":
            self._assistant(found, at_ms, copied)
        elif kind in ("user", "tool_result"):
            self._asked(found, str(kind), at_ms, copied)

    def _begin(self, found: dict[str, Any], at_ms: int, copied: str) -> None:
        memory = self._memory
        memory.session = identifier(text(found.get("sessionId")))
        if not memory.session:
            return
        memory.forked, memory.cwd = bool(copied), text(found.get("cwd"), 400)
        self.facts.append(
            Session(
                AGENT_ID, memory.session, parent_id=copied, root_id=memory.session,
                role=Role.FORK if copied else Role.MAIN, cwd=memory.cwd,
                branch=text(found.get("gitBranch")), first_ms=at_ms, last_ms=at_ms,
                version=text(found.get("version"), 20), log_path=self._file.path,
            )
        )  # fmt: skip

    def _system(self, found: dict[str, Any], at_ms: int, copied: str) -> None:
        payload = obj(found.get("systemPayload"))
        if found.get("subtype") == "custom_title":
            self._title(text(payload.get("customTitle"), 400), 3)
        event = obj(payload.get("uiEvent"))
        name = event.get("event.name")
        if found.get("subtype") != "ui_telemetry" or not isinstance(name, str):
            return
        if name == "qwen-code.api_response":
            self._response(event, text(found.get("uuid")), at_ms, copied)
        elif name == "qwen-code.api_error" and not copied:
            said = text(event.get("error_message") or event.get("error") or event.get("error_type"))
            limited = str(event.get("status_code")) == "429" or "quota" in said.lower()
            self._activity(at_ms, State.LIMITED if limited else State.ERROR, detail=said)

    def _response(self, event: dict[str, Any], uuid: str, at_ms: int, copied: str) -> None:
        memory, agent = self._memory, identifier(text(event.get("subagent_id")))
        counts = Counts(
            event.get("input_token_count"), event.get("output_token_count"),
            event.get("cached_content_token_count"), event.get("thoughts_token_count"),
            event.get("total_token_count"), event.get("duration_ms"),
        )  # fmt: skip
        session = copied or memory.session
        if agent:
            session = f"{session}/{agent}"
            self._sub_agent(session, event, at_ms, copied)
        else:
            memory.answered = True
        self.facts.append(
            usage_of(
                self.facts, session, event, counts, epoch_ms(event.get("event.timestamp")) or at_ms,
                text(event.get("response_id")) or uuid, self._file,
            )
        )  # fmt: skip

    def _sub_agent(self, session: str, event: dict[str, Any], at_ms: int, copied: str) -> None:
        """Sub-agents are filed under their parent's id."""
        words = [text(event.get(name)) for name in ("subagent_type", "subagent_task_name")]
        parent = session.partition("/")[0]
        self.facts.append(
            Session(
                AGENT_ID, session, parent_id=parent, root_id=parent, role=Role.SUB_AGENT, cwd=self._memory.cwd,
                title=title(": ".join(word for word in words if word)), title_rank=1, last_ms=at_ms,
            )
        )  # fmt: skip
        if self.live and at_ms and not copied:
            self.facts.append(Activity(AGENT_ID, session, at_ms, State.WORKING))

    def _assistant(self, found: dict[str, Any], at_ms: int, copied: str) -> None:
        memory, counts = self._memory, obj(found.get("usageMetadata"))
        answered, memory.answered = memory.answered, False
        if copied:
            return
        used = count(counts.get("promptTokenCount")) or 0
        if used and at_ms:
            window = count(found.get("contextWindowSize")) or 0
            self.facts.append(Context(AGENT_ID, memory.session, at_ms, used, window))
        cut = not counts and not answered
        if cut:  # an answer that was cut off: billed, and its counts are not known
            self.facts.append(
                Usage(
                    AGENT_ID, memory.session, f"{memory.session}:{text(found.get('uuid'))}",
                    at_ms or self._file.mtime_ms, label(text(found.get("model"))), Tokens(), kind=Kind.UNKNOWN,
                    at_estimated=not at_ms,
                )
            )  # fmt: skip
        calls = [obj(part.get("functionCall")) for part in _parts(found)]
        memory.tools = {text(c.get("id")): text(c.get("name"), 40) for c in calls if c.get("id")}
        while len(memory.tools) > _TOOLS:
            memory.tools.popitem()
        memory.told = False
        tool = next(iter(memory.tools.values()), "")
        self._activity(at_ms, State.TOOL if memory.tools else State.IDLE, tool=tool, lost=cut)

    def _asked(self, found: dict[str, Any], kind: str, at_ms: int, copied: str) -> None:
        """A prompt, or the result of a tool: the next request goes out when all tools are done.

        It does not where the user has cancelled all of them: the turn is over then.
        """
        memory = self._memory
        memory.told |= obj(found.get("toolCallResult")).get("status") != "cancelled"
        if kind == "user":
            memory.tools = {}
            if not memory.titled:
                said = (part.get("text") for part in _parts(found))
                self._title(next((s for s in said if isinstance(s, str)), ""), 1)
        for part in _parts(found):
            memory.tools.pop(text(obj(part.get("functionResponse")).get("id")), None)
        if copied:
            return
        if memory.tools:
            self._activity(at_ms, State.TOOL, tool=next(iter(memory.tools.values())))
        elif not memory.told:
            self._activity(at_ms, State.IDLE)
        else:
            self._activity(at_ms, State.WORKING, call=text(found.get("uuid")))

    def _title(self, said: str, rank: int) -> None:
        if said.strip():
            self._memory.titled = True
            self.facts.append(Session(AGENT_ID, self._memory.session, title=title(said), title_rank=rank))

    def _activity(
        self,
        at_ms: int,
        state: State,
        *,
        tool: str = "",
        call: str = "",
        detail: str = "",
        lost: bool = False,
    ) -> None:
        memory = self._memory
        if not self.live or not at_ms:
            memory.call = ""
            return
        ended = ""
        if call:
            memory.call = call
        elif not (state is State.TOOL and not memory.call):
            ended, memory.call = memory.call, ""
        self.facts.append(
            Activity(
                AGENT_ID, memory.session, at_ms, state, tool, detail, call, "" if lost else ended,
                ended if lost else "",
            )
        )  # fmt: skip


def _parts(found: dict[str, Any]) -> list[dict[str, Any]]:
    return objects(obj(found.get("message")).get("parts"))
