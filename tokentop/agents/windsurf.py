"""Windsurf: its processes alone. What it leaves on the disk tells no usage."""

from __future__ import annotations

from tokentop.agents.base import Agent, Quality, Roots
from tokentop.agents.processes import Processes, editor_role

AGENT_ID = "windsurf"


AGENT = Agent(
    id=AGENT_ID,
    label="Windsurf",
    version=1,
    roots=Roots(dirs=("~/.codeium",)),
    sources=(),
    processes=Processes(
        agent=AGENT_ID,
        label="Windsurf",
        names=("windsurf",),
        common_name=True,
        root_dirs=(".codeium",),
        role_of=editor_role,
    ),
    resume="",
    start_hint="open Windsurf",
    tokens=Quality.UNKNOWN,
    missing="all usage: its conversations are encrypted",
)
