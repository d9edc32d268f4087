"""What git told, kept: commits that need not be read again, blames, changes with their survival and their makers.

Tables of their own, which the collector never touches: a report writes them beside it. sqlite3.Error.
"""

from __future__ import annotations

import contextlib
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec import Struct

from tokentop.nouns.commits import Commit, FileChange, Made, Repository


class _File(Struct, array_like=True, gc=False):
    path: bytes
    old_path: bytes
    added: int | None
    removed: int | None
    lines: bytes


class _Commit(Struct, array_like=True, gc=False):
    parents: tuple[str, ...]
    author: int
    author_ms: int
    commit_ms: int
    subject: int
    agents: tuple[str, ...]
    names: tuple[str, ...]
    reverts: str
    patch: int
    problem: str
    files: list[_File]


class _Made(Struct, array_like=True, gc=False):
    at_ms: int
    top: bytes


class ChangeRow(Struct, frozen=True, gc=False):
    """A change as it is kept. `added` and `removed` None = not known; `files` = hashes of paths."""

    hash: str
    at_ms: int
    state: str
    counts: bool  # as a commit made: not a squash of others
    added: int | None
    removed: int | None
    files: array[int]


class CreditRow(Struct, frozen=True, gc=False):
    hash: str
    session: int
    share: float
    sure: bool
    why: str


_CHANGE = "hash, at_ms, state, counts, added, removed, files"
_CREDIT = "hash, session, share, sure, why"
_commits = msgspec.msgpack.Decoder(_Commit)
_mades = msgspec.msgpack.Decoder(_Made)
_encode = msgspec.msgpack.Encoder().encode


def repo_of(db: sqlite3.Connection, place: str) -> tuple[int, int]:
    """(number of a repository, since when its commits were read); (0, 0) = it was never read."""
    row = db.execute("SELECT id, since_ms FROM git_repo WHERE place=?", (_text(place),)).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def known(db: sqlite3.Connection, repo: int, since_ms: int) -> tuple[dict[str, Commit], dict[str, Made]]:
    """(commits since a time, where and when those that were made here were made), by hash."""
    found: dict[str, Commit] = {}
    made: dict[str, Made] = {}
    rows = db.execute(
        "SELECT hash, document, made FROM git_commit WHERE repo=? AND commit_ms >= ?", (repo, since_ms)
    )
    for name, document, made_here in rows:
        one = _commits.decode(document)
        files = tuple(
            FileChange(_path(f.path), _path(f.old_path), f.added, f.removed, f.lines) for f in one.files
        )
        found[name] = Commit(
            name, one.parents, one.author, one.author_ms, one.commit_ms, one.subject, one.agents, one.names,
            one.reverts, one.patch, files, one.problem,
        )  # fmt: skip
        if made_here is not None:
            at = _mades.decode(made_here)
            made[name] = Made(name, at.at_ms, _path(at.top))
    return found, made


def keep_look(db: sqlite3.Connection, look: Repository) -> int:
    """Store one look at a repository in one transaction; return its number."""
    made = {one.hash: one for one in look.made}
    with _transaction(db):
        db.execute(
            "INSERT INTO git_repo (place, since_ms, read_ms, notes) VALUES (?, ?, ?, ?) ON CONFLICT (place) DO UPDATE SET"
            " since_ms=min(since_ms, excluded.since_ms), read_ms=excluded.read_ms, notes=excluded.notes",
            (_text(look.place), look.since_ms, look.read_ms, "\n".join(look.notes)),
        )
        repo, _ = repo_of(db, look.place)
        db.executemany(
            "INSERT OR REPLACE INTO git_commit (repo, hash, commit_ms, document, made) VALUES (?, ?, ?, ?, ?)",
            [
                (repo, one.hash, one.commit_ms, _document(one), _made(made.get(one.hash)))
                for one in look.commits if one.problem != "unread"
            ],
        )  # fmt: skip
        db.executemany(
            "UPDATE git_commit SET made=? WHERE repo=? AND hash=? AND made IS NULL",
            [(_made(one), repo, one.hash) for one in look.made],
        )
    return repo


def blame_of(
    db: sqlite3.Connection, repo: int, path: str, blob: str, since_ms: int
) -> dict[str, bytes] | None:
    """Who wrote the lines of a blob, if that was asked before."""
    row = db.execute(
        "SELECT lines FROM git_blame WHERE repo=? AND path=? AND blob=? AND since_ms <= ?",
        (repo, _bytes(path), blob, since_ms),
    ).fetchone()
    return msgspec.msgpack.decode(row[0], type=dict[str, bytes]) if row else None


def keep_blames(
    db: sqlite3.Connection, repo: int, since_ms: int, blames: Iterable[tuple[str, str, dict[str, bytes]]]
) -> None:
    """Keep (path, blob, lines by commit): of each path the last one."""
    with _transaction(db):
        db.executemany(
            "INSERT OR REPLACE INTO git_blame (repo, path, blob, since_ms, lines) VALUES (?, ?, ?, ?, ?)",
            [(repo, _bytes(path), blob, since_ms, _encode(lines)) for path, blob, lines in blames],
        )


def survivals(db: sqlite3.Connection, repo: int, days: int) -> dict[str, tuple[str, bool, int]]:
    """(tree, whether it stays so, surviving lines) by change."""
    rows = db.execute(
        "SELECT hash, tree, settled, survived FROM git_survival WHERE repo=? AND days=?", (repo, days)
    )
    return {name: (tree, bool(settled), survived) for name, tree, settled, survived in rows}


def keep_survivals(
    db: sqlite3.Connection, repo: int, days: int, found: Iterable[tuple[str, str, bool, int]]
) -> None:
    with _transaction(db):
        db.executemany(
            "INSERT OR REPLACE INTO git_survival (repo, hash, days, tree, settled, survived) VALUES (?, ?, ?, ?, ?, ?)",
            [(repo, name, days, tree, settled, survived) for name, tree, settled, survived in found],
        )


def keep_changes(
    db: sqlite3.Connection,
    repo: int,
    since_ms: int,
    changes: Sequence[ChangeRow],
    credit: Sequence[CreditRow],
) -> None:
    """Make the changes since a time, and who made them, what is told; rows that are so already are not written."""
    of_repo = (repo, since_ms)
    new = {
        (one.hash, one.at_ms, one.state, int(one.counts), one.added, one.removed, one.files.tobytes())
        for one in changes
    }
    mine = {(one.hash, one.session, one.share, int(one.sure), one.why) for one in credit}
    with _transaction(db):
        old = set(db.execute(f"SELECT {_CHANGE} FROM git_change WHERE repo=? AND at_ms >= ?", of_repo))
        theirs = set(
            db.execute(
                f"SELECT {_CREDIT} FROM git_credit WHERE repo=?1 AND hash IN"
                " (SELECT hash FROM git_change WHERE repo=?1 AND at_ms >= ?2)",
                of_repo,
            )
        )
        db.executemany(
            "DELETE FROM git_credit WHERE repo=? AND hash=? AND session=?",
            [(repo, *row[:2]) for row in theirs - mine],
        )
        gone = {row[0] for row in old} - {row[0] for row in new}
        db.executemany("DELETE FROM git_change WHERE repo=? AND hash=?", [(repo, name) for name in gone])
        db.executemany(
            f"INSERT OR REPLACE INTO git_change (repo, {_CHANGE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [(repo, *row) for row in new - old],
        )
        db.executemany(
            f"INSERT OR REPLACE INTO git_credit (repo, {_CREDIT}) VALUES (?, ?, ?, ?, ?, ?)",
            [(repo, *row) for row in mine - theirs],
        )


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _document(one: Commit) -> bytes:
    files = [_File(_bytes(f.path), _bytes(f.old_path), f.added, f.removed, f.lines) for f in one.files]
    return _encode(
        _Commit(
            one.parents, one.author, one.author_ms, one.commit_ms, one.subject, one.agents, one.names, one.reverts,
            one.patch, one.problem, files,
        )
    )  # fmt: skip


def _made(one: Made | None) -> bytes | None:
    return None if one is None else _encode(_Made(one.at_ms, _bytes(one.top)))


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _path(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


def _text(place: str) -> str | bytes:
    try:
        place.encode()
    except UnicodeEncodeError:
        return _bytes(place)
    return place
