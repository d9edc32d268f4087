"""What a stopped turn leaves running: recorded before the stop, looked at after it, ended as the plan says.

A tool whose topmost process (the shell that the agent started) is gone has been let go by its agent: what is left of
it is ended. A tool that the agent has not touched is ended only where the turn waited for it (`Means.awaited`); else
it was answered before and runs on in the background.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from tokentop.agents.processes import Processes, identify, stem
from tokentop.nouns.actions import KillPlan
from tokentop.nouns.processes import Ident
from tokentop.procs.ending import Ending, Note, is_there
from tokentop.procs.never import Own
from tokentop.procs.probe import Brief, Probe
from tokentop.procs.table import family
from tokentop.text import clean

GRACE_S = 3.0  # agents end their tools themselves, some with TERM and a wait before KILL
SETTLE_S = 1.5  # from the end of a topmost process on: some agents end the rest a second later
_LOOK_EVERY_S = 0.1
_NAMED = 6
Key = tuple[int, int]  # pid, start ticks


class Leftovers(Ending):
    """The tools of one turn. `record` before the turn is stopped, `settle` afterwards, then `end`."""

    def __init__(
        self, plan: KillPlan, probe: Probe, own: Own, specs: Sequence[Processes], note: Note
    ) -> None:
        super().__init__(plan, probe, own, specs, note)
        self._above: dict[Key, Key | None] = {}  # parent within the same tool, None = its topmost process
        self._hosts: set[Key] = set()  # parents of other agents
        self._awaited = {ident.key for ident in plan.means.awaited}
        self._recorded: set[int] = set()
        self._planned = {one.ident.pid for one in plan.tree}
        owner = plan.means.daemon or plan.target
        self._hardened = owner is not None and probe.ignores_hup(owner.pid)
        self.left: list[Ident] = []  # what outlived the turn and is to be ended, after `settle`
        self.background: list[Ident] = []  # what runs on because the turn did not wait for it

    def record(self) -> None:
        """Take the tree as it is now: what the plan names, and what the agent has started since."""
        snapshot = self._probe.snapshot()
        found = {one.ident.pid: one.ident for one in self._plan.tree if is_there(one.ident, snapshot)}
        self._known = found | self._born_since(snapshot)
        self._recorded = {ident.pid for ident in self.look()}

    def settle(self) -> None:
        """Wait until the tools have ended, or those that were let go have had their time."""
        begun_s = changed_s = time.monotonic()
        gone = 0
        while alive := self.look():
            now_s = time.monotonic()
            tops = {key for key in self._tops() if not self._lives(key)}
            if len(tops) > gone:
                gone, changed_s = len(tops), now_s
            if now_s - begun_s >= GRACE_S or (gone and now_s - changed_s >= SETTLE_S):
                break
            time.sleep(_LOOK_EVERY_S)
        apart = {self._top(key) for key in self._hosts}
        for ident in alive:
            top = self._top(ident.key)
            goes = top not in apart and (top in self._awaited or not self._lives(top))
            (self.left if goes else self.background).append(ident)
        self._known = {ident.pid: ident for ident in self.left}

    def leave(self) -> None:
        """No turn was stopped, so nothing is ended: all that runs stays."""
        self.background, self._known = self.look(), {}

    @property
    def ended_pids(self) -> list[int]:
        """What was recorded and has ended, or was ended."""
        left = {ident.pid for ident in self.left}
        return [pid for pid in self.ended if pid in self._recorded or pid in left]

    def in_words(self, survivors: Sequence[Ident]) -> list[str]:
        """What became of the tools, one sentence each. `survivors` = what `end` gave."""
        alive = {ident.key for ident in survivors}
        out = []
        ended = [ident for ident in self.left if ident.key not in alive and ident.pid not in self.skipped]
        for idents, words in (
            (ended, "left behind and ended"),
            (survivors, "left behind and still alive"),
            (self.background, "left running, the turn did not wait for it"),
        ):
            if idents:
                out.append(f"{words}: {names(idents)}")
        return out

    def _born_since(self, snapshot: Mapping[int, Brief]) -> dict[int, Ident]:
        """Children of the agent that the plan does not know; those of a shared daemon need the session's mark."""
        plan, marks = self._plan, frozenset(self._plan.means.marks)
        owner = plan.means.daemon or plan.target
        known = {one.ident.key for one in (*plan.tree, *plan.stays)}
        found: dict[int, Ident] = {}
        for pid, brief in snapshot.items():
            if owner is None or brief.ppid != owner.pid or (pid, brief.start_ticks) in known:
                continue
            mine = plan.means.daemon is None or not marks.isdisjoint(
                self._probe.environ(pid, {name for name, _ in marks})
            )
            ident = self._probe.ident(pid) if mine and brief.state not in "ZX" else None
            if ident is not None:
                found[pid] = ident
        return found

    def _doomed(self, snapshot: Mapping[int, Brief], kept: set[int]) -> set[int]:
        """Known tools and what is below them, without other agents and what is below those."""
        parents = self._parents(snapshot, kept)
        found = family(parents, self._known)
        agents = {pid for pid in found if self._is_agent(pid)}
        hosts = (self._known.get(snapshot[pid].ppid) for pid in agents)
        self._hosts |= {ident.key for ident in hosts if ident is not None}
        detached = {pid for pid in found - self._planned if self._is_detached(pid)}
        return found - family(parents, agents | detached)

    def _kept(self, snapshot: Mapping[int, Brief]) -> set[int]:
        stays = {one.ident.pid for one in self._plan.stays if is_there(one.ident, snapshot)}
        return super()._kept(snapshot) | stays

    def _is_agent(self, pid: int) -> bool:
        ident = self._probe.ident(pid)
        return ident is not None and identify(self._probe.argv(pid), ident.exe, self._specs) is not None

    def _is_detached(self, pid: int) -> bool:
        """Meant to outlive its terminal: what the plan names was looked at when it was made."""
        return not self._hardened and self._probe.ignores_hup(pid)

    def _seen(self, ident: Ident, brief: Brief) -> None:
        parent = self._known.get(brief.ppid)
        self._above.setdefault(ident.key, parent.key if parent is not None else None)

    def _lives(self, key: Key) -> bool:
        brief = self._snapshot.get(key[0])
        return brief is not None and brief.start_ticks == key[1] and brief.state not in "ZX"

    def _tops(self) -> set[Key]:
        return {key for key, above in self._above.items() if above is None}

    def _top(self, key: Key) -> Key:
        while (above := self._above.get(key)) is not None:
            key = above
        return key


def names(idents: Sequence[Ident]) -> str:
    """`4711 bash, 4712 tail`: programs only, arguments never leave the table of processes."""
    shown = [f"{ident.pid} {clean(stem(ident.argv0 or ident.exe), 24)}" for ident in idents[:_NAMED]]
    more = len(idents) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
