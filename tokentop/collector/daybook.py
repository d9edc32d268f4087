"""The money of the day: what is spent, what it will come to, and what that means for the budgets.

Asks the store; starts no thread, reads no clock.
"""

from __future__ import annotations

import sqlite3
from datetime import tzinfo

from msgspec import structs

from tokentop.due import Due
from tokentop.engine.budget import RECENT_DAYS, By, Spent, limits_of, periods
from tokentop.engine.budget import judge as judge_budgets
from tokentop.engine.days import day_bounds, group_days
from tokentop.engine.forecast import HISTORY_DAYS, Forecaster
from tokentop.engine.live import LiveState
from tokentop.nouns.money import Forecast
from tokentop.settings.spending import Budgets
from tokentop.store import by_day, reader

SPENT_S = 1.0
FORECAST_S = 10.0
HISTORY_S = 900.0
STORE_MS = 15 * 60_000
MOVED_MS = 60_000  # a projection that has moved by so much is stored, at most once a minute:
BIG_SHARE, BIG_NUSD = 0.1, 1_000_000_000


class Daybook:
    """Keeps the live state's spend of today, its projection and its budgets up to date."""

    def __init__(self, live: LiveState, zone: tzinfo, budgets: Budgets) -> None:
        self.events = 0  # in the store
        self._live, self._zone = live, zone
        self._limits = limits_of(budgets)
        self._forecaster = Forecaster((), zone)
        self._earlier: dict[str, By] = {}  # spent before today, by period
        self._day = range(0)  # the moments of the local day that the sums are of
        self._stored: Forecast | None = None
        self._dirty = True  # something was spent since the last sum
        self._due = Due()

    def spent(self) -> None:
        """Something was spent: sum up anew when that is due."""
        self._dirty = True

    def forget(self) -> None:
        """Past days may have changed: look at them again."""
        self._due.hurry("history")
        self._dirty = True

    def earlier(self, period: str) -> By:
        """What was spent before today in the present week or month, by (agent, project)."""
        return self._earlier.get(period, {})

    def is_due(self, now_s: float, wall_ms: int) -> bool:
        """Whether `work_out` would do anything."""
        if wall_ms not in self._day:
            return True
        return self._due.is_due("forecast", now_s) or (self._dirty and self._due.is_due("spent", now_s))

    def work_out(
        self, connection: sqlite3.Connection, now_s: float, wall_ms: int, *, forced: bool = False
    ) -> Forecast | None:
        """Sum up and project, as far as it is due; returns a new projection. Raises sqlite3.Error."""
        start_ms, end_ms, _ = day_bounds(wall_ms, self._zone)
        forced = self._due.take("forecast", now_s, FORECAST_S) or forced
        if wall_ms not in self._day:
            self._due.hurry("spent")
            self.forget()  # at midnight today's sum is another one, also where nothing is spent
        if self._due.take("history", now_s, HISTORY_S):
            self._recall_days(connection, wall_ms)
            self._day = range(start_ms, end_ms)
        if self._due.take("events", now_s, FORECAST_S):
            past = by_day.sums(
                connection, reader.Filter(), (), self._zone
            )  # as fast after years as after days
            self.events = sum(slot.responses for slot in past)
        if self._dirty and self._due.take("spent", now_s, SPENT_S):
            self._live.set_today(reader.spent(connection, start_ms, end_ms))
            self._dirty = False
        elif not forced:
            return None
        today = reader.spent_by(connection, start_ms, end_ms) if self._limits else {}
        forecast = self._project(wall_ms)
        self._live.set_forecast(forecast)
        if self._limits:
            spent = Spent(today, self._earlier)
            self._live.set_budgets(judge_budgets(self._limits, forecast, spent, self._forecaster, self._zone))
        return forecast

    def is_worth_storing(self, forecast: Forecast) -> bool:
        """Every quarter of an hour, and when it has moved far: its error can be known later."""
        last = self._stored
        if last is None or last.day != forecast.day:
            return True
        age_ms = abs(forecast.at_ms - last.at_ms)
        moved = abs(forecast.projected_nusd - last.projected_nusd)
        big = moved > max(BIG_NUSD, BIG_SHARE * last.projected_nusd) and age_ms >= MOVED_MS
        return big or age_ms >= STORE_MS

    def stored(self, forecast: Forecast) -> None:
        self._stored = forecast

    def _recall_days(self, connection: sqlite3.Connection, wall_ms: int) -> None:
        """The days before today: the profile, and what of the week and the month was spent by then."""
        start_ms, _, _ = day_bounds(wall_ms, self._zone)
        since_ms = start_ms - (HISTORY_DAYS + 1) * 86_400_000
        days = group_days(reader.cost_by_hour(connection, since_ms, start_ms), self._zone)
        self._forecaster = Forecaster(days, self._zone)
        begins = {name: begin for name, (begin, _) in periods(wall_ms, self._zone).items()}
        begins["recent"] = start_ms - RECENT_DAYS * 86_400_000
        self._earlier = {
            name: self._spent_by(connection, begin, start_ms)
            for name, begin in begins.items()
            if name != "day"
        }

    def _spent_by(self, connection: sqlite3.Connection, since_ms: int, until_ms: int) -> By:
        """Nano-dollars of whole local days, from their sums."""
        found: dict[tuple[str, str], int] = {}
        wanted = reader.Filter(since_ms, until_ms)
        for slot in by_day.sums(connection, wanted, ("agent", "project"), self._zone):
            key = (slot.agent, slot.project)
            found[key] = found.get(key, 0) + slot.cost_nusd
        return found

    def _project(self, wall_ms: int) -> Forecast:
        burns = self._live.rates.burns()
        forecast = self._forecaster.project(wall_ms, self._live.today.cost_nusd, *burns)
        spent = forecast.today_nusd + sum(self._earlier.get("month", {}).values())
        return structs.replace(forecast, month=self._forecaster.month(forecast, spent))
