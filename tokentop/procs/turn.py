"""What stopping a turn may end: the tools that the turn has started, and nothing else below the agent. Pure.

A tool is a child of the agent, with all below it, that was born in the turn. Left alone, and named in the plan:

- what is older than the turn, and what talks to the agent over pipes (servers of tools, language servers), unless
  it is a shell that began with the call that the turn waits for;
- a child with another agent, a service of several sessions or a terminal multiplexer below it;
- what ignores SIGHUP where its agent does not (`nohup`), with what is below it.

What has lost its parent before (`command &` in a shell that has ended) is not below the agent any more: it was
detached. Of the tools, the turn waits for those that were born since its open call was made; the others have been
answered and run on in the background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, structs

from tokentop.agents.processes import stem
from tokentop.nouns.actions import PlannedProc
from tokentop.nouns.processes import AgentProc, Ident, ProcRole
from tokentop.procs.never import SHELLS
from tokentop.procs.table import Host, Proc, Table, family
from tokentop.procs.tree import is_apart, marked_tools, planned

CLOCKS_MS = 1_000  # a log and the process table may differ by this much


class Turn(Struct, frozen=True):
    """What the log and the status say about the turn that runs. Epoch milliseconds, 0 = not known."""

    began_ms: int = 0
    waits_ms: int = 0  # since when it waits for a tool; 0 = for none that is known


class TurnTools(Struct, frozen=True):
    """`tree` may be ended when the turn is stopped, `awaited` of it also where the agent has not touched it."""

    tree: tuple[PlannedProc, ...] = ()
    stays: tuple[PlannedProc, ...] = ()
    awaited: tuple[Ident, ...] = ()


def turn_tools(
    agent: AgentProc,
    owner: Proc,
    turn: Turn,
    table: Table,
    procs: Sequence[AgentProc],
    host: Host,
    *,
    shared: bool,
    yields: bool,
    detached: Callable[[int], bool],
) -> TurnTools:
    """The tools of the turn of `agent`. `owner` runs them: the agent itself, or the shared daemon that it lives in.

    `detached` tells of a pid that it ignores SIGHUP; `yields` is `Processes.yields_tools`.
    """
    roles = {child.ident.pid: child.role for one in procs for child in one.children}
    below = {pid: proc for pid, proc in table.items() if proc.ppid == owner.pid and proc.state != "Z"}
    if shared:
        mine = set(marked_tools(agent, table, procs))
        if agent.role is not ProcRole.DAEMON:  # else its children are those of all sessions
            mine |= {child.ident.pid for child in agent.children}
        below = {pid: proc for pid, proc in below.items() if pid in mine}
    hardened = detached(owner.pid)
    parents = {pid: proc.ppid for pid, proc in table.items() if proc.state != "Z"}
    tools: set[int] = set()
    stays: set[int] = set()
    awaited: set[int] = set()
    for pid, proc in below.items():
        tree = family(parents, [pid])
        waits = bool(turn.waits_ms) and proc.started_ms >= turn.waits_ms - CLOCKS_MS
        if proc.started_ms < turn.began_ms - CLOCKS_MS or not _is_tool(proc, tree, table, roles, waits):
            stays |= tree
            continue
        cut = set() if hardened else family(parents, (one for one in tree if detached(one)))
        stays |= cut
        tools |= tree - cut
        if waits or (yields and turn.began_ms):
            awaited |= tree - cut
    found = tuple(map(_named, planned(tools, table, procs, host)))
    waited_for = tuple(one.ident for one in found if one.ident.pid in awaited)
    return TurnTools(found, planned(stays, table, procs, host), waited_for)


def told_apart(tree: Sequence[PlannedProc], turn: Turn, table: Table) -> tuple[PlannedProc, ...]:
    """The tree with what talks over pipes and began with the call that the turn waits for named a tool."""
    if not turn.waits_ms:
        return tuple(tree)
    since_ms = turn.waits_ms - CLOCKS_MS
    return tuple(_named(one) if table[one.ident.pid].started_ms >= since_ms else one for one in tree)


def _named(tool: PlannedProc) -> PlannedProc:
    """A tool over pipes is taken for a server of tools where only processes are looked at."""
    return structs.replace(tool, role=ProcRole.TOOL) if tool.role is ProcRole.MCP else tool


def _is_tool(proc: Proc, tree: Iterable[int], table: Table, roles: dict[int, ProcRole], waits: bool) -> bool:
    if any(table[pid].identity is not None or is_apart(table[pid]) for pid in tree):
        return False
    if roles.get(proc.pid) is ProcRole.MCP:
        return waits and bool(proc.argv) and stem(proc.argv[0]).lstrip("-") in SHELLS
    return waits or not any(roles.get(pid) is ProcRole.SERVER for pid in tree)
