"""What the tokens bought: the store's sessions, their logs' outlines and git, brought up to date and put together.

Called by who asks for it, never by the collector: logs and git may take seconds. All of one call stays within a time
limit; what was not looked at is said, and comes with the next call.
"""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from tokentop.agents import all_agents
from tokentop.engine.outcome import Worker
from tokentop.engine.work import Work, models_of, spent_by, waited, work_of
from tokentop.ingest.outlining import Outliner
from tokentop.ingest.reading import Budget
from tokentop.ingest.repository import Place, place_of
from tokentop.pricing.table import PriceTable
from tokentop.store import gitwork, outcomes, outlines, reader
from tokentop.store.indexing import Indexer
from tokentop.store.outcomes import Kept, Line

from .bought import refresh
from .families import GONE, NONE, united
from .harvest import Report, harvest

_PAGE = 200
_LAST = (1 << 62, 1 << 62)
_FOLDERS = 200  # of one session's edits


def bring_up(
    db: sqlite3.Connection, prices: PriceTable, since_ms: int, now_ms: int, *, days: int, seconds: float
) -> Report:
    """Look at logs and repositories of the sessions used since a time, and keep what they tell. sqlite3.Error.

    Logs take half of the time at most.
    """
    budget = Budget(seconds / 2)
    unread = _outlines(db, since_ms, now_ms, budget)
    indexer = Indexer(db)
    while indexer.index_some():
        pass
    lines = outcomes.lines(db, since_ms)
    kept, later, fresh = _works(db, lines, budget, prices)
    roots = _roots(db, lines)
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
    refresh(db, days)
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


def _roots(db: sqlite3.Connection, lines: Sequence[Line]) -> dict[int, int]:
    """The session that each one is listed below, or itself."""
    found = {line.id: line.id for line in lines}
    rows = db.execute(
        "SELECT session, root FROM line WHERE session IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(list(found)),),
    )
    return found | dict(rows.fetchall())


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
                frozenset(one.common for one in found), united(span for work in works for span in work.spans),
                tuple(run for work in works for run in work.runs), edits,
            )
        )  # fmt: skip
    return workers
