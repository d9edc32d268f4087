"""Parts of the records that `_steps` knows: identity, time, outcome and telling argument of a call. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tokentop.text import one_line

from .decoding import epoch_ms, obj, objects, string

DETAIL_CHARS = 200
_TIMES = ("timestamp", "time", "createdAt", "created_at", "ts", "completed_at_ms", "updatedAt")
_TEXTS = frozenset({"text", "output_text", "input_text", ""})
_ARGUMENTS = (
    "command", "cmd", "commands", "script", "file_path", "filePath", "path", "absolute_path", "filepath", "pattern", "query",
    "url", "description", "prompt", "task", "message", "input", "code", "text", "name",
)  # fmt: skip
_IDS = ("call_id", "callID", "callId", "toolCallId", "tool_call_id", "tool_use_id", "toolUseId", "id", "uuid")
_PATCHED = re.compile(r"^\*\*\* [A-Z][a-zA-Z ]{2,20}: (.+)$", re.MULTILINE)
_PATCH_CHARS = 1 << 20
_CLIENTS_TAG = re.compile(r"</?(?:[A-Za-z]+[-_][\w-]*|[A-Z]{3,})[\s>]")
_NOT_A_PROMPT = ("Caveat:", "[Request inter", "# AGENTS.md")
_WRAPPED = ("<user_input", "<user_message")  # a person's words in a tag
_GOOD = frozenset({"success", "completed", "succeeded", "ok", "done"})
_BAD = frozenset({"error", "failed", "failure", "cancelled", "canceled", "rejected", "declined", "timed_out"})


def arguments_of(value: object) -> dict[str, Any] | str:
    """The arguments of a tool call by name; a text where they are no object."""
    if isinstance(value, str):
        if value[:1] not in "{[":
            return value
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return str(value)
    return value if isinstance(value, dict) else {}


def argument(given: object) -> str:
    """The telling argument of a tool call on one line, masked: its command, file or pattern."""
    value = arguments_of(given)
    if isinstance(value, str):
        return one_line(" ".join(patched_files(value)) or value, DETAIL_CHARS)
    for name in _ARGUMENTS:
        found = value.get(name)
        if isinstance(found, list):
            found = " ".join(part for part in found if isinstance(part, str))
        if isinstance(found, str) and found.strip():
            return one_line(found, DETAIL_CHARS)
    return ""


def patched_files(text: str) -> list[str]:
    """The files that a patch for `apply_patch` changes; none of any other text."""
    if not text.startswith("*** Begin Patch"):
        return []
    return [path.strip() for path in _PATCHED.findall(text[:_PATCH_CHARS])]


def is_arguments(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, str) and value[:1] == "{")


def is_prompt(said: str) -> bool:
    """Whether a text in the user's place is a person's: clients put theirs into tags with - or _ in the name."""
    said = said.lstrip()[:60]
    return said.startswith(_WRAPPED) or not (said.startswith(_NOT_A_PROMPT) or _CLIENTS_TAG.match(said))


def identity(value: dict[str, Any]) -> str:
    for name in _IDS:
        found = value.get(name)
        if isinstance(found, str) and found:
            return found
    return ""


def outcome(value: dict[str, Any]) -> str:
    """ok, failed, open, or "" where the record does not tell."""
    for name in ("is_error", "isError"):
        if isinstance(value.get(name), bool):
            return "failed" if value[name] else "ok"
    if isinstance(value.get("success"), bool):
        return "ok" if value["success"] else "failed"
    code = value.get("exit_code")
    if type(code) is int:
        return "ok" if code == 0 else "failed"
    status = string(value.get("status")).lower()
    if status in _GOOD:
        return "ok"
    if status in _BAD:
        return "failed"
    if status in {"running", "pending", "in_progress", "executing", "scheduled"}:
        return "open"
    inner = obj(value.get("return_value"))
    return outcome(inner) if inner else ""


def took_of(value: dict[str, Any]) -> object:
    """Milliseconds as the record gives them, unchecked; None = it gives none."""
    span = obj(value.get("duration"))  # Rust's: seconds and the rest in nanoseconds
    if type(span.get("secs")) is int and type(span.get("nanos")) is int:
        return span["secs"] * 1000 + span["nanos"] // 1_000_000
    return value.get("duration_ms", value.get("durationMs"))


def time_of(value: dict[str, Any]) -> int:
    for name in _TIMES:
        if name in value and (ms := epoch_ms(value[name])):
            return ms
    return 0


def text_of(value: dict[str, Any]) -> str:
    """What one record itself says, without its parts."""
    for name in ("text", "content"):
        found = value.get(name)
        if isinstance(found, str) and found.strip() and not value.get("thought"):
            if name == "text" and string(value.get("type")).lower() not in _TEXTS:
                continue
            return found
    return ""


def inner_objects(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    else:
        yield from objects(value)
