"""What each session and everything below it brought in its whole life, kept by columns: a report adds these up.

Triggers note in `bought_stale` whose sums have moved. Times are UTC milliseconds. sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.engine.tally import ENDED_MS, PAIRS, Pair, Sum, Whole

from .outcomes import batches, marks

COUNTS = (
    "young", "waiting", "unread", "edits", "passed", "failed", "untold", "loops_nusd", "retries_nusd", "hidden_nusd",
    "waiting_nusd", "waste_unknown", "silent",
)  # fmt: skip
VERDICTS = ("unchanged", "unclear", "abandoned")  # of a session that has ended
COLUMNS = (
    "root", "days", "from_ms", "to_ms", "worked", "model", "files", "pulls",
    *(f"{name}_{kind}" for name in PAIRS for kind in ("sure", "guessed")), *COUNTS, *VERDICTS,
)  # fmt: skip
_KEYS = {
    "session": ("l.agent", "s.sid", "l.title"), "project": ("l.project",), "agent": ("l.agent",), "model": ("b.model",),
    "day": ("day_of(l.last_ms)",),
}  # fmt: skip
_NO_NAME = {""}
_ENDED = f"(l.last_ms <= ?5 - {ENDED_MS})"
_PRICED = "l.cost_nusd != 0 OR NOT (l.unpriced_tokens OR l.unknown_calls)"
_SUMMED = (
    *("1", "l.cost_nusd", "l.unpriced_tokens", "l.unknown_calls", "l.estimated", _PRICED, "b.worked"),
    *(f"b.{name}_{kind}" for name in PAIRS for kind in ("sure", "guessed")),
    *(f"b.{name}" for name in COUNTS),
    *(f"b.{name} * {_ENDED}{of}" for name in VERDICTS for of in ("", " * l.cost_nusd")),
)  # fmt: skip
_OF_ONE = f"b.files, b.pulls, {', '.join(_SUMMED)}"
_OF_MANY = f"joined(b.files), group_concat(b.pulls, char(10)), {', '.join(f'sum({one})' for one in _SUMMED)}"
_FROM = (
    " FROM line l LEFT JOIN bought b ON b.root = l.session AND b.days = ?3{join}"
    " WHERE l.root = l.session AND l.last_ms >= ?1 AND l.first_ms < ?2"
)
_KEPT = (  # all of them lie in the time, and what is kept is up to date
    "l.first_ms >= ?1 AND l.last_ms < ?2 AND b.from_ms >= ?1 AND b.to_ms < ?2"
    " AND (b.worked OR l.cost_nusd OR l.unpriced_tokens OR l.unknown_calls)"
    " AND l.session NOT IN (SELECT value FROM json_each(?4))"
)
_ONE_DAY = " AND day_of(min(l.first_ms, b.from_ms)) = day_of(max(l.last_ms, b.to_ms))"
_PARTLY = (  # in a time with a part of their calls, or with a line that is not what it is to be
    "SELECT coalesce(l.root, s.id) FROM session s LEFT JOIN line l ON l.session = s.id"
    " WHERE s.last_ms >= ?1 AND s.first_ms < ?2 AND (s.first_ms < ?1 OR s.last_ms >= ?2 OR s.first_ms <= 0)"
    " UNION SELECT coalesce(l.root, c.session) FROM changed c LEFT JOIN line l ON l.session = c.session"
    " UNION SELECT root FROM bought_stale"
)


class Grouped(Struct, frozen=True):
    """Sums by key of what lies in a time as it is kept, how many sessions of each have calls, and the others' numbers."""

    sums: list[Sum]
    worked: dict[tuple[str, ...], int]
    others: set[int]


class _Joined:
    """An aggregate of SQL: blobs one after the other."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def step(self, part: bytes | None) -> None:
        if part:
            self._parts.append(part)

    def finalize(self) -> bytes:
        return b"".join(self._parts)


def grouped(
    db: sqlite3.Connection, since_ms: int, until_ms: int, days: int, now_ms: int, by: str, day_of: Callable[[int], str]
) -> Grouped:  # fmt: skip
    """Of the sessions that were used in a time, with all below them. `by`: session, project, agent, model, day."""
    db.create_function("day_of", 1, day_of, deterministic=True)
    db.create_aggregate("joined", 1, _Joined)  # type: ignore[arg-type]
    others = {root for (root,) in db.execute(_PARTLY, (since_ms, until_ms))}
    key = _KEYS[by]
    names = ", ".join(f"coalesce({name}, '')" for name in key)
    other = f"CASE WHEN coalesce({_KEPT}{_ONE_DAY * (by == 'day')}, 0) THEN 0 ELSE l.session END AS other"
    if by == "session":
        query = (
            f"SELECT {names}, {other}, {_OF_ONE}{_FROM.format(join=' JOIN session s ON s.id = l.session')}"
        )
    else:
        query = f"SELECT {names}, {other}, {_OF_MANY}{_FROM.format(join='')} GROUP BY {', '.join(key)}, other"
    sums: list[Sum] = []
    worked: dict[tuple[str, ...], int] = {}
    width = len(key)
    bound = (since_ms, until_ms, days, msgspec.json.encode(list(others)), now_ms)
    for row in db.execute(query, bound).fetchall():
        if row[width]:
            others.add(row[width])
            continue
        found = _sum(row[:width], row[width + 1 :])
        sums.append(found)
        worked[found.key] = row[width + 9]
    return Grouped(sums, worked, others)


def _sum(key: tuple[str, ...], row: Sequence[Any]) -> Sum:
    """A row of `_OF_ONE` or `_OF_MANY`."""
    (
        files, pulls, sessions, cost, unpriced, unknown, estimated, priced, _, commits, commits_guessed, added, added_guessed,
        removed, removed_guessed, survived, survived_guessed, young, waiting, unread, edits, passed, failed, untold, loops,
        retries, hidden, waited, no_cost, silent, unchanged, unchanged_nusd, unclear, unclear_nusd, abandoned, abandoned_nusd,
    ) = row  # fmt: skip
    return Sum(
        key, sessions, cost, unpriced, unknown, bool(estimated), bool(priced), Pair(commits, commits_guessed),
        Pair(added, added_guessed), Pair(removed, removed_guessed), Pair(survived, survived_guessed), young, waiting,
        unread, set(array("q", files)) if files else set(), edits, {*pulls.split("\n")} - _NO_NAME if pulls else set(),
        passed, failed, untold, unchanged, unchanged_nusd, unclear, unclear_nusd, abandoned, abandoned_nusd, loops,
        retries, hidden, waited, no_cost, silent,
    )  # fmt: skip


def stale(db: sqlite3.Connection, days: int) -> list[int]:
    """Those whose sums are to be made anew. `days` = how long a line must stay to have survived."""
    rows = db.execute("SELECT root FROM bought_stale UNION SELECT root FROM bought WHERE days != ?", (days,))
    return [root for (root,) in rows]


def keep(db: sqlite3.Connection, days: int, roots: Sequence[int], found: Iterable[tuple[int, Whole]]) -> None:
    """Replace the sums of `roots`, in the transaction of the caller."""
    for some in batches(roots):
        db.execute(f"DELETE FROM bought WHERE root IN ({marks(some)})", some)
        db.execute(f"DELETE FROM bought_stale WHERE root IN ({marks(some)})", some)
    db.executemany(
        f"INSERT INTO bought ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})",
        [(root, days, *_columns(whole)) for root, whole in found],
    )


def _columns(whole: Whole) -> tuple[object, ...]:
    one = whole.sum
    pairs = [getattr(one, name) for name in PAIRS]
    return (
        whole.from_ms, whole.to_ms, whole.worked, whole.model, array("q", sorted(one.files)).tobytes(),
        "\n".join(sorted(one.pulls)), *(part for pair in pairs for part in (pair.sure, pair.guessed)),
        *(getattr(one, name) for name in (*COUNTS, *VERDICTS)),
    )  # fmt: skip
