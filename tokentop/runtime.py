"""The one file that starts threads; the sources that a screen draws.

One collector thread publishes snapshots; actions run in the screen's workers. Only queues and frozen values pass
between them.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .clock import now_ms
from .config import Settings
from .model import Action, KillPlan, Notice, Receipt, Row, Snapshot

if TYPE_CHECKING:
    from .collector import Collector
    from .enforce import Enforcer

log = logging.getLogger(__name__)

DEMO_PUBLISH_S = 0.5
STOP_S = 10.0
ACTION_S = 40.0  # an action that is under way is carried to its end
Publish = Callable[[Snapshot], None]


class World(Protocol):
    """The invented world of the demo."""

    def snapshot(self, now_ms: int) -> Snapshot: ...
    def plan(self, row_key: str, action: Action, now_ms: int) -> KillPlan: ...
    def execute(self, plan: KillPlan, now_ms: int) -> Receipt: ...


class DemoRuntime:
    """An invented world as the screen's source; nothing real is read or signalled."""

    label = "demo"
    read_only = False

    def __init__(self, world: World) -> None:
        self._world = world
        self._stop = threading.Event()
        self._jobs: queue.SimpleQueue[tuple[Callable[[], object], queue.SimpleQueue[object]]] = (
            queue.SimpleQueue()
        )

    def start(self, publish: Publish) -> None:
        threading.Thread(target=self._run, args=(publish,), name="demo", daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def plan(self, row: Row, action: Action) -> KillPlan:
        plan = self._in_world(lambda: self._world.plan(row.key, action, now_ms()))
        assert isinstance(plan, KillPlan)
        return plan

    def execute(self, plan: KillPlan) -> Receipt:
        receipt = self._in_world(lambda: self._world.execute(plan, now_ms()))
        assert isinstance(receipt, Receipt)
        return receipt

    def cancel(self, number: int) -> None:
        """No rule acts in the demo."""

    def _in_world(self, job: Callable[[], object]) -> object:
        reply: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._jobs.put((job, reply))
        return reply.get(timeout=10)

    def _run(self, publish: Publish) -> None:
        while not self._stop.is_set():
            while not self._jobs.empty():
                job, reply = self._jobs.get()
                reply.put(job())
            publish(self._world.snapshot(now_ms()))
            self._stop.wait(DEMO_PUBLISH_S)


class Runtime:
    """The live machine as the screen's source: `start`, `stop`, `plan`, `execute`, `cancel`.

    Rules are judged in the collector's thread; each of their actions runs in a thread of its own, as a person's
    does in a worker of the screen, and notices go to the desktop from one more.
    """

    label = ""

    def __init__(self, folder: Path, environ: Mapping[str, str], settings: Settings, note: str = "") -> None:
        self.read_only = settings.read_only
        self._folder = folder
        self._environ = dict(environ)
        self._settings = settings
        self._note = note  # something to say on the screen all the time
        self._stop = threading.Event()
        self._receipts: queue.SimpleQueue[Receipt] = queue.SimpleQueue()
        self._plans: queue.SimpleQueue[tuple[Row | int, Action, queue.SimpleQueue[KillPlan]]] = (
            queue.SimpleQueue()
        )
        self._cancels: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._notices: queue.SimpleQueue[Notice] = queue.SimpleQueue()
        self._acting: list[threading.Thread] = []
        self._newest: list[Snapshot] = []  # that no rule has looked at yet
        self._remembered = False
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
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=ACTION_S if self._acting else STOP_S)

    def plan(self, row: Row, action: Action) -> KillPlan:
        """Ask the collector, which alone looks at processes, what the action would hit."""
        reply: queue.SimpleQueue[KillPlan] = queue.SimpleQueue()
        self._plans.put((row, action, reply))
        return reply.get(timeout=30)

    def execute(self, plan: KillPlan) -> Receipt:
        """Carry a plan out; blocks. The receipt is stored by the collector."""
        from .agents import all_processes
        from .procs.act import execute

        receipt = execute(plan, now_ms=now_ms, agents=all_processes())
        self._receipts.put(receipt)
        return receipt

    def cancel(self, number: int) -> None:
        """Call a rule's countdown off."""
        self._cancels.put(number)

    def _run(self, publish: Publish) -> None:
        # The screen paints its frame first: what reads and counts is imported in this thread.
        from .collector import Collector

        enforcer: Enforcer | None = None

        def show(snapshot: Snapshot) -> None:
            self._newest = [snapshot]
            publish(snapshot if enforcer is None else enforcer.dress(snapshot))

        collector = Collector(self._folder, self._environ, self._settings, show)
        enforcer = self._enforcer(collector)
        if self._note:
            collector.note("state", self._note)
        try:
            while not self._stop.is_set():
                wait_s = collector.tick()
                while not self._plans.empty():
                    row, action, reply = self._plans.get()
                    reply.put(collector.plan(row, action))
                self._keep(collector, enforcer)
                if enforcer is not None and self._newest:
                    self._enforce(collector, enforcer, show)
                if wait_s > 0:
                    self._stop.wait(wait_s)
            for thread in self._acting:
                thread.join(timeout=ACTION_S)
            self._keep(collector, enforcer)
        except Exception:
            log.exception("the collector stopped")
            collector.note("collector", "stopped by an error; see the log file")
            publish(collector.snapshot(now_ms()))
        finally:
            collector.close()

    # ------------------------------------------------------------ rules

    def _enforcer(self, collector: Collector) -> Enforcer | None:
        rules = self._settings.rules
        if not any(rule.on for _, rule in rules.items()):
            return None
        from .enforce import Enforcer

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
            while not self._cancels.empty():
                enforcer.cancel(self._cancels.get())
            if self._remembered:
                enforcer.step(snapshot)
        except Exception:
            log.exception("rules")
            collector.note("rules", "stopped for a moment by an error; see the log file")
        if enforcer.news != before:
            show(snapshot)
        self._newest = []

    def _act_apart(self, plan: KillPlan, reason: str) -> None:
        def work() -> None:
            from .agents import all_processes
            from .enforce import without_signal
            from .procs.act import execute

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
        while not self._receipts.empty():
            receipt = self._receipts.get()
            collector.keep(receipt)
            if enforcer is not None:
                enforcer.finished(receipt)

    def _notify(self) -> None:
        """Notices to the desktop, one after the other: its program may take seconds."""
        from .notify import Limiter, show_on_desktop

        limiter = Limiter(self._settings.notify.per_minute)
        while True:
            notice = self._notices.get()
            if limiter.allows(notice.at_ms):
                show_on_desktop(notice)
