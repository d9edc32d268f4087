"""How long the reports take over a large history: sums of days, the year, two times, the cache, a day."""

from __future__ import annotations

import gc
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tokentop.answers.bought import gather
from tokentop.answers.chronicle import tell
from tokentop.engine.days import day_bounds, group_days, local, midnight_ms
from tokentop.engine.forecast import HISTORY_DAYS, Forecaster
from tokentop.pricing import PriceTable
from tokentop.report import day, outcome, usage, usage_cache, usage_forms
from tokentop.store import compare, daily, db, reader, spans
from tokentop.store.reader import Filter

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
RUNS = 9
DAYS = 14  # so long a line must stay to have survived, as by default
Report = tuple[str, Callable[[], object]]
GROUPINGS = (
    ("agent",), ("project",), ("model",), ("provider",), ("day",), ("project", "model"), ("day", "agent"), ("day", "project"),
)  # fmt: skip


def measured(folder: Path) -> Iterator[tuple[str, float]]:
    """(report, median milliseconds), without the start of the program and without catching up."""
    now_ms = int(time.time() * 1000)
    gc.disable()  # as in a report
    with closing(db.open_writer(folder)) as connection:
        daily.refresh(connection, UTC)
        for report in (
            usages(connection, now_ms),
            days(connection, now_ms),
            who_spent(connection, now_ms),
            outcomes(connection, now_ms),
            others(connection, now_ms),
        ):
            for name, ask in report:
                took = []
                for _ in range(RUNS):
                    began_s = time.perf_counter()
                    ask()
                    took.append(1000 * (time.perf_counter() - began_s))
                yield name, statistics.median(took)


def since(now_ms: int, count: int) -> Filter:
    """So many local days, today included."""
    return Filter(since_ms=midnight_ms(local(now_ms, UTC).date() - timedelta(days=count - 1), UTC))


def usages(connection: sqlite3.Connection, now_ms: int) -> Iterator[Report]:
    """`tokentop usage` in all its forms."""

    def by(wanted: Filter, *names: str) -> Callable[[], object]:
        return lambda: usage.collect(connection, wanted, names, UTC)

    prices = PriceTable()
    for what, wanted in (("7 days", since(now_ms, 7)), ("30 days", since(now_ms, 30)), ("a year", Filter())):
        for names in GROUPINGS:
            yield f"usage by {' and '.join(names)}, {what}", by(wanted, *names)
    for count in (7, 30):
        yield f"usage by session, {count} days", by(since(now_ms, count), "session")
        yield f"usage by hour, {count} days", by(since(now_ms, count), "hour")
    yield "usage by session and model, today", by(since(now_ms, 1), "session", "model")
    yield "usage of one project by model, a year", by(Filter(project="api"), "model")
    yield (
        "usage by agent, 7 days that begin in a quarter hour",
        by(Filter(now_ms - 7 * DAY_MS - 123_456), "agent"),
    )
    yield (
        "usage --chart by project, a year",
        lambda: usage_forms.chart(usage.collect(connection, Filter(), ("project",), UTC), ("project",)),
    )
    yield "usage --heatmap", lambda: usage_forms.heatmap(connection, Filter(), UTC, now_ms)
    for count in (7, 30):
        pair = usage_forms.two_spans(since(now_ms, count), UTC, now_ms)
        yield (
            f"usage --compare, {count} days",
            lambda pair=pair: usage_forms.compared(connection, pair, ["agent"], UTC),
        )
    for what, wanted in (("30 days", since(now_ms, 30)), ("a year", Filter())):
        yield (
            f"usage --cache by model, {what}",
            lambda wanted=wanted: usage_cache.collect(connection, wanted, ["model"], UTC, prices),
        )


def days(connection: sqlite3.Connection, now_ms: int) -> Iterator[Report]:
    for which in ("today", "yesterday"):
        yield which, lambda which=which: day.tell(connection, which, UTC, now_ms)


def who_spent(connection: sqlite3.Connection, now_ms: int) -> Iterator[Report]:
    """Spans of the replay's curve; their edges are inside quarter hours."""
    edge_ms = now_ms - 4 * HOUR_MS - 400_000
    for name, from_ms, length_ms in (
        ("15 minutes of the last day", edge_ms, HOUR_MS // 4),
        ("an hour", edge_ms - HOUR_MS, HOUR_MS),
        ("an hour half a year ago", edge_ms - 180 * DAY_MS, HOUR_MS),
        ("a whole day", edge_ms - DAY_MS, DAY_MS),
        ("7 days", edge_ms - 7 * DAY_MS, 7 * DAY_MS),
    ):
        yield (
            f"who spent, {name}",
            lambda from_ms=from_ms, until_ms=from_ms + length_ms: spans.spent(connection, from_ms, until_ms),
        )
    start_ms = day_bounds(edge_ms - DAY_MS, UTC)[0]
    yield "where the curve of a day rose", lambda: spans.jumps(connection, start_ms, start_ms + DAY_MS, 5)


def outcomes(connection: sqlite3.Connection, now_ms: int) -> Iterator[Report]:
    """From what is kept: logs and git are looked at before, for as long as the settings allow."""

    def ask(count: int, by: str, most: int = 50) -> object:
        span = (since(now_ms, count).since_ms or 0, now_ms + 1)  # as the report has it
        found = gather(connection, *span, DAYS, now_ms, by, UTC, most)
        return outcome.summed(connection, found, by, span, now_ms, UTC)

    yield "outcome from what is kept, 7 days", lambda: ask(7, "project")
    for by in outcome.DIMENSIONS:
        yield f"outcome from what is kept by {by}, 30 days", lambda by=by: ask(30, by)
    yield "outcome from what is kept of every session, 30 days", lambda: ask(30, "session", 1 << 30)


def others(connection: sqlite3.Connection, now_ms: int) -> Iterator[Report]:
    prices = PriceTable()
    start_ms = day_bounds(now_ms, UTC)[0]

    def project() -> object:
        hours = reader.cost_by_hour(connection, start_ms - (HISTORY_DAYS + 1) * DAY_MS, start_ms)
        return Forecaster(group_days(hours, UTC), UTC).project(now_ms, 1, 1)

    yield "reconcile, 7 days", lambda: compare.examine(connection, prices, lambda *_: False, now_ms)
    yield "forecast from the past days", project
    yield "spent today", lambda: reader.spent(connection, start_ms, now_ms)
    month = (now_ms - 30 * DAY_MS, now_ms)
    yield (
        "credits that agents logged, 30 days",
        lambda: list(reader.logged_credits(connection, Filter(), month)),
    )
    agent, sid, _ = connection.execute(
        "SELECT agent, sid, max(responses) FROM session WHERE parent_sid = ''"
    ).fetchone()
    yield (
        "the session with most responses, all its turns",
        lambda: tell(connection, agent, sid, now_ms, prices=prices),
    )
