"""Our side of the reconciliation: what the store holds of each UTC day, by who bills it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from msgspec import Struct

from tokentop.engine.days import DAY_MS
from tokentop.engine.reconcile import WEB_SEARCH, Ours
from tokentop.nouns.usage import Tokens
from tokentop.pricing.names import host_of
from tokentop.pricing.rates import Rates
from tokentop.pricing.table import PriceTable

from . import by_day, daily
from .slots import SLOT_MS, Filter, Slot
from .usage import usage
from .usage_of_calls import web_searches

Covered = Callable[[str, str, int], bool]  # (agent, provider, at_ms): a subscription paid, there is no bill


class Sides(Struct, frozen=True):
    """Rows that an API key paid, and rows that a plan covered: those have no provider dollar to compare."""

    paid: tuple[Ours, ...]
    covered: tuple[Ours, ...]


class _Sum(Struct):
    tokens: Tokens = Tokens()
    cost_nusd: int = 0
    unpriced_tokens: int = 0
    unknown_calls: int = 0
    estimated: bool = False
    responses: int = 0


_Key = tuple[bool, str, str, str, str]  # covered, provider, UTC day, model, kind


def collect(
    db: sqlite3.Connection, wanted: Filter, table: PriceTable, listed: PriceTable, covered: Covered
) -> Sides:
    """What the store holds between two UTC midnights. Web searches stand apart, as they do on bills.

    `table` has the prices that were used, `listed` the list prices alone: they tell whose model it is.
    """
    sums: dict[_Key, _Sum] = {}

    def sum_of(slot: Slot, kind: str) -> _Sum:
        provider = biller(slot, listed)
        key = (covered(slot.agent, provider, slot.slot_ms), provider, utc_day(slot.slot_ms), slot.model, kind)
        return sums.setdefault(key, _Sum())

    for slot in _by_utc_day(db, wanted):
        row = sum_of(slot, "tokens")
        row.tokens += slot.tokens
        row.cost_nusd += slot.cost_nusd
        row.unpriced_tokens += slot.unpriced_tokens
        row.unknown_calls += slot.unknown_calls
        row.responses += slot.responses
        row.estimated = row.estimated or slot.estimated or slot.cost_estimated
    for slot, searches in web_searches(db, wanted):
        nusd = searches * _rates(slot, table).web_search
        sum_of(slot, "tokens").cost_nusd -= nusd
        sum_of(slot, WEB_SEARCH).cost_nusd += nusd
    rows = [
        (key[0], Ours(key[1], key[2], key[3], s.tokens, s.cost_nusd, s.unpriced_tokens, s.unknown_calls,
                      s.estimated, key[4], s.responses))
        for key, s in sorted(sums.items())
    ]  # fmt: skip
    return Sides(tuple(r for plan, r in rows if not plan), tuple(r for plan, r in rows if plan))


def _by_utc_day(db: sqlite3.Connection, wanted: Filter) -> Iterator[Slot]:
    """By agent, provider and model, too: from the sums of local days where those are UTC days."""
    names = ("agent", "provider", "model")
    if daily.is_of(db, UTC):
        return by_day.sums(db, wanted, ("day", *names), UTC)
    return usage(db, wanted, by_slot=True, by=names, width=DAY_MS // SLOT_MS)


def biller(slot: Slot, listed: PriceTable) -> str:
    """Who sends the bill: the provider that the log names, else the one whose price list has the model."""
    if slot.provider:
        return host_of(slot.provider) or slot.provider.strip().lower()
    return _rates(slot, listed).rates_id.partition("/")[0] or "unknown"


def _rates(slot: Slot, table: PriceTable) -> Rates:
    return table.resolve(provider=slot.provider, model=slot.model, at_ms=slot.slot_ms)


def utc_day(at_ms: int) -> str:
    """The UTC calendar day as ISO text, whatever the local one is."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
