"""Factory Droid.

`<id>.jsonl` has the messages and no tokens; `<id>.settings.json`, rewritten after each call, has the session's own
running total, its children's not included. A fork begins with a copy of its parent's messages and with a total of
its own; what is compacted in older versions goes on as a new session that begins with its parent's total. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tokentop.agents._lines import LineReader
from tokentop.agents.base import Agent, JsonDocument, JsonLines, LogFile, Quality, Roots
from tokentop.agents.decoding import (
    count,
    document,
    epoch_ms,
    identifier,
    obj,
    objects,
    string,
    text,
    tokens,
)
from tokentop.agents.processes import Processes, flag_value, plain_role
from tokentop.nouns.facts import Fact
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import RunningTotal, Tokens, Usage
from tokentop.text import title

AGENT_ID = "droid"

_AUTO, _BY_USER = 1, 2  # title ranks
_HELPERS = frozenset({"daemon", "mcp", "plugin", "update", "computer", "search", "find", "help"})


class _Memory(Struct):
    """Decoder state between slices and restarts: plain data."""

    session_id: str = ""
    first_ms: int = 0
    newest_ms: int = 0
    model: str = ""
    fork_at: str = ""  # the last message that a fork copied from its parent, until it is passed
    call: str = ""  # the message that a request was sent with


class DroidLines(LineReader[_Memory]):
    """Decoder of one session's messages; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Memory)
        self._memory.session_id = self._memory.session_id or identifier(file.stem)

    @property
    def needles(self) -> tuple[bytes, ...]:
        if self.live:
            return (b'"session_start"', b'"message"', b'"agent_turn_outcome"')
        return (b'"session_start"', b'"assistant"', *((b'"message"',) if self._early else ()))

    @property
    def _early(self) -> bool:
        """Before the first message of its own: what a fork has copied must be passed first."""
        return not self._memory.first_ms or bool(self._memory.fork_at)

    def _record(self, found: dict[str, Any]) -> None:
        event = found
        kind = event.get("type")
        if kind == "message":
            self._message(event, obj(event.get("message")))
        elif kind == "session_start":
            self._start(event)
        elif kind == "agent_turn_outcome":
            self._activity(State.IDLE, ends_call=self._memory.call)

    def _start(self, event: dict[str, Any]) -> None:
        memory = self._memory
        memory.session_id = identifier(string(event.get("id"))) or memory.session_id
        caller, parent = (
            identifier(string(event.get("callingSessionId"))),
            identifier(string(event.get("parent"))),
        )
        memory.fork_at = identifier(string(event.get("forkedAtMessageId"))) if parent else ""
        name = event.get("title")
        named = isinstance(name, str) and bool(name.strip())
        rank = _BY_USER if event.get("isSessionTitleManuallySet") is True else _AUTO
        # A fork's own total begins at 0. Only what goes on after a compaction inherits its parent's.
        role = Role.SUB_AGENT if caller else Role.FORK if parent and not memory.fork_at else Role.MAIN
        self.facts.append(
            Session(
                AGENT_ID, memory.session_id, caller or parent, caller or parent, role,
                text(event.get("cwd"), 400), title=title(name) if named and isinstance(name, str) else "",
                title_rank=rank if named else 0, log_path=self._file.path,
                tool_use_id=identifier(string(event.get("callingToolUseId"))),
            )
        )  # fmt: skip

    def _message(self, event: dict[str, Any], message: dict[str, Any]) -> None:
        memory, message_id = self._memory, identifier(string(event.get("id")))
        if memory.fork_at:
            if message_id == memory.fork_at:
                memory.fork_at = ""
            return
        memory.newest_ms = at_ms = epoch_ms(event.get("timestamp")) or memory.newest_ms
        if not memory.first_ms and at_ms:
            memory.first_ms = at_ms
            self.facts.append(Session(AGENT_ID, memory.session_id, first_ms=at_ms))
        content = objects(message.get("content"))
        if message.get("role") == "assistant":
            self._answer(message_id, at_ms, message, content)
        elif message.get("role") == "user" and not message_id.startswith("context-"):
            memory.call = message_id
            self._activity(State.WORKING, call_id=message_id)

    def _answer(
        self, message_id: str, at_ms: int, message: dict[str, Any], content: list[dict[str, Any]]
    ) -> None:
        """One response; what it used is in the running total."""
        memory = self._memory
        memory.model = text(message.get("modelId")) or memory.model
        estimated = not at_ms
        self.facts.append(
            Usage(
                AGENT_ID, memory.session_id, message_id or f"{memory.session_id}:{at_ms}",
                at_ms or self._file.mtime_ms, memory.model, Tokens(), at_estimated=estimated,
            )
        )  # fmt: skip
        ended, memory.call = memory.call, ""
        tool = next((text(part.get("name"), 40) for part in content if part.get("type") == "tool_use"), "")
        self._activity(State.TOOL if tool else State.WORKING, tool, ends_call=ended)

    def _activity(self, state: State, tool: str = "", *, call_id: str = "", ends_call: str = "") -> None:
        if self.live:
            memory = self._memory
            at_ms = memory.newest_ms or self._file.mtime_ms
            self.facts.append(
                Activity(
                    AGENT_ID, memory.session_id, at_ms, state, tool, call_id=call_id, ends_call=ends_call
                )
            )


def read_settings(file: LogFile, data: bytes) -> list[Fact]:
    """The running total of a session, and what its model and context are."""
    about = obj(document(data))
    facts: list[Fact] = []
    session_id, model = identifier(file.stem), text(about.get("model"))
    calling, surface = "", ""
    for tag in objects(about.get("tags")):
        calling = calling or identifier(string(obj(tag.get("metadata")).get("callingSessionId")))
        surface = surface or text(tag.get("name"), 40)
    facts.append(
        Session(
            AGENT_ID, session_id, calling, calling, Role.SUB_AGENT if calling else None, model=model,
            surface=surface,
        )
    )  # fmt: skip
    used = obj(about.get("tokenUsage"))
    # Thinking is a part of the output, whatever the provider; for some it is only guessed from its length.
    total = tokens(
        AGENT_ID, facts, fresh=used.get("inputTokens"), cache_read=used.get("cacheReadTokens"),
        cache_write=used.get("cacheCreationTokens"), output=used.get("outputTokens"),
        reasoning=used.get("thinkingTokens"),
    )  # fmt: skip
    if total.total:
        provider = text(about.get("providerLock"))
        facts.append(
            RunningTotal(
                AGENT_ID, session_id, 0, file.mtime_ms, 0, ((model, total, 0),), only=True, provider=provider
            )
        )
    last = obj(about.get("lastCallTokenUsage"))
    context = _context(last, total)
    if context:
        facts.append(Context(AGENT_ID, session_id, file.mtime_ms, context))
    return facts


def _context(last: dict[str, Any], total: Tokens) -> int:
    """What the newest call filled; its cache writes are told only where it is the first one."""
    fresh, read, output = (
        count(last.get(field)) or 0 for field in ("inputTokens", "cacheReadTokens", "outputTokens")
    )
    written = total.cache_write_5m if output and output == total.output else 0
    return fresh + read + written + output


def role_of(argv: Sequence[str]) -> ProcRole | None:
    return None if len(argv) > 1 and argv[1] in _HELPERS else plain_role(argv)


def argv_session(argv: Sequence[str]) -> str:
    """The session of `--resume <id>` and `exec -s <id>`; `--fork` makes a new one."""
    found = flag_value(argv, "-r", "--resume", "-s", "--session-id")
    return found if re.fullmatch(r"[0-9a-fA-F-]{36}", found) else ""


AGENT = Agent(
    id=AGENT_ID,
    label="Droid",
    version=1,
    roots=Roots(dirs=("~/.factory",)),
    sources=(
        JsonLines(folder="sessions", suffixes=(".jsonl",), decoder=DroidLines),
        JsonDocument(folder="sessions", suffixes=(".settings.json",), read=read_settings),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="Droid",
        names=("droid",),
        package_dirs=("/node_modules/@factory/cli",),
        common_name=True,
        root_dirs=(".factory",),
        role_of=role_of,
        one_shot=lambda argv: len(argv) > 1 and argv[1] == "exec",
        argv_session=argv_session,
        argv_cwd=lambda argv: flag_value(argv, "--cwd"),
        # It takes 6.5 s to end, and makes one more call meanwhile.
        ladder=(("TERM", 8.0), ("KILL", 2.0)),
        one_shot_ladder=(("TERM", 8.0), ("KILL", 2.0)),
        resume="droid --resume {session_id}",
    ),
    resume="droid --resume {session_id}",
    signs=("factory-droid[bot]@users.noreply.github.com",),
    start_hint="run `droid` in a project folder",
    tokens=Quality.TOTAL,
    missing="usage per call; the lifetime of cache writes; credits; aborted streams",
    tried=("0.215.0",),
)
