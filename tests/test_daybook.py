"""The money of the day while it changes: midnight with nobody at work, a night of 25 hours, a clock that is set."""

from contextlib import closing
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from tokentop.collector.daybook import Daybook
from tokentop.engine.days import HOUR_MS, midnight_ms
from tokentop.engine.live import LiveState
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Tokens, Usage
from tokentop.pricing import PriceTable
from tokentop.settings.spending import Budgets
from tokentop.store import db
from tokentop.store.writer import Writer

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = midnight_ms(date(2026, 10, 25), BERLIN)  # this day has 25 hours
NEXT = midnight_ms(date(2026, 10, 26), BERLIN)


@pytest.fixture
def store(tmp_path):
    with closing(db.open_writer(tmp_path / "state")) as connection:
        yield Writer(connection, PriceTable.load())


def spend(store, *at_ms):
    store.commit([Session("claude", "s", cwd="/w")])
    store.commit([Usage("claude", "s", f"k{n}", n, "claude-sonnet-4-5", Tokens(10**6)) for n in at_ms])


def test_at_midnight_today_begins_anew_at_once_also_where_nothing_is_spent(store):
    live = LiveState()
    day = Daybook(live, BERLIN, Budgets())
    spend(store, MIDNIGHT - HOUR_MS)
    evening = day.work_out(store.connection, 100.0, MIDNIGHT - 500)
    assert evening is not None
    assert live.today.cost_nusd == evening.today_nusd > 0
    assert not day.is_due(100.4, MIDNIGHT - 100)
    assert day.is_due(100.6, MIDNIGHT + 100)
    night = day.work_out(store.connection, 100.6, MIDNIGHT + 100)
    assert night is not None
    assert (evening.day, night.day) == ("2026-10-24", "2026-10-25")
    assert live.today.cost_nusd == night.today_nusd == 0
    assert not day.is_due(100.8, MIDNIGHT + 300)


def test_the_hour_that_comes_twice_belongs_to_one_day(store):
    assert NEXT - MIDNIGHT == 25 * HOUR_MS
    live = LiveState()
    day = Daybook(live, BERLIN, Budgets())
    spend(store, MIDNIGHT - 1, MIDNIGHT, MIDNIGHT + 2 * HOUR_MS, MIDNIGHT + 3 * HOUR_MS, NEXT - 1)
    day.work_out(store.connection, 1.0, NEXT - 1)
    assert live.today.responses == 4
    day.work_out(store.connection, 1.1, NEXT)
    assert live.today.responses == 0


def test_a_clock_that_is_set_back_over_midnight_shows_the_day_that_it_tells(store):
    live = LiveState()
    day = Daybook(live, BERLIN, Budgets())
    spend(store, MIDNIGHT - HOUR_MS)
    day.work_out(store.connection, 1.0, MIDNIGHT + HOUR_MS)
    assert live.today.cost_nusd == 0
    assert day.is_due(2.0, MIDNIGHT - 60_000)
    day.work_out(store.connection, 2.0, MIDNIGHT - 60_000)
    assert live.today.cost_nusd > 0
