"""Commits and pull requests that a tool call made, from its command and from what it printed. Pure."""

from __future__ import annotations

import re

from msgspec import Struct

from .decoding import record

_CHARS = 200_000
_DEPTH = 8
_GIVEN = frozenset({"input", "arguments", "args", "parameters", "function_args", "function", "action"})
_MOST = 20
_COMMITS = re.compile(r"\bgit\b[^\n]{0,200}?\bcommit\b|\bgit\b[^\n]{0,80}?\b(?:cherry-pick|revert)\b")
_PULLS = re.compile(r"\b(?:pr|mr|pull-request) (?:create|new)\b|create_(?:pull|merge)_request\b")
_COMMITTED = re.compile(r"^\[[^\]\n]{1,200}? ([0-9a-f]{7,40})\] ", re.MULTILINE)
_OPENED = re.compile(
    r"https?://[\w.-]{1,100}/([\w.-]{1,60}(?:/[\w.-]{1,60}){1,3}?)/(?:-/)?(?:pull|merge_requests)/(\d{1,9})\b"
)


class Publishes(Struct, frozen=True):
    """What a call may make: its output is looked into for nothing else."""

    commits: bool = False
    pulls: bool = False


def publishes(tool: str, command: str) -> Publishes | None:
    """What a call of a tool, or a command, may make; None = neither."""
    commits = bool(_COMMITS.search(command)) or tool.endswith("git_commit")
    pulls = bool(_PULLS.search(command) or _PULLS.search(tool))
    return Publishes(commits, pulls) if commits or pulls else None


def printed(value: object) -> str:
    """All texts of a result record but what the call was given, each to its first characters; kept nowhere."""
    texts: list[str] = []
    _gather(value, texts, 0)
    return "\n".join(texts)


def _gather(value: object, texts: list[str], depth: int) -> None:
    if isinstance(value, str):
        inner = record(value.encode("utf-8", "replace")) if value[:1] == "{" and depth < _DEPTH else None
        if inner is not None:  # Codex wraps what was printed
            _gather(inner, texts, depth + 1)
        texts.append(value[:_CHARS])
    elif isinstance(value, list) and depth < _DEPTH:
        for part in value[:100]:
            _gather(part, texts, depth + 1)
    elif isinstance(value, dict) and depth < _DEPTH:
        for name, part in value.items():
            if name not in _GIVEN:
                _gather(part, texts, depth + 1)


def commits_in(output: str) -> str:
    """The hashes of commits as `git commit` prints them, `?` where it printed none."""
    return " ".join(dict.fromkeys(_COMMITTED.findall(output)[:_MOST])) or "?"


def pulls_in(output: str) -> str:
    """The pull requests whose addresses were printed: `owner/name#12`."""
    return " ".join(dict.fromkeys(f"{name}#{number}" for name, number in _OPENED.findall(output)[:_MOST]))
