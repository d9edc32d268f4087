"""Calls that agents told by telemetry: held until their logs had the chance to tell them, then counted.

One thread only, that of the collector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tokentop.engine.heard import SAME_MS, HeardCalls
from tokentop.ledger import Ledger
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Session
from tokentop.nouns.telemetry import SURFACE, Heard
from tokentop.nouns.usage import Usage
from tokentop.store import reader
from tokentop.store.writer import Committed

HEARD_S = 1.0  # between two looks at calls that only telemetry has told
TALLY_S = 5.0
MAX_CLAIMED = 20_000


class Listening:
    """What was heard and not settled yet; while agents' telemetry is taken in."""

    def __init__(self) -> None:
        self._calls = HeardCalls()
        self._claimed: dict[int, None] = {}  # events of logs that telemetry has told too
        self._due_s = self._tally_s = 0.0

    def hear(self, heard: Heard, now_s: float, wall_ms: int) -> bool:
        """Take what agents told. False: too many calls wait already, give it again."""
        if self._calls.full:
            return False
        self._calls.hear(heard, now_s, wall_ms)
        return True

    def read(self, facts: Sequence[Fact]) -> None:
        """What logs have told."""
        self._calls.read(facts)

    def count(
        self, ledger: Ledger, now_s: float, recent_ms: int, has_log: Callable[[str, str], bool]
    ) -> Committed | None:
        """Count what no log has told in time, and add what only telemetry knows of what a log told. sqlite3.Error.

        `has_log` = whether a log tells of the session (agent, id) too: then the log's word on it stays.
        """
        if now_s < self._due_s:
            return None
        self._due_s = now_s + HEARD_S
        logged: list[Usage] = []
        alone: list[Usage] = []
        for call in self._calls.due(now_s):
            same = (e for e in reader.same_calls(ledger.db, call, SAME_MS) if e not in self._claimed)
            found = next(same, None)
            (alone if found is None else logged).append(call)
            if found is not None:  # read before this one listened
                self._claimed[found] = None
        facts: list[Fact] = [*alone, *self._calls.better()]
        for call in alone:
            surface = "" if has_log(call.agent, call.session_id) else SURFACE
            facts.append(Session(call.agent, call.session_id, first_ms=call.at_ms, surface=surface))
        committed = ledger.writer.commit(facts, recent_ms=recent_ms) if facts else None
        while len(self._claimed) > MAX_CLAIMED:
            del self._claimed[next(iter(self._claimed))]
        self._calls.settled(logged, logged=True)
        self._calls.settled(alone, logged=False)
        return committed

    def tally(self, now_s: float) -> str | None:
        """The figures of what has come in, as JSON, when they are worth writing again."""
        if not self._calls.news or now_s < self._tally_s:
            return None
        self._tally_s, self._calls.news = now_s + TALLY_S, False
        return msgspec.json.encode(self._calls.tally).decode()
