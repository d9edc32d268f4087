"""Plan limits as they were told: the newest word on each, and readings over some days."""

from __future__ import annotations

import sqlite3

from tokentop.engine.pace import worth_keeping
from tokentop.nouns.money import Quota

KEEP_READINGS_MS = 8 * 86_400_000  # of plan limits: the longest common window and a day


class Limits:
    """Belongs to the writer."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._readings: dict[tuple[str, str, str, int], tuple[int, float]] = {}  # the last of each window

    def clear(self) -> None:
        """After a rollback."""
        self._readings.clear()

    def put(self, fact: Quota) -> None:
        put_quota(self._db, fact)
        key = (fact.provider, fact.account, fact.limit_id, fact.window_minutes)
        last = self._readings.get(key)
        oldest_ms = (last[0] if last else fact.at_ms) - KEEP_READINGS_MS
        if fact.at_ms < oldest_ms or not worth_keeping(last, fact.at_ms, fact.used_pct):
            return
        self._readings[key] = fact.at_ms, fact.used_pct
        same = "provider=? AND account=? AND limit_id=? AND window_minutes=?"
        self._db.execute("INSERT OR REPLACE INTO quota_reading VALUES (?, ?, ?, ?, ?, ?)",
                         (*key, fact.at_ms, fact.used_pct))  # fmt: skip
        self._db.execute(f"DELETE FROM quota_reading WHERE {same} AND at_ms < ?", (*key, oldest_ms))


def put_quota(connection: sqlite3.Connection, fact: Quota) -> None:
    """Store a limit; the newest word on it stays."""
    connection.execute(
        "INSERT INTO quota VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET used_pct=excluded.used_pct,"
        " resets_at_ms=excluded.resets_at_ms, source=excluded.source, at_ms=excluded.at_ms,"
        " plan=CASE excluded.plan WHEN '' THEN plan ELSE excluded.plan END"
        " WHERE excluded.at_ms >= at_ms",
        (fact.provider, fact.account, fact.limit_id, fact.window_minutes, fact.used_pct, fact.resets_at_ms,
         fact.source, fact.at_ms, fact.plan),
    )  # fmt: skip
