"""What a ledger adds up to: the numbers that tokentop must show."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import clients

BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
# list prices in dollars per million tokens, in the order of BUCKETS (reasoning is paid as output)
PRICES = {
    clients.CLAUDE_MODEL: ("3", "0.3", "3.75", "6", "15", "0"),
    clients.CODEX_MODEL: ("1.25", "0.125", "0", "0", "10", "0"),
}


def summed(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """The buckets of complete, billed ledger rows, added up, with their number as `responses`."""
    total = dict.fromkeys((*BUCKETS, "responses"), 0)
    for row in rows:
        if row["complete"] and row["status"] == 200:
            total["responses"] += 1
            for name in BUCKETS:
                total[name] += row["billed"][name]
    return total


def price(rows: Iterable[dict[str, Any]]) -> Decimal:
    """Dollars at list price of complete ledger rows."""
    dollars = Decimal(0)
    for row in rows:
        if row["complete"] and row["status"] == 200:
            rates = PRICES[row["model"]]
            for name, rate in zip(BUCKETS, rates, strict=True):
                dollars += Decimal(rate) * row["billed"][name] / 1_000_000
    return dollars


def billed(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """`summed` and `price` of the same ledger rows: what one row of a usage report must say."""
    rows = list(rows)
    return summed(rows) | {"cost": price(rows)}


def by_agent(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """`billed` of each agent that has complete calls."""
    rows = list(rows)
    apis = {"claude": "anthropic", "codex": "responses"}
    made = {agent: billed(r for r in rows if r["api"] == api) for agent, api in apis.items()}
    return {agent: row for agent, row in made.items() if row["responses"]}
