"""Ends what an agent leaves behind: recorded descendants, marked processes, members of tool sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokentop.agents.processes import Processes
from tokentop.nouns.actions import KillPlan
from tokentop.nouns.processes import Ident, ProcRole
from tokentop.procs.ending import Ending, Note, is_there
from tokentop.procs.never import Own
from tokentop.procs.probe import Brief, Probe
from tokentop.procs.table import family


class Sweep(Ending):
    """What is to be ended with a target that ends itself."""

    def __init__(
        self, plan: KillPlan, probe: Probe, own: Own, specs: Sequence[Processes], note: Note
    ) -> None:
        super().__init__(plan, probe, own, specs, note)
        self._leaders: dict[int, int] = {}  # sid of a tool's own session -> start ticks of its leader
        self._names = tuple({name for name, _ in plan.means.marks})
        self._marks = frozenset(plan.means.marks)
        self._clean: set[tuple[int, int]] = set()  # (pid, start ticks) of old processes without a mark
        self._loading = False
        keep = {ident.pid for ident in plan.means.keep}
        for planned in plan.tree:
            if planned.role is not ProcRole.WRAPPER and planned.ident.pid not in keep:
                self._known[planned.ident.pid] = planned.ident

    def _doomed(self, snapshot: Mapping[int, Brief], kept: set[int]) -> set[int]:
        parents = self._parents(snapshot, kept)
        roots = list(self._known)
        target = self._plan.target
        if target is not None and is_there(target, snapshot):
            roots.append(target.pid)
        doomed = family(parents, roots)
        doomed |= family(parents, self._marked(snapshot, kept, doomed))
        doomed |= family(parents, self._in_tool_sessions(snapshot))
        if target is not None:
            doomed.discard(target.pid)
        return doomed

    @property
    def is_sure(self) -> bool:
        return not self._loading

    def _seen(self, ident: Ident, brief: Brief) -> None:
        if brief.sid == ident.pid:
            self._leaders[ident.pid] = ident.start_ticks

    def _marked(self, snapshot: Mapping[int, Brief], kept: set[int], doomed: set[int]) -> set[int]:
        """Processes with a mark that no longer have a living agent above them."""
        if not self._marks:
            return set()
        anchor = self._plan.target or self._plan.means.daemon
        found: set[int] = set()
        self._loading = False
        for pid, brief in snapshot.items():
            if pid in doomed or pid in kept or brief.state in "ZX" or brief.ppid == 2:
                continue
            if (pid, brief.start_ticks) in self._clean:
                continue
            if not self._marks.isdisjoint(self._probe.environ(pid, self._names)):
                found.add(pid)
            elif anchor is None or brief.start_ticks < anchor.start_ticks:
                # A younger one may be between fork and exec: its environment is not yet its own.
                self._clean.add((pid, brief.start_ticks))
            else:  # the kernel gives a program its arguments and its environment last
                self._loading |= not self._probe.argv(pid)
        return {pid for pid in found if self._is_left_behind(pid, snapshot, kept, doomed | found)}

    def _is_left_behind(
        self, pid: int, snapshot: Mapping[int, Brief], kept: set[int], ours: set[int]
    ) -> bool:
        """A session may have been resumed meanwhile: its new agent's tools carry the same mark.

        The new agent started after the plan's target; a process that takes over orphans is older.
        """
        top = pid
        while snapshot[top].ppid in ours and snapshot[top].ppid != top and snapshot[top].ppid in snapshot:
            top = snapshot[top].ppid
        parent_pid = snapshot[top].ppid
        anchor = self._plan.target or self._plan.means.daemon
        daemon = self._plan.means.daemon
        if parent_pid <= 1 or (daemon is not None and parent_pid == daemon.pid):
            return True
        parent = snapshot.get(parent_pid)
        if parent_pid in kept or parent is None or anchor is None:
            return False
        return parent_pid == anchor.pid or parent.start_ticks < anchor.start_ticks

    def _in_tool_sessions(self, snapshot: Mapping[int, Brief]) -> set[int]:
        """Members of the sessions that tool shells lead: a number is not reused while one lives."""
        found: set[int] = set()
        for pid, brief in snapshot.items():
            leader_start = self._leaders.get(brief.sid)
            if leader_start is None or brief.start_ticks < leader_start:
                continue
            leader = snapshot.get(brief.sid)
            if leader is None or leader.start_ticks == leader_start:
                found.add(pid)
        return found
