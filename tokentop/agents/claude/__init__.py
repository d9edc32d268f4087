"""Claude Code."""

from __future__ import annotations

from tokentop.agents.base import Agent, JsonLines, Roots

from .lines import ClaudeLines
from .processes import PROCESSES
from .sidecar import read_sub_agent
from .telemetry import TELEMETRY

AGENT = Agent(
    id="claude",
    label="Claude Code",
    version=1,
    roots=Roots(env="CLAUDE_CONFIG_DIR", dirs=("~/.claude", "~/.config/claude")),
    sources=(
        JsonLines(
            folder="projects",
            suffixes=(".jsonl",),
            decoder=ClaudeLines,
            sidecar=".meta.json",
            read_sidecar=read_sub_agent,
        ),
    ),
    processes=PROCESSES,
    resume="claude --resume {session_id}",
    signs=("noreply@anthropic.com",),
    start_hint="run `claude` in a project folder",
    missing="compaction and the rest of aborted streams are known only from the session's own running total (counted as"
    " hidden, late); versions without it lose them. A stream cut by TERM or KILL is billed and in no log",
    tried=("2.1.330",),
    telemetry=TELEMETRY,
)
