"""Sums of local days beside the rollups of quarter hours, so that a question over years reads days.

Beside the days stand their sums by agent alone, and blocks of 32 days: a year by project reads twelve times less.
A day whose rollups have changed is in `daily_stale` (by UTC day, put there by triggers) until `refresh` has made it
anew; a question reads such days from the rollups, so that an answer never depends on when that was. sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, timedelta, tzinfo

import msgspec
from msgspec.structs import replace

from tokentop.engine.days import local, midnight_ms
from tokentop.nouns.usage import Tokens

from .flags import FLAG_AT_ESTIMATED, FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_TELEMETRY
from .hours import SLOT_MS
from .slots import Filter, Slot
from .usage import usage

DIMENSIONS = ("day", "agent", "project", "provider", "model")
_DAY_MS = 86_400_000
_SLOTS = _DAY_MS // SLOT_MS  # of a UTC day
_EPOCH = date(1970, 1, 1)
_UNKNOWN = 0  # the day of what has no time, or none that can be
_FIRST = 3  # the first day that can be: the zones of days before it do not overlap with what has no time
_ZONE = "daily zone"
_FEW = 40  # changed days that a question reads from the rollups rather than to write
_SUMS = (
    "responses", "input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning", "cost_nusd",
    "unpriced_tokens", "unknown_calls", "logged_nusd",
)  # fmt: skip
_BLOCK = 32  # days
_NAMES = ", ".join(_SUMS)
_SUMMED = ", ".join(f"sum(r.{name})" for name in _SUMS)
_COLUMNS = {
    "day": "r.day", "agent": "p.agent", "project": "p.name", "provider": "m.provider", "model": "m.name",
}  # fmt: skip


def refresh(db: sqlite3.Connection, zone: tzinfo, most: int = -1) -> int:
    """Make the changed days anew, in one transaction; return how many local days that were.

    `most` = so many changed UTC days at once, the oldest first; the others wait for the next call.
    """
    name = _named(zone)
    row = db.execute("SELECT value FROM meta WHERE name=?", (_ZONE,)).fetchone()
    if row is not None and row[0] == name and not _stale(db):
        return 0
    db.execute("BEGIN IMMEDIATE")
    try:
        if row is None or row[0] != name:
            for table in ("daily", "daily_agent", "daily_block"):
                db.execute(f"DELETE FROM {table}")
            db.execute(f"INSERT OR IGNORE INTO daily_stale SELECT DISTINCT slot / {_SLOTS} FROM rollup")
            db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (_ZONE, name))
        stale = _stale(db, most)
        days = _days_of(stale, zone)
        for day in days:
            first, last = _slots(day, zone)
            db.execute("DELETE FROM daily WHERE day=?", (day,))
            db.execute(
                f"INSERT INTO daily (day, project, model, flags, {_NAMES})"
                f" SELECT ?, r.project, r.model, r.flags, {_SUMMED} FROM rollup r WHERE r.slot >= ? AND r.slot < ?"
                " GROUP BY r.project, r.model, r.flags",
                (day, first, last),
            )
            db.execute("DELETE FROM daily_agent WHERE day=?", (day,))
            db.execute(
                f"INSERT INTO daily_agent (day, agent, flags, {_NAMES}) SELECT ?1, p.agent, r.flags, {_SUMMED}"
                " FROM daily r JOIN project p ON p.id = r.project WHERE r.day = ?1 GROUP BY p.agent, r.flags",
                (day,),
            )
        for block in {day // _BLOCK for day in days}:
            db.execute("DELETE FROM daily_block WHERE block=?", (block,))
            db.execute(
                f"INSERT INTO daily_block (block, project, model, flags, {_NAMES})"
                f" SELECT ?, r.project, r.model, r.flags, {_SUMMED} FROM daily r WHERE r.day >= ? AND r.day < ?"
                " GROUP BY r.project, r.model, r.flags",
                (block, block * _BLOCK, (block + 1) * _BLOCK),
            )
        db.executemany("DELETE FROM daily_stale WHERE day = ?", [(day,) for day in stale])
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
    row = db.execute("SELECT value FROM meta WHERE name=?", (_ZONE,)).fetchone()
    if row is None or row[0] != _named(zone):
        return found
    changed = _days_of(_stale(db), zone)
    slots = db.execute("SELECT DISTINCT slot FROM rollup").fetchall()
    days = ((slot, _day(slot * SLOT_MS, zone)) for (slot,) in slots)
    pairs = msgspec.json.encode([pair for pair in days if pair[1] not in changed]).decode()
    of_rollups = (
        "FROM (SELECT json_extract(value, '$[0]') AS of, json_extract(value, '$[1]') AS day FROM json_each(?)) d"
        " CROSS JOIN rollup r ON r.slot = d.of"
    )
    without = f"day NOT IN ({', '.join(map(str, changed))})"
    found += _differ(
        db, "days", f"SELECT day, project, model, flags, {_NAMES} FROM daily WHERE {without}",
        f"SELECT day, project, model, flags, {_SUMMED} {of_rollups} GROUP BY 1, 2, 3, 4", pairs,
    )  # fmt: skip
    found += _differ(
        db, "days by agent", f"SELECT day, agent, flags, {_NAMES} FROM daily_agent WHERE {without}",
        f"SELECT day, p.agent, flags, {_SUMMED} {of_rollups} JOIN project p ON p.id = r.project GROUP BY 1, 2, 3", pairs,
    )  # fmt: skip
    blocks = f"NOT IN ({', '.join(str(day // _BLOCK) for day in changed)})"
    found += _differ(
        db, "blocks of days", f"SELECT block, project, model, flags, {_NAMES} FROM daily_block WHERE block {blocks}",
        f"SELECT day / {_BLOCK}, project, model, flags, {_SUMMED} {of_rollups} WHERE day / {_BLOCK} {blocks}"
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
    row = db.execute("SELECT value FROM meta WHERE name=?", (_ZONE,)).fetchone()
    return row is None or row[0] != _named(zone) or len(_stale(db)) > _FEW


def sums(db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo) -> Iterator[Slot]:
    """Usage by any of `DIMENSIONS`, and by quality; what is not asked for is "" (0 for the day).

    Days are local; `slot_ms` is when the day begins. What is left of days at the edges is exact, too.
    """
    row = db.execute("SELECT value FROM meta WHERE name=?", (_ZONE,)).fetchone()
    if row is None or row[0] != _named(zone):
        yield from _of_rollups(db, wanted, by, zone)
        return
    first, last = _whole_days(wanted, zone)
    changed = [day for day in _days_of(_stale(db), zone) if first <= day < last]
    yield from _of_days(db, wanted, by, zone, (first, last), changed)
    for day in changed:
        if day == _UNKNOWN:
            span = replace(wanted, since_ms=None, until_ms=_starts_ms(_FIRST, zone))
        else:
            span = replace(wanted, since_ms=_starts_ms(day, zone), until_ms=_starts_ms(day + 1, zone))
        yield from _of_rollups(db, span, by, zone)
    for since_ms, until_ms in _edges(wanted, zone, first, last):
        yield from _of_rollups(db, replace(wanted, since_ms=since_ms, until_ms=until_ms), by, zone)


def _of_days(
    db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo, span: tuple[int, int],
    without: Sequence[int],
) -> Iterator[Slot]:  # fmt: skip
    """Days of a span, of the smallest table that tells what is asked."""
    first, last = span
    if not (wanted.project or wanted.model) and {*by} <= {"day", "agent"}:
        yield from _summed(db, "daily_agent", "day", wanted, by, zone, span, without)
        return
    since, until = -(-first // _BLOCK), last // _BLOCK
    if "day" in by or since >= until:
        yield from _summed(db, "daily", "day", wanted, by, zone, span, without)
        return
    partly = sorted({day // _BLOCK for day in without if since <= day // _BLOCK < until})
    yield from _summed(db, "daily_block", "block", wanted, by, zone, (since, until), partly)
    days = [(first, since * _BLOCK), *((block * _BLOCK, (block + 1) * _BLOCK) for block in partly)]
    for some in (*days, (until * _BLOCK, last)):
        yield from _summed(db, "daily", "day", wanted, by, zone, some, without)


def _summed(
    db: sqlite3.Connection, table: str, key: str, wanted: Filter, by: Sequence[str], zone: tzinfo,
    span: tuple[int, int], without: Sequence[int],
) -> Iterator[Slot]:  # fmt: skip
    agent = "r.agent" if table == "daily_agent" else "p.agent"
    named = [name for name in DIMENSIONS if name in by]
    columns = [agent if name == "agent" else _COLUMNS[name] for name in named]
    parts, values = [f"r.{key} >= ?", f"r.{key} < ?"], [*span]
    for column, value in ((agent, wanted.agent), ("p.name", wanted.project), ("m.name", wanted.model)):
        if value:
            parts.append(f"{column} = ?")
            values.append(value)  # type: ignore[arg-type]
    if without:
        parts.append(f"r.{key} NOT IN ({', '.join(map(str, without))})")
    where = " AND ".join(parts)
    said = f"{where} {' '.join(columns)}"
    joins = " JOIN project p ON p.id = r.project" * ("p." in said) + " JOIN model m ON m.id = r.model" * (
        "m." in said
    )
    group = ", ".join([*columns, "r.flags"])
    starts: dict[int, int] = {_UNKNOWN: 0}
    selected = [columns[named.index(name)] if name in named else "''" for name in DIMENSIONS[1:]]
    day_column = "r.day" if "day" in named else str(_UNKNOWN)
    for day, agent, project, provider, model, flags, responses, *rest in db.execute(
        f"SELECT {day_column}, {', '.join(selected)}, r.flags, {_SUMMED} FROM {table} r{joins} WHERE {where} GROUP BY {group}",
        values,
    ):
        if not (responses or any(rest)):
            continue
        if day not in starts:
            starts[day] = _starts_ms(day, zone)
        yield Slot(
            starts[day], agent, project, provider, model, "", bool(flags & FLAG_ESTIMATED), bool(flags & FLAG_COST_ESTIMATED),
            responses, Tokens(*rest[:6]), rest[6], rest[7], rest[8], rest[9], bool(flags & FLAG_AT_ESTIMATED),
            bool(flags & FLAG_TELEMETRY),
        )  # fmt: skip


def _of_rollups(db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo) -> Iterator[Slot]:
    for slot in usage(db, wanted, by_slot="day" in by, by=by):
        day = _day(slot.slot_ms, zone) if "day" in by else _UNKNOWN
        at_ms = _starts_ms(day, zone) if day != _UNKNOWN else 0
        yield replace(
            slot, slot_ms=at_ms, session="", agent=slot.agent if "agent" in by else "",
            project=slot.project if "project" in by else "", provider=slot.provider if "provider" in by else "",
            model=slot.model if "model" in by else "",
        )  # fmt: skip


def _whole_days(wanted: Filter, zone: tzinfo) -> tuple[int, int]:
    """The local days that lie wholly inside the asked time."""
    first, last = -(1 << 40), 1 << 40
    if wanted.since_ms is not None:
        first = _day(wanted.since_ms, zone)
        first += _starts_ms(first, zone) < wanted.since_ms
    if wanted.until_ms is not None:
        last = _day(wanted.until_ms, zone)
    return first, max(first, last)


def _edges(wanted: Filter, zone: tzinfo, first: int, last: int) -> list[tuple[int, int]]:
    if wanted.since_ms is None and wanted.until_ms is None:
        return []
    if wanted.since_ms is None:
        assert wanted.until_ms is not None
        return [(_starts_ms(last, zone), wanted.until_ms)] if _starts_ms(last, zone) < wanted.until_ms else []
    begin_ms = _starts_ms(first, zone)
    if wanted.until_ms is None:
        return [(wanted.since_ms, begin_ms)] if wanted.since_ms < begin_ms else []
    if first >= last:
        return [(wanted.since_ms, wanted.until_ms)] if wanted.since_ms < wanted.until_ms else []
    spans = [(wanted.since_ms, begin_ms), (_starts_ms(last, zone), wanted.until_ms)]
    return [(a, b) for a, b in spans if a < b]


def _stale(db: sqlite3.Connection, most: int = -1) -> list[int]:
    return [day for (day,) in db.execute("SELECT day FROM daily_stale ORDER BY day LIMIT ?", (most,))]


def _days_of(utc_days: Iterable[int], zone: tzinfo) -> list[int]:
    """The local days that UTC days have a part of."""
    found: set[int] = set()
    for utc in utc_days:
        found.update((_day(utc * _DAY_MS, zone), _day((utc + 1) * _DAY_MS - 1, zone)))
    return sorted(found)


def _slots(day: int, zone: tzinfo) -> tuple[int, int]:
    if day == _UNKNOWN:
        return -(1 << 40), _slots(_FIRST, zone)[0]
    return -(-_starts_ms(day, zone) // SLOT_MS), -(-_starts_ms(day + 1, zone) // SLOT_MS)


def _day(at_ms: int, zone: tzinfo) -> int:
    """The number of the local day of a moment, from 1970."""
    try:
        day = (local(at_ms, zone).date() - _EPOCH).days
    except (OverflowError, ValueError):
        day = at_ms // _DAY_MS
    return day if day >= _FIRST else _UNKNOWN


def _starts_ms(day: int, zone: tzinfo) -> int:
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
    return f"{getattr(zone, 'key', None) or ''} {offsets}"
