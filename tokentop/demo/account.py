"""What the invented agents have spent, and what their logs would tell of it. Pure."""

from __future__ import annotations

from collections import deque

from tokentop.demo.actor import Actor
from tokentop.demo.cast import MODELS
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Figures, Priced, Tokens, Usage

MINUTE_MS = 60_000
SPENT_MS = 125 * MINUTE_MS  # how long single responses are remembered


class Account:
    """`today` sums the calls since `day_start_ms`; `facts` grow until they are taken."""

    def __init__(self) -> None:
        self.day_start_ms = 0
        self.today = Figures()
        self.spent: deque[tuple[str, int, int, int, int]] = (
            deque()
        )  # key, at_ms, fresh tokens, reads, nano-dollars
        self.facts: list[Session | Usage] = []
        self._events = 0

    def tell(self, actor: Actor, at_ms: int, tokens: Tokens, took_ms: int) -> Usage:
        """A call as the log of the session would tell it."""
        usage = Usage(
            actor.agent, actor.session_id, f"{actor.session_id}/{actor.own.responses}", at_ms, actor.model.name, tokens,
            provider=actor.model.provider, duration_ms=took_ms,
        )  # fmt: skip
        self.facts += (actor.session(at_ms), usage)
        return usage

    def answered(self, actor: Actor, at_ms: int, tokens: Tokens, cost: int | None) -> Priced:
        """A call that has ended now."""
        self._events += 1
        usage = self.tell(actor, actor.call_started_ms, tokens, at_ms - actor.call_started_ms)
        self.spent.append((actor.key, at_ms, tokens.fresh, tokens.cache_read, cost or 0))
        while self.spent[0][1] < at_ms - SPENT_MS:
            self.spent.popleft()
        if usage.at_ms >= self.day_start_ms:
            self._count_today(tokens, cost)
        return Priced(self._events, usage, cost)

    def told_since(self, since_ms: int) -> int:
        """Nano-dollars of the calls in `facts` that were made since a time."""
        return sum(
            MODELS[fact.model].cost_nusd(fact.tokens) or 0
            for fact in self.facts
            if isinstance(fact, Usage) and fact.at_ms >= since_ms
        )

    def _count_today(self, tokens: Tokens, cost: int | None) -> None:
        day = self.today
        unpriced = day.unpriced_tokens + (tokens.total if cost is None else 0)
        self.today = Figures(day.tokens + tokens, day.responses + 1, day.cost_nusd + (cost or 0), unpriced)
