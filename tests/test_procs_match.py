"""Processes tied to sessions: real processes with real registry files, open logs and databases."""

import json
import os
import signal
import subprocess
import sys
import uuid

import pytest
from msgspec import structs

from tests.fake_agents.world import (
    COMMON,
    SLEEP,
    SPECS,
    TITLED,
    World,
    agents,
    codex_home,
    is_alive,
    now_ms,
    row,
    start_ticks,
    stat,
    wait_for,
)
from tokentop.nouns.actions import Action
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Role, Session, State
from tokentop.procs.linux import read_host


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def write_entry(world, pid, session_id, **fields):
    entry = {
        "pid": pid,
        "sessionId": session_id,
        "procStart": str(start_ticks(pid)),
        "status": "idle",
    } | fields
    path = world.home / f".claude/sessions/{pid}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entry))
    return path


def test_a_verified_registry_entry_maps_exactly_with_state_and_since(world):
    """processes.md cases 20 and 30."""
    fake = world.claude(
        fields={"status": "waiting", "waitingFor": "permission prompt", "statusUpdatedAt": 1234}
    )
    (proc,) = world.tick()
    assert (proc.session_id, proc.confidence, proc.state) == (fake.session_id, "exact", State.PERMISSION)
    assert (proc.state_source, proc.state_since_ms, proc.cwd) == ("registry", 1234, str(world.work))
    assert proc.ident.start_ticks == start_ticks(fake.pid)
    assert proc.log_root == str(world.home / ".claude")


def test_a_stale_entry_of_a_dead_process_gives_no_row_and_is_left_alone(world):
    """processes.md cases 21 and 61."""
    fake = world.claude()
    world.tick()
    os.kill(fake.pid, signal.SIGKILL)
    fake.process.wait(30)
    path = world.home / f".claude/sessions/{fake.pid}.json"
    before = path.read_bytes()
    assert world.tick() == ()
    assert path.read_bytes() == before
    plan = world.watcher.plan(row("claude", fake.session_id, pid=fake.pid), Action.KILL, now_ms())
    assert plan.refusal
    assert plan.rungs == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"procStart": "1"},
        {"procStart": "Mon Jan  5 10:00:00 2026"},
        {"procStart": ""},
        {"pidDomain": f"linux:{'0' * 32}:pid:[4026531836]"},
        {"pidDomain": f"linux:{read_host().machine_id}:pid:[1]"},
    ],
)
def test_an_entry_about_another_process_machine_or_namespace_is_not_matched(world, fields):
    """processes.md cases 22 and 26."""
    fake = world.start(["claude"])
    session_id = str(uuid.uuid4())
    write_entry(world, fake.pid, session_id, **fields)
    (proc,) = agents(world.tick())
    assert (proc.session_id, proc.confidence) == ("", "")
    plan = world.watcher.plan(row("claude", session_id, pid=fake.pid), Action.TERMINATE, now_ms())
    assert plan.refusal
    if "pidDomain" in fields:
        assert "another" in plan.refusal


def test_an_entry_for_a_process_of_another_program_is_not_matched(world):
    """processes.md case 22: the pid belongs to a shell, with the right start time."""
    shell = world.popen(SLEEP)
    write_entry(world, shell.pid, str(uuid.uuid4()))
    assert world.tick() == ()


def test_the_own_pid_domain_is_accepted(world):
    """processes.md case 26, the other way round."""
    host = read_host()
    fake = world.claude(fields={"pidDomain": f"linux:{host.machine_id}:{host.pid_ns}"})
    assert [proc.session_id for proc in world.tick()] == [fake.session_id]


def test_a_torn_entry_keeps_the_last_good_value_and_is_counted(world):
    """processes.md case 23."""
    fake = world.claude()
    world.tick()
    path = world.home / f".claude/sessions/{fake.pid}.json"
    path.write_text(f'{{"pid":{fake.pid}')
    (proc,) = world.tick()
    assert proc.session_id == fake.session_id
    assert [(d.kind, d.count) for d in world.watcher.health()] == [("unparsed", 1)]
    write_entry(world, fake.pid, "next")
    assert [proc.session_id for proc in world.tick()] == ["next"]
    assert world.watcher.health() == ()


def test_a_session_id_that_changes_in_place_moves_the_same_process(world):
    """processes.md case 24: /clear."""
    fake = world.claude()
    (before,) = world.tick()
    write_entry(world, fake.pid, "the-next-session")
    (after,) = world.tick()
    assert after.ident == before.ident
    assert after.session_id == "the-next-session"


def test_a_one_shot_without_status_works_as_long_as_it_lives(world):
    """processes.md case 25."""
    fake = world.start(["claude", "-p", "x"])
    write_entry(world, fake.pid, "s", entrypoint="sdk-cli", status="")
    (proc,) = world.tick()
    assert (proc.state, proc.one_shot) == (State.WORKING, True)


def test_the_profiles_of_live_processes_are_scanned(world):
    """processes.md case 28."""
    profile = world.home / "work profile"
    session_id = str(uuid.uuid4())
    entry = next(iter(world.registry(session_id).values()))
    document = {"registry": {str(profile / "sessions/$PID.json"): entry}}
    world.start(["claude"], document, CLAUDE_CONFIG_DIR=str(profile))
    fake = world.claude()
    found = {proc.session_id: proc.log_root for proc in world.tick()}
    assert found == {session_id: str(profile), fake.session_id: str(world.home / ".claude")}


def test_a_process_with_another_home_has_its_profile_there(world):
    """A sandboxed agent of the same user: neither its sessions nor its daemon are those of this home."""
    elsewhere = world.work / "elsewhere"
    session_id = str(uuid.uuid4())
    entry = next(iter(world.registry(session_id).values()))
    world.start(
        ["claude"], {"registry": {str(elsewhere / ".claude/sessions/$PID.json"): entry}}, HOME=str(elsewhere)
    )
    thread = str(uuid.uuid4())
    rollouts = codex_home(world, [(thread, str(world.work), now_ms() + 100)])
    world.start(["codex", "app-server", "--listen", "unix://"], {"open": rollouts})
    client = world.start(["codex"], HOME=str(elsewhere))
    procs = {proc.ident.pid: proc for proc in agents(world.tick())}
    assert (procs[client.pid].session_id, procs[client.pid].log_root) == ("", f"{elsewhere}/.codex")
    assert [proc.session_id for proc in procs.values() if proc.agent == "claude"] == [session_id]


def test_key_files_are_never_opened_and_unchanged_entries_are_not_read_again(world, monkeypatch):
    """processes.md cases 29 and 123."""
    fake = world.claude()
    world.home.joinpath(f".claude/sessions/{fake.pid}.0a1b.key").write_text("token")
    opened = []
    plain = os.open
    monkeypatch.setattr(
        os, "open", lambda path, *rest, **more: opened.append(str(path)) or plain(path, *rest, **more)
    )
    world.tick()
    world.tick()
    assert [path for path in opened if path.endswith(".key")] == []
    assert len([path for path in opened if path.endswith(f"{fake.pid}.json")]) == 1


def test_a_fifo_under_a_registry_name_does_not_hang_the_tick(world):
    folder = world.home / ".claude/sessions"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "77.json")
    fake = world.claude()
    assert [proc.session_id for proc in world.tick()] == [fake.session_id]


def test_argv_names_the_session_where_the_registry_is_missing(world):
    """processes.md case 42."""
    session_id = str(uuid.uuid4())
    world.start(["claude", "--resume", session_id])
    (proc,) = world.tick()
    assert (proc.session_id, proc.confidence) == (session_id, "exact")


def test_a_claude_without_registry_is_inferred_by_directory_and_start_and_the_plan_says_so(world):
    """processes.md cases 40, 41 and 47: no session is claimed twice."""
    pids = [world.start(["claude"]).pid for _ in range(3)]
    near = now_ms()
    sessions = [
        Session("claude", "s-one", cwd=str(world.work), first_ms=near + 10),
        Session("claude", "s-two", cwd=str(world.work), first_ms=near + 20),
        Session("claude", "s-old", cwd=str(world.work), first_ms=near - 3_600_000),
        Session("claude", "s-else", cwd="/elsewhere", first_ms=near),
        Session("claude", "s/agent", role=Role.SUB_AGENT, cwd=str(world.work), first_ms=near),
        Session("codex", "s-codex", cwd=str(world.work), first_ms=near),
    ]
    procs = world.tick(sessions)
    mapped = {proc.session_id: proc for proc in procs if proc.session_id}
    assert set(mapped) == {"s-one", "s-two"}
    assert {proc.confidence for proc in mapped.values()} == {"inferred"}
    assert {proc.ident.pid for proc in procs} == set(pids)
    plan = world.watcher.plan(world.row(mapped["s-one"]), Action.TERMINATE, now_ms())
    assert "inferred" in plan.warning
    assert plan.confidence == "inferred"
    log_only = world.watcher.plan(row("claude", "s-old"), Action.TERMINATE, now_ms())
    assert "log only" in log_only.refusal


def test_clients_of_a_shared_daemon_are_mapped_by_directory_and_start_or_not_at_all(world):
    """processes.md cases 10, 34 and 36: source "vscode" with originator codex-tui is the terminal client."""
    one, two = world.work / "one", world.work / "two"
    one.mkdir()
    two.mkdir()
    ids = [str(uuid.uuid4()) for _ in range(3)]
    at_ms = now_ms() + 100
    rollouts = codex_home(
        world, [(ids[0], str(one), at_ms), (ids[1], str(two), at_ms), (ids[2], "/gone", at_ms)]
    )
    daemon = world.start(["codex", "app-server", "--listen", "unix://"], {"open": rollouts})
    first = world.start(["codex"], cwd=one)
    second = world.start(["codex", "-C", str(two)])
    procs = {proc.ident.pid: proc for proc in world.tick()}
    assert (procs[first.pid].session_id, procs[first.pid].confidence) == (ids[0], "strong")
    assert (procs[second.pid].session_id, procs[second.pid].confidence) == (ids[1], "strong")
    assert procs[daemon.pid].role is ProcRole.DAEMON
    assert procs[daemon.pid].shared_session_ids == tuple(sorted(ids))
    assert "2 other" in world.watcher.plan(row("codex", ids[2]), Action.FREEZE, now_ms()).refusal


def test_two_clients_in_one_directory_that_started_together_are_not_guessed(world):
    """processes.md case 35."""
    ids = [str(uuid.uuid4()) for _ in range(2)]
    rollouts = codex_home(world, [(one, str(world.work), now_ms() + 100) for one in ids])
    world.start(["codex", "app-server", "--listen", "unix://"], {"open": rollouts})
    world.start(["codex"])
    world.start(["codex"])
    procs = agents(world.tick())
    assert [(proc.session_id, proc.confidence) for proc in procs] == [("", ""), ("", "")]
    plan = world.watcher.plan_pid(procs[0].ident.pid, Action.TERMINATE, now_ms())
    assert "not known" in plan.refusal


def test_a_thread_is_left_when_its_client_is_gone_and_no_other_client_may_show_it(world):
    ids = [str(uuid.uuid4()) for _ in range(2)]
    folders = [world.work / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    threads = [(one, str(folder), now_ms() + 100) for one, folder in zip(ids, folders, strict=True)]
    rollouts = codex_home(world, threads)
    daemon = world.start(["codex", "app-server", "--listen", "unix://"], {"open": rollouts})
    clients = [world.start(["codex"], cwd=folder) for folder in folders]
    left = lambda: {proc.ident.pid: proc for proc in world.tick()}[daemon.pid].left_session_ids  # noqa: E731
    assert left() == ()
    clients[0].process.kill()
    clients[0].process.wait()
    assert left() == (ids[0],)
    world.start(["codex"], cwd=folders[0].parent)
    assert left() == (), "a client without a known thread may have resumed it"


def test_a_client_that_resumes_by_id_is_exact(world):
    """processes.md case 35: the id in argv decides."""
    ids = [str(uuid.uuid4()) for _ in range(2)]
    rollouts = codex_home(world, [(one, str(world.work), now_ms()) for one in ids])
    world.start(["codex", "app-server", "--listen", "unix://"], {"open": rollouts})
    world.start(["codex", "resume", ids[1]])
    (proc,) = agents(world.tick())
    assert (proc.session_id, proc.confidence) == (ids[1], "exact")
    plan = world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms())
    assert plan.rungs[0] == ("turn/interrupt", 6.0)
    assert plan.shared_session_ids == tuple(sorted(ids))


def test_an_unreadable_thread_database_is_reported_and_maps_nobody(world):
    thread = str(uuid.uuid4())
    rollouts = codex_home(world, [(thread, str(world.work), now_ms())])
    world.home.joinpath(".codex/state_5.sqlite").write_bytes(b"SQLite format 3\x00 and then nonsense" * 100)
    world.start(["codex", "app-server", "--listen", "unix://"], {"open": rollouts})
    world.start(["codex"])
    (proc,) = agents(world.tick())
    assert proc.session_id == ""
    assert [(d.source, d.kind) for d in world.watcher.health()] == [("codex", "unreadable")]


def test_a_daemon_file_of_another_boot_is_ignored(world):
    """processes.md case 37."""
    fake = world.start(["codex"])
    folder = world.home / ".codex/app-server-daemon"
    folder.mkdir(parents=True)
    identity = {"bootId": "another-boot", "startTicks": start_ticks(fake.pid)}
    path = folder / "daemon.pid"
    path.write_text(json.dumps({"pid": fake.pid, "processIdentity": identity}))
    assert [proc.role for proc in world.tick()] == [ProcRole.AGENT]
    path.write_text(
        json.dumps({"pid": fake.pid, "processIdentity": identity | {"bootId": read_host().boot_id}})
    )
    assert [proc.role for proc in world.tick()] == [ProcRole.DAEMON]


def test_a_user_s_own_one_shot_from_a_script_is_shown(world):
    """processes.md case 13."""
    script = subprocess.Popen(
        ["/bin/sh", "-c", f"{world.program('claude')} -p x; :"],
        env=world.env(FAKE_AGENT=json.dumps({"ready": str(world.work / "up")})),
        start_new_session=True,
    )
    world.processes.append(script)
    wait_for(world.work.joinpath("up").exists)
    (proc,) = world.tick()
    assert proc.one_shot
    assert proc.wrapper is None


def test_children_get_their_roles(world):
    """processes.md case 53: tool by marker, mcp by pipes, server by its socket."""
    listen = "import socket,time; s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(); time.sleep(600)"
    fake = world.claude(
        children=[
            {"argv": SLEEP},
            {"argv": ["/bin/sh", "-c", "sleep 601"], "env": {}, "pipes": True, "setsid": False},
            {"argv": [sys.executable, "-c", listen]},
        ]
    )
    tool, mcp, server = fake.children
    roles = wait_for(lambda: roles_with(world, ProcRole.SERVER))
    assert (roles[tool], roles[mcp], roles[server]) == (ProcRole.TOOL, ProcRole.MCP, ProcRole.SERVER)


def roles_with(world, wanted):
    world.watcher._listening_due_s = 0  # the sockets are looked at every 10 s only
    (proc,) = agents(world.tick())
    roles = {child.ident.pid: child.role for child in proc.children}
    return roles if wanted in roles.values() else None


def test_an_mcp_server_without_its_agent_is_an_orphan_at_the_next_tick(world):
    """processes.md case 56."""
    fake = world.claude(children=[{"argv": SLEEP, "env": {}, "pipes": True, "setsid": False}])
    world.tick()
    os.kill(fake.pid, signal.SIGKILL)
    fake.process.wait(30)
    (orphan,) = world.tick()
    assert orphan.ident.pid == fake.children[0]
    assert (orphan.role, orphan.session_id, orphan.state) == (ProcRole.ORPHAN, fake.session_id, State.ORPHAN)


@pytest.mark.parametrize("pid_of", ["dead", "reused"])
def test_a_marked_process_whose_agent_is_gone_is_an_orphan_of_its_session(world, pid_of):
    """processes.md cases 49, 50 and 55: it was orphaned before tokentop looked for the first time."""
    other = world.popen(SLEEP)
    env = world.env(
        CLAUDE_CODE_SESSION_ID="the-session", CLAUDE_PID=str(other.pid if pid_of == "reused" else 4194000)
    )
    orphan = orphan_of(world, "sleep 600", env)
    (proc,) = world.tick()
    assert (proc.ident.pid, proc.role) == (orphan, ProcRole.ORPHAN)
    assert (proc.agent, proc.session_id) == ("claude", "the-session")
    plan = world.watcher.plan(
        row("claude", "the-session", key=f"proc:{orphan}:{start_ticks(orphan)}"), Action.KILL, now_ms()
    )
    assert plan.refusal == ""
    assert plan.target.pid == orphan
    assert other.pid not in [planned.ident.pid for planned in plan.tree]


def orphan_of(world, command, env):
    """A process whose parent has ended: started by a shell that exits at once."""
    path = world.work / f"orphan-{uuid.uuid4().hex}"
    script = f"setsid {command} & echo $! > {path}"
    subprocess.run(["/bin/sh", "-c", script], env=env, check=True)
    pid = int(path.read_text())
    wait_for(lambda: open_cmdline(pid).startswith(command.encode().split()[0]))
    return pid


def open_cmdline(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


def test_a_detached_tool_of_a_living_session_is_its_child_although_its_parent_is_gone(world):
    """processes.md case 51 for the markers of this agent: the marker wins over the parent pid."""
    fake = world.claude()
    pid = orphan_of(world, "sleep 600", world.env(CLAUDE_CODE_SESSION_ID=fake.session_id))
    (proc,) = world.tick()
    assert [child.ident.pid for child in proc.children] == [pid]


def test_a_tmux_server_started_from_a_tool_shell_is_neither_orphan_nor_swept(world):
    """processes.md case 54."""
    fake = world.claude()
    env = world.env(CLAUDE_CODE_SESSION_ID=fake.session_id, TMUX_TMPDIR=str(world.work), SHELL="/bin/sh")
    subprocess.run(["tmux", "-L", "t", "new-session", "-d", "sleep 600"], env=env, check=True)
    server = wait_for(lambda: [pid for pid in world.ours() if open_cmdline(pid).startswith(b"tmux")])
    (proc,) = world.tick()
    assert proc.children == ()
    receipt = world.act(proc, Action.TERMINATE)
    assert receipt.result == "ended"
    assert is_alive(server[0])


def test_a_dead_agent_s_tool_in_a_tmux_server_is_no_orphan(world):
    """processes.md case 54: what runs in a pane has the environment of the server."""
    env = world.env(CLAUDE_CODE_SESSION_ID="dead", TMUX_TMPDIR=str(world.work), SHELL="/bin/sh")
    subprocess.run(["tmux", "-L", "t", "new-session", "-d", "sleep 600"], env=env, check=True)
    wait_for(lambda: [pid for pid in world.ours() if open_cmdline(pid).startswith(b"sleep")])
    assert world.tick() == ()


def test_terminal_and_tmux_pane_come_from_the_agent_s_own_process(world):
    document = json.dumps({"ready": str(world.work / "up")})
    env = world.env(TMUX_TMPDIR=str(world.work), SHELL="/bin/sh", FAKE_AGENT=document)
    subprocess.run(["tmux", "-L", "other", "new-session", "-d", world.program("claude")], env=env, check=True)
    wait_for(world.work.joinpath("up").exists)
    (proc,) = world.tick()
    socket, _, pane = proc.tmux.rpartition(",")
    listed = subprocess.run(
        ["tmux", "-S", socket, "list-panes", "-a", "-F", "#{pane_id} #{pane_tty}"],
        capture_output=True,
        text=True,
    )
    assert listed.stdout.split() == [pane, proc.tty]


def test_hostile_bytes_in_argv_and_directory_are_shown_cleaned(world):
    """processes.md case 19."""
    folder = os.fsencode(world.work) + b"/\xff\x1b[31m"
    os.mkdir(folder)
    world.start(["claude", "-p", os.fsdecode(b"\xfe\x1b]0;x\x07")], cwd=folder)
    (proc,) = world.tick()
    for text in (proc.command, proc.cwd):
        assert text.isprintable()
        assert "\x1b" not in text


def test_a_process_that_becomes_an_agent_by_exec_is_found(world):
    """processes.md case 17: same pid, the name changes after the first look."""
    go = world.work / "go"
    script = f"while [ ! -e {go} ]; do sleep 0.05; done; exec {world.program('codex')} exec x"
    process = world.popen(["/bin/sh", "-c", script])
    assert world.tick() == ()
    go.touch()
    found = wait_for(world.tick)
    assert [proc.ident.pid for proc in found] == [process.pid]


def test_a_process_that_ends_while_it_is_read_is_skipped(world):
    """processes.md case 15: hundreds of short-lived processes during the ticks."""
    world.popen(["/bin/sh", "-c", "while kill -0 $PPID; do /bin/true & done"])
    fake = world.claude()
    for _ in range(100):
        assert [proc.session_id for proc in world.tick()] == [fake.session_id]


def test_cpu_is_measured_between_ticks_and_not_over_the_life_of_the_process(world):
    """processes.md case 70: busy once, then stopped."""
    busy = world.popen(["/bin/sh", "-c", "while kill -0 $PPID; do :; done"], CLAUDE_CODE_SESSION_ID="s")
    wait_for(lambda: any(proc.cpu_pct > 20 for proc in world.tick()))
    os.kill(busy.pid, signal.SIGSTOP)
    wait_for(lambda: stat(busy.pid)[0] == "T")
    world.tick()
    wait_for(lambda: [proc.cpu_pct for proc in world.tick()] == [0.0])


@pytest.mark.parametrize("exe", ["", "/usr/bin/sleep"])
def test_a_child_between_fork_and_exec_does_not_make_its_agent_a_launcher(world, exe):
    """The child of a tool call looks like its agent until it has its own program, which may be seen before its
    arguments: they are read one after the other."""
    from tokentop.procs.evidence import Evidence
    from tokentop.procs.rows import picture

    fake = world.claude()
    world.tick()
    proc = world.watcher._table[fake.pid]
    import msgspec

    at_ms = now_ms()
    young = msgspec.structs.replace(
        proc,
        pid=4194001,
        ppid=proc.pid,
        start_ticks=proc.start_ticks + 9,
        started_ms=at_ms,
        exe=exe or proc.exe,
    )
    table = {proc.pid: proc, young.pid: young}
    base = Evidence(
        world.watcher._specs, at_ms, read_host(), table, (), {}, {}, {}, (), frozenset(), frozenset()
    )
    assert [found.ident.pid for found in picture(base, {}).procs] == [proc.pid]
    later = msgspec.structs.replace(base, now_ms=at_ms + 10_000)
    assert [found.ident.pid for found in picture(later, {}).procs] == [young.pid]


def test_psutil_gives_the_same_picture(world):
    """processes.md section 4.3: the source of other systems, on the same real processes."""
    from tokentop.procs.psutil_source import PsutilSource

    fake = world.claude("--resume", "00000000-0000-4000-8000-000000000001", children=[{"argv": SLEEP}])
    world.watch(PsutilSource(SPECS))
    (proc,) = agents(world.tick())
    assert proc.ident.pid == fake.pid
    assert proc.session_id == "00000000-0000-4000-8000-000000000001"  # ticks do not fit there: argv decides
    assert fake.children[0] in [child.ident.pid for child in proc.children]
    assert (proc.cwd, proc.run_state) == (str(world.work), "S")


def test_an_agent_with_a_common_name_is_found_once_its_data_folder_exists(world):
    """It is used for the first time while the screen is open."""
    world.watch_for(COMMON)
    fake = world.start(["common"])
    assert world.tick() == ()
    world.home.joinpath(".common").mkdir()
    world.watcher._specs_due_s = 0  # it is looked for every 5 s only
    (proc,) = world.tick()
    assert (proc.ident.pid, proc.agent) == (fake.pid, "common")


def test_a_worker_without_arguments_has_those_of_its_launcher(world):
    world.watch_for(TITLED)
    worker = {"argv": [world.program("titled-worker")]}
    launcher = world.start(["titled", "-p", "--resume", "the-session"], {"children": [worker]})
    (proc,) = wait_for(lambda: [proc for proc in world.tick() if proc.wrapper])
    assert (proc.ident.pid, proc.wrapper.pid) == (launcher.children[0], launcher.pid)
    assert (proc.one_shot, proc.session_id, proc.confidence) == (True, "the-session", "exact")


def resumed(world, name, last_ms, cwd=None):
    began = now_ms() - 3_600_000
    return Session("titled", name, cwd=str(cwd or world.work), first_ms=began, last_ms=last_ms)


def test_a_process_that_goes_on_with_an_old_session_is_known_by_what_it_writes(world):
    world.watch_for(TITLED)
    fake = world.start(["titled"])
    before, elsewhere = now_ms() - 60_000, world.home
    quiet = [resumed(world, "old", before), resumed(world, "else", now_ms() + 1_000, elsewhere)]
    assert [proc.session_id for proc in world.tick(quiet)] == [""]
    grown = [resumed(world, "old", now_ms() + 1_000), quiet[1]]
    (proc,) = world.tick(grown)
    assert (proc.ident.pid, proc.session_id, proc.confidence) == (fake.pid, "old", "inferred")
    other = world.start(["titled"])
    procs = {proc.ident.pid: proc.session_id for proc in world.tick(grown)}
    assert procs == {fake.pid: "old", other.pid: ""}, "what it was seen to write stays its own"


def test_an_old_session_that_two_processes_may_have_written_is_nobodys(world):
    world.watch_for(TITLED)
    for _ in range(2):
        world.start(["titled"])
    assert [proc.session_id for proc in world.tick([resumed(world, "old", now_ms() + 1_000)])] == ["", ""]


def test_what_an_ended_process_wrote_last_is_not_the_next_ones(world):
    world.watch_for(TITLED)
    waits = world.start(["titled"])
    wrote = world.start(["titled", "--resume", "old"])
    last_ms = now_ms() + 1_000
    world.tick([resumed(world, "old", last_ms)])
    wrote.process.kill()
    wrote.process.wait(30)
    (proc,) = world.tick([resumed(world, "old", last_ms)])
    assert (proc.ident.pid, proc.session_id) == (waits.pid, "")
    (proc,) = world.tick([resumed(world, "old", last_ms + 60_000)])
    assert proc.session_id == "old"


def test_an_agent_whose_sessions_have_a_folder_of_their_own_is_not_tied_to_its_directory(world):
    world.watch_for(structs.replace(TITLED, any_directory=True))
    world.start(["titled"])
    for cwd in ("/workspace", ""):
        (proc,) = world.tick([Session("titled", "new", cwd=cwd, first_ms=now_ms() + 1_000)])
        assert (proc.session_id, proc.confidence) == ("new", "inferred")
