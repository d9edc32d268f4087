"""What tokentop's actions do to each client that is installed, in a tool call and in the middle of a stream.

`make e2e-agents` runs it. What is asserted is what tokentop promises: nothing of what was hit lives on, nothing is
spent afterwards, the receipt is true. What the client makes of it differs; that is written down, one record for
each case, and `make signals` puts the records into docs/signals.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from datetime import datetime
from typing import Any

import pytest
import signal_records as records
from client_table import TABLE
from harness import Client, World
from processes import alive, command, end_marked, stat_fields, tree, until
from test_e2e_agents import INSTALLED, OWN_KEYS, owner, tool_of

from tokentop.text import clean

pytestmark = [pytest.mark.e2e_agents, pytest.mark.timeout(400)]

MOMENTS = ("tool", "stream")
SERVICES = ("--cline-hub-daemon", "app-server")  # they serve other sessions too, and are meant to stay
START_S = 150.0  # some of them take a minute to start on a busy machine
PAUSE_S = 3.0
ENDLESS_S = {"tool": 120.0, "stream": 40.0}  # the provider notices at its next words that nobody listens
QUIET_S = 3.0
# The words that make a headless run go on with a session; the client's own resume command opens its screen.
AGAIN = {
    **dict.fromkeys(("claude", "gemini", "qwen", "copilot", "vibe"), ("--resume", "{id}")),
    **dict.fromkeys(("opencode", "kilo", "droid"), ("-s", "{id}")),
    **dict.fromkeys(("pi", "kimi-code", "kimi-cli"), ("--session", "{id}")),
    "codex": ("resume", "{id}"),
    "openclaw": ("--session-id", "{id}"),
    "cline": ("--id", "{id}"),
    "continue": ("--fork", "{id}"),
    "aider": ("--restore-chat-history",),
}


def key_of(agent: str) -> str:
    return TABLE[agent].key if agent in TABLE else OWN_KEYS[agent]


class Run:
    """One headless run of a client that is in a tool call or in the middle of a stream."""

    def __init__(self, world: World, agent: str, moment: str, seconds: float) -> None:
        known = TABLE.get(agent)
        if moment == "tool" and known and not known.tools:
            records.keep(agent, moment, "all", not_tried="it has no tools")
            pytest.skip(f"{agent} has no tools")
        self.world, self.agent, self.moment = world, agent, moment
        self.client = world.headless(agent, "api", f"@@slow{moment}:{seconds:g}@@ go")
        self.key = key_of(agent)
        if moment == "tool":
            self.tool = until("a tool", lambda: tool_of(self.client), START_S, self.client.said)
            self.pid = owner(self.tool)
            self.row = until("its row", lambda: self._row(self.pid), 20, self.client.said)
        else:
            self._in_stream()
            self.row = until("its row", lambda: self._row(0), 20, self.client.said)
            self.pid = int(self.row["pid"])
        self.session = str(self.row["session"] or "")

    def _row(self, pid: int) -> dict[str, Any]:
        row = self.world.row_of(self.client)
        return row if row and (not pid or row["pid"] == pid) else {}

    def _in_stream(self) -> None:
        """Wait until an answer has been streaming for a second: the call that makes a title takes less."""
        since = 0.0

        def streams() -> bool:
            nonlocal since
            since = 0.0 if not self.world.streaming() else since or time.monotonic()
            return bool(since) and time.monotonic() - since > 1

        until("a stream", streams, START_S, self.client.said)

    def act(self, action: str) -> dict[str, Any]:
        """One action by the command; its receipt."""
        done = self.world.json("kill", str(self.pid), f"--{action}", "--yes", ok=(0, 1))
        [receipt] = done["results"]
        return dict(receipt)

    def calls(self) -> list[dict[str, Any]]:
        """What the provider was asked by this client and has written down."""
        return self.world.ledger(key=self.key)


def usage_kept(run: Run) -> dict[str, Any]:
    """What the provider billed for whole and for cut answers, and what tokentop finds of them in the log."""
    known = TABLE.get(run.agent)
    calls = [row for row in run.calls() if not (known and known.unlogged(row))]
    whole = [row for row in calls if row["complete"]]
    cut = [row for row in calls if not row["complete"]]
    end = time.monotonic() + 5
    while True:
        sums = run.world.sums(run.agent)
        if sums["responses"] + sums["unknown_calls"] >= len(calls) or time.monotonic() > end:
            break
    return {
        "billed_calls": len(whole), "billed_output": sum(row["billed"]["output"] for row in whole),
        "cut_calls": len(cut), "cut_output": sum(row["billed"]["output"] for row in cut),
        "logged_calls": sums["responses"], "logged_output": sums.get("output", 0),
        "unknown_calls": sums["unknown_calls"], "estimated": sums["estimated"],
    }  # fmt: skip


def resumes(run: Run) -> str:
    """Whether a headless run with the client's resume words goes on where it was stopped."""
    words = AGAIN[run.agent]
    if "{id}" in " ".join(words) and not run.session:
        return "no: its session was never on disk"
    before = len(run.calls())
    again = run.world.headless(
        run.agent, "api", "@@text@@ again", *(word.replace("{id}", run.session) for word in words)
    )
    try:
        status = again.finish(90)
    except AssertionError:
        return "not within 90 s"
    finally:
        end_marked(again.mark)
    told = [row["tags"] for row in run.calls()[before:] if "text" in row["tags"]]
    if not told:
        return f"no: exit {status}, {last_word(again.said())}"
    if any(f"slow{run.moment}" in tags for tags in told):
        return "yes" if status == 0 else f"yes, exit {status}"
    return "it starts, without what was said before"


def last_word(said: str) -> str:
    """The last line of what a client printed."""
    lines = [clean(re.sub(r"\x1b\[[0-9;]*m", "", line), 70).strip() for line in said.splitlines()]
    return next((f"“{line}”" for line in reversed(lines) if line), "without a word")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("agent", INSTALLED)
def test_a_client_is_frozen_and_goes_on_after_the_thaw(any_world: World, agent: str, moment: str) -> None:
    run = Run(any_world, agent, moment, 14)
    refused = run.act("interrupt")
    assert refused["result"] in ("refused", "interrupted", "requested"), refused
    assert alive(run.pid)
    frozen = run.act("freeze")
    assert frozen["result"] == "frozen", frozen
    assert stat_fields(run.pid)[0] == "T"
    assert run._row(run.pid)["state"] == "frozen"
    tool_ran = moment == "tool" and alive(run.tool) and stat_fields(run.tool)[0] != "T"
    frozen_at = time.time()
    time.sleep(PAUSE_S)
    spent = sum(row["ts_start"] > frozen_at for row in run.calls())
    thawed = run.act("thaw")
    assert thawed["result"] == "thawed", thawed
    try:
        status = run.client.finish(100)
        goes_on = "to its end" if status == 0 else f"ends with status {status}"
    except AssertionError:
        goes_on = "does not end within 100 s"
    records.keep(
        agent, moment, "pause", interrupt=refused["detail"], tool_runs_on=tool_ran, calls_while_frozen=spent,
        goes_on=goes_on, usage=usage_kept(run),
    )  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("action", ["term", "kill"])
@pytest.mark.parametrize("agent", INSTALLED)
def test_a_client_is_ended_with_all_that_it_started(
    any_world: World, agent: str, action: str, moment: str
) -> None:
    run = Run(any_world, agent, moment, ENDLESS_S[moment])
    before = run.client.processes()
    ticks = {pid: stat_fields(pid)[19] for pid in before if stat_fields(pid)}
    receipt = run.act(action)
    ended = time.time()
    left = {pid: line for pid, line in run.client.processes().items() if not is_service(line)}
    assert receipt["result"] == "ended", receipt
    assert left == {}, "nothing of it is left"
    check_receipt(receipt, run.pid, ticks, [pid for pid, line in before.items() if "sleep " in line])
    time.sleep(QUIET_S)
    until("the end of the stream", lambda: not any_world.streaming(), 20)
    calls = run.calls()
    late = [row for row in calls if row["ts_start"] > ended]
    assert late == [], "nothing is spent after the receipt"
    at = datetime.fromisoformat(receipt["at"]).timestamp()
    during = [row for row in calls if row["ts_start"] > at]
    row = any_world.row(run.session) if run.session else {}
    records.keep(
        agent, moment, action,
        signals=[rung["signal"] for rung in receipt["rungs"] if rung["pid"] == run.pid],
        took_ms=receipt["took_ms"],
        tree=[tree_word(line, pid, run) for pid, line in before.items()],
        swept=[tree_word(before.get(pid, ""), pid, run) for pid in swept(receipt, run.pid)],
        state=row.get("state", ""), detail=row.get("state_detail") or "",
        last=records.last_record(any_world.home, agent, run.client.folder),
        calls_during=len(during), usage=usage_kept(run), resume=resumes(run), resume_command=row.get("resume"),
    )  # fmt: skip
    assert run.client.processes().keys() <= {pid for pid, line in before.items() if is_service(line)}


def is_service(line: str) -> bool:
    return any(name in line for name in SERVICES)


def swept(receipt: dict[str, Any], target: int) -> list[int]:
    """What outlived the client and was signalled for that, in the order of the signals."""
    sent = (rung["pid"] for rung in receipt["rungs"] if rung["result"] == "sent")
    return [pid for pid in dict.fromkeys(sent) if pid != target]


def check_receipt(
    receipt: dict[str, Any], target: int, ticks: dict[int, str], passing: Collection[int]
) -> None:
    """Each claim of a receipt about processes, held against the process table.

    `passing` = what ends by itself all the time.
    """
    assert receipt["pid"] == target
    assert target in receipt["ended_pids"]
    assert receipt["survivors"] == []
    for pid in receipt["ended_pids"]:
        assert not (alive(pid) and stat_fields(pid)[19] == ticks.get(pid)), f"{pid} is said to have ended"
    for pid in ticks:
        named = pid in receipt["ended_pids"] or pid in passing
        assert alive(pid) or named, f"{pid} ended and is not named"
    for rung in receipt["rungs"]:
        assert rung["result"] in ("sent", "gone"), rung


def tree_word(line: str, pid: int, run: Run) -> str:
    if pid == run.pid:
        return "client"
    words = line.split(" ")
    name = words[0].rpartition("/")[2]
    if line.startswith("tail -f"):
        return "tool"
    if name in ("bash", "sh", "timeout"):
        return "shell"
    return "service" if is_service(line) else "launcher" if pid == run.client.pid else name[:24] or "?"


SCREENS = [a for a in INSTALLED if a not in ("droid", "aider", "openclaw", "cline", "vibe")]
# Their tools run without a question.
SCREEN_ARGS = {
    **dict.fromkeys(("gemini", "qwen", "kimi-cli"), ("-y",)),
    "copilot": ("--allow-all-tools",),
    "continue": ("--auto",),
}
FIRST_KEYS = {"kimi-code": ("Enter",)}  # what a first start asks


def open_screen(world: World, agent: str, moment: str) -> tuple[Client, int]:
    """The client's own screen with a turn that is in a tool or in a stream; the client and its worker's pid."""
    client = world.tui(agent, agent, *SCREEN_ARGS.get(agent, ()))
    until("its screen", lambda: len(client.said().split()) > 8, START_S, client.said)
    time.sleep(5)
    world.key(agent, *FIRST_KEYS.get(agent, ()))
    say(world, agent, f"go @@slow{moment}:60@@ now")  # words around it: some offer files after an @
    if moment == "tool":
        until("a tool", lambda: tool_of(client) or daemon_tool(world), START_S, client.said)
    else:
        until("a stream", world.streaming, START_S, client.said)
        time.sleep(2)
    row = until("its row", lambda: world.row_of(client), 20, client.said)
    return client, int(row["pid"])


def say(world: World, agent: str, text: str) -> None:
    """Type a prompt and send it; a client takes no key until its prompt stands, and does not say when."""

    def shown() -> bool:
        world.tmux("send-keys", "-t", f"={agent}:", "-l", text)
        end = time.monotonic() + 4
        while time.monotonic() < end:
            if "".join(text.split()) in "".join(world.screen(agent).split()):
                return True
            time.sleep(0.2)
        return False

    until("the prompt on its screen", shown, 40, lambda: world.screen(agent))
    time.sleep(0.5)  # a text and an Enter in one burst count as a paste, which is not submitted
    world.key(agent, "Enter")


def daemon_tool(world: World) -> int:
    """A tool that Codex's daemon runs: the daemon carries the mark of the screen that started it."""
    pid = world.daemon_pid()
    lines = {one: command(one) for one in tree([pid])} if pid else {}
    return next((one for one, line in lines.items() if line.startswith("tail -f ")), 0)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("agent", SCREENS)
def test_the_turn_of_a_screen_is_stopped_and_the_session_lives(
    any_world: World, agent: str, moment: str
) -> None:
    client, pid = open_screen(any_world, agent, moment)
    [receipt] = any_world.json("kill", str(pid), "--interrupt", "--yes", ok=(0, 1))["results"]
    seen: dict[str, Any] = {"result": receipt["result"], "detail": receipt["detail"] or ""}
    assert alive(pid), "stopping a turn never ends the client"
    if receipt["result"] == "refused":
        assert receipt["rungs"] == []
    else:
        assert receipt["result"] in ("interrupted", "requested"), receipt
        seen |= after_interrupt(any_world, client, agent, moment)
    services = {one for one, line in client.processes().items() if is_service(line)}
    [receipt] = any_world.json("kill", str(pid), "--term", "--yes")["results"]
    assert receipt["result"] == "ended", receipt
    left = {one: line for one, line in client.processes().items() if one not in services}
    assert left == {}, "nothing of it is left"
    seen |= {"end": receipt["detail"] or receipt["result"]}
    records.keep(agent, moment, "screen", services=sorted({service_word(one) for one in services}), **seen)


def after_interrupt(world: World, client: Client, agent: str, moment: str) -> dict[str, Any]:
    """Whether the turn came to its end, and whether the session takes another prompt."""

    def over() -> bool:
        if moment == "tool":
            return not (tool_of(client) or daemon_tool(world))
        return any(
            r["scenario"] == "slowstream" and not r["complete"] for r in world.ledger(key=key_of(agent))
        )

    try:
        until("the end of the turn", over, 20)
        stopped = True
    except AssertionError:
        stopped = False
    say(world, agent, "once @@text@@ again")
    try:
        until("another call", lambda: any("text" in r["tags"] for r in world.ledger(key=key_of(agent))), 15)
        answers = True
    except AssertionError:
        answers = False
    return {"stopped": stopped, "answers": answers}


def service_word(pid: int) -> str:
    line = command(pid)
    return next((name for name in SERVICES if name in line), "service")
