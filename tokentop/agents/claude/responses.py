"""What one response used: the lines that repeat it merged, its counts made disjoint. Pure.

What is wrong with a count is added to `facts`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tokentop.agents.decoding import MAX_COUNT, bad_number, count, label
from tokentop.nouns.facts import Fact
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import clean

from .content import AGENT_ID
from .records import Iteration, LoggedUsage, searches_of, total_of


class Pending(Struct):
    """The lines of one response so far."""

    session_id: str
    key: str
    at_ms: int
    end_ms: int
    start_ms: int
    model: str
    usage: LoggedUsage
    exact: bool
    request_id: str = ""

    def merge(self, at_ms: int, start_ms: int, usage: LoggedUsage, *, exact: bool) -> None:
        """Take another line of it: the highest output wins."""
        if at_ms < self.at_ms:
            self.at_ms = at_ms
        if at_ms > self.end_ms:
            self.end_ms = at_ms
        self.start_ms = self.start_ms or start_ms
        self.exact = self.exact or exact
        new, old = usage.output_tokens or 0, self.usage.output_tokens or 0
        if new > old or (new == old and total_of(usage) > total_of(self.usage)):
            self.usage = usage


def usage_of(entry: Pending, facts: list[Fact]) -> Usage:
    """The usage of a response of which all lines are read."""
    usage = entry.usage
    tier = "fast" if usage.speed == "fast" else usage.service_tier or ""
    return Usage(
        AGENT_ID, entry.session_id, entry.key, entry.at_ms, label(entry.model), _tokens(usage, facts),
        "anthropic", max(0, entry.end_ms - entry.start_ms) if entry.start_ms else 0,
        "" if tier == "standard" else label(tier), label(usage.inference_geo), searches_of(usage),
        None, Kind.RESPONSE, not entry.exact, entry.start_ms, request_id=entry.request_id,
    )  # fmt: skip


def advisors(
    session_id: str, key: str, at_ms: int, iterations: list[Iteration], facts: list[Fact]
) -> None:  # fmt: skip
    """Add the calls of other models within a response."""
    for index, part in enumerate(iterations):
        if part.type in ("advisor_message", "compaction"):
            facts.append(
                Usage(AGENT_ID, session_id, f"{key}#{index}", at_ms, clean(part.model or "", 100),
                      _tokens(part, facts), "anthropic")
            )  # fmt: skip


def prompt_of(usage: LoggedUsage, facts: list[Fact]) -> int:
    """How full the context was with the last call of a response."""
    for iteration in reversed(usage.iterations or []):
        if iteration.type in ("message", "fallback_message"):
            return _tokens(iteration, facts).prompt or _tokens(usage, facts).prompt
    return _tokens(usage, facts).prompt


def _tokens(usage: LoggedUsage | Iteration, facts: list[Fact]) -> Tokens:
    read, output = usage.cache_read_input_tokens or 0, usage.output_tokens or 0
    fresh, written = usage.input_tokens or 0, usage.cache_creation_input_tokens or 0
    long_lived = 0
    if (split := usage.cache_creation) is not None:
        short, long_lived = split.ephemeral_5m_input_tokens or 0, split.ephemeral_1h_input_tokens or 0
        written = max(written, short + long_lived)
    details = usage.output_tokens_details if type(usage) is LoggedUsage else None
    thinking = (details.thinking_tokens or 0) if details is not None else 0
    if (
        not 0
        <= min(fresh, read, written, long_lived, output, thinking)
        <= max(fresh, read, written, output, thinking)
        <= MAX_COUNT
    ):
        facts.append(bad_number(AGENT_ID))
        fresh, read, written, long_lived, output, thinking = (
            count(v) or 0 for v in (fresh, read, written, long_lived, output, thinking)
        )
    long_lived = min(long_lived, written)
    return Tokens(fresh, read, written - long_lived, long_lived, output, min(thinking, output))


def readable(value: Any, bad: list[str]) -> Any:
    """A usage object with every count made an integer; `bad` gets the names of those that are none."""
    if isinstance(value, list):
        return [part for part in (readable(item, bad) for item in value) if isinstance(part, dict)]
    if not isinstance(value, dict):
        return value if isinstance(value, str) else None
    out: dict[str, Any] = {}
    for name, part in value.items():
        if name.endswith(("_tokens", "_requests")):
            number = count(part)
            if number is None:
                bad.append(name)
            out[name] = number or 0
        else:
            out[name] = readable(part, bad)
    return out
