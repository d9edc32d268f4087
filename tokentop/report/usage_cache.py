"""`tokentop usage --cache`: how much of the prompts came from the cache, what that saved, and what was paid above the
base price. From sums of days: a price is that of the day."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import timedelta, tzinfo
from itertools import pairwise
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tokentop.engine.days import local, midnight_ms
from tokentop.nouns.usage import Tokens
from tokentop.pricing.rates import Rates
from tokentop.pricing.table import PriceTable
from tokentop.store import by_day
from tokentop.store.reader import Filter, Slot
from tokentop.text import clean

from .out import fitted_table, iso, money, room, usd, wrapped
from .usage import value_of

_MILLION = 1_000_000
_DAY = timedelta(days=1)
_MOST_CHANGES = 8  # of prices in the time asked for: each reads up to two months of days


class Cached(Struct):
    """One group. Money in nano-dollars, of what has a price; tokens without one are counted apart."""

    key: tuple[str, ...]
    prompt: int = 0
    read: int = 0
    written: int = 0
    cost_nusd: int = 0
    saved_nusd: float = 0.0  # against reading the same as new input
    writes_nusd: float = 0.0  # what writing it cost above new input
    above_nusd: float = 0.0  # cost above the base price of the same tokens
    unpriced: int = 0


def collect(
    db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo, prices: PriceTable
) -> list[Cached]:
    """The groups by their keys. sqlite3.Error."""
    found: dict[tuple[str, ...], Cached] = {}
    rates: dict[tuple[str, str], tuple[Rates, tuple[float, ...] | None]] = {}  # as they were last asked for
    for slot, at_ms in _slots(db, wanted, by, zone, prices):
        key = tuple(value_of(slot, name, zone) for name in by)
        one = found.setdefault(key, Cached(key))
        name = slot.provider, slot.model
        valid = prices.resolve(provider=slot.provider, model=slot.model, at_ms=at_ms)
        known = rates.get(name)
        if known is None or known[0] is not valid or valid.off_peak is not None:  # that differs by the time
            known = rates[name] = (valid, _rates(valid, at_ms))
        _add(one, slot, known[1])
    return [found[key] for key in sorted(found)]


def _slots(
    db: sqlite3.Connection, wanted: Filter, by: Sequence[str], zone: tzinfo, prices: PriceTable
) -> Iterator[tuple[Slot, int]]:
    """Sums and the time of their prices: of days only where they are asked for, or prices change all the time."""
    names = dict.fromkeys([*by, "provider", "model"])
    changes = None if "day" in names else _changes(db, wanted, zone, prices)
    if changes is None:
        for slot in by_day.sums(db, wanted, list(names | {"day": None}), zone):
            yield slot, slot.slot_ms
        return
    for since_ms, until_ms in pairwise([wanted.since_ms, *changes, wanted.until_ms]):
        at_ms = midnight_ms(local(since_ms, zone).date(), zone) if since_ms is not None else 0
        for slot in by_day.sums(db, replace(wanted, since_ms=since_ms, until_ms=until_ms), list(names), zone):
            yield slot, at_ms


def _changes(db: sqlite3.Connection, wanted: Filter, zone: tzinfo, prices: PriceTable) -> list[int] | None:
    """The midnights within a time from which on a model has another price. None = too many to count."""
    begins: set[int] = set()
    for provider, model in db.execute("SELECT provider, name FROM model"):
        for since_ms, rates in prices.history(provider=provider, model=model):
            if rates.off_peak is not None:
                return None
            if since_ms > 0:
                midnight = midnight_ms(local(since_ms, zone).date(), zone)
                begins.add(
                    midnight
                    if midnight == since_ms
                    else midnight_ms(local(since_ms, zone).date() + _DAY, zone)
                )
    since, until = wanted.since_ms, wanted.until_ms
    found = [at for at in sorted(begins) if (since is None or since < at) and (until is None or at < until)]
    return found if len(found) <= _MOST_CHANGES else None


def _rates(rates: Rates, at_ms: int) -> tuple[float, ...] | None:
    """Nano-dollars of a token at the base price: input, read, write 5m, write 1h, output; None = it has no price."""
    found = []
    for at in range(5):
        tokens = Tokens(*(_MILLION if place == at else 0 for place in range(5)))
        nusd, _ = rates.cost(tokens, at_ms=at_ms, cumulative=True)
        if nusd is None:
            return None
        found.append(nusd / _MILLION)
    return tuple(found)


def _add(one: Cached, slot: Slot, rates: tuple[float, ...] | None) -> None:
    tokens = slot.tokens
    counts = (tokens.input, tokens.cache_read, tokens.cache_write_5m, tokens.cache_write_1h, tokens.output)
    one.prompt += tokens.prompt
    one.read += tokens.cache_read
    one.written += tokens.cache_write_5m + tokens.cache_write_1h
    one.cost_nusd += slot.cost_nusd
    if rates is None or slot.unpriced_tokens:
        one.unpriced += tokens.total
        return
    fresh = rates[0]
    one.saved_nusd += tokens.cache_read * (fresh - rates[1])
    one.writes_nusd += counts[2] * (rates[2] - fresh) + counts[3] * (rates[3] - fresh)
    one.above_nusd += slot.cost_nusd - sum(count * rate for count, rate in zip(counts, rates, strict=True))


def total_of(groups: Sequence[Cached]) -> Cached:
    total = Cached(())
    for one in groups:
        for name in (
            "prompt",
            "read",
            "written",
            "cost_nusd",
            "saved_nusd",
            "writes_nusd",
            "above_nusd",
            "unpriced",
        ):
            setattr(total, name, getattr(total, name) + getattr(one, name))
    return total


def as_text(groups: Sequence[Cached], by: Sequence[str]) -> str:
    heads = [
        *(name.upper() for name in by),
        "PROMPT",
        "READ",
        "WRITTEN",
        "COST",
        "SAVED",
        "WRITES",
        "NET",
        "ABOVE",
    ]
    rows = [[*(clean(part, 40) for part in one.key), *_cells(one)] for one in groups]
    total = total_of(groups)
    if len(groups) != 1:
        rows.append([*(["total", *[""] * (len(by) - 1)] if by else []), *_cells(total)])
    notes = [
        "SAVED: cache reads against the price of new input; WRITES: what cache writes cost above it; NET: the difference",
        "ABOVE: cost above the base price of the same tokens: long contexts, faster tiers, regions, web searches",
    ]
    if total.unpriced:
        notes.append(f"{total.unpriced:,} tokens without a price are only in PROMPT, READ and WRITTEN")
    cells = room()
    said = [part for note in notes for part in wrapped(note, cells, 2)]
    return "\n".join(
        [fitted_table(heads, rows, len(by), cells, least={"PROJECT": 12, "MODEL": 12}), "", *said]
    )


def _cells(one: Cached) -> list[str]:
    share = [f"{100 * part / one.prompt:.1f} %" if one.prompt else "" for part in (one.read, one.written)]
    if one.unpriced and not one.cost_nusd:
        return [f"{one.prompt:,}", *share, "unpriced", *[""] * 4]
    sums = (one.saved_nusd, one.writes_nusd, one.saved_nusd - one.writes_nusd, one.above_nusd)
    cost = "≥" * bool(one.unpriced) + money(one.cost_nusd)
    return [f"{one.prompt:,}", *share, cost, *(money(round(nusd)) for nusd in sums)]


def document(groups: Sequence[Cached], by: Sequence[str], at_ms: int) -> dict[str, Any]:
    """`tokentop.cache/1`."""

    def sums(one: Cached) -> dict[str, Any]:
        return {
            "prompt_tokens": one.prompt, "cache_read_tokens": one.read, "cache_write_tokens": one.written,
            "cost_usd": usd(one.cost_nusd), "saved_usd": usd(round(one.saved_nusd)),
            "writes_usd": usd(round(one.writes_nusd)), "above_base_usd": usd(round(one.above_nusd)),
            "unpriced_tokens": one.unpriced,
        }  # fmt: skip

    return {
        "schema": "tokentop.cache/1", "generated_at": iso(at_ms), "by": list(by),
        "rows": [dict(zip(by, one.key, strict=True)) | sums(one) for one in groups],
        "totals": sums(total_of(groups)),
    }  # fmt: skip
