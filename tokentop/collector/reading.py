"""Reading the logs: where there are any, what is new in them, a slice at a time, into the ledger and from it into memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tokentop.due import Due
from tokentop.ingest.inbox import Inbox
from tokentop.ledger import Ledger
from tokentop.nouns.facts import Fact

from .memory import RECENT_MS, Memory

WALK_S = 15.0
WALK_MAX_S = 60.0
WALK_SHARE = 0.001  # of a core; the folders of busy logs tell of new ones long before
FOLDERS_S = 5.0
INBOX_S = 1.0
BACKLOG_SLICE_S = 0.15  # a slice of the backlog between two looks at live files


class LogReading:
    """Reads for the one that writes. `begin` it with each ledger that was opened."""

    def __init__(self, memory: Memory, folder: Path) -> None:
        self._memory = memory
        self.primed = False  # logs have been looked for
        self._inbox = Inbox(folder)
        self._began_s = 0.0
        self._walk_s = WALK_S  # between two looks for logs everywhere
        self._due = Due()

    def begin(self) -> None:
        self.primed = False
        self.walk_soon()

    def walk_soon(self) -> None:
        """There is a new folder to look into."""
        self._due.hurry("walk")

    def slice(
        self, ledger: Ledger, now_s: float, wall_ms: int, heard: Callable[[Sequence[Fact]], None]
    ) -> bool:
        """Look for new bytes, read one slice; True if more is waiting. `heard` is told what was read.

        sqlite3.Error.
        """
        if self._due.take("inbox", now_s, INBOX_S):
            self._take_in(ledger)
        self._look_for_logs(ledger, now_s)
        follower, memory = ledger.follower, self._memory
        until_s = time.monotonic() + BACKLOG_SLICE_S
        while True:
            step = ledger.step(now_s, wall_ms - RECENT_MS, ledger.failed)
            if step is None:
                if memory.incomplete:
                    self._set_incomplete(ledger, False)
                    memory.live.set_progress(follower.progress(now_s - self._began_s))
                self._settle(ledger, wall_ms)
                return False
            memory.fold(ledger.db, step.batch.facts, step.committed.priced, step.committed.sessions)
            heard(step.batch.facts)
            if memory.incomplete:
                memory.live.set_progress(follower.progress(now_s - self._began_s))
            if (not memory.incomplete and follower.waiting) or time.monotonic() > until_s:
                return True

    def _look_for_logs(self, ledger: Ledger, now_s: float) -> None:
        """Poll what is active; walk everywhere when it is time or a folder has changed."""
        follower = ledger.follower
        walk = self._due.take("walk", now_s, self._walk_s)
        if walk:
            self._due.put_off("folders", now_s + FOLDERS_S)  # the walk looks at each folder itself
            follower.look(now_s, everything=True)
        elif not follower.poll(now_s, self._due.take("folders", now_s, FOLDERS_S)):
            return
        self._due.put_off("walk", now_s + self._walk_s)
        began_s = time.thread_time()
        follower.walk(now_s, time.time_ns())
        self._walk_s = min(WALK_MAX_S, max(WALK_S, (time.thread_time() - began_s) / WALK_SHARE))
        self._memory.live.set_looked(follower.looked)
        if not self.primed:
            self.primed = True
            self._began_s = now_s
            self._set_incomplete(ledger, follower.progress(0).reading)

    def _take_in(self, ledger: Ledger) -> None:
        """What the status line hook was told about plan limits."""
        quotas, problems = self._inbox.look()
        if quotas or problems:
            ledger.writer.commit([*quotas, *problems])
            self._memory.fold(ledger.db, quotas)

    def _set_incomplete(self, ledger: Ledger, incomplete: bool) -> None:
        self._memory.incomplete = incomplete
        ledger.mark_backlog(incomplete)
        self._memory.daybook.forget()

    def _settle(self, ledger: Ledger, wall_ms: int) -> None:
        for committed in ledger.settle(wall_ms - RECENT_MS):
            self._memory.fold(ledger.db, (), committed.priced, committed.sessions)
