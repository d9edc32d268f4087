"""Claude Code transcripts: lines -> facts; here those with usage, and which reader a line is for.

One response is repeated on a line per content block, with equal ids; forks copy whole histories; compaction
and aborted streams appear only in the running total `cost-state`. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokentop.agents.base import LogFile
from tokentop.agents.decoding import (
    DECODE_ERRORS,
    after_torn,
    bad_number,
    decode,
    epoch_ms,
    unparsed,
)
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Spawn, State
from tokentop.text import clean

from .content import AGENT_ID, SPAWN_TOOLS, assistant_activity
from .events import Events
from .records import LINE, META, RAW, SUB_LINE, Line, LoggedUsage, Message
from .responses import Pending, advisors, prompt_of, readable, usage_of
from .sessions import Memory, Sessions

# One needle finds usage, cost-state (inputTokens), api-request (max_tokens) and compact_boundary (preTokens).
_COUNTS = b'okens"'
_TITLES = b'Title"'  # aiTitle, customTitle
_SUMMARY = b'"summary"'
_API_ERROR = b"api_error"
_USER = b'"user"'
_TIME = b'"timestamp"'
_USAGE = b'"usage"'


class ClaudeLines:
    """Decoder of one transcript; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        self.facts: list[Fact] = []
        self.ancestor = ""
        self.live = False
        self._file = file
        self._memory = msgspec.msgpack.decode(state, type=Memory) if state else Memory()
        self._sessions = Sessions(file, self._memory, self.facts)
        self._events = Events(self._memory, self._sessions, self.facts)
        self._pending: dict[str, Pending] = {}
        self._context: tuple[str, int, LoggedUsage] | None = None
        self._decode = SUB_LINE.decode if self._sessions.sub_file else LINE.decode

    @property
    def needles(self) -> tuple[bytes, ...]:
        """Each needle is a pass over the bytes: what stands only at the head is not looked for later."""
        memory = self._memory
        needles: tuple[bytes, ...] = (_COUNTS, _TITLES, _SUMMARY)
        if not memory.first_ms:
            needles = (*needles, _TIME)
        if self.live:
            return (*needles, _USER, _API_ERROR)
        return needles if memory.titled or self._sessions.sub_file else (*needles, _USER)

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
            if self._sessions.sub_file:
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
        activity = assistant_activity(
            self._sessions.of_meta(record), epoch_ms(record.timestamp), record.message
        )
        self.facts.append(activity)

    def _spawns(self, message: Message) -> None:
        """The tool calls by which a sub-agent starts nested ones."""
        content = getattr(message, "content", None)
        for block in content if isinstance(content, list) else ():
            if block.name in SPAWN_TOOLS and block.id:
                self.facts.append(Spawn(AGENT_ID, self._sessions.owner_id, clean(block.id, 100)))

    # ------------------------------------------------------------ responses

    def _assistant(self, record: Line, message: Message, usage: LoggedUsage) -> None:
        memory = self._memory
        at_ms = epoch_ms(record.timestamp) or memory.newest_ms
        if at_ms > memory.newest_ms:
            memory.newest_ms = at_ms
        if not memory.first_ms:
            memory.first_ms = at_ms
        session_id = self._sessions.of(record, at_ms)
        reference = record.requestRef
        start_ms = self._start_of(reference) if reference else 0
        if message.model == "<synthetic>" or record.isApiErrorMessage:
            return
        # A fork copies the uuid of a line as well, so that it is no less global than the other two.
        key = message.id or record.requestId or record.uuid or f"{self._file.stem}:{record.timestamp}"
        entry = self._pending.get(key)
        if entry is None:
            exact = self._sessions.exact or message.stop_reason is not None
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
        self._events.take(record, live=self.live)

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
