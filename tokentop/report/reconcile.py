"""`tokentop reconcile`: our figures beside the provider's, by UTC day, the difference explained."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from tokentop.clock import now_ms
from tokentop.engine.by_key import KeyLine
from tokentop.engine.plans import covered_agents
from tokentop.engine.reconcile import Line, Verdict
from tokentop.errors import NothingMatched, UsageError
from tokentop.ledger import prices
from tokentop.nouns.usage import Tokens
from tokentop.store import reader
from tokentop.store.compare import Result, examine, keys_of
from tokentop.text import clean

from . import access
from .out import iso, print_json, usd
from .reconcile_text import key_text, model_text, nothing_told, text


def run(
    since: str | None, keys: Sequence[str], as_json: bool, *, by_model: bool = False, by_key: bool = False
) -> int:
    """The verb: 1 where a settled day is out of tolerance. Raises UsageError, Failure, NothingMatched."""
    if since is not None:
        try:
            since = date.fromisoformat(since).isoformat()
        except ValueError:
            raise UsageError(f"--since {since}: a UTC day is wanted, such as 2026-11-14") from None
    at_ms = now_ms()
    with access.opened(quiet=as_json) as store:
        on_plan = covered_agents(store.settings.plans, reader.quotas(store.db))
        result = examine(
            store.db,
            prices(store.settings),
            lambda agent, _provider, _at_ms: agent in on_plan,
            at_ms,
            since or "",
            keys,
        )
        split = keys_of(store.db, result, keys) if as_json or by_key else ()
    if as_json:
        print_json(document(result, at_ms, split))
    elif result.reported:
        print(text(result))
        if by_model:
            print(f"\n{model_text(result)}")
        if by_key:
            print(f"\n{key_text(split)}")
    if not result.reported:
        raise NothingMatched(f"{nothing_told(result)}; see: tokentop providers")
    return 1 if any(line.off for line in result.report.lines) else 0


# ---------------------------------------------------------------- for programs


def document(result: Result, now_ms: int, keys: Sequence[KeyLine] = ()) -> dict[str, Any]:
    """`tokentop.reconcile/1`: amounts are dollars as text, null = that side does not say."""
    return {
        "schema": "tokentop.reconcile/1",
        "generated_at": iso(now_ms),
        "since": result.since_day,
        "until": result.until_day,
        "rows": [_row(line) for line in result.report.lines],
        "keys": [_key(one) for one in keys],
        "totals": _totals(result.report.lines),
        "discounts": {provider: round(1 - ratio, 6) for provider, ratio in result.report.discounts.items()},
        "not_comparable": [
            {"provider": row.provider, "day": row.day_utc, "model": clean(row.model, 120), "reason": "covered by a plan",
             "tokens": _tokens(row.tokens), "list_usd": usd(row.cost_nusd)}
            for row in result.covered
        ],
        "factors": [
            {"provider": f.provider, "billed_per_dollar": round(f.ratio, 6), "low": round(f.low, 6),
             "high": round(f.high, 6), "days": f.days}
            for f in result.factors
        ],
        "today": {
            provider: {"ours_usd": usd(ours), "expected_usd": usd(expected), "low_usd": usd(low), "high_usd": usd(high)}
            for provider, (ours, expected, low, high) in result.today.items()
        },
    }  # fmt: skip


def _row(line: Line) -> dict[str, Any]:
    return {
        "provider": line.provider,
        "day": line.day_utc,
        "model": clean(line.model, 120) or None,
        "kind": line.kind,
        "verdict": line.verdict.value,
        "reason": line.reason,
        "final": line.final,
        "tokens": _tokens(line.ours),
        "provider_tokens": None if line.theirs is None else _tokens(line.theirs),
        "coverage": None if line.coverage is None else round(line.coverage, 6),
        "cost_usd": usd(line.ours_nusd),
        "provider_list_usd": None if line.list_nusd is None else usd(line.list_nusd),
        "billed_usd": None if line.billed_nusd is None else usd(line.billed_nusd),
        "difference_usd": None if line.difference_nusd is None else usd(line.difference_nusd),
        "parts": [{"name": part.name, "usd": usd(part.nusd)} for part in line.parts],
        "unpriced_tokens": line.unpriced_tokens,
        "unknown_calls": line.unknown_calls,
        "estimated": line.estimated,
    }


def _key(one: KeyLine) -> dict[str, Any]:
    def amount(nusd: int | None) -> str | None:
        return None if nusd is None else usd(nusd)

    return {
        "provider": one.provider, "day": one.day_utc, "key": clean(one.key, 120) or None,
        "name": clean(one.name, 120) or None, "model": clean(one.model, 120) or None, "final": one.final,
        "provider_tokens": None if one.theirs is None else _tokens(one.theirs),
        "provider_list_usd": amount(one.list_nusd), "billed_usd": amount(one.billed_nusd),
        "tokens": None if one.ours is None else _tokens(one.ours), "cost_usd": amount(one.ours_nusd),
        "coverage": None if one.coverage is None else round(one.coverage, 6),
    }  # fmt: skip


def _tokens(tokens: Tokens) -> dict[str, int]:
    names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
    return {name: getattr(tokens, name) for name in names}


def _totals(lines: Sequence[Line]) -> dict[str, Any]:
    compared = [line for line in lines if line.list_nusd is not None]
    ours, listed = sum(line.ours_nusd for line in compared), sum(line.list_nusd or 0 for line in compared)
    return {
        "cost_usd": usd(ours),
        "provider_list_usd": usd(listed),
        "billed_usd": usd(sum(line.billed_nusd or 0 for line in compared)),
        "difference_usd": usd(ours - listed),
        "verdicts": {v.value: n for v in Verdict if (n := sum(line.verdict is v for line in lines))},
    }
