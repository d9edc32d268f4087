"""OpenAI Codex: CLI, desktop application and editor extension share its logs."""

from __future__ import annotations

from tokentop.agents.base import Agent, JsonLines, Roots

from .forks import orphan_of, vectors
from .identity import file_thread
from .lines import CodexLines
from .processes import PROCESSES
from .telemetry import TELEMETRY

_ROLLOUTS = (".jsonl", ".jsonl.zst")

AGENT = Agent(
    id="codex",
    label="Codex",
    version=1,
    roots=Roots(env="CODEX_HOME", dirs=("~/.codex",)),
    sources=tuple(
        JsonLines(
            folder=folder,
            suffixes=_ROLLOUTS,
            decoder=CodexLines,
            file_id=file_thread,
            vectors=vectors,
            orphan_of=orphan_of,
            vector_needle=b'"token_count"',
        )
        for folder in ("sessions", "archived_sessions")
    ),
    processes=PROCESSES,
    resume="codex resume {session_id}",
    signs=("noreply@openai.com", "codex@openai.com"),
    start_hint="run `codex` in a project folder",
    missing="the TUI's title call and aborted streams are in no log; old versions lose a call killed in its tool; an old"
    " fork whose parent's log is gone is told apart by time, marked estimated",
    tried=("0.169.0",),
    telemetry=TELEMETRY,
)
