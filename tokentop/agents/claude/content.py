"""What the content blocks of Claude Code messages say: prompts, tools, interruptions. Pure."""

from __future__ import annotations

from typing import Any

from tokentop.nouns.sessions import Activity, State
from tokentop.text import clean, mask_secrets

AGENT_ID = "claude"

SPAWN_TOOLS = frozenset({"Agent", "Task"})
_NOT_A_PROMPT = (
    "<command-",
    "<local-command",
    "<system-reminder",
    "<task-notification",
    "Caveat:",
    "[Request inter",
)
_TOOL_ARGUMENTS = ("command", "file_path", "pattern", "description", "url", "query", "path")


def prompt_text(content: object) -> str:
    """What a person typed in a user line; empty for tool results, commands and reminders."""
    if isinstance(content, list):
        parts = [p.get("text") for p in content if isinstance(p, dict) and p.get("type") == "text"]
        content = next(
            (p for p in parts if isinstance(p, str) and not p.lstrip().startswith(_NOT_A_PROMPT)), ""
        )
    if isinstance(content, str) and not content.lstrip().startswith(_NOT_A_PROMPT):
        return content.strip()
    return ""


def assistant_activity(session_id: str, at_ms: int, message: dict[str, Any]) -> Activity:
    """Status after an assistant line: a tool call is unanswered, the turn has ended, or more comes."""
    for part in reversed(_parts(message)):
        if part.get("type") == "tool_use":
            tool = clean(str(part.get("name") or "tool"), 40)
            return Activity(AGENT_ID, session_id, at_ms, State.TOOL, tool, _argument(part.get("input")))
    ended = message.get("stop_reason") in ("end_turn", "stop_sequence", "max_tokens", "refusal")
    return Activity(AGENT_ID, session_id, at_ms, State.IDLE if ended else State.WORKING)


def user_activity(session_id: str, at_ms: int, message: dict[str, Any]) -> Activity:
    """Status after a user line: a prompt or a tool result makes the agent work, an interruption ends the turn."""
    text = message.get("content")
    parts = _parts(message)
    interrupted = "[Request interrupted by user" in (text if isinstance(text, str) else "") or any(
        "[Request interrupted by user" in str(part.get("text") or "") for part in parts
    )
    return Activity(AGENT_ID, session_id, at_ms, State.IDLE if interrupted else State.WORKING)


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _argument(value: object) -> str:
    """The telling argument of a tool call, on one line, secrets masked."""
    if not isinstance(value, dict):
        return ""
    text = next((str(value[name]) for name in _TOOL_ARGUMENTS if value.get(name)), "")
    return clean(mask_secrets(" ".join(text[:400].split())), 120)
