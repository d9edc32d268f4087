"""Statuses, table-driven: the conformance cases 57-72 of the process reference."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine_build import NOW, START, act, agent_proc, child, rows_of, session, sub_agent, usage
from tokentop.engine.live import LiveState
from tokentop.engine.status import Evidence, command_name, judge
from tokentop.nouns.picture import Status
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures

IDLE, TOOL, WORKING = State.IDLE, State.TOOL, State.WORKING


def registry(state: State, detail: str = "", since_ms: int = NOW - 9_000, **more: object):
    return agent_proc(
        state=state, state_detail=detail, state_since_ms=since_ms, state_source="registry", **more
    )


def test_the_registry_timeline_is_followed_with_source_and_since() -> None:
    """Conformance 57."""
    live = LiveState()
    live.load_session(session(), Figures())
    seen = []
    for step, (state, detail) in enumerate(
        [(WORKING, ""), (State.PERMISSION, "permission prompt"), (WORKING, ""), (IDLE, "")]
    ):
        at = NOW + step * 1_000
        live.set_procs((registry(state, detail, at),), at)
        seen.append(rows_of(live, at)["claude:s"].status)
    assert [s.state for s in seen] == [WORKING, State.PERMISSION, WORKING, IDLE]
    assert {s.source for s in seen} == {"registry"}
    assert [s.since_ms for s in seen] == [NOW, NOW + 1_000, NOW + 2_000, NOW + 3_000]
    assert seen[1].detail == "permission prompt"


LAST_TOOL = act(TOOL, 4_000, tool="Bash")
QUIET = NOW - 4_000

CASES = {
    "58 the registry's prompt beats an unanswered tool call": (
        Evidence(registry(State.PERMISSION), last=LAST_TOOL, record_ms=QUIET),
        Status(State.PERMISSION, "Bash", "registry", NOW - 9_000),
    ),
    "59 no registry, no child, 4 s without growth: probably a prompt": (
        Evidence(agent_proc(), last=LAST_TOOL, record_ms=QUIET),
        Status(State.PERMISSION, "Bash", "log", QUIET, inferred=True),
    ),
    "59 not yet after 2 s": (
        Evidence(agent_proc(), last=act(TOOL, 2_000, tool="Bash"), record_ms=NOW - 2_000),
        Status(TOOL, "Bash", "log", NOW - 2_000),
    ),
    "59 a live tool child at 0 % CPU is a tool": (
        Evidence(agent_proc(), last=LAST_TOOL, record_ms=QUIET, tool_child=child()),
        Status(TOOL, "Bash", "log", QUIET),
    ),
    "60 a shell command at the prompt is never idle": (
        Evidence(registry(WORKING), last=act(IDLE, 60_000), record_ms=NOW - 60_000),
        Status(WORKING, "", "registry", NOW - 9_000),
    ),
    "62 a turn open for 100 s without growth is work": (
        Evidence(agent_proc(), owns_proc=False, last=act(WORKING, 100_000), record_ms=NOW - 100_000),
        Status(WORKING, "", "log", NOW - 100_000),
    ),
    "63 an interrupted turn is idle": (
        Evidence(agent_proc(), last=act(IDLE, 1_000, detail="interrupted"), record_ms=NOW - 1_000),
        Status(IDLE, "interrupted", "log", NOW - 1_000),
    ),
    "64 a turn open in a daemon that is dead is done": (
        Evidence(ended_ms=NOW - 500, last=act(WORKING, 2_000), record_ms=NOW - 2_000),
        Status(State.DONE, "ended in the middle of a turn", "process", NOW - 500),
    ),
    "a tool that began after the log's last answer runs, whatever the answer said": (
        Evidence(agent_proc(), last=act(IDLE, 6_000), record_ms=NOW - 6_000, tool_child=child()),
        Status(TOOL, "sleep", "process", NOW - 5_000),
    ),
    "a child of an agent without a log is a tool once it goes on": (
        Evidence(agent_proc(), tool_child=child(age_ms=2_000)),
        Status(TOOL, "sleep", "process", NOW - 2_000),
    ),
    "a short helper of an agent without a log is none": (
        Evidence(agent_proc(), tool_child=child(age_ms=1_000, command="git status")),
        Status(State.UNKNOWN, "no log yet", "none", START),
    ),
    "a child that a finished turn has left is no tool of a new one": (
        Evidence(agent_proc(), last=act(IDLE, 3_000), record_ms=NOW - 3_000, tool_child=child()),
        Status(IDLE, "", "log", NOW - 3_000),
    ),
    "65 an open call of a live process is work": (
        Evidence(agent_proc(), last=act(IDLE, 60_000), open_call=act(WORKING, 5_000), record_ms=NOW - 5_000),
        Status(WORKING, "", "log", NOW - 5_000),
    ),
    "65 an open call of a dead process is done": (
        Evidence(ended_ms=NOW - 500, open_call=act(WORKING, 5_000), record_ms=NOW - 5_000),
        Status(State.DONE, "ended in the middle of a turn", "process", NOW - 500),
    ),
    "66 a step open in a log of which no process is seen is not work for ever": (
        Evidence(last=act(WORKING, 130_000), record_ms=NOW - 130_000),
        Status(State.DONE, "no sign of life", "log", NOW - 130_000, inferred=True),
    ),
    "67 a parent of running sub-agents is not idle": (
        Evidence(registry(IDLE), last=act(IDLE), record_ms=NOW - 10_000, working_below=1),
        Status(WORKING, "1 sub-agent", "log", NOW - 9_000),
    ),
    "67 the same without a registry": (
        Evidence(agent_proc(), last=act(IDLE), record_ms=NOW - 10_000, working_below=2),
        Status(WORKING, "2 sub-agents", "log", NOW - 10_000),
    ),
    "68 refused for a limit, though the registry says busy": (
        Evidence(registry(WORKING), limited=act(State.LIMITED, detail="resets 16:40"), record_ms=NOW),
        Status(State.LIMITED, "resets 16:40", "log", NOW - 10_000),
    ),
    "69 a stopped process is frozen whatever the log says": (
        Evidence(
            registry(WORKING, run_state="T"), frozen_since_ms=NOW - 3, last=LAST_TOOL, open_call=act(WORKING)
        ),
        Status(State.FROZEN, "", "process", NOW - 3),
    ),
    "70 past CPU use does not make work": (
        Evidence(agent_proc(cpu_pct=0.0), last=act(IDLE, 600_000), record_ms=NOW - 600_000),
        Status(IDLE, "", "log", NOW - 600_000),
    ),
    "71 a blocked worker waits for input with its text": (
        Evidence(registry(State.INPUT, "which branch?"), last=act(WORKING)),
        Status(State.INPUT, "which branch?", "registry", NOW - 9_000),
    ),
    "72 since is never in the future": (
        Evidence(registry(WORKING, since_ms=NOW + 3_600_000)),
        Status(WORKING, "", "registry", NOW),
    ),
    "72 a log from the future is not a prompt": (
        Evidence(agent_proc(), last=act(TOOL, -3_600_000, tool="Bash"), record_ms=NOW + 3_600_000),
        Status(TOOL, "Bash", "log", NOW),
    ),
    "busy with an unanswered tool call is that tool": (
        Evidence(registry(WORKING), last=LAST_TOOL, record_ms=QUIET),
        Status(TOOL, "Bash", "registry", QUIET),
    ),
    "busy with a newer open call is thinking": (
        Evidence(registry(WORKING), last=LAST_TOOL, open_call=act(WORKING, 1_000), record_ms=NOW - 1_000),
        Status(WORKING, "", "registry", NOW - 9_000),
    ),
    "busy with only a child is the child": (
        Evidence(registry(WORKING), tool_child=child(command="/bin/make all")),
        Status(TOOL, "make", "process", NOW - 5_000),
    ),
    "a one-shot that is alive is never idle": (
        Evidence(agent_proc(one_shot=True), last=act(IDLE), record_ms=NOW - 10_000),
        Status(WORKING, "", "process", NOW - 10_000),
    ),
    "a one-shot asks nobody": (
        Evidence(agent_proc(one_shot=True), last=LAST_TOOL, record_ms=QUIET),
        Status(TOOL, "Bash", "log", QUIET),
    ),
    "a one-shot without a log works": (
        Evidence(agent_proc(one_shot=True)),
        Status(WORKING, "", "process", START),
    ),
    "a process without a log is unknown": (
        Evidence(agent_proc()),
        Status(State.UNKNOWN, "no log yet", "none", START),
    ),
    "a turn left open before this process started is not work": (
        Evidence(agent_proc(started_ms=NOW - 20_000), last=act(WORKING, 900_000), record_ms=NOW - 900_000),
        Status(IDLE, "", "log", NOW - 20_000, inferred=True),
    ),
    "an error without a reason says so": (
        Evidence(agent_proc(), last=act(State.ERROR), record_ms=NOW - 10_000),
        Status(State.ERROR, "the log gives no reason", "log", NOW - 10_000),
    ),
    "an idle registry does not hide an error": (
        Evidence(registry(IDLE), last=act(State.ERROR, detail="overloaded"), record_ms=NOW - 10_000),
        Status(State.ERROR, "overloaded", "log", NOW - 10_000),
    ),
    "a log alone is inferred": (
        Evidence(last=act(IDLE, 300_000), record_ms=NOW - 300_000),
        Status(IDLE, "", "log", NOW - 300_000, inferred=True),
    ),
    "a stale log alone is done": (
        Evidence(last=act(IDLE, 900_000), record_ms=NOW - 900_000),
        Status(State.DONE, "no sign of life", "log", NOW - 900_000, inferred=True),
    ),
    "a sub-agent whose turn ended is done": (
        Evidence(registry(WORKING), owns_proc=False, last=act(IDLE), record_ms=NOW - 10_000, sub_agent=True),
        Status(State.DONE, "", "log", NOW - 10_000),
    ),
    "a sub-agent of a reporting agent does not guess at prompts": (
        Evidence(registry(WORKING), owns_proc=False, last=LAST_TOOL, record_ms=QUIET, sub_agent=True),
        Status(TOOL, "Bash", "log", QUIET),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_status(name: str) -> None:
    evidence, expected = CASES[name]
    assert judge(evidence, NOW) == expected


def test_a_stale_registry_of_a_dead_process_is_done() -> None:
    """Conformance 61: the process is gone from the pass, so what it last said counts no more."""
    live = LiveState()
    live.load_session(session(), Figures())
    live.set_procs((registry(WORKING),), NOW)
    live.set_procs((), NOW + 1_000)
    status = rows_of(live, NOW + 1_000)["claude:s"].status
    assert (status.state, status.source, status.since_ms) == (State.DONE, "process", NOW + 1_000)


def test_limited_lasts_until_the_next_successful_call() -> None:
    """Conformance 68: the retry that only starts does not end it, the answer does."""
    live = LiveState()
    live.set_procs((registry(WORKING),), NOW)
    live.apply_activity(act(WORKING, 9_000, call_id="a"))
    live.apply_activity(act(State.LIMITED, 8_000, detail="429, retry 1"))
    live.apply_activity(act(WORKING, 7_000, call_id="b"))
    assert rows_of(live)["claude:s"].status.state is State.LIMITED
    live.apply_usage(usage(1, ago_ms=2_000))
    assert rows_of(live)["claude:s"].status.state is WORKING


def test_a_call_ends_in_any_order_of_arrival() -> None:
    facts = [
        act(WORKING, 9_000, call_id="a"),
        act(WORKING, 5_000, ends_call="a"),
        act(WORKING, 4_000, call_id="b"),
        act(IDLE, 1_000, ends_call="b"),
    ]
    for order in (facts, facts[::-1], [facts[i] for i in (1, 3, 0, 2)]):
        live = LiveState()
        live.set_procs((agent_proc(),), NOW)
        for fact in order:
            live.apply_activity(fact)
        assert rows_of(live)["claude:s"].status.state is IDLE


def test_a_call_open_when_its_process_died_is_lost_and_said_so() -> None:
    live = LiveState()
    live.set_procs((agent_proc(),), NOW)
    live.apply_activity(act(WORKING, 9_000, call_id="a"))
    assert rows_of(live)["claude:s"].own.unknown_calls == 0
    live.set_procs((), NOW)
    row = rows_of(live)["claude:s"]
    assert row.own.unknown_calls == 1
    assert any("1 call without usage" in note for note in row.notes)


def test_a_call_that_was_cut_off_stays_lost_while_its_process_lives_and_goes_on() -> None:
    live = LiveState()
    live.set_procs((agent_proc(),), NOW)
    live.apply_activity(act(WORKING, 9_000, call_id="a"))
    live.apply_activity(act(IDLE, 8_000, lost_call="a"))
    assert rows_of(live)["claude:s"].own.unknown_calls == 1
    live.apply_activity(act(WORKING, 7_000, call_id="b"))
    live.apply_activity(act(WORKING, 6_000, ends_call="b"))
    assert rows_of(live)["claude:s"].own.unknown_calls == 1
    live.apply_activity(act(WORKING, 5_000, ends_call="a"))
    assert rows_of(live)["claude:s"].own.unknown_calls == 0, "its usage came after all"


def test_an_open_call_is_lost_when_its_log_without_a_process_shows_no_life() -> None:
    live = LiveState()
    live.advance(NOW)
    live.apply_activity(act(WORKING, 9_000, call_id="a"))
    assert rows_of(live)["claude:s"].own.unknown_calls == 0
    row = rows_of(live, NOW + 200_000)["claude:s"]
    assert (row.status.state, row.own.unknown_calls) == (State.DONE, 1)


def test_a_tool_that_runs_while_its_call_has_no_usage_yet_is_shown_as_a_tool() -> None:
    live = LiveState()
    live.set_procs((agent_proc(),), NOW)
    live.apply_activity(act(WORKING, 9_000, call_id="a"))
    live.apply_activity(act(State.TOOL, 2_000, tool="exec_command"))
    assert rows_of(live)["claude:s"].status.state is State.TOOL
    live.set_procs((), NOW)
    assert rows_of(live)["claude:s"].own.unknown_calls == 1


def test_running_sub_agents_keep_the_parent_at_work_and_finished_ones_do_not() -> None:
    """Conformance 67."""
    live = LiveState()
    live.load_session(session(), Figures())
    live.load_session(sub_agent("s/a"), Figures())
    live.set_procs((registry(IDLE),), NOW)
    live.apply_activity(act(WORKING, 5_000, "s/a", call_id="1"))
    rows = rows_of(live)
    assert (rows["claude:s"].status.state, rows["claude:s"].status.detail) == (WORKING, "1 sub-agent")
    assert rows["claude:s/a"].status.state is WORKING
    live.apply_activity(act(IDLE, 1_000, "s/a", ends_call="1"))
    rows = rows_of(live)
    assert rows["claude:s"].status.state is IDLE
    assert rows["claude:s/a"].status.state is State.DONE


states = st.sampled_from(list(State))
moments = st.one_of(st.just(0), st.integers(NOW - 10**7, NOW + 10**7), st.integers(-(2**60), 2**60))


@given(
    proc_state=st.one_of(st.none(), states),
    run_state=st.sampled_from("RSDTZt"),
    has_proc=st.booleans(),
    one_shot=st.booleans(),
    owns=st.booleans(),
    last=st.one_of(st.none(), st.tuples(states, moments)),
    call=st.one_of(st.none(), moments),
    times=st.tuples(moments, moments, moments),
    below=st.integers(0, 3),
    sub=st.booleans(),
)
@settings(max_examples=300)
def test_every_status_has_a_source_and_a_since_in_the_past(
    proc_state, run_state, has_proc, one_shot, owns, last, call, times, below, sub
) -> None:
    proc = (
        registry(proc_state, since_ms=times[0], run_state=run_state, one_shot=one_shot) if has_proc else None
    )
    evidence = Evidence(
        proc,
        owns,
        times[1] if not has_proc else 0,
        times[1],
        act(last[0], NOW - last[1]) if last else None,
        act(WORKING, NOW - call) if call is not None else None,
        None,
        times[2],
        sub_agent=sub,
        working_below=below,
    )
    status = judge(evidence, NOW)
    assert status.source
    assert status.since_ms <= NOW
    if status.state is State.ERROR:
        assert status.detail
    if has_proc and one_shot and not sub:
        assert status.state is not IDLE


def test_a_command_is_named_by_its_program() -> None:
    assert command_name("/usr/bin/python3 -m pytest -x") == "pytest"
    assert command_name("/bin/zsh -c x") == "zsh"
    assert command_name("") == ""
