"""Sessions that words are like: as they are written, with slips, or by letters alone; the likest first."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence

from tokentop.engine.likeness import SHORTEST, learnable, nearness, score, with_one_left_out, words_of

from .sieve import Sieve, quoted

MOST_FOUND = 400  # of each way to find: what is further down is no answer to a search by likeness
_MOST_NEAR = 24
_WEIGHTS = (1.0, 0.8, 0.6, 0.4, 0.45, 0.5)  # title, project, branch, tools, files, names


def all_of(db: sqlite3.Connection, words: Sequence[str]) -> str:
    """An FTS5 expression for everything that holds all words, or what is like them."""
    return _expression(words, [_near(db, word) for word in words])


def best_of(db: sqlite3.Connection, wanted: Sieve) -> tuple[list[int], bool]:
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
