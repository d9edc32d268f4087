"""What else is kept: how far files were read, problems, plan limits, receipts, projections, the view. Read-only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

import msgspec

from tokentop.nouns.actions import Receipt
from tokentop.nouns.facts import Cursor, Diagnostic
from tokentop.nouns.money import Quota

KEPT = "kept "  # names in `meta` of what a screen keeps begin with it


def cursors(db: sqlite3.Connection, paths: Sequence[str]) -> list[Cursor]:
    """How far each of these files was read, where that is known. A path that is no valid text is stored as bytes."""
    import os

    columns = (
        "path, agent, dev, ino, head_len, head_hash, offset, tail_hash, size, mtime_ns, agent_version, state"
    )
    texts, found = [], []
    for path in paths:
        try:
            path.encode()
        except UnicodeEncodeError:
            found += db.execute(
                f"SELECT {columns} FROM cursor WHERE path = ?", (os.fsencode(path),)
            ).fetchall()
        else:
            texts.append(path)
    found += db.execute(
        f"SELECT {columns} FROM cursor WHERE path IN (SELECT value FROM json_each(?))", (json.dumps(texts),)
    ).fetchall()
    return [Cursor(os.fsdecode(path), *rest) for path, *rest in found]


def health(db: sqlite3.Connection) -> list[Diagnostic]:
    """What could not be read, with counts; `duplicate` rows count repeated records that were dropped."""
    rows = db.execute(
        "SELECT source, kind, detail, count FROM health ORDER BY source, kind, detail LIMIT 1000"
    )
    return [Diagnostic(*row) for row in rows]


def files_read(db: sqlite3.Connection) -> tuple[int, int]:
    """(files, bytes) read so far."""
    files, size = db.execute("SELECT count(*), coalesce(sum(offset), 0) FROM cursor").fetchone()
    return files, size


def quotas(db: sqlite3.Connection) -> list[Quota]:
    rows = db.execute(
        "SELECT provider, account, window_minutes, limit_id, used_pct, resets_at_ms, source, at_ms, plan FROM quota"
    )
    return [Quota(*row) for row in rows]


def quota_readings(
    db: sqlite3.Connection, since_ms: int
) -> dict[tuple[str, str, str, int], list[tuple[int, float]]]:
    """(at_ms, used_pct) by time, of each limit window (provider, account, limit id, minutes)."""
    found: dict[tuple[str, str, str, int], list[tuple[int, float]]] = {}
    rows = db.execute(
        "SELECT provider, account, limit_id, window_minutes, at_ms, used_pct FROM quota_reading WHERE at_ms >= ?"
        " ORDER BY at_ms",
        (since_ms,),
    )
    for *key, at_ms, used_pct in rows:
        found.setdefault((key[0], key[1], key[2], key[3]), []).append((at_ms, used_pct))
    return found


def actions(db: sqlite3.Connection, limit: int = 100) -> list[Receipt]:
    rows = db.execute("SELECT receipt FROM action ORDER BY id DESC LIMIT ?", (limit,))
    return [msgspec.json.decode(text, type=Receipt) for (text,) in rows]


def projections(db: sqlite3.Connection, day: str) -> list[tuple[int, int, int, int]]:
    """(at_ms, projected, low, high in nano-dollars) of one local day, by time."""
    return db.execute(
        "SELECT at_ms, projected_nusd, low_nusd, high_nusd FROM projection WHERE day=? ORDER BY at_ms", (day,)
    ).fetchall()


def projections_since(db: sqlite3.Connection, since_ms: int) -> list[tuple[int, str, int, int, int, int]]:
    """(at_ms, local day, spent then, projected, low, high in nano-dollars) of all stored projections, by time."""
    return db.execute(
        "SELECT at_ms, day, today_nusd, projected_nusd, low_nusd, high_nusd FROM projection WHERE at_ms >= ?"
        " AND method = 'profile' ORDER BY at_ms",
        (since_ms,),
    ).fetchall()


def remembered(db: sqlite3.Connection, name: str) -> str:
    """What was kept under a name, "" = nothing."""
    row = db.execute("SELECT value FROM meta WHERE name=?", (KEPT + name,)).fetchone()
    return str(row[0]) if row else ""


def data_version(db: sqlite3.Connection) -> int:
    """Changes when another connection has committed."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])
