"""Augment: its processes alone. What it leaves on the disk tells no usage."""

from __future__ import annotations

from collections.abc import Sequence

from tokentop.agents.base import Agent, Quality, Roots
from tokentop.agents.processes import Processes, is_helper
from tokentop.model import ProcRole

AGENT_ID = "augment"


def role_of(argv: Sequence[str]) -> ProcRole | None:
    return None if is_helper(argv) else ProcRole.AGENT


AGENT = Agent(
    id=AGENT_ID,
    label="Augment",
    version=1,
    roots=Roots(dirs=("~/.augment",)),
    sources=(),
    processes=Processes(
        agent=AGENT_ID,
        label="Augment",
        names=("auggie",),
        common_name=True,
        root_dirs=(".augment",),
        role_of=role_of,
    ),
    resume="",
    start_hint="run `auggie` in a project folder",
    tokens=Quality.UNKNOWN,
    missing="all usage: it is kept on its servers",
)
