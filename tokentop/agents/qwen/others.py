"""The other stores of Qwen Code: usage of all sessions, sub-agents, and chats of older versions. Pure."""

from __future__ import annotations

from typing import Any

from tokentop.agents._lines import LineReader, NoMemory
from tokentop.agents.base import LogFile
from tokentop.agents.decoding import count, document, epoch_ms, identifier, label, obj, objects, text
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Role, Session, State
from tokentop.nouns.usage import RunningTotal
from tokentop.text import title

from .records import AGENT_ID, Counts, tokens_of, usage_of


class QwenCalls(LineReader[NoMemory]):
    """`usage/token-usage-<month>.jsonl`. It names no sub-agent, so their calls are left to the chat and the sums."""

    needles = (b'"sessionId"',)

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, NoMemory)

    def _record(self, found: dict[str, Any]) -> None:
        session, at_ms = identifier(text(found.get("sessionId"))), epoch_ms(found.get("timestamp"))
        if not session or found.get("source") != "main":
            return
        raw = Counts(
            found.get("inputTokens"), found.get("outputTokens"), found.get("cachedTokens"),
            found.get("thoughtsTokens"), found.get("totalTokens"), found.get("apiDurationMs"),
        )  # fmt: skip
        if count(raw.prompt) or count(raw.output):
            self.facts.append(
                usage_of(self.facts, session, found, raw, at_ms, text(found.get("id")), self._file)
            )


class QwenTotals(LineReader[NoMemory]):
    """`usage_record.jsonl`: a line for each session that has ended; of a resumed one with all that is in its chat."""

    needles = (b'"sessionId"',)

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, NoMemory)

    def _record(self, found: dict[str, Any]) -> None:
        session, at_ms = identifier(text(found.get("sessionId"))), epoch_ms(found.get("timestamp"))
        models = obj(found.get("models"))
        if not session or not at_ms or not models:
            return
        first_ms = epoch_ms(found.get("startTime"))
        self.facts.append(
            Session(AGENT_ID, session, cwd=text(found.get("project"), 400), first_ms=first_ms, last_ms=at_ms)
        )
        totals = []
        for name, sums in models.items():
            raw = obj(sums)
            counts = Counts(
                raw.get("inputTokens"), raw.get("outputTokens"), raw.get("cachedTokens"),
                raw.get("thoughtsTokens"), raw.get("totalTokens"), None,
            )  # fmt: skip
            totals.append((label(text(name)), tokens_of(self.facts, counts), 0))
        # Numbered by its time: the lines of many sessions stand in the file.
        self.facts.append(RunningTotal(AGENT_ID, session, at_ms, at_ms, 0, tuple(totals)))


def read_sub_agent(_file: LogFile, data: bytes) -> list[Fact]:
    """Facts of `projects/<slug>/subagents/<session>/agent-<id>.meta.json`."""
    about = obj(document(data))
    root, agent = identifier(text(about.get("parentSessionId"))), identifier(text(about.get("agentId")))
    if not root or not agent:
        return []
    above = identifier(text(about.get("parentAgentId")))
    first_ms, last_ms = (epoch_ms(about.get(name)) for name in ("createdAt", "lastUpdatedAt"))
    words = [text(about.get(name)) for name in ("agentType", "description")]
    session = Session(
        AGENT_ID, f"{root}/{agent}", parent_id=f"{root}/{above}" if above else root, root_id=root,
        role=Role.SUB_AGENT, title=title(": ".join(word for word in words if word)), title_rank=3,
        model=label(text(obj(about.get("persistedCliFlags")).get("model"))), first_ms=first_ms,
        last_ms=max(first_ms, last_ms),
    )  # fmt: skip
    status = about.get("status")
    state = State.WORKING if status in ("running", "pending") else State.IDLE
    return [session, Activity(AGENT_ID, session.id, max(first_ms, last_ms), state)] if status else [session]


def read_old_chat(file: LogFile, data: bytes) -> list[Fact]:
    """Facts of `tmp/<hash>/chats/session-*.json`: the document of the client that Qwen Code comes from."""
    about = obj(document(data))
    session = identifier(text(about.get("sessionId")))
    if not session or not isinstance(about.get("messages"), list):
        return []
    first_ms = epoch_ms(about.get("startTime"))
    facts: list[Fact] = [
        Session(
            AGENT_ID, session, role=Role.MAIN, first_ms=first_ms,
            last_ms=max(first_ms, epoch_ms(about.get("lastUpdated"))), log_path=file.path,
        )
    ]  # fmt: skip
    for message in objects(about.get("messages")):
        sums, key = message.get("tokens"), text(message.get("id"))
        if not isinstance(sums, dict) or not key:
            continue
        raw = Counts(
            sums.get("input"), sums.get("output"), sums.get("cached"), sums.get("thoughts"), sums.get("total"),
            None,
        )  # fmt: skip
        at_ms = epoch_ms(message.get("timestamp"))
        facts.append(usage_of(facts, session, message, raw, at_ms, f"{session}:{key}", file))
    return facts
