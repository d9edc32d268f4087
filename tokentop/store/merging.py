"""Which record of a response counts: the identity of a call, and what two records of one tell together. Pure."""

from __future__ import annotations

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL: 4 ms of every start
except ImportError:
    from hashlib import blake2b

from msgspec import structs

from tokentop.engine.heard import SAME_MS
from tokentop.nouns.usage import Kind, Tokens, Usage

MAX_EVENT_NUSD = 10_000 * 10**9  # no response costs more; forged counts must not overflow the sums

EventRow = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int | None]


def event_id(agent: str, key: str) -> int:
    """The 63-bit identity of an event: a hash of its natural key, the same on every machine."""
    return int.from_bytes(blake2b(f"{agent}\0{key}".encode(), digest_size=8).digest(), "big") >> 1


def is_same_call(logged: Usage, request: int, at_ms: int, tokens: Tokens) -> bool:
    """Whether a log's record is the call that telemetry told: by the id of the request, else by its counts and time.

    `request` is the `event_id` of the request's own id, 0 = it was not told.
    """
    if request and logged.request_id:
        return event_id(logged.agent, logged.request_id) == request
    same = structs.replace(logged.tokens, reasoning=0) == structs.replace(
        tokens, reasoning=0
    )  # not all tell it
    return same and abs(logged.at_ms - at_ms) <= SAME_MS


def better(known: Usage, new: Usage, owner: str) -> Usage:
    """Two records of one response: the higher output counts, the earliest time stays."""
    base = new if _says_more(new) > _says_more(known) else known
    return structs.replace(
        base, session_id=owner, at_ms=_earliest(known, new),
        at_estimated=known.at_estimated and new.at_estimated,
        start_ms=known.start_ms or new.start_ms, duration_ms=max(known.duration_ms, new.duration_ms),
        estimated=known.estimated and new.estimated, telemetry=known.telemetry and new.telemetry,
    )  # fmt: skip


def _says_more(usage: Usage) -> tuple[bool, int, int, bool]:
    tokens = usage.tokens
    return usage.kind is not Kind.UNKNOWN, tokens.output, tokens.total, bool(usage.tier)


def _earliest(known: Usage, new: Usage) -> int:
    """The earlier time of two records; one that the log tells before one that was only seen."""
    if known.at_estimated != new.at_estimated:
        return (new if known.at_estimated else known).at_ms
    return min(known.at_ms or new.at_ms, new.at_ms or known.at_ms)


def plausible(nusd: int | None) -> int | None:
    return nusd if nusd is not None and 0 <= nusd <= MAX_EVENT_NUSD else None
