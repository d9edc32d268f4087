"""A fake agent in a tmux pane that ends some of its children when Escape comes, as agents do in part."""

import json
import os
import signal
import subprocess
import uuid

from tests.fake_agents.world import SPECS, World, agents, is_alive, now_ms, stat, wait_for
from tokentop.nouns.actions import Action
from tokentop.procs import execute
from tokentop.procs.turn import Turn

# A shell that runs its tool in a process group of its own, as `timeout` does: who ends the shell misses it.
APART = ["/bin/bash", "-c", "set -m; sleep 600 & wait"]


class Screen:
    """A fake agent in a tmux pane, with children; `stop` = what it does to them when Escape comes."""

    def __init__(
        self, world: World, *children: dict, stop: str = "shells", session: str = "",
        fields: dict | None = None, **more: object,
    ) -> None:  # fmt: skip
        self.world, self.up = world, world.work / f"up-{uuid.uuid4().hex}"
        self.session = session or str(uuid.uuid4())
        spec = {
            "ready": str(self.up), "keys": str(world.work / "keys"), "children": list(children), "stop": stop,
            "registry": world.registry(self.session, **(fields or {})), **more,
        }  # fmt: skip
        env = world.env(TMUX_TMPDIR=str(world.work), SHELL="/bin/sh", FAKE_AGENT=json.dumps(spec))
        argv = ["tmux", "-L", "x", "new-session", "-d", "-x", "80", "-y", "24", world.program("claude")]
        subprocess.run(argv, env=env, check=True)
        wait_for(self.up.exists)
        ready = json.loads(self.up.read_text())
        self.pid, self.children = ready["pid"], ready["children"]

    @property
    def proc(self):
        return next(p for p in agents(self.world.tick()) if p.ident.pid == self.pid)

    def below(self, pid: int) -> list[int]:
        """The processes that a child has started, once there are some."""
        return wait_for(lambda: children_of(self.world, pid))

    def plan(self, action: Action = Action.INTERRUPT, *, turn: Turn | None = None):
        proc = self.proc
        turn = turn or Turn(proc.started_ms, proc.started_ms)
        return self.world.watcher.plan(self.world.row(proc), action, now_ms(), turn=turn)

    def start_late(self) -> int:
        """Another tool, begun now."""
        os.kill(self.pid, signal.SIGUSR1)
        return wait_for(lambda: set(children_of(self.world, self.pid)) - set(self.children)).pop()

    def stop(self, plan=None, **keywords):
        return execute(plan or self.plan(), now_ms=now_ms, agents=SPECS, **keywords)


def children_of(world, pid):
    found = []
    for one in world.ours():
        try:
            if int(stat(one)[1]) == pid and is_alive(one):
                found.append(one)
        except OSError:
            continue
    return found
