"""Conformance of the Kimi CLI reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import md5
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.processes import identify
from tokentop.nouns.sessions import Activity, Context, Role, State
from tokentop.nouns.usage import Tokens

START_S = 1_795_294_587
CWD = "/home/dev/work"
SESSION = "79b28d85-aa27-49d0-826a-000000000001"
FOLDER = f".kimi/sessions/{md5(CWD.encode()).hexdigest()}/{SESSION}"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


class Wire:
    """A wire that is written message by message, with spaces as the client does."""

    def __init__(self, at_s: float = START_S) -> None:
        self.s = at_s
        self.records: list[dict[str, Any]] = [{"type": "metadata", "protocol_version": "1.10"}]

    def put(self, kind: str, **payload: Any) -> None:
        self.s += 1
        self.records.append({"timestamp": self.s + 0.25, "message": {"type": kind, "payload": payload}})

    def from_child(self, agent_id: str | None, kind: str, **payload: Any) -> None:
        self.put("SubagentEvent", agent_id=agent_id, event={"type": kind, "payload": payload})

    @property
    def text(self) -> str:
        return "".join(json.dumps(record) + "\n" for record in self.records)


def status(number: int, output: int = 10) -> dict[str, Any]:
    used = {"input_other": 30, "output": output, "input_cache_read": 400, "input_cache_creation": 5}
    return {"context_tokens": 435, "max_context_tokens": 200_000, "token_usage": used,
            "message_id": f"chatcmpl-{number:016d}"}  # fmt: skip


def test_status_updates_are_counted_and_empty_ones_are_not(home: Scratch) -> None:
    wire = Wire()
    wire.put("TurnBegin", user_input=[{"type": "text", "text": "rename it"}])
    wire.put("StatusUpdate", **status(1))
    wire.put("StatusUpdate", plan_mode=True, token_usage=None)
    home.write(f"{FOLDER}/wire.jsonl", wire.text)
    found = home.read()
    assert found.one.tokens == Tokens(30, 400, 5, 0, 10)
    assert found.one.at_ms == (START_S + 2) * 1000 + 250
    assert found.sessions[SESSION].title == "rename it"
    assert found.sessions[SESSION].first_ms == (START_S + 1) * 1000 + 250


@pytest.mark.parametrize("own_wire", [True, False])
@pytest.mark.parametrize("parent_first", [True, False])
def test_sub_agents_are_counted_once(home: Scratch, own_wire: bool, parent_first: bool) -> None:
    """Conformance 105, first part: in their own wire, in their parent's, or in both."""
    main, child = Wire(), Wire()
    main.put("StatusUpdate", **status(1, 10))
    main.from_child("a8707bf4d", "StatusUpdate", **status(2, 20))
    child.put("StatusUpdate", **status(2, 20))
    writes = [lambda: home.write(f"{FOLDER}/wire.jsonl", main.text)]
    if own_wire:
        writes.append(lambda: home.write(f"{FOLDER}/subagents/a8707bf4d/wire.jsonl", child.text))
    for act in writes if parent_first else reversed(writes):
        act()
        home.read()
    found = home.read()
    assert sorted((e.session, e.tokens.output) for e in found.events) == [
        (SESSION, 10),
        (f"{SESSION}/a8707bf4d", 20),
    ]
    if own_wire:
        assert found.sessions[f"{SESSION}/a8707bf4d"].role is Role.SUB_AGENT
        assert found.sessions[f"{SESSION}/a8707bf4d"].parent_id == SESSION


def test_events_of_a_sub_agent_without_an_id_are_counted(home: Scratch) -> None:
    """Before protocol 1.6 they stood in the parent's wire alone, and did not tell whose they were."""
    wire = Wire()
    wire.from_child(None, "StatusUpdate", **status(1))
    home.write(f"{FOLDER}/wire.jsonl", wire.text)
    assert home.read().one.session == SESSION


def test_a_fork_is_not_billed_for_what_it_copied(home: Scratch) -> None:
    wire = Wire()
    wire.put("StatusUpdate", **status(1, 10))
    home.write(f"{FOLDER}/wire.jsonl", wire.text)
    wire.put("StatusUpdate", **status(2, 20))
    home.write(f"{FOLDER[:-1]}2/wire.jsonl", wire.text)
    assert home.read().total == Tokens(60, 800, 10, 0, 30)


def test_the_project_folder_comes_from_the_system_prompt(home: Scratch) -> None:
    """Only a path that has the md5 of the folder's name: a prompt may quote others."""
    wire = Wire()
    wire.put("StatusUpdate", **status(1))
    home.write(f"{FOLDER}/wire.jsonl", wire.text)
    prompt = f"Read `/etc/hosts`. The current working directory is `{CWD}`. Or `/home/dev/other`."
    home.write(
        f"{FOLDER}/context.jsonl",
        json.dumps({"role": "_system_prompt", "content": prompt}) + '\n{"role":"user"}\n',
    )
    assert home.read().sessions[SESSION].cwd == CWD


def test_the_project_folder_of_the_last_session_is_in_the_clients_own_list(home: Scratch) -> None:
    wire = Wire()
    wire.put("StatusUpdate", **status(1))
    home.write(f"{FOLDER}/wire.jsonl", wire.text)
    home.write(".kimi/kimi.json", json.dumps({"work_dirs": [{"path": CWD, "last_session_id": SESSION}, 7]}))
    assert home.read().sessions[SESSION].cwd == CWD


def test_only_a_title_that_was_given_replaces_the_prompt(home: Scratch) -> None:
    wire = Wire()
    wire.put("TurnBegin", user_input="go")
    wire.put("StatusUpdate", **status(1))
    home.write(f"{FOLDER}/wire.jsonl", wire.text)
    home.write(f"{FOLDER}/state.json", '{"custom_title": "prompt of a child", "title_generated": false}')
    assert home.read().sessions[SESSION].title == "go"
    home.write(f"{FOLDER}/state.json", '{"custom_title": "Renaming a module", "title_generated": true}')
    assert home.read().sessions[SESSION].title == "Renaming a module"


def test_status_and_context(home: Scratch) -> None:
    """A tool may be done before its answer's usage is written."""
    wire = Wire()
    wire.put("TurnBegin", user_input="go")
    wire.put("StepBegin", n=1)
    wire.put("ToolCall", id="c1", function={"name": "Shell"})
    wire.put("ToolResult", tool_call_id="c1")
    wire.put("StatusUpdate", **status(1))
    wire.put("StepBegin", n=2)
    wire.put("ToolCall", id="c2", function={"name": "Shell"})
    wire.put("ApprovalRequest", tool_call_id="c2", action="run command")
    wire.put("ApprovalResponse", request_id="r", response="approve")
    wire.put("StepInterrupted")
    home.write(f"{FOLDER}/wire.jsonl", wire.text)
    _, facts = home.follow(START_S * 1000 + 60_000)
    assert [(f.state, f.tool) for f in facts if isinstance(f, Activity)] == [
        (State.WORKING, ""), (State.WORKING, ""), (State.TOOL, "Shell"), (State.WORKING, ""), (State.WORKING, ""),
        (State.WORKING, ""), (State.TOOL, "Shell"), (State.PERMISSION, "Shell"), (State.TOOL, "Shell"), (State.IDLE, ""),
    ]  # fmt: skip
    assert [(f.used, f.window) for f in facts if isinstance(f, Context)] == [(435, 200_000)]


def test_the_process_is_known_by_the_title_that_it_sets() -> None:
    spec = agent("kimi-cli").processes
    assert spec is not None
    assert identify(["Kimi Code"], "/usr/bin/python3.13", [spec])
    assert identify(["/usr/bin/python3", "/home/dev/.local/bin/kimi"], "/usr/bin/python3", [spec])
    assert not identify(["kimi-code"], "/usr/bin/node", [spec])
