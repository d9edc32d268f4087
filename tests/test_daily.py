"""Sums of local days: equal to the rollups at every moment, in every zone, whatever was asked and whenever made."""

import random
from contextlib import closing
from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from tokentop.model import Session, Tokens, Usage
from tokentop.pricing import PriceTable
from tokentop.report import usage
from tokentop.store import daily, db, reader
from tokentop.store.reader import Filter
from tokentop.store.writer import Writer

ZONES = [
    UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu"),
    timezone(timedelta(hours=-9, minutes=-30)),
]  # fmt: skip
START = 1_790_000_000_000
DAY_MS = 86_400_000


def facts(rng, count, first=0):
    """Events over half a year, in two zones' changes of the clock; some without a time, some without a price."""
    found = []
    for n in range(first, first + count):
        sid = f"s{rng.randrange(6)}"
        at_ms = 0 if n % 37 == 0 else START + rng.randrange(180 * DAY_MS)
        model = rng.choice(["claude-sonnet-4-5", "claude-haiku-4-5", "no-such-model"])
        found += [
            Session("claude", sid, cwd=f"/w/{sid}"),
            Usage("claude", sid, f"k{n}", at_ms, model, Tokens(rng.randrange(99), 5, 3, 0, 7), estimated=n % 11 == 0),
        ]  # fmt: skip
    return found


def plain(connection, wanted, by, zone):
    """The same question answered from the rollups."""
    lines = {}
    for slot in reader.usage(connection, wanted, by_slot="day" in by):
        key = (tuple(usage.value_of(slot, name, zone) for name in by), slot.estimated)
        lines.setdefault(key, usage.Line(key[0], slot.estimated)).add(slot)
    return [lines[key] for key in sorted(lines)]


@pytest.fixture
def store(tmp_path):
    with closing(db.open_writer(tmp_path / "state")) as connection:
        writer = Writer(connection, PriceTable.load())
        writer.commit(facts(random.Random(1), 400))
        yield writer


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_days_are_equal_to_the_rollups_before_and_after_they_are_made(store, zone):
    connection = store.connection
    rng = random.Random(7)
    spans = [Filter(), Filter(since_ms=START + 5 * DAY_MS), Filter(until_ms=START + 90 * DAY_MS + 12_345)]
    spans += [
        Filter(a, a + rng.randrange(1, 50 * DAY_MS))
        for a in (START + rng.randrange(150 * DAY_MS) for _ in range(6))
    ]
    spans += [
        Filter(project="s1"),
        Filter(model="claude-haiku-4-5", agent="claude"),
        Filter(START, START + 1000),
    ]

    def check():
        for wanted in spans:
            for by in ((), ("day",), ("agent", "model"), ("project", "day"), ("provider",)):
                assert usage.collect(connection, wanted, by, zone) == plain(connection, wanted, by, zone), (
                    wanted,
                    by,
                )

    check()
    assert daily.is_behind(connection, zone)
    assert daily.refresh(connection, zone) > 100
    check()
    assert not daily.is_behind(connection, zone)
    store.commit(facts(random.Random(2), 60, first=1000))
    check()  # some days are behind
    assert daily.refresh(connection, zone) < 130
    assert daily.refresh(connection, zone) == 0
    check()


def test_another_zone_makes_the_days_anew(store):
    connection = store.connection
    daily.refresh(connection, UTC)
    berlin = ZoneInfo("Europe/Berlin")
    assert usage.collect(connection, Filter(), ("day",), berlin) == plain(
        connection, Filter(), ("day",), berlin
    )
    assert daily.is_behind(connection, berlin)
    assert daily.refresh(connection, berlin) > 100
    assert usage.collect(connection, Filter(), ("day",), UTC) == plain(connection, Filter(), ("day",), UTC)
