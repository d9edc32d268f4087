"""Our figures beside the provider's, from the store: what `engine.reconcile` compares, and what it teaches."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct

from tokentop.engine.by_key import KeyLine, by_key
from tokentop.engine.correction import Factor, learned
from tokentop.engine.reconcile import Line, NameOf, Ours, RatesOf, Report, Verdict, reconcile
from tokentop.pricing.names import normal
from tokentop.pricing.rates import Rates
from tokentop.pricing.table import PriceTable

from . import bills
from .ours import Covered, collect, utc_day
from .slots import Filter

DAYS = 7
LEARN_DAYS = 14  # as far back as the factor looks for seven settled days


class Result(Struct, frozen=True):
    """One reconciliation. `today` = (ours, the provider's figure to expect, low, high) where a factor is known."""

    since_day: str
    until_day: str  # exclusive
    report: Report
    covered: tuple[Ours, ...]
    factors: tuple[Factor, ...]
    today: Mapping[str, tuple[int, int, int, int]]
    reported: bool  # any provider has told any of these days


def examine(
    db: sqlite3.Connection, table: PriceTable, covered: Covered, now_ms: int, since_day: str = "",
    keys: Sequence[str] = (),
) -> Result:  # fmt: skip
    """Compare the UTC days from `since_day` (default: the last 7 and today) to today. Raises sqlite3.Error."""
    today = utc_day(now_ms)
    until = _plus(today, 1)
    since = since_day or _plus(today, -DAYS)
    wide = _compare(db, table, covered, min(since, _plus(today, -LEARN_DAYS)), until, frozenset(keys))
    report, plans, reported = wide
    providers = sorted({line.provider for line in report.lines if line.verdict is not Verdict.NONE})
    factors = tuple(f for p in providers if (f := learned(report.lines, p)) is not None)
    shown = tuple(line for line in report.lines if line.day_utc >= since)
    return Result(
        since, until, Report(shown, report.discounts), tuple(row for row in plans if row.day_utc >= since),
        factors, {f.provider: _expected(shown, today, f) for f in factors}, reported,
    )  # fmt: skip


def keys_of(db: sqlite3.Connection, result: Result, mine: Sequence[str] = ()) -> tuple[KeyLine, ...]:
    """The bills of these days by key, with ours where it is known whose it is. Raises sqlite3.Error."""
    told = bills.lines(db, result.since_day, result.until_day)
    return by_key(told, result.report.lines, _names(PriceTable()), bills.names(db), frozenset(mine))


def _expected(lines: Iterable[Line], today: str, factor: Factor) -> tuple[int, int, int, int]:
    ours = sum(line.ours_nusd for line in lines if line.day_utc == today and line.provider == factor.provider)
    return ours, *factor.apply(ours)


def _compare(
    db: sqlite3.Connection, table: PriceTable, covered: Covered, since: str, until: str, keys: frozenset[str]
) -> tuple[Report, tuple[Ours, ...], bool]:
    wanted = Filter(_start_ms(since), _start_ms(until))
    listed = PriceTable()
    sides = collect(db, wanted, table, listed, covered)
    days = _days(bills.known_days(db, since, until))
    told = {provider for provider, _ in days}
    report = reconcile(
        (row for row in sides.paid if row.provider in told), bills.bills(db, since, until), days,
        [f"{p}.{s}" for order in (bills.COST_SOURCES, bills.USAGE_SOURCES) for p, names in order.items() for s in names],
        _rates(table), _names(listed), keys,
    )  # fmt: skip
    return report, sides.covered, bool(days)


def _days(known: Iterable[bills.KnownDay]) -> dict[tuple[str, str], bool]:
    """{(provider, UTC day): settled}: every report of it that is known was fetched after it had settled."""
    days: dict[tuple[str, str], bool] = {}
    for one in known:
        provider, _, source = one.source.partition(".")
        if source in bills.USAGE_SOURCES.get(provider, ()) or source in bills.COST_SOURCES.get(provider, ()):
            place = (provider, one.day)
            days[place] = days.get(place, True) and one.final
    return days


def _rates(table: PriceTable) -> RatesOf:
    def rates(provider: str, model: str, day: str) -> Rates:
        return table.resolve(provider=provider, model=model, at_ms=_start_ms(day))

    return rates


def _names(listed: PriceTable) -> NameOf:
    """Every id of a model as the price list calls it; one that is not listed by its own id."""

    def name(provider: str, model: str) -> str:
        found = listed.resolve(provider=provider, model=model, at_ms=0).rates_id
        return found.partition("/")[2] or normal(model)

    return name


def _start_ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def _plus(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
