"""Gemini CLI: chats as JSON lines (since about 0.39), before that one JSON document a session. Pure.

Lines: `{sessionId, startTime, kind, directories}`, messages `{id, timestamp, type, content, model, tokens, toolCalls}`,
`{"$set": {...}}` and `{"$rewindTo": id}`. A message with tools is written again when they are done. What is taken
back later was spent none the less. A sub-agent's chat lies in a folder with the name of its parent session.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tokentop.agents._gemini import AGENT_ID, PROVIDER, TELEMETRY, tokens_of
from tokentop.agents._lines import LineReader
from tokentop.agents.base import Agent, JsonDocument, JsonLines, LogFile, Roots
from tokentop.agents.decoding import (
    document,
    epoch_ms,
    identifier,
    label,
    objects,
    text,
)
from tokentop.agents.processes import Processes, before_dashes, flag_value, session_uuid
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import clean, title

_NEEDLES = (b'"gemini"', b'"sessionId"')
_CONTEXT = b"<session_context>"
_USER = b'"user"'
_LIVE = (_USER, b'"error"', b'"info"')
_FOLDERS = "**Workspace Directories:**"
_LIMITS = ("quota", "rate limit", "429", "resource exhausted", "resource_exhausted")


class _Memory(Struct):
    """Decoder state: plain data."""

    session: str = ""
    has_cwd: bool = False
    titled: bool = False
    call: str = ""  # the open request: the message that it answers
    stopped: bool = (
        False  # the user cancelled all tools of the last answer: their results are written, not sent
    )


class GeminiLines(LineReader[_Memory]):
    """Decoder of one chat; see `base.Decoder`."""

    def __init__(self, file: LogFile, state: bytes = b"") -> None:
        super().__init__(AGENT_ID, file, state, _Memory)

    @property
    def needles(self) -> tuple[bytes, ...]:
        needles = _NEEDLES if self._memory.has_cwd else (*_NEEDLES, _CONTEXT)
        if self.live:
            return (*needles, *_LIVE)
        return needles if self._memory.titled else (*needles, _USER)

    def _record(self, found: dict[str, Any]) -> None:
        changes = found.get("$set")
        if isinstance(changes, dict):
            # On resume the messages so far are written again, those of the model without tokens.
            for message in objects(changes.get("messages")):
                self._message(message, again=True)
        elif "sessionId" in found:
            self._begin(found)
        else:
            self._message(found)

    def document(self, found: dict[str, Any]) -> None:
        """The whole chat of an older version."""
        self._begin(found)
        for message in objects(found.get("messages")):
            self._message(message)

    # ------------------------------------------------------------ who

    def _begin(self, about: dict[str, Any]) -> None:
        memory, folders = self._memory, self._file.parents
        sid = about.get("sessionId")
        memory.session = identifier(sid) if isinstance(sid, str) and sid else memory.session
        if not memory.session:
            return
        parent = identifier(folders[-1]) if folders and folders[-1] != "chats" else ""
        sub_agent = about.get("kind") == "subagent"
        directories = about.get("directories")
        cwd = directories[0] if isinstance(directories, list) and directories else ""
        cwd = cwd or self._file.beside.decode("utf-8", "replace").strip()
        first_ms = epoch_ms(about.get("startTime"))
        self.facts.append(
            Session(
                AGENT_ID, memory.session, parent_id=parent, root_id=parent or memory.session,
                role=Role.SUB_AGENT if sub_agent or parent else Role.MAIN, cwd=self._folder(cwd),
                title=title(text(about.get("summary"), 400)), title_rank=2, first_ms=first_ms,
                last_ms=max(first_ms, epoch_ms(about.get("lastUpdated"))), log_path=self._file.path,
            )
        )  # fmt: skip

    def _folder(self, value: object) -> str:
        folder = text(value, 400)
        absolute = folder.startswith("/") or folder[1:3] in (":\\", ":/")
        self._memory.has_cwd = self._memory.has_cwd or absolute
        return folder if absolute else ""

    def _prompt(self, said: str) -> bool:
        """Take the folder or the title from what stands in the user's place; whether it is a request."""
        memory = self._memory
        if said.startswith("<session_context>"):
            if not memory.has_cwd:
                below = said.partition(_FOLDERS)[2].strip()
                cwd = self._folder(below.partition("\n")[0].removeprefix("- ").strip())
                if cwd and memory.session:
                    self.facts.append(Session(AGENT_ID, memory.session, cwd=cwd))
            return False
        if said.strip() and not memory.titled and memory.session:
            memory.titled = True
            self.facts.append(Session(AGENT_ID, memory.session, title=title(said), title_rank=1))
        return True

    # ------------------------------------------------------------ what happens

    def _message(self, message: dict[str, Any], *, again: bool = False) -> None:
        kind, at_ms = message.get("type"), epoch_ms(message.get("timestamp"))
        key = text(message.get("id"))
        if kind == "user":
            said = _said(message.get("content"))
            asks = self._prompt(said)
            self._memory.stopped = self._memory.stopped and not said
            if asks and not again and not self._memory.stopped:
                self._activity(at_ms, State.WORKING, call=key)
        elif kind == "gemini" and key and self._memory.session:
            self._answer(message, key, at_ms, again)
        elif kind in ("error", "info") and not again:
            self._notice(str(kind), clean(_said(message.get("content")), 100), at_ms)

    def _answer(self, message: dict[str, Any], key: str, at_ms: int, again: bool) -> None:
        counts = message.get("tokens")
        used = tokens_of(self.facts, counts) if isinstance(counts, dict) else Tokens()
        tools, model = objects(message.get("toolCalls")), label(text(message.get("model")))
        done = bool(tools)
        # Messages without counts that are no answers: repeated ones, summaries, tools that came after a prompt.
        if used.total or not (again or done or not model):
            self._count(key, at_ms, model, used)
        if again:
            return
        self._memory.stopped = done and all(tool.get("status") == "cancelled" for tool in tools)
        if done:
            self._activity(at_ms, State.IDLE if self._memory.stopped else State.WORKING)
        else:
            # Written before its tools run; an answer without a word is there for its tools.
            self._activity(at_ms, State.IDLE if _said(message.get("content")) else State.TOOL)

    def _count(self, key: str, at_ms: int, model: str, used: Tokens) -> None:
        session = self._memory.session
        self.facts.append(
            Usage(
                AGENT_ID, session, f"{session}:{key}", at_ms or self._file.mtime_ms, model, used, PROVIDER,
                at_estimated=not at_ms, kind=Kind.RESPONSE if used.total else Kind.UNKNOWN,
            )
        )  # fmt: skip
        if used.prompt and at_ms:
            self.facts.append(Context(AGENT_ID, session, at_ms, used.prompt))

    def _notice(self, kind: str, said: str, at_ms: int) -> None:
        if kind == "error":
            limited = any(word in said.lower() for word in _LIMITS)
            self._activity(at_ms, State.LIMITED if limited else State.ERROR, detail=said)
        elif "cancelled" in said.lower():
            self._activity(at_ms, State.IDLE, lost=True)

    def _activity(
        self, at_ms: int, state: State, *, call: str = "", detail: str = "", lost: bool = False
    ) -> None:
        """Every record but the next request ends the open one."""
        memory = self._memory
        if not (self.live and memory.session and at_ms):
            memory.call = ""
            return
        ended, memory.call = "" if call else memory.call, call
        self.facts.append(
            Activity(
                AGENT_ID, memory.session, at_ms, state, detail=detail, call_id=call,
                ends_call="" if lost else ended, lost_call=ended if lost else "",
            )
        )  # fmt: skip


def _said(content: object) -> str:
    """The first text of a message: a string, or parts of which some are calls and results of tools."""
    if isinstance(content, str):
        return content
    parts = (part.get("text") for part in objects(content))
    return next((part for part in parts if isinstance(part, str)), "")


def read_chat(file: LogFile, data: bytes) -> list[Fact]:
    """Facts of `session-*.json`."""
    found = document(data)
    if not isinstance(found, dict) or not isinstance(found.get("messages"), list):
        return []
    decoder = GeminiLines(file)
    decoder.live = True
    decoder.document(found)
    return decoder.facts


def one_shot(argv: Sequence[str]) -> bool:
    return any(word in {"-p", "--prompt"} or word.startswith("--prompt=") for word in before_dashes(argv))


PROCESSES = Processes(
    agent=AGENT_ID,
    label="Gemini CLI",
    names=("gemini",),
    package_dirs=("/node_modules/@google/gemini-cli",),
    entry_names=("index", "gemini"),
    root_env="GEMINI_CLI_HOME",
    root_below=".gemini",
    root_dirs=(".gemini",),
    one_shot=one_shot,
    argv_session=lambda argv: session_uuid(flag_value(argv, "--resume", "-r", "--session-id")),
    # INT in the middle of an answer costs another call that no log shows.
    ladder=(("TERM", 5.0), ("KILL", 2.0)),
    interrupt_keys=("Escape",),
    resume="gemini --resume {session_id}",
)

_LEVELS = ("*", "chats", "*")
_PROJECT = "../.project_root"  # the folder, of chats that do not tell it

AGENT = Agent(
    id=AGENT_ID,
    label="Gemini CLI",
    version=1,
    roots=Roots(env="GEMINI_CLI_HOME", dirs=("~/.gemini",), below=".gemini"),
    sources=(
        JsonLines(folder="tmp", suffixes=(".jsonl",), levels=_LEVELS, beside=_PROJECT, decoder=GeminiLines),
        JsonDocument(folder="tmp", suffixes=(".json",), levels=_LEVELS, beside=_PROJECT, read=read_chat),
    ),
    processes=PROCESSES,
    resume="gemini --resume {session_id}",
    start_hint="run `gemini` in a project folder",
    missing="answers that were cut off, the model router's calls",
    tried=("0.61.0",),
    telemetry=TELEMETRY,
)
