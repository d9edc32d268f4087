"""Where logs are looked for: the agents' own folders, further profiles of them, projects they may have worked in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from tokentop.agents.base import Agent

from .discover import walk
from .listing import Listing, LogEntry, Names
from .roots import roots

MAX_PROJECTS = 2_000


class Folders:
    """Remembers which folders there are, so that a changed one is noticed between two walks."""

    def __init__(
        self, agents: Mapping[str, Agent], environ: Mapping[str, str],
        extra_roots: Mapping[str, Iterable[str]], projects: Iterable[str],
    ) -> None:  # fmt: skip
        self._agents, self._environ = agents, environ
        self._extra: dict[str, list[str]] = {agent: list(paths) for agent, paths in extra_roots.items()}
        self._projects = dict.fromkeys(projects)
        self._names = Names()
        self._folders: dict[str, int] = {}
        self._absent: list[str] = []

    def add_root(self, agent: str, root: str) -> bool:
        """Another profile folder; True if it is new, so that a walk is due."""
        known = self._extra.setdefault(agent, [])
        if root in known or root in roots(self._agents[agent], self._environ):
            return False
        known.append(root)
        return True

    def add_project(self, folder: str) -> bool:
        """Another folder that may hold logs; True if it is new, so that a walk is due."""
        if not folder or folder in self._projects or len(self._projects) >= MAX_PROJECTS:
            return False
        self._projects[folder] = None
        return True

    def walk(self, wall_ns: int, files: Mapping[str, LogEntry]) -> Listing:
        """List every log; `files` is what the last walk found."""
        names = self._names.turn(wall_ns, files)
        listing = walk(self._agents.values(), self._environ, self._extra, self._projects, names)
        self._folders, self._absent = listing.folders, listing.absent
        return listing

    def changed(self, watched: Callable[[Mapping[str, int]], Iterable[str]]) -> bool:
        """Whether one of the folders that `watched` chooses has changed, or an agent has been installed."""
        for folder in watched(self._folders):
            try:
                if os.stat(folder).st_mtime_ns != self._folders[folder]:
                    return True
            except OSError:
                return True
        return any(os.path.isdir(path) for path in self._absent)
