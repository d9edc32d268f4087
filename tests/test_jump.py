"""Jumping to an agent's terminal: real tmux servers on private sockets, real clients on pseudo-terminals."""

import json
import os
import subprocess
import sys

import pytest

from tests.fake_agents.world import World, agents, wait_for
from tests.ui.terminal import Terminal
from tokentop.engine.live import LiveState
from tokentop.engine.snapshot import take
from tokentop.nouns.actions import Jump
from tokentop.procs import panes
from tokentop.procs.jump import attach, jump

NOW = 1_795_295_645_000


class Servers:
    """tmux servers of one test, each with the fake agents that were started in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.env = world.env(TMUX_TMPDIR=str(world.work), SHELL="/bin/sh", LANG="C.UTF-8", TERM="xterm")
        self.started = 0

    def socket(self, server: str) -> str:
        return str(self.world.work / f"tmux-{os.getuid()}" / server)

    def tmux(self, server: str, *words: str, **env: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-L", server, *words],
            env=self.env | env, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return done.stdout.strip()

    def agent(self, server: str, session: str, *, window: bool = False):
        """A Claude Code in a new session, or in a second window of one."""
        self.started += 1
        ready = self.world.work / f"up-{self.started}"
        self.world.program("claude")
        spec = json.dumps({"ready": str(ready)})
        how = ["new-window", "-d", "-t", session] if window else ["new-session", "-d", "-s", session]
        self.tmux(server, *how, "-e", f"FAKE_AGENT={spec}", str(self.world.bin / "claude"))
        wait_for(ready.exists)
        pid = json.loads(ready.read_text())["pid"]
        return next(proc for proc in agents(self.world.tick()) if proc.ident.pid == pid)

    def client(self, server: str, session: str) -> Terminal:
        argv = ["tmux", "-f", "/dev/null", "-L", server, "attach-session", "-t", session]
        terminal = Terminal(argv, env=self.env | {"TMUX": "", "TMUX_PANE": ""})
        wait_for(lambda: terminal.read(0.05) is not None and self.tmux(server, "list-clients"))
        return terminal

    def current(self, server: str) -> str:
        return self.tmux(server, "list-clients", "-F", "#{session_name}:#{window_index}")


@pytest.fixture
def servers(tmp_path):
    world = World(tmp_path)
    yield Servers(world)
    world.close()


def test_where_names_the_pane_of_the_right_server(servers):
    """Both servers have a pane %0 of the same session name: the socket tells them apart."""
    one, two = servers.agent("one", "main"), servers.agent("two", "main")
    far = servers.agent("two", "far side")
    assert one.tmux.endswith(",%0")
    assert two.tmux.endswith(",%0")
    found = panes.names([(p.tmux, p.tty) for p in (one, two, far)])
    assert found == {one.tmux: "tmux main:0.0", two.tmux: "tmux main:0.0", far.tmux: "tmux far side:0.0"}
    assert panes.names([(one.tmux, two.tty)]) == {one.tmux: ""}
    live = LiveState()
    live.set_procs((one, far), NOW)
    assert {row.where for row in take(live, NOW).rows} == {"tmux %0", "tmux %1"}
    live.set_places(found)
    assert {row.where for row in take(live, NOW).rows} == {"tmux main:0.0", "tmux far side:0.0"}


def test_a_pane_that_moved_to_another_window_is_named_anew(servers):
    proc = servers.agent("one", "main")
    servers.tmux("one", "new-window", "-d", "-t", "main", "sleep 600")
    servers.tmux("one", "join-pane", "-s", proc.tmux.rpartition(",")[2], "-t", "main:1")
    assert panes.names([(proc.tmux, proc.tty)]) == {proc.tmux: "tmux main:1.1"}


def test_from_another_terminal_the_attached_client_shows_the_agent(servers):
    """Two servers with a client each: only the agent's own one moves."""
    servers.agent("one", "main")
    first = servers.agent("two", "main")
    second = servers.agent("two", "main", window=True)
    with servers.client("one", "main"), servers.client("two", "main"):
        found = jump(second, {})
        assert found.done
        assert found.text.startswith("tmux main:1.0 is now shown on pts/")
        assert (servers.current("one"), servers.current("two")) == ("main:0", "main:1")
        assert jump(first, {}).done
        assert (servers.current("one"), servers.current("two")) == ("main:0", "main:0")


def test_from_inside_the_same_server_the_own_client_goes_to_the_agent_s_session(servers):
    proc = servers.agent("one", "web")
    servers.tmux("one", "new-session", "-d", "-s", "top", "sleep 600")
    pane = servers.tmux("one", "display-message", "-p", "-t", "top:0", "#{pane_id}")
    with servers.client("one", "top"):
        assert servers.current("one") == "top:0"
        found = jump(proc, {"TMUX": f"{servers.socket('one')},1,0", "TMUX_PANE": pane})
        assert found == Jump("tmux web:0.0", done=True)
        assert servers.current("one") == "web:0"


def test_a_server_that_nobody_looks_at_is_attached_or_named(servers):
    proc = servers.agent("two", "web")
    socket = servers.socket("two")
    found = jump(proc, {})
    assert found.attach[:4] == ("tmux", "-S", socket, "attach-session")
    nested = jump(proc, {"TMUX": f"{servers.socket('one')},1,0", "TMUX_PANE": "%0"})
    assert not nested.done
    assert nested.attach == ()
    assert nested.copy.startswith(f"tmux -S {socket} attach-session -t ")
    code = f"import sys; sys.path.insert(0, '.'); from tokentop.procs.jump import attach; attach({found.attach!r})"
    with Terminal([sys.executable, "-c", code], env=servers.env) as terminal:
        wait_for(lambda: terminal.read(0.05) is not None and servers.current("two") == "web:0")
    assert attach(("/nonexistent/tmux",)) == 127


def test_what_has_ended_or_has_no_terminal_is_said_in_one_line(servers):
    proc = servers.agent("one", "main")
    servers.tmux("one", "kill-server")
    wait_for(lambda: jump(proc, {}) == Jump("its process has ended"))
    fake = servers.world.claude()
    (background,) = agents(servers.world.tick())
    assert background.ident.pid == fake.pid
    assert "no terminal" in jump(background, {}).text


def test_a_dead_server_and_an_inherited_tmux_are_no_place_to_jump_to(servers):
    """The agent's TMUX names a server that it is not in: nothing is selected there."""
    servers.agent("one", "main")
    servers.agent("one", "main", window=True)
    ready = servers.world.work / "alone"
    env = servers.env | {
        "TMUX": f"{servers.socket('one')},1,0", "TMUX_PANE": "%1", "TERM_PROGRAM": "vscode",
        "FAKE_AGENT": json.dumps({"ready": str(ready)}),
    }  # fmt: skip
    with Terminal([servers.world.program("claude")], env=env):
        wait_for(ready.exists)
        pid = json.loads(ready.read_text())["pid"]
        proc = next(proc for proc in agents(servers.world.tick()) if proc.ident.pid == pid)
        found = jump(proc, {})
        assert not found.done
        assert "takes no requests" in found.text
        assert servers.tmux("one", "display-message", "-p", "-t", "main", "#{window_index}") == "0"


KITTEN = """#!/bin/sh
echo "$*" >> "$0.log"
case "$*" in *" ls") printf '[{"tabs":[{"windows":[{"id":1,"pid":1},{"id":7,"pid":%s}]}]}]' "$PANE_PID";; esac
"""
WEZTERM = """#!/bin/sh
echo "$WEZTERM_UNIX_SOCKET $*" >> "$0.log"
case "$*" in *list*) printf '[{"pane_id":1,"tty_name":"/dev/pts/999999"},{"pane_id":4,"tty_name":"%s"}]' "$TTY";; esac
"""


@pytest.mark.parametrize("kind", ["kitty", "wezterm"])
def test_kitty_and_wezterm_are_asked_for_the_window_on_the_agent_s_tty(servers, monkeypatch, tmp_path, kind):
    """Scripts stand for the two programs and answer in their documented JSON."""
    tools = tmp_path / "tools"
    tools.mkdir()
    name, script = ("kitten", KITTEN) if kind == "kitty" else ("wezterm", WEZTERM)
    (tools / name).write_text(script)
    (tools / name).chmod(0o755)
    ready = servers.world.work / "alone"
    own = {"KITTY_LISTEN_ON": "unix:/tmp/kitty-1", "KITTY_WINDOW_ID": "3"}
    if kind == "wezterm":
        own = {"WEZTERM_UNIX_SOCKET": "/tmp/wezterm-1", "WEZTERM_PANE": "3"}
    env = servers.env | own | {"TMUX": "", "FAKE_AGENT": json.dumps({"ready": str(ready)})}
    with Terminal([servers.world.program("claude")], env=env):
        wait_for(ready.exists)
        pid = json.loads(ready.read_text())["pid"]
        proc = next(proc for proc in agents(servers.world.tick()) if proc.ident.pid == pid)
        said = jump(proc, {})
        assert not said.done
        assert f"the program {name} is not on the PATH" in said.text
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
        monkeypatch.setenv("PANE_PID", str(pid))
        monkeypatch.setenv("TTY", proc.tty)
        found = jump(proc, {})
    assert found.done
    asked = (tools / f"{name}.log").read_text()
    if kind == "kitty":
        assert "@ --to unix:/tmp/kitty-1 focus-window --match id:7" in asked
    else:
        assert "/tmp/wezterm-1 cli activate-pane --pane-id 4" in asked
