"""What agents tell by telemetry, handed over by the receiver: held, counted where no log tells it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from tokentop.clock import now_ms
from tokentop.ledger import Ledger
from tokentop.nouns.facts import Fact
from tokentop.nouns.telemetry import CHAPTER, Heard

from .access import StoreAccess
from .memory import RECENT_MS, Memory

if TYPE_CHECKING:
    from .listening import Listening


class TelemetrySide:
    """Costs nothing until `listen`."""

    def __init__(self, access: StoreAccess, memory: Memory) -> None:
        self._access, self._memory = access, memory
        self._listening: Listening | None = None

    def listen(self) -> None:
        """From now on calls are remembered as the logs tell them: telemetry may tell them too."""
        if self._listening is None:
            from .listening import Listening

            self._listening = Listening()

    def hear(self, heard: Heard) -> bool:
        """Take what agents told by telemetry. False: too many calls wait already, give it again."""
        if heard.state is not None:
            self._memory.notes.pop(CHAPTER, None)
            if heard.state:
                self._memory.note(CHAPTER, heard.state)
            return True
        return self._listening is None or self._listening.hear(heard, time.monotonic(), now_ms())

    def read(self, facts: Sequence[Fact]) -> None:
        """What logs have told."""
        if self._listening is not None:
            self._listening.read(facts)

    def count(self, ledger: Ledger, now_s: float, wall_ms: int) -> None:
        """Count what no log has told in time. sqlite3.Error."""
        if self._listening is None:
            return
        has_log = partial(self._has_log, ledger)
        committed = self._listening.count(ledger, now_s, wall_ms - RECENT_MS, has_log)
        if committed is not None:
            self._memory.fold(ledger.db, (), committed.priced, committed.sessions)
        tally = self._listening.tally(now_s)
        if tally is not None:
            self._access.remember(CHAPTER, tally)

    def _has_log(self, ledger: Ledger, agent: str, session_id: str) -> bool:
        self._memory.load_known(ledger.db, agent, session_id)
        known = self._memory.known.get((agent, session_id))
        return known is not None and bool(known.log_path)
