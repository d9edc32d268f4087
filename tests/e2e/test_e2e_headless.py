"""Headless runs of the real clients, watched live and counted afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from billing import billed, by_agent, price
from harness import Client, World
from processes import until

pytestmark = pytest.mark.e2e


def is_burning(row: dict[str, Any]) -> bool:
    return (
        row["state"] == "tool"
        and (row["tokens_per_min"] or 0) > 0
        and Decimal(row["burn_usd_per_h"] or 0) > 0
    )


def check_live(world: World, client: Client, session: str, model: str) -> None:
    row = world.row_when(session, "runs a tool and burns", is_burning)
    assert row["agent"] == client.agent
    assert row["pid"] == client.pid
    assert row["confidence"] == "exact"
    assert row["inferred"] is False
    assert row["model"] == model
    assert row["cwd"] == str(client.folder)
    assert row["project"] == client.folder.name
    assert session in row["resume"]
    assert Decimal(row["cost_usd"]) == price(world.ledger(session))
    assert any("tail" in c["command"] for c in row["children"])


def test_parallel_runs_are_shown_with_pid_model_status_and_rates_and_add_up_to_the_bill(world: World) -> None:
    world.open_tokentop()
    claude = world.headless("claude", "api", "alpha task @@slowtool:14@@")
    codex = world.headless("codex", "web", "beta task @@slowtool:14@@")
    claude_session, codex_session = claude.session(), codex.session()
    check_live(world, claude, claude_session, "claude-sonnet-4-5")
    check_live(world, codex, codex_session, "gpt-5.1-codex")
    for client, title in ((claude, "alpha task"), (codex, "beta task")):
        line = world.line_with(client.agent, title, str(client.pid))
        assert "▶" in line
        assert "sonnet-4" in line or "gpt-5.1" in line

    assert claude.finish() == 0, claude.said()
    assert codex.finish() == 0, codex.said()
    for session in (claude_session, codex_session):
        ended = world.row_when(session, "has ended", lambda row: row["pid"] is None)
        assert ended["state"] == "done" or ended["inferred"]
    world.line_with("done", "alpha task")
    world.line_with("done", "beta task")
    assert world.usage("agent") == by_agent(world.ledger())
    assert world.usage("session") == {s: billed(world.ledger(s)) for s in (claude_session, codex_session)}


def test_sub_agents_hang_below_their_parent_while_they_run_and_are_billed_once(world: World) -> None:
    world.open_tokentop()
    claude = world.headless("claude", "api", "@@slowagent:8@@ delegate")
    codex = world.headless("codex", "web", "@@slowagent:8@@ delegate")
    for client in (claude, codex):
        session = client.session()

        def child_of(key: str) -> dict[str, Any] | None:
            rows = world.rows()
            return next((r for r in rows if r["kind"] == "sub-agent" and r["parent"] == key), None)

        parent = world.row_when(session, "is there", lambda row: row["pid"] is not None)
        key = parent["key"]
        child = until(f"a sub-agent below {key}", lambda key=key: child_of(key))
        assert child["agent"] == client.agent
        assert parent["pid"] == client.pid
    assert claude.finish() == 0, claude.said()
    assert codex.finish() == 0, codex.said()
    assert len({(r["session"], r["agent"]) for r in world.ledger()}) == 4, "each parent had one child"
    # The last responses were written the moment before; a screen reads them within its next slices.
    until("the bill of both", lambda: world.usage("agent") == by_agent(world.ledger()), 10)
    assert world.usage("agent") == by_agent(world.ledger())


def test_nested_background_retried_and_thinking_calls_add_up_to_the_bill(world: World) -> None:
    plan = [
        ("claude", "@@nested@@"),
        ("claude", "@@bgagent@@"),
        ("codex", "@@multi@@"),
        ("claude", "@@multi@@"),
        ("codex", "@@err429@@"),
        ("claude", "@@err529@@"),
        ("codex", "@@huge@@"),
        ("claude", "@@tools@@"),
    ]
    for pair in zip(plan[::2], plan[1::2], strict=True):
        runs = [world.headless(agent, "api", f"{prompt} go") for agent, prompt in pair]
        for run in runs:
            assert run.finish() == 0, run.said()
    assert {r["status"] for r in world.ledger()} == {200, 429, 529}
    assert world.usage("agent") == by_agent(world.ledger())


def test_resumed_and_forked_sessions_are_not_counted_twice(world: World) -> None:
    claude = world.headless("claude", "api", "@@multi@@ first")
    codex = world.headless("codex", "web", "@@multi@@ first")
    claude_session, codex_session = claude.session(), codex.session()
    assert claude.finish() == 0, claude.said()
    assert codex.finish() == 0, codex.said()
    more = [
        world.headless("claude", "api", "@@tool@@ again", "--resume", claude_session),
        world.headless("codex", "web", "@@tool@@ again", "resume", codex_session),
    ]
    for run in more:
        assert run.finish() == 0, run.said()
    more = [
        world.headless("claude", "api", "@@think@@ aside", "--resume", claude_session, "--fork-session"),
        world.headless("codex", "web", "@@think@@ aside", "fork", codex_session),
    ]
    for run in more:
        assert run.finish() == 0, run.said()
    sessions = {r["session"] for r in world.ledger()}
    assert len(sessions) == 4, "one fork each"
    assert world.usage("agent") == by_agent(world.ledger())
    assert world.usage("session") == {s: billed(world.ledger(s)) for s in sessions}


def test_a_killed_tokentop_loses_nothing_and_counts_nothing_twice(world: World) -> None:
    pid = world.open_tokentop()
    runs = [world.headless("claude", "api", "@@loop@@ go"), world.headless("codex", "web", "@@loop@@ go")]
    sessions = [run.session() for run in runs]
    for name in ("second", "third"):
        for session in sessions:
            more = len(world.ledger(session)) + 2
            until("two more calls", lambda s=session, n=more: len(world.ledger(s)) >= n, 30, runs[0].said)
        world.kill(pid)
        pid = world.open_tokentop(name)
    for run in runs:
        world.interrupt(run)
    world.kill(pid)
    assert world.usage("agent") == by_agent(world.ledger())
    assert world.usage("session") == {s: billed(world.ledger(s)) for s in sessions}
