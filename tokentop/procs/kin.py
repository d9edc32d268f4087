"""Who belongs to whom: children, nested agents, orphans. Pure.

A marker in the environment survives reparenting, so it counts before the parent pid.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tokentop.agents.processes import Processes, stem
from tokentop.nouns.processes import ProcRole
from tokentop.procs.evidence import Evidence, Mapped
from tokentop.procs.match import map_sessions
from tokentop.procs.roles import agent_roles, wrappers
from tokentop.procs.table import Proc, Table

_MULTIPLEXERS = ("tmux", "screen", "zellij")


class Owner(Struct, frozen=True):
    """Whom a process was seen to belong to while its owner lived."""

    agent: str
    session_id: str
    key: tuple[int, int]  # the agent process
    role: ProcRole


Owners = Mapping[tuple[int, int], Owner]


class Known(Struct, frozen=True, array_like=True):
    """A process that was seen with its agent, for a run that was not there: most agents leave no marker in it."""

    pid: int
    start_ticks: int
    boot_id: str
    agent: str
    session_id: str
    owner: tuple[int, int]


class Pass(Struct):
    """Working state of one pass over a table."""

    evidence: Evidence
    owners: Owners
    roles: dict[int, ProcRole]
    mapped: dict[int, Mapped]
    by_session: dict[tuple[str, str], int]
    leaf_of: dict[int, int]  # wrapper -> leaf

    @property
    def table(self) -> Table:
        return self.evidence.table


def begin(evidence: Evidence, owners: Owners) -> Pass:
    """Map the sessions of one table. `owners` is what the last pass found."""
    roles = agent_roles(evidence)
    mapped = map_sessions(evidence, roles)
    by_session = {
        (spec_of(evidence.table[p]).agent, m.session_id): p for p, m in mapped.items() if m.session_id
    }
    for spec in evidence.specs:
        for pid, role in roles.items():
            if role is ProcRole.DAEMON and spec_of(evidence.table[pid]) is spec:
                for session_id in evidence.fds.get(pid, ()):
                    by_session.setdefault((spec.agent, session_id), pid)
    now = Pass(evidence, owners, roles, mapped, by_session, {})
    for pid, role in roles.items():
        if role is ProcRole.AGENT:
            for outer in wrappers(pid, evidence.table, roles):
                now.leaf_of[outer.pid] = pid
    return now


def spec_of(proc: Proc) -> Processes:
    """The agent of a process that is known to be one of its programs."""
    assert proc.identity is not None
    return proc.identity.spec


def ancestor_agent(proc: Proc, table: Table, roles: Mapping[int, ProcRole]) -> int:
    """The nearest program of an agent above a process, 0 = none."""
    seen: set[int] = {proc.pid}
    parent = table.get(proc.ppid)
    while parent is not None and parent.pid not in seen:
        if parent.pid in roles:
            return parent.pid
        seen.add(parent.pid)
        parent = table.get(parent.ppid)
    return 0


def owner_of(proc: Proc, now: Pass) -> tuple[int, Owner | None]:
    """(pid of the living owner or 0, the owner). (0, None) = not an agent's business."""
    above = ancestor_agent(proc, now.table, now.roles)
    above = now.leaf_of.get(above, above)
    if above:
        return _living_owner(proc, above, now)
    before = now.owners.get(proc.key)
    if before is not None:
        alive = now.table.get(before.key[0])
        lives = alive is not None and alive.key == before.key and alive.state != "Z"
        return (before.key[0] if lives else 0), before
    # What runs in a pane has the environment of the pane's server, not that of a tool call.
    return (0, None) if in_multiplexer(proc, now.table) else _marked_owner(proc, now)


def _living_owner(proc: Proc, above: int, now: Pass) -> tuple[int, Owner]:
    agent = now.table[above]
    spec = spec_of(agent)
    marker = proc.env_value(*spec.session_markers)
    if marker == agent.env_value(*spec.session_markers):
        marker = ""  # inherited from further up
    mapped = now.mapped.get(above)
    session_id = marker or (mapped.session_id if mapped else "")
    owner_pid = now.by_session.get((spec.agent, marker), above) if marker else above
    role = _child_role(proc, above, marker, now)
    return owner_pid, Owner(spec.agent, session_id, now.table[owner_pid].key, role)


def _marked_owner(proc: Proc, now: Pass) -> tuple[int, Owner | None]:
    """No agent above, nothing remembered: the environment decides. A pid in it is only a hint."""
    marks = [(spec, proc.env_value(*spec.session_markers)) for spec in now.evidence.specs]
    for spec, session_id in marks:
        hint = proc.env_value(*spec.pid_markers)
        named = now.table.get(int(hint)) if hint.isdigit() and len(hint) < 10 else None
        if named is not None and named.pid in now.mapped and spec_of(named).agent == spec.agent:
            mapped = now.mapped[named.pid]
            if named.start_ticks <= proc.start_ticks and session_id in ("", mapped.session_id):
                return named.pid, Owner(spec.agent, mapped.session_id, named.key, ProcRole.TOOL)
    found = [(spec.agent, session_id) for spec, session_id in marks if session_id]
    dead = [mark for mark in found if mark not in now.by_session]
    if dead:  # an inner agent inherits the marker of an outer one, so the dead one is the nearer
        return 0, Owner(*dead[0], (0, 0), ProcRole.ORPHAN)
    if found:
        pid = now.by_session[found[0]]
        return pid, Owner(*found[0], now.table[pid].key, ProcRole.TOOL)
    return 0, None


def _child_role(proc: Proc, above: int, marker: str, now: Pass) -> ProcRole:
    top = proc
    while top.ppid in now.table and now.leaf_of.get(top.ppid, top.ppid) != above:
        top = now.table[top.ppid]
    spec = spec_of(now.table[above])
    marked = bool(marker) or top.env_value(*spec.session_markers) != now.table[above].env_value(
        *spec.session_markers
    )
    if top.piped and not marked:
        return ProcRole.MCP
    return ProcRole.SERVER if proc.pid in now.evidence.listening else ProcRole.TOOL


def in_multiplexer(proc: Proc, table: Table) -> bool:
    seen: set[int] = set()
    step: Proc | None = proc
    while step is not None and step.pid not in seen:
        if is_multiplexer(step.argv):
            return True
        seen.add(step.pid)
        step = table.get(step.ppid)
    return False


def is_multiplexer(argv: tuple[str, ...]) -> bool:
    """A terminal multiplexer: it holds other people's shells, whoever started it."""
    if not argv:
        return False
    name = stem(argv[0].partition(":")[0]).lower()  # tmux renames itself to "tmux: server"
    return name in _MULTIPLEXERS
