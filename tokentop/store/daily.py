"""Sums of local days beside the rollups of quarter hours, so that a question over years reads days.

Beside the days stand their sums by agent alone and by the project's name alone, and blocks of 32 days: a year by
project reads twelve times less.
A day whose rollups have changed is in `daily_stale` (by UTC day, put there by triggers) until `refresh` has made it
anew; a question reads such days from the rollups, so that an answer never depends on when that was. sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, date, timedelta, tzinfo

import msgspec

from tokentop.engine.days import local, midnight_ms

from .slots import ROLLED, SLOT_MS

_DAY_MS = 86_400_000
_SLOTS = _DAY_MS // SLOT_MS  # of a UTC day
_EPOCH = date(1970, 1, 1)
UNKNOWN = 0  # the day of what has no time, or none that can be
FIRST = 3  # the first day that can be: the zones of days before it do not overlap with what has no time
_ZONE = "daily zone"
_UTC = ("UTC", "Etc/UTC")  # the same as the one without a name
_FEW = 40  # changed days that a question reads from the rollups rather than to write
_SUMS = ("responses", *ROLLED)
BLOCK = 32  # days
_BY_NAME = (
    ("daily_agent", "agent", "p.agent"),
    ("daily_project", "project", "p.name"),
)  # table, its column, of what
KEPT = ", ".join(_SUMS)
SUMMED = ", ".join(f"sum(r.{name})" for name in _SUMS)


def refresh(db: sqlite3.Connection, zone: tzinfo, most: int = -1) -> int:
    """Make the changed days anew, in one transaction; return how many local days that were.

    `most` = so many changed UTC days at once, the oldest first; the others wait for the next call.
    """
    mine = is_of(db, zone)
    if mine and not stale(db):
        return 0
    db.execute("BEGIN IMMEDIATE")
    try:
        if not mine:
            for table in ("daily", *(table for table, _, _ in _BY_NAME), "daily_block"):
                db.execute(f"DELETE FROM {table}")
            db.execute(f"INSERT OR IGNORE INTO daily_stale SELECT DISTINCT slot / {_SLOTS} FROM rollup")
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_ZONE, _named(zone)))
        changed = stale(db, most)
        days = days_of(changed, zone)
        for day in days:
            first, last = _slots(day, zone)
            db.execute("DELETE FROM daily WHERE day=?", (day,))
            db.execute(
                f"INSERT INTO daily (day, project, model, flags, {KEPT})"
                f" SELECT ?, r.project, r.model, r.flags, {SUMMED} FROM rollup r WHERE r.slot >= ? AND r.slot < ?"
                " GROUP BY r.project, r.model, r.flags",
                (day, first, last),
            )
            for table, column, of in _BY_NAME:
                db.execute(f"DELETE FROM {table} WHERE day=?", (day,))
                db.execute(
                    f"INSERT INTO {table} (day, {column}, flags, {KEPT}) SELECT ?1, {of}, r.flags, {SUMMED}"
                    f" FROM daily r JOIN project p ON p.id = r.project WHERE r.day = ?1 GROUP BY {of}, r.flags",
                    (day,),
                )
        for block in {day // BLOCK for day in days}:
            db.execute("DELETE FROM daily_block WHERE block=?", (block,))
            db.execute(
                f"INSERT INTO daily_block (block, project, model, flags, {KEPT})"
                f" SELECT ?, r.project, r.model, r.flags, {SUMMED} FROM daily r WHERE r.day >= ? AND r.day < ?"
                " GROUP BY r.project, r.model, r.flags",
                (block, block * BLOCK, (block + 1) * BLOCK),
            )
        db.executemany("DELETE FROM daily_stale WHERE day = ?", [(day,) for day in changed])
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return len(days)


def problems(db: sqlite3.Connection, zone: tzinfo) -> list[str]:
    """Where sums that are kept differ from the rollups. Days that have changed are not compared: they are made anew."""
    found = _differ(
        db, "quarter hours", "SELECT slot, cost_nusd FROM slot_cost", "SELECT slot, sum(cost_nusd) FROM rollup GROUP BY slot"
    )  # fmt: skip
    if not is_of(db, zone):
        return found
    changed = days_of(stale(db), zone)
    slots = db.execute("SELECT DISTINCT slot FROM rollup").fetchall()
    days = ((slot, day_of(slot * SLOT_MS, zone)) for (slot,) in slots)
    pairs = msgspec.json.encode([pair for pair in days if pair[1] not in changed]).decode()
    of_rollups = (
        "FROM (SELECT json_extract(value, '$[0]') AS of, json_extract(value, '$[1]') AS day FROM json_each(?)) d"
        " CROSS JOIN rollup r ON r.slot = d.of"
    )
    without = f"day NOT IN ({', '.join(map(str, changed))})"
    found += _differ(
        db, "days", f"SELECT day, project, model, flags, {KEPT} FROM daily WHERE {without}",
        f"SELECT day, project, model, flags, {SUMMED} {of_rollups} GROUP BY 1, 2, 3, 4", pairs,
    )  # fmt: skip
    for table, column, of in _BY_NAME:
        found += _differ(
            db, f"days by {column}", f"SELECT day, {column}, flags, {KEPT} FROM {table} WHERE {without}",
            f"SELECT day, {of}, flags, {SUMMED} {of_rollups} JOIN project p ON p.id = r.project GROUP BY 1, 2, 3", pairs,
        )  # fmt: skip
    blocks = f"NOT IN ({', '.join(str(day // BLOCK) for day in changed)})"
    found += _differ(
        db, "blocks of days", f"SELECT block, project, model, flags, {KEPT} FROM daily_block WHERE block {blocks}",
        f"SELECT day / {BLOCK}, project, model, flags, {SUMMED} {of_rollups} WHERE day / {BLOCK} {blocks}"
        " GROUP BY 1, 2, 3, 4", pairs,
    )  # fmt: skip
    return found


def _differ(db: sqlite3.Connection, name: str, kept: str, made: str, *values: str) -> list[str]:
    """How many rows two questions do not have in common, as a problem. `values` are of the second."""
    (count,) = db.execute(
        f"WITH kept AS ({kept}), made AS ({made}) SELECT (SELECT count(*) FROM"
        " (SELECT * FROM kept EXCEPT SELECT * FROM made)) + (SELECT count(*) FROM"
        " (SELECT * FROM made EXCEPT SELECT * FROM kept))",
        values,
    ).fetchone()
    return [f"{name}: {count:,} sums differ from the rollups"] if count else []


def is_behind(db: sqlite3.Connection, zone: tzinfo) -> bool:
    """Whether so many days have changed that a question should not read them all."""
    return not is_of(db, zone) or len(stale(db)) > _FEW


def is_of(db: sqlite3.Connection, zone: tzinfo) -> bool:
    """Whether the days that are kept are those of a zone."""
    row = db.execute("SELECT value FROM meta WHERE name=?", (_ZONE,)).fetchone()
    return row is not None and row[0] == _named(zone)


def stale(db: sqlite3.Connection, most: int = -1) -> list[int]:
    """The UTC days that have changed since they were made, oldest first."""
    return [day for (day,) in db.execute("SELECT day FROM daily_stale ORDER BY day LIMIT ?", (most,))]


def days_of(utc_days: Iterable[int], zone: tzinfo) -> list[int]:
    """The local days that UTC days have a part of."""
    found: set[int] = set()
    for utc in utc_days:
        found.update((day_of(utc * _DAY_MS, zone), day_of((utc + 1) * _DAY_MS - 1, zone)))
    return sorted(found)


def _slots(day: int, zone: tzinfo) -> tuple[int, int]:
    if day == UNKNOWN:
        return -(1 << 40), _slots(FIRST, zone)[0]
    return -(-starts_ms(day, zone) // SLOT_MS), -(-starts_ms(day + 1, zone) // SLOT_MS)


def day_of(at_ms: int, zone: tzinfo) -> int:
    """The number of the local day of a moment, from 1970."""
    try:
        day = (local(at_ms, zone).date() - _EPOCH).days
    except (OverflowError, ValueError):
        day = at_ms // _DAY_MS
    return day if day >= FIRST else UNKNOWN


def starts_ms(day: int, zone: tzinfo) -> int:
    """When the local day of a number begins."""
    try:
        return midnight_ms(_EPOCH + timedelta(days=day), zone)
    except (OverflowError, ValueError):
        return day * _DAY_MS


def _named(zone: tzinfo) -> str:
    """A zone by its name and by what it does to the clock over some years: a name alone may change its meaning."""
    marks = (date(year, month, 1) for year in range(2024, 2032) for month in (1, 4, 7, 10))
    offsets = ",".join(
        str(midnight_ms(one, zone) // SLOT_MS - midnight_ms(one, UTC) // SLOT_MS) for one in marks
    )
    key = getattr(zone, "key", None) or ""
    return f"{'' if key in _UTC else key} {offsets}"
