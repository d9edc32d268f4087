"""Conformance of the Amp reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.nouns.usage import Tokens

ID = "T-0b7c9d2e-1111-4222-8333-444455556666"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def message(number: int, **more: Any) -> dict[str, Any]:
    usage = {
        "model": "claude-opus-4-6", "inputTokens": 10 + number, "outputTokens": 178, "cacheCreationInputTokens": 986,
        "cacheReadInputTokens": 11372, "totalInputTokens": 12368, "timestamp": f"2026-01-19T11:4{number}:10Z",
    }  # fmt: skip
    return {"role": "assistant", "messageId": number, "usage": usage | more}


def event(number: int, *, to: int | None = None, inputs: int = 10, model: str = "claude-opus-4-6") -> dict[str, Any]:  # fmt: skip
    found: dict[str, Any] = {
        "id": f"e-{number}", "timestamp": f"2026-01-19T11:4{number}:09Z", "model": model, "credits": 1.25,
        "tokens": {"input": inputs, "output": 178},
    }  # fmt: skip
    return found if to is None else {**found, "toMessageId": to}


def write(home: Scratch, messages: list[dict[str, Any]], events: list[dict[str, Any]] | None = None) -> None:
    thread: dict[str, Any] = {"id": ID, "created": 1768822900000, "messages": messages}
    if events is not None:
        thread["usageLedger"] = {"events": events}
    home.write(f".local/share/amp/threads/{ID}.json", json.dumps(thread))


def credit_sum(home: Scratch) -> int:
    with home.ledger() as ledger:
        return int(ledger.db.execute("SELECT coalesce(sum(credits_milli), 0) FROM event_extra").fetchone()[0])


def test_a_thread_without_a_ledger_is_counted_from_its_messages(home: Scratch) -> None:
    write(home, [message(1), message(3)])
    found = home.read()
    assert [e.tokens for e in found.events] == [
        Tokens(11, 11372, 986, 0, 178),
        Tokens(13, 11372, 986, 0, 178),
    ]


def test_a_ledger_of_a_part_is_reconciled_with_the_messages(home: Scratch) -> None:
    """Conformance 117, second part."""
    write(home, [message(1), message(3)], [event(1, to=1), event(5, inputs=700, model="gpt-5")])
    found = home.read()
    assert [e.tokens.input for e in found.events] == [11, 13, 700]
    assert found.events[0].tokens.cache_read == 11372
    assert credit_sum(home) == 2500


def test_an_event_without_a_message_id_is_found_by_model_and_counts(home: Scratch) -> None:
    write(home, [message(1)], [event(1, inputs=11)])
    assert home.read().one.tokens == Tokens(11, 11372, 986, 0, 178)
    assert credit_sum(home) == 1250


def test_an_event_that_has_only_credits_is_unknown(home: Scratch) -> None:
    write(home, [], [{"id": "e-9", "timestamp": "2026-01-19T11:42:09Z", "credits": 3}])
    assert home.read().one.unknown
    assert credit_sum(home) == 3000


def test_a_message_without_a_time_is_placed_at_the_start_of_its_thread(home: Scratch) -> None:
    write(home, [message(1, timestamp=None)])
    one = home.read().one
    assert (one.at_ms, one.at_estimated) == (1768822900000, True)


def test_its_folder_may_be_named_by_the_desktop_or_by_itself(home: Scratch) -> None:
    thread = json.dumps({"id": ID, "messages": [message(1)]})
    home.environ["XDG_DATA_HOME"] = str(home.home / "data")
    home.write(f"data/amp/threads/{ID}.json", thread)
    assert len(home.read().events) == 1
