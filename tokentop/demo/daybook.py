"""What the invented fleet spent: the days before, today by quarter hour, and the sessions that spent it."""

from __future__ import annotations

from datetime import timedelta, tzinfo

from tokentop.demo.account import MINUTE_MS
from tokentop.demo.cast import dice
from tokentop.demo.past import DAYS as PAST_DAYS
from tokentop.demo.past import Ended, ended
from tokentop.demo.world import World
from tokentop.engine.days import Day, day_bounds, group_days, local, midnight_ms
from tokentop.engine.forecast import HISTORY_DAYS, Forecaster
from tokentop.engine.rules import NUSD
from tokentop.nouns.usage import Figures, Tokens

PEAK_USD_PER_H = 150.0
HOUR_MS = 60 * MINUTE_MS
SLOT_MS = 15 * MINUTE_MS
_CALL_NUSD = 90_000_000  # about nine cents each
# fmt: off
_SHAPE = (
    .02, .01, .01, .01, .01, .02, .04, .12, .45, .85, 1.0, 1.0,
    .60, .80, 1.0, 1.0, .95, .75, .50, .35, .30, .25, .15, .08,
)
# fmt: on


class Daybook:
    """Depends on the seed, the zone and the times asked for alone."""

    def __init__(self, seed: int, zone: tzinfo) -> None:
        self.days: tuple[Day, ...] = ()
        self.forecaster = Forecaster((), zone)
        self._seed, self._zone = seed, zone
        self._day = ""
        self._past: tuple[Ended, ...] = ()  # sessions of the days before, until they are taken
        self._slots: dict[int, int] = {}  # spend of today by quarter hour
        self._counted = 0  # of it, up to the last picture

    def open(self, world: World, now_ms: int, known_ms: int) -> int:
        """Write the days before, and of today what was before `known_ms`; returns how many calls that were."""
        start_ms, _, today = day_bounds(now_ms, self._zone)
        self._day = today.isoformat()
        world.account.day_start_ms = start_ms
        rng = dice(f"{self._seed}/history")
        history: list[tuple[int, int]] = []
        for back in range(HISTORY_DAYS, 0, -1):
            first, end_ms = (midnight_ms(today - timedelta(days=n), self._zone) for n in (back, back - 1))
            hours = self._hours(first, end_ms, rng.lognormvariate(0, 0.2))
            history += hours
            if back <= PAST_DAYS:
                self._end_before(hours, end_ms)
        self.days = group_days(history, self._zone)
        self.forecaster = Forecaster(self.days, self._zone)
        return self._open_today(world, start_ms, known_ms)

    def _open_today(self, world: World, start_ms: int, known_ms: int) -> int:
        hours = self._hours(start_ms, known_ms, 1.0)
        known = world.account.told_since(start_ms)
        earlier = max(known, sum(cost for _, cost in hours))  # on a quiet morning it is all the fleet's own
        calls = max(0, earlier) // _CALL_NUSD
        spent = Tokens(
            input=400 * calls, cache_read=70_000 * calls, cache_write_1h=2_400 * calls, output=900 * calls
        )
        world.account.today = Figures(spent, calls, earlier)
        for from_ms in range(start_ms, known_ms, SLOT_MS):
            until_ms = min(from_ms + SLOT_MS, known_ms)
            self._slots[from_ms] = sum(cost for _, cost in self._hours(from_ms, until_ms, 1.0))
        if (shaped := sum(self._slots.values())) < earlier and shaped:
            self._slots = {slot: cost * earlier // shaped for slot, cost in self._slots.items()}
        self._end_before(hours, known_ms, known)
        return calls

    def catch_up(self, world: World) -> None:
        """Write what the world spent itself up to its first picture."""
        for _, at_ms, _, _, cost in world.account.spent:
            slot = at_ms - at_ms % SLOT_MS
            today = at_ms >= world.account.day_start_ms
            self._slots[slot] = self._slots.get(slot, 0) + (cost if today else 0)
        self._counted = world.account.today.cost_nusd

    def turn(self, world: World, now_ms: int) -> None:
        """At midnight the day goes to the days before."""
        start_ms, _, today = day_bounds(now_ms, self._zone)
        if today.isoformat() > self._day:
            world.run(start_ms)
            yesterday = local(start_ms - HOUR_MS, self._zone)
            cost = world.account.today.cost_nusd
            hours = tuple((h * HOUR_MS, HOUR_MS, round(cost * _SHAPE[h] / sum(_SHAPE))) for h in range(24))
            self.days = (*self.days, Day(yesterday.date(), hours, sum(h[2] for h in hours)))
            self.forecaster = Forecaster(self.days, self._zone)
            self._day, world.account.day_start_ms, world.account.today = (
                today.isoformat(),
                start_ms,
                Figures(),
            )
            self._slots, self._counted = {}, 0

    def keep(self, world: World, now_ms: int) -> None:
        """What was spent since the last picture belongs to the present quarter hour."""
        slot = now_ms - now_ms % SLOT_MS
        self._slots[slot] = self._slots.get(slot, 0) + world.account.today.cost_nusd - self._counted
        self._counted = world.account.today.cost_nusd

    def slots(self) -> list[tuple[int, int]]:
        """(begin_ms, cost_nusd) of each quarter hour of today, in order."""
        return sorted(self._slots.items())

    def take_past(self) -> tuple[Ended, ...]:
        """The sessions of the days before, once."""
        past, self._past = self._past, ()
        return past

    def _end_before(self, hours: list[tuple[int, int]], end_ms: int, known_nusd: int = 0) -> None:
        """Sessions that spent what was spent in these hours, but for what is known of others."""
        total = sum(cost for _, cost in hours) - known_nusd
        self._past += tuple(ended(f"{self._seed}/past/{end_ms}", hours, end_ms, total))

    def _hours(self, from_ms: int, to_ms: int, factor: float) -> list[tuple[int, int]]:
        out = []
        for at_ms in range(from_ms, to_ms, HOUR_MS):
            wall = local(at_ms, self._zone)
            share = min(1.0, (to_ms - at_ms) / HOUR_MS)
            usd = _SHAPE[wall.hour] * PEAK_USD_PER_H * factor * (0.6 if wall.weekday() >= 5 else 1.0)
            out.append((at_ms, round(usd * share * NUSD)))
        return out
