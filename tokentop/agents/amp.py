"""Amp: threads that older versions kept on disk. Newer ones keep them on their server.

`threads/T-<uuid>.json`: {"id", "created", "title", "messages": [{"role", "messageId", "usage"?: {"model", "inputTokens",
"outputTokens", "cacheCreationInputTokens", "cacheReadInputTokens", "timestamp"}}], "usageLedger"?: {"events": [{"id",
"timestamp", "model", "credits", "tokens": {"input", "output"}, "toMessageId"}]}}.

The ledger may hold a part of the messages, and the messages a part of the ledger: one call is counted once, with the
tokens of its message and the credits of its event.
"""

from __future__ import annotations

from typing import Any

from tokentop.agents import decoding
from tokentop.agents.base import Agent, JsonDocument, LogFile, Quality, Roots
from tokentop.agents.processes import Processes, role_without
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Kind, Usage
from tokentop.text import title

AGENT_ID = "amp"
_HELPERS = frozenset({"login", "logout", "update", "doctor", "mcp", "tools", "permissions", "usage"})


def read(file: LogFile, data: bytes) -> list[Fact]:
    """The facts of one thread. ValueError if the document is not whole."""
    thread = decoding.obj(decoding.document(data))
    if not isinstance(thread.get("messages"), list):
        return []
    session_id = decoding.identifier(decoding.string(thread.get("id"))) or file.stem
    created_ms = decoding.epoch_ms(thread.get("created"))
    facts: list[Fact] = []
    events = decoding.objects(decoding.obj(thread.get("usageLedger")).get("events"))
    answers = [m for m in decoding.objects(thread["messages"]) if decoding.obj(m.get("usage"))]
    usages = [_answer(file, session_id, m, _take(events, m), created_ms, facts) for m in answers]
    usages += [_event(file, session_id, event, created_ms, facts) for event in events]
    times = [usage.at_ms for usage in usages if not usage.at_estimated]
    facts.append(
        Session(
            AGENT_ID, session_id, cwd=_cwd(thread), title=title(decoding.string(thread.get("title"))),
            model=usages[-1].model if usages else "", first_ms=created_ms or min(times, default=0),
            last_ms=max(times, default=0), log_path=file.path,
        )
    )  # fmt: skip
    return [*facts, *usages]


def _take(events: list[dict[str, Any]], message: dict[str, Any]) -> dict[str, Any]:
    """Take the ledger's event of a message out of `events`: by the message's id, else by model and counts."""
    number, usage = message.get("messageId"), decoding.obj(message.get("usage"))
    vector = (usage.get("model"), usage.get("inputTokens"), usage.get("outputTokens"))
    by_id = [e for e in events if number is not None and e.get("toMessageId") == number]
    by_counts = [e for e in events if e.get("toMessageId") is None and _vector(e) == vector]
    found = next(iter(by_id or by_counts), None)
    if found is None:
        return {}
    events.remove(found)
    return found


def _vector(event: dict[str, Any]) -> tuple[object, object, object]:
    counts = decoding.obj(event.get("tokens"))
    return event.get("model"), counts.get("input"), counts.get("output")


def _answer(
    file: LogFile, session_id: str, message: dict[str, Any], event: dict[str, Any], created_ms: int, facts: list[Fact]
) -> Usage:  # fmt: skip
    usage = decoding.obj(message.get("usage"))
    tokens = decoding.tokens(
        AGENT_ID, facts, fresh=usage.get("inputTokens"), cache_read=usage.get("cacheReadInputTokens"),
        cache_write=usage.get("cacheCreationInputTokens"), output=usage.get("outputTokens"),
    )  # fmt: skip
    at_ms = decoding.epoch_ms(usage.get("timestamp")) or decoding.epoch_ms(event.get("timestamp"))
    return Usage(
        AGENT_ID, session_id, decoding.identifier(f"{session_id}:{message.get('messageId')}"),
        at_ms or created_ms or file.mtime_ms, decoding.text(usage.get("model")), tokens, at_estimated=not at_ms,
        kind=Kind.RESPONSE if tokens.total else Kind.UNKNOWN, credits_milli=decoding.milli(event.get("credits")),
    )  # fmt: skip


def _event(
    file: LogFile, session_id: str, event: dict[str, Any], created_ms: int, facts: list[Fact]
) -> Usage:
    """A call that only the ledger tells; of what was cached it says nothing."""
    counts = decoding.obj(event.get("tokens"))
    tokens = decoding.tokens(AGENT_ID, facts, fresh=counts.get("input"), output=counts.get("output"))
    at_ms = decoding.epoch_ms(event.get("timestamp"))
    name = decoding.identifier(decoding.string(event.get("id")))
    return Usage(
        AGENT_ID, session_id, name or f"{session_id}:event:{at_ms}", at_ms or created_ms or file.mtime_ms,
        decoding.text(event.get("model")), tokens, at_estimated=not at_ms,
        kind=Kind.RESPONSE if tokens.total else Kind.UNKNOWN, credits_milli=decoding.milli(event.get("credits")),
    )  # fmt: skip


def _cwd(thread: dict[str, Any]) -> str:
    trees = decoding.objects(decoding.obj(decoding.obj(thread.get("env")).get("initial")).get("trees"))
    uri = decoding.string(trees[0].get("uri")) if trees else ""
    return decoding.text(uri.removeprefix("file://"), 400)


AGENT = Agent(
    id=AGENT_ID,
    label="Amp",
    version=1,
    roots=Roots(env="AMP_DATA_DIR", dirs=("$XDG_DATA_HOME/amp", "~/.local/share/amp")),
    sources=(JsonDocument(folder="threads", suffixes=(".json",), levels=(), read=read),),
    processes=Processes(
        agent=AGENT_ID,
        label="Amp",
        names=("amp",),
        package_dirs=("/node_modules/@sourcegraph/amp", "/node_modules/@ampcode/"),
        entry_names=("main",),
        common_name=True,
        root_env="AMP_DATA_DIR",
        root_dirs=(".local/share/amp", ".config/amp", ".cache/amp"),
        role_of=role_without(_HELPERS),
        one_shot=lambda argv: bool({"-x", "--execute"} & set(argv[1:])),
        resume="amp threads continue {session_id}",
    ),
    resume="amp threads continue {session_id}",
    signs=("amp@ampcode.com",),
    start_hint="run `amp` in a project folder",
    tokens=Quality.EXACT,
    missing="all threads since spring 2026: they are on Amp's server",
)
