"""One snapshot as JSON or as text: `tokentop --json`, `tokentop --once`."""

from __future__ import annotations

from typing import Any

from tokentop.nouns.actions import After, Receipt
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.processes import ChildProc
from tokentop.nouns.usage import Figures
from tokentop.store.slots import BUCKETS

from .out import iso, money, plain_table, usd


def document(snapshot: Snapshot) -> dict[str, Any]:
    """`tokentop.snapshot/1`."""
    forecast = snapshot.forecast
    return {
        "schema": "tokentop.snapshot/1",
        "generated_at": iso(snapshot.at_ms),
        "mode": snapshot.mode,
        "rows": [row_document(row) for row in snapshot.rows],
        "counts": dict(snapshot.counts),
        "totals": _rates(snapshot.totals),
        "today": _figures(snapshot.today),
        "forecast": None if forecast is None else {
            "day": forecast.day,
            "today_usd": usd(forecast.today_nusd),
            "projected_usd": usd(forecast.projected_nusd),
            "low_usd": usd(forecast.low_nusd),
            "high_usd": usd(forecast.high_nusd),
            "interval": 0.8,
            "method": forecast.method,
            "days_of_history": forecast.days_of_history,
        },
        "limits": [
            {"provider": q.provider, "account": q.account or None, "limit": q.limit_id,
             "window_minutes": q.window_minutes,
             # Of a window that is over: how full the new one is, nobody has said.
             "used_pct": None if 0 < q.resets_at_ms <= snapshot.at_ms else q.used_pct,
             "resets_at": iso(q.resets_at_ms) if q.resets_at_ms else None,
             "full_at": iso(q.full_at_ms) if q.full_at_ms else None, "source": q.source, "at": iso(q.at_ms)}
            for q in snapshot.quotas
        ],
        "alerts": [{"kind": a.kind, "row": a.row_key, "text": a.text} for a in snapshot.alerts],
        "health": {
            "reading": snapshot.progress.reading,
            "errors": [
                {"source": d.source, "kind": d.kind, "detail": d.detail, "count": d.count} for d in snapshot.health
            ],
        },
    }  # fmt: skip


def row_document(row: Row) -> dict[str, Any]:
    own, tree = row.own, row.tree
    return {
        "key": row.key,
        "parent": row.parent_key or None,
        "kind": row.kind,
        "agent": row.agent,
        "session": row.session_id or None,
        "title": row.title or None,
        "project": row.project or None,
        "cwd": row.cwd or None,
        "branch": row.branch or None,
        "model": row.model or None,
        "state": row.status.state,
        "state_detail": row.status.detail or None,
        "state_source": row.status.source or None,
        "state_since": iso(row.status.since_ms) if row.status.since_ms else None,
        "inferred": row.status.inferred,
        "pid": row.pid,
        "confidence": row.confidence or None,
        **_known(row, tree, _rates(tree) | _figures(tree)),
        "own": _known(row, own, _figures(own)),
        "unchanged_since": iso(row.unchanged_since_ms) if row.unchanged_since_ms else None,
        "unchanged_usd": usd(row.unchanged_nusd) if row.unchanged_nusd is not None else None,
        "unchanged_at_least": row.unchanged_at_least,
        "unchanged_source": row.unchanged_source or None,
        "context_used": row.context_used,
        "context_window": row.context_window or None,
        "cpu_pct": round(row.cpu_pct, 1),
        "rss_bytes": row.rss_bytes or None,
        "started_at": iso(row.started_ms) if row.started_ms else None,
        "resume": row.resume or None,
        "children": [_child(child) for child in row.children],
    }


def _child(child: ChildProc) -> dict[str, Any]:
    return {"pid": child.ident.pid, "ppid": child.ppid, "role": child.role, "command": child.command}


_MEASURED = ("tokens_per_min", "reads_per_min", "burn_usd_per_h", "responses", "tokens", "cost_usd")


def _known(row: Row, figures: Figures, document: dict[str, Any]) -> dict[str, Any]:
    """The figures of a row; null where no log speaks of it: a process may well have spent something."""
    if not is_unknown(row, figures):
        return document
    return document | {name: None for name in _MEASURED if name in document}


def is_unknown(row: Row, figures: Figures) -> bool:
    """Whether the zeros of these figures stand for "no log yet" (a bare process, a tool, an orphan)."""
    spent = figures.responses or figures.unknown_calls or figures.unpriced_tokens or figures.cost_nusd
    return not spent and not (row.session_id and row.last_ms)


def _rates(figures: Figures) -> dict[str, Any]:
    return {
        "tokens_per_min": round(figures.tokens_per_min, 1),
        "reads_per_min": round(figures.reads_per_min, 1),
        "burn_usd_per_h": None if _burn_unknown(figures) else usd(figures.burn_nusd_per_h),
    }


def _figures(figures: Figures) -> dict[str, Any]:
    return {
        "responses": figures.responses,
        "tokens": {name: getattr(figures.tokens, name) for name in BUCKETS},
        "cost_usd": None if _cost_unknown(figures) else usd(figures.cost_nusd),
        "unpriced_tokens": figures.unpriced_tokens,
        "estimated": figures.estimated,
        "unknown_calls": figures.unknown_calls,
    }


def _cost_unknown(figures: Figures) -> bool:
    """Nothing of what was spent has a price: the model has none, or the usage never reached the log."""
    return not figures.cost_nusd and bool(figures.unpriced_tokens or figures.unknown_calls)


def _burn_unknown(figures: Figures) -> bool:
    """Something is spent now, and what it costs is not known."""
    return figures.tokens_per_min > 0 and bool(figures.unpriced_tokens) and not figures.burn_nusd_per_h


def today_text(snapshot: Snapshot) -> str:
    """Today's bill with its mark; `?` where it could not be asked for."""
    return today_mark(snapshot) + money(snapshot.today.cost_nusd) if snapshot.today_is_known else "?"


def today_mark(snapshot: Snapshot) -> str:
    """`≥` where a part of today's bill is not known or could not be read, `≈` where one is an estimate."""
    today = snapshot.today
    lacks = today.unpriced_tokens or today.unknown_calls or snapshot.progress.reading
    return "≥" * bool(lacks or snapshot.mode.startswith("paused")) + "≈" * today.estimated


def receipt_document(receipt: Receipt) -> dict[str, Any]:
    """One result of `tokentop kill`."""
    return {
        "at": iso(receipt.at_ms),
        "action": receipt.action,
        "agent": receipt.agent,
        "session": receipt.session_id or None,
        "pid": receipt.pid or None,
        "result": receipt.result,
        "detail": receipt.detail or None,
        "rungs": [{"pid": r.pid, "signal": r.signal, "result": r.result} for r in receipt.rungs],
        "ended_pids": list(receipt.ended_pids),
        "survivors": list(receipt.survivors),
        "left_behind": [ident.pid for ident in receipt.left_behind],
        "took_ms": receipt.took_ms,
        "resume": receipt.resume or None,
        "way": receipt.way or None,
        "after": _after_document(receipt.after),
    }


def _after_document(after: After | None) -> dict[str, Any] | None:
    """What was spent afterwards; null = not watched to the end. Its `unknown` says why figures may lack."""
    if after is None:
        return None
    return {
        "seconds": after.seconds,
        "calls": after.calls,
        "tokens": after.tokens,
        "cost_usd": None if after.cost_nusd is None else usd(after.cost_nusd),
        "where": after.where or None,
        "unknown": after.unknown or None,
    }


def as_text(snapshot: Snapshot) -> str:
    """The totals and one line per row, for a pipe or a terminal without a screen."""
    counts = "  ".join(f"{count} {state}" for state, count in snapshot.counts if count) or "no agents running"
    totals, forecast = snapshot.totals, snapshot.forecast
    head = (
        f"{counts}   {totals.tokens_per_min:,.0f} tok/min   {'≥' * snapshot.burn_is_partial}{money(totals.burn_nusd_per_h)}/h"
        f"   today {today_text(snapshot)}"
    )
    if snapshot.today.unpriced_tokens:
        head += f" + {snapshot.today.unpriced_tokens:,} tokens unpriced"
    if forecast is not None and forecast.method != "none":
        head += f" -> {money(forecast.projected_nusd)} ({money(forecast.low_nusd)} to {money(forecast.high_nusd)})"
    notes = [
        f"! {d.source}: {d.detail or d.kind}" + (f" ({d.count}x)" if d.count > 1 else "")
        for d in snapshot.health
    ]
    if not snapshot.rows:
        looked = [f"  {where.label:<12} {where.path}: {where.found}" for where in snapshot.looked]
        return "\n".join([head, "", "Looked for logs in", *looked, *notes])
    heads = ["STATUS", "AGENT", "PROJECT", "SESSION", "MODEL", "PID", "TOK/MIN", "$/H", "COST", "CTX"]
    table = plain_table(heads, [_line(row) for row in snapshot.rows], left=5)
    return "\n".join([head, "", table, *notes])


def _line(row: Row) -> list[str]:
    tree = row.tree
    state = row.status.detail[:14] if row.status.state == "tool" and row.status.detail else row.status.state
    burn = "?" if _burn_unknown(tree) else f"{tree.burn_nusd_per_h / 1e9:.2f}"
    rates = [f"{tree.tokens_per_min:,.0f}", burn, money(tree.cost_nusd)]
    if is_unknown(row, tree):
        rates = ["?", "?", "?"]
    elif _cost_unknown(tree):
        rates[2] = "unpriced" if tree.unpriced_tokens else "?"
    else:
        rates[2] = "≥" * bool(tree.unknown_calls or tree.unpriced_tokens) + "≈" * tree.estimated + rates[2]
    context = (
        f"{100 * row.context_used / row.context_window:.0f}%"
        if row.context_used and row.context_window
        else "?"
    )
    pid = "-" if row.pid is None else ("~" if row.confidence == "inferred" else "") + str(row.pid)
    return [
        ("~" if row.status.inferred else "") + state, row.agent, row.project[:16],
        "  " * row.depth + (row.title or row.command)[:50], row.model[:24] or "?" * (row.kind == "agent"), pid,
        *rates, context,
    ]  # fmt: skip
