"""What a stopped turn leaves running: found, shown before, ended or spared, and told. Real processes."""

import os
import signal

import msgspec
import pytest

from tests.fake_agents.screen import APART, Screen, children_of
from tests.fake_agents.world import IGNORE_TERM, SLEEP, SPECS, World, agents, is_alive, now_ms, wait_for
from tokentop.nouns.actions import Action
from tokentop.nouns.processes import ProcRole
from tokentop.procs import execute
from tokentop.procs.turn import CLOCKS_MS, Turn

OWN_SESSION = ["/bin/sh", "-c", "setsid sleep 600 & wait"]
DEAF = ["/bin/sh", "-c", f'setsid /bin/sh -c "{IGNORE_TERM[2]}" & wait']


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def tool(argv, **more):
    return {"argv": argv, "setsid": True, **more}


def planned(procs):
    return {one.ident.pid for one in procs}


@pytest.mark.parametrize("argv", [APART, OWN_SESSION])
def test_what_the_shell_of_the_turn_leaves_behind_is_listed_before_and_ended(world, argv):
    screen = Screen(world, tool(argv))
    [shell] = screen.children
    [left] = screen.below(shell)
    plan = screen.plan()
    assert planned(plan.tree) == {shell, left}
    assert plan.turn_only
    receipt = screen.stop(plan)
    assert receipt.result == "requested"
    assert f"left behind and ended: {left} sleep" in receipt.detail
    assert [(r.pid, r.signal) for r in receipt.rungs if r.pid not in (screen.pid,)] == [(left, "TERM")]
    assert set(receipt.ended_pids) == {shell, left}
    assert (receipt.survivors, receipt.left_behind) == ((), ())
    assert not is_alive(left)
    assert is_alive(screen.pid)


def test_a_leftover_that_ignores_term_is_killed(world):
    screen = Screen(world, tool(DEAF))
    [shell] = screen.children
    [left] = screen.below(shell)
    screen.below(left)
    receipt = screen.stop()
    assert [r.signal for r in receipt.rungs if r.pid == left and r.result == "sent"] == [
        "TERM",
        "STOP",
        "KILL",
    ]
    assert left in receipt.ended_pids
    assert receipt.survivors == ()
    assert not is_alive(left)


def test_a_tool_that_the_agent_does_not_touch_is_ended_where_the_turn_waits_for_it(world):
    screen = Screen(world, tool(IGNORE_TERM), stop="nothing")
    [shell] = screen.children
    receipt = screen.stop()
    assert shell in receipt.ended_pids
    assert f"left behind and ended: {shell} sh" in receipt.detail
    assert not is_alive(shell)


def test_what_was_answered_before_runs_on_in_the_background_and_is_named(world):
    screen = Screen(world, tool(SLEEP), stop="nothing")
    [shell] = screen.children
    plan = screen.plan(turn=Turn(began_ms=screen.proc.started_ms))
    assert planned(plan.tree) >= {shell}
    assert plan.means.awaited == ()
    receipt = screen.stop(plan)
    assert "left running, the turn did not wait for it" in receipt.detail
    assert shell in receipt.survivors
    assert [r for r in receipt.rungs if r.pid != screen.pid] == []
    assert is_alive(shell)


def test_what_is_older_than_the_turn_stays_also_where_its_shell_ends(world):
    screen = Screen(world, tool(APART))
    [shell] = screen.children
    [old] = screen.below(shell)
    plan = screen.plan(turn=Turn(now_ms() + 60_000, now_ms() + 60_000))
    assert plan.tree == ()
    assert planned(plan.stays) == {shell, old}
    receipt = screen.stop(plan)
    assert [r for r in receipt.rungs if r.pid != screen.pid] == []
    assert is_alive(old)


def test_a_server_of_tools_survives_with_what_it_has_started(world):
    """It talks over pipes; `npx` puts a shell above it, and it starts helpers during the turn."""
    server = {"argv": ["/bin/sleep", "600"], "env": {}, "pipes": True}
    wrapped = {"argv": ["/usr/bin/env", "sh", "-c", "sleep 600 & wait"], "env": {}, "pipes": True}
    screen = Screen(world, server, wrapped, stop="last", late=APART)
    mcp, wrapper = screen.children
    [helper] = screen.below(wrapper)
    began_ms = now_ms() + CLOCKS_MS
    wait_for(lambda: now_ms() > began_ms)
    shell = screen.start_late()
    [left] = screen.below(shell)
    plan = screen.plan(turn=Turn(began_ms, began_ms))
    assert planned(plan.stays) == {mcp, wrapper, helper}
    assert planned(plan.tree) == {shell, left}
    receipt = screen.stop(plan)
    assert all(map(is_alive, (mcp, wrapper, helper)))
    assert set(receipt.ended_pids) == {shell, left}
    assert receipt.survivors == ()


def test_a_tool_over_pipes_is_called_a_tool_where_all_is_ended_and_an_older_server_is_not(world):
    """Kimi, OpenClaw and Cline give their tools pipes."""
    screen = Screen(
        world, {"argv": SLEEP, "env": {}, "pipes": True}, late={"argv": SLEEP, "env": {}, "pipes": True}
    )
    [server] = screen.children
    began_ms = now_ms() + CLOCKS_MS
    wait_for(lambda: now_ms() > began_ms)
    late = screen.start_late()
    for turn, role in ((Turn(began_ms, began_ms), ProcRole.TOOL), (Turn(began_ms), ProcRole.MCP)):
        plan = screen.plan(Action.TERMINATE, turn=turn)
        roles = {one.ident.pid: one.role for one in plan.tree}
        assert (roles[server], roles[late]) == (ProcRole.MCP, role)


def test_a_shell_with_another_agent_below_it_is_left_with_it(world):
    inner = world.program("codex")
    nested = {"argv": ["/bin/sh", "-c", f"{inner} exec go & sleep 600"], "env": {"FAKE_AGENT": "{}"}}
    screen = Screen(world, nested)
    wait_for(lambda: len([p for p in agents(world.tick()) if p.agent == "codex"]) == 1)
    [agent] = [p.ident.pid for p in agents(world.tick()) if p.agent == "codex"]
    plan = screen.plan()
    assert plan.tree == ()
    assert agent in planned(plan.stays)
    receipt = screen.stop(plan)
    assert [r for r in receipt.rungs if r.pid != screen.pid] == []
    assert is_alive(agent)


def test_another_agent_that_the_tool_starts_after_the_plan_is_not_touched(world):
    inner, go = world.program("codex"), world.work / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.05; done; {inner} exec go & sleep 600"
    screen = Screen(world, {"argv": ["/bin/sh", "-c", script], "env": {"FAKE_AGENT": "{}"}}, stop="nothing")
    plan = screen.plan()
    go.touch()
    wait_for(lambda: [p for p in agents(world.tick()) if p.agent == "codex"])
    [agent] = [p.ident.pid for p in agents(world.tick()) if p.agent == "codex"]
    receipt = screen.stop(plan)
    assert is_alive(agent)
    assert screen.children[0] in receipt.survivors


def test_what_was_started_to_outlive_its_terminal_stays(world):
    script = "nohup sleep 600 >/dev/null 2>&1 & set -m; sleep 500 & wait"
    screen = Screen(world, tool(["/bin/bash", "-c", script]))
    [shell] = screen.children
    kept, left = (
        wait_for(lambda words=words: [p for p in children_of(world, shell) if cmdline(p).startswith(words)])[
            0
        ]
        for words in (b"sleep\x00600", b"sleep\x00500")
    )
    plan = screen.plan()
    assert planned(plan.stays) == {kept}
    assert planned(plan.tree) == {shell, left}
    screen.stop(plan)
    assert [is_alive(kept), is_alive(left)] == [True, False]


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_what_had_lost_its_shell_before_the_stop_was_detached_and_stays(world):
    screen = Screen(world, tool(["/bin/sh", "-c", "setsid sleep 600 & exit 0"]))
    wait_for(lambda: not is_alive(screen.children[0]))
    [daemon] = wait_for(lambda: [pid for pid in world.ours() if cmdline(pid).startswith(b"sleep")])
    assert screen.stop().ended_pids == ()
    assert is_alive(daemon)


def test_where_the_agent_ends_its_tools_itself_nothing_is_signalled(world):
    screen = Screen(world, tool(["/bin/sleep", "600"]))
    receipt = screen.stop()
    assert [r for r in receipt.rungs if r.pid != screen.pid] == []
    assert list(receipt.ended_pids) == screen.children
    assert "left" not in receipt.detail


def test_a_tool_that_was_started_after_the_plan_is_ended_where_it_is_let_go_and_named_where_not(world):
    screen = Screen(world, tool(SLEEP), stop="shells", late=APART)
    plan = screen.plan()
    late = screen.start_late()
    [left] = screen.below(late)
    assert late not in planned(plan.tree)
    receipt = screen.stop(plan)
    assert not is_alive(left)
    assert {late, left} <= set(receipt.ended_pids)


def test_a_plan_whose_tool_has_another_identity_hits_nobody(world):
    """The pid in the plan was given to another process meanwhile: identity is pid and start time."""
    screen = Screen(world, tool(SLEEP), stop="nothing")
    stranger = world.popen(SLEEP)
    plan = screen.plan()
    [one] = [p for p in plan.tree if p.ident.pid == screen.children[0]]
    # Two that are started within one tick of the kernel's clock would have the same start.
    forged = msgspec.structs.replace(one.ident, pid=stranger.pid, start_ticks=one.ident.start_ticks - 1)
    tree = (msgspec.structs.replace(one, ident=forged),)
    means = msgspec.structs.replace(plan.means, awaited=(forged,))
    receipt = screen.stop(msgspec.structs.replace(plan, tree=tree, means=means))
    assert stranger.poll() is None
    assert stranger.pid not in receipt.ended_pids + receipt.survivors
    assert [r for r in receipt.rungs if r.pid != screen.pid] == []


def test_a_later_terminate_finds_what_the_stopped_turn_has_left_behind(world):
    """Also in another run, where a look at the processes finds no way from it to its agent."""
    screen = Screen(world, tool(APART), stop="nothing")
    [shell] = screen.children
    [left] = screen.below(shell)
    receipt = screen.stop(screen.plan(turn=Turn(began_ms=screen.proc.started_ms)))
    assert {ident.pid for ident in receipt.left_behind} == {shell, left}
    os.kill(shell, signal.SIGKILL)
    wait_for(lambda: left not in children_of(world, shell))  # it has another parent now
    world.watch_for(*SPECS)
    plan = world.watcher.plan(world.row(screen.proc), Action.TERMINATE, now_ms())
    assert left not in planned(plan.tree), "without the receipt nobody can tell whose it is"
    world.watcher.adopt(receipt)
    proc = screen.proc
    assert [(c.ident.pid, c.role) for c in proc.children if c.ident.pid == left] == [(left, ProcRole.TOOL)]
    plan = world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms())
    assert left in planned(plan.tree)
    ended = execute(plan, now_ms=now_ms, agents=SPECS)
    assert {screen.pid, left} <= set(ended.ended_pids)
    assert not is_alive(left)


def test_what_another_process_has_the_pid_of_is_not_adopted(world):
    screen = Screen(world)
    stranger = world.popen(SLEEP)
    proc = screen.proc
    ident = msgspec.structs.replace(proc.ident, pid=stranger.pid, start_ticks=1)
    receipt = msgspec.structs.replace(screen.stop(), left_behind=(ident,))
    world.watcher.adopt(receipt)
    assert screen.proc.children == ()
