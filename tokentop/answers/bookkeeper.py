"""The answer for the screen "Limits & bill": what the live state knows, what the store holds, where providers stand.

Nothing here runs while nobody looks. `known` is for the collector's thread, which owns the live state; `Bookkeeper`
reads the store with a connection of its own and looks for keys in the thread of who asks.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from datetime import tzinfo
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from tokentop.engine.budget import By, periods
from tokentop.engine.correction import Corrected, correct
from tokentop.engine.day_totals import by_day
from tokentop.engine.days import day_bounds
from tokentop.engine.live import LiveState
from tokentop.engine.plans import covered_agents, estimated, set_windows, split
from tokentop.engine.statement import Bills, Day, Statement, cumulated
from tokentop.nouns.billing import Balance, ProviderState, Standing
from tokentop.nouns.money import Quota
from tokentop.pricing.table import PriceTable
from tokentop.settings.config import Settings
from tokentop.settings.spending import Plan
from tokentop.store import bills, db, reader
from tokentop.store.compare import examine
from tokentop.store.ours import collect
from tokentop.store.slots import SLOT_MS

SLOW_MS = 60_000  # what changes slowly is worked out anew after this, and when a provider has told something
KEYS_MS = 30_000  # between two looks at which keys there are


class Sums(Struct, frozen=True):
    """List value in nano-dollars by agent, of the local month so far and of today."""

    month: Mapping[str, int] = {}
    today: Mapping[str, int] = {}


def known(
    live: LiveState, connection: sqlite3.Connection | None, zone: tzinfo, earlier: By, wall_ms: int
) -> tuple[Statement, Sums]:
    """What is known at once. `earlier` = spend of the month before today, by (agent, project). sqlite3.Error."""
    found = Statement(
        wall_ms, live.mode, live.progress.reading, today=live.today, forecast=live.forecast,
        quotas=live.limits.at(wall_ms), budgets=live.budgets,
        hooked=any(quota.source == "hook" for quota in live.limits.quotas.values()),
    )  # fmt: skip
    if connection is None or live.forecast is None:
        return found, Sums()
    start_ms, end_ms, _ = day_bounds(wall_ms, zone)
    slots = reader.cost_by_slot(connection, start_ms, end_ms)
    spent = cumulated(slots, SLOT_MS, start_ms, wall_ms, live.forecast.today_nusd)
    today = by_agent(reader.spent_by(connection, start_ms, end_ms))
    month = by_agent(earlier) + today
    agents = frozenset(agent for agent, nusd in month.items() if nusd)
    return replace(found, day=Day(start_ms, end_ms, spent), agents=agents), Sums(dict(month), dict(today))


def by_agent(by: By) -> Counter[str]:
    """Nano-dollars by agent, of those by (agent, project)."""
    out: Counter[str] = Counter()
    for (agent, _), nusd in by.items():
        out[agent] += nusd
    return out


def plan_windows(
    connection: sqlite3.Connection, plans: Iterable[Plan], quotas: Iterable[Quota], at_ms: int
) -> tuple[Quota, ...]:
    """The windows that the settings name and nothing tells, from what was used in that time. sqlite3.Error."""
    wanted = set_windows(plans, quotas)
    used: dict[tuple[str, int], int] = {}
    for minutes in {minutes for _, minutes in wanted}:
        spent = by_agent(reader.spent_by(connection, at_ms - minutes * 60_000, at_ms + SLOT_MS))
        used |= {(agent, minutes): nusd for agent, nusd in spent.items()}
    return estimated(wanted, used, at_ms)


class _Slow(Struct, frozen=True):
    """What is kept between two questions."""

    at_ms: int
    stamp: object
    credits_milli: Mapping[str, int]
    bills: Bills
    corrected: Corrected | None


class Bookkeeper:
    """Completes what `known` gave. One question at a time; what has not changed is not worked out again."""

    def __init__(
        self, folder: Path, environ: Mapping[str, str], settings: Settings, zone: tzinfo, table: Callable[[], PriceTable]
    ) -> None:  # fmt: skip
        self._folder, self._environ, self._settings, self._zone = folder, environ, settings, zone
        self._prices = table
        self._table: PriceTable | None = None
        self._slow: _Slow | None = None
        self._standings: tuple[int, object, tuple[Standing, ...]] = (0, None, ())

    def complete(self, found: Statement, sums: Sums) -> Statement:
        """Add plans, providers and bills; what cannot be looked up is named in `problems`."""
        try:
            connection = db.open_reader(self._folder)
        except (db.StoreError, sqlite3.Error) as error:
            return replace(found, providers=self._providers([], [], found.at_ms), problems=(str(error),))
        with closing(connection):
            try:
                found = self._with_providers(connection, found)
                slow = self._look(connection, found)
                windows = plan_windows(connection, self._settings.plans, found.quotas, found.at_ms)
            except sqlite3.Error as error:
                return replace(found, problems=(f"the store cannot be read: {error}",))
            found = replace(found, quotas=(*found.quotas, *windows))
        plans = None
        if found.day is not None:
            plans = split(self._settings.plans, found.quotas, sums.month, sums.today, slow.credits_milli)
        return replace(found, plans=plans, bills=slow.bills, corrected=slow.corrected)

    # ------------------------------------------------------------ what changes slowly

    def _look(self, connection: sqlite3.Connection, found: Statement) -> _Slow:
        told = connection.execute("SELECT count(*), max(fetched_ms) FROM bill_day").fetchone()
        start_ms, _, day = day_bounds(found.at_ms, self._zone)
        stamp = (told, day, covered_agents(self._settings.plans, found.quotas))
        last = self._slow
        if last is not None and last.stamp == stamp and 0 <= found.at_ms - last.at_ms < SLOW_MS:
            return last
        used: Counter[str] = Counter()
        month = periods(found.at_ms, self._zone)["month"]
        for slot, milli in reader.logged_credits(connection, reader.Filter(), month):
            used[slot.agent] += milli
        compared, corrected = Bills(), None
        if told[0]:
            compared, corrected = self._compare(connection, found, start_ms)
        self._slow = _Slow(found.at_ms, stamp, dict(used), compared, corrected)
        return self._slow

    def _compare(
        self, connection: sqlite3.Connection, found: Statement, start_ms: int
    ) -> tuple[Bills, Corrected | None]:
        """Our figures beside the providers', and what settled days say about today."""
        if self._table is None:
            self._table = self._prices()
        on_plan = covered_agents(self._settings.plans, found.quotas)

        def covered(agent: str, _provider: str, _at_ms: int) -> bool:
            return agent in on_plan

        result = examine(connection, self._table, covered, found.at_ms)
        days = by_day(result.report.lines)
        compared = Bills(
            days, sum(row.cost_nusd for row in result.covered), tuple(result.report.discounts.items()),
            result.reported,
        )  # fmt: skip
        if not result.factors or found.forecast is None:
            return compared, None
        since_today = reader.Filter(start_ms, found.at_ms + 1)
        paid: Counter[str] = Counter()
        for row in collect(connection, since_today, self._table, PriceTable(), covered).paid:
            paid[row.provider] += row.cost_nusd
        return compared, correct(found.forecast, paid, result.factors)

    # ------------------------------------------------------------ providers

    def _with_providers(self, connection: sqlite3.Connection, found: Statement) -> Statement:
        states, balances = bills.states(connection), bills.balances(connection)
        return replace(found, providers=self._providers(states, balances, found.at_ms))

    def _providers(
        self, states: list[ProviderState], balances: list[Balance], at_ms: int
    ) -> tuple[Standing, ...]:
        """Where each provider stands; which keys there are is looked up now and then."""
        looked_ms, known_by, standings = self._standings
        if known_by == (states, balances) and 0 <= at_ms - looked_ms < KEYS_MS:
            return standings
        from tokentop.polling.standing import (
            standing,  # what asks providers is not needed for anything else here
        )
        from tokentop.providers import all_providers

        own = self._settings.providers
        standings = tuple(
            standing(one, own.get(one.id), self._environ, states, balances, at_ms) for one in all_providers()
        )
        self._standings = (at_ms, (states, balances), standings)
        return standings
