"""The end of one session's log for who looks at it: its last lines and the steps that they tell.

Nothing is counted, stored or held open; at most `GIANT_BYTES` of a log are read, `DOCUMENT_BYTES` of a document.
"""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from tokentop.agents._steps import Steps
from tokentop.agents.base import Agent, Database, JsonDocument, JsonLines, LogFile, Source
from tokentop.agents.decoding import document, objects, record
from tokentop.nouns.facts import Fact
from tokentop.nouns.looks import LogTail, Step
from tokentop.nouns.sessions import Activity, State
from tokentop.text import one_line

from .listing import LogEntry, state_of
from .openfile import open_log
from .signs import last_signs

TAIL_BYTES = 256 << 10
GIANT_BYTES = 1 << 20
DOCUMENT_BYTES = 4 << 20
LINES_MAX = 200
LINE_CHARS = 600
_FEW_LINES = 20


def glance(
    agent: Agent, path: str, session_id: str, *, texts: bool = True, lines: bool = False,
    known: tuple[int, int, int] = (0, 0, 0),
) -> LogTail | None:  # fmt: skip
    """The steps at the end of a log, and its last lines where they are wanted; None = it is as it was at `known`.

    `texts` = what was said is wanted too. What cannot be read is said in the note; nothing is raised.
    """
    if not path:
        return LogTail(note="no log of this session is known")
    transcript = agent.transcript(path) if agent.transcript is not None else path
    source = (
        source_of(agent, path) if transcript == path else JsonDocument(suffixes=(".json",), read=_nothing)
    )
    path = transcript
    if source is None:
        return LogTail(note=f"its file is none of the kinds of {agent.label} that can be shown")
    try:
        dev, ino, size, mtime_ns = state_of(path, source)
        state = (ino, size, mtime_ns)
        if state == known:
            return None
        entry = LogEntry(path, agent.id, source, "/".join(path.split("/")[-6:]), dev, ino, size, mtime_ns)
        return _read(entry, session_id, state, texts=texts, lines=lines)
    except FileNotFoundError:
        return LogTail(note="the log is gone: its agent has deleted or moved it")
    except sqlite3.Error as error:
        from .rows import reason

        return LogTail(note=f"its database: {reason(error)}", state=state)
    except OSError as error:
        return LogTail(note=f"it cannot be read: {error.strerror or type(error).__name__}")


def _nothing(_file: LogFile, _data: bytes) -> list[Fact]:
    return []


def source_of(agent: Agent, path: str) -> Source | None:
    """The kind of file that a log is, by its name."""
    name = os.path.basename(path)
    found = [s for s in agent.sources if name.endswith(s.suffixes)]
    inside = [s for s in found if s.folder and f"/{s.folder}/" in path]
    return next(iter([*inside, *found]), None)


def _read(
    entry: LogEntry, session_id: str, state: tuple[int, int, int], *, texts: bool, lines: bool
) -> LogTail:
    source, steps = entry.source, Steps(session_id, texts)
    shown: tuple[str, ...] = ()
    skipped, note = 0, ""
    if isinstance(source, Database):
        found, note = _of_database(entry, source, session_id)
    elif entry.path.endswith(".zst"):
        return LogTail(note="the log is compressed: it is of a session that has ended", state=state)
    elif isinstance(source, JsonDocument):
        found, note = _of_document(entry)
    else:
        assert isinstance(source, JsonLines)
        data, skipped, note = last_lines(entry.path, entry.size)
        raw = data.splitlines()
        found = [one for one in map(record, raw) if one is not None]
        if lines:
            shown = tuple(one_line(line.decode("utf-8", "replace"), LINE_CHARS) for line in raw[-LINES_MAX:])
    sub_agent = session_id.partition("/")[2]
    for one in [one for one in found if sub_agent and one.get("agentId") == sub_agent] or found:
        steps.feed(one)
    return LogTail(shown, steps.found() or _of_facts(entry, session_id), skipped, note, state)


def last_lines(path: str, size: int) -> tuple[bytes, int, str]:
    """(whole lines at the end of a file, bytes before them, what is wrong). OSError."""
    with open_log(path) as file:
        for most in (TAIL_BYTES, GIANT_BYTES):
            start = max(0, size - most)
            file.seek(start)
            data = file.read(most) or b""
            first = data.find(b"\n") + 1 if start else 0
            end = data.rfind(b"\n") + 1
            whole = data[first:end]
            if not start or whole.count(b"\n") >= _FEW_LINES:
                break
    note = "" if whole or not size else "its last record is not complete, or larger than 1 MiB"
    return whole, start + first if whole else size, note


def _of_document(entry: LogEntry) -> tuple[list[dict[str, Any]], str]:
    if entry.size > DOCUMENT_BYTES:
        return [], "its file is one document of more than 4 MiB: too large to look into"
    with open_log(entry.path) as file:
        data = file.read(DOCUMENT_BYTES)
    try:
        whole = document(data)
    except ValueError:
        return [], "its file is being written, or damaged"
    return ([whole] if isinstance(whole, dict) else objects(whole)), ""


def _of_database(entry: LogEntry, source: Database, session_id: str) -> tuple[list[dict[str, Any]], str]:
    """The newest records of a session. sqlite3.Error, OSError."""
    if source.records is None:
        return [], "its agent keeps it in a database, of which only the state is shown"
    from .rows import questions

    with questions(entry.path) as ask:
        return source.records(entry.file, ask, session_id), ""


def _of_facts(entry: LogEntry, session_id: str) -> tuple[Step, ...]:
    """The tools that the agent's own reader names, where the log has no calls that are known by their shape."""
    try:
        found = last_signs(entry)
    except Exception:  # a reader that a whole document or a foreign file upsets: there is nothing to show
        return ()
    return tuple(
        Step("tool", fact.tool, one_line(fact.detail, 200), fact.at_ms)
        for fact in found
        if isinstance(fact, Activity)
        and fact.state is State.TOOL
        and fact.session_id == session_id
        and fact.tool
    )
