"""Sessions in the order of a figure, and in groups: by time, cost, tokens or responses."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta, tzinfo
from operator import itemgetter

from tokentop.engine.days import DAY_MS, local
from tokentop.nouns.history import COST, LAST, RESPONSES, TOKENS, Ask, Group

from .sieve import Sieve

_MOST_CHANGES = 200
_WEEK_MS = 7 * DAY_MS
_EPOCH = date(1970, 1, 1).toordinal()
_COLUMNS = {LAST: "last_ms", COST: "cost_nusd", TOKENS: "tokens", RESPONSES: "responses"}
_GROUPS = {"project": "project", "agent": "agent", "model": "model"}
_TOKENS = "s.input + s.cache_read + s.cache_write_5m + s.cache_write_1h + s.output AS tokens"
_OWN = (
    f"SELECT l.session, l.agent, l.project, l.model, l.title, l.branch, s.first_ms, s.last_ms, s.responses, {_TOKENS},"
    " s.cost_nusd, s.unpriced_tokens, s.unknown_calls FROM session s JOIN line l ON l.session = s.id"
)
_FIGURES = (  # while no session waits to be indexed, each has its line
    f"SELECT s.id AS session, s.last_ms, s.responses, {_TOKENS}, s.cost_nusd FROM session s"
    " WHERE (SELECT count(*) FROM changed) = 0 OR EXISTS (SELECT 1 FROM line l WHERE l.session = s.id)"
)


def _source(ask: Ask, wanted: Sieve, found: str | None) -> tuple[str, list[object]]:
    """FROM and WHERE of the lines that are wanted."""
    whole = (
        found is None and not wanted.where and not wanted.any_level
    )  # there are indexes for each order and group then
    # Else an index would only lead to each line one by one; times, looked up ids and the first few are found through it.
    by_index = whole or (
        not ask.group and (bool(ask.limit or wanted.looked_up) or "line.last_ms >=" in wanted.where)
    )
    own = _FIGURES if whole and not ask.group else _OWN
    table = f"({own}) AS line" if ask.flat else "line" if by_index else "line NOT INDEXED"
    level = "1" if ask.flat or wanted.any_level else "line.root = line.session"
    match = "" if found is None else " AND line.session IN (SELECT rowid FROM found WHERE found MATCH ?)"
    bound = [] if found is None else [found]
    return f"FROM {table} WHERE {level}{match} {wanted.where}", [*bound, *wanted.values]


def ordered(db: sqlite3.Connection, ask: Ask, wanted: Sieve, found: str | None) -> tuple[int, ...]:
    column, way = _COLUMNS.get(ask.sort, "last_ms"), "ASC" if ask.ascending else "DESC"
    source, values = _source(ask, wanted, found)
    rows = db.execute(
        f"SELECT line.session {source} ORDER BY line.{column} {way}, line.session {way} LIMIT ?",
        (*values, ask.limit or -1),
    )
    return tuple(map(itemgetter(0), rows))


def grouped(
    db: sqlite3.Connection, ask: Ask, wanted: Sieve, found: str | None, zone: tzinfo
) -> tuple[tuple[int, ...], tuple[Group, ...]]:
    """The order by groups: days from the last one, others from the one with most of what is sorted by.

    SQLite sums and sorts; rows in Python would take twice as long.
    """
    column, way = _COLUMNS.get(ask.sort, "last_ms"), "ASC" if ask.ascending else "DESC"
    source, values = _source(ask, wanted, found)
    key = "line." + _GROUPS[ask.group] if ask.group in _GROUPS else _day(db, zone)
    sums = db.execute(
        f"SELECT {key} AS part, count(*), sum(line.tokens), sum(line.cost_nusd),"
        f" max(line.unpriced_tokens + line.unknown_calls > 0), max(line.estimated), max(line.last_ms)"
        f" {source} GROUP BY part ORDER BY part",
        values,
    ).fetchall()
    within = f"{key}, "
    if (
        ask.group not in _GROUPS and column == "last_ms"
    ):  # days are in the order of time anyway, for which there is an index
        within = ""
        sums = sums if ask.ascending else sums[::-1]
    rows = db.execute(
        f"SELECT line.session {source} ORDER BY {within}line.{column} {way}, line.session {way}", values
    ).fetchall()
    ids, at = [row[0] for row in rows], 0
    parts = []
    for name, count, tokens, cost, unpriced, estimated, last_ms in sums:
        shown = (name or "?") if ask.group in _GROUPS else date.fromordinal(_EPOCH + name).isoformat()
        by = {COST: cost, TOKENS: tokens, RESPONSES: count}.get(ask.sort, last_ms)
        rank = by if ask.group in _GROUPS else name
        parts.append((rank, shown, ids[at : at + count], tokens, cost, bool(unpriced), bool(estimated)))
        at += count
    parts.sort(key=itemgetter(0), reverse=not ask.ascending)
    order: list[int] = []
    groups = []
    for _, shown, of_part, *sums_of_part in parts:
        groups.append(Group(shown, len(order), len(of_part), *sums_of_part))
        order += of_part
    return tuple(order), tuple(groups)


def _day(db: sqlite3.Connection, zone: tzinfo) -> str:
    """SQL for the local day of the last activity, in days since 1970; the offset of the zone changes now and then."""
    first_ms, last_ms = db.execute(
        "SELECT coalesce(min(last_ms), 0), coalesce(max(last_ms), 0) FROM line WHERE last_ms > 0"
    ).fetchone()
    cases: list[str] = []
    at_ms, offset_ms = first_ms, _offset_ms(first_ms, zone)
    while at_ms <= last_ms and len(cases) < _MOST_CHANGES:
        at_ms += _WEEK_MS
        now_ms = _offset_ms(at_ms, zone)
        if now_ms != offset_ms:
            low, high = at_ms - _WEEK_MS, at_ms
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if _offset_ms(middle, zone) == now_ms else (middle, high)
            cases.append(f"WHEN line.last_ms < {high} THEN {offset_ms}")
            offset_ms = now_ms
    offset = f"CASE {' '.join(cases)} ELSE {offset_ms} END" if cases else str(offset_ms)
    return f"((line.last_ms + {offset}) / {DAY_MS})"


def _offset_ms(at_ms: int, zone: tzinfo) -> int:
    return round((local(at_ms, zone).utcoffset() or timedelta()).total_seconds() * 1000)
