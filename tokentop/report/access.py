"""How a report gets at the store: it catches up itself, or reads what a running tokentop has written."""

from __future__ import annotations

import contextlib
import gc
import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from tokentop.clock import now_ms
from tokentop.errors import Failure
from tokentop.ledger import Ledger, Lock, is_reading
from tokentop.nouns.facts import Diagnostic, Looked
from tokentop.nouns.sessions import Session
from tokentop.places import state_dir
from tokentop.settings.config import Settings
from tokentop.settings.load import load
from tokentop.settings.zone import zone_fault
from tokentop.sevenbits import restrict
from tokentop.store import daily, db

if TYPE_CHECKING:
    from tokentop.nouns.outline import Outline

_SLICE_BYTES = 32 << 20
_PATIENCE_S = 3.0  # another report may hold the lock for a moment


class Access(Struct):
    """An open store that is up to date, or says that it is not."""

    db: sqlite3.Connection
    folder: Path
    settings: Settings
    current: tuple[Diagnostic, ...]
    notes: list[str]
    looked: tuple[Looked, ...] = ()
    events: int = 0
    writes: bool = False  # nobody else writes: this one may

    def keep_outline(self, session: Session, outline: Outline) -> None:
        """Store what was read of a session's log, unless another tokentop writes."""
        if self.writes:
            from tokentop.store import outlines

            outlines.keep(self.db, session, outline)


@contextlib.contextmanager
def opened(*, quiet: bool = False) -> Iterator[Access]:
    """Open the store and catch up. Raises SettingsError, Failure."""
    settings = load(os.environ)
    if settings.ascii:
        restrict(sys.stdout)
    with folder_for() as (folder, notes):
        if fault := zone_fault(os.environ):
            note(notes, fault)
        lock = Lock(folder)
        until_s = time.monotonic() + _PATIENCE_S
        while not _taken(lock):
            if lock.is_kept():
                yield _follower(folder, settings, notes)
                return
            if time.monotonic() > until_s:
                note(notes, "another command is still reading the logs: totals are not complete yet")
                yield _follower(folder, settings, notes)
                return
            time.sleep(0.05)
        try:
            yield from _leader(folder, settings, notes, quiet)
        finally:
            lock.release()


@contextlib.contextmanager
def alone() -> Iterator[Path]:
    """The state directory, held so that nobody else writes meanwhile. Raises Failure where somebody does."""
    with folder_for() as (folder, _):
        lock = Lock(folder)
        until_s = time.monotonic() + _PATIENCE_S
        while not _taken(lock):
            if lock.is_kept() or time.monotonic() > until_s:
                raise Failure(f"a running tokentop writes to {folder}; leave it, then run this again")
            time.sleep(0.05)
        try:
            yield folder
        except (db.StoreError, sqlite3.Error) as error:
            raise Failure(_said(error, folder)) from error
        finally:
            lock.release()


@contextlib.contextmanager
def writable(store: Access) -> Iterator[sqlite3.Connection]:
    """The store; while another tokentop writes it a connection of our own, for tables that it leaves alone.

    Raises Failure.
    """
    if not store.db.execute("PRAGMA query_only").fetchone()[0]:
        yield store.db
        return
    try:
        connection = db.open_writer(store.folder)
    except (db.StoreError, sqlite3.Error) as error:
        raise Failure(_said(error, store.folder)) from error
    try:
        yield connection
    finally:
        connection.close()


def bring_days(store: Access, zone: tzinfo) -> None:
    """Make the sums of changed days anew; where that cannot be, questions read the rollups themselves."""
    with contextlib.suppress(Failure, sqlite3.Error):
        if not store.db.execute("PRAGMA query_only").fetchone()[0] or daily.is_behind(store.db, zone):
            with writable(store) as connection:
                daily.refresh(connection, zone)


def _taken(lock: Lock) -> bool:
    try:
        return lock.take()
    except OSError as error:
        raise Failure(f"cannot use {error.filename}: {error.strerror}; set TOKENTOP_STATE_DIR") from error


def _leader(folder: Path, settings: Settings, notes: list[str], quiet: bool) -> Iterator[Access]:
    """Catch up and give the store; damage that shows on the way is mended by putting the file aside."""
    ledger = None
    try:
        try:
            ledger = _ledger(folder, settings)
            events = _catch_up(ledger, quiet)
        except sqlite3.DatabaseError as error:
            if ledger is None or not db.is_damaged(error):
                raise
            ledger.close()
            ledger = _ledger(folder, settings, damaged=True)
            events = _catch_up(ledger, quiet)
    except db.TooNew as error:
        note(notes, f"{error}; this is what it holds, nothing new was read")
        yield _follower(folder, settings, notes)
        return
    except (db.StoreError, sqlite3.Error) as error:
        if ledger is not None:
            ledger.close()
        raise Failure(_said(error, folder)) from error
    try:
        current = (*ledger.notes, *ledger.follower.failures.diagnostics.values())
        yield Access(ledger.db, folder, settings, current, notes, ledger.follower.looked, events, writes=True)
    except sqlite3.DatabaseError as error:
        if not db.is_damaged(error):
            raise
        ledger.close()
        ledger = _ledger(folder, settings, damaged=True)
        raise Failure(f"{ledger.notes[0].detail}; run the command again") from error
    finally:
        ledger.close()


def _ledger(folder: Path, settings: Settings, *, damaged: bool = False) -> Ledger:
    return Ledger(folder, os.environ, settings, now_ms=now_ms(), live=False, damaged=damaged)


def _catch_up(ledger: Ledger, quiet: bool) -> int:
    """Read what is new, with a progress line on a terminal when it takes long."""
    show = not quiet and sys.stderr.isatty()
    began_s = shown_s = time.monotonic()
    follower = ledger.follower
    events = 0
    gc.disable()  # a short run that frees what it makes by reference counts; the cycles go with the process
    try:
        follower.walk(began_s, time.time_ns())
        while (step := ledger.step(began_s, 1 << 62, slice_bytes=_SLICE_BYTES)) is not None:
            events += step.committed.events
            now_s = time.monotonic()
            if show and now_s - shown_s > 0.5:
                shown_s = now_s
                progress = follower.progress(now_s - began_s)
                left = f", {progress.seconds_left:.0f} s left" if progress.seconds_left is not None else ""
                print(
                    f"\r\x1b[Kreading {progress.bytes_done / 1e6:,.0f} of {progress.bytes_total / 1e6:,.0f} MB{left}",
                    end="", file=sys.stderr, flush=True,
                )  # fmt: skip
        ledger.settle(1 << 62)
        ledger.mark_backlog(False)
    finally:
        if shown_s != began_s:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    return events


def _follower(folder: Path, settings: Settings, notes: list[str]) -> Access:
    try:
        connection = db.open_reader(folder)
        if is_reading(connection):
            note(notes, "another tokentop is still reading the logs: totals are not complete yet")
    except (db.StoreError, sqlite3.Error) as error:
        raise Failure(_said(error, folder)) from error
    return Access(connection, folder, settings, (), notes)


@contextlib.contextmanager
def folder_for() -> Iterator[tuple[Path, list[str]]]:
    """The state directory; where nothing can be written, one that lasts as long as the command."""
    folder = state_dir(os.environ)
    try:
        db.prepare_folder(folder)
    except db.NotWritable as error:
        notes: list[str] = []
        note(notes, f"{error}; nothing is remembered")
        import shutil
        import tempfile

        temporary = Path(tempfile.mkdtemp(prefix="tokentop-"))
        try:
            yield temporary, notes
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return
    except db.StoreError as error:
        raise Failure(str(error)) from error
    yield folder, []


def note(notes: list[str], text: str) -> None:
    """Something that qualifies every figure of the report: said on stderr, kept for its JSON."""
    notes.append(text)
    print(f"tokentop: {text}", file=sys.stderr)


def _said(error: Exception, folder: Path) -> str:
    if db.is_full(error):
        return f"cannot write to {folder}: the disk is full; make room and run it again, nothing is lost"
    if "locked" in str(error) or "busy" in str(error):
        return f"the database in {folder} is held by another program; try again when it has ended"
    return str(error)
