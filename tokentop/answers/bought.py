"""What the tokens bought: the store's sessions, their logs' outlines and git, brought up to date and put together.

Called by who asks for it, never by the collector: logs and git may take seconds. All of one call stays within a time
limit; what was not looked at is said, and comes with the next call.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from msgspec.structs import replace

from tokentop.agents import all_agents
from tokentop.engine.outcome import Worker
from tokentop.engine.tally import Bought, Credited, Done, total
from tokentop.engine.work import Work, models_of, spent_by, waited, work_of
from tokentop.ingest.commits import Budget
from tokentop.ingest.outlining import Outliner
from tokentop.ingest.repository import Place, place_of
from tokentop.nouns.sessions import Role
from tokentop.pricing.table import PriceTable
from tokentop.store import gitwork, outcomes, outlines, reader, worked
from tokentop.store.outcomes import Kept, Line
from tokentop.store.worked import Part, Told

from .harvest import Report, harvest

_PAGE = 200
_LAST = (1 << 62, 1 << 62)
_FOLDERS = 200  # of one session's edits
GONE = -1
NONE = 0


def bring_up(
    db: sqlite3.Connection, prices: PriceTable, since_ms: int, now_ms: int, *, days: int, seconds: float
) -> Report:
    """Look at logs and repositories of the sessions used since a time, and keep what they tell. sqlite3.Error.

    Logs take half of the time at most.
    """
    budget = Budget(seconds / 2)
    unread = _outlines(db, since_ms, now_ms, budget)
    lines = outcomes.lines(db, since_ms)
    kept, later, fresh = _works(db, lines, budget, prices)
    roots = roots_of(db, lines)
    places: dict[str, Place | None] = {}

    def place(folder: str) -> Place | None:
        if folder not in places:
            places[folder] = place_of(folder) if folder.startswith("/") else None
        return places[folder]

    for line in lines:
        place(line.cwd)
    found = {place.common: place for place in places.values() if place is not None}
    workers = _workers(lines, kept, roots, place)
    found |= {one.common: one for one in places.values() if one is not None}
    report = harvest(db, workers, found.values(), since_ms, now_ms, days=days, seconds=seconds)
    report.unread_logs = unread
    report.later = len(later)
    numbers = {common: gitwork.repo_of(db, common)[0] for common in found}
    exists = {cwd: os.path.isdir(cwd) for cwd in places}
    new = []
    for line in lines:
        old = kept[line.id]
        at = places[line.cwd]
        number = numbers[at.common] if at is not None else NONE if exists[line.cwd] else GONE
        if number == GONE and old.place > 0:
            number = old.place  # its folder was in a repository, and is not there any more
        if line.id in fresh or (number != old.place and line.id not in later):
            new.append((line.id, Kept(line.last_ms, old.outline_ms, number, old.work)))
    outcomes.keep_works(db, new)
    return report


def _outlines(db: sqlite3.Connection, since_ms: int, now_ms: int, budget: Budget) -> int:
    """Read the logs that were not read since they have changed, newest first; return how many are left."""
    agents = {one.id: one for one in all_agents()}
    before: tuple[int, int] | None = _LAST
    left = 0
    while before is not None:
        page = outlines.wanted(db, since_ms, before, _PAGE)
        for session in page.sessions:
            agent = agents.get(session.agent)
            if agent is None:
                continue
            if not budget.left_s:
                left += 1
                continue
            reader = Outliner(agent, session, now_ms)
            while not (done := reader.step()) and budget.left_s:
                pass
            if done:
                outlines.keep(db, session, reader.outline())
            else:
                left += 1
        before = page.before
    return left


def _works(
    db: sqlite3.Connection, lines: Sequence[Line], budget: Budget, prices: PriceTable
) -> tuple[dict[int, Kept], set[int], set[int]]:
    """The work of each session, those for which there was no time, and those that were worked out anew.

    What is kept serves while nothing is new.
    """
    stored = outcomes.works(db, (line.id for line in lines))
    times = outcomes.outline_times(db, (line.id for line in lines))
    found: dict[int, Kept] = {}
    later: set[int] = set()
    fresh: set[int] = set()
    for line in sorted(lines, key=lambda one: -one.last_ms):
        old = stored.get(line.id)
        read_ms = times.get(line.id, 0)
        if old is not None and (old.last_ms, old.outline_ms) == (line.last_ms, read_ms):
            found[line.id] = old
            continue
        place = old.place if old is not None else NONE
        if not budget.left_s:
            later.add(line.id)
            found[line.id] = old if old is not None else Kept(line.last_ms, read_ms, place, Work())
            continue
        outline = outcomes.outline(db, line.id) if read_ms else None
        events = reader.events_of_one(db, line.id)
        work = work_of(outline, line.cwd, [spent_by(event) for event in events])
        work = replace(work, waste=(*work.waste, *waited(events, prices)), models=models_of(events))
        found[line.id] = Kept(line.last_ms, read_ms, place, work)
        fresh.add(line.id)
    return found, later, fresh


def roots_of(db: sqlite3.Connection, lines: Iterable[Line]) -> dict[int, int]:
    """The session that each one belongs to: a sub-agent's work is its root's, anything else is its own."""
    by_name = {(line.agent, line.sid): line.id for line in lines}
    wanted = {
        line.id: (line.agent, _root(line)) for line in lines if line.role == Role.SUB_AGENT or "/" in line.sid
    }
    missing = {name for name in wanted.values() if name[1] and name not in by_name}
    by_name |= outcomes.ids(db, missing)
    return {line.id: by_name.get(wanted.get(line.id, ("", "")), line.id) for line in lines}


def _root(line: Line) -> str:
    return line.root_sid or line.sid.partition("/")[0]


def _workers(
    lines: Sequence[Line], kept: dict[int, Kept], roots: dict[int, int], place: Callable[[str], Place | None]
) -> list[Worker]:
    members: dict[int, list[Line]] = defaultdict(list)
    for line in lines:
        members[roots[line.id]].append(line)
    workers = []
    for root, some in members.items():
        works = [kept[line.id].work for line in some]
        edits: dict[str, tuple[int, ...]] = {}
        for work in works:
            for path, times in work.edits.items():
                edits[path] = tuple(sorted((*edits.get(path, ()), *times)))
        folders = dict.fromkeys(
            [line.cwd for line in some] + [os.path.dirname(path) for path in edits][:_FOLDERS]
        )
        found = [one for one in map(place, folders) if one is not None]
        workers.append(
            Worker(
                root, some[0].agent, frozenset(line.sid for line in some), frozenset(one.top for one in found),
                frozenset(one.common for one in found), _united(span for work in works for span in work.spans),
                tuple(run for work in works for run in work.runs), edits,
            )
        )  # fmt: skip
    return workers


def _united(spans: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


# ------------------------------------------------------------ what is kept, put together


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
    if len(some) == 1 and work is not None and spent and not (work.tests or work.pulls or work.waste):
        return Done(  # most of them
            root, head.agent, head.sid, head.project, _model([work]), head.title, head.last_ms, work.spans, head.cost_nusd,
            head.unpriced_tokens, head.unknown_calls, head.estimated, _in_repository([head.place]), work.told, work.changed,
            (), (), (),
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
    spans = works[0].spans if len(works) == 1 else _united([span for work in works for span in work.spans])
    if not (cost or unpriced or unknown or any(start < until_ms and end >= since_ms for start, end in spans)):
        return None
    edited = [work for work in works if work.changed]
    return Done(
        root, head.agent, head.sid, head.project, _model(works), head.title, last_ms, spans, cost, unpriced, unknown,
        estimated, _in_repository(places), bool(works) and all(work.told for work in works),
        edited[0].changed if len(edited) == 1 else len({path for work in edited for path in work.paths}),
        tuple([one for work in works if work.tests for one in work.tests if since_ms <= one[0] < until_ms]),
        tuple([one for work in works if work.pulls for one in work.pulls if since_ms <= one[0] < until_ms]),
        tuple([one for work in works if work.waste for one in work.waste if since_ms <= one.at_ms < until_ms]),
    )  # fmt: skip


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
