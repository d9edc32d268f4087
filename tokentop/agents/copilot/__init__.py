"""GitHub Copilot CLI."""

from __future__ import annotations

from tokentop.agents.base import Agent, JsonLines, Roots

from .lines import CopilotLines
from .processes import PROCESSES
from .sidecar import read_workspace

AGENT = Agent(
    id="copilot",
    label="Copilot CLI",
    version=1,
    roots=Roots(env="COPILOT_HOME", dirs=("~/.copilot",)),
    sources=(
        JsonLines(
            folder="session-state",
            suffixes=(".jsonl",),
            levels=("*",),
            decoder=CopilotLines,
            sidecar="workspace.yaml",
            read_sidecar=read_workspace,
        ),
    ),
    processes=PROCESSES,
    resume="copilot --resume {session_id}",
    signs=("copilot@users.noreply.github.com",),
    start_hint="run `copilot` in a project folder",
    missing="the lifetime of cache writes; aborted streams; versions before 1.0.9x tell only totals, at the end",
    tried=("1.0.102",),
)
