"""Sums of usage from the rollups, and what they cost. Read-only; times are UTC milliseconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from tokentop.nouns.usage import Average, Figures, Tokens

from .slots import ROLLED, SLOT_MS, Filter, Slot, slot_of, where_of
from .usage_of_calls import events_as_slots

PURGED = "(sums only)"  # the one name of all sessions whose calls are not here: purged, or imported as sums
_COLUMNS = {"agent": "p.agent", "project": "p.name", "provider": "m.provider", "model": "m.name"}


def usage(
    db: sqlite3.Connection,
    wanted: Filter,
    *,
    by_slot: bool,
    by: Sequence[str] = tuple(_COLUMNS),
    width: int = 1,
) -> Iterator[Slot]:
    """Rollup rows summed by the names asked for and quality (and by `width` quarter hours); edges inside a slot are exact.

    What is not in `by` may be "". Edges are by quarter hour, whatever the width.
    """
    first, last = _whole_slots(wanted)
    where, values = where_of(wanted, "p.agent", "p.name", "m.name")
    names = [column if name in by else "''" for name, column in _COLUMNS.items()]
    said = where + "".join(names)
    joins = " JOIN project p ON p.id = r.project" * ("p." in said) + " JOIN model m ON m.id = r.model" * (
        "m." in said
    )
    part = f"r.slot / {width} * {width}" if width > 1 else "r.slot"
    group = [part] * by_slot
    group += ["r.project"] if "project" in by else ["p.agent"] * ("agent" in by)
    group += ["r.model"] if "model" in by else ["m.provider"] * ("provider" in by)
    sums = ", ".join(f"sum(r.{c}) AS {c}" for c in ("responses", *ROLLED))
    table = f"rollup r{joins} WHERE r.slot >= ? AND r.slot < ?{where}"
    select = f"SELECT {part if by_slot else '0'}, {', '.join(names)}, r.flags, {sums} FROM"
    grouped = f"GROUP BY {', '.join([*group, 'r.flags'])}"
    query, bound = f"{select} {table} {grouped}", [first, last, *values]
    if group == [part]:  # the usual rows are summed as they lie: sorting them would take as long again
        usual = f"(SELECT r.slot, r.flags, {sums} FROM {table} AND NOT r.flags GROUP BY r.slot) r"
        query = f"{select} {usual} {grouped} UNION ALL {select} {table} AND r.flags {grouped}"
        bound *= 2
    rows = db.execute(query, bound)
    for slot, agent, project, provider, model, flags, responses, *rest in rows:
        if responses or any(rest):
            yield slot_of(slot * SLOT_MS, agent, project, provider, model, "", flags, responses, *rest)
    for span in _edges(wanted, first, last):
        yield from events_as_slots(db, wanted, span, by_slot=by_slot)


def purged_as_slots(db: sqlite3.Connection, wanted: Filter) -> Iterator[Slot]:
    """The sums of calls that are not here (purged, or imported as sums), by quarter hour: no session of theirs is known.

    With it `events_as_slots` and `sessions_as_slots` have the same sums as `usage`.
    """
    where, values = where_of(wanted, "p.agent", "p.name", "m.name")
    rows = db.execute(
        f"SELECT r.slot, p.agent, p.name, m.provider, m.name, r.flags, r.responses, {', '.join(f'r.{c}' for c in ROLLED)}"
        " FROM purged_rollup r JOIN project p ON p.id = r.project JOIN model m ON m.id = r.model"
        f" WHERE r.slot >= ? AND r.slot < ?{where}",
        [*_whole_slots(wanted), *values],
    )
    for slot, agent, project, provider, model, flags, responses, *rest in rows:
        if responses or any(rest):
            yield slot_of(slot * SLOT_MS, agent, project, provider, model, PURGED, flags, responses, *rest)


def cut_through(db: sqlite3.Connection, *asked: Filter) -> tuple[int, int]:
    """(calls, nano-dollars) of the quarter hours that the asked times cut and whose single calls are not here.

    Which of them lie within the times cannot be known: no other question counts any of them. The filters differ in
    their times alone.
    """
    where, values = where_of(asked[0], "p.agent", "p.name", "m.name")
    calls = cost = 0
    edges = [edge for one in asked for edge in _edges(one, *_whole_slots(one))]
    for slot in {since_ms // SLOT_MS for since_ms, _until_ms in edges}:
        found = db.execute(
            "SELECT coalesce(sum(r.responses + r.unknown_calls), 0), coalesce(sum(r.cost_nusd), 0) FROM purged_rollup r"
            f" JOIN project p ON p.id = r.project JOIN model m ON m.id = r.model WHERE r.slot = ?{where}",
            (slot, *values),
        ).fetchone()
        calls, cost = calls + found[0], cost + found[1]
    return calls, cost


def _whole_slots(wanted: Filter) -> tuple[int, int]:
    """The quarter hours that lie wholly inside the asked time."""
    first = -(-wanted.since_ms // SLOT_MS) if wanted.since_ms is not None else -(1 << 40)
    last = wanted.until_ms // SLOT_MS if wanted.until_ms is not None else 1 << 40
    return first, max(first, last)


def _edges(wanted: Filter, first: int, last: int) -> list[tuple[int, int]]:
    """The parts of the asked time that no whole quarter hour covers."""
    since = wanted.since_ms if wanted.since_ms is not None else first * SLOT_MS
    until = wanted.until_ms if wanted.until_ms is not None else last * SLOT_MS
    if first * SLOT_MS >= until:
        return [(since, until)] if since < until else []
    spans = [(since, first * SLOT_MS), (last * SLOT_MS, until)]
    return [(a, b) for a, b in spans if a < b]


def spent(db: sqlite3.Connection, since_ms: int, until_ms: int) -> Figures:
    """Sums of a time span, such as the local day."""
    total, responses, cost, unpriced, unknown, estimated = Tokens(), 0, 0, 0, 0, False
    wanted = Filter(since_ms, until_ms)
    first, last = _whole_slots(wanted)
    sums = ", ".join(f"sum({c})" for c in ("responses", *ROLLED))
    rows = db.execute(
        f"SELECT flags, {sums} FROM rollup WHERE slot >= ? AND slot < ? GROUP BY flags", (first, last)
    )
    slots = [
        slot_of(0, "", "", "", "", "", flags, responses, *rest)
        for flags, responses, *rest in rows
        if responses or any(rest)
    ]
    for span in _edges(wanted, first, last):
        slots += events_as_slots(db, wanted, span, by_slot=False)
    for slot in slots:
        total += slot.tokens
        responses += slot.responses
        cost += slot.cost_nusd
        unpriced += slot.unpriced_tokens
        estimated = estimated or slot.estimated or slot.cost_estimated
        unknown += slot.unknown_calls
    return Figures(total, responses, cost, unpriced, estimated, unknown)


def newest_ms(db: sqlite3.Connection) -> int:
    """The end of the last quarter hour with any usage."""
    return (int(db.execute("SELECT coalesce(max(slot), 0) FROM rollup").fetchone()[0]) + 1) * SLOT_MS


def average(db: sqlite3.Connection, since_ms: int, now_ms: int) -> Average:
    """Rates of everything since the quarter hour of `since_ms`, from the rollups alone."""
    first = since_ms // SLOT_MS
    fresh, reads, cost = db.execute(
        "SELECT coalesce(sum(input + cache_write_5m + cache_write_1h + output), 0), coalesce(sum(cache_read), 0),"
        " coalesce(sum(cost_nusd), 0) FROM rollup WHERE slot >= ? AND slot <= ?",
        (first, now_ms // SLOT_MS),
    ).fetchone()
    minutes = max(1.0, (now_ms - first * SLOT_MS) / 60_000)
    return Average(fresh / minutes, reads / minutes, round(cost * 60 / minutes))


def cost_by_hour(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """(start of the UTC hour in ms, nano-dollars) of each hour with spend."""
    rows = db.execute(
        "SELECT slot / 4, sum(cost_nusd) FROM slot_cost WHERE slot >= ? AND slot < ? GROUP BY slot / 4",
        (since_ms // SLOT_MS, until_ms // SLOT_MS),
    )
    return [(hour * 4 * SLOT_MS, cost) for hour, cost in rows]


def cost_by_slot(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[tuple[int, int]]:
    """(start of the quarter hour in ms, nano-dollars) of each one with spend, by time."""
    rows = db.execute(
        "SELECT slot, cost_nusd FROM slot_cost WHERE slot >= ? AND slot < ? ORDER BY slot",
        (since_ms // SLOT_MS, -(-until_ms // SLOT_MS)),
    )
    return [(slot * SLOT_MS, cost) for slot, cost in rows]


def spent_by(db: sqlite3.Connection, since_ms: int, until_ms: int) -> dict[tuple[str, str], int]:
    """Nano-dollars by (agent, project) of a time span of whole quarter hours, such as local days."""
    rows = db.execute(
        "SELECT p.agent, p.name, sum(r.cost_nusd) FROM rollup r JOIN project p ON p.id = r.project"
        " WHERE r.slot >= ? AND r.slot < ? GROUP BY r.project",
        (since_ms // SLOT_MS, until_ms // SLOT_MS),
    )
    return {(agent, project): cost for agent, project, cost in rows}
