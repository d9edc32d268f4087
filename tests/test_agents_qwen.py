"""Conformance of the Qwen Code reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents.processes import identify
from tokentop.agents.qwen import AGENT
from tokentop.agents.qwen.processes import PROCESSES, parse_registry
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

SESSION = "cec4c21d-62ed-4c06-afd4-e412d57523d8"
FORK = "4d1eb434-4c1b-4aad-bdf1-55769f3d8acb"
START_MS = 1_795_294_080_000  # 2026-11-21T20:48:00Z
NOW_MS = START_MS + 120_000
CHAT = f".qwen/projects/-home-dev-shop/chats/{SESSION}.jsonl"
CALLS = ".qwen/usage/token-usage-2026-11.jsonl"
TOTALS = ".qwen/usage_record.jsonl"
MODEL = "qwen3-coder-plus"
ONE = Tokens(2_000, 3_000, 0, 0, 80, 30)


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def at(second: int) -> str:
    return f"2026-11-21T20:48:{second:02d}.000Z"


def line(kind: str, second: int, session: str = SESSION, **more: Any) -> dict[str, Any]:
    return {
        "uuid": f"{kind}-{second}", "sessionId": session, "timestamp": at(second), "type": kind,
        "cwd": "/home/dev/shop", "version": "0.24.4", **more,
    }  # fmt: skip


def response(
    number: int, second: int, *, total: int = 5_080, took: int = 300, session: str = SESSION, more: Any = (), **about: Any
) -> dict[str, Any]:  # fmt: skip
    event = {
        "event.name": "qwen-code.api_response", "event.timestamp": at(second), "model": MODEL,
        "response_id": f"chatcmpl-{number}" if number else "", "input_token_count": 5_000,
        "output_token_count": 80, "cached_content_token_count": 3_000, "thoughts_token_count": 30,
        "total_token_count": total, "duration_ms": took + number if took else 0, "auth_type": "openai", **dict(more),
    }  # fmt: skip
    return line("system", second, session, subtype="ui_telemetry", systemPayload={"uiEvent": event}, **about)


def assistant(second: int, *parts: dict[str, Any], counts: bool = True, **about: Any) -> dict[str, Any]:
    usage = {
        "promptTokenCount": 5_000, "candidatesTokenCount": 80, "thoughtsTokenCount": 30, "totalTokenCount": 5_080,
        "cachedContentTokenCount": 3_000,
    }  # fmt: skip
    found = line("assistant", second, model=MODEL, message={"role": "model", "parts": list(parts)}, **about)
    return found | {"contextWindowSize": 1_000_000} | ({"usageMetadata": usage} if counts else {})


def call(number: int, second: int, *, took: int = 300, source: str = "main") -> dict[str, Any]:
    return {
        "schemaVersion": 1, "id": f"call-{number}", "timestamp": at(second), "sessionId": SESSION, "model": MODEL,
        "authType": "openai", "source": source, "inputTokens": 5_000, "outputTokens": 80, "cachedTokens": 3_000,
        "thoughtsTokens": 30, "totalTokens": 5_080, "apiDurationMs": took + number,
    }  # fmt: skip


def total(second: int, calls: int, session: str = SESSION, extra: int = 0) -> dict[str, Any]:
    sums = {
        "requests": calls, "inputTokens": 5_000 * calls + extra, "outputTokens": 80 * calls, "cachedTokens": 3_000 * calls,
        "thoughtsTokens": 30 * calls, "totalTokens": 5_080 * calls + extra,
    }  # fmt: skip
    return {
        "version": 1, "sessionId": session, "timestamp": START_MS + second * 1000, "startTime": START_MS,
        "project": "/home/dev/shop", "models": {MODEL: sums},
    }  # fmt: skip


def lines(*records: dict[str, Any]) -> str:
    return "".join(json.dumps(record, separators=(",", ":")) + "\n" for record in records)


# ---------------------------------------------------------------- how much


def test_four_stores_of_the_same_calls_count_once(home: Scratch) -> None:
    """Conformance 88."""
    home.write(CHAT, lines(response(1, 1), assistant(1), response(2, 2), assistant(2)))
    home.write(CALLS, lines(call(1, 1), call(2, 2)))
    home.write(TOTALS, lines(total(3, 2)))
    found = home.read()
    assert [event.tokens for event in found.events] == [ONE, ONE]
    assert not found.hidden
    event = found.events[0]
    assert (event.session, event.model, event.took_ms) == (SESSION, MODEL, 301)


def test_thoughts_are_inside_the_output_unless_the_total_says_otherwise(home: Scratch) -> None:
    """Conformance 89."""
    home.write(CHAT, lines(response(1, 1), response(2, 2, total=5_110)))
    assert [event.tokens for event in home.read().events] == [ONE, Tokens(2_000, 3_000, 0, 0, 110, 30)]


def test_without_usage_statistics_the_chat_is_used(home: Scratch) -> None:
    """Conformance 90."""
    home.write(CHAT, lines(response(1, 1), assistant(1)))
    assert home.read().one.tokens == ONE


def test_without_a_chat_the_token_usage_file_is_used(home: Scratch) -> None:
    """Conformance 90."""
    home.write(CALLS, lines(call(1, 1), call(2, 2), call(3, 3, source="general-purpose")))
    found = home.read()
    assert [event.tokens for event in found.events] == [ONE, ONE]
    # The file does not say which sub-agent it was: its calls come with the sums of the session.
    home.write(TOTALS, lines(total(4, 3)))
    found = home.read()
    assert [event.tokens for event in found.responses] == [ONE, ONE]
    assert [event.tokens for event in found.hidden] == [ONE]
    assert found.sessions[SESSION].cwd == "/home/dev/shop"


def test_what_the_sums_hold_beyond_the_calls_is_hidden_spend(home: Scratch) -> None:
    """Conformance 91."""
    home.write(CHAT, lines(response(1, 1), response(2, 2)))
    home.write(TOTALS, lines(total(9, 2, extra=700)))
    found = home.read()
    (hidden,) = found.hidden
    assert (hidden.tokens, hidden.at_ms, hidden.model) == (Tokens(700), START_MS + 9_000, MODEL)
    assert len(found.responses) == 2


def test_a_resumed_session_is_summed_up_with_what_it_had(home: Scratch) -> None:
    home.write(CHAT, lines(response(1, 1), response(2, 20)))
    home.write(TOTALS, lines(total(9, 1, extra=700), total(2, 5, FORK), total(29, 2, extra=700)))
    found = home.read()
    assert [e.tokens for e in found.hidden if e.session == SESSION] == [Tokens(700)]


def test_copies_in_a_fork_belong_to_the_session_they_were_made_in(home: Scratch) -> None:
    """Conformance 91."""
    home.write(CHAT, lines(line("user", 0), response(1, 1), response(2, 2)))
    about = {"session": FORK, "forkedFrom": {"sessionId": SESSION, "messageUuid": "user-0"}}
    copies = lines(response(1, 1, **about), response(2, 2, **about))
    home.write(CHAT.replace(SESSION, FORK), copies + lines(response(3, 30, session=FORK)))
    home.write(TOTALS, lines(total(3, 2), total(31, 3, FORK)))
    found = home.read()
    assert [len(found.of(sid)) for sid in (SESSION, FORK)] == [2, 1]
    fork = found.sessions[FORK]
    assert (fork.parent_id, fork.role, fork.forked_at_ms) == (SESSION, Role.FORK, START_MS + 30_000)
    assert not found.hidden


def test_a_response_without_id_and_duration_has_the_id_of_its_record(home: Scratch) -> None:
    """Conformance 91."""
    home.write(CHAT, lines(response(0, 1, took=0), response(0, 2, took=0), response(0, 1, took=0)))
    assert [event.tokens for event in home.read().events] == [ONE, ONE]


def test_a_sub_agent_is_filed_under_its_session(home: Scratch) -> None:
    agent = {
        "subagent_id": "general-purpose-call_1",
        "subagent_type": "general-purpose",
        "subagent_task_name": "Look",
    }
    home.write(CHAT, lines(line("user", 0), response(1, 1), response(2, 2, more=agent)))
    about = {
        "agentId": "general-purpose-call_1", "agentType": "general-purpose", "description": "Look",
        "parentSessionId": SESSION, "createdAt": at(1), "lastUpdatedAt": at(3), "status": "completed",
    }  # fmt: skip
    folder = f".qwen/projects/-home-dev-shop/subagents/{SESSION}"
    home.write(f"{folder}/agent-general-purpose-call_1.meta.json", json.dumps(about))
    found = home.read()
    child = found.sessions[f"{SESSION}/general-purpose-call_1"]
    assert [event.session for event in found.events] == [SESSION, child.id]
    assert (child.parent_id, child.role, child.title) == (SESSION, Role.SUB_AGENT, "general-purpose: Look")
    assert child.cwd == "/home/dev/shop"


def test_an_answer_that_was_cut_off_is_an_unknown_call(home: Scratch) -> None:
    """Conformance 93: never 0. A provider that tells no usage leaves one unknown call, too."""
    home.write(CHAT, lines(line("user", 0), assistant(1, {"text": "slow wor"}, counts=False)))
    assert unknown(home) == (1, 0)
    nothing = {"input_token_count": 0, "output_token_count": 0, "cached_content_token_count": 0,
               "thoughts_token_count": 0, "total_token_count": 0}  # fmt: skip
    home.append(CHAT, lines(response(1, 2, more=nothing), assistant(2, counts=False)))
    assert unknown(home) == (2, 0)


def unknown(home: Scratch) -> tuple[int, int]:
    with home.ledger() as ledger:
        ledger.catch_up(0.0, NOW_MS * 1_000_000)
        found: tuple[int, int] = ledger.db.execute(
            "SELECT sum(unknown_calls), sum(responses) FROM rollup"
        ).fetchone()
        return found


def test_a_chat_of_an_older_version(home: Scratch) -> None:
    counts = {"input": 5_000, "output": 80, "cached": 3_000, "thoughts": 30, "tool": 0, "total": 5_080}
    message = {"id": "m1", "timestamp": at(1), "type": "qwen", "model": MODEL, "tokens": counts}
    chat = {"sessionId": SESSION, "startTime": at(0), "lastUpdated": at(1), "messages": [message, message]}
    home.write(".qwen/tmp/a0/chats/session-2026-11-21T20-48-cec4c21d.json", json.dumps(chat))
    assert home.read().one.tokens == ONE


def test_another_data_folder(home: Scratch) -> None:
    home.environ["QWEN_RUNTIME_DIR"] = str(home.home / "data")
    home.write(CHAT.replace(".qwen", "data"), lines(response(1, 1)))
    home.write(TOTALS, lines(total(3, 1)))
    assert home.read().one.tokens == ONE


def test_hostile_lines_change_nothing(home: Scratch) -> None:
    hostile = (
        '{"type":"assistant","message":[],"usageMetadata":{"promptTokenCount":-1},"timestamp":7}',
        '{"type":"system","subtype":"ui_telemetry","systemPayload":{"uiEvent":{"event.name":["qwen-code.api_"]}}}',
        '["qwen-code.api_response"]', '{"type":"assistant","message":{"parts":[1,{"functionCall":2}]}}',
    )  # fmt: skip
    home.write(CHAT, lines(response(1, 1)) + "\n".join(hostile) + "\n")
    home.write(TOTALS, '{"sessionId":"x","timestamp":1,"models":{"a":1}}\n{"sessionId":1,"models":[]}\n')
    home.write(CALLS, '{"sessionId":"x","source":"main","inputTokens":"many"}\n')
    found = home.read()
    assert [event.tokens for event in found.responses if event.tokens.total] == [ONE]
    assert home.health() == {"unparsed": 1}


# ---------------------------------------------------------------- what it does


def test_a_request_works_until_its_answer_and_all_its_tools_are_done(home: Scratch) -> None:
    def tool(name: str) -> dict[str, Any]:
        return {"functionCall": {"id": f"call_{name}", "name": name, "args": {}}}

    def result(name: str, second: int) -> dict[str, Any]:
        part = {"functionResponse": {"id": f"call_{name}", "name": name}}
        return line("tool_result", second, message={"role": "user", "parts": [part]})

    prompt = line("user", 0, message={"role": "user", "parts": [{"text": "fix it"}]})
    home.write(
        CHAT,
        lines(
            prompt, response(1, 1), assistant(1, tool("shell"), tool("read")), result("shell", 2), result("read", 3),
            response(2, 4), assistant(4, {"text": "Done."}),
        ),
    )  # fmt: skip
    _, facts = home.follow(NOW_MS)
    found = [fact for fact in facts if isinstance(fact, Activity)]
    assert [(f.state, f.tool, f.call_id, f.ends_call) for f in found] == [
        (State.WORKING, "", "user-0", ""), (State.TOOL, "shell", "", "user-0"), (State.TOOL, "read", "", ""),
        (State.WORKING, "", "tool_result-3", ""), (State.IDLE, "", "", "tool_result-3"),
    ]  # fmt: skip


def test_a_turn_whose_tools_were_all_cancelled_is_over_and_asks_nothing(home: Scratch) -> None:
    """As Escape in a tool leaves it, in 0.24.4."""

    def result(name: str, second: int, status: str) -> dict[str, Any]:
        part = {"functionResponse": {"id": f"call_{name}", "name": name}}
        told = {"callId": f"call_{name}", "status": status, "executionStatus": status}
        return line("tool_result", second, message={"role": "user", "parts": [part]}, toolCallResult=told)

    tools = [{"functionCall": {"id": f"call_{name}", "name": name, "args": {}}} for name in ("shell", "read")]
    step = (line("user", 0, message={"role": "user", "parts": []}), response(1, 1), assistant(1, *tools))
    for first, state, call_id in (("cancelled", State.IDLE, ""), ("success", State.WORKING, "tool_result-3")):
        home.write(CHAT, lines(*step, result("shell", 2, first), result("read", 3, "cancelled")))
        _, facts = home.follow(NOW_MS)
        last = [fact for fact in facts if isinstance(fact, Activity)][-1]
        assert (last.state, last.call_id) == (state, call_id)


# ---------------------------------------------------------------- processes


def test_the_registry_names_the_session_and_the_start_of_the_process() -> None:
    entry = {
        "pid": 4711, "procStart": "0d7ff3a1-0000-4000-8000-000000000001:95175", "pidNs": 4026531836,
        "sessionId": SESSION, "cwd": "/home/dev/shop", "kind": "interactive",
    }  # fmt: skip
    found = parse_registry("sessions/4711.json", json.dumps(entry).encode())
    assert found is not None
    assert (found.pid, found.session_id, found.start) == (4711, SESSION, "95175")
    assert (found.boot_id, found.pid_ns) == ("0d7ff3a1-0000-4000-8000-000000000001", "pid:[4026531836]")
    assert parse_registry("sessions/1.json", json.dumps(entry).encode()) is None
    with pytest.raises(ValueError, match="JSON"):
        parse_registry("sessions/4711.json", b'{"pid": 47')


def test_the_programs_are_recognised() -> None:
    assert AGENT.processes is PROCESSES
    package = "/opt/lib/node_modules/@qwen-code/qwen-code"
    found = identify(
        ["/opt/bin/node", "--expose-gc", f"{package}/cli.js", "-p", "go"], "/opt/bin/node", [PROCESSES]
    )
    assert found is not None
    assert PROCESSES.one_shot(found.argv)
    assert identify(["node", "/opt/bin/qwen"], "/opt/bin/node", [PROCESSES]) is not None
    assert identify(["node", "/opt/other/cli.js"], "/opt/bin/node", [PROCESSES]) is None
    assert PROCESSES.argv_session(["qwen", "--resume", SESSION]) == SESSION
    assert PROCESSES.argv_session(["qwen", "--resume", SESSION, "--fork-session"]) == ""
