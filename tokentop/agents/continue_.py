"""Continue: the CLI `cn` and the editor extension share `~/.continue/sessions`.

`<session>.json`: {"sessionId", "title", "workspaceDirectory", "history": [{"message": {"role", "content", "usage"?:
{"prompt_tokens", "completion_tokens", "prompt_tokens_details", "model"}}, "toolCallStates"?}], "usage": totals}.
`sessions.json`: [{"sessionId", "title", "dateCreated" (ms as text), "workspaceDirectory"}].

No message has an id or a time. A compaction replaces the whole history by one summary, a fork begins with a copy of
its parent's: `usage`, which counts the calls of this session alone, tells both.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from tokentop.agents import decoding
from tokentop.agents.base import Agent, JsonDocument, LogFile, Roots
from tokentop.agents.processes import Processes, role_without
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Session, State
from tokentop.nouns.usage import Kind, RunningTotal, Tokens, Usage
from tokentop.text import title

AGENT_ID = "continue"
_UNTITLED = frozenset({"", "Untitled Session", "New Session"})
_RUNS = frozenset({"generating", "generated", "calling"})
_HELPERS = frozenset({"login", "logout", "ls", "checks"})


def read(file: LogFile, data: bytes) -> list[Fact]:
    """The facts of a session, or of the list of sessions. ValueError if the document is not whole."""
    document = decoding.document(data)
    if isinstance(document, list):
        return [_listed(item) for item in decoding.objects(document) if item.get("sessionId")]
    about = decoding.obj(document)
    if not isinstance(about.get("history"), list):
        return []
    return _Document(file, about).facts


def _listed(item: dict[str, Any]) -> Session:
    name = decoding.string(item.get("title"))
    return Session(
        AGENT_ID, decoding.identifier(decoding.string(item.get("sessionId"))),
        cwd=decoding.text(item.get("workspaceDirectory"), 400), title="" if name in _UNTITLED else title(name),
        title_rank=1, first_ms=decoding.epoch_ms(item.get("dateCreated")),
    )  # fmt: skip


class _Document:
    """One session as it stands."""

    def __init__(self, file: LogFile, about: dict[str, Any]) -> None:
        self.file = file
        self.session_id = decoding.identifier(decoding.string(about.get("sessionId"))) or file.stem
        self.facts: list[Fact] = []
        history = decoding.objects(about["history"])
        calls = [decoding.obj(decoding.obj(item.get("message")).get("usage")) for item in history]
        total = about.get("usage")
        self._epoch = _epoch(history)
        # What is copied was counted in the session that it is copied from.
        begins = _own_from(calls, total) if isinstance(total, dict) else 0
        used = [self._call(i, item, calls[i]) for i, item in enumerate(history) if i >= begins]
        answers = [usage for usage in used if usage is not None]
        self.facts += answers
        self._session(about, history, answers)
        if isinstance(total, dict):
            self._total(total, calls[begins:], answers)
        if history:
            self._status(history[-1])

    def _session(
        self, about: dict[str, Any], history: list[dict[str, Any]], answers: Sequence[Usage]
    ) -> None:
        name, rank = decoding.string(about.get("title")), 1
        if name in _UNTITLED:
            name, rank = _prompt(history), 0
        self.facts.append(
            Session(
                AGENT_ID, self.session_id, cwd=decoding.text(about.get("workspaceDirectory"), 400), title=title(name),
                title_rank=rank, model=answers[-1].model if answers else "", last_ms=self.file.mtime_ms,
                log_path=self.file.path,
            )
        )  # fmt: skip
        tokens = answers[-1].tokens if answers else Tokens()
        if tokens.total:
            used = tokens.prompt + tokens.output
            self.facts.append(Context(AGENT_ID, self.session_id, self.file.mtime_ms, used))

    def _call(self, index: int, item: dict[str, Any], usage: dict[str, Any]) -> Usage | None:
        message = decoding.obj(item.get("message"))
        if message.get("role") != "assistant" or (index == 0 and self._epoch):
            return None
        model, at_ms = decoding.text(usage.get("model")), self.file.mtime_ms
        prompt, cache_read, cache_write = _prompt_counts(usage)
        whole = not _apart(model, prompt, cache_read, cache_write)
        tokens = decoding.tokens(
            AGENT_ID, self.facts, fresh=None if whole else usage.get("prompt_tokens", 0),
            prompt=usage.get("prompt_tokens", 0) if whole else None, cache_read=cache_read, cache_write=cache_write,
            output=usage.get("completion_tokens"),
        )  # fmt: skip
        return Usage(
            AGENT_ID, self.session_id, f"{self.session_id}:{self._epoch}{index}", at_ms, model, tokens,
            kind=Kind.RESPONSE if tokens.total else Kind.UNKNOWN, at_estimated=True,
        )  # fmt: skip

    def _total(
        self, total: dict[str, Any], calls: Sequence[dict[str, Any]], answers: Sequence[Usage]
    ) -> None:
        """The session's own totals hold compactions and what they removed.

        Only where they can be compared bucket by bucket: with one model, whose prompts are counted apart from what
        was cached.
        """
        models = {usage.model for usage in answers if usage.tokens.total}
        if len(models) != 1:
            return
        model = models.pop()
        if not all(_apart(model, *_prompt_counts(call)) for call in calls if call):
            return
        details = decoding.obj(total.get("promptTokensDetails"))
        tokens = decoding.tokens(
            AGENT_ID, self.facts, fresh=total.get("promptTokens", 0), cache_read=details.get("cachedTokens"),
            cache_write=details.get("cacheWriteTokens"), output=total.get("completionTokens"),
        )  # fmt: skip
        at_ms = self.file.mtime_ms
        self.facts.append(RunningTotal(AGENT_ID, self.session_id, 0, at_ms, 0, ((model, tokens, 0),)))

    def _status(self, last: dict[str, Any]) -> None:
        """What the newest message says; its time is that of the writing."""
        message = decoding.obj(last.get("message"))
        state, tool = State.IDLE, ""
        if message.get("role") != "assistant":
            state = State.WORKING
        for call in decoding.objects(last.get("toolCallStates")):
            name = decoding.text(decoding.obj(decoding.obj(call.get("toolCall")).get("function")).get("name"))
            if decoding.string(call.get("status")) in _RUNS:
                state, tool = State.TOOL, name
            elif state is State.IDLE:
                state = State.WORKING  # its result is answered next
        self.facts.append(Activity(AGENT_ID, self.session_id, self.file.mtime_ms, state, tool=tool))


def _epoch(history: Sequence[dict[str, Any]]) -> str:
    """ "" until the history is replaced by a summary; then a sign of that summary, since indexes begin anew."""
    summary = history[0].get("conversationSummary") if history else None
    if not isinstance(summary, str) or decoding.obj(history[0].get("message")).get("role") != "assistant":
        return ""
    return f"{zlib.crc32(summary.encode('utf-8', 'replace')):08x}:"


def _own_from(calls: Sequence[dict[str, Any]], total: dict[str, Any]) -> int:
    """The index from which calls are this session's own: those that its totals hold, counted from the end."""
    prompt, output = _count(total.get("promptTokens")), _count(total.get("completionTokens"))
    for index in range(len(calls) - 1, -1, -1):
        prompt -= _count(calls[index].get("prompt_tokens"))
        output -= _count(calls[index].get("completion_tokens"))
        if prompt < 0 or output < 0:
            return index + 1
    return 0


def _prompt_counts(usage: dict[str, Any]) -> tuple[int, int, int]:
    """(prompt, read from the cache, written to it)."""
    details = decoding.obj(usage.get("prompt_tokens_details"))
    read = _count(details.get("cache_read_tokens")) or _count(details.get("cached_tokens"))
    return _count(usage.get("prompt_tokens")), read, _count(details.get("cache_write_tokens"))


def _apart(model: str, prompt: int, cache_read: int, cache_write: int) -> bool:
    """Whether the prompt count leaves out what was cached: Anthropic's does, OpenAI's does not."""
    return prompt < cache_read + cache_write or "claude" in model.lower()


def _prompt(history: Sequence[dict[str, Any]]) -> str:
    for item in history:
        message = decoding.obj(item.get("message"))
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return next((t for p in decoding.objects(content) if isinstance(t := p.get("text"), str)), "")
    return ""


def _count(value: object) -> int:
    return decoding.count(value) or 0


# ---------------------------------------------------------------- processes


AGENT = Agent(
    id=AGENT_ID,
    label="Continue",
    version=1,
    roots=Roots(env="CONTINUE_GLOBAL_DIR", dirs=("~/.continue",)),
    sources=(JsonDocument(folder="sessions", suffixes=(".json",), levels=(), read=read),),
    processes=Processes(
        agent=AGENT_ID,
        label="Continue",
        names=("cn",),
        package_dirs=("/node_modules/@continuedev/cli",),
        entry_names=("cn", "index"),
        common_name=True,
        root_env="CONTINUE_GLOBAL_DIR",
        root_dirs=(".continue",),
        role_of=role_without(_HELPERS),
        one_shot=lambda argv: bool({"-p", "--print"} & set(argv[1:])),
        interrupt_keys=("Escape",),
        resume="cn --fork {session_id}",
    ),
    resume="cn --fork {session_id}",
    start_hint="run `cn` in a project folder",
    missing="times (when a change was seen); titles; `cn -p` that is killed; the tokens of most editor sessions",
    tried=("1.5.47",),
)
