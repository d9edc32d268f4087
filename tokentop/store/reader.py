"""Every question that a screen or a report asks of the database. Read-only; times are UTC milliseconds."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from tokentop.model import (
    Average,
    Cursor,
    Diagnostic,
    Figures,
    Priced,
    Quota,
    Receipt,
    Session,
    Tokens,
    Usage,
)

from .flags import (
    FLAG_AT_ESTIMATED,
    FLAG_COST_ESTIMATED,
    FLAG_ESTIMATED,
    FLAG_HIDDEN,
    FLAG_TELEMETRY,
    FLAG_UNKNOWN,
    kind_of,
)
from .hours import SLOT_MS, within
from .sessions import COLUMNS, SessionRow
from .shares import SUMS, Sums, parts

_SESSION = f"SELECT {', '.join('s.' + name for name in COLUMNS)}"
_BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
_SUMS = (*_BUCKETS, "cost_nusd", "unpriced_tokens", "unknown_calls", "logged_nusd")
_COLUMNS = {"agent": "p.agent", "project": "p.name", "provider": "m.provider", "model": "m.name"}
_UNUSUAL = FLAG_ESTIMATED | FLAG_COST_ESTIMATED | FLAG_AT_ESTIMATED | FLAG_TELEMETRY
_MARGIN_MS = 600_000  # a call may have begun before the first record of its session's log
_NEVER = str(1 << 62)
_DAY_MS = 86_400_000
KEPT = "kept "  # names in `meta` of what a screen keeps begin with it


class Slot(Struct, frozen=True, gc=False):
    """Usage of one project, model and quality; of one quarter hour where `slot_ms` is asked for."""

    slot_ms: int
    agent: str
    project: str
    provider: str
    model: str
    session: str
    estimated: bool
    cost_estimated: bool
    responses: int
    tokens: Tokens
    cost_nusd: int
    unpriced_tokens: int
    unknown_calls: int = 0
    logged_nusd: int = 0
    at_estimated: bool = False
    telemetry: bool = False  # no log tells it


class Filter(Struct, frozen=True):
    """What to leave in: names as the store has them, times inclusive / exclusive."""

    since_ms: int | None = None
    until_ms: int | None = None
    agent: str = ""
    project: str = ""
    model: str = ""


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


def project_folders(db: sqlite3.Connection, limit: int = 1000) -> list[str]:
    """The folders that agents worked in, newest first, as far as the newest 2,000 sessions tell."""
    rows = db.execute(
        "SELECT cwd FROM (SELECT cwd, last_ms FROM session WHERE cwd != '' ORDER BY last_ms DESC LIMIT 2000)"
        " GROUP BY cwd ORDER BY max(last_ms) DESC LIMIT ?",
        (limit,),
    )
    return [cwd for (cwd,) in rows]


def _where(wanted: Filter, agent: str, project: str, model: str) -> tuple[str, list[object]]:
    parts: list[str] = []
    values: list[object] = []
    for column, value in ((agent, wanted.agent), (project, wanted.project), (model, wanted.model)):
        if value:
            parts.append(f"{column} = ?")
            values.append(value)
    return "".join(f" AND {part}" for part in parts), values


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
    where, values = _where(wanted, "p.agent", "p.name", "m.name")
    names = [column if name in by else "''" for name, column in _COLUMNS.items()]
    said = where + "".join(names)
    joins = " JOIN project p ON p.id = r.project" * ("p." in said) + " JOIN model m ON m.id = r.model" * (
        "m." in said
    )
    part = f"r.slot / {width} * {width}" if width > 1 else "r.slot"
    group = [part] * by_slot
    group += ["r.project"] if "project" in by else ["p.agent"] * ("agent" in by)
    group += ["r.model"] if "model" in by else ["m.provider"] * ("provider" in by)
    sums = ", ".join(f"sum(r.{c})" for c in ("responses", *_SUMS))
    rows = db.execute(
        f"SELECT {part if by_slot else '0'}, {', '.join(names)}, r.flags, {sums} FROM rollup r{joins}"
        f" WHERE r.slot >= ? AND r.slot < ?{where} GROUP BY {', '.join([*group, 'r.flags'])}",
        (first, last, *values),
    )
    for slot, agent, project, provider, model, flags, responses, *rest in rows:
        if responses or any(rest):
            yield _slot(slot * SLOT_MS, agent, project, provider, model, "", flags, responses, rest)
    for span in _edges(wanted, first, last):
        yield from events_as_slots(db, wanted, span, by_slot=by_slot)


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
    where, values = _where(wanted, "s.agent", "p.name", "m.name")
    slot = f"e.at_ms / {SLOT_MS}" if by_slot else "0"
    total = " + ".join(f"e.{b}" for b in _BUCKETS[:5])
    rows = db.execute(
        f"SELECT {slot} AS slot, s.agent, p.name, m.provider, m.name, s.sid, e.flags, count(*),"
        f" {', '.join(f'sum(e.{b})' for b in _BUCKETS)}, coalesce(sum(e.cost_nusd), 0),"
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
        yield _slot(slot_number * SLOT_MS, agent, project, provider, model, sid, flags, responses, sums)


def sessions_as_slots(db: sqlite3.Connection, wanted: Filter, span: tuple[int, int]) -> Iterator[Slot]:
    """Usage of a time span by session, without models: from the sums of sessions, and calls at the edges.

    Not so where these do not tell all: what is estimated or purged, came as a sum, or where the log tells a cost.
    """
    since_ms, until_ms = span
    where, values = _where(wanted, "s.agent", "p.name", "s.model")
    usual = db.execute(
        f"SELECT s.id, s.first_ms, s.last_ms, s.agent, p.name, s.sid, {', '.join('s.' + name for name in SUMS)}"
        " FROM session s JOIN project p ON p.id = s.project"
        " WHERE s.last_ms >= ?1 AND s.first_ms < ?2 + ?3 AND s.first_ms > 0 AND NOT s.estimated"
        " AND s.id NOT IN (SELECT session FROM purged) AND s.id NOT IN (SELECT session FROM imported_sum)"
        " AND s.project NOT IN (SELECT project FROM rollup WHERE slot >= ?1 / ?4 AND slot <= ?2 / ?4"
        " AND (flags & ?5 OR logged_nusd)) AND s.project NOT IN (SELECT project FROM rollup WHERE slot <= 0)"
        f"{where}",
        (since_ms, until_ms, _MARGIN_MS, SLOT_MS, _UNUSUAL, *values),
    ).fetchall()  # fmt: skip
    begins_ms = since_ms + _MARGIN_MS
    partly: dict[int, Sums] = {}
    named: dict[int, tuple[str, str, str]] = {}
    for number, first_ms, last_ms, agent, project, sid, *sums in usual:
        if first_ms < begins_ms or last_ms >= until_ms:
            partly[number], named[number] = sums, (agent, project, sid)
        elif any(sums):
            yield _of_session(agent, project, sid, sums)
    for number, found in parts(db, partly, since_ms, until_ms).items():
        yield _of_session(*named[number], found)
    yield from events_as_slots(db, wanted, span, by_slot=False, without=[row[0] for row in usual])


def _of_session(agent: str, project: str, sid: str, sums: Sums) -> Slot:
    responses, *tokens, cost, unpriced, unknown, _ = sums
    return Slot(
        0, agent, project, "", "", sid.partition("/")[0], False, False, responses, Tokens(*tokens), cost, unpriced, unknown
    )  # fmt: skip


def logged_credits(
    db: sqlite3.Connection, wanted: Filter, span: tuple[int, int]
) -> Iterator[tuple[Slot, int]]:
    """(where it belongs, thousandths of the agent's unit) of the events whose agent logged credits."""
    where, values = _where(wanted, "s.agent", "p.name", "m.name")
    rows = db.execute(
        "SELECT e.at_ms, s.agent, p.name, m.provider, m.name, s.sid, e.flags, x.credits_milli FROM event_extra x"
        " CROSS JOIN event e ON e.id = x.id JOIN session s ON s.id = e.session JOIN model m ON m.id = e.model"
        " JOIN project p ON p.id = s.project"
        f" WHERE x.credits_milli IS NOT NULL AND e.at_ms >= ? AND e.at_ms < ?{where}",
        (*span, *values),
    )
    for at_ms, agent, project, provider, model, sid, flags, found in rows:
        slot = at_ms // SLOT_MS * SLOT_MS
        yield _slot(slot, agent, project, provider, model, sid, flags, 0, [0] * 10), found


def web_searches(db: sqlite3.Connection, wanted: Filter) -> Iterator[tuple[Slot, int]]:
    """(where it belongs, searches) of the events that paid for web searches, which their cost includes."""
    where, values = _where(wanted, "s.agent", "p.name", "m.name")
    rows = db.execute(
        "SELECT e.at_ms, s.agent, p.name, m.provider, m.name, s.sid, e.flags, x.web_searches FROM event_extra x"
        " CROSS JOIN event e ON e.id = x.id JOIN session s ON s.id = e.session JOIN model m ON m.id = e.model"
        " JOIN project p ON p.id = s.project"
        f" WHERE x.web_searches > 0 AND e.cost_nusd IS NOT NULL AND e.at_ms >= ? AND e.at_ms < ?{where}",
        (*_span(wanted), *values),
    )
    for at_ms, agent, project, provider, model, sid, flags, searches in rows:
        slot = at_ms // SLOT_MS * SLOT_MS
        yield _slot(slot, agent, project, provider, model, sid, flags, 0, [0] * 10), searches


def _span(wanted: Filter) -> tuple[int, int]:
    since = wanted.since_ms if wanted.since_ms is not None else -(1 << 62)
    return since, wanted.until_ms if wanted.until_ms is not None else 1 << 62


def _slot(
    slot_ms: int, agent: str, project: str, provider: str, model: str, sid: str, flags: int, responses: int,
    sums: list[int],
) -> Slot:  # fmt: skip
    return Slot(
        slot_ms, agent, project, provider, model, sid.partition("/")[0], bool(flags & FLAG_ESTIMATED),
        bool(flags & FLAG_COST_ESTIMATED), responses, Tokens(*sums[:6]), sums[6], sums[7], sums[8],
        sums[9],
        at_estimated=bool(flags & FLAG_AT_ESTIMATED), telemetry=bool(flags & FLAG_TELEMETRY),
    )  # fmt: skip


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


def sessions(
    db: sqlite3.Connection, *, since_ms: int = 0, words: Iterable[str] = (), limit: int = 1000
) -> list[tuple[Session, Figures, str, int | None, int]]:
    """Sessions, newest first: (session, own sums, project, context used, context window).

    Every word must stand in the title, project, id, branch, model or agent.
    """
    clauses, values = ["s.last_ms >= ?"], [since_ms]
    for word in words:
        clauses.append("instr(lower(s.title || ' ' || p.name || ' ' || s.sid || ' ' || s.branch || ' ' || s.model"
                       " || ' ' || s.agent), lower(?)) > 0")  # fmt: skip
        values.append(word)  # type: ignore[arg-type]
    rows = db.execute(
        f"{_SESSION}, p.name FROM session s JOIN project p ON p.id = s.project WHERE {' AND '.join(clauses)}"
        " ORDER BY s.last_ms DESC, s.id LIMIT ?",
        (*values, limit),
    )
    out = []
    for *row_values, project in rows:
        row = SessionRow(*row_values)
        out.append((row.session(), row.figures(), project, row.context_used, row.context_window))
    return out


def sessions_by_id(db: sqlite3.Connection, ids: Sequence[int]) -> list[tuple[Session, Figures, str]]:
    """(session, own sums, project) of sessions by their ids in the store, in that order."""
    rows = db.execute(
        f"{_SESSION}, p.name FROM session s JOIN project p ON p.id = s.project"
        " WHERE s.id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    found = {}
    for *values, project in rows:
        row = SessionRow(*values)
        found[row.id] = row.session(), row.figures(), project
    return [found[one] for one in ids if one in found]


def find_session(db: sqlite3.Connection, prefix: str) -> list[tuple[Session, Figures]]:
    """Sessions whose id is or begins with `prefix`; an exact id is alone."""
    rows = db.execute(
        f"{_SESSION} FROM session s WHERE s.sid >= ? AND s.sid < ? ORDER BY s.sid LIMIT 50",
        (prefix, prefix + "\U0010ffff"),
    )
    found = [SessionRow(*row) for row in rows]
    exact = [row for row in found if row.sid == prefix]
    return [(row.session(), row.figures()) for row in exact or found]


def events_of(db: sqlite3.Connection, agent: str, sid: str, since_ms: int = 0) -> list[Priced]:
    """Events of one session and of the sub-agents filed under it, by time."""
    rows = db.execute(
        "SELECT e.id, s.agent, s.sid, e.at_ms, e.took_ms, m.provider, m.name, coalesce(t.tier, ''),"
        f" coalesce(t.geo, ''), e.flags, {', '.join('e.' + b for b in _BUCKETS)}, e.cost_nusd"
        # Two ranges of the index: with OR in one question SQLite goes through all sessions of the agent.
        " FROM (SELECT id, agent, sid FROM session WHERE agent=?1 AND sid=?2 UNION ALL"
        " SELECT id, agent, sid FROM session WHERE agent=?1 AND sid >= ?2 || '/' AND sid < ?2 || '0') s"
        " CROSS JOIN event e ON e.session = s.id JOIN model m ON m.id = e.model LEFT JOIN tier t ON t.id = e.tier"
        " WHERE e.at_ms >= ?3 ORDER BY e.at_ms, e.id",
        (agent, sid, since_ms),
    )
    return [_priced(row) for row in rows]


def events_of_one(db: sqlite3.Connection, session: int) -> list[Priced]:
    """Events of one session, by its number, without those of sub-agents; by time."""
    rows = db.execute(
        "SELECT e.id, '', '', e.at_ms, e.took_ms, m.provider, m.name, coalesce(t.tier, ''), coalesce(t.geo, ''),"
        f" e.flags, {', '.join('e.' + b for b in _BUCKETS)}, e.cost_nusd FROM event e JOIN model m ON m.id = e.model"
        " LEFT JOIN tier t ON t.id = e.tier WHERE e.session = ? ORDER BY e.at_ms, e.id",
        (session,),
    )
    return [_priced(row) for row in rows]


def same_calls(db: sqlite3.Connection, call: Usage, within_ms: int) -> list[int]:
    """Ids of the events of a log with the counts of this call and nearly its time, in its session or below it."""
    sid, tokens = call.session_id, call.tokens
    rows = db.execute(
        "SELECT e.id FROM session s CROSS JOIN event e ON e.session = s.id"
        " WHERE s.agent=? AND (s.sid=? OR (s.sid >= ? AND s.sid < ?)) AND abs(e.at_ms - ?) <= ?"
        f" AND NOT e.flags & {FLAG_TELEMETRY} AND {' AND '.join(f'e.{name}=?' for name in _BUCKETS[:5])}",
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
        "SELECT e.id, s.agent, s.sid, e.at_ms, e.took_ms, m.provider, m.name, coalesce(t.tier, ''),"
        f" coalesce(t.geo, ''), e.flags, {', '.join('e.' + b for b in _BUCKETS)}, e.cost_nusd"
        " FROM session s CROSS JOIN event e JOIN model m ON m.id = e.model"
        " LEFT JOIN tier t ON t.id = e.tier WHERE e.session = s.id AND s.last_ms >= ?1 AND e.at_ms >= ?1"
        f" AND {within('?1', _NEVER)} ORDER BY e.at_ms",
        (since_ms,),
    )
    return [_priced(row) for row in rows]


def recent_tokens(
    db: sqlite3.Connection, agent: str, sid: str, since_ms: int
) -> list[tuple[int, int, tuple[int, ...]]]:
    """(start, duration in ms, (output, cache writes, input, cache reads)) of one session's events since a time."""
    rows = db.execute(
        "SELECT e.at_ms, e.took_ms, e.output, e.cache_write_5m + e.cache_write_1h, e.input, e.cache_read"
        " FROM session s CROSS JOIN event e WHERE s.agent = ?2 AND s.sid = ?3 AND e.session = s.id AND e.at_ms >= ?1"
        f" AND {within('?1', _NEVER)}",
        (since_ms, agent, sid),
    )
    return [(at_ms - took if took else at_ms, took, tuple(parts)) for at_ms, took, *parts in rows]


def _priced(row: tuple[object, ...]) -> Priced:
    identity, agent, sid, at_ms, took, provider, model, tier, geo, flags, *counts, cost = row
    assert isinstance(flags, int)
    assert isinstance(at_ms, int)
    assert isinstance(took, int)
    event = Usage(
        str(agent), str(sid), "", at_ms, str(model), Tokens(*counts), str(provider),  # type: ignore[arg-type]
        took, str(tier), str(geo), kind=kind_of(flags), at_estimated=bool(flags & FLAG_AT_ESTIMATED),
        estimated=bool(flags & FLAG_ESTIMATED), start_ms=at_ms - took if took else 0,
        telemetry=bool(flags & FLAG_TELEMETRY),
    )  # fmt: skip
    return Priced(identity, event, cost, bool(flags & (FLAG_ESTIMATED | FLAG_COST_ESTIMATED)))  # type: ignore[arg-type]


def spent(db: sqlite3.Connection, since_ms: int, until_ms: int) -> Figures:
    """Sums of a time span, such as the local day."""
    total, responses, cost, unpriced, unknown, estimated = Tokens(), 0, 0, 0, 0, False
    wanted = Filter(since_ms, until_ms)
    first, last = _whole_slots(wanted)
    sums = ", ".join(f"sum({c})" for c in ("responses", *_SUMS))
    rows = db.execute(
        f"SELECT flags, {sums} FROM rollup WHERE slot >= ? AND slot < ? GROUP BY flags", (first, last)
    )
    slots = [
        _slot(0, "", "", "", "", "", flags, responses, rest)
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


def spent_by(db: sqlite3.Connection, since_ms: int, until_ms: int) -> dict[tuple[str, str], int]:
    """Nano-dollars by (agent, project) of a time span of whole quarter hours, such as local days."""
    rows = db.execute(
        "SELECT p.agent, p.name, sum(r.cost_nusd) FROM rollup r JOIN project p ON p.id = r.project"
        " WHERE r.slot >= ? AND r.slot < ? GROUP BY r.project",
        (since_ms // SLOT_MS, until_ms // SLOT_MS),
    )
    return {(agent, project): cost for agent, project, cost in rows}


def remembered(db: sqlite3.Connection, name: str) -> str:
    """What was kept under a name, "" = nothing."""
    row = db.execute("SELECT value FROM meta WHERE name=?", (KEPT + name,)).fetchone()
    return str(row[0]) if row else ""


def data_version(db: sqlite3.Connection) -> int:
    """Changes when another connection has committed."""
    return int(db.execute("PRAGMA data_version").fetchone()[0])
