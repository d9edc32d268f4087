"""The forecast: the local day in every zone, honest intervals, better than a straight line (faults T32)."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentop.engine.backtest import Score, backtest, held
from tokentop.engine.days import HOUR_MS, day_bounds, group_days, midnight_ms
from tokentop.engine.forecast import Forecaster, forecast, project, reached_at
from tokentop.nouns.money import MonthForecast

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
@settings(max_examples=150)
def test_low_projected_high_are_in_order_and_never_below_today(
    minute: int, today: int, burn: int, past: list[tuple[int, int]], zone: str
) -> None:
    at = 1_767_225_600_000 + minute * 60_000
    history = [(at - at % HOUR_MS - ago * HOUR_MS, cost) for ago, cost in past]
    tz = ZoneInfo(zone)
    said = forecast(at, tz, today, burn, history)
    ends = (said.low_nusd, said.low_half_nusd, said.projected_nusd, said.high_half_nusd, said.high_nusd)
    assert today <= ends[0]
    assert list(ends) == sorted(ends)
    times, sums = zip(*said.curve, strict=True)
    assert (times[0], times[-1]) == (at, day_bounds(at, tz)[1])
    assert list(times) == sorted(times)
    assert (sums[0], sums[-1]) == (today, said.projected_nusd)
    assert list(sums) == sorted(sums)
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
    history = [(at, USD), (at + 48 * HOUR_MS, USD), (at - 80 * 24 * HOUR_MS, USD)]
    assert project(at, BERLIN, 0, 0, group_days(history, BERLIN)).projected_nusd == 0


@pytest.mark.parametrize("seed", range(4))
def test_the_backtest_beats_the_straight_line_and_its_interval_holds(seed: int) -> None:
    history = profile_history(date(2026, 11, 20), 60, seed)
    result = backtest(history, BERLIN)
    assert (result.days, len(result.points)) == (46, 46 * 3)
    assert result.total is not None
    assert result.total.ratio is not None
    assert result.total.ratio < 0.5
    assert 0.7 <= result.total.coverage <= 0.92
    assert result.total.coverage_half < result.total.coverage
    assert [hour for hour, _ in result.by_hour] == [10, 14, 18]


def test_the_backtest_looks_only_back() -> None:
    history = profile_history(date(2026, 11, 20), 30)
    changed = [(at, cost * 9 if at >= ms("2026-11-15T00:00") else cost) for at, cost in history]
    before = [p for p in backtest(history, BERLIN).points if p.day < "2026-11-15"]
    assert before == [p for p in backtest(changed, BERLIN).points if p.day < "2026-11-15"]
    assert before


@given(st.lists(st.tuples(st.integers(-(2**60), 2**60), st.integers(0, 10**12)), max_size=20))
@settings(max_examples=60)
def test_hostile_hours_of_history_neither_raise_nor_fill_centuries(history: list[tuple[int, int]]) -> None:
    """Faults T30."""
    odd = [*history, (0, 1), (253_402_300_799_000, 1), (-62_135_596_800_000, 1), (NOON, 5 * USD)]
    for zone in (BERLIN, ZoneInfo("Pacific/Kiritimati")):
        assert len(group_days(odd, zone)) < 31 * 30
        said = forecast(NOON, zone, 0, USD, odd)
        assert said.low_nusd <= said.projected_nusd <= said.high_nusd


def test_a_backtest_without_history_says_so() -> None:
    assert backtest([], BERLIN).total is None


def test_the_straight_line_is_today_by_the_share_of_the_true_day() -> None:
    history = [(ms("2026-10-25T08:00") + hour * HOUR_MS, 11 * USD) for hour in range(2)]
    early = [(ms(f"2026-10-{day:02d}T09:00"), USD) for day in range(1, 25)]
    (point,) = [p for p in backtest([*early, *history], BERLIN, (10,)).points if p.day == "2026-10-25"]
    assert (point.done_nusd, point.actual_nusd) == (22 * USD, 22 * USD)
    assert point.naive_nusd == 50 * USD  # 11 of 25 hours are gone at 10:00


def test_a_backtest_of_few_days_is_judged_from_where_it_can_be() -> None:
    found = backtest(profile_history(date(2026, 11, 20), 9), BERLIN, min_days=3)
    assert isinstance(found.total, Score)
    assert found.total.projections == 4 * 3  # the first 5 days are only learned from


def test_stored_projections_are_judged_by_what_their_days_became() -> None:
    at = ms("2026-11-20T12:00")
    stored = [
        (at, "2026-11-20", 10 * USD, 25 * USD, 20 * USD, 30 * USD),
        (at + HOUR_MS, "2026-11-20", 12 * USD, 40 * USD, 35 * USD, 45 * USD),
        (at + 24 * HOUR_MS, "2026-11-21", 1, 1, 1, 1),  # not over yet
        (at, "2026-11-19", 1, 1, 1, 1),  # stored under another zone's day
    ]
    found = held(stored, {"2026-11-20": 24 * USD, "2026-11-19": USD}, BERLIN)
    assert found is not None
    assert (found.projections, found.days, found.coverage) == (2, 1, 0.5)
    assert (found.median_error_nusd, found.naive_median_error_nusd) == (
        round(8.5 * USD),
        round(2.923_076_923 * USD),
    )
    assert held(stored, {}, BERLIN) is None


def test_the_median_curve_tells_when_an_amount_is_reached() -> None:
    curve = ((NOON, 10), (NOON + HOUR_MS, 10), (NOON + 2 * HOUR_MS, 30))
    assert reached_at(curve, 5) == NOON
    assert reached_at(curve, 20) == NOON + 3 * HOUR_MS // 2
    assert reached_at(curve, 30) == NOON + 2 * HOUR_MS
    assert reached_at(curve, 31) is None


def test_the_evening_break_is_in_the_curve() -> None:
    said = forecast(
        ms("2026-11-20T11:00"), BERLIN, 16 * USD, 8 * USD, profile_history(date(2026, 11, 20), 28)
    )
    at = dict(said.curve)
    lunch = at[ms("2026-11-20T13:00")] - at[ms("2026-11-20T12:00")]
    work = at[ms("2026-11-20T14:00")] - at[ms("2026-11-20T13:00")]
    assert lunch < 0.4 * work
    assert at[ms("2026-11-20T19:00")] == said.projected_nusd


def test_a_forecaster_that_is_kept_says_the_same_as_a_new_one() -> None:
    days = group_days(profile_history(date(2026, 11, 20), 40), BERLIN)
    kept = Forecaster(days, BERLIN)
    moments = [ms(f"2026-11-{day}T{hour:02d}:20") for day in (20, 21) for hour in (10, 11, 10, 15)]
    for at in moments:  # backwards as well: the clock may be set
        assert kept.project(at, 30 * USD, 5 * USD) == Forecaster(days, BERLIN).project(at, 30 * USD, 5 * USD)


def test_a_clock_far_in_the_past_or_future_knows_no_history() -> None:
    kept = Forecaster(group_days(profile_history(date(2026, 11, 20), 40), BERLIN), BERLIN)
    for day in ("2025-11-20", "2027-11-20"):
        said = kept.project(ms(f"{day}T12:00"), 0, 0)
        assert (said.method, said.days_of_history, said.projected_nusd) == ("none", 0, 0)


# ---------------------------------------------------------------- the month


def month_of(at: int, days: int, today: int = 20, spent: int = 500) -> tuple[Forecaster, MonthForecast]:
    found = Forecaster(group_days(profile_history(date(2026, 11, 20), days), BERLIN), BERLIN)
    said = found.project(at, today * USD, 8 * USD)
    return found, found.month(said, spent * USD)


def test_the_month_is_what_is_spent_and_the_usual_days_to_come() -> None:
    at = ms("2026-11-20T12:00")
    _, month = month_of(at, 50)
    usual = sum(c for _, c in profile_history(date(2026, 11, 20), 28)) / 28
    to_come = month.projected_nusd - 500 * USD
    assert month.month == "2026-11"
    assert month.end_ms == ms("2026-12-01T00:00")
    assert 0.6 * 11 * usual < to_come < 1.5 * 11 * usual
    assert (
        month.low_nusd < month.low_half_nusd < month.projected_nusd < month.high_half_nusd < month.high_nusd
    )


def test_on_the_last_day_the_month_is_as_sure_as_the_day() -> None:
    at = ms("2026-11-30T12:00")
    found = Forecaster(group_days(profile_history(date(2026, 11, 30), 50), BERLIN), BERLIN)
    said = found.project(at, 20 * USD, 8 * USD)
    month = found.month(said, 520 * USD)
    assert month.projected_nusd - said.projected_nusd == 500 * USD
    assert month.high_nusd - said.high_nusd == pytest.approx(500 * USD, abs=2)


def test_without_history_the_month_is_today_alone() -> None:
    said = Forecaster((), BERLIN).project(ms("2026-11-20T12:00"), 5 * USD, 0)
    month = Forecaster((), BERLIN).month(said, 9 * USD)
    assert (month.spent_nusd, month.projected_nusd, month.low_nusd) == (9 * USD, 9 * USD, 9 * USD)


@given(
    st.integers(0, 400 * 24 * 60),
    st.integers(0, 10**13),
    st.lists(st.tuples(st.integers(0, 50 * 24), st.integers(0, 10**12)), max_size=60),
    st.sampled_from([z for z, _, _ in DAYS]),
)
@settings(max_examples=60)
def test_the_month_is_in_order_and_its_curve_goes_on_from_the_days(
    minute: int, today: int, past: list[tuple[int, int]], zone: str
) -> None:
    at = 1_767_225_600_000 + minute * 60_000
    tz = ZoneInfo(zone)
    found = Forecaster(group_days([(at - at % HOUR_MS - ago * HOUR_MS, cost) for ago, cost in past], tz), tz)
    said = found.project(at, today, 10**9)
    month = found.month(said, today)
    ends = (
        today,
        month.low_nusd,
        month.low_half_nusd,
        month.projected_nusd,
        month.high_half_nusd,
        month.high_nusd,
    )
    assert list(ends) == sorted(ends)
    times, sums = zip(*found.curve(said, month.end_ms), strict=True)
    assert list(times) == sorted(times)
    assert list(sums) == sorted(sums)
    assert times[-1] == month.end_ms
    assert sums[-1] == pytest.approx(month.projected_nusd, abs=2)
