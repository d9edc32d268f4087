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

from tokentop.bought import gather
from tokentop.engine.days import local, midnight_ms
from tokentop.pricing import PriceTable
from tokentop.report import day, usage, usage_cache, usage_forms
from tokentop.store import daily, db, spans
from tokentop.store.reader import Filter

DAY_MS = 86_400_000
RUNS = 9


def measured(folder: Path) -> Iterator[tuple[str, float]]:
    """(report, median milliseconds), without the start of the program and without catching up."""
    now_ms, prices = int(time.time() * 1000), PriceTable()
    week = Filter(since_ms=midnight_ms(local(now_ms, UTC).date() - timedelta(days=6), UTC))
    edge_ms = now_ms - 4 * 3_600_000 - 400_000  # inside a quarter hour
    month = Filter(since_ms=midnight_ms(local(now_ms, UTC).date() - timedelta(days=29), UTC))
    with closing(db.open_writer(folder)) as connection:
        daily.refresh(connection, UTC)
        reports: tuple[tuple[str, Callable[[], object]], ...] = (
            ("usage by agent, 30 days", lambda: usage.collect(connection, month, ["agent"], UTC)),
            ("usage by project and model, 30 days", lambda: usage.collect(connection, month, ["project", "model"], UTC)),
            ("usage by agent, a year", lambda: usage.collect(connection, Filter(), ["agent"], UTC)),
            ("usage by project, a year", lambda: usage.collect(connection, Filter(), ["project"], UTC)),
            ("usage by model, a year", lambda: usage.collect(connection, Filter(), ["model"], UTC)),
            ("usage by session, 7 days", lambda: usage.collect(connection, week, ["session"], UTC)),
            ("usage by session, 30 days", lambda: usage.collect(connection, month, ["session"], UTC)),
            ("usage by hour, 7 days", lambda: usage.collect(connection, week, ["hour"], UTC)),
            ("usage by day, a year", lambda: usage.collect(connection, Filter(), ["day"], UTC)),
            ("usage --heatmap", lambda: usage_forms.heatmap(connection, Filter(), UTC, now_ms)),
            ("usage --compare, 7 days", lambda: usage_forms.compared(
                connection, usage_forms.two_spans(Filter(), UTC, now_ms), ["agent"], UTC)),
            ("usage --cache by model, 30 days", lambda: usage_cache.collect(connection, month, ["model"], UTC, prices)),
            ("today", lambda: day.tell(connection, "today", UTC, now_ms)),
            ("who spent, 15 minutes of the last day", lambda: spans.spent(connection, edge_ms, edge_ms + 900_000)),
            ("who spent, a whole day", lambda: spans.spent(connection, edge_ms - DAY_MS, edge_ms)),
            ("outcome from what is kept, 7 days", lambda: gather(connection, now_ms - 7 * DAY_MS, now_ms, 30)),
            ("outcome from what is kept, 30 days", lambda: gather(connection, now_ms - 30 * DAY_MS, now_ms, 30)),
            ("yesterday", lambda: day.tell(connection, "yesterday", UTC, now_ms)),
        )  # fmt: skip
        for name, report in reports:
            took = []
            for _ in range(RUNS):
                began_s = time.perf_counter()
                report()
                took.append(1000 * (time.perf_counter() - began_s))
            yield name, statistics.median(took)
