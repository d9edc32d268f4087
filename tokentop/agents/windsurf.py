"""Windsurf: its processes alone. What it leaves on the disk tells no usage."""

from __future__ import annotations

from collections.abc import Sequence

from tokentop.agents.base import Agent, Quality, Roots
from tokentop.agents.processes import Processes, is_helper
from tokentop.model import ProcRole

AGENT_ID = "windsurf"


def role_of(argv: Sequence[str]) -> ProcRole | None:
    """The program itself, not the helpers that an editor starts from its own binary."""
    helper = any(word.startswith("--type=") or word.endswith(".js") for word in argv[1:])
    return None if helper or is_helper(argv) else ProcRole.AGENT


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
        role_of=role_of,
    ),
    resume="",
    start_hint="open Windsurf",
    tokens=Quality.UNKNOWN,
    missing="all usage: its conversations are encrypted",
)
