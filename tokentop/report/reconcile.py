"""`tokentop reconcile`: our figures beside the provider's, by UTC day and model, the difference explained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
from tokentop.text import clean, digits3

from . import access
from .out import iso, money, plain_table, print_json, usd


def run(since: str | None, keys: Sequence[str], as_json: bool, split: bool = False) -> int:
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
        by_key = keys_of(store.db, result, keys) if as_json or split else ()
    if as_json:
        print_json(document(result, at_ms, by_key))
    elif result.reported:
        print(text(result))
        if split:
            print(f"\n{key_text(by_key)}")
    if not result.reported:
        raise NothingMatched(f"{_nothing(result)}; see: tokentop providers")
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


# ---------------------------------------------------------------- for people


def text(result: Result) -> str:
    """A line a day and model; below what does not match, the pieces of the difference."""
    heads = (
        "day",
        "provider",
        "model",
        "ours",
        "theirs",
        "cover",
        "ours $",
        "theirs $",
        "difference",
        "verdict",
    )
    rows: list[tuple[str, ...]] = []
    notes: list[str] = []
    for line in result.report.lines:
        rows.append(_cells(line))
        if line.verdict not in (Verdict.MATCH, Verdict.NONE):
            notes += _explained(line)
    out = [plain_table(heads, rows, 3)] if rows else []
    if notes:
        out += ["", *notes]
    for provider, ratio in result.report.discounts.items():
        out += [
            "",
            f"{provider}: billed at {ratio:.1%} of list price, a discount of {1 - ratio:.1%} on all models",
        ]
    for f in result.factors:
        ours, expected, low, high = result.today[f.provider]
        out += ["", f"{f.provider} today: {money(ours)} in our logs; by the last {f.days} settled days the bill will say"
                    f" {money(expected)} ({money(low)} to {money(high)}), {f.ratio:.3f} for each dollar here"]  # fmt: skip
    if result.covered:
        out += ["", f"not compared: {_covered(result)}"]
    return "\n".join(out)


def _nothing(result: Result) -> str:
    """Why there is nothing to compare."""
    if result.covered:
        return f"no provider has told a bill of these days, and {_covered(result)}"
    return "no provider has told a bill of these days"


def _covered(result: Result) -> str:
    """What plans pay is never called a discrepancy."""
    value = sum(row.cost_nusd for row in result.covered)
    return f"{money(value)} at list price is covered by plans: no call is billed"


def _cells(line: Line) -> tuple[str, ...]:
    gap = line.difference_nusd
    return (
        line.day_utc + ("" if line.final else " *"),
        line.provider,
        clean(line.model, 40) or line.kind.replace("_", " "),
        digits3(line.ours.total),
        "?" if line.theirs is None else digits3(line.theirs.total),
        "–" if line.coverage is None else f"{line.coverage:.1%}",
        money(line.ours_nusd),
        "?" if line.list_nusd is None else money(line.list_nusd),
        "–" if gap is None else money(gap) if gap >= 0 else "-" + money(-gap),
        line.verdict.value,
    )


def key_text(keys: Sequence[KeyLine]) -> str:
    """A line a day, key and model; ours where it is known to be of that key."""
    heads = ("day", "provider", "key", "model", "ours", "theirs", "cover", "ours $", "theirs $")
    rows = [
        (
            one.day_utc + ("" if one.final else " *"),
            one.provider,
            (clean(one.name, 30) or clean(one.key, 30)) if one.key else "not split",
            clean(one.model, 40) or "-",
            "?" if one.ours is None else digits3(one.ours.total),
            "?" if one.theirs is None else digits3(one.theirs.total),
            "–" if one.coverage is None else f"{one.coverage:.1%}",
            "?" if one.ours_nusd is None else money(one.ours_nusd),
            "?" if one.list_nusd is None else money(one.list_nusd),
        )
        for one in keys
    ]
    note = "logs do not name keys: ours is known where one key alone was used; --key ID names this machine's"
    return f"{plain_table(heads, rows, 4)}\n\n{note}" if rows else "no report splits these days by key"


def _explained(line: Line) -> Iterable[str]:
    yield f"{line.day_utc} {line.provider} {clean(line.model, 60) or line.kind}: {line.verdict.value}, {line.reason}"
    for part in line.parts:
        sign = "-" if part.nusd < 0 else "+"
        yield f"    {sign}{money(abs(part.nusd))}  {part.name}"
