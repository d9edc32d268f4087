"""Sessions as the store knows them: the newest, by their numbers, by the beginning of an id. Read-only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Figures

from .sessions import COLUMNS, SessionRow

_SESSION = f"SELECT {', '.join('s.' + name for name in COLUMNS)}"


def project_folders(db: sqlite3.Connection, limit: int = 1000) -> list[str]:
    """The folders that agents worked in, newest first, as far as the newest 2,000 sessions tell."""
    rows = db.execute(
        "SELECT cwd FROM (SELECT cwd, last_ms FROM session WHERE cwd != '' ORDER BY last_ms DESC LIMIT 2000)"
        " GROUP BY cwd ORDER BY max(last_ms) DESC LIMIT ?",
        (limit,),
    )
    return [cwd for (cwd,) in rows]


def sessions(
    db: sqlite3.Connection, *, since_ms: int = 0, words: Iterable[str] = (), limit: int = 1000
) -> list[tuple[Session, Figures, str, int | None, int]]:
    """Sessions, newest first: (session, own sums, project, context used, context window).

    Every word must stand in the title, project, id, branch, model or agent.
    """
    clauses, values = ["s.last_ms >= ?"], [since_ms]
    for word in words:
        clauses.append("instr(lower(s.title || ' ' || p.name || ' ' || s.sid || ' ' || s.branch || ' ' || s.model"
                       " || ' ' || s.agent), lower(?)) > 0")  # fmt: skip
        values.append(word)  # type: ignore[arg-type]
    rows = db.execute(
        f"{_SESSION}, p.name FROM session s JOIN project p ON p.id = s.project WHERE {' AND '.join(clauses)}"
        " ORDER BY s.last_ms DESC, s.id LIMIT ?",
        (*values, limit),
    )
    out = []
    for *row_values, project in rows:
        row = SessionRow(*row_values)
        out.append((row.session(), row.figures(), project, row.context_used, row.context_window))
    return out


def sessions_by_id(db: sqlite3.Connection, ids: Sequence[int]) -> list[tuple[Session, Figures, str]]:
    """(session, own sums, project) of sessions by their ids in the store, in that order."""
    rows = db.execute(
        f"{_SESSION}, p.name FROM session s JOIN project p ON p.id = s.project"
        " WHERE s.id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    found = {}
    for *values, project in rows:
        row = SessionRow(*values)
        found[row.id] = row.session(), row.figures(), project
    return [found[one] for one in ids if one in found]


def find_session(db: sqlite3.Connection, prefix: str) -> list[tuple[Session, Figures]]:
    """Sessions whose id is or begins with `prefix`; an exact id is alone."""
    rows = db.execute(
        f"{_SESSION} FROM session s WHERE s.sid >= ? AND s.sid < ? ORDER BY s.sid LIMIT 50",
        (prefix, prefix + "\U0010ffff"),
    )
    found = [SessionRow(*row) for row in rows]
    exact = [row for row in found if row.sid == prefix]
    return [(row.session(), row.figures()) for row in exact or found]
