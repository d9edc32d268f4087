"""Ends what an agent leaves behind: recorded descendants, marked processes, members of tool sessions.

Known processes are looked up again at each look, because they fork while they are being ended.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence

from tokentop.agents.processes import Processes
from tokentop.model import Ident, KillPlan, ProcRole
from tokentop.procs.never import Own, why_never, why_service
from tokentop.procs.probe import GONE, Brief, Handle, Probe
from tokentop.procs.table import family

TERM_S = 2.0
SWEEP_S = 10.0
_FREEZE_LOOKS = 20
_LOOK_EVERY_S = 0.1

Note = Callable[[int, str, str], None]  # pid, signal name, result


class Sweep:
    """The processes that an action is to end besides its target. `note` records each signal."""

    def __init__(
        self, plan: KillPlan, probe: Probe, own: Own, specs: Sequence[Processes], note: Note
    ) -> None:
        self._plan, self._probe, self._own, self._specs, self._note = plan, probe, own, specs, note
        self._known: dict[int, Ident] = {}
        self._leaders: dict[int, int] = {}  # sid of a tool's own session -> start ticks of its leader
        self._names = tuple({name for name, _ in plan.means.marks})
        self._marks = frozenset(plan.means.marks)
        self._clean: set[tuple[int, int]] = set()  # (pid, start ticks) of old processes without a mark
        self.skipped: dict[int, str] = {}  # pid -> why it was left alone
        self.ended: dict[int, Ident] = {}
        keep = {ident.pid for ident in plan.means.keep}
        for planned in plan.tree:
            if planned.role is not ProcRole.WRAPPER and planned.ident.pid not in keep:
                self._known[planned.ident.pid] = planned.ident

    def look(self) -> list[Ident]:
        """One snapshot: everything alive that is to be ended. Remembers what it sees."""
        snapshot = self._probe.snapshot()
        kept = self._kept(snapshot)
        for pid in [pid for pid, ident in self._known.items() if not _is_there(ident, snapshot)]:
            self.ended.setdefault(pid, self._known.pop(pid))
        parents = {pid: brief.ppid for pid, brief in snapshot.items() if pid not in kept}
        roots = list(self._known)
        target = self._plan.target
        if target is not None and _is_there(target, snapshot):
            roots.append(target.pid)
        doomed = family(parents, roots)
        doomed |= family(parents, self._marked(snapshot, kept, doomed))
        doomed |= family(parents, self._in_tool_sessions(snapshot))
        if target is not None:
            doomed.discard(target.pid)
        alive: list[Ident] = []
        for pid in sorted(doomed - kept):
            ident = self._probe.ident(
                pid
            )  # anew: what was seen between fork and exec has another program now
            if ident is None or not self._may(ident, snapshot):
                continue
            self._known[pid] = ident
            if snapshot[pid].sid == pid:
                self._leaders[pid] = ident.start_ticks
            alive.append(ident)
        return alive

    def end(self) -> list[Ident]:
        """TERM, 2 s, then KILL until two looks in a row find nothing. Returns the survivors."""
        end_s = time.monotonic() + SWEEP_S
        alive = self.look()
        if alive:
            self._signal(alive, signal.SIGTERM)
            self._wait(alive, TERM_S)
        empty_looks = 0
        while empty_looks < 2:
            alive = self._freeze_all()
            if not alive:
                empty_looks += 1
                continue
            empty_looks = 0
            if time.monotonic() >= end_s:
                return alive
            self._signal(alive, signal.SIGKILL)
            self._wait(alive, 1.0)
        return []

    def _freeze_all(self) -> list[Ident]:
        """Stop everything that is found until nothing new appears: what is stopped cannot fork."""
        stopped: dict[int, Ident] = {}
        for _ in range(_FREEZE_LOOKS):
            fresh = [ident for ident in self.look() if stopped.get(ident.pid) != ident]
            if not fresh:
                break
            self._signal(fresh, signal.SIGSTOP)
            stopped.update((ident.pid, ident) for ident in fresh)
        return [ident for ident in stopped.values() if ident.pid in self._known]

    def _signal(self, idents: Sequence[Ident], number: signal.Signals) -> None:
        for ident in idents:
            handle = self._probe.open(ident)
            result = GONE
            if handle is not None:
                result = handle.send(number)
                if number == signal.SIGTERM:
                    handle.send(signal.SIGCONT)  # a stopped process takes TERM only when it goes on
                handle.close()
            self._note(ident.pid, number.name.removeprefix("SIG"), result)
            if result.startswith("refused"):
                self.skipped[ident.pid] = result

    def _wait(self, idents: Sequence[Ident], timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        handles: list[Handle] = [handle for ident in idents if (handle := self._probe.open(ident))]
        try:
            for handle in handles:
                handle.wait(max(0.0, end_s - time.monotonic()))
        finally:
            for handle in handles:
                handle.close()

    def _kept(self, snapshot: Mapping[int, Brief]) -> set[int]:
        kept = {ident.pid for ident in self._plan.means.keep if _is_there(ident, snapshot)}
        daemon = self._plan.means.daemon
        kept = family({pid: brief.ppid for pid, brief in snapshot.items()}, kept)
        return kept | ({daemon.pid} if daemon else set()) | {self._own.pid}

    def _marked(self, snapshot: Mapping[int, Brief], kept: set[int], doomed: set[int]) -> set[int]:
        """Processes with a mark that no longer have a living agent above them."""
        if not self._marks:
            return set()
        anchor = self._plan.target or self._plan.means.daemon
        found: set[int] = set()
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

    def _may(self, ident: Ident, snapshot: Mapping[int, Brief]) -> bool:
        if ident.pid in self.skipped:
            return False
        why = why_never(ident, self._own, snapshot, self._probe)
        if not why:
            why = why_service(self._probe.argv(ident.pid), ident.exe, self._specs)
        if why:
            self.skipped[ident.pid] = why
            self._known.pop(ident.pid, None)
        return not why


def _is_there(ident: Ident, snapshot: Mapping[int, Brief]) -> bool:
    brief = snapshot.get(ident.pid)
    return brief is not None and brief.start_ticks == ident.start_ticks and brief.state not in "ZX"
