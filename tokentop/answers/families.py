"""A session and everything below it as one: what they did in a time, of what is kept of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tokentop.engine.tally import Done
from tokentop.engine.work import Waste
from tokentop.store import outcomes
from tokentop.store.worked import Part, Told

GONE = outcomes.GONE
NONE = 0
Pairs = tuple[tuple[int, str], ...]


def done_of(root: int, some: Sequence[Part], since_ms: int, until_ms: int) -> Done | None:
    """What a session and those below it did; None = nothing in that time."""
    head = some[0]
    work = head.work
    spent = head.cost_nusd or head.unpriced_tokens or head.unknown_calls
    if len(some) == 1 and work is not None and spent:
        return Done(  # most of them
            root, head.agent, head.sid, head.project, _model([work]), head.title, head.last_ms, work.spans, head.cost_nusd,
            head.unpriced_tokens, head.unknown_calls, head.estimated, _in_repository([head.place]), work.told, work.changed,
            *_dated([work], since_ms, until_ms),
        )  # fmt: skip
    works, places = [], []
    cost = unpriced = unknown = last_ms = 0
    estimated = False
    for part in some:
        cost += part.cost_nusd
        unpriced += part.unpriced_tokens
        unknown += part.unknown_calls
        estimated = estimated or part.estimated
        if part.id == root:
            head = part
        if part.last_ms > last_ms:
            last_ms = part.last_ms
        if part.work is not None:
            works.append(part.work)
            places.append(part.place)
    spans = works[0].spans if len(works) == 1 else united([span for work in works for span in work.spans])
    if not (cost or unpriced or unknown or any(start < until_ms and end >= since_ms for start, end in spans)):
        return None
    edited = [work for work in works if work.changed]
    return Done(
        root, head.agent, head.sid, head.project, _model(works), head.title, last_ms, spans, cost, unpriced, unknown,
        estimated, _in_repository(places), bool(works) and all(work.told for work in works),
        edited[0].changed if len(edited) == 1 else len({path for work in edited for path in work.paths}),
        *_dated(works, since_ms, until_ms),
    )  # fmt: skip


def _dated(works: Sequence[Told], since_ms: int, until_ms: int) -> tuple[Pairs, Pairs, tuple[Waste, ...]]:
    """Tests, pull requests and waste of a time; most works have none."""
    return (
        tuple([one for work in works if work.tests for one in work.tests if since_ms <= one[0] < until_ms]),
        tuple([one for work in works if work.pulls for one in work.pulls if since_ms <= one[0] < until_ms]),
        tuple(
            [one for work in works if work.waste for one in work.waste if since_ms <= one.at_ms < until_ms]
        ),
    )


def united(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def _in_repository(places: Sequence[int | None]) -> bool | None:
    """Whether any of them worked in one; None = a folder is gone, or none was looked at."""
    known = {place for place in places if place is not None}
    if not known:
        return None
    return True if max(known) > NONE else None if GONE in known else False


def _model(works: Sequence[Told]) -> str:
    """The model on which most was spent; of those without a price the one with most tokens."""
    if len(works) == 1 and len(works[0].models) == 1:
        return works[0].models[0][0]
    sums: dict[str, tuple[int, int]] = {}
    for work in works:
        for name, cost, tokens in work.models:
            known = sums.get(name, (0, 0))
            sums[name] = known[0] + cost, known[1] + tokens
    return max(sums, key=lambda name: (sums[name], name), default="")
