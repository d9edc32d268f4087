"""Resuming what was ended: typed into a new window of tokentop's own tmux server, or left to be copied."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.fake_agents.world import wait_for
from tests.test_aftermath import receipt
from tokentop.agents import all_agents
from tokentop.nouns.actions import Receipt
from tokentop.procs.resume import resume


@pytest.fixture
def server(tmp_path: Path):
    """A tmux server with one pane, and the environment of a program in it."""
    env = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "SHELL": "/bin/sh",
        "TMUX_TMPDIR": str(tmp_path),
        "LANG": "C.UTF-8",
    }

    def tmux(*words: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-L", "r", *words], env=env, capture_output=True, text=True
        )
        return done.stdout.strip()

    tmux("new-session", "-d", "-s", "work", "-x", "100", "-y", "20")
    socket = tmp_path / f"tmux-{os.getuid()}" / "r"
    wait_for(socket.exists)
    yield {"TMUX": f"{socket},1,0", "TMUX_PANE": tmux("list-panes", "-F", "#{pane_id}")}, tmux
    tmux("kill-server")


def ended(folder: Path, command: str) -> Receipt:
    return receipt(resume=command, cwd=str(folder))


def test_it_runs_in_a_new_window_in_the_folder_that_it_was_in(server, tmp_path: Path) -> None:
    """processes.md case 121."""
    environ, tmux = server
    folder = tmp_path / "a project"
    folder.mkdir()
    program = tmp_path / "claude"
    program.write_text(
        '#!/bin/sh\npwd > "$HOME/said.tmp"\necho "$@" >> "$HOME/said.tmp"\nmv "$HOME/said.tmp" "$HOME/said"\n'
    )
    program.chmod(0o755)
    found = resume(ended(folder, f"{program} --resume 0a1b-2c"), environ)
    assert (found.text, found.done, found.copy) == ("resumed in tmux work:1", True, "")
    said = tmp_path / "said"
    wait_for(said.exists)
    assert said.read_text() == f"{folder}\n--resume 0a1b-2c\n"
    assert len(tmux("list-windows").splitlines()) == 2


@pytest.mark.parametrize(
    "agent", [agent for agent in all_agents() if agent.resume], ids=lambda agent: agent.id
)
def test_the_command_of_each_agent_is_copied_exactly_where_there_is_no_tmux(agent, tmp_path: Path) -> None:
    command = agent.resume_command("00000000-0000-4000-8000-000000000001")
    found = resume(ended(tmp_path, command), {})
    assert not found.done
    assert found.copy == command
    assert all(shlex.quote(word) == word for word in command.split(" "))


def test_a_folder_that_is_gone_leaves_the_command_to_be_copied(server, tmp_path: Path) -> None:
    environ, tmux = server
    found = resume(ended(tmp_path / "gone", "claude --resume x"), environ)
    assert (found.done, found.copy) == (False, "claude --resume x")
    assert "is not there" in found.text
    assert len(tmux("list-windows").splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        "claude --resume x; rm -rf y",
        "claude --resume $(id)",
        "claude `id`",
        "claude a\nb",
        "claude 'a b'",
        "a\x1b[2J",
    ],
)
def test_a_command_that_a_shell_would_read_otherwise_is_never_typed(
    server, command: str, tmp_path: Path
) -> None:
    environ, tmux = server
    found = resume(ended(tmp_path, command), environ)
    assert (found.done, found.copy) == (False, "")
    assert "more in a shell than it shows" in found.text
    assert len(tmux("list-windows").splitlines()) == 1


def test_a_receipt_without_a_command_says_so(tmp_path: Path) -> None:
    assert "no resume command" in resume(ended(tmp_path, ""), {}).text
