"""A timeline as plain values for JSON: `tokentop.session/1`. Pure."""

from __future__ import annotations

from typing import Any

from tokentop.engine.timeline import Item, Timeline, Turn
from tokentop.nouns.usage import Priced

from .values import iso, session_document, sums_document, tokens_document, usd


def session(told: Timeline) -> dict[str, Any]:
    """The session with its turns; a sub-agent is nested in the tool call that started it."""
    return {**session_document(told.session, told.own, told.project), **story(told)}


def story(told: Timeline) -> dict[str, Any]:
    """The turns, and what is not known of them."""
    return {
        "tools_known": told.tools_known,
        "tools_note": told.note or None,
        "purged_calls": told.purged,
        "tree": sums_document(told.tree),
        "turns": [turn(one) for one in told.turns],
        "untimed": [item(one) for one in told.untimed],
    }


def turn(one: Turn) -> dict[str, Any]:
    return {
        "turn": one.number,
        "at": iso(one.at_ms) if one.at_ms else None,
        "end": iso(one.end_ms) if one.end_ms else None,
        "prompted": one.prompted,
        "models": list(one.models),
        **sums_document(one.own),
        "tree": sums_document(one.tree),
        "cache": _cache(one),
        "items": [item(part) for part in one.items],
    }


def _cache(one: Turn) -> dict[str, Any]:
    """Of the session itself, as `tokens` and `cost_usd` beside it are."""
    missed = sum(part.miss.tokens for part in one.items)
    cost_nusd = sum(part.miss.nusd for part in one.items)
    return {
        "read": one.own.tokens.cache_read,
        "missed": missed,
        "missed_usd": usd(cost_nusd) if missed else None,
    }


def item(one: Item) -> dict[str, Any]:
    found: dict[str, Any] = {"kind": one.kind, "at": iso(one.at_ms) if one.at_ms else None}
    if one.event is not None:
        found |= _call(one.event)
        if one.miss.tokens:
            found |= {
                "missed": one.miss.tokens,
                "missed_usd": usd(one.miss.nusd),
                "missed_why": one.miss.why or None,
            }
    if one.deed is not None:
        deed = one.deed
        found |= {"name": deed.name or None, "result": deed.result or None, "took_ms": deed.took_ms}
        if one.kind == "tool":
            found |= {
                "target": deed.target or None, "takes": deed.takes or None, "call_id": deed.call_id or None,
                "lines_added": deed.added, "lines_removed": deed.removed, "tests": deed.tests or None,
                "commits": deed.commits.split() if deed.commits else [], "pull_requests": deed.pulls.split(),
                "again": deed.again,
            }  # fmt: skip
    if one.receipt is not None:
        receipt = one.receipt
        found |= {
            "action": receipt.action.value, "reason": receipt.reason, "result": receipt.result, "pid": receipt.pid,
            "took_ms": receipt.took_ms,
        }  # fmt: skip
    if one.branch is not None:
        found["sub_agent"] = session(one.branch)
    return found


def _call(event: Priced) -> dict[str, Any]:
    usage = event.usage
    return {
        "model": usage.model or None,
        "provider": usage.provider or None,
        "tier": usage.tier or "standard",
        "duration_ms": usage.duration_ms or None,
        "tokens": tokens_document(usage.tokens),
        "cost_usd": None if event.cost_nusd is None else usd(event.cost_nusd),
        "estimated": event.estimated,
        "unknown": usage.kind.value == "unknown",
        "time_estimated": usage.at_estimated,
    }
