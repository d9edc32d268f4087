"""Kiro CLI (once Amazon Q): its processes alone. What it keeps of a conversation tells credits or characters."""

from __future__ import annotations

from tokentop.agents.base import Agent, Quality, Roots
from tokentop.agents.processes import Processes

AGENT_ID = "kiro"

AGENT = Agent(
    id=AGENT_ID,
    label="Kiro CLI",
    version=1,
    roots=Roots(env="XDG_DATA_HOME", below="kiro-cli", dirs=("~/.local/share/kiro-cli",)),
    sources=(),
    processes=Processes(
        agent=AGENT_ID,
        label="Kiro CLI",
        names=("kiro-cli", "kiro-cli-chat"),
        one_shot=lambda argv: "--no-interactive" in argv,
    ),
    resume="",
    start_hint="run `kiro-cli` in a project folder",
    tokens=Quality.UNKNOWN,
    missing="all usage: credits or characters at most, in its own database",
)
