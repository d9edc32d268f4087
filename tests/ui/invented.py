"""The sessions of the demo in a store in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from tokentop.nouns.picture import Row
from tokentop.store.sessions import COLUMNS

_PUT = (
    f"INSERT INTO session ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
    f" ON CONFLICT (agent, sid) DO UPDATE SET {', '.join(f'{c}=excluded.{c}' for c in COLUMNS[3:])}"
)


def put(db: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Store what rows of a picture say of their sessions, with their own sums."""
    sids = {row.key: row.session_id for row in rows}
    for row in rows:
        if row.kind == "tool":
            continue
        db.execute("INSERT OR IGNORE INTO project (agent, name) VALUES (?, ?)", (row.agent, row.project))
        (project,) = db.execute(
            "SELECT id FROM project WHERE agent = ? AND name = ?", (row.agent, row.project)
        ).fetchone()
        t, own = row.own.tokens, row.own
        role = "sub-agent" if row.parent_key else ""
        db.execute(
            _PUT,
            (
                None, row.agent, row.session_id, sids.get(row.parent_key, ""), row.session_id, role, project, row.cwd,
                row.branch, row.title, 1, row.model, row.started_ms, "", "", "", 0, "", row.context_used,
                row.context_window, row.last_ms, row.last_ms, own.responses, t.input, t.cache_read, t.cache_write_5m,
                t.cache_write_1h, t.output, t.reasoning, own.cost_nusd, own.unpriced_tokens, int(own.estimated),
                own.unknown_calls,
            ),
        )  # fmt: skip
