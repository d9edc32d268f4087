"""What tokentop's actions do to each client that is installed, in a tool call and in the middle of a stream.

`make e2e-agents` runs it. What is asserted is what tokentop promises: nothing of what was hit lives on, nothing is
spent afterwards, the receipt is true. What the client makes of it differs; that is written down, one record for
each case, and `make signals` puts the records into docs/signals.md.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

import pytest
import signal_records as records
from client_table import TABLE
from harness import World
from processes import Timeout, alive, command, end_marked, stat_fields, tree, until
from test_e2e_agents import INSTALLED, OWN_KEYS, owner, tool_of

from tokentop.text import clean

pytestmark = [pytest.mark.e2e_agents, pytest.mark.timeout(400)]

MOMENTS = ("tool", "stream")
SERVICES = ("--cline-hub-daemon", " app-server")  # they serve other sessions too, and are meant to stay
START_S = 150.0  # some of them take a minute to start on a busy machine
PAUSE_S = 3.0
ENDLESS_S = {"tool": 120.0, "stream": 40.0}  # the provider notices at its next words that nobody listens
QUIET_S = 3.0
# A one-shot run ends with its turn; these are interrupted all the same, because they then write what they have.
INTERRUPTED = ("claude", "codex")
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


def offers_tools(agent: str) -> bool:
    return agent not in TABLE or TABLE[agent].tools


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
            answers = self.world.streaming(tools=offers_tools(self.agent))
            since = 0.0 if not answers else since or time.monotonic()
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


def resumes(run: Run | Screen) -> str:
    """Whether a headless run with the client's resume words goes on where it was stopped."""
    words = AGAIN[run.agent]
    if "{id}" in " ".join(words) and not run.session:
        return "no: its session was never on disk"
    before = len(run.calls())
    again = run.world.headless(
        run.agent,
        run.client.folder.name,
        "@@text@@ again",
        *(word.replace("{id}", run.session) for word in words),
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
    lines = [clean(re.sub(r"\x1b\[[0-9;]*m", "", line), 120).strip() for line in said.splitlines()]
    return next((f"“{line}”" for line in reversed(lines) if line), "without a word")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("agent", INSTALLED)
def test_a_client_is_frozen_and_goes_on_after_the_thaw(any_world: World, agent: str, moment: str) -> None:
    run = Run(any_world, agent, moment, 14)
    interrupt = ""
    if agent not in INTERRUPTED:
        refused = run.act("interrupt")
        assert refused["result"] == "refused", refused
        interrupt = refused["detail"]
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
        agent, moment, "pause", interrupt=interrupt, tool_runs_on=tool_ran, calls_while_frozen=spent,
        goes_on=goes_on, usage=usage_kept(run),
    )  # fmt: skip


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("action", "agent"),
    [
        *((action, agent) for agent in INSTALLED for action in ("term", "kill")),
        *(("interrupt", agent) for agent in INTERRUPTED if agent in INSTALLED),
    ],
)
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
    sent = (rung["pid"] for rung in receipt["rungs"] if rung["result"] == "sent" and rung["signal"].isupper())
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


def tree_word(line: str, pid: int, run: Run | Screen) -> str:
    if pid == run.pid:
        return "client"
    words = line.split(" ")
    name = words[0].rpartition("/")[2]
    if line.startswith("tail -f"):
        return "tool"
    if name in ("bash", "sh", "timeout"):
        return "shell"
    return "service" if is_service(line) else "launcher" if pid == run.client.pid else name[:24] or "?"


SCREENS = [a for a in INSTALLED if a != "droid"]  # its screen wants a login
# Their tools run without a question.
SCREEN_ARGS = {
    **dict.fromkeys(("qwen", "kimi-cli"), ("-y",)),
    "gemini": ("-y", "-m", "gemini-2.5-pro"),  # without a model it asks another one first which it shall be
    "copilot": ("--allow-all-tools",),
    **dict.fromkeys(("continue", "kimi-code"), ("--auto",)),
    "openclaw": ("tui", "--local"),
    "cline": ("-i",),
    "vibe": ("--agent", "auto-approve", "--trust"),
}
FIRST_KEYS = {
    **dict.fromkeys(("kimi-code", "copilot"), ("Enter",)),
    "cline": ("Space",),
}  # what a first start asks
END_OF_SCREEN = {"tool": "term", "stream": "kill"}
# What a program leaves a terminal in that it did not put in order; tmux tells the modes of its own terminal.
MODES = {
    "alternate_on": "alternate screen", "mouse_any_flag": "mouse", "keypad_cursor_flag": "cursor keys",
}  # fmt: skip


class Screen:
    """The client's own screen, with a turn that is in a tool or in a stream."""

    def __init__(self, world: World, agent: str, moment: str) -> None:
        known = TABLE.get(agent)
        if moment == "tool" and known and not known.tools:
            pytest.skip(f"{agent} has no tools")
        self.world, self.agent, self.moment, self.key = world, agent, moment, key_of(agent)
        self.old: set[int] = set()  # what ran when its turn was stopped, and still does
        self.strays: set[int] = set()  # of these, what is no longer below it
        self.client = world.tui(agent, agent, *SCREEN_ARGS.get(agent, ()), below_a_shell=True)
        until("its screen", lambda: len(self.client.said().split()) > 8, START_S, self.client.said)
        time.sleep(5)
        world.key(agent, *FIRST_KEYS.get(agent, ()))
        self.begin("go", START_S)
        row = until("its row", lambda: world.row_of(self.client), 20, self.client.said)
        self.pid, self.session = int(row["pid"]), str(row["session"] or "")

    def begin(self, word: str, seconds: float) -> None:
        """Type a prompt whose turn stays in a tool or in a stream, and wait until it is there."""
        say(self.world, self.agent, f"{word} @@slow{self.moment}:60@@ now")  # some offer files after an @

        def under_way() -> int:
            if self.moment == "tool":
                return self.tool()
            return self.world.streaming(tools=offers_tools(self.agent))

        if not holds(lambda: bool(under_way()), 15):
            self.world.key(self.agent, "Enter")  # the first one came too early, or there is a question
        until(f"a {self.moment}", under_way, seconds, self.client.said)
        time.sleep(0 if self.moment == "tool" else 2)

    def tool(self) -> int:
        """The tool of the turn that is under way, 0 while there is none."""
        tools = (tool_of(self.client, self.old), daemon_tool(self.world, self.old))
        return next(filter(None, tools), 0)

    def act(self, action: str) -> dict[str, Any]:
        done = self.world.json("kill", str(self.pid), f"--{action}", "--yes", ok=(0, 1))
        [receipt] = done["results"]
        return dict(receipt)

    def calls(self) -> list[dict[str, Any]]:
        return self.world.ledger(key=self.key)

    def processes(self) -> dict[int, str]:
        """What it started, without the shell that it was started from."""
        return {pid: line for pid, line in self.client.processes().items() if pid != self.client.pid}

    def terminal(self) -> str:
        """What its shell finds the terminal in."""
        shown = lambda name: self.world.tmux("display-message", "-p", "-t", f"={self.agent}:", name).strip()  # noqa: E731
        left = [word for flag, word in MODES.items() if shown(f"#{{{flag}}}") == "1"]
        left += ["no cursor"] if shown("#{cursor_flag}") == "0" else []
        said = subprocess.run(
            ["stty", "-a", "-F", shown("#{pane_tty}")], capture_output=True, text=True, check=True
        )
        left += [f"no {word}" for word in ("echo", "icanon", "isig") if f"-{word}" in said.stdout.split()]
        return ", ".join(left) or "in order"


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


def daemon_tool(world: World, but: Collection[int] = ()) -> int:
    """A tool that Codex's daemon runs: the daemon carries the mark of the screen that started it."""
    pid = world.daemon_pid()
    lines = {one: command(one) for one in tree([pid])} if pid else {}
    return next((one for one, line in lines.items() if line.startswith("tail -f ") and one not in but), 0)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("agent", SCREENS)
def test_a_screen_is_frozen_thawed_its_turn_is_stopped_and_it_is_ended_in_the_next_one(
    any_world: World, agent: str, moment: str
) -> None:
    screen = Screen(any_world, agent, moment)
    seen: dict[str, Any] = {"frozen": pause(screen)}
    before = screen.processes()
    receipt = screen.act("interrupt")
    seen |= {"result": receipt["result"], "detail": receipt["detail"] or ""}
    seen |= {"turn_took_ms": receipt["took_ms"]}
    hit = dict.fromkeys(rung["pid"] for rung in receipt["rungs"] if rung["signal"].isupper())
    for name, pids in (("turn_left", hit), ("turn_lives", receipt["survivors"])):
        seen[name] = [tree_word(before.get(pid, ""), pid, screen) for pid in pids]
    assert alive(screen.pid), "stopping a turn never ends the client"
    if receipt["result"] == "refused":
        assert receipt["rungs"] == []
    else:
        assert receipt["result"] in ("interrupted", "requested"), receipt
        seen |= after_interrupt(screen, receipt["survivors"])
        assert alive(screen.pid), "it lives on"
    seen |= end_screen(screen, END_OF_SCREEN[moment])
    records.keep(agent, moment, "screen", **seen)


def pause(screen: Screen) -> str:
    """Freeze and thaw in the middle of the turn: whether the turn is there before and afterwards."""
    receipt = screen.act("freeze")
    if receipt["result"] == "refused":
        return f"refused: {receipt['detail']}"
    assert receipt["result"] == "frozen", receipt
    assert stat_fields(screen.pid)[0] == "T"
    time.sleep(PAUSE_S)
    assert screen.act("thaw")["result"] == "thawed"
    time.sleep(1)
    assert stat_fields(screen.pid)[0] != "T"
    return "goes on" if screen.tool() or screen.world.streaming() else "its turn ends"


def after_interrupt(screen: Screen, survivors: Collection[int]) -> dict[str, Any]:
    """Whether the turn came to its end, and whether the session takes another prompt.

    What outlives the turn is named in the receipt: `survivors`.
    """

    def over() -> bool:
        if screen.moment == "tool":
            return not screen.tool()
        return any(row["scenario"] == "slowstream" and not row["complete"] for row in screen.calls())

    stopped = holds(over, 20)
    screen.old |= set(screen.processes())
    screen.strays = screen.old - tree([screen.client.pid])
    unsaid = [pid for pid in screen.strays - {*survivors} if not is_service(command(pid))]
    assert not [line for line in map(command, unsaid) if "tail -f" in line], "what lives on is told"
    states: list[str] = []

    def idle() -> bool:
        states.append(screen.world.row(screen.session).get("state", "") if screen.session else "")
        return states[-1] in ("idle", "")

    holds(idle, 8)
    say(screen.world, screen.agent, "once @@text@@ again")
    answers = holds(lambda: any("text" in row["tags"] for row in screen.calls()), 15)
    strays = [tree_word(command(pid), pid, screen) for pid in screen.strays if not is_service(command(pid))]
    return {"stopped": stopped, "answers": answers, "strays": strays, "state": states[-1]}


def end_screen(screen: Screen, action: str) -> dict[str, Any]:
    """Terminate or kill it in the middle of another turn; what is left then."""
    try:
        screen.begin("more", 30)
        in_turn = True
    except Timeout:
        in_turn = False
    before = screen.processes()
    services = {pid for pid, line in before.items() if is_service(line)}
    receipt = screen.act(action)
    assert receipt["result"] == "ended", receipt
    left = {pid: line for pid, line in screen.processes().items() if pid not in services | screen.strays}
    assert left == {}, "nothing of it is left"
    strays = [tree_word(before.get(pid, ""), pid, screen) for pid in screen.strays - services if alive(pid)]
    time.sleep(1)  # its shell takes the terminal back
    return {
        "end": action, "end_detail": receipt["detail"] or receipt["result"], "ended_in_turn": in_turn,
        "signals": [rung["signal"] for rung in receipt["rungs"] if rung["pid"] == screen.pid],
        "took_ms": receipt["took_ms"],
        "swept": [tree_word(before.get(pid, ""), pid, screen) for pid in swept(receipt, screen.pid)],
        "strays_left": strays,
        "services": sorted({service_word(pid) for pid in services}),
        "terminal": screen.terminal(), "resume": resumes(screen),
    }  # fmt: skip


def holds(probe: Callable[[], bool], seconds: float) -> bool:
    try:
        return until("", probe, seconds)
    except Timeout:
        return False


def service_word(pid: int) -> str:
    line = command(pid)
    return next((name.strip(" -") for name in SERVICES if name in line), "service")
