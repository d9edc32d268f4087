"""Builds the `AgentProc` of each agent, shared daemon and orphan from one pass over the table. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct, structs

from tokentop.agents.processes import RegistryEntry, profile_of
from tokentop.nouns.processes import AgentProc, ChildProc, ProcRole
from tokentop.nouns.sessions import State
from tokentop.procs.evidence import EXACT, Evidence, Mapped
from tokentop.procs.kin import Owner, Owners, Pass, ancestor_agent, begin, owner_of, spec_of
from tokentop.procs.match import left_threads
from tokentop.procs.roles import started_with, wrappers
from tokentop.procs.table import Proc
from tokentop.procs.terminals import terminals_of
from tokentop.text import clean, one_line

_COMMAND_CHARS = 400


class Picture(Struct, frozen=True):
    """One pass: the agents with their children, and who owned what (for the next pass)."""

    procs: tuple[AgentProc, ...]
    owners: Owners


def picture(evidence: Evidence, owners: Owners) -> Picture:
    """Match one table. `owners` is what the last pass returned."""
    now = begin(evidence, owners)
    children: dict[int, list[ChildProc]] = {}
    orphans: dict[int, Owner] = {}
    kept: dict[tuple[int, int], Owner] = {}
    for pid, proc in evidence.table.items():
        if pid in now.roles or proc.state == "Z" or pid in evidence.own_pids:
            continue
        if proc.identity is not None:
            continue  # just forked: it still has the arguments of its agent
        owner_pid, owner = owner_of(proc, now)
        if owner is None:
            continue
        if owner.key[0]:
            kept[proc.key] = owner
        if owner_pid:
            children.setdefault(owner_pid, []).append(_child(proc, owner.role, evidence))
        else:
            orphans[pid] = owner
    procs = [_agent_proc(pid, now, children.get(pid, [])) for pid in now.mapped]
    procs += [
        _daemon_proc(pid, now, children.get(pid, [])) for pid, r in now.roles.items() if r is ProcRole.DAEMON
    ]
    procs += _orphan_procs(orphans, evidence)
    return Picture(tuple(sorted(procs, key=lambda p: (p.started_ms, p.ident.pid))), kept)


def command_of(proc: Proc) -> str:
    """The arguments for display, secrets masked: agents and tools are given keys on their command line."""
    return _shown(tuple(proc.argv))


@lru_cache(4096)
def _shown(argv: tuple[str, ...]) -> str:
    return one_line(" ".join(argv), _COMMAND_CHARS)


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
        terminals=terminals_of(proc),
        state=State.FROZEN if proc.state in "Tt" else None,
        state_source="process" if proc.state in "Tt" else "",
    )


def _tmux(proc: Proc) -> str:
    """`socket,pane` of the pane that the process was started in, "" = none."""
    server, pane = proc.env_value("TMUX"), proc.env_value("TMUX_PANE")
    socket = server.rsplit(",", 2)[0]
    return f"{clean(socket, 300)},{clean(pane, 20)}" if socket and pane else ""


def _agent_proc(pid: int, now: Pass, children: list[ChildProc]) -> AgentProc:
    proc, mapped = now.table[pid], now.mapped[pid]
    assert proc.identity is not None
    spec, entry = proc.identity.spec, mapped.entry
    outer = wrappers(pid, now.table, now.roles)
    base = _base(proc, spec.agent, ProcRole.AGENT, now.evidence)
    published = None if entry is None or base.state is not None else published_state(mapped, now.evidence)
    known_one_shot = entry.one_shot if entry else None
    one_shot = any(map(spec.one_shot, started_with(pid, now.table, now.roles)))
    return structs.replace(
        base,
        one_shot=one_shot if known_one_shot is None else known_one_shot,
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
        profile=profile_of(spec, proc.env_value(spec.root_env)),
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


def _parent_session(proc: Proc, own_session: str, now: Pass) -> str:
    """The session whose tool call started this agent, from the marker that it was born with."""
    above = ancestor_agent(proc, now.table, now.roles)
    names = [spec_of(now.table[above])] if above else []
    for spec in (*names, *now.evidence.specs):
        marker = proc.env_value(*spec.session_markers)
        if marker and marker != own_session:
            return clean(marker)
    return ""


def _daemon_proc(pid: int, now: Pass, children: list[ChildProc]) -> AgentProc:
    proc = now.table[pid]
    return structs.replace(
        _base(proc, spec_of(proc).agent, ProcRole.DAEMON, now.evidence),
        shared_session_ids=tuple(sorted(set(now.evidence.fds.get(pid, ())))),
        left_session_ids=left_threads(pid, now.roles, now.mapped, now.evidence),
        children=tuple(sorted(children, key=lambda c: (c.started_ms, c.ident.pid))),
        log_root=now.evidence.roots.get(pid, ""),
        profile=profile_of(spec_of(proc), proc.env_value(spec_of(proc).root_env)),
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
