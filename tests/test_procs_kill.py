"""Kills of real processes: small programs under the agents' names, with trees that resist."""

import json
import os
import signal
import subprocess
import time
import uuid

import msgspec
import pytest

from tests.fake_agents.world import (
    IGNORE_TERM,
    SLEEP,
    SPECS,
    World,
    agents,
    is_alive,
    is_deaf,
    now_ms,
    row,
    start_ticks,
    wait_for,
)
from tokentop.nouns.actions import Action
from tokentop.nouns.processes import ProcRole
from tokentop.procs import execute
from tokentop.procs.probe import LinuxProbe


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def only(procs):
    found = [proc for proc in procs if proc.role is ProcRole.AGENT]
    assert len(found) == 1, found
    return found[0]


def sent(receipt, pid):
    return [rung.signal for rung in receipt.rungs if rung.pid == pid and rung.result == "sent"]


def test_terminate_sweeps_the_tool_shell_that_the_agent_leaves_behind(world):
    """processes.md case 88."""
    fake = world.claude(children=[{"argv": SLEEP}])
    receipt = world.act(only(world.tick()), Action.TERMINATE)
    assert receipt.result == "ended"
    assert sent(receipt, fake.pid) == ["TERM"]
    assert fake.children[0] in receipt.ended_pids
    assert receipt.survivors == ()
    assert not is_alive(fake.pid)
    assert not is_alive(fake.children[0])


def test_a_key_in_the_title_of_a_process_is_in_no_plan_and_no_receipt(world):
    """Some programs write their whole command line into their first argument."""
    key = "sk-ant-canary-0123456789abcdef"
    fake = world.claude(
        children=[{"argv": ["/bin/bash", "-c", f"exec -a 'server --port 1 --api-key {key}' sleep 86400"]}]
    )
    [child] = fake.children
    wait_for(lambda: key in " ".join(LinuxProbe().argv(child)))
    plans = []

    def seen():
        world.tick()
        target = row("claude", "", pid=child, key=f"proc:{child}:{start_ticks(child)}")
        plans[:] = [world.watcher.plan(target, Action.TERMINATE, now_ms())]
        return not plans[0].refusal and "server" in plans[0].target.argv0

    wait_for(seen)
    receipt = execute(plans[0], now_ms=now_ms)
    assert receipt.result == "ended"
    assert receipt.argv0 == "server --port 1 --api-key ***"
    for kept in (plans[0], receipt):
        assert key.encode() not in msgspec.json.encode(kept)


def test_an_agent_that_ignores_term_gets_kill_after_the_grace_and_both_rungs_are_in_the_receipt(world):
    """processes.md case 89."""
    fake = world.claude(ignore=["TERM"])
    proc = only(world.tick())
    plan = world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms())
    assert plan.rungs == (("TERM", 5.0), ("KILL", 2.0))
    receipt = execute(_quick(plan), now_ms=now_ms)
    assert receipt.result == "ended"
    assert sent(receipt, fake.pid) == ["TERM", "KILL"]
    assert all(rung.at_ms for rung in receipt.rungs)


def _quick(plan):
    """The same plan with short graces, for agents that are known to ignore the signal."""
    return msgspec.structs.replace(plan, rungs=tuple((name, min(grace, 0.3)) for name, grace in plan.rungs))


def test_a_tool_that_ignores_term_is_swept_with_kill(world):
    """processes.md case 90: a grandchild in a session of its own."""
    argv = ["/bin/sh", "-c", "setsid /bin/sh -c \"trap '' TERM; while :; do sleep 0.2; done\" & wait"]
    fake = world.claude(children=[{"argv": argv}])
    stubborn = wait_for(
        lambda: [
            p for p in world.ours() if b"trap" in cmdline(p) and b"setsid" not in cmdline(p) and is_deaf(p)
        ]
    )
    world.tick()
    receipt = world.act(only(world.tick()), Action.TERMINATE)
    assert receipt.result == "ended"
    assert "KILL" in sent(receipt, stubborn[0])
    assert not is_alive(stubborn[0])
    assert sent(receipt, fake.pid) == ["TERM"]


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


def test_what_forks_again_during_the_sweep_is_caught(world):
    """processes.md case 91: each member ignores TERM and leaves a child in a new session behind."""
    argv = ["/bin/sh", "-c", "trap '' TERM; while :; do setsid sleep 60 & sleep 0.05; done"]
    fake = world.claude(children=[{"argv": argv}])
    receipt = world.act(only(world.tick()), Action.TERMINATE)
    assert receipt.result == "ended"
    assert receipt.survivors == ()
    assert [pid for pid in world.ours() if is_alive(pid)] == []
    assert fake.pid in receipt.ended_pids


class InStorm(LinuxProbe):
    """Looks again only when the storm has gone on: a busy machine may hold it up for a while."""

    def __init__(self, pid):
        super().__init__()
        self.pid, self.born = pid, 0

    def snapshot(self):
        return wait_for(self.gone_on)

    def gone_on(self):
        found = super().snapshot()
        born = sum(brief.ppid == self.pid for brief in found.values())
        storms = self.pid in found and found[self.pid].state not in "TtZX"
        if storms and born < self.born + 5:
            return None
        self.born = born
        return found


def test_a_fork_storm_is_stopped_first_and_nothing_of_it_is_left(world):
    """processes.md case 92."""
    session = str(uuid.uuid4())
    fake = world.claude(session=session, storm_s=0.01, storm_env={"CLAUDE_CODE_SESSION_ID": session})
    # Between fork and exec each child has the arguments of its agent.
    [proc] = [proc for proc in agents(world.tick()) if proc.ident.pid == fake.pid]
    receipt = world.act(proc, Action.TERMINATE, probe=InStorm(fake.pid))
    assert receipt.result == "ended"
    assert sent(receipt, fake.pid)[:3] == ["STOP", "TERM", "CONT"]
    assert [pid for pid in world.ours() if is_alive(pid)] == []


def test_the_worker_goes_first_and_its_deaf_launcher_is_ended_afterwards(world):
    """processes.md cases 3 and 93."""
    package = "node_modules/@openai/codex"
    worker = world.program(f"{package}/vendor/x86_64-unknown-linux-musl/bin/codex")
    world.start(
        [f"{package}/bin/codex.js", "exec", "go"],
        {"ignore": ["INT", "TERM"], "spawn": [worker], "reap": True},
        FAKE_WORKER=json.dumps({}),
    )
    proc = wait_for(lambda: next((p for p in world.tick() if p.wrapper and p.role is ProcRole.AGENT), None))
    assert proc.agent == "codex"
    assert proc.one_shot
    receipt = world.watcher.plan_pid(proc.ident.pid, Action.TERMINATE, now_ms())
    receipt = execute(receipt, now_ms=now_ms)
    order = [(rung.pid, rung.signal) for rung in receipt.rungs if rung.result == "sent"]
    assert order[0] == (proc.ident.pid, "INT")
    assert [name for pid, name in order if pid == proc.wrapper.pid] == ["TERM", "KILL"]
    assert receipt.result == "ended"
    assert {proc.ident.pid, proc.wrapper.pid} <= set(receipt.ended_pids)


class Late(LinuxProbe):
    """Looks at one process only when it has gone."""

    def __init__(self, pid):
        super().__init__()
        self.late = pid

    def open(self, ident):
        if ident.pid == self.late:
            wait_for(lambda: not is_alive(ident.pid))
        return super().open(ident)


class Ending(LinuxProbe):
    """Meets one process in the moment of its end: it still has its pid, and no program any more."""

    def __init__(self, pid):
        super().__init__()
        self.ending = pid

    def ident(self, pid):
        found = super().ident(pid)
        if pid == self.ending and found:
            os.kill(pid, signal.SIGKILL)
            return msgspec.structs.replace(found, exe="")
        return found


class Loading(LinuxProbe):
    """Meets one process while it is being loaded: it has neither arguments nor an environment yet."""

    def __init__(self, pid):
        super().__init__()
        self.pid, self.loaded_s = pid, time.monotonic() + 0.5

    def argv(self, pid):
        return () if self.is_loading(pid) else super().argv(pid)

    def environ(self, pid, names):
        return () if self.is_loading(pid) else super().environ(pid, names)

    def is_loading(self, pid):
        return pid == self.pid and time.monotonic() < self.loaded_s


def test_what_is_being_loaded_during_the_sweep_is_waited_for(world):
    session = str(uuid.uuid4())
    world.claude(session=session)
    proc = only(world.tick())
    plan = world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms())
    marked = world.env(CLAUDE_CODE_SESSION_ID=session)
    subprocess.run(["setsid", "--fork", "sleep", "600"], env=marked, check=True)
    [left] = wait_for(lambda: [pid for pid in world.ours() if cmdline(pid) == b"sleep\x00600\x00"])
    receipt = execute(plan, now_ms=now_ms, agents=SPECS, probe=Loading(left))
    assert receipt.result == "ended"
    assert left in receipt.ended_pids
    assert not is_alive(left)


def test_a_target_met_in_the_moment_of_its_end_is_gone_and_not_refused(world):
    fake = world.claude()
    plan = world.watcher.plan(world.row(only(world.tick())), Action.TERMINATE, now_ms())
    receipt = execute(plan, now_ms=now_ms, probe=Ending(fake.pid))
    assert (receipt.result, receipt.rungs) == ("already gone", ())


class Emptied(LinuxProbe):
    """Meets a process in the moment of its end for the first few looks: no program, no arguments."""

    def __init__(self, pid):
        super().__init__()
        self.ending, self.looks = pid, 4

    def ident(self, pid):
        found = super().ident(pid)
        return msgspec.structs.replace(found, exe="", argv0="") if found and self._empty(pid) else found

    def argv(self, pid):
        return () if self._empty(pid) else super().argv(pid)

    def _empty(self, pid):
        self.looks -= pid == self.ending
        return pid == self.ending and self.looks >= 0


def test_a_tool_met_in_the_moment_of_its_end_is_no_kernel_thread(world):
    fake = world.claude(children=[{"argv": SLEEP}])
    plan = world.watcher.plan(world.row(only(world.tick())), Action.KILL, now_ms())
    [tool] = fake.children
    receipt = execute(plan, now_ms=now_ms, agents=SPECS, probe=Emptied(tool))
    assert receipt.result == "ended"
    assert (receipt.detail, tool in receipt.ended_pids, is_alive(tool)) == ("", True, False)


def test_a_launcher_that_ends_with_its_worker_is_named_among_the_ended(world):
    package = "node_modules/@openai/codex"
    worker = world.program(f"{package}/vendor/x86_64-unknown-linux-musl/bin/codex")
    world.start(
        [f"{package}/bin/codex.js", "exec", "go"],
        {"spawn": [worker], "worker": {}, "reap": True, "follows": True},
    )
    proc = wait_for(lambda: next((p for p in world.tick() if p.wrapper and p.role is ProcRole.AGENT), None))
    plan = world.watcher.plan_pid(proc.ident.pid, Action.TERMINATE, now_ms())
    receipt = execute(plan, now_ms=now_ms, probe=Late(proc.wrapper.pid))
    assert receipt.result == "ended"
    assert sorted(receipt.ended_pids) == sorted([proc.ident.pid, proc.wrapper.pid])
    assert sent(receipt, proc.wrapper.pid) == []


def test_a_one_shot_claude_gets_int_and_no_term_when_it_obeys(world):
    """processes.md cases 27 and 97: the entrypoint tells it apart, not the kind."""
    fake = world.claude("-p", "hi", fields={"entrypoint": "sdk-cli"})
    proc = only(world.tick())
    assert proc.one_shot
    receipt = world.act(proc, Action.TERMINATE)
    assert sent(receipt, fake.pid) == ["INT"]
    assert receipt.result == "ended"


def test_stopping_the_turn_of_a_one_shot_is_int_alone_and_asks_first(world):
    """Its turn is all that it does: the plan says so, and nothing harder follows the INT."""
    fake = world.claude("-p", "hi", fields={"entrypoint": "sdk-cli"}, children=[{"argv": SLEEP}])
    proc = only(world.tick())
    plan = world.watcher.plan(world.row(proc), Action.INTERRUPT, now_ms())
    assert [name for name, _ in plan.rungs] == ["INT"]
    assert plan.way == f"SIGINT to pid {fake.pid}"
    assert "ends with its turn" in plan.warning
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    assert (receipt.result, receipt.way) == ("ended", plan.way)
    assert sent(receipt, fake.pid) == ["INT"]
    assert not is_alive(fake.children[0])


def test_a_one_shot_that_ignores_int_is_not_ended_by_stopping_its_turn(world):
    fake = world.claude("-p", "hi", fields={"entrypoint": "sdk-cli"}, ignore=["INT"])
    receipt = world.act(only(world.tick()), Action.INTERRUPT)
    assert receipt.result == "still alive"
    assert sent(receipt, fake.pid) == ["INT"]
    assert is_alive(fake.pid)


def test_codex_exec_gets_int_first_and_is_mapped_by_its_open_rollout(world):
    """processes.md cases 4, 33 and 98."""
    thread = str(uuid.uuid4())
    rollout = world.home / f".codex/sessions/2026/11/21/rollout-2026-11-21T10-00-00-{thread}.jsonl"
    rollout.parent.mkdir(parents=True)
    fake = world.start(["codex", "exec", "go"], {"open": [str(rollout)]})
    proc = only(world.tick())
    assert (proc.session_id, proc.confidence, proc.one_shot) == (thread, "exact", True)
    receipt = world.act(proc, Action.TERMINATE)
    assert sent(receipt, fake.pid) == ["INT"]
    assert receipt.result == "ended"


def test_the_script_that_started_the_agent_survives(world):
    """processes.md case 108: same process group, not part of the tree."""
    program = world.program("claude")
    ready = world.work / "ready"
    script = subprocess.Popen(
        ["/bin/sh", "-c", f"{program} & while :; do sleep 0.1; done"],
        env=world.env(FAKE_AGENT=json.dumps({"ready": str(ready)})),
        start_new_session=True,
    )
    world.processes.append(script)
    wait_for(ready.exists)
    proc = only(world.tick())
    receipt = execute(world.watcher.plan_pid(proc.ident.pid, Action.TERMINATE, now_ms()), now_ms=now_ms)
    assert receipt.result == "ended"
    assert is_alive(script.pid)


def test_children_are_swept_when_the_agent_died_before_the_first_signal(world):
    """processes.md cases 94 and 107: the recorded tree is enough."""
    fake = world.claude(children=[{"argv": IGNORE_TERM}])
    plan = world.watcher.plan(world.row(only(world.tick())), Action.TERMINATE, now_ms())
    os.kill(fake.pid, signal.SIGKILL)
    fake.process.wait(30)
    receipt = execute(plan, now_ms=now_ms)
    assert receipt.result == "already gone"
    assert sent(receipt, fake.pid) == []
    assert fake.children[0] in receipt.ended_pids
    assert not is_alive(fake.children[0])


def test_a_replacement_session_and_its_tools_are_not_touched(world):
    """processes.md case 79: the same session resumed under the same name after the plan."""
    old = world.claude()
    plan = world.watcher.plan(world.row(only(world.tick())), Action.TERMINATE, now_ms())
    new = world.claude("--resume", old.session_id, session=old.session_id, children=[{"argv": SLEEP}])
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    assert receipt.result == "ended"
    assert not is_alive(old.pid)
    assert is_alive(new.pid)
    assert is_alive(new.children[0])


def test_orphans_with_the_mark_of_the_session_are_swept_with_it(world):
    """processes.md case 49: a tool that left the tree before the plan."""
    session = str(uuid.uuid4())
    script = "setsid sleep 300 & exit 0"
    world.claude(session=session, children=[{"argv": ["/bin/sh", "-c", script]}], reap=True)
    stray = wait_for(lambda: [p for p in world.ours() if cmdline(p) == b"sleep\x00300\x00"])
    receipt = world.act(only(world.tick()), Action.TERMINATE)
    assert stray[0] in receipt.ended_pids
    assert not is_alive(stray[0])


def test_a_nested_agent_is_named_in_the_plan_and_ends_with_its_parent(world):
    """processes.md cases 9, 45 and 103: included unless it was taken out."""
    outer, inner = nested(world)
    procs = {p.session_id: p for p in world.tick()}
    assert procs[inner].parent_session_id == outer
    assert procs[inner].wrapper is None
    plan = world.watcher.plan(world.row(procs[outer]), Action.TERMINATE, now_ms())
    assert inner in [planned.nested_session_id for planned in plan.tree]
    assert "nested agent" in plan.warning
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    assert procs[inner].ident.pid in receipt.ended_pids
    assert not is_alive(procs[inner].ident.pid)


def test_a_nested_agent_that_was_taken_out_of_the_plan_survives(world):
    """processes.md case 103."""
    outer, inner = nested(world)
    procs = {p.session_id: p for p in world.tick()}
    plan = world.watcher.plan(world.row(procs[outer]), Action.TERMINATE, now_ms())
    means = msgspec.structs.replace(plan.means, keep=(*plan.means.keep, procs[inner].ident))
    receipt = execute(msgspec.structs.replace(plan, means=means), now_ms=now_ms, agents=SPECS)
    assert receipt.result == "ended"
    assert is_alive(procs[inner].ident.pid)


def nested(world):
    outer, inner = str(uuid.uuid4()), str(uuid.uuid4())
    ready = world.work / "inner"
    document = {"registry": world.registry(inner, entrypoint="sdk-cli"), "ready": str(ready)}
    shell = ["/bin/sh", "-c", f"{world.program('claude')} -p review; :"]
    marker = {"CLAUDE_CODE_SESSION_ID": outer, "FAKE_AGENT": json.dumps(document)}
    world.claude(session=outer, children=[{"argv": shell, "env": marker}])
    wait_for(ready.exists)
    return outer, inner


def test_a_zombie_is_already_dead(world):
    """processes.md cases 18 and 105: no row, no wait."""
    fake = world.claude()
    proc = only(world.tick())
    os.kill(fake.pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(fake.pid))  # not reaped: a zombie
    receipt = world.act(proc, Action.TERMINATE)
    assert receipt.result == "already gone"
    assert world.tick() == ()
    assert "already dead" in world.watcher.plan_pid(fake.pid, Action.KILL, now_ms()).refusal


def test_a_stopped_target_gets_term_and_then_cont(world):
    """processes.md case 105."""
    fake = world.claude()
    os.kill(fake.pid, signal.SIGSTOP)
    receipt = world.act(only(world.tick()), Action.TERMINATE)
    assert sent(receipt, fake.pid) == ["TERM", "CONT"]
    assert receipt.result == "ended"


def test_an_agent_that_lives_on_is_reported_alive(world):
    """processes.md case 106: closing a log is no evidence of an end."""
    fake = world.claude(ignore=["TERM"])
    plan = world.watcher.plan(world.row(only(world.tick())), Action.TERMINATE, now_ms())
    receipt = execute(msgspec.structs.replace(plan, rungs=(("TERM", 0.2),)), now_ms=now_ms)
    assert receipt.result == "still alive"
    assert receipt.survivors == (fake.pid,)
    assert is_alive(fake.pid)


def test_freeze_and_thaw_are_verified_and_leave_the_tool_running(world):
    """processes.md cases 69 and 109."""
    fake = world.claude(children=[{"argv": SLEEP}])
    assert world.act(only(world.tick()), Action.FREEZE).result == "frozen"
    frozen = only(world.tick())
    assert (frozen.run_state, str(frozen.state)) == ("T", "frozen")
    assert is_alive(fake.children[0])
    assert [child.ident.pid for child in frozen.children][:1] == [fake.children[0]]
    assert world.watcher.plan(world.row(frozen), Action.FREEZE, now_ms()).refusal
    assert world.act(frozen, Action.THAW).result == "thawed"
    thawed = only(world.tick())
    assert thawed.run_state != "T"
    assert world.watcher.plan(world.row(thawed), Action.THAW, now_ms()).refusal == "it is not frozen"


def test_a_receipt_holds_no_prompt_and_no_environment(world):
    """processes.md case 112."""
    world.claude("-p", "a very private prompt")
    receipt = world.act(only(world.tick()), Action.TERMINATE)
    assert "private" not in repr(receipt)
    assert world.token not in repr(receipt)


def background(world, **spec):
    """A supervised worker with its job; the stop command ends it with TERM."""
    job = world.home / ".claude/jobs/ab12"
    job.mkdir(parents=True)
    job.joinpath("state.json").write_text(json.dumps({"state": "blocked", "needs": "which branch?"}))
    fake = world.claude("--session-id", str(uuid.uuid4()), fields={"kind": "bg", "jobId": "ab12"}, **spec)
    job.joinpath("worker").write_text(str(fake.pid))
    return fake, job


def test_a_background_agent_is_stopped_by_its_own_command_and_never_by_a_signal(world):
    """processes.md cases 31, 32, 71 and 99."""
    fake, job = background(world)
    proc = only(world.tick())
    assert (str(proc.state), proc.state_detail, proc.background_id) == ("input", "which branch?", "ab12")
    assert "start it again" in world.watcher.plan(world.row(proc), Action.KILL, now_ms()).refusal
    receipt = world.act(proc, Action.TERMINATE)
    assert receipt.way.startswith("its own command `")
    assert receipt.way.endswith("stop ab12`")
    assert job.joinpath("stopped").exists()
    assert sent(receipt, fake.pid) == ["stop command"]
    assert receipt.result == "ended"
    assert not is_alive(fake.pid)


def test_a_background_agent_that_its_stop_command_does_not_end_is_reported_alive(world):
    """processes.md rule 10 of section 9; no raw signal follows."""
    fake, _ = background(world, ignore=["TERM"])
    plan = world.watcher.plan(world.row(only(world.tick())), Action.TERMINATE, now_ms())
    assert plan.rungs == (("stop command", 10.0),)
    receipt = execute(msgspec.structs.replace(plan, rungs=(("stop command", 1.5),)), now_ms=now_ms)
    assert receipt.result == "still alive"
    assert is_alive(fake.pid)


def test_a_failing_stop_command_is_reported_in_words_without_a_signal(world):
    fake, job = background(world)
    job.joinpath("worker").unlink()
    receipt = world.act(only(world.tick()), Action.TERMINATE)
    assert receipt.result == "failed"
    assert "no signal was sent" in receipt.detail
    assert is_alive(fake.pid)


def test_a_forced_kill_of_a_supervised_agent_reports_that_it_came_back(world):
    """processes.md case 99: the supervisor starts it again."""
    session = str(uuid.uuid4())
    program = world.program("claude")
    registry = world.registry(session, kind="bg", jobId="cd34")
    loop = f"while :; do {program} --session-id {session}; sleep 0.2; done"
    supervisor = subprocess.Popen(
        ["/bin/sh", "-c", loop],
        env=world.env(FAKE_AGENT=json.dumps({"registry": registry})),
        start_new_session=True,
    )
    world.processes.append(supervisor)
    proc = wait_for(lambda: next((p for p in world.tick() if p.background_id), None))
    plan = world.watcher.plan(world.row(proc), Action.KILL, now_ms(), force=True)
    assert "start it again" in plan.warning
    receipt = execute(plan, now_ms=now_ms)
    assert receipt.result == "respawned"


def test_a_session_that_something_starts_again_is_not_said_to_have_ended(world):
    """processes.md rule 10 of section 9: a loop that no registry tells of."""
    session = str(uuid.uuid4())
    program = world.program("claude")
    loop = f"while :; do {program} --session-id {session}; done"
    document = {"registry": world.registry(session)}
    process = subprocess.Popen(
        ["/bin/sh", "-c", loop], env=world.env(FAKE_AGENT=json.dumps(document)), start_new_session=True
    )
    world.processes.append(process)
    proc = wait_for(lambda: next((p for p in agents(world.tick()) if p.session_id == session), None))
    receipt = world.act(proc, Action.TERMINATE)
    assert receipt.result == "respawned"
    again = wait_for(lambda: agents(world.tick()))[0]
    assert f"something started it again as pid {again.ident.pid}" in receipt.detail
    assert is_alive(process.pid)


def test_a_tool_is_ended_alone_with_the_warning_that_its_agent_goes_on(world):
    fake = world.claude(children=[{"argv": SLEEP}])
    world.tick()
    pid = fake.children[0]
    plan = world.watcher.plan(
        row("claude", fake.session_id, pid=pid, key=f"proc:{pid}:{start_ticks(pid)}", kind="tool"),
        Action.TERMINATE,
        now_ms(),
    )
    assert "go on" in plan.warning
    receipt = execute(plan, now_ms=now_ms)
    assert receipt.result == "ended"
    assert not is_alive(pid)
    assert is_alive(fake.pid)


def test_psutil_ends_the_same_tree_where_there_is_no_pidfd(world):
    """processes.md section 9: the fallback of other systems, run here on real processes."""
    from tokentop.procs.psutil_source import PsutilProbe, PsutilSource

    fake = world.claude(children=[{"argv": IGNORE_TERM}], fields={"procStart": "$LSTART"})
    world.watch(PsutilSource(SPECS))
    proc = only(world.tick())
    assert (proc.session_id, proc.confidence) == (fake.session_id, "exact")
    receipt = world.act(proc, Action.TERMINATE, probe=PsutilProbe())
    assert receipt.result == "ended"
    assert not is_alive(fake.pid)
    assert not is_alive(fake.children[0])


def test_psutil_sends_nothing_when_the_creation_time_differs(world):
    """processes.md case 80."""
    from tokentop.procs.psutil_source import PsutilProbe

    fake = world.claude()
    probe = PsutilProbe()
    ident = probe.ident(fake.pid)
    assert probe.open(ident) is not None
    assert probe.open(msgspec.structs.replace(ident, start_ticks=ident.start_ticks - 1000)) is None


def test_a_child_on_the_keep_list_survives_with_what_is_below_it(world):
    """processes.md case 104: a dev server that the user keeps."""
    fake = world.claude(children=[{"argv": SLEEP}, {"argv": SLEEP}])
    (proc,) = world.tick()
    plan = world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms())
    kept = next(child.ident for child in proc.children if child.ident.pid == fake.children[0])
    means = msgspec.structs.replace(plan.means, keep=(*plan.means.keep, kept))
    receipt = execute(msgspec.structs.replace(plan, means=means), now_ms=now_ms)
    assert receipt.result == "ended"
    assert [is_alive(pid) for pid in fake.children] == [True, False]


def test_own_usage_is_that_of_this_process():
    from tokentop.procs import OwnUsage

    own = OwnUsage()
    block = bytearray(64 << 20)
    end = os.times().user + 0.05
    while os.times().user < end:
        pass
    cpu_pct, rss_bytes = own.sample()
    assert cpu_pct > 0
    assert rss_bytes > len(block)
