"""`tokentop status`: what a running tokentop leaves, its age, and what is said when none runs."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.test_two_tokentops import wait_for, watching
from tokentop.store import left

from .faults import Scratch, line, midday, one_line


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """Ten responses of now, so that they are today's."""
    home = Scratch(tmp_path)
    home.zone = midday()
    now = datetime.now(UTC).isoformat()
    home.log(line(n, timestamp=now) for n in range(10))
    return home


def status(scratch: Scratch, *words: str) -> str:
    done = scratch.run("status", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_beside_a_running_tokentop_the_line_has_its_figures_and_their_age(scratch: Scratch) -> None:
    with watching(scratch) as watch:
        wait_for(lambda: (scratch.state / left.NAME).exists())
        wait_for(lambda: json.loads(status(scratch, "--json"))["today_usd"] != "0.000000000")
        found = json.loads(status(scratch, "--json"))
        usage = json.loads(scratch.run("usage", "--json", "--since", "today").stdout)
        assert found["schema"] == "tokentop.status/1"
        assert found["running"] is True
        assert found["today_usd"] == usage["totals"]["cost_usd"]
        assert found["agents"] >= 1
        assert found["age_s"] <= 30
        shown = status(scratch)
        assert re.match(r"(1 agent|\d+ agents)  ", shown)
        assert "tok/min" in shown
        assert shown.endswith(" old\n")
        assert status(scratch, "--format", "{state} {{{age}}}").startswith("running {")
        watch.send_signal(signal.SIGKILL)
        watch.wait()
        assert status(scratch).startswith("tokentop is not running; today ")
        dead = json.loads(status(scratch, "--json"))
        assert (dead["running"], dead["agents"], dead["burn_usd_per_h"]) == (False, None, None)
        assert dead["today_usd"] == found["today_usd"]
        assert status(scratch, "--format", "{agents}|{rate}|{burn}") == "?|?|?\n"


def test_without_a_running_tokentop_no_log_is_read_and_nothing_is_written(scratch: Scratch) -> None:
    assert one_line(scratch.run("status")).startswith("tokentop: nothing is known yet")
    assert scratch.run("status").returncode == 3
    scratch.run("sync")
    before = json.loads(status(scratch, "--json"))["today_usd"]
    scratch.log((line(n, timestamp=datetime.now(UTC).isoformat()) for n in range(10, 20)), "s-2.jsonl")
    files = {
        path.name: path.stat().st_mtime_ns for path in scratch.state.iterdir() if path.suffix != ".db-shm"
    }
    assert json.loads(status(scratch, "--json"))["today_usd"] == before
    after = {path.name: path.stat().st_mtime_ns for path in scratch.state.iterdir()}
    assert {name: after[name] for name in files if name in after and not name.endswith("-shm")} == {
        name: at for name, at in files.items() if name in after and not name.endswith("-shm")
    }


@pytest.mark.parametrize("damage", [b"", b"{", b"[1]", b"\xff" * 100, b'{"at_ms": "x"}', b"null"])
def test_a_damaged_file_counts_as_none(scratch: Scratch, damage: bytes) -> None:
    scratch.run("sync")
    (scratch.state / left.NAME).write_bytes(damage)
    assert status(scratch).startswith("tokentop is not running")


@pytest.mark.parametrize(
    ("template", "words"),
    [("{nothing}", "choose from agents"), ("{today", "a single {"), ("}", "a single }")],
)
def test_a_wrong_template_is_wrong_use(scratch: Scratch, template: str, words: str) -> None:
    done = scratch.run("status", "--format", template)
    assert done.returncode == 2
    assert words in one_line(done)


def test_it_imports_no_reader_of_logs_and_no_screen(scratch: Scratch) -> None:
    scratch.run("sync")
    script = (
        "import sys; from tokentop.cli import main; main(['status']);"
        " print([n for n in sys.modules if n.startswith(('textual', 'rich', 'psutil', 'tokentop.agents',"
        " 'tokentop.ingest', 'tokentop.ui', 'tokentop.pricing', 'tokentop.procs'))], file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", script], env=scratch.environ(), capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr == "[]\n"
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"CPU {cpu_s * 1000:.0f} ms")  # shown, not asserted


def test_what_is_left_is_for_the_owner_alone(tmp_path: Path) -> None:
    found = left.Left(1, os.getpid(), 2, 1, 0, 3.0, 4, 0, 5, True)
    before = os.umask(0)
    try:
        left.leave(tmp_path, found)
    finally:
        os.umask(before)
    assert left.read(tmp_path) == found
    assert (tmp_path / left.NAME).stat().st_mode & 0o777 == 0o600


def test_what_burns_without_a_price_is_at_least(scratch: Scratch) -> None:
    now = datetime.now(UTC).isoformat()
    known = line(90, timestamp=now)
    scratch.log([known, known.replace(b"claude-", b"mystery-").replace(b"90", b"91")])
    with watching(scratch):
        wait_for(lambda: (scratch.state / left.NAME).exists())
        wait_for(lambda: json.loads(status(scratch, "--json"))["burn_complete"] is False)
        assert status(scratch, "--format", "{burn}|{today}").startswith("≥$")
