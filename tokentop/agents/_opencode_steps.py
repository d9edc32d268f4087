"""The newest records of one session of OpenCode or Kilo, for who looks at it: parts of v1, messages of v2. Pure."""

from __future__ import annotations

from typing import Any

from .base import Ask, LogFile
from .decoding import obj, record

_PARTS, _MESSAGES = 80, 30
_LONG = 100_000  # characters: the output of a tool is not shown


def newest_records(_file: LogFile, ask: Ask, session_id: str) -> list[dict[str, Any]]:
    """Records with the role and the model of their message, oldest first; empty where the tables are others."""
    tables, found = ask.tables, []
    if {"id", "session_id", "message_id", "data", "time_created"} <= tables.get("part", frozenset()):
        found = _parts(ask, session_id)
    if {"id", "session_id", "type", "seq", "data", "time_created"} <= tables.get(
        "session_message", frozenset()
    ):
        found += _messages(ask, session_id)
    return found


def _parts(ask: Ask, session_id: str) -> list[dict[str, Any]]:
    rows = ask(
        "SELECT CASE WHEN length(p.data) > ? AND json_valid(p.data)"
        " THEN json_remove(p.data, '$.state.output', '$.state.metadata') ELSE p.data END, p.time_created,"
        " CASE WHEN json_valid(m.data) THEN json_extract(m.data, '$.role') END,"
        " CASE WHEN json_valid(m.data) THEN json_extract(m.data, '$.modelID') END"
        " FROM part p LEFT JOIN message m ON m.id = p.message_id"
        " WHERE p.id IN (SELECT id FROM part WHERE session_id = ? ORDER BY id DESC LIMIT ?) ORDER BY p.id",
        _LONG, session_id, _PARTS,
    )  # fmt: skip
    found = []
    for data, created, role, model in rows:
        if (part := record(data)) is not None:
            found.append({"role": role, "modelID": model, "timestamp": created, "parts": [part]})
    return found


def _messages(ask: Ask, session_id: str) -> list[dict[str, Any]]:
    rows = ask(
        "SELECT type, time_created, data FROM session_message WHERE id IN"
        " (SELECT id FROM session_message WHERE session_id = ? ORDER BY seq DESC LIMIT ?) ORDER BY seq",
        session_id, _MESSAGES,
    )  # fmt: skip
    found = []
    for kind, created, data in rows:
        if (message := record(data)) is not None:
            model = obj(message.get("model")).get("id")
            found.append({**message, "type": kind, "timestamp": created, "model": model})
    return found
