"""A repaint writes what differs and nothing else; the terminal shows the same as if all had been written."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from textual._compositor import ChopsUpdate
from textual.strip import Strip

from tests.ui.terminal import PATIENCE_S, ROOT, Terminal, driver
from tokentop.ui.shown import Shown

WIDTH, LINES = 12, 3
CONSOLE = Console(width=WIDTH, height=LINES, color_system=None)
WRITTEN = re.compile(r"\x1b\[(\d+);(\d+)H([^\x1b\n]*)")


@st.composite
def updates(draw: st.DrawFn) -> ChopsUpdate:
    """Lines of three letters at most, cut anywhere, of which some columns are to be drawn."""
    chops: list[dict[int, Strip | None]] = []
    ends, spans = [], []
    for y in range(LINES):
        cuts = sorted({0, WIDTH, *draw(st.lists(st.integers(1, WIDTH - 1), max_size=3))})
        first = draw(st.integers(0, WIDTH - 1))
        last = draw(st.integers(first + 1, WIDTH))
        drawn = draw(st.booleans())
        line: dict[int, Strip | None] = {}
        for start, end in pairwise(cuts):
            letter = draw(st.sampled_from("ab "))
            seen = drawn and start < last and end > first
            line[start] = Strip([Segment(letter * (end - start))], end - start) if seen else None
        chops.append(line)
        ends.append(cuts[1:])
        if drawn:
            spans.append((y, first, last))
    return ChopsUpdate(chops, spans or [(0, 0, 0)], ends)


def write(grid: list[list[str]], update: ChopsUpdate | None) -> int:
    """Draw on a terminal of letters; how many were written."""
    sequence = update.render_segments(CONSOLE) if update is not None else ""
    written = 0
    for y, x, letters in WRITTEN.findall(sequence):
        at = int(x) - 1
        grid[int(y) - 1][at : at + len(letters)] = letters
        written += len(letters)
    return written


@settings(max_examples=300)
@given(st.lists(updates(), min_size=2, max_size=8))
def test_the_terminal_shows_the_same_as_if_everything_had_been_written(steps: list[ChopsUpdate]) -> None:
    shown = Shown()
    whole = [["." for _ in range(WIDTH)] for _ in range(LINES)]
    sparing = [list(line) for line in whole]
    for update in steps:
        write(whole, update)
        write(sparing, shown.news(update))
        assert sparing == whole


def test_nothing_is_written_twice_until_it_is_forgotten() -> None:
    shown, grid = Shown(), [["." for _ in range(WIDTH)] for _ in range(LINES)]
    line: list[dict[int, Strip | None]] = [{0: Strip([Segment("abc")], 3), 3: Strip([Segment("d" * 9)], 9)}]
    update = ChopsUpdate(line, [(0, 0, WIDTH)], [[3, WIDTH]])
    assert write(grid, shown.news(update)) == WIDTH
    assert shown.news(update) is None
    changed = ChopsUpdate([{**line[0], 0: Strip([Segment("abx")], 3)}], [(0, 0, WIDTH)], [[3, WIDTH]])
    assert write(grid, shown.news(changed)) == 3
    assert "".join(grid[0]) == "abx" + "d" * 9
    shown.forget()
    assert write(grid, shown.news(changed)) == WIDTH


def test_opening_the_filter_writes_its_lines_and_not_the_screen() -> None:
    with Terminal(driver("still"), 160, 50) as terminal:
        terminal.wait_for(b"flaky retry")
        end_s = time.monotonic() + PATIENCE_S
        while terminal.read(0.5) or not waits(terminal.pid):  # the first picture is not whole yet
            assert time.monotonic() < end_s, "the screen never came to rest"
        before = len(terminal.output)
        terminal.send(b"/")
        terminal.wait_for(b"keep the filter", before)
        terminal.read(0.3)
        assert len(terminal.output) - before < 8_000  # the whole of it is 30,000


def waits(pid: int) -> bool:
    """Whether none of its threads runs or wants to."""
    tasks = Path(f"/proc/{pid}/task").glob("*/stat")
    try:
        return all(task.read_text().rpartition(")")[2].split()[0] == "S" for task in tasks)
    except OSError:  # one has just ended
        return False


@pytest.mark.skipif(shutil.which("tmux") is None, reason="LEFT OUT: no tmux here")
def test_after_any_keys_the_screen_is_as_if_drawn_anew(tmp_path: Path) -> None:
    """ctrl+l writes everything again; what it then shows was there before. Colours count, figures move."""
    env = {**os.environ, "TMUX_TMPDIR": str(tmp_path), "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    env = {name: value for name, value in env.items() if name not in ("TMUX", "TMUX_PANE", "NO_COLOR")}

    def tmux(*words: str) -> str:
        return subprocess.run(
            ["tmux", "-f", "/dev/null", "-L", "shown", *words],
            env=env, cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def picture() -> list[str]:
        """Once nothing has moved for half a second in which the program waited for keys."""
        last: list[str] = []
        same = 0
        for _ in range(400):
            seen = tmux("capture-pane", "-p", "-e").splitlines()
            masked = [re.sub(r" *\d+", "#", line) for line in seen]
            same = same + 1 if masked == last and waits(int(tmux("display", "-p", "#{pane_pid}"))) else 0
            if same == 2:
                return masked
            last = masked
            time.sleep(0.25)
        raise AssertionError("the screen never came to rest")

    tmux("new-session", "-d", "-x", "120", "-y", "36", "exec " + " ".join(driver("still")))
    try:
        end_s = time.monotonic() + PATIENCE_S
        while "flaky retry" not in tmux("capture-pane", "-p"):
            assert time.monotonic() < end_s
            time.sleep(0.1)
        for keys in (["j", "j"], ["/", "f", "l", "a"], ["Escape"], ["Enter"], ["j"], ["Escape"], ["w"], ["Escape"],
                     ["K"], ["Escape"], ["2"], ["4"], ["1"], ["?"], ["Escape"]):  # fmt: skip
            tmux("send-keys", *keys)
            before = picture()
            tmux("send-keys", "C-l")
            assert picture() == before, f"after {keys}"
        tmux("resize-window", "-x", "100", "-y", "30")
        before = picture()
        tmux("send-keys", "C-l")
        assert picture() == before
    finally:
        tmux("kill-server")
