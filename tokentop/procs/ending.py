"""Ends processes that are known by identity, and what they fork meanwhile: TERM, a grace, then KILL.

Known processes are looked up again at each look, because they fork while they are being ended.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence

from tokentop.agents.processes import Processes
from tokentop.nouns.actions import KillPlan
from tokentop.nouns.processes import Ident
from tokentop.procs.never import Own, why_never, why_service
from tokentop.procs.probe import GONE, Brief, Handle, Probe
from tokentop.procs.table import family

TERM_S = 2.0
SWEEP_S = 10.0
LOADING_S, LOADING_LOOK_S = 1.0, 0.01  # how long one that is being loaded is waited for
_FREEZE_LOOKS = 20

Note = Callable[[int, str, str], None]  # pid, signal name, result


class Ending:
    """Processes that an action is to end besides its target. `note` records each signal."""

    def __init__(
        self, plan: KillPlan, probe: Probe, own: Own, specs: Sequence[Processes], note: Note
    ) -> None:
        self._plan, self._probe, self._own, self._specs, self._note = plan, probe, own, specs, note
        self._known: dict[int, Ident] = {}
        self._snapshot: Mapping[int, Brief] = {}  # of the last look
        self.skipped: dict[int, str] = {}  # pid -> why it was left alone
        self.ended: dict[int, Ident] = {}

    def look(self) -> list[Ident]:
        """One snapshot: everything alive that is to be ended. Remembers what it sees."""
        snapshot = self._snapshot = self._probe.snapshot()
        kept = self._kept(snapshot)
        for pid in [pid for pid, ident in self._known.items() if not is_there(ident, snapshot)]:
            self.ended.setdefault(pid, self._known.pop(pid))
        alive: list[Ident] = []
        doomed = self._doomed(snapshot, kept) - kept
        for pid in sorted(doomed, key=lambda pid: (snapshot[pid].start_ticks, pid)):  # parents come first
            # Anew: what was seen between fork and exec has another program now.
            ident = self._probe.ident(pid)
            if ident is None or ident.start_ticks != snapshot[pid].start_ticks:
                continue
            if not self._may(ident, snapshot):
                continue
            self._known[pid] = ident
            self._seen(ident, snapshot[pid])
            alive.append(ident)
        return alive

    def _doomed(self, snapshot: Mapping[int, Brief], kept: set[int]) -> set[int]:
        """Who is to be ended: what is known, with everything below it."""
        return family(self._parents(snapshot, kept), self._known)

    @property
    def is_sure(self) -> bool:
        """Whether the last look could tell of each process if it is to be ended."""
        return True

    def _seen(self, ident: Ident, brief: Brief) -> None:
        """One that is to be ended was seen alive."""

    def _parents(self, snapshot: Mapping[int, Brief], kept: set[int]) -> dict[int, int]:
        return {pid: brief.ppid for pid, brief in snapshot.items() if pid not in kept}

    def end(self) -> list[Ident]:
        """TERM, 2 s, then KILL until two looks in a row find nothing. Returns the survivors."""
        end_s = time.monotonic() + SWEEP_S
        alive = self.look()
        if alive:
            self._signal(alive, signal.SIGTERM)
            self._wait(alive, TERM_S)
        empty_looks, loaded_s = 0, time.monotonic() + LOADING_S
        while empty_looks < 2:
            alive = self._freeze_all()
            if not alive:
                if self.is_sure or time.monotonic() >= loaded_s:
                    empty_looks += 1
                else:
                    time.sleep(LOADING_LOOK_S)
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
        kept = {ident.pid for ident in self._plan.means.keep if is_there(ident, snapshot)}
        daemon = self._plan.means.daemon
        kept = family({pid: brief.ppid for pid, brief in snapshot.items()}, kept)
        return kept | ({daemon.pid} if daemon else set()) | {self._own.pid}

    def _may(self, ident: Ident, snapshot: Mapping[int, Brief]) -> bool:
        if ident.pid in self.skipped:
            return False
        why = why_never(ident, self._own, snapshot.get, self._probe)
        if not why:
            why = why_service(self._probe.argv(ident.pid), ident.exe, self._specs)
        if why:
            self.skipped[ident.pid] = why
            self._known.pop(ident.pid, None)
        return not why


def is_there(ident: Ident, snapshot: Mapping[int, Brief]) -> bool:
    brief = snapshot.get(ident.pid)
    return brief is not None and brief.start_ticks == ident.start_ticks and brief.state not in "ZX"
