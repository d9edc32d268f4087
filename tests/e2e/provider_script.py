"""What the fake provider answers: scripted by the tag in the prompt, pure and stateless.

The last tag `@@name@@` or `@@name:seconds@@` in a user text picks the scenario, the number of answers after
it picks the step; so parallel sessions, resumes and sub-agents just work. A step that wants a tool which the
request does not offer says so in text. A prompt without a tag, as in title calls, gets "Scripted title".

    text        one answer                            slowtool:S    a shell call that takes S seconds
    tool        one shell call, then an answer        slowstream:S  a text streamed over S seconds
    tools       two shell calls in one message        slowblocks:S  two blocks, S seconds apart
    multi       three tool rounds, one with thought   loop          forty rounds of one second
    think       a thinking block, then text           write         a shell call that writes a file
    subagent    a child that runs `tool`              slowagent:S   a child that runs `slowtool:S`
    nested      a child that has a child              bgagent       a child in the background
    huge        1.2 M tokens of input                 err429/err529 the first try fails, then an answer
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import Any

TAG = re.compile(r"@@([a-z0-9]+)(?::([0-9.]+))?@@")
DEFAULT_SECONDS = 20.0


@dataclass(frozen=True)
class Tool:
    """A tool that the request offers. `namespace` "" = none."""

    name: str
    schema: dict[str, Any]
    namespace: str = ""


@dataclass(frozen=True)
class Request:
    """The parts of a model call that decide the answer. `users` = (text, answers given after it)."""

    users: list[tuple[str, int]]
    tools: list[Tool]
    thinking: bool = False
    spawned: list[str] = field(default_factory=list)  # ids of sub-agents that the log of the call names


@dataclass(frozen=True)
class Part:
    """One block of an answer: text, think or call."""

    kind: str
    text: str = ""
    tool: Tool | None = None
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """Blocks as (kind, value) before tools are chosen; kind = text, think, shell, read, agent, wait ..."""

    parts: tuple[tuple[str, str], ...]
    seconds: float = 0.0  # the stream takes this long
    fail: int = 0  # HTTP status of the first try
    huge: bool = False


@dataclass(frozen=True)
class Answer:
    scenario: str
    step: int
    parts: list[Part]
    seconds: float = 0.0
    fail: int = 0
    huge: bool = False


DONE = Step((("text", "All done. This is the scripted final answer."),))
ROUND = Step((("shell", "echo round"),))


def scenario(name: str, seconds: float) -> list[Step] | None:
    """The steps of scenario `name`; None if there is none of that name."""
    if name == "loop":
        return [Step((("shell", f"sleep 1; echo tick {i}"),)) for i in range(40)] + [DONE]
    long = f"{seconds:g}"
    wait = f"timeout {long} tail -f /dev/null; echo over"  # clients may refuse a plain sleep
    table = {
        "text": [Step((("text", "Hello from the fake provider."),))],
        "tool": [Step((("text", "I will run echo."), ("shell", "echo hi"))), DONE],
        "tools": [Step((("shell", "echo one"), ("shell", "echo two"))), DONE],
        "multi": [ROUND, Step((("think", "Second round."), ("shell", "echo two"))), ROUND, DONE],
        "think": [Step((("think", "Let me think."), ("text", "Thought about it.")))],
        "slowtool": [Step((("text", "Sleeping."), ("shell", wait))), DONE],
        "slowstream": [Step((("text", "slow words " * 40),), seconds=seconds)],
        "slowblocks": [Step((("text", "First. " * 12), ("shell", "echo slow")), seconds=seconds), DONE],
        "subagent": [
            Step((("text", "Delegating."), ("agent", "@@tool@@ part A"))),
            Step((("wait", ""),)),
            DONE,
        ],
        "nested": [Step((("agent", "@@subagent@@ delegate"),)), Step((("wait", ""),)), DONE],
        "slowagent": [Step((("agent", f"@@slowtool:{long}@@ child"),)), Step((("wait", ""),)), DONE],
        "bgagent": [Step((("agent_bg", "@@tool@@ background child"),)), DONE],
        "err429": [Step((("text", "Recovered after 429."),), fail=429)],
        "err529": [Step((("text", "Recovered after 529."),), fail=529)],
        "huge": [Step((("text", "Huge context."),), huge=True)],
        "write": [Step((("writing", "echo data > made_by_agent.txt"),)), DONE],
    }
    return table.get(name)


SHELLS = (
    *(
        "Bash",
        "exec_command",
        "shell_command",
        "shell",
        "bash",
        "Shell",
        "run_shell_command",
        "Execute",
        "exec",
    ),
    *("run_commands", "run_terminal_command"),
)
NAMES = {
    "shell": SHELLS,
    "writing": ("Write", "exec_command", "shell_command", "shell"),
    "agent": ("Agent", "Task", "spawn_agent"),
    "agent_bg": ("Agent", "Task", "spawn_agent"),
    "wait": ("wait_agent",),
}


def plan(request: Request, seq: int) -> Answer:
    """The scripted answer to `request`; `seq` only makes names unique."""
    for text, answers in reversed(request.users):
        tags = TAG.findall(text)
        steps = scenario(tags[-1][0], float(tags[-1][1] or DEFAULT_SECONDS)) if tags else None
        if steps:
            step = steps[answers] if answers < len(steps) else DONE
            parts = [part(kind, value, request, seq) for kind, value in step.parts]
            return Answer(tags[-1][0], answers, parts, step.seconds, step.fail, step.huge)
    return Answer("default", 0, [Part("text", "Scripted title")])


def part(kind: str, value: str, request: Request, seq: int) -> Part:
    if kind == "text":
        return Part("text", value)
    if kind == "think":
        return Part("think", value)
    tool = next((t for name in NAMES[kind] for t in request.tools if t.name == name), None)
    if tool is None:
        return Part("text", f"(no tool for {kind})")
    return Part("call", tool=tool, arguments=arguments(kind, value, tool, request, seq))


def arguments(kind: str, value: str, tool: Tool, request: Request, seq: int) -> dict[str, Any]:
    """Arguments that make `tool` do `kind` with `value`; what else it requires is filled from its schema."""
    known = tool.schema.get("properties") or {}
    filled = {name: fill(known.get(name, {})) for name in tool.schema.get("required") or []}
    if tool.name == "Write":
        wanted: dict[str, Any] = {"file_path": "made_by_agent.txt", "content": "data\n"}
    elif kind in ("shell", "writing"):
        wanted = {"command": value, "cmd": value, "description": "Scripted command", "yield_time_ms": 30_000}
        wanted |= {"commands": [value]}
        if "timeout" in filled:
            wanted["timeout"] = 60  # some say seconds, some milliseconds and then at least 1000
    elif kind == "wait":
        wanted = {"targets": request.spawned, "timeout_ms": 60_000}
    else:
        wanted = {
            "prompt": value,
            "message": value,
            "description": "Scripted child",
            "subagent_type": "general-purpose",
            "task_name": f"scripted_child_{seq}",
            "run_in_background": kind == "agent_bg",
        }
    return filled | {name: v for name, v in wanted.items() if name in known}


def fill(schema: dict[str, Any]) -> Any:
    """Some value that a JSON schema of one property allows."""
    if "const" in schema or "default" in schema:
        return schema.get("const", schema.get("default"))
    if schema.get("enum"):
        return schema["enum"][0]
    if some := schema.get("anyOf") or schema.get("oneOf"):
        return fill(some[0])
    simple = {"integer": 1, "number": 1, "boolean": False, "array": [], "object": {}}
    return simple.get(schema.get("type", "string"), "scripted value")


@dataclass(frozen=True)
class Buckets:
    """Disjoint token counts of one response; `reasoning` is a part of `output`."""

    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int

    @property
    def prompt(self) -> int:
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h


def buckets(answer: Answer, seq: int, body_bytes: int, api: str) -> Buckets:
    """Numbers that are unique per response, as far as the wire of `api` can say them.

    output = 1000 + seq, reasoning = 300 + seq more; plain input = 40 + seq; the rest of the prompt (a quarter
    of the body's bytes) is split into cache reads and writes. Anthropic has no reasoning number, OpenAI no
    cache-write number (such tokens are plain input there).
    """
    prompt = max(200, body_bytes // 4)
    if answer.step == 0:
        made = Buckets(40 + seq, prompt // 2, prompt // 4, prompt // 4, 1000 + seq, 0)
    else:
        made = Buckets(40 + seq, prompt - prompt // 10, prompt // 10, 0, 1000 + seq, 0)
    if answer.huge:
        made = replace(made, cache_read=made.cache_read + 1_200_000)
    if api == "anthropic":
        return made
    reasoning = 300 + seq if any(p.kind == "think" for p in answer.parts) else 0
    return Buckets(
        made.input + made.cache_write_5m + made.cache_write_1h,
        made.cache_read,
        0,
        0,
        made.output + reasoning,
        reasoning,
    )


def pieces(text: str, size: int = 24) -> list[str]:
    return [text[i : i + size] for i in range(0, len(text), size)] or [""]


def to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
