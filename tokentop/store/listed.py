"""Which sessions stand in a table: asked one by one, as they are met, so that a start does not grow with the history."""

from __future__ import annotations

import sqlite3


class Listed:
    """Membership in a table with a column `session`, which only the owner of this object changes."""

    def __init__(self, db: sqlite3.Connection, table: str) -> None:
        self._db = db
        self._ask = f"SELECT 1 FROM {table} WHERE session = ? LIMIT 1"
        self._table = table
        self.look_again()

    def look_again(self) -> None:
        """After a rollback: memory must not run ahead of the file."""
        self._known: dict[int, bool] = {}
        self._any = self._db.execute(f"SELECT 1 FROM {self._table} LIMIT 1").fetchone() is not None

    def __contains__(self, session: int) -> bool:
        known = self._known.get(session)
        if known is None:
            known = self._any and self._db.execute(self._ask, (session,)).fetchone() is not None
            self._known[session] = known
        return known

    def add(self, session: int) -> None:
        self._known[session] = self._any = True

    def discard(self, session: int) -> None:
        self._known[session] = False
