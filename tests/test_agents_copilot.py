"""Conformance of the Copilot CLI reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Event, Picture, Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.processes import identify
from tokentop.engine.snapshot import take
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Role, State
from tokentop.nouns.usage import Tokens

SID = "13ddefb5-059b-48ed-af72-b415ce239846"
OTHER = "5b16d552-f609-4776-81be-aa5ce1991de4"
CHILD = "a0fb1f45-89b4-4930-b60e-5a05551bae10"
T = 1_795_294_800_000  # 2026-11-21 21:00 UTC
MODEL = "claude-sonnet-4.5"
ONE = {"inputTokens": 5000, "outputTokens": 80, "cacheReadTokens": 3000, "cacheWriteTokens": 500}


class Log:
    """One session's events.jsonl."""

    def __init__(self, sid: str = SID, at_ms: int = T) -> None:
        self.sid, self.ms, self.lines, self.sequence = sid, at_ms, list[dict[str, Any]](), 0

    @property
    def path(self) -> str:
        return f".copilot/session-state/{self.sid}/events.jsonl"

    def event(self, kind: str, agent_id: str = "", event_id: str = "", **data: Any) -> Log:
        self.ms += 1000
        seconds, ms = divmod(self.ms - T, 1000)
        line: dict[str, Any] = {"type": kind, "data": data, "id": event_id or f"e{len(self.lines)}-{self.sid[:4]}",
                                "timestamp": f"2026-11-21T{21 + seconds // 3600:02}:{seconds // 60 % 60:02}:"
                                f"{seconds % 60:02}.{ms:03}Z", "parentId": None}  # fmt: skip
        if agent_id:
            line["agentId"] = agent_id
        self.lines.append(line)
        return self

    def start(self) -> Log:
        place = {"cwd": "/home/dev/work/app", "gitRoot": "/home/dev/work/app", "branch": "main"}
        return self.event("session.start", sessionId=self.sid, copilotVersion="1.0.102", startTime="2026-11-21T21:00:00Z",
                          selectedModel=MODEL, context=place)  # fmt: skip

    def record(self, *, source: str = "", agent_id: str = "", sequence: int = 0, **usage: Any) -> Log:
        self.sequence += 1
        told = {"model": MODEL, **ONE, "cost": 1.0, "duration": 70, "initiator": "user", "apiCallId": f"msg_{self.sequence}",
                "maxPromptTokens": 128_000, "finishReason": "stop", "accounting": {
                    "sourceSessionId": source or self.sid, "sequence": sequence or self.sequence,
                    "usageId": f"msg_{self.sequence}"}}  # fmt: skip
        return self.event("session.usage_record", agent_id, usage={**told, **usage})

    def message(self, number: int, output: int | None = None, agent_id: str = "", **data: Any) -> Log:
        told = {} if output is None else {"outputTokens": output}
        return self.event("assistant.message", agent_id, messageId=f"m{number}", content="ok", toolRequests=[],
                          **told, **data)  # fmt: skip

    def shutdown(
        self, watermarks: dict[str, int] | None = None, models: dict[str, dict[str, int]] | None = None
    ) -> Log:
        metrics = {
            name: {"requests": {"count": 1, "cost": 1}, "usage": told, "totalNanoAiu": 0}
            for name, told in (models or {}).items()
        }
        more = {} if watermarks is None else {"usageAccountingWatermarks": watermarks}
        return self.event("session.shutdown", shutdownType="routine", modelMetrics=metrics, **more)

    def text(self) -> str:
        return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in self.lines)


def usage(prompt: int, output: int, read: int = 0, written: int = 0, reasoning: int = 0) -> dict[str, int]:
    return {"inputTokens": prompt, "outputTokens": output, "cacheReadTokens": read, "cacheWriteTokens": written,
            "reasoningTokens": reasoning}  # fmt: skip


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def read(home: Scratch, *logs: Log) -> Picture:
    for log in logs:
        home.write(log.path, log.text())
    return home.read()


def by_model(events: list[Event]) -> dict[str, Tokens]:
    sums: dict[str, Tokens] = {}
    for event in events:
        sums[event.model] = sums.get(event.model, Tokens()) + event.tokens
    return sums


# ---------------------------------------------------------------- records


def test_cached_tokens_are_taken_out_of_the_input(home: Scratch) -> None:
    """Conformance 99: records and the shutdown's totals of the same calls."""
    log = Log().start().record(reasoningTokens=30).shutdown({SID: 1}, {MODEL: usage(5000, 80, 3000, 500, 30)})
    event = read(home, log).one
    assert event.tokens == Tokens(1500, 3000, 500, 0, 80, 30)
    assert (event.took_ms, event.provider, event.hidden) == (70, "github-copilot", False)


def test_records_of_a_killed_session_are_counted(home: Scratch) -> None:
    """Conformance 100: there is no shutdown."""
    assert len(read(home, Log().start().record().record()).responses) == 2


def test_a_resumed_session_goes_on_counting(home: Scratch) -> None:
    log = Log().start().record().shutdown({SID: 1}, {MODEL: usage(5000, 80, 3000, 500)})
    log.event("session.resume", selectedModel=MODEL, context={"cwd": "/home/dev/work/app"})
    log.record().shutdown({SID: 2}, {MODEL: usage(10_000, 160, 6000, 1000)})
    found = read(home, log)
    assert found.total == Tokens(3000, 6000, 1000, 0, 160)
    assert len(found.events) == 2


def test_what_only_the_shutdown_knows_is_hidden_spend(home: Scratch) -> None:
    log = (
        Log()
        .start()
        .record()
        .shutdown({SID: 2}, {MODEL: usage(5000, 80, 3000, 500), "gpt-5.1": usage(900, 7, 400)})
    )
    found = read(home, log)
    assert [(e.model, e.tokens) for e in found.hidden] == [("gpt-5.1", Tokens(500, 400, 0, 0, 7))]
    assert len(found.responses) == 1


def test_compaction_is_a_call_without_a_record(home: Scratch) -> None:
    log = Log().start().record()
    log.event("session.compaction_complete", success=True, postCompactionTokens=900, tokenLimit=128_000,
              compactionTokensUsed={**ONE, "model": MODEL, "outputTokens": 40, "duration": 53})  # fmt: skip
    log.shutdown({SID: 1}, {MODEL: usage(5000, 80, 3000, 500)})
    found = read(home, log)
    assert [e.tokens.output for e in found.responses] == [80, 40]
    assert found.hidden == []


def test_credits_are_told_and_cost_a_cent_each(home: Scratch) -> None:
    log = (
        Log()
        .start()
        .record(copilotUsage={"totalNanoAiu": 2_500_000_000.0})
        .record(copilotUsage={"totalNanoAiu": 0})
    )
    read(home, log)
    with home.ledger() as ledger:
        rows = ledger.db.execute("SELECT logged_nusd FROM event_extra ORDER BY 1").fetchall()
    assert rows == [(0,), (25_000_000,)]


def test_credits_that_are_not_told_are_unknown(home: Scratch) -> None:
    """Conformance 102, second part."""
    read(home, Log().start().record(aiCreditsStatus="unavailable"))
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT * FROM event_extra").fetchall() == []


def test_the_user_s_own_provider_is_named(home: Scratch) -> None:
    log = Log().start().record(isByok=True, modelProvider="anthropic", providerType="anthropic")
    assert read(home, log).one.provider == "anthropic"


def test_a_model_that_the_totals_name_otherwise_is_not_counted_twice(home: Scratch) -> None:
    log = Log().start().record().shutdown({SID: 1}, {"claude-sonnet-4-5": usage(5600, 90, 3500, 500)})
    found = read(home, log)
    assert found.total == Tokens(1600, 3500, 500, 0, 90)


# ---------------------------------------------------------------- versions without records


def test_segments_of_older_versions_add_up(home: Scratch) -> None:
    """Conformance 101: two shutdown segments -> their sum."""
    log = Log().start().message(1, 40).message(2, 60)
    log.shutdown(None, {MODEL: usage(9000, 100, 6000, 1000)})
    log.event("session.resume", selectedModel=MODEL).message(3, 30)
    log.shutdown(None, {MODEL: usage(4000, 35, 3000, 500)})
    found = read(home, log)
    assert found.total == Tokens(2500, 9000, 1500, 0, 135)
    assert [e.tokens.output for e in found.responses] == [40, 60, 30]
    assert not any(e.estimated for e in found.events)


def test_watermarks_make_the_totals_cumulative(home: Scratch) -> None:
    """Conformance 101: the difference to the shutdown before."""
    log = Log().start().shutdown({SID: 2}, {MODEL: usage(9000, 100, 6000, 1000)})
    log.event("session.resume").shutdown({SID: 3}, {MODEL: usage(13_000, 135, 9000, 1500)})
    found = read(home, log)
    assert [e.tokens for e in found.hidden] == [
        Tokens(2000, 6000, 1000, 0, 100),
        Tokens(500, 3000, 500, 0, 35),
    ]


def test_until_the_shutdown_the_messages_are_an_estimate(home: Scratch) -> None:
    """Conformance 101: running -> estimate; then exact."""
    log = Log().start().message(1, 40)
    event = read(home, log).one
    assert (event.tokens, event.estimated) == (Tokens(output=40), True)
    found = read(home, log.shutdown(None, {MODEL: usage(9000, 100, 6000)}))
    assert found.total == Tokens(3000, 6000, 0, 0, 100)
    assert [e.tokens.output for e in found.responses] == [40]
    assert not any(e.estimated for e in found.events)


def test_a_message_that_is_written_again_counts_once_with_its_largest_output(home: Scratch) -> None:
    """Conformance 101: `assistant.message` re-emitted -> max."""
    log = Log().start().message(1, 40).message(1, 90).message(1, 70)
    assert read(home, log).one.tokens.output == 90
    found = read(home, log.shutdown(None, {MODEL: usage(500, 95)}))
    assert found.total == Tokens(500, output=95)
    assert len(found.responses) == 1


def test_messages_without_counts_are_unknown_until_the_shutdown(home: Scratch) -> None:
    log = Log().start().message(1).message(2)
    found = read(home, log)
    assert [e.unknown for e in found.events] == [True, True]
    found = read(home, log.shutdown(None, {MODEL: usage(500, 95)}))
    assert found.total == Tokens(500, output=95)
    assert len(found.responses) == 2
    assert not any(e.unknown for e in found.events)


def test_a_killed_part_is_not_taken_out_of_the_next_one(home: Scratch) -> None:
    log = Log().start().message(1, 40)
    log.event("session.resume").message(2, 10).shutdown(None, {MODEL: usage(300, 20)})
    assert read(home, log).total == Tokens(300, output=60)


def test_a_session_of_an_older_version_that_a_newer_one_goes_on_with(home: Scratch) -> None:
    log = Log().start().message(1, 40).shutdown(None, {MODEL: usage(9000, 100, 6000)})
    log.event("session.resume").record().message(2)
    log.shutdown({SID: 1}, {MODEL: usage(14_000, 180, 9000, 500)})
    assert read(home, log).total == Tokens(4500, 9000, 500, 0, 180)


def test_old_session_files_lie_beside_the_folders(home: Scratch) -> None:
    log = Log().start().message(1, 40).shutdown(None, {MODEL: usage(9000, 100, 6000)})
    home.write(f".copilot/session-state/{SID}.jsonl", log.text())
    assert home.read().sessions.keys() == {SID}


# ---------------------------------------------------------------- sub-agents and forks


def test_sub_agents_are_below_their_session_and_counted_once(home: Scratch) -> None:
    """Conformance 102: they share the file, and their records have a source of their own."""
    log = Log().start().record()
    log.event("subagent.started", CHILD, toolCallId="toolu_1", agentName="explore", agentDisplayName="Find callers",
              model=MODEL)  # fmt: skip
    log.record(source=OTHER, agent_id=CHILD, sequence=1, outputTokens=7, parentToolCallId="toolu_1")
    log.event("subagent.completed", CHILD, toolCallId="toolu_1", totalTokens=5007)
    log.record(sequence=2, outputTokens=9)
    log.shutdown({SID: 2, OTHER: 1}, {MODEL: usage(15_000, 96, 9000, 1500)})
    found = read(home, log)
    assert found.total == Tokens(4500, 9000, 1500, 0, 96)
    child = found.sessions[f"{SID}/{CHILD}"]
    assert (child.parent_id, child.role, child.title, child.cwd) == (
        SID, Role.SUB_AGENT, "Find callers", "/home/dev/work/app"
    )  # fmt: skip
    assert [e.tokens.output for e in found.events if e.session == child.id] == [7]


def test_sub_agents_of_older_versions_are_named_by_their_tool_call(home: Scratch) -> None:
    log = Log().start()
    log.event("subagent.started", toolCallId="toolu_1", agentName="explore")
    log.message(1, 50, parentToolCallId="toolu_1").message(2, 10)
    log.shutdown(None, {MODEL: usage(700, 60)})
    found = read(home, log)
    assert found.total == Tokens(700, output=60)
    assert [e.tokens.output for e in found.events if e.session == f"{SID}/toolu_1"] == [50]


def forked(parent: Log) -> Log:
    """A fork: its own start, then the parent's lines with their times."""
    child = Log(OTHER, parent.ms + 60_000).start()
    child.lines += parent.lines[1:]
    return child.event("session.resume").record(sequence=1, outputTokens=11)


@pytest.mark.parametrize("parent_first", [True, False])
def test_the_copied_calls_of_a_fork_belong_to_its_parent(home: Scratch, parent_first: bool) -> None:
    log = Log().start().record().record()
    log.event("session.compaction_complete", compactionTokensUsed={**usage(50, 5), "model": MODEL})
    fork = forked(log)
    both = {SID: 2, OTHER: 1}
    fork.shutdown(both, {MODEL: usage(15_000, 171, 9000, 1500)})
    log.shutdown({SID: 2}, {MODEL: usage(10_000, 160, 6000, 1000)})
    logs = (log, fork) if parent_first else (fork, log)
    read(home, logs[0])
    found = read(home, logs[1])
    assert [e.tokens.output for e in found.of(SID)] == [80, 80, 5]
    assert [e.tokens.output for e in found.of(OTHER)] == [11]
    assert found.hidden == []
    assert (found.sessions[OTHER].parent_id, found.sessions[OTHER].role) == (SID, Role.FORK)


def test_a_fork_whose_parent_is_gone_keeps_its_calls(home: Scratch) -> None:
    found = read(home, forked(Log().start().record()))
    assert [e.tokens.output for e in found.of(SID)] == [80]
    assert [e.tokens.output for e in found.of(OTHER)] == [11]


# ---------------------------------------------------------------- aborted calls, status


@pytest.mark.parametrize("order", [("abort", "assistant.turn_end"), ("assistant.turn_end", "abort")])
def test_a_stream_that_was_cut_off_is_an_unknown_call(home: Scratch, order: tuple[str, str]) -> None:
    """A signal aborts the turn and then ends it; ESC does it the other way round."""
    log = Log().start().record().event("assistant.turn_start", turnId="0")
    for kind in order:
        log.event(kind)
    found = read(home, log.event("assistant.turn_start").record().shutdown())
    assert [e.unknown for e in found.events] == [False, True, False]


def test_a_call_that_was_open_when_the_process_died_is_unknown_once_it_is_resumed(home: Scratch) -> None:
    log = Log().start().event("assistant.turn_start", turnId="0")
    assert read(home, log).events == ()
    assert read(home, log.event("session.resume")).one.unknown


def test_a_call_that_failed_is_no_unknown_one(home: Scratch) -> None:
    log = Log().start().event("assistant.turn_start").event("assistant.turn_end")
    assert read(home, log.event("session.error", errorType="query", message="no connection")).events == ()


@pytest.mark.parametrize(
    ("events", "state", "detail"),
    [
        ([("assistant.turn_start", {})], State.WORKING, ""),
        ([("assistant.turn_start", {}), ("record", {"finishReason": "tool_calls"}),
          ("tool.execution_start", {"toolCallId": "t", "toolName": "bash"})], State.TOOL, "bash"),
        ([("tool.execution_start", {"toolCallId": "t", "toolName": "bash"}),
          ("permission.requested", {"requestId": "r", "permissionRequest": {"kind": "shell", "fullCommandText": "rm x"}})],
         State.PERMISSION, "shell"),
        ([("tool.execution_start", {"toolCallId": "t", "toolName": "bash"}),
          ("tool.execution_complete", {"toolCallId": "t"})], State.WORKING, ""),
        ([("assistant.turn_start", {}), ("record", {}), ("assistant.turn_end", {})], State.IDLE, ""),
        ([("session.error", {"errorType": "rate_limit", "message": "Weekly limit reached"})], State.LIMITED,
         "Weekly limit reached"),
        ([("session.error", {"errorType": "query", "message": "no connection"})], State.ERROR, "no connection"),
        ([("session.shutdown", {"modelMetrics": {}})], State.DONE, ""),
    ],
)  # fmt: skip
def test_the_log_tells_the_status(home: Scratch, events: Any, state: State, detail: str) -> None:
    log = Log().start()
    for kind, data in events:
        log = log.record(**data) if kind == "record" else log.event(kind, **data)
    home.write(log.path, log.text())
    live, _ = home.follow(log.ms + 500)
    (row,) = take(live, log.ms + 500).rows
    assert (row.status.state, row.status.detail) == (state, detail)


def test_the_context_is_what_the_newest_call_filled(home: Scratch) -> None:
    log = Log().start().record()
    home.write(log.path, log.text())
    live, _ = home.follow(log.ms)
    context = live.tracks[f"copilot:{SID}"].context
    assert context is not None
    assert (context.used, context.window) == (5080, 128_000)


# ---------------------------------------------------------------- names, places


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("Fix the parser", "Fix the parser"), ("'it''s @@here@@'", "it's @@here@@"),
        ('"caf\\u00e9: \\"x\\""', 'café: "x"'), ("|-\n  Over lines\n  and more", "Over lines"), ("null", "first prompt"),
        ('"torn', "torn"), ("", "first prompt"),
    ],
)  # fmt: skip
def test_the_workspace_names_the_session(home: Scratch, name: str, wanted: str) -> None:
    log = Log().start().event("user.message", content="first prompt").record()
    home.write(log.path, log.text())
    home.write(
        f".copilot/session-state/{SID}/workspace.yaml",
        f"id: {SID}\ncwd: /home/dev/work/app\nbranch: main\nclient_name: github/cli\nname: {name}\nuser_named: false\n",
    )
    session = home.read().sessions[SID]
    assert (session.title, session.branch, session.surface) == (wanted, "main", "github/cli")


def test_the_data_folder_can_be_named(home: Scratch) -> None:
    home.environ["COPILOT_HOME"] = str(home.home / "elsewhere")
    log = Log().start().record()
    home.write(log.path.replace(".copilot", "elsewhere"), log.text())
    assert len(home.read().responses) == 1


def test_wrong_types_everywhere_are_survived(home: Scratch) -> None:
    log = Log().start()
    log.record(
        inputTokens="many",
        outputTokens=-1,
        cacheReadTokens=1e300,
        cacheWriteTokens=None,
        copilotUsage=[],
        accounting=7,
        duration="x",
    )
    for kind in ("session.usage_record", "session.shutdown", "session.compaction_complete", "assistant.message",
                 "subagent.started", "session.resume", "tool.execution_start", "permission.requested"):  # fmt: skip
        for data in ([], "x", {"usage": [], "modelMetrics": [[]], "compactionTokensUsed": 3, "context": "x"}):
            log.event(kind)
            log.lines[-1]["data"] = data
        log.lines[-1] |= {"agentId": {"a": 1}, "timestamp": 1e400}
    found = read(home, log)
    home.follow(log.ms)
    assert found.total == Tokens()
    assert home.health()["bad-number"] >= 1


def test_processes() -> None:
    found = agent("copilot").processes
    assert found is not None
    exe = "/home/dev/.npm/lib/node_modules/@github/copilot-linux-x64/copilot"
    launcher = identify(["node", "/usr/local/bin/copilot", "-p", "go"], "/usr/bin/node", [found])
    worker = identify([exe, "-p", "go"], exe, [found])
    assert launcher is not None
    assert worker is not None
    assert worker.role is ProcRole.AGENT
    assert found.one_shot(worker.argv)
    assert found.argv_session(["copilot", f"--resume={SID}"]) == SID
    held = f"/home/dev/.copilot/session-state/{SID}/inuse.3082.hold"
    assert found.fd_session(held) == SID if found.fd_session else False
    assert found.fd_session is not None
    assert found.fd_session(held.replace(".hold", ".lock")) == ""
    assert found.registry == ()  # the lock file stays behind after a SIGKILL, without a start time
    assert found.session_markers == ("COPILOT_AGENT_SESSION_ID",)
    assert identify([exe, "login"], exe, [found]) is None
