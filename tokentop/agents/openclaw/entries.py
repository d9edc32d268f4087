"""What of an OpenClaw transcript is OpenClaw's own, and how a cold archive wraps an entry. Pure."""

from __future__ import annotations

from typing import Any

from tokentop.agents.decoding import obj, record, text

AGENT_ID = "openclaw"
# Providers that older versions named for other agents, and OpenClaw itself: what it delivered, not what it asked.
_DRIVEN = frozenset({"claude-cli", "codex-cli", AGENT_ID})
COLD = b'"event_json"'  # needle of the entries of a cold archive


def is_foreign(message: dict[str, Any]) -> bool:
    """Whether an answer was not a call of OpenClaw's own: another agent's, or a text that it put there itself."""
    return message.get("api") == "cli" or text(message.get("provider")) in _DRIVEN


def cold_entry(line: bytes | bytearray) -> str | None:
    """The entry in a record of a cold archive; None in its other records."""
    found = obj((record(line) or {}).get("row")).get("event_json")
    return found if isinstance(found, str) else None
