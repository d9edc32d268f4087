"""Conformance of the Continue reader."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.processes import identify
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Tokens

ID = "8025aafb-1a59-402e-a39d-746996af9907"
FORK = "9136bb0c-1a59-402e-a39d-746996af9907"
NOW_S = 1_795_294_660


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def user(text: str = "fix it") -> dict[str, Any]:
    return {"message": {"role": "user", "content": text}, "contextItems": []}


def answer(
    prompt: int, output: int, read: int = 0, written: int = 0, model: str = "claude-sonnet-4-5", **more: Any
) -> dict[str, Any]:
    details = {"cached_tokens": read, "cache_read_tokens": read, "cache_write_tokens": written}
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "prompt_tokens_details": details,
        "model": model,
    }
    return {"message": {"role": "assistant", "content": "ok", "usage": usage}, "contextItems": [], **more}


def totals(prompt: int, output: int, read: int = 0, written: int = 0) -> dict[str, Any]:
    details = {"cachedTokens": read, "cacheWriteTokens": written}
    return {
        "totalCost": 1.0,
        "promptTokens": prompt,
        "completionTokens": output,
        "promptTokensDetails": details,
    }


def write(home: Scratch, *history: dict[str, Any], sid: str = ID, at_s: int = NOW_S, **more: Any) -> None:
    document = {"sessionId": sid, "title": "Untitled Session", "history": history, **more}
    path = home.write(f".continue/sessions/{sid}.json", json.dumps(document))
    os.utime(path, (at_s, at_s))


# ---------------------------------------------------------------- counts


def test_a_claude_prompt_excludes_what_was_cached(home: Scratch) -> None:
    """Conformance 111, first part."""
    write(home, user(), answer(41, 1001, 1202, 1202))
    assert home.read().one.tokens == Tokens(41, 1202, 1202, 0, 1001)


def test_a_claude_prompt_larger_than_what_was_cached_excludes_it_as_well(home: Scratch) -> None:
    write(home, user(), answer(4100, 1001, 1202, 1202))
    assert home.read().one.tokens == Tokens(4100, 1202, 1202, 0, 1001)


def test_an_openai_prompt_includes_what_was_cached(home: Scratch) -> None:
    """Conformance 111, second part."""
    write(home, user(), answer(5000, 100, 3000, model="gpt-5"))
    assert home.read().one.tokens == Tokens(2000, 3000, 0, 0, 100)


def test_one_more_message_is_one_new_event_at_the_time_it_was_seen(home: Scratch) -> None:
    """Conformance 111, third part."""
    write(home, user(), answer(41, 1001), usage=totals(41, 1001))
    first = home.read().one
    assert (first.at_ms, first.at_estimated) == (NOW_S * 1000, True)
    write(home, user(), answer(41, 1001), user(), answer(42, 7), at_s=NOW_S + 60, usage=totals(83, 1008))
    found = home.read()
    assert [(e.tokens.output, e.at_ms - NOW_S * 1000) for e in found.events] == [(1001, 0), (7, 60_000)]


def test_a_summary_in_place_of_the_history_loses_no_call_and_shows_its_own(home: Scratch) -> None:
    """A compaction: the messages are gone, the session's totals go on and hold the call that wrote the summary."""
    write(home, user(), answer(41, 500), user(), answer(42, 600), usage=totals(83, 1100))
    home.read()
    summary = {
        "message": {"role": "assistant", "content": "s"},
        "contextItems": [],
        "conversationSummary": "s",
    }
    write(home, summary, user(), answer(43, 90), usage=totals(83 + 2000 + 43, 1100 + 70 + 90), at_s=NOW_S + 9)
    found = home.read()
    assert sorted(e.tokens.output for e in found.responses) == [90, 500, 600]
    assert [e.tokens for e in found.hidden] == [Tokens(2000, 0, 0, 0, 70)]
    assert found.total == Tokens(2126, 0, 0, 0, 1260)


def test_a_history_that_was_never_seen_is_in_the_totals(home: Scratch) -> None:
    summary = {
        "message": {"role": "assistant", "content": "s"},
        "contextItems": [],
        "conversationSummary": "s",
    }
    write(home, summary, user(), answer(43, 90), usage=totals(2126, 1260))
    assert home.read().total == Tokens(2126, 0, 0, 0, 1260)


def test_totals_are_not_compared_where_models_or_counts_differ(home: Scratch) -> None:
    write(home, user(), answer(41, 500), user(), answer(5000, 600, model="gpt-5"), usage=totals(9000, 2000))
    assert home.read().hidden == []


def test_a_fork_counts_only_what_came_after_the_copy(home: Scratch) -> None:
    old = (user(), answer(41, 500, 10, 20), user(), answer(42, 600))
    write(home, *old, usage=totals(83, 1100, 10, 20))
    write(home, *old, user(), answer(43, 70), sid=FORK, usage=totals(43, 70))
    found = home.read()
    assert [e.tokens.output for e in found.of(FORK)] == [70]
    assert len(found.events) == 3


def test_a_fork_without_an_answer_of_its_own_counts_nothing(home: Scratch) -> None:
    write(home, user(), answer(41, 500), user(), sid=FORK, usage=totals(0, 0))
    assert home.read().events == ()


def test_an_answer_without_usage_is_unknown_until_it_has_one(home: Scratch) -> None:
    bare = {"message": {"role": "assistant", "content": "ok"}, "contextItems": []}
    write(home, user(), bare)
    assert [e.unknown for e in home.read().events] == [True]
    write(home, user(), answer(41, 9))
    assert [e.unknown for e in home.read().events] == [False]


def test_the_list_of_sessions_tells_title_start_and_folder(home: Scratch) -> None:
    write(home, user("please tidy up"), answer(41, 9))
    assert home.read().sessions[ID].title == "please tidy up"
    item = {
        "sessionId": ID,
        "title": "Tidy",
        "dateCreated": "1795294193984",
        "workspaceDirectory": "/home/dev/app",
    }
    home.write(".continue/sessions/sessions.json", json.dumps([item]))
    session = home.read().sessions[ID]
    assert (session.title, session.cwd) == ("Tidy", "/home/dev/app")


# ---------------------------------------------------------------- status and processes


def call(status: str) -> dict[str, Any]:
    return {"toolCallStates": [{"status": status, "toolCall": {"function": {"name": "Bash"}}}]}


@pytest.mark.parametrize(
    ("last", "state", "tool"),
    [
        (user(), State.WORKING, ""),
        (answer(41, 9), State.IDLE, ""),
        (answer(41, 9, **call("calling")), State.TOOL, "Bash"),
        (answer(41, 9, **call("done")), State.WORKING, ""),
    ],
)
def test_the_newest_message_gives_the_status(
    home: Scratch, last: dict[str, Any], state: State, tool: str
) -> None:
    write(home, user(), last)
    live, _ = home.follow(NOW_S * 1000)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert (track.last.state, track.last.tool) == (state, tool)


def test_its_program_is_known_behind_node() -> None:
    spec = agent("continue").processes
    assert spec is not None
    argv = ("/usr/bin/node", "/usr/lib/node_modules/.bin/cn", "--auto", "-p", "fix it")
    found = identify(argv, "/usr/bin/node", (spec,))
    assert found is not None
    assert spec.one_shot(found.argv)
    assert identify(("cn", "--version"), "/usr/bin/cn", (spec,)) is None


def test_a_session_that_was_restored_with_an_older_time_is_counted_once(home: Scratch) -> None:
    def store(at_s: int) -> None:
        write(home, user(), answer(100, 10, read=50), at_s=at_s, usage=totals(100, 10, read=50))

    store(NOW_S)
    first = home.read().total
    assert first.output == 10
    store(NOW_S - 86_400)
    assert home.read().total == first
