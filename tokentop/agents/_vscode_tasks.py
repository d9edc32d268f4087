"""Tasks of the extensions that descend from Cline: Cline itself, Roo Code, Kilo Code before 7.2.

`<editor's user folder>/User/globalStorage/<extension>/tasks/<task>/`:
`ui_messages.json`    [{"ts", "type": "say", "say": "api_req_started", "text": "{\\"tokensIn\\": ..., \\"tokensOut\\": ...,
                      \\"cacheReads\\": ..., \\"cacheWrites\\": ..., \\"cost\\": ...}", "modelInfo"?}]; a request is there
                      without counts while it runs
`history_item.json`   {"id", "ts", "task", "workspace", "parentTaskId"?, "rootTaskId"?}
`task_metadata.json`  {"model_usage": [{"ts", "model_id", "model_provider_id"}]}
`api_conversation_history.json` what is sent; its environment names the model: <model>claude-sonnet-4-5</model>
and `state/taskHistory.json`: a list of history items. Their totals repeat the requests.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokentop.agents import decoding
from tokentop.agents.base import JsonDocument, LogFile, Source
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Activity, Context, Role, Session, State
from tokentop.nouns.usage import Kind, RunningTotal, Tokens, Usage
from tokentop.text import title

NAMES = ("ui_messages.json", "history_item.json", "task_metadata.json")
SENT, USED = "api_conversation_history.json", "task_metadata.json"  # files beside that name models
_EDITORS = ("Code", "Code - Insiders", "VSCodium", "Cursor", "Windsurf", "Trae", "Kiro", "Antigravity")
_HOMES = ("~/.config", "~/Library/Application Support", "$APPDATA")
_SERVERS = ("~/.vscode-server", "~/.vscode-server-insiders", "~/.cursor-server")

# Since these releases `tokensIn` is the whole prompt with every provider; before, without what was cached where the
# provider counts so. (Roo Code 3.29.5, Kilo Code 4.119.0)
_WHOLE_SINCE_MS = {"roo": 1_761_955_200_000, "kilo-vscode": 1_762_905_600_000}
# Providers of Cline that hand on OpenAI's prompt count, which includes what was cached.
_WHOLE_PROVIDERS = frozenset(
    {"openai", "litellm", "doubao", "fireworks", "hicap", "lmstudio", "qwen", "xai", "zai"}
)
_LATE_MS = 2_000  # a model is noted this long after the request at most
_SUMS = frozenset({"deleted_api_reqs", "subagent_usage"})
_COUNTS = ("tokensIn", "tokensOut", "cacheReads", "cacheWrites")
_PERMISSION = frozenset({"tool", "command", "browser_action_launch", "use_mcp_server", "use_subagents"})
_INPUT = frozenset(
    {"followup", "plan_mode_respond", "act_mode_respond", "new_task", "condense", "report_bug"}
)
_ERROR = frozenset({"api_req_failed", "mistake_limit_reached", "auto_approval_max_req_reached"})


def places(extension: str) -> tuple[str, ...]:
    """Where the editors keep an extension's data, on every system and on remote hosts."""
    users = [f"{home}/{editor}/User" for home in _HOMES for editor in _EDITORS]
    users += [f"{server}/data/User" for server in _SERVERS]
    return tuple(f"{user}/globalStorage/{extension}" for user in users)


def sources(reader: Callable[[LogFile, bytes], list[Fact]], beside: str) -> tuple[Source, ...]:
    return (
        JsonDocument(folder="tasks", suffixes=NAMES, levels=("*",), read=reader, beside=beside),
        JsonDocument(folder="state", suffixes=("taskHistory.json",), levels=(), read=reader),
    )


def read(agent: str, file: LogFile, data: bytes) -> list[Fact]:
    """The facts of one document. ValueError if it is not whole."""
    document = decoding.document(data)
    if file.path.endswith("taskHistory.json"):
        return [fact for item in decoding.objects(document) for fact in _history(agent, file, item, "")]
    task = decoding.identifier(file.parents[-1] if file.parents else "")
    if not task:
        return []
    if isinstance(document, list):
        return _Task(agent, file, task, decoding.objects(document)).facts
    about = decoding.obj(document)
    if "model_usage" in about:
        return _metadata(agent, task, about)
    return _history(agent, file, about, task)


def _history(agent: str, file: LogFile, item: dict[str, Any], task: str) -> list[Fact]:
    task = task or decoding.identifier(decoding.string(item.get("id")))
    parent = decoding.identifier(decoding.string(item.get("parentTaskId")))
    if not task:
        return []
    cwd = item.get("workspace") or item.get("cwdOnTaskInitialization")
    return [
        Session(
            agent, task, parent_id=parent, root_id=decoding.identifier(decoding.string(item.get("rootTaskId"))),
            role=Role.SUB_AGENT if parent else None, cwd=decoding.text(cwd, 400), title=title(decoding.string(item.get("task"))),
            title_rank=1, last_ms=decoding.epoch_ms(item.get("ts")), log_path=file.path,
        )
    ]  # fmt: skip


def _metadata(agent: str, task: str, about: dict[str, Any]) -> list[Fact]:
    used = decoding.objects(about.get("model_usage"))
    model = decoding.text(used[-1].get("model_id")) if used else ""
    return [Session(agent, task, model=model)] if model else []


def _noted(file: LogFile) -> list[tuple[int, str, str]]:
    """(since when, model, provider) from the file beside a task's messages, oldest first.

    Cline keeps a list; elsewhere the model stands in the environment at the end of the first prompt.
    """
    found = decoding.objects((decoding.record(file.beside) or {}).get("model_usage"))
    if found:
        return [
            (decoding.epoch_ms(one.get("ts")), decoding.text(one.get("model_id")), decoding.text(one.get("model_provider_id")))
            for one in found
            if one.get("model_id")
        ]  # fmt: skip
    data = file.beside
    end = data.find(b"</model>")
    start = data.rfind(b"<model>", max(0, end - 200), end) if end > 0 else -1
    model = decoding.text(data[start + 7 : end].decode("utf-8", "replace")) if start >= 0 else ""
    return [(0, model, "")] if model else []


class _Task:
    """The messages of one task."""

    def __init__(self, agent: str, file: LogFile, task: str, messages: list[dict[str, Any]]) -> None:
        self.agent, self.file, self.task = agent, file, task
        self.facts: list[Fact] = []
        self._model = self._provider = ""
        self._calls: dict[str, Tokens] = {}  # by model
        self._beside: dict[str, Tokens] = {}  # spend that only a sum tells
        self._context = Tokens()
        # When the task began, not the name of its folder: a task that was moved or copied has the same requests.
        self._origin = messages[0].get("ts") if messages else 0
        self._read(messages)

    def _read(self, messages: list[dict[str, Any]]) -> None:
        known = [self._named(message) for message in messages]
        noted = _noted(self.file)
        first = [*(found for found in known if found[0]), *(found[1:] for found in noted[:1]), ("", "")]
        self._model, self._provider = first[0]
        first_ms = at_ms = named_ms = 0
        prompt = ""
        for message, (model, provider) in zip(messages, known, strict=True):
            at_ms = max(at_ms, decoding.epoch_ms(message.get("ts")))
            first_ms = first_ms or at_ms
            since = [found[1:] for found in noted if named_ms < found[0] <= at_ms + _LATE_MS]
            if model:
                self._model, self._provider, named_ms = model, provider, at_ms
            elif since:
                self._model, self._provider = since[-1]
            prompt = prompt or decoding.string(message.get("text"))  # the first message is the task itself
            if message.get("type") == "say":
                self._say(decoding.string(message.get("say")), message)
        self.facts.append(
            Session(
                self.agent, self.task, title=title(prompt), model=self._model, first_ms=first_ms, last_ms=at_ms,
                surface="editor", log_path=self.file.path,
            )
        )  # fmt: skip
        if self._beside:
            total = {**self._calls}
            for model, tokens in self._beside.items():
                total[model] = total.get(model, Tokens()) + tokens
            models = tuple((model, tokens, 0) for model, tokens in total.items())
            if all(tokens.total <= decoding.MAX_COUNT for tokens in total.values()):
                self.facts.append(RunningTotal(self.agent, self.task, 0, at_ms, first_ms, models))
        if self._context.total:
            used = self._context.prompt + self._context.output
            self.facts.append(Context(self.agent, self.task, at_ms, used))
        if messages and at_ms:
            self._status(messages[-1], at_ms)

    def _named(self, message: dict[str, Any]) -> tuple[str, str]:
        """The model that a message names: in a field of its own, or in the environment that was sent with a request."""
        info = decoding.obj(message.get("modelInfo"))
        if info.get("modelId"):
            return decoding.text(info.get("modelId")), decoding.text(info.get("providerId"))
        text = decoding.string(message.get("text")) if message.get("say") == "api_req_started" else ""
        start = text.rfind("<model>")
        if start < 0:
            return "", ""
        return decoding.text(text[start + 7 : start + 200].partition("</model>")[0]), ""

    def _say(self, say: str, message: dict[str, Any]) -> None:
        at_ms = decoding.epoch_ms(message.get("ts"))
        if say == "api_req_started":
            self._request(message, at_ms)
        elif say in _SUMS:
            request = decoding.record(decoding.string(message.get("text"))) or {}
            tokens = self._tokens(request, message, at_ms)
            if tokens.total:
                self._beside[self._model] = self._beside.get(self._model, Tokens()) + tokens
        elif say == "condense_context" and message.get("partial") is not True:
            cost = decoding.nusd(decoding.obj(message.get("contextCondense")).get("cost"))
            if cost:
                self._put(f"{self._origin}:condense:{at_ms}", at_ms, Tokens(), cost)

    def _request(self, message: dict[str, Any], at_ms: int) -> None:
        request = decoding.record(decoding.string(message.get("text"))) or {}
        tokens = self._tokens(request, message, at_ms)
        if tokens.total:
            self._calls[self._model] = self._calls.get(self._model, Tokens()) + tokens
            self._context = tokens
        self._put(f"{self._origin}:{message.get('ts')}", at_ms, tokens, decoding.nusd(request.get("cost")))

    def _put(self, key: str, at_ms: int, tokens: Tokens, cost: int | None) -> None:
        self.facts.append(
            Usage(
                self.agent, self.task, decoding.identifier(key), at_ms or self.file.mtime_ms, self._model, tokens,
                self._provider, logged_nusd=cost, kind=Kind.RESPONSE if tokens.total else Kind.UNKNOWN,
                at_estimated=not at_ms,
            )
        )  # fmt: skip

    def _tokens(self, request: dict[str, Any], message: dict[str, Any], at_ms: int) -> Tokens:
        told, out, cache_read, cache_write = (request.get(name) for name in _COUNTS)
        protocol = request.get("apiProtocol") or message.get("apiProtocol")
        cached = (decoding.count(cache_read) or 0) + (decoding.count(cache_write) or 0)
        whole = protocol == "openai" or self._counts_all(at_ms)
        if whole and (decoding.count(told) or 0) >= cached:
            fresh, prompt = None, told or 0
        else:
            fresh, prompt = told, None
        return decoding.tokens(
            self.agent, self.facts, fresh=fresh, prompt=prompt, cache_read=cache_read, cache_write=cache_write,
            output=out,
        )  # fmt: skip

    def _counts_all(self, at_ms: int) -> bool:
        since_ms = _WHOLE_SINCE_MS.get(self.agent)
        return self._provider in _WHOLE_PROVIDERS if since_ms is None else at_ms >= since_ms

    def _status(self, last: dict[str, Any], at_ms: int) -> None:
        ask, say = decoding.string(last.get("ask")), decoding.string(last.get("say"))
        state, tool = State.WORKING, ""
        if last.get("type") == "ask" and last.get("partial") is not True:
            if ask in _PERMISSION:
                state, tool = State.PERMISSION, ask
            elif ask in _INPUT:
                state = State.INPUT
            elif ask in _ERROR:
                state = State.ERROR
            elif ask == "command_output":
                state, tool = State.TOOL, "command"
            else:
                state = State.IDLE
        elif say == "completion_result":
            state = State.IDLE
        detail = ask.replace("_", " ") if state is State.ERROR else ""
        self.facts.append(Activity(self.agent, self.task, at_ms, state, tool=tool, detail=detail))


def transcript(path: str) -> str:
    """The file with the messages of a task, beside the one that counts them."""
    return f"{path.rpartition('/')[0]}/api_conversation_history.json"
