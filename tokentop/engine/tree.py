"""Which sessions and processes are lines of the screen, and what hangs below what. Pure.

Parents come from hostile logs: a cycle is cut where it is entered, depth costs no recursion.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, structs

from tokentop.engine.binding import LINGER_MS
from tokentop.engine.live import LiveState
from tokentop.engine.status import LOG_ONLY_MS, Evidence, judge
from tokentop.engine.track import Track
from tokentop.nouns.picture import Status
from tokentop.nouns.processes import AgentProc, ChildProc, ProcRole
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures

CLOCKS_MS = 1_000  # a log and the process table may differ by this much
TOOL_MS = 2_000  # a tool that lives longer gets a line
DONE_SHOWN = 2  # finished sub-agents of one parent that keep a line for 15 minutes; the rest is counted

_ACTIVE = frozenset({State.WORKING, State.TOOL, State.PERMISSION, State.INPUT, State.LIMITED})


class Node(Struct, eq=False):
    """One session or process while a snapshot is made."""

    key: str
    order: int
    track: Track | None = None
    proc: AgentProc | None = None  # its own, or its daemon; None for a sub-agent
    host: AgentProc | None = None  # the process it lives in
    owns_proc: bool = False
    ended_ms: int = 0
    parent: Node | None = None
    depth: int = 0
    below: list[Node] = []
    status: Status = Status(State.UNKNOWN)
    own: Figures = Figures()
    tree: Figures = Figures()
    sub_agents: int = 0
    working_below: int = 0
    shown: bool = True
    hidden: int = 0
    cut: bool = False  # the head of a cycle

    @property
    def sub_agent(self) -> bool:
        return self.track is not None and self.track.sub_agent


def build(live: LiveState, tracks: Iterable[Track], at_ms: int) -> list[Node]:
    """Return all nodes of `tracks` in tree order, with status and figures; `shown` tells which are lines."""
    nodes = _visible(live, tracks, at_ms)
    _hang(nodes)
    ordered = _walk(nodes)
    for node in reversed(ordered):
        finish(live, node, at_ms)
    return ordered


def _visible(live: LiveState, tracks: Iterable[Track], at_ms: int) -> dict[str, Node]:
    nodes: dict[str, Node] = {}
    for track in tracks:
        if not _follows(live, track):
            _include(live, nodes, track)
    for key in list(nodes):
        _include_below(live, nodes, key)
    for key, proc in live.binding.loose.items():
        nodes[key] = Node(key, live.binding.order[key], None, proc, proc, owns_proc=True)
    for key, (proc, ended_ms) in live.binding.gone.items():
        if 0 <= at_ms - ended_ms < LINGER_MS:
            nodes[key] = Node(key, live.binding.order.get(key, 0), None, None, proc, ended_ms=ended_ms)
    return nodes


def is_line(track: Track, at_ms: int) -> bool:
    """A live process; one that ended just now; a log without a process that is young and not ended."""
    if track.proc is not None:
        return track.loaded or track.owns_proc  # a daemon makes a thread before anything is in it
    if track.ended_ms:
        return at_ms - track.ended_ms < LINGER_MS
    if track.last is not None and track.last.state is State.DONE:
        return at_ms - track.record_ms < LINGER_MS
    return track.loaded and at_ms - track.record_ms < LOG_ONLY_MS + LINGER_MS


def _follows(live: LiveState, track: Track) -> bool:
    """Tell whether a sub-agent comes and goes with an ancestor whose process is, or was, seen."""
    seen = {track.key}
    current: Track | None = track
    while current is not None and current.sub_agent and current.parent not in seen:
        seen.add(current.parent)
        current = live.tracks.get(current.parent)
        if current is not None and (current.proc is not None or current.ended_ms):
            return True
    return False


def _include(live: LiveState, nodes: dict[str, Node], track: Track) -> None:
    """Add a session and, for a sub-agent, the sessions that it lives in."""
    current: Track | None = track
    while current is not None and current.key not in nodes:
        inside = current.sub_agent and not current.owns_proc  # a daemon is its parent's to stop
        nodes[current.key] = Node(
            current.key,
            current.order,
            current,
            None if inside else current.proc,
            current.proc,
            current.owns_proc,
            0 if current.proc else current.ended_ms,
        )
        current = live.tracks.get(current.parent) if current.sub_agent else None


def _include_below(live: LiveState, nodes: dict[str, Node], key: str) -> None:
    """Add all sub-agents of a line: their figures count, and they stay while their parent lives."""
    todo = [key]
    while todo:
        for kid in live.tracks.kids.get(todo.pop(), ()):
            track = live.tracks.get(kid)
            if track is not None and track.sub_agent and kid not in nodes:
                _include(live, nodes, track)
                todo.append(kid)


def _hang(nodes: dict[str, Node]) -> None:
    """Set each node's parent: the log's word first, then the marker in the process environment."""
    by_id: dict[str, Node] = {}
    for node in nodes.values():
        if node.track is not None:
            known = by_id.get(node.track.session.id)
            if known is None or (known.proc is None and node.proc is not None):
                by_id[node.track.session.id] = node
    for node in nodes.values():
        parent = nodes.get(node.track.parent) if node.track is not None else None
        if parent is None:
            nested_in = node.track.nested_in if node.track else (node.host or _NOBODY).parent_session_id
            parent = by_id.get(nested_in) if nested_in else None
        if parent is not None and parent is not node:
            node.parent = parent
    for node in sorted(nodes.values(), key=lambda n: n.order):
        if node.parent is not None:
            node.parent.below.append(node)


def _walk(nodes: dict[str, Node]) -> list[Node]:
    """Return the nodes in tree order. A cycle has no root: it is cut above its first seen member."""
    ordered: list[Node] = []
    placed: set[str] = set()
    by_order = sorted(nodes.values(), key=lambda n: n.order)
    for root in [n for n in by_order if n.parent is None] + by_order:
        if root.key in placed:
            continue
        if root.parent is not None:
            root.parent.below.remove(root)
            root.parent = None
            root.cut = True
        stack = [root]
        while stack:
            node = stack.pop()
            placed.add(node.key)
            ordered.append(node)
            if node.parent is not None:
                node.depth = node.parent.depth + 1
                if node.sub_agent and node.host is None:
                    node.host = node.parent.host
                    node.ended_ms = node.ended_ms or node.parent.ended_ms
            stack.extend(reversed(node.below))
    return ordered


def finish(live: LiveState, node: Node, at_ms: int) -> None:
    """Status and figures of a node whose children are finished."""
    for kid in node.below:
        node.sub_agents += kid.sub_agents + 1
        node.working_below += kid.working_below + (kid.status.state in _ACTIVE)
    own_running = sum(1 for kid in node.below if kid.sub_agent and _runs(kid))
    node.status = judge(_evidence(live, node, own_running), at_ms)
    rate = live.rates.of(node.key)
    base = node.track.own if node.track is not None else Figures()
    node.own = Figures(
        base.tokens,
        base.responses,
        base.cost_nusd,
        base.unpriced_tokens,
        base.estimated,
        node.track.lost_calls(node.status.state is State.DONE) if node.track is not None else 0,
        rate.tokens_per_min,
        rate.reads_per_min,
        rate.burn_nusd_per_h,
    )
    node.tree = node.own
    for kid in node.below:
        node.tree = add_figures(node.tree, kid.tree)
    _fold_done(node, at_ms)


def _runs(kid: Node) -> bool:
    return kid.status.state in _ACTIVE or kid.working_below > 0


def _fold_done(node: Node, at_ms: int) -> None:
    done = [k for k in node.below if k.sub_agent and k.status.state is State.DONE and not _runs(k)]
    done.sort(key=lambda k: (k.status.since_ms, k.order))
    fresh = [k for k in done[-DONE_SHOWN:] if at_ms - k.status.since_ms < LOG_ONLY_MS]
    for kid in done[: len(done) - len(fresh)]:
        stack = [kid]
        while stack:
            hidden = stack.pop()
            if hidden.shown:
                hidden.shown = False
                node.hidden += 1
            stack.extend(hidden.below)


def _evidence(live: LiveState, node: Node, own_running: int) -> Evidence:
    track = node.track
    host = node.host if not node.ended_ms else None
    if track is None:
        tool = max(tools_of(host), key=lambda c: c.started_ms, default=None) if host else None
        return Evidence(host, True, node.ended_ms, _frozen(live, host), tool_child=tool)
    if node.sub_agent and host is not None and track.record_ms < host.started_ms:
        # Left open by an earlier process of its parent: nothing of it lives in the present one.
        ended_ms = track.record_ms or host.started_ms
        return Evidence(ended_ms=ended_ms, last=track.last, record_ms=track.record_ms, sub_agent=True)
    calls = track.open_calls()
    tools = [c for proc in _own_procs(host, track.host) for c in tools_of(proc, track)]
    return Evidence(
        proc=host,
        owns_proc=node.owns_proc,
        ended_ms=node.ended_ms,
        frozen_since_ms=_frozen(live, host),
        last=track.last,
        open_call=calls[-1] if calls else None,
        limited=track.limited(),
        record_ms=track.record_ms,
        tool_child=max(tools, key=lambda c: (c.started_ms, c.ident.pid), default=None),
        other_tools=track.host is not None and bool(tools_of(track.host, track)),
        sub_agent=node.sub_agent,
        working_below=own_running,
    )


def _frozen(live: LiveState, proc: AgentProc | None) -> int:
    return (
        live.binding.frozen_since.get((proc.ident.pid, proc.ident.start_ticks), 0) if proc is not None else 0
    )


def tools_of(proc: AgentProc, track: Track | None = None) -> list[ChildProc]:
    """Return the tool processes of an agent.

    A child with pipes is taken for a server of tools, but not one that began when the log says that a tool did.
    """
    last = track.last if track is not None else None
    since = last.at_ms - CLOCKS_MS if last is not None and last.state is State.TOOL else None
    servers = () if since is None else [c for c in proc.children if c.role is ProcRole.MCP]
    began = [c for c in servers if since is not None and c.started_ms >= since]
    return [c for c in proc.children if c.role is ProcRole.TOOL or c in began]


def children_of(proc: AgentProc, track: Track | None) -> tuple[ChildProc, ...]:
    """Return the children of an agent, each by what it is: a tool over pipes is named a tool."""
    if all(child.role is not ProcRole.MCP for child in proc.children):
        return proc.children
    tools = tools_of(proc, track)
    return tuple(structs.replace(c, role=ProcRole.TOOL) if c in tools else c for c in proc.children)


def _own_procs(*procs: AgentProc | None) -> list[AgentProc]:
    """Return the processes whose children belong to one session: a daemon only if it has no other."""
    found: list[AgentProc] = []
    for proc in procs:
        if proc is not None and len(proc.shared_session_ids) < 2:
            if found and found[0] is proc:
                continue
            found.append(proc)
    return found


def tool_lines(node: Node, at_ms: int) -> list[ChildProc]:
    """Return the tools that deserve a line: a shell with a single child gives way to that child."""
    if node.ended_ms or node.proc is None:
        return []
    track = node.track
    procs = _own_procs(node.proc, track.host if track is not None else None)
    tools = [c for proc in procs for c in tools_of(proc, track)]
    pids = {c.ident.pid for c in tools}
    lines = []
    for child in (c for c in tools if c.ppid not in pids):
        seen = {child.ident.pid}
        while len(inner := [c for c in tools if c.ppid == child.ident.pid and c.ident.pid not in seen]) == 1:
            child = inner[0]
            seen.add(child.ident.pid)
        if at_ms - child.started_ms > TOOL_MS:
            lines.append(child)
    return sorted(lines, key=lambda c: (c.started_ms, c.ident.pid))


def add_figures(a: Figures, b: Figures) -> Figures:
    """Return the sum of two sets of figures."""
    return Figures(
        a.tokens + b.tokens,
        a.responses + b.responses,
        a.cost_nusd + b.cost_nusd,
        a.unpriced_tokens + b.unpriced_tokens,
        a.estimated or b.estimated,
        a.unknown_calls + b.unknown_calls,
        a.tokens_per_min + b.tokens_per_min,
        a.reads_per_min + b.reads_per_min,
        a.burn_nusd_per_h + b.burn_nusd_per_h,
    )


class _Nobody(Struct, frozen=True):
    parent_session_id: str = ""


_NOBODY = _Nobody()
