"""Hundreds of kills by the keys of the live screen: never the wrong process, no survivor, every receipt true.

Forty real processes under the agents' names, with trees that resist, are ended in random order while the table
is sorted anew ten times a second. `make kills` does 500; KILLS and KILLS_SEED choose.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual import events

from tests.fake_agents.fleet import Fleet, Member
from tests.fake_agents.world import World, is_alive, stat
from tokentop.nouns.actions import Action, Receipt
from tokentop.nouns.picture import Row
from tokentop.runtime import Runtime
from tokentop.settings.config import Settings
from tokentop.store import db, reader
from tokentop.ui.app import TokentopApp
from tokentop.ui.columns import SORTS
from tokentop.ui.source import UiOptions

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
    pytest.mark.timeout(3600),
]
FLEET = 40
QUICK = 60
SORT_EVERY_S = 0.1
DIES_ITSELF = 0.04
PATIENCE_S = 45.0
Table = dict[int, tuple[int, str]]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


class Resorting:
    """Sorts the table ten times a second, also while a dialog is open; counts the new orders."""

    def __init__(self, app: TokentopApp, dice: random.Random) -> None:
        self.app, self.dice, self.turns, self.moves = app, dice, 0, 0

    async def run(self) -> None:
        names = [column.id for column in SORTS]
        while True:
            begun = time.monotonic()
            before = [line.key for line in self.app.live.view.lines]
            view, table = self.app.live.view, self.app.live.table
            view.order.sort_by(self.dice.choice(names))
            view.order.reverse = self.dice.random() < 0.5
            view.rebuild()  # the key for it would also move the cursor
            table.relayout()
            table.show_cursor()
            self.turns += 1
            self.moves += before != [line.key for line in self.app.live.view.lines]
            await asyncio.sleep(max(0.0, begun + SORT_EVERY_S - time.monotonic()))


class Hunt:
    """One screen, one fleet, and what has been done so far."""

    def __init__(self, world: World, seed: int, state: Path) -> None:
        self.dice = random.Random(seed)
        self.fleet = Fleet(world, self.dice)
        environ = {"HOME": str(world.home), "PATH": "/usr/bin:/bin", "TZ": "UTC"}
        self.state = state
        self.runtime = Runtime(state, environ, Settings())
        self.app = TokentopApp(self.runtime, UiOptions())
        self.receipts: list[Receipt] = []
        self.killed: dict[str, int] = {}

    @contextlib.asynccontextmanager
    async def screen(self) -> AsyncIterator[None]:
        try:
            async with self.app.run_test(size=(80, 24)):
                await until(lambda: self.app.live.snapshot is not None)
                yield
        finally:
            self.runtime.stop()
            self.fleet.close()

    def press(self, key: str) -> None:
        """As the terminal's driver hands it over; a Pilot would wait for an idle processor each time."""
        self.app.post_message(events.Key(key, key if len(key) == 1 else None))

    def row_of(self, member: Member) -> Row | None:
        if not member.is_up():
            return None
        rows = self.app.live.view.rows.values()
        return next((row for row in rows if row.pid == member.pid and row.kind == "agent"), None)

    async def next_member(self) -> tuple[Member, Row]:
        """Some member whose row is on the screen."""
        member = self.fleet.members[self.dice.choice(sorted(self.fleet.members))]
        with contextlib.suppress(AssertionError):
            await until(lambda: self.row_of(member) is not None)
        row = self.row_of(member)
        assert row is not None, f"{member.kind} {member.pid} has no row"
        return member, row

    async def kill(self) -> None:
        member, row = await self.next_member()
        action = self.dice.choice([Action.TERMINATE, Action.KILL, Action.KILL])
        if member.stop_command:
            await self.refuses_a_raw_kill(member, row)
            action = Action.TERMINATE
        await self.open(member, row, action)
        dialog = self.app.commander.dialog
        assert dialog is not None
        assert not dialog.plan.refusal, (member.kind, dialog.plan.refusal)
        before = self.fleet.table()
        dead = not (member.frozen or member.turn) and self.dice.random() < DIES_ITSELF
        dead = dead and member.result == "ended" and not member.stop_command
        if dead:
            os.kill(member.pid, signal.SIGKILL)
            await until(lambda: not is_alive(member.pid))
        last = self.app.commander.receipts[-1] if self.app.commander.receipts else None
        begun_ms = time.time_ns() // 1_000_000
        await self.say_yes()
        await until(lambda: bool(self.app.commander.receipts) and self.app.commander.receipts[-1] is not last)
        receipt = self.app.commander.receipts[-1]
        check(member, action, receipt, before, self.fleet.table(), begun_ms, dead=dead)
        self.receipts.append(receipt)
        self.killed[member.kind] = self.killed.get(member.kind, 0) + 1
        self.fleet.remove(member)

    async def open(self, member: Member, row: Row, action: Action) -> None:
        """The dialog of one row with the wanted action; it names the process that was selected."""
        self.app.live.go_to(row.key)
        self.press("K")
        await until(lambda: self.app.commander.dialog is not None and self.app.commander.dialog.seen)
        dialog = self.app.commander.dialog
        assert dialog is not None
        assert dialog.plan.target is not None, (member.kind, dialog.plan.refusal)
        assert dialog.plan.target.pid == member.pid, "the dialog is about another process"
        await asyncio.sleep(self.dice.uniform(0, 0.3))  # the table goes on to move
        if action is Action.KILL:
            self.press("k")
            await until(lambda: dialog.plan.action is Action.KILL)
        assert dialog.plan.target.pid == member.pid

    async def say_yes(self) -> None:
        dialog = self.app.commander.dialog
        assert dialog is not None
        typed = dialog.must_type
        self.press("y")
        if typed:
            for key in (*dialog.plan.agent, "enter"):
                self.press(key)

    async def refuses_a_raw_kill(self, member: Member, row: Row) -> None:
        """A supervised agent would come back: KILL is refused in words and sends nothing."""
        await self.open(member, row, Action.KILL)
        dialog = self.app.commander.dialog
        assert dialog is not None
        assert "start it again" in dialog.plan.refusal
        self.press("escape")
        await until(lambda: self.app.commander.dialog is None)
        assert is_alive(member.pid)


async def until(true: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; fails when it never does."""
    end_s = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end_s, "waited in vain"
        await asyncio.sleep(0.02)


def same(pid: int, start_ticks: int) -> bool:
    """Whether this very process lives."""
    try:
        fields = stat(pid)
    except OSError:
        return False
    return fields[0] not in "ZX" and int(fields[19]) == start_ticks


def check(
    member: Member,
    action: Action,
    receipt: Receipt,
    before: Table,
    after: Table,
    begun_ms: int,
    *,
    dead: bool,
) -> None:
    """Hold one receipt against the table of processes before and after."""
    what = f"{member.kind} {member.pid} {action}: {receipt}"
    own = {pid for pid, (_, tag) in before.items() if tag == member.tag}
    wrong = {p: tag for p, (ticks, tag) in before.items() if p not in own and not same(p, ticks)}
    assert not wrong, f"a wrong process was hit: {wrong}\n{what}"
    left = {pid for pid, (ticks, tag) in after.items() if tag == member.tag and same(pid, ticks)}
    reborn = left - own if member.result == "respawned" else set()
    assert left == reborn, f"{left} lives on\n{what}"

    expected = "already gone" if dead else member.result
    assert receipt.result == expected, what
    assert (receipt.action, receipt.reason, receipt.agent) == (action, "manual", member.agent), what
    assert (receipt.pid, receipt.start_ticks) == (
        member.pid,
        before.get(member.pid, (receipt.start_ticks,))[0],
    )
    assert receipt.survivors == (), what
    if reborn:
        assert any(f"pid {pid}" in receipt.detail for pid in reborn), what
    check_ended(member, receipt, own, before, what, dead=dead)
    check_rungs(member, action, receipt, own, begun_ms, what, dead=dead)


def check_ended(
    member: Member, receipt: Receipt, own: set[int], before: Table, what: str, *, dead: bool
) -> None:
    ended = set(receipt.ended_pids)
    assert len(ended) == len(receipt.ended_pids), f"named twice\n{what}"
    for pid in ended:
        ticks, tag = before.get(pid, (0, member.tag))
        assert tag == member.tag, f"{pid} is not of this agent\n{what}"
        assert not (ticks and same(pid, ticks)), f"{pid} lives\n{what}"
        assert ticks or member.wanders or not is_alive(pid), f"{pid} was not there\n{what}"
    assert own - ended == ({member.pid} & own if dead else set()), (
        f"{own - ended} ended and is not named\n{what}"
    )


def check_rungs(
    member: Member, action: Action, receipt: Receipt, own: set[int], begun_ms: int, what: str, *, dead: bool
) -> None:
    times = [rung.at_ms for rung in receipt.rungs]
    assert times == sorted(times), what
    now_ms = time.time_ns() // 1_000_000
    assert all(begun_ms - 50 <= receipt.at_ms <= at_ms <= now_ms for at_ms in times), what
    assert receipt.took_ms >= (times[-1] - receipt.at_ms if times else 0) - 50, what
    on_target = [rung for rung in receipt.rungs if rung.pid == member.pid]
    sent = [rung.signal for rung in on_target if rung.result == "sent"]
    if dead:
        assert sent == [], what
    elif member.stop_command:
        assert sent == ["stop command"], what
    else:
        wanted = ["KILL"] if action is Action.KILL else member.signals()
        # On a machine that is very busy it may come to die of TERM only after the grace: then the ladder goes on.
        assert sent[: len(wanted)] == wanted, what
        assert [name for name in sent if name != "CONT"] == [n for n, _ in member.ladder if n in sent], what
    others = {rung.pid for rung in receipt.rungs if rung.pid not in own and rung.result == "sent"}
    if member.turn:
        assert [rung.signal for rung in receipt.rungs if rung.pid in others] == ["turn/interrupt"], what
        assert "the turn was interrupted" in receipt.detail, what
    else:
        assert member.wanders or not others, f"{others} got a signal\n{what}"
    graces = dict(member.ladder)
    ladder = [rung for rung in on_target if rung.signal in graces and rung.result == "sent"]
    for first, second in pairwise(ladder):
        assert second.at_ms - first.at_ms >= graces[first.signal] * 1000 - 50, f"grace cut short\n{what}"


async def hunt(world: World, seed: int, kills: int, state: Path) -> Hunt:
    this = Hunt(world, seed, state)
    fleet, dice = this.fleet, this.dice
    fleet.bystanders()
    for kind in sorted(fleet.kinds):
        fleet.grow(kind)
    while len(fleet.members) < FLEET:
        fleet.grow()
    async with this.screen():
        resorting = Resorting(this.app, random.Random(seed))
        sorter = asyncio.create_task(resorting.run())
        begun = time.monotonic()
        try:
            for at in range(kills):
                await this.kill()
                while len(fleet.members) < FLEET:
                    fleet.grow(dice.choice(sorted(fleet.kinds)))
                assert not sorter.done(), sorter.exception()
                if at % 25 == 24:
                    print(f"{at + 1} kills, {time.monotonic() - begun:.0f} s", flush=True)
        finally:
            sorter.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await sorter
        took_s = time.monotonic() - begun
        assert resorting.moves > kills, "the table stood still"
        print(f"seed {seed}: {kills} kills in {took_s:.0f} s, {resorting.turns / took_s:.1f} sorts a second")
        print(", ".join(f"{kind} {count}" for kind, count in sorted(this.killed.items())))
        assert not [tag for _, tag in fleet.table().values() if not tag], "each process is somebody's"
    return this


async def test_nothing_but_the_chosen_agent_is_hit_and_every_receipt_is_true(
    world: World, tmp_path: Path
) -> None:
    kills = int(os.environ.get("KILLS") or QUICK)
    seed = int(os.environ.get("KILLS_SEED") or random.SystemRandom().randrange(10_000))
    print(f"KILLS={kills} KILLS_SEED={seed}", flush=True)
    done = await hunt(world, seed, kills, tmp_path / "state")
    with contextlib.closing(db.open_reader(tmp_path / "state")) as connection:
        stored = reader.actions(connection, limit=kills + 1)
    # What was spent afterwards is added ten seconds later, and these agents spend nothing.
    assert all(receipt.after is None or not receipt.after.tokens for receipt in stored)
    shown = [replace(receipt, after=None) for receipt in stored]
    assert shown == done.receipts[::-1], "each receipt is stored as it was shown"
