"""Values as documents hold them: exact dollars, UTC times, token kinds by name. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tokentop.agents import all_agents
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Figures, Tokens

NUSD = 1_000_000_000
BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


def usd(nusd: int) -> str:
    """Dollars with all nine decimals: exact."""
    sign, value = ("-", -nusd) if nusd < 0 else ("", nusd)
    return f"{sign}{value // NUSD}.{value % NUSD:09d}"


def dollars(nusd: int) -> str:
    """Dollars for people: `$1,204.50`, `$0.0042`."""
    value = nusd / NUSD
    return f"${value:,.2f}" if abs(value) >= 0.995 or not nusd else f"${value:.4f}"


def iso(ms: int) -> str:
    """UTC, to the second, or to the millisecond where there is one."""
    moment = datetime.fromtimestamp(ms / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")


def tokens_document(tokens: Tokens) -> dict[str, int]:
    return {name: getattr(tokens, name) for name in BUCKETS}


def sums_document(own: Figures) -> dict[str, Any]:
    return {
        "responses": own.responses,
        "tokens": tokens_document(own.tokens),
        "cost_usd": None if is_unpriced(own) else usd(own.cost_nusd),
        "unpriced_tokens": own.unpriced_tokens,
        "unknown_calls": own.unknown_calls,
        "estimated": own.estimated,
    }


def is_unpriced(own: Figures) -> bool:
    """Whether nothing of it has a price: its cost is not 0 but unknown."""
    return not own.cost_nusd and bool(own.unpriced_tokens or own.unknown_calls)


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


def resume(session: Session) -> str | None:
    """The command that goes on with a session; a sub-agent is resumed through its parent."""
    if "/" in session.id:
        return None
    found = {agent.id: agent for agent in all_agents()}.get(session.agent)
    return (found.resume_command(session.id) or None) if found else None


def label(agent_id: str) -> str:
    """An agent's name for people."""
    return next((agent.label for agent in all_agents() if agent.id == agent_id), agent_id)
