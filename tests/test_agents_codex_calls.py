"""Codex rollouts: which requests were sent, answered and lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.agents.build_codex import START_MS, Rollout, counts
from tests.agents.harness import Scratch, scratch
from tokentop.engine.snapshot import take
from tokentop.nouns.picture import Row
from tokentop.nouns.sessions import Activity, State

ABORTED = "Wall time: 0.1 seconds\naborted by user"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def tool(log: Rollout, ident: str, name: str = "exec_command") -> None:
    log.add("response_item", {"type": "function_call", "name": name, "arguments": "{}", "call_id": ident})


def output(log: Rollout, ident: str, said: str = "done") -> None:
    log.add("response_item", {"type": "function_call_output", "call_id": ident, "output": said})


def turn(number: int = 1) -> Rollout:
    log = Rollout(number)
    log.started()
    log.model()
    return log


def row(home: Scratch, log: Rollout, later_ms: int = 1_000) -> Row:
    """The row of a rollout that nobody writes any more, `later_ms` after its last line."""
    home.write(log.path, log.bytes())
    live, _ = home.follow(log.ms)
    (found,) = take(live, log.ms + later_ms).rows
    return found


def lost(home: Scratch, log: Rollout) -> int:
    found = row(home, log, 300_000)
    assert found.status.state is State.DONE
    return found.own.unknown_calls


def test_a_stream_that_was_cut_off_by_kill_is_one_unknown_call(home: Scratch) -> None:
    assert lost(home, turn()) == 1


def test_a_stream_that_was_cut_off_by_an_interrupt_is_one_unknown_call(home: Scratch) -> None:
    log = turn()
    log.event("turn_aborted", reason="interrupted")
    found = row(home, log)
    assert (found.status.state, found.own.unknown_calls) == (State.IDLE, 1)


def test_a_second_stream_behind_a_tool_is_lost_and_the_first_call_is_not(home: Scratch) -> None:
    log = turn()
    tool(log, "c1")
    log.record("resp_1", counts())
    output(log, "c1")
    log.count(counts(), grow=False)
    found = row(home, log, 300_000)
    assert (found.own.unknown_calls, found.own.responses) == (1, 1)


@pytest.mark.parametrize("outputs", [0, 1])
def test_a_run_that_was_killed_in_a_tool_has_lost_no_call(home: Scratch, outputs: int) -> None:
    """A running tool is no open call; with two of them the next request goes out after the last output."""
    log = turn()
    tool(log, "c1")
    tool(log, "c2", "apply_patch")
    log.record("resp_1", counts())
    for ident in ("c1", "c2")[:outputs]:
        output(log, ident)
    found = row(home, log)
    assert (found.status.state, found.status.detail) == (State.TOOL, ("exec_command", "apply_patch")[outputs])
    assert found.own.unknown_calls == 0
    log.ms += 1
    assert lost(home, log) == 0


def test_a_turn_that_was_aborted_in_a_tool_has_lost_no_call(home: Scratch) -> None:
    log = turn()
    tool(log, "c1")
    log.record("resp_1", counts())
    output(log, "c1", ABORTED)
    log.count(counts(), grow=False)
    log.event("turn_aborted", reason="interrupted")
    assert row(home, log).own.unknown_calls == 0


def test_a_whole_turn_has_lost_no_call(home: Scratch) -> None:
    log = turn()
    tool(log, "c1")
    log.record("resp_1", counts())
    output(log, "c1")
    log.count(counts(), grow=False)
    log.both("resp_2", counts(200))
    log.event("task_complete")
    found = row(home, log)
    assert (found.status.state, found.own.unknown_calls) == (State.IDLE, 0)


def test_a_turn_that_ended_with_an_error_has_lost_no_call(home: Scratch) -> None:
    """A refused request (429) is not billed and leaves nothing but the end of the turn."""
    log = turn()
    log.event("task_complete")
    assert row(home, log).own.unknown_calls == 0


def test_a_killed_run_that_was_resumed_keeps_its_lost_call(home: Scratch) -> None:
    log = turn()
    log.started()
    log.both("resp_1", counts())
    log.event("task_complete")
    assert row(home, log).own.unknown_calls == 1


@pytest.mark.parametrize(
    ("steps", "expected"), [(("tool",), 1), (("tool", "output", "count"), 1), (("count",), 0)]
)
def test_older_logs_answer_a_call_with_the_count_behind_its_tools(
    home: Scratch, steps: tuple[str, ...], expected: int
) -> None:
    """Conformance 81: killed in a tool, the count of that step never comes."""
    log = turn()
    add = {
        "tool": lambda: tool(log, "c1"),
        "output": lambda: output(log, "c1"),
        "count": lambda: log.count(counts()),
    }
    for step in steps:
        add[step]()
    assert lost(home, log) == expected


def test_what_a_fork_repeats_of_its_parent_is_not_its_own_lost_call(home: Scratch) -> None:
    parent = turn(1)
    parent.event("turn_aborted", reason="interrupted")
    parent.started()
    parent.count(counts())
    parent.event("task_complete")
    fork = Rollout(2, at_ms=START_MS + 60_000, forked_from_id=parent.id, history_mode="legacy")
    fork.legacy_copy(parent)
    home.write(parent.path, parent.bytes())
    home.write(fork.path, fork.bytes())
    live, _ = home.follow(fork.ms)
    rows = {found.session_id: found for found in take(live, fork.ms + 1_000).rows}
    assert rows[parent.id].own.unknown_calls == 1
    assert rows[fork.id].own.unknown_calls == 0


def test_a_request_has_one_name_whoever_reads_its_line(home: Scratch) -> None:
    log = turn()
    log.both("resp_1", counts())
    home.write(log.path, log.bytes())
    _, facts = home.follow(log.ms)
    calls = [fact for fact in facts if isinstance(fact, Activity)]
    (sent,) = {fact.call_id for fact in calls if fact.call_id}
    assert {fact.ends_call for fact in calls if fact.ends_call} == {sent}
