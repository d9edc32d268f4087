"""Claude Code."""

from __future__ import annotations

from tokentop.agents.base import Agent, JsonLines, Roots

from .lines import ClaudeLines
from .processes import PROCESSES
from .sidecar import read_sub_agent

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
    start_hint="run `claude` in a project folder",
)
