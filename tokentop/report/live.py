"""The collector without a screen: one snapshot, or a watch that prints alerts."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from types import FrameType

from tokentop.clock import now_ms
from tokentop.collector import Collector
from tokentop.collector.aside import Aside
from tokentop.engine.days import local
from tokentop.errors import Failure
from tokentop.notify import Limiter, sequences
from tokentop.nouns.actions import Countdown
from tokentop.nouns.picture import Snapshot
from tokentop.runtime import Runtime
from tokentop.settings.load import load
from tokentop.settings.rulebook import Notify
from tokentop.settings.zone import local_zone, zone_fault
from tokentop.text import plural

from .access import folder_for, note
from .enter import Enter
from .out import money
from .snapshot import today_text

_LOOK_S = 0.1  # between two looks at what the collector has published
_SECOND_LOOK_S = 0.25  # CPU use needs two looks at the processes


def one_snapshot() -> Snapshot:
    """Catch up, look at the processes twice, return the picture."""
    with folder_for() as (folder, notes):
        collector = Collector(folder, os.environ, load(os.environ), lambda _: None, stays=False)
        try:
            for text in notes:
                collector.note("state", text)
            collector.catch_up()
            time.sleep(_SECOND_LOOK_S)
            collector.look_again()
            wanted = collector.wanted(time.monotonic())
            if wanted is not None:
                collector.learn(Aside().look(wanted))
            return collector.snapshot(now_ms())
        finally:
            collector.close()


def check_complete(picture: Snapshot) -> None:
    """Raise Failure where the store could not be brought up to date: the picture is not the whole truth."""
    if picture.mode.startswith("paused"):
        raise Failure(picture.mode)


def watch() -> int:
    """Collect until SIGINT or SIGTERM; print each new alert and, each minute, where the day stands.

    Enter on its terminal calls off what rules count down.
    """
    settings = load(os.environ)
    zone = local_zone(os.environ)
    ended_by: list[int] = []  # no Event: a signal that comes while one is waited for would wait for itself

    def end(number: int, _frame: FrameType | None) -> None:
        ended_by.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        signal.signal(number, end)
    told: set[tuple[str, str]] = set()
    teller, enter = Teller(settings.notify), Enter()
    counting: tuple[Countdown, ...] = ()
    with folder_for() as (folder, notes):
        if fault := zone_fault(os.environ):
            note(notes, fault)
        pictures: queue.SimpleQueue[Snapshot] = queue.SimpleQueue()
        runtime = Runtime(folder, os.environ, settings, hidden=True)
        runtime.start(pictures.put)
        minute = -1
        try:
            while not ended_by:
                if enter.pressed():
                    for one in counting:
                        runtime.cancel(one.id)
                while not pictures.empty():
                    picture = pictures.get()
                    counting = picture.countdowns
                    clock = local(picture.at_ms, zone).strftime("%H:%M:%S")
                    _tell(picture, told, clock)
                    teller.tell(picture, clock, "Enter" if enter.heard else "tokentop rules cancel")
                    said = picture.at_ms // 60_000 == minute
                    if not said and (picture.today_is_known or picture.mode.startswith("paused")):
                        minute = picture.at_ms // 60_000
                        _summary(picture, clock)
                if not runtime.alive:
                    raise Failure("the collector stopped by an error of its own")
                time.sleep(_LOOK_S)
        finally:
            runtime.stop()
            while not pictures.empty():
                picture = pictures.get()
                teller.tell(picture, local(picture.at_ms, zone).strftime("%H:%M:%S"))
    return 128 + ended_by[0] if ended_by and ended_by[0] != signal.SIGINT else 0


def _tell(picture: Snapshot, told: set[tuple[str, str]], clock: str) -> None:
    now = {(alert.kind, alert.row_key): alert for alert in picture.alerts}
    for key in now.keys() - told:
        say(f"{clock}  ALERT {now[key].kind}: {now[key].text}")
    told.clear()
    told.update(now)


class _Output:
    """Lines of a watch. A disk that is full of them does not end what collects and lets rules act."""

    def __init__(self) -> None:
        self._trouble = ""

    def __call__(self, line: str) -> None:
        """Write it at once; once it can be written again it is told that lines may be missing. BrokenPipeError."""
        try:
            print(line, flush=True)
            if self._trouble:
                trouble, self._trouble = self._trouble, ""
                print(f"(lines before the last one may be missing: {trouble})", flush=True)
        except BrokenPipeError:
            raise
        except OSError as error:
            self._trouble = error.strerror or str(error)


say = _Output()


class Teller:
    """Prints what rules tell, once; on a terminal with its bell or notices, where they are switched on."""

    def __init__(self, settings: Notify) -> None:
        self._settings = settings
        self._limiter = Limiter(settings.per_minute)
        self._told = 0

    def tell(self, picture: Snapshot, clock: str, call_off: str = "") -> None:
        """`call_off` = what calls a countdown off."""
        counting = {(one.rule, one.row_key) for one in picture.countdowns}
        for notice in picture.notices:
            if notice.id <= self._told:
                continue
            self._told = notice.id
            way = (
                f"; {call_off} calls it off" if call_off and (notice.rule, notice.row_key) in counting else ""
            )
            say(f"{clock}  RULE {notice.rule}: {notice.title}: {notice.body}{way}")
            if sys.stdout.isatty() and self._limiter.allows(notice.at_ms):
                extra = sequences(notice, self._settings, tmux=bool(os.environ.get("TMUX")))
                sys.stdout.write(extra)
                sys.stdout.flush()


def _summary(picture: Snapshot, clock: str) -> None:
    agents = sum(count for state, count in picture.counts if state != "done")
    forecast = picture.forecast
    line = (
        f"{clock}  {plural(agents, 'agent')}  {picture.totals.tokens_per_min:,.0f} tok/min"
        f"  {'≥' * picture.burn_is_partial}{money(picture.totals.burn_nusd_per_h)}/h  today {today_text(picture)}"
    )
    if forecast is not None and forecast.method != "none":
        line += f" -> {money(forecast.projected_nusd)}"
    if picture.progress.reading:
        line += f"  (reading {picture.progress.bytes_done / 1e6:,.0f} of {picture.progress.bytes_total / 1e6:,.0f} MB)"
    say(line)
