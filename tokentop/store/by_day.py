"""What was used, by local days and names: from the sums that `daily.py` keeps, and exact where they are behind. Read-only.

Times are UTC milliseconds. sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo

from msgspec.structs import replace

from .daily import BLOCK, FIRST, KEPT, SUMMED, UNKNOWN, day_of, days_of, is_of, stale, starts_ms
from .slots import Filter, Slot, slot_of
from .usage import usage

DIMENSIONS = ("day", "agent", "project", "provider", "model")
_COLUMNS = {
    "day": "r.day", "agent": "p.agent", "project": "p.name", "provider": "m.provider", "model": "m.name",
}  # fmt: skip
_OF_TABLE = {"daily_agent": {"agent": "r.agent"}, "daily_project": {"project": "r.project"}}
_DAYS = (  # from one to the next, through the key
    "WITH RECURSIVE d (day) AS (SELECT min(day) FROM daily WHERE day >= ?1 AND day < ?2 UNION ALL"
    " SELECT (SELECT min(day) FROM daily WHERE day > d.day AND day < ?2) FROM d WHERE d.day IS NOT NULL)"
    " SELECT day FROM d WHERE day IS NOT NULL"
)


def sums(db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo) -> Iterator[Slot]:
    """Usage by any of `DIMENSIONS`, and by quality; what is not asked for is "" (0 for the day).

    Days are local; `slot_ms` is when the day begins. What is left of days at the edges is exact, too.
    """
    if not is_of(db, zone):
        yield from _of_rollups(db, wanted, by, zone)
        return
    first, last = _whole_days(wanted, zone)
    changed = [day for day in days_of(stale(db), zone) if first <= day < last]
    yield from _of_days(db, wanted, by, zone, (first, last), changed)
    for day in changed:
        if day == UNKNOWN:
            span = replace(wanted, since_ms=None, until_ms=starts_ms(FIRST, zone))
        else:
            span = replace(wanted, since_ms=starts_ms(day, zone), until_ms=starts_ms(day + 1, zone))
        yield from _of_rollups(db, span, by, zone)
    for since_ms, until_ms in _edges(wanted, zone, first, last):
        yield from _of_rollups(db, replace(wanted, since_ms=since_ms, until_ms=until_ms), by, zone)


def _of_days(
    db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo, span: tuple[int, int],
    without: Sequence[int],
) -> Iterator[Slot]:  # fmt: skip
    """Days of a span, of the smallest table that tells what is asked."""
    first, last = span
    told = {*by, *(name for name in ("agent", "project", "model") if getattr(wanted, name))}
    if told <= {"day", "agent"}:
        yield from _summed(db, "daily_agent", "day", wanted, by, zone, [span], without)
        return
    if "day" in by and told <= {"day", "project"}:
        yield from _summed(db, "daily_project", "day", wanted, by, zone, [span], without)
        return
    since, until = -(-first // BLOCK), last // BLOCK
    if "day" in by or since >= until:
        each = len(by) > 1 and "day" in by  # sorting each day's rows is faster than sorting all of them
        spans = [(day, day + 1) for (day,) in db.execute(_DAYS, span)] if each else [span]
        yield from _summed(db, "daily", "day", wanted, by, zone, spans, without)
        return
    partly = sorted({day // BLOCK for day in without if since <= day // BLOCK < until})
    yield from _summed(db, "daily_block", "block", wanted, by, zone, [(since, until)], partly)
    days = [(first, since * BLOCK), *((block * BLOCK, (block + 1) * BLOCK) for block in partly)]
    yield from _summed(db, "daily", "day", wanted, by, zone, [*days, (until * BLOCK, last)], without)


def _summed(
    db: sqlite3.Connection, table: str, key: str, wanted: Filter, by: Sequence[str], zone: tzinfo,
    spans: Iterable[tuple[int, int]], without: Sequence[int],
) -> Iterator[Slot]:  # fmt: skip
    column_of = _COLUMNS | _OF_TABLE.get(table, {})
    named = [name for name in DIMENSIONS if name in by]
    columns = [column_of[name] for name in named]
    parts, values = [f"r.{key} >= ?", f"r.{key} < ?"], []
    for name, value in (("agent", wanted.agent), ("project", wanted.project), ("model", wanted.model)):
        if value:
            parts.append(f"{column_of[name]} = ?")
            values.append(value)
    if without:
        parts.append(f"r.{key} NOT IN ({', '.join(map(str, without))})")
    where = " AND ".join(parts)
    said = f"{where} {' '.join(columns)}"
    joins = " JOIN project p ON p.id = r.project" * ("p." in said) + " JOIN model m ON m.id = r.model" * (
        "m." in said
    )
    selected = [columns[named.index(name)] if name in named else "''" for name in DIMENSIONS[1:]]
    alone = table in _OF_TABLE and {key, *_OF_TABLE[table]} == {*named}  # each row is a group by itself
    query = (
        f"SELECT {'r.day' if 'day' in named else UNKNOWN}, {', '.join(selected)}, r.flags, {KEPT if alone else SUMMED}"
        f" FROM {table} r{joins} WHERE {where}"
        + f" GROUP BY {', '.join([*columns, 'r.flags'])}"
        * (not alone)
    )
    starts: dict[int, int] = {UNKNOWN: 0}
    for span in spans:
        # There are very many rows: a list of each one's sums would take some time more.
        for (
            day, agent, project, provider, model, flags, responses, fresh, read, write_5m, write_1h, output, reasoning, cost,
            unpriced, unknown, logged,
        ) in db.execute(query, (*span, *values)):  # fmt: skip
            if not (
                responses or any((fresh, read, write_5m, write_1h, output, cost, unpriced, unknown, logged))
            ):
                continue
            if day not in starts:
                starts[day] = starts_ms(day, zone)
            yield slot_of(
                starts[day], agent, project, provider, model, "", flags, responses, fresh, read, write_5m, write_1h, output,
                reasoning, cost, unpriced, unknown, logged,
            )  # fmt: skip


def _of_rollups(db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo) -> Iterator[Slot]:
    for slot in usage(db, wanted, by_slot="day" in by, by=by):
        day = day_of(slot.slot_ms, zone) if "day" in by else UNKNOWN
        at_ms = starts_ms(day, zone) if day != UNKNOWN else 0
        yield replace(
            slot, slot_ms=at_ms, session="", agent=slot.agent if "agent" in by else "",
            project=slot.project if "project" in by else "", provider=slot.provider if "provider" in by else "",
            model=slot.model if "model" in by else "",
        )  # fmt: skip


def _whole_days(wanted: Filter, zone: tzinfo) -> tuple[int, int]:
    """The local days that lie wholly inside the asked time."""
    first, last = -(1 << 40), 1 << 40
    if wanted.since_ms is not None:
        first = day_of(wanted.since_ms, zone)
        first += starts_ms(first, zone) < wanted.since_ms
    if wanted.until_ms is not None:
        last = day_of(wanted.until_ms, zone)
    return first, max(first, last)


def _edges(wanted: Filter, zone: tzinfo, first: int, last: int) -> list[tuple[int, int]]:
    if wanted.since_ms is None and wanted.until_ms is None:
        return []
    if wanted.since_ms is None:
        assert wanted.until_ms is not None
        return [(starts_ms(last, zone), wanted.until_ms)] if starts_ms(last, zone) < wanted.until_ms else []
    begin_ms = starts_ms(first, zone)
    if wanted.until_ms is None:
        return [(wanted.since_ms, begin_ms)] if wanted.since_ms < begin_ms else []
    if first >= last:
        return [(wanted.since_ms, wanted.until_ms)] if wanted.since_ms < wanted.until_ms else []
    spans = [(wanted.since_ms, begin_ms), (starts_ms(last, zone), wanted.until_ms)]
    return [(a, b) for a, b in spans if a < b]
