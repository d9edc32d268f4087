"""Trae: its processes alone. What it leaves on the disk tells no usage."""

from __future__ import annotations

from tokentop.agents.base import Agent, Quality, Roots
from tokentop.agents.processes import Processes, editor_role

AGENT_ID = "trae"


AGENT = Agent(
    id=AGENT_ID,
    label="Trae",
    version=1,
    roots=Roots(dirs=("~/.trae",)),
    sources=(),
    processes=Processes(
        agent=AGENT_ID,
        label="Trae",
        names=("trae", "trae-cli"),
        common_name=True,
        root_dirs=(".trae",),
        role_of=editor_role,
    ),
    resume="",
    start_hint="open Trae",
    tokens=Quality.UNKNOWN,
    missing="all usage: it is kept encrypted or on its servers",
)
