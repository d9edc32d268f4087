"""A filter in the language of `engine/terms.py` -> conditions over the table `line`, all values bound."""

from __future__ import annotations

import sqlite3
from datetime import tzinfo

from msgspec import Struct

from tokentop.engine.terms import Compare, Field, FilterError, Pattern, Word, parse
from tokentop.engine.when import BadTime, parse_when
from tokentop.nouns.sessions import State

_ALIKE = "instr(lower({}), ?) > 0"
_OF_SESSION = "EXISTS (SELECT 1 FROM session s WHERE s.id = line.session AND {})"
_OF_WORDS = "line.session IN (SELECT rowid FROM found WHERE found MATCH ?)"
_OF_IDS = "line.session IN (SELECT value FROM json_each(?))"
OUTCOMES = ("commit", "file", "no change", "?")
FIELDS: dict[str, str] = {
    "agent": _ALIKE.format("line.agent"),
    "proj": _ALIKE.format("line.project"),
    "project": _ALIKE.format("line.project"),
    "model": _ALIKE.format("line.model"),
    "branch": _ALIKE.format("line.branch"),
    "title": _ALIKE.format("line.title"),
    "cwd": _OF_SESSION.format(_ALIKE.format("s.cwd")),
    "session": _OF_SESSION.format("substr(s.sid, 1, length(?1)) = ?1").replace("?1", "?"),
    "kind": _OF_SESSION.format("(CASE s.role WHEN '' THEN 'main' ELSE s.role END) = ?"),
    "tool": _OF_WORDS,
    "file": _OF_WORDS,
    "outcome": _OF_IDS,
    "state": _OF_IDS,
    "since": "line.last_ms >= ?",
    "until": "line.first_ms < ?",
    "on": "line.last_ms >= ? AND line.first_ms < ?",
}
_TIMES = ("since", "until", "on")
_NUMBERS: dict[str, str] = {
    "cost": "CASE WHEN line.cost_nusd > 0 OR line.unpriced_tokens + line.unknown_calls = 0"
    " THEN line.cost_nusd / 1e9 END",
    "tokens": "line.tokens",
    "responses": "line.responses",
    "age": "CASE WHEN line.first_ms > 0 THEN ({now} - line.first_ms) / 1000.0 END",
    "took": "CASE WHEN line.first_ms > 0 THEN (line.last_ms - line.first_ms) / 1000.0 END",
}


class Sieve(Struct, frozen=True):
    """What a filter means: words that are searched for, and conditions with their values."""

    words: tuple[str, ...]
    patterns: tuple[
        Pattern, ...
    ]  # tried on titles and names, in Python: a call from SQL would take as long again
    looked_up: tuple[Field, ...]  # outcomes and states: the ids of their sessions are found first
    where: str  # "" = none, else begins with AND
    values: tuple[object, ...]
    any_level: bool  # sub-agents are found by themselves


def sieve(query: str, zone: tzinfo, now_ms: int) -> Sieve:
    """Raises FilterError with a line for whoever typed it."""
    words: list[str] = []
    patterns: list[Pattern] = []
    looked_up: list[Field] = []
    parts: list[str] = []
    values: list[object] = []
    any_level = False
    for term in parse(query.replace("\0", " "), FIELDS, _NUMBERS):
        if isinstance(term, Word) and not term.negated:
            words.append(term.text)
            continue
        if isinstance(term, Pattern):
            patterns.append(term)
            continue
        if isinstance(term, Field) and FIELDS[term.name] is _OF_IDS:
            looked_up.append(_checked(term))
            continue
        sql, bound = _condition(term, zone, now_ms)
        any_level = any_level or (
            isinstance(term, Field) and term.name in ("tool", "file", "kind", "session")
        )
        # What is not known is on neither side of a limit, and not the opposite of it either.
        parts.append(f"AND coalesce(NOT ({sql}), 1)" if term.negated else f"AND ({sql})")
        values += bound
    return Sieve(
        tuple(words),
        tuple(patterns),
        tuple(looked_up),
        " ".join(parts),
        tuple(values),
        any_level or bool(words),
    )


def _checked(term: Field) -> Field:
    """An outcome or a state by its whole name. Raises FilterError."""
    names = OUTCOMES if term.name == "outcome" else tuple(State)
    found = next(
        (name for name in names if term.text and (name.startswith(term.text) or term.text == name + "s")),
        None,
    )
    if found is None:
        raise FilterError(f"{term.name}: one of {', '.join(names)}")
    return Field(term.name, found, term.negated)


def _condition(term: Word | Field | Compare, zone: tzinfo, now_ms: int) -> tuple[str, list[object]]:
    if isinstance(term, Compare):
        column = _NUMBERS[term.name].format(now=int(now_ms))
        if term.sign == "=":
            return f"abs({column} - ?) <= ?", [term.limit, term.slack]
        return f"{column} {term.sign} ?", [term.limit]
    if isinstance(term, Pattern):
        return "line.title || ' ' || line.project || ' ' || line.model || ' ' || line.agent REGEXP ?", [
            term.text
        ]
    if isinstance(term, Word):
        return _OF_WORDS, [quoted(term.text) or '"\N{REPLACEMENT CHARACTER}"']
    return _field(term, zone, now_ms)


def _field(term: Field, zone: tzinfo, now_ms: int) -> tuple[str, list[object]]:
    sql = FIELDS[term.name]
    if term.name in _TIMES:
        try:
            moments = [
                parse_when(term.text.upper() if "t" in term.text[4:] and term.text[:1].isdigit() else term.text,
                           zone, now_ms, end=end)
                for end in {"since": (False,), "until": (True,), "on": (False, True)}[term.name]
            ]  # fmt: skip
        except BadTime as error:
            raise FilterError(f"{term.name}: {error}") from None
        if term.name == "on" and moments[0] >= moments[1]:
            raise FilterError("on: needs a day, such as on:2026-11-20")
        return sql, list(moments)
    if term.name in ("tool", "file"):
        text = quoted(term.text)
        if not text:
            raise FilterError(f"{term.name}: a name is missing")
        return sql, [f"{{{term.name}s}} : {text}"]
    if not term.text.isascii():
        sql = sql.replace("lower(", "folded(")  # SQLite's own knows ASCII alone
    return sql, [term.text] * sql.count("?")


def quoted(word: str) -> str:
    """A word as an FTS5 phrase that is found as a beginning, "" where it holds no letter or digit."""
    if not any(char.isalnum() for char in word):
        return ""
    return '"' + word.replace("\0", "").replace('"', '""') + '" *'


def teach(db: sqlite3.Connection) -> None:
    """Give a connection what conditions need: `folded`."""
    db.create_function("folded", 1, str.casefold, deterministic=True)
