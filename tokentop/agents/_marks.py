"""How far a table of an agent's database was read, for tables whose rows are written once and then updated. Pure.

The watermark is the rowid, which tables with a TEXT primary key have as well. New rows get max(rowid) + 1, so
after rows at the end were deleted (an undone turn, a deleted session) the next ones reuse their rowids. Some
rowids are therefore remembered with the id that stood there: as long as the row of a mark exists, every row that
is newer than the mark has a larger rowid.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from .base import Ask

ROWS = 2_000  # of one look at a large backlog
_OPEN_ROWS = 256  # unfinished rows that are looked at again
_NEAREST = 3  # marks that are kept before their distances have to double


class Marks(Struct):
    """Newest first: (rowid, id). `open` = unfinished rows and the time of their last update, to be read again."""

    marks: list[tuple[int, str]] = []
    open: dict[str, int] = {}

    def rows(self, ask: Ask, table: str, columns: str) -> tuple[list[tuple[Any, ...]], bool]:
        """The rows that are new or were unfinished, and whether there are more now.

        `columns` begin with rowid and id.
        """
        after = self._start(ask, table)
        new = ask(f"SELECT {columns} FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT {ROWS}", after)
        again: list[tuple[Any, ...]] = []
        if self.open:
            fresh = {row[1] for row in new}
            ids = [row_id for row_id in self.open if row_id not in fresh]
            again = ask(
                f"SELECT {columns} FROM {table} WHERE id IN (SELECT value FROM json_each(?))", json.dumps(ids)
            )
            for gone in set(ids) - {row[1] for row in again}:
                del self.open[gone]
        if new:
            self._advance((new[-1][0], str(new[-1][1])))
        return again + new, len(new) >= ROWS

    def keep_open(self, row_id: str, updated_ms: int) -> bool:
        """Note an unfinished row; whether it differs from what was seen of it before."""
        changed = self.open.get(row_id) != updated_ms
        self.open[row_id] = updated_ms
        return changed

    def close(self, row_id: str) -> None:
        self.open.pop(row_id, None)

    def forget_old(self, since_ms: int) -> None:
        """Rows that were killed stay unfinished for ever: those of long ago are let go."""
        old = sorted(self.open, key=self.open.__getitem__)
        spare = len(old) - _OPEN_ROWS
        for index, row_id in enumerate(old):
            if index < spare or self.open[row_id] < since_ms:
                del self.open[row_id]

    def _start(self, ask: Ask, table: str) -> int:
        while self.marks:
            rowid, row_id = self.marks[0]
            if ask(f"SELECT 1 FROM {table} WHERE rowid = ? AND id = ?", rowid, row_id):
                return rowid
            del self.marks[0]
        return 0

    def _advance(self, mark: tuple[int, str]) -> None:
        kept, gap = [mark], 1
        for one in self.marks:
            far = mark[0] - one[0] >= gap
            if len(kept) <= _NEAREST or far:
                kept.append(one)
            if far:
                gap *= 2
        self.marks = kept
