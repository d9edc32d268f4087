"""Answers about one row that somebody looks at: its steps, tokens over time, ports, the process it lives in.

Nothing here runs while nobody looks. `known` and `target` are for the collector's thread, which owns the live state;
`Looker` reads the log and the process table in the thread of who asks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from tokentop.agents import all_agents
from tokentop.agents.base import Agent
from tokentop.engine.binding import proc_key
from tokentop.engine.live import LiveState
from tokentop.engine.meter import minutes_of
from tokentop.ingest.glance import glance
from tokentop.nouns.looks import Inside, LogTail, Look, Minutes, Port, Step
from tokentop.nouns.picture import Row
from tokentop.nouns.processes import ChildProc, Ident
from tokentop.pricing.table import PriceTable
from tokentop.store import reader
from tokentop.text import clean, size_bytes

PORTS_MS = 5_000  # the sockets of a process tree are looked at no more often
STEPS = 60
HOUR_MS = 3_600_000


class Target(Struct, frozen=True):
    """The process of a row and what is below it; `ident` None = none is known, `note` says why."""

    ident: Ident | None = None
    below: tuple[ChildProc, ...] = ()
    note: str = ""


def known(
    live: LiveState, connection: sqlite3.Connection | None, table: PriceTable, row: Row, at_ms: int
) -> Look:
    """What memory, the store and the price list know about a row."""
    look = Look(row.key, at_ms)
    agent = _agent(row.agent)
    if agent is not None:
        look = replace(look, quality=agent.tokens.value, missing=agent.missing)
    track = live.tracks.get(row.key)
    if track is None:
        return look
    habits, described = track.habits, table.describe(row.model, at_ms) if row.model else None
    price = f"{described.rates_id}: {described.row.source}, {described.row.seen}" if described else ""
    return replace(
        look,
        minutes=_minutes(live, connection, row),
        compactions=habits.all_compactions,
        compacted_ms=habits.compacted_ms,
        seen_ms=habits.seen_ms,
        price=clean(price, 160),
        price_estimated=described.estimated if described else False,
    )


def _minutes(live: LiveState, connection: sqlite3.Connection | None, row: Row) -> Minutes | None:
    """From memory where it holds the whole hour, else from the store; None = neither could be asked."""
    if live.rates.whole:
        return live.rates.minutes(row.key)
    if connection is None:
        return None
    now_ms = live.rates.now_ms
    try:
        found = reader.recent_tokens(connection, row.agent, row.session_id, now_ms - 2 * HOUR_MS)
    except sqlite3.Error:
        return None
    return minutes_of(found, now_ms, "store")


def target(live: LiveState, row: Row) -> Target:
    """The process that a row shows, as the last look at the processes saw it."""
    proc = live.binding.process_of(row.key) or live.binding.process_of(row.parent_key)
    if proc is None:
        return Target(note="no process of it is known on this machine: it is seen in its log only")
    if row.kind == "tool":
        ident = next((child.ident for child in proc.children if proc_key(child.ident) == row.key), None)
        return Target(ident, (), "" if ident is not None else "the process has ended")
    if row.pid is not None and row.pid != proc.ident.pid:
        return Target(note="another process has the session now")
    note = ""
    if row.pid is None:
        note = "it has no process of its own: this is the one that it lives in"
    elif len(proc.shared_session_ids) > 1:
        note = f"a daemon that {len(proc.shared_session_ids)} sessions share"
    elif proc.confidence not in {"", "exact"}:
        note = f"this process was matched by inference ({clean(proc.confidence, 20)})"
    return Target(proc.ident, proc.children, note)


def _agent(agent_id: str) -> Agent | None:
    return next((agent for agent in all_agents() if agent.id == agent_id), None)


class Looker:
    """Reads what the live state does not hold. What has not changed is not read again."""

    def __init__(self, now_ms: Callable[[], int], *, texts: bool = True) -> None:
        self._now_ms = now_ms
        self._texts = texts
        self._log: tuple[str, str, LogTail] = ("", "", LogTail())
        self._ports: tuple[Ident | None, int, tuple[Port, ...], str] = (None, 0, (), "")

    def look(self, row: Row, found: Look, at: Target) -> Look:
        """`found` with the steps of the row's own log and the ports of its processes."""
        steps, note, log = self._steps(row)
        ports, ports_note = self._listening(at)
        return replace(
            found, steps=steps, steps_note=note, log=log, ports=ports, ports_note=ports_note,
        )  # fmt: skip

    def tail(self, row: Row, known_state: tuple[int, int, int]) -> LogTail | None:
        """The end of the row's log; None = it is as it was."""
        agent = _agent(row.agent)
        if agent is None:
            return LogTail(note="no log of this agent is known")
        return glance(
            agent, row.log_path, row.session_id, texts=self._texts, lines=True, known=known_state
        )  # fmt: skip

    def inside(self, at: Target) -> Inside:
        """What the process of a row was started with."""
        from tokentop.procs.inside import inside

        if at.ident is None:
            return Inside(0, 0, at.note)
        found = inside(at.ident, at.below)
        return replace(found, note=at.note) if not found.refusal else found

    def _steps(self, row: Row) -> tuple[tuple[Step, ...], str, str]:
        agent = _agent(row.agent)
        if agent is None or row.kind in {"tool", "orphan"} or not row.session_id:
            return (), "", ""
        path, session_id, last = self._log
        same = (path, session_id) == (row.log_path, row.session_id)
        fresh = glance(
            agent, row.log_path, row.session_id, texts=self._texts, known=last.state if same else (0, 0, 0)
        )  # fmt: skip
        tail = last if fresh is None else fresh
        self._log = (row.log_path, row.session_id, tail)
        log = f"{agent.label}, {size_bytes(tail.state[1])}" if tail.state[1] else ""
        note = tail.note or ("" if tail.steps else "the end of its log tells no tool calls or answers")
        return tail.steps[-STEPS:], note, log

    def _listening(self, at: Target) -> tuple[tuple[Port, ...], str]:
        from tokentop.procs.inside import listening_ports

        if at.ident is None:
            return (), ""
        ident, seen_ms, ports, note = self._ports
        now_ms = self._now_ms()
        if ident != at.ident or not 0 <= now_ms - seen_ms < PORTS_MS:
            ports, note = listening_ports(at.ident, at.below)
            self._ports = (at.ident, now_ms, ports, note)
        return ports, note
