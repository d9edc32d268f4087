"""Real repositories with known truth, and sessions that worked in them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tokentop.answers.harvest import harvest
from tokentop.engine.outcome import Run, Worker
from tokentop.ingest.repository import place_of
from tokentop.store import db

DAY_S = 86_400
NOON_S = 1_790_000_000  # the tests' own clock: git is told the time of each commit


class Repo:
    """A repository whose commits are made at `at_s`; each step moves the clock by a minute."""

    def __init__(self, folder: Path, *, init: bool = True, branch: str = "main") -> None:
        self.folder = folder
        self.at_s = NOON_S
        if init:
            folder.mkdir(parents=True, exist_ok=True)
            self("init", "-q", "-b", branch)

    def __call__(self, *words: str, ok: bool = True, **env: str) -> str:
        stamp = f"{self.at_s} +0000"
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        own = {
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": str(self.folder),
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b", "GIT_AUTHOR_DATE": stamp, "GIT_COMMITTER_DATE": stamp,
            "GIT_EDITOR": "true", "GIT_SEQUENCE_EDITOR": "true", "FILTER_BRANCH_SQUELCH_WARNING": "1",
        }  # fmt: skip
        done = subprocess.run(
            ["git", "-c", "protocol.file.allow=always", *words], cwd=self.folder, env=plain | own | env,
            capture_output=True, check=False, text=True, errors="surrogateescape",
        )  # fmt: skip
        assert done.returncode == 0 or not ok, (words, done.stderr, done.stdout)
        return done.stdout.strip()

    def write(self, path: str, *lines: str) -> Repo:
        place = self.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("".join(f"{line}\n" for line in lines))
        return self

    def commit(self, message: str = "change", *words: str, **env: str) -> str:
        """Commit all that differs; return the hash."""
        self.at_s += 60
        self("add", "-A")
        self("commit", "-q", "--allow-empty", "-m", message, *words, **env)
        return self("rev-parse", "HEAD")

    def beside(self, folder: Path) -> Repo:
        """The same history in another folder."""
        other = Repo(folder, init=False)
        other.at_s = self.at_s
        return other


def lines(word: str, count: int, first: int = 0) -> list[str]:
    return [f"{word} line {number}" for number in range(first, first + count)]


def worker(
    key: int, *folders: Path, agent: str = "claude", spans: tuple[tuple[int, int], ...] | None = None,
    runs: tuple[Run, ...] = (), edits: dict[str, tuple[int, ...]] | None = None, name: str = "",
) -> Worker:  # fmt: skip
    """A session; without spans it is at work all the time."""
    places = [place for place in (place_of(str(folder)) for folder in folders) if place is not None]
    return Worker(
        key, agent, frozenset({name or f"session-{key}"}), frozenset(place.top for place in places),
        frozenset(place.common for place in places),
        ((0, 1 << 50),) if spans is None else tuple((start * 1000, end * 1000) for start, end in spans),
        runs, edits or {},
    )  # fmt: skip


def reap(
    state: Path, workers: list[Worker], *folders: Path, now_s: int, since_s: int = NOON_S - 30 * DAY_S,
    days: int = 14, seconds: float = 60,
):  # fmt: skip
    """Harvest into the store of `state`; return (changes, report)."""
    state.mkdir(mode=0o700, exist_ok=True)
    connection = db.open_writer(state)
    try:
        places = [place for place in (place_of(str(folder)) for folder in folders) if place is not None]
        report = harvest(
            connection, workers, places, since_s * 1000, now_s * 1000, days=days, seconds=seconds
        )
        rows = connection.execute(
            "SELECT c.hash, c.state, c.counts, c.added, c.removed, s.survived, s.settled, c.at_ms FROM git_change c"
            " LEFT JOIN git_survival s ON s.repo = c.repo AND s.hash = c.hash AND s.days = ? ORDER BY c.at_ms, c.hash",
            (days,),
        ).fetchall()
        who = connection.execute(
            "SELECT hash, session, share, sure, why FROM git_credit ORDER BY hash, session"
        ).fetchall()
    finally:
        connection.close()
    return [Seen(*row, [one[1:] for one in who if one[0] == row[0]]) for row in rows], report


class Seen:
    """A change as the store has it."""

    def __init__(self, name, state, counts, added, removed, survived, settled, at_ms, credit):  # type: ignore[no-untyped-def]
        self.hash, self.state, self.counts, self.at_ms = name, state, bool(counts), at_ms
        self.lines = (added, removed, survived)
        self.settled = bool(settled) if settled is not None else None
        self.credit = credit

    def __repr__(self) -> str:
        return f"{self.hash[:7]} {self.state} {self.counts} {self.lines} {self.settled} {self.credit}"
