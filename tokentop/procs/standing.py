"""The last picture of the processes, used again while nothing but their use of CPU and memory has changed. Pure."""

from __future__ import annotations

from msgspec import structs

from tokentop.nouns.processes import AgentProc, ChildProc, ProcRole
from tokentop.procs.evidence import EXACT
from tokentop.procs.roles import LIMBO_MS
from tokentop.procs.table import Table

_SETTLED_MS = LIMBO_MS + 1_000  # a process this old is looked at alike however old it grows


class Standing:
    """Processes as last matched, and the evidence that they were matched by."""

    def __init__(self) -> None:
        self._basis: tuple[object, ...] | None = None
        self._settled_ms = 0
        self._procs: tuple[AgentProc, ...] = ()
        self._at: dict[int, int] = {}  # pid of an agent or of a child -> place in `_procs`

    def learn(self, basis: tuple[object, ...] | None, procs: tuple[AgentProc, ...], table: Table) -> None:
        """Remember a whole pass. `basis` is all evidence but the time and the sessions that might fit.

        None = the source does not say what has changed. Neither is a picture kept in which something was
        matched by time or folder: with the same evidence, it may be matched otherwise later.
        """
        self._basis = basis if all(map(_is_certain, procs)) else None
        self._procs = procs
        self._settled_ms = max((proc.started_ms for proc in table.values()), default=0) + _SETTLED_MS
        self._at = {}
        for at, proc in enumerate(procs):
            self._at[proc.ident.pid] = at
            self._at.update((child.ident.pid, at) for child in proc.children)

    def again(
        self, basis: tuple[object, ...] | None, now_ms: int, used: set[int], table: Table
    ) -> tuple[AgentProc, ...] | None:
        """The processes with what they use now, None = they have to be matched anew.

        `used` are the pids whose use changed; without any the tuple is the one of the last time.
        """
        if basis is None or basis != self._basis or now_ms < self._settled_ms:
            return None
        places = {self._at[pid] for pid in used if pid in self._at}
        if places:
            procs = list(self._procs)
            for at in places:
                procs[at] = _now(procs[at], table)
            self._procs = tuple(procs)
        return self._procs


def _is_certain(proc: AgentProc) -> bool:
    if proc.role is ProcRole.ORPHAN:
        return True
    return proc.role is ProcRole.AGENT and bool(proc.session_id) and proc.confidence == EXACT


def _now(proc: AgentProc, table: Table) -> AgentProc:
    seen = table[proc.ident.pid]
    children = tuple(_child_now(child, table) for child in proc.children)
    return structs.replace(proc, cpu_pct=seen.cpu_pct, rss_bytes=seen.rss_bytes, children=children)


def _child_now(child: ChildProc, table: Table) -> ChildProc:
    seen = table[child.ident.pid]
    if (seen.cpu_pct, seen.rss_bytes) == (child.cpu_pct, child.rss_bytes):
        return child
    return structs.replace(child, cpu_pct=seen.cpu_pct, rss_bytes=seen.rss_bytes)
