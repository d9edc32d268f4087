"""Claude Code transcripts: lines -> facts.

One response is repeated on a line per content block, with equal ids; forks copy whole histories; compaction
and aborted streams appear only in the running total `cost-state`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from tokentop.agents.base import LogFile
from tokentop.agents.decoding import (
    DECODE_ERRORS,
    after_torn,
    bad_number,
    count,
    decode,
    epoch_ms,
    identifier,
    unparsed,
)
from tokentop.nouns.facts import Diagnostic, Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, Spawn, State
from tokentop.nouns.usage import RunningTotal, Tokens
from tokentop.text import clean, title

from .content import AGENT_ID, SPAWN_TOOLS, assistant_activity, prompt_text, user_activity
from .records import (
    LINE,
    META,
    RAW,
    SUB_LINE,
    Line,
    LoggedUsage,
    Message,
    Meta,
)
from .responses import Pending, advisors, prompt_of, readable, usage_of

# One needle finds usage, cost-state (inputTokens), api-request (max_tokens) and compact_boundary (preTokens).
_COUNTS = b'okens"'
_TITLES = b'Title"'  # aiTitle, customTitle
_SUMMARY = b'"summary"'
_API_ERROR = b"api_error"
_USER = b'"user"'
_TIME = b'"timestamp"'
_USAGE = b'"usage"'

_MAX_OPEN_CALLS = 64
_FIRST_EXACT_VERSION = (2, 1, 138)  # before it, lines of a response may hold only a part of its output


class _Memory(Struct, omit_defaults=True):
    """Decoder state between slices and restarts: plain data."""

    session_id: str = ""
    first_ms: int = 0
    newest_ms: int = 0
    totals: int = 0  # cost-state lines so far
    titled: int = 0  # rank of the title so far
    told: tuple[str, ...] = ()  # what was last said of the session
    copied_to_ms: int = 0
    parent_id: str = ""
    own_call: bool = False
    open_calls: dict[str, int] = {}
    answered: tuple[str, int] = ("", 0)  # the last call that was answered, and its start


class ClaudeLines:
    """Decoder of one transcript; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        self.facts: list[Fact] = []
        self.ancestor = ""
        self.live = False
        self._file = file
        self._memory = msgspec.msgpack.decode(state, type=_Memory) if state else _Memory()
        self._pending: dict[str, Pending] = {}
        self._context: tuple[str, int, LoggedUsage] | None = None
        self._exact = _is_exact(self._memory.told[3] if self._memory.told else "")
        self._who: tuple[object, ...] = ()  # who wrote the line before, as logged, and the session that is
        self._owner_id = ""
        self._sub_file = file.stem.startswith("agent-")
        self._decode = SUB_LINE.decode if self._sub_file else LINE.decode
        self._handlers = {
            "cost-state": self._cost_state,
            "api-request": self._api_request,
            "ai-title": self._titled,
            "custom-title": self._titled,
            "summary": self._titled,
            "system": self._system,
            "user": self._user,
        }

    @property
    def needles(self) -> tuple[bytes, ...]:
        """Each needle is a pass over the bytes: what stands only at the head is not looked for later."""
        memory = self._memory
        needles: tuple[bytes, ...] = (_COUNTS, _TITLES, _SUMMARY)
        if not memory.first_ms:
            needles = (*needles, _TIME)
        if self.live:
            return (*needles, _USER, _API_ERROR)
        return needles if memory.titled or self._sub_file else (*needles, _USER)

    def set_ancestor(self, vectors: Sequence[tuple[int, ...]] | None) -> None:
        """Claude's forks are told by ids; no ancestor is ever asked for."""

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self._memory)

    def flush(self) -> None:
        for entry in self._pending.values():
            self.facts.append(usage_of(entry, self.facts))
        self._pending.clear()
        if self._context is not None:
            session_id, at_ms, usage = self._context
            self.facts.append(Context(AGENT_ID, session_id, at_ms, prompt_of(usage, self.facts)))
            self._context = None

    def line(self, line: bytearray | bytes) -> None:
        if _USAGE not in line:  # most live lines; without the key there is no usage to decode
            self._other(line)
            return
        try:
            record = self._decode(line)
        except DECODE_ERRORS:
            self._other(line)
            return
        message = record.message
        if message is not None and message.usage is not None and record.type == "assistant":
            self._assistant(record, message, message.usage)
            if self._sub_file:
                self._spawns(message)
            if self.live:
                self._content(line)
        else:
            self._other(line)

    def _content(self, line: bytearray | bytes) -> None:
        """What an assistant line does: spawned sub-agents, and the status while the file is followed."""
        record = decode(line, META)
        if record is None or not isinstance(record.message, dict):
            return
        activity = assistant_activity(self._owner(record), epoch_ms(record.timestamp), record.message)
        self.facts.append(activity)

    def _spawns(self, message: Message) -> None:
        """The tool calls by which a sub-agent starts nested ones."""
        content = getattr(message, "content", None)
        for block in content if isinstance(content, list) else ():
            if block.name in SPAWN_TOOLS and block.id:
                self.facts.append(Spawn(AGENT_ID, self._owner_id, clean(block.id, 100)))

    # ------------------------------------------------------------ responses

    def _assistant(self, record: Line, message: Message, usage: LoggedUsage) -> None:
        memory = self._memory
        at_ms = epoch_ms(record.timestamp) or memory.newest_ms
        if at_ms > memory.newest_ms:
            memory.newest_ms = at_ms
        if not memory.first_ms:
            memory.first_ms = at_ms
        session_id = self._session_of(record, at_ms)
        reference = record.requestRef
        start_ms = self._start_of(reference) if reference else 0
        if message.model == "<synthetic>" or record.isApiErrorMessage:
            return
        # A fork copies the uuid of a line as well, so that it is no less global than the other two.
        key = message.id or record.requestId or record.uuid or f"{self._file.stem}:{record.timestamp}"
        entry = self._pending.get(key)
        if entry is None:
            exact = self._exact or message.stop_reason is not None
            self._pending[key] = Pending(
                session_id,
                key,
                at_ms,
                at_ms,
                start_ms,
                message.model or "",
                usage,
                exact,
                record.requestId or "",
            )
            if usage.iterations:
                advisors(session_id, key, at_ms, usage.iterations, self.facts)
        else:
            entry.merge(at_ms, start_ms, usage, exact=message.stop_reason is not None)
        if not record.requestSessionId:
            memory.own_call = True
            self._context = (session_id, at_ms, usage)
        if self.live and reference and start_ms:
            self.facts.append(Activity(AGENT_ID, session_id, at_ms, State.WORKING, ends_call=reference))

    def _start_of(self, reference: str) -> int:
        """When the call was sent; each line of an answer asks, and they may come in different slices."""
        memory = self._memory
        if memory.answered[0] != reference:
            memory.answered = (reference, memory.open_calls.pop(reference, 0))
        return memory.answered[1]

    def _session_of(self, record: Line, at_ms: int) -> str:
        """The session that owns the line; says what is new about it."""
        who = (
            record.sessionId, record.requestSessionId, record.agentId, record.isSidechain, record.cwd,
            record.gitBranch, record.version,
        )  # fmt: skip
        if who == self._who and not record.requestSessionId:
            return self._owner_id
        self._who = who
        memory = self._memory
        named = identifier(record.sessionId) or self._file.stem
        original = identifier(record.requestSessionId)
        if original and original != named:
            # A fork copies its parent's lines and stamps them with the session that made the call.
            if not memory.own_call:
                memory.parent_id = original
                memory.copied_to_ms = max(memory.copied_to_ms, at_ms)
            self._tell(named, record)
            return original
        agent_id = identifier(record.agentId) or (self._file.stem[6:] if self._sub_file else "")
        self._owner_id = f"{named}/{agent_id}" if record.isSidechain and agent_id else named
        self._tell(self._owner_id, record)
        return self._owner_id

    def _tell(self, session_id: str, record: Line | Meta) -> None:
        memory = self._memory
        said = (
            session_id, record.cwd or "", record.gitBranch or "", record.version or "",
            memory.parent_id, str(memory.copied_to_ms),
        )  # fmt: skip
        if said == memory.told:
            return
        memory.told = said
        memory.session_id = session_id
        root, _, sub = session_id.partition("/")
        parent = root if sub and not self._in_folder() else memory.parent_id
        self.facts.append(
            Session(
                agent=AGENT_ID, id=session_id, parent_id=parent, root_id=root,
                role=Role.SUB_AGENT if sub else Role.FORK if memory.parent_id else Role.MAIN,
                cwd=clean(record.cwd or "", 400), branch=clean(record.gitBranch or "", 100),
                first_ms=memory.first_ms, version=clean(record.version or "", 20),
                surface=clean(record.entrypoint or "", 20), log_path=self._file.path,
                forked_at_ms=memory.copied_to_ms,
            )
        )  # fmt: skip
        self._exact = _is_exact(record.version or "")

    def _in_folder(self) -> bool:
        """True where a `.meta.json` beside the file names the sub-agent's parent."""
        return "subagents" in self._file.parents

    # ------------------------------------------------------------ other lines

    def _other(self, line: bytearray | bytes) -> None:
        record = decode(line, META)
        if record is None:
            self.facts.append(unparsed(AGENT_ID))
            if (whole := after_torn(line)) is not None:
                self.line(whole)
            return
        if record.type == "assistant" and isinstance(record.message, dict):
            if isinstance(record.message.get("usage"), dict):
                self._second_chance(line)
            elif record.message.get("usage") is not None:
                self.facts.append(unparsed(AGENT_ID))
            return
        at_ms = epoch_ms(record.timestamp)
        if at_ms and not self._memory.first_ms:
            self._memory.first_ms = at_ms
        handler = self._handlers.get(record.type)
        if handler is not None:
            handler(record, at_ms)

    def _second_chance(self, line: bytearray | bytes) -> None:
        """A usage line that the strict decoder refused: every count that can be read is read."""
        raw = decode(line, RAW) or {}
        bad: list[str] = []
        try:
            message = raw["message"]
            raw["message"] = {**message, "usage": readable(message["usage"], bad)}
            record = msgspec.convert(raw, Line, strict=False)
        except (*DECODE_ERRORS, KeyError, TypeError):
            self.facts.append(unparsed(AGENT_ID))
            return
        if bad:
            self.facts.append(bad_number(AGENT_ID))
        if record.message is not None and record.message.usage is not None:
            self._assistant(record, record.message, record.message.usage)

    def _cost_state(self, record: Meta, _at_ms: int) -> None:
        models = []
        for model, total in (record.modelUsage or {}).items():
            written = count(total.cacheCreationInputTokens) or 0
            long_lived = count(total.cacheCreationEphemeral1hInputTokens) or 0
            cost = total.costUSD or 0.0
            tokens = Tokens(
                count(total.inputTokens) or 0, count(total.cacheReadInputTokens) or 0,
                max(0, written - long_lived), long_lived,
                count(total.outputTokens) or 0, count(total.thinkingTokens) or 0,
            )  # fmt: skip
            models.append((clean(model, 100), tokens, round(cost * 1e9) if 0 <= cost < 1e9 else 0))
        session_id = identifier(record.sessionId) or self._file.stem
        memory = self._memory
        self.facts.append(
            RunningTotal(
                AGENT_ID,
                session_id,
                memory.totals,
                memory.newest_ms,
                epoch_ms(record.startTime),
                tuple(models),
            )
        )
        memory.totals += 1

    def _api_request(self, record: Meta, at_ms: int) -> None:
        if not record.id:
            return
        memory = self._memory
        memory.own_call = True
        memory.newest_ms = max(memory.newest_ms, at_ms)
        if len(memory.open_calls) >= _MAX_OPEN_CALLS:
            memory.open_calls.pop(next(iter(memory.open_calls)))
        memory.open_calls[record.id] = at_ms
        if self.live:
            self.facts.append(
                Activity(AGENT_ID, self._owner(record), at_ms, State.WORKING, call_id=record.id)
            )

    def _system(self, record: Meta, at_ms: int) -> None:
        self._memory.newest_ms = max(self._memory.newest_ms, at_ms)
        if record.subtype == "compact_boundary":
            self._compacted(at_ms)
        if record.subtype != "api_error" or not self.live:
            return
        error = record.error if isinstance(record.error, dict) else {}
        status = error.get("status")
        limited = status in (429, 529)
        self.facts.append(
            Activity(
                AGENT_ID, self._owner(record), at_ms, State.LIMITED if limited else State.ERROR,
                detail=clean(f"HTTP {status}, retry {record.retryAttempt or '?'}", 60),
            )
        )  # fmt: skip

    def _compacted(self, at_ms: int) -> None:
        """The calls that compact a conversation have no line: only a later running total tells what they cost."""
        memory = self._memory
        if not memory.own_call:
            memory.copied_to_ms = max(memory.copied_to_ms, at_ms)
            return
        self.facts.append(Diagnostic(AGENT_ID, "compaction", "calls that only a running total can tell"))

    def _titled(self, record: Meta, _at_ms: int) -> None:
        rank, text = max(
            (4, record.customTitle or ""), (3, record.aiTitle or ""), (2, record.summary or ""), key=_filled
        )
        if text:
            self._title(identifier(record.sessionId) or self._file.stem, rank, text)

    def _title(self, session_id: str, rank: int, text: str) -> None:
        if rank >= self._memory.titled:
            self._memory.titled = rank
            self.facts.append(Session(AGENT_ID, session_id, title=title(text), title_rank=rank))

    def _user(self, record: Meta, at_ms: int) -> None:
        memory = self._memory
        self._tell(self._owner(record), record)
        if self.live and isinstance(record.message, dict) and not record.isMeta:
            self.facts.append(user_activity(self._owner(record), at_ms, record.message))
        if memory.titled or record.isMeta or record.isSidechain or not isinstance(record.message, dict):
            return
        text = prompt_text(record.message.get("content"))
        if text:
            self._title(identifier(record.sessionId) or self._file.stem, 1, text)

    def _owner(self, record: Meta) -> str:
        named = identifier(record.sessionId) or self._file.stem
        agent_id = identifier(record.agentId) or (self._file.stem[6:] if self._sub_file else "")
        return f"{named}/{agent_id}" if agent_id else named


def _filled(ranked: tuple[int, str]) -> int:
    return ranked[0] if ranked[1] else 0


def _is_exact(version: str) -> bool:
    """Whether every line of a response holds its final usage; true as well where the version is not known."""
    parts = version.split(".")[:3]
    known = len(parts) == 3 and all(part.isdecimal() and len(part) < 10 for part in parts)
    return not known or tuple(map(int, parts)) >= _FIRST_EXACT_VERSION
