"""Numbers of models and of tiers."""

from __future__ import annotations

import sqlite3


class Names:
    """Belongs to the writer."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._models: dict[tuple[str, str], int] = {}
        self._tiers: dict[tuple[str, str], int] = {}

    def clear(self) -> None:
        """After a rollback."""
        self._models.clear()
        self._tiers.clear()

    def model(self, provider: str, name: str) -> int:
        return self._models.get((provider, name)) or self._intern(
            self._models, "model", ("provider", "name"), (provider, name)
        )

    def tier(self, tier: str, geo: str) -> int:
        """0 = the usual one."""
        if not tier and not geo:
            return 0
        return self._tiers.get((tier, geo)) or self._intern(self._tiers, "tier", ("tier", "geo"), (tier, geo))

    def _intern(
        self, known: dict[tuple[str, str], int], table: str, columns: tuple[str, str], key: tuple[str, str]
    ) -> int:
        number = known.get(key)
        if number is None:
            self._db.execute(f"INSERT OR IGNORE INTO {table} ({columns[0]}, {columns[1]}) VALUES (?, ?)", key)
            found = self._db.execute(f"SELECT id FROM {table} WHERE {columns[0]}=? AND {columns[1]}=?", key)
            number = known[key] = int(found.fetchone()[0])
        return number
