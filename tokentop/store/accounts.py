"""Sums beside the calls: of sessions and of quarter hours. What is noted of a transaction is written at its end."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from .flags import FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_HIDDEN, FLAG_UNKNOWN
from .merging import EventRow
from .sessions import SessionCache, SessionRow
from .slots import SLOT_MS
from .totals import Totals

SUMS = (
    "responses", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_nusd",
    "unpriced_tokens", "unknown_calls", "logged_nusd",
)  # fmt: skip
_OF_SESSION = SUMS[:-1]
_ROLL = (
    f"INSERT INTO rollup (slot, project, model, flags, {', '.join(SUMS)}) VALUES ({', '.join('?' * 15)}) "
    f"ON CONFLICT (slot, project, model, flags) DO UPDATE SET {', '.join(f'{c}={c}+excluded.{c}' for c in SUMS)}"
)


class Accounts:
    """Belongs to the writer."""

    def __init__(self, db: sqlite3.Connection, sessions: SessionCache, totals: Totals) -> None:
        self._db, self._sessions, self._totals = db, sessions, totals
        self._sums: dict[tuple[int, int, int, int], list[int]] = {}

    def clear(self) -> None:
        """After a rollback."""
        self._sums.clear()

    def account(self, row: EventRow, sign: int, logged_nusd: int) -> None:
        """Note an event to be added to (or taken from) its session and its rollup; `sum_up` does it."""
        _, session, at_ms, _, model, _, flags, fresh, read, short, long, output, reasoning, cost = row
        key = (at_ms // SLOT_MS, session, model, flags)
        sums = self._sums.get(key)
        if sums is None:
            sums = self._sums[key] = [0] * 12
        sums[0] += sign
        sums[1] += sign * fresh
        sums[2] += sign * read
        sums[3] += sign * short
        sums[4] += sign * long
        sums[5] += sign * output
        sums[6] += sign * reasoning
        if cost is None:
            sums[8] += sign * (fresh + read + short + long + output)
        else:
            sums[7] += sign * cost
        if flags & FLAG_UNKNOWN:
            sums[9] += sign
        sums[10] += sign * logged_nusd
        if at_ms > sums[11]:
            sums[11] = at_ms

    def add(self, session: int, place: tuple[int, int, int, int], sums: Sequence[int]) -> None:
        """Sums without calls: to a session and to one row of the rollup (slot, project, model, flags)."""
        row = self._sessions.by_id(session)
        row.dirty = True
        for name, value in zip(_OF_SESSION, sums, strict=False):
            setattr(row, name, getattr(row, name) + value)
        self._db.execute(_ROLL, (*place, *sums))

    def sum_up(self) -> None:
        """Bring what was noted into the sessions and, as differences, into the rollups."""
        rollup: dict[tuple[int, int, int, int], list[int]] = {}
        for (slot, session_id, model, flags), sums in self._sums.items():
            newest_ms = sums.pop()
            if flags & (FLAG_HIDDEN | FLAG_UNKNOWN):
                sums[0] = 0
            session = self._sessions.by_id(session_id)
            session.dirty = True
            for name, value in zip(_OF_SESSION, sums, strict=False):
                if value:
                    setattr(session, name, getattr(session, name) + value)
            if flags & (FLAG_ESTIMATED | FLAG_COST_ESTIMATED) and max(sums) > 0:
                session.estimated = 1
            session.last_ms = max(session.last_ms, newest_ms)
            self._totals.touch(session)
            key = (slot, session.project, model, flags)
            known = rollup.get(key)
            rollup[key] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
        self._sums.clear()
        self._db.executemany(_ROLL, [(*key, *sums) for key, sums in rollup.items() if any(sums)])

    def move(self, session: SessionRow, unknown: int) -> None:
        """A session whose project became known after its first events: move them in the rollup."""
        sums = ", ".join(f"sum({name})" for name in SUMS[1:7])
        groups = self._db.execute(
            f"SELECT at_ms / {SLOT_MS}, model, flags, sum(NOT flags & {FLAG_HIDDEN | FLAG_UNKNOWN}), {sums},"
            " coalesce(sum(cost_nusd), 0), coalesce(sum(CASE WHEN cost_nusd IS NULL THEN"
            " input + cache_read + cache_write_5m + cache_write_1h + output END), 0),"
            f" sum(flags & {FLAG_UNKNOWN} != 0), coalesce(sum(logged_nusd), 0)"
            " FROM event LEFT JOIN event_extra USING (id) WHERE session=? GROUP BY 1, 2, 3",
            (session.id,),
        ).fetchall()
        self._db.executemany(
            _ROLL,
            [(slot, unknown, model, flags, *(-v for v in values)) for slot, model, flags, *values in groups],
        )
        self._db.executemany(_ROLL, [(slot, session.project, *rest) for slot, *rest in groups])

    def logged(self, identities: Iterable[int]) -> dict[int, int]:
        """What the agents themselves logged as the cost of stored events."""
        wanted = list(identities)
        if not wanted:
            return {}
        found = self._db.execute(
            "SELECT id, logged_nusd FROM event_extra WHERE logged_nusd IS NOT NULL"
            " AND id IN (SELECT value FROM json_each(?))",
            (json.dumps(wanted),),
        )
        return dict(found.fetchall())

    def take_out(self, rows: Sequence[EventRow]) -> None:
        logged = self.logged(row[0] for row in rows)
        for row in rows:
            self.account(row, -1, logged.get(row[0], 0))
