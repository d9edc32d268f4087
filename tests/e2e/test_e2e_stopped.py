"""A turn stopped by `x` on the live screen while a tool runs, with each client that is installed.

What the dialog, the screen, the receipt and the stored action say is held against the process table, the provider's
ledger and the client's log; then the session goes on. `make e2e-agents` runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import signal_records as records
from harness import World
from processes import alive, command, stat_fields, tree, until
from test_e2e_signals import SCREENS, Screen, holds, is_service, resumes, say, tree_word

pytestmark = [pytest.mark.e2e_agents, pytest.mark.timeout(400)]

UNTOLD = ("continue",)  # its file has the result of the tool and no word of the stop
WATCHED_S = 13.0  # ten seconds, and two in which the log is read
SEEN = os.environ.get("STOPPED_DIR")  # where to keep what was on the screen, to be read by a person


def keep(agent: str, name: str, text: str) -> None:
    if SEEN:
        Path(SEEN).mkdir(parents=True, exist_ok=True)
        (Path(SEEN) / f"{agent}.{name}").write_text(text + "\n")


def keep_logs(screen: Screen) -> None:
    """The client's logs as they are, for who looks into them."""
    if SEEN:
        skip = shutil.ignore_patterns("packages", "node_modules", "*.sock", "cache", "bin")
        to = Path(SEEN) / f"{screen.agent}.home"
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(screen.world.home, to, ignore=skip, dirs_exist_ok=True, symlinks=True)


def owner_of(screen: Screen) -> int:
    """Who runs its tools: the client, or the daemon that it shows."""
    return screen.world.daemon_pid() or screen.pid if screen.agent == "codex" else screen.pid


def check_figures(screen: Screen, row: dict[str, Any]) -> None:
    """What is told of a live client while its tool runs, held against the ledger and the process table."""
    below = tree([owner_of(screen)])
    told = {child["pid"] for child in row["children"]}
    assert told <= below | {0}, f"no child of it: {told - below}"
    assert screen.tool() in told, row["children"]
    assert row["state"] == "tool", row["state"]
    assert row["rss_bytes"]
    last = [
        one for one in screen.calls() if one["complete"] and one["scenario"] == "slowtool" and one["tools"]
    ][-1]
    billed = last["billed"]
    if row["context_used"] is not None and row["own"]["responses"]:
        prompt = sum(billed[name] for name in billed if name.startswith(("input", "cache")))
        near = (prompt, prompt + billed["output"])
        assert near[0] <= row["context_used"] <= near[1], (row["context_used"], billed)


@pytest.mark.parametrize("agent", SCREENS)
def test_x_on_the_live_screen_stops_the_turn_and_all_that_is_said_of_it_is_true(
    any_world: World, agent: str
) -> None:
    world = any_world
    screen = Screen(world, agent, "tool")
    world.open_tokentop()
    tool = screen.tool()
    row = until("its tool on the screen", lambda: row_with(screen, tool), 20, lambda: str(world.rows()))
    keep(agent, "row.json", json.dumps({"row": row, "ledger": screen.calls()}, indent=1))
    check_figures(screen, row)
    before = {pid: stat_fields(pid)[19] for pid in tree([owner_of(screen)]) if stat_fields(pid)}
    lines = {pid: command(pid) for pid in before}
    world.line_with(str(row["pid"]), row["agent"][:7])
    world.key("tokentop", "Home", "x")
    dialog = world.shows("tokentop", "yes, ", seconds=15)
    keep(agent, "dialog.txt", dialog)
    for pid in tree([tool]):
        assert str(pid) in dialog, "the tool is listed before"
    world.key("tokentop", "y")
    until("the end of the tool", lambda: not alive(tool), 20, lambda: world.screen("tokentop"))
    actions: list[dict[str, Any]] = []

    def stored() -> bool:
        actions[:] = world.json("actions")["rows"]
        return bool(actions)

    until("the receipt", stored, 15, lambda: world.screen("tokentop"))
    keep(agent, "after.txt", world.screen("tokentop"))
    assert alive(screen.pid)
    time.sleep(WATCHED_S)
    stored()
    [receipt] = actions
    world.key("tokentop", "R")
    time.sleep(1)
    world.key("tokentop", "Enter")
    time.sleep(1)
    keep(agent, "receipts.txt", world.screen("tokentop"))
    keep(agent, "receipt.json", json.dumps({"receipt": receipt, "before": lines}, indent=1))
    world.key("tokentop", "Escape")
    keep(agent, "ledger.json", json.dumps(screen.calls(), indent=1))
    keep_logs(screen)
    check_stop(screen, receipt, before, lines)
    state = world.row(screen.session) if screen.session else {}
    keep(agent, "later.json", json.dumps({"row": state, "ledger": screen.calls()}, indent=1))
    keep_logs(screen)
    assert agent in UNTOLD or not state or state["state"] == "idle", state
    screen.old |= set(screen.processes())
    say(world, agent, "once @@text@@ again")
    assert holds(lambda: any("text" in one["tags"] for one in screen.calls()), 20), "the session goes on"
    world.json("kill", str(screen.pid), "--term", "--yes", ok=(0, 1))
    told = resumes(screen)
    keep(agent, "resumed.txt", told)


def row_with(screen: Screen, tool: int) -> dict[str, Any]:
    row = screen.world.row_of(screen.client)
    return row if tool in {child["pid"] for child in row.get("children", ())} else {}


def check_stop(
    screen: Screen, receipt: dict[str, Any], before: dict[int, str], lines: dict[int, str]
) -> None:
    """The stored receipt against the process table and the ledger."""
    assert receipt["result"] in ("requested", "interrupted"), receipt
    assert receipt["agent"] == screen.agent
    mine = {pid for pid, line in lines.items() if pid != owner_of(screen) and not is_service(line)}
    gone = {pid for pid in mine if not (alive(pid) and stat_fields(pid)[19] == before[pid])}
    told = set(receipt["ended_pids"])
    assert told <= gone, f"said to have ended, and alive: {told - gone}"
    assert gone <= told, f"ended and not named: {[lines[pid] for pid in gone - told]}"
    for pid in receipt["survivors"]:
        assert alive(pid)
    over = datetime.fromisoformat(receipt["at"]).timestamp() + receipt["took_ms"] / 1000
    late = [one for one in screen.calls() if over < one["ts_end"] <= over + 10 and one["tools"]]  # no title
    after = receipt["after"]
    assert after is not None, "it was watched"
    assert after["calls"] == len(late) or after["unknown"], (after, late)
    assert after["tokens"] == 0 or late, after
    assert not late, f"a stopped turn asks nothing: {late}"


@pytest.mark.parametrize("agent", [one for one in ("claude", "codex", "continue") if one in SCREENS])
def test_what_a_closed_terminal_leaves_behind_is_found_and_ended(any_world: World, agent: str) -> None:
    """The window is closed while a tool runs: what outlives that is shown without an owner, and swept."""
    world = any_world
    screen = Screen(world, agent, "tool")
    world.open_tokentop()
    tool = screen.tool()
    until("its tool on the screen", lambda: row_with(screen, tool), 20, lambda: str(world.rows()))
    world.line_with(agent[:7], str(screen.pid))
    before = screen.processes()
    world.tmux("kill-session", "-t", f"={agent}")
    until("the end of the client", lambda: not alive(screen.pid), 20, lambda: str(screen.processes()))
    time.sleep(4)
    left = {pid: line for pid, line in screen.processes().items() if not is_service(line)}
    keep(agent, "closed.json", json.dumps({"before": before, "left": left, "rows": world.rows()}, indent=1))
    keep(agent, "closed.txt", world.screen("tokentop"))
    daemon = world.daemon_pid() or 0
    if agent == "codex":
        assert alive(daemon), "the daemon serves other sessions too"
        assert tool in left, "its turn goes on without a screen"
        row = world.row(screen.session)
        assert row["state"] in ("tool", "working"), row
        done = world.json("kill", screen.session, "--yes", ok=(0, 1))
        assert done["results"][0]["result"] == "interrupted", done
    elif left:
        world.line_with("orphan", agent[:7])
        world.key("tokentop", "X")
        keep(agent, "sweep.txt", world.shows("tokentop", "yes, ", seconds=15))
        world.key("tokentop", "y")
        until("the end of what was left", lambda: not any(map(alive, left)), 20)
    rest = {pid: line for pid, line in screen.processes().items() if not is_service(line)}
    assert rest == {}, "nothing of it is left"
    records.keep(
        agent, "tool", "closed", left=[tree_word(line, pid, screen) for pid, line in left.items()],
        in_daemon=agent == "codex",
    )  # fmt: skip
