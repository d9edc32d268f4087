"""One local day: what it cost, which sessions cost most, which limits were hit. Times are UTC milliseconds."""

from __future__ import annotations

import sqlite3
from collections import Counter

from msgspec import Struct

from .outcomes import COLUMNS, Line, line_of, spent_between
from .outlines import decoded

_MOST = 2_000  # sessions that are looked at for the most expensive of a day
_OUTLINES = 300  # the same for errors and limits: some 0.1 ms each


class Spender(Struct, frozen=True):
    """A session and what it spent in a span; `at_least` = a part has no price, or no usage in the logs."""

    line: Line
    cost_nusd: int
    at_least: bool


class Hit(Struct, frozen=True):
    """A plan limit that was full."""

    provider: str
    account: str
    limit_id: str
    window_minutes: int
    at_ms: int  # when it was first seen full in the span


class Trouble(Struct, frozen=True):
    """Errors and limits that the log of a session told in a span."""

    agent: str
    sid: str
    first_ms: int
    counts: tuple[tuple[str, int], ...]  # by what it was (`429`, `overloaded`), the most frequent first

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(count for _, count in self.counts)


def most_expensive(db: sqlite3.Connection, since_ms: int, until_ms: int, count: int) -> list[Spender]:
    """The sessions that spent most in a span, sub-agents apart from those above them.

    A session's part is at most its own sum: they are looked at by that, until no other can come into the list.
    """
    rows = db.execute(
        f"SELECT {COLUMNS} FROM session s JOIN project p ON p.id = s.project WHERE s.id IN (SELECT id FROM session"
        " INDEXED BY session_span WHERE last_ms >= ? AND first_ms < ?) ORDER BY s.cost_nusd DESC LIMIT ?",
        (since_ms, until_ms, _MOST),
    )
    found: list[Spender] = []
    for line in map(line_of, rows):
        if len(found) >= count and line.cost_nusd <= found[-1].cost_nusd:
            break
        if since_ms <= line.first_ms and line.first_ms and line.last_ms < until_ms:
            cost, unpriced, unknown = line.cost_nusd, line.unpriced_tokens, line.unknown_calls
        else:
            cost, unpriced, unknown, _ = spent_between(db, line.id, since_ms, until_ms)
        if cost:
            found.append(Spender(line, cost, bool(unpriced or unknown)))
            found = sorted(found, key=lambda one: -one.cost_nusd)[:count]
    return found


def limits_hit(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[Hit]:
    """Plan limits that were full in a span, by when they were."""
    rows = db.execute(
        "SELECT provider, account, limit_id, window_minutes, min(at_ms) FROM quota_reading WHERE at_ms >= ? AND at_ms < ?"
        " AND used_pct >= 100 GROUP BY provider, account, limit_id, window_minutes ORDER BY min(at_ms)",
        (since_ms, until_ms),
    )
    return [Hit(*row) for row in rows]


def troubles(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[Trouble]:
    """Errors and limits as kept outlines tell them, the session with the most of them first."""
    rows = db.execute(
        "SELECT s.agent, s.sid, o.deeds FROM session s JOIN outline o ON o.session = s.id WHERE s.id IN (SELECT id"
        " FROM session INDEXED BY session_span WHERE last_ms >= ? AND first_ms < ?) ORDER BY s.last_ms DESC LIMIT ?",
        (since_ms, until_ms, _OUTLINES),
    )
    found = []
    for agent, sid, deeds in rows:
        bad = [
            one
            for one in decoded(deeds) or ()
            if one.kind in {"error", "limit"} and since_ms <= one.at_ms < until_ms
        ]
        if bad:
            counts = Counter(one.name or one.kind for one in bad).most_common()
            found.append(Trouble(agent, sid, min(one.at_ms for one in bad), tuple(counts)))
    return sorted(found, key=lambda one: (-one.count, one.first_ms))
