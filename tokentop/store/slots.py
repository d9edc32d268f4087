"""The nouns of usage: what is asked for, and what is told of a span of time. Times are UTC milliseconds."""

from __future__ import annotations

from msgspec import Struct

from tokentop.nouns.usage import Tokens

from .flags import FLAG_AT_ESTIMATED, FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_TELEMETRY, FLAGS_MAX

SLOT_MS = 15 * 60_000  # every time zone is a whole number of quarter hours from UTC
BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
ROLLED = (*BUCKETS, "cost_nusd", "unpriced_tokens", "unknown_calls", "logged_nusd")
_QUALITY = tuple(
    tuple(
        bool(flags & one) for one in (FLAG_ESTIMATED, FLAG_COST_ESTIMATED, FLAG_AT_ESTIMATED, FLAG_TELEMETRY)
    )
    for flags in range(FLAGS_MAX + 1)
)  # by the flags: there are many slots


class Slot(Struct, frozen=True, gc=False):
    """Usage of one project, model and quality; of one quarter hour where `slot_ms` is asked for."""

    slot_ms: int
    agent: str
    project: str
    provider: str
    model: str
    session: str
    estimated: bool
    cost_estimated: bool
    responses: int
    tokens: Tokens
    cost_nusd: int
    unpriced_tokens: int
    unknown_calls: int = 0
    logged_nusd: int = 0
    at_estimated: bool = False
    telemetry: bool = False  # no log tells it


class Filter(Struct, frozen=True):
    """What to leave in: names as the store has them, times inclusive / exclusive."""

    since_ms: int | None = None
    until_ms: int | None = None
    agent: str = ""
    project: str = ""
    model: str = ""


def where_of(wanted: Filter, agent: str, project: str, model: str) -> tuple[str, list[object]]:
    parts: list[str] = []
    values: list[object] = []
    for column, value in ((agent, wanted.agent), (project, wanted.project), (model, wanted.model)):
        if value:
            parts.append(f"{column} = ?")
            values.append(value)
    return "".join(f" AND {part}" for part in parts), values


def span_of(wanted: Filter) -> tuple[int, int]:
    since = wanted.since_ms if wanted.since_ms is not None else -(1 << 62)
    return since, wanted.until_ms if wanted.until_ms is not None else 1 << 62


def slot_of(
    slot_ms: int, agent: str, project: str, provider: str, model: str, sid: str, flags: int, responses: int,
    fresh: int, read: int, write_5m: int, write_1h: int, output: int, reasoning: int, cost: int, unpriced: int, unknown: int,
    logged: int,
) -> Slot:  # fmt: skip
    """What begins with `fresh` are the sums of `ROLLED`."""
    estimated, cost_estimated, at_estimated, telemetry = _QUALITY[flags]
    return Slot(
        slot_ms, agent, project, provider, model, sid.partition("/")[0] if sid else "", estimated, cost_estimated, responses,
        Tokens(fresh, read, write_5m, write_1h, output, reasoning), cost, unpriced, unknown, logged, at_estimated, telemetry,
    )  # fmt: skip
