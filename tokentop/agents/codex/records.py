"""The records of Codex rollouts that are read, and what their counts mean. Pure.

`input_tokens` holds cached and written tokens, `output_tokens` holds reasoning.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from tokentop.agents.decoding import MAX_COUNT, count
from tokentop.nouns.usage import Tokens

AGENT_ID = "codex"


class Counts(Struct):
    input_tokens: int | None = None
    cached_input_tokens: int | None = None
    cached_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    total_tokens: int | None = None


class Info(Struct):
    last_token_usage: Counts | None = None
    total_token_usage: Counts | None = None
    model_context_window: int | None = None


class Window(Struct):
    used_percent: float | None = None
    window_minutes: int | None = None
    resets_at: int | float | None = None
    resets_in_seconds: int | float | None = None


class Limits(Struct):
    limit_id: str | None = None
    primary: Window | None = None
    secondary: Window | None = None
    plan_type: str | None = None


class Settings(Struct):
    model: str | None = None
    model_provider_id: str | None = None
    service_tier: str | None = None


class Payload(Struct):
    type: str | None = None
    info: Info | None = None
    rate_limits: Limits | None = None
    usage: Counts | None = None
    thread_id: str | None = None
    response_id: str | None = None
    model: str | None = None
    model_context_window: int | None = None
    thread_settings: Settings | None = None
    name: str | None = None
    call_id: str | None = None


class Line(Struct):
    type: str = ""
    timestamp: str | None = None
    ordinal: int | None = None
    payload: Payload | None = None


class MetaPayload(Struct):
    id: str | None = None
    session_id: str | None = None
    parent_thread_id: str | None = None
    forked_from_id: str | None = None
    history_mode: str | None = None
    thread_source: str | None = None
    source: Any = None
    subagent_history_start_ordinal: int | None = None
    originator: str | None = None
    cli_version: str | None = None
    cwd: str | None = None
    model_provider: str | None = None
    git: Any = None
    agent_nickname: str | None = None


class MetaLine(Struct):
    payload: MetaPayload
    timestamp: str | None = None


class LooseLine(Struct):
    type: str = ""
    timestamp: str | None = None
    ordinal: int | None = None
    payload: Any = None


LINE = msgspec.json.Decoder(Line)
META = msgspec.json.Decoder(MetaLine)
LOOSE = msgspec.json.Decoder(LooseLine)

Vector = tuple[int, ...]
_HUGE = 1 << 62


def readable(value: Any, bad: list[str]) -> Any:
    """The parts of a payload that are read, with every count made an integer."""
    if not isinstance(value, dict):
        return None
    out: dict[str, Any] = {}
    for name, part in value.items():
        if name.endswith("_tokens"):
            number = count(part)
            if number is None:
                bad.append(name)
            out[name] = number or 0
        elif name in ("info", "usage", "last_token_usage", "total_token_usage", "thread_settings"):
            out[name] = readable(part, bad)
        elif isinstance(part, str):
            out[name] = part
    return out


def tokens_of(counts: Counts) -> Tokens | None:
    """Disjoint buckets: input holds cached and written tokens, output holds reasoning. None = out of bounds."""
    prompt, read, written, output, reasoning = values(counts)
    if (
        min(prompt, read, written, output, reasoning) < 0
        or max(prompt, read, written, output, reasoning) > MAX_COUNT
    ):
        return None
    return disjoint(prompt, read, written, output, reasoning)


def bounded(counts: Counts) -> Tokens:
    return disjoint(*(count(v) or 0 for v in values(counts)))


def values(counts: Counts) -> tuple[int, int, int, int, int]:
    read = counts.cached_input_tokens or counts.cached_tokens or counts.cache_read_input_tokens or 0
    written = counts.cache_write_input_tokens or counts.cache_creation_input_tokens or 0
    return (
        counts.input_tokens or 0, read, written, counts.output_tokens or 0, counts.reasoning_output_tokens or 0
    )  # fmt: skip


def disjoint(prompt: int, read: int, written: int, output: int, reasoning: int) -> Tokens:
    read = min(read, prompt)
    written = min(written, prompt - read)
    return Tokens(prompt - read - written, read, written, 0, output, min(reasoning, output))


def moved(info: Info, previous: Vector) -> tuple[Counts, Vector] | None:
    """The last usage of a snapshot whose running total is not `previous`, and that total; else None.

    Without a total the last usage stands for it, without a last usage what the total gained.
    """
    counts = info.total_token_usage or info.last_token_usage
    if counts is None:
        return None
    # What no state can hold stands for itself no more, and is out of bounds still.
    total = tuple(max(-_HUGE, min(value, _HUGE)) for value in (*values(counts), counts.total_tokens or 0))
    return None if total == previous else (info.last_token_usage or _gained(total, previous), total)


def _gained(total: Vector, previous: Vector) -> Counts:
    """A total that fell started anew."""
    gained = [a - b for a, b in zip(total, previous or (0,) * len(total), strict=True)]
    prompt, read, written, output, reasoning, whole = total if min(gained) < 0 else gained
    return Counts(
        input_tokens=prompt, cached_input_tokens=read, cache_write_input_tokens=written, output_tokens=output,
        reasoning_output_tokens=reasoning, total_tokens=whole,
    )  # fmt: skip
