"""The folders in which an agent keeps its logs, and those that may be projects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from tokentop.agents.base import Agent

PROJECTS_MAX = 500


def roots(agent: Agent, environ: Mapping[str, str], extra: Iterable[str] = ()) -> list[str]:
    """The agent's data folders: its variable (a comma list) or the usual places, and `extra` ones."""
    place, below = agent.roots, agent.roots.below
    named = [part.strip() for part in environ.get(place.env, "").split(",") if part.strip()]
    places = [f"{part}/{below}" if below else part for part in named] or list(place.dirs)
    expanded = [_expanded(one, environ) for one in (*places, *extra)]
    return list(dict.fromkeys(os.path.normpath(one) for one in expanded if os.path.isabs(one)))


def _expanded(place: str, environ: Mapping[str, str]) -> str:
    if place == "~" or place.startswith("~/"):
        return (environ.get("HOME") or os.path.expanduser("~")) + place[1:]
    if place.startswith("$"):
        name, _, rest = place[1:].partition("/")
        value = environ.get(name, "")
        return f"{value}/{rest}".rstrip("/") if value else ""
    return place


def projects(environ: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Folders that may be projects: `known` ones, HOME, and what is visible on its first two levels."""
    home = environ.get("HOME") or os.path.expanduser("~")
    found = [home, *(path for path in known if os.path.isabs(path))]
    level = [home]
    for _ in range(2):
        level = [path for folder in level for path in _visible_folders(folder)][:PROJECTS_MAX]
        found += level
    return list(dict.fromkeys(os.path.normpath(path) for path in found))


def _visible_folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.path for e in entries if e.name[:1] != "." and e.is_dir(follow_symlinks=False))
    except OSError:
        return []
