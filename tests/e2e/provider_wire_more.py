"""Two more wire formats of the fake provider: Chat Completions and Gemini, pure. See provider_wire.py."""

from __future__ import annotations

from typing import Any

from provider_script import Answer, Buckets, Request, Tool, pieces, to_json
from provider_wire import Event, Reply, texts

# ---------------------------------------------------------------- Chat Completions


def parse_chat(body: dict[str, Any]) -> Request:
    users: list[tuple[str, int]] = []
    last = ""
    for message in body.get("messages", []):
        role = message.get("role", "")
        if role == "assistant" and last != "assistant":
            users = [(text, n + 1) for text, n in users]
        elif role == "user":
            users += [(text, 0) for text in texts(message.get("content"), ("text",))]
        last = role
    offered = [t["function"] for t in body.get("tools") or [] if t.get("function")]
    return Request(users, [Tool(f["name"], f.get("parameters") or {}) for f in offered])


def chat_reply(
    answer: Answer, b: Buckets, request: Request, ids: tuple[str, str, str], model: str, now: int
) -> Reply:
    """As `provider_wire.anthropic_reply`. Without an event name the data stands alone."""
    text = " ".join(part.text for part in answer.parts if part.kind == "text")
    thought = " ".join(part.text for part in answer.parts if part.kind == "think")
    calls = [
        {
            "id": f"call_{ids[2]}_{i}",
            "type": "function",
            "function": {"name": part.tool.name, "arguments": to_json(part.arguments)},
        }
        for i, part in enumerate(answer.parts)
        if part.tool
    ]
    usage = {
        "prompt_tokens": b.prompt,
        "completion_tokens": b.output,
        "total_tokens": b.prompt + b.output,
        "prompt_tokens_details": {"cached_tokens": b.cache_read},
        "completion_tokens_details": {"reasoning_tokens": b.reasoning},
    }
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    message |= {"reasoning_content": thought} if thought else {}
    message |= {"tool_calls": calls} if calls else {}
    finish = "tool_calls" if calls else "stop"
    base = {"id": ids[0], "created": now, "model": model}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}

    def chunk(delta: dict[str, Any], finished: str | None = None, paced: bool = False) -> Event:
        one = {"index": 0, "delta": delta, "finish_reason": finished}
        return "", {**base, "object": "chat.completion.chunk", "choices": [one], "usage": None}, paced

    events = [chunk({"role": "assistant", "content": ""})]
    events += [chunk({"reasoning_content": thought})] if thought else []
    events += [chunk({"content": piece}, paced=True) for piece in (pieces(text) if text else [])]
    events += [chunk({"tool_calls": [{**call, "index": i}]}) for i, call in enumerate(calls)]
    events.append(chunk({}, finish))
    last = {**base, "object": "chat.completion.chunk", "choices": [], "usage": usage}
    return Reply(
        whole, usage, [*events, ("", last, False), ("", "[DONE]", False)], [("x-request-id", ids[1])]
    )


# ---------------------------------------------------------------- Gemini


def parse_gemini(body: dict[str, Any]) -> Request:
    users: list[tuple[str, int]] = []
    last = ""
    for content in body.get("contents", []):
        role = content.get("role", "")
        if role != "model":
            users += [(part["text"], 0) for part in content.get("parts", []) if part.get("text")]
        elif last != "model":
            users = [(text, n + 1) for text, n in users]
        last = role
    offered = [f for t in body.get("tools") or [] for f in t.get("functionDeclarations") or []]
    schemas = [(f["name"], f.get("parametersJsonSchema") or f.get("parameters") or {}) for f in offered]
    return Request(users, [Tool(name, schema) for name, schema in schemas])


def gemini_reply(
    answer: Answer, b: Buckets, request: Request, ids: tuple[str, str, str], model: str, now: int
) -> Reply:
    """As `provider_wire.anthropic_reply`. Candidates exclude thoughts, the prompt includes what is cached."""
    usage = {
        "promptTokenCount": b.prompt,
        "cachedContentTokenCount": b.cache_read,
        "candidatesTokenCount": b.output - b.reasoning,
        "thoughtsTokenCount": b.reasoning,
        "totalTokenCount": b.prompt + b.output,
    }
    parts: list[dict[str, Any]] = []
    for i, part in enumerate(answer.parts):
        if part.tool:
            call = {"name": part.tool.name, "args": part.arguments, "id": f"call_{ids[2]}_{i}"}
            parts.append({"functionCall": call})
        elif part.kind == "think":
            parts.append({"text": part.text, "thought": True})
        else:
            parts += [{"text": piece} for piece in pieces(part.text)]

    def response(some: list[dict[str, Any]], *, ends: bool) -> dict[str, Any]:
        candidate = {"content": {"role": "model", "parts": some}, "index": 0}
        counts = usage if ends else {**usage, "candidatesTokenCount": 1}
        candidate |= {"finishReason": "STOP"} if ends else {}
        return {
            "candidates": [candidate],
            "modelVersion": model,
            "responseId": ids[0],
            "usageMetadata": counts,
        }

    events: list[Event] = [
        ("", response([part], ends=i == len(parts)), True) for i, part in enumerate(parts, start=1)
    ]
    return Reply(response(parts, ends=True), usage, events, [("x-request-id", ids[1])])
