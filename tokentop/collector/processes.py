"""Looking at the processes: how often, which sessions they may be, which folders they name."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, overload

import msgspec

from tokentop.agents import all_agents, all_processes
from tokentop.ingest.follow import Follower
from tokentop.nouns.processes import AgentProc
from tokentop.nouns.sessions import Session

from .memory import CANDIDATE_MS, Memory

if TYPE_CHECKING:
    from tokentop.procs.watch import ProcWatcher

log = logging.getLogger(__name__)

ORPHANS = "orphans"  # under this name the store keeps them
PROCS_S = 1.0
PROCS_MAX_S = 5.0
PROCS_SHARE = 0.006  # of a core: a thousand agents are looked at every five seconds rather than for 3 % of it


class Candidates(Sequence[Session]):
    """The sessions that a process without better evidence may be; looked for when there is such a process."""

    def __init__(self, memory: Memory, oldest_ms: int) -> None:
        self._memory, self._oldest_ms = memory, oldest_ms
        self._found: list[Session] | None = None

    @property
    def _sessions(self) -> list[Session]:
        if self._found is None:
            self._found = self._memory.candidates(self._oldest_ms)
        return self._found

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions)

    @overload
    def __getitem__(self, at: int) -> Session: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Session]: ...
    def __getitem__(self, at: int | slice) -> Session | Sequence[Session]:
        return self._sessions[at]


class ProcessLooks:
    """Tells the live state which processes there are."""

    def __init__(self, memory: Memory, environ: Mapping[str, str]) -> None:
        self._memory, self._environ = memory, environ
        self._watcher: ProcWatcher | None = None
        self._procs: tuple[AgentProc, ...] = ()
        self._wanted: list[tuple[str, str]] = []  # (agent, session id) of theirs that are not in memory
        self._told: Follower | None = None  # knows the folders of these
        self._own: Callable[[], tuple[float, int]] | None = None
        self._period_s = PROCS_S
        self._due_s = 0.0
        self._kept: str | None = None  # the orphans as they are kept for other runs; None = not asked yet
        self._kept_of: tuple[AgentProc, ...] = ()

    def is_due(self, now_s: float) -> bool:
        """Whether it is time for a look; the next one is then due after the present period."""
        if now_s < self._due_s:
            return False
        self._due_s = now_s + self._period_s
        return True

    def took(self, cost_s: float) -> None:
        """So much time of a core a look has taken: the period follows."""
        self._period_s = min(PROCS_MAX_S, max(PROCS_S, cost_s / PROCS_SHARE))

    @property
    def watcher(self) -> ProcWatcher:
        if self._watcher is None:
            from tokentop.procs.own import OwnUsage
            from tokentop.procs.watch import ProcWatcher

            home = Path(self._environ.get("HOME") or os.path.expanduser("~"))
            self._watcher = ProcWatcher(all_processes(), home, self._environ)
            self._own = OwnUsage().sample
        return self._watcher

    def look(self, connection: sqlite3.Connection | None, wall_ms: int) -> ProcWatcher:
        """Look now. `connection` = where sessions that processes name are looked up."""
        watcher = self.watcher
        procs = watcher.tick(wall_ms, Candidates(self._memory, wall_ms - CANDIDATE_MS))
        if procs is not self._procs:
            self._procs, self._told = procs, None
            self._wanted = _sessions_of(procs)
        self._load_wanted(connection)
        self._memory.live.set_procs(procs, wall_ms)
        return watcher

    def recall_orphans(self, recall: Callable[[str], str | None]) -> None:
        """Once, as soon as there is a store: what an earlier run, or the one that writes, knows to be orphans."""
        if self._kept is not None or (kept := recall(ORPHANS)) is None:
            return
        from tokentop.procs.kin import Known

        self._kept = kept
        try:
            self.watcher.adopt_orphans(msgspec.json.decode(kept or "[]", type=tuple[Known, ...]))
        except msgspec.MsgspecError as error:
            log.warning("%s: %s", ORPHANS, error)

    def keep_orphans(self, remember: Callable[[str, str], None]) -> None:
        """What is known to be orphans, for other runs, where that has changed."""
        if self._kept is None or self._procs is self._kept_of:
            return
        self._kept_of = self._procs
        kept = msgspec.json.encode(self.watcher.known_orphans()).decode()
        if kept != (self._kept or "[]"):
            self._kept = kept
            remember(ORPHANS, kept)

    def _load_wanted(self, connection: sqlite3.Connection | None) -> None:
        """A session that has been quiet for days can have a live process: get it from the store."""
        for agent, sid in self._wanted:
            self._memory.load_known(connection, agent, sid)
        self._wanted = [wanted for wanted in self._wanted if wanted not in self._memory.known]

    def tell_folders(self, follower: Follower) -> bool:
        """Agents started with a data folder of their own, or that log into their project: have that one read too.

        True if there is a new one.
        """
        if self._told is follower:
            return False
        self._told = follower
        in_projects = {agent.id for agent in all_agents() if agent.roots.in_projects}
        new = False
        for proc in self._procs:
            if proc.agent in in_projects:
                new |= follower.folders.add_project(proc.cwd)
            if proc.profile:
                new |= follower.folders.add_root(proc.agent, proc.profile)
        return new

    def own(self) -> tuple[float, int] | None:
        """What tokentop itself uses: CPU in per cent, resident bytes; None before the first look."""
        return self._own() if self._own is not None else None


def _sessions_of(procs: Sequence[AgentProc]) -> list[tuple[str, str]]:
    """(agent, session id) of all sessions that processes name."""
    pairs = {
        (proc.agent, sid): None
        for proc in procs
        for sid in (proc.session_id, proc.parent_session_id, *proc.shared_session_ids)
        if sid
    }
    return list(pairs)
