"""Running totals of sessions, as their logs tell them, and which of them are to be settled."""

from __future__ import annotations

import sqlite3

from tokentop.engine.growth import next_total
from tokentop.engine.hidden import Total
from tokentop.nouns.usage import RunningTotal, Tokens

from .listed import Listed
from .sessions import SessionCache, SessionRow


class Totals:
    """Those of all sessions; belongs to the writer."""

    def __init__(self, db: sqlite3.Connection, sessions: SessionCache) -> None:
        self._db, self._sessions = db, sessions
        self.known = Listed(db, "running_total")
        self._unsettled: set[int] = set()

    def clear(self) -> None:
        """After a rollback."""
        self.known.look_again()
        self._unsettled.clear()

    def settled(self) -> None:
        """What was noted in this transaction is its own doing."""
        self._unsettled.clear()

    def touch(self, session: SessionRow) -> None:
        """The session's running total, if it has one, covers this event: settle again."""
        root = session.sid.partition("/")[0]
        row = session if root == session.sid else self._sessions.get(session.agent, root)
        if row.id in self.known:
            self._unsettled.add(row.id)

    def put(self, fact: RunningTotal) -> None:
        """Store what a log tells; a total alone is stored where it has grown."""
        row = self._sessions.get(fact.agent, fact.session_id)
        if row.dirty:
            self._sessions.write()
        if fact.only:
            grown = next_total(totals_of(self._db, row.id), fact)
            if grown is None:
                return
            fact = grown
        self.known.add(row.id)
        self._unsettled.add(row.id)
        self._db.executemany(
            # A document that was restored has an older time than the calls that were read from it before. The time of
            # its total stays after theirs: else they would not be in it, and would be counted again as hidden spend.
            "INSERT INTO running_total VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " at_ms=max(at_ms, excluded.at_ms), started_ms=excluded.started_ms, input=excluded.input,"
            " cache_read=excluded.cache_read, cache_write_5m=excluded.cache_write_5m,"
            " cache_write_1h=excluded.cache_write_1h, output=excluded.output, reasoning=excluded.reasoning,"
            " cost_nusd=excluded.cost_nusd, provider=excluded.provider",
            [
                (row.id, fact.n, model, fact.at_ms, fact.started_ms, t.input, t.cache_read, t.cache_write_5m,
                 t.cache_write_1h, t.output, t.reasoning, cost, fact.provider)
                for model, t, cost in fact.models
            ],
        )  # fmt: skip
        forks = self._db.execute(
            "SELECT id FROM session WHERE agent=? AND parent_sid=? AND role='fork'",
            (fact.agent, fact.session_id),
        )
        self._unsettled.update(fork for (fork,) in forks if fork in self.known)

    def write(self) -> None:
        if self._unsettled:
            self._db.executemany(
                "INSERT OR IGNORE INTO unsettled VALUES (?)", [(s,) for s in self._unsettled]
            )
            self._unsettled.clear()


def totals_of(db: sqlite3.Connection, session: int) -> list[Total]:
    """The running totals of a session, in order."""
    by_n: dict[int, Total] = {}
    rows = db.execute(
        "SELECT n, at_ms, started_ms, provider, model, cost_nusd, input, cache_read, cache_write_5m, cache_write_1h,"
        " output, reasoning FROM running_total WHERE session=? ORDER BY n",
        (session,),
    )
    for n, at_ms, started_ms, provider, model, cost, *counts in rows:
        total = by_n.setdefault(n, Total(n, at_ms, started_ms, {}, {}, provider))
        total.models[model], total.costs[model] = Tokens(*counts), cost
    return list(by_n.values())
