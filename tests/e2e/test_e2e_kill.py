"""Ending real agents with tokentop: the whole tree of the target, and nothing else."""

from __future__ import annotations

import pytest
from billing import by_agent
from harness import Client, World
from processes import alive, start_ticks, until

pytestmark = pytest.mark.e2e


def tool_tree(client: Client) -> dict[int, str]:
    """All processes of a client, as soon as its tool runs: {pid: start ticks}."""
    runs = lambda: any("tail" in command for command in client.processes().values())  # noqa: E731
    until("a running tool", runs, 30, client.said)
    return {pid: start_ticks(pid) for pid in client.processes()}


def still_there(tree: dict[int, str]) -> list[int]:
    return [pid for pid, ticks in tree.items() if alive(pid) and start_ticks(pid) == ticks]


def test_kill_by_session_ends_the_whole_tree_and_no_other_agent(world: World) -> None:
    """A tool shell of Claude Code has a session (setsid) of its own: its agent's group does not hold it."""
    world.open_tokentop()
    target = world.headless("claude", "api", "runaway @@slowtool:300@@")
    beside = world.headless("claude", "api", "bystander @@slowtool:300@@")
    other = world.headless("codex", "web", "other @@slowtool:300@@")
    trees = {client.mark: tool_tree(client) for client in (target, beside, other)}
    assert len(trees[target.mark]) >= 3
    session = target.session()
    world.row_when(session, "runs", lambda row: row["pid"] == target.pid)

    receipt = world.json("kill", session, "--yes")
    assert target.processes() == {}, "nothing of the target is left"
    assert still_there(trees[target.mark]) == []
    for client in (beside, other):
        assert still_there(trees[client.mark]) == list(trees[client.mark]), "the others are untouched"
    said = str(receipt)
    assert str(target.pid) in said
    assert session in said
    world.row_when(session, "has ended", lambda row: row["pid"] is None)
    world.line_with("done", "runaway")

    receipt = world.json("kill", str(other.pid), "--yes")
    assert other.processes() == {}
    assert still_there(trees[beside.mark]) == list(trees[beside.mark])
    assert world.usage("agent") == by_agent(world.ledger())


def test_dry_run_names_the_tree_and_touches_nothing(world: World) -> None:
    world.open_tokentop()
    client = world.headless("claude", "api", "@@slowtool:300@@")
    tree = tool_tree(client)
    session = client.session()
    world.row_when(session, "runs", lambda row: row["pid"] == client.pid)
    plan = str(world.json("kill", session, "--dry-run"))
    for pid in tree:
        assert str(pid) in plan
    assert still_there(tree) == list(tree)


def test_the_kill_key_ends_the_selected_agent_after_a_yes(world: World) -> None:
    world.open_tokentop()
    target = world.headless("claude", "api", "runaway @@slowtool:300@@")
    tree = tool_tree(target)
    world.row_when(target.session(), "runs", lambda row: row["pid"] == target.pid)
    world.line_with(">", "runaway", str(target.pid))
    world.key("tokentop", "K")
    world.shows("tokentop", f"Terminate claude {target.pid}", "yes, terminate")
    for pid in tree.keys() - {target.pid}:
        world.line_with("tool", str(pid), seconds=1)
    assert still_there(tree) == list(tree), "nothing happens before the yes"
    world.key("tokentop", "y")
    until("the end of the tree", lambda: not still_there(tree), 20, lambda: world.screen("tokentop"))
    assert target.processes() == {}


def test_a_call_that_was_killed_in_mid_stream_is_not_shown_as_free(world: World) -> None:
    """The call is billed, but no log holds what it cost: the sum says that it is not the whole bill."""
    world.open_tokentop()
    for agent in ("claude", "codex"):
        before = world.streaming()
        run = world.headless(agent, "api", f"lost {agent} @@slowstream:300@@")
        session = run.session()
        world.row_when(session, "works", lambda r, run=run: r["pid"] == run.pid and r["state"] == "working")
        until("a stream", lambda n=before: world.streaming() > n, 20, run.said)
        world.line_with("● work", f"lost {agent}", str(run.pid))
        world.json("kill", session, "--yes", "--kill")
        assert run.processes() == {}
        line = world.line_with("done", f"lost {agent}")
        assert "$?" in line, "an unknown cost is not $0.00"
    assert world.usage("agent") == {}
