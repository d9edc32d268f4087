"""What other threads ask of the collector: answered in its thread, between two of its slices."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from tokentop.collector import Collector

DRAW_S = 0.1  # the first picture of an answer
ANSWER_S = 30.0
T = TypeVar("T")


class Questions:
    """`ask` and `tell` are for any thread, `answer` and `rest` for the collector's."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Callable[[Collector], object]] = queue.SimpleQueue()
        self._wake = threading.Event()  # a question waits, or it is the end
        self._ended = threading.Event()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def end(self) -> None:
        """Nobody asks any more: the collector need not rest."""
        self._ended.set()
        self._wake.set()

    def tell(self, order: Callable[[Collector], object]) -> None:
        """Let the collector do it when its next slice begins; does not block."""
        self._waiting.put(order)

    def ask(self, question: Callable[[Collector], T]) -> T:
        """Let the collector answer between two of its slices; blocks. Raises what the answer raised."""
        reply: queue.SimpleQueue[tuple[T | None, Exception | None]] = queue.SimpleQueue()

        def answer(collector: Collector) -> None:
            try:
                reply.put((question(collector), None))
            except Exception as error:
                reply.put((None, error))

        self._waiting.put(answer)
        self._wake.set()
        found, error = reply.get(timeout=ANSWER_S)
        if error is not None:
            raise error
        return cast("T", found)

    def answer(self, collector: Collector) -> bool:
        """Answer what was asked; whether anything was."""
        asked = not self._waiting.empty()
        while not self._waiting.empty():
            self._waiting.get()(collector)
        return asked

    def rest(self, collector: Collector, wait_s: float) -> None:
        """Until the next slice. A question is answered at once, and who asked draws before the slice begins."""
        until_s = time.monotonic() + wait_s
        while (left_s := until_s - time.monotonic()) > 0 and self._wake.wait(left_s):
            self._wake.clear()
            if self.ended or not self.answer(collector):
                return
            until_s = min(until_s, time.monotonic() + DRAW_S)
