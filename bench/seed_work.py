"""What the sessions of a seeded history did, as `tokentop outcome` keeps it: works, commits, lines that stayed."""

from __future__ import annotations

import random
import sqlite3
from array import array
from collections.abc import Iterable
from itertools import islice
from typing import Any

from tokentop.answers.bought import refresh
from tokentop.engine.outcome import Run, spans_of
from tokentop.engine.work import Waste, Work
from tokentop.store import gitwork, outcomes
from tokentop.store.gitwork import ChangeRow, CreditRow
from tokentop.store.outcomes import Kept

DAY_MS = 86_400_000
SURVIVE_DAYS = 14
_KEEP = 2_000  # works of one transaction
_QUIET = 0.06  # share of sessions whose logs tell no tools
_ASKED = 0.25  # of those that change nothing
_SUB_AGENTS_EDIT = 0.3
_WASTES = ("loop", "retry", "retry", "waiting", "waiting", "hidden")
_Spans = tuple[tuple[int, int], ...]


class Worked:
    """Works and commits of the sessions of a database, of which sums and outlines are there."""

    def __init__(self, db: sqlite3.Connection, now_ms: int, rng: random.Random) -> None:
        self._db, self._now_ms, self._rng = db, now_ms, rng
        self._stays: dict[int, _Spans] = {}
        self._roots: dict[int, int] = {}
        self._repos: dict[str, int] = {}
        self._commits: dict[
            str, list[tuple[int, int, str, bool]]
        ] = {}  # folder -> (when, session, hash, sure)

    def write(self) -> None:
        rows = iter(
            self._db.execute(
                "SELECT s.id, s.cwd, s.parent_sid != '', p.template, p.first_ms, s.last_ms, s.cost_nusd, s.model,"
                " s.input + s.cache_read + s.cache_write_5m + s.cache_write_1h + s.output, o.read_ms, o.files"
                " FROM session s JOIN plan p ON p.session = s.id JOIN outline o ON o.session = s.id ORDER BY s.id"
            ).fetchall()
        )
        self._templates()
        self._roots = dict(self._db.execute("SELECT session, root FROM line").fetchall())
        for folder in sorted({name for (name,) in self._db.execute("SELECT DISTINCT cwd FROM session")}):
            self._repos[folder] = self._repo(folder)
        while some := list(islice(rows, _KEEP)):
            outcomes.keep_works(self._db, [self._one(row) for row in some])
        for folder, commits in self._commits.items():
            self._change(self._repos[folder], commits)
        refresh(self._db, SURVIVE_DAYS)

    def _templates(self) -> None:
        calls: dict[int, list[tuple[int, int]]] = {}
        for template, at_ms, took_ms in self._db.execute("SELECT template, at_ms, took_ms FROM turn"):
            calls.setdefault(template, []).append((at_ms, took_ms))
        self._stays = {template: spans_of(some) for template, some in calls.items()}

    def _repo(self, folder: str) -> int:
        self._db.execute(
            "INSERT INTO git_repo (place, since_ms, read_ms, notes) VALUES (?, 0, ?, '')",
            (f"{folder}/.git", self._now_ms),
        )
        return gitwork.repo_of(self._db, f"{folder}/.git")[0]

    def _one(self, row: tuple[Any, ...]) -> tuple[int, Kept]:
        number, cwd, is_below, template, first_ms, last_ms, cost, model, tokens, read_ms, files = row
        rng = self._rng
        spans = tuple(
            (max(first_ms, first_ms + start), min(last_ms, first_ms + end))
            for start, end in self._stays[template]
            if first_ms + start <= last_ms
        )
        models = ((model, cost, tokens),)
        if rng.random() < _QUIET:
            return number, Kept(last_ms, read_ms, self._repos[cwd], Work(spans=spans, models=models))
        changes = rng.random() < (_SUB_AGENTS_EDIT if is_below else 1 - _ASKED)
        edits = {f"{cwd}/{name}": self._times(spans, 3) for name in files.split("\n") if changes and name}
        runs = tuple(self._commit(number, cwd, at_ms) for at_ms in self._times(spans, 3) if changes)
        tests = tuple(
            (at_ms, rng.choice(("passed", "passed", "failed", "unknown")))
            for at_ms in self._times(spans, 8)
            if changes
        )
        pulls = tuple(
            (at_ms, f"https://git.invalid/{cwd.rpartition('/')[2]}/pull/{number}")
            for at_ms in self._times(spans, 1)
            if changes and rng.random() < 0.1
        )
        waste = tuple(
            Waste(at_ms, rng.choice(_WASTES), cost // rng.randrange(20, 400) if cost else None)
            for at_ms in self._times(spans, 3)
            if rng.random() < 0.5
        )
        work = Work(True, "", spans, runs, edits, tests, pulls, waste, models)
        return number, Kept(last_ms, read_ms, self._repos[cwd], work)

    def _times(self, spans: _Spans, most: int) -> tuple[int, ...]:
        """Up to so many moments at work, by time."""
        rng = self._rng
        some = [rng.choice(spans) for _ in range(rng.randrange(most + 1))]
        return tuple(sorted(rng.randrange(start, end + 1) for start, end in some))

    def _commit(self, number: int, folder: str, at_ms: int) -> Run:
        name = f"{self._rng.getrandbits(160):040x}"
        told = self._rng.random() < 0.7
        self._commits.setdefault(folder, []).append((at_ms, self._roots[number], name, told))
        return Run(at_ms, at_ms + 800, name[:7] if told else "")

    def _change(self, repo: int, commits: Iterable[tuple[int, int, str, bool]]) -> None:
        """Commits of one repository, most of them kept, and what is left of their lines."""
        rng = self._rng
        changes, credit, stayed = [], [], []
        for at_ms, session, name, sure in commits:
            added, removed = int(rng.lognormvariate(3.5, 1.2)), int(rng.lognormvariate(2.3, 1.2))
            files = array("q", (rng.getrandbits(63) % 400 for _ in range(rng.randrange(1, 6))))
            state = rng.choices(("kept", "branch", "gone"), (90, 6, 4))[0]
            changes.append(ChangeRow(name, at_ms, state, True, added, removed, files))
            credit.append(CreditRow(name, session, 1.0, sure, "hash" if sure else "files"))
            left = 0 if state == "gone" else int(added * rng.random() ** 0.5)
            stayed.append((name, "", self._now_ms - at_ms > SURVIVE_DAYS * DAY_MS, left))
        gitwork.keep_changes(self._db, repo, 0, changes, credit)
        gitwork.keep_survivals(self._db, repo, SURVIVE_DAYS, stayed)
