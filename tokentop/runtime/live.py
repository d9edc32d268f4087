"""The live machine as a source: one collector thread, actions in the screen's workers."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokentop.clock import now_ms
from tokentop.nouns.actions import Action, Jump, KillPlan, Orphan, Receipt
from tokentop.nouns.picture import Row, Snapshot
from tokentop.settings.config import Settings

if TYPE_CHECKING:
    from tokentop.collector import Collector

from .actions import ACTION_S, Actions
from .answers import Answers
from .enforcement import Enforcement
from .questions import Questions
from .threads import AsideThread, PollerThread, ReceiverThread

log = logging.getLogger(__name__)

STOP_S = 10.0
VIEW = "view"  # under this name the store keeps the state of the screen
Publish = Callable[[Snapshot], None]


class Runtime(Answers):
    """The live machine as the screen's source: `start`, `stop`, `plan`, `execute`, `cancel`, and what `Answers` tells."""

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
        super().__init__(folder, dict(environ), settings, Questions())
        self.read_only = settings.read_only
        self._note = note  # something to say on the screen all the time
        self._actions = Actions(read_only=settings.read_only)
        self._enforcement = Enforcement(folder, settings, self._actions)
        self._aside = AsideThread()
        self._poller = PollerThread(settings, self._environ, hidden=hidden)
        self._receiver = ReceiverThread(settings.telemetry, folder)
        self._views: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._recalled: str | None = None  # set once, by the collector's thread
        self._thread: threading.Thread | None = None

    @property
    def alive(self) -> bool:
        """Whether the collector still runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, publish: Publish) -> None:
        self._thread = threading.Thread(target=self._run, args=(publish,), name="collector", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the collector: it commits what it has read, then closes the store."""
        self.let_go()
        self._questions.end()
        self._aside.stop()
        self._poller.stop()
        self._receiver.stop()
        if self._thread is not None:
            self._thread.join(timeout=ACTION_S if self._actions.under_way else STOP_S)

    # ------------------------------------------------------------ for the screen

    def plan(self, row: Row, action: Action) -> KillPlan:
        """Ask the collector, which alone looks at processes, what the action would hit."""
        return self._questions.ask(lambda collector: collector.plan(row, action))

    def plan_many(self, rows: Sequence[Row], action: Action) -> tuple[KillPlan, ...]:
        """The same for several rows, from one look at the processes."""
        return self._questions.ask(lambda collector: collector.plan_many(rows, action))

    def plan_orphans(self) -> tuple[Orphan, ...]:
        """The same for all processes without a living owner."""
        return self._questions.ask(lambda collector: collector.plan_orphans())

    def execute(self, plan: KillPlan) -> Receipt:
        """Carry a plan out; blocks. The receipt is stored by the collector, also when the screen is left."""
        return self._actions.execute(plan)

    def execute_many(self, plans: Sequence[KillPlan]) -> tuple[Receipt, ...]:
        """Carry plans out side by side; blocks until the last one has ended. Each has its own receipt."""
        return self._actions.execute_many(plans)

    def receipts(self) -> tuple[Receipt, ...]:
        """What was done so far, by earlier runs too, newest first."""
        return self._questions.ask(lambda collector: tuple(collector.receipts() or ()))

    def cancel(self, number: int) -> None:
        """Call a rule's countdown off."""
        self._enforcement.cancel(number)

    def jump(self, row: Row) -> Jump:
        """Show the terminal of the row's agent; blocks while other programs are asked."""
        from tokentop.procs.jump import jump

        proc = self._questions.ask(lambda collector: collector.process_of(row))
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

    def look_back(self, minutes: int) -> None:
        """Average rates over so many minutes from now on."""
        self._questions.tell(lambda collector: collector.look_back(minutes))

    def recall(self) -> str | None:
        """The state of the view as an earlier run kept it; None until the store is open."""
        return self._recalled

    def remember(self, state: str) -> None:
        """Have the collector keep the state of the view, if it is the one that writes."""
        self._views.put(state)

    # ------------------------------------------------------------ the collector's thread

    def _run(self, publish: Publish) -> None:
        # The screen paints its frame first: what reads and counts is imported in this thread.
        from tokentop.collector import Collector

        def show(snapshot: Snapshot) -> None:
            if self._recalled is None:
                self._recalled = collector.recall(VIEW)
            publish(self._enforcement.dress(snapshot))

        collector = Collector(self._folder, self._environ, self._settings, show)
        self._enforcement.begin(collector)
        if self._note:
            collector.note("state", self._note)
        try:
            while not self._questions.ended:
                self._slice(collector, publish)
            self._actions.finish()
            self._keep(collector)
        except Exception:
            log.exception("the collector stopped")
            collector.note("collector", "stopped by an error; see the log file")
            publish(collector.snapshot(now_ms()))
        finally:
            collector.close()

    def _slice(self, collector: Collector, publish: Publish) -> None:
        """One slice of the collector's work, what was asked of it and what came in for it, and its rest."""
        self._questions.answer(collector)
        wait_s = collector.tick()
        self._keep(collector)
        self._aside.serve(collector)
        self._poller.serve(collector)
        self._receiver.serve(collector)
        told = self._enforcement.judge(collector)
        if told is not None:
            publish(told)
        if wait_s > 0:
            self._questions.rest(collector, wait_s)

    def _keep(self, collector: Collector) -> None:
        """Have stored what the screen and the actions left for it."""
        state = None
        while not self._views.empty():
            state = self._views.get()
        if state is not None:  # the newest will do
            collector.remember(VIEW, state)
        for receipt in self._actions.receipts():
            collector.keep(receipt)
            self._enforcement.finished(receipt)
