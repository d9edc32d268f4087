"""Codebuff and Freebuff: chats with the credits that each answer cost.

`~/.config/manicode/projects/<name>/chats/<start>/chat-messages.json`: [{"id", "variant": "ai" | "agent" | "user" |
"error", "content", "timestamp", "credits"?, "isComplete"?, "metadata"?: {"usage"?, "codebuff"?: {"usage", "model"}}}].
Most answers have credits and no tokens. `metadata.runState` repeats the whole conversation; it is not read.
"""

from __future__ import annotations

from typing import Any

from tokentop.agents import decoding
from tokentop.agents.base import Agent, JsonDocument, LogFile, Quality, Roots
from tokentop.agents.processes import Processes, role_without
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Session, State
from tokentop.nouns.usage import Kind, Usage
from tokentop.text import title

AGENT_ID = "codebuff"
_ANSWERS = frozenset({"ai", "agent"})
_HELPERS = frozenset({"login", "logout", "publish"})


def read(file: LogFile, data: bytes) -> list[Fact]:
    """The facts of one chat. ValueError if the document is not whole."""
    messages = decoding.objects(decoding.document(data))
    if not messages or not file.parents:
        return []
    session_id = decoding.identifier(file.parents[-1])
    start_ms = _start_ms(session_id)
    facts: list[Fact] = []
    # The first message names the chat, not the folder: a chat that was moved has the same answers.
    origin = decoding.identifier(decoding.string(messages[0].get("id"))) or session_id
    answers = [
        _usage(file, session_id, f"{origin}:{index}", message, start_ms, facts)
        for index, message in enumerate(messages)
        if decoding.string(message.get("variant")) in _ANSWERS and _billed(message)
    ]
    prompt = next(
        (m["content"] for m in messages if m.get("variant") == "user" and decoding.string(m.get("content"))),
        "",
    )
    times = [usage.at_ms for usage in answers if not usage.at_estimated]
    facts.append(
        Session(
            AGENT_ID, session_id, title=title(prompt), model=answers[-1].model if answers else "",
            first_ms=start_ms or min(times, default=0), last_ms=max(times, default=0), log_path=file.path,
        )
    )  # fmt: skip
    waits = messages[-1].get("variant") == "user" or messages[-1].get("isComplete") is False
    state = State.WORKING if waits else State.IDLE
    return [*facts, *answers, Activity(AGENT_ID, session_id, file.mtime_ms, state)]


def _billed(message: dict[str, Any]) -> bool:
    return decoding.milli(message.get("credits")) is not None or bool(_counts(message))


def _counts(message: dict[str, Any]) -> dict[str, Any]:
    """The usage of an answer, from the one place that has it."""
    metadata = decoding.obj(message.get("metadata"))
    return decoding.obj(decoding.obj(metadata.get("codebuff")).get("usage")) or decoding.obj(
        metadata.get("usage")
    )


def _usage(
    file: LogFile, session_id: str, key: str, message: dict[str, Any], start_ms: int, facts: list[Fact]
) -> Usage:
    counts = _counts(message)
    details = decoding.obj(counts.get("prompt_tokens_details"))
    tokens = decoding.tokens(
        AGENT_ID, facts, prompt=_first(counts, "prompt_tokens", "promptTokens", "inputTokens"),
        cache_read=_first(counts, "cachedInputTokens") or details.get("cached_tokens"),
        output=_first(counts, "completion_tokens", "completionTokens", "outputTokens"),
    )  # fmt: skip
    metadata = decoding.obj(message.get("metadata"))
    model = decoding.obj(metadata.get("codebuff")).get("model") or metadata.get("model")
    at_ms = decoding.epoch_ms(message.get("timestamp"))
    return Usage(
        AGENT_ID, session_id, key, at_ms or start_ms or file.mtime_ms, decoding.text(model), tokens,
        kind=Kind.RESPONSE if tokens.total else Kind.UNKNOWN, at_estimated=not at_ms,
        credits_milli=decoding.milli(message.get("credits")),
    )  # fmt: skip


def _first(counts: dict[str, Any], *names: str) -> object:
    return next((counts[name] for name in names if counts.get(name) is not None), 0)


def _start_ms(name: str) -> int:
    """The start of a chat from the name of its folder: `2026-01-19T11-42-10.123Z`, colons written as dashes."""
    day, _, clock = name.partition("T")
    return decoding.epoch_ms(f"{day}T{clock.replace('-', ':', 2)}") if clock else 0


AGENT = Agent(
    id=AGENT_ID,
    label="Codebuff",
    version=1,
    roots=Roots(
        env="CODEBUFF_DATA_DIR",
        dirs=("~/.config/manicode", "~/.config/manicode-dev", "~/.config/manicode-staging"),
    ),
    sources=(
        JsonDocument(
            folder="projects", suffixes=("chat-messages.json",), levels=("*", "chats", "*"), read=read
        ),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="Codebuff",
        names=("codebuff", "freebuff"),
        package_dirs=("/node_modules/codebuff", "/node_modules/freebuff"),
        root_dirs=(".config/manicode",),
        role_of=role_without(_HELPERS),
        resume="codebuff --continue {session_id}",
    ),
    resume="codebuff --continue {session_id}",
    start_hint="run `codebuff` in a project folder",
    tokens=Quality.UNKNOWN,
    missing="tokens and models of most answers: it logs credits; the project's path",
)
