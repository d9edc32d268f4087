"""What the tokentop that writes does beside reading: outlines of sessions at rest, the index of the history, sums of days,
retention, the recording of the live table. Little by little, in the collector's thread.

Everything here may raise sqlite3.Error where nothing can be stored; it is tried again later.
"""

from __future__ import annotations

import logging
import sqlite3
from datetime import tzinfo
from typing import TYPE_CHECKING

from tokentop.engine.days import DAY_MS
from tokentop.ledger import Ledger
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.sessions import Session
from tokentop.settings.config import Settings

if TYPE_CHECKING:
    from tokentop.blackbox import BlackBox
    from tokentop.nouns.outline import Outline
    from tokentop.store.indexing import Indexer

    from .outlined import Outlines

log = logging.getLogger(__name__)

OUTLINES_START_S = 60.0  # at the start others need the disk and the core
INDEX_S = 60.0  # between two looks at which sessions have changed; who looks at the history asks sooner
INDEX_SLICE_S = 0.5  # ... while there are more than fit into a slice
DAYS_START_S = 120.0
DAYS_S = 3600.0  # between two looks for days whose sums have changed; a report makes them at once
DAYS_SLICE_S = 1.0  # ... while there are more than fit into a slice
DAYS_SLICE = 2
RETAIN_S = 3600.0  # between two looks for calls that are older than `retention_days`
RETAIN_SLICE_S = 1.0  # ... while there are some
RETAIN_SESSIONS = 5  # in a slice


class Sideline:
    """One thread only."""

    def __init__(self, settings: Settings, zone: tzinfo) -> None:
        self._settings, self._zone = settings, zone
        self._outlines: Outlines | None = None  # comes into being when it is due
        self._outlines_s = -1.0
        self._read_outlines: list[tuple[Session, Outline]] = []  # by those who look at a session
        self._indexer: Indexer | None = None
        self._black_box: tuple[sqlite3.Connection, BlackBox] | None = None
        self._index_s = self._retain_s = 0.0
        self._days_s = -1.0

    def tick(self, ledger: Ledger, now_s: float, wall_ms: int, *, stays: bool) -> None:
        """Do a slice of what is due; who ends soon (`not stays`) brings the index up to date alone."""
        if stays:
            if self._read_outlines:
                self._keep_outlines(ledger)
            self._outline(ledger, now_s, wall_ms)
        if now_s >= self._index_s:
            self._index_s = now_s + INDEX_SLICE_S
            self._index_s = now_s + (INDEX_SLICE_S if self.index(ledger) else INDEX_S)
        if stays:
            self._sum_days(ledger, now_s)
        if stays and self._settings.retention_days and now_s >= self._retain_s:
            self._retain_s = now_s + INDEX_SLICE_S
            self._retain_s = now_s + (RETAIN_SLICE_S if self._retain(ledger, wall_ms) else RETAIN_S)

    def keep_outline(self, session: Session, outline: Outline) -> None:
        """Store with the next slice what somebody has read who looks at a session."""
        self._read_outlines.append((session, outline))

    def _keep_outlines(self, ledger: Ledger) -> None:
        from tokentop.store import outlines

        while self._read_outlines:
            outlines.keep(ledger.db, *self._read_outlines[-1])
            self._read_outlines.pop()

    def _outline(self, ledger: Ledger, now_s: float, wall_ms: int) -> None:
        """Read a little of a log at rest, so that what its session did is known when its agent has deleted it."""
        if self._outlines_s < 0:
            self._outlines_s = now_s + OUTLINES_START_S
        if now_s < self._outlines_s:
            return
        if self._outlines is None:
            from .outlined import Outlines

            self._outlines = Outlines()
        self._outlines.tick(ledger.db, now_s, wall_ms)

    def _sum_days(self, ledger: Ledger, now_s: float) -> None:
        """Sum up a few of the days that have changed, so that a question about years reads days."""
        if self._days_s < 0:
            self._days_s = now_s + DAYS_START_S
        if now_s < self._days_s:
            return
        from tokentop.store import daily

        self._days_s = now_s + DAYS_SLICE_S
        if daily.refresh(ledger.db, self._zone, DAYS_SLICE) <= DAYS_SLICE:
            self._days_s = now_s + DAYS_S

    def index(self, ledger: Ledger) -> bool:
        """Bring a slice of the changed sessions into the index of the history; True if there are more."""
        from tokentop.store.indexing import SLICE, Indexer

        if self._indexer is None or self._indexer.db is not ledger.db:
            self._indexer = Indexer(ledger.db)
        return self._indexer.index_some() == SLICE

    def record(self, db: sqlite3.Connection, picture: Snapshot) -> None:
        """Keep the table for later, if it is time."""
        if not self._settings.recording_mb:
            return
        try:
            if self._black_box is None or self._black_box[0] is not db:
                from tokentop.blackbox import BlackBox

                self._black_box = db, BlackBox(db, self._settings)
            self._black_box[1].look(picture)
        except sqlite3.Error:
            self._black_box = None
            raise
        except OverflowError as error:
            self._black_box = None
            log.warning("the live table was not recorded: %s", error)

    def _retain(self, ledger: Ledger, wall_ms: int) -> bool:
        """Purge a few of the sessions that are older than the settings keep; True if there may be more."""
        from tokentop.store.purging import older_than

        before_ms = wall_ms - self._settings.retention_days * DAY_MS
        ids = older_than(ledger.db, before_ms, count=False).sessions
        ledger.writer.purge(ids[:RETAIN_SESSIONS], wall_ms)
        return len(ids) > RETAIN_SESSIONS
