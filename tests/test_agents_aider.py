"""Aider: figures printed into the project folder are an estimate; its analytics log is not."""

from __future__ import annotations

import json

import pytest

from tests.agents.harness import Picture, Scratch
from tokentop.agents.aider import ChatHistory
from tokentop.agents.base import LogFile
from tokentop.nouns.usage import Tokens

PLACE = "work/site/.aider.chat.history.md"
LOG = "work/site/.aider.analytics.jsonl"


@pytest.fixture
def home(tmp_path: object) -> Scratch:
    return Scratch(tmp_path)  # type: ignore[arg-type]


def chat(started: str, *lines: str) -> str:
    head = f"\n# aider chat started at {started}\n\n> Aider v0.86.2  \n> Main model: openai/gpt-5 with diff edit format  \n"
    return head + "".join(f"{line}  \n" for line in lines)


def totals(found: Picture) -> list[Tokens]:
    return [event.tokens for event in found.events]


def test_printed_figures_are_an_estimate(home: Scratch) -> None:
    """Conformance 113."""
    printed = "> Tokens: 12k sent, 1.2k received. Cost: $0.05 message, $0.11 session."
    home.write(PLACE, chat("2026-11-20 10:00:00", "#### fix the build", printed))
    found = home.read()
    assert found.one.tokens == Tokens(12_000, 0, 0, 0, 1_200)
    assert found.one.estimated
    assert found.one.at_estimated
    (session,) = found.sessions.values()
    assert (session.title, session.model, session.version) == ("fix the build", "openai/gpt-5", "0.86.2")
    (row,) = home.run("usage")["rows"]
    assert row["estimated"] is True
    assert row["logged_cost_usd"] == "0.050000000"
    assert home.run("usage")["totals"]["tokens"]["input"] == 0


def test_cache_figures_are_told_apart(home: Scratch) -> None:
    home.write(
        PLACE,
        chat("2026-11-20 10:00:00", "> Tokens: 12k sent, 1.0k cache write, 8.0k cache hit, 6 received."),
    )
    assert home.read().one.tokens == Tokens(3_000, 8_000, 1_000, 0, 6)


def test_several_chats_in_one_file_are_several_sessions(home: Scratch) -> None:
    line = "> Tokens: 2.3k sent, 6 received."
    home.write(PLACE, chat("2026-10-01 10:00:00", line, line) + chat("2026-11-20 10:00:00", line))
    found = home.read()
    assert len(found.events) == 3
    assert sorted(found.sessions) == ["chat-2026-10-01T10:00:00", "chat-2026-11-20T10:00:00"]
    october = [e.at_ms for e in found.events if e.session.startswith("chat-2026-10")]
    assert october == [1_790_848_800_000] * 2  # its start: the file was changed much later


def test_the_analytics_log_beside_it_is_read_instead(home: Scratch) -> None:
    """Conformance 113."""
    home.write(PLACE, chat("2026-11-20 10:00:00", "> Tokens: 2.3k sent, 6 received."))
    event = {
        "event": "message_send", "time": 1795254895,
        "properties": {"main_model": "openai/gpt-5", "prompt_tokens": 2626, "completion_tokens": 1001, "cost": 0.0133},
    }  # fmt: skip
    other = {"event": "cli session", "time": 1795254890, "properties": {"main_model": "openai/gpt-5"}}
    home.write(LOG, f"{json.dumps(other)}\n{json.dumps(event)}\n")
    found = home.read()
    assert found.one.tokens == Tokens(2626, 0, 0, 0, 1001)
    assert not found.one.estimated
    assert found.one.at_ms == 1_795_254_895_000


@pytest.mark.parametrize(
    "line",
    ["> Tokens: ", "> Tokens: -5 sent, x received.", "> Tokens: 9e99k sent", "> Tokens: 1.2.3k sent, ٣ received.",
     "> Tokens: 99999999999M sent, 6 received. Cost: $1e9 message", "> Tokens: \x1b[31m sent, 6 received."],
)  # fmt: skip
def test_hostile_figures_give_no_absurd_number(home: Scratch, line: str) -> None:
    home.write(PLACE, chat("2026-11-20 10:00:00", line))
    for event in home.read().events:
        assert event.tokens.total <= 6
        assert event.cost_nusd is None or event.cost_nusd >= 0


def test_a_project_two_levels_below_home_and_a_known_one_are_found(home: Scratch) -> None:
    line = "> Tokens: 2.3k sent, 6 received."
    home.write("a/.aider.chat.history.md", chat("2026-11-20 10:00:00", line))
    home.write("deep/er/than/that/.aider.chat.history.md", chat("2026-11-20 11:00:00", line))
    assert len(home.read().events) == 1
    deep = str(home.home / "deep/er/than/that")
    meta = {"type": "user", "sessionId": "s1", "cwd": deep, "timestamp": "2026-11-20T10:00:00Z", "uuid": "u1",
            "message": {"role": "user", "content": "hello"}}  # fmt: skip
    home.write(".claude/projects/-deep/s1.jsonl", json.dumps(meta) + "\n")
    home.read()
    assert len(home.read().events) == 2  # the other agent's session has told of the folder


def test_a_prompt_that_looks_like_a_record_of_another_chat_is_cut_and_cleaned() -> None:
    decoder = ChatHistory(LogFile("/p/.aider.chat.history.md", "", ()), b"")
    decoder.line(b"# aider chat started at 2026-11-20 10:00:00")
    decoder.line(b"#### \x1b]0;owned\x07[bold]hello" + b"x" * 10_000)
    title = next(fact.title for fact in decoder.facts if getattr(fact, "title", ""))
    assert len(title) <= 80
    assert "\x1b" not in title
