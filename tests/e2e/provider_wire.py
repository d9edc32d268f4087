"""Two wire formats of the fake provider: Anthropic Messages and OpenAI Responses, pure.

`parse_*` turns a request body into a `Request`; `*_reply` turns an answer into the whole response object and
the server-sent events of its stream. An event is (name, payload, paced): after a paced one the server waits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from provider_script import Answer, Buckets, Request, Tool, pieces, to_json

Event = tuple[str, dict[str, Any] | str, bool]


@dataclass(frozen=True)
class Reply:
    whole: dict[str, Any]
    usage: dict[str, Any]
    events: list[Event]
    headers: list[tuple[str, str]]


def texts(content: Any, kinds: tuple[str, ...]) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [x.get("text", "") for x in content or [] if x.get("type") in kinds]


# ---------------------------------------------------------------- Anthropic Messages


def parse_anthropic(body: dict[str, Any]) -> Request:
    users: list[tuple[str, int]] = []
    last = ""
    for message in body.get("messages", []):
        if message.get("role") == "assistant":
            if last != "assistant":
                users = [(text, n + 1) for text, n in users]
        else:
            users += [(text, 0) for text in texts(message.get("content"), ("text",))]
        last = message.get("role", "")
    tools = [Tool(t["name"], t.get("input_schema") or {}) for t in body.get("tools") or [] if t.get("name")]
    thinking = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    return Request(users, tools, thinking)


def anthropic_reply(
    answer: Answer, b: Buckets, request: Request, ids: tuple[str, str, str], model: str, now: int
) -> Reply:
    """`ids` = (message id, request id, prefix for tool ids); `now` = UNIX seconds, for reset times."""
    content: list[dict[str, Any]] = []
    for i, part in enumerate(answer.parts):
        if part.kind == "text":
            content.append({"type": "text", "text": part.text})
        elif part.kind == "think" and request.thinking:
            content.append({"type": "thinking", "thinking": part.text, "signature": "c2ln"})
        elif part.tool:
            call = {"type": "tool_use", "id": f"toolu_{ids[2]}_{i}", "name": part.tool.name}
            content.append({**call, "input": part.arguments})
    stop = "tool_use" if any(c["type"] == "tool_use" for c in content) else "end_turn"
    counts = {
        "input_tokens": b.input,
        "cache_creation_input_tokens": b.cache_write_5m + b.cache_write_1h,
        "cache_read_input_tokens": b.cache_read,
        "output_tokens": b.output,
    }
    split = {"ephemeral_5m_input_tokens": b.cache_write_5m, "ephemeral_1h_input_tokens": b.cache_write_1h}
    usage = {**counts, "cache_creation": split, "service_tier": "standard"}
    head = {"id": ids[0], "type": "message", "role": "assistant", "model": model, "stop_sequence": None}
    whole = {**head, "content": content, "stop_reason": stop, "usage": usage}
    start = {**head, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 3}}
    events: list[Event] = [("message_start", {"message": start}, False), ("ping", {}, False)]
    for i, block in enumerate(content):
        events += _anthropic_block(i, block)
    events.append(
        ("message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": counts}, False)
    )
    events.append(("message_stop", {}, False))
    headers = [
        ("request-id", ids[1]),
        ("anthropic-ratelimit-unified-status", "allowed"),
        ("anthropic-ratelimit-unified-5h-utilization", "0.42"),
        ("anthropic-ratelimit-unified-5h-reset", str(now + 9000)),
    ]
    return Reply(whole, usage, [(n, {"type": n, **p}, paced) for n, p, paced in events], headers)


def _anthropic_block(i: int, block: dict[str, Any]) -> Iterator[Event]:
    if block["type"] == "text":
        empty: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": p} for p in pieces(block["text"])]
    elif block["type"] == "thinking":
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": p} for p in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": "c2ln"})
    else:
        empty = {**block, "input": {}}
        deltas = [
            {"type": "input_json_delta", "partial_json": p} for p in pieces(to_json(block["input"]), 60)
        ]
    yield "content_block_start", {"index": i, "content_block": empty}, False
    for delta in deltas:
        yield "content_block_delta", {"index": i, "delta": delta}, True
    yield "content_block_stop", {"index": i}, False


# ---------------------------------------------------------------- OpenAI Responses

CALLS = ("function_call", "custom_tool_call", "local_shell_call", "reasoning")
SPAWNED = re.compile(r'\\*"agent_id\\*": ?\\*"([0-9a-f-]{36})')


def parse_responses(body: dict[str, Any]) -> Request:
    users: list[tuple[str, int]] = []
    spawned: list[str] = []
    last = ""
    items = body.get("input") or []
    for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
        kind, role = item.get("type", "message"), item.get("role")
        if (kind == "message" and role == "assistant") or kind in CALLS:
            if last != "assistant":
                users = [(text, n + 1) for text, n in users]
            last = "assistant"
            continue
        last = "user"
        if kind in ("message", "agent_message") and role in ("user", None):
            users += [(text, 0) for text in texts(item.get("content"), ("input_text", "text"))]
        elif kind == "function_call_output":
            spawned += SPAWNED.findall(json.dumps(item.get("output")))
    tools: list[Tool] = []
    for t in body.get("tools") or []:
        if t.get("type") == "function":
            tools.append(Tool(t["name"], t.get("parameters") or {}))
        elif t.get("type") == "namespace":
            inner = t.get("tools") or []
            tools += [Tool(x["name"], x.get("parameters") or {}, t["name"]) for x in inner]
    return Request(users, tools, spawned=spawned)


def responses_reply(
    answer: Answer, b: Buckets, request: Request, ids: tuple[str, str, str], model: str, now: int
) -> Reply:
    """As `anthropic_reply`."""
    output = [_responses_item(part, f"{ids[2]}_{i}") for i, part in enumerate(answer.parts)]
    usage = {
        "input_tokens": b.prompt,
        "input_tokens_details": {"cached_tokens": b.cache_read},
        "output_tokens": b.output,
        "output_tokens_details": {"reasoning_tokens": b.reasoning},
        "total_tokens": b.prompt + b.output,
    }
    base = {
        "id": ids[0],
        "object": "response",
        "created_at": now,
        "model": model,
        "status": "in_progress",
        "output": [],
        "error": None,
        "usage": None,
    }
    whole = {**base, "status": "completed", "output": output, "usage": usage}
    events: list[Event] = [("response.created", {"response": base}, False)]
    for i, item in enumerate(output):
        events += _responses_events(i, item)
    events.append(("response.completed", {"response": whole}, False))
    headers = [
        ("x-request-id", ids[1]),
        ("openai-model", model),
        ("x-codex-primary-used-percent", "42"),
        ("x-codex-primary-window-minutes", "300"),
        ("x-codex-primary-reset-at", str(now + 9000)),
        ("x-codex-secondary-used-percent", "13"),
        ("x-codex-secondary-window-minutes", "10080"),
        ("x-codex-secondary-reset-at", str(now + 400_000)),
    ]
    numbered = [(n, {"type": n, "sequence_number": i, **p}, w) for i, (n, p, w) in enumerate(events)]
    return Reply(whole, usage, numbered, headers)


def _responses_item(part: Any, ident: str) -> dict[str, Any]:
    if part.kind == "text":
        content = [{"type": "output_text", "text": part.text, "annotations": []}]
        head = {"type": "message", "id": f"msg_{ident}", "role": "assistant", "status": "completed"}
        return {**head, "content": content}
    if part.kind == "think":
        summary = [{"type": "summary_text", "text": part.text}]
        return {"type": "reasoning", "id": f"rs_{ident}", "summary": summary, "encrypted_content": "Z2hv"}
    item = {
        "type": "function_call",
        "id": f"fc_{ident}",
        "call_id": f"call_{ident}",
        "name": part.tool.name,
        "arguments": to_json(part.arguments),
        "status": "completed",
    }
    return {**item, "namespace": part.tool.namespace} if part.tool.namespace else item


def _responses_events(i: int, item: dict[str, Any]) -> Iterator[Event]:
    where = {"output_index": i}
    if item["type"] == "message":
        text = item["content"][0]["text"]
        place = {**where, "item_id": item["id"], "content_index": 0}
        opened = {**item, "status": "in_progress", "content": []}
        yield "response.output_item.added", {**where, "item": opened}, False
        empty = {"type": "output_text", "text": "", "annotations": []}
        yield "response.content_part.added", {**place, "part": empty}, False
        for piece in pieces(text):
            yield "response.output_text.delta", {**place, "delta": piece}, True
        yield "response.output_text.done", {**place, "text": text}, False
        yield "response.content_part.done", {**place, "part": item["content"][0]}, False
    elif item["type"] == "function_call":
        place = {**where, "item_id": item["id"]}
        opened = {**item, "arguments": "", "status": "in_progress"}
        yield "response.output_item.added", {**where, "item": opened}, False
        yield "response.function_call_arguments.delta", {**place, "delta": item["arguments"]}, False
        yield "response.function_call_arguments.done", {**place, "arguments": item["arguments"]}, False
    else:
        yield "response.output_item.added", {**where, "item": item}, False
    yield "response.output_item.done", {**where, "item": item}, False
