"""Mux (coder): agents in workspaces, one conversation each.

`~/.mux/sessions/<workspace>/chat.jsonl`: {"id", "role", "metadata": {"timestamp", "model", "historySequence", "partial"?,
"usage": {"inputTokens", "outputTokens", "cachedInputTokens", "reasoningTokens"}, "providerMetadata",
"toolModelUsages"?: [{"toolCallId", "model", "usage"}]}}, one line per message, the usage that of a whole turn.
`~/.mux/config.json`: the projects and the workspaces in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokentop.agents import decoding
from tokentop.agents.base import Agent, JsonDocument, JsonLines, LogFile, Roots
from tokentop.agents.processes import Processes, is_helper
from tokentop.nouns.facts import Fact
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.text import title

AGENT_ID = "mux"


class MuxLines:
    """The messages of one workspace. Every line stands for itself."""

    needles: tuple[bytes, ...] = (b'"role"',)

    def __init__(self, file: LogFile, _state: bytes) -> None:
        self.facts: list[Fact] = []
        self.ancestor = ""
        self.live = False
        self._file = file
        self._session_id = decoding.identifier(file.parents[-1] if file.parents else "")

    def line(self, line: bytearray | bytes) -> None:
        message = decoding.record(line)
        if message is None:
            self.facts.append(decoding.unparsed(AGENT_ID))
            return
        metadata = decoding.obj(message.get("metadata"))
        at_ms = decoding.epoch_ms(metadata.get("timestamp"))
        if message.get("role") == "user":
            self._prompt(message, metadata, at_ms)
        elif message.get("role") == "assistant" and metadata:
            self._answer(message, metadata, at_ms)

    def _prompt(self, message: dict[str, Any], metadata: dict[str, Any], at_ms: int) -> None:
        if self.live and at_ms:
            self.facts.append(Activity(AGENT_ID, self._session_id, at_ms, State.WORKING))
        if metadata.get("historySequence") in (0, 1) and metadata.get("synthetic") is not True:
            texts = (decoding.string(part.get("text")) for part in decoding.objects(message.get("parts")))
            first = title(next((text for text in texts if text), ""))
            self.facts.append(
                Session(AGENT_ID, self._session_id, title=first, first_ms=at_ms, log_path=self._file.path)
            )

    def _answer(self, message: dict[str, Any], metadata: dict[str, Any], at_ms: int) -> None:
        key = decoding.identifier(decoding.string(message.get("id")))
        key = key or f"{self._session_id}:{metadata.get('historySequence')}"
        usage = self._usage(key, metadata, at_ms)
        self.facts.append(usage)
        for number, tool in enumerate(decoding.objects(metadata.get("toolModelUsages"))):
            call = decoding.identifier(decoding.string(tool.get("toolCallId"))) or str(number)
            self.facts.append(self._usage(f"{key}:{call}", tool, at_ms))
        self.facts.append(
            Session(AGENT_ID, self._session_id, model=usage.model, last_ms=at_ms, log_path=self._file.path)
        )
        last = decoding.obj(metadata.get("contextUsage"))
        if last and at_ms:
            used = (decoding.count(last.get("inputTokens")) or 0) + (
                decoding.count(last.get("outputTokens")) or 0
            )
            self.facts.append(Context(AGENT_ID, self._session_id, at_ms, used))
        if self.live and at_ms:
            self.facts.append(Activity(AGENT_ID, self._session_id, at_ms, State.IDLE))

    def _usage(self, key: str, about: dict[str, Any], at_ms: int) -> Usage:
        at_ms = decoding.epoch_ms(about.get("timestamp")) or at_ms
        provider, model = _named(decoding.string(about.get("model")))
        tokens = self._tokens(provider, about)
        took = about.get("duration")
        duration_ms = int(took) if isinstance(took, int | float) and 0 < took < 86_400_000 else 0
        return Usage(
            AGENT_ID, self._session_id, key, at_ms or self._file.mtime_ms, model, tokens, provider, duration_ms,
            kind=Kind.RESPONSE if tokens.total else Kind.UNKNOWN, at_estimated=not at_ms,
        )  # fmt: skip

    def _tokens(self, provider: str, about: dict[str, Any]) -> Tokens:
        """Of a turn. Older versions count an Anthropic prompt without what was cached, newer ones with it."""
        usage = decoding.obj(about.get("usage"))
        details = decoding.obj(usage.get("inputTokenDetails"))
        anthropic = decoding.obj(decoding.obj(about.get("providerMetadata")).get("anthropic"))
        written = details.get("cacheWriteTokens") or anthropic.get("cacheCreationInputTokens") or 0
        read = usage.get("cachedInputTokens") or details.get("cacheReadTokens") or 0
        told = usage.get("inputTokens") or 0
        cached = (decoding.count(read) or 0) + (decoding.count(written) or 0)
        apart = provider == "anthropic" and (decoding.count(told) or 0) < cached
        return decoding.tokens(
            AGENT_ID, self.facts, fresh=told if apart else None, prompt=None if apart else told, cache_read=read,
            cache_write=written, output=usage.get("outputTokens"), reasoning=usage.get("reasoningTokens"),
        )  # fmt: skip

    def set_ancestor(self, vectors: Sequence[tuple[int, ...]] | None) -> None:
        """No log of it begins with a copy: its messages keep their ids."""

    def flush(self) -> None:
        """Nothing is held back."""

    def state(self) -> bytes:
        return b""


def _named(model: str) -> tuple[str, str]:
    """(provider, model) of `anthropic:claude-sonnet-4-5` or `mux-gateway:openai/gpt-5.1`."""
    provider, _, name = model.rpartition(":")
    if provider.endswith("gateway") and "/" in name:
        provider, _, name = name.partition("/")
    return decoding.label(provider[:100]), decoding.label(name[:100])


def read_config(_file: LogFile, data: bytes) -> list[Fact]:
    """Folders, titles and parents of workspaces. ValueError if the document is not whole."""
    projects = decoding.obj(decoding.document(data)).get("projects")
    pairs = projects if isinstance(projects, list) else []
    facts: list[Fact] = []
    for pair in pairs:
        about = decoding.obj(pair[1]) if isinstance(pair, list) and len(pair) == 2 else {}
        for workspace in decoding.objects(about.get("workspaces")):
            session_id = decoding.identifier(decoding.string(workspace.get("id")))
            parent = decoding.identifier(decoding.string(workspace.get("parentWorkspaceId")))
            name = decoding.string(workspace.get("title")) or decoding.string(workspace.get("name"))
            if session_id:
                facts.append(
                    Session(
                        AGENT_ID, session_id, parent_id=parent, role=Role.SUB_AGENT if parent else None,
                        cwd=decoding.text(workspace.get("path"), 400), title=title(name), title_rank=1,
                    )
                )  # fmt: skip
    return facts


def role_of(argv: Sequence[str]) -> ProcRole | None:
    if "server" in argv[1:2]:
        return ProcRole.DAEMON
    return None if is_helper(argv) or any(word.startswith("--type=") for word in argv) else ProcRole.AGENT


AGENT = Agent(
    id=AGENT_ID,
    label="Mux",
    version=1,
    roots=Roots(env="MUX_ROOT", dirs=("~/.mux",)),
    sources=(
        JsonLines(folder="sessions", suffixes=("chat.jsonl",), levels=("*",), decoder=MuxLines),
        JsonDocument(suffixes=("config.json",), levels=(), read=read_config),
    ),
    processes=Processes(
        agent=AGENT_ID,
        label="Mux",
        names=("mux",),
        package_dirs=("/node_modules/mux/",),
        common_name=True,
        root_env="MUX_ROOT",
        root_dirs=(".mux",),
        role_of=role_of,
        one_shot=lambda argv: argv[1:2] == ("run",),
    ),
    resume="",
    start_hint="run `mux` or open its application",
    missing="single calls: a turn is one record; the title's call",
)
