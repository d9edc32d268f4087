"""What sessions spent and did in a span of time, as it is kept: the stuff of the outcome report. Times are UTC milliseconds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_PARTS = (
    "SELECT s.id, s.project, s.sid, s.title, s.first_ms, s.last_ms, s.cost_nusd, s.unpriced_tokens, s.unknown_calls,"
    " s.estimated, w.place, w.document FROM session s LEFT JOIN work w ON w.session = s.id WHERE s.id IN ({})"
)


def members(db: sqlite3.Connection, roots: Iterable[int]) -> dict[int, int]:
    """What is listed below some sessions, and these themselves -> the session it belongs to."""
    found = {root: root for root in roots}
    rows = db.execute(
        "SELECT session, root FROM line WHERE root IN (SELECT value FROM json_each(?)) AND root != session",
        (msgspec.json.encode(list(found)),),
    )
    return found | dict(rows.fetchall())


def parts(db: sqlite3.Connection, roots: Iterable[int], since_ms: int, until_ms: int) -> list[Part]:
    """Sessions and what is below them, as far as they may have worked in a time span, and what they spent in it."""
    some = parts_of(db, members(db, roots))
    found = {part.id: part for part in some if part.last_ms >= since_ms and part.first_ms < until_ms}
    partly = [
        part.id
        for part in found.values()
        if part.last_ms >= until_ms or part.first_ms < since_ms or not part.first_ms
    ]
    these, bound = "IN (SELECT value FROM json_each(?))", (msgspec.json.encode(partly),)
    # What purged calls cost is known of the whole session alone.
    purged = dict(db.execute(f"SELECT session, calls FROM purged WHERE session {these}", bound).fetchall())
    nothing = [0] * len(SUMS)
    spent = spent_by_parts(db, partly, since_ms, until_ms)
    for number in partly:
        *_, cost, unpriced, unknown, estimated = spent.get(number, nothing)
        found[number] = replace(
            found[number],
            cost_nusd=cost,
            unpriced_tokens=unpriced,
            unknown_calls=unknown + purged.get(number, 0),
            estimated=bool(estimated),
        )
    return [found[number] for number in sorted(found)]


def parts_of(db: sqlite3.Connection, roots: Mapping[int, int]) -> list[Part]:
    """Some sessions (-> the one each belongs to) with all that they spent."""
    return [
        part
        for some in batches(sorted(roots))
        for part in _as_parts(db, db.execute(_PARTS.format(marks(some)), some).fetchall(), roots)
    ]


def _as_parts(
    db: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], roots: Mapping[int, int]
) -> Iterator[Part]:
    projects: dict[int, tuple[str, str]] = {
        number: (agent, name) for number, agent, name in db.execute("SELECT id, agent, name FROM project")
    }
    documents = [_NIL if row[-1] is None else row[-1] for row in rows]
    works = _TOLD.decode(b"".join([_ARRAY32, len(rows).to_bytes(4, "big"), *documents]))
    for row, work in zip(rows, works, strict=True):
        session, number, sid, title, first, last, cost, unpriced, unknown, estimated, place, _ = row
        agent, project = projects[number]
        yield Part(
            session, roots[session], agent, sid, project, title, first, last, cost, unpriced, unknown, bool(estimated), place,
            work,
        )  # fmt: skip
