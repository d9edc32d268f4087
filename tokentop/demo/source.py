"""The source of `tokentop demo`: snapshots of the invented world, and actions inside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta, tzinfo
from typing import TYPE_CHECKING

from msgspec import Struct

from tokentop.demo import deeds
from tokentop.demo.account import MINUTE_MS
from tokentop.demo.actor import Actor
from tokentop.demo.cast import MODELS, dice
from tokentop.demo.past import DAYS as PAST_DAYS
from tokentop.demo.past import Ended, ended
from tokentop.demo.world import World
from tokentop.engine.days import Day, day_bounds, group_days, local, midnight_ms
from tokentop.engine.forecast import HISTORY_DAYS, Forecaster
from tokentop.engine.live import LiveState
from tokentop.engine.rules import NUSD, Thresholds
from tokentop.engine.snapshot import take
from tokentop.engine.window import Window
from tokentop.nouns.actions import Action, KillPlan, Orphan, Receipt
from tokentop.nouns.looks import Inside, LogTail, Look, Port
from tokentop.nouns.money import Quota
from tokentop.nouns.outline import Deed, Outline
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Average, Figures, Tokens, Usage

if TYPE_CHECKING:
    from tokentop.engine.statement import Statement

PAST_MS = 66 * MINUTE_MS  # how much of its past the world lives through before the first picture
SEEN_MS = 7 * MINUTE_MS  # ... and how much of that it was watched
PEAK_USD_PER_H = 150.0
HOUR_MS = 60 * MINUTE_MS
SLOT_MS = 15 * MINUTE_MS
_FORECAST_MS = 5_000
_FULL_MS = 21 * MINUTE_MS  # until one of the limits is full
# fmt: off
_SHAPE = (
    .02, .01, .01, .01, .01, .02, .04, .12, .45, .85, 1.0, 1.0,
    .60, .80, 1.0, 1.0, .95, .75, .50, .35, .30, .25, .15, .08,
)
# fmt: on
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
        self._days: tuple[Day, ...] = ()
        self._forecaster = Forecaster((), zone)
        self._day = ""
        self._forecast_ms = -1
        self._rows: dict[str, Row] = {}
        self._past: tuple[Ended, ...] = ()  # sessions of the days before, until they are taken
        self._kept: dict[str, int] = {}  # how many deeds of each actor are in its outline
        self._slots: dict[int, int] = {}  # spend of today by quarter hour
        self._counted = 0  # of it, up to the last picture

    def snapshot(self, now_ms: int) -> Snapshot:
        """Advance the world to `now_ms` and return its picture."""
        world = self._world or self._begin(now_ms)
        self._turn_day(world, now_ms)
        world.run(now_ms)
        self._keep_slot(world, now_ms)
        self.live.set_procs(world.processes(now_ms), now_ms)
        self.live.set_today(world.account.today)
        self.live.watched(now_ms / 1000)
        if now_ms // _FORECAST_MS != self._forecast_ms:
            self._forecast_ms = now_ms // _FORECAST_MS
            self._quotas(now_ms)
            burn = self.live.rates.total().burn_nusd_per_h
            self.live.set_forecast(self._forecaster.project(now_ms, world.account.today.cost_nusd, burn))
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
        forecast = self._forecaster.project(now_ms, world.account.today.cost_nusd, burn)
        slots = sorted(self._slots.items())
        spent = cumulated(slots, SLOT_MS, start_ms, now_ms, world.account.today.cost_nusd)
        return statement(
            self.seed, self.zone, now_ms, world.account.today, forecast, self._forecaster, picture.quotas, self._days, spent
        )  # fmt: skip

    def told(self, now_ms: int) -> Told:
        """What logs would have told since the last question; at first of the days before, too."""
        self.snapshot(now_ms)
        world = self._world
        assert world is not None
        facts: list[Session | Usage] = []
        outlines: list[tuple[Session, Outline]] = []
        for one in self._past:
            facts += (one.session, *one.calls)
            outlines.append((one.session, _outline(one.deeds, now_ms)))
        self._past = ()
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

    # ------------------------------------------------------------ the past

    def _begin(self, now_ms: int) -> World:
        world = self._world = World(self.live, self.seed, now_ms - PAST_MS)
        self._begun_ms = now_ms
        start_ms, _, today = day_bounds(now_ms, self.zone)
        self._day = today.isoformat()
        world.account.day_start_ms = start_ms
        rng = dice(f"{self.seed}/history")
        history: list[tuple[int, int]] = []
        for back in range(HISTORY_DAYS, 0, -1):
            first = midnight_ms(today - timedelta(days=back), self.zone)
            factor = rng.lognormvariate(0, 0.2)
            hours = self._hours(first, midnight_ms(today - timedelta(days=back - 1), self.zone), factor)
            history += hours
            if back <= PAST_DAYS:
                self._end_before(hours, midnight_ms(today - timedelta(days=back - 1), self.zone))
        self._days = group_days(history, self.zone)
        self._forecaster = Forecaster(self._days, self.zone)
        hours = self._hours(start_ms, now_ms - PAST_MS, 1.0)
        known = world.account.told_since(start_ms)
        earlier = max(known, sum(cost for _, cost in hours))  # on a quiet morning it is all the fleet's own
        calls = max(0, earlier) // (90_000_000)  # about nine cents each
        spent = Tokens(
            input=400 * calls, cache_read=70_000 * calls, cache_write_1h=2_400 * calls, output=900 * calls
        )
        world.account.today = Figures(spent, calls, earlier)
        for from_ms in range(start_ms, now_ms - PAST_MS, SLOT_MS):
            until_ms = min(from_ms + SLOT_MS, now_ms - PAST_MS)
            self._slots[from_ms] = sum(cost for _, cost in self._hours(from_ms, until_ms, 1.0))
        if (shaped := sum(self._slots.values())) < earlier and shaped:
            self._slots = {slot: cost * earlier // shaped for slot, cost in self._slots.items()}
        self._end_before(hours, now_ms - PAST_MS, known)
        self.live.set_self(0.0, 0, 48_211 + calls)
        for at_ms in range(now_ms - SEEN_MS, now_ms, 30_000):  # alerts and ends have been seen to happen
            world.run(at_ms)
            self.live.set_procs(world.processes(at_ms), at_ms)
            take(self.live, at_ms)
        for _, at_ms, _, _, cost in world.account.spent:
            slot = at_ms - at_ms % SLOT_MS
            self._slots[slot] = self._slots.get(slot, 0) + (cost if at_ms >= start_ms else 0)
        self._counted = world.account.today.cost_nusd
        return world

    def _end_before(self, hours: list[tuple[int, int]], end_ms: int, known_nusd: int = 0) -> None:
        """Sessions that spent what was spent in these hours, but for what is known of others."""
        total = sum(cost for _, cost in hours) - known_nusd
        self._past += tuple(ended(f"{self.seed}/past/{end_ms}", hours, end_ms, total))

    def _hours(self, from_ms: int, to_ms: int, factor: float) -> list[tuple[int, int]]:
        out = []
        for at_ms in range(from_ms, to_ms, HOUR_MS):
            wall = local(at_ms, self.zone)
            share = min(1.0, (to_ms - at_ms) / HOUR_MS)
            usd = _SHAPE[wall.hour] * PEAK_USD_PER_H * factor * (0.6 if wall.weekday() >= 5 else 1.0)
            out.append((at_ms, round(usd * share * NUSD)))
        return out

    def _turn_day(self, world: World, now_ms: int) -> None:
        start_ms, _, today = day_bounds(now_ms, self.zone)
        if today.isoformat() > self._day:
            world.run(start_ms)
            yesterday = local(start_ms - HOUR_MS, self.zone)
            cost = world.account.today.cost_nusd
            hours = tuple((h * HOUR_MS, HOUR_MS, round(cost * _SHAPE[h] / sum(_SHAPE))) for h in range(24))
            self._days = (*self._days, Day(yesterday.date(), hours, sum(h[2] for h in hours)))
            self._forecaster = Forecaster(self._days, self.zone)
            self._day, world.account.day_start_ms, world.account.today = (
                today.isoformat(),
                start_ms,
                Figures(),
            )
            self._slots, self._counted = {}, 0

    def _keep_slot(self, world: World, now_ms: int) -> None:
        """What was spent since the last picture belongs to the present quarter hour."""
        slot = now_ms - now_ms % SLOT_MS
        self._slots[slot] = self._slots.get(slot, 0) + world.account.today.cost_nusd - self._counted
        self._counted = world.account.today.cost_nusd

    def _quotas(self, now_ms: int) -> None:
        """What the hook and the logs tell: two logins of Claude, one of them not seen for long, and one of Codex."""
        for provider, account, minutes, used, plan, shift_pct in (
            ("claude", "work", 300, 92.0, "max", 31),
            ("claude", "work", 10_080, 44.0, "max", 55),
            ("codex", "", 300, 38.0, "pro", 72),
            ("codex", "", 10_080, 57.0, "pro", 12),
        ):
            length = minutes * MINUTE_MS
            into = (now_ms + length * shift_pct // 100) % length
            share = round(used * (0.2 + 0.8 * into / length), 1)
            source = "hook" if account else "log"
            self.live.apply_quota(
                Quota(
                    provider, account, minutes, provider, share, now_ms - into + length, source, now_ms, plan
                )
            )
        begin_ms = self._begun_ms
        seen_ms, week = begin_ms - 95 * MINUTE_MS, 10_080 * MINUTE_MS
        used = min(100.0, 96.5 + 3.5 * (now_ms - begin_ms) / _FULL_MS)
        for quota in (
            Quota("claude", "home", 300, "claude", 61.0, begin_ms - 40 * MINUTE_MS, "hook", seen_ms, "max"),
            Quota("claude", "home", 10_080, "claude", 22.0, begin_ms + week // 3, "hook", seen_ms, "max"),
            Quota("codex", "", 300, "codex_mini", round(used, 1), begin_ms + HOUR_MS, "log", now_ms, "pro",
                  begin_ms + _FULL_MS),
        ):  # fmt: skip
            self.live.apply_quota(quota)

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
        row = self._rows.get(row_key)
        actor, track = self._actor(row), self.live.tracks.get(row_key)
        if row is None or actor is None or track is None:
            return Look(row_key, now_ms)
        habits = track.habits
        return Look(
            row_key, now_ms, tuple(actor.steps), log="invented", ports=self._ports(actor),
            minutes=self.live.rates.minutes(row_key), compactions=habits.all_compactions,
            compacted_ms=habits.compacted_ms, seen_ms=habits.seen_ms, quality="exact",
            price=f"{row.model}: invented" if not row.own.unpriced_tokens else "",
        )  # fmt: skip

    def inside(self, row_key: str) -> Inside:
        """An invented process."""
        row = self._rows.get(row_key)
        actor = self._actor(row)
        if row is None or actor is None or row.pid is None:
            return Inside(0, 0, "no process of it is known on this machine: it is seen in its log only")
        env = (
            ("ANTHROPIC_API_KEY", "***", False), ("HOME", "/home/dev", True), ("LANG", "en_US.UTF-8", True),
            ("PATH", "/usr/local/bin:/usr/bin:/bin", True), ("SHELL", "/bin/bash", True),
            ("TERM", "xterm-256color", True),
        )  # fmt: skip
        argv = tuple(row.command.split())
        return Inside(actor.pid, actor.ident.start_ticks, "", argv, row.cwd, env, ports=self._ports(actor))

    def tail(self, row_key: str, now_ms: int) -> LogTail:
        """An invented log."""
        actor = self._actor(self._rows.get(row_key))
        if actor is None:
            return LogTail(note="no log of this session is known")
        steps = tuple(actor.steps)
        lines = tuple(
            f'{{"at": {step.at_ms}, "type": "{step.kind}", "name": "{step.name}", "text": "{step.detail}"}}'
            for step in steps
        )
        return LogTail(lines, steps, state=(1, now_ms, now_ms))

    def _ports(self, actor: Actor) -> tuple[Port, ...]:
        serves = actor.has_tool_process() and ("npm" in actor.command or "docker" in actor.command)
        return (Port(5173, "127.0.0.1", actor.tool_ident.pid, actor.command),) if serves else ()

    def _actor(self, row: Row | None) -> Actor | None:
        return deeds.actor_of(self._world, row) if self._world is not None else None


def _outline(deeds: Sequence[Deed], now_ms: int) -> Outline:
    return Outline(tuple(sorted(deeds, key=lambda one: one.at_ms)), log_size=1, read_ms=now_ms)
