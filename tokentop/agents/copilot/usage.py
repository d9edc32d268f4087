"""What Copilot tells of one call, as usage: with all its counts, or of older versions the output alone. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from tokentop.agents.decoding import count, label, obj, string, tokens
from tokentop.nouns.facts import Fact
from tokentop.nouns.usage import Kind, Tokens, Usage

from .sidecar import AGENT_ID
from .totals import Vector, nano_of

_NANO_PER_CREDIT = 10**9  # one AI unit is one credit
_NUSD_PER_CREDIT = 10**7
_PROVIDER = "github-copilot"
_DAY_MS = 86_400_000


class Said(Struct):
    """A message of a version without usage records, until the shutdown tells the totals."""

    session_id: str
    at_ms: int
    model: str
    output: int | None  # None = not told


def nano_told(usage: dict[str, Any]) -> int | None:
    """Nano AI units of one call; None = not told."""
    nano = obj(usage.get("copilotUsage")).get("totalNanoAiu")
    return None if nano is None else nano_of(nano)


def counted(
    facts: list[Fact], session_id: str, key: str, at_ms: int, model: str, usage: dict[str, Any], nano: int | None,
    kind: Kind, *, timeless: bool,
) -> Usage:  # fmt: skip
    """A response, or what a total holds beyond them; a count that cannot be read is told in `facts`."""
    found = tokens(
        AGENT_ID, facts, prompt=usage.get("inputTokens"), cache_read=usage.get("cacheReadTokens"),
        cache_write=usage.get("cacheWriteTokens"), output=usage.get("outputTokens"),
        reasoning=usage.get("reasoningTokens"),
    )  # fmt: skip
    took_ms = min(count(usage.get("duration")) or 0, _DAY_MS)
    own_key = label(string(usage.get("modelProvider"))) or label(string(usage.get("providerType")))
    return Usage(
        AGENT_ID, session_id, key, at_ms, model, found,
        own_key if usage.get("isByok") and own_key else _PROVIDER, took_ms,
        logged_nusd=None if nano is None else nano * _NUSD_PER_CREDIT // _NANO_PER_CREDIT,
        kind=kind, start_ms=at_ms - took_ms if took_ms else 0, at_estimated=timeless,
        credits_milli=None if nano is None else nano * 1000 // _NANO_PER_CREDIT,
    )  # fmt: skip


def usage_of(vector: Vector) -> tuple[dict[str, Any], int | None]:
    """A vector of totals in the fields of a call, and its nano AI units."""
    prompt, output, read, written, reasoning, nano = vector
    return {
        "inputTokens": prompt, "outputTokens": output, "cacheReadTokens": read, "cacheWriteTokens": written,
        "reasoningTokens": reasoning,
    }, nano or None  # fmt: skip


def heard(before: Said, model: str, output: int | None) -> tuple[Said, int]:
    """A message as it is known now, and by how much its output has grown: it may be told more than once."""
    more = max(before.output or 0, output or 0) or None
    now = Said(before.session_id, before.at_ms, model or before.model, more)
    return now, (more or 0) - (before.output or 0)


def spoken(key: str, said: Said, *, final: bool) -> Usage:
    """A call of which only the output is known; after the shutdown a total covers the rest."""
    unknown = said.output is None and not final
    return Usage(
        AGENT_ID, said.session_id, key, said.at_ms, said.model, Tokens(output=said.output or 0), _PROVIDER,
        kind=Kind.UNKNOWN if unknown else Kind.RESPONSE, estimated=not final and not unknown,
    )  # fmt: skip


def lost(session_id: str, call: str, at_ms: int, model: str) -> Usage:
    """A request that was cut off: it was billed, and its usage will never be written."""
    return Usage(AGENT_ID, session_id, call, at_ms, model, Tokens(), kind=Kind.UNKNOWN)
