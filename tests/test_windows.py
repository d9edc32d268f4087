"""Averages over a longer time, and the state of the screen that is kept: engine, store, collector, threads."""

from __future__ import annotations

import queue
from pathlib import Path

import pytest

from tests.engine_build import NOW, session, sub_agent, usage
from tests.faults import Scratch, line, record, stamp, wait_for
from tokentop.clock import now_ms
from tokentop.collector import Collector
from tokentop.demo import DemoSource
from tokentop.engine.live import LiveState
from tokentop.engine.snapshot import take
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.usage import Average, Figures, Priced, Tokens
from tokentop.runtime import DemoRuntime, Runtime
from tokentop.settings.config import Settings

MINUTE = 60_000
HOUR = 60 * MINUTE
KEY = "claude:s"


def live_of(own: Figures, first_ms: int, *events: Priced) -> LiveState:
    live = LiveState()
    live.advance(NOW)
    live.load_session(session(first_ms=first_ms, last_ms=NOW - 1000), own)
    for event in events:
        live.apply_usage(event)
    return live


def own_of(output: int, cost: int, reads: int = 0) -> Figures:
    return Figures(Tokens(output=output, cache_read=reads), 3, cost)


def of(live: LiveState, at_ms: int = NOW, key: str = KEY) -> tuple[Average | None, Average | None]:
    return take(live, at_ms).averages[key]


def test_nothing_is_worked_out_unless_it_is_asked_for() -> None:
    live = live_of(own_of(500, 900), NOW - HOUR, usage(1, output=500))
    picture = take(live, NOW)
    assert (picture.window_min, picture.averages, picture.average) == (1, {}, None)
    live.look_back(5)
    assert take(live, NOW).window_min == 5
    live.look_back(1)
    assert take(live, NOW).averages == {}


def test_five_minutes_come_from_the_rings() -> None:
    live = live_of(own_of(9000, 90), NOW - 9 * HOUR, usage(1, output=500, ago_ms=4 * MINUTE, cost=60_000),
                   usage(2, output=8500, ago_ms=7 * MINUTE))  # fmt: skip
    live.look_back(5)
    assert of(live) == (Average(100.0, 0.0, 720_000), Average(100.0, 0.0, 720_000))
    assert take(live, NOW).average == Average(100.0, 0.0, 720_000)


def test_a_session_that_began_in_the_window_spent_all_of_its_own_there() -> None:
    live = live_of(own_of(6000, 120_000, reads=600), NOW - 50 * MINUTE)
    live.look_back(60)
    assert of(live)[0] == Average(100.0, 10.0, 120_000)
    assert live.longer is not None
    assert live.longer.wanted() == []


def test_an_older_session_is_unknown_until_the_store_has_told_what_came_before() -> None:
    live = live_of(own_of(10_000, 500_000), NOW - 5 * HOUR)
    live.look_back(60)
    assert of(live) == (None, None)
    window = live.longer
    assert window is not None
    assert [key for key, _ in window.wanted()] == [KEY]
    window.learn(KEY, NOW - HOUR, {-1: (4000, 0, 260_000), 0: (600, 0, 60_000), 59: (5400, 0, 180_000)})
    assert of(live)[0] == Average(100.0, 0.0, 240_000)
    assert window.wanted() == []
    live.load_session(session(first_ms=NOW - 5 * HOUR, last_ms=NOW), own_of(16_000, 860_000))  # it goes on
    assert of(live)[0] == Average(200.0, 0.0, 600_000)
    assert of(live, NOW + MINUTE // 2)[0] == Average(195.0, 0.0, 570_000)  # half of the oldest cell has left
    assert of(live, NOW + MINUTE)[0] == Average(190.0, 0.0, 540_000)
    later = NOW + 31 * MINUTE
    live.advance(later)
    live.load_session(session(first_ms=NOW - 5 * HOUR, last_ms=later), own_of(16_000, 860_000))
    assert of(live, later)[0] == Average(190.0, 0.0, 540_000)
    assert [key for key, _ in window.wanted()] == [
        KEY
    ]  # half a window later it is asked again, and still shown


def test_what_hangs_below_counts_and_is_unknown_where_any_of_it_is() -> None:
    live = live_of(own_of(600, 60_000), NOW - 10 * MINUTE)
    live.load_session(sub_agent("s/a", first_ms=NOW - 5 * MINUTE, last_ms=NOW - 1000), own_of(1200, 60_000))
    live.look_back(60)
    assert of(live) == (Average(10.0, 0.0, 60_000), Average(30.0, 0.0, 120_000))
    live.load_session(sub_agent("s/b", first_ms=NOW - 5 * HOUR, last_ms=NOW - 1000), own_of(1200, 60_000))
    assert of(live) == (Average(10.0, 0.0, 60_000), None)


def test_alerts_and_rates_of_the_last_minute_do_not_change_with_the_window() -> None:
    live = live_of(own_of(500, 900), NOW - 5 * HOUR, usage(1, output=500))
    before = take(live, NOW)
    live.look_back(1440)
    after = take(live, NOW)
    assert after.rows == before.rows
    assert after.totals == before.totals


# ---------------------------------------------------------------- with a real store


def call(number: int, at_ms: int, output: int) -> bytes:
    return line(number, output=output, timestamp=stamp(at_ms))


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    now = now_ms()
    home.log([
        call(1, now - 30 * HOUR, 100_000), call(2, now - 90 * MINUTE, 50_000), call(3, now - 40 * MINUTE, 2_000),
        call(4, now - 3 * MINUTE, 700),
    ])  # fmt: skip
    return home


def expected(minutes: int, outputs: int, calls: int) -> Average:
    return Average((outputs + 23 * calls) / minutes, 100 * calls / minutes)


@pytest.mark.parametrize(("minutes", "outputs", "calls"), [(5, 700, 1), (60, 2_700, 2), (1440, 52_700, 3)])
def test_the_averages_are_those_of_the_logs(scratch: Scratch, minutes: int, outputs: int, calls: int) -> None:
    pictures: list[Snapshot] = []
    collector = Collector(scratch.state, scratch.environ(), Settings(), pictures.append)
    try:
        collector.look_back(minutes)
        wait_for(lambda: collector.tick() >= 0 and bool(pictures) and _own(pictures[-1]) is not None)
        own = _own(pictures[-1])
        assert own is not None
        assert own.tokens_per_min == pytest.approx(expected(minutes, outputs, calls).tokens_per_min)
        assert own.reads_per_min == pytest.approx(expected(minutes, outputs, calls).reads_per_min)
        assert own.burn_nusd_per_h > 0
        wait_for(lambda: collector.tick() >= 0 and pictures[-1].average is not None)
        scratch.log([call(5, now_ms() - 1000, 6_000)])
        wait_for(
            lambda: collector.tick() >= 0 and (_own(pictures[-1]) or own).tokens_per_min > own.tokens_per_min
        )
        newer = _own(pictures[-1])
        assert newer is not None
        assert newer.tokens_per_min == pytest.approx(
            expected(minutes, outputs + 6_000, calls + 1).tokens_per_min
        )
    finally:
        collector.close()


def _own(picture: Snapshot) -> Average | None:
    return next(
        (own for key, (own, _) in picture.averages.items() if key == f"claude:{record(0)['sessionId']}"), None
    )


def test_the_state_of_the_view_is_kept_by_the_one_that_writes(scratch: Scratch) -> None:
    def run(keep: str) -> str | None:
        """Start, wait for the first picture, keep something at once, end; what was recalled."""
        runtime = Runtime(scratch.state, scratch.environ(), Settings())
        pictures: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        runtime.start(lambda _: pictures.put(runtime.recall()))
        try:
            found = pictures.get(timeout=30)
            runtime.remember("not the last")
            runtime.remember(keep)
        finally:
            runtime.stop()
        return found

    assert run('{"sort":"cost"}') == ""
    assert run('{"sort":"rate"}') == '{"sort":"cost"}'
    writer = Collector(scratch.state, scratch.environ(), Settings(), lambda _: None)
    try:
        writer.tick()
        assert run("from a reader") == '{"sort":"rate"}'  # it reads what is kept, and keeps nothing itself
        assert writer.recall("view") == '{"sort":"rate"}'
    finally:
        writer.close()


def test_the_demo_averages_its_own_past_and_keeps_nothing() -> None:
    source = DemoSource(7)
    runtime = DemoRuntime(source)
    runtime.remember("x")
    assert runtime.recall() == ""
    source.snapshot(NOW)
    source.look_back(60)
    source.snapshot(NOW + 500)
    picture = source.snapshot(NOW + 1000)
    agents = [row for row in picture.rows if row.kind == "agent" and row.own.responses]
    own = {row.key: picture.averages[row.key][0] for row in agents}
    assert all(own.values())
    assert picture.average is not None
    total = sum(average.tokens_per_min for average in own.values() if average is not None)
    assert 0 < total <= picture.average.tokens_per_min * 1.1
    source.look_back(1440)
    day = source.snapshot(NOW + 1500)
    for row in agents:
        average = day.averages[row.key][0]
        assert average is not None
        assert average.tokens_per_min == pytest.approx(_now(day, row.key).own.tokens.fresh / 1440)


def _now(picture: Snapshot, key: str):  # type: ignore[no-untyped-def]
    return next(row for row in picture.rows if row.key == key)
