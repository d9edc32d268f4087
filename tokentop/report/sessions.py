"""`tokentop sessions`."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Sequence
from datetime import tzinfo
from typing import Any

from tokentop.engine.days import local
from tokentop.errors import UsageError
from tokentop.export.values import iso, session_document, tokens_document, usd
from tokentop.nouns.history import BACKLOG, Ask, Listing, Scan
from tokentop.nouns.usage import Figures, Priced
from tokentop.store import reader
from tokentop.store.indexing import Indexer, waiting
from tokentop.text import clean, clock_near, digits3

from . import access
from .out import Progress, fitted_table, money, room, short_ids

_WIDE = 110  # cells from which on a time is written with its date, and tokens in full


def said(store: access.Access, ask: Ask, zone: tzinfo, at_ms: int, *, quiet: bool) -> Listing:
    """The sessions in whose prompts and replies the words are, newest first. Raises UsageError where that is off."""
    from tokentop.answers.hearsay import scan

    if not store.settings.search_prompts:
        raise UsageError(
            "--said: prompts and replies are not searched; set search_prompts = true in the settings"
        )
    progress = Progress(quiet)

    def told(now: Scan) -> bool:
        progress.tell(f"{now.looked:,} of {now.total:,} sessions looked at, {len(now.found):,} found")
        return len(now.found) < ask.limit

    found = scan(store.db, ask.query, zone, at_ms, told)
    progress.end()
    if not found.problem and not quiet:
        print(
            f"{found.looked:,} of {found.total:,} sessions looked at, {found.passed:,} without a log",
            file=sys.stderr,
        )
    return Listing(ask, found.found, cut=found.looked < found.total, problem=found.problem)


def listed(
    db: sqlite3.Connection, order: Sequence[int], zone: tzinfo, at_ms: int
) -> tuple[list[dict[str, Any]], str]:
    """(documents, table for people) of sessions."""
    found = reader.sessions_by_id(db, order)
    documents = [session_document(session, own, project) for session, own, project in found]
    rows, cells = [], room()
    shown = digits3 if cells < _WIDE else "{:,}".format
    names = short_ids(session.id for session, _, _ in found)
    for session, own, project in found:
        if cells < _WIDE:
            last = clock_near(session.last_ms, at_ms, zone, by_day=True) if session.last_ms else "?"
        else:
            last = local(session.last_ms, zone).strftime("%Y-%m-%d %H:%M") if session.last_ms else "?"
        indent = "  " if session.parent_id else ""
        cost = _cost(own)
        rows.append(
            [last, session.agent, clean(project, 20), names[session.id], indent + clean(session.title or "(no title)", 60),
             f"{own.responses:,}", shown(own.tokens.total) + "+?" * bool(own.unknown_calls), cost]
        )  # fmt: skip
    heads = ["LAST", "AGENT", "PROJECT", "SESSION", "TITLE", "RESP", "TOKENS", "COST"]
    least = {"TITLE": 20, "PROJECT": 8}
    return documents, fitted_table(heads, rows, 5, cells, least=least, drop=("RESP", "TOKENS"))


def bring_up_to_date(store: access.Access, *, quiet: bool) -> None:
    """Index what has changed since somebody last asked; who only reads says what is missing."""
    if store.writes:
        indexer, total, done, progress = Indexer(store.db), waiting(store.db), 0, Progress(quiet)
        while some := indexer.index_some():
            done += some
            progress.tell(f"indexing {done:,} of {total:,} sessions")
        progress.end()
    elif (late := waiting(store.db)) > BACKLOG:
        text = f"{late:,} sessions are not in the index yet: a running tokentop works on it"
        access.note(store.notes, text)


def _cost(own: Figures) -> str:
    if own.cost_nusd or not (own.unpriced_tokens or own.unknown_calls):
        at_least = own.unpriced_tokens or own.unknown_calls
        return "≥" * bool(at_least) + "≈" * own.estimated + money(own.cost_nusd)
    return "unpriced" if own.unpriced_tokens else "?"


def event_document(event: Priced) -> dict[str, Any]:
    usage = event.usage
    return {
        "at": iso(usage.at_ms),
        "session": usage.session_id,
        "kind": usage.kind,
        "provider": usage.provider,
        "model": usage.model or None,
        "tier": usage.tier or "standard",
        "duration_ms": usage.duration_ms or None,
        "tokens": tokens_document(usage.tokens),
        "cost_usd": None if event.cost_nusd is None else usd(event.cost_nusd),
        "estimated": event.estimated,
        "time_estimated": usage.at_estimated,
        "source": "telemetry" if usage.telemetry else "log",
    }
