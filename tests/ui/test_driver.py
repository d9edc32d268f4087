"""Escape: quick where it stands alone, never a piece of something else."""

from __future__ import annotations

import pytest

from tokentop.ui.driver import LONE_S, REST_S, EscapeGate

ESC = "\x1b"


def test_a_lone_escape_is_the_key_once_nothing_followed() -> None:
    gate = EscapeGate()
    assert gate.take(ESC, 10.0) == ""
    assert not gate.escape(10.0 + LONE_S / 2)
    assert gate.wait_s(10.0) == pytest.approx(LONE_S)
    assert gate.escape(10.0 + 2 * LONE_S)
    assert not gate.escape(10.1)
    assert gate.take("j", 10.1) == "j"


@pytest.mark.parametrize("sequence", ["[A", "OA", "[1;5D", "[<35;10;20M", "[200~", "f"])
def test_a_sequence_in_one_piece_or_in_two_that_come_quickly_is_left_whole(sequence: str) -> None:
    assert EscapeGate().take(ESC + sequence, 1.0) == ESC + sequence
    gate = EscapeGate()
    assert gate.take(f"j{ESC}", 1.0) == "j"
    assert gate.take(sequence, 1.01) == ESC + sequence
    assert not gate.escape(2.0)


@pytest.mark.parametrize("rest", ["[A", "OP", "[1;5D", "[<35;10;20M"])
def test_the_rest_of_a_torn_sequence_is_dropped_and_what_follows_is_not(rest: str) -> None:
    gate = EscapeGate()
    assert gate.take(ESC, 1.0) == ""
    assert gate.escape(1.0 + 2 * LONE_S)
    assert gate.take(f"{rest}k", 1.2) == "k"
    assert gate.take(rest, 1.3) == rest


def test_keys_typed_after_escape_are_kept() -> None:
    gate = EscapeGate()
    gate.take(ESC, 1.0)
    assert gate.escape(1.1)
    assert [gate.take(key, 1.2) for key in "O[x"] == ["O", "[", "x"]
    gate.take(ESC, 2.0)
    assert gate.escape(2.1)
    assert gate.take("[A", 2.1 + REST_S) == "[A"


def test_two_escapes_are_two_keys() -> None:
    gate = EscapeGate()
    assert gate.take(ESC + ESC, 1.0) == ESC  # the parser knows what the first one was when the second comes
    assert gate.escape(1.0 + 2 * LONE_S)


def test_inside_a_paste_nothing_is_held_back_wherever_it_is_torn() -> None:
    paste = f"{ESC}[200~one {ESC} two{ESC}[201~"
    for cut in range(7, len(paste)):
        gate = EscapeGate()
        fed = gate.take(paste[:cut], 1.0)
        assert fed == paste[:cut]
        assert not gate.escape(9.0)
        assert gate.take(paste[cut:], 9.0) == paste[cut:]
        assert gate.take(ESC, 10.0) == ""  # the paste is over
        assert gate.escape(11.0)
