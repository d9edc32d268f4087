"""Streams and places that fail under the program: closed, full, endless, nobody behind them. Case U4 of the fault catalogue."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tokentop.report.out import wrapped

from .faults import Scratch, line, one_line, wait_for


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n) for n in range(12))
    return home


def holds(scratch: Scratch, wanted: int) -> bool:
    try:
        return scratch.stored() == wanted
    except sqlite3.OperationalError:  # not made yet
        return False


def closed(*numbers: int) -> Callable[[], None]:
    def close() -> None:
        for number in numbers:
            os.close(number)

    return close


def run_without(
    scratch: Scratch, numbers: tuple[int, ...], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tokentop", *arguments], env=scratch.environ(), capture_output=True,
        text=True, timeout=60, check=False, preexec_fn=closed(*numbers),
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [("usage",), ("usage", "--json"), ("sessions",), ("--once",)], ids=" ".join
)
def test_a_closed_standard_output_is_one_line_and_status_1(
    scratch: Scratch, arguments: tuple[str, ...]
) -> None:
    done = run_without(scratch, (1,), *arguments)
    assert done.returncode == 1
    assert "standard output is closed" in one_line(done)
    assert scratch.stored() == 12


def test_without_standard_error_a_complaint_does_not_go_into_the_report(scratch: Scratch) -> None:
    done = run_without(scratch, (2,), "usage", "--json", "--nonsense")
    assert (done.returncode, done.stdout) == (2, "")
    assert run_without(scratch, (0, 2), "usage", "--csv").returncode == 0
    assert run_without(scratch, (0, 1, 2), "sync").returncode == 1
    assert scratch.stored() == 12


def test_a_complaint_that_nobody_hears_keeps_its_status(scratch: Scratch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "tokentop", "usage", "--nonsense"], env=scratch.environ(), stderr=writing,
        stdout=subprocess.PIPE, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stdout) == (2, b"")


def test_a_watch_whose_output_is_full_goes_on_collecting(scratch: Scratch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with open("/dev/full", "w") as full:
        watch = scratch.start("watch", stdout=full)
    try:
        wait_for(lambda: holds(scratch, 12))
        for number in range(12, 15):  # one after the other: a minute's line was due meanwhile
            scratch.log([line(number)])
            wait_for(lambda wanted=number + 1: holds(scratch, wanted), seconds=20)
            assert watch.poll() is None, watch.stderr.read()
    finally:
        watch.send_signal(signal.SIGTERM)
        watch.communicate(timeout=30)


@pytest.mark.parametrize("kind", ["endless", "pipe", "huge"])
def test_settings_that_have_no_end_are_refused(scratch: Scratch, kind: str) -> None:
    path = scratch.config
    if kind == "endless":
        path = Path("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        with path.open("wb") as file:
            file.truncate(1 << 40)
    done = scratch.run("usage", env={"TOKENTOP_CONFIG": str(path)}, timeout=30)
    assert done.returncode == 2
    assert str(path) in one_line(done)


def test_no_settings_at_all_can_be_asked_for(scratch: Scratch) -> None:
    assert scratch.run("usage", env={"TOKENTOP_CONFIG": os.devnull}).returncode == 0


@pytest.mark.parametrize("cells", [0, 1, 3, 12, 13, 40])
def test_a_line_is_wrapped_into_any_width(cells: int) -> None:
    words = "what became of " + "x" * 3000 + " in the end"
    pieces = wrapped(words, cells, 12)
    assert "".join("".join(pieces).split()) == "".join(words.split())
    assert all(len(piece) <= max(cells, 13) for piece in pieces)
