"""Turns of a shared daemon are stopped over its control socket, never by a signal to it."""

import uuid

import pytest

from tests.fake_agents.control_socket import ControlServer, socket_path
from tests.fake_agents.world import SLEEP, SPECS, World, agents, codex_home, is_alive, now_ms, row
from tokentop.nouns.actions import Action
from tokentop.procs import execute
from tokentop.procs.codex_rpc import RpcError, interrupt_turn
from tokentop.procs.turn import Turn


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def serve(world):
    servers = []

    def start(thread_id, **options):
        servers.append(ControlServer(socket_path(world.home), thread_id, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("mode", ["normal", "paginated"])
def test_the_running_turn_is_found_and_interrupted_between_notifications(world, serve, mode):
    """processes.md cases 100 and 102; a request of the daemon has an id too."""
    server = serve("thread-1", mode=mode)
    assert interrupt_turn(str(socket_path(world.home)), "thread-1") == "turn-7"
    assert server.methods()[:3] == ["initialize", "initialized", "thread/read"]
    assert ("turn/interrupt", {"threadId": "thread-1", "turnId": "turn-7"}) in server.requests
    assert not server.running


def test_a_thread_without_a_running_turn_is_left_alone(world, serve):
    server = serve("thread-1", turn_id="")
    assert interrupt_turn(str(socket_path(world.home)), "thread-1") == ""
    assert "turn/interrupt" not in server.methods()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("silent", "time limit"),
        ("refuse", "thread not found␛"),
        ("http", "does not speak WebSocket"),
        ("drop", "closed by the daemon"),
        ("stubborn", "time limit"),
    ],
)
def test_a_daemon_that_does_not_comply_is_reported_in_words(world, serve, mode, words):
    """processes.md case 101."""
    serve("thread-1", mode=mode)
    limit_s = 0.6 if words == "time limit" else 30.0
    with pytest.raises(RpcError, match=words):
        interrupt_turn(str(socket_path(world.home)), "thread-1", limit_s=limit_s)


def test_a_missing_socket_is_reported_in_words(world):
    """processes.md case 101."""
    with pytest.raises(RpcError, match="control socket does not answer"):
        interrupt_turn(str(socket_path(world.home)), "thread-1")


def daemon_with_client(world):
    """A daemon with three threads; the second has a terminal client and a tool under the daemon."""
    ids = [str(uuid.uuid4()) for _ in range(3)]
    folders = [world.work / name for name in ("a", "b", "c")]
    for folder in folders:
        folder.mkdir()
    at_ms = now_ms() + 100
    rollouts = codex_home(
        world, [(one, str(folder), at_ms) for one, folder in zip(ids, folders, strict=True)]
    )
    tools = [{"argv": SLEEP, "env": {"CODEX_THREAD_ID": one}, "setsid": True} for one in ids]
    daemon = world.start(
        ["codex", "app-server", "--listen", "unix://"], {"open": rollouts, "children": tools}
    )
    client = world.start(["codex"], cwd=folders[1])
    return ids, daemon, client


def test_terminating_a_client_interrupts_its_turn_ends_its_tools_and_spares_the_daemon(world, serve):
    """processes.md case 100."""
    ids, daemon, client = daemon_with_client(world)
    server = serve(ids[1])
    (proc,) = agents(world.tick())
    plan = world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms())
    assert plan.rungs == (("turn/interrupt", 6.0), ("TERM", 5.0), ("KILL", 2.0))
    receipt = execute(plan, now_ms=now_ms)
    assert receipt.result == "ended"
    assert "the turn was interrupted" in receipt.detail
    assert not server.running
    signalled = {rung.pid for rung in receipt.rungs if rung.signal != "turn/interrupt"}
    assert daemon.pid not in signalled
    assert [is_alive(pid) for pid in (daemon.pid, client.pid)] == [True, False]
    assert [is_alive(pid) for pid in daemon.children] == [True, False, True]


def test_a_session_without_a_client_is_interrupted_in_its_daemon(world, serve):
    """processes.md cases 34 and 100."""
    ids, daemon, client = daemon_with_client(world)
    server = serve(ids[2])
    world.tick()
    plan = world.watcher.plan(row("codex", ids[2]), Action.TERMINATE, now_ms())
    assert plan.target is None
    receipt = execute(plan, now_ms=now_ms)
    assert receipt.result == "interrupted"
    assert not server.running
    assert [is_alive(pid) for pid in (daemon.pid, client.pid, *daemon.children)] == [
        True,
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("action", [Action.TERMINATE, Action.KILL])
def test_a_session_without_client_turn_and_tool_is_refused_in_words(world, serve, action):
    ids, daemon, client = daemon_with_client(world)
    server = serve(ids[2])
    world.tick()
    plan = world.watcher.plan(row("codex", ids[2]), action, now_ms())
    assert execute(plan, now_ms=now_ms).result == "interrupted"
    assert not server.running
    world.tick()
    receipt = execute(world.watcher.plan(row("codex", ids[2]), action, now_ms()), now_ms=now_ms)
    assert receipt.result == "refused"
    assert "no process of its own" in receipt.detail
    assert [is_alive(pid) for pid in (daemon.pid, client.pid)] == [True, True]


def test_interrupt_keeps_the_client_and_names_the_tools_that_still_run(world, serve):
    ids, daemon, client = daemon_with_client(world)
    serve(ids[1])
    (proc,) = agents(world.tick())
    receipt = world.act(proc, Action.INTERRUPT)
    assert receipt.result == "interrupted"
    assert receipt.way == f"turn/interrupt over the control socket of daemon {daemon.pid}"
    assert daemon.children[1] in receipt.survivors
    assert {daemon.pid, client.pid, daemon.children[0], daemon.children[2]}.isdisjoint(receipt.survivors)
    assert all(is_alive(pid) for pid in (daemon.pid, client.pid, *daemon.children))


@pytest.mark.parametrize("of_client", [True, False])
def test_stopping_a_turn_ends_the_tools_of_its_session_alone(world, serve, of_client):
    """Codex answers a call while its command runs on: what began with the turn is the turn's."""
    ids, daemon, client = daemon_with_client(world)
    at = 1 if of_client else 2
    serve(ids[at])
    (proc,) = agents(world.tick())
    target = world.row(proc) if of_client else row("codex", ids[at])
    turn = Turn(began_ms=proc.started_ms - 2_000)
    plan = world.watcher.plan(target, Action.INTERRUPT, now_ms(), turn=turn)
    tool = daemon.children[at]
    assert tool in {one.ident.pid for one in plan.tree}
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    assert receipt.result == "interrupted"
    assert (f"left behind and ended: {tool} sh" in receipt.detail, receipt.survivors) == (True, ())
    assert [is_alive(pid) for pid in daemon.children] == [index != at for index in range(3)]
    assert all(is_alive(pid) for pid in (daemon.pid, client.pid))


def test_where_no_turn_ran_nothing_is_ended_and_what_runs_is_named(world, serve):
    ids, daemon, _ = daemon_with_client(world)
    serve(ids[1], turn_id="")
    (proc,) = agents(world.tick())
    turn = Turn(began_ms=proc.started_ms - 2_000)
    plan = world.watcher.plan(world.row(proc), Action.INTERRUPT, now_ms(), turn=turn)
    receipt = execute(plan, now_ms=now_ms, agents=SPECS)
    assert (receipt.result, daemon.children[1] in receipt.survivors) == ("already gone", True)
    assert "no turn was running" in receipt.detail
    assert all(is_alive(pid) for pid in daemon.children)


def test_no_signal_follows_when_the_daemon_cannot_be_asked(world):
    """processes.md case 101: no raw signal as a fallback."""
    _, daemon, client = daemon_with_client(world)
    (proc,) = agents(world.tick())
    receipt = world.act(proc, Action.KILL)
    assert receipt.result == "failed"
    assert "no signal was sent" in receipt.detail
    assert all(is_alive(pid) for pid in (daemon.pid, client.pid, *daemon.children))


def test_freezing_a_client_is_refused_and_interrupt_is_offered(world):
    """processes.md case 110."""
    daemon_with_client(world)
    (proc,) = agents(world.tick())
    refusal = world.watcher.plan(world.row(proc), Action.FREEZE, now_ms()).refusal
    assert "interrupt it instead" in refusal


def test_the_daemon_itself_is_refused_with_the_number_of_its_sessions(world):
    """processes.md case 86."""
    _, daemon, _ = daemon_with_client(world)
    world.tick()
    plan = world.watcher.plan_pid(daemon.pid, Action.TERMINATE, now_ms())
    assert plan.refusal.startswith("3 other sessions live here")
    assert plan.rungs == ()
    receipt = execute(plan, now_ms=now_ms)
    assert (receipt.result, receipt.rungs) == ("refused", ())
    assert is_alive(daemon.pid)
    forced = world.watcher.plan_pid(daemon.pid, Action.TERMINATE, now_ms(), force=True)
    assert (forced.refusal, forced.warning) == ("", "3 other sessions live here")
