"""Augment: its processes alone. What it leaves on the disk tells no usage."""

from __future__ import annotations

from tokentop.agents.base import Agent, Quality, Roots
from tokentop.agents.processes import Processes

AGENT_ID = "augment"


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
    ),
    resume="",
    start_hint="run `auggie` in a project folder",
    tokens=Quality.UNKNOWN,
    missing="all usage: it is kept on its servers",
)
