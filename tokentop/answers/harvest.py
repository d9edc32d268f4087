"""What repositories tell of the work of sessions: read, judged and kept. All of one call stays within a time limit;
what was not looked at is said, and comes with the next call.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from tokentop.agents import all_agents
from tokentop.engine.outcome import Worker, credits_of
from tokentop.engine.rewrites import Change, Lineage, hashes
from tokentop.engine.survival import paths_to_look_at, survivors
from tokentop.ingest import blame
from tokentop.ingest.commits import hash63, look
from tokentop.ingest.reading import Budget, Reading
from tokentop.ingest.repository import Place
from tokentop.nouns.commits import FileChange
from tokentop.store import gitwork
from tokentop.store.gitwork import ChangeRow, CreditRow

MARGIN_MS = 14 * 86_400_000  # commits before the time asked for that may be forms of later ones
_REPOSITORIES = 500


class Report(Struct):
    """What one call did not look at, in words, by repository ("" = all), and how many changes wait for a look."""

    notes: dict[str, list[str]] = field(default_factory=dict)
    repositories: int = 0
    waiting: int = 0
    unread_logs: int = 0
    later: int = 0  # sessions whose work was not gone through

    def note(self, text: str) -> None:
        self.notes.setdefault("", []).append(text)


def harvest(
    db: sqlite3.Connection, workers: Sequence[Worker], places: Iterable[Place], since_ms: int, now_ms: int, *,
    days: int, seconds: float,
) -> Report:  # fmt: skip
    """Look at repositories and keep what they tell of the sessions. sqlite3.Error.

    `days` = how long a line must stay to have survived.
    """
    report = Report()
    budget = Budget(seconds)
    by_common: dict[str, Place] = {}
    for place in places:
        by_common.setdefault(place.common, place)
    for common, place in list(by_common.items())[:_REPOSITORIES]:
        if not budget.left_s:
            report.note(f"{common}: not looked at, the time was used up")
            continue
        with Reading(place, budget) as reading:
            report.waiting += _one(db, reading, workers, since_ms, now_ms, days)
        report.repositories += 1
        if reading.notes:
            report.notes[common] = reading.notes
    return report


def _one(
    db: sqlite3.Connection, reading: Reading, workers: Sequence[Worker], since_ms: int, now_ms: int, days: int
) -> int:
    """Look at one repository; return how many changes still wait for a look at their lines."""
    from_ms = since_ms - MARGIN_MS
    repo, _ = gitwork.repo_of(db, reading.place.common)
    commits, made = gitwork.known(db, repo, from_ms) if repo else ({}, {})
    found = look(reading, from_ms, now_ms, known=commits, signatures=signatures())
    repo = gitwork.keep_look(db, found)
    commits |= {one.hash: one for one in found.commits}
    made = {one.hash: one for one in found.made} | made
    lineage = Lineage(found, commits)
    changes = [one for one in lineage.changes if one.at_ms >= since_ms]
    credit = credits_of(found, made, changes, workers)
    gitwork.keep_changes(
        db, repo, since_ms, [_row(one, lineage.lodgers(one.hash)) for one in changes],
        [CreditRow(one.hash, one.worker, one.share, one.sure, one.why) for one in credit],
    )  # fmt: skip
    credited = {one.hash for one in credit}
    own = [one for one in changes if one.hash in credited]
    return _Survival(db, repo, reading, lineage, set(commits), from_ms).look(own, days, now_ms)


def signatures() -> dict[str, tuple[str, ...]]:
    """What agents sign commits with, by agent."""
    return {agent.id: agent.signs for agent in all_agents() if agent.signs}


def _row(change: Change, taken_over: Sequence[Change]) -> ChangeRow:
    """A revert puts old lines back and takes others away: none of them count as its own.

    Nor do, of a squash, the lines of the changes that it took over: they count as theirs.
    """
    files = () if change.is_revert else change.commit.files
    counted = [one for one in files if one.added is not None and one.removed is not None]
    added, removed = sum(one.added or 0 for one in counted), sum(one.removed or 0 for one in counted)
    if change.is_squash:
        before = [one for older in taken_over for one in older.commit.files]
        theirs = _lines(before) & _lines(counted)
        added = max(0, added - theirs.total())
        removed = max(0, removed - sum(one.removed or 0 for one in before))
    known = change.lines_known
    return ChangeRow(
        change.hash, change.at_ms, change.state, not change.is_squash,
        added if known else None, removed if known else None,
        array("q", (hash63(one.path.encode("utf-8", "surrogateescape")) for one in files)),
    )  # fmt: skip


def _lines(files: Iterable[FileChange]) -> Counter[int]:
    return Counter(one for file in files for one in hashes(file.lines))


class _Survival:
    """Looks for the lines of changes, file by file; a blob is asked for once."""

    def __init__(
        self, db: sqlite3.Connection, repo: int, reading: Reading, lineage: Lineage, wanted: set[str], from_ms: int
    ) -> None:  # fmt: skip
        self._db, self._repo, self._reading, self._lineage = db, repo, reading, lineage
        self._wanted, self._from_ms = wanted, from_ms
        self._blobs: dict[str, dict[str, str]] = {}  # tree -> path -> blob
        self._asked: dict[tuple[str, str], Mapping[str, bytes]] = {}
        self._new: list[tuple[str, str, dict[str, bytes]]] = []

    def look(self, changes: Sequence[Change], days: int, now_ms: int) -> int:
        stored = gitwork.survivals(self._db, self._repo, days)
        by_tree: dict[tuple[str, bool], list[Change]] = defaultdict(list)
        for change in changes:
            known = stored.get(change.hash)
            tree, settled = self._lineage.tree_of(change, days, now_ms)
            if known is not None and (known[1] or known[0] == tree):
                continue
            by_tree[tree, settled].append(change)
        found: list[tuple[str, str, bool, int]] = []
        waiting = 0
        for (tree, settled), some in by_tree.items():
            for change in some:
                lines = self._survivors(change, tree, some)
                if lines is None:
                    waiting += not change.commit.problem
                else:
                    found.append((change.hash, tree, settled, lines))
        gitwork.keep_blames(self._db, self._repo, self._from_ms, self._new)
        gitwork.keep_survivals(self._db, self._repo, days, found)
        return waiting

    def _survivors(self, change: Change, tree: str, together: Sequence[Change]) -> int | None:
        if not tree:
            return None
        if tree not in self._blobs:
            paths = {path for one in together for path in paths_to_look_at(self._lineage, one)}
            blobs = blame.blobs_of(self._reading, tree, sorted(paths))
            if blobs is None:
                return None
            self._blobs[tree] = blobs
        return survivors(self._lineage, change, lambda path: self._lines(tree, path))

    def _lines(self, tree: str, path: str) -> Mapping[str, bytes] | None:
        blob = self._blobs[tree].get(path)
        if blob is None:
            return {}  # no such file there
        known = self._asked.get((path, blob))
        if known is None:
            known = gitwork.blame_of(self._db, self._repo, path, blob, self._from_ms)
        if known is None:
            fresh = blame.lines_of(self._reading, tree, path, self._from_ms, self._wanted)
            if fresh is None:
                return None
            self._new.append((path, blob, fresh))
            known = fresh
        self._asked[path, blob] = known
        return known
