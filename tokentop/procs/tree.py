"""What is below a target, recorded before the first signal, and what must be spared. Pure."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence

from tokentop.agents.processes import Processes
from tokentop.nouns.actions import PlannedProc
from tokentop.nouns.processes import AgentProc, Ident, ProcRole
from tokentop.procs.kin import is_multiplexer
from tokentop.procs.rows import command_of
from tokentop.procs.table import Host, Proc, Table, family

SERVICES = (ProcRole.DAEMON, ProcRole.PTY_HOST, ProcRole.SPARE, ProcRole.UPDATER)


def planned_tree(
    target: Proc | None, agent: AgentProc | None, table: Table, procs: Sequence[AgentProc], host: Host
) -> tuple[PlannedProc, ...]:
    """Descendants of the target, its detached children and its session's orphans; deepest first.

    Nested agents are named with their session. Launchers above the target come last.
    """
    cut = {pid for pid, proc in table.items() if is_apart(proc)}
    parents = {pid: proc.ppid for pid, proc in table.items() if pid not in cut and proc.state != "Z"}
    roots = [target.pid] if target else []
    if agent is not None and agent.role is not ProcRole.DAEMON:
        roots += [child.ident.pid for child in agent.children]
    if agent is not None and agent.session_id:
        roots += marked_tools(agent, table, procs)
    found = family(parents, roots) - ({target.pid} if target else set())
    return (*planned(found, table, procs, host), *_launchers(target, agent, table, host))


def planned(
    pids: Iterable[int], table: Table, procs: Sequence[AgentProc], host: Host
) -> tuple[PlannedProc, ...]:
    """Processes of the table as a plan names them, deepest first."""
    roles = {child.ident.pid: child.role for one in procs for child in one.children}
    nested = {one.ident.pid: one for one in procs if one.role is ProcRole.AGENT}
    tree: list[PlannedProc] = []
    for pid in pids:
        inner = nested.get(pid)
        role = ProcRole.AGENT if inner else roles.get(pid, ProcRole.TOOL)
        session_id = inner.session_id if inner else ""
        command, depth = command_of(table[pid]), _depth(pid, table)
        tree.append(PlannedProc(table[pid].ident(host), role, command, depth, session_id))
    tree.sort(key=lambda one: (-one.depth, one.ident.pid))
    return tuple(tree)


def is_apart(proc: Proc) -> bool:
    """Never part of a tree, nor what is below: terminal multiplexers and services of several sessions."""
    return is_multiplexer(proc.argv) or (proc.identity is not None and proc.identity.role in SERVICES)


def marked_tools(agent: AgentProc, table: Table, procs: Iterable[AgentProc]) -> list[int]:
    """Tools of this session that live elsewhere: under a daemon, or orphaned."""
    found: list[int] = []
    for one in procs:
        if one.role is ProcRole.ORPHAN and (one.agent, one.session_id) == (agent.agent, agent.session_id):
            found.append(one.ident.pid)
        if one.role is ProcRole.DAEMON and one.agent == agent.agent:
            for child in one.children:
                proc = table[child.ident.pid]
                if agent.session_id in (value for _, value in proc.env):
                    found.append(child.ident.pid)
    return found


def _depth(pid: int, table: Table) -> int:
    depth = 0
    seen = {pid}
    parent = table.get(table[pid].ppid)
    while parent is not None and parent.pid not in seen:
        depth += 1
        seen.add(parent.pid)
        parent = table.get(parent.ppid)
    return depth


def _launchers(target: Proc | None, agent: AgentProc | None, table: Table, host: Host) -> list[PlannedProc]:
    found: list[PlannedProc] = []
    if target is None or agent is None or agent.wrapper is None:
        return found
    step = table.get(target.ppid)
    while step and step.identity and target.identity and step.identity.spec.agent == agent.agent:
        if step.sid != target.sid or step.identity.role is not ProcRole.AGENT:
            break
        found.append(PlannedProc(step.ident(host), ProcRole.WRAPPER, command_of(step), 0))
        step = table.get(step.ppid)
    return found


def spared(
    target: Proc | None, tree: Sequence[PlannedProc], table: Table, host: Host, daemon: Ident | None
) -> tuple[Ident, ...]:
    """Every other agent and service of the table: neither they nor what is below them may be swept.

    The session's own daemon is left out, because the session's tools are below it.
    """
    doomed = {planned.ident.pid for planned in tree} | ({target.pid} if target else set())
    above = set()
    step = target
    while step is not None and step.pid not in above:
        above.add(step.pid)
        step = table.get(step.ppid)
    return tuple(
        proc.ident(host)
        for pid, proc in table.items()
        if pid not in doomed
        and pid not in above
        and (daemon is None or pid != daemon.pid)
        and (proc.identity is not None or is_multiplexer(proc.argv))
    )


def marks(
    specs: Iterable[Processes], agent: str, session_id: str, tree: Sequence[PlannedProc]
) -> tuple[tuple[str, str], ...]:
    """Environment entries that prove that a process was started by one of the sessions to end."""
    nested = [planned.nested_session_id for planned in tree if planned.nested_session_id]
    found: list[tuple[str, str]] = []
    for spec in specs:
        ids = [session_id, *nested] if spec.agent == agent else nested
        found += [(name, one) for name in spec.session_markers for one in ids if one]
    return tuple(dict.fromkeys(found))


def stop_argv(spec: Processes, agent: AgentProc, proc: Proc) -> tuple[str, ...]:
    """The agent's own stop command, with the program that the agent itself was started with."""
    if not agent.background_id or not spec.stop_command or proc.identity is None:
        return ()
    first = proc.identity.argv[0]
    before = proc.argv[: -len(proc.identity.argv)]
    program = first if first.startswith("/") else shutil.which(spec.names[0]) or proc.exe
    return (*before, program, *(word.replace("{id}", agent.background_id) for word in spec.stop_command))
