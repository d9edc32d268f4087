"""The invented fleet of `tokentop demo` as a source."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from tokentop.clock import now_ms
from tokentop.nouns.actions import Action, Jump, KillPlan, Orphan, Receipt
from tokentop.nouns.looks import Inside, LogTail, Look
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Usage
from tokentop.settings.zone import local_zone

if TYPE_CHECKING:
    from tokentop.agents._spoken import Said
    from tokentop.answers.footage import Footage
    from tokentop.engine.statement import Statement
    from tokentop.engine.tally import Bought
    from tokentop.engine.timeline import Timeline
    from tokentop.nouns.history import Ask, Entry, Listing, Scan
    from tokentop.nouns.outline import Outline
    from tokentop.store.counting import Prices

    from .demobook import DemoBook

DEMO_PUBLISH_S = 0.5
KEEP_EVERY = 1200  # pictures: ten minutes
STOP_S = 10.0
Publish = Callable[[Snapshot], None]
T = TypeVar("T")


class Told(Protocol):
    """What the logs of the invented agents would have told."""

    @property
    def facts(self) -> Sequence[Session | Usage]: ...
    @property
    def outlines(self) -> Sequence[tuple[Session, Outline]]: ...


class World(Protocol):
    """The invented world of the demo."""

    def snapshot(self, now_ms: int) -> Snapshot: ...
    def plan(self, row_key: str, action: Action, now_ms: int) -> KillPlan: ...
    def look_back(self, minutes: int) -> None: ...
    def plan_orphans(self, now_ms: int) -> tuple[Orphan, ...]: ...
    def execute(self, plan: KillPlan, now_ms: int) -> Receipt: ...
    def look(self, row_key: str, now_ms: int) -> Look: ...
    def inside(self, row_key: str) -> Inside: ...
    def tail(self, row_key: str, now_ms: int) -> LogTail: ...
    def statement(self, now_ms: int) -> Statement: ...
    def told(self, now_ms: int) -> Told: ...
    @property
    def prices(self) -> Prices: ...
    @property
    def titles(self) -> bool: ...


class DemoRuntime:
    """An invented world as the screen's source; nothing real is read or signalled."""

    label = "demo"
    read_only = False

    def __init__(self, world: World) -> None:
        self._world = world
        self._kept: DemoBook | None = None
        self._exports: Path | None = None
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
        receipt = self._in_world(lambda: self._execute(plan))
        assert isinstance(receipt, Receipt)
        return receipt

    def _execute(self, plan: KillPlan) -> Receipt:
        receipt = self._world.execute(plan, now_ms())
        self._book().act(receipt)
        return receipt

    def plan_many(self, rows: Sequence[Row], action: Action) -> tuple[KillPlan, ...]:
        from tokentop.procs.batch import arrange

        return arrange([self.plan(row, action) for row in rows])

    def execute_many(self, plans: Sequence[KillPlan]) -> tuple[Receipt, ...]:
        from tokentop.procs.batch import carry_out

        return carry_out(plans, lambda some: [self.execute(plan) for plan in some])

    def receipts(self) -> tuple[Receipt, ...]:
        """The demo remembers nothing of earlier runs."""
        return ()

    def cancel(self, number: int) -> None:
        """No rule acts in the demo."""

    def recall(self) -> str:
        return ""

    def remember(self, _state: str) -> None:
        """The demo keeps nothing."""

    def look_back(self, minutes: int) -> None:
        self._jobs.put((lambda: self._world.look_back(minutes), queue.SimpleQueue()))

    def plan_orphans(self) -> tuple[Orphan, ...]:
        found = self._in_world(lambda: self._world.plan_orphans(now_ms()))
        assert isinstance(found, tuple)
        return found

    def footage(self) -> Footage | None:
        """What was recorded of this run, up to now, and what was spent in it and before."""
        return self._in_book(lambda book: book.footage())

    def _book(self) -> DemoBook:
        """The store of this run, in memory; in the demo's thread alone."""
        if self._kept is None:
            from .demobook import DemoBook

            self._kept = DemoBook(self._world.prices, local_zone(os.environ), titles=self._world.titles)
        return self._kept

    def _in_book(self, question: Callable[[DemoBook], T]) -> T:
        """Answered in the world's thread, of what it tells now."""

        def job() -> T:
            book, told = self._book(), self._world.told(now_ms())
            book.take(told.facts, told.outlines)
            return question(book)

        return cast("T", self._in_world(job))

    def jump(self, _row: Row) -> Jump:
        return Jump("the agents of the demo are invented: there is no terminal to show")

    def resume(self, receipt: Receipt) -> Jump:
        return Jump("the agents of the demo are invented: nothing to resume", copy=receipt.resume)

    def attach(self, _argv: tuple[str, ...]) -> int:
        return 127

    def look(self, row: Row) -> Look:
        found = self._in_world(lambda: self._world.look(row.key, now_ms()))
        assert isinstance(found, Look)
        return found

    def inside(self, row: Row) -> Inside:
        found = self._in_world(lambda: self._world.inside(row.key))
        assert isinstance(found, Inside)
        return found

    def tail(self, row: Row, _known: tuple[int, int, int]) -> LogTail | None:
        found = self._in_world(lambda: self._world.tail(row.key, now_ms()))
        assert isinstance(found, LogTail)
        return found

    def history(self, ask: Ask) -> Listing | None:
        return self._in_book(lambda book: book.archive.answer(ask))

    def entries(self, ids: Sequence[int]) -> tuple[Entry, ...]:
        return self._in_book(lambda book: book.archive.entries(ids))

    def below(self, root: int) -> tuple[Entry, ...]:
        return self._in_book(lambda book: book.archive.below(root))

    def search_said(self, query: str, told: Callable[[Scan], bool]) -> Scan:
        return self._in_book(lambda book: book.archive.search_said(query, told))

    def statement(self) -> Statement:
        from tokentop.engine.statement import Statement

        found = self._in_world(lambda: self._world.statement(now_ms()))
        assert isinstance(found, Statement)
        return found

    def tell(self, agent: str, session_id: str) -> Timeline | None:
        return self._in_book(lambda book: book.tell(agent, session_id))

    def bought(self, agent: str, session_id: str) -> Bought | None:
        return self._in_book(lambda book: book.bought(agent, session_id))

    def transcript(self, _session: Session) -> tuple[list[Said], str]:
        return [], "the agents of the demo are invented: nothing was said"

    def export(self, told: Timeline, form: str) -> str:
        """Write it into a folder of its own below the temporary ones. OSError."""
        import tempfile

        from tokentop.answers.exporting import write_timeline

        bought = self.bought(told.session.agent, told.session.id)
        if self._exports is None:
            self._exports = Path(tempfile.mkdtemp(prefix="tokentop-demo-"))
        return str(write_timeline(self._exports, told, form, local_zone(os.environ), now_ms(), bought))

    def _in_world(self, job: Callable[[], object]) -> object:
        reply: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._jobs.put((job, reply))
        return reply.get(timeout=10)

    def _run(self, publish: Publish) -> None:
        looks = 0
        while not self._stop.is_set():
            while not self._jobs.empty():
                job, reply = self._jobs.get()
                reply.put(job())
            snapshot = self._world.snapshot(now_ms())
            publish(snapshot)
            self._book().record(snapshot)
            looks += 1
            if looks % KEEP_EVERY == 0:  # else it is kept when somebody asks
                told = self._world.told(now_ms())
                self._book().take(told.facts, told.outlines)
            self._stop.wait(DEMO_PUBLISH_S)
