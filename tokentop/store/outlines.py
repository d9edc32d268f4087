"""Outlines of sessions: which are to be made, keeping one, reading one. Times are UTC milliseconds."""

from __future__ import annotations

import sqlite3
import zlib

import msgspec

from tokentop.nouns.outline import VERSION, Deed, Outline
from tokentop.nouns.sessions import Session

from .sessions import COLUMNS, SessionRow

_DEEDS = msgspec.msgpack.Decoder(tuple[Deed, ...])
_SESSION = ", ".join(f"s.{name}" for name in COLUMNS)
# One without a record of a log that is gone says so; one that was read stays when its log goes.
_KEEP = (
    "INSERT INTO outline (session, log_size, log_mtime_ns, version, read_ms, tools, files, note, deeds)"
    " SELECT s.id, ?, ?, ?, ?, ?, ?, ?, ? FROM session s WHERE s.agent = ? AND s.sid = ?"
    " ON CONFLICT (session) DO UPDATE SET log_size=excluded.log_size, log_mtime_ns=excluded.log_mtime_ns,"
    " version=excluded.version, read_ms=excluded.read_ms, tools=excluded.tools, files=excluded.files,"
    " note=excluded.note, deeds=excluded.deeds WHERE excluded.log_size > 0"
)


class Wanted(msgspec.Struct, frozen=True):
    """A page of sessions, newest first, and where the next page begins; `before` None = that was the last."""

    sessions: list[Session]
    before: tuple[int, int] | None


def wanted(db: sqlite3.Connection, since_ms: int, before: tuple[int, int], limit: int) -> Wanted:
    """Sessions last used since a time and before (last_ms, id) whose outline is missing or older than they are."""
    rows = db.execute(
        f"SELECT o.version, o.read_ms, {_SESSION} FROM session s LEFT JOIN outline o ON o.session = s.id"
        " WHERE s.last_ms >= ?1 AND s.last_ms <= ?2 AND NOT (s.last_ms = ?2 AND s.id >= ?3) AND NOT EXISTS"
        " (SELECT 1 FROM purged p WHERE p.session = s.id AND (p.forgotten OR p.at_ms >= s.last_ms))"
        " ORDER BY s.last_ms DESC, s.id DESC LIMIT ?4",
        (since_ms, *before, limit),
    ).fetchall()
    found = []
    last: SessionRow | None = None
    for version, read_ms, *values in rows:
        last = SessionRow(*values)
        if last.log_path and (version is None or version < VERSION or read_ms < last.last_ms):
            found.append(last.session())
    return Wanted(found, (last.last_ms, last.id) if last is not None and len(rows) == limit else None)


def keep(db: sqlite3.Connection, session: Session, outline: Outline) -> None:
    """Store the outline of a session; an empty one of a log that is gone replaces nothing. sqlite3.Error."""
    deeds = zlib.compress(msgspec.msgpack.encode(outline.deeds), 6)
    db.execute(
        _KEEP,
        (
            outline.log_size, outline.log_mtime_ns, VERSION, outline.read_ms, "\n".join(outline.tools),
            "\n".join(outline.files), outline.note, deeds, session.agent, session.id,
        ),
    )  # fmt: skip


def load(db: sqlite3.Connection, agent: str, sid: str) -> Outline | None:
    """The outline of one session; None = none was made, or it cannot be decoded."""
    row = db.execute(
        "SELECT o.deeds, o.note, o.log_size, o.log_mtime_ns, o.read_ms FROM session s JOIN outline o ON o.session = s.id"
        " WHERE s.agent = ? AND s.sid = ?",
        (agent, sid),
    ).fetchone()
    if row is None:
        return None
    deeds, note, log_size, log_mtime_ns, read_ms = row
    found = decoded(deeds)
    return None if found is None else Outline(found, note, log_size, log_mtime_ns, read_ms)


def decoded(deeds: bytes) -> tuple[Deed, ...] | None:
    """The deeds of the column `deeds`; None = they are damaged."""
    try:
        return _DEEDS.decode(zlib.decompress(deeds))
    except (zlib.error, msgspec.MsgspecError):
        return None


def state(db: sqlite3.Connection) -> tuple[int, dict[str, int]]:
    """(outlines that are whole, incomplete ones by what is said of them)."""
    rows = db.execute("SELECT note, count(*) FROM outline GROUP BY note ORDER BY count(*) DESC LIMIT 200")
    found = dict(rows.fetchall())
    return found.pop("", 0), found
