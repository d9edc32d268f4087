"""The collector itself: which of its parts is due in a slice, and the questions that are answered between two slices."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokentop.clock import now_ms
from tokentop.due import Due
from tokentop.engine.snapshot import take
from tokentop.ledger import prices
from tokentop.nouns.actions import Action, KillPlan, Orphan, Receipt
from tokentop.nouns.facts import Diagnostic
from tokentop.nouns.looks import Look
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.processes import AgentProc
from tokentop.nouns.sessions import Session, State
from tokentop.settings.config import Settings
from tokentop.settings.zone import local_zone, zone_fault
from tokentop.store import db

from .access import StoreAccess
from .actions import ActionLog
from .aside import PANES_S, Seen, Wanted
from .averages import Averages
from .daybook import Daybook
from .hearing import TelemetrySide
from .memory import Memory, live_state
from .processes import ProcessLooks
from .providers import ProviderSide
from .publishing import POLL_S, Leaving, Pace
from .reading import LogReading
from .sideline import Sideline

if TYPE_CHECKING:
    from tokentop.answers.bookkeeper import Sums
    from tokentop.answers.look import Target
    from tokentop.engine.statement import Statement
    from tokentop.nouns.outline import Outline
    from tokentop.procs.turn import Turn
    from tokentop.procs.watch import ProcWatcher

Publish = Callable[[Snapshot], None]


class Collector:
    """All that the collector thread does; each `tick()` is one short slice of it."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        settings: Settings,
        publish: Publish,
        *,
        stays: bool = True,
    ) -> None:
        """`stays`: goes on until it is told to end, so that others need not wait for it."""
        self._publish, self._stays = publish, stays
        self._zone = local_zone(environ)
        self._table = prices(settings)
        self._live = live_state(settings, self._table, environ)
        self._daybook = Daybook(self._live, self._zone, settings.all_budgets)
        self._memory = Memory(self._live, self._daybook)
        if fault := zone_fault(environ):
            self._memory.note("time zone", fault)
        self._access = StoreAccess(folder, environ, settings, self._table, self._memory, stays=stays)
        self._reading = LogReading(self._memory, folder)
        self._processes = ProcessLooks(self._memory, environ)
        self._averages = Averages(self._access, self._live)
        self._sideline = Sideline(settings, self._zone)
        self._pace = Pace(settings.refresh_s)
        self._leaving = Leaving(folder, self._zone)
        self._due = Due()
        self.actions = ActionLog(folder, self._access, self._memory)
        self.providers = ProviderSide(self._access, self._memory)
        self.telemetry = TelemetrySide(self._access, self._memory)

    # ------------------------------------------------------------ one slice

    def tick(self) -> float:
        """Do what is due; return how long to wait before the next slice (0 = there is more to read)."""
        now_s, wall_ms = time.monotonic(), now_ms()
        self._live.advance(wall_ms)
        more = False
        if self._access.is_usable(now_s):
            try:
                more = self._use_store(now_s, wall_ms)
            except (sqlite3.Error, db.StoreError, OSError) as error:
                self._access.failed(error)
        if not self._pace.begun and self._memory.known:
            self._show(now_s, wall_ms)  # what the store knows, before the first look at processes
        if self._processes.is_due(now_s):
            began_s = time.thread_time()
            self._look_at_processes(wall_ms)
            self._processes.took(time.thread_time() - began_s)
        self.actions.tick(now_s)
        if self._daybook.is_due(now_s, wall_ms):
            self._money(now_s, wall_ms)
        self._averages.tick(now_s, wall_ms)
        self._show(now_s, wall_ms)
        if more:
            return 0.0
        self._access.beside(lambda ledger: self._sideline.tick(ledger, now_s, wall_ms, stays=self._stays))
        return self._pace.poll_s(incomplete=self._memory.incomplete)

    def _use_store(self, now_s: float, wall_ms: int) -> bool:
        """Read and commit, or follow what another tokentop commits; True if more is waiting."""
        access, more = self._access, False
        if access.ledger is None and access.open(now_s, wall_ms):
            self._reading.begin()
            if not self._pace.begun and self._memory.known:
                return True  # what the store knows is shown before any log is looked for
        if access.ledger is not None:
            more = self._reading.slice(access.ledger, now_s, wall_ms, self.telemetry.read)
            if not self._memory.incomplete:
                self.telemetry.count(access.ledger, now_s, wall_ms)
        elif access.reader is not None:
            access.follow(access.reader, wall_ms)
        access.works()
        return more

    def catch_up(self) -> None:
        """Without a screen: read everything that is there, look at the processes once."""
        for _ in range(3):
            while self.tick() == 0.0:
                pass
            if self._reading.primed or self._access.reader is not None:
                return
            time.sleep(POLL_S)  # the lock was held for a moment by a report

    def look_again(self) -> None:
        """Look at the processes a second time, for their CPU use."""
        self._look_at_processes(now_ms())
        self._money(time.monotonic(), now_ms(), forced=True)

    def _show(self, now_s: float, wall_ms: int) -> None:
        if not self._pace.take(self._live.revision, now_s):
            return
        picture = self.snapshot(wall_ms)
        self._publish(picture)
        if not self._stays or picture.forecast is None:
            return  # before the day's sum is known there is nothing true to keep or to leave
        if self._reading.primed:  # while the logs are read for the first time it is not the truth yet
            self._access.beside(lambda ledger: self._sideline.record(ledger.db, picture))
        if self.writes:
            self._leaving.leave(picture)

    def snapshot(self, wall_ms: int) -> Snapshot:
        own = self._processes.own()
        if own is not None:
            self._live.set_self(*own, self._daybook.events)
        return take(self._live, wall_ms)

    def _look_at_processes(self, wall_ms: int) -> ProcWatcher:
        self._processes.recall_orphans(self.recall)
        watcher = self._processes.look(self._access.connection, wall_ms)
        ledger = self._access.ledger
        if ledger is not None:
            self._processes.keep_orphans(self.remember)
        if ledger is not None and self._processes.tell_folders(ledger.follower):
            self._reading.walk_soon()
        health = [*self._memory.notes.values(), *watcher.health()]
        try:
            health += self._access.health()
        except sqlite3.Error as error:
            health.append(Diagnostic("store", "error", f"cannot read: {error}"))
        if tuple(health) != self._live.health:
            self._live.set_health(tuple(health))
        return watcher

    def _money(self, now_s: float, wall_ms: int, *, forced: bool = False) -> None:
        """Today's spend, its projection, and what it means for the budgets, as far as they are due."""
        access = self._access
        if access.connection is None or not access.is_usable(now_s):
            return
        try:
            forecast = self._daybook.work_out(access.connection, now_s, wall_ms, forced=forced)
            storable = not self._memory.incomplete and "store" not in self._memory.notes
            if access.ledger is None or forecast is None or not storable:
                return
            if self._daybook.is_worth_storing(forecast):
                access.ledger.writer.projection(forecast)
                self._daybook.stored(forecast)
        except sqlite3.Error as error:
            access.failed(error)

    def close(self) -> None:
        """Close the store, give the lock back."""
        self._access.close()

    # ------------------------------------------------------------ between two slices

    @property
    def writes(self) -> bool:
        """Whether this one keeps the store; else another tokentop does."""
        return self._access.ledger is not None

    def note(self, source: str, text: str) -> None:
        """Show an error."""
        self._memory.note(source, text)

    def keep(self, receipt: Receipt) -> None:
        """Append a receipt to the action log, and watch its session for what is still spent."""
        self.actions.keep(receipt)

    def receipts(self) -> list[Receipt] | None:
        """What was done so far, newest first; None while no store is open."""
        return self.actions.receipts()

    def recall(self, name: str) -> str | None:
        """What `remember` kept under this name, "" = nothing; None while no store can be read."""
        return self._access.recall(name)

    def remember(self, name: str, value: str) -> None:
        """Keep a line of text for the next run; only the one that writes does."""
        self._access.remember(name, value)

    def keep_outline(self, session: Session, outline: Outline) -> None:
        """Store what somebody has read who looks at a session, as soon as this one writes."""
        if self._access.reader is None:
            self._sideline.keep_outline(session, outline)

    def index(self) -> bool:
        """Bring a slice of the changed sessions into the index of the history; True if there are more."""
        return bool(self._access.beside(self._sideline.index))

    def look_back(self, minutes: int) -> None:
        """Work out averages over so many minutes from now on; a screen asks for it."""
        self._averages.look_back(minutes)

    def plan(self, target: Row | int, action: Action) -> KillPlan:
        """What an action on a row or a pid would hit, from a look taken now."""
        wall_ms = now_ms()
        watcher = self._look_to_act(wall_ms)
        if isinstance(target, int):
            return watcher.plan_pid(target, action, wall_ms)
        return watcher.plan(target, action, wall_ms, turn=self._turn(target))

    def plan_many(self, rows: Sequence[Row], action: Action) -> tuple[KillPlan, ...]:
        """Plans for several rows, from one look taken now."""
        wall_ms = now_ms()
        turns = [self._turn(row) for row in rows]
        return self._look_to_act(wall_ms).plan_many(rows, action, wall_ms, turns)

    def plan_orphans(self) -> tuple[Orphan, ...]:
        """What a sweep would end, from a look taken now."""
        wall_ms = now_ms()
        return self._look_to_act(wall_ms).plan_orphans(wall_ms)

    def _look_to_act(self, wall_ms: int) -> ProcWatcher:
        """A look taken now. What stopped turns have left behind, in earlier runs too, is their agents' still."""
        for receipt in self.actions.untold():
            self._processes.watcher.adopt(receipt)
        return self._look_at_processes(wall_ms)

    def _turn(self, row: Row) -> Turn:
        from tokentop.procs.turn import Turn

        waits = row.status.state is State.TOOL
        return Turn(self._live.turn_ms(row.key), row.status.since_ms if waits else 0)

    def process_of(self, row: Row) -> AgentProc | None:
        """The process that a row lives in, from a look taken now."""
        self._look_at_processes(now_ms())
        return self._live.binding.process_of(row.key) or self._live.binding.process_of(row.parent_key)

    def look(self, row: Row) -> tuple[Look, Target]:
        """What memory and store know about a row, and the process it lives in as last seen."""
        from tokentop.answers.look import known, target

        return known(self._live, self._access.connection, self._table, row, now_ms()), target(self._live, row)

    def statement(self) -> tuple[Statement, Sums]:
        """What is known at once of limits, plans, budgets and the day, all of one moment. Raises sqlite3.Error."""
        from tokentop.answers.bookkeeper import known

        now_s, wall_ms = time.monotonic(), now_ms()
        self._money(now_s, wall_ms, forced=True)
        connection = self._access.connection if self._access.is_usable(now_s) else None
        return known(self._live, connection, self._zone, self._daybook.earlier("month"), wall_ms)

    def wanted(self, now_s: float) -> Wanted | None:
        """What to ask other programs now, None = nothing is due."""
        if not self._due.take("aside", now_s, PANES_S):
            return None
        panes = sorted({(proc.tmux, proc.tty) for proc in self._live.binding.procs if proc.tmux and proc.tty})
        wanted = Wanted(tuple(panes), tuple(self._live.busy_folders()))
        return wanted if wanted.panes or wanted.folders else None

    def learn(self, seen: Seen) -> None:
        """Take the answers of an `Aside`."""
        self._live.set_places(seen.places)
        self._live.set_changes(seen.changes)
