"""A generated Claude Code session of any length, with tools, tests, compactions, errors and interrupts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

SID = "0b5ce0de-2222-4333-8444-555566667777"
BEGIN_MS = 1_795_250_000_000
_TOOLS = (
    ("Read", {"file_path": "/home/dev/work/api/retry.py"}), ("Edit", {"file_path": "/home/dev/work/api/retry.py"}),
    ("Bash", {"command": "pytest -q tests/test_retry.py"}), ("Bash", {"command": "git diff --stat"}),
    ("Grep", {"pattern": "backoff"}), ("Bash", {"command": "ruff check ."}),
    ("Write", {"file_path": "/home/dev/work/api/backoff.py"}),
)  # fmt: skip


def long_session(
    turns: int, seed: int = 1, title: str = "fix the flaky retry test", begin_ms: int = BEGIN_MS
) -> bytes:
    """JSON lines of one session with so many prompts."""
    return b"".join(
        json.dumps(record).encode() + b"\n" for record in _records(turns, Random(seed), title, begin_ms)
    )


def _records(turns: int, rng: Random, title: str, at_ms: int) -> Iterator[dict[str, Any]]:
    number, cached = 0, 14_000
    for turn in range(turns):
        at_ms += rng.randint(5_000, 400_000)
        yield _record(at_ms, "user", {"role": "user", "content": title if turn == 0 else f"go on {turn}"})
        for _ in range(rng.randint(1, 5)):
            number += 1
            at_ms += rng.randint(2_000, 20_000)
            miss = rng.random() < 0.04
            written = rng.randint(300, 6_000) + (cached if miss else 0)
            tool, arguments = rng.choice(_TOOLS)
            usage = {
                "input_tokens": rng.randint(2, 60), "output_tokens": rng.randint(80, 1_900),
                "cache_read_input_tokens": 0 if miss else cached, "cache_creation_input_tokens": written,
            }  # fmt: skip
            cached = min(900_000, cached + written if not miss else written)
            block = {"type": "tool_use", "id": f"t{number}", "name": tool, "input": arguments}
            message = {
                "id": f"m{number}",
                "role": "assistant",
                "model": "claude-opus-4-5",
                "content": [block],
                "usage": usage,
            }
            yield _record(at_ms, "assistant", message)
            at_ms += rng.randint(20, 9_000)
            failed = rng.random() < 0.1
            result = {
                "type": "tool_result",
                "tool_use_id": f"t{number}",
                "is_error": failed,
                "content": "3 passed in 1.2s",
            }
            told = {"structuredPatch": [{"lines": ["-a", "+b", "+c"]}]} if tool == "Edit" else {}
            yield _record(at_ms, "user", {"role": "user", "content": [result]}, toolUseResult=told)
        if rng.random() < 0.03:
            at_ms += 1_000
            yield _record(
                at_ms,
                "system",
                None,
                subtype="api_error",
                error={"status": rng.choice((529, 500))},
                retryAttempt=1,
            )
        if rng.random() < 0.02:
            at_ms += 1_000
            yield _record(at_ms, "user", {"role": "user", "content": "[Request interrupted by user]"})
        if cached > 160_000:
            at_ms += 4_000
            yield _record(at_ms, "system", None, subtype="compact_boundary")
            cached = 20_000


def _record(at_ms: int, kind: str, message: dict[str, Any] | None, **more: object) -> dict[str, Any]:
    moment = (
        datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
    one = {
        "type": kind,
        "sessionId": SID,
        "timestamp": moment,
        "cwd": "/home/dev/work",
        "gitBranch": "main",
        "version": "2.1.330",
    }
    return {**one, **({"message": message} if message is not None else {}), **more}
