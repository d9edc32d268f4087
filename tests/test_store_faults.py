"""A store that is full, locked, damaged, too new or badly placed. Cases D2, D4-D9, T17 of the fault catalogue."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tokentop.config import Settings
from tokentop.model import Snapshot
from tokentop.runtime import Collector
from tokentop.store import db as store_db
from tokentop.store import schema

from .faults import REPOSITORY, Scratch, audit_file, line, one_line

EVENTS = 60


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n) for n in range(EVENTS))
    return home


def collector(scratch: Scratch) -> tuple[Collector, list[Snapshot]]:
    pictures: list[Snapshot] = []
    return Collector(scratch.state, scratch.environ(), Settings(), pictures.append), pictures


def tick_until(subject: Collector, pictures: list[Snapshot], wanted: object, seconds: float = 30) -> Snapshot:
    """Tick as the collector thread does until a picture is as wanted."""
    assert callable(wanted)
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        wait_s = subject.tick()
        if pictures and wanted(pictures[-1]):
            return pictures[-1]
        time.sleep(wait_s)
    raise AssertionError(f"never came: mode {pictures[-1].mode!r}, health {pictures[-1].health}")


# ---------------------------------------------------------------- full


def namespace_works() -> bool:
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False
    )
    return done.returncode == 0


needs_namespace = pytest.mark.skipif(
    not shutil.which("unshare") or not namespace_works(), reason="user namespaces are not allowed here: NO FULL DISK TESTED"
)  # fmt: skip


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


# ---------------------------------------------------------------- damaged


def flip_every_97th(data: bytearray, dice: random.Random) -> None:
    for place in range(dice.randrange(97), len(data), 97):
        data[place] ^= 0xFF


def overwrite_pages(data: bytearray, dice: random.Random) -> None:
    data[2 * 4096 : 14 * 4096] = bytes(12 * 4096)


def flip_pages(data: bytearray, dice: random.Random) -> None:
    for page in range(2, 14):
        for place in range(page * 4096, page * 4096 + 4096, 7):
            data[place] ^= 0x55


DAMAGE = {
    "every 97th byte flipped": flip_every_97th,
    "pages of zeros": overwrite_pages,
    "pages flipped": flip_pages,
    "cut in the middle": lambda data, dice: data.__delitem__(slice(len(data) // 2, None)),
    "cut inside the header": lambda data, dice: data.__delitem__(slice(50, None)),
    "no bytes": lambda data, dice: data.clear(),
    "garbage": lambda data, dice: data.__setitem__(slice(None), dice.randbytes(len(data))),
    "text": lambda data, dice: data.__setitem__(slice(None), b"this is no database\n" * 500),
}


def damage(path: Path, kind: str, seed: int = 1) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(path.read_bytes())
    DAMAGE[kind](data, random.Random(seed))
    path.write_bytes(data)


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_database_is_put_aside_and_made_anew(scratch: Scratch, kind: str) -> None:
    """Case D6: never a traceback; the old file is kept; the figures are those of the logs."""
    scratch.log((line(n, session=f"s-{n % 40}", output=n) for n in range(EVENTS, 900)), "s-2.jsonl")
    before = scratch.totals()
    damage(scratch.database, kind)
    for _ in range(3):
        done = scratch.run("usage", "--json")
        assert "Traceback" not in done.stderr
        if done.returncode == 0:
            break
        assert "damaged" in one_line(done)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["totals"] == before
    kept = [path for path in scratch.state.iterdir() if re.fullmatch(r"tokentop\.db\.corrupt-\d+", path.name)]
    if kind != "no bytes":
        assert len(kept) == 1, "damage is found and the file kept"
    assert audit_file(scratch.database)[0] == before["responses"]


def test_what_only_the_damaged_database_held_is_kept(scratch: Scratch) -> None:
    """The logs are gone; the rows that can be read are copied, and the sums are made again from them."""
    scratch.log((line(n, session=f"s-{n % 9}") for n in range(EVENTS, 3_000)), "s-2.jsonl")
    scratch.totals()
    for path in scratch.project.iterdir():
        path.unlink()
    with closing(sqlite3.connect(scratch.database)) as db:
        (leaf,) = (
            db.execute("SELECT max(pageno) FROM dbstat WHERE name='event' AND pagetype='leaf'").fetchone()
            if has_dbstat(db)
            else (0,)
        )
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    data = bytearray(scratch.database.read_bytes())
    page = leaf or len(data) // 4096 // 2
    data[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    scratch.database.write_bytes(data)
    for _ in range(3):
        done = scratch.run("usage", "--by", "session", "--json")
        if done.returncode == 0:
            break
    found = json.loads(scratch.run("doctor", "--json").stdout)
    responses = json.loads(done.stdout)["totals"]["responses"]
    assert 2_000 < responses < 3_000
    assert audit_file(scratch.database)[0] == responses
    assert found["schema"] == "tokentop.doctor/1"


def has_dbstat(db: sqlite3.Connection) -> bool:
    try:
        db.execute("SELECT 1 FROM dbstat LIMIT 1")
    except sqlite3.OperationalError:
        return False
    return True


def test_the_collector_mends_a_database_that_is_damaged_under_it(scratch: Scratch) -> None:
    scratch.log((line(n, session=f"s-{n % 40}") for n in range(EVENTS, 900)), "s-2.jsonl")
    subject, pictures = collector(scratch)
    tick_until(subject, pictures, lambda p: scratch.stored() == 900)
    subject.close()
    damage(scratch.database, "pages flipped", seed=5)
    subject, pictures = collector(scratch)
    scratch.log(line(n) for n in range(900, 950))
    tick_until(subject, pictures, lambda p: p.mode == "live" and whole(scratch) == 950)
    subject.close()
    audit_file(scratch.database)
    assert list(scratch.state.glob("tokentop.db.corrupt-*"))


def whole(scratch: Scratch) -> int:
    """Responses of this home; -1 while the database cannot be read."""
    try:
        return scratch.stored()
    except sqlite3.DatabaseError:
        return -1


# ---------------------------------------------------------------- versions


def test_a_newer_database_is_read_and_never_written(scratch: Scratch) -> None:
    """Case D7: the report names the version and what to do, and shows what the file holds."""
    before = scratch.totals()
    with closing(sqlite3.connect(scratch.database)) as db:
        db.execute("PRAGMA user_version=99")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    scratch.log(line(n) for n in range(EVENTS, EVENTS + 5))
    data = scratch.database.read_bytes()
    done = scratch.run("usage", "--json")
    assert done.returncode == 0
    assert "version 99" in one_line(done)
    assert json.loads(done.stdout)["totals"] == before
    subject, pictures = collector(scratch)
    picture = tick_until(subject, pictures, lambda p: p.history_events == EVENTS and p.health)
    assert picture.mode == "reader"
    assert any("version 99" in d.detail for d in picture.health)
    subject.close()
    assert scratch.database.read_bytes() == data


SLOW_MIGRATION = """
import sys, time
from pathlib import Path
from tokentop.store import db, schema
steps = "\\n".join(f"CREATE TABLE extra_{n} AS SELECT * FROM event;" for n in range(400))
db.MIGRATIONS = (*schema.MIGRATIONS, steps)
db.VERSION = len(db.MIGRATIONS)
print("begin", flush=True)
db.open_writer(Path(sys.argv[1])).close()
"""


def test_a_migration_that_is_killed_leaves_the_old_version_whole(scratch: Scratch) -> None:
    """Case D8: each step is one transaction, a copy is made first, and running it again is fine."""
    scratch.log((line(n, session="s-2") for n in range(EVENTS, 2_000)), "s-2.jsonl")
    before = scratch.totals()
    dice = random.Random(3)
    ended = []
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW_MIGRATION, str(scratch.state)],
            env=scratch.environ(),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.random() * 0.06)
        process.kill()
        process.communicate()
        ended.append(process.returncode)
        with closing(sqlite3.connect(scratch.database)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            tables = db.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'extra_%'").fetchone()[0]
            assert (version, tables) in ((schema.VERSION, 0), (schema.VERSION + 1, 400))
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert -9 in ended
    subprocess.run(
        [sys.executable, "-c", SLOW_MIGRATION, str(scratch.state)],
        env=scratch.environ(),
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with closing(sqlite3.connect(scratch.database)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION + 1
    backup = scratch.state / f"tokentop.v{schema.VERSION}.bak"
    assert backup.stat().st_mode & 0o777 == 0o600
    assert audit_file(backup)[0] == before["responses"] == 2_000
    assert not [path.name for path in scratch.state.iterdir() if path.name.endswith(".part")]


# ---------------------------------------------------------------- the place


def test_everything_in_the_state_directory_is_private_under_umask_000(scratch: Scratch) -> None:
    """Case D9."""
    process = scratch.start("watch", preexec_fn=lambda: os.umask(0))
    try:
        wait_for(
            lambda: (scratch.state / "tokentop.db-wal").exists() and scratch.run("usage").returncode == 0
        )
        modes = {path.name: path.stat().st_mode & 0o777 for path in scratch.state.iterdir()}
    finally:
        process.terminate()
        process.communicate()
    assert scratch.state.stat().st_mode & 0o777 == 0o700
    assert {"tokentop.db", "tokentop.db-wal", "tokentop.db-shm", "lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def wait_for(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    end_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end_s, "it never came"
        time.sleep(0.02)


@pytest.mark.parametrize("name", ["tokentop.db", "lock"])
@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_what_is_planted_in_its_place_is_refused(scratch: Scratch, name: str, kind: str) -> None:
    scratch.state.mkdir(mode=0o700)
    victim = scratch.home / "victim"
    victim.write_text("precious\n")
    place = scratch.state / name
    {"link": lambda: place.symlink_to(victim), "folder": place.mkdir, "fifo": lambda: os.mkfifo(place)}[
        kind
    ]()
    for verb in ("sync", "--once"):
        done = scratch.run(verb, timeout=20)
        assert done.returncode == 1, (done.stdout, done.stderr)
        assert name in one_line(done)
    assert victim.read_text() == "precious\n"


def test_a_directory_that_others_may_write_or_own_is_refused(scratch: Scratch) -> None:
    scratch.state.mkdir()
    scratch.state.chmod(0o777)
    done = scratch.run("usage")
    assert done.returncode == 1
    assert "chmod 700" in one_line(done)
    scratch.state.chmod(0o700)
    if os.getuid() == 0:
        os.chown(scratch.state, 12_345, 12_345)
        done = scratch.run("usage")
        assert done.returncode == 1
        assert "another user" in one_line(done)


def test_a_file_in_place_of_the_state_directory_is_said(scratch: Scratch) -> None:
    scratch.state.write_text("")
    done = scratch.run("usage")
    assert done.returncode == 1
    assert "not a directory" in one_line(done)


def test_a_relative_state_directory_is_refused(scratch: Scratch) -> None:
    done = scratch.run("usage", env={"TOKENTOP_STATE_DIR": "state"})
    assert done.returncode == 1
    assert "TOKENTOP_STATE_DIR" in one_line(done)
    assert not (scratch.home / "state").exists()


@needs_namespace
def test_where_nothing_can_be_written_the_report_is_right_and_says_so(scratch: Scratch) -> None:
    """Case T17: a read-only file system; the figures are read from the logs and kept nowhere."""
    scratch.state.mkdir(mode=0o700)
    script = f"""
        mount -t tmpfs -o ro,mode=700 tmpfs {scratch.state} || exit 9
        {sys.executable} -m tokentop usage --json
    """
    done = subprocess.run(
        ["unshare", "-Urm", "bash", "-c", script],
        env=scratch.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "nothing is remembered" in one_line(done)
    document = json.loads(done.stdout)
    assert document["totals"]["responses"] == EVENTS
    assert any("nothing is remembered" in error["detail"] for error in document["health"]["errors"])


def test_without_home_and_without_an_account_nothing_crashes(scratch: Scratch) -> None:
    """HOME unset and a user that no one knows: nothing below the current directory is read or made."""
    env = {"HOME": None, "XDG_CONFIG_HOME": None}
    done = scratch.run("usage", env=env)
    assert (done.returncode, done.stderr) == (0, "")


@needs_namespace
def test_a_user_without_an_account_and_home_gets_figures_and_no_files(tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "TZ": "UTC"}
    for verb in ("usage", "--once"):
        done = subprocess.run(
            ["unshare", "-U", "--map-user=54321", sys.executable, "-m", "tokentop", verb], cwd=tmp_path,
            capture_output=True, text=True, check=False, env=environ,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "nothing is remembered" in one_line(done)
        assert list(tmp_path.iterdir()) == []


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
