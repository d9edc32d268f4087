"""Kilo Code before 7.2, in an editor: see `_vscode_tasks`. Since 7.2 it writes what its CLI writes."""

from __future__ import annotations

from tokentop.agents import _vscode_tasks as tasks
from tokentop.agents.base import Agent, LogFile, Roots
from tokentop.nouns.facts import Fact

AGENT_ID = "kilo-vscode"


def read(file: LogFile, data: bytes) -> list[Fact]:
    return tasks.read(AGENT_ID, file, data)


AGENT = Agent(
    id=AGENT_ID,
    label="Kilo Code (old)",
    version=1,
    roots=Roots(dirs=tasks.places("kilocode.kilo-code")),
    sources=tasks.sources(read, tasks.SENT),
    processes=None,
    resume="",
    transcript=tasks.transcript,
    start_hint="open Kilo Code in an editor",
    missing="a change of model within a task, in part; tokens of condensing, its cost is there; deleted requests",
)
