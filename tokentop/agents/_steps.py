"""What a session did, from the records of its own log: tool calls with their results, answers, prompts. Pure.

Records are recognised by their shape, not by the agent: few shapes are in use, each the tool call of one provider's
API or of one client. What has none of them gives no step; arguments and outputs of tools are never looked into, so
that text which imitates a record cannot become one.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tokentop.nouns.looks import Step
from tokentop.text import clean, one_line

from ._step_parts import (
    DETAIL_CHARS,
    argument,
    identity,
    inner_objects,
    is_arguments,
    is_prompt,
    outcome,
    text_of,
    time_of,
    took_of,
)  # fmt: skip
from .decoding import epoch_ms, obj, string

_DEPTH = 8
_SPEAKERS = frozenset({"user", "assistant", "gemini", "model"})
_COMPACTED = frozenset({
    "compact_boundary", "compacted", "compaction", "context_compacted", "session.compaction_complete",
})  # fmt: skip
_INSIDE = frozenset({  # fields that hold further records; all others are left alone
    "message", "payload", "data", "event", "item", "entry", "content", "parts", "messages", "history", "uiEvent",
    "systemPayload", "delta", "msg", "toolCalls", "tool_calls", "toolCallStates", "functionCall", "functionResponse",
    "toolCallResult",
})  # fmt: skip
_COPIES = frozenset({"api-request-blob", "api-request-shape", "api-request", "session.shutdown"})
_CALLS = frozenset({
    "tool_use", "toolcall", "tool_call", "tool-call", "function_call", "custom_tool_call", "server_tool_use",
    "mcp_tool_use", "mcp_call", "toolrequest",
})  # fmt: skip
_RESULTS = frozenset({
    "tool_result", "tool-result", "function_call_output", "custom_tool_call_output", "toolresult", "mcp_tool_result",
})  # fmt: skip
# One of these names is in every record of a call, and of a result that its type does not tell.
_CALL_KEYS = frozenset({
    "function", "tool", "name", "toolName", "tool_name", "function_name", "detail", "action",
})  # fmt: skip
_ITEMS = frozenset({"commandexecution", "mcptoolcall", "filechange", "collabagenttoolcall", "websearch"})
_RESULT_KEYS = frozenset({"response", "toolCallId", "tool_call_id", "callId", "call_id"})
_MODELS = ("model", "modelId", "modelID", "modelName")
_NOT_A_PERSON = frozenset({"injection", "system", "compaction"})


class Steps:
    """Takes the records of one session, oldest first; `found()` gives its steps.

    `session_id` leaves out the records of other sessions in the same file; `texts` = what was said is wanted too.
    """

    kept = 400  # steps of one look
    details = True  # their arguments are wanted too

    def __init__(self, session_id: str = "", texts: bool = True) -> None:
        self._session = session_id
        self._texts = texts
        self._steps: dict[object, Step] = {}  # by call id, or by what was said
        self._begun: dict[object, int] = {}
        self.dropped = 0  # steps before the first one that is kept

    def feed(self, record: dict[str, Any]) -> None:
        """Take one record; anything else than the known shapes is passed over."""
        sub = record.get("agentId")
        if isinstance(sub, str) and sub not in {"", "main"} and self._session and sub not in self._session:
            return  # a sub-agent's line in its parent's file
        kind = string(record.get("type"))
        if kind in _COPIES or (kind.startswith("session.") and kind not in _COMPACTED):
            return
        self._visit(record, 0, "", "", 0)

    def found(self) -> tuple[Step, ...]:
        return tuple(self._steps.values())

    # ------------------------------------------------------------ shapes

    def _visit(self, value: dict[str, Any], at_ms: int, role: str, model: str, depth: int) -> None:
        at_ms = time_of(value) or at_ms
        kind = string(value.get("type")).lower()
        speaker = kind.removesuffix(".message")
        role = string(value.get("role")) or (speaker if speaker in _SPEAKERS else role)
        for name in _MODELS:
            if name in value and (told := string(value[name])):
                model = told
                break
        if kind in _COMPACTED or value.get("subtype") == "compact_boundary":
            self._put(("compaction", at_ms), Step("compaction", "", "the context was compacted", at_ms))
            return  # what it holds is a summary of what was told before
        if value.get("isMeta") is True or value.get("isCompactSummary") is True:
            return  # said by the client, not by a person
        if string(obj(value.get("origin")).get("kind")) in _NOT_A_PERSON:
            return
        if self._is_call(value, kind, at_ms) or self._is_result(value, kind, role, at_ms):
            return
        if self._texts and role:
            self._said(value, at_ms, role, model)
        if depth < _DEPTH:
            for name, part in value.items():
                if name in _INSIDE:
                    for inner in inner_objects(part):
                        self._visit(inner, at_ms, role, model, depth + 1)

    def _is_call(self, value: dict[str, Any], kind: str, at_ms: int) -> bool:
        """Whether it is a tool call; what is said inside of one is no step."""
        if _CALL_KEYS.isdisjoint(value) and kind not in _ITEMS:
            return False
        function = obj(value.get("function"))
        if "arguments" in function and isinstance(function.get("name"), str):
            self._call(value, function["name"], function["arguments"], at_ms)
            return True
        named = string(value.get("tool")) or string(value.get("name"))
        if (
            kind == "tool" and named and isinstance(value.get("state"), dict)
        ):  # OpenCode: call and result in one
            self._with_state(value, named, value["state"], at_ms)
            return True
        if kind == "effect" and isinstance(
            value.get("detail"), dict
        ):  # Vibe: the entry is replaced when it ends
            self._effect(value, value["detail"])
            return True
        if kind == "local_shell_call" and isinstance(value.get("action"), dict):
            self._call(value, "shell", value["action"], at_ms)
            return True
        if kind in _ITEMS:
            self._codex_item(value, at_ms)
            return True
        name = next(
            (
                value[n]
                for n in ("name", "toolName", "tool_name", "function_name")
                if isinstance(value.get(n), str)
            ),
            "",
        )
        arguments = next(
            (value[n] for n in ("input", "arguments", "args", "function_args", "parameters") if n in value),
            None,
        )
        if not name or arguments is None or not identity(value):
            return False
        if kind in _CALLS or (kind in {"", "function"} and is_arguments(arguments)) or "toolCallId" in value:
            self._call(value, name, arguments, at_ms)
            if kind not in {
                "function_call",
                "custom_tool_call",
            }:  # there it is the status of the call's own record
                self._end(value, 0, outcome(value) or "open", took_of(value))
            return True
        return False

    def _is_result(self, value: dict[str, Any], kind: str, role: str, at_ms: int) -> bool:
        if (kind in _RESULTS and identity(value)) or role in {"toolResult", "tool"}:
            self._end(value, at_ms, outcome(value))
            return True
        if _RESULT_KEYS.isdisjoint(value):
            return False
        if "response" in value and isinstance(value.get("name"), str) and identity(value):  # functionResponse
            failed = "error" in obj(value["response"])
            self._end(value, at_ms, "failed" if failed else "ok")
            return True
        answered = ("success", "return_value", "status", "exit_code")
        if any(name in value for name in ("toolCallId", "tool_call_id", "callId", "call_id")) and any(
            name in value for name in answered
        ):
            self._end(value, at_ms, outcome(value), took_of(value))
            return True
        return False

    # ------------------------------------------------------------ calls

    def _call(self, value: dict[str, Any], name: str, arguments: object, at_ms: int) -> None:
        key = identity(value)
        known = self._steps.get(key)
        detail = argument(arguments) if self.details else ""
        if known is not None:
            self._steps[key] = replace(known, detail=known.detail or detail)
            return
        self._put(key, Step("tool", clean(name, 40), detail, at_ms, "open"))
        self._begun[key] = at_ms

    def _end(self, value: dict[str, Any], at_ms: int, result: str, took: object = None) -> None:
        key = identity(value)
        step = self._steps.get(key)
        if step is None or step.kind != "tool":
            return
        if result == "open":
            return
        took_ms = took if type(took) is int and 0 <= took < 1 << 40 else None
        begun_ms = self._begun.get(key, 0)
        if took_ms is None and step.result == "open" and begun_ms and at_ms >= begun_ms:
            took_ms = at_ms - begun_ms
        settled = step.result if step.result in {"ok", "failed"} and result == "" else result
        self._steps[key] = replace(
            step, result=settled, took_ms=step.took_ms if took_ms is None else took_ms, at_ms=step.at_ms or at_ms
        )  # fmt: skip

    def _with_state(self, value: dict[str, Any], name: str, state: dict[str, Any], at_ms: int) -> None:
        times = obj(state.get("time")) or obj(value.get("time"))
        begun_ms, end_ms = epoch_ms(times.get("start")), epoch_ms(times.get("end"))
        self._call(value, name, state.get("input"), begun_ms or at_ms)
        status = string(state.get("status"))
        if status in {"completed", "error"}:
            took = end_ms - begun_ms if end_ms >= begun_ms > 0 else None
            self._end(value, end_ms, "ok" if status == "completed" else "failed", took)

    def _effect(self, value: dict[str, Any], detail: dict[str, Any]) -> None:
        if detail.get("kind") != "tool" or not isinstance(detail.get("toolName"), str):
            return
        self._call(value, detail["toolName"], detail.get("input"), epoch_ms(value.get("createdAt")))
        state = obj(value.get("state"))
        result = outcome(state)
        if obj(state.get("output")).get("type") == "error":
            result = "failed"
        self._end(value, epoch_ms(value.get("updatedAt")), result)

    def _codex_item(self, value: dict[str, Any], at_ms: int) -> None:
        """An `item_completed`: what the item's own call record does not tell is its end."""
        code = value.get("exit_code")
        result = outcome(value)
        if type(code) is int:
            result = "ok" if code == 0 else "failed"
        self._end(value, at_ms, result, took_of(value))

    # ------------------------------------------------------------ words

    def _said(self, value: dict[str, Any], at_ms: int, role: str, model: str) -> None:
        said = text_of(value)
        if not said:
            return
        if role == "user":
            if not is_prompt(said):
                return
            step = Step("prompt", "", one_line(said, DETAIL_CHARS), at_ms)
        elif role in {"assistant", "gemini", "model"}:
            step = Step("answer", clean(model, 60), one_line(said, DETAIL_CHARS), at_ms)
        else:
            return
        last = next(reversed(self._steps.values()), None)
        if last is not None and (last.kind, last.detail) == (step.kind, step.detail):
            return  # the same words in a second record
        self._put((step.kind, step.at_ms, step.detail), step)

    def _put(self, key: object, step: Step) -> None:
        self._steps[key] = step
        if len(self._steps) > self.kept:
            first = next(iter(self._steps))
            del self._steps[first]
            self._begun.pop(first, None)
            self.dropped += 1
