"""Conformance of the Codebuff reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.nouns.usage import Tokens

CHAT = "2026-01-19T11-42-10.123Z"
START_MS = 1_768_822_930_123


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def write(home: Scratch, *messages: Any, folder: str = ".config/manicode") -> None:
    document = [{"id": "user-1", "variant": "user", "content": "add a page"}, *messages]
    home.write(f"{folder}/projects/app/chats/{CHAT}/chat-messages.json", json.dumps(document))


def ai(number: int, **about: Any) -> dict[str, Any]:
    return {"id": f"ai-{number}", "variant": "ai", "timestamp": f"2026-01-19T11:4{number}:20.000Z", **about}


def credit_list(home: Scratch) -> list[int]:
    with home.ledger() as ledger:
        rows = ledger.db.execute("SELECT credits_milli FROM event_extra ORDER BY credits_milli").fetchall()
        return [row[0] for row in rows]


def test_credits_are_counted_once_and_tokens_from_one_place(home: Scratch) -> None:
    """Conformance 117, first part."""
    usage = {"prompt_tokens": 5000, "completion_tokens": 80, "prompt_tokens_details": {"cached_tokens": 3000}}
    state = {"sessionState": {"mainAgentState": {"messageHistory": [{"providerOptions": {"usage": usage}}]}}}
    metadata = {"usage": usage, "codebuff": {"model": "claude-sonnet-4-5", "usage": usage}, "runState": state}
    write(home, ai(3, credits=12, metadata=metadata), ai(4, credits=7.5, metadata={"runState": state}))
    found = home.read()
    assert [(e.unknown, e.tokens) for e in found.events] == [
        (False, Tokens(2000, 3000, 0, 0, 80)),
        (True, Tokens()),
    ]
    assert credit_list(home) == [7500, 12000]


def test_an_answer_that_has_no_credits_yet_is_not_counted(home: Scratch) -> None:
    write(home, ai(3, isComplete=False))
    assert home.read().events == ()
    write(home, ai(3, isComplete=True, credits=4))
    assert credit_list(home) == []
    assert len(home.read().events) == 1
    assert credit_list(home) == [4000]


def test_a_time_that_is_only_a_clock_is_the_start_of_the_chat(home: Scratch) -> None:
    write(home, ai(3, credits=4) | {"timestamp": "11:43 AM"})
    one = home.read().one
    assert (one.at_ms, one.at_estimated) == (START_MS, True)


def test_its_folder_may_be_named_by_a_variable(home: Scratch) -> None:
    home.environ["CODEBUFF_DATA_DIR"] = str(home.home / "elsewhere")
    write(home, ai(3, credits=4), folder="elsewhere")
    assert len(home.read().events) == 1
    assert home.read().sessions[CHAT].title == "add a page"
