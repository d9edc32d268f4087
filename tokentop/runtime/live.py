"""The live machine as a source: one collector thread, actions in the screen's workers."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from tokentop.clock import now_ms
from tokentop.nouns.actions import Action, Countdown, Jump, KillPlan, Notice, Orphan, Receipt
from tokentop.nouns.looks import Inside, LogTail, Look
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import Session
from tokentop.settings.config import Settings
from tokentop.settings.zone import local_zone

if TYPE_CHECKING:
    from tokentop.agents._spoken import Said
    from tokentop.answers.archive import Archive
    from tokentop.answers.bookkeeper import Bookkeeper
    from tokentop.answers.footage import Footage
    from tokentop.answers.look import Looker
    from tokentop.collector import Collector
    from tokentop.enforce import Enforcer
    from tokentop.engine.statement import Statement
    from tokentop.engine.tally import Bought
    from tokentop.engine.timeline import Timeline
    from tokentop.nouns.history import Ask, Entry, Listing, Scan
    from tokentop.nouns.outline import Outline
    from tokentop.pricing.table import PriceTable

from .threads import AsideThread, PollerThread, ReceiverThread

log = logging.getLogger(__name__)

STOP_S = 10.0
SAID_OFF = "prompts and replies are not searched: search_prompts is off in the settings"
VIEW = "view"  # under this name the store keeps the state of the screen
DRAW_S = 0.1  # the first picture of an answer
ACTION_S = 40.0  # an action that is under way is carried to its end
BATCH_THREADS = 12  # actions side by side: each of them mostly waits for its agent to end
Publish = Callable[[Snapshot], None]
T = TypeVar("T")


def _index(collector: Collector) -> None:
    collector.index()


class Runtime:
    """The live machine as the screen's source: `start`, `stop`, `plan`, `execute`, `cancel`.

    Rules are judged in the collector's thread; each of their actions runs in a thread of its own, as a person's
    does in a worker of the screen, and notices go to the desktop from one more.
    """

    label = ""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        settings: Settings,
        note: str = "",
        *,
        hidden: bool = False,
    ) -> None:
        """`hidden` = nobody looks: providers are asked more rarely."""
        self.read_only = settings.read_only
        self._folder = folder
        self._environ = dict(environ)
        self._settings = settings
        self._note = note  # something to say on the screen all the time
        self._stop = threading.Event()
        self._wake = threading.Event()  # a question waits, or it is the end
        self._receipts: queue.SimpleQueue[Receipt] = queue.SimpleQueue()
        self._questions: queue.SimpleQueue[Callable[[Collector], None]] = queue.SimpleQueue()
        self._aside = AsideThread()
        self._poller = PollerThread(settings, self._environ, hidden=hidden)
        self._receiver = ReceiverThread(settings.telemetry, folder)
        self._cancels: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._acting: list[threading.Thread] = []
        self._views: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._recalled: str | None = None  # set once, by the collector's thread
        self._under_way: list[threading.Event] = []  # a person's actions: each is set at its end
        self._newest: list[Snapshot] = []  # that no rule has looked at yet
        self._remembered = False
        self._thread: threading.Thread | None = None
        self._looker: Looker | None = None
        self._archive: Archive | None = None
        self._answering, self._reading = (
            threading.Lock(),
            threading.Lock(),
        )  # one worker at a time on each connection
        self._asks = 0
        self._bookkeeper: Bookkeeper | None = None
        self._prices: PriceTable | None = None

    @property
    def alive(self) -> bool:
        """Whether the collector still runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, publish: Publish) -> None:
        self._thread = threading.Thread(target=self._run, args=(publish,), name="collector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the collector: it commits what it has read, then closes the store."""
        self._stop.set()
        self._wake.set()
        self._aside.stop()
        self._poller.stop()
        self._receiver.stop()
        if self._thread is not None:
            self._thread.join(timeout=ACTION_S if self._acting or self._under_way else STOP_S)

    def plan(self, row: Row, action: Action) -> KillPlan:
        """Ask the collector, which alone looks at processes, what the action would hit."""
        return self._ask_collector(lambda collector: collector.plan(row, action))

    def plan_many(self, rows: Sequence[Row], action: Action) -> tuple[KillPlan, ...]:
        """The same for several rows, from one look at the processes."""
        return self._ask_collector(lambda collector: collector.plan_many(rows, action))

    def receipts(self) -> tuple[Receipt, ...]:
        """What was done so far, by earlier runs too, newest first."""
        return self._ask_collector(lambda collector: tuple(collector.receipts() or ()))

    def plan_orphans(self) -> tuple[Orphan, ...]:
        """The same for all processes without a living owner."""
        return self._ask_collector(lambda collector: collector.plan_orphans())

    def _ask_collector(self, question: Callable[[Collector], T]) -> T:
        """Let the collector answer between two of its slices; blocks. Raises what the answer raised."""
        reply: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

        def answer(collector: Collector) -> None:
            try:
                reply.put((question(collector), None))
            except Exception as error:
                reply.put((None, error))

        self._questions.put(answer)
        self._wake.set()
        found, error = reply.get(timeout=30)
        if error is not None:
            raise error
        return cast("T", found)

    def execute(self, plan: KillPlan) -> Receipt:
        """Carry a plan out; blocks. The receipt is stored by the collector, also when the screen is left."""
        from tokentop.agents import all_processes
        from tokentop.procs.act import execute

        if self.read_only:  # there is no key that leads here
            from tokentop.enforce import without_signal

            return without_signal(plan, "manual", now_ms(), "refused", "read-only: nothing is done")
        with self._being_done():
            receipt = execute(plan, now_ms=now_ms, agents=all_processes())
            self._receipts.put(receipt)
        return receipt

    def execute_many(self, plans: Sequence[KillPlan]) -> tuple[Receipt, ...]:
        """Carry plans out side by side; blocks until the last one has ended. Each has its own receipt."""
        from concurrent.futures import ThreadPoolExecutor

        from tokentop.procs.batch import carry_out

        stored: list[Receipt] = []

        def act(some: Sequence[KillPlan]) -> list[Receipt]:
            with ThreadPoolExecutor(min(len(some), BATCH_THREADS) or 1, "batch") as pool:
                receipts = list(pool.map(self._surely, some))
            stored.extend(receipts)
            return receipts

        with self._being_done():
            receipts = carry_out(plans, act)
            for receipt in receipts:
                if receipt not in stored:  # it ended with another one
                    self._receipts.put(receipt)
        return receipts

    def _surely(self, plan: KillPlan) -> Receipt:
        """An action whose failure is a receipt too: the others of its batch go on."""
        from tokentop.enforce import without_signal

        try:
            return self.execute(plan)
        except Exception as error:
            log.exception("%s", plan.action.value)
            receipt = without_signal(plan, "manual", now_ms(), "failed", type(error).__name__)
            self._receipts.put(receipt)
            return receipt

    @contextlib.contextmanager
    def _being_done(self) -> Iterator[None]:
        """While this lasts, the end of the collector waits."""
        done = threading.Event()
        self._under_way.append(done)
        try:
            yield
        finally:
            done.set()
            self._under_way.remove(done)

    def cancel(self, number: int) -> None:
        """Call a rule's countdown off."""
        self._cancels.put(number)

    def look_back(self, minutes: int) -> None:
        """Average rates over so many minutes from now on."""
        self._questions.put(lambda collector: collector.look_back(minutes))

    def recall(self) -> str | None:
        """The state of the view as an earlier run kept it; None until the store is open."""
        return self._recalled

    def remember(self, state: str) -> None:
        """Have the collector keep the state of the view, if it is the one that writes."""
        self._views.put(state)

    def footage(self) -> Footage | None:
        """What was recorded so far, on a connection of its own; None before there is a database."""
        from tokentop.answers.footage import Footage
        from tokentop.store.db import StoreError

        try:
            return Footage.open(self._folder, self._settings.recording_mb * 1_000_000)
        except StoreError:
            return None

    def jump(self, row: Row) -> Jump:
        """Show the terminal of the row's agent; blocks while other programs are asked."""
        from tokentop.procs.jump import jump

        proc = self._ask_collector(lambda collector: collector.process_of(row))
        if proc is None:
            return Jump("no process of it is known on this machine: it is seen in its log only")
        return jump(proc, self._environ)

    def resume(self, receipt: Receipt) -> Jump:
        """Resume what a receipt ended in a new tmux window; blocks while tmux is asked."""
        from tokentop.procs.resume import resume

        return Jump("read-only: nothing is started") if self.read_only else resume(receipt, self._environ)

    def attach(self, argv: tuple[str, ...]) -> int:
        """Run `argv` in tokentop's terminal, which the screen has left; blocks until it ends."""
        from tokentop.procs.jump import attach

        return attach(argv)

    def look(self, row: Row) -> Look:
        """What the drawer shows beyond the row; blocks while the log is read."""
        found, at = self._ask_collector(lambda collector: collector.look(row))
        return self._looking().look(row, found, at)

    def inside(self, row: Row) -> Inside:
        """What the row's process was started with; blocks."""
        _, at = self._ask_collector(lambda collector: collector.look(row))
        return self._looking().inside(at)

    def tail(self, row: Row, known: tuple[int, int, int]) -> LogTail | None:
        """The end of the row's log, None where it is as it was; blocks while it is read."""
        return self._looking().tail(row, known)

    def history(self, ask: Ask) -> Listing | None:
        """The sessions that are asked for; blocks. None = a newer question came meanwhile."""
        archive = self._archived()
        self._asks += 1
        number = self._asks
        archive.interrupt()
        self._questions.put(_index)  # what has changed meanwhile is in the next answer
        with self._answering:
            return archive.answer(ask) if number == self._asks else None

    def entries(self, ids: Sequence[int]) -> tuple[Entry, ...]:
        """The entries of sessions of a Listing, in their order; blocks."""
        with self._reading:
            return self._archived().entries(ids)

    def below(self, root: int) -> tuple[Entry, ...]:
        """The sub-agents of a session; blocks."""
        with self._reading:
            return self._archived().below(root)

    def search_said(self, query: str, told: Callable[[Scan], bool]) -> Scan:
        """Search prompts and replies in the agents' own logs, where that is switched on; blocks for long."""
        from tokentop.nouns.history import Scan

        if not self._settings.search_prompts:
            return Scan(problem=SAID_OFF)
        return self._archived().search_said(query, told)

    def _archived(self) -> Archive:
        from tokentop.answers.archive import Archive

        if self._archive is None:
            self._archive = Archive(self._folder, local_zone(self._environ), now_ms)
        return self._archive

    def statement(self) -> Statement:
        """Limits, plans, budgets, the day's curve, providers and bills; blocks while the store is read."""
        found, sums = self._ask_collector(lambda collector: collector.statement())
        if self._bookkeeper is None:
            from tokentop.answers.bookkeeper import Bookkeeper
            from tokentop.ledger import prices
            from tokentop.settings.zone import local_zone

            self._bookkeeper = Bookkeeper(
                self._folder, self._environ, self._settings, local_zone(self._environ),
                lambda: prices(self._settings),
            )  # fmt: skip
        return self._bookkeeper.complete(found, sums)

    def tell(self, agent: str, session_id: str) -> Timeline | None:
        """All turns of one session; blocks while its log is read. What was read of it is kept by the collector."""
        from tokentop.answers.chronicle import tell
        from tokentop.ledger import prices
        from tokentop.store import db

        def keep(session: Session, outline: Outline) -> None:
            self._questions.put(lambda collector: collector.keep_outline(session, outline))

        if self._prices is None:
            self._prices = prices(self._settings)
        connection = db.open_reader(self._folder)
        try:
            return tell(connection, agent, session_id, now_ms(), prices=self._prices, keep=keep)
        finally:
            connection.close()

    def bought(self, agent: str, session_id: str) -> Bought | None:
        """What a session's tokens bought, as `tokentop outcome` has last worked it out; blocks while the store is read."""
        from tokentop.answers.bought import bought_by
        from tokentop.store import db

        connection = db.open_reader(self._folder)
        try:
            return bought_by(connection, agent, session_id, self._settings.survive_days, now_ms())
        finally:
            connection.close()

    def transcript(self, session: Session) -> tuple[list[Said], str]:
        """What was said in a session; blocks while its log is read."""
        from tokentop.answers.transcript import transcript

        return transcript(session)

    def export(self, told: Timeline, form: str) -> str:
        """Write a timeline into the state directory; blocks. OSError."""
        from tokentop.answers.exporting import write_timeline

        bought = self.bought(told.session.agent, told.session.id)
        return str(write_timeline(self._folder, told, form, local_zone(self._environ), now_ms(), bought))

    def _looking(self) -> Looker:
        from tokentop.answers.look import Looker

        if self._looker is None:
            self._looker = Looker(now_ms, texts=self._settings.titles)
        return self._looker

    def _run(self, publish: Publish) -> None:
        # The screen paints its frame first: what reads and counts is imported in this thread.
        from tokentop.collector import Collector

        enforcer: Enforcer | None = None

        def show(snapshot: Snapshot) -> None:
            self._newest = [snapshot]
            if self._recalled is None:
                self._recalled = collector.recall(VIEW)
            publish(snapshot if enforcer is None else enforcer.dress(snapshot))

        collector = Collector(self._folder, self._environ, self._settings, show)
        enforcer = self._enforcer(collector)
        if self._note:
            collector.note("state", self._note)
        try:
            while not self._stop.is_set():
                self._answer(collector)
                wait_s = collector.tick()
                self._keep(collector, enforcer)
                self._aside.serve(collector)
                self._poller.serve(collector)
                self._receiver.serve(collector)
                if enforcer is not None and self._newest:
                    self._enforce(collector, enforcer, show)
                if wait_s > 0:
                    self._rest(collector, wait_s)
            for thread in self._acting:
                thread.join(timeout=ACTION_S)
            for done in tuple(self._under_way):
                done.wait(timeout=ACTION_S)
            self._keep(collector, enforcer)
        except Exception:
            log.exception("the collector stopped")
            collector.note("collector", "stopped by an error; see the log file")
            publish(collector.snapshot(now_ms()))
        finally:
            collector.close()

    def _answer(self, collector: Collector) -> bool:
        """Answer what was asked; whether anything was."""
        asked = not self._questions.empty()
        while not self._questions.empty():
            self._questions.get()(collector)
        return asked

    def _rest(self, collector: Collector, wait_s: float) -> None:
        """Until the next slice. A question is answered at once, and who asked draws before the slice begins."""
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0 and self._wake.wait(left_s):
            self._wake.clear()
            if self._stop.is_set() or not self._answer(collector):
                return
            until_s = min(until_s, time.monotonic() + DRAW_S)

    # ------------------------------------------------------------ rules

    def _enforcer(self, collector: Collector) -> Enforcer | None:
        rules = self._settings.rules
        if not any(rule.on for _, rule in rules.items()):
            return None
        from tokentop.enforce import Enforcer

        if self._settings.notify.desktop:
            threading.Thread(target=self._notify, name="notices", daemon=True).start()
        return Enforcer(
            rules, read_only=self.read_only, plan=collector.plan, act=self._act_apart, keep=collector.keep,
            tell=self._notices.put if self._settings.notify.desktop else lambda _: None,
        )  # fmt: skip

    def _enforce(self, collector: Collector, enforcer: Enforcer, show: Publish) -> None:
        """One look of the rules; an error in one is said and the collector goes on."""
        [snapshot], before = self._newest, enforcer.news
        try:
            if not self._remembered and (receipts := collector.receipts()) is not None:
                enforcer.remember(receipts, snapshot.at_ms)
                self._remembered = True
            self._call_off(enforcer, snapshot)
            if self._remembered:
                enforcer.step(snapshot)
        except Exception:
            log.exception("rules")
            collector.note("rules", "stopped for a moment by an error; see the log file")
        if enforcer.news != before:
            show(snapshot)
        self._newest = []

    def _call_off(self, enforcer: Enforcer, snapshot: Snapshot) -> None:
        """What a person calls off: one countdown on the screen, or all from another program."""
        from tokentop.store import calloff

        def all_of_them() -> list[Countdown]:
            return [one for one in enforcer.dress(snapshot).countdowns if enforcer.cancel(one.id)]

        while not self._cancels.empty():
            enforcer.cancel(self._cancels.get())
        if snapshot.mode == "live":  # it is the one that acts
            calloff.serve(self._folder, all_of_them)

    def _act_apart(self, plan: KillPlan, reason: str) -> None:
        def work() -> None:
            from tokentop.agents import all_processes
            from tokentop.enforce import without_signal
            from tokentop.procs.act import execute

            try:
                receipt = execute(plan, now_ms=now_ms, reason=reason, agents=all_processes())
            except Exception as error:
                log.exception("%s", reason)
                receipt = without_signal(plan, reason, now_ms(), "failed", type(error).__name__)
            self._receipts.put(receipt)

        self._acting = [thread for thread in self._acting if thread.is_alive()]
        self._acting.append(threading.Thread(target=work, name=reason, daemon=True))
        self._acting[-1].start()

    def _keep(self, collector: Collector, enforcer: Enforcer | None) -> None:
        state = None
        while not self._views.empty():
            state = self._views.get()
        if state is not None:  # the newest will do
            collector.remember(VIEW, state)
        while not self._receipts.empty():
            receipt = self._receipts.get()
            collector.keep(receipt)
            if enforcer is not None:
                enforcer.finished(receipt)

    def _notify(self) -> None:
        """Notices to the desktop, one after the other: its program may take seconds."""
        from tokentop.notify import Limiter, show_on_desktop

        limiter = Limiter(self._settings.notify.per_minute)
        while True:
            notice = self._notices.get()
            if limiter.allows(notice.at_ms):
                show_on_desktop(notice)
