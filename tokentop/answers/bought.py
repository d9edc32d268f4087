"""What the tokens bought, from what is kept of sessions, their outlines and git; `catching_up.py` brings it up to date.

Reads only. sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from tokentop.engine.tally import Bought, Credited, Done, total
from tokentop.engine.work import Waste
from tokentop.store import outcomes, worked
from tokentop.store.worked import Part, Told

GONE = -1
NONE = 0
Pairs = tuple[tuple[int, str], ...]


def gather(
    db: sqlite3.Connection, since_ms: int, until_ms: int, days: int, *, named: bool = True
) -> tuple[list[Done], list[Credited]]:
    """Sessions of a time span and the changes that were made in it, as they are kept. sqlite3.Error.

    `named` False leaves ids and titles of sessions out.
    """
    members: dict[int, list[Part]] = {}
    for part in worked.parts(db, since_ms, until_ms, named=named):
        members.setdefault(part.root, []).append(part)
    found = (_done(root, some, since_ms, until_ms) for root, some in members.items())
    done = [one for one in found if one is not None]
    return done, _once(outcomes.credited(db, since_ms, until_ms, days))


def _once(shares: Sequence[Credited]) -> list[Credited]:
    """A commit that several clones of a repository hold counts in one: where it is known whose it is."""
    owners = {share.hash: share.repo for share in shares if share.session}
    seen: set[tuple[str, int]] = set()
    found = []
    for share in shares:
        if (
            owners.setdefault(share.hash, share.repo) == share.repo
            and (share.hash, share.session) not in seen
        ):
            seen.add((share.hash, share.session))
            found.append(share)
    return found


def _done(root: int, some: Sequence[Part], since_ms: int, until_ms: int) -> Done | None:
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


def of_session(db: sqlite3.Connection, agent: str, sid: str, days: int) -> tuple[Done | None, list[Credited]]:
    """One session, with all below it, and its changes, as they were last looked at. Reads only.

    (None, []) = it is unknown, or it was not looked at yet.
    """
    number = outcomes.ids(db, [(agent, sid)]).get((agent, sid))
    if number is None:
        return None, []
    some = worked.parts_of(db, (line.id for line in outcomes.family(db, agent, sid)))
    if all(part.id != number or part.work is None for part in some):
        return None, []
    return _done(number, some, 0, 1 << 62), outcomes.credited_to(db, number, days)


def bought_by(db: sqlite3.Connection, agent: str, sid: str, days: int, now_ms: int) -> Bought | None:
    """What one session brought; None = it was not looked at yet. Reads only. sqlite3.Error."""
    done, shares = of_session(db, agent, sid, days)
    return None if done is None else Bought(total([done], shares, now_ms), days)
