"""Which session made which change: sure where something tells it, else guessed from files or from place and time.

What nothing tells is nobody's. docs/outcome.md defines every rule. Pure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from tokentop.nouns.commits import Made, Repository

from .rewrites import Change

AFTER_MS = 15 * 60_000  # a session counts as active so long after a call
BEFORE_MS = 60_000
EDIT_MS = 24 * 3_600_000  # an edit may be committed by hand so much later
_CALL_MS = 2_000  # the clocks of a log and of git
_PREFIX = 7


class Run(Struct, frozen=True, gc=False):
    """A `git commit` of a session: its call, and the hash that git printed ("" = none is known)."""

    from_ms: int
    to_ms: int
    hash: str = ""


class Worker(Struct, frozen=True):
    """A session with everything below it, as far as commits are concerned."""

    key: int
    agent: str
    names: frozenset[str]  # ids of the sessions
    tops: frozenset[str]  # work trees that it was started in, or edited in
    places: frozenset[str]  # the repositories of these
    spans: tuple[tuple[int, int], ...] = ()  # when it was at work, by time, apart from each other
    runs: tuple[Run, ...] = ()
    edits: Mapping[str, tuple[int, ...]] = {}  # absolute path -> times, in order

    def active(self, at_ms: int) -> bool:
        at = bisect_right(self.spans, (at_ms + BEFORE_MS, 1 << 62)) - 1
        return at >= 0 and at_ms <= self.spans[at][1] + AFTER_MS


class Credit(Struct, frozen=True, gc=False):
    """A change is a session's, to a share. `why`: hash, call, named, signed (sure) or signed, call, files, time."""

    hash: str
    worker: int
    share: float
    sure: bool
    why: str


def spans_of(times: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """(end, duration) of calls, in any order -> when a session was at work; short rests do not count."""
    found: list[tuple[int, int]] = []
    for start, end in sorted((at_ms - took_ms, at_ms) for at_ms, took_ms in times):
        if found and start <= found[-1][1] + AFTER_MS:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(found)


def credits_of(
    repository: Repository, made: Mapping[str, Made], changes: Sequence[Change], workers: Sequence[Worker]
) -> list[Credit]:
    """Who made which change; a change that is in no credit is nobody's, as far as is known."""
    here = [one for one in workers if repository.place in one.places]
    told = _told(workers)
    return [
        credit for change in changes for credit in _credits(change, repository, made, here, workers, told)
    ]


def _told(workers: Iterable[Worker]) -> dict[str, list[tuple[str, int, int]]]:
    """(hash, when, worker) of what sessions were told that they had committed, by its first characters."""
    found: dict[str, list[tuple[str, int, int]]] = {}
    for worker in workers:
        for run in worker.runs:
            if len(run.hash) >= _PREFIX:
                found.setdefault(run.hash[:_PREFIX], []).append((run.hash, run.from_ms, worker.key))
    return found


def _credits(
    change: Change, repository: Repository, made: Mapping[str, Made], here: Sequence[Worker],
    workers: Sequence[Worker], told: Mapping[str, list[tuple[str, int, int]]],
) -> list[Credit]:  # fmt: skip
    named = [
        (at_ms, key)
        for form in change.forms
        for prefix, at_ms, key in told.get(form[:_PREFIX], ())
        if form.startswith(prefix)
    ]
    if named:
        return _shared(change, [min(named)[1]], True, "hash")
    ids = set(change.commit.names)
    if ids:
        owners = [one.key for one in workers if ids & one.names]
        if len(owners) == 1:
            return _shared(change, owners, True, "named")
    born = next((made[form] for form in change.forms if form in made), None)
    if born is None and repository.has_logs:
        return []  # it was made elsewhere and fetched
    at_ms = born.at_ms if born is not None else change.at_ms
    near = [one for one in here if born is None or not born.top or born.top in one.tops]
    callers = [
        one.key
        for one in near
        if any(run.from_ms - _CALL_MS <= at_ms <= run.to_ms + _CALL_MS for run in one.runs if not run.hash)
    ]
    if callers:
        return _shared(change, callers, len(callers) == 1 and born is not None, "call")
    active = [one for one in near if one.active(at_ms)]
    if change.commit.agents:
        signed = [one.key for one in active if one.agent in change.commit.agents]
        if signed:
            return _shared(change, signed, len(signed) == 1 and born is not None, "signed")
        active = []  # another agent says that it was its own
    return _guessed(change, born, at_ms, near, active)


def _guessed(
    change: Change, born: Made | None, at_ms: int, near: Sequence[Worker], active: Sequence[Worker]
) -> list[Credit]:
    editors = [
        one.key for one in near if not change.commit.agents or one.agent in change.commit.agents
        if _edited(one, change, born, at_ms)
    ]  # fmt: skip
    if editors:
        return _shared(change, editors, False, "files")
    return _shared(change, [one.key for one in active], False, "time")


def _edited(worker: Worker, change: Change, born: Made | None, at_ms: int) -> bool:
    """Whether it had edited one of the files within a day before the commit."""
    if not worker.edits:
        return False
    tops = (born.top,) if born is not None and born.top else tuple(worker.tops)
    for file in change.commit.files:
        for top in tops:
            times = worker.edits.get(f"{top}/{file.path}", ())
            at = bisect_right(times, at_ms + _CALL_MS) - 1
            if at >= 0 and times[at] >= at_ms - EDIT_MS:
                return True
    return False


def _shared(change: Change, keys: Sequence[int], sure: bool, why: str) -> list[Credit]:
    return [Credit(change.hash, key, 1 / len(keys), sure, why) for key in keys]
