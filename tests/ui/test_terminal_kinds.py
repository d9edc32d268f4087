"""Real terminals of several kinds: colours, none, sixteen, none that can draw, and no mouse."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.ui.terminal import Terminal, driver

MOUSE = tuple(f"\x1b[?{mode}h".encode() for mode in (9, 1000, 1002, 1003, 1005, 1006, 1015, 1016))


def own_home(folder: Path) -> dict[str, str]:
    return {
        "HOME": str(folder),
        "TOKENTOP_STATE_DIR": str(folder / "state"),
        "XDG_CONFIG_HOME": str(folder / "config"),
    }


def tokentop(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tokentop", *arguments]


def colours(output: bytes) -> set[tuple[int, ...]]:
    """Foreground colours that were given as red, green and blue."""
    found = re.findall(rb"38;2;(\d+);(\d+);(\d+)", output)
    return {tuple(map(int, colour)) for colour in found}


def test_without_no_color_there_are_colours_and_with_it_there_are_greys() -> None:
    """Conformance 11: unset, set and empty; Textual takes an empty NO_COLOR for set."""
    for value, coloured in ((None, True), ("1", False), ("", False)):
        env = {"COLORTERM": "truecolor"} | ({} if value is None else {"NO_COLOR": value})
        with Terminal(driver("still"), env=env) as terminal:
            terminal.wait_for(b"flaky retry")
            terminal.send(b"q")
            assert terminal.wait() == 0
            seen = colours(terminal.output)
            assert seen
            assert any(len(set(colour)) > 1 for colour in seen) is coloured, value


def test_a_linux_console_gets_its_own_sixteen_colours() -> None:
    """Conformance 12: no colour that it would have to guess."""
    with Terminal(driver("still"), env={"TERM": "linux", "COLORTERM": "", "LANG": "C.UTF-8"}) as terminal:
        terminal.wait_for(b"flaky retry")
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert b"38;2;" not in terminal.output
        assert b"38;5;" not in terminal.output
        assert terminal.output.isascii()


def test_a_terminal_that_cannot_draw_gets_plain_text(tmp_path: Path) -> None:
    """Conformance 13."""
    with Terminal(tokentop(), env=own_home(tmp_path) | {"TERM": "dumb"}) as terminal:
        assert terminal.wait() == 0
        assert b"tok/min" in terminal.output
        assert b"\x1b" not in terminal.output


@pytest.mark.parametrize("setting", ["flag", "config"])
def test_no_mouse_leaves_the_mouse_to_the_terminal(setting: str, tmp_path: Path) -> None:
    """Conformance 30, through the command line and through the settings."""
    env = own_home(tmp_path)
    if setting == "config":
        file = tmp_path / "config.toml"
        file.write_text("mouse = false\n")
        env["TOKENTOP_CONFIG"] = str(file)
    with Terminal(tokentop("demo", *(["--no-mouse"] if setting == "flag" else [])), env=env) as terminal:
        terminal.wait_for(b"tok/min")
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert not [mode for mode in MOUSE if mode in terminal.output]


def test_the_mouse_is_on_by_default_and_given_back() -> None:
    with Terminal(driver("still")) as terminal:
        terminal.wait_for(b"flaky retry")
        assert b"\x1b[?1006h" in terminal.output
        mark = len(terminal.output)
        terminal.send(b"\x1b[<64;10;12M\x1b[<0;20;12M\x1b[<0;20;12m")  # the wheel, then a click
        terminal.wait_for(b">", mark)
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert terminal.restored
