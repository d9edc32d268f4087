"""The sweep of orphans: real processes whose agent is dead, and those that only look so."""

import json
import os
import subprocess
import sys
import uuid

import pytest

from tests.fake_agents.world import IGNORE_TERM, SLEEP, SPECS, World, is_alive, is_deaf, now_ms, wait_for
from tests.test_procs_match import open_cmdline, orphan_of
from tokentop.procs import execute


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def orphans(world):
    world.tick()
    return world.watcher.plan_orphans(now_ms())


def test_the_sweep_lists_what_a_dead_agent_left_and_ends_exactly_that(world):
    """The agent is killed hard: its tool shell runs on; another agent's tool is not touched."""
    living = world.claude(children=[{"argv": SLEEP}])
    dead = world.claude(children=[{"argv": ["/bin/sh", "-c", "sleep 601 & wait"]}])
    assert orphans(world) == ()
    dead.process.kill()
    dead.process.wait()
    shell = dead.children[0]
    (orphan,) = wait_for(lambda: orphans(world))
    assert orphan.plan.target.pid == shell
    assert orphan.plan.command.startswith("/bin/sh -c sleep 601")
    assert orphan.origin == f"claude session {dead.session_id}"
    assert orphan.started_ms > 0
    below = [planned.ident.pid for planned in orphan.plan.tree]
    assert len(below) == 1
    receipt = execute(orphan.plan, now_ms=now_ms, agents=SPECS)
    assert receipt.result == "ended"
    assert set(receipt.ended_pids) == {shell, *below}
    assert not is_alive(shell)
    assert is_alive(living.pid)
    assert is_alive(living.children[0])
    assert orphans(world) == ()


def test_an_orphan_that_ignores_term_is_killed(world):
    env = world.env(CLAUDE_CODE_SESSION_ID="gone")
    path = world.work / "pid"
    script = f'setsid /bin/sh -c "{IGNORE_TERM[2]}" & echo $! > {path}'
    subprocess.run(["/bin/sh", "-c", script], env=env, check=True)
    pid = int(path.read_text())
    wait_for(lambda: open_cmdline(pid).startswith(b"/bin/sh\0-c\0trap") and is_deaf(pid))
    found = wait_for(lambda: [one for one in orphans(world) if one.plan.target.pid == pid])
    receipt = execute(found[0].plan, now_ms=now_ms, agents=SPECS)
    assert receipt.result == "ended"
    assert [rung.signal for rung in receipt.rungs if rung.pid == pid][-1] == "KILL"


def test_an_orphan_of_an_agent_whose_session_is_unknown_is_left_alone(world):
    """An agent without a registry entry lives: the marked process may be its own dev server."""
    fake = world.start(["claude"], {})
    pid = orphan_of(world, "sleep 600", world.env(CLAUDE_CODE_SESSION_ID=str(uuid.uuid4())))
    (orphan,) = orphans(world)
    assert orphan.plan.target.pid == pid
    assert f"may belong to claude {fake.pid}" in orphan.plan.refusal
    assert orphan.plan.rungs == ()
    receipt = execute(orphan.plan, now_ms=now_ms, agents=SPECS)
    assert receipt.result == "refused"
    assert is_alive(pid)


def test_a_plan_whose_pid_was_reused_ends_nobody(world):
    """Identity is (pid, start time): a plan from before does not hit who has the pid now."""
    import msgspec

    pid = orphan_of(world, "sleep 600", world.env(CLAUDE_CODE_SESSION_ID="gone"))
    (orphan,) = orphans(world)
    ident = msgspec.structs.replace(orphan.plan.target, start_ticks=orphan.plan.target.start_ticks - 1)
    stale = msgspec.structs.replace(orphan.plan, target=ident, tree=())
    assert execute(stale, now_ms=now_ms, agents=SPECS).result == "already gone"
    assert is_alive(pid)


def test_what_an_agent_without_markers_left_behind_is_known_to_the_command_after_a_tokentop_saw_it(
    world, tmp_path
):
    """Continue marks nothing that it starts: only who saw it alive can tell."""
    (world.home / ".continue").mkdir()
    closed = world.start(["cn"], {"children": [{"argv": SLEEP, "setsid": True}]})
    env = world.env(TOKENTOP_STATE_DIR=str(tmp_path / "state"), PYTHONPATH=os.getcwd())
    argv = [sys.executable, "-m", "tokentop"]

    def found():
        done = subprocess.run([*argv, "kill", "--orphans", "--dry-run", "--json"], env=env, capture_output=True,
                              text=True)  # fmt: skip
        plans = json.loads(done.stdout)["plans"] if done.returncode == 0 else []
        return [plan for plan in plans if plan["pid"] == closed.children[0]]

    def seen():
        shown = subprocess.run([*argv, "--json"], env=env, capture_output=True, text=True, check=True)
        return [row for row in json.loads(shown.stdout)["rows"] if row["pid"] == closed.pid]

    assert wait_for(seen)
    assert found() == []
    watch = subprocess.Popen([*argv, "watch"], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        watch.stdout.readline()  # it has looked
        closed.process.kill()
        closed.process.wait()
        (beside,) = wait_for(found)
    finally:
        watch.terminate()
        watch.communicate()
    (after,) = found()
    assert beside["agent"] == after["agent"] == "continue"
    assert after["refusal"] is None
    os.kill(closed.children[0], 9)
    wait_for(lambda: not found())


IN_NAMESPACE = """
    import json, os, subprocess, sys, time
    home = sys.argv[1]
    env = {"HOME": home, "TOKENTOP_STATE_DIR": home + "/state", "PATH": "/usr/bin:/bin", "PYTHONPATH": sys.argv[2]}
    marked = env | {"CLAUDE_CODE_SESSION_ID": "gone"}
    subprocess.run(["sh", "-c", "setsid sleep 600 & setsid sleep 601 & wait -n 0; exit 0"], env=marked)
    def run(*words):
        done = subprocess.run([sys.executable, "-m", "tokentop", "kill", "--orphans", *words], env=env,
                              capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr
    print(json.dumps([run("--dry-run"), run(), run("--yes", "--json"), run("--dry-run")]))
"""


@pytest.mark.skipif(not os.path.exists("/usr/bin/unshare"), reason="needs unshare")
def test_the_command_shows_asks_and_ends_orphans(tmp_path):
    """In a PID namespace of its own: the command looks at every process that it can see."""
    code = "\n".join(line[4:] for line in IN_NAMESPACE.splitlines())
    argv = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
        sys.executable,
        "-c",
        code,
    ]
    done = subprocess.run([*argv, str(tmp_path), os.getcwd()], capture_output=True, text=True)
    if "unshare" in done.stderr:
        pytest.skip("no user namespaces here")
    dry, asked, acted, again = json.loads(done.stdout)
    assert dry[0] == 0
    assert "sleep 600" in dry[1]
    assert "sleep 601" in dry[1]
    assert "of claude session gone" in dry[1]
    assert asked[0] == 2
    assert "--yes" in asked[2]
    assert acted[0] == 0
    assert [one["result"] for one in json.loads(acted[1])["results"]] == ["ended", "ended"]
    assert (again[0], again[2]) == (3, "tokentop: no process without a living owner\n")
