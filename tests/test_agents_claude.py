"""Conformance of the Claude Code reader, part one: identity, forks, sub-agents, prices, status."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.build_claude import (
    ANCIENT,
    FOLDER,
    MODEL,
    OLD,
    START_MS,
    Transcript,
    dumps,
    iso,
    sub_agent,
    text,
    tool,
    usage,
)
from tests.agents.harness import Picture, Scratch, scratch
from tokentop.engine.snapshot import take
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

A, B, C = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "abc")


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def read(home: Scratch, *transcripts: Transcript) -> Picture:
    for transcript in transcripts:
        home.write(transcript.path, transcript.bytes())
    return home.read()


# ---------------------------------------------------------------- one response, several lines


@pytest.mark.parametrize("outputs", [(7, 7, 120), (120, 7, 7), (7, 120, 9)])
def test_a_reply_on_several_lines_is_one_event_with_its_highest_output(
    home: Scratch, outputs: tuple[int, ...]
) -> None:
    """Conformance 18."""
    log = Transcript(A)
    for output in outputs:
        log.reply("msg_1", usage(output=output))
    found = read(home, log)
    assert found.one.tokens == Tokens(3, 1000, 200, 0, 120)
    assert found.one.at_ms == START_MS + 1000


def test_two_content_blocks_are_one_event_and_both_tools_are_seen(home: Scratch) -> None:
    """Conformance 19."""
    log = Transcript(A)
    log.reply("msg_1", usage(), tool("Bash", "t1", command="ls"), tool("Read", "t2", file_path="x"))
    home.write(log.path, log.bytes())
    _, facts = home.follow(log.ms)
    assert [f.tool for f in facts if isinstance(f, Activity) and f.tool] == ["Bash", "Read"]
    assert home.read().one.tokens.output == 120


def test_a_message_id_without_request_ids_is_one_event(home: Scratch) -> None:
    """Conformance 20: Bedrock, Vertex and proxies give no request id."""
    log = Transcript(A)
    log.reply("msg_1", usage(), text(), tool(), request=None)
    assert read(home, log).one.tokens.output == 120


def test_a_message_id_under_another_request_id_is_one_event(home: Scratch) -> None:
    """Conformance 21: side logs replay it."""
    log, side = Transcript(A), Transcript(B)
    log.reply("msg_1", request="req_1")
    side.reply("msg_1", request="req_2")
    assert read(home, log, side).one.session == A


def test_without_a_message_id_the_request_id_is_the_identity(home: Scratch) -> None:
    """Conformance 22, first part."""
    log = Transcript(A)
    log.reply(None, usage(), text(), tool(), request="req_1")
    log.reply(None, usage(), request="req_2")
    assert len(read(home, log).responses) == 2


@pytest.mark.parametrize("marked", [True, False])
def test_without_any_id_each_line_counts_and_a_forks_copy_of_it_does_not(home: Scratch, marked: bool) -> None:
    """Conformance 22, second part."""
    log = Transcript(A)
    log.user()
    log.reply(None, usage(), request=None)
    log.reply(None, usage(), request=None)
    fork = log.fork(B, marked=marked)
    fork.reply(None, usage(output=5), request=None)
    found = read(home, log, fork)
    assert sorted(e.tokens.output for e in found.responses) == [5, 120, 120]


def test_lines_without_any_identity_at_all_are_not_merged(home: Scratch) -> None:
    log = Transcript(A)
    for output in (10, 20):
        for record in log.reply(None, usage(output=output), request=None):
            del record["uuid"]
    assert sorted(e.tokens.output for e in read(home, log).responses) == [10, 20]


def test_an_id_in_parent_and_sub_agent_belongs_to_the_parent(home: Scratch) -> None:
    """Conformance 23."""
    log, child = Transcript(A), Transcript(A, agent="aaaa1111")
    child.reply("msg_1")
    log.reply("msg_1", at_ms=START_MS + 5000)
    assert read(home, log, child).one.session == A


# ---------------------------------------------------------------- forks and resumes


def test_a_marked_fork_leaves_its_copies_to_the_parent(home: Scratch) -> None:
    """Conformance 24."""
    log = Transcript(A)
    log.user()
    log.reply("msg_1")
    log.reply("msg_2")
    fork = log.fork(B)
    fork.user("go on")
    fork.reply("msg_3", usage(output=9))
    found = read(home, log, fork)
    assert [e.tokens.output for e in found.of(A)] == [120, 120]
    assert [e.tokens.output for e in found.of(B)] == [9]
    assert (found.sessions[B].role, found.sessions[B].parent_id) == (Role.FORK, A)


def test_a_marked_fork_whose_parent_is_gone_still_names_it(home: Scratch) -> None:
    log = Transcript(A)
    log.reply("msg_1")
    fork = log.fork(B)
    fork.reply("msg_2")
    found = read(home, fork)
    assert {e.session for e in found.events} == {A, B}


@pytest.mark.parametrize("first", [A, B])
def test_an_unmarked_fork_leaves_its_copies_to_the_older_log(home: Scratch, first: str) -> None:
    """Conformance 25: 2.1.197 marks nothing; the file whose first timestamp is earliest made the calls."""
    parent, other = (first, B if first == A else A)
    log = Transcript(parent, version=OLD)
    log.user()
    log.reply("msg_1")
    log.reply("msg_2")
    fork = log.fork(other, marked=False)
    head = {"type": "queue-operation", "operation": "enqueue", "timestamp": iso(fork.ms), "sessionId": other}
    fork.records.insert(0, head)
    fork.reply("msg_3")
    found = read(home, fork, log)
    assert len(found.of(parent)) == 2
    assert len(found.of(other)) == 1


@pytest.mark.parametrize("named", ["new", "old"])
def test_a_history_replayed_into_a_new_file_is_not_counted_again(home: Scratch, named: str) -> None:
    """Conformance 26: old versions resumed that way, with the new or the old session id in the copies."""
    log = Transcript(A, version="1.0.30")
    log.user()
    log.reply("msg_1")
    resumed = log.fork(B, marked=False)
    if named == "old":
        resumed.records = list(log.records)
    resumed.reply("msg_2")
    assert len(read(home, log, resumed).responses) == 2


def test_a_resume_in_place_is_the_same_session(home: Scratch) -> None:
    """Conformance 27."""
    log = Transcript(A)
    log.reply("msg_1")
    read(home, log)
    log.reply("msg_2", at_ms=START_MS + 86_400_000)
    found = read(home, log)
    assert {e.session for e in found.events} == {A}
    assert len(found.events) == 2


# ---------------------------------------------------------------- sub-agents


def test_sub_agents_in_every_place_are_counted_once_and_hang_in_the_tree(home: Scratch) -> None:
    """Conformance 28."""
    log = Transcript(A)
    log.reply("msg_main")
    inline = Transcript(A, agent="eeee5555")
    inline.reply("msg_inline")
    log.records += inline.records
    home.write(log.path, log.bytes())
    places = {
        "bbbb2222": f"{FOLDER}/{A}/subagents/agent-bbbb2222.jsonl",
        "cccc3333": f"{FOLDER}/{A}/subagents/workflows/wf1/agent-cccc3333.jsonl",
        "dddd4444": f"{FOLDER}/agent-dddd4444.jsonl",
    }
    for agent, path in places.items():
        child = Transcript(A, agent=agent)
        child.user("look around")
        child.reply(f"msg_{agent}")
        home.write(path, child.bytes())
    home.write(*sub_agent(A, "bbbb2222"))
    home.write(*sub_agent(A, "cccc3333", folder="workflows/wf1/"))
    home.write(f"{FOLDER}/{A}/subagents/workflows/wf1/journal.jsonl", dumps({"type": "step", "name": "x"}))
    found = home.read()
    assert len(found.responses) == 5
    below = {f"{A}/{agent}" for agent in (*places, "eeee5555")}
    assert {e.session for e in found.events} == {A, *below}
    for sid in below:
        assert (found.sessions[sid].parent_id, found.sessions[sid].root_id) == (A, A)
        assert found.sessions[sid].role is Role.SUB_AGENT


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("tool_name", ["Agent", "Task"])
def test_a_nested_sub_agent_hangs_below_the_one_that_started_it(
    home: Scratch, named: bool, tool_name: str
) -> None:
    """Conformance 29: without `parentAgentId` (2.1.197) the tool call tells."""
    log, outer, inner = Transcript(A), Transcript(A, agent="aaaa1111"), Transcript(A, agent="bbbb2222")
    log.reply("msg_1", usage(), tool(tool_name, "toolu_outer"))
    outer.reply("msg_2", usage(), tool(tool_name, "toolu_inner"))
    inner.reply("msg_3")
    home.write(*sub_agent(A, "aaaa1111", tool_id="toolu_outer"))
    parent = "aaaa1111" if named else ""
    home.write(*sub_agent(A, "bbbb2222", parent=parent, depth=2, tool_id="toolu_inner"))
    found = read(home, log, outer, inner)
    assert found.sessions[f"{A}/aaaa1111"].parent_id == A
    assert found.sessions[f"{A}/bbbb2222"].parent_id == f"{A}/aaaa1111"


def test_a_sub_agent_without_its_description_hangs_below_its_session(home: Scratch) -> None:
    log, child = Transcript(A), Transcript(A, agent="aaaa1111")
    log.reply("msg_1")
    child.reply("msg_2")
    read(home, log, child)
    live, _ = home.follow(log.ms)
    with home.ledger() as ledger:
        ledger.db.execute("DELETE FROM cursor")
    live, _ = home.follow(log.ms)
    rows = {row.session_id: row for row in take(live, log.ms).rows}
    assert rows[f"{A}/aaaa1111"].parent_key == rows[A].key


def test_usage_in_the_result_of_a_sub_agent_is_not_counted(home: Scratch) -> None:
    """Conformance 30: it describes only the child's last call."""
    log = Transcript(A)
    log.reply("msg_1", usage(), tool("Agent", "toolu_1"))
    result = {"tool_use_id": "toolu_1", "type": "tool_result", "content": "done"}
    log.user(
        [result], toolUseResult={"status": "completed", "totalTokens": 14385, "usage": usage(output=999)}
    )
    note = "<task-notification><subagent_tokens>14385</subagent_tokens></task-notification>"
    for _ in range(2):
        log.add({"type": "queue-operation", "operation": "enqueue", "content": note, "sessionId": A})
        log.user(note)
    assert read(home, log).one.tokens.output == 120


def test_progress_lines_that_repeat_a_sub_agents_usage_are_not_counted(home: Scratch) -> None:
    """Conformance 31."""
    log, child = Transcript(A, version="2.0.60"), Transcript(A, version="2.0.60", agent="aaaa1111")
    log.reply("msg_1")
    (line,) = child.reply("msg_2")
    log.add(
        {
            "type": "progress",
            "data": {"message": {"type": "assistant", "message": line["message"]}},
            "sessionId": A,
        }
    )
    log.add({"type": "progress", "message": line["message"], "timestamp": iso(START_MS), "sessionId": A})
    assert {e.session for e in read(home, log, child).responses} == {A, f"{A}/aaaa1111"}
    assert len(home.read().responses) == 2


# ---------------------------------------------------------------- what is inside a response


def test_a_fallback_message_adds_nothing_and_an_advisor_is_an_event_of_its_own(home: Scratch) -> None:
    """Conformance 32."""
    part = {"input_tokens": 3, "output_tokens": 120, "cache_read_input_tokens": 1000}
    fallback = usage(iterations=[{"type": "fallback_message", "model": "claude-sonnet-5", **part}])
    advisor = {
        "type": "advisor_message", "model": "claude-opus-4-6", "input_tokens": 50, "output_tokens": 60,
        "cache_read_input_tokens": 70, "cache_creation_input_tokens": 0,
    }  # fmt: skip
    log = Transcript(A)
    log.reply("msg_1", fallback)
    log.reply("msg_2", usage(iterations=[{"type": "message", **part}, advisor]), text(), tool())
    found = read(home, log)
    assert [(e.model, e.tokens.output) for e in found.events if e.model != MODEL] == [("claude-opus-4-6", 60)]
    assert found.total.output == 120 + 120 + 60


def test_synthetic_messages_and_api_errors_are_no_responses(home: Scratch) -> None:
    """Conformance 33."""
    log = Transcript(A)
    zero = usage(0, 0, 0, 0)
    log.reply("msg_1", zero, model="<synthetic>")
    log.reply("msg_2", zero, isApiErrorMessage=True)
    log.reply("msg_3")
    assert read(home, log).one.tokens.output == 120


def test_refused_tries_are_not_billed_and_show_as_limited_until_the_success(home: Scratch) -> None:
    """Conformance 34."""
    log = Transcript(A)
    log.user()
    for attempt, status in enumerate((429, 529), 1):
        log.request(f"call-{attempt}")
        log.api_error(status, attempt)
    log.request("call-3")
    home.write(log.path, log.bytes())
    live, _ = home.follow(log.ms)
    assert take(live, log.ms).rows[0].status.state is State.LIMITED
    assert home.read().events == ()
    log.reply("msg_1", call="call-3")
    home.write(log.path, log.bytes())
    assert home.read().one.tokens.output == 120
    with home.ledger() as ledger:
        ledger.db.execute("DELETE FROM cursor")
    live, _ = home.follow(log.ms)
    assert take(live, log.ms).rows[0].status.state is not State.LIMITED


def test_a_call_without_an_answer_is_working_since_it_was_sent(home: Scratch) -> None:
    """Conformance 43."""
    log = Transcript(A)
    log.user()
    log.reply("msg_1", at_ms=START_MS + 2000)
    log.user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": "ok"}])
    log.request("call-2", at_ms=START_MS + 9000)
    home.write(log.path, log.bytes())
    live, _ = home.follow(START_MS + 40_000)
    row = take(live, START_MS + 40_000).rows[0]
    assert (row.status.state, row.status.since_ms) == (State.WORKING, START_MS + 9000)


def test_blocks_seconds_apart_are_one_event_that_lasts_from_the_request_to_the_last(home: Scratch) -> None:
    """Conformance 44."""
    log = Transcript(A)
    log.request("call-1", at_ms=START_MS)
    log.reply("msg_1", usage(), text(), tool(), call="call-1", at_ms=START_MS + 8000, step_ms=8000)
    event = read(home, log).one
    assert (event.at_ms, event.took_ms) == (START_MS + 8000, 16_000)
    with home.ledger() as ledger:
        ledger.db.execute("DELETE FROM cursor")
    _, facts = home.follow(log.ms)
    (fact,) = [f for f in facts if type(f).__name__ == "Usage"]
    assert (fact.start_ms, fact.duration_ms) == (START_MS, 16_000)  # type: ignore[union-attr]


def test_cache_writes_are_split_by_lifetime_and_short_where_the_log_does_not_say(home: Scratch) -> None:
    """Conformance 45."""
    log = Transcript(A)
    log.reply("msg_1", usage(w5=2000, w1=10_000))
    bare = usage(w5=12_000)
    del bare["cache_creation"]
    log.reply("msg_2", bare)
    first, second = (e.tokens for e in read(home, log).events)
    assert (first.cache_write_5m, first.cache_write_1h) == (2000, 10_000)
    assert (second.cache_write_5m, second.cache_write_1h) == (12_000, 0)


@pytest.mark.parametrize(("model", "factor"), [("claude-opus-4-6", 6), ("claude-opus-5-5", 2)])
def test_fast_speed_multiplies_the_whole_call(home: Scratch, model: str, factor: int) -> None:
    """Conformance 46."""
    log = Transcript(A)
    log.reply("msg_1", usage(), model=model)
    log.reply("msg_2", usage(speed="fast"), model=model)
    plain, fast = read(home, log).events
    assert plain.cost_nusd is not None
    assert fast.tier == "fast"
    assert fast.cost_nusd == factor * plain.cost_nusd


def test_region_batch_and_searches_change_the_price(home: Scratch) -> None:
    """Conformance 47."""
    log = Transcript(A)
    log.reply("msg_1", usage())
    log.reply("msg_2", usage(inference_geo="us"))
    log.reply("msg_3", usage(service_tier="batch"))
    log.reply("msg_4", usage(server_tool_use={"web_search_requests": 3}))
    plain, us, batch, searched = (e.cost_nusd or 0 for e in read(home, log).events)
    assert (us * 10, batch * 2, searched - plain) == (plain * 11, plain, 30_000_000)


def test_a_foreign_model_with_null_counts_is_kept_and_unpriced(home: Scratch) -> None:
    """Conformance 48."""
    log = Transcript(A)
    foreign = {"input_tokens": 40, "output_tokens": 9, "cache_read_input_tokens": None, "cache_creation_input_tokens": None,
               "cache_creation": None, "output_tokens_details": None, "server_tool_use": None, "iterations": None,
               "speed": None, "inference_geo": None, "service_tier": None}  # fmt: skip
    log.reply("msg_1", foreign, model="acme-unheard-of-7b")
    event = read(home, log).one
    assert event.tokens == Tokens(input=40, output=9)
    assert (event.model, event.cost_nusd) == ("acme-unheard-of-7b", None)


@pytest.mark.parametrize("restart", [False, True])
def test_partial_lines_of_an_ancient_version_are_counted_and_marked_estimated(
    home: Scratch, restart: bool
) -> None:
    """Conformance 49."""
    log = Transcript(A, version=ANCIENT)
    log.user()
    log.reply("msg_1", usage(output=4), stop=None)
    log.reply("msg_2", usage(output=8))
    if restart:
        read(home, log)
    log.reply("msg_3", usage(output=2), stop=None)
    found = read(home, log)
    assert [(e.tokens.output, e.estimated) for e in found.events] == [(4, True), (8, False), (2, True)]


def test_an_upgrade_in_the_file_does_not_make_the_old_partial_lines_exact(home: Scratch) -> None:
    log = Transcript(A, version=ANCIENT)
    log.reply("msg_1", usage(output=4), stop=None)
    log.version = "2.1.330"
    log.reply("msg_2", usage(output=3), stop=None)
    assert [e.estimated for e in read(home, log).events] == [True, False]


def test_big_meta_lines_are_passed_over_and_the_replies_between_them_found(home: Scratch) -> None:
    """Conformance 50."""
    from tokentop.agents import agent
    from tokentop.agents.base import LogFile
    from tokentop.ingest.scan import each_line

    log = Transcript(A)
    log.user()
    big = "\\n".join(["let max_tokens be 5"] * 6000)
    log.reply("msg_1")
    log.add({"type": "attachment", "attachment": {"type": "file", "content": big}, "timestamp": iso(log.ms)})
    log.add(
        {"type": "api-request-shape", "sessionId": A, "timestamp": iso(log.ms), "shape": {"system": [big]}}
    )
    log.reply("msg_2")
    data = bytearray(log.bytes())
    assert len(data) > 200_000
    decoder = agent("claude").sources[0].decoder(LogFile("x", A, ()), b"")
    lines = data.splitlines(keepends=True)
    for line in lines[:2]:
        decoder.line(line[:-1])
    given: list[int] = []
    rest = bytearray(b"".join(lines[2:]))
    each_line(rest, 0, len(rest), decoder.needles, lambda line: given.append(len(line)))
    assert len(given) == 1
    assert len(read(home, log).responses) == 2


def test_roots_that_are_listed_twice_or_lie_in_each_other_give_each_file_once(tmp_path: Path) -> None:
    """Conformance 53, 11."""
    outer, inner = tmp_path / "home/.claude", tmp_path / "home/.claude/projects/inner"
    link = tmp_path / "home/link"
    home = Scratch(tmp_path, {"CLAUDE_CONFIG_DIR": f"{outer},{inner}, {outer}/,{link}"})
    one, two = Transcript(A), Transcript(B)
    one.reply("msg_1")
    two.reply("msg_2")
    home.write(f".claude/projects/-w/{A}.jsonl", one.bytes())
    home.write(f".claude/projects/inner/projects/-w/{B}.jsonl", two.bytes())
    link.symlink_to(outer)
    document = home.run("sync")
    assert document["new_events"] == 2
    assert document["health"]["files"] == 2


def test_both_usual_places_are_read(home: Scratch) -> None:
    one, two = Transcript(A), Transcript(B)
    one.reply("msg_1")
    two.reply("msg_2")
    home.write(f".claude/projects/-w/{A}.jsonl", one.bytes())
    home.write(f".config/claude/projects/-w/{B}.jsonl", two.bytes())
    assert len(home.read().events) == 2


@pytest.mark.parametrize("order", [("custom", "ai", "summary"), ("summary", "ai", "custom")])
def test_titles_rank_custom_then_ai_then_summary_then_first_prompt(
    home: Scratch, order: tuple[str, ...]
) -> None:
    """Conformance 54."""
    records = {
        "custom": {"type": "custom-title", "customTitle": "Mine", "sessionId": A},
        "ai": {"type": "ai-title", "aiTitle": "Guessed", "sessionId": A},
        "summary": {"type": "summary", "summary": "Summed up", "leafUuid": "u"},
    }

    def title(*names: str) -> str:
        with scratch() as place:
            log = Transcript(A)
            log.user("<local-command-stdout>x</local-command-stdout>")
            log.user("meta", isMeta=True)
            log.user("fix the flaky test")
            log.user("and another thing")
            log.reply("msg_1")
            log.records += [records[name] for name in names]
            return read(place, log).sessions[A].title

    assert title() == "fix the flaky test"
    assert title("summary") == "Summed up"
    assert title(*[n for n in order if n != "custom"]) == "Guessed"
    assert title(*order) == "Mine"


def test_the_context_is_that_of_the_last_call_and_a_marked_window_is_a_million(home: Scratch) -> None:
    """Conformance 55."""
    log = Transcript(A)
    log.reply("msg_1", usage(10, 50, 180_000, 5000))
    log.compacted()
    log.reply("msg_2", usage(10, 50, 20_000, 400), model="claude-sonnet-4-5[1m]")
    home.write(log.path, log.bytes())
    live, _ = home.follow(log.ms)
    row = take(live, log.ms).rows[0]
    assert (row.context_used, row.context_window) == (20_410, 1_000_000)


def test_the_context_is_the_last_part_of_an_answer_that_an_advisor_took_part_in(home: Scratch) -> None:
    """Conformance 55: the advisor's own prompt is not the session's context."""
    parts: list[dict[str, Any]] = [
        {"type": "message", "input_tokens": 3, "cache_read_input_tokens": 500, "output_tokens": 5},
        {"type": "advisor_message", "model": "x", "input_tokens": 90_000, "output_tokens": 5},
    ]
    log = Transcript(A)
    log.reply("msg_1", usage(iterations=parts))
    home.write(log.path, log.bytes())
    live, _ = home.follow(log.ms)
    assert take(live, log.ms).rows[0].context_used == 503


def test_projects_whose_folders_collide_are_told_apart_by_their_sessions(home: Scratch) -> None:
    """Conformance 11: `/a-b` and `/a/b` share a folder."""
    one, two = Transcript(A, cwd="/home/dev/a-b"), Transcript(B, cwd="/home/dev/a/b")
    one.reply("msg_1")
    two.reply("msg_2")
    found = read(home, one, two)
    assert (found.sessions[A].cwd, found.sessions[B].cwd) == ("/home/dev/a-b", "/home/dev/a/b")
    assert len(found.events) == 2


def test_the_price_of_two_calls_is_exact_to_the_nano_dollar(tmp_path: Path) -> None:
    """The figure that the client itself logged for these two calls."""
    home = Scratch(tmp_path)
    log = Transcript(A)
    log.reply("msg_1", usage(3, 217, 15_030, 655, 8000))
    log.reply("msg_2", usage(3, 217, 15_030, 655, 8000))
    home.write(log.path, log.bytes())
    document = home.run("usage")
    assert document["totals"]["cost_usd"] == "0.149266000"
    assert document["rows"][0]["cost_usd"] == "0.149266000"
    assert not os.path.exists(home.home / ".local")
