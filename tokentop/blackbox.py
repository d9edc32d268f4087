"""The recording side of the black box: takes what the collector publishes, writes what is worth it. No thread, no clock."""

from __future__ import annotations

import sqlite3

from .engine.recorder import Recorder
from .nouns.picture import Snapshot
from .settings.config import Settings
from .store.frames import FrameStore


class BlackBox:
    """Records the live table of the tokentop that writes. sqlite3.Error: make a new one, nothing is half written."""

    def __init__(self, db: sqlite3.Connection, settings: Settings) -> None:
        self._store = FrameStore(
            db,
            full_ms=settings.recording_full_hours * 3_600_000,
            limit_bytes=settings.recording_mb * 1_000_000,
            keep_titles=settings.titles,
        )
        self._recorder = Recorder(self._store.texts)

    def look(self, snapshot: Snapshot) -> None:
        """Record the table, if it is time."""
        if self._recorder.is_due(snapshot.at_ms):
            self._store.write(self._recorder.take(snapshot))
