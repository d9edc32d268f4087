"""Who spent in a span of time: exact, of any span.

Events have no index on time (it would be a tenth of the file). They are found through the sessions that were alive;
of a session that lies within the span whole, its own sums tell, and no event is looked at.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from tokentop.recorded import Jump, Part, Share, Spent

from .reader import within
from .schema import FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_HIDDEN, FLAG_UNKNOWN, SLOT_MS

MARGIN_MS = 600_000  # a call may have begun before the first record of its session's log

_SESSIONS = (
    "SELECT s.id, s.agent, s.sid, s.title, p.name, coalesce(l.model, s.model) FROM session s"
    " JOIN project p ON p.id = s.project LEFT JOIN line l ON l.session = s.id"
    " WHERE s.id IN (SELECT value FROM json_each(?))"
)
_TOKENS = "input + {0}cache_read + {0}cache_write_5m + {0}cache_write_1h + {0}output"
_OF_SESSIONS = (
    f"SELECT id, cost_nusd, responses, {_TOKENS.format('')}, unpriced_tokens, estimated, unknown_calls FROM session"
    " WHERE id IN (SELECT value FROM json_each(?))"
)
_OF_EVENTS = (
    "SELECT e.session, sum(e.cost_nusd), count(*) - sum((e.flags & ?4) != 0), sum(e.{tokens}),"
    " sum(CASE WHEN e.cost_nusd IS NULL THEN e.{tokens} ELSE 0 END), max((e.flags & ?5) != 0),"
    " sum((e.flags & ?6) != 0) FROM json_each(?1) j CROSS JOIN event e ON e.session = j.value"
    " WHERE e.at_ms >= ?2 AND e.at_ms < ?3 AND {within} GROUP BY e.session"
).format(tokens=_TOKENS.format("e."), within=within("?2", "?3"))

_Life = tuple[int, int, int]  # session, first and last record
_Sums = Sequence[int]  # cost, responses, tokens, unpriced tokens, estimated, calls without usage


def spent(db: sqlite3.Connection, since_ms: int, until_ms: int) -> Spent:
    """What each session spent in a span, the dearest first; sub-agents count for the session they are filed under."""
    sums = _sums(db, _alive(db, since_ms, until_ms), since_ms, until_ms)
    return Spent(since_ms, until_ms, _shares(sums, _about(db, sums)))


def jumps(db: sqlite3.Connection, since_ms: int, until_ms: int, count: int) -> list[Jump]:
    """Where the curve of spend rose, in quarter hours and from the rollups: the highest rises first.

    A rise goes from the quarter hour before it to the last one that spent more than the one before.
    """
    begin = since_ms // SLOT_MS
    slots: dict[int, dict[tuple[str, str], int]] = {}
    for slot, agent, project, nusd in db.execute(
        "SELECT r.slot, p.agent, p.name, sum(r.cost_nusd) FROM rollup r JOIN project p ON p.id = r.project"
        " WHERE r.slot >= ? AND r.slot < ? GROUP BY r.slot, r.project",
        (begin - 1, -(-until_ms // SLOT_MS)),  # from the one before: what went on is no rise
    ):
        slots.setdefault(slot, {})[agent, project] = nusd
    cost = {slot: sum(parts.values()) for slot, parts in slots.items()}
    rises: list[tuple[int, int, int]] = []  # height, first and last slot
    for slot in sorted(slot for slot in cost if slot >= begin):
        before = cost.get(slot - 1, 0)
        if cost[slot] <= before:
            continue
        if rises and rises[-1][2] == slot - 1:
            height, first, _ = rises.pop()
            rises.append((height + cost[slot] - before, first, slot))
        else:
            rises.append((cost[slot] - before, slot, slot))
    return [
        Jump(first * SLOT_MS, (last + 1) * SLOT_MS, height, sum(cost[slot] for slot in range(first, last + 1)),
             _parts([slots[slot] for slot in range(first, last + 1)]))
        for height, first, last in sorted(rises, reverse=True)[:count]
    ]  # fmt: skip


def _parts(slots: Iterable[Mapping[tuple[str, str], int]]) -> tuple[Part, ...]:
    sums: Counter[tuple[str, str]] = Counter()
    for slot in slots:
        sums.update(slot)
    return tuple(Part(*key, nusd) for key, nusd in sums.most_common() if nusd)


def _alive(db: sqlite3.Connection, since_ms: int, until_ms: int) -> list[_Life]:
    """The sessions that may have spent in a span."""
    return db.execute(
        "SELECT id, first_ms, last_ms FROM session INDEXED BY session_span WHERE last_ms >= ? AND first_ms < ?",
        (since_ms, until_ms + MARGIN_MS),
    ).fetchall()


def _sums(db: sqlite3.Connection, alive: Iterable[_Life], since_ms: int, until_ms: int) -> dict[int, _Sums]:
    """What the events of each session sum up to in a span; sessions without any are left out."""
    whole: list[int] = []
    parts: list[int] = []
    for number, first_ms, last_ms in alive:
        inside = first_ms and first_ms - MARGIN_MS >= since_ms and last_ms < until_ms
        (whole if inside else parts).append(number)
    silent, estimated = FLAG_HIDDEN | FLAG_UNKNOWN, FLAG_ESTIMATED | FLAG_COST_ESTIMATED
    values = (msgspec.json.encode(parts), since_ms, until_ms, silent, estimated, FLAG_UNKNOWN)
    found: dict[int, _Sums] = {}
    for number, cost, *rest in (
        *db.execute(_OF_EVENTS, values),
        *db.execute(_OF_SESSIONS, (msgspec.json.encode(whole),)),
    ):
        if cost or any(rest):
            found[number] = (cost or 0, *rest)
    return found


def _about(db: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, tuple[str, str, str, str, str]]:
    """Agent, session id, title, project and model of sessions."""
    rows = db.execute(_SESSIONS, (msgspec.json.encode(list(numbers)),))
    return {number: (agent, sid, title, project, model) for number, agent, sid, title, project, model in rows}


def _shares(
    sums: Mapping[int, _Sums], about: Mapping[int, tuple[str, str, str, str, str]]
) -> tuple[Share, ...]:
    merged: dict[tuple[str, str], list[int]] = {}
    names: dict[tuple[str, str], tuple[str, str, str]] = {}
    for number, values in sums.items():
        agent, sid, title, project, model = about[number]
        key = agent, sid.partition("/")[0]
        if key not in names or "/" not in sid:
            names[key] = title, project, model
        into = merged.setdefault(key, [0] * len(values))
        for at, value in enumerate(values):
            into[at] += value
    shares = [
        Share(*key, *names[key], cost, responses, tokens, unpriced, bool(estimated), unknown)
        for key, (cost, responses, tokens, unpriced, estimated, unknown) in merged.items()
    ]
    return tuple(sorted(shares, key=lambda one: (-one.cost_nusd, -one.tokens, one.agent, one.session_id)))
