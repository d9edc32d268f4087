"""Every client that is installed, one at a time and several at once: its row, its status, its end, its bill.

`make e2e-agents` runs them; what the logs of a client do not hold stands in client_table.py with the reason.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import clients
import pytest
from billing import summed
from client_table import TABLE
from client_table import Client as About
from harness import AGENTS_DIR, Client, World
from processes import alive, command, end_marked, parent, tree, until

pytestmark = [pytest.mark.e2e_agents, pytest.mark.timeout(400)]

INSTALLED = [agent for agent in ("claude", "codex", *TABLE) if clients.program(AGENTS_DIR, agent).exists()]
WITH_TOOLS = [agent for agent in INSTALLED if agent not in TABLE or TABLE[agent].tools]
FOURS = [WITH_TOOLS[i : i + 4] for i in range(0, len(WITH_TOOLS), 4)]
OWN_KEYS = {"claude": clients.CLAUDE_KEY, "codex": "fake"}
SHELLS = ("timeout", "bash", "sh")
START_S = 60  # the slowest client sends its first request after 20 s on two cores


def about(agent: str) -> About | None:
    return TABLE.get(agent)


def bill(world: World, agent: str) -> dict[str, int]:
    """What the provider billed an agent, as far as its logs can tell."""
    known = about(agent)
    rows = world.ledger(key=known.key if known else OWN_KEYS[agent])
    sums = summed(row for row in rows if not (known and known.unlogged(row)))
    if known and known.no_reasoning:
        sums["reasoning"] = 0
    return as_told(sums)


def as_told(sums: dict[str, Any]) -> dict[str, int]:
    """The figures that all logs have: most do not tell how long a cache write lives."""
    names = ("responses", "input", "cache_read", "output", "reasoning")
    written = sums.get("cache_write_5m", 0) + sums.get("cache_write_1h", 0)
    return {name: sums.get(name, 0) for name in names} | {"cache_write": written}


def check_bill(world: World, agent: str) -> None:
    known = about(agent)
    if known and known.estimated:
        until("the calls", lambda: world.sums(agent)["responses"] == bill(world, agent)["responses"], 10)
        assert world.sums(agent)["estimated"]
        return
    until(
        "the bill",
        lambda: as_told(world.sums(agent)) == bill(world, agent),
        10,
        lambda: compare(world, agent),
    )
    assert world.sums(agent)["unknown_calls"] == 0


def compare(world: World, agent: str) -> str:
    return f"tokentop {as_told(world.sums(agent))}\nprovider {bill(world, agent)}"


def tool_of(client: Client, but: Collection[int] = ()) -> int:
    """The process of the scripted tool, 0 while there is none."""
    lines = client.processes().items()
    return next((pid for pid, line in lines if line.startswith("tail -f ") and pid not in but), 0)


def in_tool(client: Client) -> int:
    return until(f"a tool of {client.agent}", lambda: tool_of(client), START_S, client.said)


def owner(tool: int) -> int:
    """The process that runs a tool, above its shells and their helpers."""
    pid = parent(tool)
    while command(pid).split(" ")[0].rpartition("/")[2] in SHELLS or "service-child-" in command(pid):
        pid = parent(pid)
    return pid


def check_running(world: World, client: Client, pid: int) -> None:
    def shown() -> bool:
        row.clear()
        row.update(world.row_of(client))
        return row.get("pid") == pid and row["state"] in ("tool", "working")

    row: dict[str, Any] = {}
    until(f"{client.agent} at work as {pid}", shown, 15, lambda: f"{row}\n{client.said()}")
    assert any("tail -f" in child["command"] for child in row["children"]), row
    assert row["title"]


@pytest.mark.parametrize("agent", INSTALLED)
def test_what_a_run_of_several_calls_cost_is_counted_to_the_token(any_world: World, agent: str) -> None:
    known = about(agent)
    if known and known.in_project:
        any_world.open_tokentop()
    client = any_world.headless(agent, "api", "@@multi@@ go")
    assert client.finish(120) == 0, client.said()
    calls = 4 if agent in WITH_TOOLS else 1
    assert bill(any_world, agent)["responses"] >= calls, client.said()
    check_bill(any_world, agent)


@pytest.mark.parametrize("agent", WITH_TOOLS)
def test_a_client_killed_in_its_tool_ends_at_once_and_its_call_is_not_forgotten(
    any_world: World, agent: str
) -> None:
    any_world.open_tokentop()
    client = any_world.headless(agent, "api", "@@slowtool:120@@ go")
    tool = in_tool(client)
    leaf = owner(tool)
    check_running(any_world, client, leaf)
    label = agent[:7]
    any_world.line_with(label, str(leaf))
    # the client and its launcher, not what runs in its tool: that is left behind by some
    own = {pid for pid in (client.pid, leaf) if alive(pid)}
    for pid in own:
        any_world.kill(pid)
    any_world.line_with("✓ done", label, seconds=8)
    check_lost(any_world, agent)

    end_marked(client.mark)
    for pid in tree([tool]):
        any_world.kill(pid)

    def nothing() -> bool:
        return not any(label in line for line in any_world.screen("tokentop").splitlines())

    until("no line of it", nothing, 25, lambda: any_world.screen("tokentop"))


def check_lost(world: World, agent: str) -> None:
    """The call whose tool ran is counted, or known to be of unknown cost; where nothing is on disk, not even that."""
    known = about(agent)
    how = known.lost_in_tool if known else ""
    if how == "unknown":
        until("an unknown call", lambda: world.sums(agent)["unknown_calls"] >= 1, 10)
    elif how == "nothing":
        assert world.sums(agent)["responses"] == 0
    else:
        until(
            "the bill",
            lambda: as_told(world.sums(agent)) == bill(world, agent),
            10,
            lambda: compare(world, agent),
        )


@pytest.mark.parametrize("agents", FOURS, ids="-".join)
def test_four_clients_at_once_are_told_apart_and_add_up(any_world: World, agents: list[str]) -> None:
    any_world.open_tokentop()
    running = [any_world.headless(agent, agent, "@@slowtool:30@@ go") for agent in agents]
    for client in running:
        leaf = owner(in_tool(client))
        check_running(any_world, client, leaf)
        any_world.line_with(client.agent[:7], str(leaf))
    for client in running:
        assert client.finish(150) == 0, client.said()
        check_bill(any_world, client.agent)
