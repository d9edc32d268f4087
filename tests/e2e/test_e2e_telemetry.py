"""The real clients send their telemetry to a running tokentop: each call is billed once, logged or not."""

from __future__ import annotations

import json
import socket

import pytest
from billing import billed, by_agent
from harness import World
from processes import until

pytestmark = pytest.mark.e2e


def switch_on(world: World) -> None:
    """tokentop listens, and both clients send, as `tokentop hook show telemetry` says it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world.config.write_text(f"[telemetry]\non = true\nport = {port}\n")
    shown = world.run("hook", "show", "telemetry").stdout
    token = (world.state / "telemetry-token").read_text().strip()
    assert token not in shown
    world.project("api")
    codex = shown.partition("[otel]")[2].partition("\n\n")[0].replace("TOKEN", token)
    with (world.home / ".codex" / "config.toml").open("a") as file:
        file.write(f"[otel]{codex}\n")
    lines = shown.partition("# Claude Code")[2].partition("\n\n")[0].splitlines()
    words = " ".join(line.removeprefix("export ") for line in lines if line.startswith("export "))
    env = dict(word.split("=", 1) for word in words.partition("OTEL_EXPORTER_OTLP_HEADERS")[0].split())
    env["OTEL_EXPORTER_OTLP_HEADERS"] = f"Authorization=Bearer {token}"
    settings = world.home / ".claude" / "settings.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"env": env}))
    world.open_tokentop()


def test_calls_that_logs_tell_too_are_billed_once(world: World) -> None:
    switch_on(world)
    for agent in ("claude", "codex"):
        client = world.headless(agent, "api", "@@multi@@ go")
        assert client.finish() == 0, client.said()
    told = "4 calls, 4 of them in its logs too"

    def heard() -> bool:
        shown = world.run("hook", "show", "telemetry").stdout
        return f"claude: {told}" in shown and f"codex: {told}" in shown

    until("both were told and found", heard, 40, lambda: world.run("hook", "show", "telemetry").stdout)
    assert world.usage("agent") == by_agent(world.ledger())
    assert sum(one["responses"] for one in world.usage("agent").values()) == 8
    assert "telemetry_responses" not in world.json("usage")["totals"]


def test_a_session_without_a_log_is_billed_by_its_telemetry(world: World) -> None:
    switch_on(world)
    client = world.headless("claude", "api", "@@tool@@ go", "--no-session-persistence")
    assert client.finish() == 0, client.said()
    wanted = billed(world.ledger())

    def counted() -> bool:
        totals = world.json("usage", "--agent", "claude", ok=(0, 3))["totals"]
        return totals.get("telemetry_responses") == wanted["responses"]

    until("the calls that no log tells", counted, 60, lambda: json.dumps(world.json("usage")["totals"]))
    totals = world.json("usage", "--agent", "claude", ok=(0, 3))["totals"]
    assert totals["responses"] == wanted["responses"]
    assert {name: totals["tokens"][name] for name in totals["tokens"]} == {
        n: wanted[n] for n in totals["tokens"]
    }
