"""Whole documents that are rewritten in place: half-written, large, unchanged, damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.agents.harness import NOW_MS, Scratch, kinds, picture
from tokentop.ledger import Ledger

PLACE = ".config/Code/User/globalStorage/rooveterinaryinc.roo-cline/tasks/1795294660000/ui_messages.json"


@pytest.fixture
def home(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def messages(count: int, filler: int = 0) -> bytes:
    said = [
        {"ts": 1_795_294_660_000 + n, "type": "say", "say": "api_req_started",
         "text": json.dumps({"tokensIn": 40 + n, "tokensOut": 100, "apiProtocol": "anthropic"})}
        for n in range(count)
    ]  # fmt: skip
    return json.dumps([*said, {"ts": 1, "type": "say", "say": "text", "text": "x" * filler}]).encode()


def look(ledger: Ledger, now_s: float) -> int:
    """A poll and what it leads to; the number of responses known then."""
    ledger.follower.poll(now_s, all_folders=True)
    while ledger.step(now_s, 1 << 62) is not None:
        pass
    return len(picture(ledger.db).responses)


def test_half_a_document_takes_nothing_back_and_the_whole_one_is_read(home: Scratch) -> None:
    """Conformance 9."""
    home.write(PLACE, messages(2))
    with home.ledger(live=True) as ledger:
        ledger.follower.walk(0.0, NOW_MS * 1_000_000)
        assert look(ledger, 1.0) == 2
        home.write(PLACE, messages(3)[:200])
        assert look(ledger, 10.0) == 2
        assert kinds(ledger.health()) == {"half": 1}
        home.write(PLACE, messages(3))
        assert look(ledger, 20.0) == 3
        assert kinds(ledger.health()) == {}


def test_what_a_document_said_before_is_no_duplicate(home: Scratch) -> None:
    home.write(PLACE, messages(50))
    assert len(home.read().responses) == 50
    home.write(PLACE, messages(51))
    assert len(home.read().responses) == 51
    assert home.health().get("duplicate", 0) == 0


def test_a_large_document_that_changes_all_the_time_is_read_now_and_then(home: Scratch) -> None:
    home.write(PLACE, messages(1, 20 << 20))
    with home.ledger(live=True) as ledger:
        ledger.follower.walk(0.0, NOW_MS * 1_000_000)
        assert look(ledger, 1.0) == 1
        home.write(PLACE, messages(2, 20 << 20))
        assert [look(ledger, 1.0 + tenth / 10) for tenth in range(1, 30)] == [1] * 29
        assert look(ledger, 6.0) == 2


def test_a_report_does_not_wait(home: Scratch) -> None:
    home.write(PLACE, messages(1, 20 << 20))
    assert len(home.read().responses) == 1
    home.write(PLACE, messages(2, 20 << 20))
    assert len(home.read().responses) == 2


@pytest.mark.parametrize(
    "data", [b"", b"[", b"null", b"[1, 2", b"\xff\xfe[\x00", b"[" * 100_000, b'{"a": 1e999}']
)
def test_what_is_no_document_is_said_and_the_others_go_on(home: Scratch, data: bytes) -> None:
    home.write(PLACE, data)
    home.write(PLACE.replace("1795294660000", "1795294660001"), messages(2))
    assert len(home.read().responses) == 2
