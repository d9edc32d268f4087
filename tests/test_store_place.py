"""Where the store lies: permissions, what is planted, no place at all. Cases D9 and T17 of the fault catalogue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from .faults import (
    REPOSITORY,
    Scratch,
    line,
    needs_namespace,
    one_line,
    wait_for,
)

EVENTS = 60


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n) for n in range(EVENTS))
    return home


def test_everything_in_the_state_directory_is_private_under_umask_000(scratch: Scratch) -> None:
    """Case D9."""
    process = scratch.start("watch", preexec_fn=lambda: os.umask(0))
    try:
        wait_for(
            lambda: (scratch.state / "tokentop.db-wal").exists() and scratch.run("usage").returncode == 0
        )
        modes: dict[str, int] = {}
        for path in scratch.state.iterdir():
            with suppress(FileNotFoundError):  # it has its own name now
                modes[path.name] = path.stat().st_mode & 0o777
    finally:
        process.terminate()
        process.communicate()
    assert scratch.state.stat().st_mode & 0o777 == 0o700
    assert {"tokentop.db", "tokentop.db-wal", "tokentop.db-shm", "lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_python_with_an_old_sqlite_is_told(scratch: Scratch) -> None:
    """Python 3.11 of a system may come with SQLite 3.26, which cannot make the tables."""
    older = "import sqlite3, sys; sqlite3.sqlite_version_info = (3, 26, 0); sqlite3.sqlite_version = '3.26.0'"
    words = [sys.executable, "-c", f"{older}; from tokentop.cli import main; sys.exit(main(['usage']))"]
    done = subprocess.run(
        words, env=scratch.environ(), capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    assert "SQLite 3.31 or newer is needed, this Python has 3.26.0; use another Python" in one_line(done)
    assert done.returncode == 1


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
        done = scratch.run(verb, timeout=90)
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
