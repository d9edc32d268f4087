"""What the tokens bought, from what is kept of sessions, their outlines and git; `catching_up.py` brings it up to date.

sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import tzinfo

from msgspec import Struct

from tokentop.engine.tally import Bought, Credited, Done, total
from tokentop.store import bought, outcomes, worked
from tokentop.store.bought import Grouped, grouped
from tokentop.store.worked import Part

from .families import done_of

_LEAST_MS, _MOST_MS = -(1 << 62), 1 << 62
_PAGE = 500  # sessions of one transaction


class Gathered(Struct, frozen=True):
    """The sessions of a time: most as they are kept; the others, and by day those of several days, by what they did."""

    kept: Grouped
    done: list[Done]
    shares: list[Credited]  # of `done`
    nobodys: int  # commits

    def __bool__(self) -> bool:
        return bool(self.kept.sums or self.done)


def gather(
    db: sqlite3.Connection, since_ms: int, until_ms: int, days: int, now_ms: int, by: str, zone: tzinfo,
    most: int,
) -> Gathered:  # fmt: skip
    """Sessions of a time span and the changes that were made in it, as they are kept. Reads only. sqlite3.Error.

    `by`: session, project, agent, model, day; by session `most` of what is kept are told, the dearest.
    """
    kept = grouped(db, since_ms, until_ms, days, now_ms, by, zone, most)
    done = _done(worked.parts(db, kept.others, since_ms, until_ms), since_ms, until_ms)
    shares = [
        share
        for share in outcomes.credited(db, (one.key for one in done), days)
        if since_ms <= share.at_ms < until_ms
    ]
    return Gathered(kept, kept.done + done, kept.shares + shares, outcomes.nobodys(db, since_ms, until_ms))


def _done(parts: Iterable[Part], since_ms: int, until_ms: int) -> list[Done]:
    members: dict[int, list[Part]] = {}
    for part in parts:
        members.setdefault(part.root, []).append(part)
    found = (done_of(root, some, since_ms, until_ms) for root, some in members.items())
    return [one for one in found if one is not None]


def refresh(db: sqlite3.Connection, days: int) -> None:
    """Make the sums anew that have moved since they were kept. `days` = how long a line must stay to have survived."""
    roots = bought.stale(db, days)
    for at in range(0, len(roots), _PAGE):
        some = roots[at : at + _PAGE]
        db.execute("BEGIN IMMEDIATE")
        try:
            done = _done(worked.parts_of(db, worked.members(db, some)), _LEAST_MS, _MOST_MS)
            shares: dict[int, list[Credited]] = {}
            for share in outcomes.credited(db, some, days):
                shares.setdefault(share.session, []).append(share)
            bought.keep(db, days, some, [(one, shares.get(one.key, [])) for one in done])
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


def of_session(db: sqlite3.Connection, agent: str, sid: str, days: int) -> tuple[Done | None, list[Credited]]:
    """One session, with all below it, and its changes, as they were last looked at. Reads only.

    (None, []) = it is unknown, or it was not looked at yet.
    """
    number = outcomes.ids(db, [(agent, sid)]).get((agent, sid))
    if number is None:
        return None, []
    some = worked.parts_of(db, {line.id: number for line in outcomes.family(db, agent, sid)})
    if all(part.id != number or part.work is None for part in some):
        return None, []
    return done_of(number, some, _LEAST_MS, _MOST_MS), outcomes.credited(db, [number], days)


def bought_by(db: sqlite3.Connection, agent: str, sid: str, days: int, now_ms: int) -> Bought | None:
    """What one session brought; None = it was not looked at yet. Reads only. sqlite3.Error."""
    done, shares = of_session(db, agent, sid, days)
    return None if done is None else Bought(total([done], shares, now_ms), days)
