"""Questions about the history: which sessions, in which order, and what stands in their lines. Read-only.

A list is answered whole, as the ids of its sessions; their entries are read as they come into view.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import tzinfo
from itertools import compress, repeat
from typing import Any

import msgspec
from msgspec.structs import replace

from tokentop.engine.terms import TEXT_LIMIT, Field, FilterError, Pattern
from tokentop.nouns.history import BEST, Ask, Entry, Listing
from tokentop.nouns.sessions import State

from .alike import all_of, best_of
from .in_order import grouped, ordered
from .indexing import waiting
from .sieve import Sieve, sieve, teach

_ENTRY = (
    "SELECT l.session, l.root, l.agent, s.sid, s.parent_sid, s.role, l.project, l.title, l.branch, s.cwd, l.model,"
    " l.first_ms, l.last_ms, l.responses, l.tokens, l.cost_nusd, l.unpriced_tokens, l.unknown_calls, l.estimated,"
    " l.below FROM line l JOIN session s ON s.id = l.session"
)


def answer(db: sqlite3.Connection, ask: Ask, zone: tzinfo, now_ms: int) -> Listing:
    """The sessions that are asked for. A query that cannot be understood is a Listing with `problem`.

    sqlite3.OperationalError "interrupted" where another thread has interrupted the connection.
    """
    try:
        wanted = sieve(ask.query, zone, now_ms)
    except FilterError as error:
        return Listing(ask, (), problem=str(error))
    teach(db)
    for pattern in wanted.patterns:
        wanted = _tried(db, wanted, pattern)
    for field in wanted.looked_up:
        if field.name == "state" and ask.running is None:
            return Listing(ask, (), problem="state: is known by the screen alone (3 on the live screen)")
        wanted = _looked_up(db, wanted, field, ask.running or (), now_ms)
    late = waiting(db)
    if wanted.words and ask.sort in ("", BEST) and not ask.group:
        best, cut = best_of(db, wanted)
        shown = tuple(best[: ask.limit or None])
        return Listing(ask, shown, waiting=late, cut=cut or len(shown) < len(best))
    found = all_of(db, wanted.words) if wanted.words else None
    if ask.group:
        order, groups = grouped(db, ask, wanted, found, zone)
        return Listing(ask, order, groups, late)
    return Listing(ask, ordered(db, ask, wanted, found), waiting=late)


def entries(db: sqlite3.Connection, ids: Sequence[int]) -> list[Entry]:
    """The entries of sessions, in their order; one that is gone is left out."""
    rows = db.execute(
        f"{_ENTRY} WHERE l.session IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
    )
    by_id = _with_outcome(db, {row[0]: _entry(row) for row in rows})
    return [by_id[one] for one in ids if one in by_id]


def below(db: sqlite3.Connection, root: int) -> list[Entry]:
    """What is listed below a session, by time."""
    rows = db.execute(
        f"{_ENTRY} WHERE l.root = ? AND l.root != l.session ORDER BY l.first_ms, l.session", (root,)
    )
    return list(_with_outcome(db, {row[0]: _entry(row) for row in rows}).values())


def _with_outcome(db: sqlite3.Connection, found: dict[int, Entry]) -> dict[int, Entry]:
    """What git and the outlines tell of them and of what they stand for, as far as somebody has worked it out."""
    from .outcomes import GONE, works

    members = {one: one for one in found}
    wanted = json.dumps([one.id for one in found.values() if one.below])
    members |= dict(
        db.execute(
            "SELECT session, root FROM line WHERE root != session AND root IN (SELECT value FROM json_each(?))",
            (wanted,),
        ).fetchall()
    )
    ids = json.dumps(list(members))
    commits: dict[int, set[str]] = {}  # one that several clones hold is one; a squash of others is none
    for session, name in db.execute(
        "SELECT k.session, k.hash FROM git_credit k JOIN git_change c ON c.repo = k.repo AND c.hash = k.hash"
        " WHERE c.counts AND k.session IN (SELECT value FROM json_each(?))",
        (ids,),
    ):
        commits.setdefault(members[session], set()).add(name)
    files: dict[int, set[str]] = {}
    for session, kept in works(db, members).items():
        if kept.work.told and (kept.work.edits or kept.place != GONE):
            files.setdefault(members[session], set()).update(kept.work.edits)
    return {
        one: replace(
            entry, commits=len(commits.get(one, ())), files=len(files[one]) if one in files else None
        )
        for one, entry in found.items()
    }


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(Entry.__struct_fields__, row, strict=False))  # the last ones come from git
    values["estimated"] = bool(values["estimated"])
    return Entry(**values)


def _tried(db: sqlite3.Connection, wanted: Sieve, pattern: Pattern) -> Sieve:
    """The sieve with a regular expression tried on titles and on the names of projects, models and agents."""
    search, certain = pattern.compiled().search, pattern.certain
    level = "1" if wanted.any_level else "root = session"
    some = " AND title LIKE ?" * bool(certain)  # leaves most of them to SQLite, which is faster at that
    # As two lists: a row for each would take longer than the search.
    ids, titles = map(msgspec.json.decode, db.execute(
        f"SELECT json_group_array(session), json_group_array(title) FROM line NOT INDEXED"
        f" WHERE {level}{some}", [f"%{certain}%"] * bool(certain)
    ).fetchone())  # fmt: skip
    ids = list(compress(ids, map(search, titles, repeat(0), repeat(TEXT_LIMIT))))
    like = ["line.session IN (SELECT value FROM json_each(?))"]
    values: list[object] = [json.dumps(ids)]
    for column, table in (("project", "SELECT DISTINCT name FROM project"), ("model", "SELECT DISTINCT name FROM model"),
                          ("agent", "SELECT DISTINCT agent FROM project")):  # fmt: skip
        names = [name for (name,) in db.execute(table) if search(name[:TEXT_LIMIT])]
        if names:
            like.append(f"line.{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(names))
    negation = "NOT " * pattern.negated
    return replace(
        wanted, where=f"{wanted.where} AND {negation}({' OR '.join(like)})", values=(*wanted.values, *values)
    )


def _looked_up(
    db: sqlite3.Connection,
    wanted: Sieve,
    field: Field,
    running: Sequence[tuple[str, str, str]],
    now_ms: int,
) -> Sieve:
    """The sieve with an outcome or a state: a session stands for itself and for what is listed below it."""
    if field.name == "outcome":
        ids, others = _with_that_outcome(db, field.text, now_ms)
    else:
        others = field.text == State.DONE  # what is not seen has ended
        at = json.dumps([one[:2] for one in running if (one[2] == field.text) is not others])
        rows = db.execute(
            "SELECT s.id, l.root FROM json_each(?) j JOIN session s ON s.agent = json_extract(j.value, '$[0]')"
            " AND s.sid = json_extract(j.value, '$[1]') JOIN line l ON l.session = s.id",
            (at,),
        )
        ids = frozenset(one for row in rows for one in row)
    # A set in Python is asked faster than a list in SQL is made a set of.
    name = f"{field.name}_{len(wanted.values)}_{len(wanted.where)}"
    db.create_function(name, 1, ids.__contains__, deterministic=True)
    negation = "NOT " * (field.negated is not others)
    return replace(wanted, where=f"{wanted.where} AND {negation}{name}(line.session)")


def _with_that_outcome(db: sqlite3.Connection, name: str, now_ms: int) -> tuple[frozenset[int], bool]:
    """(sessions, whether all others are meant), by what the column says."""
    from .outcomes import brought

    commits, changed, same = brought(db, now_ms)
    if name == "commit":
        return commits, False
    if name == "file":
        return changed - commits, False
    if name == "no change":
        return same - changed - commits, False
    return commits | changed | same, True
