"""Agents that keep nothing but a session's running total: its growth becomes events. Pure.

Exact in sum, estimated in time: what was added between two looks is spread evenly over the responses that the
log shows for that while, or stands at the time of the second look.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tokentop.nouns.usage import Kind, RunningTotal, Tokens, Usage

from .hidden import Total, minus

ONLY = -1  # `started_ms` of such totals: the store numbers them
_PARTS = 500  # events that one growth is spread over at most
_ZERO = Tokens()
_NEVER = 1 << 62


def next_total(known: Sequence[Total], fact: RunningTotal) -> RunningTotal | None:
    """The total to store after `known`, per model; None if nothing was added.

    The agent's total is of the session, whatever model it uses now: what was added belongs to the present one. A
    smaller total (counters that began anew, an older copy of the file) adds nothing.
    """
    last = known[-1] if known else Total(-1, 0, ONLY, {}, {})
    (model, tokens, cost), *_ = fact.models
    grown, cost_grown = minus(tokens, _sum(last.models.values())), max(0, cost - sum(last.costs.values()))
    if not grown.total and not cost_grown:
        return None
    models = {**last.models, model: last.models.get(model, _ZERO) + grown}
    costs = {**last.costs, model: last.costs.get(model, 0) + cost_grown}
    return RunningTotal(
        fact.agent, fact.session_id, last.n + 1, fact.at_ms, ONLY,
        tuple((name, models[name], costs[name]) for name in models), True, fact.provider,
    )  # fmt: skip


def growth_usages(
    agent: str, session_id: str, totals: Sequence[Total], answered_ms: Sequence[int], parent: Sequence[Total]
) -> list[Usage]:
    """The events of a session that has only totals. `answered_ms` = its responses, sorted; `parent` = the totals
    of the session that it goes on from, and whose counts it may have inherited."""
    start = Total(-1, 0, ONLY, _inherited(totals[0], parent) if totals else {}, {})
    found: list[Usage] = []
    for before, total in pairwise((start, *totals)):
        last = total is totals[-1]
        times = _between(answered_ms, before.at_ms, _NEVER if last else total.at_ms) or [total.at_ms]
        vector, spent = _sum(total.models.values()), sum(total.costs.values())
        for model, tokens in total.models.items():
            grown = minus(tokens, before.models.get(model, _ZERO))
            cost = max(0, total.costs.get(model, 0) - before.costs.get(model, 0))
            if grown.total or cost:
                key = f"total:{session_id}:{model}:{vector.total}.{vector.output}.{spent}"
                found += _spread(agent, session_id, key, model, total.provider, grown, cost, times)
    return found


def _inherited(first: Total, parent: Sequence[Total]) -> dict[str, Tokens]:
    """What a session began with: the newest total of its parent that its own first one contains."""
    (model, own), *_ = first.models.items()
    for total in reversed(parent):
        above = _sum(total.models.values())
        if not minus(above, own).total:
            return {model: above}
    return {}


def _between(times: Sequence[int], after_ms: int, until_ms: int) -> Sequence[int]:
    inside = times[bisect_right(times, after_ms) : bisect_right(times, until_ms)]
    return inside[:: -(-len(inside) // _PARTS)] if inside else inside


def _spread(
    agent: str, session_id: str, key: str, model: str, provider: str, tokens: Tokens, cost: int,
    times: Sequence[int],
) -> list[Usage]:  # fmt: skip
    """Even parts that add up exactly."""
    parts = len(times)
    return [
        Usage(
            agent, session_id, f"{key}:{i}", at_ms, model,
            Tokens(
                _part(tokens.input, i, parts), _part(tokens.cache_read, i, parts),
                _part(tokens.cache_write_5m, i, parts), _part(tokens.cache_write_1h, i, parts),
                _part(tokens.output, i, parts), _part(tokens.reasoning, i, parts),
            ),
            provider, logged_nusd=_part(cost, i, parts) if cost else None, kind=Kind.HIDDEN, at_estimated=True,
        )
        for i, at_ms in enumerate(times)
    ]  # fmt: skip


def _part(value: int, index: int, parts: int) -> int:
    return value * (index + 1) // parts - value * index // parts


def _sum(parts: Iterable[Tokens]) -> Tokens:
    return sum(parts, _ZERO)
