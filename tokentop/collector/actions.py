"""The action log: what was done to processes, stored, and told again when its seconds afterwards are over."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from tokentop.nouns.actions import Receipt
from tokentop.store import db, reader
from tokentop.store.receipts import append_action, replace_action

from .access import StoreAccess
from .memory import Memory


class ActionLog:
    def __init__(self, folder: Path, access: StoreAccess, memory: Memory) -> None:
        self._folder, self._access, self._memory = folder, access, memory
        self._untold: list[Receipt] | None = (
            None  # since the last `untold`; None = the store was not asked yet
        )

    def keep(self, receipt: Receipt) -> None:
        """Append a receipt to the action log, and watch its session for what is still spent."""
        self._memory.live.watch(receipt, time.monotonic())
        if self._untold is not None:
            self._untold.append(receipt)
        self._store(receipt, again=False)

    def tick(self, now_s: float) -> None:
        """Add to receipts what was spent afterwards, where that is known now."""
        for receipt in self._memory.live.watched(now_s):
            self._store(receipt, again=True)

    @property
    def watching(self) -> bool:
        """Whether a session is still watched after an action on it."""
        return self._memory.live.aftermath.watching

    def receipts(self) -> list[Receipt] | None:
        """What was done so far, newest first; None while no store is open."""
        connection = self._access.connection
        return None if connection is None else reader.actions(connection, limit=500)

    def untold(self) -> list[Receipt]:
        """Each receipt once, those of earlier runs with the first call for which a store is open."""
        found = self.receipts() if self._untold is None else self._untold
        self._untold = None if found is None else []
        return found or []

    def _store(self, receipt: Receipt, *, again: bool) -> None:
        """Another tokentop may be writing: the database serialises."""
        try:
            if self._access.ledger is not None:
                writer = self._access.ledger.writer
                (writer.action_watched if again else writer.action)(receipt)
            else:
                store_receipt(self._folder, receipt, again=again)
        except (sqlite3.Error, db.StoreError) as error:
            self._memory.note("actions", f"receipt not stored: {error}")


def store_receipt(folder: Path, receipt: Receipt, *, again: bool = False) -> None:
    """Append a receipt to the action log, or replace it, with a connection of its own.

    sqlite3.Error, db.StoreError.
    """
    connection = db.open_writer(folder)
    try:
        (replace_action if again else append_action)(connection, receipt)
    finally:
        connection.close()
