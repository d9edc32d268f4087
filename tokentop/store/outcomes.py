"""What sessions did and what git made of it, as it is kept: questions of the report and of the session's own page.

Times are UTC milliseconds. sqlite3.Error.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.engine.tally import Credited
from tokentop.engine.work import Work
from tokentop.nouns.outline import Outline

from .flags import FLAG_COST_ESTIMATED, FLAG_ESTIMATED, FLAG_UNKNOWN
from .hours import within
from .outlines import decoded

_WORK = msgspec.msgpack.Decoder(Work)
_BATCH = 500


class Line(Struct, frozen=True, gc=False):
    """A session as the report needs it; sums are of its whole life."""

    id: int
    agent: str
    sid: str
    parent_sid: str
    root_sid: str
    role: str
    cwd: str
    project: str
    model: str
    title: str
    first_ms: int
    last_ms: int
    cost_nusd: int
    unpriced_tokens: int
    unknown_calls: int
    estimated: bool


class Kept(Struct, frozen=True):
    """What was kept of a session's work. `place`: number of its repository, 0 = in none, -1 = its folder is gone."""

    last_ms: int
    outline_ms: int
    place: int
    work: Work


COLUMNS = (
    "s.id, s.agent, s.sid, s.parent_sid, s.root_sid, s.role, s.cwd, p.name, s.model, s.title, s.first_ms, s.last_ms,"
    " s.cost_nusd, s.unpriced_tokens, s.unknown_calls, s.estimated"
)


def lines(db: sqlite3.Connection, since_ms: int) -> list[Line]:
    """Sessions that were used since a time."""
    rows = db.execute(
        f"SELECT {COLUMNS} FROM session s JOIN project p ON p.id = s.project WHERE s.last_ms >= ? ORDER BY s.id",
        (since_ms,),
    )
    return [line_of(row) for row in rows]


def family(db: sqlite3.Connection, agent: str, sid: str) -> list[Line]:
    """A session and the sub-agents below it."""
    found: dict[int, Line] = {}
    waiting = [sid]
    while waiting:
        name = waiting.pop()
        rows = db.execute(
            f"SELECT {COLUMNS} FROM session s JOIN project p ON p.id = s.project WHERE s.agent=?1 AND (s.sid=?2"
            " OR (s.sid >= ?2 || '/' AND s.sid < ?2 || '0') OR (s.parent_sid=?2 AND ?2 != '' AND s.role='sub-agent'))",
            (agent, name),
        ).fetchall()
        for row in rows:
            if row[0] not in found:
                found[row[0]] = line_of(row)
                waiting.append(row[2])
    return list(found.values())


def ids(db: sqlite3.Connection, names: Iterable[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Numbers of sessions by (agent, session id)."""
    found = {}
    for agent, sid in names:
        row = db.execute("SELECT id FROM session WHERE agent=? AND sid=?", (agent, sid)).fetchone()
        if row:
            found[agent, sid] = int(row[0])
    return found


def works(db: sqlite3.Connection, sessions: Iterable[int]) -> dict[int, Kept]:
    """What is kept of sessions' work."""
    found = {}
    for some in batches(sessions):
        rows = db.execute(
            f"SELECT session, last_ms, outline_ms, place, document FROM work WHERE session IN ({marks(some)})",
            some,
        )
        for session, last_ms, outline_ms, place, document in rows:
            found[session] = Kept(last_ms, outline_ms, place, _WORK.decode(document))
    return found


GONE = -1  # the place of a session whose folder is gone
Brought = tuple[frozenset[int], frozenset[int], frozenset[int]]
CHECK_MS = 10_000  # between two looks whether works have changed: they do when somebody asks for outcomes
_last: tuple[str, int, object, Brought] | None = None  # file, when it was looked at, the state of its tables


def brought(db: sqlite3.Connection, now_ms: int) -> Brought:
    """Sessions with commits of their own, those that changed files, those known to have changed none.

    What is listed above a session stands for it, too.
    """
    global _last
    file = db.execute("PRAGMA database_list").fetchone()[2]
    if _last is not None and file and _last[0] == file and 0 <= now_ms - _last[1] < CHECK_MS:
        return _last[3]
    works_now = db.execute("SELECT count(*), max(last_ms), max(outline_ms), sum(place) FROM work").fetchone()
    credits_now = db.execute("SELECT count(*), sum(session) FROM git_credit").fetchone()
    counted = db.execute("SELECT sum(counts) FROM git_change").fetchone()  # a squash of others is none
    listed = db.execute("SELECT count(*), max(session) FROM line").fetchone()
    state = (works_now, credits_now, counted, listed)
    known = _last[3] if _last is not None and file and (_last[0], _last[2]) == (file, state) else _brought(db)
    _last = file, now_ms, state, known
    return known


def _brought(db: sqlite3.Connection) -> Brought:
    below = db.execute("SELECT session, root FROM line WHERE root != session").fetchall()

    def with_roots(query: str) -> frozenset[int]:
        some = {session for (session,) in db.execute(query)}
        return frozenset(some.union([root for session, root in below if session in some]))

    return (
        with_roots(
            "SELECT k.session FROM git_credit k JOIN git_change c ON c.repo = k.repo AND c.hash = k.hash WHERE c.counts"
        ),
        with_roots("SELECT session FROM work WHERE files > 0"),
        with_roots(f"SELECT session FROM work WHERE files = 0 AND place != {GONE}"),
    )


def outline_times(db: sqlite3.Connection, sessions: Iterable[int]) -> dict[int, int]:
    """When the outline of each session was read."""
    found: dict[int, int] = {}
    for some in batches(sessions):
        found |= dict(
            db.execute(f"SELECT session, read_ms FROM outline WHERE session IN ({marks(some)})", some)
        )
    return found


def outline(db: sqlite3.Connection, session: int) -> Outline | None:
    row = db.execute("SELECT deeds, note, read_ms FROM outline WHERE session=?", (session,)).fetchone()
    deeds = decoded(row[0]) if row else None
    return None if deeds is None else Outline(deeds, row[1], read_ms=row[2])


def keep_works(db: sqlite3.Connection, found: Iterable[tuple[int, Kept]]) -> None:
    """Replace what is kept of some sessions, in one transaction."""
    encode = msgspec.msgpack.Encoder().encode
    columns = "session, last_ms, outline_ms, place, files, document"
    rows = [
        (number, one.last_ms, one.outline_ms, one.place, len(one.work.edits) if one.work.told else None,
         encode(one.work))
        for number, one in found
    ]  # fmt: skip
    db.execute("BEGIN IMMEDIATE")
    try:
        db.executemany(f"INSERT OR REPLACE INTO work ({columns}) VALUES (?, ?, ?, ?, ?, ?)", rows)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def spent_between(
    db: sqlite3.Connection, session: int, since_ms: int, until_ms: int
) -> tuple[int, int, int, bool]:
    """(nano-dollars, unpriced tokens, calls without usage, estimated) of one session in a time span."""
    cost, unpriced, unknown, estimated = db.execute(
        "SELECT coalesce(sum(cost_nusd), 0), coalesce(sum(CASE WHEN cost_nusd IS NULL THEN"
        " input + cache_read + cache_write_5m + cache_write_1h + output END), 0), coalesce(sum((flags & ?4) != 0), 0),"
        " coalesce(max((flags & ?5) != 0), 0) FROM event e WHERE session=?1 AND at_ms >= ?2 AND at_ms < ?3"
        f" AND {within('?2', '?3')}",
        (session, since_ms, until_ms, FLAG_UNKNOWN, FLAG_ESTIMATED | FLAG_COST_ESTIMATED),
    ).fetchone()
    return cost, unpriced, unknown, bool(estimated)


_CREDITED = (
    "SELECT k.session, c.repo, c.hash, c.at_ms, k.share, k.sure, k.why, c.counts, c.state, c.added, c.removed,"
    " v.survived, coalesce(v.settled, 0), c.files FROM git_credit k JOIN git_change c ON c.repo = k.repo AND c.hash = k.hash"
    " LEFT JOIN git_survival v ON v.repo = c.repo AND v.hash = c.hash AND v.days = ?2"
    " WHERE k.session IN (SELECT value FROM json_each(?1))"
    # A commit that several clones of a repository hold counts in one.
    " AND k.repo = (SELECT min(o.repo) FROM git_credit o WHERE o.hash = k.hash) ORDER BY c.at_ms, c.hash"
)


def credited(db: sqlite3.Connection, sessions: Iterable[int], days: int) -> list[Credited]:
    """The changes of some sessions (with all below them), oldest first, each share of one apart."""
    return [_credited(row) for row in db.execute(_CREDITED, (msgspec.json.encode(list(sessions)), days))]


def nobodys(db: sqlite3.Connection, since_ms: int, until_ms: int) -> int:
    """Commits of a time, of the repositories looked at, that are no session's, as far as is known."""
    row = db.execute(
        "SELECT count(DISTINCT n.hash) FROM git_nobodys n WHERE n.at_ms >= ? AND n.at_ms < ?"
        " AND NOT EXISTS (SELECT 1 FROM git_credit k WHERE k.hash = n.hash)",  # in another clone
        (since_ms, until_ms),
    ).fetchone()
    return int(row[0])


def line_of(row: tuple[Any, ...]) -> Line:
    """A row of `COLUMNS`."""
    return Line(*(*row[:-1], bool(row[-1])))


def _credited(row: tuple[object, ...]) -> Credited:
    session, repo, name, at_ms, share, sure, why, counts, state, added, removed, survived, settled, files = (
        row
    )
    paths = array("q")
    paths.frombytes(files)  # type: ignore[arg-type]
    return Credited(
        session, repo, name, at_ms, share, bool(sure), why, bool(counts), state, added, removed, survived,  # type: ignore[arg-type]
        bool(settled), tuple(paths),
    )  # fmt: skip


def batches(sessions: Iterable[int]) -> Iterator[list[int]]:
    wanted = list(sessions)
    for at in range(0, len(wanted), _BATCH):
        yield wanted[at : at + _BATCH]


def marks(some: list[int]) -> str:
    return ", ".join("?" * len(some))
