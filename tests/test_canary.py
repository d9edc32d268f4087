"""Nothing of a prompt, a reply or the arguments of a tool call is in the database, its log or its index.

All recorded logs of real clients are read by a running tokentop, with words of our own in their prompts, replies and
commands; these words are then looked for in its files.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from .faults import Scratch, bytes_in

CASES = Path(__file__).parent / "agents"
# What the recorded logs say, and what they say here: of the same length, so that agents' databases stay whole.
PLANTED = {
    b"scripted": b"xylophon",
    b"@@tool@@": b"kazoo-zz",
    b"@@multi@@": b"kazoo-yyy",
    b"I will run": b"marimba...",
}
ARGUMENT = b" && ocarina --bassoon"  # behind commands, where a file may become longer
CANARIES = (*PLANTED.values(), b"ocarina", b"bassoon")


def plant(home: Path) -> dict[bytes, int]:
    """Put the canaries into all files below a home; in how many files each of them is."""
    found = dict.fromkeys(CANARIES, 0)
    for path in home.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        for said, canary in PLANTED.items():
            content = content.replace(said, canary)
        if not content.startswith(b"SQLite format 3"):
            for number in (b"1", b"2", b"3"):
                content = content.replace(b"echo r" + number, b"echo r" + number + ARGUMENT)
        path.write_bytes(content)
        for canary in CANARIES:
            found[canary] += canary in content
    return found


def at_rest(scratch: Scratch) -> tuple[int, ...]:
    """What is stored; the same several times = nothing is left to do."""
    if not scratch.database.exists():
        return (0,)
    with (
        contextlib.suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{scratch.database}?mode=ro", uri=True)) as db,
    ):
        queries = [f"SELECT count(*) FROM {table}" for table in ("session", "event", "outline")]
        return tuple(db.execute(query).fetchone()[0] for query in queries)
    return (0,)  # it is being made


@pytest.mark.parametrize("titles", [False, True])
def test_no_word_of_the_recorded_logs_is_stored(tmp_path: Path, titles: bool) -> None:
    scratch = Scratch(tmp_path)
    scratch.config.write_text(f"titles = {str(titles).lower()}\n")
    for home in sorted(CASES.glob("*/*/home")):
        shutil.copytree(home, scratch.home, dirs_exist_ok=True)
    planted = plant(scratch.home)
    assert min(planted.values()) > 5, planted
    process = scratch.start("watch")
    try:
        before, same, end_s = (0,), 0, time.monotonic() + 60
        while same < 8 or before[0] < 60:
            assert time.monotonic() < end_s, before
            time.sleep(0.3)
            now = at_rest(scratch)
            same = same + 1 if now == before else 0
            before = now
        kept = bytes_in(scratch.state)
    finally:
        process.kill()
        process.communicate()
    assert scratch.run("sessions", "retry").returncode in (0, 3)  # indexes what the other one has not yet
    kept += bytes_in(scratch.state)
    stored = {canary for canary in CANARIES if canary in kept}
    with closing(sqlite3.connect(f"file:{scratch.database}?mode=ro", uri=True)) as db:
        shown = " ".join(row[0] for row in db.execute("SELECT title FROM session")).encode()
    assert stored == {canary for canary in CANARIES if canary in shown}
    assert bool(stored) == titles
    assert not stored & {b"ocarina", b"bassoon"}
