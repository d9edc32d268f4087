"""The agents, found by listing this folder: one package or module each, with an `AGENT`. Pure."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module

from .base import Agent
from .processes import Processes

_SHARED = frozenset({"base", "decoding", "processes"})


@cache
def all_agents() -> tuple[Agent, ...]:
    """Every agent, by id."""
    # pkgutil would do the same and costs 5 ms of every start.
    found = {name.removesuffix(".py") for path in __path__ for name in os.listdir(path)}
    names = sorted(
        name for name in found if name.isidentifier() and not name.startswith("_") and name not in _SHARED
    )
    return tuple(import_module(f".{name}", __name__).AGENT for name in names)


@cache
def all_processes() -> tuple[Processes, ...]:
    """How the processes of every agent that has its own are found and stopped."""
    return tuple(agent.processes for agent in all_agents() if agent.processes is not None)


def agent(agent_id: str) -> Agent:
    """The agent with that id; KeyError if there is none."""
    return {a.id: a for a in all_agents()}[agent_id]
