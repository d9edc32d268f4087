"""SIGKILL at any moment: nothing is lost, nothing is counted twice. Case D1 of the fault catalogue."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from contextlib import closing, suppress

import pytest

from .faults import Scratch, audit_file, filler, line

KILLS = 22
EVENTS = 6_000


@pytest.fixture
def scratch(tmp_path):  # type: ignore[no-untyped-def]
    """About 80 MB in three logs: one large, one of small lines, one with lines longer than a block."""
    home = Scratch(tmp_path)
    junk = filler(50_000)
    home.log((line(n) + (junk if n % 2 else b"") for n in range(EVENTS // 2)), "s-1.jsonl")
    home.log((line(n, session="s-2") for n in range(EVENTS // 2, EVENTS)), "s-2.jsonl")
    home.log([line(EVENTS, session="s-3"), filler(3 << 20), line(EVENTS + 1, session="s-3")], "s-3.jsonl")
    return home


def test_counts_are_exact_after_22_kills_at_random_moments(scratch: Scratch) -> None:
    dice = random.Random(20)
    began_s = time.monotonic()
    assert scratch.run("sync", env={"TOKENTOP_STATE_DIR": str(scratch.state) + "-calm"}).returncode == 0
    whole_s = time.monotonic() - began_s
    written, stored, kills = EVENTS + 2, [0], 0
    while kills < KILLS:
        process = scratch.start("sync")
        began_s = time.monotonic()
        with suppress(subprocess.TimeoutExpired):
            process.wait(dice.uniform(0.2, 1.0) * whole_s)
        process.kill()
        process.communicate()
        kills += process.returncode == -9
        stored.append(stored_events(scratch))
        # The machine may be busier or idler than at first: stay around the moments of the commits.
        if process.returncode == 0:
            whole_s = time.monotonic() - began_s
        elif stored[-1] == stored[-2]:
            whole_s *= 1.3
        scratch.log((line(written + n, session="s-2") + filler(4_000) for n in range(200)), "s-2.jsonl")
        written += 200
    assert stored == sorted(stored), "a kill never takes away what was stored"
    assert len(set(stored)) > 3, "the kills fell into the reading"
    totals = scratch.totals()
    assert totals["responses"] == written
    assert totals["tokens"]["output"] == 7 * written
    assert totals["tokens"]["cache_read"] == 100 * written
    assert audit_file(scratch.database)[0] == written


def stored_events(scratch: Scratch) -> int:
    """Responses in the database, which is whole; 0 while there are no tables yet."""
    if not scratch.database.exists():
        return 0
    with closing(sqlite3.connect(scratch.database)) as db:
        if not db.execute("PRAGMA user_version").fetchone()[0]:
            return 0
    return audit_file(scratch.database)[0]
