"""One session with its sub-agents: what is asked for its timeline. Times are UTC milliseconds."""

from __future__ import annotations

import sqlite3

import msgspec

from tokentop.nouns.actions import Receipt
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Figures, Priced

from .calls import events_of
from .sessions import COLUMNS, SessionRow

_COLUMNS = ", ".join(f"s.{name}" for name in COLUMNS)
_FAMILY = f"""
WITH RECURSIVE tree (id, sid) AS (
  SELECT id, sid FROM session WHERE agent = ?1 AND sid = ?2
  UNION
  SELECT id, sid FROM session WHERE agent = ?1 AND sid >= ?2 || '/' AND sid < ?2 || '0'
  UNION
  SELECT s.id, s.sid FROM tree t CROSS JOIN session s ON s.parent_sid = t.sid
  WHERE s.parent_sid != '' AND s.agent = ?1 AND s.role = 'sub-agent'
)
SELECT {_COLUMNS}, p.name, coalesce(g.calls, 0) FROM tree t CROSS JOIN session s ON s.id = t.id
JOIN project p ON p.id = s.project LEFT JOIN purged g ON g.session = s.id
LIMIT ?3
"""


class Member(msgspec.Struct, frozen=True):
    """A session with its own sums and its project. `purged`: calls that are in these sums alone."""

    session: Session
    own: Figures
    project: str
    purged: int = 0


def family(db: sqlite3.Connection, agent: str, sid: str, limit: int = 5_000) -> list[Member]:
    """A session and all sub-agents below it, the session first; empty for an unknown one."""
    found = []
    for *values, project, purged in db.execute(_FAMILY, (agent, sid, limit)):
        row = SessionRow(*values)
        found.append(Member(row.session(), row.figures(), project, purged))
    return sorted(found, key=lambda one: (one.session.id != sid, one.session.first_ms, one.session.id))


def events_of_family(db: sqlite3.Connection, agent: str, members: list[Member]) -> dict[str, list[Priced]]:
    """Events of each member by session id, by time."""
    found: dict[str, list[Priced]] = {one.session.id: [] for one in members}
    for named in dict.fromkeys(sid.partition("/")[0] for sid in found):
        for event in events_of(db, agent, named):
            if event.usage.session_id in found:
                found[event.usage.session_id].append(event)
    return found


def receipts_of(db: sqlite3.Connection, agent: str, sid: str) -> list[Receipt]:
    """What was done to one session, oldest first."""
    rows = db.execute("SELECT receipt FROM action WHERE agent = ? AND sid = ? ORDER BY id", (agent, sid))
    return [msgspec.json.decode(text, type=Receipt) for (text,) in rows]


def forks_of(db: sqlite3.Connection, agent: str, sid: str) -> list[Session]:
    """Sessions that were forked off, oldest first."""
    rows = db.execute(
        f"SELECT {_COLUMNS} FROM session s WHERE s.parent_sid = ? AND s.parent_sid != '' AND s.agent = ?"
        " AND s.role != 'sub-agent' ORDER BY s.first_ms LIMIT 100",
        (sid, agent),
    )
    return [SessionRow(*row).session() for row in rows]
