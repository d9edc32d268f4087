"""What the collector knows: the live state, the sessions that it was told of, what is wrong at present."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Mapping, Sequence
from functools import lru_cache

from tokentop.agents import all_agents
from tokentop.agents.base import Agent, Quality
from tokentop.engine.live import LiveState
from tokentop.engine.pace import OLDEST_MS
from tokentop.engine.rules import Thresholds
from tokentop.nouns.facts import Diagnostic, Fact
from tokentop.nouns.money import Quota
from tokentop.nouns.sessions import Activity, Context, Session
from tokentop.nouns.usage import Figures, Priced
from tokentop.pricing.table import PriceTable
from tokentop.settings.config import Settings
from tokentop.store import reader

from .daybook import Daybook

log = logging.getLogger(__name__)

RECENT_MS = 65 * 60_000
NEWS_MS = 120_000  # what another tokentop commits is looked for so far back
CANDIDATE_MS = 24 * 3_600_000
_UNTOLD = "its log does not tell single calls"


def live_state(settings: Settings, table: PriceTable, environ: Mapping[str, str]) -> LiveState:
    """A live state in which nothing has happened yet."""
    live = LiveState(
        resume={agent.id: agent.resume for agent in all_agents()},
        window_of=lru_cache(256)(lambda _agent, model: table.window("", model)),
        thresholds=Thresholds(
            settings.runaway_nusd_per_h,
            settings.runaway_ms,
            settings.context_pct,
            settings.no_progress_ms,
        ),
        titles=settings.titles,
        unlogged=(agent.id for agent in all_agents() if not agent.sources),
        blind={agent.id: _UNTOLD for agent in all_agents() if not _tells_calls(agent)},
    )
    live.host = os.uname().nodename if hasattr(os, "uname") else environ.get("COMPUTERNAME", "")
    return live


def _tells_calls(agent: Agent) -> bool:
    """Whether an agent's log has the tokens of each call, at least as an estimate."""
    return bool(agent.sources) and agent.tokens in (Quality.EXACT, Quality.ESTIMATE)


class Memory:
    """Every fact goes through here into the live state."""

    def __init__(self, live: LiveState, daybook: Daybook) -> None:
        self.live, self.daybook = live, daybook
        self.known: dict[tuple[str, str], Session] = {}  # by (agent, session id)
        self.notes: dict[str, Diagnostic] = {}  # by source
        self.incomplete = False  # the logs are read for the first time: totals will grow

    def note(self, source: str, text: str) -> None:
        """Show an error until its source has none."""
        self.notes[source] = Diagnostic(source, "error", text)

    def prime(self, connection: sqlite3.Connection, wall_ms: int) -> None:
        """First picture from the store, before the first byte of a log is read. sqlite3.Error."""
        for limit, readings in reader.quota_readings(connection, wall_ms - OLDEST_MS).items():
            self.live.limits.add_readings(limit, readings)
        self._take(connection, wall_ms - RECENT_MS, most=2000)
        for session, *_ in reader.sessions(connection, since_ms=wall_ms - CANDIDATE_MS, limit=500):
            self.known.setdefault((session.agent, session.id), session)

    def take_news(self, connection: sqlite3.Connection, wall_ms: int) -> None:
        """What another tokentop has committed of late. sqlite3.Error."""
        self._take(connection, wall_ms - NEWS_MS, most=1000)

    def _take(self, connection: sqlite3.Connection, since_ms: int, *, most: int) -> None:
        for session, own, _, used, window in reader.sessions(connection, since_ms=since_ms, limit=most):
            self._load(session, own)
            if used is not None:
                self.live.apply_context(Context(session.agent, session.id, session.last_ms, used, window))
        for priced in reader.recent_events(connection, since_ms):
            self.live.apply_usage(priced)
        for quota in reader.quotas(connection):
            self.live.apply_quota(quota)
        self.daybook.spent()

    def fold(
        self,
        connection: sqlite3.Connection,
        facts: Sequence[Fact] = (),
        priced: Sequence[Priced] = (),
        sessions: Sequence[tuple[Session, Figures]] = (),
    ) -> None:
        """Take what was read, and what became of it in the store behind `connection`."""
        for session, own in sessions:
            self._load(session, own)
        for event in priced:
            self.live.apply_usage(event)
        for fact in facts:
            if isinstance(fact, Activity):
                self.load_known(connection, fact.agent, fact.session_id)
                self.live.apply_activity(fact)
            elif isinstance(fact, Context):
                self.load_known(connection, fact.agent, fact.session_id)
                self.live.apply_context(fact)
            elif isinstance(fact, Quota):
                self.live.apply_quota(fact)
        if priced or sessions:
            self.daybook.spent()

    def _load(self, session: Session, own: Figures) -> None:
        self.known[session.agent, session.id] = session
        self.live.load_session(session, own)

    def load_known(self, connection: sqlite3.Connection | None, agent: str, sid: str) -> None:
        """Get a session from the store that is not in memory: without it its sums would seem to be 0."""
        if not sid or connection is None or (agent, sid) in self.known:
            return
        try:
            for session, own in reader.find_session(connection, sid):
                if session.agent == agent and session.id.partition("/")[0] == sid.partition("/")[0]:
                    self._load(session, own)
        except sqlite3.Error as error:
            log.warning("session %s: %s", sid, error)

    def candidates(self, oldest_ms: int) -> list[Session]:
        """Known sessions that grew since then, as of their newest record."""
        grown = map(self.live.grown, self.known.values())
        return [session for session in grown if session.last_ms >= oldest_ms]
