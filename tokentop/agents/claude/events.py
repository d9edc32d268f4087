"""Lines without usage: titles, prompts, requests, errors, compactions, running totals. Pure."""

from __future__ import annotations

from tokentop.agents.decoding import count, epoch_ms
from tokentop.nouns.facts import Diagnostic, Fact
from tokentop.nouns.sessions import Activity, State
from tokentop.nouns.usage import RunningTotal, Tokens
from tokentop.text import clean

from .content import AGENT_ID, prompt_text, user_activity
from .records import Meta
from .sessions import Memory, Sessions

_MAX_OPEN_CALLS = 64


class Events:
    """Turns the lines of one transcript that are no responses into `facts`."""

    def __init__(self, memory: Memory, sessions: Sessions, facts: list[Fact]) -> None:
        self._live = False
        self._memory = memory
        self._sessions = sessions
        self._facts = facts
        self._handlers = {
            "cost-state": self._cost_state,
            "api-request": self._api_request,
            "ai-title": self._titled,
            "custom-title": self._titled,
            "summary": self._titled,
            "system": self._system,
            "user": self._user,
        }

    def take(self, record: Meta, *, live: bool) -> None:
        """Tell what the line says, with the status while it is `live`; a kind that is not known says nothing."""
        self._live = live
        at_ms = epoch_ms(record.timestamp)
        if at_ms and not self._memory.first_ms:
            self._memory.first_ms = at_ms
        handler = self._handlers.get(record.type)
        if handler is not None:
            handler(record, at_ms)

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
        session_id = self._sessions.named(record)
        memory = self._memory
        self._facts.append(
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
        if self._live:
            self._facts.append(
                Activity(AGENT_ID, self._sessions.of_meta(record), at_ms, State.WORKING, call_id=record.id)
            )

    def _system(self, record: Meta, at_ms: int) -> None:
        self._memory.newest_ms = max(self._memory.newest_ms, at_ms)
        if record.subtype == "compact_boundary":
            self._compacted(at_ms)
        if record.subtype != "api_error" or not self._live:
            return
        error = record.error if isinstance(record.error, dict) else {}
        status = error.get("status")
        limited = status in (429, 529)
        self._facts.append(
            Activity(
                AGENT_ID, self._sessions.of_meta(record), at_ms, State.LIMITED if limited else State.ERROR,
                detail=clean(f"HTTP {status}, retry {record.retryAttempt or '?'}", 60),
            )
        )  # fmt: skip

    def _compacted(self, at_ms: int) -> None:
        """The calls that compact a conversation have no line: only a later running total tells what they cost."""
        memory = self._memory
        if not memory.own_call:
            memory.copied_to_ms = max(memory.copied_to_ms, at_ms)
            return
        self._facts.append(Diagnostic(AGENT_ID, "compaction", "calls that only a running total can tell"))

    def _titled(self, record: Meta, _at_ms: int) -> None:
        rank, text = max(
            (4, record.customTitle or ""), (3, record.aiTitle or ""), (2, record.summary or ""), key=_filled
        )
        if text:
            self._sessions.titled(record, rank, text)

    def _user(self, record: Meta, at_ms: int) -> None:
        memory = self._memory
        self._sessions.tell(self._sessions.of_meta(record), record)
        if self._live and isinstance(record.message, dict) and not record.isMeta:
            self._facts.append(user_activity(self._sessions.of_meta(record), at_ms, record.message))
        if memory.titled or record.isMeta or record.isSidechain or not isinstance(record.message, dict):
            return
        text = prompt_text(record.message.get("content"))
        if text:
            self._sessions.titled(record, 1, text)


def _filled(ranked: tuple[int, str]) -> int:
    return ranked[0] if ranked[1] else 0
