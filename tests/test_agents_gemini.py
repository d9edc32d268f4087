"""Conformance of the Gemini CLI reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents.gemini import AGENT
from tokentop.agents.processes import identify
from tokentop.engine.snapshot import take
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

SESSION = "4d369061-a50a-459f-a919-ffdc2bde3618"
CHILD = "6d206d3e-069e-487c-a7aa-c58983dbafc6"
CHATS = ".gemini/tmp/shop/chats"
CHAT = f"{CHATS}/session-2026-11-21T20-46-4d369061.jsonl"
LEGACY = f"{CHATS}/session-2026-11-21T20-46-4d369061.json"
ONE = Tokens(5_000, 4_000, 0, 0, 70, 20)
COUNTS = {"input": 9_000, "output": 50, "cached": 4_000, "thoughts": 20, "tool": 0, "total": 9_070}
NOW_MS = 1_795_293_990_000 + 60_000


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def at(second: int) -> str:
    return f"2026-11-21T20:46:{second:02d}.000Z"


def meta(**more: Any) -> dict[str, Any]:
    return {
        "sessionId": SESSION,
        "projectHash": "a0",
        "startTime": at(0),
        "lastUpdated": at(0),
        "kind": "main",
        **more,
    }


def user(key: str, second: int, said: str = "go") -> dict[str, Any]:
    return {"id": key, "timestamp": at(second), "type": "user", "content": [{"text": said}]}


def answer(
    key: str, second: int, counts: Any = COUNTS, content: str = "Done.", **more: Any
) -> dict[str, Any]:
    return {
        "id": key, "timestamp": at(second), "type": "gemini", "content": content, "tokens": counts,
        "model": "gemini-2.5-pro", **more,
    }  # fmt: skip


def tool(status: str = "success") -> dict[str, Any]:
    return {"toolCalls": [{"id": "call_1", "name": "run_shell_command", "status": status, "args": {}}]}


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)


# ---------------------------------------------------------------- how much


def test_a_message_written_before_and_after_its_tool_is_one_response(home: Scratch) -> None:
    """Conformance 83."""
    home.write(CHAT, lines(meta(), user("u1", 1), answer("m1", 2), answer("m1", 2, **tool())))
    event = home.read().one
    assert event.tokens == ONE
    assert (event.session, event.model, event.provider) == (SESSION, "gemini-2.5-pro", "google")


def test_cached_tokens_are_inside_the_input_and_thoughts_beside_the_output(home: Scratch) -> None:
    """Conformance 84."""
    net = {"input": 5_000, "output": 50, "cached": 4_000, "thoughts": 20, "tool": 0, "total": 9_070}
    with_tool = {"input": 9_000, "output": 50, "cached": 4_000, "thoughts": 20, "tool": 300, "total": 9_370}
    home.write(CHAT, lines(meta(), answer("m1", 1), answer("m2", 2, net), answer("m3", 3, with_tool)))
    found = [event.tokens for event in home.read().events]
    assert found == [ONE, ONE, Tokens(5_300, 4_000, 0, 0, 70, 20)]


def test_what_is_taken_back_was_spent(home: Scratch) -> None:
    """Conformance 85: rewinding, replaced messages, a file replaced on resume."""
    home.write(
        CHAT, lines(meta(), answer("m1", 1), answer("m2", 2), {"$rewindTo": "m2"}, {"$set": {"messages": []}})
    )
    assert len(home.read().events) == 2
    # The next run writes the file anew, with what was not taken back and without tokens.
    kept = {"id": "m1", "timestamp": at(30), "type": "gemini", "content": [{"text": "Done."}]}
    target = home.write(f"{CHAT}.tmp", lines(meta(), {"$set": {"messages": [kept]}}, answer("m3", 40)))
    target.rename(home.home / CHAT)
    found = home.read()
    assert [event.tokens for event in found.events] == [ONE] * 3
    assert found.events[0].at_ms % 60_000 == 1_000


def test_messages_set_with_their_tokens_count_once(home: Scratch) -> None:
    home.write(
        CHAT, lines(meta(), answer("m1", 1), {"$set": {"messages": [answer("m1", 9), answer("m2", 2)]}})
    )
    assert [event.tokens for event in home.read().events] == [ONE, ONE]


def test_the_older_document_and_the_newer_lines_of_a_session_count_once(home: Scratch) -> None:
    """Conformance 86."""
    messages = [user("u1", 1, "fix it"), answer("m1", 2), answer("m2", 3)]
    home.write(LEGACY, json.dumps({**meta(), "messages": messages}, indent=2))
    first = home.read()
    assert [event.tokens for event in first.events] == [ONE, ONE]
    assert first.sessions[SESSION].title == "fix it"
    home.write(CHAT, lines(meta(), *messages, answer("m3", 4)))
    assert len(home.read().events) == 3


def test_half_a_document_changes_nothing_and_the_next_reading_succeeds(home: Scratch) -> None:
    """Conformance 9."""
    document = json.dumps({**meta(), "messages": [answer("m1", 1)]})
    home.write(LEGACY, document[: len(document) // 2])
    assert not home.read().events
    home.write(LEGACY, document)
    assert home.read().one.tokens == ONE


def test_other_documents_of_the_folder_are_no_chats(home: Scratch) -> None:
    home.write(".gemini/tmp/shop/logs.json", json.dumps([{"sessionId": SESSION, "type": "user"}]))
    home.write(f"{CHATS}/other.json", json.dumps({"sessionId": SESSION, "tokens": COUNTS}))
    assert home.read().sessions == {}
    assert home.health() == {}


def test_a_sub_agent_is_counted_as_a_child_of_its_parent(home: Scratch) -> None:
    """Conformance 86."""
    home.write(CHAT, lines(meta(), answer("m1", 1)))
    about = meta(sessionId=CHILD, kind="subagent", directories=["/home/dev/shop"])
    home.write(f"{CHATS}/{SESSION}/{CHILD}.jsonl", lines(about, answer("m1", 1)))
    found = home.read()
    assert len(found.events) == 2
    child = found.sessions[CHILD]
    assert (child.parent_id, child.root_id, child.role) == (SESSION, SESSION, Role.SUB_AGENT)
    assert child.cwd == "/home/dev/shop"


def test_telemetry_beside_the_chats_is_not_read(home: Scratch) -> None:
    """Conformance 87."""
    event = {"attributes": {"event.name": "gemini_cli.api_response", "input_token_count": 9_000}}
    home.write(CHAT, lines(meta(), answer("m1", 1)))
    home.write(".gemini/telemetry.log", json.dumps(event, indent=2) * 2)
    home.write(f"{CHATS}/telemetry.json", json.dumps(event, indent=2) * 2)
    assert home.read().one.tokens == ONE


def test_an_answer_without_its_usage_is_unknown_until_it_comes(home: Scratch) -> None:
    """Conformance 5, 93: never 0."""
    home.write(CHAT, lines(meta(), answer("m1", 1, None), answer("m2", 2, {"input": None, "output": None})))
    with home.ledger() as ledger:
        ledger.catch_up(0.0, NOW_MS * 1_000_000)
        assert ledger.db.execute("SELECT sum(unknown_calls), sum(responses) FROM rollup").fetchone() == (2, 0)
    # What is no answer has no counts, either: a summary, and the tools of an answer that a prompt came behind.
    home.append(CHAT, lines(answer("s1", 3, None, model=None), answer("t1", 4, None, content="", **tool())))
    home.append(CHAT, lines(answer("m1", 1), answer("m2", 2)))
    found = home.read()
    assert [event.tokens for event in found.events] == [ONE, ONE]


def test_a_count_that_cannot_be_is_0_and_told(home: Scratch) -> None:
    home.write(CHAT, lines(meta(), answer("m1", 1, {**COUNTS, "input": -1, "total": "x"})))
    assert home.read().one.tokens == Tokens(0, 4_000, 0, 0, 70, 20)
    assert home.health() == {"bad-number": 1}


def test_hostile_lines_change_nothing(home: Scratch) -> None:
    hostile = [
        '{"$set":[{"messages":1}]}', '{"$set":{"messages":"gemini"}}', '{"sessionId":7}', '["gemini"]',
        '{"type":"gemini"}', '{"type":"gemini","id":[1],"tokens":3}', '{"id":"x","type":"user","content":[1,{"text":2}]}',
    ]  # fmt: skip
    home.write(CHAT, lines(meta(directories=3), answer("m1", 1)) + "\n".join(hostile) + "\n")
    assert home.read().one.tokens == ONE
    assert home.health() == {"unparsed": 1}


# ---------------------------------------------------------------- who, and what it does

CONTEXT = (
    "<session_context>\nThis is the Gemini CLI.\nThe project's temporary directory is: /home/dev/.gemini/tmp/shop\n"
    "- **Workspace Directories:**\n  - /home/dev/shop\n  - /home/dev/other\n- **Directory Structure:**\n</session_context>"
)


def test_the_folder_is_in_the_context_and_the_title_is_the_first_prompt(home: Scratch) -> None:
    start = {"$set": {"messages": [user("c", 0, CONTEXT)]}}
    home.write(
        CHAT,
        lines(meta(), start, user("u1", 1, "fix the \x1b[31mcart"), user("u2", 2, "more"), answer("m1", 3)),
    )
    session = home.read().sessions[SESSION]
    assert (session.cwd, session.role) == ("/home/dev/shop", Role.MAIN)
    assert session.title.startswith("fix the")
    assert "\x1b" not in session.title


def test_the_folder_of_an_older_chat_is_in_a_file_beside_it(home: Scratch) -> None:
    home.write(".gemini/tmp/shop/.project_root", "/home/dev/shop\n")
    home.write(LEGACY, json.dumps({**meta(), "messages": [answer("m1", 1)]}))
    assert home.read().sessions[SESSION].cwd == "/home/dev/shop"
    home.write(CHAT.replace("4d369061", "0"), lines(meta(sessionId=CHILD), answer("m1", 1)))
    assert home.read().sessions[CHILD].cwd == "/home/dev/shop"


def states(home: Scratch) -> list[tuple[State, str, str]]:
    _, facts = home.follow(NOW_MS)
    found = [fact for fact in facts if isinstance(fact, Activity)]
    return [(fact.state, fact.call_id, fact.ends_call or fact.lost_call) for fact in found]


def test_a_request_works_until_its_answer(home: Scratch) -> None:
    result = {
        "id": "u2",
        "timestamp": at(4),
        "type": "user",
        "content": [{"functionResponse": {"name": "x"}}],
    }
    home.write(
        CHAT,
        lines(
            meta(), user("u1", 1), answer("m1", 2, content=""), answer("m1", 2, content="", **tool()), result,
            answer("m2", 5),
        ),
    )  # fmt: skip
    assert states(home) == [
        (State.WORKING, "u1", ""), (State.TOOL, "", "u1"), (State.WORKING, "", ""), (State.WORKING, "u2", ""),
        (State.IDLE, "", "u2"),
    ]  # fmt: skip


def test_errors_limits_and_cancelled_requests_are_told(home: Scratch) -> None:
    def notice(kind: str, second: int, said: str) -> dict[str, Any]:
        return {"id": f"n{second}", "timestamp": at(second), "type": kind, "content": said}

    home.write(
        CHAT,
        lines(
            meta(), user("u1", 1), notice("error", 2, "You have exhausted your daily quota"), user("u2", 3),
            notice("error", 4, "fetch failed"), user("u3", 5), notice("info", 6, "Request cancelled."),
        ),
    )  # fmt: skip
    assert [state for state, *_ in states(home)] == [
        State.WORKING, State.LIMITED, State.WORKING, State.ERROR, State.WORKING, State.IDLE,
    ]  # fmt: skip


def test_a_turn_whose_tools_were_all_cancelled_is_over_and_asks_nothing(home: Scratch) -> None:
    """As Escape in a tool leaves it, in 0.61.0: the answer again with its tools, and results that are not sent."""
    result = {
        "id": "u2",
        "timestamp": at(4),
        "type": "user",
        "content": [{"functionResponse": {"name": "x"}}],
    }
    turn = (
        meta(),
        user("u1", 1),
        answer("m1", 2),
        answer("m2", 4, counts=None, content="", **tool("cancelled")),
    )
    home.write(CHAT, lines(*turn, result))
    assert states(home)[-1] == (State.IDLE, "", "")
    home.write(CHAT, lines(*turn, result, user("u3", 5)))
    assert states(home)[-1] == (State.WORKING, "u3", "")


def test_a_killed_stream_is_a_lost_call(home: Scratch) -> None:
    home.write(CHAT, lines(meta(), user("u1", 1)))
    live, _ = home.follow(NOW_MS)
    (row,) = take(live, NOW_MS).rows
    assert row.status.state is State.WORKING
    assert row.status.inferred


# ---------------------------------------------------------------- processes


def test_the_programs_are_recognised() -> None:
    spec = AGENT.processes
    assert spec is not None
    worker = ["/opt/node/bin/node", "--max-old-space-size=12052", "/opt/bin/gemini", "-p", "go"]
    found = identify(worker, "/opt/node/bin/node", [spec])
    assert found is not None
    assert spec.one_shot(found.argv)
    assert identify(["vim", "gemini"], "/usr/bin/vim", [spec]) is None
    assert identify(["gemini", "--version"], "/usr/bin/node", [spec]) is None
    assert spec.argv_session(["gemini", "--resume", SESSION]) == SESSION
    assert spec.argv_session(["gemini", "--resume", "latest"]) == ""
