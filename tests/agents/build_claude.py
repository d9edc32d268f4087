"""Synthetic Claude Code transcripts: records in the shape of version 2.1.330, one method each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any
from uuid import UUID

START_MS = 1_795_293_440_000  # 2026-11-21T20:37:20Z
MODEL = "claude-opus-5-5"
FOLDER = ".claude/projects/-home-dev-work-app"
OLD = "2.1.197"  # before api-request, cost-state and requestSessionId
ANCIENT = "2.1.29"  # lines of a response may hold only a part of its output

_numbers = count(1)


def uuid() -> str:
    return str(UUID(int=next(_numbers) << 64 | 4 << 76 | 1))


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def text(words: str = "Done.") -> dict[str, Any]:
    return {"type": "text", "text": words}


def tool(name: str = "Bash", tool_id: str = "toolu_1", **arguments: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": tool_id, "name": name, "input": arguments}


def usage(
    fresh: int = 3, output: int = 120, read: int = 1000, w5: int = 200, w1: int = 0, **more: Any
) -> dict[str, Any]:
    """A usage object; the cache writes are split by their lifetime."""
    return {
        "input_tokens": fresh, "cache_creation_input_tokens": w5 + w1, "cache_read_input_tokens": read,
        "output_tokens": output, "output_tokens_details": {"thinking_tokens": 0},
        "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0}, "service_tier": "standard",
        "cache_creation": {"ephemeral_1h_input_tokens": w1, "ephemeral_5m_input_tokens": w5},
        "inference_geo": "", "iterations": [], "speed": "standard", **more,
    }  # fmt: skip


def total_of(fresh: int = 0, output: int = 0, read: int = 0, w5: int = 0, w1: int = 0) -> dict[str, Any]:
    """What `cost-state` says of one model."""
    return {
        "inputTokens": fresh, "outputTokens": output, "thinkingTokens": 0, "cacheReadInputTokens": read,
        "cacheCreationInputTokens": w5 + w1, "cacheCreationEphemeral5mInputTokens": w5,
        "cacheCreationEphemeral1hInputTokens": w1, "webSearchRequests": 0, "costUSD": 0.01,
    }  # fmt: skip


class Transcript:
    """The lines of one transcript. Its clock moves on by a second with each record."""

    def __init__(
        self, session: str, *, version: str = "2.1.330", agent: str = "", cwd: str = "/home/dev/work/app",
        at_ms: int = START_MS,
    ) -> None:  # fmt: skip
        self.session, self.version, self.agent, self.cwd = session, version, agent, cwd
        self.ms = at_ms
        self.records: list[dict[str, Any]] = []
        self.started_ms = at_ms

    def add(self, record: dict[str, Any]) -> dict[str, Any]:
        self.records.append(record)
        return record

    def tick(self, at_ms: int | None = None) -> int:
        self.ms = self.ms + 1000 if at_ms is None else at_ms
        return self.ms

    def _said(self, kind: str, at_ms: int | None, **more: Any) -> dict[str, Any]:
        side = {"agentId": self.agent} if self.agent else {}
        return {
            "parentUuid": None, "isSidechain": bool(self.agent), **side, "type": kind, **more, "uuid": uuid(),
            "timestamp": iso(self.tick(at_ms)), "userType": "external", "entrypoint": "sdk-cli", "cwd": self.cwd,
            "sessionId": self.session, "version": self.version, "gitBranch": "main",
        }  # fmt: skip

    def user(self, content: Any = "fix the test", *, at_ms: int | None = None, **more: Any) -> dict[str, Any]:
        return self.add(self._said("user", at_ms, message={"role": "user", "content": content}, **more))

    def request(self, call: str = "call-1", *, at_ms: int | None = None) -> dict[str, Any]:
        side = {"agentId": self.agent} if self.agent else {}
        return self.add(
            {"type": "api-request", "sessionId": self.session, **side, "id": call, "timestamp": iso(self.tick(at_ms)),
             "version": self.version, "querySource": "sdk", "shapeHash": "ce0b",
             "params": {"model": MODEL, "betas": [], "max_tokens": 32000}, "keep": 0, "tail": []}
        )  # fmt: skip

    def reply(
        self, message: str | None = "msg_1", used: dict[str, Any] | None = None, *blocks: dict[str, Any],
        request: str | None = "req_1", call: str = "", model: str = MODEL, stop: str | None = "end_turn",
        at_ms: int | None = None, step_ms: int = 50, **more: Any,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """One response: a line for each content block, all with the same usage."""
        lines = []
        for index, block in enumerate(blocks or (text(),)):
            body = {
                "id": message, "type": "message", "role": "assistant", "model": model, "content": [block],
                "stop_reason": stop, "stop_sequence": None, "usage": used if used is not None else usage(),
            }  # fmt: skip
            if message is None:
                del body["id"]
            ids = {"requestId": request} if request else {}
            if call:
                ids["requestRef"] = call
            when = at_ms if not index else self.ms + step_ms
            record = self._said("assistant", when, message=body, apiBlockIndex=index, **ids, **more)
            # `type` stands behind `message` in these lines.
            record["type"] = record.pop("type")
            lines.append(self.add(record))
        return lines

    def cost(self, models: dict[str, dict[str, Any]], *, started_ms: int | None = None) -> dict[str, Any]:
        return self.add(
            {"type": "cost-state", "sessionId": self.session, "totalCostUSD": 0.05, "totalAPIDuration": 1118,
             "totalDuration": 2819, "startTime": self.started_ms if started_ms is None else started_ms,
             "modelUsage": models, "hasUnknownModelCost": False}
        )  # fmt: skip

    def system(self, subtype: str, *, at_ms: int | None = None, **more: Any) -> dict[str, Any]:
        return self.add(self._said("system", at_ms, subtype=subtype, level="info", **more))

    def compacted(self, before: int = 23522) -> None:
        """What `/compact` leaves: a boundary and a summary, no line of the calls that made it."""
        about = {"trigger": "manual", "preTokens": before, "postTokens": 2687, "durationMs": 175}
        self.system("compact_boundary", content="Conversation compacted", compactMetadata=about)
        self.user("This session is being continued", isCompactSummary=True, isVisibleInTranscriptOnly=True)

    def api_error(self, status: int, attempt: int = 1) -> None:
        error = {"message": f"{status} overloaded", "status": status, "requestId": f"req_e{attempt}"}
        self.system("api_error", error=error, retryAttempt=attempt, maxRetries=10, retryInMs=1000)

    def fork(self, session: str, *, marked: bool = True, upto: int | None = None) -> Transcript:
        """A copy of the history under another id; 2.1.330 marks whose calls they were, 2.1.197 does not."""
        child = Transcript(session, version=self.version, cwd=self.cwd, at_ms=self.ms)
        for record in self.records[:upto]:
            if record["type"] not in ("user", "assistant", "system"):
                continue
            copied = {**record, "sessionId": session}
            if marked and record["type"] == "assistant":
                copied["requestSessionId"] = record.get("requestSessionId", self.session)
            child.records.append(copied)
        child.started_ms = self.started_ms
        return child

    @property
    def path(self) -> str:
        if self.agent:
            return f"{FOLDER}/{self.session}/subagents/agent-{self.agent}.jsonl"
        return f"{FOLDER}/{self.session}.jsonl"

    def bytes(self) -> bytes:
        return b"".join(dumps(record) for record in self.records)


def dumps(record: Any) -> bytes:
    """Compact JSON as the client writes it, with the newline."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def sub_agent(
    root: str, agent: str, *, parent: str = "", depth: int = 1, tool_id: str = "toolu_1", folder: str = ""
) -> tuple[str, str]:
    """(path, content) of the file beside a sub-agent's transcript."""
    about: dict[str, Any] = {
        "agentType": "general-purpose", "description": "look around", "toolUseId": tool_id, "spawnDepth": depth,
    }  # fmt: skip
    if parent:
        about["parentAgentId"] = parent
    return f"{FOLDER}/{root}/subagents/{folder}agent-{agent}.meta.json", json.dumps(about)
