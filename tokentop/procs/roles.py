"""Which processes are agents and which their launchers. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from tokentop.nouns.processes import ProcRole
from tokentop.procs.evidence import Evidence, verified
from tokentop.procs.table import Proc, Table

LIMBO_MS = 2_000


def agent_roles(evidence: Evidence) -> dict[int, ProcRole]:
    """Role of every live process that is a program of an agent. Leaves are AGENT, launchers WRAPPER."""
    table = evidence.table
    roles: dict[int, ProcRole] = {}
    for pid, proc in table.items():
        if proc.identity and proc.state != "Z" and not _in_limbo(proc, evidence):
            roles[pid] = proc.identity.role
    for pid, filed in verified(evidence).items():
        if filed.entry.role is not ProcRole.AGENT:
            roles[pid] = filed.entry.role
    for pid, role in list(roles.items()):
        proc = table[pid]
        parent = table.get(proc.ppid)
        if role is ProcRole.AGENT and parent and parent.pid in roles and _is_launcher(parent, proc):
            roles[parent.pid] = ProcRole.WRAPPER
    return roles


def _in_limbo(proc: Proc, evidence: Evidence) -> bool:
    """Between fork and exec a tool still looks like the agent that forked it; its program may be seen before its
    arguments."""
    parent = evidence.table.get(proc.ppid)
    return parent is not None and parent.argv == proc.argv and evidence.now_ms - proc.started_ms < LIMBO_MS


def _is_launcher(parent: Proc, child: Proc) -> bool:
    """A launcher and its worker share session and environment; a nested agent comes through a tool shell."""
    if not parent.identity or not child.identity or parent.identity.role is not ProcRole.AGENT:
        return False
    spec = child.identity.spec
    if parent.identity.spec.agent != spec.agent or parent.sid != child.sid:
        return False
    return parent.env_value(*spec.session_markers) == child.env_value(*spec.session_markers)


def wrappers(pid: int, table: Table, roles: Mapping[int, ProcRole]) -> list[Proc]:
    """The launchers above a leaf, nearest first."""
    found: list[Proc] = []
    parent = table.get(table[pid].ppid)
    while parent is not None and roles.get(parent.pid) is ProcRole.WRAPPER:
        found.append(parent)
        parent = table.get(parent.ppid)
    return found


def started_with(pid: int, table: Table, roles: Mapping[int, ProcRole]) -> list[tuple[str, ...]]:
    """The arguments of a leaf and of its launchers: a worker may have a title in the place of its own."""
    chain = (table[pid], *wrappers(pid, table, roles))
    return [proc.identity.argv for proc in chain if proc.identity is not None]
