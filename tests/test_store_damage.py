"""A store that is damaged, too new, or killed in a migration. Cases D6-D8 of the fault catalogue."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tokentop.store import recover, schema
from tokentop.store.db import FILE_NAME, open_writer

from .faults import (
    Scratch,
    audit_file,
    collector,
    line,
    one_line,
    tick_until,
)

EVENTS = 60


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n) for n in range(EVENTS))
    return home


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
        done = scratch.run("usage", "--by", "session,day", "--json")  # reads every call
        if done.returncode == 0:
            break
    found = json.loads(scratch.run("doctor", "--json").stdout)
    responses = json.loads(done.stdout)["totals"]["responses"]
    assert 2_000 < responses < 3_000
    assert audit_file(scratch.database)[0] == responses
    assert found["schema"] == "tokentop.doctor/1"


@pytest.mark.parametrize("way", ["opened", "salvaged"])
def test_calls_of_an_older_version_keep_their_times(tmp_path: Path, way: str) -> None:
    """Its `event` lies by id and has the time as one number."""
    moments = {7: 0, 1 << 62: 1_790_000_123_456, 9: 1_790_003_600_000, 8: 1_790_000_123_455}
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as old:
        for number in range(3):
            old.executescript(f"BEGIN; {schema.MIGRATIONS[number]} PRAGMA user_version={number + 1}; COMMIT;")
        old.execute("INSERT INTO model VALUES (1, 'anthropic', 'claude-sonnet-4-5')")
        old.execute("INSERT INTO project VALUES (1, 'claude', 'api')")
        names = "id, agent, sid, parent_sid, root_sid, role, project, cwd, branch, title, title_rank, model, first_ms"
        old.execute(
            f"INSERT INTO session ({names}, version, surface, log_path, forked_at_ms, tool_use_id)"
            " VALUES (5, 'claude', 's', '', '', '', 1, '', '', '', 1, '', 1, '', '', '', 0, '')"
        )
        old.executemany(
            "INSERT INTO event VALUES (?, 5, ?, 20, 1, 0, 0, 1, 2, 3, 4, 5, 6, 77)", moments.items()
        )
    if way == "salvaged":
        assert recover.replace_damaged(tmp_path, 1)[1] == 7
    with closing(open_writer(tmp_path)) as new:
        found = new.execute(
            "SELECT id, at_ms, took_ms, reasoning, cost_nusd FROM event WHERE session = 5"
        ).fetchall()
        assert sorted(found) == sorted((number, at_ms, 20, 6, 77) for number, at_ms in moments.items())


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
    with closing(sqlite3.connect(scratch.database)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    old = scratch.database.read_bytes()
    dice = random.Random(3)
    killed = 0
    while killed < 3:
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
        killed += process.returncode == -9
        with closing(sqlite3.connect(scratch.database)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            tables = db.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'extra_%'").fetchone()[0]
            assert (version, tables) in ((schema.VERSION, 0), (schema.VERSION + 1, 400))
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if version != schema.VERSION:  # the kill came too late: once more with the old one
            scratch.database.write_bytes(old)
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
