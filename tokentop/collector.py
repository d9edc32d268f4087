"""What the collector thread does, in short slices: read, commit, fold, look at processes, publish.

It starts no thread; `runtime` runs it in one, reports run it to its end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, overload

from .agents import all_agents, all_processes
from .agents.base import Agent, Quality
from .aside import PANES_S, Seen, Wanted
from .billing import ENDPOINT, Fetched, Health, ProviderState
from .clock import now_ms
from .config import Settings, local_zone
from .daybook import Daybook
from .engine.days import day_bounds
from .engine.live import LiveState
from .engine.pace import OLDEST_MS
from .engine.rules import Thresholds
from .engine.snapshot import take
from .engine.window import Window
from .ingest.inbox import Inbox
from .ingest.signs import Signs
from .ledger import Ledger, Lock, is_reading, prices
from .model import (
    Action,
    Activity,
    AgentProc,
    Context,
    Diagnostic,
    Fact,
    Figures,
    KillPlan,
    Look,
    Orphan,
    Priced,
    Quota,
    Receipt,
    Row,
    Session,
    Snapshot,
)  # fmt: skip
from .sideline import Sideline
from .store import db, left, reader
from .store.writer import append_action, replace_action
from .telemetry import CHAPTER, Heard

if TYPE_CHECKING:
    from .bookkeeper import Sums
    from .engine.statement import Statement
    from .listening import Listening
    from .look import Target
    from .outline import Outline
    from .procs.watch import ProcWatcher

log = logging.getLogger(__name__)

POLL_S = 0.2
BUSY_POLL_S = 1.0  # while each picture brings much: it shows what several short looks would
LEAVE_MS = 2_000  # figures for `tokentop status`
PROCS_S = 1.0
PROCS_MAX_S = 5.0
PROCS_SHARE = 0.006  # of a core: a thousand agents are looked at every five seconds rather than for 3 % of it
WALK_S = 15.0
WALK_MAX_S = 60.0
WALK_SHARE = 0.001  # of a core; the folders of busy logs tell of new ones long before
FOLDERS_S = 5.0
PUBLISH_S = 0.25
BUSY_PUBLISH_S = 0.85
BUSY_CHANGES = 40
IDLE_PUBLISH_S = 1.0
INBOX_S = 1.0
RETRY_S = 2.0
WHOLE_S = 30.0
LOOK_BACK_SLICE_S = 0.02
RECENT_MS = 65 * 60_000
CANDIDATE_MS = 24 * 3_600_000
BACKLOG_SLICE_S = 0.15  # a slice of the backlog between two looks at live files

Publish = Callable[[Snapshot], None]
T = TypeVar("T")


class Candidates(Sequence[Session]):
    """The sessions that a process without better evidence may be; looked for when there is such a process."""

    def __init__(self, collector: Collector, oldest_ms: int) -> None:
        self._collector, self._oldest_ms = collector, oldest_ms
        self._found: list[Session] | None = None

    @property
    def _sessions(self) -> list[Session]:
        if self._found is None:
            self._found = self._collector.candidates(self._oldest_ms)
        return self._found

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._sessions)

    @overload
    def __getitem__(self, at: int) -> Session: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Session]: ...
    def __getitem__(self, at: int | slice) -> Session | Sequence[Session]:
        return self._sessions[at]


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
        self._folder, self._environ, self._settings, self._publish = folder, environ, settings, publish
        self._stays = stays  # goes on until it is told to end: others need not wait for it
        self._zone = local_zone(environ)
        self._table = prices(settings)
        self._live = LiveState(
            resume={agent.id: agent.resume for agent in all_agents()},
            window_of=lru_cache(256)(lambda _agent, model: self._table.window("", model)),
            thresholds=Thresholds(
                settings.runaway_nusd_per_h,
                settings.runaway_ms,
                settings.context_pct,
                settings.no_progress_ms,
            ),
            titles=settings.titles,
            unlogged=(agent.id for agent in all_agents() if not agent.sources),
            blind={agent.id: _UNTOLD for agent in all_agents() if not _tells_calls(agent)},
        )
        self._live.host = os.uname().nodename if hasattr(os, "uname") else environ.get("COMPUTERNAME", "")
        self._lock: Lock | None = None
        self._ledger: Ledger | None = None
        self._reader: sqlite3.Connection | None = None
        self._reader_file: tuple[int, int] | None = None
        self._store_due_s = 0.0  # after a failure the store is left alone until then
        self._damaged = False
        self._version = -1
        self._watcher: ProcWatcher | None = None
        self._procs: tuple[AgentProc, ...] = ()
        self._wanted_sids: list[tuple[str, str]] = []  # (agent, session id) of theirs that are not in memory
        self._profiles_found = False
        self._own: Callable[[], tuple[float, int]] | None = None
        self._notes: dict[str, Diagnostic] = {}
        self._known: dict[tuple[str, str], Session] = {}
        self._inbox = Inbox(folder)
        self._daybook = Daybook(self._live, self._zone, settings.all_budgets)
        self._due: dict[str, float] = {}
        self._procs_s = PROCS_S  # between two looks at the processes
        self._walk_s = WALK_S  # between two looks for logs everywhere
        self._reading = False
        self._began_s = 0.0
        self._published = (-1, 0.0)
        self._busy = False  # the last picture brought many changes
        self._primed = False
        self._signs: Signs | None = None
        self._left: left.Left | None = None
        self._sideline = Sideline(settings)
        self._listening: Listening | None = None  # while agents' telemetry is taken in

    # ------------------------------------------------------------ one slice

    def tick(self) -> float:
        """Do what is due; return how long to wait before the next slice (0 = there is more to read)."""
        now_s, wall_ms = time.monotonic(), now_ms()
        self._live.advance(wall_ms)
        more = False
        if now_s >= self._store_due_s:
            try:
                more = self._use_store(now_s, wall_ms)
            except (sqlite3.Error, db.StoreError, OSError) as error:
                self._store_failed(error)
        if self._published[0] < 0 and self._known:
            self._show(now_s, wall_ms)  # what the store knows, before the first look at processes
        if self._is_due("procs", now_s, self._procs_s):
            began_s = time.thread_time()
            self._look_at_processes(wall_ms)
            cost_s = time.thread_time() - began_s
            self._procs_s = min(PROCS_MAX_S, max(PROCS_S, cost_s / PROCS_SHARE))
        for receipt in self._live.watched(now_s):
            self._store_action(receipt, again=True)
        if self._daybook.is_due(now_s):
            self._money(now_s, wall_ms)
        if self._live.longer is not None:
            self._look_back(self._live.longer, now_s, wall_ms)
        self._show(now_s, wall_ms)
        if not more:
            self._beside(lambda ledger: self._sideline.tick(ledger, now_s, wall_ms, stays=self._stays))
        return 0.0 if more else self._poll_s

    @property
    def _poll_s(self) -> float:
        return BUSY_POLL_S if self._busy and self._settings.refresh_s >= 1 and not self._reading else POLL_S

    def _use_store(self, now_s: float, wall_ms: int) -> bool:
        """Read and commit, or follow what another tokentop commits; True if more is waiting."""
        more = False
        if self._ledger is None:
            self._open(now_s, wall_ms)
            if self._ledger is not None and self._published[0] < 0 and self._known:
                return True  # what the store knows is shown before any log is looked for
        if self._ledger is not None:
            if self._is_due("inbox", now_s, INBOX_S):
                self._take_in(self._ledger)
            more = self._read(self._ledger, now_s, wall_ms)
            if self._listening is not None and not self._reading:
                self._count_heard(self._ledger, self._listening, now_s, wall_ms)
        elif self._reader is not None:
            self._follow_store(self._reader, wall_ms)
        if self._notes.pop("store", None) is not None:
            self._live.set_mode("live" if self._ledger is not None else "reader")
        return more

    def catch_up(self) -> None:
        """Without a screen: read everything that is there, look at the processes once."""
        for _ in range(3):
            while self.tick() == 0.0:
                pass
            if self._primed or self._reader is not None:
                return
            time.sleep(POLL_S)  # the lock was held for a moment by a report

    def look_again(self) -> None:
        """Look at the processes a second time, for their CPU use."""
        self._look_at_processes(now_ms())
        self._money(time.monotonic(), now_ms(), forced=True)

    def _is_due(self, what: str, now_s: float, period_s: float) -> bool:
        if now_s < self._due.get(what, 0.0):
            return False
        self._due[what] = now_s + period_s
        return True

    def _show(self, now_s: float, wall_ms: int) -> None:
        revision, at_s = self._published
        changes = self._live.revision - revision
        period_s = PUBLISH_S if changes else IDLE_PUBLISH_S
        if changes > BUSY_CHANGES and self._busy:
            # The rows would be painted no sooner, each at most once in the period of the screen.
            period_s = max(PUBLISH_S, BUSY_PUBLISH_S * min(1.0, self._settings.refresh_s))
        if now_s - at_s < period_s:
            return
        self._busy = changes > BUSY_CHANGES
        self._published = (self._live.revision, now_s)
        picture = self.snapshot(wall_ms)
        self._publish(picture)
        self._record(picture)
        # Before the day's sum is known there is nothing true to leave; others write for the reader.
        due = self._left is None or abs(wall_ms - self._left.at_ms) >= LEAVE_MS
        if due and self._stays and self._ledger is not None and picture.forecast is not None:
            start_ms, _, _ = day_bounds(wall_ms, self._zone)
            self._left = left.of(picture, start_ms)
            left.leave(self._folder, self._left)

    def _record(self, picture: Snapshot) -> None:
        """Keep the table for later; while the logs are read for the first time it is not the truth yet."""
        if self._stays and self._primed and picture.forecast is not None:
            self._beside(lambda ledger: self._sideline.record(ledger.db, picture))

    def snapshot(self, wall_ms: int) -> Snapshot:
        if self._own is not None:
            cpu_pct, rss = self._own()
            self._live.set_self(cpu_pct, rss, self._daybook.events)
        return take(self._live, wall_ms)

    # ------------------------------------------------------------ the store

    def _open(self, now_s: float, wall_ms: int) -> None:
        """Become the one that writes if nobody else is, else read what the other one writes."""
        if not self._is_due("lock", now_s, 1.0):
            return
        if self._lock is None:
            db.prepare_folder(self._folder)
            self._lock = Lock(self._folder)
        if not self._lock.take(keep=self._stays):
            self._open_reader(wall_ms)
            return
        damaged, self._damaged = self._damaged, False
        ledger = None
        try:
            ledger = Ledger(
                self._folder, self._environ, self._settings, now_ms=wall_ms, live=True, table=self._table,
                damaged=damaged,
            )  # fmt: skip
            self._prime(ledger.db, wall_ms)
        except db.TooNew as error:
            self._lock.release()
            self.note("version", f"{error}; until then nothing new is read")
            self._open_reader(wall_ms)
            return
        except BaseException as error:
            if ledger is not None:
                ledger.close()
            self._damaged = db.is_damaged(error)
            if not self._damaged:
                self._lock.release()
            raise
        self._close_reader()
        self._ledger = ledger
        self._profiles_found = False
        self._primed = False
        self._due.pop("walk", None)
        self._live.set_mode("live")

    def _open_reader(self, wall_ms: int) -> None:
        """Another one writes: follow its database, also when it had to make a new one."""
        if self._reader is not None and self._reader_file == db.identity(self._folder):
            return
        self._close_reader()
        self._reader_file = db.identity(self._folder)
        self._reader = db.open_reader(self._folder)
        self._version = -1
        self._signs = Signs(all_agents(), self._environ, self._settings.roots)
        self._live.set_mode("reader")
        self._prime(self._reader, wall_ms)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _prime(self, connection: sqlite3.Connection, wall_ms: int) -> None:
        """First picture from the store, before the first byte of a log is read."""
        for session, own, _, used, window in reader.sessions(
            connection, since_ms=wall_ms - RECENT_MS, limit=2000
        ):
            self._load(session, own)
            if used is not None:
                self._live.apply_context(Context(session.agent, session.id, session.last_ms, used, window))
        for priced in reader.recent_events(connection, wall_ms - RECENT_MS):
            self._live.apply_usage(priced)
        for limit, readings in reader.quota_readings(connection, wall_ms - OLDEST_MS).items():
            self._live.add_readings(limit, readings)
        for quota in reader.quotas(connection):
            self._live.apply_quota(quota)
        for session, _, _, _, _ in reader.sessions(connection, since_ms=wall_ms - CANDIDATE_MS, limit=500):
            self._known.setdefault((session.agent, session.id), session)
        self._daybook.spent()

    def _load(self, session: Session, own: Figures) -> None:
        self._known[session.agent, session.id] = session
        self._live.load_session(session, own)

    def _read(self, ledger: Ledger, now_s: float, wall_ms: int) -> bool:
        """Look for new bytes, read one slice; True if more is waiting."""
        follower = ledger.follower
        walk = self._is_due("walk", now_s, self._walk_s)
        if walk:
            self._due["folders"] = now_s + FOLDERS_S  # the walk looks at each folder itself
            follower.look(now_s, everything=True)
        if walk or follower.poll(now_s, self._is_due("folders", now_s, FOLDERS_S)):
            self._due["walk"] = now_s + self._walk_s
            first = not self._primed
            began_s = time.thread_time()
            follower.walk(now_s, time.time_ns())
            self._walk_s = min(WALK_MAX_S, max(WALK_S, (time.thread_time() - began_s) / WALK_SHARE))
            self._live.set_looked(follower.looked)
            if first:
                self._primed = True
                self._began_s = now_s
                self._set_reading(ledger, follower.progress(0).reading)
        until_s = time.monotonic() + BACKLOG_SLICE_S
        while True:
            step = ledger.step(now_s, wall_ms - RECENT_MS, ledger.failed)
            if step is None:
                if self._reading:
                    self._set_reading(ledger, False)
                    self._live.set_progress(follower.progress(now_s - self._began_s))
                self._settle(ledger, wall_ms)
                return False
            self._fold(step.batch.facts, step.committed.priced, step.committed.sessions)
            if self._listening is not None:
                self._listening.read(step.batch.facts)
            if self._reading:
                self._live.set_progress(follower.progress(now_s - self._began_s))
            if (not self._reading and follower.waiting) or time.monotonic() > until_s:
                return True

    def _beside(self, work: Callable[[Ledger], T]) -> T | None:
        """Work that can wait, done if this one writes and nothing else is the matter with the store."""
        if self._ledger is None or self._reading or time.monotonic() < self._store_due_s:
            return None
        try:
            return work(self._ledger)
        except sqlite3.Error as error:
            self._store_failed(error)
            return None

    def keep_outline(self, session: Session, outline: Outline) -> None:
        """Store what somebody has read who looks at a session, as soon as this one writes."""
        if self._reader is None:
            self._sideline.keep_outline(session, outline)

    def index(self) -> bool:
        """Bring a slice of the changed sessions into the index of the history; True if there are more."""
        return bool(self._beside(self._sideline.index))

    def _take_in(self, ledger: Ledger) -> None:
        """What the status line hook was told about plan limits."""
        quotas, problems = self._inbox.look()
        if quotas or problems:
            ledger.writer.commit([*quotas, *problems])
            self._fold(quotas, [], [])

    def _set_reading(self, ledger: Ledger, reading: bool) -> None:
        self._reading = reading
        ledger.mark_backlog(reading)
        self._daybook.forget()

    def _settle(self, ledger: Ledger, wall_ms: int) -> None:
        for committed in ledger.settle(wall_ms - RECENT_MS):
            self._fold([], committed.priced, committed.sessions)

    def _fold(
        self, facts: Sequence[Fact], priced: Sequence[Priced], sessions: Sequence[tuple[Session, Figures]]
    ) -> None:
        for session, own in sessions:
            self._load(session, own)
        for event in priced:
            self._live.apply_usage(event)
        for fact in facts:
            if isinstance(fact, Activity):
                self._load_known(fact.agent, fact.session_id)
                self._live.apply_activity(fact)
            elif isinstance(fact, Context):
                self._load_known(fact.agent, fact.session_id)
                self._live.apply_context(fact)
            elif isinstance(fact, Quota):
                self._live.apply_quota(fact)
        if priced or sessions:
            self._daybook.spent()

    def _follow_store(self, connection: sqlite3.Connection, wall_ms: int) -> None:
        """Another tokentop writes: take over what it has committed, look for status in the logs ourselves."""
        if self._signs is not None:
            self._fold(self._signs.look(time.monotonic(), time.time_ns()), [], [])
        version = reader.data_version(connection)
        if version == self._version:
            return
        self._version = version
        for session, own, _, used, window in reader.sessions(
            connection, since_ms=wall_ms - 120_000, limit=1000
        ):
            self._load(session, own)
            if used is not None:
                self._live.apply_context(Context(session.agent, session.id, session.last_ms, used, window))
        for priced in reader.recent_events(connection, wall_ms - 120_000):
            self._live.apply_usage(priced)
        for quota in reader.quotas(connection):
            self._live.apply_quota(quota)
        self._daybook.spent()

    def _store_failed(self, error: Exception) -> None:
        """Say what is wrong in one line, keep the screen alive, try again later."""
        self._store_due_s = time.monotonic() + RETRY_S
        if isinstance(error, sqlite3.Error) and db.is_damaged(error):
            if self._ledger is not None:
                self._damaged = True  # the lock is kept: this one puts it aside
            self._close_store()
        if db.is_full(error):
            text = "paused: cannot write (disk full); nothing is lost, it goes on when there is room"
        elif "locked" in str(error) or "busy" in str(error):
            text = "paused: the database is busy; another program holds it"
        else:
            text = f"paused: {error}"
        self.note("store", text)
        self._live.set_mode(text)
        self._live.aftermath.blinded("the logs could not be read meanwhile")

    def _close_store(self) -> None:
        self._sideline.forget()
        if self._ledger is not None:
            with contextlib.suppress(sqlite3.Error):
                self._ledger.close()
            self._ledger = None
        with contextlib.suppress(sqlite3.Error):
            self._close_reader()

    def note(self, source: str, text: str) -> None:
        self._notes[source] = Diagnostic(source, "error", text)

    def keep(self, receipt: Receipt) -> None:
        """Append a receipt to the action log, and watch its session for what is still spent."""
        self._live.watch(receipt, time.monotonic())
        self._store_action(receipt, again=False)

    def _store_action(self, receipt: Receipt, *, again: bool) -> None:
        """Another tokentop may be writing: the database serialises."""
        try:
            if self._ledger is not None:
                writer = self._ledger.writer
                (writer.action_watched if again else writer.action)(receipt)
            else:
                store_receipt(self._folder, receipt, again=again)
        except (sqlite3.Error, db.StoreError) as error:
            self.note("actions", f"receipt not stored: {error}")

    @property
    def watching(self) -> bool:
        """Whether a session is still watched after an action on it."""
        return self._live.aftermath.watching

    def receipts(self) -> list[Receipt] | None:
        """What was done so far, newest first; None while no store is open."""
        connection = self._connection
        return None if connection is None else reader.actions(connection, limit=500)

    def recall(self, name: str) -> str | None:
        """What `remember` kept under this name, "" = nothing; None while no store can be read."""
        try:
            return None if self._connection is None else reader.remembered(self._connection, name)
        except sqlite3.Error as error:
            log.warning("%s: %s", name, error)
            return None

    def remember(self, name: str, value: str) -> None:
        """Keep a line of text for the next run; only the one that writes does."""
        if self._ledger is None:
            return
        try:
            self._ledger.remember(name, value)
        except sqlite3.Error as error:
            log.warning("%s not kept: %s", name, error)

    @property
    def _connection(self) -> sqlite3.Connection | None:
        return self._ledger.db if self._ledger is not None else self._reader

    # ------------------------------------------------------------ processes

    def _look_at_processes(self, wall_ms: int) -> None:
        if self._watcher is None:
            from .procs.own import OwnUsage
            from .procs.watch import ProcWatcher

            home = Path(self._environ.get("HOME") or os.path.expanduser("~"))
            self._watcher = ProcWatcher(all_processes(), home, self._environ)
            self._own = OwnUsage().sample
        procs = self._watcher.tick(wall_ms, Candidates(self, wall_ms - CANDIDATE_MS))
        if procs is not self._procs:
            self._procs, self._profiles_found = procs, False
            self._wanted_sids = _sessions_of(procs)
        self._load_wanted()
        if not self._profiles_found and self._ledger is not None:
            self._profiles_found = True
            self._find_profiles(self._ledger, procs)
        self._live.set_procs(procs, wall_ms)
        health = [*self._notes.values(), *self._watcher.health()]
        try:
            health += self._store_health()
        except sqlite3.Error as error:
            health.append(Diagnostic("store", "error", f"cannot read: {error}"))
        if tuple(health) != self._live.health:
            self._live.set_health(tuple(health))

    def candidates(self, oldest_ms: int) -> list[Session]:
        """Known sessions that grew since then, as of their newest record."""
        grown = map(self._live.grown, self._known.values())
        return [session for session in grown if session.last_ms >= oldest_ms]

    def _store_health(self) -> list[Diagnostic]:
        if self._ledger is not None:
            return [d for d in self._ledger.health() if d.kind not in ("duplicate", "compaction")]
        if self._reader is not None and is_reading(self._reader):
            return [Diagnostic("store", "reading", "another tokentop still reads the logs; totals will grow")]
        return []

    def _load_wanted(self) -> None:
        """A session that has been quiet for days can have a live process: get it from the store."""
        for agent, sid in self._wanted_sids:
            self._load_known(agent, sid)
        self._wanted_sids = [wanted for wanted in self._wanted_sids if wanted not in self._known]

    def _load_known(self, agent: str, sid: str) -> None:
        """Get a session from the store that is not in memory: without it its sums would seem to be 0."""
        connection = self._connection
        if not sid or connection is None or (agent, sid) in self._known:
            return
        try:
            for session, own in reader.find_session(connection, sid):
                if session.agent == agent and session.id.partition("/")[0] == sid.partition("/")[0]:
                    self._load(session, own)
        except sqlite3.Error as error:
            log.warning("session %s: %s", sid, error)

    def _find_profiles(self, ledger: Ledger, procs: tuple[AgentProc, ...]) -> None:
        """Agents started with a data folder of their own, or that log into their project: read that one too."""
        in_projects = {agent.id for agent in all_agents() if agent.roots.in_projects}
        for proc in procs:
            if proc.agent in in_projects and ledger.follower.add_project(proc.cwd):
                self._due.pop("walk", None)
            if proc.profile and ledger.follower.add_root(proc.agent, proc.profile):
                self._due.pop("walk", None)

    def plan(self, target: Row | int, action: Action) -> KillPlan:
        wall_ms = now_ms()
        self._look_at_processes(wall_ms)
        assert self._watcher is not None
        if isinstance(target, int):
            return self._watcher.plan_pid(target, action, wall_ms)
        return self._watcher.plan(target, action, wall_ms)

    def plan_many(self, rows: Sequence[Row], action: Action) -> tuple[KillPlan, ...]:
        """Plans for several rows, from one look taken now."""
        wall_ms = now_ms()
        self._look_at_processes(wall_ms)
        assert self._watcher is not None
        return self._watcher.plan_many(rows, action, wall_ms)

    def plan_orphans(self) -> tuple[Orphan, ...]:
        """What a sweep would end, from a look taken now."""
        wall_ms = now_ms()
        self._look_at_processes(wall_ms)
        assert self._watcher is not None
        return self._watcher.plan_orphans(wall_ms)

    def process_of(self, row: Row) -> AgentProc | None:
        """The process that a row lives in, from a look taken now."""
        self._look_at_processes(now_ms())
        return self._live.process_of(row.key) or self._live.process_of(row.parent_key)

    # ------------------------------------------------------------ what somebody looks at

    def look(self, row: Row) -> tuple[Look, Target]:
        """What memory and store know about a row, and the process it lives in as last seen."""
        from .look import known, target

        return known(self._live, self._connection, self._table, row, now_ms()), target(self._live, row)

    def statement(self) -> tuple[Statement, Sums]:
        """What is known at once of limits, plans, budgets and the day, all of one moment. Raises sqlite3.Error."""
        from .bookkeeper import known

        now_s, wall_ms = time.monotonic(), now_ms()
        self._money(now_s, wall_ms, forced=True)
        connection = self._connection if now_s >= self._store_due_s else None
        return known(self._live, connection, self._zone, self._daybook.earlier("month"), wall_ms)

    # ------------------------------------------------------------ aside

    def wanted(self, now_s: float) -> Wanted | None:
        """What to ask other programs now, None = nothing is due."""
        if not self._is_due("aside", now_s, PANES_S):
            return None
        panes = sorted({(proc.tmux, proc.tty) for proc in self._live.procs if proc.tmux and proc.tty})
        wanted = Wanted(tuple(panes), tuple(self._live.busy_folders()))
        return wanted if wanted.panes or wanted.folders else None

    def learn(self, seen: Seen) -> None:
        """Take the answers of an `Aside`."""
        self._live.set_places(seen.places)
        self._live.set_changes(seen.changes)

    # ------------------------------------------------------------ providers

    def provider_states(self) -> list[ProviderState] | None:
        """Where each report stood when it was last asked; None while another tokentop writes, and asks."""
        if self._ledger is None or self._reading:
            return None
        from .store import bills

        try:
            return bills.states(self._ledger.db)
        except sqlite3.Error as error:
            self._store_failed(error)
            return None

    def newest_limits(self) -> dict[str, int]:
        """When logs or hooks last told each agent's limits."""
        newest: dict[str, int] = {}
        for quota in self._live.quotas.values():
            if quota.source != ENDPOINT:
                newest[quota.provider] = max(newest.get(quota.provider, 0), quota.at_ms)
        return newest

    def learn_fetched(self, fetched: Fetched) -> bool:
        """Commit what a provider said; what keeps it from saying more is told on the screen.

        False: nothing can be written now, give it again.
        """
        if self._ledger is None or time.monotonic() < self._store_due_s:
            return False
        from .store import bill_writer

        try:
            if fetched.quotas:
                self._ledger.writer.commit(fetched.quotas)
            bill_writer.keep(self._ledger.db, fetched)
        except sqlite3.Error as error:
            self._store_failed(error)
            return False
        for quota in fetched.quotas:
            self._live.apply_quota(quota)
        state = fetched.state
        name = f"{state.provider}.{state.source}"
        if state.state in (Health.OK, Health.OFF, Health.WAITING):
            self._notes.pop(name, None)
        else:
            self._notes[name] = Diagnostic(name, "provider", f"{state.state}: {state.reason}")
        return True

    # ------------------------------------------------------------ telemetry

    @property
    def writes(self) -> bool:
        """Whether this one keeps the store; else another tokentop does."""
        return self._ledger is not None

    def listen(self) -> None:
        """From now on calls are remembered as the logs tell them: telemetry may tell them too."""
        if self._listening is None:
            from .listening import Listening

            self._listening = Listening()

    def hear(self, heard: Heard) -> bool:
        """Take what agents told by telemetry. False: too many calls wait already, give it again."""
        if heard.state is not None:
            self._notes.pop(CHAPTER, None)
            if heard.state:
                self.note(CHAPTER, heard.state)
            return True
        return self._listening is None or self._listening.hear(heard, time.monotonic(), now_ms())

    def _count_heard(self, ledger: Ledger, listening: Listening, now_s: float, wall_ms: int) -> None:
        committed = listening.count(ledger, now_s, wall_ms - RECENT_MS, self._has_log)
        if committed is not None:
            self._fold([], committed.priced, committed.sessions)
        tally = listening.tally(now_s)
        if tally is not None:
            self.remember(CHAPTER, tally)

    def _has_log(self, agent: str, session_id: str) -> bool:
        self._load_known(agent, session_id)
        known = self._known.get((agent, session_id))
        return known is not None and bool(known.log_path)

    # ------------------------------------------------------------ money

    def _money(self, now_s: float, wall_ms: int, *, forced: bool = False) -> None:
        """Today's spend, its projection, and what it means for the budgets, as far as they are due."""
        connection = self._connection
        if connection is None or now_s < self._store_due_s:
            return
        try:
            forecast = self._daybook.work_out(connection, now_s, wall_ms, forced=forced)
            storable = self._ledger is not None and not self._reading and "store" not in self._notes
            if forecast is not None and storable and self._daybook.is_worth_storing(forecast):
                assert self._ledger is not None
                self._ledger.writer.projection(forecast)
                self._daybook.stored(forecast)
        except sqlite3.Error as error:
            self._store_failed(error)

    # ------------------------------------------------------------ a longer window

    def look_back(self, minutes: int) -> None:
        """Work out averages over so many minutes from now on; a screen asks for it."""
        self._live.look_back(minutes)
        self._due.pop("whole", None)

    def _look_back(self, window: Window, now_s: float, wall_ms: int) -> None:
        """Ask the store for what the averages lack, a little of it in each slice."""
        connection = self._connection
        if connection is None or now_s < self._store_due_s:
            return
        until_s, since_ms = time.monotonic() + LOOK_BACK_SLICE_S, wall_ms - window.ms
        try:
            for key, track in window.wanted():
                one = track.session
                cells = reader.spent_cells(connection, one.agent, one.id, since_ms, window.cell_ms)
                window.learn(key, since_ms, cells)
                self._live.revision += 1
                if time.monotonic() > until_s:
                    break
            if window.ms > self._live.rates.held_ms and self._is_due("whole", now_s, WHOLE_S):
                window.whole = reader.average(connection, wall_ms - window.ms, wall_ms)
                self._live.revision += 1
        except sqlite3.Error as error:
            self._store_failed(error)

    def close(self) -> None:
        self._close_store()
        if self._lock is not None:
            self._lock.release()


def _sessions_of(procs: Sequence[AgentProc]) -> list[tuple[str, str]]:
    """(agent, session id) of all sessions that processes name."""
    pairs = {
        (proc.agent, sid): None
        for proc in procs
        for sid in (proc.session_id, proc.parent_session_id, *proc.shared_session_ids)
        if sid
    }
    return list(pairs)


def store_receipt(folder: Path, receipt: Receipt, *, again: bool = False) -> None:
    """Append a receipt to the action log, or replace it, with a connection of its own.

    sqlite3.Error, db.StoreError.
    """
    connection = db.open_writer(folder)
    try:
        (replace_action if again else append_action)(connection, receipt)
    finally:
        connection.close()


_UNTOLD = "its log does not tell single calls"


def _tells_calls(agent: Agent) -> bool:
    """Whether an agent's log has the tokens of each call, at least as an estimate."""
    return bool(agent.sources) and agent.tokens in (Quality.EXACT, Quality.ESTIMATE)
