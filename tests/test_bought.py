"""What is kept of each session's work adds up to what its calls, its log and git tell, in any time and after any change."""

import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from tokentop.answers.bought import gather, refresh
from tokentop.export.brought import figures
from tokentop.report import outcome
from tokentop.store import outcomes
from tokentop.store.db import open_writer
from tokentop.store.indexing import Indexer

SEED = Path(__file__).parents[1] / "bench" / "seed_history.py"
DAYS = 14
EVERY = 1 << 30  # sessions
DAY_MS = 86_400_000
ZONES: tuple[tzinfo, ...] = (UTC, ZoneInfo("America/New_York"))
EVERYTHING = "INSERT OR IGNORE INTO bought_stale SELECT session FROM line"


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bought")
    words = ["--state", str(folder), "--events", "20000", "--sessions", "300", "--days", "20"]
    subprocess.run([sys.executable, str(SEED), *words], capture_output=True, check=True)
    return folder


@pytest.fixture
def store(seeded: Path, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    shutil.copytree(seeded, tmp_path / "state")
    with closing(open_writer(tmp_path / "state")) as connection:
        yield connection


def told(store: sqlite3.Connection, now_ms: int, zone: tzinfo, span: tuple[int, int]) -> dict[str, Any]:
    """All groups of a time, their total, and how many sessions were not as they are kept."""
    found: dict[str, Any] = {}
    for by in outcome.DIMENSIONS:
        gathered = gather(store, *span, DAYS, now_ms, by, zone, EVERY)
        sums, whole = outcome.summed(store, gathered, by, span, now_ms, zone)
        found[by] = {one.key: rounded(figures(one)) for one in sums}
        found[f"all by {by}"] = rounded(figures(whole))
    found["nobody's"] = gathered.nobodys
    return found


def rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """Shares of a commit are fractions, whose sums depend on their order."""
    pairs = {name: of for name, of in figures.items() if type(of) is dict and "sure" in of}
    return figures | {name: {kind: round(n, 2) for kind, n in of.items()} for name, of in pairs.items()}


def assert_exact(store: sqlite3.Connection, now_ms: int) -> None:
    """The answers are those that all sessions' own calls, works and commits give."""
    midnight_ms = now_ms // DAY_MS * DAY_MS
    spans = (
        (midnight_ms - 13 * DAY_MS, now_ms + 1),
        (midnight_ms - 9 * DAY_MS + 3_333_333, midnight_ms - 2 * DAY_MS + 777),
        (midnight_ms - 400 * DAY_MS, now_ms + 1),
    )
    cases = [(zone, span) for zone in ZONES for span in spans]
    kept = [told(store, now_ms, *case) for case in cases]
    store.execute("BEGIN")
    store.execute(EVERYTHING)
    exact = [told(store, now_ms, *case) for case in cases]
    store.execute("ROLLBACK")
    for one, other in zip(kept, exact, strict=True):
        assert one == other
        for by in outcome.DIMENSIONS:
            assert one[f"all by {by}"] == one["all by agent"]


def test_most_sessions_are_answered_as_they_are_kept(store: sqlite3.Connection) -> None:
    now_ms = int(time.time() * 1000)
    (half_ms,) = store.execute(
        "SELECT (first_ms + last_ms) / 2 FROM session WHERE last_ms < ? ORDER BY last_ms - first_ms DESC LIMIT 1",
        (now_ms - 8 * DAY_MS,),
    ).fetchone()
    span = (half_ms, now_ms + 1)
    found = gather(store, *span, DAYS, now_ms, "project", UTC, EVERY)
    assert sum(one.sessions for one in found.kept.sums) > 5 * len(found.done) > 0
    assert sum(one.commits.both for one in found.kept.sums) > 50


def test_what_is_kept_adds_up_to_what_it_is_made_of(store: sqlite3.Connection) -> None:
    assert_exact(store, int(time.time() * 1000))


CHANGES = {
    "a new commit of another session": "INSERT INTO git_credit SELECT repo, hash, session + 1, 0.5, 0, 'time' FROM git_credit"
    " WHERE session % 5 = 0 AND session + 1 IN (SELECT root FROM bought)",
    "a commit that is nobody's any more": "DELETE FROM git_credit WHERE session % 3 = 0",
    "lines that are gone": "UPDATE git_survival SET survived = survived / 2",
    "commits that were thrown away": "UPDATE git_change SET state = 'gone', counts = 0 WHERE at_ms % 3 = 0",
    "a clone with the same commits": "INSERT INTO git_change SELECT repo + 100, hash, at_ms, state, counts, added, removed,"
    " files FROM git_change WHERE at_ms % 2 = 0",
    "a clone whose commits are others'": "INSERT INTO git_credit SELECT 0, hash, (SELECT max(root) FROM bought), share, sure,"
    " why FROM git_credit WHERE session % 7 = 0",
    "calls that were not known": "UPDATE session SET cost_nusd = cost_nusd + 12345, unknown_calls = 1 WHERE id % 4 = 0",
    "a session that is gone": "DELETE FROM session WHERE id IN (SELECT root FROM bought ORDER BY root DESC LIMIT 5)",
    "work that is gone": "DELETE FROM work WHERE session % 6 = 0",
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_in_the_answer_before_and_after_it_is_kept(
    store: sqlite3.Connection, change: str
) -> None:
    now_ms = int(time.time() * 1000)
    span = (now_ms - 400 * DAY_MS, now_ms + 1)
    before = told(store, now_ms, UTC, span)
    assert store.execute(CHANGES[change]).rowcount > 0
    assert_exact(store, now_ms)
    indexer = Indexer(store)
    while indexer.index_some():
        pass
    assert_exact(store, now_ms)
    refresh(store, DAYS)
    assert store.execute("SELECT count(*) FROM bought_stale").fetchone() == (0,)
    assert_exact(store, now_ms)
    assert (told(store, now_ms, UTC, span) == before) == (change == "a clone with the same commits")


def test_a_session_that_turns_out_to_be_below_another_one_takes_its_work_there(
    store: sqlite3.Connection,
) -> None:
    now_ms = int(time.time() * 1000)
    first, second, name = store.execute(
        "SELECT s.id, t.id, t.sid FROM session s JOIN session t ON t.agent = s.agent AND t.id < s.id"
        " JOIN line l ON l.session = s.id AND l.root = s.id AND l.below = 0 JOIN work w ON w.session = s.id"
        " WHERE t.role = '' AND w.files > 0 ORDER BY s.id DESC LIMIT 1"
    ).fetchone()
    store.execute(
        "UPDATE session SET role = 'sub-agent', parent_sid = ?, root_sid = ? WHERE id = ?",
        (name, name, first),
    )
    Indexer(store).index_some()
    assert store.execute("SELECT root FROM line WHERE session = ?", (first,)).fetchone() == (second,)
    assert_exact(store, now_ms)
    refresh(store, DAYS)
    assert store.execute("SELECT count(*) FROM bought WHERE root = ?", (first,)).fetchone() == (0,)
    assert_exact(store, now_ms)


@pytest.mark.parametrize("most", [1, 7, 60])
def test_the_dearest_sessions_are_the_first_of_all_and_their_total_is_that_of_all(
    store: sqlite3.Connection, most: int
) -> None:
    now_ms = int(time.time() * 1000)
    midnight_ms = now_ms // DAY_MS * DAY_MS
    for span in (
        (midnight_ms - 13 * DAY_MS, now_ms + 1),
        (midnight_ms - 9 * DAY_MS + 3_333_333, midnight_ms - DAY_MS + 7),
    ):
        asked = [gather(store, *span, DAYS, now_ms, "session", UTC, many) for many in (EVERY, most)]
        (all_of_them, total), (few, same) = (
            outcome.summed(store, found, "session", span, now_ms, UTC) for found in asked
        )
        assert [figures(one) for one in few[:most]] == [figures(one) for one in all_of_them[:most]]
        assert [one.key for one in few[:most]] == [one.key for one in all_of_them[:most]]
        assert len(all_of_them) == same.sessions > most
        assert rounded(figures(same)) == rounded(figures(total))


def test_what_is_not_kept_of_sessions_of_several_days_is_worked_out(store: sqlite3.Connection) -> None:
    now_ms = int(time.time() * 1000)
    span = (now_ms - 400 * DAY_MS, now_ms + 1)
    assert gather(store, *span, DAYS, now_ms, "day", UTC, EVERY).kept.done
    before = told(store, now_ms, UTC, span)
    assert store.execute("DELETE FROM bought_done").rowcount > 0
    assert told(store, now_ms, UTC, span) == before


def test_a_work_that_is_read_again_replaces_what_was_kept_of_it(store: sqlite3.Connection) -> None:
    now_ms = int(time.time() * 1000)
    works = outcomes.works(store, range(1, 300))
    outcomes.keep_works(
        store,
        [
            (number, replace(kept, work=replace(kept.work, edits={}, tests=((now_ms - DAY_MS, "passed"),))))
            for number, kept in works.items()
        ],
    )
    assert_exact(store, now_ms)
    refresh(store, DAYS)
    assert_exact(store, now_ms)


def test_other_days_to_survive_make_all_sums_anew(store: sqlite3.Connection) -> None:
    now_ms = int(time.time() * 1000)
    span = (now_ms - 400 * DAY_MS, now_ms + 1)

    def survived(days: int) -> float:
        refresh(store, days)
        found = gather(store, *span, days, now_ms, "project", UTC, EVERY)
        assert found.kept.sums
        assert not found.done
        return sum(one.survived.sure for one in found.kept.sums)

    store.execute("UPDATE git_survival SET days = 3")
    assert survived(DAYS) == 0 < survived(3)
    assert store.execute("SELECT DISTINCT days FROM bought").fetchall() == [(3,)]


def test_of_a_session_that_was_purged_a_part_of_its_time_costs_at_least_what_is_left(
    store: sqlite3.Connection,
) -> None:
    now_ms = int(time.time() * 1000)
    number, first_ms, last_ms, cost, calls = store.execute(
        "SELECT id, first_ms, last_ms, cost_nusd, responses FROM session WHERE cost_nusd > 0 AND role = ''"
        " ORDER BY last_ms - first_ms DESC LIMIT 1"
    ).fetchone()
    store.execute("DELETE FROM event WHERE session = ?", (number,))
    store.execute("INSERT INTO purged VALUES (?, ?, ?, 0)", (number, now_ms, calls))

    def asked(since_ms: int) -> tuple[int, int]:
        span = (since_ms, last_ms + 1)
        found = gather(store, *span, DAYS, now_ms, "project", UTC, EVERY)
        _, whole = outcome.summed(store, found, "project", span, now_ms, UTC)
        return whole.cost_nusd, whole.unknown_calls

    whole_nusd, unknown = asked(first_ms - 1)
    assert whole_nusd >= cost
    assert unknown == 0
    part_nusd, unknown = asked((first_ms + last_ms) // 2)
    assert part_nusd <= whole_nusd - cost
    assert unknown == calls
