"""Conformance of the Mux reader, and of the agents that show only processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.base import Quality
from tokentop.agents.processes import identify
from tokentop.nouns.sessions import Role, State
from tokentop.nouns.usage import Tokens

T = 1_795_294_660_000
CHAT = ".mux/sessions/8f2c1d7e90/chat.jsonl"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def line(name: str, role: str, **metadata: Any) -> str:
    parts = [{"type": "text", "text": "rename it"}]
    return json.dumps({"id": name, "role": role, "parts": parts, "metadata": metadata}) + "\n"


def turn(name: str, model: str, usage: dict[str, Any], **metadata: Any) -> str:
    return line(name, "assistant", historySequence=3, timestamp=T, model=model, usage=usage, **metadata)


@pytest.mark.parametrize(
    ("model", "usage", "written", "tokens"),
    [
        ("openai:gpt-5", {"inputTokens": 2000, "cachedInputTokens": 1500, "outputTokens": 300, "reasoningTokens": 200}, 0,
         Tokens(500, 1500, 0, 0, 300, 200)),
        ("anthropic:claude-sonnet-4-5", {"inputTokens": 40, "cachedInputTokens": 1200, "outputTokens": 9}, 300,
         Tokens(40, 1200, 300, 0, 9)),
        ("anthropic:claude-sonnet-4-5", {"inputTokens": 1540, "cachedInputTokens": 1200, "outputTokens": 9}, 300,
         Tokens(40, 1200, 300, 0, 9)),
    ],
)  # fmt: skip
def test_a_turn_is_one_record_with_what_was_cached_taken_apart(
    home: Scratch, model: str, usage: dict[str, Any], written: int, tokens: Tokens
) -> None:
    metadata = {"providerMetadata": {"anthropic": {"cacheCreationInputTokens": written}}} if written else {}
    home.write(CHAT, turn("assistant-1", model, usage, **metadata))
    assert home.read().one.tokens == tokens


def test_a_gateway_is_not_the_provider(home: Scratch) -> None:
    home.write(CHAT, turn("assistant-1", "mux-gateway:openai/gpt-5", {"inputTokens": 5, "outputTokens": 6}))
    one = home.read().one
    assert (one.provider, one.model) == ("openai", "gpt-5")


def test_models_that_tools_call_have_records_of_their_own(home: Scratch) -> None:
    tool = {"toolCallId": "call-1", "model": "openai:gpt-5", "usage": {"inputTokens": 7, "outputTokens": 8}}
    usage = {"inputTokens": 5, "outputTokens": 6}
    home.write(CHAT, turn("assistant-1", "anthropic:claude-sonnet-4-5", usage, toolModelUsages=[tool]))
    assert sorted(e.tokens.output for e in home.read().events) == [6, 8]


def test_a_turn_without_usage_is_unknown(home: Scratch) -> None:
    home.write(CHAT, line("assistant-1", "assistant", timestamp=T, partial=True))
    assert home.read().one.unknown


def test_a_workspace_that_began_as_a_copy_counts_its_turns_once(home: Scratch) -> None:
    usage = {"inputTokens": 5, "outputTokens": 6}
    home.write(CHAT, turn("assistant-1", "openai:gpt-5", usage))
    home.write(CHAT.replace("8f2c", "aaaa"), turn("assistant-1", "openai:gpt-5", usage))
    assert len(home.read().events) == 1


def test_the_configuration_tells_folders_and_parents(home: Scratch) -> None:
    home.write(CHAT, turn("assistant-1", "openai:gpt-5", {"inputTokens": 5, "outputTokens": 6}))
    space = {"id": "8f2c1d7e90", "name": "rename", "path": "/home/dev/app", "parentWorkspaceId": "0000000000"}
    home.write(
        ".mux/config.json", json.dumps({"projects": [["/home/dev", {"workspaces": [space]}], "odd", 3]})
    )
    session = home.read().sessions["8f2c1d7e90"]
    assert (session.cwd, session.title, session.parent_id) == ("/home/dev/app", "rename", "0000000000")
    assert session.role is Role.SUB_AGENT


def test_a_prompt_is_worked_on_until_its_turn_ends(home: Scratch) -> None:
    home.write(CHAT, line("user-1", "user", historySequence=0, timestamp=T))
    live, _ = home.follow(T + 1000)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert track.last.state is State.WORKING


# ---------------------------------------------------------------- processes alone


@pytest.mark.parametrize(
    ("name", "argv", "found"),
    [
        ("windsurf", ("/usr/share/windsurf/windsurf", "--no-sandbox"), True),
        ("windsurf", ("/usr/share/windsurf/windsurf", "--type=renderer"), False),
        ("windsurf", ("/usr/share/windsurf/windsurf", "/usr/share/windsurf/out/bootstrap-fork.js"), False),
        ("trae", ("/usr/share/trae/trae", "."), True),
        ("augment", ("/usr/bin/node", "/usr/lib/node_modules/.bin/auggie"), True),
        ("augment", ("/usr/bin/auggie", "--version"), False),
    ],
)
def test_programs_without_logs_are_known_by_their_names(
    name: str, argv: tuple[str, ...], found: bool
) -> None:
    about = agent(name)
    assert (about.sources, about.tokens) == ((), Quality.UNKNOWN)
    assert about.processes is not None
    assert about.processes.common_name
    assert (identify(argv, argv[0], (about.processes,)) is not None) == found
