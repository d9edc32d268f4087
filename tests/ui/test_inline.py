"""`tokentop --inline`: a strip of a few lines that leaves the terminal as it was."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.ui.terminal import PATIENCE_S, ROOT, Terminal, driver


@pytest.mark.parametrize("rows", [1, 5])
def test_the_strip_has_its_rows_no_alternate_screen_and_leaves_the_terminal_as_it_was(rows: int) -> None:
    with Terminal(driver("live", f"inline={rows}"), columns=100, lines=24) as terminal:
        terminal.wait_for(b"terraform plan")  # it waits for a person: the most important one
        terminal.wait_for(b"has all keys")
        terminal.read(0.5)
        assert (b"explain the cache" in terminal.output) is False  # idle: the last of nine
        terminal.send(b"j")
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert b"\x1b[?1049h" not in terminal.output
        assert b"\x1b[?1000h" not in terminal.output
        assert terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l")
        assert terminal.modes_kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_strip_in_order(number: signal.Signals) -> None:
    with Terminal(driver("live", "inline=3")) as terminal:
        terminal.wait_for(b"terraform plan")
        terminal.signal(number)
        assert terminal.wait() == 128 + number
        assert terminal.modes_kept
        assert terminal.output.rfind(b"\x1b[?25h") > terminal.output.rfind(b"\x1b[?25l")


def test_no_key_of_the_strip_reaches_a_process() -> None:
    with Terminal(driver("still", "inline=4"), columns=100) as terminal:
        terminal.wait_for(b"terraform plan")
        terminal.send(b"xzKX\x1b/")
        terminal.read(1.0)
        for word in (b"ended", b"Terminate", b"refused", b"frozen"):
            assert word not in terminal.output
        terminal.send(b"q")
        assert terminal.wait() == 0


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_in_tmux_what_was_above_stays_and_the_prompt_comes_back(tmp_path: Path) -> None:
    socket = str(tmp_path / "tmux")

    def tmux(*arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", socket, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def wait_for(word: str) -> str:
        end = time.monotonic() + PATIENCE_S
        while word not in (shown := tmux("capture-pane", "-p")):
            assert time.monotonic() < end, shown
            time.sleep(0.1)
        return shown

    def wait_for_prompt() -> None:
        end = time.monotonic() + PATIENCE_S
        while not tmux("capture-pane", "-p").rstrip().endswith("$"):
            assert time.monotonic() < end
            time.sleep(0.1)

    env = {**os.environ, "HOME": str(tmp_path), "PS1": "$ ", "TERM": "xterm-256color"}
    subprocess.run(
        ["tmux", "-S", socket, "-f", "/dev/null", "new", "-d", "-x", "100", "-y", "30", "-c", str(ROOT), "env", "-u", "ENV", "sh"],
        env=env, check=True,
    )  # fmt: skip
    try:
        tmux("send-keys", "echo stands above", "Enter")
        wait_for("stands above")
        tmux("send-keys", f"{sys.executable} -m tests.ui.driver still inline=4", "Enter")
        shown = wait_for("terraform plan")
        shown = wait_for("tok/min ")
        assert "stands above" in shown
        lines = shown.rstrip().splitlines()
        keys = next(at for at, line in enumerate(lines) if "has all keys" in line)
        assert "tok/min" in lines[keys - 6]
        assert "SESSION" in lines[keys - 5]
        assert "terraform plan" in lines[keys - 4]
        tmux("send-keys", "q")
        wait_for_prompt()
        tmux("send-keys", "echo is $((6 * 7)) again", "Enter")
        assert "stands above" in wait_for("is 42 again")
    finally:
        subprocess.run(["tmux", "-S", socket, "kill-server"], check=False, capture_output=True)
