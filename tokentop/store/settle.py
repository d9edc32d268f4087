"""Settling running totals: hidden spend is what a session's own total holds beyond its calls.

Runs when every log of the session has been read to its end; what is not settled is remembered in the file.
"""

from __future__ import annotations

import sqlite3

from msgspec import structs

from tokentop.engine.growth import ONLY, growth_usages
from tokentop.engine.hidden import Call, Total, hidden_usages
from tokentop.nouns.usage import Tokens

from .flags import FLAG_HIDDEN, FLAG_TELEMETRY
from .totals import totals_of
from .writer import Committed, Writer


def settle(writer: Writer, recent_ms: int = 1 << 62) -> list[Committed]:
    """Settle every session that waits for it; return what changed."""
    db = writer.connection
    _leave_purged(db)
    waiting = [row[0] for row in db.execute("SELECT session FROM unsettled").fetchall()]
    return [_settle_one(writer, db, session, recent_ms) for session in waiting]


def _leave_purged(db: sqlite3.Connection) -> None:
    """Of a session whose calls were purged a new total cannot be told apart from them: it is said, not counted."""
    gone = db.execute(
        "SELECT u.session FROM unsettled u JOIN purged p ON p.session = u.session WHERE p.calls"
    ).fetchall()
    if gone:
        db.executemany("DELETE FROM unsettled WHERE session = ?", gone)
        db.execute(
            "INSERT INTO health VALUES ('store', 'purged', 'a session whose calls were purged went on: what it spends"
            " beside its calls is not counted', ?) ON CONFLICT DO UPDATE SET count=count+excluded.count",
            (len(gone),),
        )


def _settle_one(writer: Writer, db: sqlite3.Connection, session: int, recent_ms: int) -> Committed:
    agent, sid, role, parent_sid, forked_at_ms = db.execute(
        "SELECT agent, sid, role, parent_sid, forked_at_ms FROM session WHERE id=?", (session,)
    ).fetchone()
    parent: list[Total] | None = None
    if role == "fork":
        found = db.execute("SELECT id FROM session WHERE agent=? AND sid=?", (agent, parent_sid)).fetchone()
        parent = totals_of(db, found[0]) if found else []
    calls, provider = _calls(db, agent, session, sid)
    totals = totals_of(db, session)
    if totals and totals[0].started_ms == ONLY:
        answered = sorted(call.at_ms for call in calls)
        return writer.put_hidden(
            session, growth_usages(agent, sid, totals, answered, parent or ()), recent_ms
        )
    if any("" in total.models for total in totals):  # the log names no model: a session has one at a time
        calls = [structs.replace(call, model="") for call in calls]
    provider = provider or (totals[-1].provider if totals else "")
    usages = hidden_usages(agent, sid, provider, totals, calls, parent, forked_at_ms)
    return writer.put_hidden(session, usages, recent_ms)


def _calls(db: sqlite3.Connection, agent: str, session: int, sid: str) -> tuple[list[Call], str]:
    """The calls of a session and of the sub-agents filed under it, and the provider that answered them."""
    rows = db.execute(
        "SELECT e.at_ms, m.name, m.provider, e.input, e.cache_read, e.cache_write_5m, e.cache_write_1h, e.output,"
        f" e.reasoning, e.session != ? OR e.flags & {FLAG_TELEMETRY} FROM event e JOIN model m ON m.id = e.model"
        f" WHERE NOT e.flags & {FLAG_HIDDEN} AND e.session IN"
        " (SELECT id FROM session WHERE id=? OR (agent=? AND sid >= ? AND sid < ?))",
        (session, session, agent, f"{sid}/", f"{sid}0"),
    ).fetchall()
    provider = rows[0][2] if rows else ""
    return [Call(row[0], row[1], Tokens(*row[3:9]), bool(row[9])) for row in rows], provider
