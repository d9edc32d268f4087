"""What a sweep of orphans would end: one plan for each process without a living owner. Pure.

An orphan is told by its environment or by who was seen above it; while an agent lives whose session is not known
for certain, the orphan may be that agent's, so it is listed and left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import structs

from tokentop.nouns.actions import Action, KillPlan, Orphan
from tokentop.nouns.processes import AgentProc, ProcRole
from tokentop.procs.evidence import INFERRED


def orphan_plans(
    procs: Sequence[AgentProc], plan_pid: Callable[[int, Action], KillPlan]
) -> tuple[Orphan, ...]:
    """The orphans of one pass, oldest first. `plan_pid` plans for the same pass."""
    found = []
    for proc in sorted(procs, key=lambda p: (p.started_ms, p.ident.pid)):
        if proc.role is not ProcRole.ORPHAN:
            continue
        plan = plan_pid(proc.ident.pid, Action.TERMINATE)
        why = _maybe_owned(proc, procs)
        if why and not plan.refusal:
            plan = structs.replace(plan, refusal=why, rungs=())
        found.append(Orphan(plan, proc.started_ms, proc.cpu_pct, proc.rss_bytes, _origin(proc)))
    return tuple(found)


def _maybe_owned(orphan: AgentProc, procs: Sequence[AgentProc]) -> str:
    for one in procs:
        related = one.role is ProcRole.AGENT and one.agent == orphan.agent
        unsure = not one.session_id or one.confidence == INFERRED
        if related and unsure and one.started_ms <= orphan.started_ms:
            return f"it may belong to {one.agent} {one.ident.pid}, whose session is not known for certain"
    return ""


def _origin(proc: AgentProc) -> str:
    return f"{proc.agent} session {proc.session_id}" if proc.session_id else f"{proc.agent}, session unknown"
