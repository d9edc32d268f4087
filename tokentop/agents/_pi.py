"""Entries of pi sessions -> facts. pi, its descendants and OpenClaw write the same ones. Pure.

    {"type": "session", "version": 3, "id", "timestamp", "cwd", "parentSession"?: path of the forked log}
    {"type": "message", "id", "parentId", "timestamp", "message": {"role": "assistant", "provider", "model",
     "responseId", "stopReason": stop|length|toolUse|error|aborted, "timestamp": ms of the request, "usage": {"input",
     "output", "cacheRead", "cacheWrite", "cacheWrite1h"?, "cost"}}}   other roles: user, toolResult ...
    {"type": "session_info", "name"}
    {"type": "message_end", "message"}   what `--mode json` prints: extensions keep it of sub-agents without a session

Input excludes everything cached, output includes reasoning. Branches (`parentId`) were all billed. Forks copy
entries as they are. Compactions and branch summaries are billed, and logged without their usage. An answer that was
cut off has what the provider had told until then: with Anthropic the whole input and a few tokens of output.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import clean, mask_secrets, title

from .base import LogFile
from .decoding import (
    after_torn,
    count,
    epoch_ms,
    identifier,
    label,
    obj,
    objects,
    record,
    text,
    tokens,
    unparsed,
)

USAGE = b'"usage"'
_TOOLS = 64  # tools of one answer that are remembered
_UNIQUE = 16  # a shorter response id may come again: Ollama numbers its answers chatcmpl-0 to chatcmpl-998
# A turn that is interrupted in a tool ends with an aborted answer, within 2 ms and without a request.
_NEVER_SENT_MS = 50
# OpenClaw puts such a result where a turn was stopped before its tool had one; nothing is sent with it.
_REPAIRED = "openclawSyntheticMissingToolResult"
_LIMITS = ("429", "rate limit", "rate_limit", "usage limit", "quota")


class Memory(Struct):
    """What has to be known of earlier entries: plain data."""

    session_id: str = ""
    first_ms: int = 0
    named: bool = False  # the header was read
    titled: bool = False
    call: str = ""  # the entry that sent the open request
    tools: dict[str, str] = {}  # running tools: call id -> name


def _nothing(_message: dict[str, Any]) -> bool:
    return False


class Entries:
    """Turns the entries of one session, in order, into `facts`.

    `foreign` tells messages that are not this agent's own calls: those of other agents that it drives.
    """

    def __init__(
        self, agent: str, memory: Memory, log_path: str = "", seen_ms: int = 0,
        foreign: Callable[[dict[str, Any]], bool] = _nothing,
    ) -> None:  # fmt: skip
        self.facts: list[Fact] = []
        self.live = False
        self.memory = memory
        self._agent = agent
        self._path = log_path
        self._seen_ms = seen_ms
        self._foreign = foreign

    def entry(self, entry: dict[str, Any]) -> None:
        kind = entry.get("type")
        if kind == "message":
            self._message(entry, obj(entry.get("message")))
        elif kind == "message_end":
            message = obj(entry.get("message"))
            if message.get("role") == "assistant" and not self._foreign(message):
                self._usage(entry, message)
        elif kind == "session":
            self._header(entry)
        elif kind == "session_info" and (name := text(entry.get("name"), 400)):
            self.memory.titled = True
            self.facts.append(Session(self._agent, self.memory.session_id, title=title(name), title_rank=2))

    def _header(self, entry: dict[str, Any]) -> None:
        memory = self.memory
        if memory.named:
            return
        memory.named = True
        memory.session_id = identifier(text(entry.get("id"))) or memory.session_id
        memory.first_ms = epoch_ms(entry.get("timestamp"))
        parent = session_of(text(entry.get("parentSession"), 1000).replace("\\", "/").rpartition("/")[2])
        self.facts.append(
            Session(
                self._agent, memory.session_id, parent, role=Role.FORK if parent else Role.MAIN,
                cwd=text(entry.get("cwd"), 400), first_ms=memory.first_ms, log_path=self._path,
            )
        )  # fmt: skip

    def _message(self, entry: dict[str, Any], message: dict[str, Any]) -> None:
        role = message.get("role")
        if role == "assistant":
            if not self._foreign(message):
                self._usage(entry, message)
            if self.live:
                self._answered(entry, message)
        elif role == "user":
            if not self.memory.titled and (prompt := _prompt(message.get("content"))):
                self.memory.titled = True
                self.facts.append(
                    Session(self._agent, self.memory.session_id, title=title(prompt), title_rank=1)
                )
            self._sends(entry)
        elif role == "toolResult":
            self.memory.tools.pop(text(message.get("toolCallId")), None)
            self._sends(entry, stopped=obj(message.get("details")).get(_REPAIRED) is True)

    # ------------------------------------------------------------ how much

    def _usage(self, entry: dict[str, Any], message: dict[str, Any]) -> None:
        used = message.get("usage")
        if not isinstance(used, dict):
            return
        counts = tokens(
            self._agent, self.facts, fresh=used.get("input"), cache_read=used.get("cacheRead"),
            cache_write=used.get("cacheWrite"), cache_write_1h=used.get("cacheWrite1h"), output=used.get("output"),
        )  # fmt: skip
        cut = message.get("stopReason") in ("aborted", "error")
        session_id = self.memory.session_id
        sent_ms = epoch_ms(message.get("timestamp"))
        at_ms = epoch_ms(entry.get("timestamp")) or sent_ms or self.memory.first_ms
        start_ms = sent_ms if 0 < sent_ms <= at_ms else 0
        refused = message.get("stopReason") == "error" or at_ms - sent_ms < _NEVER_SENT_MS
        if not counts.total and not message.get("content") and cut and refused:
            return
        model, provider = label(text(message.get("model"))), label(text(message.get("provider")))
        self.facts.append(
            Usage(
                self._agent, session_id, _key(message, provider, sent_ms, counts), at_ms or self._seen_ms, model,
                counts, provider, at_ms - start_ms if start_ms else 0,
                kind=Kind.RESPONSE if counts.total else Kind.UNKNOWN,
                estimated=cut and counts.total > 0,  # what had been told when the stream was cut
                start_ms=start_ms, at_estimated=not at_ms,
            )
        )  # fmt: skip
        if not cut and counts.total:
            told = count(obj(used.get("contextUsage")).get("totalTokens"))
            self.facts.append(Context(self._agent, session_id, at_ms, told or counts.prompt + counts.output))

    # ------------------------------------------------------------ status

    def _sends(self, entry: dict[str, Any], *, stopped: bool = False) -> None:
        """A request goes out with a prompt, and with the last result of the tools of an answer, if it is a real one."""
        memory = self.memory
        if not self.live:
            return
        at_ms = epoch_ms(entry.get("timestamp"))
        if memory.tools:
            tool = next(iter(memory.tools.values()))
            self.facts.append(Activity(self._agent, memory.session_id, at_ms, State.TOOL, tool))
            return
        if stopped:
            self.facts.append(Activity(self._agent, memory.session_id, at_ms, State.IDLE))
            return
        memory.call = f"{text(entry.get('id'))}:{at_ms}"
        self.facts.append(Activity(self._agent, memory.session_id, at_ms, State.WORKING, call_id=memory.call))

    def _answered(self, entry: dict[str, Any], message: dict[str, Any]) -> None:
        memory = self.memory
        calls = [part for part in objects(message.get("content")) if part.get("type") == "toolCall"]
        memory.tools = {text(part.get("id")): text(part.get("name"), 40) or "tool" for part in calls[:_TOOLS]}
        at_ms, reason = epoch_ms(entry.get("timestamp")), message.get("stopReason")
        state, tool, detail = State.IDLE, "", ""
        if reason == "error":
            memory.tools.clear()
            detail = clean(mask_secrets(text(message.get("errorMessage"), 400)), 120)
            state = State.LIMITED if any(sign in detail.lower() for sign in _LIMITS) else State.ERROR
        elif reason == "aborted":
            memory.tools.clear()
        elif memory.tools:
            state, tool = State.TOOL, next(iter(memory.tools.values()))
        self.facts.append(
            Activity(self._agent, memory.session_id, at_ms, state, tool, detail, ends_call=memory.call)
        )
        memory.call = ""


class PiLines:
    """Decoder of one session file; see `base.Decoder`."""

    ancestor = ""

    def __init__(
        self, agent: str, file: LogFile, state: bytes, foreign: Callable[[dict[str, Any]], bool] = _nothing
    ) -> None:
        memory = msgspec.msgpack.decode(state, type=Memory) if state else Memory(session_of(file.stem))
        self.live = False
        self._agent = agent
        self._entries = Entries(agent, memory, file.path, file.mtime_ms, foreign)

    @property
    def facts(self) -> list[Fact]:
        return self._entries.facts

    @facts.setter
    def facts(self, facts: list[Fact]) -> None:
        self._entries.facts = facts

    @property
    def needles(self) -> tuple[bytes, ...]:
        memory = self._entries.memory
        needles: tuple[bytes, ...] = (USAGE, b'"session_info"')
        if self.live:
            needles = (*needles, b'"role"')
        elif not memory.titled:
            needles = (*needles, b'"user"')
        return needles if memory.named else (*needles, b'"session"')

    def line(self, line: bytearray | bytes) -> None:
        entry = record(line)
        if entry is None:
            self.facts.append(unparsed(self._agent))
            if (whole := after_torn(line)) is not None:
                self.line(whole)
            return
        self._entries.live = self.live
        self._entries.entry(entry)

    def set_ancestor(self, vectors: Sequence[tuple[int, ...]] | None) -> None:
        """Forks are told by response ids; no ancestor is ever asked for."""

    def flush(self) -> None:
        """Nothing is held back."""

    def state(self) -> bytes:
        return msgspec.msgpack.encode(self._entries.memory)


def session_of(name: str) -> str:
    """The session of a log's name: `<time>_<id>`, `<id>`, `<id>-topic-<n>`, with or without `.jsonl` and more."""
    return identifier(name.partition(".jsonl")[0].rpartition("_")[2])


def _key(message: dict[str, Any], provider: str, sent_ms: int, counts: Tokens) -> str:
    named = text(message.get("responseId"), 200)
    if len(named) >= _UNIQUE:
        return named
    written = counts.cache_write_5m + counts.cache_write_1h
    vector = f"{counts.input}.{counts.cache_read}.{written}.{counts.output}"
    return f"{named or provider}:{sent_ms}:{vector}"


def _prompt(content: object) -> str:
    if isinstance(content, str):
        return content.strip()
    parts = (part.get("text") for part in objects(content) if part.get("type") == "text")
    return next((part.strip() for part in parts if isinstance(part, str) and part.strip()), "")
