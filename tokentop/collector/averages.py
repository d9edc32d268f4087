"""Averages over a longer time than a minute: asks the store for what they lack, while a screen asks for them."""

from __future__ import annotations

import sqlite3
import time

from tokentop.due import Due
from tokentop.engine.live import LiveState
from tokentop.store import reader

from .access import StoreAccess

SLICE_S = 0.02
WHOLE_S = 30.0  # between two sums of all sessions


class Averages:
    def __init__(self, access: StoreAccess, live: LiveState) -> None:
        self._access, self._live = access, live
        self._due = Due()

    def look_back(self, minutes: int) -> None:
        """Work out averages over so many minutes from now on; a screen asks for it."""
        self._live.look_back(minutes)
        self._due.hurry("whole")

    def tick(self, now_s: float, wall_ms: int) -> None:
        """Ask for a little of what is missing."""
        window, connection = self._live.longer, self._access.connection
        if window is None or connection is None or not self._access.is_usable(now_s):
            return
        until_s, since_ms = time.monotonic() + SLICE_S, wall_ms - window.ms
        try:
            for key, track in window.wanted():
                one = track.session
                cells = reader.spent_cells(connection, one.agent, one.id, since_ms, window.cell_ms)
                window.learn(key, since_ms, cells)
                self._live.revision += 1
                if time.monotonic() > until_s:
                    break
            if window.ms > self._live.rates.held_ms and self._due.take("whole", now_s, WHOLE_S):
                window.whole = reader.average(connection, since_ms, wall_ms)
                self._live.revision += 1
        except sqlite3.Error as error:
            self._access.failed(error)
