"""Spend that a log shows only inside the session's running total: compaction, the rest of aborted streams. Pure.

For the n-th total of a session, hidden = total - own calls up to it - what a fork inherited, per model and
bucket, never below 0. Each total gets the growth since the one before; a later, smaller value corrects the
earlier ones, so that the sum is always what the newest total says.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from msgspec import Struct, structs

from tokentop.nouns.usage import Kind, Tokens, Usage

_DATED = re.compile(r"(\[1m\]|-20\d{6})+$")
_ZERO = Tokens()
_NEVER = 1 << 62


class Total(Struct, frozen=True):
    """The n-th running total of a session: model as logged -> tokens, and -> logged cost in nano-dollars."""

    n: int
    at_ms: int
    started_ms: int
    models: dict[str, Tokens]
    costs: dict[str, int] = {}
    provider: str = ""


class Call(Struct, frozen=True):
    """One own call of a session, sub-agents included."""

    at_ms: int
    model: str
    tokens: Tokens
    sub_agent: bool = False  # or known from telemetry, whose time is that of its end


def hidden_usages(
    agent: str, session_id: str, provider: str, totals: Sequence[Total], calls: Sequence[Call],
    parent_totals: Sequence[Total] | None, forked_at_ms: int,
) -> list[Usage]:  # fmt: skip
    """The hidden events of a session. `parent_totals` is None unless the session is a fork."""
    totals = sorted(totals, key=lambda total: total.n)
    if not totals:
        return []
    base = _base(totals, calls, parent_totals, forked_at_ms)
    first = _first_totals(totals, calls)
    found: list[Usage] = []
    for model in {name for total in totals for name in total.models}:
        plain = plain_name(model)
        known, excess = base.get(plain, _ZERO), []
        for total, gained in zip(totals, _gains(plain, calls, first, len(totals)), strict=True):
            known += gained
            excess.append(_excess(total.models.get(model, _ZERO), known))
        before = _ZERO
        for total, value in zip(totals, _never_falling(excess), strict=True):
            growth = minus(value, before)
            before = value
            if growth.total:
                key = f"hidden:{session_id}:{model}:{total.n}"
                found.append(
                    Usage(agent, session_id, key, total.at_ms, model, growth, provider, kind=Kind.HIDDEN)
                )
    return found


def plain_name(model: str) -> str:
    """A model id without its date and window suffix: totals and calls may differ in them."""
    return _DATED.sub("", model)


def minus(a: Tokens, b: Tokens) -> Tokens:
    """a - b per bucket, never below 0."""
    return Tokens(
        max(0, a.input - b.input), max(0, a.cache_read - b.cache_read),
        max(0, a.cache_write_5m - b.cache_write_5m), max(0, a.cache_write_1h - b.cache_write_1h),
        max(0, a.output - b.output), max(0, a.reasoning - b.reasoning),
    )  # fmt: skip


def _base(
    totals: Sequence[Total], calls: Sequence[Call], parent: Sequence[Total] | None, forked_at_ms: int
) -> dict[str, Tokens]:
    """What a fork's totals inherited: equal start times are the sign."""
    first = totals[0]
    if parent is None or (parent and parent[0].started_ms != first.started_ms):
        return {}
    before = [total for total in parent if total.at_ms <= forked_at_ms]
    if before:
        newest = max(before, key=lambda total: total.n)
        return {plain_name(name): tokens for name, tokens in newest.models.items()}
    base: dict[str, Tokens] = {}
    for name, tokens in first.models.items():
        plain = plain_name(name)
        base[plain] = minus(
            tokens, _sum(c for c in calls if c.at_ms <= first.at_ms and plain_name(c.model) == plain)
        )
    return base


def _first_totals(totals: Sequence[Total], calls: Sequence[Call]) -> list[int]:
    """For each call the index of the first total that holds it.

    A total bears the time of the line before it. Sub-agents in the background may end later than that, and
    are in it none the less, until the session itself goes on.
    """
    times = [total.at_ms for total in totals]
    main = sorted(call.at_ms for call in calls if not call.sub_agent)
    ends = (*main, _NEVER)
    goes_on = [ends[bisect_right(main, time)] for time in times]
    first = [bisect_left(times, call.at_ms) for call in calls]
    return [
        min(index, bisect_right(goes_on, call.at_ms)) if call.sub_agent else index
        for index, call in zip(first, calls, strict=True)
    ]


def _gains(plain: str, calls: Sequence[Call], first: Sequence[int], size: int) -> list[Tokens]:
    """What the calls of one model added to each total."""
    gains = [_ZERO] * (size + 1)
    for call, index in zip(calls, first, strict=True):
        if plain_name(call.model) == plain:
            gains[index] += call.tokens
    return gains[:size]


def _excess(total: Tokens, known: Tokens) -> Tokens:
    if known.cache_write_1h and not total.cache_write_1h:
        # A total that does not tell the lifetimes of cache writes has them all in one bucket.
        written = known.cache_write_5m + known.cache_write_1h
        known = structs.replace(known, cache_write_5m=written, cache_write_1h=0)
    return minus(total, known)


def _never_falling(values: Sequence[Tokens]) -> list[Tokens]:
    """Each value, at most every later one, per bucket."""
    out = list(values)
    for index in range(len(out) - 2, -1, -1):
        a, b = out[index], out[index + 1]
        out[index] = Tokens(
            min(a.input, b.input), min(a.cache_read, b.cache_read), min(a.cache_write_5m, b.cache_write_5m),
            min(a.cache_write_1h, b.cache_write_1h), min(a.output, b.output), min(a.reasoning, b.reasoning),
        )  # fmt: skip
    return out


def _sum(calls: Iterable[Call]) -> Tokens:
    out = _ZERO
    for call in calls:
        out += call.tokens
    return out
