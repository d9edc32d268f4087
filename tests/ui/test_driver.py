"""Keys as a terminal without the kitty protocol sends them: a lone Escape, sequences, characters in pieces."""

from __future__ import annotations

from tests.ui.terminal import Terminal, driver


def test_a_lone_escape_leaves_the_filter_and_the_next_key_is_no_part_of_it() -> None:
    with Terminal(driver("still")) as terminal:
        terminal.wait_for(b"filter")
        at = len(terminal.output)
        terminal.send(b"/")
        terminal.wait_for(b"keep the filter", at)
        at = len(terminal.output)
        terminal.send(b"\x1b")
        terminal.wait_for(b"quit", at)  # the footer of the table
        at = len(terminal.output)
        terminal.send(b"?")
        terminal.wait_for(b"next row", at)
        terminal.send(b"\x1b")
        terminal.read(0.5)
        terminal.send(b"q")
        assert terminal.wait() == 0
        assert terminal.restored


def test_sequences_and_characters_in_pieces_arrive_whole() -> None:
    with Terminal(driver("still")) as terminal:
        terminal.wait_for(b"filter")
        terminal.send(b"\x1b[B\x1bOA/")
        terminal.wait_for(b"keep the filter")
        at = len(terminal.output)
        terminal.send("gr\u00fc".encode()[:-1])  # half of a character
        terminal.read(0.3)
        terminal.send("\u00fc".encode()[-1:] + "n\u20ac".encode())
        terminal.wait_for("\u20ac".encode(), at)
        assert "gr\u00fcn".encode() in terminal.output or "\u00fcn".encode() in terminal.output
        terminal.send(b"\r")
        terminal.read(0.3)
        terminal.send(b"q")
        assert terminal.wait() == 0
