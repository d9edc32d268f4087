"""The records of one session of OpenCode or Kilo, for who looks at it: parts of v1, messages of v2. Pure."""

from __future__ import annotations

from typing import Any

from .base import Ask, LogFile
from .decoding import obj, record

_PARTS, _MESSAGES = 80, 30
_PAGE_ROWS = 200
_LONG = 100_000  # characters: the output of a tool is not shown
_PART_COLUMNS = {"id", "session_id", "message_id", "data", "time_created"}
_MESSAGE_COLUMNS = {"id", "session_id", "type", "seq", "data", "time_created"}
_PART = (
    "SELECT p.rowid, CASE WHEN length(p.data) > ? AND json_valid(p.data)"
    " THEN json_remove(p.data, '$.state.output', '$.state.metadata.output', '$.state.metadata.diff',"
    " '$.state.metadata.filediff.before', '$.state.metadata.filediff.after') ELSE p.data END, p.time_created,"
    " CASE WHEN json_valid(m.data) THEN json_extract(m.data, '$.role') END,"
    " CASE WHEN json_valid(m.data) THEN json_extract(m.data, '$.modelID') END"
    " FROM part p LEFT JOIN message m ON m.id = p.message_id WHERE "
)


def newest_records(_file: LogFile, ask: Ask, session_id: str) -> list[dict[str, Any]]:
    """Records with the role and the model of their message, oldest first; empty where the tables are others."""
    found: list[dict[str, Any]] = []
    if _has_parts(ask):
        where = "p.id IN (SELECT id FROM part WHERE session_id = ? ORDER BY id DESC LIMIT ?) ORDER BY p.id"
        found = _parts(ask(_PART + where, _LONG, session_id, _PARTS))
    if _has_messages(ask):
        rows = ask(
            "SELECT seq, type, time_created, data FROM session_message WHERE id IN"
            " (SELECT id FROM session_message WHERE session_id = ? ORDER BY seq DESC LIMIT ?) ORDER BY seq",
            session_id, _MESSAGES,
        )  # fmt: skip
        found += _messages(rows)
    return found


def page(_file: LogFile, ask: Ask, session_id: str, mark: str) -> tuple[list[dict[str, Any]], str]:
    """Some of all records of a session and the mark of those that follow: parts, then messages, then errors."""
    stage, _, after = mark.partition(" ")
    if stage in {"", "parts"} and _has_parts(ask):
        where = "p.session_id = ? AND p.rowid > ? ORDER BY p.rowid LIMIT ?"
        rows = ask(_PART + where, _LONG, session_id, int(after or -1), _PAGE_ROWS)
        more = len(rows) == _PAGE_ROWS
        return _parts(rows), f"parts {rows[-1][0]}" if more else "messages -1"
    if stage in {"", "parts", "messages"} and _has_messages(ask):
        rows = ask(
            "SELECT seq, type, time_created, data FROM session_message WHERE session_id = ? AND seq > ?"
            " ORDER BY seq LIMIT ?",
            session_id, int(after or -1), _PAGE_ROWS,
        )  # fmt: skip
        more = len(rows) == _PAGE_ROWS
        return _messages(rows), f"messages {rows[-1][0]}" if more else "errors"
    return _errors(ask, session_id), ""


def _has_parts(ask: Ask) -> bool:
    return ask.tables.get("part", frozenset()) >= _PART_COLUMNS


def _has_messages(ask: Ask) -> bool:
    return ask.tables.get("session_message", frozenset()) >= _MESSAGE_COLUMNS


def _parts(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    found = []
    for _, data, created, role, model in rows:
        if (part := record(data)) is not None:
            found.append({"role": role, "modelID": model, "timestamp": created, "parts": [part]})
    return found


def _messages(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    found = []
    for _, kind, created, data in rows:
        if (message := record(data)) is not None:
            model = obj(message.get("model")).get("id")
            found.append({**message, "type": kind, "timestamp": created, "model": model})
    return found


def _errors(ask: Ask, session_id: str) -> list[dict[str, Any]]:
    """Messages of v1 that ended with an error, which no part tells."""
    if not {"session_id", "data", "time_created"} <= ask.tables.get("message", frozenset()):
        return []
    rows = ask(
        "SELECT time_created, json_extract(data, '$.error') FROM message WHERE session_id = ?"
        " AND CASE WHEN json_valid(data) THEN json_type(data, '$.error') END = 'object'",
        session_id,
    )
    return [{"role": "assistant", "timestamp": at, "error": record(error) or {}} for at, error in rows]
