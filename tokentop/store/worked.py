"""What sessions spent and did in a span of time, as it is kept: the stuff of the outcome report. Times are UTC milliseconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tokentop.engine.work import Waste

from .outcomes import batches, marks
from .shares import SUMS
from .shares import parts as spent_by_parts

_MAP16, _ARRAY32, _NIL = 0xDE, b"\xdd", b"\xc0"  # of MessagePack


class Told(Struct, frozen=True, gc=False, array_like=True):
    """A kept `Work` without its commits and edits, which are many and are only needed to find whose a commit is."""

    told: bool = False
    note: str = ""
    spans: tuple[tuple[int, int], ...] = ()
    runs: msgspec.Raw = msgspec.Raw()
    edits: msgspec.Raw = msgspec.Raw()
    tests: tuple[tuple[int, str], ...] = ()
    pulls: tuple[tuple[int, str], ...] = ()
    waste: tuple[Waste, ...] = ()
    models: tuple[tuple[str, int, int], ...] = ()

    @property
    def changed(self) -> int:
        """How many files the calls of editing tools changed: what the head of the map says."""
        edits = memoryview(self.edits)
        first = edits[0]
        return (
            first & 0x0F if first < _MAP16 else int.from_bytes(edits[1 : 3 if first == _MAP16 else 5], "big")
        )

    @property
    def paths(self) -> Iterable[str]:
        """The files that calls of editing tools changed."""
        return _EDITS.decode(self.edits) if self.changed else ()


class Part(Struct, frozen=True, gc=False):
    """A session for the sums of a time: `root` is the one it belongs to; `place` and `work` None = not looked at yet."""

    id: int
    root: int
    agent: str
    sid: str
    project: str
    title: str
    first_ms: int
    last_ms: int
    cost_nusd: int
    unpriced_tokens: int
    unknown_calls: int
    estimated: bool
    place: int | None
    work: Told | None


_TOLD = msgspec.msgpack.Decoder(list[Told | None])
_EDITS = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
# A sub-agent's work is its root's, anything else is its own.
_ROOT = (
    "CASE WHEN s.role = 'sub-agent' OR instr(s.sid, '/') THEN coalesce((SELECT r.id FROM session r"
    " WHERE r.agent = s.agent AND r.sid = CASE s.root_sid WHEN '' THEN substr(s.sid, 1, instr(s.sid || '/', '/') - 1)"
    " ELSE s.root_sid END), s.id) ELSE s.id END"
)
_PARTS = (
    "SELECT s.id, {root}, s.project, {sid}, {title}, s.first_ms, s.last_ms, s.cost_nusd, s.unpriced_tokens,"
    " s.unknown_calls, s.estimated, w.place, w.document FROM session s LEFT JOIN work w ON w.session = s.id"
)
_NAMED = _PARTS.format(root=_ROOT, sid="s.sid", title="s.title")
_NAMELESS = _PARTS.format(root=_ROOT, sid="''", title="''")


def parts(db: sqlite3.Connection, since_ms: int, until_ms: int, *, named: bool = True) -> list[Part]:
    """The sessions that may have worked in a time span, and what they spent in it. `named` False: without id and title."""
    rows = db.execute(
        f"{_NAMED if named else _NAMELESS} WHERE s.last_ms >= ? AND s.first_ms < ?",  # sorted here: SQLite would read all
        (since_ms, until_ms),
    ).fetchall()
    found = {part.id: part for part in _as_parts(db, sorted(rows, key=itemgetter(0)))}
    partly = [
        part.id
        for part in found.values()
        if part.last_ms >= until_ms or part.first_ms < since_ms or not part.first_ms
    ]
    own = {
        row[0]: row[1:]
        for row in db.execute(
            f"SELECT id, {', '.join(SUMS)} FROM session WHERE id IN (SELECT value FROM json_each(?))",
            (msgspec.json.encode(partly),),
        )
    }
    nothing = [0] * len(SUMS)
    spent = spent_by_parts(db, own, since_ms, until_ms)
    for number in partly:
        *_, cost, unpriced, unknown, estimated = spent.get(number, nothing)
        found[number] = replace(
            found[number],
            cost_nusd=cost,
            unpriced_tokens=unpriced,
            unknown_calls=unknown,
            estimated=bool(estimated),
        )
    return list(found.values())


def parts_of(db: sqlite3.Connection, sessions: Iterable[int]) -> list[Part]:
    """Some sessions with all that they spent."""
    return [
        part
        for some in batches(sessions)
        for part in _as_parts(
            db, db.execute(f"{_NAMED} WHERE s.id IN ({marks(some)}) ORDER BY s.id", some).fetchall()
        )
    ]


def _as_parts(db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> Iterator[Part]:
    projects: dict[int, tuple[str, str]] = {
        number: (agent, name) for number, agent, name in db.execute("SELECT id, agent, name FROM project")
    }
    documents = [_NIL if row[-1] is None else row[-1] for row in rows]
    works = _TOLD.decode(b"".join([_ARRAY32, len(rows).to_bytes(4, "big"), *documents]))
    for (
        (session, root, number, sid, title, first, last, cost, unpriced, unknown, estimated, place, _),
        work,
    ) in zip(rows, works, strict=True):
        agent, project = projects[number]
        yield Part(
            session, root, agent, sid, project, title, first, last, cost, unpriced, unknown, bool(estimated), place, work
        )  # fmt: skip
