"""Codex rollouts: lines -> facts.

Newer versions write one `token_usage_record` per response; older ones `token_count` events that repeat and
that forks copy from their parent with new timestamps. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokentop.agents.base import LogFile
from tokentop.agents.decoding import (
    DECODE_ERRORS,
    after_torn,
    bad_number,
    count,
    decode,
    epoch_ms,
    identifier,
    label,
    unparsed,
)
from tokentop.nouns.facts import Diagnostic, Fact
from tokentop.nouns.sessions import Activity, Context, Session, State
from tokentop.nouns.usage import Usage
from tokentop.text import clean, title

from .calls import Calls
from .forks import Ancestry
from .identity import file_thread, identity, prompt_of
from .limits import quotas
from .records import (
    AGENT_ID,
    LINE,
    LOOSE,
    META,
    Counts,
    Info,
    Limits,
    Line,
    Payload,
    Vector,
    bounded,
    moved,
    readable,
    tokens_of,
    values,
)

_NEEDLES = (b'"token_', b'"turn_context"', b'"thread_settings_applied"')
_META_NEEDLE = b'"session_meta"'
_LIVE = (b'"task_started"', b'"task_complete"', b'"turn_aborted"', b'_call"', b'_call_output"')
_USER = b'"user'
_ABORTED = b"aborted by user"  # the output of a tool that the end of its turn cut off


class _Memory(Ancestry, omit_defaults=True):
    """Decoder state between slices and restarts: plain data."""

    thread_id: str = ""
    named: bool = False  # session_meta was read
    model: str = ""
    provider: str = ""
    tier: str = ""
    window: int = 0
    own_ordinal: int = 0
    has_records: bool = False
    counted: int = 0
    previous: Vector = ()
    busy_ms: int = 0  # when the present request was sent
    titled: bool = False
    calls: Calls = msgspec.field(default_factory=Calls)


class CodexLines:
    """Decoder of one rollout; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        self.facts: list[Fact] = []
        self.live = False
        self._file = file
        self._memory = msgspec.msgpack.decode(state, type=_Memory) if state else _Memory()
        self._memory.thread_id = self._memory.thread_id or file_thread(file.stem)
        self.ancestor = self._memory.ancestor if self._memory.following >= 0 else ""
        self._vectors: Sequence[Vector] = ()
        self._newest_limits: dict[str, tuple[Limits, int]] = {}
        self._context: Context | None = None

    @property
    def needles(self) -> tuple[bytes, ...]:
        needles = (*_NEEDLES, *_LIVE) if self.live else _NEEDLES
        if not self._memory.named:
            needles = (*needles, _META_NEEDLE)
        return needles if self._memory.titled else (*needles, _USER)

    def set_ancestor(self, vectors: Sequence[Vector] | None) -> None:
        if vectors is None:
            self._memory.orphan()
            self.facts.append(Diagnostic(AGENT_ID, "missing-parent", f"fork of {clean(self.ancestor, 40)}"))
        else:
            self._vectors = vectors
        self.ancestor = ""

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self._memory)

    def flush(self) -> None:
        for limit_id, (limits, at_ms) in self._newest_limits.items():
            self.facts.extend(quotas(label(limit_id), limits, at_ms))
        self._newest_limits.clear()
        if self._context is not None:
            self.facts.append(self._context)
            self._context = None

    def line(self, line: bytearray | bytes) -> None:
        try:
            record = LINE.decode(line)
        except DECODE_ERRORS:
            self._second_chance(line)
            return
        self._record(record, line)

    def _record(self, record: Line, line: bytearray | bytes) -> None:
        payload = record.payload
        if payload is None:
            return
        kind = record.type
        if kind == "event_msg":
            self._event(record, payload, line)
        elif kind == "token_usage_record":
            self._usage_record(record, payload)
        elif kind == "turn_context":
            self._memory.model = label(payload.model) or self._memory.model
            self._memory.busy_ms = epoch_ms(record.timestamp)
        elif kind == "session_meta":
            self._session_meta(line)
        elif kind == "response_item":
            self._item(record, payload, line)

    def _event(self, record: Line, payload: Payload, line: bytearray | bytes) -> None:
        memory = self._memory
        kind = payload.type
        if kind == "token_count":
            self._token_count(record, payload)
        elif kind == "thread_settings_applied" and payload.thread_settings is not None:
            settings = payload.thread_settings
            memory.model = label(settings.model) or memory.model
            memory.provider = label(settings.model_provider_id) or memory.provider
            tier = clean(settings.service_tier or "", 20)
            # Codex' "fast" is the provider's priority tier.
            memory.tier = {"default": "", "standard": "", "fast": "priority"}.get(tier, tier)
        elif kind == "task_started":
            memory.busy_ms = epoch_ms(record.timestamp)
            memory.window = count(payload.model_context_window) or memory.window
            if self.live and self._is_own(record):
                lost = self._lost(memory.calls.end())
                self._activity(
                    record, State.WORKING, call_id=memory.calls.send(_call(record)), lost_call=lost
                )
        elif kind == "task_complete":
            self._activity(record, State.IDLE, ends_call=memory.calls.end())
        elif kind == "turn_aborted":
            self._activity(record, State.IDLE, lost_call=self._lost(memory.calls.end()))
        elif kind == "user_message" and not memory.titled:
            self._prompt(prompt_of(decode(line, LOOSE), "message"))

    def _item(self, record: Line, payload: Payload, line: bytearray | bytes) -> None:
        kind, tool_id = payload.type or "", identifier(payload.call_id)
        calls = self._memory.calls
        if kind == "message":
            if not self._memory.titled:
                self._prompt(prompt_of(decode(line, LOOSE), "content"))
        elif not (self.live and self._is_own(record)):
            return
        elif kind.endswith("_call_output"):
            sent = calls.end_tool(tool_id, "" if _ABORTED in line else _call(record))
            self._activity(record, State.TOOL if calls.tool else State.WORKING, calls.tool, call_id=sent)
        elif kind.endswith("_call"):
            name = clean(payload.name or kind.removesuffix("_call"), 40)
            calls.start_tool(tool_id, name)
            self._activity(record, State.TOOL, name)

    def _answered(self, record: Line) -> None:
        """The usage of the open request is there; its tools may run on."""
        calls = self._memory.calls
        if not self.live:
            calls.end()
            return
        ended, sent = calls.answer(_call(record))
        if ended:
            state = State.TOOL if calls.tool else State.WORKING
            self._activity(record, state, calls.tool, call_id=sent, ends_call=ended)

    def _activity(
        self, record: Line, state: State, tool: str = "", *, call_id: str = "", ends_call: str = "",
        lost_call: str = "",
    ) -> None:  # fmt: skip
        if self.live and self._is_own(record):
            thread, at_ms = self._memory.thread_id, epoch_ms(record.timestamp)
            self.facts.append(
                Activity(AGENT_ID, thread, at_ms, state, tool, "", call_id, ends_call, lost_call)
            )

    def _is_own(self, record: Line) -> bool:
        """False in the part that a sub-agent's log repeats of its parent's."""
        return record.ordinal is None or record.ordinal >= self._memory.own_ordinal

    def _lost(self, call: str) -> str:
        """The call, unless it may be a copy of an ancestor's."""
        return "" if self._memory.may_repeat else call

    # ------------------------------------------------------------ who

    def _session_meta(self, line: bytearray | bytes) -> None:
        """Only the first is this file's identity; later ones are copied ancestors."""
        memory = self._memory
        if memory.named:
            return
        meta = decode(line, META)
        if meta is None:
            self.facts.append(unparsed(AGENT_ID))
            return
        found = identity(meta, memory.thread_id, self._file.path)
        memory.named = True
        memory.thread_id, memory.first_ms = found.session.id, found.session.first_ms
        memory.provider, memory.own_ordinal = found.provider, found.own_ordinal
        if found.copies:
            memory.following = 0
            memory.ancestor = self.ancestor = found.copies
        self.facts.append(found.session)

    def _prompt(self, written: str) -> None:
        if written:
            self._memory.titled = True
            self.facts.append(Session(AGENT_ID, self._memory.thread_id, title=title(written), title_rank=1))

    # ------------------------------------------------------------ how much

    def _usage_record(self, record: Line, payload: Payload) -> None:
        memory = self._memory
        if payload.usage is None or (payload.thread_id and payload.thread_id != memory.thread_id):
            return
        if not self._is_own(record):
            return
        memory.has_records = True
        key = payload.response_id or f"{memory.thread_id}:{record.ordinal}"
        self._count(key, record, payload.usage)

    def _token_count(self, record: Line, payload: Payload) -> None:
        memory = self._memory
        at_ms = epoch_ms(record.timestamp)
        if payload.rate_limits is not None:
            self._newest_limits[payload.rate_limits.limit_id or "codex"] = (payload.rate_limits, at_ms)
        info = payload.info
        if info is not None:
            memory.window = count(info.model_context_window) or memory.window
            self._legacy_count(record, info, at_ms)
        memory.busy_ms = at_ms

    def _legacy_count(self, record: Line, info: Info, at_ms: int) -> None:
        """Rule for logs without records: the last usage of each snapshot whose total moved."""
        memory = self._memory
        if memory.has_records or not self._is_own(record):
            return
        found = moved(info, memory.previous)
        if found is None:
            return
        last, memory.previous = found
        if memory.following >= 0 and memory.repeats((*values(last), *memory.previous), self._vectors):
            return
        if memory.orphaned and memory.in_burst(at_ms):
            return
        memory.counted += 1
        self._count(f"{memory.thread_id}#{memory.counted}", record, last)

    def _count(self, key: str, record: Line, counts: Counts) -> None:
        memory = self._memory
        at_ms = epoch_ms(record.timestamp) or memory.busy_ms or memory.first_ms
        tokens = tokens_of(counts)
        if tokens is None:
            self.facts.append(bad_number(AGENT_ID))
            tokens = bounded(counts)
        start_ms = memory.busy_ms if 0 < memory.busy_ms <= at_ms else 0
        usage = Usage(
            AGENT_ID, memory.thread_id, key, at_ms, memory.model, tokens, memory.provider or "openai",
            at_ms - start_ms if start_ms else 0, memory.tier, estimated=memory.orphaned, start_ms=start_ms,
        )  # fmt: skip
        used = tokens.prompt + tokens.output
        self._context = Context(AGENT_ID, memory.thread_id, at_ms, used, memory.window)
        self.facts.append(usage)
        self._answered(record)

    def _second_chance(self, line: bytearray | bytes) -> None:
        """A line that the strict decoder refused: every count that can be read is read."""
        loose = decode(line, LOOSE)
        if loose is None:
            self.facts.append(unparsed(AGENT_ID))
            if (whole := after_torn(line)) is not None:
                self.line(whole)
            return
        if not isinstance(loose.payload, dict):
            return
        if loose.type == "session_meta":
            self._session_meta(line)
            return
        bad: list[str] = []
        payload = readable(loose.payload, bad)
        if bad:
            self.facts.append(bad_number(AGENT_ID))
        try:
            known = msgspec.convert(payload, Payload, strict=False)
        except DECODE_ERRORS:
            self.facts.append(unparsed(AGENT_ID))
            return
        self._record(Line(loose.type, loose.timestamp, loose.ordinal, known), line)


def _call(record: Line) -> str:
    """The name of a request that goes out with this record."""
    return f"{epoch_ms(record.timestamp)}:{record.ordinal or 0}"
