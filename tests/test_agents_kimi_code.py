"""Conformance of the Kimi Code reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.processes import identify
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

START_MS = 1_795_294_590_000
A, B = "session_00000000-0000-4000-8000-00000000000a", "session_00000000-0000-4000-8000-00000000000b"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def folder(session_id: str) -> str:
    return f".kimi-code/sessions/wd_work_0123456789ab/{session_id}"


def usage(output: int = 10) -> dict[str, int]:
    return {"inputOther": 30, "output": output, "inputCacheRead": 400, "inputCacheCreation": 5}


class Wire:
    """A wire that is written record by record."""

    def __init__(self, agent_id: str = "main", at_ms: int = START_MS) -> None:
        self.agent_id, self.ms = agent_id, at_ms
        self.records: list[dict[str, Any]] = [
            {"type": "metadata", "protocol_version": "1.5", "created_at": at_ms}
        ]

    def put(self, record: str, **fields: Any) -> None:
        self.ms += 1000
        self.records.append({"type": record, "agentId": self.agent_id, **fields, "time": self.ms})

    def event(self, kind: str, **fields: Any) -> None:
        self.put("context.append_loop_event", event={"type": kind, **fields})

    def request(self, model: str = "kimi-k2", alias: str = "fast") -> None:
        self.put("llm.request", kind="loop", provider="openai", model=model, modelAlias=alias, turnStep="0.1")

    def step(self, output: int = 10, *, alias: str = "fast", scope: str = "turn") -> None:
        """An answer as 2.1.0 writes it: the same figures three times."""
        self.put("usage.record", model=alias, usage=usage(output), usageScope=scope)
        self.event("step.end", usage=usage(output), messageId="chatcmpl-1", finishReason="end_turn")
        self.put(
            "agent.message.appended",
            message={"message": {"role": "assistant"}, "meta": {"usage": usage(output)}},
        )

    @property
    def text(self) -> str:
        return "".join(json.dumps(record) + "\n" for record in self.records)


def write(home: Scratch, session_id: str, *wires: Wire, **state: Any) -> None:
    for wire in wires:
        home.write(f"{folder(session_id)}/agents/{wire.agent_id}/wire.jsonl", wire.text)
    about = {"id": session_id, "cwd": "/home/dev/work", "createdAt": START_MS, "agents": {}, **state}
    home.write(f"{folder(session_id)}/state.json", json.dumps(about))


def activities(home: Scratch) -> list[tuple[State, str]]:
    _, facts = home.follow(START_MS + 60_000)
    return [(fact.state, fact.tool) for fact in facts if isinstance(fact, Activity)]


def test_an_answer_that_is_written_three_times_is_counted_once(home: Scratch) -> None:
    """Conformance 106, first part."""
    wire = Wire()
    wire.request()
    wire.step()
    write(home, A, wire)
    one = home.read().one
    assert one.tokens == Tokens(30, 400, 5, 0, 10)
    assert one.took_ms == 1000


def test_compaction_and_titles_are_counted(home: Scratch) -> None:
    """Conformance 106, second part."""
    wire = Wire()
    wire.request()
    wire.step(10)
    wire.step(11, scope="session")
    write(home, A, wire)
    assert [e.tokens.output for e in home.read().events] == [10, 11]


def test_the_model_is_that_of_the_request_not_its_alias(home: Scratch) -> None:
    """Conformance 106, third part: side calls may use another model in between."""
    wire = Wire()
    wire.request("kimi-k2", "fast")
    wire.request("kimi-k2.5", "deep")
    wire.step(10, alias="fast")
    wire.step(11, alias="deep")
    wire.step(12, alias="never asked for")
    write(home, A, wire)
    assert [e.model for e in home.read().events] == ["kimi-k2", "kimi-k2.5", "kimi-k2.5"]


@pytest.mark.parametrize("with_parent", [True, False])
def test_what_stands_before_the_mark_of_a_fork_is_its_parents(home: Scratch, with_parent: bool) -> None:
    """Conformance 106, fourth part."""
    parent, fork = Wire(), Wire()
    parent.put("turn.prompt", input=[{"type": "text", "text": "go"}])
    parent.request()
    parent.step(10)
    fork.records, fork.ms = list(parent.records), parent.ms + 60_000
    fork.put("forked")
    fork.request()
    fork.step(77)
    if with_parent:
        write(home, A, parent)
    write(home, B, fork, forkedFrom=A, createdAt=fork.ms, title="Fork: go")
    found = home.read()
    assert [e.tokens.output for e in found.of(B)] == [77]
    assert [e.tokens.output for e in found.of(A)] == ([10] if with_parent else [])
    assert found.sessions[B].parent_id == A
    assert found.sessions[B].role is Role.FORK
    assert found.sessions[B].title == "Fork: go"


def test_a_fork_that_is_met_while_it_is_copied_is_not_billed_twice(home: Scratch) -> None:
    parent = Wire()
    parent.request()
    parent.step(10)
    write(home, A, parent)
    write(home, B, parent, forkedFrom=A, createdAt=START_MS + 60_000)
    home.read()
    home.append(
        f"{folder(B)}/agents/main/wire.jsonl", json.dumps({"type": "forked", "time": START_MS}) + "\n"
    )
    found = home.read()
    assert [(e.session, e.tokens.output) for e in found.events] == [(A, 10)]


def test_a_cancelled_step_is_a_call_without_usage(home: Scratch) -> None:
    """Conformance 106, fifth part: its record is there, all zeros; its `step.end` has none."""
    wire = Wire()
    wire.request()
    wire.event("step.end", finishReason="interrupted")
    wire.put("usage.record", model="fast", usage=dict.fromkeys(usage(), 0), usageScope="turn")
    wire.request()
    wire.step()
    write(home, A, wire)
    found = home.read()
    assert len(found.responses) == 1
    assert len(found.unknown) == 1


def test_a_wire_without_records_is_read_by_its_steps(home: Scratch) -> None:
    wire = Wire()
    for output in (10, 11):
        wire.request()
        wire.event("step.end", usage=usage(output), finishReason="end_turn")
    write(home, A, wire)
    assert [e.tokens.output for e in home.read().events] == [10, 11]


def test_sub_agents_are_filed_under_the_agent_that_started_them(home: Scratch) -> None:
    main, one, two = Wire(), Wire("agent-0"), Wire("agent-1")
    main.put("subagent.spawned", subagentId="agent-0", subagentName="coder", description="Look for callers")
    for wire in (main, one, two):
        wire.request()
        wire.step()
    agents = {"main": {"type": "main"}, "agent-0": {"type": "sub", "parentAgentId": "main"},
              "agent-1": {"type": "sub", "parentAgentId": "agent-0", "labels": {"profileName": "plan"}}}  # fmt: skip
    write(home, A, main, one, two, agents=agents)
    found = home.read()
    assert sorted(e.session for e in found.events) == [A, f"{A}/agent-0", f"{A}/agent-1"]
    assert found.sessions[f"{A}/agent-0"].parent_id == A
    assert found.sessions[f"{A}/agent-1"].parent_id == f"{A}/agent-0"
    assert found.sessions[f"{A}/agent-0"].title == "Look for callers"
    assert found.sessions[f"{A}/agent-1"].title == "plan"
    assert found.sessions[f"{A}/agent-1"].role is Role.SUB_AGENT


def test_titles_come_from_the_prompt_and_from_the_state(home: Scratch) -> None:
    wire = Wire()
    wire.put("turn.prompt", input=[{"type": "text", "text": "rename it"}])
    wire.request()
    wire.step()
    write(home, A, wire)
    assert home.read().sessions[A].title == "rename it"
    write(home, A, title="Renaming")
    assert home.read().sessions[A].title == "Renaming"
    home.write(f"{folder(A)}/state.json", '{"id":')
    assert home.read().sessions[A].title == "Renaming"


def test_a_migrated_session_repeats_no_usage(home: Scratch) -> None:
    """Conformance 105: Kimi Code takes over messages alone, so both stores are read and nothing is doubled."""
    wire = Wire()
    wire.put("turn.prompt", input=[{"type": "text", "text": "go"}], origin={"kind": "user"})
    wire.records.append({"type": "context.append_message", "message": {"role": "assistant", "content": []}})
    wire.put("turn.ended", turnId=0, reason="completed")
    wire.put("token_counting.measured", length=2, tokens=12_317)
    write(home, "ses_79b28d85-aa27-49d0-826a-a2d57505f27d", wire, custom={"imported_from_kimi_cli": True})
    old = ".kimi/sessions/c12485c4146c8de52bf436fb919476fa/79b28d85-aa27-49d0-826a-a2d57505f27d/wire.jsonl"
    status = {
        "token_usage": {"input_other": 6179, "output": 1001, "input_cache_read": 6138},
        "message_id": "chatcmpl-1",
    }
    home.write(
        old,
        json.dumps({"timestamp": START_MS / 1000, "message": {"type": "StatusUpdate", "payload": status}})
        + "\n",
    )
    found = home.read()
    assert [(e.agent, e.tokens) for e in found.events] == [("kimi-cli", Tokens(6179, 6138, 0, 0, 1001))]


def test_status_follows_requests_tools_and_the_end_of_the_turn(home: Scratch) -> None:
    wire = Wire()
    wire.put("turn.prompt", input=[{"type": "text", "text": "go"}])
    wire.request()
    wire.put("usage.record", model="fast", usage=usage(), usageScope="turn")
    wire.event("tool.call", toolCallId="c1", name="Bash", args={})
    wire.put("permission.approval.requested")
    wire.put("permission.approval.resolved")
    wire.event("tool.result", toolCallId="c1", result={})
    wire.put("turn.ended", turnId=0, reason="completed")
    write(home, A, wire)
    assert activities(home) == [
        (State.WORKING, ""), (State.WORKING, ""), (State.WORKING, ""), (State.TOOL, "Bash"), (State.PERMISSION, "Bash"),
        (State.TOOL, "Bash"), (State.WORKING, ""), (State.IDLE, ""),
    ]  # fmt: skip


def test_an_approval_in_the_client_s_own_screen_is_a_permission_and_a_question_is_none(home: Scratch) -> None:
    """As 2.1.0 writes it, before the record of the tool call."""
    wire = Wire()
    wire.request()
    wire.put("usage.record", model="fast", usage=usage(), usageScope="turn")
    wire.put(
        "interaction.request", kind="approval", request={"toolName": "Bash", "action": "Running: sleep 12"}
    )
    wire.put("interaction.resolved", response={"decision": "approved"})
    wire.event("tool.call", toolCallId="c1", name="Bash", args={})
    wire.put("interaction.request", kind="question", request={})
    write(home, A, wire)
    states = activities(home)[2:]
    assert states == [
        (State.PERMISSION, "Bash"),
        (State.WORKING, ""),
        (State.TOOL, "Bash"),
        (State.INPUT, "Bash"),
    ]


def test_a_refusal_for_a_limit_is_shown_and_is_no_call(home: Scratch) -> None:
    wire = Wire()
    wire.request()
    wire.event("step.end", finishReason="error")
    wire.put("turn.step.retrying", errorMessage="429 too many", statusCode=429)
    write(home, A, wire)
    assert activities(home)[-1][0] is State.LIMITED
    assert home.read().events == ()


def test_the_process_is_known_by_the_title_that_it_sets() -> None:
    spec = agent("kimi-code").processes
    assert spec is not None
    assert identify(["kimi-code"], "/usr/bin/node", [spec])
    assert not identify(["kimi"], "/usr/bin/python3", [spec])
