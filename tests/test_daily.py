"""Sums of local days: equal to the rollups at every moment, in every zone, whatever was asked and whenever made."""

import random
from contextlib import closing
from datetime import UTC, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import pytest

from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Tokens, Usage
from tokentop.pricing import PriceTable
from tokentop.pricing.data import Document
from tokentop.report import usage, usage_cache
from tokentop.store import daily, db, outcomes, reader, spans
from tokentop.store.check import examine
from tokentop.store.reader import Filter
from tokentop.store.slots import SLOT_MS
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
        Filter(agent="claude", until_ms=START + 120 * DAY_MS),
        Filter(agent="codex"),
    ]

    def check():
        for wanted in spans:
            for by in (
                (), ("day",), ("agent",), ("day", "agent"), ("agent", "model"), ("project", "day"), ("provider",),
            ):  # fmt: skip
                assert usage.collect(connection, wanted, by, zone) == plain(connection, wanted, by, zone), (
                    wanted,
                    by,
                )

        assert daily.problems(connection, zone) == []

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
    parts = 0
    while daily.refresh(connection, berlin, 20):  # some days at once: the others are read from the rollups
        parts += 1
        for by in (("day",), ("project",)):
            assert usage.collect(connection, Filter(), by, berlin) == plain(connection, Filter(), by, berlin)
    assert parts > 5
    assert usage.collect(connection, Filter(), ("day",), UTC) == plain(connection, Filter(), ("day",), UTC)


def test_hours_are_equal_to_their_quarters(store):
    connection = store.connection
    store.commit([
        Usage("claude", "s1", f"h{n}", START + n * 240_000, "no-such-model", Tokens(n, 1, 0, 0, 2), estimated=n % 3 == 0)
        for n in range(200)
    ])  # fmt: skip
    for wanted in (
        Filter(),
        Filter(START, START + 40 * DAY_MS + 1234),
        Filter(START, project="s1"),
        Filter(agent="codex"),
    ):
        for width in (1, 4, 96):

            def added(slots, width=width):
                sums = {}
                for slot in slots:
                    key = (slot.slot_ms // SLOT_MS // width, slot.estimated, bool(slot.unpriced_tokens))
                    before = sums.get(key, (0, 0, Tokens()))
                    sums[key] = (
                        before[0] + slot.responses,
                        before[1] + slot.cost_nusd,
                        before[2] + slot.tokens,
                    )
                return sums

            alone = reader.usage(connection, wanted, by_slot=True, by=(), width=width)
            assert added(alone) == added(reader.usage(connection, wanted, by_slot=True))


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_the_cache_over_a_time_is_the_sum_of_its_days(store, zone):
    """Prices are those of the day; where none changes, whole blocks of days are read."""
    connection = store.connection
    daily.refresh(connection, zone)
    rows = [
        {
            "seen": since,
            "since": since,
            "rates": {"": [3_000_000 * n, 300_000 * n, 3_750_000 * n, 6_000_000, 15_000_000]},
        }
        for n, since in enumerate(("1970-01-01", "2026-10-20", "2026-12-01", "2027-01-10"), 1)
    ]
    raw = {
        "anthropic/claude-sonnet-4-5": msgspec.Raw(msgspec.json.encode({"rows": rows})),
        "anthropic/claude-haiku-4-5": msgspec.Raw(msgspec.json.encode({"rows": rows[:1]})),
    }
    prices = PriceTable(document=Document(1, "2026-11-21", {"own": "1"}, "", {}, raw))
    assert len(prices.history(provider="anthropic", model="claude-sonnet-4-5")) == 4
    for wanted in (
        Filter(), Filter(START + 10 * DAY_MS + 5), Filter(START, START + 100 * DAY_MS), Filter(until_ms=START + 77 * DAY_MS + 1),
        Filter(project="s2"),
    ):  # fmt: skip
        for by in ((), ("model",), ("project", "agent")):
            sums = {}
            for day in usage_cache.collect(connection, wanted, ("day", *by), zone, prices):
                values = [getattr(day, name) for name in day.__struct_fields__[1:]]
                before = sums.get(day.key[1:], [0] * len(values))
                sums[day.key[1:]] = [a + b for a, b in zip(before, values, strict=True)]
            found = usage_cache.collect(connection, wanted, by, zone, prices)
            assert {one.key for one in found} == sums.keys()
            for one in found:
                values = [getattr(one, name) for name in one.__struct_fields__[1:]]
                assert values == pytest.approx(sums[one.key], rel=1e-12, abs=1e-3)
                assert (one.cost_nusd, one.unpriced) == (sums[one.key][3], sums[one.key][-1])


def test_the_cost_of_quarter_hours_follows_the_rollups(store):
    connection = store.connection

    def check():
        wanted = connection.execute(
            "SELECT slot, sum(cost_nusd) FROM rollup GROUP BY slot ORDER BY slot"
        ).fetchall()
        assert connection.execute("SELECT slot, cost_nusd FROM slot_cost ORDER BY slot").fetchall() == wanted
        assert reader.cost_by_slot(connection, 0, 1 << 60) == [
            (slot * SLOT_MS, cost) for slot, cost in wanted
        ]
        assert sum(cost for _, cost in reader.cost_by_hour(connection, 0, 1 << 60)) == sum(
            c for _, c in wanted
        )

    check()
    store.commit(facts(random.Random(3), 100, first=5000))
    check()
    (some,) = connection.execute("SELECT slot FROM rollup ORDER BY slot DESC LIMIT 1").fetchone()
    connection.execute("DELETE FROM rollup WHERE slot = ?", (some,))
    check()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ("UPDATE daily SET cost_nusd = cost_nusd + 1 WHERE day = (SELECT max(day) FROM daily)", "days: "),
        ("DELETE FROM daily_agent WHERE day = (SELECT max(day) FROM daily)", "days by agent: "),
        ("UPDATE daily_project SET project = project || '_'", "days by project: "),
        ("UPDATE daily_block SET output = output + 1", "blocks of days: "),
        ("UPDATE slot_cost SET cost_nusd = cost_nusd + 1", "quarter hours: "),
    ],
)
def test_the_check_tells_sums_that_are_wrong(store, wrong, named):
    connection = store.connection
    daily.refresh(connection, UTC)
    assert examine(connection, UTC).problems == ()
    connection.execute(wrong)
    connection.execute("PRAGMA query_only = 1")
    assert [problem for problem in examine(connection, UTC).problems if problem.startswith(named)]


def test_spans_of_time_find_their_calls_in_any_year(tmp_path):
    """Spans of minutes, before 1970 and far ahead, are exact."""
    rng = random.Random(5)
    moments = [rng.randrange(START, START + 3 * 3_600_000) for _ in range(200)]
    moments += [
        0,
        1,
        3_599_999,
        3_600_000,
        946_684_800_000,
        1_640_000_000_000,
        1_900_000_000_000,
        4_000_000_000_000,
    ]
    with closing(db.open_writer(tmp_path / "state")) as connection:
        writer = Writer(connection, PriceTable.load())
        writer.commit([
            Session("claude", "s", cwd="/w/s"),
            *(Usage("claude", "s", f"k{n}", at_ms, "claude-sonnet-4-5", Tokens(10, 0, 0, 0, 1))
              for n, at_ms in enumerate(moments)),
        ])  # fmt: skip
        (number,) = connection.execute("SELECT id FROM session").fetchone()
        stored = connection.execute("SELECT at_ms, cost_nusd FROM event").fetchall()
        for since_ms in (*moments[::9], *moments[-8:], -5):
            for length_ms in (1, 1000, 400_000, 3_600_000, 1 << 42):
                until_ms = since_ms + length_ms
                wanted = sum(cost for at_ms, cost in stored if since_ms <= at_ms < until_ms)
                assert outcomes.spent_between(connection, number, since_ms, until_ms)[0] == wanted
                found = reader.events_as_slots(connection, Filter(), (since_ms, until_ms), by_slot=False)
                assert sum(slot.cost_nusd for slot in found) == wanted
                assert (
                    sum(one.cost_nusd for one in spans.spent(connection, since_ms, until_ms).shares) == wanted
                )


def sessions_of_all_kinds(rng, numbers):
    """Calls of 24 sessions, six hours apart, each in its own project; those of some of them are unusual.

    The first half uses two models each; the last two share a time and a project, not a model.
    """
    found = []
    for n in numbers:
        unusual, at = n % 24, min(n % 24, 22)
        sid, at_ms = f"s{n % 24}", START + at * DAY_MS // 4 + rng.randrange(DAY_MS // 6)
        model = "nn" if unusual == 22 or (unusual < 12 and n % 7 == 0) else "claude-sonnet-4-5"
        found += [
            Session("claude", sid, cwd=f"/w/p{at}", first_ms=START + at * DAY_MS // 4),
            Usage("claude", sid, f"k{n}", 0 if unusual == 3 and n % 5 == 0 else at_ms, model,
                  Tokens(rng.randrange(99), 5, 3, 0, 7), estimated=unusual == 5 and n % 3 == 0,
                  logged_nusd=77 if unusual == 7 else None, at_estimated=unusual == 9),
        ]  # fmt: skip
    return found


def of_calls(connection, wanted, by):
    """What the calls of a span say by (names, estimated): responses, tokens, cost, unpriced tokens, logged cost."""
    calls = {}
    for sid, project, provider, model, at_ms, flags, cost, logged, *counts in connection.execute(
        "SELECT s.sid, p.name, m.provider, m.name, e.at_ms, e.flags, e.cost_nusd, x.logged_nusd, e.input, e.cache_read,"
        " e.cache_write_5m, e.cache_write_1h, e.output FROM event e JOIN session s ON s.id = e.session JOIN project p"
        " ON p.id = s.project JOIN model m ON m.id = e.model LEFT JOIN event_extra x ON x.id = e.id"
    ):
        inside = (wanted.since_ms or -1) <= at_ms < (wanted.until_ms or 1 << 60)
        if not inside or wanted.project not in ("", project) or wanted.model not in ("", model):
            continue
        names = {"session": sid, "project": project, "provider": provider, "model": model}
        key = (tuple(names[name] or "unknown" for name in by), bool(flags & 2))
        sums = calls.setdefault(key, [0] * 5)
        values = (1, sum(counts), cost or 0, sum(counts) if cost is None else 0, logged or 0)
        calls[key] = [a + b for a, b in zip(sums, values, strict=True)]
    return calls


@pytest.mark.parametrize("zone", ZONES[:4], ids=str)
def test_usage_by_session_is_the_sum_of_its_calls(tmp_path, zone):
    """Sums of whole sessions are taken where they tell all; at the edges, and of unusual sessions, calls are read.

    So it is whether the sums of days, which tell where there is something unusual, are made, behind or not made at all.
    """
    rng = random.Random(11)
    with closing(db.open_writer(tmp_path / "state")) as connection:
        writer = Writer(connection, PriceTable.load())

        def check():
            for wanted in (
                Filter(), Filter(START), Filter(START + DAY_MS // 2 - 5, START + 3 * DAY_MS), Filter(START + DAY_MS, project="p9"),
                Filter(until_ms=START + 2 * DAY_MS + 7), Filter(START + 9 * DAY_MS // 4, START + 10 * DAY_MS // 4),
                Filter(model="nn"),
            ):  # fmt: skip
                for by in (("session",), ("model", "session"), ("session", "provider", "project")):
                    lines = usage.collect(connection, wanted, by, zone)
                    told = {
                        (one.key, one.estimated): [
                            one.responses, one.tokens.total, one.cost_nusd, one.unpriced_tokens, one.logged_nusd
                        ]
                        for one in lines
                    }  # fmt: skip
                    assert told == of_calls(connection, wanted, by)
                    at = by.index("session")
                    assert {one.key[at] for one in lines if one.at_estimated} <= {"s9"}
            slots = reader.sessions_as_slots(connection, Filter(START), (START, 1 << 60))
            assert len([slot for slot in slots if not slot.model]) > 10  # most are read as sums

        writer.commit(sessions_of_all_kinds(rng, range(500)))
        connection.execute("INSERT INTO purged SELECT id, 0, 0, 0 FROM session WHERE sid = 's11'")
        connection.execute(
            "INSERT INTO imported_sum SELECT id, 0, 0, 0, 0, '' FROM session WHERE sid = 's13'"
        )
        check()
        daily.refresh(connection, zone)
        check()
        writer.commit(sessions_of_all_kinds(rng, range(500, 600)))
        check()
        daily.refresh(connection, zone, 3)
        check()
