"""What the decoders of Qwen Code share: the counts of one response. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tokentop.agents.base import LogFile
from tokentop.agents.decoding import count, label, text, tokens
from tokentop.nouns.facts import Fact
from tokentop.nouns.usage import Kind, Tokens, Usage

AGENT_ID = "qwen"


class Counts(Struct):
    """Raw values of one response, whatever its store calls them."""

    prompt: object
    output: object
    cached: object
    thoughts: object
    total: object
    duration: object


def tokens_of(facts: list[Fact], raw: Counts) -> Tokens:
    """The prompt holds what is cached. Thoughts are inside the output, but for the Gemini wire: the total tells."""
    prompt, output, cached, thoughts, total = (
        count(value) or 0 for value in (raw.prompt, raw.output, raw.cached, raw.thoughts, raw.total)
    )
    beside = thoughts > 0 and total == max(prompt, cached) + output + thoughts
    return tokens(
        AGENT_ID, facts, prompt=raw.prompt, cache_read=raw.cached, output=raw.output,
        reasoning=None if beside else raw.thoughts, thoughts=raw.thoughts if beside else None,
    )  # fmt: skip


def usage_of(
    facts: list[Fact], session: str, about: dict[str, Any], raw: Counts, at_ms: int, name: str, file: LogFile
) -> Usage:
    """`name` is the key where the log tells no duration."""
    used, took_ms = tokens_of(facts, raw), count(raw.duration) or 0
    model = label(text(about.get("model")))
    vector = (count(value) or 0 for value in (raw.output, raw.cached, raw.thoughts))
    prompt = count(raw.prompt) or count(raw.cached) or 0
    counted = f"{session.partition('/')[0]}:{model}:{prompt}:{':'.join(map(str, vector))}:{took_ms}"
    key = counted if took_ms and used.total else name or f"{session}:{at_ms}"
    wire = text(about.get("auth_type") or about.get("authType"), 40)
    return Usage(
        AGENT_ID, session, key, at_ms or file.mtime_ms, model, used, "" if wire in ("openai", "unknown") else wire,
        duration_ms=took_ms, start_ms=max(0, at_ms - took_ms) if at_ms and took_ms else 0, at_estimated=not at_ms,
        kind=Kind.RESPONSE if used.total else Kind.UNKNOWN,
    )  # fmt: skip
