"""The message tables of OpenCode and Kilo, and one row of either. Pure."""

from __future__ import annotations

from typing import Any

from .decoding import epoch_ms

V1, V2 = "message", "session_message"
# A v1 user message can hold whole diffs, a v2 message all output of its tools.
DATA = {
    V1: 'CASE WHEN data LIKE \'{"role":"user"%\' THEN \'{"role":"user"}\' ELSE data END',
    V2: "CASE WHEN json_valid(data) THEN json_remove(data, '$.content') ELSE data END",
}
COLUMNS = {
    V1: f"rowid, id, session_id, time_created, time_updated, 0, '', {DATA[V1]}",
    V2: f"rowid, id, session_id, time_created, time_updated, seq, type, {DATA[V2]}",
}
WANTED = {
    V1: {"id", "session_id", "time_created", "time_updated", "data"},
    V2: {"id", "session_id", "time_created", "time_updated", "data", "seq", "type"},
}


class Row:
    """One row of a message table."""

    __slots__ = ("created_ms", "data", "id", "kind", "rowid", "seq", "session_id", "table", "updated_ms")

    def __init__(self, table: str, values: tuple[Any, ...], data: dict[str, Any]) -> None:
        rowid, row_id, session_id, created, updated, seq, kind, _ = values
        self.table, self.rowid, self.id, self.session_id, self.data = table, rowid, row_id, session_id, data
        self.created_ms, self.updated_ms = epoch_ms(created), epoch_ms(updated)
        self.seq = seq if type(seq) is int else 0
        self.kind = kind if isinstance(kind, str) else ""

    @property
    def is_call(self) -> bool:
        if self.table == V2:
            return self.kind in {"assistant", "compaction"}
        return self.data.get("role") == "assistant"

    @property
    def is_prompt(self) -> bool:
        return self.kind == "user" if self.table == V2 else self.data.get("role") == "user"
