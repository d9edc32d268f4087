"""Roo Code, in an editor: see `_vscode_tasks`."""

from __future__ import annotations

from tokentop.agents import _vscode_tasks as tasks
from tokentop.agents.base import Agent, LogFile, Roots
from tokentop.nouns.facts import Fact

AGENT_ID = "roo"


def read(file: LogFile, data: bytes) -> list[Fact]:
    return tasks.read(AGENT_ID, file, data)


AGENT = Agent(
    id=AGENT_ID,
    label="Roo Code",
    version=1,
    roots=Roots(dirs=tasks.places("rooveterinaryinc.roo-cline")),
    sources=tasks.sources(read, tasks.SENT),
    processes=None,
    resume="",
    transcript=tasks.transcript,
    start_hint="open Roo Code in an editor",
    missing="a change of model within a task, in part; tokens of condensing, its cost is there; deleted requests",
)
