"""Rules on real processes: a runaway is ended by a headless tokentop, its neighbours are left alone.

Every rule here is bound to this test's own folder (`only`): real agents may run on the same machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.build_claude import Transcript, tool, usage
from tests.fake_agents.screen import APART, Screen
from tests.fake_agents.world import SLEEP, Fake, World, agents, is_alive, now_ms, wait_for
from tests.faults import midday
from tests.ui.terminal import Terminal

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 90.0


class Machine(World):
    """A scratch home with fake agents that write logs, and tokentops that look at them."""

    def __init__(self, tmp: Path) -> None:
        super().__init__(tmp)
        self.state, self.config = tmp / "state", tmp / "config.toml"

    def settings(self, rule: str, **values: Any) -> None:
        values = {"on": True, "countdown_s": 1, "only": [f"project:{self.work}"]} | values
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        self.config.write_text("\n".join([f"[rules.{rule}]", *lines, ""]))

    def spends(self, fake_id: str, dollars: float, folder: Path, at_ms: int = 0) -> None:
        """The log of a session whose turn runs and that has spent so much (Opus: $20 for a million)."""
        log = Transcript(fake_id, cwd=str(folder), at_ms=at_ms or now_ms() - 5_000)
        log.user("go on")
        log.reply(f"msg-{fake_id}", usage(fresh=0, output=int(dollars * 50_000), read=0, w5=0), tool(command="make"),
                  stop="tool_use")  # fmt: skip
        path = self.home / log.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_name(f"{fake_id}.jsonl").write_bytes(log.bytes())

    def spender(self, name: str, dollars: float) -> Fake:
        folder = self.work / name
        folder.mkdir()
        session = str(uuid.uuid4())
        self.spends(session, dollars, folder)
        fields = {"cwd": str(folder)}
        return self.claude(session=session, fields=fields, children=[{"argv": SLEEP}])

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.home), "TZ": midday(), "PYTHONPATH": str(ROOT),
            "TOKENTOP_STATE_DIR": str(self.state), "TOKENTOP_CONFIG": str(self.config),
        }  # fmt: skip

    @contextlib.contextmanager
    def watch_rules(self) -> Iterator[list[str]]:
        """A headless tokentop; gives the lines that it prints."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tokentop", "watch"], env=self.environ, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        said = _Lines(process)
        try:
            yield said
        finally:
            process.terminate()
            rest, _ = process.communicate(timeout=PATIENCE_S)
            print("\n".join(said) + (rest or ""))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tokentop", *words], env=self.environ, capture_output=True, text=True
        )

    def report(self, *words: str) -> dict[str, Any]:
        done = self.run(*words, "--json")
        assert done.returncode == 0, done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document


class _Lines(list[str]):
    """What a process has printed so far; `seen` reads on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        super().__init__()
        self._process, self._rest = process, ""

    def seen(self, *parts: str) -> str:
        """The first line with all of the parts, "" while there is none."""
        assert self._process.stdout is not None
        with contextlib.suppress(BlockingIOError, TypeError):
            self._rest += os.read(self._process.stdout.fileno(), 65536).decode()
        *lines, self._rest = self._rest.split("\n")
        self.extend(lines)
        assert self._process.poll() is None, "\n".join(self)
        return next((line for line in self if all(part in line for part in parts)), "")


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    found = Machine(tmp_path)
    yield found
    found.close()


def test_a_runaway_is_ended_with_its_tools_and_its_neighbours_are_left_alone(machine: Machine) -> None:
    machine.settings("session_cost", usd=5, ladder=["terminate"], allow=["project:spared"])
    runaway = machine.spender("runaway", 9)
    thrifty, spared = machine.spender("thrifty", 1), machine.spender("spared", 9)
    with machine.watch_rules() as said:
        wait_for(
            lambda: said.seen("session_cost", "in 1 s: terminate claude", f"pid {runaway.pid}"), PATIENCE_S
        )
        wait_for(lambda: said.seen(f"terminate claude {runaway.pid}: ended"), PATIENCE_S)
        assert not is_alive(runaway.pid)
        assert not any(is_alive(pid) for pid in runaway.children)
        said.seen("nothing of this kind")
        for other in (thrifty, spared):
            assert all(is_alive(pid) for pid in (other.pid, *other.children))
            assert not said.seen(f"pid {other.pid}")
    [receipt] = machine.report("actions")["rows"]
    assert receipt["reason"] == "policy:session_cost"
    assert receipt["result"] == "ended"
    assert receipt["session"] == runaway.session_id
    assert float(receipt["cost_usd"]) == pytest.approx(9, rel=0.01)
    assert receipt["resume"]
    found = {row["name"]: row for row in machine.report("rules")["rows"]}
    assert found["session_cost"]["acted"] == found["session_cost"]["acted_last_hour"] == 1
    assert not found["burn_rate"]["on"]


def test_a_rule_that_stops_a_turn_ends_what_the_turn_leaves_running(machine: Machine) -> None:
    machine.settings("session_cost", usd=5, ladder=["stop"])
    folder, session = machine.work / "runaway", str(uuid.uuid4())
    folder.mkdir()
    machine.spends(session, 9, folder)
    screen = Screen(machine, {"argv": APART, "setsid": True}, session=session, fields={"cwd": str(folder)})
    [shell] = screen.children
    [left] = screen.below(shell)
    with machine.watch_rules() as said:
        wait_for(lambda: said.seen("in 1 s: stop the turn of claude", f"pid {screen.pid}"), PATIENCE_S)
        wait_for(lambda: said.seen(f"interrupt claude {screen.pid}: requested"), PATIENCE_S)
    assert not is_alive(left)
    assert is_alive(screen.pid)
    receipt = machine.report("actions")["rows"][0]
    assert receipt["reason"] == "policy:session_cost"
    assert f"left behind and ended: {left} sleep" in receipt["detail"]


def test_an_inferred_process_is_only_told(machine: Machine) -> None:
    """processes.md 116: nothing but folder and time speak for this process."""
    machine.settings("session_cost", usd=5, ladder=["terminate"])
    folder = machine.work / "inferred"
    folder.mkdir()
    fake = machine.start(["claude"], {"children": [{"argv": SLEEP}]}, cwd=folder)
    [proc] = agents(machine.tick())
    machine.spends(str(uuid.uuid4()), 9, folder, at_ms=proc.started_ms)
    with machine.watch_rules() as said:
        told = wait_for(lambda: said.seen("RULE session_cost"), PATIENCE_S)
        assert "its process is only inferred" in told
        assert is_alive(fake.pid)
    assert machine.report("actions")["rows"] == []


def test_in_dry_run_a_receipt_says_would_and_no_signal_is_sent(machine: Machine) -> None:
    """processes.md 117."""
    machine.settings("session_cost", usd=5, ladder=["terminate"], dry_run=True)
    fake = machine.spender("runaway", 9)
    with machine.watch_rules() as said:
        wait_for(lambda: said.seen("would terminate", f"pid {fake.pid}"), PATIENCE_S)
    assert is_alive(fake.pid)
    [receipt] = machine.report("actions")["rows"]
    assert (receipt["result"], receipt["rungs"]) == ("would terminate", [])


def test_read_only_takes_the_actions_of_rules_away(machine: Machine) -> None:
    machine.settings("session_cost", usd=5, ladder=["terminate"])
    machine.config.write_text("read_only = true\n" + machine.config.read_text())
    fake = machine.spender("runaway", 9)
    with machine.watch_rules() as said:
        wait_for(lambda: said.seen("RULE session_cost", "read-only"), PATIENCE_S)
    assert is_alive(fake.pid)


def test_a_rule_that_is_off_does_nothing(machine: Machine) -> None:
    machine.settings("session_cost", on=False, usd=5, ladder=["terminate"])
    machine.config.write_text("day_budget_usd = 5\n" + machine.config.read_text())
    fake = machine.spender("runaway", 9)
    with machine.watch_rules() as said:
        wait_for(lambda: said.seen("ALERT budget"), PATIENCE_S)
    assert not any("RULE" in line for line in said)
    assert is_alive(fake.pid)


def test_a_freeze_stops_the_agent_and_not_its_neighbour(machine: Machine) -> None:
    machine.settings("session_cost", usd=5, ladder=["freeze"])
    fake, other = machine.spender("runaway", 9), machine.spender("thrifty", 1)
    with machine.watch_rules() as said:
        wait_for(lambda: said.seen(f"freeze claude {fake.pid}: frozen"), PATIENCE_S)
    assert Path(f"/proc/{fake.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    assert Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def test_on_the_screen_a_key_calls_the_countdown_off_and_the_runaway_lives(machine: Machine) -> None:
    """processes.md 118, in a real terminal."""
    machine.settings("session_cost", usd=5, ladder=["terminate"], countdown_s=600)
    with machine.config.open("a") as file:
        file.write("[notify]\nosc9 = true\nosc777 = true\nbell = true\n")
    fake = machine.spender("runaway", 9)
    argv = [sys.executable, "-m", "tokentop"]
    environ = machine.environ | {"TMUX": ""}
    with Terminal(argv, 160, 50, environ) as screen:
        screen.wait_for(b"calls it off")
        screen.wait_for(b"\x1b]9;tokentop session_cost: in 600 s: terminate claude ")
        screen.wait_for(b"\x1b]777;notify;tokentop session_cost: in 600 s: terminate claude ")
        screen.wait_for(f"terminate claude {fake.pid}".encode())
        screen.send(b"x")
        screen.wait_for(b"cancelled")
        screen.send(b"q")
        assert screen.wait() == 0
        assert screen.restored
    assert is_alive(fake.pid)
    [receipt] = machine.report("actions")["rows"]
    assert (receipt["result"], receipt["reason"]) == ("cancelled", "policy:session_cost")


def test_enter_on_the_terminal_of_a_watch_calls_the_countdown_off(machine: Machine) -> None:
    machine.settings("session_cost", usd=5, ladder=["terminate"], countdown_s=600)
    fake = machine.spender("runaway", 9)
    with Terminal([sys.executable, "-m", "tokentop", "watch"], 200, 24, machine.environ) as screen:
        screen.send(b"\n")  # nothing counts down yet: this one is for nothing
        screen.wait_for(b"in 600 s: terminate claude")
        screen.wait_for(b"; Enter calls it off")
        screen.send(b"\n")
        screen.wait_for(b"cancelled: claude")
        screen.signal(signal.SIGINT)
        assert screen.wait() == 0
        assert screen.modes_kept
    assert is_alive(fake.pid)
    [receipt] = machine.report("actions")["rows"]
    assert (receipt["result"], receipt["reason"]) == ("cancelled", "policy:session_cost")


def test_without_a_terminal_another_command_calls_all_countdowns_off(machine: Machine) -> None:
    machine.settings("session_cost", usd=5, ladder=["terminate"], countdown_s=600)
    fakes = [machine.spender(name, 9) for name in ("runaway", "another")]
    assert "no tokentop is running" in machine.run("rules", "cancel").stderr
    with machine.watch_rules() as said:
        for fake in fakes:
            told = wait_for(lambda fake=fake: said.seen("in 600 s", f"pid {fake.pid}"), PATIENCE_S)
            assert told.endswith("; tokentop rules cancel calls it off")
        found = machine.report("rules", "cancel")
        assert {row["pid"] for row in found["rows"]} == {fake.pid for fake in fakes}
        for fake in fakes:
            wait_for(lambda fake=fake: said.seen("cancelled: claude", f"pid {fake.pid}"), PATIENCE_S)
        again = machine.run("rules", "cancel")
        assert (again.returncode, again.stderr) == (3, "tokentop: no rule counts anything down now\n")
    assert all(is_alive(fake.pid) for fake in fakes)
    assert {receipt["result"] for receipt in machine.report("actions")["rows"]} == {"cancelled"}
    assert not [path.name for path in machine.state.iterdir() if path.name.startswith("cancel")]


def test_where_no_rule_is_on_calling_off_is_answered_at_once(machine: Machine) -> None:
    machine.config.write_text("")
    with machine.watch_rules() as said:
        wait_for(lambda: said.seen("today"), PATIENCE_S)
        done = machine.run("rules", "cancel")
    assert (done.returncode, done.stderr) == (3, "tokentop: no rule counts anything down now\n")
    assert not [path.name for path in machine.state.iterdir() if path.name.startswith("cancel")]


def test_an_orphan_that_burns_is_ended_and_a_quiet_one_is_not(machine: Machine) -> None:
    machine.settings("orphan", minutes=0.02, cpu_pct=20, ladder=["terminate"])
    spin = ["/bin/sh", "-c", "while :; do :; done"]
    fake = machine.claude(children=[{"argv": spin}, {"argv": SLEEP}])
    burning, quiet = fake.children
    os.kill(fake.pid, signal.SIGKILL)
    fake.process.wait()
    with machine.watch_rules() as said:
        wait_for(lambda: said.seen(f"{burning}: ended"), PATIENCE_S)
        assert not is_alive(burning)
        assert is_alive(quiet)
    [receipt] = machine.report("actions")["rows"]
    assert (receipt["reason"], receipt["pid"]) == ("policy:orphan", burning)


def test_of_two_tokentops_only_the_one_that_writes_acts(machine: Machine) -> None:
    machine.settings("session_cost", usd=5, ladder=["terminate"])
    with machine.watch_rules() as first:
        wait_for(lambda: first.seen("tok/min"), PATIENCE_S)
        with machine.watch_rules() as second:
            wait_for(lambda: second.seen("tok/min"), PATIENCE_S)
            fake = machine.spender("runaway", 9)
            wait_for(lambda: first.seen(f"terminate claude {fake.pid}: ended"), PATIENCE_S)
            assert not second.seen("RULE")
    assert len(machine.report("actions")["rows"]) == 1


def test_a_watch_tells_the_terminal_through_tmux(machine: Machine) -> None:
    machine.settings("session_cost", usd=5)
    with machine.config.open("a") as file:
        file.write("[notify]\nosc9 = true\n")
    fake = machine.spender("runaway", 9)
    argv = [sys.executable, "-m", "tokentop", "watch"]
    with Terminal(argv, 80, 24, machine.environ | {"TMUX": "/tmp/tmux-0/default,1,0"}) as screen:
        screen.wait_for(b"\x1bPtmux;\x1b\x1b]9;tokentop session_cost: claude go on")
        screen.wait_for(b"\a\x1b\\")
        screen.signal(signal.SIGTERM)
        assert screen.wait() == 128 + signal.SIGTERM
    assert is_alive(fake.pid), "a rule without a longer ladder only tells"
