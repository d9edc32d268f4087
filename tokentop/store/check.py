"""Whether a database is whole: SQLite's own check, and that all sums of the same calls are equal."""

from __future__ import annotations

import sqlite3
from datetime import tzinfo
from typing import Any

from msgspec import Struct

from . import daily
from .flags import FLAG_HIDDEN, FLAG_UNKNOWN

_KINDS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_nusd")
_NAMES = ("responses", *_KINDS)


class Checked(Struct, frozen=True):
    """What was found. No problems = sound."""

    version: int
    sessions: int
    calls: int
    purged_calls: int
    free_bytes: int
    problems: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return {
            "version": self.version, "sessions": self.sessions, "calls": self.calls,
            "purged_calls": self.purged_calls, "free_bytes": self.free_bytes, "problems": list(self.problems),
        }  # fmt: skip


def examine(db: sqlite3.Connection, zone: tzinfo) -> Checked:
    """Read all of it; takes as long as the file is large. Sums of days are compared if they are of `zone`. sqlite3.Error."""
    db.execute("BEGIN")  # one moment, whatever is written meanwhile
    try:
        problems = [row[0] for row in db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
        problems += _sums(db)
        problems += daily.problems(db, zone)
        problems += (
            [f"{count} calls of sessions that are not there"]
            if (count := _one(db, "SELECT count(*) FROM event WHERE session NOT IN (SELECT id FROM session)"))
            else []
        )
        return Checked(
            _one(db, "PRAGMA user_version"),
            _one(db, "SELECT count(*) FROM session"),
            _one(db, "SELECT count(*) FROM event"),
            _one(db, "SELECT count(*) FROM purged_call"),
            _one(db, "PRAGMA freelist_count") * _one(db, "PRAGMA page_size"),
            tuple(problems),
        )
    finally:
        db.execute("ROLLBACK")


def _sums(db: sqlite3.Connection) -> list[str]:
    def totals(columns: str, table: str) -> tuple[int, ...]:
        return tuple(db.execute(f"SELECT {columns} FROM {table}").fetchone())

    plain = ", ".join(f"coalesce(sum({name}), 0)" for name in _NAMES)
    of_events = ", ".join(f"coalesce(sum({name}), 0)" for name in _KINDS)
    answered = f"coalesce(sum(NOT flags & {FLAG_HIDDEN | FLAG_UNKNOWN}), 0)"
    events, purged = totals(f"{answered}, {of_events}", "event"), totals(plain, "purged_rollup")
    rollups, sessions = totals(plain, "rollup"), totals(plain, "session")
    found = []
    for name, event, gone, rollup, session in zip(_NAMES, events, purged, rollups, sessions, strict=True):
        if not event + gone == rollup == session:
            found.append(f"{name}: {event + gone:,} in calls, {rollup:,} in rollups, {session:,} in sessions")
    return found


def _one(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])
