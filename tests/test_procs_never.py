"""What is never signalled, and identities that are checked again before each signal."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest

from tests.fake_agents.world import SLEEP, SPECS, World, is_alive, now_ms, row, wait_for
from tokentop.nouns.actions import Action, KillPlan
from tokentop.nouns.processes import Ident
from tokentop.procs import execute
from tokentop.procs.probe import LinuxProbe

ROOT = Path(__file__).parents[1]


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def plan_for(target: Ident | None) -> KillPlan:
    return KillPlan(
        action=Action.KILL,
        agent="claude",
        session_id="s",
        title="",
        project="",
        cwd="",
        target=target,
        command="",
        confidence="exact",
        rungs=(("KILL", 1.0),),
        tree=(),
        wrapper=None,
        cost_nusd=None,
        burn_nusd_per_h=None,
        resume="",
    )


class Recorder(LinuxProbe):
    """The real probe; it records what would be opened for a signal and opens nothing."""

    def __init__(self):
        super().__init__()
        self.opened = []

    def open(self, ident):
        self.opened.append(ident.pid)


@pytest.mark.parametrize("pid", [1, 0, -1, -5])
def test_pids_of_the_system_are_refused_before_any_call(pid, world):
    """processes.md cases 44 and 81."""
    probe = Recorder()
    receipt = execute(plan_for(Ident(pid, 1, os.getuid())), now_ms=now_ms, probe=probe)
    assert (receipt.result, receipt.rungs, probe.opened) == ("refused", (), [])
    assert world.watcher.plan_pid(pid, Action.KILL, now_ms()).refusal


def test_tokentop_and_everything_above_it_is_refused():
    """processes.md cases 82 and 83."""
    probe = Recorder()
    pid = os.getpid()
    while pid > 1:
        ident = LinuxProbe().ident(pid)
        receipt = execute(plan_for(ident), now_ms=now_ms, probe=probe)
        assert receipt.result == "refused", pid
        assert receipt.detail
        pid = probe.snapshot()[pid].ppid
    assert probe.opened == []


def test_the_own_process_group_is_refused(world):
    """processes.md section 9 rule 4."""
    process = subprocess.Popen(SLEEP, env=world.env())
    world.processes.append(process)
    wait_for(lambda: world.is_ours(process.pid))
    probe = Recorder()
    receipt = execute(plan_for(LinuxProbe().ident(process.pid)), now_ms=now_ms, probe=probe)
    assert "process group" in receipt.detail
    assert (receipt.result, probe.opened) == ("refused", [])


def test_kernel_threads_are_refused():
    """processes.md case 85."""
    probe = Recorder()
    kernel = [pid for pid, brief in probe.snapshot().items() if brief.ppid == 2]
    if not kernel or os.getuid():
        pytest.skip("no kernel thread of our uid is visible here")
    receipt = execute(plan_for(Ident(kernel[0], 1, 0)), now_ms=now_ms, probe=probe)
    assert "kernel thread" in receipt.detail
    assert probe.opened == []


def test_another_user_s_process_is_refused_and_its_owner_named(world):
    """processes.md cases 48, 77 and 84."""
    if os.getuid() != 0:
        pytest.skip("only root can start a process as another user")
    folder = Path("/tmp") / f"w{world.token}"
    folder.mkdir()
    folder.chmod(0o755)  # whatever the umask
    try:
        program = folder / "claude"
        shutil.copy(shutil.which("sleep"), program)
        process = subprocess.Popen([program, "600"], env=world.env(), user=65534, start_new_session=True)
        world.processes.append(process)
        found = wait_for(lambda: world.tick())
        assert found[0].session_id == ""
        plan = world.watcher.plan_pid(process.pid, Action.KILL, now_ms())
        assert plan.refusal.startswith("not permitted, owner=")
        receipt = execute(plan_for(LinuxProbe().ident(process.pid)), now_ms=now_ms)
        assert (receipt.result, receipt.rungs) == ("refused", ())
        assert receipt.detail.startswith("not permitted, owner=")
        assert is_alive(process.pid)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("role", [["daemon", "run"], ["--bg-pty-host", "/s", "--", "claude"], ["--bg-spare"]])
def test_services_of_an_agent_are_no_rows_and_refused_unless_forced(world, role):
    """processes.md cases 11 and 85."""
    fake = world.start(["claude", *role])
    assert [proc for proc in world.tick() if proc.role == "agent"] == []
    assert world.watcher.plan_pid(fake.pid, Action.KILL, now_ms()).refusal
    assert world.watcher.plan_pid(fake.pid, Action.KILL, now_ms(), force=True).refusal == ""


def test_a_service_that_started_from_a_tool_shell_is_not_swept(world):
    """processes.md section 9 rule 4: also where it started after the plan was made."""
    session = "00000000-0000-4000-8000-00000000000a"
    program = world.program("codex")
    go = world.work / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.05; done; setsid {program} app-server --listen unix:// & wait"
    up = world.work / "up"
    marks = {"CLAUDE_CODE_SESSION_ID": session, "FAKE_AGENT": json.dumps({"ready": str(up)})}
    world.claude(session=session, children=[{"argv": ["/bin/sh", "-c", script], "env": marks}])
    (proc,) = world.tick()
    plan = world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms())
    go.touch()
    daemon = json.loads(wait_for(lambda: up.exists() and up.read_text()))["pid"]
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    assert receipt.result == "ended"
    assert is_alive(daemon)
    assert f"pid {daemon} (it is a shared daemon)" in receipt.detail


def test_a_process_that_is_no_agent_s_is_refused(world):
    process = world.popen(SLEEP)
    world.tick()
    assert "no process of an agent" in world.watcher.plan_pid(process.pid, Action.KILL, now_ms()).refusal


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"uid": 12345}, {"boot_id": "another"}])
def test_nothing_is_signalled_where_the_identity_does_not_fit(world, change):
    """processes.md cases 75 and 77."""
    fake = world.claude()
    world.tick()
    ident = LinuxProbe().ident(fake.pid)
    assert LinuxProbe().open(msgspec.structs.replace(ident, **change)) is None
    receipt = execute(plan_for(msgspec.structs.replace(ident, **change)), now_ms=now_ms)
    assert receipt.result in ("already gone", "refused")
    assert receipt.rungs == ()
    assert is_alive(fake.pid)


def test_a_program_that_changed_since_the_plan_gets_no_signal(world):
    """processes.md section 9: exe is read again."""
    go = world.work / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.05; done; exec sleep 600"
    process = world.popen(["/bin/sh", "-c", script])
    ident = LinuxProbe().ident(process.pid)
    go.touch()
    wait_for(lambda: LinuxProbe().ident(process.pid).exe != ident.exe)
    receipt = execute(plan_for(ident), now_ms=now_ms)
    assert receipt.result == "refused"
    assert "another program" in receipt.detail
    assert is_alive(process.pid)


def test_an_agent_whose_file_was_replaced_by_an_update_is_still_the_same(world):
    """processes.md case 78."""
    program = world.bin / "claude"
    shutil.copy(shutil.which("sleep"), program)
    process = world.popen([program, "600"])
    (proc,) = world.tick()
    program.unlink()
    assert os.readlink(f"/proc/{process.pid}/exe").endswith(" (deleted)")
    receipt = execute(world.watcher.plan_pid(proc.ident.pid, Action.KILL, now_ms()), now_ms=now_ms)
    assert receipt.result == "ended"


def test_a_plan_stays_with_its_process_when_the_list_changes(world):
    """processes.md cases 73 and 74: a new row takes the place of the old one before the confirmation."""
    first = world.claude()
    (proc,) = world.tick()
    plan = world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms())
    second = world.claude()
    world.tick()
    assert execute(plan, now_ms=now_ms).pid == first.pid
    assert [is_alive(first.pid), is_alive(second.pid)] == [False, True]


def test_a_plan_from_an_old_table_is_refused(world):
    fake = world.claude()
    (proc,) = world.tick()
    later = now_ms() + 600_000
    assert "look again" in world.watcher.plan(world.row(proc), Action.KILL, later).refusal
    assert "look again" in world.watcher.plan_pid(fake.pid, Action.KILL, later).refusal


def test_a_sub_agent_is_stopped_through_its_parent(world):
    """processes.md case 46."""
    plan = world.watcher.plan(row("claude", "s/agent-1", kind="sub-agent"), Action.TERMINATE, now_ms())
    assert "parent" in plan.refusal or "look again" in plan.refusal
    world.tick()
    plan = world.watcher.plan(row("claude", "s/agent-1", kind="sub-agent"), Action.TERMINATE, now_ms())
    assert "through its parent" in plan.refusal


def test_a_row_of_a_process_that_ended_is_already_gone(world):
    world.tick()
    plan = world.watcher.plan(row("claude", "s", key="proc:4194000:12"), Action.KILL, now_ms())
    assert plan.refusal == "already gone"


def test_interrupt_presses_escape_in_the_agent_s_own_pane_only(world):
    """processes.md case 111."""
    keys = world.work / "keys"
    env = world.env(
        TMUX_TMPDIR=str(world.work),
        SHELL="/bin/sh",
        FAKE_AGENT=json.dumps({"ready": str(world.work / "up"), "keys": str(keys)}),
    )
    program = world.program("claude")
    subprocess.run(
        ["tmux", "-L", "x", "new-session", "-d", "-x", "80", "-y", "24", program], env=env, check=True
    )
    wait_for(world.work.joinpath("up").exists)
    (proc,) = world.tick()
    plan = world.watcher.plan_pid(proc.ident.pid, Action.INTERRUPT, now_ms())
    elsewhere = msgspec.structs.replace(plan.means, tty="/dev/pts/9999")
    refused = execute(msgspec.structs.replace(plan, means=elsewhere), now_ms=now_ms)
    assert refused.result == "refused"
    assert "not on the agent's" in refused.detail
    assert not keys.exists()
    assert plan.way == f"Escape into its own tmux pane %0 ({proc.tty})"
    receipt = execute(plan, now_ms=now_ms)
    assert (receipt.result, receipt.way) == ("requested", plan.way)
    assert wait_for(lambda: keys.exists() and keys.read_bytes()) == b"\x1b\n"
    assert is_alive(proc.ident.pid)


def test_keys_are_pressed_one_by_one_below_a_launcher_that_hides_the_pane_from_its_agent(world):
    """Two Escapes in one burst are one key with Alt; Kimi CLI and Vibe have no TMUX in their environment."""
    keys = world.work / "keys"
    env = world.env(
        TMUX_TMPDIR=str(world.work),
        SHELL="/bin/sh",
        FAKE_AGENT=json.dumps({"ready": str(world.work / "up"), "keys": str(keys)}),
    )
    below = f"env -u TMUX -u TMUX_PANE {world.program('claude')}; :"
    subprocess.run(
        ["tmux", "-L", "x", "new-session", "-d", "-x", "80", "-y", "24", below], env=env, check=True
    )
    wait_for(world.work.joinpath("up").exists)
    (proc,) = world.tick()
    plan = world.watcher.plan_pid(proc.ident.pid, Action.INTERRUPT, now_ms())
    assert plan.way == f"Escape into its own tmux pane %0 ({proc.tty})"
    twice = msgspec.structs.replace(plan.means, keys=("Escape", "Escape"))
    assert execute(msgspec.structs.replace(plan, means=twice), now_ms=now_ms).result == "requested"
    wait_for(lambda: keys.exists() and keys.read_bytes().count(b"\x1b") == 2)
    assert keys.read_bytes() == b"\x1b\n\x1b\n"


def test_interrupt_without_a_pane_says_what_to_do(world):
    fake = world.claude()
    (proc,) = world.tick()
    assert (
        "press Escape in its terminal"
        in world.watcher.plan(world.row(proc), Action.INTERRUPT, now_ms()).refusal
    )
    assert is_alive(fake.pid)


def test_where_no_way_to_stop_a_turn_is_known_the_plan_says_so(world):
    world.start(["codex"])
    (proc,) = world.tick()
    plan = world.watcher.plan_pid(proc.ident.pid, Action.INTERRUPT, now_ms())
    assert "no way is known to stop a turn of Codex and keep it running: terminate it instead" in plan.refusal
    assert (plan.rungs, plan.way) == ((), "")


def test_what_tokentop_runs_inside_is_refused_when_it_is_planned(world):
    """processes.md case 83: the dialog says it, not only the receipt."""
    code = f"""
        import os, sys
        sys.path.insert(0, {str(ROOT)!r})
        from pathlib import Path
        from tests.fake_agents.world import SPECS, now_ms
        from tokentop.nouns.actions import Action
        from tokentop.procs import ProcWatcher
        watcher = ProcWatcher(SPECS, Path({str(world.home)!r}), {{}})
        watcher.tick(now_ms(), ())
        shell = Path(f"/proc/{{os.getppid()}}/stat").read_text()
        agent = int(shell.rpartition(")")[2].split()[1])
        print(agent, watcher.plan_pid(agent, Action.TERMINATE, now_ms()).refusal)
    """
    script, said = world.work / "look.py", world.work / "said"
    script.write_text(textwrap.dedent(code))
    shell = ["/bin/sh", "-c", f"{sys.executable} {script} > {said}.tmp 2>&1; mv {said}.tmp {said}; sleep 600"]
    fake = world.claude(children=[{"argv": shell, "env": {}}])
    assert wait_for(lambda: said.exists() and said.read_text()) == f"{fake.pid} tokentop runs inside it\n"


IN_NAMESPACE = """
    import os, signal, subprocess, sys, time
    sys.path.insert(0, {root!r})
    from tokentop.procs.probe import LinuxProbe
    probe = LinuxProbe()

    def start():
        return subprocess.Popen(["sleep", "600"], start_new_session=True)

    def reuse(pid):
        for _ in range(200):
            with open("/proc/sys/kernel/ns_last_pid", "w") as file:
                file.write(str(pid - 1))
            other = start()
            if other.pid == pid:
                return other
            other.kill()
            other.wait()
        sys.exit("the pid was not given again")

    first = start()
    ident = probe.ident(first.pid)
    handle = probe.open(ident)
    first.kill()
    first.wait()
    time.sleep(0.05)  # the start time counts in ticks of 10 ms
    second = reuse(first.pid)
    assert handle.send(signal.SIGKILL) == "gone"
    # Past the check of the identity only the pidfd stands between the signal and the new owner.
    handle._probe = type("Blind", (), {{"ident": staticmethod(lambda pid: ident)}})()
    assert handle.send(signal.SIGKILL) == "gone"
    assert probe.open(ident) is None
    time.sleep(0.05)
    assert second.poll() is None, "the new owner of the pid was hit"
    second.kill()
    second.wait()
    print("the new owner lives")
"""


def test_a_reused_pid_is_never_hit(tmp_path):
    """processes.md cases 75 and 76: reuse is forced in a pid namespace."""
    script = tmp_path / "reuse.py"
    script.write_text(textwrap.dedent(IN_NAMESPACE.format(root=str(ROOT))))
    flags = "-pf" if os.getuid() == 0 else "-Urpf"
    command = ["unshare", flags, "--mount-proc", sys.executable, str(script)]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command[:3], "true"], capture_output=True).returncode
    ):
        pytest.skip("no pid namespace can be made here")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "ns_last_pid" in done.stderr:
        pytest.skip("this kernel does not let the next pid be chosen")
    assert done.stdout.strip() == "the new owner lives", done.stderr


def test_a_process_of_a_pid_namespace_is_shown_and_refused(world):
    """processes.md section 4.3: a container's agent."""
    program = world.program("claude")
    flags = "-pf" if os.getuid() == 0 else "-Urpf"
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", flags, "true"], capture_output=True).returncode
    ):
        pytest.skip("no pid namespace can be made here")
    up = world.work / "up"
    env = world.env(FAKE_AGENT=json.dumps({"ready": str(up)}))
    process = subprocess.Popen(["unshare", flags, "--kill-child", program], env=env, start_new_session=True)
    world.processes.append(process)
    wait_for(up.exists)
    (proc,) = world.tick()
    plan = world.watcher.plan_pid(proc.ident.pid, Action.KILL, now_ms())
    assert "another PID namespace" in plan.refusal
    receipt = execute(plan_for(proc.ident), now_ms=now_ms)
    assert (receipt.result, receipt.rungs) == ("refused", ())
    os.kill(process.pid, signal.SIGKILL)
