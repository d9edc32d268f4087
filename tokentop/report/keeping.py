"""What is kept and for how long: `tokentop purge`, `tokentop import`, `tokentop db check|backup|compact`."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokentop.clock import now_ms
from tokentop.engine.when import BadTime, parse_when
from tokentop.errors import Failure, NothingMatched, UsageError
from tokentop.ledger import prices
from tokentop.places import state_dir
from tokentop.settings.config import Settings
from tokentop.settings.load import load
from tokentop.settings.zone import local_zone
from tokentop.store import adopt, db, purging, reader
from tokentop.store.check import examine
from tokentop.store.indexing import Indexer, sweep_words
from tokentop.store.purging import Purge
from tokentop.store.writer import Writer
from tokentop.text import plural, size_bytes

from . import access
from .out import Progress, iso, print_json

_PROGRESS_STEPS = 200_000  # of SQLite's machine between two looks at the clock


# ------------------------------------------------------------ purge


def purge(arguments: argparse.Namespace) -> int:
    """Take single calls before a day, or a whole session, out."""
    if bool(arguments.before) == bool(arguments.session):
        raise UsageError("name what is to go: tokentop purge --before 2026-01-01, or --session ID")
    if arguments.dry_run:  # reads only, so beside a running tokentop too
        with _reading() as (_, connection):
            connection.execute("BEGIN")  # all of it is of one moment
            return _tell(arguments, _some(connection, arguments), done=False)
    with access.alone() as folder, _writer(folder) as writer:
        wanted = _some(writer.connection, arguments)
        _agree(arguments, wanted)
        _carry_out(writer, wanted, Progress(arguments.json))
        return _tell(arguments, wanted, done=True)


def _some(connection: sqlite3.Connection, arguments: argparse.Namespace) -> Purge:
    """What is to go. Raises NothingMatched where that is nothing."""
    wanted = _wanted(connection, arguments)
    if not wanted.sessions:
        _tell(arguments, wanted, done=False)
        raise NothingMatched("nothing to purge" + _kept_text(wanted))
    return wanted


def _wanted(connection: sqlite3.Connection, arguments: argparse.Namespace) -> Purge:
    if arguments.before:
        try:
            before_ms = parse_when(arguments.before, local_zone(os.environ), now_ms(), end=False)
        except BadTime as error:
            raise UsageError(f"--before: {error}") from error
        return purging.older_than(connection, before_ms)
    found = reader.find_session(connection, arguments.session)
    own = [session for session, _ in found if "/" not in session.id] or [session for session, _ in found]
    if not own:
        raise NothingMatched(f"no session begins with {arguments.session!r}; see: tokentop sessions")
    if len(own) > 1:
        raise UsageError(f"{arguments.session!r} is not unique: {', '.join(one.id for one in own[:5])}")
    return purging.all_of(connection, own[0].agent, own[0].id)


def _carry_out(writer: Writer, wanted: Purge, progress: Progress) -> None:
    connection, at_ms = writer.connection, now_ms()
    connection.execute("PRAGMA secure_delete=ON")
    for at in range(0, len(wanted.sessions), purging.SLICE):
        writer.purge(wanted.sessions[at : at + purging.SLICE], at_ms, forget=wanted.forget)
        progress.tell(f"purged {at:,} of {len(wanted.sessions):,} sessions")
    indexer = Indexer(connection)
    while indexer.index_some():
        progress.tell("indexing what is left")
    sweep_words(connection)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    progress.end()


def _agree(arguments: argparse.Namespace, wanted: Purge) -> None:
    if arguments.yes:
        return
    if arguments.json or not (sys.stdin and sys.stdin.isatty()):
        raise UsageError("nobody can be asked here: give --yes to purge or --dry-run to look")
    _tell(arguments, wanted, done=False)
    if input("This cannot be undone. Go on? [y/N] ").strip().lower() not in ("y", "yes"):
        raise Failure("nothing was purged")


def _tell(arguments: argparse.Namespace, wanted: Purge, *, done: bool) -> int:
    if arguments.json:
        print_json(
            {
                "schema": "tokentop.purge/1",
                "generated_at": iso(now_ms()),
                "done": done,
                "sessions": len(wanted.sessions),
                "calls": wanted.calls,
                "kept_sessions": wanted.kept,
                "forgotten": wanted.forget,
            }
        )
    elif wanted.sessions:
        what = f"{plural(wanted.calls, 'call')} of {plural(len(wanted.sessions), 'session')}"
        also = ", with titles, branches, folders, tools, files and receipts" if wanted.forget else ""
        print(f"{'purged' if done else 'would purge'} {what}{also}; their sums stay{_kept_text(wanted)}")
        if done:
            print("the database is as large as before: tokentop db compact gives the room back")
    return 0


def _kept_text(wanted: Purge) -> str:
    if not wanted.kept:
        return ""
    return f"; {plural(wanted.kept, 'older session')} keep their calls: their log is still there and tells a running total"


# ------------------------------------------------------------ import


def take_in(arguments: argparse.Namespace) -> int:
    """Bring in what another machine's database, or a list of sessions as JSON, holds."""
    path = Path(arguments.file)
    if not path.is_file():
        raise Failure(f"{path}: no such file")
    with path.open("rb") as file:
        is_list = file.read(64).lstrip()[:1] in (b"{", b"[")
    progress = Progress(arguments.json)
    with access.alone() as folder, _writer(folder) as writer:
        if db.identity(folder) == (path.stat().st_dev, path.stat().st_ino):
            raise UsageError(f"{path} is the database of this tokentop")
        done = adopt.adopt_list(writer, path.read_bytes(), now_ms()) if is_list else adopt.Adopted()
        for done, total in () if is_list else adopt.adopt(writer, path):
            progress.tell(f"imported {done.sessions:,} of {total:,} sessions")
        indexer = Indexer(writer.connection)
        while indexer.index_some():
            progress.tell("indexing")
        progress.end()
    if arguments.json:
        print_json(
            {
                "schema": "tokentop.import/1", "generated_at": iso(now_ms()), "sessions": done.sessions,
                "new_calls": done.calls, "known_calls": done.known, "unusable_calls": done.unusable,
                "list_cut": done.cut,
            }
        )  # fmt: skip
    else:
        bad = f", {done.unusable:,} with impossible figures left out" * bool(done.unusable)
        print(
            f"{plural(done.sessions, 'session')} looked at: {plural(done.calls, 'new call')},"
            f" {done.known:,} known already{bad}"
        )
        if done.cut:
            print("the list is not whole: make it with a higher --limit for the rest")
    return 0


# ------------------------------------------------------------ db


def database(arguments: argparse.Namespace) -> int:
    """`db check`, `db backup FILE`, `db compact`."""
    if arguments.what == "backup":
        if not arguments.file:
            raise UsageError("name the file: tokentop db backup FILE")
        return _backup(Path(arguments.file), arguments.json)
    if arguments.file:
        raise UsageError(f"db {arguments.what} takes no file")
    return _check(arguments.json) if arguments.what == "check" else _compact(arguments.json)


def _check(as_json: bool) -> int:
    """Whether the file is whole and its sums are equal; beside a running tokentop too."""
    with _reading() as (folder, connection), _watched(connection, "checked for", as_json):
        found = examine(connection, local_zone(os.environ))
    size = (folder / db.FILE_NAME).stat().st_size
    if as_json:
        document: dict[str, Any] = {
            "schema": "tokentop.db-check/1",
            "generated_at": iso(now_ms()),
            "bytes": size,
        }
        print_json({**document, **found.document()})
    else:
        print(
            f"{size_bytes(size)}, version {found.version}: {found.sessions:,} sessions, {found.calls:,} calls,"
            f" {found.purged_calls:,} purged, {size_bytes(found.free_bytes)} free"
        )
        for problem in found.problems:
            print(f"problem: {problem}")
        print("sound: the file is whole, and events, rollups and sessions have the same sums"
              if not found.problems else "not sound: make a backup, then start tokentop, which reads the logs again")  # fmt: skip
    return 1 if found.problems else 0


def _backup(target: Path, as_json: bool) -> int:
    """A whole, compacted copy of one moment; beside a running tokentop too."""
    if target.exists():
        raise UsageError(f"{target} exists: name a new file")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"{target.absolute().parent} is no directory")
    part = target.with_name(target.name + ".part")
    with _reading() as (folder, connection):
        size = (folder / db.FILE_NAME).stat().st_size
        _need_room(target.absolute().parent, size)
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        try:
            with _watched(connection, f"of {size_bytes(size)} copied", as_json, part):
                connection.execute("PRAGMA query_only=0")
                connection.execute("VACUUM INTO ?", (str(part),))
            part.rename(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    written = target.stat().st_size
    if as_json:
        print_json(
            {
                "schema": "tokentop.db-backup/1",
                "generated_at": iso(now_ms()),
                "file": str(target),
                "bytes": written,
            }
        )
    else:
        print(f"{target}: {size_bytes(written)}; tokentop import {target} brings it into another tokentop")
    return 0


def _compact(as_json: bool) -> int:
    """Give back the room of what was deleted; nobody else may write meanwhile."""
    with access.alone() as folder:
        path = folder / db.FILE_NAME
        before = path.stat().st_size if path.exists() else 0
        _need_room(folder, before)
        connection = db.open_writer(folder)
        try:
            with _watched(connection, "compacting for", as_json):
                connection.execute("INSERT INTO found (found) VALUES ('optimize')")
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
        after = path.stat().st_size
    if as_json:
        print_json(
            {
                "schema": "tokentop.db-compact/1",
                "generated_at": iso(now_ms()),
                "before": before,
                "after": after,
            }
        )
    else:
        print(f"{size_bytes(before)} before, {size_bytes(after)} now")
    return 0


@contextlib.contextmanager
def _writer(folder: Path) -> Iterator[Writer]:
    settings: Settings = load(os.environ)
    connection = db.open_writer(folder)
    try:
        yield Writer(connection, prices(settings), settings.titles)
    finally:
        connection.close()


@contextlib.contextmanager
def _reading() -> Iterator[tuple[Path, sqlite3.Connection]]:
    folder = state_dir(os.environ)
    try:
        connection = db.open_reader(folder)
    except db.StoreError as error:
        raise Failure(str(error)) from error
    try:
        yield folder, connection
    except sqlite3.DatabaseError as error:
        if not db.is_damaged(error):
            raise
        raise Failure(
            f"the database in {folder} is damaged ({error}); start tokentop: it puts the file aside and keeps what"
            " can be read"
        ) from error
    finally:
        connection.close()


@contextlib.contextmanager
def _watched(
    connection: sqlite3.Connection, what: str, quiet: bool, growing: Path | None = None
) -> Iterator[None]:
    """Tell how long it takes, or how large a file has become, while one statement runs."""
    progress, began_s = Progress(quiet), time.monotonic()

    def look() -> int:
        if growing is not None:
            with contextlib.suppress(OSError):
                progress.tell(f"{size_bytes(growing.stat().st_size)} {what}")
        else:
            progress.tell(f"{what} {time.monotonic() - began_s:.0f} s")
        return 0

    connection.set_progress_handler(look, _PROGRESS_STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)
        progress.end()


def _need_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size * 1.1:
        raise Failure(f"{folder} has {size_bytes(free)} free; {size_bytes(int(size * 1.1))} are needed")
