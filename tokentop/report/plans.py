"""`tokentop plans`: subscriptions with their leverage and windows, and what is paid beside them."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from tokentop.answers.bookkeeper import by_agent, plan_windows
from tokentop.engine.budget import periods
from tokentop.engine.pace import ahead_pct
from tokentop.engine.plans import SETTINGS, Covered, Split, split
from tokentop.nouns.money import Quota
from tokentop.settings.load import load
from tokentop.settings.zone import local_zone
from tokentop.store import reader
from tokentop.text import at_clock, clock_near, percent, window_name

from . import access
from .live import check_complete, one_snapshot
from .out import iso, money, plain_table, print_json, usd
from .usage import collect, total_of


def plans(as_json: bool) -> int:
    """Print each plan with what it covered this month, and the rest of the spend."""
    picture = one_snapshot()
    check_complete(picture)
    zone = local_zone(os.environ)
    bounds = periods(picture.at_ms, zone)
    with access.opened(quiet=as_json) as store:
        month = by_agent(reader.spent_by(store.db, *bounds["month"]))
        today = by_agent(reader.spent_by(store.db, *bounds["day"]))
        unpriced = total_of(collect(store.db, reader.Filter(*bounds["month"]), (), zone)).unpriced_tokens
        used: Counter[str] = Counter()
        for slot, milli in reader.logged_credits(store.db, reader.Filter(), bounds["month"]):
            used[slot.agent] += milli
        own = load(os.environ).plans
        quotas = (*picture.quotas, *plan_windows(store.db, own, picture.quotas, picture.at_ms))
    found = split(own, quotas, month, today, used)
    if as_json:
        print_json(document(found, picture.at_ms, unpriced))
    else:
        print(as_text(found, picture.at_ms, unpriced))
    return 0


def document(found: Split, at_ms: int, unpriced_tokens: int = 0) -> dict[str, Any]:
    """`tokentop.plans/1`: the local month so far; amounts are exact decimal strings, null = not known."""
    return {
        "schema": "tokentop.plans/1", "generated_at": iso(at_ms),
        "plans": [
            {"agent": plan.agent, "names": list(plan.names), "source": plan.source, "fee_usd": _maybe(plan.fee_nusd),
             "list_value_usd": usd(plan.month_nusd), "list_value_today_usd": usd(plan.today_nusd),
             "leverage": plan.leverage, "windows": [_window(quota, at_ms) for quota in plan.quotas]}
            for plan in found.plans
        ],
        "covered_usd": usd(found.covered_nusd), "fee_usd": _maybe(found.fee_nusd), "leverage": found.leverage,
        "cash_usd": usd(found.cash_nusd), "cash_today_usd": usd(found.cash_today_nusd),
        "credits": {agent: milli / 1000 for agent, milli in found.credits_milli.items()},
        "unpriced_tokens": unpriced_tokens,
    }  # fmt: skip


def _window(quota: Quota, at_ms: int) -> dict[str, Any]:
    over = 0 < quota.resets_at_ms <= at_ms
    return {
        "account": quota.account or None, "limit": quota.limit_id, "window_minutes": quota.window_minutes,
        "used_pct": None if over else quota.used_pct,
        "ahead_pct": ahead_pct(quota.used_pct, quota.window_minutes, quota.resets_at_ms, at_ms),
        "full_at": iso(quota.full_at_ms) if quota.full_at_ms else None,
        "resets_at": iso(quota.resets_at_ms) if quota.resets_at_ms else None, "at": iso(quota.at_ms), "source": quota.source,
    }  # fmt: skip


def _maybe(nusd: int | None) -> str | None:
    return None if nusd is None else usd(nusd)


def as_text(found: Split, at_ms: int, unpriced_tokens: int = 0) -> str:
    lines = []
    if found.plans:
        rows = [
            [plan.agent, ", ".join(plan.names) or "?", plan.source,
             "?" if plan.fee_nusd is None else money(plan.fee_nusd), money(plan.month_nusd), _times(plan.leverage)]
            for plan in found.plans
        ]  # fmt: skip
        lines.append(
            plain_table(["AGENT", "PLAN", "KNOWN FROM", "FEE", "LIST VALUE", "LEVERAGE"], rows, left=3)
        )
        lines += [_window_line(plan, quota, at_ms) for plan in found.plans for quota in plan.quotas]
        lines.append("")
    else:
        lines.append("no plan is known; name yours under [[plans]] in the settings")
    month = [f"{money(found.cash_nusd)} cash at list price, {money(found.cash_today_nusd)} of it today"]
    if found.plans:
        fees = "a fee is not known" if found.leverage is None else f"{_times(found.leverage)} their fees"
        month.insert(0, f"{money(found.covered_nusd)} covered by plans ({fees}),")
    if unpriced_tokens:
        month.append(f"{unpriced_tokens:,} tokens have no price and are not in it")
    month += [f"{milli / 1000:,.2f} credits of {agent}" for agent, milli in found.credits_milli.items()]
    lines += [f"{'this month:' if at == 0 else '':<11} {part}" for at, part in enumerate(month)]
    return "\n".join(lines)


def _times(leverage: float | None) -> str:
    return "?" if leverage is None else f"{leverage:.1f}x"


def _window_line(plan: Covered, quota: Quota, at_ms: int) -> str:
    name = " ".join(part for part in (plan.agent, quota.account, window_name(quota.window_minutes)) if part)
    name += "" if quota.limit_id == plan.agent else f" {quota.limit_id}"
    if 0 < quota.resets_at_ms <= at_ms:
        return f"  {name}: unknown since its reset {at_clock(quota.resets_at_ms, at_ms)}"
    if quota.source == SETTINGS:
        return f"  {name}: about {percent(quota.used_pct)} used, by the list value of that time before now"
    ahead = ahead_pct(quota.used_pct, quota.window_minutes, quota.resets_at_ms, at_ms)
    pace = "" if ahead is None else f", {abs(ahead):.0f}% {'ahead of' if ahead >= 0 else 'below'} even use"
    end = f", resets {clock_near(quota.resets_at_ms, at_ms)}" if quota.resets_at_ms else ""
    if quota.full_at_ms:
        end = f", full {clock_near(quota.full_at_ms, at_ms)}"
    return f"  {name}: {percent(quota.used_pct)} used{pace}{end}"
