"""The screen in a real terminal: bytes, signals, modes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.ui import hostile
from tests.ui.terminal import PATIENCE_S, ROOT, Terminal, driver


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_with_the_terminal_restored(number: signal.Signals) -> None:
    """Conformance 17, faults.md U4."""
    with Terminal(driver("live")) as terminal:
        terminal.wait_for(b"flaky retry")
        terminal.signal(number)
        assert terminal.wait() == 128 + number
        assert terminal.restored
        assert terminal.modes_kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("inline", ["inline=0", "inline=3"])
def test_a_signal_between_the_taking_of_the_terminal_and_the_first_picture_gives_it_back(
    number: signal.Signals, inline: str
) -> None:
    with Terminal(driver("still", inline)) as terminal:
        end_s = time.monotonic() + PATIENCE_S
        while terminal.modes_kept:  # its modes are the first that is changed
            assert time.monotonic() < end_s
        terminal.signal(number)
        assert terminal.wait() == 128 + number
        assert terminal.modes_kept
        assert terminal.output.rfind(b"\x1b[?1049l") >= terminal.output.rfind(b"\x1b[?1049h")
        assert terminal.output.rfind(b"\x1b[?25h") >= terminal.output.rfind(b"\x1b[?25l")


def test_q_leaves_with_status_0_and_stop_and_continue_come_back_to_the_screen() -> None:
    """Conformance 17."""
    with Terminal(driver("live")) as terminal:
        terminal.wait_for(b"flaky retry")
        terminal.signal(signal.SIGTSTP)
        terminal.wait_for(b"\x1b[?1049l")
        mark = len(terminal.output)
        terminal.signal(signal.SIGCONT)
        terminal.wait_for(b"\x1b[?1049h", mark)
        terminal.wait_for(b"flaky retry", mark)
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert terminal.restored
        assert terminal.modes_kept


@pytest.mark.parametrize("end", [b"q", signal.SIGTERM])
def test_a_stop_without_warning_leaves_keys_and_the_terminal_as_they_were(
    end: bytes | signal.Signals,
) -> None:
    with Terminal(driver("live")) as terminal:
        terminal.wait_for(b"flaky retry")
        for _ in range(2):
            terminal.signal(signal.SIGSTOP)
            terminal.read(0.2)
            mark = len(terminal.output)
            terminal.signal(signal.SIGCONT)
            terminal.wait_for(b"\x1b[?1049h", mark)
            terminal.wait_for(b"flaky retry", mark)
        if isinstance(end, bytes):
            terminal.send(b"?")
            terminal.wait_for(b"next row", mark)
            mark = len(terminal.output)
            terminal.send(b"\x1b")
            terminal.wait_for(
                b" quit", mark
            )  # a key that is read with the Escape would make it Alt and that key
            terminal.send(end)
        else:
            terminal.signal(end)
        assert terminal.wait() == (0 if isinstance(end, bytes) else 128 + end)
        assert terminal.restored
        assert terminal.modes_kept


def test_ctrl_c_twice_leaves_and_once_does_not() -> None:
    with Terminal(driver("still")) as terminal:
        terminal.wait_for(b"flaky retry")
        terminal.send(b"\x03")
        terminal.wait_for(b"again leaves")
        assert terminal.wait(0) is None
        terminal.read(0.5)
        assert terminal.wait(0) is None
        while terminal.status is None:  # on a busy machine the second one may come too late to be one
            terminal.send(b"\x03")
            terminal.wait(10)
        assert terminal.status == 0


@pytest.mark.parametrize("inline", ["inline=0", "inline=3"])
def test_a_hung_up_terminal_ends_the_program(inline: str) -> None:
    """Conformance 18."""
    with Terminal(driver("live", inline)) as terminal:
        terminal.wait_for(b"terraform plan")
        terminal.hang_up()
        end = time.monotonic() + PATIENCE_S
        done = 0
        while not done and time.monotonic() < end:
            done, code = os.waitpid(terminal.pid, os.WNOHANG)
            time.sleep(0.05)
        assert done
        terminal.status = os.waitstatus_to_exitcode(code)
        assert terminal.status == 128 + signal.SIGHUP


@pytest.mark.parametrize("gone", [False, True])
def test_a_terminal_that_takes_nothing_does_not_hold_the_end_up(gone: bool) -> None:
    """Nobody reads: the thread that writes waits, and soon the loop waits for that thread."""
    with Terminal(driver("live"), columns=160, lines=50) as terminal:
        terminal.wait_for(b"flaky retry")
        for at in range(100):
            terminal.resize(160 - at % 2, 50)
            time.sleep(0.03)
        if gone:
            terminal.hang_up()
        else:
            terminal.signal(signal.SIGTERM)
        end_s = time.monotonic() + PATIENCE_S / 4
        while (done := os.waitpid(terminal.pid, os.WNOHANG))[0] == 0:
            assert time.monotonic() < end_s
            time.sleep(0.05)
        terminal.status = os.waitstatus_to_exitcode(done[1])
        assert terminal.status == 128 + (signal.SIGHUP if gone else signal.SIGTERM)
        assert gone or terminal.modes_kept


def test_no_hostile_byte_reaches_the_terminal_from_any_screen() -> None:
    """Conformance 14, faults.md U1."""
    with Terminal(driver("hostile"), columns=200, lines=60) as terminal:
        terminal.wait_for(b"PWNED")
        terminal.read(0.5)
        for keys, shown in (
            (b"\r", b"context"),
            (b"\x1b", b" quit"),
            (b"K", b"signals"),
            (b"k", b"cannot be caught"),
            (b"y", b" quit"),
            (b"R", b"Receipts"),
            (b"\x1b", b" quit"),
            (b"H", b"Problems"),
            (b"\x1b", b" quit"),
            (b"y", b"not copied"),
            (b":", b"Search for"),
            (b"pwned", b"pwned"),
            (b"\x1b", b" quit"),
            (b"?", b"press one"),
            (b"\x1b", b" quit"),
            (b"/", b"keep the filter"),
            (b"\x1b[200~\x1b]0;PWNED\x07\x1b[201~", b"no row matches"),
            (b"\x1b", b" quit"),
        ):
            mark = len(terminal.output)
            terminal.send(keys)
            terminal.wait_for(shown, mark)
            terminal.read(0.3)
            assert terminal.wait(0) is None, (keys, terminal.output[mark:][-300:])
        for row in range(30):
            terminal.send(b"j")
            terminal.read(0.03)
            assert terminal.wait(0) is None, row
        terminal.send(b"\x11")
        assert terminal.wait() == 0
        raw = terminal.output
    for bad in hostile.FOREIGN:
        at = raw.find(bad)
        assert at < 0, (bad, raw[max(0, at - 60) : at + 60])
    assert b"PWNED" in raw
    assert "␛]0;PWNED".encode() in raw
    assert b"[/red]" in raw
    # Operating system commands: the copy of `y`, and Textual's pointer shape.
    commands = {part[:5] for part in raw.split(b"\x1b]")[1:]}
    assert commands <= {b"52;c;", b"22;de", b"22;po", b"22;te"}, commands


def test_a_crash_names_the_log_and_shows_no_value() -> None:
    """Conformance 19, section 21.3."""
    with Terminal(driver("crash", "log=/tmp/tokentop-test.log")) as terminal:
        assert terminal.wait() == 1
        assert terminal.restored
        assert terminal.modes_kept
        assert b"tokentop stopped by an error of its own: " in terminal.output
        assert b"/tmp/tokentop-test.log" in terminal.output
        assert b"CANARY" not in terminal.output


def test_the_first_paint_does_not_wait_for_the_source_and_the_screen_can_be_left() -> None:
    """Conformance 33."""
    with Terminal(driver("slow")) as terminal:
        terminal.wait_for(b"starting")
        terminal.send(b"?")
        terminal.wait_for(b"next row")


def test_without_a_terminal_it_says_so_and_writes_no_escape_sequence() -> None:
    """Conformance 13 and 20."""
    done = subprocess.run(
        driver("still"), cwd=ROOT, capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 2
    assert b"needs a terminal" in done.stderr + done.stdout
    assert b"\x1b" not in done.stderr + done.stdout


def test_the_mouse_is_off_when_told_so() -> None:
    """Conformance 30."""
    with Terminal(driver("still", "mouse=0")) as terminal:
        terminal.wait_for(b"flaky retry")
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert b"\x1b[?1000h" not in terminal.output
        assert b"\x1b[?1003h" not in terminal.output


@pytest.mark.parametrize("env", [{"TERM": "linux"}, {"LANG": "C", "LC_ALL": "C"}])
def test_a_plain_terminal_gets_seven_bits(env: dict[str, str]) -> None:
    """Conformance 12."""
    with Terminal(driver("still"), columns=120, lines=40, env=env) as terminal:
        terminal.wait_for(b"flaky retry")
        mark = len(terminal.output)
        for key, shown in (
            (b":", b"Search for"),
            (b"\x1b", b" quit"),
            (b"?", b"next row"),
            (b"\x1b", b" quit"),
        ):
            mark = len(terminal.output)
            terminal.send(key)
            terminal.wait_for(shown, mark)
            terminal.read(0.3)
        mark = len(terminal.output)
        terminal.send(b"K")
        terminal.wait_for(b"Esc", mark)
        terminal.read(0.3)
        assert terminal.output.isascii()


@pytest.mark.parametrize("value", ["1", ""])
def test_no_color_is_obeyed(value: str) -> None:
    """Conformance 11."""
    with Terminal(driver("still"), env={"NO_COLOR": value, "COLORTERM": "truecolor"}) as terminal:
        terminal.wait_for(b"flaky retry")
        terminal.send(b"q")
        terminal.wait()
        colours = {part.split(b"m")[0] for part in terminal.output.split(b"\x1b[")}
        rgb = [c for c in colours if b"38;2;" in c]
        for colour in rgb:
            numbers = colour.split(b"38;2;")[1].split(b";")[:3]
            assert len(set(numbers)) == 1, colour


def test_two_hundred_changes_of_size_end_on_a_whole_screen() -> None:
    """Conformance 7."""
    with Terminal(driver("live"), columns=120, lines=40) as terminal:
        terminal.wait_for(b"flaky retry")
        for at in range(200):
            terminal.resize(20 + (at * 37) % 160, 1 + (at * 13) % 50)
            terminal.read(0.004)
        terminal.resize(120, 40)
        mark = len(terminal.output)
        terminal.send(b"?")
        terminal.wait_for(b"next row", mark)
        terminal.send(b"qq")
        assert terminal.wait() == 0


@pytest.mark.parametrize("inline", ["inline=0", "inline=12"])
def test_a_terminal_without_a_size_is_drawn_on_and_left(inline: str) -> None:
    """As a pseudo-terminal is whose other side has set none."""
    with Terminal(driver("live", inline), columns=0, lines=0) as terminal:
        terminal.wait_for(b"flaky retry")
        assert terminal.leave() == 0


def test_a_terminal_that_tells_its_size_late_is_drawn_in_that_size() -> None:
    with Terminal(driver("live"), columns=0, lines=0) as terminal:
        terminal.wait_for(b"flaky retry")
        mark = len(terminal.output)
        terminal.resize(160, 50)
        terminal.wait_for(b"WHERE", mark)
        terminal.send(b"q")
        assert terminal.wait() == 0


def test_importing_the_screen_imports_nothing_that_is_slow_or_not_its_business() -> None:
    """Section 18."""
    code = (
        "import sys; from tokentop.ui.run import run; "
        "slow = {'psutil', 'httpx', 'sqlite_utils', 'sqlite3', 'zstandard'}; "
        "print(sorted(slow & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_a_jump_lends_the_terminal_and_takes_it_back() -> None:
    """terminal-ux.md: Textual's suspend; the lent program has the keys until it ends."""
    with Terminal(driver("lend"), columns=120, lines=40) as terminal:
        terminal.wait_for(b"flaky retry")
        mark = len(terminal.output)
        terminal.send(b"o")
        terminal.wait_for(b"LENT-terminal", mark)
        assert b"\x1b[?1049l" in terminal.output[mark:]
        mark = len(terminal.output)
        terminal.send(b"quit\r")
        terminal.wait_for(b"GOT-quit", mark)
        terminal.wait_for(b"back from tmux api:1.0", mark)
        terminal.wait_for(b"flaky retry", mark)
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert terminal.restored
        assert terminal.modes_kept
