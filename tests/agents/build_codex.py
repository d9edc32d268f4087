"""Synthetic Codex rollouts: records in the shape of version 0.169.0 and, on demand, of older ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

START_MS = 1_795_293_845_000  # 2026-11-21T20:44:05Z
MODEL = "gpt-5.6"
ZERO = {
    "input_tokens": 0, "cached_input_tokens": 0, "cache_write_input_tokens": 0, "output_tokens": 0,
    "reasoning_output_tokens": 0, "total_tokens": 0,
}  # fmt: skip


def thread(number: int) -> str:
    return f"01a1ffda-0000-7000-8000-{number:012d}"


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def counts(
    fresh: int = 100, read: int = 400, written: int = 0, output: int = 50, reasoning: int = 0
) -> dict[str, int]:
    """Token fields as the log has them: `input_tokens` holds cached and written ones."""
    prompt = fresh + read + written
    return {
        "input_tokens": prompt, "cached_input_tokens": read, "cache_write_input_tokens": written,
        "output_tokens": output, "reasoning_output_tokens": reasoning, "total_tokens": prompt + output,
    }  # fmt: skip


def plus(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    return {name: a.get(name, 0) + b.get(name, 0) for name in {**a, **b}}


class Rollout:
    """The lines of one rollout. Its clock moves on by a second with each record."""

    def __init__(
        self, number: int, *, at_ms: int = START_MS, ordinals: bool = True, first_ordinal: int = 0,
        meta: bool = True, total: dict[str, int] | None = None, **about: Any,
    ) -> None:  # fmt: skip
        self.id = thread(number)
        self.ms = at_ms
        self.ordinals = ordinals
        self.next = first_ordinal
        self.total = dict(total or ZERO)
        self.records: list[dict[str, Any]] = []
        if meta:
            self.meta(**about)

    def add(self, kind: str, payload: dict[str, Any], *, at_ms: int | None = None) -> dict[str, Any]:
        self.ms = self.ms + 1000 if at_ms is None else at_ms
        record: dict[str, Any] = {"timestamp": iso(self.ms)}
        if self.ordinals:
            record["ordinal"] = self.next
        record |= {"type": kind, "payload": payload}
        self.next += 1
        self.records.append(record)
        return record

    def meta(self, **about: Any) -> dict[str, Any]:
        payload = {
            "session_id": self.id, "id": self.id, "timestamp": iso(self.ms), "cwd": "/home/dev/work/app",
            "originator": "codex_exec", "cli_version": "0.169.0", "source": "exec", "thread_source": "user",
            "model_provider": "openai", "base_instructions": {"text": "[text 20751 chars]"},
            "history_mode": "paginated", "git": {"branch": "main"},
        } | about  # fmt: skip
        return self.add("session_meta", {k: v for k, v in payload.items() if v is not None}, at_ms=self.ms)

    def event(self, kind: str, *, at_ms: int | None = None, **more: Any) -> dict[str, Any]:
        return self.add("event_msg", {"type": kind, **more}, at_ms=at_ms)

    def started(self, **more: Any) -> None:
        self.event("task_started", turn_id="turn-1", model_context_window=258_400, **more)

    def model(self, name: str = MODEL) -> None:
        self.add(
            "turn_context",
            {"turn_id": "turn-1", "cwd": "/home/dev/work/app", "model": name, "summary": "none"},
        )

    def settings(self, **settings: Any) -> None:
        self.event("thread_settings_applied", thread_id=self.id, thread_settings=settings)

    def prompt(self, words: str = "fix the test", role: str = "user") -> None:
        content = [{"type": "input_text", "text": words}]
        self.add("response_item", {"type": "message", "role": role, "content": content})

    def record(self, response: str, used: dict[str, int], *, at_ms: int | None = None, **more: Any) -> None:
        """`token_usage_record` (0.153 and later): right after the response."""
        self.total = plus(self.total, used)
        payload = {
            "thread_id": self.id, "turn_id": "turn-1", "session_id": self.id, "response_id": response,
            "usage": used, "turn_token_usage": self.total, "thread_token_usage": self.total,
        } | more  # fmt: skip
        self.add("token_usage_record", {k: v for k, v in payload.items() if v is not None}, at_ms=at_ms)

    def count(
        self, used: dict[str, int], *, at_ms: int | None = None, grow: bool = True, **more: Any
    ) -> None:
        """`token_count`: after the tool calls of the step."""
        if grow:
            self.total = plus(self.total, used)
        info = {"total_token_usage": self.total, "last_token_usage": used, "model_context_window": 258_400}
        self.event("token_count", at_ms=at_ms, info=info, **more)

    def both(self, response: str, used: dict[str, int]) -> None:
        self.record(response, used)
        self.count(used, grow=False)

    def legacy_copy(self, parent: Rollout, *, spread_ms: int = 0) -> None:
        """The whole history of the parent, with the timestamps of the fork."""
        for record in parent.records:
            self.ms += spread_ms
            self.records.append({**record, "timestamp": iso(self.ms)})
        self.total = dict(parent.total)

    @property
    def name(self) -> str:
        moment = datetime.fromtimestamp(START_MS / 1000, UTC).strftime("%Y-%m-%dT%H-%M-%S")
        return f"rollout-{moment}-{self.id}.jsonl"

    @property
    def path(self) -> str:
        return f".codex/sessions/2026/11/21/{self.name}"

    def bytes(self) -> bytes:
        return b"".join(
            json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
            for record in self.records
        )


def limits(
    limit_id: str | None, *windows: tuple[float, int, dict[str, Any]], plan: str = "plus"
) -> dict[str, Any]:
    """`rate_limits` with windows of (used per cent, minutes, how the reset is told)."""
    names = ("primary", "secondary")
    out: dict[str, Any] = {"limit_id": limit_id, "primary": None, "secondary": None, "plan_type": plan}
    for name, (used, minutes, reset) in zip(names, windows, strict=False):
        out[name] = {"used_percent": used, "window_minutes": minutes, **reset}
    return out
