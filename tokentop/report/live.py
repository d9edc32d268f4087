"""The collector without a screen: one snapshot, or a watch that prints alerts."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from types import FrameType

from tokentop.aside import Aside
from tokentop.clock import now_ms
from tokentop.collector import Collector
from tokentop.config import load, local_zone
from tokentop.engine.days import local
from tokentop.errors import Failure
from tokentop.model import Snapshot
from tokentop.runtime import AsideThread

from .access import folder_for
from .out import money

_SECOND_LOOK_S = 0.25  # CPU use needs two looks at the processes


def one_snapshot() -> Snapshot:
    """Catch up, look at the processes twice, return the picture."""
    with folder_for() as (folder, notes):
        collector = Collector(folder, os.environ, load(os.environ), lambda _: None, stays=False)
        try:
            for note in notes:
                collector.note("state", note)
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
    """Collect until SIGINT or SIGTERM; print each new alert and, each minute, where the day stands."""
    settings = load(os.environ)
    zone = local_zone(os.environ)
    stop = threading.Event()
    ended_by: list[int] = []

    def end(number: int, _frame: FrameType | None) -> None:
        ended_by.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])):
        signal.signal(number, end)
    told: set[tuple[str, str]] = set()
    newest: list[Snapshot] = []
    with folder_for() as (folder, notes):
        for note in notes:
            print(note, file=sys.stderr)
        collector = Collector(
            folder, os.environ, settings, lambda snapshot: newest.__setitem__(slice(None), [snapshot])
        )
        minute = -1
        aside = AsideThread()
        try:
            while not stop.is_set():
                wait_s = collector.tick()
                aside.serve(collector)
                if newest:
                    picture = newest[0]
                    _tell(picture, told, local(picture.at_ms, zone).strftime("%H:%M:%S"))
                    if picture.at_ms // 60_000 != minute:
                        minute = picture.at_ms // 60_000
                        _summary(picture, local(picture.at_ms, zone).strftime("%H:%M:%S"))
                stop.wait(wait_s)
        finally:
            aside.stop()
            collector.close()
    return 128 + ended_by[0] if ended_by and ended_by[0] != signal.SIGINT else 0


def _tell(picture: Snapshot, told: set[tuple[str, str]], clock: str) -> None:
    now = {(alert.kind, alert.row_key): alert for alert in picture.alerts}
    for key in now.keys() - told:
        print(f"{clock}  ALERT {now[key].kind}: {now[key].text}", flush=True)
    told.clear()
    told.update(now)


def _summary(picture: Snapshot, clock: str) -> None:
    agents = sum(count for state, count in picture.counts if state != "done")
    forecast = picture.forecast
    line = (
        f"{clock}  {agents} agents  {picture.totals.tokens_per_min:,.0f} tok/min"
        f"  {money(picture.totals.burn_nusd_per_h)}/h  today {money(picture.today.cost_nusd)}"
    )
    if forecast is not None:
        line += f" -> {money(forecast.projected_nusd)}"
    if picture.progress.reading:
        line += f"  (reading {picture.progress.bytes_done / 1e6:,.0f} of {picture.progress.bytes_total / 1e6:,.0f} MB)"
    print(line, flush=True)
