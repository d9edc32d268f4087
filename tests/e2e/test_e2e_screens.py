"""The agents' own screens: a person at Claude Code and at Codex, seen by tokentop."""

from __future__ import annotations

import pytest
from billing import by_agent, price
from harness import Client, World
from processes import alive, until

pytestmark = pytest.mark.e2e


def claude_screen(world: World) -> Client:
    client = world.tui("claude", "api")
    idle = lambda: world.registry(client.pid).get("status") == "idle"  # noqa: E731
    until("Claude Code waits for a prompt", idle, 30, client.said)
    return client


def codex_screen(world: World) -> Client:
    client = world.tui("codex", "web")
    world.shows("web", "permissions:", "for agents", seconds=40)  # the daemon installs itself first
    return client


def test_claude_codes_screen_is_idle_waits_for_permission_works_runs_a_tool_and_is_idle_again(
    world: World,
) -> None:
    world.open_tokentop()
    client = claude_screen(world)
    session = client.session()
    row = world.row_when(session, "is idle", lambda row: row["state"] == "idle")
    assert row["pid"] == client.pid
    assert row["confidence"] == "exact"
    assert row["project"] == "api"
    world.line_with("claude", "idle", str(client.pid))

    world.type("api", "first task @@write@@")
    row = world.row_when(session, "waits for permission", lambda row: row["state"] == "permission")
    assert row["state_source"] == "registry"
    assert row["inferred"] is False
    world.line_with("claude", "! permis", "first task", str(client.pid))
    assert not (client.folder / "made_by_agent.txt").exists()
    world.key("api", "Enter")
    world.row_when(session, "is idle after the write", lambda row: row["state"] == "idle")
    assert (client.folder / "made_by_agent.txt").exists()

    world.type("api", "@@slowstream:6@@ think")
    row = world.row_when(session, "works", lambda row: row["state"] == "working")
    world.line_with("claude", "work", str(client.pid))
    world.row_when(session, "is idle after the stream", lambda row: row["state"] == "idle")

    world.type("api", "@@slowtool:120@@ run")
    row = world.row_when(session, "runs a tool", lambda row: row["state"] == "tool")
    assert row["tokens_per_min"] > 0
    world.key("api", "Escape")
    row = world.row_when(session, "is idle after Escape", lambda row: row["state"] == "idle")
    assert row["cost_usd"] is not None
    assert price(world.ledger(session)) == world.usage("session")[session]["cost"]

    world.type("api", "/exit")
    until("the end of Claude Code", lambda: not alive(client.pid), 10, client.said)
    world.row_when(session, "has ended", lambda row: row["pid"] is None)
    world.line_with("done", "first task")
    assert world.usage("agent") == by_agent(world.ledger())


def test_codexs_screen_and_its_daemon_are_one_row(world: World) -> None:
    world.open_tokentop()
    client = codex_screen(world)
    until("the daemon", world.daemon_pid, 10, client.said)
    early = [r["pid"] for r in world.rows() if r["pid"] in client.processes()]
    assert early == [client.pid], "before the first prompt the daemon is no row"
    world.type("web", "beta task @@slowtool:12@@")
    session = client.session()
    row = world.row_when(session, "runs a tool", lambda row: row["state"] == "tool" and row["model"])
    assert row["agent"] == "codex"
    assert row["project"] == "web"
    assert row["model"] == "gpt-5.1-codex"
    assert row["pid"] in (client.pid, world.daemon_pid())
    mine = [r for r in world.rows() if r["pid"] in (*client.processes(), client.pid)]
    assert [r["session"] for r in mine if r["kind"] == "agent"] == [session]
    world.line_with("codex", "beta task", "▶")
    world.line_with("codex", "beta task", "○ idle", seconds=30)
    assert world.row(session)["pid"] is not None
    assert world.usage("agent") == by_agent(world.logged_ledger())
    assert len(world.ledger()) == len(world.logged_ledger()) + 1, "the title call is billed and never logged"

    daemon = world.daemon_pid()
    world.kill(client.pid)
    world.line_with("codex", "beta task", "done")
    assert [r["pid"] for r in world.rows() if r["session"] == session and r["state"] != "done"] == []
    done = world.run("kill", session, "--yes", "--json", ok=(0, 1, 3))
    assert '"result": "ended"' not in done.stdout, "there was nothing to end"
    assert daemon
    assert alive(daemon)


def test_a_running_turn_of_codexs_screen_is_stopped_without_ending_the_shared_daemon(world: World) -> None:
    """The daemon serves all sessions of its home; to end it would end them all."""
    world.open_tokentop()
    client = codex_screen(world)
    world.type("web", "runaway @@slowtool:300@@")
    session = client.session()
    world.row_when(session, "runs a tool", lambda row: row["state"] == "tool")
    daemon = world.daemon_pid()
    assert daemon
    done = world.run("kill", session, "--yes", "--json", ok=(0, 1))
    assert alive(daemon), done.stdout
    if done.returncode == 0:
        until("the end of the tool", lambda: not any("tail" in c for c in client.processes().values()), 20)
    else:
        assert "daemon" in done.stdout + done.stderr, "a refusal says why"
