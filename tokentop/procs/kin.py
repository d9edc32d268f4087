"""Who belongs to whom: children, nested agents, orphans. Builds the `AgentProc` of each agent. Pure.

A marker in the environment survives reparenting, so it counts before the parent pid.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, structs

from tokentop.agents.processes import Processes, RegistryEntry, stem
from tokentop.model import AgentProc, ChildProc, ProcRole, State
from tokentop.procs.match import EXACT, Evidence, Mapped, agent_roles, map_sessions
from tokentop.procs.table import Proc, Table
from tokentop.text import clean

_COMMAND_CHARS = 400
_MULTIPLEXERS = ("tmux", "screen", "zellij")


class Owner(Struct, frozen=True):
    """Whom a process was seen to belong to while its owner lived."""

    agent: str
    session_id: str
    key: tuple[int, int]  # the agent process
    role: ProcRole


Owners = Mapping[tuple[int, int], Owner]


class Picture(Struct, frozen=True):
    """One pass: the agents with their children, and who owned what (for the next pass)."""

    procs: tuple[AgentProc, ...]
    owners: Owners


class _Pass(Struct):
    """Working state of one pass."""

    evidence: Evidence
    owners: Owners
    roles: dict[int, ProcRole]
    mapped: dict[int, Mapped]
    by_session: dict[tuple[str, str], int]
    leaf_of: dict[int, int]  # wrapper -> leaf

    @property
    def table(self) -> Table:
        return self.evidence.table


def picture(evidence: Evidence, owners: Owners) -> Picture:
    """Match one table. `owners` is what the last pass returned."""
    roles = agent_roles(evidence)
    mapped = map_sessions(evidence, roles)
    by_session = {
        (_spec(evidence.table[p]).agent, m.session_id): p for p, m in mapped.items() if m.session_id
    }
    for spec in evidence.specs:
        for pid, role in roles.items():
            if role is ProcRole.DAEMON and _spec(evidence.table[pid]) is spec:
                for session_id in evidence.fds.get(pid, ()):
                    by_session.setdefault((spec.agent, session_id), pid)
    now = _Pass(evidence, owners, roles, mapped, by_session, {})
    for pid, role in roles.items():
        if role is ProcRole.AGENT:
            for outer in wrappers(pid, evidence.table, roles):
                now.leaf_of[outer.pid] = pid
    children: dict[int, list[ChildProc]] = {}
    orphans: dict[int, Owner] = {}
    kept: dict[tuple[int, int], Owner] = {}
    for pid, proc in evidence.table.items():
        if pid in roles or proc.state == "Z" or pid in evidence.own_pids:
            continue
        owner_pid, owner = _owner(proc, now)
        if owner is None:
            continue
        if owner.key[0]:
            kept[proc.key] = owner
        if owner_pid:
            children.setdefault(owner_pid, []).append(_child(proc, owner.role, evidence))
        else:
            orphans[pid] = owner
    procs = [_agent_proc(pid, now, children.get(pid, [])) for pid in mapped]
    procs += [
        _daemon_proc(pid, now, children.get(pid, [])) for pid, r in roles.items() if r is ProcRole.DAEMON
    ]
    procs += _orphan_procs(orphans, evidence)
    return Picture(tuple(sorted(procs, key=lambda p: (p.started_ms, p.ident.pid))), kept)


def _spec(proc: Proc) -> Processes:
    assert proc.identity is not None
    return proc.identity.spec


def wrappers(pid: int, table: Table, roles: Mapping[int, ProcRole]) -> list[Proc]:
    """The launchers above a leaf, nearest first."""
    found: list[Proc] = []
    parent = table.get(table[pid].ppid)
    while parent is not None and roles.get(parent.pid) is ProcRole.WRAPPER:
        found.append(parent)
        parent = table.get(parent.ppid)
    return found


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


def _owner(proc: Proc, now: _Pass) -> tuple[int, Owner | None]:
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


def _living_owner(proc: Proc, above: int, now: _Pass) -> tuple[int, Owner]:
    agent = now.table[above]
    spec = _spec(agent)
    marker = proc.env_value(*spec.session_markers)
    if marker == agent.env_value(*spec.session_markers):
        marker = ""  # inherited from further up
    mapped = now.mapped.get(above)
    session_id = marker or (mapped.session_id if mapped else "")
    owner_pid = now.by_session.get((spec.agent, marker), above) if marker else above
    role = _child_role(proc, above, marker, now)
    return owner_pid, Owner(spec.agent, session_id, now.table[owner_pid].key, role)


def _marked_owner(proc: Proc, now: _Pass) -> tuple[int, Owner | None]:
    """No agent above, nothing remembered: the environment decides. A pid in it is only a hint."""
    marks = [(spec, proc.env_value(*spec.session_markers)) for spec in now.evidence.specs]
    for spec, session_id in marks:
        hint = proc.env_value(*spec.pid_markers)
        named = now.table.get(int(hint)) if hint.isdigit() and len(hint) < 10 else None
        if named is not None and named.pid in now.mapped and _spec(named).agent == spec.agent:
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


def _child_role(proc: Proc, above: int, marker: str, now: _Pass) -> ProcRole:
    top = proc
    while top.ppid in now.table and now.leaf_of.get(top.ppid, top.ppid) != above:
        top = now.table[top.ppid]
    spec = _spec(now.table[above])
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


def command_of(proc: Proc) -> str:
    return clean(" ".join(proc.argv), _COMMAND_CHARS)


def _child(proc: Proc, role: ProcRole, evidence: Evidence) -> ChildProc:
    return ChildProc(
        ident=proc.ident(evidence.host),
        ppid=proc.ppid,
        role=role,
        command=command_of(proc),
        started_ms=proc.started_ms,
        cpu_pct=proc.cpu_pct,
        rss_bytes=proc.rss_bytes,
    )


def _base(proc: Proc, agent: str, role: ProcRole, evidence: Evidence) -> AgentProc:
    return AgentProc(
        ident=proc.ident(evidence.host),
        agent=agent,
        role=role,
        cwd=clean(proc.cwd, 4096),
        command=command_of(proc),
        started_ms=proc.started_ms,
        cpu_pct=proc.cpu_pct,
        rss_bytes=proc.rss_bytes,
        run_state=proc.state,
        tty=proc.tty,
        tmux=_tmux(proc),
        state=State.FROZEN if proc.state in "Tt" else None,
        state_source="process" if proc.state in "Tt" else "",
    )


def _tmux(proc: Proc) -> str:
    """`socket,pane` of the pane that the process was started in, "" = none."""
    server, pane = proc.env_value("TMUX"), proc.env_value("TMUX_PANE")
    socket = server.rsplit(",", 2)[0]
    return f"{clean(socket, 300)},{clean(pane, 20)}" if socket and pane else ""


def _agent_proc(pid: int, now: _Pass, children: list[ChildProc]) -> AgentProc:
    proc, mapped = now.table[pid], now.mapped[pid]
    assert proc.identity is not None
    spec, entry = proc.identity.spec, mapped.entry
    outer = wrappers(pid, now.table, now.roles)
    base = _base(proc, spec.agent, ProcRole.AGENT, now.evidence)
    published = None if entry is None or base.state is not None else published_state(mapped, now.evidence)
    known_one_shot = entry.one_shot if entry else None
    return structs.replace(
        base,
        one_shot=spec.one_shot(proc.identity.argv) if known_one_shot is None else known_one_shot,
        session_id=clean(mapped.session_id),
        confidence=mapped.confidence,
        parent_session_id=_parent_session(proc, mapped.session_id, now),
        state=published.state if published else base.state,
        state_detail=published.state_detail if published else "",
        state_since_ms=published.state_since_ms if published else 0,
        state_source="registry" if published and published.state else base.state_source,
        children=tuple(sorted(children, key=lambda c: (c.started_ms, c.ident.pid))),
        wrapper=outer[0].ident(now.evidence.host) if outer else None,
        background_id=clean(entry.background_id, 80) if entry else "",
        log_root=mapped.root or now.evidence.roots.get(pid, ""),
    )


def published_state(mapped: Mapped, evidence: Evidence) -> RegistryEntry | None:
    """The entry whose state counts: that of the supervisor's job where it says more than the worker."""
    entry = mapped.entry
    if entry is None or not entry.background_id:
        return entry
    for filed in evidence.filed:
        job = filed.entry
        if not job.pid and job.background_id == entry.background_id and filed.root.path == mapped.root:
            return (
                job if entry.state is None or job.state in (State.INPUT, State.ERROR, State.DONE) else entry
            )
    return entry


def _parent_session(proc: Proc, own_session: str, now: _Pass) -> str:
    """The session whose tool call started this agent, from the marker that it was born with."""
    above = ancestor_agent(proc, now.table, now.roles)
    names = [_spec(now.table[above])] if above else []
    for spec in (*names, *now.evidence.specs):
        marker = proc.env_value(*spec.session_markers)
        if marker and marker != own_session:
            return clean(marker)
    return ""


def _daemon_proc(pid: int, now: _Pass, children: list[ChildProc]) -> AgentProc:
    proc = now.table[pid]
    return structs.replace(
        _base(proc, _spec(proc).agent, ProcRole.DAEMON, now.evidence),
        shared_session_ids=tuple(sorted(set(now.evidence.fds.get(pid, ())))),
        children=tuple(sorted(children, key=lambda c: (c.started_ms, c.ident.pid))),
        log_root=now.evidence.roots.get(pid, ""),
    )


def _orphan_procs(orphans: Mapping[int, Owner], evidence: Evidence) -> list[AgentProc]:
    """One row for the topmost process of each orphaned tree; the rest are its children."""
    below: dict[int, list[ChildProc]] = {}
    tops: list[int] = []
    for pid, owner in orphans.items():
        top = pid
        while evidence.table[top].ppid in orphans:
            top = evidence.table[top].ppid
        if top == pid:
            tops.append(pid)
        else:
            below.setdefault(top, []).append(_child(evidence.table[pid], owner.role, evidence))
    found: list[AgentProc] = []
    for pid in tops:
        owner = orphans[pid]
        found.append(
            structs.replace(
                _base(evidence.table[pid], owner.agent, ProcRole.ORPHAN, evidence),
                session_id=clean(owner.session_id),
                confidence=EXACT if owner.session_id else "",
                state=State.ORPHAN,
                state_source="process",
                children=tuple(sorted(below.get(pid, []), key=lambda c: (c.started_ms, c.ident.pid))),
            )
        )
    return found
