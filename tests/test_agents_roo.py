"""Conformance of the readers of Roo Code and of Kilo Code before 7.2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.nouns.sessions import Role
from tokentop.nouns.usage import Tokens

NEW = 1_795_294_660_000
OLD = 1_750_000_000_000
PLACES = {
    "roo": ".vscode-server/data/User/globalStorage/rooveterinaryinc.roo-cline/tasks",
    "kilo-vscode": ".cursor-server/data/User/globalStorage/kilocode.kilo-code/tasks",
}
BOTH = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def write(home: Scratch, place: str, at_ms: int, *requests: dict[str, Any], task: str = "task-1") -> None:
    messages: list[dict[str, Any]] = [{"ts": at_ms, "type": "say", "say": "text", "text": "do it"}]
    messages += [
        {"ts": at_ms + 1 + n, "type": "say", "say": "api_req_started", "text": json.dumps(request)}
        for n, request in enumerate(requests)
    ]
    home.write(f"{place}/{task}/ui_messages.json", json.dumps(messages))


COUNTS = {"tokensIn": 900, "tokensOut": 60, "cacheReads": 300, "cacheWrites": 50}


@BOTH
def test_the_openai_protocol_includes_what_was_cached(home: Scratch, place: str) -> None:
    """Conformance 110, third part."""
    write(home, place, OLD, {**COUNTS, "apiProtocol": "openai"})
    assert home.read().one.tokens == Tokens(550, 300, 50, 0, 60)


@BOTH
def test_the_anthropic_protocol_of_older_versions_leaves_it_out(home: Scratch, place: str) -> None:
    write(home, place, OLD, {**COUNTS, "apiProtocol": "anthropic"})
    assert home.read().one.tokens == Tokens(900, 300, 50, 0, 60)


@BOTH
def test_newer_versions_count_the_whole_prompt_with_every_protocol(home: Scratch, place: str) -> None:
    write(home, place, NEW, {**COUNTS, "apiProtocol": "anthropic"})
    assert home.read().one.tokens == Tokens(550, 300, 50, 0, 60)


@BOTH
def test_a_prompt_smaller_than_what_was_cached_cannot_include_it(home: Scratch, place: str) -> None:
    write(home, place, NEW, {**COUNTS, "tokensIn": 40, "apiProtocol": "anthropic"})
    assert home.read().one.tokens == Tokens(40, 300, 50, 0, 60)


@BOTH
def test_the_model_stands_in_the_environment_of_the_request(home: Scratch, place: str) -> None:
    sent = "a <model>claude-sonnet-4-5</model> b"
    write(home, place, NEW, {**COUNTS, "request": sent}, {**COUNTS, "request": "no environment"})
    first = [{"role": "user", "content": "<model>gpt-5</model>"}]
    home.write(f"{place}/task-1/api_conversation_history.json", json.dumps(first))
    assert [event.model for event in home.read().events] == ["claude-sonnet-4-5"] * 2


@BOTH
def test_a_model_that_no_message_names_is_found_in_what_was_sent(home: Scratch, place: str) -> None:
    sent = [{"role": "user", "content": f"{'x' * 30_000}<model>gpt-5</model> {'y' * 90_000}"}]
    home.write(f"{place}/task-1/api_conversation_history.json", json.dumps(sent))
    write(home, place, NEW, COUNTS)
    assert home.read().one.model == "gpt-5"
    assert home.read().one.cost_nusd


@BOTH
def test_a_request_without_a_model_is_unpriced_and_keeps_its_cost(home: Scratch, place: str) -> None:
    write(home, place, NEW, {**COUNTS, "cost": 0.25})
    assert home.read().one.cost_nusd is None
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT logged_nusd FROM event_extra").fetchall() == [(250_000_000,)]


@BOTH
def test_condensing_costs_money_without_tokens(home: Scratch, place: str) -> None:
    condensed = {"ts": NEW + 9, "type": "say", "say": "condense_context", "contextCondense": {"cost": 0.5}}
    home.write(f"{place}/task-1/ui_messages.json", json.dumps([{"ts": NEW, "type": "say"}, condensed]))
    one = home.read().one
    assert (one.unknown, one.cost_nusd) == (True, 500_000_000)


@BOTH
def test_a_sub_task_stands_below_its_parent(home: Scratch, place: str) -> None:
    write(home, place, NEW, COUNTS, task="parent")
    write(home, place, NEW + 500, COUNTS, task="child")
    item = {
        "id": "child",
        "task": "part one",
        "workspace": "/home/dev/app",
        "parentTaskId": "parent",
        "ts": NEW,
    }
    home.write(f"{place}/child/history_item.json", json.dumps(item))
    child = home.read().sessions["child"]
    assert (child.parent_id, child.role, child.cwd) == ("parent", Role.SUB_AGENT, "/home/dev/app")
    assert child.title == "part one"


@BOTH
def test_a_copied_task_repeats_its_requests_and_is_counted_once(home: Scratch, place: str) -> None:
    write(home, place, NEW, COUNTS, task="task-1")
    write(home, place, NEW, COUNTS, task="copy-of-1")
    assert len(home.read().events) == 1


def test_they_live_in_editors() -> None:
    for name in PLACES:
        assert agent(name).processes is None
        assert any("$APPDATA/Code/User" in place for place in agent(name).roots.dirs)
