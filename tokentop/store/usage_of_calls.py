"""Usage that only single calls tell: of spans within a quarter hour, by session, credits, web searches. Read-only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator

from tokentop.nouns.usage import Tokens

from .flags import (
    FLAG_AT_ESTIMATED,
    FLAG_COST_ESTIMATED,
    FLAG_ESTIMATED,
    FLAG_HIDDEN,
    FLAG_TELEMETRY,
    FLAG_UNKNOWN,
)
from .hours import within
from .shares import SUMS, parts
from .slots import BUCKETS, ROLLED, SLOT_MS, Filter, Slot, slot_of, span_of, where_of

_UNUSUAL = FLAG_ESTIMATED | FLAG_COST_ESTIMATED | FLAG_AT_ESTIMATED | FLAG_TELEMETRY
_MARGIN_MS = 600_000  # a call may have begun before the first record of its session's log
_NOTHING = (0,) * len(ROLLED)
_DAY_MS = 86_400_000
_SLOTS = _DAY_MS // SLOT_MS  # of a day
# The one model that its project used while a session lasted; long ones are not asked.
_ITS_MODEL = (
    f" CROSS JOIN model m ON s.last_ms - s.first_ms < {_DAY_MS}"
    " AND m.id = (SELECT CASE min(r.model) WHEN max(r.model) THEN min(r.model) END FROM rollup r"
    f" WHERE r.slot BETWEEN (s.first_ms - ?3) / {SLOT_MS} AND s.last_ms / {SLOT_MS} AND r.project = s.project)"
)
# Of days that may have a part of ?1 to ?2 in any zone; of those that are not made yet (`daily.py`), and without a time, too.
_UNUSUAL_PROJECTS = (
    f"SELECT project FROM daily WHERE day BETWEEN ?1 / {_DAY_MS} - 4 AND ?2 / {_DAY_MS} + 1 AND (flags & ?4 OR logged_nusd)"
    " UNION ALL SELECT r.project FROM daily_stale d CROSS JOIN rollup r"
    f" ON r.slot >= d.day * {_SLOTS} AND r.slot < (d.day + 1) * {_SLOTS}"
    f" WHERE d.day BETWEEN ?1 / {_DAY_MS} AND ?2 / {_DAY_MS} AND (r.flags & ?4 OR r.logged_nusd)"
    " UNION ALL SELECT project FROM rollup WHERE slot <= 0"
)


def events_as_slots(
    db: sqlite3.Connection,
    wanted: Filter,
    span: tuple[int, int],
    *,
    by_slot: bool,
    without: Iterable[int] = (),
) -> Iterator[Slot]:
    """Events of a time span, summed by session, model and quality, found through the sessions that were alive then.

    CROSS JOIN keeps the order: without it SQLite reads every event there is. `without`: numbers of sessions.
    """
    where, values = where_of(wanted, "s.agent", "p.name", "m.name")
    slot = f"e.at_ms / {SLOT_MS}" if by_slot else "0"
    total = " + ".join(f"e.{b}" for b in BUCKETS[:5])
    rows = db.execute(
        f"SELECT {slot} AS slot, s.agent, p.name, m.provider, m.name, s.sid, e.flags, count(*),"
        f" {', '.join(f'sum(e.{b})' for b in BUCKETS)}, coalesce(sum(e.cost_nusd), 0),"
        f" sum(CASE WHEN e.cost_nusd IS NULL THEN {total} ELSE 0 END), coalesce(sum(x.logged_nusd), 0)"
        " FROM session s CROSS JOIN event e JOIN model m ON m.id = e.model"
        " LEFT JOIN event_extra x ON x.id = e.id"
        " JOIN project p ON p.id = s.project"
        f" WHERE e.session = s.id AND s.last_ms >= ?1 AND s.first_ms < ?2 AND e.at_ms >= ?1 AND e.at_ms < ?2"
        f" AND {within('?1', '?2')} AND s.id NOT IN (SELECT value FROM json_each(?3)){where}"
        " GROUP BY slot, s.id, e.model, e.flags",
        (*span, json.dumps(list(without)), *values),
    )
    for (
        slot_number,
        agent,
        project,
        provider,
        model,
        sid,
        flags,
        count,
        *counts,
        cost,
        unpriced,
        logged,
    ) in rows:
        sums = [*counts, cost, unpriced, count if flags & FLAG_UNKNOWN else 0, logged]
        responses = 0 if flags & (FLAG_HIDDEN | FLAG_UNKNOWN) else count
        yield slot_of(slot_number * SLOT_MS, agent, project, provider, model, sid, flags, responses, *sums)


def sessions_as_slots(
    db: sqlite3.Connection, wanted: Filter, span: tuple[int, int], by: Collection[str] = ("agent", "project")
) -> Iterator[Slot]:
    """Usage of a time span by session: from the sums of sessions, and calls at the edges.

    Not so where these do not tell all: what is estimated or purged, came as a sum, or where the log tells a cost; and
    where models are asked for, if there may have been two. What is not in `by` may be "".
    """
    since_ms, until_ms = span
    where, values = where_of(wanted, "s.agent", "p.name", "m.name")
    columns = {"agent": "s.agent", "project": "p.name", "provider": "m.provider", "model": "m.name"}
    names = ", ".join(column if name in by else "''" for name, column in columns.items())
    with_model = "m." in names + where
    join = " JOIN project p ON p.id = s.project" * ("p." in names + where) + _ITS_MODEL * with_model
    alive = "s.last_ms >= ?1 AND s.first_ms < ?2 + ?3"
    usual = (
        f"FROM session s{join} WHERE {alive} AND s.first_ms > 0 AND NOT s.estimated"
        " AND s.id NOT IN (SELECT session FROM purged) AND s.id NOT IN (SELECT session FROM imported_sum)"
        f" AND s.project NOT IN ({_UNUSUAL_PROJECTS}){where}"
    )
    bound = (since_ms, until_ms, _MARGIN_MS, _UNUSUAL, *values)
    whole = "s.first_ms >= ?1 + ?3 AND s.last_ms < ?2"
    sums = ", ".join(f"s.{name}" for name in SUMS)
    told = []
    for row in db.execute(f"SELECT s.id, {names}, s.sid, {sums} {usual} AND {whole}", bound):
        told.append(row[0])
        if row[6] or any(row[6:]):
            yield _of_session(*row)
    rows = db.execute(f"SELECT s.id, {names}, s.sid, {sums} {usual} AND NOT ({whole})", bound)
    partly = {row[0]: row for row in rows}
    told += partly
    for number, found in parts(db, partly, since_ms, until_ms).items():
        yield _of_session(*partly[number][:6], *found)
    (count,) = db.execute(f"SELECT count(*) FROM session s WHERE {alive}", bound[:3]).fetchone()
    if count > len(told):
        yield from events_as_slots(db, wanted, span, by_slot=False, without=told)


def _of_session(
    _number: int, agent: str, project: str, provider: str, model: str, sid: str, responses: int, fresh: int, read: int,
    write_5m: int, write_1h: int, output: int, reasoning: int, cost: int, unpriced: int, unknown: int, _estimated: int,
) -> Slot:  # fmt: skip
    """What begins with `responses` are `SUMS`."""
    return Slot(
        0, agent, project, provider, model, sid.partition("/")[0], False, False, responses,
        Tokens(fresh, read, write_5m, write_1h, output, reasoning), cost, unpriced, unknown,
    )  # fmt: skip


def logged_credits(
    db: sqlite3.Connection, wanted: Filter, span: tuple[int, int]
) -> Iterator[tuple[Slot, int]]:
    """(where it belongs, thousandths of the agent's unit) of the events whose agent logged credits."""
    where, values = where_of(wanted, "s.agent", "p.name", "m.name")
    rows = db.execute(
        "SELECT e.at_ms, s.agent, p.name, m.provider, m.name, s.sid, e.flags, x.credits_milli FROM event_extra x"
        " CROSS JOIN event e ON e.id = x.id JOIN session s ON s.id = e.session JOIN model m ON m.id = e.model"
        " JOIN project p ON p.id = s.project"
        f" WHERE x.credits_milli IS NOT NULL AND e.at_ms >= ? AND e.at_ms < ?{where}",
        (*span, *values),
    )
    for at_ms, agent, project, provider, model, sid, flags, found in rows:
        slot = at_ms // SLOT_MS * SLOT_MS
        yield slot_of(slot, agent, project, provider, model, sid, flags, 0, *_NOTHING), found


def web_searches(db: sqlite3.Connection, wanted: Filter) -> Iterator[tuple[Slot, int]]:
    """(where it belongs, searches) of the events that paid for web searches, which their cost includes."""
    where, values = where_of(wanted, "s.agent", "p.name", "m.name")
    rows = db.execute(
        "SELECT e.at_ms, s.agent, p.name, m.provider, m.name, s.sid, e.flags, x.web_searches FROM event_extra x"
        " CROSS JOIN event e ON e.id = x.id JOIN session s ON s.id = e.session JOIN model m ON m.id = e.model"
        " JOIN project p ON p.id = s.project"
        f" WHERE x.web_searches > 0 AND e.cost_nusd IS NOT NULL AND e.at_ms >= ? AND e.at_ms < ?{where}",
        (*span_of(wanted), *values),
    )
    for at_ms, agent, project, provider, model, sid, flags, searches in rows:
        slot = at_ms // SLOT_MS * SLOT_MS
        yield slot_of(slot, agent, project, provider, model, sid, flags, 0, *_NOTHING), searches
