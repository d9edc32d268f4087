"""What each session and everything below it brought in its whole life, as it is kept: a report adds these up.

Triggers note in `bought_stale` whose sums have moved. Times are UTC milliseconds. sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Mapping, Sequence
from datetime import tzinfo
from heapq import nlargest
from operator import itemgetter
from struct import Struct as Packed
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tokentop.engine.days import Days
from tokentop.engine.tally import ENDED_MS, PAIRS, Credited, Done, Pair, Sum, Whole, whole_of

from .outcomes import batches, marks

# What `sums` has of a session, one after the other: lines and commits may be shares; a verdict is of one that has ended.
_LINES = ("young", "waiting", "unread")
_COUNTS = (
    "edits", "passed", "failed", "untold", "loops_nusd", "retries_nusd", "hidden_nusd", "waiting_nusd", "waste_unknown",
    "silent",
)  # fmt: skip
_VERDICTS = ("unchanged", "unclear", "abandoned")
_SUMS = Packed(f"<{2 * len(PAIRS) + len(_LINES)}d{len(_COUNTS) + len(_VERDICTS)}q")
_COLUMNS = ("root", "days", "from_ms", "to_ms", "worked", "model", "files", "pulls", "sums")
_KEYS = {
    "session": ("l.agent", "b.sid", "l.title"), "project": ("l.project",), "agent": ("l.agent",), "model": ("b.model",),
    "day": ("min(l.first_ms, b.from_ms)", "max(l.last_ms, b.to_ms)"),
}  # fmt: skip
_ASKED = (
    "l.cost_nusd, l.unpriced_tokens, l.unknown_calls, l.estimated, b.worked, l.last_ms, b.files, b.pulls, b.sums"
    " FROM line l LEFT JOIN bought b ON b.root = l.session AND b.days = ?3"
    " WHERE l.root = l.session AND l.last_ms >= ?1 AND l.first_ms < ?2"
)
_KEPT = (  # all of them lie in the time, and what is kept is up to date
    "l.first_ms >= ?1 AND l.last_ms < ?2 AND b.from_ms >= ?1 AND b.to_ms < ?2"
    " AND (b.worked OR l.cost_nusd OR l.unpriced_tokens OR l.unknown_calls)"
    " AND l.session NOT IN (SELECT value FROM json_each(?4))"
)
_PARTLY = (  # in a time with a part of their calls, or with a line that is not what it is to be
    "SELECT coalesce(l.root, s.id) FROM session s LEFT JOIN line l ON l.session = s.id"
    " WHERE s.last_ms >= ?1 AND s.first_ms < ?2 AND (s.first_ms < ?1 OR s.last_ms >= ?2 OR s.first_ms <= 0)"
    " UNION SELECT coalesce(l.root, c.session) FROM changed c LEFT JOIN line l ON l.session = c.session"
    " UNION SELECT root FROM bought_stale"
)


_DONE = msgspec.msgpack.Decoder(tuple[Done, list[Credited]])


class Grouped(Struct, frozen=True):
    """What lies in a time as it is kept: sums by key, and how many sessions of each have calls.

    By session `sums` are the dearest of them, and `total` is all of them. By day what lies on several days stands apart,
    each with what it did. `others`: numbers of the sessions that are not in it.
    """

    sums: list[Sum]
    total: Sum | None
    worked: dict[tuple[str, ...], int]
    done: list[Done]
    shares: list[Credited]  # of `done`
    others: set[int]


def grouped(
    db: sqlite3.Connection, since_ms: int, until_ms: int, days: int, now_ms: int, by: str, zone: tzinfo, most: int
) -> Grouped:  # fmt: skip
    """Of the sessions that were used in a time, with all below them. `by`: session, project, agent, model, day.

    `most`: so many groups are told by session.
    """
    others = {root for (root,) in db.execute(_PARTLY, (since_ms, until_ms))}
    names = _KEYS[by]
    query = f"SELECT CASE WHEN coalesce({_KEPT}, 0) THEN 0 ELSE l.session END, l.session, {', '.join(names)}, {_ASKED}"
    rows = db.execute(query, (since_ms, until_ms, days, msgspec.json.encode(list(others))))
    at, ended_ms, local = 2 + len(names), now_ms - ENDED_MS, Days(since_ms, until_ms, zone)
    whole: list[Sequence[Any]] = []
    groups: dict[tuple[str, ...], list[Sequence[Any]]] = {}
    spread: dict[int, Sequence[Any]] = {}  # over several days
    for row in rows:
        if row[0]:
            others.add(row[0])
            continue
        if by == "session":
            whole.append(row)
            continue
        key = row[2:at]
        if by == "day":
            day = local.of_both(row[2], row[3])
            if day is None:
                spread[row[1]] = row[at:]
                continue
            key = (day,)
        groups.setdefault(key, []).append(row[at:])
    worked = {key: sum(row[4] for row in some) for key, some in groups.items()}
    sums = [_of_one(row, ended_ms) for row in nlargest(most, whole, key=itemgetter(at))]
    sums += [_of_many(key, some, ended_ms) for key, some in groups.items()]
    total = _of_many(("total",), [row[at:] for row in whole], ended_ms) if whole else None
    done, shares = _spread(db, spread)
    others.update(spread.keys() - {one.key for one in done})
    return Grouped(sums, total, worked, done, shares, others)


def _spread(db: sqlite3.Connection, rows: Mapping[int, Sequence[Any]]) -> tuple[list[Done], list[Credited]]:
    """What sessions did and their changes, as it is kept; `rows` are what `_ASKED` tells of them."""
    done, shares = [], []
    query = "SELECT root, document FROM bought_done WHERE root IN (SELECT value FROM json_each(?))"
    for root, document in db.execute(query, (msgspec.json.encode(list(rows)),)):
        cost, unpriced, unknown, estimated, _, last_ms, *_ = rows[root]
        one, mine = _DONE.decode(document)
        done.append(
            replace(
                one, cost_nusd=cost, unpriced_tokens=unpriced, unknown_calls=unknown, estimated=bool(estimated),
                last_ms=last_ms,
            )
        )  # fmt: skip
        shares += mine
    return done, shares


def _of_one(row: Sequence[Any], ended_ms: int) -> Sum:
    """The group of a session alone."""
    _, _, agent, sid, title, cost, unpriced, unknown, estimated, _, last_ms, files, pulls, packed = row
    sums = _SUMS.unpack(packed)
    return _sum(
        (agent, sid, title), cost, unpriced, unknown, bool(estimated), last_ms <= ended_ms, files, pulls, sums
    )


def _of_many(key: tuple[str, ...], rows: Sequence[Sequence[Any]], ended_ms: int) -> Sum:
    """The group of several sessions, added up by columns."""
    cost, unpriced, unknown, estimated, _, last_ms, files, pulls, packed = zip(*rows, strict=True)
    sums = [*zip(*map(_SUMS.unpack, packed), strict=True)]
    found = _sum(
        key, sum(cost), sum(unpriced), sum(unknown), any(estimated), False, b"".join(files),
        "\n".join(filter(None, pulls)), [*map(sum, sums)],
    )  # fmt: skip
    found.sessions = len(rows)
    found.priced = any(cost) or not all(a or b for a, b in zip(unpriced, unknown, strict=True))
    for name, is_so in zip(_VERDICTS, sums[-len(_VERDICTS) :], strict=True):
        nusd = [nusd for nusd, so, at in zip(cost, is_so, last_ms, strict=True) if so and at <= ended_ms]
        setattr(found, name, len(nusd))
        setattr(found, f"{name}_nusd", sum(nusd))
    return found


def _sum(
    key: tuple[str, ...], cost: int, unpriced: int, unknown: int, estimated: bool, ended: bool, files: bytes, pulls: str,
    sums: Sequence[Any],
) -> Sum:  # fmt: skip
    """A session as a group; there are thousands."""
    (
        commits, commits_guessed, added, added_guessed, removed, removed_guessed, survived, survived_guessed, young, waiting,
        unread, edits, passed, failed, untold, loops, retries, hidden, waited, no_cost, silent, unchanged, unclear, abandoned,
    ) = sums  # fmt: skip
    if not ended:
        unchanged = unclear = abandoned = 0
    return Sum(
        key, 1, cost, unpriced, unknown, estimated, bool(cost or not (unpriced or unknown)), Pair(commits, commits_guessed),
        Pair(added, added_guessed), Pair(removed, removed_guessed), Pair(survived, survived_guessed), young, waiting, unread,
        set(array("q", files)) if files else set(), edits, {*pulls.split("\n")} if pulls else set(), passed, failed, untold,
        unchanged, unchanged * cost, unclear, unclear * cost, abandoned, abandoned * cost, loops, retries, hidden, waited,
        no_cost, silent,
    )  # fmt: skip


def stale(db: sqlite3.Connection, days: int) -> list[int]:
    """Those whose sums are to be made anew. `days` = how long a line must stay to have survived."""
    rows = db.execute("SELECT root FROM bought_stale UNION SELECT root FROM bought WHERE days != ?", (days,))
    return [root for (root,) in rows]


def keep(
    db: sqlite3.Connection, days: int, roots: Sequence[int], found: Sequence[tuple[Done, Sequence[Credited]]]
) -> None:
    """Replace the sums of `roots`, in the transaction of the caller. `found`: what they did in their whole lives."""
    for some in batches(roots):
        for table in ("bought", "bought_done", "bought_stale"):
            db.execute(f"DELETE FROM {table} WHERE root IN ({marks(some)})", some)
    db.executemany(
        f"INSERT INTO bought ({', '.join(_COLUMNS)}, sid) VALUES ({', '.join('?' * len(_COLUMNS))},"
        " (SELECT sid FROM session WHERE id = ?1))",
        [(one.key, days, *_columns(whole_of(one, shares))) for one, shares in found],
    )
    db.executemany(
        "INSERT INTO bought_done VALUES (?, ?)",
        [(of[0].key, msgspec.msgpack.encode(of)) for of in found],
    )


def _columns(whole: Whole) -> tuple[object, ...]:
    one = whole.sum
    pairs = [getattr(one, name) for name in PAIRS]
    sums = [part for pair in pairs for part in (pair.sure, pair.guessed)]
    sums += [getattr(one, name) for name in (*_LINES, *_COUNTS, *_VERDICTS)]
    return (
        whole.from_ms, whole.to_ms, whole.worked, whole.model, array("q", sorted(one.files)).tobytes(),
        "\n".join(sorted(one.pulls)), _SUMS.pack(*sums),
    )  # fmt: skip
