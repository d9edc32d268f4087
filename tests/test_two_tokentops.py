"""Two and three tokentops on one state directory: one writes, the others read, one takes over. Case D3."""

from __future__ import annotations

import contextlib
import fcntl
import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tokentop.collector import Collector
from tokentop.nouns.picture import Row, Snapshot
from tokentop.settings.config import Settings

from .faults import PROJECT, Scratch, audit, line, wait_for

OURS = ("--project", PROJECT)


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n) for n in range(50))
    return home


@contextlib.contextmanager
def watching(scratch: Scratch) -> Iterator[subprocess.Popen[str]]:
    process = scratch.start("watch")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stored(scratch: Scratch) -> int:
    """Responses in the store; -1 while there is none."""
    try:
        return scratch.stored()
    except sqlite3.OperationalError:
        return -1


def is_led(scratch: Scratch) -> bool:
    """Whether some process holds the lock as one that stays."""
    path = scratch.state / "lock"
    if not path.exists() or path.read_bytes() != b"collector\n":
        return False
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def catches_term(pid: int) -> bool:
    """Whether a started watch has got as far as its signal handlers."""
    caught = next(text for text in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in text)
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


def test_reports_beside_a_watch_show_what_it_has_stored(scratch: Scratch) -> None:
    """The leader commits, reports read the store without a pause; totals are the same and never doubled."""
    with watching(scratch):
        wait_for(lambda: is_led(scratch) and stored(scratch) == 50)
        assert scratch.totals(*OURS)["responses"] == 50
        scratch.log(line(n) for n in range(50, 90))
        wait_for(lambda: stored(scratch) == 90)
        reports = [scratch.start("usage", "--json", *OURS) for _ in range(3)]
        found = [json.loads(report.communicate()[0])["totals"]["responses"] for report in reports]
        assert found == [90, 90, 90]
    with closing(sqlite3.connect(scratch.database)) as db:
        audit(db)
    assert scratch.totals(*OURS)["responses"] == 90


def test_a_second_watch_takes_over_when_the_first_is_killed(scratch: Scratch) -> None:
    """The kernel drops the lock of the dead; what is written meanwhile is counted once."""
    with watching(scratch) as first:
        wait_for(lambda: is_led(scratch) and stored(scratch) == 50)
        with watching(scratch) as second, watching(scratch) as third:
            wait_for(lambda: catches_term(second.pid) and catches_term(third.pid))
            first.send_signal(signal.SIGKILL)
            first.wait()
            scratch.log(line(n) for n in range(50, 70))
            wait_for(lambda: stored(scratch) == 70)
            assert is_led(scratch)
            assert (second.poll(), third.poll()) == (None, None)
            second.send_signal(signal.SIGTERM)
            third.send_signal(signal.SIGTERM)
            assert {second.wait(60), third.wait(60)} == {128 + signal.SIGTERM}
    with closing(sqlite3.connect(scratch.database)) as db:
        audit(db)
    assert scratch.totals(*OURS)["responses"] == 70


def test_a_reader_shows_what_the_leader_shows_and_takes_the_lead_in_its_turn(scratch: Scratch) -> None:
    """Two collectors: the second says `reader`, sees new responses, and becomes the leader."""
    pictures: list[list[Snapshot]] = [[], []]
    first, second = (
        Collector(scratch.state, scratch.environ(), Settings(), pictures[n].append) for n in range(2)
    )
    try:
        run(first, lambda: stored(scratch) == 50)
        run(second, lambda: bool(pictures[1]) and pictures[1][-1].mode == "reader")
        scratch.log(line(n) for n in range(50, 60))
        run(first, lambda: stored(scratch) == 60)
        run(second, lambda: pictures[1][-1].history_events >= 60)
        first.close()
        run(second, lambda: pictures[1][-1].mode == "live")
        scratch.log(line(n) for n in range(60, 65))
        run(second, lambda: stored(scratch) == 65)
    finally:
        first.close()
        second.close()


def test_a_snapshot_beside_a_leader_knows_the_same_status(scratch: Scratch) -> None:
    """Status comes from the logs, not from the store: the one that only reads looks there itself."""
    now = datetime.now(UTC).isoformat()
    scratch.log([line(900, session="s-9", timestamp=now)], "s-9.jsonl")
    pictures: list[Snapshot] = []
    leader = Collector(scratch.state, scratch.environ(), Settings(), pictures.append)

    def is_mine(row: Row) -> bool:
        return row.session_id == "s-9"

    try:
        run(leader, lambda: stored(scratch) == 51 and any(is_mine(row) for row in pictures[-1].rows))
        document = json.loads(scratch.run("--json").stdout)
    finally:
        leader.close()
    (mine,) = [row for row in pictures[-1].rows if is_mine(row)]
    (theirs,) = [row for row in document["rows"] if row["session"] == "s-9"]
    assert document["mode"] == "reader"
    assert (theirs["state"], theirs["state_source"]) == (mine.status.state, mine.status.source)
    assert theirs["state"] == "idle"


def test_the_first_picture_without_history_says_where_it_looked(scratch: Scratch) -> None:
    """ "No agent is running" and $0.00 are not said before anything was looked at."""
    pictures: list[Snapshot] = []
    leader = Collector(scratch.state, scratch.environ(), Settings(), pictures.append)
    try:
        run(leader, lambda: bool(pictures))
    finally:
        leader.close()
    assert pictures[0].looked


def run(subject: Collector, until: object) -> None:
    assert callable(until)
    end_s = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(subject.tick())


def test_reports_at_once_wait_for_each_other(scratch: Scratch) -> None:
    scratch.log((line(n, session="s-2") for n in range(50, 5_000)), "s-2.jsonl")
    reports = [scratch.start("usage", "--json") for _ in range(4)]
    found = [json.loads(report.communicate(timeout=60)[0])["totals"]["responses"] for report in reports]
    assert found == [5_000] * 4


def test_a_report_that_cannot_wait_says_that_totals_are_not_complete(scratch: Scratch) -> None:
    """Another command holds the lock for long: what is stored is shown, and qualified."""
    assert scratch.totals()["responses"] == 50
    scratch.log(line(n) for n in range(50, 60))
    with (scratch.state / "lock").open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = scratch.run("usage", "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["totals"]["responses"] == 50
    assert "not complete" in done.stderr
    assert any("not complete" in error["detail"] for error in document["health"]["errors"])
    assert scratch.totals()["responses"] == 60


def test_totals_never_shrink_when_logs_are_deleted(scratch: Scratch) -> None:
    """Claude Code deletes after 30 days: the store is the ledger. Case 11 of reading."""
    before = scratch.totals()
    log = scratch.project / "s-1.jsonl"
    log.write_bytes(b"".join(line(n) for n in range(3)))
    assert scratch.totals() == before
    log.unlink()
    assert scratch.totals() == before
    scratch.project.rmdir()
    assert scratch.totals() == before
    scratch.project.mkdir()
    scratch.log(line(n) for n in range(49, 52))
    assert scratch.totals()["responses"] == 52
