"""Conformance of the pi reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.agents.harness import Scratch, kinds, scratch
from tokentop.agents import agent
from tokentop.agents.processes import identify
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

START_MS = 1_795_294_600_000
A, B = "01a1ffe5-c7bc-7421-ab52-000000000001", "01a1ffe5-c7bc-7421-ab52-000000000002"
FOLDER = ".pi/agent/sessions/--home-dev-work--"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def path(session_id: str) -> str:
    return f"{FOLDER}/2026-11-21T20-56-40-000Z_{session_id}.jsonl"


class Log:
    """A pi session that is written line by line."""

    def __init__(self, session_id: str = A, at_ms: int = START_MS, **header: Any) -> None:
        self.id, self.ms = session_id, at_ms
        self.lines = [
            {"type": "session", "version": 3, "id": session_id, "timestamp": iso(at_ms), "cwd": "/home/dev/work"} | header
        ]  # fmt: skip

    def message(self, role: str, **message: Any) -> None:
        self.ms += 1000
        entry = {"type": "message", "id": f"e{len(self.lines)}", "parentId": None, "timestamp": iso(self.ms)}
        self.lines.append(entry | {"message": {"role": role, "timestamp": self.ms - 400, **message}})

    def user(self, text: str = "go") -> None:
        self.message("user", content=[{"type": "text", "text": text}])

    def answer(self, response_id: str | None = "", *, output: int = 10, **message: Any) -> None:
        used = {
            "input": 3,
            "output": output,
            "cacheRead": 100,
            "cacheWrite": 20,
            "totalTokens": 0,
            "cost": {"total": 1},
        }
        named = (
            {} if response_id is None else {"responseId": response_id or f"msg_{self.id}_{len(self.lines)}"}
        )
        about = {
            "content": [{"type": "text", "text": "x"}],
            "provider": "anthropic",
            "model": "claude-sonnet-4-5",
        }
        self.message("assistant", **(about | {"usage": used, "stopReason": "stop"} | named | message))

    def tool(self, call_id: str, name: str = "bash", **message: Any) -> None:
        content = [{"type": "toolCall", "id": call_id, "name": name, "arguments": {}}]
        self.answer(content=content, stopReason="toolUse", **message)

    @property
    def text(self) -> str:
        return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in self.lines)


def write(home: Scratch, *logs: Log) -> None:
    for log in logs:
        home.write(path(log.id), log.text)


def activities(home: Scratch) -> list[tuple[State, str]]:
    _, facts = home.follow(START_MS + 60_000)
    return [(fact.state, fact.tool) for fact in facts if isinstance(fact, Activity)]


def test_two_branches_in_one_file_are_both_billed(home: Scratch) -> None:
    """Conformance 103, first part."""
    log = Log()
    log.user()
    log.answer(output=10)
    log.answer(output=11)
    log.lines[-1]["parentId"] = log.lines[-2]["parentId"] = "e1"
    write(home, log)
    assert [e.tokens.output for e in home.read().events] == [10, 11]


@pytest.mark.parametrize("parent_first", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_a_fork_repeats_its_parent_without_being_billed_for_it(
    home: Scratch, named: bool, parent_first: bool
) -> None:
    """Conformance 103, second and third part: by response id, and by time and vector where there is none."""
    parent = Log(A)
    parent.user("first")
    parent.answer(f"msg_{1:024d}" if named else None, output=10)
    fork = Log(B, START_MS + 60_000, parentSession=f"/home/dev/{path(A)}")
    fork.lines += parent.lines[1:]
    fork.answer(f"msg_{2:024d}" if named else None, output=77)
    for log in (parent, fork) if parent_first else (fork, parent):
        write(home, log)
        home.read()
    found = home.read()
    assert [e.tokens.output for e in found.of(A)] == [10]
    assert [e.tokens.output for e in found.of(B)] == [77]
    assert found.sessions[B].parent_id == A
    assert found.sessions[B].role is Role.FORK


def test_a_short_response_id_is_no_identity(home: Scratch) -> None:
    """Local servers number their answers anew."""
    log = Log()
    log.user()
    log.answer("chatcmpl-7", output=10)
    log.answer("chatcmpl-7", output=11)
    write(home, log)
    assert [e.tokens.output for e in home.read().events] == [10, 11]


def test_a_refused_request_is_no_call_and_a_cut_one_is_an_unknown_one(home: Scratch) -> None:
    none = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}
    log = Log()
    log.user()
    log.answer(None, stopReason="error", content=[], usage=none, errorMessage="429 rate limit")
    log.answer(None, stopReason="aborted", usage=none)
    log.answer(output=1, stopReason="aborted")
    log.answer(None, stopReason="aborted", usage=none, content=[])
    log.lines[-1]["message"]["timestamp"] = log.ms - 2  # a tool was interrupted: nothing was sent
    log.answer(output=10)
    write(home, log)
    found = home.read()
    assert [e.tokens.output for e in found.responses] == [1, 10]
    assert [e.estimated for e in found.responses] == [True, False]
    assert len(found.unknown) == 1


def test_the_time_of_the_request_and_the_titles(home: Scratch) -> None:
    log = Log()
    log.user("rename\nthe module")
    log.answer()
    write(home, log)
    found = home.read()
    assert (found.one.at_ms, found.one.took_ms) == (log.ms, 400)
    assert found.sessions[A].title == "rename the module"
    assert found.sessions[A].cwd == "/home/dev/work"
    home.append(path(A), '{"type":"session_info","id":"x","name":"Rename"}\n')
    assert home.read().sessions[A].title == "Rename"


def test_status_follows_requests_tools_and_the_end_of_the_turn(home: Scratch) -> None:
    log = Log()
    log.user()
    log.tool("t1")
    log.message("toolResult", toolCallId="t1", toolName="bash", content=[])
    log.answer()
    write(home, log)
    assert activities(home) == [
        (State.WORKING, ""),
        (State.TOOL, "bash"),
        (State.WORKING, ""),
        (State.IDLE, ""),
    ]


def test_a_refusal_for_a_limit_is_shown(home: Scratch) -> None:
    log = Log()
    log.user()
    log.answer(None, stopReason="error", content=[], usage={}, errorMessage='429 {"type":"rate_limit_error"}')
    write(home, log)
    assert activities(home)[-1][0] is State.LIMITED


def test_hostile_lines_cost_nothing_but_themselves(home: Scratch) -> None:
    """Conformance 4, 5, 7."""
    log = Log()
    log.user()
    log.answer(output=10)
    odd = [
        '{"type":"message","message":{"role":"assistant","usage":"text"}}',
        '{"type":"message","message":{"role":"assistant","usage":{"output":-5,"input":null},"responseId":7}}',
        '{"type":"message","message":[{"usage":1}]}', '{"type":"message","usage"', '["usage"]',
        '{"type":"message","message":{"role":"toolResult","content":"{\\"usage\\":{\\"output\\":9}}"}}',
    ]  # fmt: skip
    home.write(path(A), log.text + "\n".join(odd) + "\n" + log.text.splitlines()[-1] + "\n")
    with home.ledger() as ledger:
        ledger.catch_up(0.0, 0)
        found = kinds(ledger.health())
    assert [e.tokens for e in home.read().responses] == [Tokens(3, 100, 20, 0, 10)]
    assert found["unparsed"] == 2
    assert found["bad-number"] == 1


@pytest.mark.parametrize("has_session", [True, False])
def test_what_a_sub_agent_of_an_extension_printed_is_counted_once(home: Scratch, has_session: bool) -> None:
    """Extensions run `pi --mode json`, often without a session, and keep what it prints beside their own."""
    log = Log(B)
    log.user()
    log.answer(output=10)
    stream = [log.lines[0], {"type": "agent_start"}]
    for entry in log.lines[1:]:
        begun = entry["message"] | {"usage": {"input": 3, "output": 1}, "stopReason": "stop"}
        stream.append(
            {"type": "message_update", "message": begun, "assistantMessageEvent": {"partial": begun}}
        )
        stream.append({"type": "message_end", "message": entry["message"]})
    stream.append({"type": "turn_end", "message": log.lines[-1]["message"]})
    stream.append({"type": "agent_end", "messages": [entry["message"] for entry in log.lines[1:]]})
    if has_session:
        write(home, log)
    home.write(
        f"{FOLDER}/subagent-artifacts/5f316403_worker.jsonl", "".join(json.dumps(r) + "\n" for r in stream)
    )
    one = home.read().one
    assert (one.session, one.tokens.output) == (B, 10)


def test_sessions_that_lie_elsewhere(home: Scratch) -> None:
    log = Log()
    log.user()
    log.answer()
    home.write(f"moved/x_{A}.jsonl", log.text)
    home.environ["PI_CODING_AGENT_SESSION_DIR"] = str(home.home / "moved")
    other = Log(B)
    other.answer()
    home.write(f".omp/agent/sessions/--work--/y_{B}.jsonl", other.text)
    assert set(home.read().sessions) == {A, B}


def test_the_process_is_known_by_the_title_that_it_sets() -> None:
    spec = agent("pi").processes
    assert spec is not None
    for argv in (["pi"], ["node", "/n/node_modules/@mariozechner/pi-coding-agent/dist/cli.js", "-p", "go"]):
        found = identify(argv, "/usr/bin/node", [spec])
        assert found is not None
    assert spec.one_shot(["pi", "-p", "go"])
    assert not spec.one_shot(["pi", "go"])
    assert spec.argv_session(["pi", "--session", f"/x/2026_{A}.jsonl"]) == A
    assert identify(["vim", "pi"], "/usr/bin/vim", [spec]) is None
