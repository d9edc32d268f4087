"""Threads beside the collector's: looks at other programs, providers, agents' telemetry. Each serves the collector."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tokentop.settings.config import Settings, TelemetrySettings

if TYPE_CHECKING:
    from tokentop.collector import Collector
    from tokentop.collector.aside import Seen, Wanted
    from tokentop.nouns.billing import Fetched, ProviderState
    from tokentop.nouns.telemetry import Heard

log = logging.getLogger(__name__)

POLLER_START_S = 3.0
STOP_S = 3.0
RECEIVER_AGAIN_S = 15.0  # until a port that was taken is tried again
MAX_HEARD = 500  # requests that wait for the collector
LIMITS_S = 5.0  # between two looks at how old the limits from logs are


class AsideThread:
    """Asks other programs what a collector wants to know; one question at a time, the answers come when they come."""

    def __init__(self) -> None:
        self._wanted: queue.SimpleQueue[Wanted | None] = queue.SimpleQueue()
        self._seen: queue.SimpleQueue[Seen] = queue.SimpleQueue()
        self._asking = False  # not answered yet
        self._started = False

    def serve(self, collector: Collector) -> None:
        """Hand over what was answered and ask what is due; for the collector's thread, never waits."""
        while not self._seen.empty():
            collector.learn(self._seen.get())
            self._asking = False
        if self._asking or (wanted := collector.wanted(time.monotonic())) is None:
            return
        self._asking = True
        self._wanted.put(wanted)
        if not self._started:
            self._started = True
            threading.Thread(target=self._ask, name="aside", daemon=True).start()

    def stop(self) -> None:
        self._wanted.put(None)

    def _ask(self) -> None:
        from tokentop.collector.aside import Aside

        aside = Aside()
        try:
            while (wanted := self._wanted.get()) is not None:
                self._seen.put(aside.look(wanted))
        except Exception:
            log.exception("a look aside")  # it is not asked again: what it knew stays


class _LoopThread:
    """A thread with an event loop of its own, which ends when another thread says so."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._end: Callable[[], object] = lambda: None

    def _start(self, name: str, run: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it; waits for a moment."""
        self._stop.set()
        with contextlib.suppress(RuntimeError):  # the loop has just been closed
            self._end()
        if self._thread is not None:
            self._thread.join(timeout=STOP_S)

    def _run_loop(self, work: Callable[[], Coroutine[object, object, None]]) -> None:
        """Run until it ends or is stopped."""
        import asyncio

        async def until_stopped() -> None:
            task = asyncio.ensure_future(work())
            loop = asyncio.get_running_loop()
            self._end = lambda: loop.call_soon_threadsafe(task.cancel)
            if self._stop.is_set():
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

        try:
            asyncio.run(until_stopped())
        finally:
            self._end = lambda: None


class PollerThread(_LoopThread):
    """Asks providers in a thread and an event loop of its own; where none is switched on there is neither."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], *, hidden: bool) -> None:
        super().__init__()
        self._settings, self._environ, self._hidden = settings.providers, environ, hidden
        self._on = any(one.on for one in self._settings.values())
        self._fetched: queue.SimpleQueue[Fetched] = queue.SimpleQueue()
        self._waiting: Fetched | None = None  # came in while the store could not be written
        self._newest_ms: dict[str, int] = {}  # of each agent's limits, as its logs tell them
        self._looked_s = 0.0

    def serve(self, collector: Collector) -> None:
        """Hand over what came in, and start once the store can be written; for the collector's thread, never waits."""
        if not self._on:
            return
        while self._waiting is not None or not self._fetched.empty():
            fetched = self._waiting or self._fetched.get()
            self._waiting = None if collector.providers.learn(fetched) else fetched
            if self._waiting is not None:
                break
        now_s = time.monotonic()
        if now_s - self._looked_s < LIMITS_S:
            return
        self._looked_s = now_s
        self._newest_ms = collector.providers.newest_limits()
        if self._thread is None and (states := collector.providers.states()) is not None:
            self._start("poller", partial(self._run, states))

    def _run(self, states: list[ProviderState]) -> None:
        if self._stop.wait(POLLER_START_S):  # the screen is painted and the logs are read first
            return
        from tokentop.polling.loop import Poller

        poller = Poller(
            self._settings,
            self._environ,
            self._fetched.put,
            hidden=self._hidden,
            newest_ms=lambda agent: self._newest_ms.get(agent, 0),
        )
        poller.remember(states)

        try:
            self._run_loop(poller.run)
        except Exception as error:  # without its traceback: the frames below hold keys
            log.error("the poller stopped: %s", type(error).__name__)


class ReceiverThread(_LoopThread):
    """Takes in agents' telemetry in a thread and an event loop of its own; while it is off there is neither."""

    def __init__(self, settings: TelemetrySettings, folder: Path) -> None:
        super().__init__()
        self._settings, self._folder = settings, folder
        self._heard: queue.SimpleQueue[Heard] = queue.SimpleQueue()
        self._waiting: Heard | None = None  # came in while it could not be taken

    def serve(self, collector: Collector) -> None:
        """Hand over what came in, and start in whichever tokentop writes; for the collector's thread, never waits."""
        if not self._settings.on:
            return
        while self._waiting is not None or not self._heard.empty():
            heard = self._waiting or self._heard.get()
            self._waiting = None if collector.telemetry.hear(heard) else heard
            if self._waiting is not None:
                break
        if self._thread is None and collector.writes:
            collector.telemetry.listen()
            self._start("receiver", self._run)

    def _run(self) -> None:
        from tokentop.nouns.telemetry import Heard
        from tokentop.receiver.secret import token
        from tokentop.receiver.server import Receiver

        while not self._stop.is_set():
            try:
                receiver = Receiver(self._settings.port, token(self._folder), self._hear)
                self._run_loop(partial(receiver.run, self._ready))
            except OSError as error:
                reason = error.strerror or str(error)
                self._heard.put(Heard(state=f"not listening on port {self._settings.port}: {reason}"))
            except Exception as error:  # without its traceback: the frames below hold the token
                log.error("the receiver stopped: %s", type(error).__name__)
                self._heard.put(Heard(state=f"the receiver stopped: {type(error).__name__}"))
            self._stop.wait(RECEIVER_AGAIN_S)

    def _ready(self) -> None:
        from tokentop.nouns.telemetry import Heard

        self._heard.put(Heard(state=""))

    def _hear(self, heard: Heard) -> bool:
        if self._heard.qsize() >= MAX_HEARD:
            return False
        self._heard.put(heard)
        return True
