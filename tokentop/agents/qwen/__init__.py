"""Qwen Code: one call stands in up to four places, and is counted once. Pure.

`projects/<slug>/chats/<session>.jsonl`: a `ui_telemetry` record per response (counted) and the assistant's message
with the same counts (the context gauge). `usage/token-usage-<month>.jsonl`: the same responses again, all there is
of sessions that keep no chat. `usage_record.jsonl`: the sums of a session when it ends, its internal calls included.
The key of a response is what both of the first two tell of it: model, counts and duration.
"""

from __future__ import annotations

from collections.abc import Callable

from tokentop.agents.base import Agent, Decoder, JsonDocument, JsonLines, LogFile, Roots

from .chat import QwenChat
from .others import QwenCalls, QwenTotals, read_old_chat, read_sub_agent
from .processes import PROCESSES
from .records import AGENT_ID
from .telemetry import TELEMETRY


def _lines(decoder: Callable[[LogFile, bytes], Decoder], folder: str, name: str, *levels: str) -> JsonLines:
    return JsonLines(folder=folder, suffixes=(name,), levels=levels, decoder=decoder)


AGENT = Agent(
    id=AGENT_ID,
    label="Qwen Code",
    version=1,
    roots=Roots(env="QWEN_HOME", dirs=("~/.qwen", "$QWEN_RUNTIME_DIR")),
    sources=(
        _lines(QwenChat, "projects", ".jsonl", "*", "chats"),
        _lines(QwenCalls, "usage", ".jsonl"),
        _lines(QwenTotals, "", "usage_record.jsonl"),
        JsonDocument(
            folder="projects", suffixes=(".meta.json",), levels=("*", "subagents", "*"), read=read_sub_agent
        ),
        JsonDocument(folder="tmp", suffixes=(".json",), levels=("*", "chats"), read=read_old_chat),
    ),
    processes=PROCESSES,
    resume="qwen --resume {session_id}",
    signs=("qwen-coder@alibabacloud.com",),
    start_hint="run `qwen` in a project folder",
    missing="answers that were cut off; internal calls come when the session ends",
    tried=("0.24.4",),
    telemetry=TELEMETRY,
)
