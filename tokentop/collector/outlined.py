"""Makes the outlines of sessions before their agents delete the logs: those at rest, newest first, a little at a time.

A slice reads for some milliseconds, and the pause after it is `PAUSE` times as long, at least `PERIOD_S`: a core is
used to less than half a percent while there is something to read, and not at all otherwise.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque

from tokentop.agents import all_agents
from tokentop.ingest.outlining import Outliner
from tokentop.nouns.sessions import Session
from tokentop.store import outlines

REST_MS = 5 * 60_000  # a log that was written more recently may go on
PERIOD_S = 1.5
SLICE_S = 0.005
PAUSE = 250
LOOK_S = 60.0
PAGE = 200
_LAST = (1 << 63) - 1


class Outlines:
    """One thread only: it reads logs and writes to the store that it is given."""

    def __init__(self) -> None:
        self._agents = {agent.id: agent for agent in all_agents()}
        self.made = 0  # so far
        self._due_s = 0.0
        self._look_s = 0.0
        self._rested_ms = -1  # sessions at rest until then were looked at; -1 = none
        self._before: tuple[int, int] | None = None  # where the next page of older ones begins
        self._waiting: deque[Session] = deque()
        self._now: tuple[Session, Outliner] | None = None

    def tick(self, db: sqlite3.Connection, now_s: float, wall_ms: int) -> None:
        """Do a slice if one is due. sqlite3.Error where nothing can be stored: it is tried again later."""
        if now_s < self._due_s:
            return
        began_s = time.monotonic()
        idle = not self._work(db, now_s, wall_ms, began_s + SLICE_S)
        took_s = time.monotonic() - began_s
        self._due_s = now_s + (LOOK_S if idle else max(PERIOD_S, PAUSE * took_s))

    def finish(self, db: sqlite3.Connection, wall_ms: int) -> None:
        """Make all that are due at once."""
        while self.step(db, wall_ms):
            pass

    def step(self, db: sqlite3.Connection, wall_ms: int) -> bool:
        """Do a slice at once; False: there is nothing to read any more."""
        return self._work(db, float("inf"), wall_ms, time.monotonic() + SLICE_S)

    def _work(self, db: sqlite3.Connection, now_s: float, wall_ms: int, until_s: float) -> bool:
        """Read until a time; False: there is nothing to read."""
        while True:
            if self._now is None and not self._next(db, now_s, wall_ms):
                return False
            assert self._now is not None
            session, reader = self._now
            if reader.step():
                self._now = None
                outlines.keep(db, session, reader.outline())
                self.made += 1
            if time.monotonic() >= until_s:
                return True

    def _next(self, db: sqlite3.Connection, now_s: float, wall_ms: int) -> bool:
        """Begin with the next session; those that came to rest since the last look before older ones."""
        rested_ms = wall_ms - REST_MS
        if self._rested_ms < 0:
            self._rested_ms, self._before = rested_ms, (rested_ms, _LAST)
        elif now_s >= self._look_s and rested_ms > self._rested_ms:
            self._look_s = now_s + LOOK_S
            page: tuple[int, int] | None = (rested_ms, _LAST)
            while page is not None:
                found = outlines.wanted(db, self._rested_ms + 1, page, PAGE)
                self._waiting.extendleft(reversed(found.sessions))
                page = found.before
            self._rested_ms = rested_ms
        while not self._waiting and self._before is not None:
            found = outlines.wanted(db, 0, self._before, PAGE)
            self._waiting.extend(found.sessions)
            self._before = found.before
        while self._waiting:
            session = self._waiting.popleft()
            agent = self._agents.get(session.agent)
            if agent is not None:
                self._now = session, Outliner(agent, session, wall_ms)
                return True
        return False
