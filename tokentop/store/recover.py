"""A damaged database: it is put aside, never deleted, and what can still be read of it is copied."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tokentop.agents.decoding import MAX_COUNT

from .db import FILE_NAME, open_writer
from .flags import FLAG_HIDDEN, FLAG_SALVAGED, FLAG_UNKNOWN, FLAG_UNPRICED, FLAGS_MAX
from .hours import HOUR_MS, hour
from .merging import MAX_EVENT_NUSD
from .purging import ADD_UP
from .slots import SLOT_MS

# Cursors and health are left out: the logs are read again from the start, the event ids make that harmless.
_TABLES = (
    "model", "project", "tier", "session", "event", "event_extra", "running_total", "spawn", "quota", "projection",
    "action", "outline", "quota_reading", "bill", "bill_day", "bill_revision", "balance", "provider_name", "provider_state",
    "frame", "frame_body", "frame_text", "frame_mark", "telemetry", "purged", "purged_call", "purged_rollup",
    "imported_sum",
)  # fmt: skip
_MADE_OF = {
    "hour": hour("at_ms"),
    "in_hour_ms": f"at_ms % {HOUR_MS}",
}  # columns of `event` that older stores lack
_CHUNK = 500
MAX_MS = 4_102_444_800_000  # 2100
_COUNTS = "input, cache_read, cache_write_5m, cache_write_1h, output, reasoning"


def replace_damaged(folder: Path, now_ms: int) -> tuple[Path, int]:
    """Move the database to `tokentop.db.corrupt-<ms>` and copy its readable rows into a new one.

    Return (where the old file is, rows kept).
    """
    path = folder / FILE_NAME
    kept = folder / f"{FILE_NAME}.corrupt-{now_ms}"
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(f"{kept}{suffix}")
    new = open_writer(folder)
    try:
        rows = _salvage(kept, new)
    finally:
        new.close()
    return kept, rows


def _salvage(old_path: Path, new: sqlite3.Connection) -> int:
    try:
        old = sqlite3.connect(f"file:{old_path}?mode=ro", uri=True)
    except sqlite3.Error:
        return 0
    rows = 0
    with contextlib.closing(old):
        new.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            rows += _copy(old, new, table)
        _rebuild(new)
        new.execute("COMMIT")
    return rows


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> int:
    """Copy the rows that can be read; an unreadable stretch is jumped over."""
    columns = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    try:
        known = {row[1] for row in old.execute(f"PRAGMA table_xinfo({table})")}
        columns = [name for name in columns if name in known or name in _MADE_OF]
        plain = (
            "WITHOUT ROWID"
            not in (old.execute("SELECT sql FROM sqlite_master WHERE name=?", (table,)).fetchone() or ("",))[
                0
            ].upper()
        )
    except sqlite3.Error:
        return 0
    put = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    columns = [name if name in known else _MADE_OF[name] for name in columns]
    if plain:
        return _by_rowid(old, new, table, columns, put)
    return (_by_session if table == "event" else _straight)(old, new, table, columns, put)


def _straight(
    old: sqlite3.Connection, new: sqlite3.Connection, table: str, columns: list[str], put: str
) -> int:
    rows = 0
    with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
        for row in old.execute(f"SELECT {', '.join(columns)} FROM {table}"):
            new.execute(put, row)
            rows += 1
    return rows


def _by_session(
    old: sqlite3.Connection, new: sqlite3.Connection, table: str, columns: list[str], put: str
) -> int:
    """Each session's rows from both ends; sessions were copied before."""
    rows = 0
    for (session,) in new.execute("SELECT id FROM session").fetchall():
        for order in ("ASC", "DESC"):
            query = f"SELECT {', '.join(columns)} FROM {table} WHERE session = ? ORDER BY hour {order}, id {order}"
            try:
                for row in old.execute(query, (session,)):
                    rows += new.execute(put, row).rowcount
            except (sqlite3.Error, UnicodeDecodeError):
                continue  # the rest is reached from the other end
            break
    return rows


def _by_rowid(
    old: sqlite3.Connection, new: sqlite3.Connection, table: str, columns: list[str], put: str
) -> int:
    rows = 0
    for order in ("ASC", "DESC"):
        last = -(1 << 63) if order == "ASC" else (1 << 63) - 1
        compare = ">" if order == "ASC" else "<"
        query = (
            f"SELECT rowid, {', '.join(columns)} FROM {table} WHERE rowid {compare} ? ORDER BY rowid {order}"
            f" LIMIT {_CHUNK}"
        )
        while True:
            count = 0
            try:
                for rowid, *values in old.execute(query, (last,)):
                    rows += new.execute(put, values).rowcount
                    last = rowid
                    count += 1
            except (sqlite3.Error, UnicodeDecodeError):
                break  # the rest is reached from the other end
            if count < _CHUNK:
                return rows
    return rows


def _rebuild(new: sqlite3.Connection) -> None:
    """Make rollups and session sums again from the events; what is lost or impossible goes."""
    new.execute("DELETE FROM event WHERE typeof(hour) != 'integer'")
    limits = {"in_hour_ms": HOUR_MS - 1, "at_ms": MAX_MS, "took_ms": MAX_MS, "flags": FLAGS_MAX}
    for column in (*limits, *_COUNTS.split(", ")):
        most = limits.get(column, MAX_COUNT)
        new.execute(
            f"DELETE FROM event WHERE typeof({column}) != 'integer' OR {column} NOT BETWEEN 0 AND {most}"
        )
    new.execute(
        "DELETE FROM event WHERE cost_nusd IS NOT NULL AND (typeof(cost_nusd) != 'integer' OR"
        f" cost_nusd NOT BETWEEN 0 AND {MAX_EVENT_NUSD})"
    )
    new.execute(f"UPDATE event SET flags = flags | {FLAG_SALVAGED}")
    new.execute("DELETE FROM event WHERE session NOT IN (SELECT id FROM session)")
    new.execute("DELETE FROM event WHERE model NOT IN (SELECT id FROM model)")
    new.execute("UPDATE session SET project=0 WHERE project NOT IN (SELECT id FROM project)")
    new.execute(
        "INSERT OR IGNORE INTO project (id, agent, name) SELECT DISTINCT 0, agent, '' FROM session WHERE project=0 LIMIT 1"
    )
    sums = ", ".join(f"sum(e.{name.strip()})" for name in _COUNTS.split(","))
    money = (
        f"coalesce(sum(e.cost_nusd), 0), coalesce(sum(CASE WHEN e.flags & {FLAG_UNPRICED} THEN"
        " e.input + e.cache_read + e.cache_write_5m + e.cache_write_1h + e.output END), 0)"
    )
    answered = f"sum(NOT e.flags & {FLAG_HIDDEN | FLAG_UNKNOWN})"
    unknown = f"sum(e.flags & {FLAG_UNKNOWN} != 0)"
    new.execute(
        f"INSERT INTO rollup (slot, project, model, flags, responses, {_COUNTS}, cost_nusd, unpriced_tokens,"
        f" unknown_calls, logged_nusd) SELECT e.at_ms / {SLOT_MS}, s.project, e.model, e.flags, {answered}, {sums},"
        f" {money}, {unknown}, coalesce(sum(x.logged_nusd), 0)"
        " FROM event e JOIN session s ON s.id = e.session LEFT JOIN event_extra x ON x.id = e.id GROUP BY 1, 2, 3, 4"
    )
    new.execute(f"INSERT INTO rollup SELECT * FROM purged_rollup WHERE true {ADD_UP}")
    new.execute(
        f"UPDATE session SET responses=0, unknown_calls=0,"
        f" ({_COUNTS}, cost_nusd, unpriced_tokens) = (0, 0, 0, 0, 0, 0, 0, 0)"
        " WHERE id NOT IN (SELECT session FROM purged)"
    )
    new.execute(
        f"UPDATE session SET (responses, {_COUNTS}, cost_nusd, unpriced_tokens, unknown_calls) = (SELECT"
        f" {answered}, {sums}, {money}, {unknown} FROM event e WHERE e.session = session.id)"
        " WHERE id IN (SELECT session FROM event) AND id NOT IN (SELECT session FROM purged)"
    )
    new.execute("DELETE FROM running_total WHERE session NOT IN (SELECT id FROM session)")
    new.execute("INSERT OR IGNORE INTO unsettled SELECT DISTINCT session FROM running_total")
