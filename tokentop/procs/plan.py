"""Finds the process that an action means, by row or by pid, and has its plan made.

Everything is bound to identities of the last tick, never to a line of the screen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import structs

from tokentop.agents.processes import Processes
from tokentop.nouns.actions import Action, KillPlan
from tokentop.nouns.picture import Row
from tokentop.nouns.processes import AgentProc, Ident, ProcRole
from tokentop.procs.evidence import is_local
from tokentop.procs.planned import Facts, Planned
from tokentop.procs.registry import Filed
from tokentop.procs.table import Host, Proc, Table
from tokentop.procs.tree import SERVICES
from tokentop.procs.turn import Turn

_STALE = "the table of processes is old: look again first"


class Planner:
    """Plans over one tick's table."""

    def __init__(
        self,
        specs: Sequence[Processes],
        host: Host,
        table: Table,
        procs: Sequence[AgentProc],
        filed: Sequence[Filed],
        *,
        stale: bool = False,
        never: Callable[[Ident], str] = lambda _: "",
        detached: Callable[[int], bool] = lambda _: False,
    ) -> None:
        """`never` says why a process may not be signalled whoever asks, "" = it may.

        `detached` tells of a pid that it is meant to outlive its terminal.
        """
        self._specs = {spec.agent: spec for spec in specs}
        self._host, self._table, self._procs, self._filed, self._stale = host, table, procs, filed, stale
        self._planned = Planned(self._specs, host, table, procs, never, detached)

    def of_row(self, row: Row, action: Action, *, force: bool, turn: Turn | None = None) -> KillPlan:
        """`turn` is what is known of the turn that runs in the row."""
        facts = structs.replace(_facts(row), turn=turn or Turn())
        if self._stale:
            return self._planned.refused(action, facts, _STALE)
        if row.key.startswith("proc:"):
            _, pid, start = (*row.key.split(":"), "", "")[:3]
            proc = self._table.get(int(pid)) if pid.isdigit() else None
            if proc is None or str(proc.start_ticks) != start:
                return self._planned.refused(action, facts, "already gone")
            return self._of_proc(proc, action, facts, force)
        found = [p for p in self._procs if p.agent == row.agent and p.session_id == row.session_id]
        live = [p for p in found if p.role is ProcRole.AGENT]
        exact = [p for p in live if p.ident.pid == row.pid] or live
        if exact:
            return self._planned.of_agent(exact[0], action, facts, force)
        for daemon in self._procs:
            if daemon.agent == row.agent and row.session_id in daemon.shared_session_ids:
                return self._planned.of_thread(daemon, action, facts)
        return self._planned.refused(action, facts, self._why_without_process(row))

    def of_pid(self, pid: int, action: Action, *, force: bool) -> KillPlan:
        if pid <= 1:
            return self._planned.refused(action, Facts(), f"pid {pid} is the system's")
        proc = self._table.get(pid)
        if self._stale or proc is None:
            return self._planned.refused(
                action, Facts(), _STALE if self._stale else f"pid {pid} is no process of an agent"
            )
        return self._of_proc(proc, action, Facts(cwd=proc.cwd), force)

    def _why_without_process(self, row: Row) -> str:
        if row.kind == "sub-agent" or "/" in row.session_id:
            return "a sub-agent has no process of its own: stop it through its parent"
        for filed in self._filed:
            if filed.entry.session_id == row.session_id and not is_local(filed.entry, self._host):
                return "it runs in another PID namespace or on another machine"
        return "no process of this session is known on this machine (seen in the log only)"

    def _of_proc(self, proc: Proc, action: Action, facts: Facts, force: bool) -> KillPlan:
        """A process by pid: an agent, its launcher, a child, an orphan or a service."""
        for one in self._procs:
            if one.ident.key == proc.key or (one.wrapper and one.wrapper.key == proc.key):
                facts = facts if facts.session_id else self._facts_of(one, facts)
                if one.role is ProcRole.AGENT:
                    return self._planned.of_agent(one, action, facts, force)
                return self._planned.of_single(proc, one.role, action, facts, force, one)
        for one in self._procs:
            for child in one.children:
                if child.ident.key == proc.key:
                    facts = facts if facts.session_id else self._facts_of(one, facts)
                    return self._planned.of_single(proc, child.role, action, facts, force)
        if proc.identity and proc.identity.role in SERVICES:
            return self._planned.of_single(proc, proc.identity.role, action, facts, force)
        reason = "already dead (zombie)" if proc.state == "Z" else f"pid {proc.pid} is no process of an agent"
        return self._planned.refused(action, facts, reason)

    def _facts_of(self, agent: AgentProc, facts: Facts) -> Facts:
        spec = self._specs.get(agent.agent)
        resume = spec.resume.format(session_id=agent.session_id) if spec and agent.session_id else ""
        return structs.replace(
            facts, agent=agent.agent, session_id=agent.session_id, cwd=agent.cwd, resume=resume
        )


def _facts(row: Row) -> Facts:
    tree = row.tree
    unknown_cost = not tree.cost_nusd and (tree.unpriced_tokens or tree.unknown_calls)
    unknown_burn = unknown_cost and (tree.unknown_calls or tree.tokens_per_min > 0)
    return Facts(
        agent=row.agent,
        session_id=row.session_id,
        title=row.title,
        project=row.project,
        cwd=row.cwd,
        cost_nusd=None if unknown_cost else tree.cost_nusd,
        burn_nusd_per_h=None if unknown_burn else tree.burn_nusd_per_h,
        resume=row.resume,
    )
