"""The one writer: facts, rollups and cursors of a batch in one transaction, each event counted once."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from tokentop.nouns.actions import Receipt
from tokentop.nouns.facts import Cursor, Diagnostic, Fact
from tokentop.nouns.money import Forecast, Quota
from tokentop.nouns.sessions import Context, Session, Spawn
from tokentop.nouns.usage import Figures, Priced, RunningTotal, Usage

from .accounts import Accounts
from .counting import EVENT, Counting, Prices
from .flags import FLAG_COST_ESTIMATED, FLAG_HIDDEN
from .limits import Limits
from .merging import event_id
from .names import Names
from .purging import purge_some
from .receipts import append_action, replace_action
from .sessions import SessionCache, erase_titles
from .totals import Totals

_CURSOR = (
    "INSERT INTO cursor (path, agent, dev, ino, head_len, head_hash, offset, tail_hash, size, mtime_ns, agent_version,"
    " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET agent=excluded.agent,"
    " dev=excluded.dev, ino=excluded.ino, head_len=excluded.head_len, head_hash=excluded.head_hash,"
    " offset=excluded.offset, tail_hash=excluded.tail_hash, size=excluded.size, mtime_ns=excluded.mtime_ns,"
    " agent_version=excluded.agent_version, state=excluded.state"
)
_INT64 = (1 << 63) - 1


class Committed(Struct):
    """What a commit changed: recent events, and the sessions it touched with their sums."""

    priced: list[Priced]
    sessions: list[tuple[Session, Figures]]
    events: int
    duplicates: int


class Writer:
    """Owns the write connection; one thread only. Its parts are for `adoption.py`."""

    def __init__(self, connection: sqlite3.Connection, prices: Prices, keep_titles: bool = True) -> None:
        self._db = connection
        if not keep_titles:
            erase_titles(connection)
        self.sessions = SessionCache(connection, keep_titles)
        self.names = Names(connection)
        self.totals = Totals(connection, self.sessions)
        self.accounts = Accounts(connection, self.sessions, self.totals)
        self.counting = Counting(connection, prices, self.sessions, self.names, self.accounts)
        self._limits = Limits(connection)
        self._links = False

    @property
    def connection(self) -> sqlite3.Connection:
        return self._db

    def commit(
        self, facts: Sequence[Fact], cursors: Sequence[Cursor] = (), *, recent_ms: int = 1 << 62,
        forget: Iterable[tuple[str, str]] = (),
    ) -> Committed:  # fmt: skip
        """Store a batch. Only events and sessions since `recent_ms` are reported back.

        Raises sqlite3.Error; then nothing of the batch is stored and the cursors have not moved.
        """
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            for agent, sid in forget:
                self.counting.forget(self.sessions.get(agent, sid))
            committed = self._apply(facts, recent_ms)
            db.executemany(_CURSOR, [_cursor_values(cursor) for cursor in cursors])
            db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        self.sessions.trim()
        return committed

    def _rollback(self) -> None:
        """SQLite may have rolled back by itself (disk full): memory starts again from the file."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        for part in (self.sessions, self.names, self.totals, self.accounts, self.counting, self._limits):
            part.clear()

    def _apply(self, facts: Sequence[Fact], recent_ms: int) -> Committed:
        usages: dict[int, Usage] = {}
        health: dict[tuple[str, str, str], int] = {}
        duplicates = 0
        for fact in facts:
            kind = type(fact)
            if kind is Usage:
                assert isinstance(fact, Usage)
                identity = event_id(fact.agent, fact.key)
                known = usages.get(identity)
                if known is None:
                    usages[identity] = fact
                else:
                    usages[identity] = self.counting.together(known, fact)
                    duplicates += 1
            elif kind is Session:
                assert isinstance(fact, Session)
                self.sessions.merge(fact)
                self._links = self._links or bool(fact.tool_use_id)
            elif isinstance(fact, Context):
                self.sessions.context(fact)
            elif isinstance(fact, RunningTotal):
                self.totals.put(fact)
            elif isinstance(fact, Spawn):
                self._db.execute(
                    "INSERT OR REPLACE INTO spawn VALUES (?, ?)", (fact.tool_use_id, fact.session_id)
                )
                self._links = True
            elif isinstance(fact, Quota):
                self._limits.put(fact)
            elif isinstance(fact, Diagnostic):
                place = (fact.source, fact.kind, fact.detail)
                health[place] = health.get(place, 0) + fact.count
        for row, unknown in self.sessions.moved:
            self.accounts.move(row, unknown)
        self.sessions.moved.clear()
        for row in self.sessions.named:
            self.counting.name(row)
        self.sessions.named.clear()
        priced, again = self.counting.take(usages, recent_ms)
        duplicates += again
        if duplicates:
            health["", "duplicate", ""] = duplicates
        self._health(health)
        return self._finish(priced, recent_ms, len(usages), duplicates)

    def _finish(self, priced: list[Priced], recent_ms: int, events: int, duplicates: int) -> Committed:
        """Write what was gathered: events, rollups, sessions, and which running totals need settling."""
        self.counting.write()
        self.accounts.sum_up()
        dirty = self.sessions.write()
        if self._links:
            self._links = False
            self._link()
            dirty += self.sessions.write()
        self.totals.write()
        touched = [(row.session(), row.figures()) for row in dirty if row.last_ms >= recent_ms]
        return Committed(priced, touched, events, duplicates)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction of `adopt_*`; sums and sessions are written at its end."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._finish([], 1 << 62, 0, 0)
            self._db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        self.sessions.trim()

    def purge(self, ids: Sequence[int], at_ms: int, *, forget: bool = False) -> int:
        """Take the single calls of sessions out, in one transaction; return how many. sqlite3.Error."""
        self.counting.any_purged = True
        return purge_some(self._db, ids, at_ms, forget=forget)

    def put_hidden(self, session_id: int, usages: Sequence[Usage], recent_ms: int = 1 << 62) -> Committed:
        """Replace the hidden events of a session by `usages` and call its running total settled."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            wanted = {event_id(usage.agent, usage.key): usage for usage in usages}
            old = db.execute(
                f"SELECT {', '.join(EVENT)} FROM event WHERE session=? AND flags & {FLAG_HIDDEN}",
                (session_id,),
            ).fetchall()
            self.accounts.take_out(old)
            gone = [(row[0],) for row in old if row[0] not in wanted]
            db.executemany("DELETE FROM event WHERE id=?", gone)
            priced = []
            for identity, usage in wanted.items():
                new = self.counting.put(identity, usage)
                if usage.at_ms >= recent_ms:
                    priced.append(Priced(identity, usage, new[13], bool(new[6] & FLAG_COST_ESTIMATED)))
            self.totals.settled()
            committed = self._finish(priced, recent_ms, len(wanted), 0)
            db.execute("DELETE FROM unsettled WHERE session=?", (session_id,))
            db.execute("COMMIT")
        except BaseException:
            self._rollback()
            raise
        return committed

    def _link(self) -> None:
        """Nested sub-agents that do not name their parent belong to whoever made the tool call."""
        waiting = self._db.execute(
            "SELECT s.agent, s.sid, p.sid FROM session s JOIN spawn p ON p.tool_use_id = s.tool_use_id"
            " WHERE s.tool_use_id != '' AND s.parent_sid != p.sid AND s.sid != p.sid"
        )
        for agent, sid, parent in waiting.fetchall():
            self.sessions.merge(Session(agent, sid, parent_id=parent))

    def _health(self, health: dict[tuple[str, str, str], int]) -> None:
        if health:
            self._db.executemany(
                "INSERT INTO health VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET count=count+excluded.count",
                [(*place, count) for place, count in health.items()],
            )

    def projection(self, forecast: Forecast) -> None:
        """Store a projection, so that its error can be known later."""
        self._db.execute(
            "INSERT OR REPLACE INTO projection (at_ms, day, today_nusd, projected_nusd, low_nusd, high_nusd, method,"
            " low_half_nusd, high_half_nusd, month_nusd) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (forecast.at_ms, forecast.day, forecast.today_nusd, forecast.projected_nusd, forecast.low_nusd,
             forecast.high_nusd, forecast.method, forecast.low_half_nusd, forecast.high_half_nusd,
             forecast.month.projected_nusd if forecast.month else None),
        )  # fmt: skip

    def action(self, receipt: Receipt) -> None:
        """Append a receipt to the action log."""
        append_action(self._db, receipt)

    def action_watched(self, receipt: Receipt) -> None:
        """Replace a receipt by the same one with what was spent afterwards."""
        replace_action(self._db, receipt)


def _cursor_values(cursor: Cursor) -> tuple[object, ...]:
    """A path that is no valid text is stored as bytes; device and inode numbers are unsigned elsewhere."""
    path: str | bytes = cursor.path
    try:
        cursor.path.encode()
    except UnicodeEncodeError:
        path = os.fsencode(cursor.path)
    return (
        path, cursor.agent, cursor.dev & _INT64, cursor.ino & _INT64, cursor.head_len, cursor.head_hash, cursor.offset,
        cursor.tail_hash, cursor.size, cursor.mtime_ns, cursor.agent_version, cursor.state,
    )  # fmt: skip
