"""The forecast: the local day in every zone, honest intervals, better than a straight line (faults T32)."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentop.engine.days import HOUR_MS, day_bounds, group_days, midnight_ms
from tokentop.engine.forecast import backtest, forecast, project

BERLIN = ZoneInfo("Europe/Berlin")
USD = 1_000_000_000
NOON = 1_795_258_800_000


def ms(text: str, zone: tzinfo = BERLIN) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


DAYS = [
    ("Europe/Berlin", "2026-03-29", 23),
    ("Europe/Berlin", "2026-10-25", 25),
    ("Europe/Berlin", "2026-06-01", 24),
    ("America/New_York", "2026-03-08", 23),
    ("America/New_York", "2026-11-01", 25),
    ("Australia/Lord_Howe", "2026-10-04", 23.5),
    ("Australia/Lord_Howe", "2026-04-05", 24.5),
    ("Pacific/Apia", "2011-12-29", 24),
    ("Pacific/Apia", "2011-12-31", 24),
    ("Asia/Kathmandu", "2026-11-21", 24),
    ("America/Sao_Paulo", "2018-11-04", 23),  # midnight itself does not exist
    ("America/Havana", "2026-11-01", 25),  # midnight exists twice
]


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_the_day_has_its_true_length(zone: str, day: str, hours: float) -> None:
    """Faults T32."""
    tz = ZoneInfo(zone)
    noon = ms(f"{day}T12:00", tz)
    start, end, found = day_bounds(noon, tz)
    assert found.isoformat() == day
    assert (end - start) / HOUR_MS == hours
    assert day_bounds(start, tz) == day_bounds(end - 1, tz) == (start, end, found)
    assert day_bounds(end, tz)[2] > found
    assert day_bounds(start - 1, tz)[2] < found


@pytest.mark.parametrize(("zone", "day", "hours"), DAYS)
def test_going_on_as_now_uses_the_true_rest_of_the_day(zone: str, day: str, hours: float) -> None:
    tz = ZoneInfo(zone)
    start = midnight_ms(date.fromisoformat(day), tz)
    said = forecast(start, tz, 0, 10 * USD)
    assert said.day == day
    assert said.high_nusd == hours * 10 * USD


def profile_history(end: date, days: int, seed: int = 1, zone: tzinfo = BERLIN) -> list[tuple[int, int]]:
    """Office hours with a lunch break, quiet weekends, and days that differ by a factor of two."""
    rng = random.Random(seed)
    out = []
    for number in range(days, 0, -1):
        day = end - timedelta(days=number)
        scale = rng.lognormvariate(0, 0.4) * (0.1 if day.weekday() >= 5 else 1)
        for hour in range(9, 19):
            cost = 8 * USD * scale * rng.lognormvariate(0, 0.3) * (0.2 if hour == 12 else 1)
            at = datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp() * 1000
            out.append((round(at), round(cost)))
    return out


def test_the_profile_knows_that_the_evening_is_quiet_and_the_burn_rate_does_not() -> None:
    history = profile_history(date(2026, 11, 20), 28)
    at = ms("2026-11-20T18:30")
    with_history = forecast(at, BERLIN, 70 * USD, 8 * USD, history)
    assert with_history.method == "profile"
    assert with_history.days_of_history == 28
    assert with_history.projected_nusd < 80 * USD
    naive = 70 * USD * 24 / 18.5
    assert with_history.projected_nusd < naive


def test_the_pace_of_today_scales_the_rest() -> None:
    history = profile_history(date(2026, 11, 20), 28)
    at = ms("2026-11-20T13:00")
    slow, fast = (forecast(at, BERLIN, today * USD, 8 * USD, history) for today in (15, 60))
    assert fast.projected_nusd - 60 * USD > 1.3 * (slow.projected_nusd - 15 * USD)


def test_a_weekend_is_projected_from_weekends() -> None:
    history = profile_history(date(2026, 11, 21), 28)
    saturday = forecast(ms("2026-11-21T09:00"), BERLIN, 0, 0, history)
    monday = forecast(ms("2026-11-23T09:00"), BERLIN, 0, 0, profile_history(date(2026, 11, 23), 28))
    assert saturday.projected_nusd < monday.projected_nusd / 2


def test_without_history_burning_fades_and_the_interval_is_wide() -> None:
    said = forecast(ms("2026-11-20T12:00"), BERLIN, 10 * USD, 6 * USD)
    assert said.method == "burn"
    assert 10 * USD < said.projected_nusd < 10 * USD + 12 * 6 * USD
    assert said.low_nusd < 11 * USD
    assert said.high_nusd == 10 * USD + 12 * 6 * USD


def test_knowing_nothing_is_said() -> None:
    said = forecast(ms("2026-11-20T12:00"), BERLIN, 0, 0)
    assert (said.method, said.projected_nusd, said.low_nusd, said.high_nusd) == ("none", 0, 0, 0)
    spent = forecast(ms("2026-11-20T12:00"), BERLIN, 10 * USD, 0)
    assert (spent.method, spent.low_nusd, spent.high_nusd) == ("none", 10 * USD, 20 * USD)


def test_fewer_than_7_days_give_a_wide_interval() -> None:
    at = ms("2026-11-20T13:00")
    few = forecast(at, BERLIN, 30 * USD, 8 * USD, profile_history(date(2026, 11, 20), 4))
    many = forecast(at, BERLIN, 30 * USD, 8 * USD, profile_history(date(2026, 11, 20), 28))
    assert few.days_of_history == 4
    assert few.high_nusd - few.low_nusd > many.high_nusd - many.low_nusd


@given(
    st.integers(0, 400 * 24 * 60),
    st.integers(0, 10**13),
    st.integers(0, 10**12),
    st.lists(st.tuples(st.integers(0, 28 * 24), st.integers(0, 10**12)), max_size=80),
    st.sampled_from([z for z, _, _ in DAYS]),
)
@settings(max_examples=150, deadline=None)
def test_low_projected_high_are_in_order_and_never_below_today(
    minute: int, today: int, burn: int, past: list[tuple[int, int]], zone: str
) -> None:
    at = 1_767_225_600_000 + minute * 60_000
    history = [(at - at % HOUR_MS - ago * HOUR_MS, cost) for ago, cost in past]
    tz = ZoneInfo(zone)
    said = forecast(at, tz, today, burn, history)
    assert today <= said.low_nusd <= said.projected_nusd <= said.high_nusd
    assert said == forecast(at, tz, today, burn, history[::-1])


def test_at_the_end_of_the_day_nothing_is_added() -> None:
    history = profile_history(date(2026, 11, 20), 28)
    said = forecast(ms("2026-11-20T23:59:59.999"), BERLIN, 50 * USD, 8 * USD, history)
    assert said.projected_nusd == pytest.approx(50 * USD, abs=USD / 100)


def test_days_keep_every_dollar() -> None:
    for zone in {z for z, _, _ in DAYS}:
        tz = ZoneInfo(zone)
        history = [(ms("2026-03-27T00:00", UTC) + h * HOUR_MS, h + 1) for h in range(24 * 12)]
        days = group_days(history, tz)
        assert sum(d.total_nusd for d in days) == sum(c for _, c in history)
        assert all(d.until(24 * HOUR_MS) == pytest.approx(d.total_nusd) for d in days)


def test_future_and_present_days_are_not_history() -> None:
    at = ms("2026-11-20T12:00")
    history = [(at, USD), (at + 48 * HOUR_MS, USD), (at - 40 * 24 * HOUR_MS, USD)]
    assert project(at, BERLIN, 0, 0, group_days(history, BERLIN)).projected_nusd == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_backtest_beats_the_straight_line_and_its_interval_holds(seed: int) -> None:
    history = profile_history(date(2026, 11, 20), 45, seed)
    result = backtest(history, BERLIN)
    assert result.days == 42
    assert len(result.points) == 42 * 5
    assert result.mae_nusd is not None
    assert result.naive_mae_nusd is not None
    assert result.mae_nusd < 0.6 * result.naive_mae_nusd
    assert result.coverage is not None
    print(seed, result.mae_nusd / USD, result.naive_mae_nusd / USD, round(result.coverage, 2), result.by_hour)
    assert 0.65 <= result.coverage <= 0.97


def test_the_backtest_looks_only_back() -> None:
    history = profile_history(date(2026, 11, 20), 20)
    changed = [(at, cost * 9 if at >= ms("2026-11-15T00:00") else cost) for at, cost in history]
    before = [p for p in backtest(history, BERLIN).points if p.day < "2026-11-15"]
    assert before == [p for p in backtest(changed, BERLIN).points if p.day < "2026-11-15"]
    assert before


@given(st.lists(st.tuples(st.integers(-(2**60), 2**60), st.integers(0, 10**12)), max_size=20))
@settings(max_examples=60, deadline=None)
def test_hostile_hours_of_history_neither_raise_nor_fill_centuries(history: list[tuple[int, int]]) -> None:
    """Faults T30."""
    odd = [*history, (0, 1), (253_402_300_799_000, 1), (-62_135_596_800_000, 1), (NOON, 5 * USD)]
    for zone in (BERLIN, ZoneInfo("Pacific/Kiritimati")):
        assert len(group_days(odd, zone)) < 31 * 30
        said = forecast(NOON, zone, 0, USD, odd)
        assert said.low_nusd <= said.projected_nusd <= said.high_nusd


def test_a_backtest_without_history_says_so() -> None:
    assert backtest([], BERLIN).mae_nusd is None
