"""What providers have said, handed over by the poller: committed, and told to the live state."""

from __future__ import annotations

import sqlite3
import time

from tokentop.nouns.billing import ENDPOINT, Fetched, Health, ProviderState
from tokentop.nouns.facts import Diagnostic

from .access import StoreAccess
from .memory import Memory


class ProviderSide:
    """Asks nobody."""

    def __init__(self, access: StoreAccess, memory: Memory) -> None:
        self._access, self._memory = access, memory

    def states(self) -> list[ProviderState] | None:
        """Where each report stood when it was last asked; None while another tokentop writes, and asks."""
        if self._access.ledger is None or self._memory.incomplete:
            return None
        from tokentop.store import bills

        try:
            return bills.states(self._access.ledger.db)
        except sqlite3.Error as error:
            self._access.failed(error)
            return None

    def newest_limits(self) -> dict[str, int]:
        """When logs or hooks last told each agent's limits."""
        newest: dict[str, int] = {}
        for quota in self._memory.live.limits.quotas.values():
            if quota.source != ENDPOINT:
                newest[quota.provider] = max(newest.get(quota.provider, 0), quota.at_ms)
        return newest

    def learn(self, fetched: Fetched) -> bool:
        """Commit what a provider said; what keeps it from saying more is told on the screen.

        False: nothing can be written now, give it again.
        """
        ledger = self._access.ledger
        if ledger is None or not self._access.is_usable(time.monotonic()):
            return False
        from tokentop.store import bill_writer

        try:
            if fetched.quotas:
                ledger.writer.commit(fetched.quotas)
            bill_writer.keep(ledger.db, fetched)
        except sqlite3.Error as error:
            self._access.failed(error)
            return False
        for quota in fetched.quotas:
            self._memory.live.apply_quota(quota)
        state = fetched.state
        name = f"{state.provider}.{state.source}"
        if state.state in (Health.OK, Health.OFF, Health.WAITING):
            self._memory.notes.pop(name, None)
        else:
            self._memory.notes[name] = Diagnostic(name, "provider", f"{state.state}: {state.reason}")
        return True
