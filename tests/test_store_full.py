"""A store that is full or locked. Cases D2, D4 and D5 of the fault catalogue."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tokentop.store import db as store_db

from .faults import (
    Scratch,
    audit_file,
    collector,
    line,
    needs_namespace,
    one_line,
    tick_until,
)

EVENTS = 60


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n) for n in range(EVENTS))
    return home


@needs_namespace
def test_a_full_disk_loses_nothing_and_reports_say_it(scratch: Scratch) -> None:
    """2 MB of state for 12,000 events: status 1 and one line; with room again the totals are exact."""
    scratch.log((line(n, session="s-2") for n in range(EVENTS, 12_000)), "s-2.jsonl")
    script = f"""
        set -e
        mkdir -p {scratch.state}; mount -t tmpfs -o size=900k,mode=700 tmpfs {scratch.state}
        set +e
        for verb in sync usage --once forecast; do
            {sys.executable} -m tokentop $verb >/dev/null 2>>errors; echo $? >>status
        done
        {sys.executable} -c "
import sqlite3
db = sqlite3.connect('{scratch.database}')
print(db.execute('PRAGMA integrity_check').fetchone()[0], db.execute('SELECT count(*) FROM event').fetchone()[0],
      db.execute('SELECT sum(responses) FROM rollup').fetchone()[0],
      db.execute('SELECT sum(offset) FROM cursor').fetchone()[0])" >state.txt
        mount -o remount,size=60m {scratch.state}
        {sys.executable} -m tokentop usage --json >after.json 2>>errors; echo $? >>status
    """
    done = subprocess.run(
        ["unshare", "-Urm", "bash", "-c", script], env=scratch.environ(), cwd=scratch.home, capture_output=True,
        text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    errors = (scratch.home / "errors").read_text().splitlines()
    assert (scratch.home / "status").read_text().split() == ["1", "1", "1", "1", "0"]
    assert len(errors) == 4
    assert all("full" in text for text in errors), errors
    whole, events, responses, _offset = (scratch.home / "state.txt").read_text().split()
    assert whole == "ok"
    assert responses in (events, "None")
    totals = json.loads((scratch.home / "after.json").read_text())["totals"]
    assert totals["responses"] == 12_000
    assert totals["tokens"]["output"] == 7 * 12_000


def limit_files(size: int) -> None:
    """Writes beyond `size` fail with EFBIG instead of ending the process."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_file_size_limit_is_the_same_state_and_catches_up(scratch: Scratch) -> None:
    scratch.log((line(n, session="s-2") for n in range(EVENTS, 6_000)), "s-2.jsonl")
    done = scratch.run("sync", preexec_fn=lambda: limit_files(300_000))
    assert done.returncode == 1
    assert "full" in one_line(done)
    audit_file(scratch.database)
    assert scratch.totals()["responses"] == 6_000
    assert audit_file(scratch.database)[0] == 6_000


def test_the_collector_lives_through_a_full_disk_and_resumes(scratch: Scratch) -> None:
    """A health row while nothing can be written; exact totals and the live mode when there is room."""
    subject, pictures = collector(scratch)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        tick_until(subject, pictures, lambda p: p.mode == "live" and scratch.stored() == EVENTS)
        scratch.log(line(n) for n in range(EVENTS, EVENTS + 40))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
        paused = tick_until(subject, pictures, lambda p: p.mode.startswith("paused") and p.health)
        assert "disk full" in paused.mode
        assert any("disk full" in d.detail for d in paused.health)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        tick_until(subject, pictures, lambda p: p.mode == "live" and scratch.stored() == EVENTS + 40)
        tick_until(subject, pictures, lambda p: not [d for d in p.health if d.source == "store"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, old)
        subject.close()
    audit_file(scratch.database)
    assert scratch.stored() == EVENTS + 40


needs_strace = pytest.mark.skipif(
    not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode != 0,
    reason="strace cannot be used here: NO FAILED WRITES TESTED",
)  # fmt: skip


@needs_strace
@pytest.mark.parametrize(
    ("call", "error", "steps"),
    [("pwrite64", "ENOSPC", (1, 2, 3, 5, 9, 14, 20, 29)), ("pwrite64", "EIO", (1, 4, 12)),
     ("fdatasync", "EIO", (1, 2, 3)), ("ftruncate", "ENOSPC", (1, 2))],
)  # fmt: skip
def test_the_nth_failing_write_loses_nothing(
    scratch: Scratch, call: str, error: str, steps: tuple[int, ...]
) -> None:
    """An anomaly loop: the n-th call fails, the database stays whole, and the next run is exact."""
    inject = ["strace", "-f", "-o", "/dev/null", "-e", f"trace={call}"]
    for number, step in enumerate(steps):
        scratch.log(line(EVENTS + number * 50 + n) for n in range(50))
        done = subprocess.run(
            [*inject, "-e", f"inject={call}:error={error}:when={step}", sys.executable, "-m", "tokentop", "sync"],
            env=scratch.environ(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 1)
        if done.returncode:
            one_line(done)
        if scratch.database.exists() and scratch.database.stat().st_size:
            with closing(sqlite3.connect(scratch.database)) as db:
                assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert scratch.totals()["responses"] == EVENTS + 50 * len(steps)
    assert audit_file(scratch.database)[0] == EVENTS + 50 * len(steps)


# ---------------------------------------------------------------- locked

HOLD = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.readline()
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_database_held_by_another_program_is_said_and_waited_for(
    scratch: Scratch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case D4: a report ends with one line; the collector shows it, and goes on when the lock is gone."""
    monkeypatch.setattr(store_db, "BUSY_MS", 200)
    subject, pictures = collector(scratch)
    tick_until(subject, pictures, lambda p: scratch.stored() == EVENTS)
    process = holder(scratch.database)
    try:
        scratch.log(line(n) for n in range(EVENTS, EVENTS + 5))
        tick_until(subject, pictures, lambda p: "busy" in p.mode and p.health)
        subject.close()
        done = scratch.run("sync")
        assert done.returncode == 1
        assert "held by another program" in one_line(done)
        subject, pictures = collector(scratch)
        tick_until(subject, pictures, lambda p: "busy" in p.mode and p.health)
    finally:
        process.communicate("\n")
    tick_until(subject, pictures, lambda p: p.mode == "live" and scratch.stored() == EVENTS + 5)
    subject.close()
    audit_file(scratch.database)
    assert scratch.stored() == EVENTS + 5


def test_the_wal_stays_bounded_beside_a_long_reader(scratch: Scratch) -> None:
    """Case D5."""
    scratch.totals()
    with closing(sqlite3.connect(scratch.database)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchone()
        scratch.log((line(n, session="s-2") for n in range(EVENTS, 8_000)), "s-2.jsonl")
        assert scratch.totals()["responses"] == 8_000
        assert (scratch.state / "tokentop.db-wal").stat().st_size < 64 << 20
    assert scratch.totals()["responses"] == 8_000
    assert (scratch.state / "tokentop.db").stat().st_size > 100_000
