"""Conformance of the Mistral Vibe reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents.processes import identify
from tokentop.agents.vibe import AGENT, PROCESSES, fd_session
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

SESSION = "be3ab656-67a9-d7c8-da40-cc16ce730b3b"
START_MS = 1_795_294_171_000  # 2026-11-21T20:49:31Z
NOW_MS = START_MS + 60_000
HOME = f".vibe/logs/session/unified/{SESSION}"
ONE = Tokens(4_127, 4_086, 0, 0, 1_001)
TWO = Tokens(8_254, 8_172, 0, 0, 2_002)


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


class Journal:
    """The records of a session, numbered. Its clock moves on by a second with each input."""

    def __init__(self) -> None:
        self.second = 0
        self.sequence = 0

    def record(self, kind: str, payload: dict[str, Any]) -> str:
        self.sequence += 1
        return (
            json.dumps({"payload": payload, "sequence": self.sequence, "type": kind}, separators=(",", ":"))
            + "\n"
        )

    def input(self, kind: str, **command: Any) -> str:
        self.second += 1
        given = {
            "command": {"type": kind, **command},
            "determinism": {"time_unix_ms": START_MS + self.second * 1000},
        }
        return self.record("core_input", {"input": given})

    def user(self, said: str = "go") -> str:
        return self.input("user_message", content=[{"text": said, "type": "text"}])

    def intent(self, action: str, kind: str = "completion") -> str:
        call = {"name": "file_system.bash", "arguments": {"command": "make"}}
        return self.record("action_intent", {"action_id": action, "kind": kind, "request": {"call": call}})

    def completion(self, action: str, finish: str = "stop") -> str:
        """The same completion in three places."""
        usage = {
            "input_tokens": 8_213,
            "cached_input_tokens": 4_086,
            "output_tokens": 1_001,
            "total_tokens": 9_214,
        }
        result = {"finish_reason": finish, "parts": [], "usage": usage}
        command = {"action_id": action, "result": result}
        first = self.record(
            "action_result", {"action_id": action, "result": {**command, "type": "completion_succeeded"}}
        )
        second = self.input("completion_succeeded", **command)
        return first + second + self.delta(contextUsage=camel(1), tokenUsage=camel(9))

    def delta(self, callbacks: list[dict[str, Any]] | None = None, **session: Any) -> str:
        about = {"id": SESSION, "updatedAt": START_MS + self.second * 1000, **session}
        state = {"activeCallbacks": callbacks or [], "session": about}
        return self.record("projection_delta", {"delta": [{"op": "set_envelope", "state": state}]})

    def generation(self, home: Scratch, calls: int) -> None:
        about = {
            "id": SESSION, "updatedAt": START_MS + self.second * 1000, "preview": "the first prompt",
            "tokenUsage": camel(calls) if calls else None,
        }  # fmt: skip
        state = {"session_id": SESSION, "snapshot": {"session": about}, "snapshot_sequence": self.sequence}
        home.write(f"{HOME}/generations/{self.sequence:016d}/projection-state.json", json.dumps(state))


def camel(calls: int) -> dict[str, int]:
    return {
        "inputTokens": 8_213 * calls, "cachedInputTokens": 4_086 * calls, "outputTokens": 1_001 * calls,
        "totalTokens": 9_214 * calls,
    }  # fmt: skip


def segment(sequence: int) -> str:
    return f"{HOME}/journal/{sequence:016d}.jsonl"


def meta(**more: Any) -> str:
    return json.dumps({
        "session_id": SESSION, "parent_session_id": None, "start_time": "2026-11-21T20:49:31+00:00",
        "end_time": "2026-11-21T20:49:40+00:00", "git_branch": "main", "title": None,
        "environment": {"working_directory": "/home/dev/shop"},
        "config": {"active_model": "devstral", "model_name": "devstral-medium-latest"}, **more,
    })  # fmt: skip


# ---------------------------------------------------------------- 3.x


def test_a_completion_in_three_places_is_one_response(home: Scratch) -> None:
    """Conformance 112."""
    log = Journal()
    home.write(segment(1), log.user() + log.completion("a1") + log.completion("a2"))
    log.generation(home, 2)
    found = home.read()
    assert [event.tokens for event in found.events] == [ONE, ONE]
    assert [event.at_ms - START_MS for event in found.events] == [2_000, 3_000]
    assert not found.hidden


def test_what_was_read_stays_when_its_segment_is_gone(home: Scratch) -> None:
    """Conformance 112."""
    log = Journal()
    path = home.write(segment(1), log.user() + log.completion("a1") + log.completion("a2"))
    log.generation(home, 2)
    before = home.read()
    path.unlink()
    home.write(segment(log.sequence + 1), log.user() + log.completion("a3"))
    log.generation(home, 3)
    found = home.read()
    assert len(before.events) == 2
    assert [event.tokens for event in found.events] == [ONE] * 3
    assert not found.hidden


def test_a_late_reader_gets_the_rest_from_the_sum(home: Scratch) -> None:
    log = Journal()
    log.user(), log.completion("a1"), log.completion("a2")
    log.generation(home, 2)
    home.write(segment(log.sequence + 1), log.user("go on") + log.completion("a3"))
    log.generation(home, 3)
    found = home.read()
    assert [event.tokens for event in found.hidden] == [TWO]
    assert [event.tokens for event in found.responses] == [ONE]
    assert found.sessions[SESSION].title == "the first prompt"


def test_a_generation_without_a_sum_says_nothing(home: Scratch) -> None:
    log = Journal()
    log.generation(home, 0)
    home.write(segment(1), log.user() + log.completion("a1"))
    assert home.read().one.tokens == ONE


def test_the_folder_the_branch_and_the_model_are_in_the_meta_file(home: Scratch) -> None:
    log = Journal()
    home.write(segment(1), log.user("fix it") + log.completion("a1"))
    home.write(f"{HOME}/meta.json", meta())
    session = home.read().sessions[SESSION]
    assert (session.cwd, session.branch, session.title) == ("/home/dev/shop", "main", "fix it")
    assert (session.model, session.role) == ("devstral-medium-latest", Role.MAIN)
    home.write(f"{HOME}/meta.json", meta(title="Cart", parent_session_id="p1"))
    session = home.read().sessions[SESSION]
    assert (session.title, session.parent_id) == ("Cart", "p1")


def test_hostile_records_change_nothing(home: Scratch) -> None:
    log = Journal()
    hostile = (
        '{"type":"core_input","payload":["completion_succeeded"]}', '["completion_succeeded"]',
        '{"type":"core_input","payload":{"input":{"command":{"type":"completion_succeeded","action_id":7}}}}',
        '{"type":"projection_delta","payload":{"delta":[{"state":{"activeCallbacks":[1]}}]}}',
    )  # fmt: skip
    home.write(segment(1), log.user() + log.completion("a1") + "\n".join(hostile) + "\n")
    home.write(f"{HOME}/generations/1/projection-state.json", '{"snapshot":{"session":{"tokenUsage":[]}}}')
    home.write(f"{HOME}/meta.json", '{"session_id":["x"],"config":7}')
    assert home.read().one.tokens == ONE
    assert home.health() == {"unparsed": 1}


def test_a_request_works_until_its_answer_and_its_tool_is_named(home: Scratch) -> None:
    log = Journal()
    home.write(
        segment(1),
        log.user() + log.intent("a1") + log.completion("a1", "tool_call") + log.intent("t1", "tool")
        + log.delta([{"title": "bash", "detail": {"kind": "approval"}}])
        + log.input("tool_succeeded", action_id="t1") + log.intent("a2") + log.input("interrupt"),
    )  # fmt: skip
    _, facts = home.follow(NOW_MS)
    found = [fact for fact in facts if isinstance(fact, Activity)]
    assert [(f.state, f.tool, f.call_id, f.ends_call, f.lost_call) for f in found] == [
        (State.WORKING, "", "", "", ""), (State.WORKING, "", "a1", "", ""), (State.WORKING, "", "", "a1", ""),
        (State.TOOL, "bash", "", "", ""), (State.PERMISSION, "", "", "", ""), (State.WORKING, "", "a2", "", ""),
        (State.IDLE, "", "", "", "a2"),
    ]  # fmt: skip


def test_a_failed_request_tells_why(home: Scratch) -> None:
    log = Journal()
    failed = log.intent("a1") + log.input(
        "completion_failed", action_id="a1", error={"message": "429: rate limit"}
    )
    home.write(segment(1), log.user() + failed)
    _, facts = home.follow(NOW_MS)
    last = [fact for fact in facts if isinstance(fact, Activity)][-1]
    assert (last.state, last.detail, last.lost_call) == (State.LIMITED, "429: rate limit", "a1")


# ---------------------------------------------------------------- 2.x


def old(calls: int, model: str = "devstral-2", **more: Any) -> str:
    stats = {
        "session_prompt_tokens": 8_213 * calls, "session_cached_tokens": 4_086 * calls,
        "session_completion_tokens": 1_001 * calls, "context_tokens": 9_214, "session_cost": 99.0,
    }  # fmt: skip
    return meta(stats=stats, config={"active_model": model}, **more)


OLD = ".vibe/logs/session/session_20261121_204931_be3ab656/meta.json"


def test_an_older_version_has_only_a_total_whose_growth_is_counted(home: Scratch) -> None:
    """Conformance 112: its cost is at the prices of the last model and is not taken."""
    home.write(OLD, old(1))
    assert home.read().total == ONE
    home.write(OLD, old(3, "mistral-large-3", end_time="2026-11-21T20:50:31+00:00"))
    found = home.read()
    assert found.total == Tokens(3 * 4_127, 3 * 4_086, 0, 0, 3_003)
    by_model = {event.model: event.tokens for event in found.events}
    assert by_model == {"devstral-2": ONE, "mistral-large-3": TWO}
    session = found.sessions[SESSION]
    assert (session.cwd, session.branch, session.role) == ("/home/dev/shop", "main", Role.MAIN)


def test_an_older_sub_agent_is_counted_below_its_parent(home: Scratch) -> None:
    home.write(OLD, old(1))
    child = old(2, session_id="c1", parent_session_id=SESSION)
    home.write(OLD.replace("/meta.json", "/agents/session_c1/meta.json"), child)
    found = home.read()
    assert sum((event.tokens for event in found.of("c1")), Tokens()) == TWO
    assert (found.sessions["c1"].parent_id, found.sessions["c1"].role) == (SESSION, Role.SUB_AGENT)


# ---------------------------------------------------------------- processes


def test_the_programs_are_recognised_and_the_lock_names_the_session() -> None:
    assert AGENT.processes is PROCESSES
    front = identify(["/opt/vibe/_bin/vibe-rs", "-p", "go"], "/opt/vibe/_bin/vibe-rs", [PROCESSES])
    assert front is not None
    assert PROCESSES.one_shot(front.argv)
    assert identify(["vibe-app-server"], "/usr/bin/python3.13", [PROCESSES]) is not None
    assert identify(["/usr/bin/python3", "/opt/bin/vibe"], "/usr/bin/python3", [PROCESSES]) is not None
    assert fd_session(f"/home/dev/.vibe/logs/session/active/{SESSION}.lock") == SESSION
    assert fd_session("/home/dev/.vibe/logs/vibe.log") == ""
    assert PROCESSES.argv_session(["vibe", "--resume", SESSION]) == SESSION
