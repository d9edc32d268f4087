"""What is marked of a stored event, and of sums of events."""

from __future__ import annotations

from tokentop.nouns.usage import Kind

FLAG_HIDDEN = 1
FLAG_ESTIMATED = 2  # the tokens are an estimate
FLAG_COST_ESTIMATED = 4  # the tokens are exact, the price is an estimate
FLAG_UNPRICED = 8
FLAG_SALVAGED = 16  # copied out of a damaged database: a record in a log replaces it
FLAG_UNKNOWN = 32  # the log does not tell the tokens (yet)
FLAG_AT_ESTIMATED = 64  # the log does not tell the time
FLAG_TELEMETRY = 128  # no log tells it, the agent's telemetry did: a record in a log replaces it
FLAGS_MAX = 255


def kind_of(flags: int) -> Kind:
    """The kind of a stored event."""
    if flags & FLAG_HIDDEN:
        return Kind.HIDDEN
    return Kind.UNKNOWN if flags & FLAG_UNKNOWN else Kind.RESPONSE
