"""Questions about the history: which sessions, in which order, and what stands in their lines. Read-only.

A list is answered whole, as the ids of its sessions; their entries are read as they come into view.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date, timedelta, tzinfo
from operator import itemgetter
from typing import Any

from msgspec.structs import replace

from tokentop.engine.days import DAY_MS, local
from tokentop.engine.likeness import SHORTEST, learnable, nearness, score, with_one_left_out, words_of
from tokentop.history import BEST, COST, LAST, RESPONSES, TOKENS, Ask, Entry, Group, Listing
from tokentop.model import State
from tokentop.terms import TEXT_LIMIT, Field, FilterError, Pattern

from .indexing import waiting
from .sieve import FIELDS, Sieve, quoted, sieve, teach

MOST_FOUND = 400  # of each way to find: what is further down is no answer to a search by likeness
_MOST_NEAR = 24
_MOST_CHANGES = 200
_WEEK_MS = 7 * DAY_MS
_EPOCH = date(1970, 1, 1).toordinal()
_COLUMNS = {LAST: "last_ms", COST: "cost_nusd", TOKENS: "tokens", RESPONSES: "responses"}
_GROUPS = {"project": "project", "agent": "agent", "model": "model"}
_WEIGHTS = (1.0, 0.8, 0.6, 0.4, 0.45, 0.5)  # title, project, branch, tools, files, names
_OWN = (
    "SELECT l.session, l.agent, l.project, l.model, l.title, l.branch, s.first_ms, s.last_ms, s.responses,"
    " s.input + s.cache_read + s.cache_write_5m + s.cache_write_1h + s.output AS tokens, s.cost_nusd,"
    " s.unpriced_tokens, s.unknown_calls FROM session s JOIN line l ON l.session = s.id"
)
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
        wanted = _looked_up(db, wanted, field, ask.running or ())
    late = waiting(db)
    if wanted.words and ask.sort in ("", BEST) and not ask.group:
        best, cut = _best(db, wanted)
        shown = tuple(best[: ask.limit or None])
        return Listing(ask, shown, waiting=late, cut=cut or len(shown) < len(best))
    found = _all(db, wanted.words) if wanted.words else None
    if ask.group:
        order, groups = _grouped(db, ask, wanted, found, zone)
        return Listing(ask, order, groups, late)
    return Listing(ask, _ordered(db, ask, wanted, found), waiting=late)


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
    from .outcomes import works

    members = {one: one for one in found}
    wanted = json.dumps([one.id for one in found.values() if one.below])
    members |= dict(
        db.execute(
            "SELECT session, root FROM line WHERE root IN (SELECT value FROM json_each(?))", (wanted,)
        ).fetchall()
    )
    ids = json.dumps(list(members))
    commits: dict[int, set[tuple[int, str]]] = {}
    for session, repo, name in db.execute(
        "SELECT session, repo, hash FROM git_credit WHERE session IN (SELECT value FROM json_each(?))", (ids,)
    ):
        commits.setdefault(members[session], set()).add((repo, name))
    files: dict[int, set[str]] = {}
    for session, kept in works(db, members).items():
        if kept.work.told:
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
    search = pattern.compiled().search
    level = "1" if wanted.any_level else "root = session"
    rows = db.execute(
        f"SELECT session, substr(title, 1, ?) FROM line NOT INDEXED WHERE {level}", (TEXT_LIMIT,)
    )
    ids = [session for session, title in rows if search(title)]
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
    db: sqlite3.Connection, wanted: Sieve, field: Field, running: Sequence[tuple[str, str, str]]
) -> Sieve:
    """The sieve with an outcome or a state: a session stands for itself and for what is listed below it."""
    if field.name == "outcome":
        ids, others = _with_that_outcome(db, field.text)
    else:
        others = field.text == State.DONE  # what is not seen has ended
        at = json.dumps([one[:2] for one in running if (one[2] == field.text) is not others])
        ids = {row[0] for row in db.execute(
            "SELECT s.id FROM json_each(?) j JOIN session s ON s.agent = json_extract(j.value, '$[0]')"
            " AND s.sid = json_extract(j.value, '$[1]')", (at,)
        )}  # fmt: skip
        ids = _with_roots(db, ids)
    negation = "NOT " * (field.negated is not others)
    return replace(
        wanted, where=f"{wanted.where} AND {negation}{FIELDS[field.name]}",
        values=(*wanted.values, json.dumps(list(ids))),
    )  # fmt: skip


def _with_that_outcome(db: sqlite3.Connection, name: str) -> tuple[set[int], bool]:
    """(sessions, whether all others are meant), by what the column says."""
    from .outcomes import edited

    commits = _with_roots(
        db, {row[0] for row in db.execute("SELECT DISTINCT session FROM git_credit WHERE session")}
    )
    if name == "commit":
        return commits, False
    changed, same = (_with_roots(db, some) for some in edited(db))
    if name == "file":
        return changed - commits, False
    if name == "no change":
        return same - changed - commits, False
    return commits | changed | same, True


def _with_roots(db: sqlite3.Connection, ids: set[int]) -> set[int]:
    rows = db.execute(
        "SELECT root FROM line WHERE session IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),)
    )
    return ids | {root for (root,) in rows}


# ---------------------------------------------------------------- in the order of a figure


def _source(ask: Ask, wanted: Sieve, found: str | None) -> tuple[str, list[object]]:
    """FROM and WHERE of the lines that are wanted."""
    whole = (
        found is None and not wanted.where and not wanted.any_level
    )  # there are indexes for each group then
    table = f"({_OWN}) AS line" if ask.flat else "line NOT INDEXED" if ask.group and not whole else "line"
    level = "1" if ask.flat or wanted.any_level else "line.root = line.session"
    match = "" if found is None else " AND line.session IN (SELECT rowid FROM found WHERE found MATCH ?)"
    bound = [] if found is None else [found]
    return f"FROM {table} WHERE {level}{match} {wanted.where}", [*bound, *wanted.values]


def _ordered(db: sqlite3.Connection, ask: Ask, wanted: Sieve, found: str | None) -> tuple[int, ...]:
    column, way = _COLUMNS.get(ask.sort, "last_ms"), "ASC" if ask.ascending else "DESC"
    source, values = _source(ask, wanted, found)
    rows = db.execute(
        f"SELECT line.session {source} ORDER BY line.{column} {way}, line.session {way} LIMIT ?",
        (*values, ask.limit or -1),
    )
    return tuple(row[0] for row in rows)


def _grouped(
    db: sqlite3.Connection, ask: Ask, wanted: Sieve, found: str | None, zone: tzinfo
) -> tuple[tuple[int, ...], tuple[Group, ...]]:
    """The order by groups: days from the last one, others from the one with most of what is sorted by.

    SQLite sums and sorts; rows in Python would take twice as long.
    """
    column, way = _COLUMNS.get(ask.sort, "last_ms"), "ASC" if ask.ascending else "DESC"
    source, values = _source(ask, wanted, found)
    key = "line." + _GROUPS[ask.group] if ask.group in _GROUPS else _day(db, zone)
    sums = db.execute(
        f"SELECT {key} AS part, count(*), sum(line.tokens), sum(line.cost_nusd),"
        f" max(line.unpriced_tokens + line.unknown_calls > 0), max(line.last_ms) {source} GROUP BY part ORDER BY part",
        values,
    ).fetchall()
    within = f"{key}, "
    if (
        ask.group not in _GROUPS and column == "last_ms"
    ):  # days are in the order of time anyway, for which there is an index
        within = ""
        sums = sums if ask.ascending else sums[::-1]
    rows = db.execute(
        f"SELECT line.session {source} ORDER BY {within}line.{column} {way}, line.session {way}", values
    ).fetchall()
    ids, at = [row[0] for row in rows], 0
    parts = []
    for name, count, tokens, cost, unpriced, last_ms in sums:
        shown = (name or "?") if ask.group in _GROUPS else date.fromordinal(_EPOCH + name).isoformat()
        by = {COST: cost, TOKENS: tokens, RESPONSES: count}.get(ask.sort, last_ms)
        rank = by if ask.group in _GROUPS else name
        parts.append((rank, shown, ids[at : at + count], tokens, cost, bool(unpriced)))
        at += count
    parts.sort(key=itemgetter(0), reverse=not ask.ascending)
    order: list[int] = []
    groups = []
    for _, shown, of_part, tokens, cost, unpriced in parts:
        groups.append(Group(shown, len(order), len(of_part), tokens, cost, unpriced))
        order += of_part
    return tuple(order), tuple(groups)


def _day(db: sqlite3.Connection, zone: tzinfo) -> str:
    """SQL for the local day of the last activity, in days since 1970; the offset of the zone changes now and then."""
    first_ms, last_ms = db.execute(
        "SELECT coalesce(min(last_ms), 0), coalesce(max(last_ms), 0) FROM line WHERE last_ms > 0"
    ).fetchone()
    cases: list[str] = []
    at_ms, offset_ms = first_ms, _offset_ms(first_ms, zone)
    while at_ms <= last_ms and len(cases) < _MOST_CHANGES:
        at_ms += _WEEK_MS
        now_ms = _offset_ms(at_ms, zone)
        if now_ms != offset_ms:
            low, high = at_ms - _WEEK_MS, at_ms
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if _offset_ms(middle, zone) == now_ms else (middle, high)
            cases.append(f"WHEN line.last_ms < {high} THEN {offset_ms}")
            offset_ms = now_ms
    offset = f"CASE {' '.join(cases)} ELSE {offset_ms} END" if cases else str(offset_ms)
    return f"((line.last_ms + {offset}) / {DAY_MS})"


def _offset_ms(at_ms: int, zone: tzinfo) -> int:
    return round((local(at_ms, zone).utcoffset() or timedelta()).total_seconds() * 1000)


# ---------------------------------------------------------------- by likeness


def _all(db: sqlite3.Connection, words: Sequence[str]) -> str:
    """An FTS5 expression for everything that holds all words, or what is like them."""
    return _expression(words, [_near(db, word) for word in words])


def _best(db: sqlite3.Connection, wanted: Sieve) -> tuple[list[int], bool]:
    """The sessions that answer the words, best first: as they are before those with slips, titles before the rest."""
    strict = _expression(wanted.words, [()] * len(wanted.words))
    near = [_near(db, word) for word in wanted.words]
    loose = _expression(wanted.words, near)
    ids: dict[int, None] = {}
    cut = False
    for expression in dict.fromkeys((f"{{title}} : ({strict})", strict, f"{{title}} : ({loose})", loose)):
        rows = db.execute(
            "SELECT found.rowid FROM found JOIN line ON line.session = found.rowid WHERE found MATCH ?"
            f" {wanted.where} ORDER BY found.rowid DESC LIMIT ?",
            (expression, *wanted.values, MOST_FOUND),
        ).fetchall()
        cut = cut or len(rows) == MOST_FOUND
        ids.update(dict.fromkeys(row[0] for row in rows))
        if len(ids) >= MOST_FOUND:
            break
    if not ids:
        return _scattered(db, wanted), False
    return _by_score(db, wanted.words, list(ids)), cut


def _by_score(db: sqlite3.Connection, words: Sequence[str], ids: Sequence[int]) -> list[int]:
    asked = [part for word in words for part in words_of(word)]
    rows = db.execute(
        "SELECT rowid, title, project, branch, tools, files, names FROM found"
        " WHERE rowid IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    scored = [(score(asked, zip(texts, _WEIGHTS, strict=True)), one) for one, *texts in rows]
    return [one for _, one in sorted(scored, reverse=True)]


def _scattered(db: sqlite3.Connection, wanted: Sieve) -> list[int]:
    """Sessions whose title has the letters in their order, whatever lies between; the densest are not known."""
    letters = [char for word in wanted.words for char in word if char.isalnum()]
    if not letters:
        return []
    rows = db.execute(
        f"SELECT line.session FROM line WHERE line.title LIKE ? {wanted.where}"
        " ORDER BY length(line.title), line.session DESC LIMIT ?",
        (f"%{'%'.join(letters)}%", *wanted.values, MOST_FOUND),
    )
    return [row[0] for row in rows]


def _expression(words: Iterable[str], near: Iterable[Sequence[str]]) -> str:
    """All words, each as a beginning or as one of the words that are near it. A word of signs alone is left out."""
    parts = []
    for word, others in zip(words, near, strict=True):
        if phrase := quoted(word):
            parts.append("(" + " OR ".join([phrase, *(f'"{other}"' for other in others)]) + ")")
    return " AND ".join(parts) or '"\N{REPLACEMENT CHARACTER}"'


def _near(db: sqlite3.Connection, word: str) -> tuple[str, ...]:
    """Words of the index that are like one, the likest first."""
    if words_of(word) != [word] or not learnable(word) or len(word) <= SHORTEST:
        return ()
    keys = json.dumps(sorted(with_one_left_out(word)))
    terms = {row[0] for row in db.execute(
        "SELECT DISTINCT term FROM near WHERE key IN (SELECT value FROM json_each(?))", (keys,)
    )}  # fmt: skip
    first, after = word[0], chr(ord(word[0]) + 1)
    terms |= {row[0] for row in db.execute(
        "SELECT term FROM near WHERE key >= ? AND key < ? AND key = term AND term LIKE ? AND length(term) <= ?",
        (first, after, "%".join(word) + "%", 2 * len(word) + 1),
    )}  # fmt: skip
    ranked = sorted((-nearness(word, term), term) for term in terms if term != word)
    return tuple(term for rank, term in ranked if rank < 0)[:_MOST_NEAR]
