"""`tokentop sessions` and `tokentop session ID`."""

from __future__ import annotations

import sqlite3
from datetime import tzinfo
from typing import Any

from tokentop.agents import all_agents
from tokentop.engine.days import local
from tokentop.model import Figures, Kind, Priced, Session, Tokens
from tokentop.store import reader
from tokentop.text import clean

from .out import iso, money, plain_table, usd
from .usage import BUCKETS


def session_document(session: Session, own: Figures, project: str) -> dict[str, Any]:
    return {
        "agent": session.agent,
        "session": session.id,
        "parent": session.parent_id or None,
        "root": session.root_id or session.id,
        "role": session.role,
        "title": session.title or None,
        "project": project or None,
        "cwd": session.cwd or None,
        "branch": session.branch or None,
        "version": session.version or None,
        "started_at": iso(session.first_ms) if session.first_ms else None,
        "last_at": iso(session.last_ms) if session.last_ms else None,
        **sums_document(own),
        "resume": resume(session),
    }


def sums_document(own: Figures) -> dict[str, Any]:
    unpriced = not own.cost_nusd and (own.unpriced_tokens or own.unknown_calls)
    return {
        "responses": own.responses,
        "tokens": {name: getattr(own.tokens, name) for name in BUCKETS},
        "cost_usd": None if unpriced else usd(own.cost_nusd),
        "unpriced_tokens": own.unpriced_tokens,
        "unknown_calls": own.unknown_calls,
        "estimated": own.estimated,
    }


def resume(session: Session) -> str | None:
    """The command that goes on with a session; a sub-agent is resumed through its parent."""
    if "/" in session.id:
        return None
    found = {agent.id: agent for agent in all_agents()}.get(session.agent)
    return (found.resume_command(session.id) or None) if found else None


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


def one(db: sqlite3.Connection, session: Session, own: Figures, zone: tzinfo) -> tuple[dict[str, Any], str]:
    """(document, text) of one session with its timeline: each response and what was hidden between them."""
    events = reader.events_of(db, session.agent, session.id)
    project = next((p for s, _, p, _, _ in reader.sessions(db, words=[session.id]) if s.id == session.id), "")
    document = session_document(session, own, project)
    document["timeline"] = [event_document(event) for event in events]
    total = Tokens()
    for event in events:
        total += event.usage.tokens
    unpriced = any(event.cost_nusd is None for event in events)
    document["with_sub_agents"] = {
        "tokens": {name: getattr(total, name) for name in BUCKETS},
        "cost_usd": usd(sum(event.cost_nusd or 0 for event in events)),
        "unpriced": unpriced,
    }
    head = [
        f"{session.agent} {session.id}", f"title    {session.title or '(none)'}", f"project  {project or '?'}  {session.cwd}",
        f"branch   {session.branch or '?'}", f"resume   {document['resume'] or 'through its parent'}", "",
    ]  # fmt: skip
    rows = [_event_row(event, zone) for event in events]
    heads = ["TIME", "MODEL", "BY", "INPUT", "CACHE READ", "WRITES", "OUTPUT", "COST"]
    return document, "\n".join(head) + plain_table(heads, rows, left=3)


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
        "tokens": {name: getattr(usage.tokens, name) for name in BUCKETS},
        "cost_usd": None if event.cost_nusd is None else usd(event.cost_nusd),
        "estimated": event.estimated,
        "time_estimated": usage.at_estimated,
        "source": "telemetry" if usage.telemetry else "log",
    }


def _event_row(event: Priced, zone: tzinfo) -> list[str]:
    usage, tokens = event.usage, event.usage.tokens
    who = usage.session_id.partition("/")[2][:8] or ("hidden" if usage.kind == "hidden" else "main")
    cost = "unpriced" if event.cost_nusd is None else f"${event.cost_nusd / 1e9:.4f}"
    counts = (tokens.input, tokens.cache_read, tokens.cache_write_5m + tokens.cache_write_1h, tokens.output)
    time = local(usage.at_ms, zone).strftime("%Y-%m-%d %H:%M:%S") + "~" * usage.at_estimated
    if usage.kind is Kind.UNKNOWN:
        return [time, usage.model or "unknown", who, *"????", "?" if event.cost_nusd is None else cost]
    return [time, usage.model or "unknown", who, *(f"{count:,}" for count in counts), cost]
