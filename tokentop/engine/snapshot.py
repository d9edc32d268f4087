"""The live state as one immutable picture. Pure.

Rows come in tree order, siblings and roots by when they were first seen; the screen sorts.
"""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

from msgspec import structs

from tokentop.engine.alone import Frame, framed, kept, node_of, parted
from tokentop.engine.binding import proc_key
from tokentop.engine.live import LiveState
from tokentop.engine.progress import Unchanged, unchanged
from tokentop.engine.rates import SPARK_SAMPLES
from tokentop.engine.status import command_name
from tokentop.engine.track import Track
from tokentop.engine.tree import Node, build, children_of, finish, tool_lines
from tokentop.nouns.picture import Row, Snapshot, Status
from tokentop.nouns.processes import AgentProc, ChildProc
from tokentop.nouns.sessions import State
from tokentop.nouns.telemetry import SURFACE
from tokentop.nouns.usage import Figures

_NO_SPARK = (0.0,) * SPARK_SAMPLES
MANY = 250  # rows that stand alone; of more, those to which nothing happens ...
REST_MS = 2_500  # ... slide with the clock every third second: it is a third of the work for a thousand


def take(live: LiveState, at_ms: int) -> Snapshot:
    """Return the picture of `live` at `at_ms`."""
    live.advance(at_ms)
    rows: list[Row] = []
    unpriced: dict[str, str] = {}
    lone, others = parted(live, at_ms)
    rest_ms = REST_MS if len(lone) > MANY else 0
    frames = [_frame(live, track, at_ms, rest_ms) for track in lone]
    live.frames = {track.key: frame for track, frame in zip(lone, frames, strict=True)}
    at = 0
    nodes, longer = build(live, others, at_ms), live.longer
    for node in nodes:
        if not node.shown:
            continue
        if not node.depth:  # roots by when they were first seen, cycles at the end
            while at < len(lone) and (node.cut or lone[at].order < node.order):
                rows.extend(frames[at].rows)
                at += 1
        rows.append(_session_row(live, node, at_ms) if node.track is not None else _proc_row(live, node))
        if node.track is not None and node.track.unpriced_model and node.status.state is not State.DONE:
            unpriced[node.key] = node.track.unpriced_model
        rows.extend(_tool_row(live, node, child) for child in tool_lines(node, at_ms))
    for frame in frames[at:]:
        rows.extend(frame.rows)
    unpriced |= {key: frame.unpriced_model for key, frame in live.frames.items() if frame.unpriced_model}
    rows.extend(_orphan_row(live, key, proc, at_ms) for key, proc in live.binding.orphans.items())
    return Snapshot(
        revision=live.revision,
        at_ms=at_ms,
        rows=tuple(rows),
        counts=_counts(rows),
        totals=_totals(live),
        today=live.today,
        series=live.rates.series(),
        forecast=live.forecast,
        quotas=live.limits.at(at_ms),
        budgets=live.budgets,
        alerts=live.rules.evaluate(rows, live.budgets, unpriced, at_ms),
        progress=live.progress,
        health=live.health,
        looked=live.looked,
        own_cpu_pct=live.own_cpu_pct,
        own_rss_bytes=live.own_rss_bytes,
        mode=live.mode,
        history_events=live.history_events,
        window_min=longer.minutes if longer is not None else 1,
        averages=longer.averages([*nodes, *map(node_of, lone)], live.rates) if longer is not None else {},
        average=longer.total(live.rates) if longer is not None else None,
        watched=live.aftermath.finished,
    )


def _frame(live: LiveState, track: Track, at_ms: int, rest_ms: int) -> Frame:
    """The row of a session that stands alone, with its tools: the last one where nothing of it changed."""
    frame = kept(live, track, at_ms, rest_ms)
    if frame is None:
        node = node_of(track)
        finish(live, node, at_ms)
        tools = (_tool_row(live, node, child) for child in tool_lines(node, at_ms))
        frame = framed(live, track, (_session_row(live, node, at_ms), *tools), at_ms)
    return frame


def _counts(rows: list[Row]) -> tuple[tuple[State, int], ...]:
    """States of agents and orphans in the order of `State`; sub-agents and tools are not agents."""
    found = Counter(row.status.state for row in rows if row.kind in {"agent", "orphan"})
    return tuple((state, found[state]) for state in State if found[state])


def _totals(live: LiveState) -> Figures:
    rate = live.rates.total()
    return structs.replace(
        live.today,
        tokens_per_min=rate.tokens_per_min,
        reads_per_min=rate.reads_per_min,
        burn_nusd_per_h=rate.burn_nusd_per_h,
    )


def _session_row(live: LiveState, node: Node, at_ms: int) -> Row:
    track = node.track
    assert track is not None
    session, proc = track.session, node.proc
    model = track.model or session.model
    cwd = session.cwd or (proc.cwd if proc else "")
    window = (track.context.window if track.context else 0) or live.window(session.agent, model)
    resume = "" if node.sub_agent else live.resume.get(session.agent, "").format(session_id=session.id)
    still = Unchanged() if node.sub_agent else unchanged(live, node, at_ms)
    started = session.first_ms or (proc.started_ms if proc else 0)
    habits = track.habits
    return Row(
        key=node.key,
        parent_key=node.parent.key if node.parent else "",
        depth=node.depth,
        kind="sub-agent" if node.sub_agent else "agent",
        agent=session.agent,
        session_id=session.id,
        title=_title(live, track),
        project=_project(cwd),
        cwd=cwd,
        branch=session.branch,
        model=model,
        status=node.status,
        own=node.own,
        tree=node.tree,
        spark=live.rates.spark(node.key),
        context_used=track.context.used if track.context else None,
        context_window=window,
        started_ms=started,
        last_ms=track.record_ms,
        version=session.version,
        surface=session.surface,
        log_path=session.log_path,
        resume=resume,
        sub_agents=node.sub_agents,
        working_below=node.working_below,
        unchanged_since_ms=still.since_ms,
        unchanged_nusd=still.nusd,
        unchanged_at_least=still.at_least,
        unchanged_source=still.source,
        notes=_notes(node, track),
        same_calls=habits.same_calls,
        same_call=habits.same_call,
        compactions=habits.compactions(at_ms),
        last_tool=track.last_tool,
        host=live.host,
        **_of_proc(live, proc, track),
    )


def _title(live: LiveState, track: Track) -> str:
    if not track.loaded:
        return "no log yet"
    if not live.titles or not track.session.title:
        return track.session.id.rpartition("/")[2][:8]
    return track.session.title


def _notes(node: Node, track: Track) -> tuple[str, ...]:
    notes = list(figure_notes(node.own))
    if node.hidden:
        notes.append(f"{node.hidden} finished sub-agents folded")
    if node.proc is not None and not node.owns_proc:
        notes.append(f"lives in a daemon with {len(node.proc.shared_session_ids)} sessions")
    elif node.proc is not None and node.proc.confidence == "inferred":
        notes.append("the process was matched by folder and time")
    if node.host is None and track.loaded and not node.ended_ms:
        unlogged = track.session.surface == SURFACE and not track.session.log_path
        notes.append(f"no process of it is seen: known from its {SURFACE if unlogged else 'log'} alone")
    return tuple(notes)


def figure_notes(own: Figures) -> tuple[str, ...]:
    """What a row says about the quality of its figures, in words."""
    notes = []
    if own.unknown_calls:
        plural = "" if own.unknown_calls == 1 else "s"
        notes.append(f"{own.unknown_calls} call{plural} without usage in the log: running, or lost")
    if own.unpriced_tokens:
        notes.append(f"{own.unpriced_tokens} tokens without a price")
    if own.estimated:
        notes.append("some figures are estimates")
    return tuple(notes)


class _ProcFields(TypedDict, total=False):
    pid: int
    confidence: str
    cpu_pct: float
    rss_bytes: int
    command: str
    where: str
    children: tuple[ChildProc, ...]


def _of_proc(live: LiveState, proc: AgentProc | None, track: Track | None = None) -> _ProcFields:
    if proc is None:
        return {}
    return {
        "pid": proc.ident.pid,
        "confidence": proc.confidence,
        "cpu_pct": proc.cpu_pct,
        "rss_bytes": proc.rss_bytes,
        "command": proc.command,
        "where": _where(live, proc),
        "children": children_of(proc, track),
    }


def _where(live: LiveState, proc: AgentProc) -> str:
    """The tmux pane by name, once it is known that the process is there; else its terminal.

    Its environment names a pane also when that is closed, or was never its own: then it has no terminal.
    """
    tty = proc.tty.removeprefix("/dev/")
    if not tty:
        return ""
    if proc.tmux and (place := live.places.get(proc.tmux, "tmux " + proc.tmux.rpartition(",")[2])):
        return place
    windows = (f"{one.kind} {one.place}" for one in proc.terminals if one.kind != "tmux" and one.place)
    return next(windows, tty)


def _project(cwd: str) -> str:
    return cwd.rstrip("/").rpartition("/")[2] or cwd


def _proc_row(live: LiveState, node: Node) -> Row:
    proc = node.host
    assert proc is not None
    known = live.tracks.get(f"{proc.agent}:{proc.session_id}") if proc.session_id else None
    absent = "leaves no usage on disk" if proc.agent in live.unlogged else "no log yet"
    title = f"also runs: {_title(live, known)}" if known is not None else absent
    return _bare_row(
        live, proc, node.key, title, "agent", node.status, node.depth, node.parent.key if node.parent else ""
    )


def _orphan_row(live: LiveState, key: str, proc: AgentProc, at_ms: int) -> Row:
    status = Status(State.ORPHAN, command_name(proc.command), "process", min(proc.started_ms, at_ms))
    return _bare_row(live, proc, key, proc.command, "orphan", status, 0, "")


def _bare_row(
    live: LiveState,
    proc: AgentProc,
    key: str,
    title: str,
    kind: str,
    status: Status,
    depth: int,
    parent_key: str,
) -> Row:
    """A process of which no log speaks: its figures are not known, so context is None and no model."""
    return Row(
        key=key,
        parent_key=parent_key,
        depth=depth,
        kind=kind,
        agent=proc.agent,
        session_id=proc.session_id,
        title=title,
        project=_project(proc.cwd),
        cwd=proc.cwd,
        branch="",
        model="",
        status=status,
        own=Figures(),
        tree=Figures(),
        spark=_NO_SPARK,
        context_used=None,
        context_window=0,
        started_ms=proc.started_ms,
        last_ms=0,
        host=live.host,
        **_of_proc(live, proc),
    )


def _tool_row(live: LiveState, node: Node, child: ChildProc) -> Row:
    agent = node.track.session.agent if node.track is not None else (node.proc.agent if node.proc else "")
    cwd = node.track.session.cwd if node.track is not None else (node.proc.cwd if node.proc else "")
    return Row(
        key=proc_key(child.ident),
        parent_key=node.key,
        depth=node.depth + 1,
        kind="tool",
        agent=agent,
        session_id=node.track.session.id if node.track is not None else "",
        title=child.command,
        project=_project(cwd),
        cwd=cwd,
        branch="",
        model="",
        status=Status(State.TOOL, command_name(child.command), "process", child.started_ms),
        own=Figures(),
        tree=Figures(),
        spark=_NO_SPARK,
        context_used=None,
        context_window=0,
        started_ms=child.started_ms,
        last_ms=0,
        pid=child.ident.pid,
        confidence="exact",
        cpu_pct=child.cpu_pct,
        rss_bytes=child.rss_bytes,
        command=child.command,
        host=live.host,
    )
