"""Conformance of the Cline reader: its CLI, its editor extension, its processes."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Picture, Scratch, cases, scratch
from tests.test_agents import copy
from tokentop.agents import agent
from tokentop.agents.base import Database, LogFile
from tokentop.agents.processes import identify
from tokentop.ingest.rows import questions
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Role, Session, State
from tokentop.nouns.usage import Tokens

T = 1_795_294_660_000
ID = "1795294659279_kaco8"
FOLDER = f".cline/data/sessions/{ID}"
TASK = ".vscode-server/data/User/globalStorage/saoudrizwan.claude-dev/tasks/1795294660000"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def case(home: Scratch, name: str) -> Picture:
    copy(next(c for c in cases() if (c.agent, c.name) == ("cline", name)), home)
    return home.read()


def user(number: int, text: str = "fix it") -> dict[str, Any]:
    return {
        "id": f"u{number}",
        "role": "user",
        "ts": T + number * 1000,
        "content": [{"type": "text", "text": text}],
    }


def answer(number: int, *content: dict[str, Any], name: str = "", **metrics: int) -> dict[str, Any]:
    return {
        "id": name or f"msg_{number}", "role": "assistant", "ts": T + number * 1000, "content": list(content),
        "modelInfo": {"id": "gpt-5", "provider": "openai"}, **({"metrics": metrics} if metrics else {}),
    }  # fmt: skip


def write(home: Scratch, *messages: dict[str, Any], sid: str = ID, **more: Any) -> None:
    document = {"version": 1, "sessionId": sid, "origin": {"source": "cli"}, "messages": messages, **more}
    home.write(f".cline/data/sessions/{sid}/{sid}.messages.json", json.dumps(document))


def manifest(home: Scratch, sid: str = ID, **more: Any) -> None:
    home.write(
        f".cline/data/sessions/{sid}/{sid}.json", json.dumps({"version": 1, "session_id": sid, **more})
    )


COUNTS = {"inputTokens": 5482, "outputTokens": 1001, "cacheReadTokens": 2721, "cacheWriteTokens": 0}


# ---------------------------------------------------------------- sessions


def test_input_includes_what_was_cached_and_totals_are_not_added(home: Scratch) -> None:
    """Conformance 109."""
    write(home, user(0), answer(1, **COUNTS))
    usage = {"inputTokens": 5482, "outputTokens": 1001, "cacheReadTokens": 2721, "cacheWriteTokens": 0}
    manifest(home, metadata={"usage": usage, "aggregateUsage": usage})
    found = home.read()
    assert found.one.tokens == Tokens(2761, 2721, 0, 0, 1001)
    assert (found.one.at_ms, found.one.took_ms) == (T + 1000, 1000)


def test_cache_writes_are_taken_out_of_the_input(home: Scratch) -> None:
    write(home, user(0), answer(1, **{**COUNTS, "cacheWriteTokens": 700}))
    assert home.read().one.tokens == Tokens(2061, 2721, 700, 0, 1001)


def test_a_sub_agent_is_a_session_below_its_parent(home: Scratch) -> None:
    found = case(home, "subagent")
    (parent,) = (s for s in found.sessions.values() if not s.parent_id)
    (child,) = (s for s in found.sessions.values() if s.parent_id)
    assert (child.parent_id, child.role) == (parent.id, Role.SUB_AGENT)
    assert child.title == "@@tool@@ run echo and report"
    assert parent.cwd == "/home/dev/work/cline-subagent"


def test_a_sub_agent_that_has_not_ended_is_known_from_the_database(home: Scratch) -> None:
    found = case(home, "killed-sub-agent")
    (child,) = (s for s in found.sessions.values() if s.parent_id)
    assert (child.role, child.title, child.cwd) == (
        Role.SUB_AGENT,
        "@@slowtool@@ slow child",
        "/home/dev/work/cline-kill_subagent",
    )
    assert found.of(child.id) == []
    live, _ = home.follow(child.first_ms + 1000)
    last = live.tracks[f"cline:{child.id}"].last
    assert last is not None
    assert last.state is State.WORKING


def test_sub_agents_are_read_once_and_the_newest_rows_again(home: Scratch) -> None:
    path = home.home / ".cline/data/db/sessions.db"
    path.parent.mkdir(parents=True)
    database = sqlite3.connect(path)
    columns = "session_id TEXT PRIMARY KEY, parent_session_id, status, prompt, model, cwd, started_at, ended_at, is_subagent"
    database.execute(f"CREATE TABLE sessions ({columns})")
    rows = [
        (f"s{n}", "s0" if n else None, "running", "p", "m", "/w", "2026-11-21T20:57:40Z", None, n > 0)
        for n in range(1200)
    ]
    database.executemany("INSERT INTO sessions VALUES (?,?,?,?,?,?,?,?,?)", rows)
    database.commit()
    database.close()
    source = next(s for s in agent("cline").sources if isinstance(s, Database))
    file, state, sizes = LogFile(str(path), "", ()), b"", []
    with questions(str(path)) as ask:
        for _ in range(5):
            reading = source.read(file, ask, state)
            state = reading.state
            sizes.append((sum(isinstance(fact, Session) for fact in reading.facts), reading.more))
        assert source.signs is not None
        assert len(source.signs(file, ask)) == 64
    assert sizes == [(499, True), (500, True), (328, False), (64, False), (64, False)]


def test_a_session_that_was_killed_in_its_tool_shows_the_call_and_the_tool(home: Scratch) -> None:
    found = case(home, "killed")
    assert found.one.tokens == Tokens(2761, 2721, 0, 0, 1001)
    live, _ = home.follow(found.one.at_ms + 1000)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert (track.last.state, track.last.tool) == (State.TOOL, "run_commands")


def test_a_resumed_session_goes_on_in_its_own_file(home: Scratch) -> None:
    found = case(home, "resumed")
    assert sorted(len(found.of(sid)) for sid in found.sessions) == [1, 6]


def test_a_fork_repeats_the_messages_of_its_parent_and_counts_only_its_own(home: Scratch) -> None:
    write(home, user(0), answer(1, **COUNTS))
    manifest(home, started_at="2026-11-21T20:57:39.000Z")
    fork = "1795294700000_fork1"
    write(home, user(0), answer(1, **COUNTS), user(50), answer(51, **{**COUNTS, "outputTokens": 7}), sid=fork)
    manifest(
        home, fork, started_at="2026-11-21T20:58:20.000Z", metadata={"fork": {"forkedFromSessionId": ID}}
    )
    found = home.read()
    assert [e.tokens.output for e in found.of(ID)] == [1001]
    assert [e.tokens.output for e in found.of(fork)] == [7]
    assert (found.sessions[fork].parent_id, found.sessions[fork].role) == (ID, Role.FORK)


def test_an_answer_without_counts_is_unknown_until_they_are_there(home: Scratch) -> None:
    write(home, user(0), answer(1))
    assert [e.unknown for e in home.read().events] == [True]
    write(home, user(0), answer(1, **COUNTS))
    assert home.read().one.tokens.output == 1001
    assert not home.read().one.unknown


def test_a_document_caught_half_written_changes_nothing(home: Scratch) -> None:
    """Conformance 9."""
    write(home, user(0), answer(1, **COUNTS))
    before = home.read()
    path = home.home / FOLDER / f"{ID}.messages.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert home.read().events == before.events
    write(home, user(0), answer(1, **COUNTS), user(2), answer(3, **COUNTS))
    assert len(home.read().events) == 2


def test_messages_that_a_compaction_replaces_stay_counted(home: Scratch) -> None:
    write(home, user(0), answer(1, **COUNTS))
    compaction = {"version": 1, "session_id": ID, "messages": [user(0), answer(1, name="summary", **COUNTS)]}
    home.write(f"{FOLDER}/{ID}.compaction.json", json.dumps({**compaction, "messages": {"kept": 1}}))
    assert len(home.read().events) == 1


@pytest.mark.parametrize(
    ("last", "state", "tool"),
    [
        (user(2), State.WORKING, ""),
        (answer(2, {"type": "text", "text": "done"}, **COUNTS), State.IDLE, ""),
        (answer(2, {"type": "tool_use", "name": "run_commands"}, **COUNTS), State.TOOL, "run_commands"),
        (answer(2, {"type": "tool_use", "name": "ask_question"}, **COUNTS), State.INPUT, "ask_question"),
    ],
)
def test_the_newest_message_gives_the_status(
    home: Scratch, last: dict[str, Any], state: State, tool: str
) -> None:
    write(home, user(0), last)
    live, _ = home.follow(T + 3000)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert (track.last.state, track.last.tool) == (state, tool)
    assert len(track.open_calls()) == (state is State.WORKING)


def test_a_session_whose_first_answer_is_on_its_way_works(home: Scratch) -> None:
    """The message of the first prompt is written together with its answer."""
    write(home)
    manifest(home, started_at="2026-11-21T20:50:00.000Z", status="running", prompt="go")
    live, _ = home.follow(T + 60_000)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert track.last.state is State.WORKING
    write(home, user(0), answer(1, {"type": "text", "text": "done"}, **COUNTS))
    live, _ = home.follow(T + 60_000)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert track.last.state is State.IDLE


def test_a_turn_that_was_stopped_in_its_tool_is_over(home: Scratch) -> None:
    """As Escape leaves it, in 3.0.65: the result is in the messages, nothing is sent, and the session is idle."""
    result = {"type": "tool_result", "content": [{"error": "Command failed: Command was aborted"}]}
    write(
        home,
        user(0),
        answer(1, {"type": "tool_use", "name": "run_commands"}, **COUNTS),
        {**user(2), "content": [result]},
    )
    for status, state in (("running", State.WORKING), ("idle", State.IDLE)):
        manifest(home, started_at="2026-11-21T20:50:00.000Z", status=status, prompt="go")
        os.utime(home.home / f"{FOLDER}/{ID}.json", ns=(0, (T + 2_100) * 1_000_000))
        live, _ = home.follow(T + 3_000)
        (track,) = live.tracks.values()
        assert track.last is not None
        assert track.last.state is state
        assert bool(track.open_calls()) is (state is State.WORKING)


def test_a_session_that_ended_is_done(home: Scratch) -> None:
    write(home, user(0), answer(1, **COUNTS))
    manifest(home, ended_at="2026-11-21T20:58:00.000Z", status="completed")
    live, _ = home.follow(T + 60_000)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert track.last.state is State.DONE


def test_its_own_folder_may_be_named_by_a_variable(home: Scratch) -> None:
    home.environ["CLINE_DIR"] = str(home.home / "elsewhere")
    document = {"sessionId": ID, "messages": [user(0), answer(1, **COUNTS)]}
    home.write(f"elsewhere/data/sessions/{ID}/{ID}.messages.json", json.dumps(document))
    assert len(home.read().events) == 1


# ---------------------------------------------------------------- the editor extension


def request(number: int, **counts: Any) -> dict[str, Any]:
    info = {"providerId": "anthropic", "modelId": "claude-sonnet-4-5"}
    return {
        "ts": T + number, "type": "say", "say": "api_req_started", "text": json.dumps(counts), "modelInfo": info,
    }  # fmt: skip


def say(number: int, kind: str, **about: Any) -> dict[str, Any]:
    return {"ts": T + number, "type": "say", "say": kind, "text": json.dumps(about)}


FULL = {"tokensIn": 41, "tokensOut": 100, "cacheWrites": 10, "cacheReads": 500, "cost": 0.01}


def test_a_request_is_unknown_until_it_has_counts(home: Scratch) -> None:
    """Conformance 110, first part."""
    home.write(f"{TASK}/ui_messages.json", json.dumps([say(0, "text"), request(1, request="...")]))
    found = home.read()
    assert [(e.unknown, e.tokens.total) for e in found.events] == [(True, 0)]
    home.write(f"{TASK}/ui_messages.json", json.dumps([say(0, "text"), request(1, **FULL)]))
    one = home.read().one
    assert (one.unknown, one.tokens, one.model) == (False, Tokens(41, 500, 10, 0, 100), "claude-sonnet-4-5")


def test_requests_that_were_deleted_are_counted_once(home: Scratch) -> None:
    """Conformance 110, second part: they are only in a sum, unless they were seen before."""
    gone = say(9, "deleted_api_reqs", **FULL)
    home.write(f"{TASK}/ui_messages.json", json.dumps([say(0, "text"), request(1, **FULL), gone]))
    found = home.read()
    assert found.total == Tokens(82, 1000, 20, 0, 200)
    assert [e.tokens for e in found.hidden] == [Tokens(41, 500, 10, 0, 100)]


def test_requests_that_were_seen_before_they_were_deleted_are_not_counted_again(home: Scratch) -> None:
    both = [say(0, "text"), request(1, **FULL), request(2, **FULL)]
    home.write(f"{TASK}/ui_messages.json", json.dumps(both))
    before = home.read()
    rest = [*both[:2], say(9, "deleted_api_reqs", **FULL)]
    home.write(f"{TASK}/ui_messages.json", json.dumps(rest))
    assert home.read().total == before.total == Tokens(82, 1000, 20, 0, 200)


def test_what_sub_agents_used_is_a_sum_without_calls(home: Scratch) -> None:
    used = say(5, "subagent_usage", source="subagents", **FULL)
    home.write(f"{TASK}/ui_messages.json", json.dumps([say(0, "text"), request(1, **FULL), used]))
    found = home.read()
    assert (len(found.responses), len(found.hidden)) == (1, 1)
    assert found.total == Tokens(82, 1000, 20, 0, 200)


def test_models_that_no_message_names_are_found_beside_the_messages(home: Scratch) -> None:
    used = [
        {"ts": T + 5, "model_id": "claude-sonnet-4-5", "model_provider_id": "anthropic"},
        {"ts": T + 50_000, "model_id": "gpt-5", "model_provider_id": "openai-native"},
    ]
    home.write(f"{TASK}/task_metadata.json", json.dumps({"model_usage": used}))
    requests = [{k: v for k, v in request(n, **FULL).items() if k != "modelInfo"} for n in (1, 60_000)]
    home.write(f"{TASK}/ui_messages.json", json.dumps([say(0, "text"), *requests]))
    found = home.read()
    assert [(e.model, e.provider) for e in found.events] == [
        ("claude-sonnet-4-5", "anthropic"),
        ("gpt-5", "openai-native"),
    ]


def test_a_provider_that_counts_the_whole_prompt_is_taken_apart(home: Scratch) -> None:
    one = request(1, tokensIn=900, tokensOut=60, cacheReads=300, cacheWrites=0)
    one["modelInfo"] = {"providerId": "litellm", "modelId": "gpt-5"}
    home.write(f"{TASK}/ui_messages.json", json.dumps([say(0, "text"), one]))
    assert home.read().one.tokens == Tokens(600, 300, 0, 0, 60)


@pytest.mark.parametrize(
    ("last", "state"),
    [
        ({"type": "ask", "ask": "command", "text": "ls"}, State.PERMISSION),
        ({"type": "ask", "ask": "command", "text": "l", "partial": True}, State.WORKING),
        ({"type": "ask", "ask": "followup"}, State.INPUT),
        ({"type": "ask", "ask": "completion_result"}, State.IDLE),
        ({"type": "ask", "ask": "api_req_failed"}, State.ERROR),
        ({"type": "say", "say": "text"}, State.WORKING),
    ],
)
def test_the_newest_message_of_a_task_gives_its_status(
    home: Scratch, last: dict[str, Any], state: State
) -> None:
    home.write(f"{TASK}/ui_messages.json", json.dumps([request(1, **FULL), {"ts": T + 9, **last}]))
    live, _ = home.follow(T + 100)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert track.last.state is state


# ---------------------------------------------------------------- processes

CLINE = agent("cline").processes
BINARY = "/home/dev/.npm/node_modules/@cline/cli-linux-x64/bin/cline"


@pytest.mark.parametrize(
    ("argv", "role"),
    [
        (("/usr/lib/node_modules/.bin/cline", "-m", "m", "fix it"), ProcRole.AGENT),
        ((BINARY, "--cline-hub-daemon", "--cwd", "/home/dev/work"), ProcRole.DAEMON),
        ((BINARY, "auth", "-k", "x"), None),
        ((BINARY, "--version"), None),
    ],
)
def test_its_processes_have_their_roles(argv: tuple[str, ...], role: ProcRole | None) -> None:
    assert CLINE is not None
    found = identify(argv, BINARY, (CLINE,))
    assert (found.role if found else None) == role


def test_the_file_of_a_running_session_names_its_process() -> None:
    assert CLINE is not None
    about = {"session_id": ID, "pid": 4711, "started_at": "2026-11-21T20:57:40.000Z", "interactive": False}
    entry = CLINE.parse_registry("x", json.dumps(about).encode())
    assert entry is not None
    assert (entry.pid, entry.session_id, entry.session_ms, entry.one_shot) == (4711, ID, T, True)
    assert CLINE.parse_registry("x", json.dumps({**about, "ended_at": about["started_at"]}).encode()) is None
    assert CLINE.parse_registry("x", json.dumps({**about, "pid": "1"}).encode()) is None
    with pytest.raises(ValueError, match="whole"):
        CLINE.parse_registry("x", b'{"pid": 47')


def test_a_resumed_session_is_named_by_its_arguments() -> None:
    assert CLINE is not None
    assert CLINE.argv_session(("cline", "--id", ID, "go on")) == ID
    assert CLINE.argv_session(("cline", "go on")) == ""
