"""Pids that come to belong to another process at the worst moments; run in a pid namespace of its own.

    unshare --user --map-root-user --pid --fork --mount-proc sh -c 'python -m tests.fake_agents.pid_reuse DIR; exit $?'

Prints one JSON object: for each moment the receipt, and whether the new owner of the pid lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.fake_agents.screen import Screen
from tests.fake_agents.world import SLEEP, SPECS, Fake, World, agents, is_alive, now_ms, wait_for
from tests.ui.pilot import until
from tokentop.nouns.actions import Action, KillPlan, Receipt
from tokentop.nouns.processes import Ident
from tokentop.procs import execute
from tokentop.procs.probe import Handle, LinuxProbe

LAST_PID = "/proc/sys/kernel/ns_last_pid"
TRIES = 500


def recycle(world: World, pid: int, argv: list[str] = SLEEP, **env: str) -> subprocess.Popen[bytes]:
    """Start a process that has this free pid."""
    for _ in range(TRIES):
        with open(LAST_PID, "w") as file:
            file.write(str(pid - 1))
        process = subprocess.Popen(
            argv, env=world.env(**env), start_new_session=True, stdin=subprocess.DEVNULL
        )
        world.processes.append(process)
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise SystemExit(f"the pid {pid} was not given again")


def end(fake: Fake) -> None:
    """Dead and reaped: its pid is free."""
    fake.process.kill()
    fake.process.wait()
    time.sleep(0.05)  # the start time counts in ticks of 10 ms


def plan_of(world: World, fake: Fake, action: Action = Action.TERMINATE) -> KillPlan:
    found = next(proc for proc in agents(world.tick()) if proc.ident.pid == fake.pid)
    return world.watcher.plan(world.row(found), action, now_ms())


class Outcome(msgspec.Struct):
    """What became of an action, and of the new owner of the pid."""

    receipt: Receipt
    pid: int
    alive: bool


class Meddler(LinuxProbe):
    """The real probe. `at_wait` runs in the place of the first wait, which then says: it has not ended."""

    def __init__(self, pid: int, at_wait: Callable[[], None]) -> None:
        super().__init__()
        self.meddled, self.at_wait = pid, at_wait

    def open(self, ident: Ident) -> Handle | None:
        handle = super().open(ident)
        if handle is not None and ident.pid == self.meddled:
            self.meddled = 0
            real = handle.wait

            def wait(_timeout_s: float) -> bool:
                self.at_wait()
                handle.wait = real  # type: ignore[method-assign]
                return False

            handle.wait = wait  # type: ignore[method-assign]
        return handle


def between_plan_and_execute(world: World) -> Outcome:
    fake = world.claude(children=[{"argv": SLEEP}])
    plan = plan_of(world, fake)
    end(fake)
    other = recycle(world, fake.pid)
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    return Outcome(receipt, fake.pid, other.poll() is None)


def by_another_agent(world: World) -> Outcome:
    """The new owner is an agent too, of the same program, with a registry entry at the same place."""
    fake = world.claude()
    plan = plan_of(world, fake)
    end(fake)
    ready = world.work / "other"
    document = {"registry": world.registry("00000000-0000-4000-8000-00000000000b"), "ready": str(ready)}
    other = recycle(world, fake.pid, [world.program("claude")], FAKE_AGENT=json.dumps(document))
    wait_for(ready.exists)
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    return Outcome(receipt, fake.pid, other.poll() is None)


def between_two_rungs(world: World) -> Outcome:
    """It dies of its own accord after TERM; whoever watched it missed that, and goes on to KILL."""
    fake = world.claude(ignore=["TERM"])
    plan = plan_of(world, fake)
    others: list[subprocess.Popen[bytes]] = []

    def meddle() -> None:
        end(fake)
        others.append(recycle(world, fake.pid))

    receipt = execute(plan, now_ms=now_ms, agents=SPECS, probe=Meddler(fake.pid, meddle))
    return Outcome(receipt, fake.pid, others[0].poll() is None)


def of_a_tool_in_the_tree(world: World) -> Outcome:
    """A tool of the plan has ended by itself; its pid is a stranger's when the sweep comes."""
    fake = world.claude(children=[{"argv": ["/bin/sleep", "600"]}], reap=True)
    plan = plan_of(world, fake)
    [tool] = fake.children
    assert tool in [planned.ident.pid for planned in plan.tree]
    os.kill(tool, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{tool}"))
    time.sleep(0.05)
    other = recycle(world, tool)
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    return Outcome(receipt, tool, other.poll() is None)


def of_a_tool_of_a_stopped_turn(world: World) -> Outcome:
    """The tool that the turn waited for has ended; its pid is a stranger's when what is left behind is ended."""
    screen = Screen(world, {"argv": ["/bin/sleep", "600"], "setsid": True}, stop="nothing", forgets=True)
    plan = screen.plan()
    [tool] = screen.children
    assert tool in [ident.pid for ident in plan.means.awaited]
    os.kill(tool, signal.SIGKILL)
    wait_for(lambda: not os.path.exists(f"/proc/{tool}"))
    time.sleep(0.05)
    other = recycle(world, tool)
    return Outcome(screen.stop(plan), tool, other.poll() is None)


def freeze_of_a_stranger(world: World) -> Outcome:
    fake = world.claude()
    plan = plan_of(world, fake, Action.FREEZE)
    end(fake)
    other = recycle(world, fake.pid)
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    state = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[0]
    return Outcome(receipt, fake.pid, state not in "Tt")


async def between_dialog_and_yes(world: World) -> Outcome:
    """On the real screen: the dialog stands open while the pid changes hands."""
    from tokentop.runtime import Runtime
    from tokentop.settings.config import Settings
    from tokentop.ui.app import TokentopApp
    from tokentop.ui.source import UiOptions

    fake = world.claude(children=[{"argv": SLEEP}])
    environ = {"HOME": str(world.home), "PATH": "/usr/bin:/bin", "TZ": "UTC"}
    runtime = Runtime(world.work / "state", environ, Settings())
    try:
        app = TokentopApp(runtime, UiOptions())
        async with app.run_test(size=(120, 40)) as pilot:

            def key() -> str:
                rows = app.live.view.rows.values()
                return next((row.key for row in rows if row.pid == fake.pid), "")

            await until(pilot, lambda: bool(key()))
            app.live.go_to(key())
            await pilot.press("K")
            await until(pilot, lambda: app.commander.dialog is not None and app.commander.dialog.seen)
            end(fake)
            other = recycle(world, fake.pid)
            await pilot.press("y")
            await until(pilot, lambda: bool(app.commander.receipts))
            return Outcome(app.commander.receipts[-1], fake.pid, other.poll() is None)
    finally:
        runtime.stop()


MOMENTS = (
    between_plan_and_execute, by_another_agent, between_two_rungs, of_a_tool_in_the_tree,
    of_a_tool_of_a_stopped_turn, freeze_of_a_stranger,
)  # fmt: skip


def main(folder: Path) -> None:
    try:
        with open(LAST_PID, "w") as file:
            file.write(str(os.getpid()))
    except OSError as error:
        raise SystemExit(
            f"CANNOT: this kernel does not let the next pid be chosen: {error.strerror}"
        ) from None
    found: dict[str, Outcome] = {}
    for moment in MOMENTS:
        (folder / moment.__name__).mkdir()
        with contextlib.closing(World(folder / moment.__name__)) as world:
            found[moment.__name__] = moment(world)
    (folder / "screen").mkdir()
    with contextlib.closing(World(folder / "screen")) as world:
        found["between_dialog_and_yes"] = asyncio.run(between_dialog_and_yes(world))
    assert all(is_alive(pid) for pid in (1, os.getpid()))
    sys.stdout.write(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
