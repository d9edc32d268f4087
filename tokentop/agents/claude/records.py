"""The records of Claude Code transcripts that are read, and the fields of them that matter. Pure.

Decoding skips every other field; all fields are optional, because versions and proxies leave them out.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from tokentop.agents.decoding import count


class CacheCreation(Struct):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class Iteration(Struct):
    type: str = ""
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None


class Details(Struct):
    thinking_tokens: int | None = None


class ServerTools(Struct):
    web_search_requests: int | None = None


class LoggedUsage(Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: Details | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    iterations: list[Iteration] | None = None
    server_tool_use: ServerTools | None = None


class Message(Struct):
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: LoggedUsage | None = None


class Line(Struct):
    type: str = ""
    message: Message | None = None
    timestamp: str | None = None
    sessionId: str | None = None
    requestSessionId: str | None = None
    isSidechain: bool | None = None
    agentId: str | None = None
    requestId: str | None = None
    requestRef: str | None = None
    uuid: str | None = None
    cwd: str | None = None
    version: str | None = None
    gitBranch: str | None = None
    entrypoint: str | None = None
    isApiErrorMessage: bool | None = None


class Block(Struct):
    name: str | None = None
    id: str | None = None


class SubMessage(Message):
    content: list[Block] | str | None = None


class SubLine(Line):
    """A line of a sub-agent, whose tool calls may start nested ones."""

    message: SubMessage | None = None


class ModelTotal(Struct):
    inputTokens: int | None = None
    outputTokens: int | None = None
    thinkingTokens: int | None = None
    cacheReadInputTokens: int | None = None
    cacheCreationInputTokens: int | None = None
    cacheCreationEphemeral5mInputTokens: int | None = None
    cacheCreationEphemeral1hInputTokens: int | None = None
    costUSD: float | None = None


class Params(Struct):
    model: str | None = None


class Meta(Struct):
    """The lines that are not messages, and what the screen wants of messages; all fields optional."""

    type: str = ""
    subtype: str | None = None
    uuid: str | None = None
    id: str | None = None
    timestamp: str | None = None
    sessionId: str | None = None
    agentId: str | None = None
    isSidechain: bool | None = None
    params: Params | None = None
    startTime: int | None = None
    modelUsage: dict[str, ModelTotal] | None = None
    customTitle: str | None = None
    aiTitle: str | None = None
    summary: str | None = None
    isMeta: bool | None = None
    message: Any = None
    error: Any = None
    retryAttempt: int | None = None
    cwd: str | None = None
    version: str | None = None
    gitBranch: str | None = None
    entrypoint: str | None = None


LINE = msgspec.json.Decoder(Line)
SUB_LINE: msgspec.json.Decoder[Line] = msgspec.json.Decoder(SubLine)
META = msgspec.json.Decoder(Meta)
RAW = msgspec.json.Decoder(dict[str, Any])


def total_of(usage: LoggedUsage) -> int:
    return (
        (usage.input_tokens or 0) + (usage.output_tokens or 0) + (usage.cache_read_input_tokens or 0)
        + (usage.cache_creation_input_tokens or 0)
    )  # fmt: skip


def searches_of(usage: LoggedUsage) -> int:
    return (count(usage.server_tool_use.web_search_requests) or 0) if usage.server_tool_use else 0
