"""`workspace.yaml` beside Copilot's events: flat `key: value` lines. Pure."""

from __future__ import annotations

import json

from tokentop.agents.base import LogFile
from tokentop.agents.decoding import epoch_ms, identifier
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Session
from tokentop.text import clean, title

AGENT_ID = "copilot"

_AUTO, _BY_USER = 2, 3  # title ranks; the first prompt has 1
_MAX_LINES = 200


def read_workspace(file: LogFile, data: bytes) -> list[Fact]:
    """The facts of one `workspace.yaml`; its folder is the session's id."""
    about = flat_yaml(data.decode("utf-8", "replace"))
    session_id = identifier(file.parents[-1] if file.parents else about.get("id", ""))
    if not session_id:
        return []
    name = about.get("name", "")
    rank = (_BY_USER if about.get("user_named") == "true" else _AUTO) if name else 0
    return [
        Session(
            AGENT_ID, session_id, cwd=clean(about.get("cwd", ""), 400),
            branch=clean(about.get("branch", ""), 100), title=title(name) if name else "", title_rank=rank,
            first_ms=epoch_ms(about.get("created_at")), surface=clean(about.get("client_name", ""), 40),
        )
    ]  # fmt: skip


def flat_yaml(text: str) -> dict[str, str]:
    """The top-level scalars of a YAML document; of a text over several lines the first one."""
    found: dict[str, str] = {}
    lines = text.splitlines()[:_MAX_LINES]
    for index, line in enumerate(lines):
        key, colon, value = line.partition(":")
        if not colon or not key.isidentifier():
            continue
        value = value.strip()
        if value[:1] in ("|", ">"):
            below = lines[index + 1] if index + 1 < len(lines) else ""
            value = below.strip() if below.startswith((" ", "\t")) else ""
        found[key] = _scalar(value)
    return found


def _scalar(value: str) -> str:
    if value[:1] == "'":
        return value.strip("'").replace("''", "'")
    if value[:1] == '"':
        try:
            return str(json.loads(value))
        except (ValueError, RecursionError):
            return value.strip('"')
    return "" if value in ("null", "~") else value
