"""Gathers one session for its timeline: events and receipts from the store, deeds from its log or its kept outline."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from tokentop.agents import all_agents
from tokentop.engine.timeline import Part, Timeline, timeline
from tokentop.ingest.outlining import Outliner
from tokentop.ingest.wholelog import log_state
from tokentop.nouns.outline import Outline
from tokentop.nouns.sessions import Session
from tokentop.pricing.table import PriceTable
from tokentop.store import lineage, outlines

Keep = Callable[[Session, Outline], None]


def tell(
    db: sqlite3.Connection, agent_id: str, session_id: str, now_ms: int, *, prices: PriceTable | None = None,
    keep: Keep = lambda _session, _outline: None,
) -> Timeline | None:  # fmt: skip
    """The timeline of a session; None = the store does not know it. Blocks while logs are read.

    `keep` is given each outline that was read anew. sqlite3.Error.
    """
    members = lineage.family(db, agent_id, session_id)
    if not members or members[0].session.id != session_id:
        return None
    events = lineage.events_of_family(db, agent_id, members)
    parts = {
        one.session.id: Part(
            one.session, one.project, tuple(events[one.session.id]), _outline(db, one.session, now_ms, keep),
            tuple(lineage.receipts_of(db, agent_id, one.session.id)), one.purged, one.own,
        )
        for one in members
    }  # fmt: skip
    return timeline(parts, session_id, prices)


def _outline(db: sqlite3.Connection, session: Session, now_ms: int, keep: Keep) -> Outline | None:
    """What the log says now; what it said when it was last read, if it is gone."""
    kept = outlines.load(db, session.agent, session.id)
    agent = next((one for one in all_agents() if one.id == session.agent), None)
    if agent is None or not session.log_path:
        return kept
    state = log_state(agent, session.log_path)
    if kept is not None and (state == (0, 0) or state == (kept.log_size, kept.log_mtime_ns)):
        return kept
    found = Outliner(agent, session, now_ms).whole()
    if kept is not None and not found.log_size:
        return kept
    keep(session, found)
    return found
