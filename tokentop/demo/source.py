"""The source of `tokentop demo`: snapshots of the invented world, and actions inside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING

from msgspec import Struct

from tokentop.demo import deeds, looks
from tokentop.demo.account import MINUTE_MS
from tokentop.demo.actor import Actor
from tokentop.demo.cast import MODELS
from tokentop.demo.daybook import HOUR_MS, SLOT_MS, Daybook
from tokentop.demo.limits import quotas
from tokentop.demo.world import World
from tokentop.engine.days import day_bounds
from tokentop.engine.live import LiveState
from tokentop.engine.rules import Thresholds
from tokentop.engine.snapshot import take
from tokentop.engine.window import Window
from tokentop.nouns.actions import Action, KillPlan, Orphan, Receipt
from tokentop.nouns.looks import Inside, LogTail, Look
from tokentop.nouns.outline import Deed, Outline
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Average, Tokens, Usage

if TYPE_CHECKING:
    from tokentop.engine.statement import Statement

PAST_MS = 66 * MINUTE_MS  # how much of its past the world lives through before the first picture
SEEN_MS = 7 * MINUTE_MS  # ... and how much of that it was watched
_FORECAST_MS = 5_000
_RESUME = {
    "claude": "claude --resume {session_id}",
    "codex": "codex resume {session_id}",
    "gemini": "gemini --resume latest",
    "opencode": "opencode -s {session_id}",
}


class Told(Struct, frozen=True):
    """What the logs of the invented agents would have told."""

    facts: list[Session | Usage]
    outlines: list[tuple[Session, Outline]]


class DemoPrices:
    """The prices of the invented world, for who keeps its calls."""

    def price(self, *, model: str, tokens: Tokens, **_: object) -> Price:
        known = MODELS.get(model)
        return Price(None if known is None else known.cost_nusd(tokens))


class Price(Struct, frozen=True):
    """What a call costs; None = unpriced."""

    nusd: int | None
    estimated: bool = False


class DemoSource:
    """Invented agents on the real engine. Pictures depend only on the seed and the times asked for."""

    def __init__(self, seed: int = 7, zone: tzinfo = UTC, *, titles: bool = True) -> None:
        self.seed = seed
        self.zone = zone
        self.prices = DemoPrices()
        self.titles = titles
        self.live = LiveState(resume=_RESUME, thresholds=Thresholds(), titles=titles)
        self.live.set_mode("demo")
        self.live.host = "demo"
        self._world: World | None = None
        self._begun_ms = 0
        self._book = Daybook(seed, zone)
        self._forecast_ms = -1
        self._rows: dict[str, Row] = {}
        self._kept: dict[str, int] = {}  # how many deeds of each actor are in its outline

    def snapshot(self, now_ms: int) -> Snapshot:
        """Advance the world to `now_ms` and return its picture."""
        world = self._world or self._begin(now_ms)
        self._book.turn(world, now_ms)
        world.run(now_ms)
        self._book.keep(world, now_ms)
        self.live.set_procs(world.processes(now_ms), now_ms)
        self.live.set_today(world.account.today)
        self.live.watched(now_ms / 1000)
        if now_ms // _FORECAST_MS != self._forecast_ms:
            self._forecast_ms = now_ms // _FORECAST_MS
            for quota in quotas(self._begun_ms, now_ms):
                self.live.apply_quota(quota)
            burn = self.live.rates.total().burn_nusd_per_h
            self.live.set_forecast(self._book.forecaster.project(now_ms, world.account.today.cost_nusd, burn))
        if self.live.longer is not None:
            self._look_back(world, self.live.longer, now_ms)
        picture = take(self.live, now_ms)
        self._rows = {row.key: row for row in picture.rows}
        return picture

    def statement(self, now_ms: int) -> Statement:
        """Limits, plans, budgets, the day's curve, providers and bills of the invented fleet."""
        from tokentop.demo.bills import statement
        from tokentop.engine.statement import cumulated

        picture = self.snapshot(now_ms)
        world = self._world
        assert world is not None
        start_ms, _, _ = day_bounds(now_ms, self.zone)
        burn = self.live.rates.total().burn_nusd_per_h
        forecast = self._book.forecaster.project(now_ms, world.account.today.cost_nusd, burn)
        spent = cumulated(self._book.slots(), SLOT_MS, start_ms, now_ms, world.account.today.cost_nusd)
        return statement(
            self.seed, self.zone, now_ms, world.account.today, forecast, self._book.forecaster,
            picture.quotas, self._book.days, spent,
        )  # fmt: skip

    def told(self, now_ms: int) -> Told:
        """What logs would have told since the last question; at first of the days before, too."""
        self.snapshot(now_ms)
        world = self._world
        assert world is not None
        facts: list[Session | Usage] = []
        outlines: list[tuple[Session, Outline]] = []
        for one in self._book.take_past():
            facts += (one.session, *one.calls)
            outlines.append((one.session, _outline(one.deeds, now_ms)))
        for actor in (*world.gone, *world.actors.values()):
            if len(actor.deeds) != self._kept.get(actor.key):
                self._kept[actor.key] = len(actor.deeds)
                outlines.append((actor.session(now_ms), _outline(actor.deeds, now_ms)))
        facts += world.account.facts
        world.account.facts, world.gone = [], []
        return Told(facts, outlines)

    def look_back(self, minutes: int) -> None:
        """Average rates over so many minutes from now on."""
        self.live.look_back(minutes)

    def _look_back(self, world: World, window: Window, now_ms: int) -> None:
        """What the store answers elsewhere; what the world has forgotten stays unknown."""
        since_ms = now_ms - window.ms
        if window.ms <= HOUR_MS:
            for key, track in window.wanted():
                cells: dict[int, tuple[int, int, int]] = {}
                before = [track.own.tokens.fresh, track.own.tokens.cache_read, track.own.cost_nusd]
                for _, at_ms, *parts in (
                    one for one in world.account.spent if one[0] == key and one[1] >= since_ms
                ):
                    cell = (at_ms - since_ms) // window.cell_ms
                    old = cells.get(cell, (0, 0, 0))
                    cells[cell] = (old[0] + parts[0], old[1] + parts[1], old[2] + parts[2])
                    before = [left - part for left, part in zip(before, parts, strict=True)]
                window.learn(key, since_ms, {**cells, -1: (before[0], before[1], before[2])})
            return
        young = [t.own for t in self.live.tracks.values() if t.record_ms >= since_ms]
        window.whole = Average(
            sum(own.tokens.fresh for own in young) / window.minutes,
            sum(own.tokens.cache_read for own in young) / window.minutes,
            sum(own.cost_nusd for own in young) * 60 // window.minutes,
        )

    def _begin(self, now_ms: int) -> World:
        """The world with its past, up to now."""
        world = self._world = World(self.live, self.seed, now_ms - PAST_MS)
        self._begun_ms = now_ms
        calls = self._book.open(world, now_ms, now_ms - PAST_MS)
        self.live.set_self(0.0, 0, 48_211 + calls)
        for at_ms in range(now_ms - SEEN_MS, now_ms, 30_000):  # alerts and ends have been seen to happen
            world.run(at_ms)
            self.live.set_procs(world.processes(at_ms), at_ms)
            take(self.live, at_ms)
        self._book.catch_up(world)
        return world

    # ------------------------------------------------------------ actions

    def plan(self, row_key: str, action: Action, now_ms: int) -> KillPlan:
        """Return what `action` would hit; `refusal` says why it cannot."""
        world = self._world or self._begin(now_ms)
        world.run(now_ms)
        return deeds.plan(world, self._rows.get(row_key), action)

    def plan_orphans(self, now_ms: int) -> tuple[Orphan, ...]:
        """The orphans of the world as the last picture showed them."""
        return tuple(
            Orphan(
                self.plan(row.key, Action.TERMINATE, now_ms),
                row.started_ms,
                row.cpu_pct,
                row.rss_bytes,
                row.agent,
            )
            for row in self._rows.values()
            if row.kind == "orphan"
        )

    def execute(self, plan: KillPlan, now_ms: int) -> Receipt:
        """Do in the world what the plan says, if what it names is still there."""
        receipt = deeds.execute(self._world or self._begin(now_ms), plan, now_ms)
        self.live.watch(receipt, now_ms / 1000)
        return receipt

    # ------------------------------------------------------------ what somebody looks at

    def look(self, row_key: str, now_ms: int) -> Look:
        """What a log and a process table would tell of an invented agent."""
        row, actor = self._row(row_key)
        track = self.live.tracks.get(row_key)
        if row is None or actor is None or track is None:
            return Look(row_key, now_ms)
        return looks.look(row, actor, track.habits, self.live.rates.minutes(row_key), now_ms)

    def inside(self, row_key: str) -> Inside:
        """An invented process."""
        return looks.inside(*self._row(row_key))

    def tail(self, row_key: str, now_ms: int) -> LogTail:
        """An invented log."""
        return looks.tail(self._row(row_key)[1], now_ms)

    def _row(self, row_key: str) -> tuple[Row | None, Actor | None]:
        row = self._rows.get(row_key)
        return row, deeds.actor_of(self._world, row) if self._world is not None else None


def _outline(deeds: Sequence[Deed], now_ms: int) -> Outline:
    return Outline(tuple(sorted(deeds, key=lambda one: one.at_ms)), log_size=1, read_ms=now_ms)
