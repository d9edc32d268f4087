"""Single calls: of a session, since a time, and those that are alike. Read-only; times are UTC milliseconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from tokentop.nouns.usage import Priced, Tokens, Usage

from .flags import (
    FLAG_AT_ESTIMATED,
    FLAG_COST_ESTIMATED,
    FLAG_ESTIMATED,
    FLAG_TELEMETRY,
    FLAGS_MAX,
    kind_of,
)
from .hours import hour
from .slots import BUCKETS

_COLUMNS = (
    f"e.at_ms, e.took_ms, e.model, e.tier, e.flags, {', '.join('e.' + name for name in BUCKETS)}, e.cost_nusd"
)
_QUALITY = tuple(
    (
        kind_of(flags), bool(flags & FLAG_ESTIMATED), bool(flags & (FLAG_ESTIMATED | FLAG_COST_ESTIMATED)),
        bool(flags & FLAG_AT_ESTIMATED), bool(flags & FLAG_TELEMETRY),
    )
    for flags in range(FLAGS_MAX + 1)
)  # fmt: skip


def events_of(db: sqlite3.Connection, agent: str, sid: str, since_ms: int = 0) -> list[Priced]:
    """Events of one session and of the sub-agents filed under it, by time."""
    rows = db.execute(
        f"SELECT e.id, s.agent, s.sid, {_COLUMNS}"
        # Two ranges of the index: with OR in one question SQLite goes through all sessions of the agent.
        " FROM (SELECT id, agent, sid FROM session WHERE agent=?1 AND sid=?2 UNION ALL"
        " SELECT id, agent, sid FROM session WHERE agent=?1 AND sid >= ?2 || '/' AND sid < ?2 || '0') s"
        " CROSS JOIN event e ON e.session = s.id WHERE e.at_ms >= ?3 ORDER BY e.at_ms, e.id",
        (agent, sid, since_ms),
    )
    return list(_priced(db, rows))


def events_of_one(db: sqlite3.Connection, session: int) -> list[Priced]:
    """Events of one session, by its number, without those of sub-agents; by time."""
    rows = db.execute(
        f"SELECT e.id, '', '', {_COLUMNS} FROM event e WHERE e.session = ? ORDER BY e.at_ms, e.id",
        (session,),
    )
    return list(_priced(db, rows))


def same_calls(db: sqlite3.Connection, call: Usage, within_ms: int) -> list[int]:
    """Ids of the events of a log with the counts of this call and nearly its time, in its session or below it."""
    sid, tokens = call.session_id, call.tokens
    rows = db.execute(
        "SELECT e.id FROM session s CROSS JOIN event e ON e.session = s.id"
        " WHERE s.agent=? AND (s.sid=? OR (s.sid >= ? AND s.sid < ?)) AND abs(e.at_ms - ?) <= ?"
        f" AND NOT e.flags & {FLAG_TELEMETRY} AND {' AND '.join(f'e.{name}=?' for name in BUCKETS[:5])}",
        (call.agent, sid, f"{sid}/", f"{sid}0", call.at_ms, within_ms, tokens.input, tokens.cache_read,
         tokens.cache_write_5m, tokens.cache_write_1h, tokens.output),
    )  # fmt: skip
    return [identity for (identity,) in rows]


def telemetry_alone(db: sqlite3.Connection) -> dict[str, int]:
    """How many calls of each agent are known from telemetry alone."""
    rows = db.execute(
        "SELECT s.agent, count(*) FROM telemetry t JOIN event e ON e.id = t.id JOIN session s ON s.id = e.session"
        f" WHERE e.flags & {FLAG_TELEMETRY} GROUP BY s.agent"
    )
    return dict(rows.fetchall())


def spent_cells(
    db: sqlite3.Connection, agent: str, sid: str, since_ms: int, cell_ms: int
) -> dict[int, tuple[int, int, int]]:
    """Fresh tokens, cache reads and nano-dollars of one session by `(at_ms - since_ms) / cell_ms`; -1 = before."""
    rows = db.execute(
        "SELECT CASE WHEN e.at_ms < ?1 THEN -1 ELSE (e.at_ms - ?1) / ?2 END AS cell,"
        " sum(e.input + e.cache_write_5m + e.cache_write_1h + e.output), sum(e.cache_read),"
        " coalesce(sum(e.cost_nusd), 0) FROM session s CROSS JOIN event e ON e.session = s.id"
        " WHERE s.agent=?3 AND s.sid=?4 GROUP BY cell",
        (since_ms, cell_ms, agent, sid),
    )
    return {cell: (fresh, reads, cost) for cell, fresh, reads, cost in rows}


def recent_events(db: sqlite3.Connection, since_ms: int) -> list[Priced]:
    """Events since a time, of all sessions: fills the live state at the start.

    CROSS JOIN keeps the order: without it SQLite reads every event there is, to find few sessions.
    """
    rows = db.execute(
        f"SELECT e.id, s.agent, s.sid, {_COLUMNS} FROM session s CROSS JOIN event e"
        " WHERE e.session = s.id AND s.last_ms >= ?1 AND e.at_ms >= ?1"
        f" AND e.hour >= {hour('?1')} ORDER BY e.at_ms",
        (since_ms,),
    )
    return list(_priced(db, rows))


def recent_tokens(
    db: sqlite3.Connection, agent: str, sid: str, since_ms: int
) -> list[tuple[int, int, tuple[int, ...]]]:
    """(start, duration in ms, (output, cache writes, input, cache reads)) of one session's events since a time."""
    rows = db.execute(
        "SELECT e.at_ms, e.took_ms, e.output, e.cache_write_5m + e.cache_write_1h, e.input, e.cache_read"
        " FROM session s CROSS JOIN event e WHERE s.agent = ?2 AND s.sid = ?3 AND e.session = s.id AND e.at_ms >= ?1"
        f" AND e.hour >= {hour('?1')}",
        (since_ms, agent, sid),
    )
    return [(at_ms - took if took else at_ms, took, tuple(parts)) for at_ms, took, *parts in rows]


def _priced(db: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> Iterator[Priced]:
    """Names of models and tiers are looked up here: a join would make new text of them for every call."""
    models = {
        number: (provider, name)
        for number, provider, name in db.execute("SELECT id, provider, name FROM model")
    }
    tiers = {number: (tier, geo) for number, tier, geo in db.execute("SELECT id, tier, geo FROM tier")}
    none = ("", "")
    for identity, agent, sid, at_ms, took, model, tier, flags, a, b, c, d, e, f, cost in rows:
        provider, name = models[model]
        service, geo = tiers.get(tier, none)
        kind, estimated, cost_estimated, at_estimated, telemetry = _QUALITY[flags]
        yield Priced(
            identity,
            Usage(
                agent, sid, "", at_ms, name, Tokens(a, b, c, d, e, f), provider, took, service, geo, kind=kind,
                at_estimated=at_estimated, estimated=estimated, start_ms=at_ms - took if took else 0, telemetry=telemetry,
            ),
            cost,
            cost_estimated,
        )  # fmt: skip
