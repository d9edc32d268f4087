"""Plans carried out, a person's and those of rules. Receipts wait for the collector, which stores them."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Iterator, Sequence

from tokentop.clock import now_ms
from tokentop.nouns.actions import KillPlan, Receipt

log = logging.getLogger(__name__)

ACTION_S = 40.0  # an action that is under way is carried to its end
BATCH_THREADS = 12  # actions side by side: each of them mostly waits for its agent to end
MANUAL = "manual"  # the reason of what a person does


class Actions:
    """A person's actions block the caller, a worker of the screen; each one of a rule has a thread of its own."""

    def __init__(self, *, read_only: bool) -> None:
        self._read_only = read_only
        self._receipts: queue.SimpleQueue[Receipt] = queue.SimpleQueue()
        self._under_way: list[threading.Event] = []  # each is set at its end

    @property
    def under_way(self) -> bool:
        return bool(self._under_way)

    def execute(self, plan: KillPlan, reason: str = MANUAL) -> Receipt:
        """Carry a plan out; blocks. The receipt is stored by the collector, also when the screen is left."""
        from tokentop.agents import all_processes
        from tokentop.procs.act import execute

        if self._read_only:  # there is no key that leads here
            from tokentop.enforce import without_signal

            return without_signal(plan, reason, now_ms(), "refused", "read-only: nothing is done")
        with self._being_done():
            receipt = execute(plan, now_ms=now_ms, reason=reason, agents=all_processes())
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

    def execute_apart(self, plan: KillPlan, reason: str) -> None:
        """Carry a plan of a rule out; does not block."""
        lasting = contextlib.ExitStack()
        lasting.enter_context(self._being_done())  # from now on, not only once its thread runs

        def work() -> None:
            with lasting:
                self._surely(plan, reason)

        threading.Thread(target=work, name=reason, daemon=True).start()

    def receipts(self) -> Iterator[Receipt]:
        """Those that have come since this was asked last, each once; for the collector's thread."""
        while not self._receipts.empty():
            yield self._receipts.get()

    def finish(self) -> None:
        """Wait for what is under way."""
        for done in tuple(self._under_way):
            done.wait(timeout=ACTION_S)

    def _surely(self, plan: KillPlan, reason: str = MANUAL) -> Receipt:
        """An action whose failure is a receipt too."""
        from tokentop.enforce import without_signal

        try:
            return self.execute(plan, reason)
        except Exception as error:
            log.exception("%s: %s", reason, plan.action.value)
            receipt = without_signal(plan, reason, now_ms(), "failed", type(error).__name__)
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
