"""Who spent in a span of time: exact, of any span.

Events have no index on time (it would be a tenth of the file). They are found through the sessions that were alive;
of a session that lies within the span whole, its own sums tell, and no event is looked at (`shares.py`).
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from tokentop.nouns.recorded import Jump, Part, Share, Spent

from . import usage
from .shares import SUMS, Sums, parts
from .slots import SLOT_MS

MARGIN_MS = 600_000  # a call may have begun before the first record of its session's log

_SESSIONS = (
    "SELECT s.id, s.agent, s.sid, s.title, p.name, coalesce(l.model, s.model) FROM session s"
    " JOIN project p ON p.id = s.project LEFT JOIN line l ON l.session = s.id"
    " WHERE s.id IN (SELECT value FROM json_each(?))"
)
_OF_SESSIONS = (
    f"SELECT id, first_ms, last_ms, {', '.join(SUMS)} FROM session INDEXED BY session_span"
    " WHERE last_ms >= ? AND first_ms < ?"
)  # fmt: skip


def spent(db: sqlite3.Connection, since_ms: int, until_ms: int) -> Spent:
    """What each session spent in a span, the dearest first; sub-agents count for the session they are filed under."""
    sums = _sums(db, since_ms, until_ms)
    shares = _shares(sums, _about(db, sums))
    whole = (*shares, *_purged(db, since_ms, until_ms, shares))
    return Spent(since_ms, until_ms, tuple(sorted(whole, key=lambda one: -one.cost_nusd)))


def _purged(db: sqlite3.Connection, since_ms: int, until_ms: int, told: Iterable[Share]) -> list[Share]:
    """What the rollups tell beyond the sessions: of calls that are not here it is not known whose they were."""
    if db.execute("SELECT 1 FROM purged LIMIT 1").fetchone() is None:
        return []
    whole, told = usage.spent(db, since_ms, until_ms), list(told)
    count = whole.responses - sum(one.responses for one in told)
    if count <= 0:
        return []
    return [
        Share(
            "", usage.PURGED, "calls known by their sums alone", "", "",
            max(0, whole.cost_nusd - sum(one.cost_nusd for one in told)), count,
            max(0, whole.tokens.total - sum(one.tokens for one in told)),
            max(0, whole.unpriced_tokens - sum(one.unpriced_tokens for one in told)),
            whole.estimated, max(0, whole.unknown_calls - sum(one.unknown_calls for one in told)),
        )
    ]  # fmt: skip


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


def _sums(db: sqlite3.Connection, since_ms: int, until_ms: int) -> dict[int, Sums]:
    """What each session spent in a span; sessions without any call in it are left out."""
    found: dict[int, Sums] = {}
    partly: dict[int, Sums] = {}
    for number, first_ms, last_ms, *sums in db.execute(_OF_SESSIONS, (since_ms, until_ms + MARGIN_MS)):
        if not (first_ms and first_ms - MARGIN_MS >= since_ms and last_ms < until_ms):
            partly[number] = sums
        elif any(sums):
            found[number] = sums
    return {**parts(db, partly, since_ms, until_ms), **found}


def _about(db: sqlite3.Connection, numbers: Iterable[int]) -> dict[int, tuple[str, str, str, str, str]]:
    """Agent, session id, title, project and model of sessions."""
    rows = db.execute(_SESSIONS, (msgspec.json.encode(list(numbers)),))
    return {number: (agent, sid, title, project, model) for number, agent, sid, title, project, model in rows}


def _shares(
    sums: Mapping[int, Sums], about: Mapping[int, tuple[str, str, str, str, str]]
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
        Share(*key, *names[key], cost, responses, sum(tokens[:-1]), unpriced, bool(estimated), unknown)
        for key, (responses, *tokens, cost, unpriced, unknown, estimated) in merged.items()
    ]
    return tuple(sorted(shares, key=lambda one: (-one.cost_nusd, -one.tokens, one.agent, one.session_id)))
