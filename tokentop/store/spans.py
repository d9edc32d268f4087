"""Who spent in a span of time, from the events: exact, of any span.

Events have no index on time (it would be a tenth of the file): they are found through the sessions that were alive.
"""

from __future__ import annotations

import sqlite3

from tokentop.recorded import Jump, Share, Spent

from .schema import FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_HIDDEN, FLAG_UNKNOWN

MARGIN_MS = 3_600_000  # a call may have begun before the first record of its session's log
CELL_MS = 300_000  # of the curve whose steps are compared
_BEST = 3  # who made the curve rise: so many are named

_SESSIONS = (
    "SELECT s.id, s.agent, s.sid, s.title, p.name, s.model FROM session s JOIN project p ON p.id = s.project"
    " WHERE s.id IN (SELECT value FROM json_each(?))"
)
_EVENTS = (
    "SELECT (e.at_ms - ?1) / ?3 AS cell, e.session, sum(e.cost_nusd), count(*) - sum((e.flags & ?4) != 0),"
    " sum(e.input + e.cache_read + e.cache_write_5m + e.cache_write_1h + e.output),"
    " sum(CASE WHEN e.cost_nusd IS NULL THEN e.input + e.cache_read + e.cache_write_5m + e.cache_write_1h + e.output"
    " ELSE 0 END), max((e.flags & ?5) != 0), sum((e.flags & ?6) != 0)"
    " FROM session s INDEXED BY session_span CROSS JOIN event e ON e.session = s.id"
    " WHERE s.last_ms >= ?1 AND s.first_ms < ?2 + ?7 AND e.at_ms >= ?1 AND e.at_ms < ?2 GROUP BY cell, e.session"
)

_Row = tuple[int, int, int, int, int, int, int, int]


def spent(db: sqlite3.Connection, since_ms: int, until_ms: int) -> Spent:
    """What each session spent in a span, the dearest first; sub-agents count for the session they are filed under."""
    rows = _rows(db, since_ms, until_ms, max(1, until_ms - since_ms))
    return Spent(since_ms, until_ms, _shares(db, rows))


def jumps(db: sqlite3.Connection, since_ms: int, until_ms: int, count: int) -> list[Jump]:
    """Where the curve of spend rose, in stretches of five minutes: the highest rises first.

    A rise goes from the stretch before it to the last one that spent more than the one before.
    """
    cells: dict[int, list[_Row]] = {}
    for row in _rows(db, since_ms, until_ms, CELL_MS):
        cells.setdefault(row[0], []).append(row)
    cost = {cell: sum(row[2] for row in rows) for cell, rows in cells.items()}
    rises: list[tuple[int, int, int]] = []  # height, first and last cell
    for cell in sorted(cost):
        before = cost.get(cell - 1, 0)
        if cost[cell] <= before:
            continue
        if rises and rises[-1][2] == cell - 1:
            height, first, _ = rises.pop()
            rises.append((height + cost[cell] - before, first, cell))
        else:
            rises.append((cost[cell] - before, cell, cell))
    found = []
    for height, first, last in sorted(rises, reverse=True)[:count]:
        rows = [row for cell in range(first, last + 1) for row in cells.get(cell, ())]
        from_ms, to_ms = since_ms + first * CELL_MS, min(until_ms, since_ms + (last + 1) * CELL_MS)
        found.append(Jump(from_ms, to_ms, height, sum(row[2] for row in rows), _shares(db, rows)[:_BEST]))
    return found


def _rows(db: sqlite3.Connection, since_ms: int, until_ms: int, cell_ms: int) -> list[_Row]:
    """(cell, session, cost, responses, tokens, unpriced tokens, estimated, calls without usage)."""
    silent, estimated = FLAG_HIDDEN | FLAG_UNKNOWN, FLAG_ESTIMATED | FLAG_COST_ESTIMATED
    values = (since_ms, until_ms, cell_ms, silent, estimated, FLAG_UNKNOWN, MARGIN_MS)
    return [(cell, sid, cost or 0, *rest) for cell, sid, cost, *rest in db.execute(_EVENTS, values)]


def _shares(db: sqlite3.Connection, rows: list[_Row]) -> tuple[Share, ...]:
    import json

    wanted = json.dumps(list({row[1] for row in rows}))
    about = {number: rest for number, *rest in db.execute(_SESSIONS, (wanted,))}
    sums: dict[tuple[str, str], list[int]] = {}
    names: dict[tuple[str, str], tuple[str, str, str]] = {}
    for _, number, *values in rows:
        agent, sid, title, project, model = about[number]
        key = agent, sid.partition("/")[0]
        if key not in names or "/" not in sid:
            names[key] = title, project, model
        into = sums.setdefault(key, [0] * 6)
        for at, value in enumerate(values):
            into[at] += value
    shares = [
        Share(*key, *names[key], cost, responses, tokens, unpriced, bool(estimated), unknown)
        for key, (cost, responses, tokens, unpriced, estimated, unknown) in sums.items()
    ]
    return tuple(sorted(shares, key=lambda one: (-one.cost_nusd, -one.tokens, one.agent, one.session_id)))
