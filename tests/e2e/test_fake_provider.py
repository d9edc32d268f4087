"""The fake provider itself: what it sends, what it books. No client and no network beyond the loopback."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from billing import price, summed

HERE = Path(__file__).parent
BASH = {
    "name": "Bash",
    "input_schema": {"properties": {"command": {"type": "string"}}, "required": ["command"]},
}
EXEC = {"type": "function", "name": "exec_command", "parameters": {"properties": {"cmd": {"type": "string"}}}}


class Provider:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "ledger.jsonl"
        argv = [sys.executable, str(HERE / "fake_provider.py"), "--ledger", str(self.path)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        self.port = int(self.process.stdout.readline().rsplit(":", 1)[1])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(5)
        assert self.process.stdout
        self.process.stdout.close()

    def ask(self, path: str, **body: Any) -> str:
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), {"thread-id": "t1"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return str(answer.read().decode())

    def ledger(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Provider]:
    made = Provider(tmp_path)
    yield made
    made.stop()


def test_the_ledger_books_what_an_anthropic_answer_says(provider: Provider) -> None:
    messages = [{"role": "user", "content": "@@tool@@ go"}]
    body = {"model": "claude-sonnet-4-5", "messages": messages, "tools": [BASH]}
    answer = json.loads(provider.ask("/v1/messages", **body))
    assert [c["type"] for c in answer["content"]] == ["text", "tool_use"]
    assert answer["content"][1]["input"] == {"command": "echo hi"}
    (row,) = provider.ledger()
    assert (row["id"], row["scenario"], row["step"], row["complete"]) == (answer["id"], "tool", 0, True)
    usage = answer["usage"]
    assert row["billed"]["input"] == usage["input_tokens"] == 41
    assert row["billed"]["output"] == usage["output_tokens"] == 1001
    assert row["billed"]["cache_read"] == usage["cache_read_input_tokens"] > 0
    written = row["billed"]["cache_write_5m"] + row["billed"]["cache_write_1h"]
    assert written == usage["cache_creation_input_tokens"] > 0


def test_the_last_event_of_a_responses_stream_carries_the_booked_usage(provider: Provider) -> None:
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "@@multi@@ go"}]},
        {"type": "function_call", "name": "exec_command"},
        {"type": "function_call_output", "output": "round"},
    ]
    text = provider.ask("/v1/responses", model="gpt-5.1-codex", input=items, tools=[EXEC], stream=True)
    last = json.loads(text.strip().splitlines()[-1].removeprefix("data: "))
    assert last["type"] == "response.completed"
    (row,) = provider.ledger()
    assert (row["scenario"], row["step"], row["session"]) == ("multi", 1, "t1")
    assert row["billed"]["reasoning"] == 301
    assert row["billed"]["output"] == last["response"]["usage"]["output_tokens"] == 1302
    counts = last["response"]["usage"]
    cached = counts["input_tokens_details"]["cached_tokens"]
    assert row["billed"]["input"] + row["billed"]["cache_read"] == counts["input_tokens"]
    assert row["billed"]["cache_read"] == cached


def test_a_refused_try_bills_nothing_and_the_next_one_is_answered(provider: Provider) -> None:
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "@@err529@@ go"}]}
    with pytest.raises(urllib.error.HTTPError) as refused:
        provider.ask("/v1/messages", **body)
    refused.value.close()
    assert refused.value.code == 529
    provider.ask("/v1/messages", **body)
    rows = provider.ledger()
    assert [r["status"] for r in rows] == [529, 200]
    assert summed(rows)["responses"] == 1
    assert price(rows[:1]) == 0 < price(rows)


def test_a_call_under_way_when_the_provider_stops_is_booked_as_incomplete(provider: Provider) -> None:
    body = json.dumps(
        {"model": "m", "stream": True, "messages": [{"role": "user", "content": "@@slowstream:60@@"}]}
    )
    url = f"http://127.0.0.1:{provider.port}/v1/messages"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, body.encode()), timeout=10) as answer:
        answer.readline()
        provider.process.terminate()
        provider.process.wait(5)
    (row,) = provider.ledger()
    assert row["complete"] is False
    assert row["billed"]["output"] == 1001
    assert summed([row])["responses"] == 0


SHELL = {"properties": {"command": {"type": "string"}}, "required": ["command"]}


def test_chat_completions_say_what_is_booked(provider: Provider) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "@@tool@@ go"}], "stream": True}
    tool = {"type": "function", "function": {"name": "Shell", "parameters": SHELL}}
    lines = provider.ask("/v1/chat/completions", **body, tools=[tool]).strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    calls = [c["choices"][0]["delta"].get("tool_calls") for c in chunks[:-1]]
    assert json.loads(next(filter(None, calls))[0]["function"]["arguments"]) == {"command": "echo hi"}
    (row,) = provider.ledger()
    usage = chunks[-1]["usage"]
    assert (row["api"], row["tools"], row["step"]) == ("chat", 1, 0)
    assert row["billed"]["input"] + row["billed"]["cache_read"] == usage["prompt_tokens"]
    assert row["billed"]["output"] == usage["completion_tokens"] == 1001


def test_a_gemini_stream_ends_with_what_is_booked_thoughts_apart(provider: Provider) -> None:
    said = [
        {"role": "user", "parts": [{"text": "@@multi@@ go"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "run_shell_command"}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "run_shell_command"}}]},
    ]
    tools = [{"functionDeclarations": [{"name": "run_shell_command", "parametersJsonSchema": SHELL}]}]
    path = "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    text = provider.ask(path, contents=said, tools=tools)
    last = json.loads(text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"command": "echo two"}
    (row,) = provider.ledger()
    usage = last["usageMetadata"]
    assert (row["model"], row["scenario"], row["step"]) == ("gemini-2.5-pro", "multi", 1)
    assert row["billed"]["reasoning"] == usage["thoughtsTokenCount"] == 301
    assert row["billed"]["output"] == usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
    assert row["billed"]["input"] + row["billed"]["cache_read"] == usage["promptTokenCount"]
