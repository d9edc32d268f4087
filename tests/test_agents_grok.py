"""Conformance of the Grok Build reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents.grok import PROCESSES
from tokentop.agents.processes import identify
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

SESSION = "019f75d0-ebe1-7db0-a59a-60af9ffa9e71"
CHILD = "019f75d0-ebe1-7db0-a59a-60af9ffa9e72"
FOLDER = ".grok/sessions/%2Fhome%2Fdev%2Fmy%20shop"
START_S = 1_795_294_170
NOW_MS = START_S * 1000 + 60_000
ONE = Tokens(2_000, 3_000, 0, 0, 80, 30)
COUNTS = {
    "inputTokens": 5_000, "cachedReadTokens": 3_000, "outputTokens": 80, "reasoningTokens": 30, "totalTokens": 5_080,
    "costUsdTicks": 76_036_000,
}  # fmt: skip


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def update(
    second: int, kind: str, *, session: str = SESSION, event: str | None = None, stamped: int | None = None, **more: Any
) -> str:  # fmt: skip
    about = {"agentTimestampMs": (START_S + second) * 1000, "totalTokens": 99_999}
    about |= {"eventId": event or f"{session}-{second}"}
    params = {"sessionId": session, "update": {"sessionUpdate": kind, **more}, "_meta": about}
    return (
        json.dumps(
            {"timestamp": stamped or START_S + second, "method": "_x.ai/session/update", "params": params}
        )
        + "\n"
    )


def turn(second: int, models: tuple[str, ...] = ("grok-4.5",), **more: Any) -> str:
    usage = {**COUNTS, "modelUsage": dict.fromkeys(models, COUNTS)}
    return update(second, "turn_completed", prompt_id=f"p{second}", usage=usage, **more)


def path(session: str = SESSION, name: str = "updates.jsonl") -> str:
    return f"{FOLDER}/{session}/{name}"


def test_cached_tokens_are_inside_the_input_and_the_gauge_is_no_usage(home: Scratch) -> None:
    """Conformance 116: `_meta.totalTokens` is not read."""
    home.write(path(), turn(1) + update(2, "agent_message_chunk") + turn(3))
    found = home.read()
    assert [event.tokens for event in found.events] == [ONE, ONE]
    event = found.events[0]
    assert (event.session, event.model, event.at_ms) == (SESSION, "grok-4.5", START_S * 1000 + 1_000)
    assert found.sessions[SESSION].cwd == "/home/dev/my shop"


def test_a_turn_of_two_models_and_one_of_an_older_version(home: Scratch) -> None:
    plain = update(5, "turn_completed", usage=COUNTS, model="grok-code")
    home.write(path(), turn(1, ("grok-4.5", "grok-4.5-mini")) + plain)
    found = home.read()
    assert [event.tokens for event in found.events] == [ONE] * 3
    assert {event.model for event in found.events} == {"grok-4.5", "grok-4.5-mini", "grok-code"}


def test_copies_in_a_fork_are_not_counted(home: Scratch) -> None:
    """A fork stamps the envelopes anew; the events keep their ids and times."""
    home.write(path(), turn(1))
    home.write(path(name="summary.json"), summary(SESSION))
    home.write(path(CHILD), turn(1, stamped=START_S + 40) + turn(45, session=CHILD))
    home.write(path(CHILD, "summary.json"), summary(CHILD, parent_session_id=SESSION))
    found = home.read()
    assert [len(found.of(sid)) for sid in (SESSION, CHILD)] == [1, 1]
    assert (found.sessions[CHILD].parent_id, found.sessions[CHILD].role) == (SESSION, Role.FORK)


def summary(session: str, **more: Any) -> str:
    second = 0 if session == SESSION else 40
    created = f"2026-11-21T20:{49 + (30 + second) // 60}:{(30 + second) % 60:02d}Z"
    return json.dumps({"info": {"id": session, "cwd": "/home/dev/my shop"}, "created_at": created, **more})


def test_what_a_sub_agent_used_is_in_the_turn_of_its_parent(home: Scratch) -> None:
    home.write(
        path(CHILD, "summary.json"), summary(CHILD, parent_session_id=SESSION, session_kind="subagent_fork")
    )
    home.write(path(CHILD), turn(45, session=CHILD))
    home.write(path(), turn(50))
    found = home.read()
    assert found.one.session == SESSION
    assert found.sessions[CHILD].role is Role.SUB_AGENT


def test_title_branch_and_gauge_lie_beside(home: Scratch) -> None:
    home.write(path(), turn(1))
    home.write(path(name="summary.json"), summary(SESSION, generated_title="Cart", head_branch="main"))
    home.write(path(name="signals.json"), '{"contextTokensUsed": 5080, "contextWindowTokens": 256000}')
    session = home.read().sessions[SESSION]
    assert (session.title, session.branch, session.role) == ("Cart", "main", Role.MAIN)
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT context_used, context_window FROM session").fetchone() == (
            5080,
            256000,
        )


def test_hostile_lines_change_nothing(home: Scratch) -> None:
    hostile = (
        '{"params":{"update":{"sessionUpdate":"turn_completed","usage":{"modelUsage":{"m":[1]}}}}}',
        '{"params":["turn_completed"]}', '["turn_completed"]',
        '{"params":{"update":{"sessionUpdate":"turn_completed","usage":{"inputTokens":-5,"costUsdTicks":1e400}}}}',
    )  # fmt: skip
    home.write(path(), turn(1) + "\n".join(hostile) + "\n")
    home.write(path(name="summary.json"), '{"info":[1],"session_kind":{}}')
    assert [event.tokens for event in home.read().events if event.tokens.total] == [ONE]


def test_a_turn_works_until_it_is_completed(home: Scratch) -> None:
    home.write(
        path(),
        update(0, "user_message_chunk") + update(1, "tool_call", title="bash", status="in_progress")
        + update(2, "tool_call_update", status="completed") + turn(3)
        + update(5, "user_message_chunk") + turn(6, stop_reason="cancelled"),
    )  # fmt: skip
    _, facts = home.follow(NOW_MS)
    found = [fact for fact in facts if isinstance(fact, Activity)]
    assert [(f.state, f.tool, bool(f.call_id), bool(f.ends_call), bool(f.lost_call)) for f in found] == [
        (State.WORKING, "", True, False, False), (State.TOOL, "bash", False, False, False),
        (State.WORKING, "", False, False, False), (State.IDLE, "", False, True, False),
        (State.WORKING, "", True, False, False), (State.IDLE, "", False, False, True),
    ]  # fmt: skip


def test_the_program_is_recognised() -> None:
    assert (
        identify(["/home/dev/.grok/bin/grok", "-p", "go"], "/home/dev/.grok/bin/grok", [PROCESSES])
        is not None
    )
    assert PROCESSES.one_shot(["grok", "-p", "go"])
    assert PROCESSES.argv_session(["grok", "--resume", SESSION]) == SESSION
