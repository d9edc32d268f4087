"""How long the reports take over a large history: sums of days, the year, two times, the cache, a day."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tokentop.engine.days import local, midnight_ms
from tokentop.pricing import PriceTable
from tokentop.report import day, usage, usage_cache, usage_forms
from tokentop.store import daily, db
from tokentop.store.reader import Filter

RUNS = 9


def measured(folder: Path) -> Iterator[tuple[str, float]]:
    """(report, median milliseconds), without the start of the program and without catching up."""
    now_ms, prices = int(time.time() * 1000), PriceTable()
    month = Filter(since_ms=midnight_ms(local(now_ms, UTC).date() - timedelta(days=29), UTC))
    with closing(db.open_writer(folder)) as connection:
        daily.refresh(connection, UTC)
        reports: tuple[tuple[str, Callable[[], object]], ...] = (
            ("usage by agent, 30 days", lambda: usage.collect(connection, month, ["agent"], UTC)),
            ("usage by project and model, 30 days", lambda: usage.collect(connection, month, ["project", "model"], UTC)),
            ("usage by agent, a year", lambda: usage.collect(connection, Filter(), ["agent"], UTC)),
            ("usage by day, a year", lambda: usage.collect(connection, Filter(), ["day"], UTC)),
            ("usage --heatmap", lambda: usage_forms.heatmap(connection, Filter(), UTC, now_ms)),
            ("usage --compare, 7 days", lambda: usage_forms.compared(
                connection, usage_forms.two_spans(Filter(), UTC, now_ms), ["agent"], UTC)),
            ("usage --cache by model, 30 days", lambda: usage_cache.collect(connection, month, ["model"], UTC, prices)),
            ("today", lambda: day.tell(connection, "today", UTC, now_ms)),
            ("yesterday", lambda: day.tell(connection, "yesterday", UTC, now_ms)),
        )  # fmt: skip
        for name, report in reports:
            took = []
            for _ in range(RUNS):
                began_s = time.perf_counter()
                report()
                took.append(1000 * (time.perf_counter() - began_s))
            yield name, statistics.median(took)
