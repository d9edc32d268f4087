"""Conformance of the Droid reader."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Picture, Scratch, picture, scratch
from tokentop.agents import agent
from tokentop.agents.processes import identify
from tokentop.engine.snapshot import take
from tokentop.nouns.sessions import Role, State
from tokentop.nouns.usage import Tokens

SID = "26645881-df41-4bac-8a6a-e14c948158e0"
CHILD = "2b93f51c-c451-48b2-bdbc-f2fc4eb045ce"
T = 1_795_294_800_000  # 2026-11-21 21:00 UTC
MODEL = "claude-sonnet-4-5"
FOLDER = ".factory/sessions/-home-dev-work-app"


class Session:
    """The two files of one session."""

    def __init__(self, home: Scratch, sid: str = SID, folder: str = FOLDER) -> None:
        self.home, self.sid, self.folder, self.ms = home, sid, folder, T
        self.lines: list[dict[str, Any]] = []

    def start(self, **more: Any) -> Session:
        self.lines.append({"type": "session_start", "id": self.sid, "title": "Fix the parser", "owner": "dev", "version": 2,
                           "cwd": "/home/dev/work/app", "hostId": "h", "isSessionTitleManuallySet": False, **more})  # fmt: skip
        return self

    def message(self, role: str, *content: Any, number: str = "") -> Session:
        self.ms += 1000
        seconds = (self.ms - T) // 1000
        self.lines.append({"type": "message", "id": number or f"{self.sid[:4]}-{len(self.lines)}",
                           "timestamp": f"2026-11-21T21:{seconds // 60:02}:{seconds % 60:02}.000Z",
                           "message": {"role": role, "content": list(content), "modelId": MODEL}})  # fmt: skip
        return self

    def ask(self) -> Session:
        return self.message("user", {"type": "text", "text": "go"})

    def answer(self, tool: str = "", number: str = "") -> Session:
        content: list[Any] = [{"type": "text", "text": "ok"}]
        if tool:
            content.append({"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}})
        return self.message("assistant", *content, number=number)

    def save(self, used: dict[str, int] | None = None, **more: Any) -> Session:
        """Write both files; `used` is the running total."""
        self.home.write(f"{self.folder}/{self.sid}.jsonl", "".join(json.dumps(x) + "\n" for x in self.lines))
        if used is not None:
            settings = {
                "model": MODEL,
                "providerLock": "anthropic",
                "tags": [{"name": "exec"}],
                "tokenUsage": used,
                **more,
            }
            for suffix in (".settings.json", ".settings.json.bak"):
                path = self.home.write(f"{self.folder}/{self.sid}{suffix}", json.dumps(settings, indent=2))
                os.utime(path, ns=(self.ms * 1_000_000, self.ms * 1_000_000))
        return self


def usage(fresh: int, output: int, read: int = 0, written: int = 0, thinking: int = 0) -> dict[str, int]:
    return {"inputTokens": fresh, "outputTokens": output, "cacheCreationTokens": written, "cacheReadTokens": read,
            "thinkingTokens": thinking, "factoryCredits": 0}  # fmt: skip


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def outputs(found: Picture, sid: str = SID) -> list[int]:
    return [event.tokens.output for event in found.of(sid) if event.hidden]


def test_three_snapshots_give_three_growths(home: Scratch) -> None:
    """Conformance 107: their sum is the last one; the copy beside it is ignored."""
    session, totals = (
        Session(home).start(),
        [usage(10, 20, 100, 5), usage(15, 50, 300, 5), usage(15, 80, 300, 9)],
    )
    for total in totals:
        session.ask().answer().save(total)
        found = home.read()
    assert [e.tokens for e in found.hidden] == [
        Tokens(10, 100, 5, 0, 20),
        Tokens(5, 200, 0, 0, 30),
        Tokens(0, 0, 4, 0, 30),
    ]
    assert [e.at_ms for e in found.hidden] == [T + 2000, T + 4000, T + 6000]
    assert len(found.responses) == 3
    assert {(e.model, e.provider) for e in found.hidden} == {(MODEL, "anthropic")}


def test_the_first_reading_spreads_the_total_over_the_answers(home: Scratch) -> None:
    session = Session(home).start()
    for _ in range(4):
        session.ask().answer()
    session.save(usage(10, 4002, 300, 40))
    found = home.read()
    assert found.total == Tokens(10, 300, 40, 0, 4002)
    assert (
        [e.at_ms for e in found.hidden]
        == [e.at_ms for e in found.responses]
        == [T + n for n in (2000, 4000, 6000, 8000)]
    )
    assert all(e.at_estimated for e in found.hidden)


def test_what_the_children_used_is_not_in_it(home: Scratch) -> None:
    """Conformance 107: `inclusiveTokenUsage` is never read."""
    Session(home).start().answer().save(
        usage(10, 20),
        inclusiveTokenUsage=usage(1000, 2000),
        childInclusiveTokenUsageBySessionId={CHILD: usage(990, 1980)},
    )
    assert home.read().total == Tokens(10, output=20)


def test_a_total_that_falls_adds_nothing(home: Scratch) -> None:
    """Conformance 107."""
    session = Session(home).start().answer().save(usage(100, 50))
    home.read()
    session.answer().save(usage(60, 20))
    assert home.read().total == Tokens(100, output=50)


@pytest.mark.parametrize("order", [0, 1])
def test_one_session_in_two_folders_is_the_larger_one(home: Scratch, order: int) -> None:
    """Conformance 107."""
    one = Session(home).start().answer()
    two = Session(home, folder=".factory/sessions/-home-dev-other").start().answer().answer()
    parts = [(one, usage(60, 20)), (two, usage(100, 50))]
    for session, total in parts if order else reversed(parts):
        session.ms = T
        session.save(total)
        home.read()
    assert home.read().total == Tokens(100, output=50)


def test_a_session_that_goes_on_after_compaction_counts_only_its_growth(home: Scratch) -> None:
    """Conformance 108: the child starts with its parent's totals."""
    Session(home).start().answer().answer().save(usage(100, 500, 9000, 800))
    Session(home, CHILD).start(parent=SID).answer().save(usage(130, 620, 9900, 850))
    found = home.read()
    assert found.total == Tokens(130, 9900, 850, 0, 620)
    assert outputs(found, CHILD) == [120]
    assert (found.sessions[CHILD].parent_id, found.sessions[CHILD].role) == (SID, Role.FORK)


def test_thinking_is_a_part_of_the_output(home: Scratch) -> None:
    """Conformance 108: thinking 300 of output 1,000 -> output 1,000."""
    Session(home).start().answer().save(usage(10, 1000, thinking=300))
    assert home.read().total == Tokens(10, 0, 0, 0, 1000, 300)


def test_a_fork_copies_messages_and_begins_its_total_at_zero(home: Scratch) -> None:
    """Although its own total has grown beyond its parent's in every bucket."""
    parent = Session(home).start().ask().answer(number="m1").answer(number="m2").save(usage(100, 50, 10, 10))
    fork = Session(home, CHILD).start(parent=SID, forkedAtMessageId="m2")
    fork.lines += parent.lines[1:]
    fork.ms = T + 60_000
    fork.ask().answer().save(usage(200, 90, 20, 20))
    found = home.read()
    assert found.total == Tokens(300, 30, 30, 0, 140)
    assert [len([e for e in found.of(s) if not e.hidden]) for s in (SID, CHILD)] == [2, 1]
    assert found.sessions[CHILD].parent_id == SID
    assert found.sessions[CHILD].first_ms == T + 61_000


@pytest.mark.parametrize("where", ["log", "tags"])
def test_sub_agents_are_below_the_session_that_called_them(home: Scratch, where: str) -> None:
    Session(home).start().answer("Task").save(usage(10, 20))
    called = {"callingSessionId": SID, "callingToolUseId": "toolu_1"}
    child = Session(home, CHILD).start(**called if where == "log" else {}).answer()
    child.save(usage(5, 7), tags=[{"name": "subagent", "metadata": called if where == "tags" else {}}])
    found = home.read()
    assert (found.sessions[CHILD].parent_id, found.sessions[CHILD].role) == (SID, Role.SUB_AGENT)
    assert found.total == Tokens(15, output=27)


def test_half_written_settings_keep_the_old_total(home: Scratch) -> None:
    """Conformance 9."""
    session = Session(home).start().answer().save(usage(10, 20))
    path = home.home / FOLDER / f"{SID}.settings.json"
    whole = path.read_bytes()
    home.read()
    path.write_bytes(whole[: len(whole) // 2])
    assert home.read().total == Tokens(10, output=20)
    session.answer().save(usage(30, 40))
    assert home.read().total == Tokens(30, output=40)


def test_a_long_life_under_one_ledger_is_counted_once(home: Scratch) -> None:
    session, total = Session(home).start(), 0
    with home.ledger(live=True) as ledger:
        for number in range(20):
            total += 10 + number
            session.ask().answer().save(usage(total, total))
            now_s = float(number + 1)
            ledger.follower.walk(now_s, session.ms * 1_000_000)
            while ledger.step(now_s, 1 << 62) is not None:
                pass
            ledger.settle(1 << 62)
        found = picture(ledger.db)
    assert found.total == Tokens(total, output=total)
    assert len(found.responses) == 20


@pytest.mark.parametrize(
    ("steps", "state", "detail"),
    [
        (("ask",), State.WORKING, ""),
        (("ask", "tool"), State.TOOL, "Execute"),
        (("ask", "tool", "result"), State.WORKING, ""),
        (("ask", "answer", "end"), State.IDLE, ""),
    ],
)
def test_the_log_tells_the_status(home: Scratch, steps: tuple[str, ...], state: State, detail: str) -> None:
    session = Session(home).start()
    for step in steps:
        if step == "ask":
            session.ask()
        elif step == "result":
            session.message("user", {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"})
        elif step == "end":
            session.lines.append({"type": "agent_turn_outcome", "turnId": "t", "reason": "completed"})
        else:
            session.answer("Execute" if step == "tool" else "")
    session.save(usage(10, 20))
    live, _ = home.follow(session.ms + 500)
    (row,) = take(live, session.ms + 500).rows
    assert (row.status.state, row.status.detail) == (state, detail)


def test_the_context_is_that_of_the_last_call(home: Scratch) -> None:
    session = Session(home).start().answer()
    session.save(usage(45, 1005, 5677, 5676), lastCallTokenUsage=usage(45, 1005, 5677))
    live, _ = home.follow(session.ms)
    context = live.tracks[f"droid:{SID}"].context
    assert context is not None
    assert context.used == 45 + 1005 + 5677 + 5676


@pytest.mark.parametrize("settings", [[], {"tokenUsage": []}, {"tokenUsage": {"inputTokens": -1, "outputTokens": "x"}},
                                      {"tags": [1, {"metadata": 3}], "model": 7, "lastCallTokenUsage": [1]}])  # fmt: skip
def test_settings_of_other_shapes_give_nothing(home: Scratch, settings: Any) -> None:
    Session(home).start().save()
    home.write(f"{FOLDER}/{SID}.settings.json", json.dumps(settings))
    assert home.read().total == Tokens()


def test_wrong_types_in_the_log_are_survived(home: Scratch) -> None:
    session = Session(home).start(title=5, cwd=[], parent={}, callingSessionId=1)
    for message in (
        7,
        [],
        {"role": "assistant", "content": 5, "modelId": []},
        {"role": [], "content": [1, {"type": {}}]},
    ):
        session.lines.append({"type": "message", "id": {"a": 1}, "timestamp": 1e400, "message": message})
    session.save(usage(1, 2))
    assert home.read().total == Tokens(1, output=2)
    home.follow(session.ms)


def test_processes() -> None:
    found = agent("droid").processes
    assert found is not None
    exe = "/home/dev/.local/bin/droid"
    run = identify([exe, "exec", "--auto", "high", "-s", SID, "go"], exe, [found])
    assert run is not None
    assert found.one_shot(run.argv)
    assert found.argv_session(run.argv) == SID
    forked = identify([exe, "exec", "--fork", SID, "go"], exe, [found])
    assert forked is not None
    assert found.argv_session(forked.argv) == ""
    assert found.ladder[0] == ("TERM", 8.0)
    assert identify([exe, "--version"], exe, [found]) is None
