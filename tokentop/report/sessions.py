"""`tokentop sessions`."""

from __future__ import annotations

import sqlite3
from datetime import tzinfo
from typing import Any

from tokentop.engine.days import local
from tokentop.export.values import iso, session_document, tokens_document, usd
from tokentop.model import Figures, Priced
from tokentop.store import reader
from tokentop.text import clean

from .out import money, plain_table


def listing(
    db: sqlite3.Connection, words: list[str], limit: int, zone: tzinfo
) -> tuple[list[dict[str, Any]], str]:
    """(documents, table for people) of the newest sessions that hold every word."""
    found = reader.sessions(db, words=words, limit=limit)
    documents = [session_document(session, own, project) for session, own, project, _, _ in found]
    rows = []
    for session, own, project, _, _ in found:
        last = local(session.last_ms, zone).strftime("%Y-%m-%d %H:%M") if session.last_ms else "?"
        indent = "  " if session.parent_id else ""
        cost = _cost(own)
        rows.append(
            [last, session.agent, clean(project, 20), session.id[:8], indent + clean(session.title or "(no title)", 60),
             f"{own.responses:,}", f"{own.tokens.total:,}{'+?' * bool(own.unknown_calls)}", cost]
        )  # fmt: skip
    heads = ["LAST", "AGENT", "PROJECT", "SESSION", "TITLE", "RESPONSES", "TOKENS", "COST"]
    return documents, plain_table(heads, rows, left=5)


def _cost(own: Figures) -> str:
    if own.cost_nusd or not (own.unpriced_tokens or own.unknown_calls):
        return money(own.cost_nusd)
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
    }
