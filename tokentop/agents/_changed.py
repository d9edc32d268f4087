"""Lines that an edit added and removed, where its record counts or shows them; the end of a tool's output. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .decoding import obj, objects, string

_DIFFS = ("fileDiff", "diff", "unified_diff", "patch")
_PLACES = (
    "toolUseResult",
    "resultDisplay",
    "metadata",
    "details",
    "toolCallResult",
    "filediff",
    "diffStat",
    "state",
)
_NAMES = (
    ("model_added_lines", "model_removed_lines"), ("linesAdded", "linesRemoved"), ("additions", "deletions"),
    ("lines_added", "lines_removed"),
)  # fmt: skip
_TELLING = frozenset(
    {*_DIFFS, *_PLACES, "structuredPatch", "toolTelemetry", *(name for pair in _NAMES for name in pair)}
)
_TEXTS = (
    "output",
    "content",
    "result",
    "stdout",
    "stderr",
    "text",
    "response",
    "aggregated_output",
    "llmContent",
)
_TAIL_CHARS = 1_500
_MOST = 1 << 30
_DEPTH = 4

Lines = tuple[int, int]


def lines_of_result(value: dict[str, Any], record: dict[str, Any]) -> Lines | None:
    """(added, removed) of one result record and the record around it; None = they do not tell."""
    for one in (value, record):
        found = _told(one, 0)
        if found is not None:
            return found
    return None


def _told(value: dict[str, Any], depth: int) -> Lines | None:
    if _TELLING.isdisjoint(value):
        return None
    for added, removed in _NAMES:
        if _is_count(value.get(added)) and _is_count(value.get(removed)):
            return value[added], value[removed]
    hunks = value.get("structuredPatch")
    if isinstance(hunks, list):
        if hunks:
            return _counted(line for hunk in objects(hunks) for line in hunk.get("lines") or ())
        if value.get("type") == "create" and isinstance(value.get("content"), str):
            return len(value["content"].splitlines()), 0
    for name in _DIFFS:
        text = value.get(name)
        if isinstance(text, str) and "@@" in text:
            return _counted(_without_heads(text))
    metrics = obj(obj(value.get("toolTelemetry")).get("metrics"))
    inner = [metrics, *(obj(value.get(name)) for name in _PLACES)] if depth < _DEPTH else []
    for one in inner:
        if one and (found := _told(one, depth + 1)) is not None:
            return found
    return None


def lines_of_patch(text: str) -> tuple[int | None, int | None]:
    """The same of a patch as it is given to `apply_patch`; a deleted file does not tell its lines."""
    if "*** Delete File" in text:
        return None, None
    return _counted(line for line in text.splitlines() if not line.startswith(("***", "@@")))


def _without_heads(text: str) -> Iterable[str]:
    """The lines of a unified diff that are content: what stands before the first hunk of a file is not."""
    inside = False
    for line in text.splitlines():
        if line.startswith("@@"):
            inside = True
        elif line.startswith(("diff ", "Index: ", "=====")) or (line.startswith("--- ") and not inside):
            inside = False
        elif inside:
            yield line


def _counted(lines: Iterable[object]) -> Lines:
    added = removed = 0
    for line in lines:
        sign = line[:1] if isinstance(line, str) else ""
        added += sign == "+"
        removed += sign == "-"
    return added, removed


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST


def output_tail(value: object, chars: int = _TAIL_CHARS) -> str:
    """The end of what a tool printed, for the last line of a test runner; it is kept nowhere."""
    texts: list[str] = []
    _gather(value, texts, 0, chars)
    return "\n".join(texts)


def _gather(value: object, texts: list[str], depth: int, chars: int) -> None:
    if isinstance(value, str):
        texts.append(value[-chars:])
    elif isinstance(value, list):
        for part in value[-3:]:
            _gather(part, texts, depth + 1, chars)
    elif isinstance(value, dict) and depth < _DEPTH and string(value.get("type")) != "image":
        for name in _TEXTS:
            if name in value:
                _gather(value[name], texts, depth + 1, chars)
        if isinstance(value.get("state"), dict):
            _gather(value["state"].get("output"), texts, depth + 1, chars)
