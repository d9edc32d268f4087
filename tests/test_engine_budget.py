"""Budgets: periods over DST and month ends, parts of the projection, when they run out."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentop.engine.budget import Limit, Spent, judge, limits_of, periods
from tokentop.engine.days import HOUR_MS, group_days
from tokentop.engine.forecast import Forecaster
from tokentop.settings.config import SettingsError
from tokentop.settings.load import parse
from tokentop.settings.spending import Amounts, Budgets

BERLIN = ZoneInfo("Europe/Berlin")
USD = 1_000_000_000
KEYS = ("claude", "api")


def ms(text: str, zone: tzinfo = BERLIN) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def office(end: date, days: int = 40) -> Forecaster:
    """10 dollars an hour from 9 to 17 o'clock, every day."""
    hours = [
        (ms(f"{end - timedelta(days=back)}T{hour:02d}:00"), 10 * USD)
        for back in range(days, 0, -1)
        for hour in range(9, 17)
    ]
    return Forecaster(group_days(hours, BERLIN), BERLIN)


@pytest.mark.parametrize(
    ("at", "week", "month"),
    [
        ("2026-03-29T12:00", ("2026-03-23T00:00", "2026-03-30T00:00"), ("2026-03-01T00:00", "2026-04-01T00:00")),
        ("2026-10-25T01:00", ("2026-10-19T00:00", "2026-10-26T00:00"), ("2026-10-01T00:00", "2026-11-01T00:00")),
        ("2026-12-31T23:59", ("2026-12-28T00:00", "2027-01-04T00:00"), ("2026-12-01T00:00", "2027-01-01T00:00")),
        ("2028-02-29T00:00", ("2028-02-28T00:00", "2028-03-06T00:00"), ("2028-02-01T00:00", "2028-03-01T00:00")),
    ],
)  # fmt: skip
def test_periods_are_local_and_have_their_true_length(
    at: str, week: tuple[str, str], month: tuple[str, str]
) -> None:
    found = periods(ms(at), BERLIN)
    assert found["week"] == tuple(ms(one) for one in week)
    assert found["month"] == tuple(ms(one) for one in month)
    assert found["day"][0] <= ms(at) < found["day"][1]


def test_the_week_of_the_change_of_clocks_has_an_hour_more() -> None:
    begin, end = periods(ms("2026-10-25T12:00"), BERLIN)["week"]
    assert end - begin == (7 * 24 + 1) * HOUR_MS


def test_a_day_budget_is_exhausted_where_the_median_curve_reaches_it() -> None:
    forecaster = office(date(2026, 11, 20))
    at = ms("2026-11-20T12:00")
    said = forecaster.project(at, 30 * USD, 10 * USD)
    spent = Spent({KEYS: 30 * USD}, {})
    (budget,) = judge([Limit("all", "", "day", 55 * USD)], said, spent, forecaster, BERLIN)
    assert (budget.spent_nusd, budget.projected_nusd) == (30 * USD, said.projected_nusd)
    assert budget.exhausted_ms == pytest.approx(ms("2026-11-20T14:30"), abs=10 * 60_000)
    assert budget.label == "day"


def test_a_budget_that_holds_or_is_over_has_no_time() -> None:
    forecaster = office(date(2026, 11, 20))
    said = forecaster.project(ms("2026-11-20T12:00"), 30 * USD, 10 * USD)
    limits = [Limit("all", "", "day", amount * USD) for amount in (30, 500)]
    assert [b.exhausted_ms for b in judge(limits, said, Spent({KEYS: 30 * USD}, {}), forecaster, BERLIN)] == [
        0,
        0,
    ]


def test_a_month_budget_runs_out_on_a_day_to_come() -> None:
    forecaster = office(date(2026, 11, 20))
    said = forecaster.project(ms("2026-11-20T12:00"), 30 * USD, 10 * USD)
    spent = Spent({KEYS: 30 * USD}, {"month": {KEYS: 19 * 80 * USD}})
    (budget,) = judge([Limit("all", "", "month", 1_800 * USD)], said, spent, forecaster, BERLIN)
    assert budget.spent_nusd == 1_550 * USD
    assert budget.projected_nusd == pytest.approx(30 * 80 * USD, rel=0.03)
    # 50 dollars are left of the 20th, 80 for each day: 1,800 is passed in the middle of the 23rd.
    assert ms("2026-11-23T09:00") < budget.exhausted_ms < ms("2026-11-23T17:00")


def test_a_project_and_an_agent_take_their_share_of_what_is_to_come() -> None:
    forecaster = office(date(2026, 11, 20))
    said = forecaster.project(ms("2026-11-20T12:00"), 40 * USD, 10 * USD)
    other = ("codex", "web")
    spent = Spent({KEYS: 10 * USD, other: 30 * USD}, {"recent": {KEYS: 140 * USD, other: 420 * USD}})
    limits = [Limit("project", "api", "day", 15 * USD), Limit("agent", "codex", "day", 90 * USD)]
    api, codex = judge(limits, said, spent, forecaster, BERLIN)
    rest = said.projected_nusd - 40 * USD
    assert (api.spent_nusd, codex.spent_nusd) == (10 * USD, 30 * USD)
    assert api.projected_nusd == pytest.approx(10 * USD + rest / 4, abs=2)
    assert codex.projected_nusd == pytest.approx(30 * USD + rest * 3 / 4, abs=2)
    assert api.label == "day of project api"


def test_a_project_without_spend_gets_nothing_of_it() -> None:
    forecaster = office(date(2026, 11, 20))
    said = forecaster.project(ms("2026-11-20T12:00"), 40 * USD, 10 * USD)
    (budget,) = judge(
        [Limit("project", "new", "week", USD)], said, Spent({KEYS: 40 * USD}, {}), forecaster, BERLIN
    )
    assert (budget.spent_nusd, budget.projected_nusd, budget.exhausted_ms) == (0, 0, 0)


def test_without_a_method_the_end_is_unknown() -> None:
    nobody = Forecaster((), BERLIN)
    said = nobody.project(ms("2026-11-20T12:00"), 40 * USD, 0)
    (budget,) = judge(
        [Limit("all", "", "month", 50 * USD)], said, Spent({KEYS: 40 * USD}, {}), nobody, BERLIN
    )
    assert (said.method, budget.projected_nusd, budget.exhausted_ms) == ("none", None, 0)


@given(
    st.integers(0, 400 * 24 * 60), st.integers(0, 10**12), st.sampled_from(("day", "week", "month")),
    st.integers(1, 10**13), st.sampled_from(("Europe/Berlin", "America/Sao_Paulo", "Australia/Lord_Howe")),
)  # fmt: skip
@settings(max_examples=60)
def test_it_runs_out_within_its_period_and_only_where_the_projection_passes_it(
    minute: int, today: int, period: str, amount: int, zone: str
) -> None:
    tz = ZoneInfo(zone)
    at = 1_767_225_600_000 + minute * 60_000
    history = [(at - at % HOUR_MS - 7 * hour * HOUR_MS, 3 * USD) for hour in range(1, 150)]
    forecaster = Forecaster(group_days(history, tz), tz)
    said = forecaster.project(at, today, 10**9)
    (budget,) = judge([Limit("all", "", period, amount)], said, Spent({KEYS: today}, {}), forecaster, tz)
    assert budget.start_ms <= at < budget.end_ms
    assert budget.projected_nusd is not None
    assert budget.projected_nusd >= budget.spent_nusd
    passes = budget.spent_nusd < amount <= budget.projected_nusd
    assert bool(budget.exhausted_ms) == passes
    if passes:
        assert at <= budget.exhausted_ms <= budget.end_ms


# ---------------------------------------------------------------- settings


def test_all_forms_of_budgets() -> None:
    found = parse(
        "[budgets]\nday = 200\nmonth = 3000\nprojects = { api = 50, web = { week = 80, month = 400 } }\n"
        "[budgets.agents]\nclaude = 100\n"
    ).all_budgets
    assert [(b.scope, b.name, b.period, b.amount_nusd // USD) for b in limits_of(found)] == [
        ("all", "", "day", 200), ("all", "", "month", 3000), ("project", "api", "day", 50),
        ("project", "web", "week", 80), ("project", "web", "month", 400), ("agent", "claude", "day", 100),
    ]  # fmt: skip


def test_day_budget_usd_is_the_day_of_budgets_unless_that_is_set() -> None:
    assert parse("day_budget_usd = 12.5").all_budgets == Budgets(day=12.5)
    assert parse("day_budget_usd = 12.5\n[budgets]\nday = 20").all_budgets == Budgets(day=20)
    assert parse("day_budget_usd = 12.5\n[budgets]\nweek = 20").all_budgets == Budgets(day=12.5, week=20)
    assert parse("[budgets.projects]\na = { day = 1 }").budgets.projects == {"a": Amounts(day=1)}


MISTAKES = {
    "[budgets]\nweak = 3": "line 2: unknown setting 'budgets.weak'; did you mean 'week'?",
    "[budgets]\nday = -1": "line 2: budgets.day: Expected `float` >= 0.0",
    "[budgets]\nday = nan": "line 2: budgets.day: not a number",
    "[budgets]\nprojects = { a = { mont = 2 } }": "line 2: unknown setting 'budgets.projects.a.mont'",
    '[budgets.agents]\nclaude = 3\ncodex = "x"': "budgets.agents",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes_are_named(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert MISTAKES[text] in str(caught.value)
