"""Taking single calls, or all that is known of a session, out of the store. Sums stay: of days, projects, sessions.

The ids of purged calls are kept (some 15 bytes each), so that a log that turns up again is not counted twice, and so
are their sums by quarter hour, so that a damaged database can be put together again.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Sequence

from msgspec import Struct

from .flags import FLAG_HIDDEN, FLAG_UNKNOWN
from .indexing import newest_model
from .slots import SLOT_MS

SLICE = 20  # sessions of one transaction
_SUMS = (
    "responses", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_nusd",
    "unpriced_tokens", "unknown_calls", "logged_nusd",
)  # fmt: skip
ADD_UP = f"ON CONFLICT (slot, project, model, flags) DO UPDATE SET {', '.join(f'{c}={c}+excluded.{c}' for c in _SUMS)}"
_ADD = f"INSERT INTO purged_rollup (slot, project, model, flags, {', '.join(_SUMS)}) VALUES ({', '.join('?' * 15)}) {ADD_UP}"
_KEEP_SUMS = (
    f"INSERT INTO purged_rollup (slot, project, model, flags, {', '.join(_SUMS)})"
    f" SELECT e.at_ms / {SLOT_MS}, s.project, e.model, e.flags, sum(NOT e.flags & {FLAG_HIDDEN | FLAG_UNKNOWN}),"
    f" {', '.join(f'sum(e.{c})' for c in _SUMS[1:7])}, coalesce(sum(e.cost_nusd), 0), coalesce(sum(CASE WHEN"
    " e.cost_nusd IS NULL THEN e.input + e.cache_read + e.cache_write_5m + e.cache_write_1h + e.output END), 0),"
    f" sum(e.flags & {FLAG_UNKNOWN} != 0), coalesce(sum(x.logged_nusd), 0) FROM event e"
    " JOIN session s ON s.id = e.session LEFT JOIN event_extra x ON x.id = e.id WHERE e.session = ?"
    f" GROUP BY 1, 2, 3, 4 {ADD_UP}"
)


class Purge(Struct, frozen=True):
    """What a purge would take out, or took out."""

    sessions: tuple[int, ...]
    calls: int
    kept: int = 0  # sessions that are old enough and keep their calls
    forget: bool = False  # with their titles, branches, folders, words and receipts


def older_than(
    db: sqlite3.Connection,
    before_ms: int,
    exists: Callable[[str], bool] = os.path.exists,
    *,
    count: bool = True,
) -> Purge:
    """The sessions that rest since before a time, oldest first.

    One whose log is still there and tells a running total keeps its calls: if it went on, what it spends besides its
    calls could not be told any more. So does one that is not settled yet.
    """
    totals = _with_totals(db)
    rows = db.execute(
        "SELECT s.id, s.agent, s.sid, s.log_path, u.session IS NOT NULL FROM session s"
        " LEFT JOIN unsettled u ON u.session = s.id WHERE s.last_ms < ? AND s.last_ms > 0"
        " AND (EXISTS (SELECT 1 FROM event e WHERE e.session = s.id) OR EXISTS"
        " (SELECT 1 FROM outline o WHERE o.session = s.id)) ORDER BY s.last_ms",
        (before_ms,),
    ).fetchall()
    chosen, kept = [], 0
    for session, agent, sid, log_path, unsettled in rows:
        if unsettled or ((agent, sid.partition("/")[0]) in totals and log_path and exists(log_path)):
            kept += 1
        else:
            chosen.append(session)
    return Purge(tuple(chosen), _calls(db, chosen) if count else 0, kept)


def all_of(db: sqlite3.Connection, agent: str, sid: str) -> Purge:
    """A session and the sub-agents filed under it."""
    rows = db.execute(
        "SELECT id FROM session WHERE agent = ? AND (sid = ? OR (sid >= ? AND sid < ?) OR parent_sid = ?)"
        " AND NOT (sid != ? AND role = 'fork')",
        (agent, sid, f"{sid}/", f"{sid}0", sid, sid),
    )
    ids = [row[0] for row in rows]
    return Purge(tuple(ids), _calls(db, ids), forget=True)


def _with_totals(db: sqlite3.Connection) -> set[tuple[str, str]]:
    return set(
        db.execute(
            "SELECT DISTINCT s.agent, s.sid FROM running_total r JOIN session s ON s.id = r.session"
        ).fetchall()
    )


def _calls(db: sqlite3.Connection, ids: Sequence[int]) -> int:
    return sum(
        db.execute("SELECT count(*) FROM event WHERE session = ?", (one,)).fetchone()[0] for one in ids
    )


def purge_some(db: sqlite3.Connection, ids: Sequence[int], at_ms: int, *, forget: bool = False) -> int:
    """Purge a slice of sessions in one transaction; return the number of calls. sqlite3.Error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        calls = 0
        for session in ids:
            db.execute(_KEEP_SUMS, (session,))
            db.execute(  # its calls may be all that names one
                "UPDATE session SET model = ? WHERE id = ? AND model = ''",
                (newest_model(db, session), session),
            )
            found = db.execute("SELECT id FROM event WHERE session = ?", (session,)).fetchall()
            db.executemany("INSERT OR IGNORE INTO purged_call VALUES (?)", found)
            for table in ("event_extra", "telemetry"):
                db.executemany(f"DELETE FROM {table} WHERE id = ?", found)
            db.execute("DELETE FROM event WHERE session = ?", (session,))
            db.execute("DELETE FROM outline WHERE session = ?", (session,))
            db.execute(
                "INSERT INTO purged VALUES (?, ?, ?, ?) ON CONFLICT (session) DO UPDATE SET at_ms=excluded.at_ms,"
                " calls=calls+excluded.calls, forgotten=max(forgotten, excluded.forgotten)",
                (session, at_ms, len(found), int(forget)),
            )
            if forget:
                _forget(db, session)
            calls += len(found)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return calls


def _forget(db: sqlite3.Connection, session: int) -> None:
    agent, sid, title = db.execute(
        "SELECT agent, sid, title FROM session WHERE id = ?", (session,)
    ).fetchone()
    db.execute("DELETE FROM action WHERE agent = ? AND sid = ?", (agent, sid))
    db.execute("UPDATE frame_text SET text = '' WHERE title = 1 AND text = ?", (title,))
    db.execute("UPDATE frame_mark SET text = '' WHERE row_key = ?", (f"{agent}:{sid}",))
    db.execute(
        "UPDATE session SET title='', title_rank=0, cwd='', branch='', log_path='', tool_use_id='' WHERE id = ?",
        (session,),
    )


def put_sums(
    db: sqlite3.Connection, session: int, place: tuple[int, int, int, int], sums: Sequence[int], at_ms: int
) -> None:
    """Keep the sums of a session whose calls another store has: as if they had been purged here.

    `place` = (slot, project, model, flags). The first call of it that is read here takes them out again.
    """
    db.execute(_ADD, (*place, *sums))
    db.execute("INSERT OR REPLACE INTO purged VALUES (?, ?, ?, 0)", (session, at_ms, sums[0]))
    db.execute(
        "INSERT INTO imported_sum VALUES (?, ?, ?, ?, ?, ?)", (session, *place, json.dumps(list(sums)))
    )


def take_sums(db: sqlite3.Connection, session: int) -> tuple[tuple[int, int, int, int], list[int]]:
    """Take them out again; return what they were."""
    *place, text = db.execute(
        "SELECT slot, project, model, flags, sums FROM imported_sum WHERE session = ?", (session,)
    ).fetchone()
    sums = json.loads(text)
    db.execute(_ADD, (*place, *(-one for one in sums)))
    db.execute("DELETE FROM purged WHERE session = ?", (session,))
    db.execute("DELETE FROM imported_sum WHERE session = ?", (session,))
    return (place[0], place[1], place[2], place[3]), sums


def purged(db: sqlite3.Connection) -> tuple[int, int, int]:
    """(calls, sessions, when the last of them) that were purged so far."""
    found = db.execute(
        "SELECT coalesce(sum(calls), 0), count(*), coalesce(max(at_ms), 0) FROM purged"
    ).fetchone()
    return int(found[0]), int(found[1]), int(found[2])
