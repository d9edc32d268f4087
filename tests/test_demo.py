"""The demo: seeded, lively at once, and unable to touch a real process."""

from __future__ import annotations

from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from tokentop.demo import DemoSource
from tokentop.demo.actor import FIRST_PID
from tokentop.nouns.actions import Action
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import State
from tokentop.ui.actions.plan import plan_fields

NOW = 1_795_273_500_000  # a Saturday morning, 15:05 in UTC is far from midnight
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture(scope="module")
def first() -> Snapshot:
    return DemoSource(7, BERLIN).snapshot(NOW)


def agents(picture: Snapshot) -> list[Row]:
    return [r for r in picture.rows if r.kind == "agent" and r.status.state is not State.DONE]


def test_the_same_seed_and_times_give_the_same_pictures(first: Snapshot) -> None:
    one, two = DemoSource(7, BERLIN), DemoSource(7, BERLIN)
    for step in range(0, 60_000, 2_500):
        assert one.snapshot(NOW + step) == two.snapshot(NOW + step)
    assert DemoSource(8, BERLIN).snapshot(NOW).rows != first.rows


def test_the_first_picture_looks_like_a_day_at_work(first: Snapshot) -> None:
    fleet = agents(first)
    assert first.mode == "demo"
    assert 38 <= len(fleet) <= 46
    assert len({r.project for r in fleet}) == 12
    assert {"claude", "codex", "gemini", "opencode"} <= {r.agent for r in fleet}
    states = {r.status.state for r in first.rows}
    assert {State.WORKING, State.TOOL, State.IDLE, State.ORPHAN} <= states
    assert {"sub-agent", "orphan", "agent"} <= {r.kind for r in first.rows}
    assert all(len(values) == 120 for values in (first.series.output_per_min, first.series.burn_nusd_per_h))
    assert min(first.series.output_per_min) > 1_000
    assert 50e9 < first.totals.burn_nusd_per_h < 500e9
    assert first.forecast is not None
    assert first.forecast.method == "profile"
    assert first.today.cost_nusd < first.forecast.projected_nusd < 10 * first.today.cost_nusd
    assert {q.provider for q in first.quotas} == {"claude", "codex"}
    assert all(0 < q.used_pct <= 100 and q.resets_at_ms > NOW for q in first.quotas if q.account != "home")


def test_within_an_hour_everything_that_should_happen_happens() -> None:
    source = DemoSource(7, BERLIN)
    states: set[State] = set()
    alerts: set[str] = set()
    nested = 0
    for step in range(0, 3_600_000, 30_000):
        picture = source.snapshot(NOW + step)
        states |= {r.status.state for r in picture.rows}
        alerts |= {a.kind for a in picture.alerts}
        nested += sum(1 for r in picture.rows if r.kind == "agent" and r.parent_key)
    assert {State.PERMISSION, State.LIMITED, State.TOOL, State.WORKING, State.IDLE, State.DONE} <= states
    assert {"runaway", "permission", "limited", "unpriced", "context"} <= alerts
    assert nested


def test_money_adds_up() -> None:
    source = DemoSource(7, BERLIN)
    before, after = source.snapshot(NOW), source.snapshot(NOW + 600_000)
    burnt = after.today.cost_nusd - before.today.cost_nusd
    samples = after.series.burn_nusd_per_h[-20:]
    assert burnt == pytest.approx(sum(samples) / len(samples) / 6, rel=0.35)
    assert after.totals.tokens_per_min == pytest.approx(
        sum(r.own.tokens_per_min for r in after.rows), rel=0.1
    )


def test_every_pid_is_beyond_the_real_ones(first: Snapshot) -> None:
    pids = [r.pid for r in first.rows if r.pid is not None]
    assert min(pids) >= FIRST_PID - 5 > 1 << 22
    assert len(set(pids)) == len(pids)


def act(source: DemoSource, row: Row, action: Action, at_ms: int) -> str:
    return source.execute(source.plan(row.key, action, at_ms), at_ms).result


def burning(picture: Snapshot) -> Row:
    return max(agents(picture), key=lambda r: (r.depth == 0, r.tree.burn_nusd_per_h))


def test_a_plan_says_once_that_its_process_was_inferred() -> None:
    source = DemoSource(7, BERLIN)
    row = next(row for row in source.snapshot(NOW).rows if row.confidence == "inferred")
    fields = plan_fields(source.plan(row.key, Action.TERMINATE, NOW), row, NOW)
    assert str(fields).count("infer") == 1


def test_killing_the_runaway_ends_it_and_the_burn_falls() -> None:
    source = DemoSource(7, BERLIN)
    before = source.snapshot(NOW)
    row = burning(before)
    plan = source.plan(row.key, Action.TERMINATE, NOW)
    assert plan.refusal == ""
    assert plan.target is not None
    assert plan.target.pid == row.pid
    assert plan.burn_nusd_per_h == row.tree.burn_nusd_per_h
    receipt = source.execute(plan, NOW)
    assert (receipt.result, receipt.pid, receipt.survivors) == ("ended", row.pid, ())
    after = source.snapshot(NOW + 1_000)
    assert next(r for r in after.rows if r.key == row.key).status.state is State.DONE
    later = source.snapshot(NOW + 120_000)
    assert row.key not in {r.key for r in later.rows}
    assert later.totals.burn_nusd_per_h < before.totals.burn_nusd_per_h
    assert source.execute(plan, NOW + 120_000).result == "already gone"
    assert source.plan(row.key, Action.KILL, NOW + 120_000).refusal == "already gone"


def test_a_frozen_agent_spends_nothing_until_it_is_thawed() -> None:
    source = DemoSource(7, BERLIN)
    row = burning(source.snapshot(NOW))
    assert act(source, row, Action.FREEZE, NOW) == "frozen"
    for step in (1_000, 300_000):
        frozen = next(r for r in source.snapshot(NOW + step).rows if r.key == row.key)
        assert frozen.status.state is State.FROZEN
        assert frozen.own.cost_nusd == row.own.cost_nusd
    assert source.plan(row.key, Action.FREEZE, NOW + 300_000).refusal == "already frozen"
    assert source.plan(row.key, Action.INTERRUPT, NOW + 300_000).refusal
    assert act(source, row, Action.THAW, NOW + 300_000) == "thawed"
    later = next(r for r in source.snapshot(NOW + 600_000).rows if r.key == row.key)
    assert later.own.cost_nusd > row.own.cost_nusd


def test_stopping_a_turn_names_its_tool_before_and_says_that_it_has_ended() -> None:
    source = DemoSource(7, BERLIN)
    rows = source.snapshot(NOW).rows
    tool = next(row for row in rows if row.kind == "tool")
    plan = source.plan(tool.parent_key, Action.INTERRUPT, NOW)
    assert plan.turn_only
    assert tool.pid in [one.ident.pid for one in plan.tree]
    assert plan.target is not None
    receipt = source.execute(plan, NOW)
    assert (receipt.result, receipt.pid) == ("interrupted", plan.target.pid)
    assert set(receipt.ended_pids) == {one.ident.pid for one in plan.tree}
    assert tool.pid not in {row.pid for row in source.snapshot(NOW + 500).rows}


def test_an_interrupted_agent_is_idle_and_lives() -> None:
    source = DemoSource(7, BERLIN)
    row = burning(source.snapshot(NOW))
    assert act(source, row, Action.INTERRUPT, NOW) == "interrupted"
    after = next(r for r in source.snapshot(NOW + 500).rows if r.key == row.key)
    assert (after.status.state, after.pid) == (State.IDLE, row.pid)


def test_orphans_tools_and_sub_agents() -> None:
    source = DemoSource(7, BERLIN)
    at = NOW
    picture = source.snapshot(at)
    orphan = next(r for r in picture.rows if r.kind == "orphan")
    sub = next(r for r in picture.rows if r.kind == "sub-agent")
    assert "stop its parent" in source.plan(sub.key, Action.KILL, at).refusal
    assert act(source, sub, Action.KILL, at) == "refused"
    assert act(source, orphan, Action.TERMINATE, at) == "ended"
    tool = None
    while tool is None:
        at += 2_000
        picture = source.snapshot(at)
        tool = next((r for r in picture.rows if r.kind == "tool"), None)
    assert "orphan" not in {r.kind for r in picture.rows}
    assert act(source, tool, Action.TERMINATE, at) == "ended"
    after = source.snapshot(at + 1_500)
    assert tool.key not in {r.key for r in after.rows}
    assert tool.parent_key in {r.key for r in after.rows}


def test_a_machine_that_slept_and_a_clock_that_stepped_back_do_no_harm() -> None:
    source = DemoSource(7, BERLIN)
    source.snapshot(NOW)
    slept = source.snapshot(NOW + 9 * 3_600_000)
    back = source.snapshot(NOW + 8 * 3_600_000)
    for picture in (slept, back):
        assert len(agents(picture)) >= 35
        assert all(r.status.since_ms <= picture.at_ms for r in picture.rows)
        assert picture.totals.tokens_per_min >= 0


def test_midnight_begins_a_new_bill() -> None:
    source = DemoSource(7, BERLIN)
    late = 1_795_301_940_000  # 23:59 in Berlin
    evening = source.snapshot(late)
    night = source.snapshot(late + 120_000)
    assert evening.forecast is not None
    assert night.forecast is not None
    assert (evening.forecast.day, night.forecast.day) == ("2026-11-21", "2026-11-22")
    assert 0 < night.today.cost_nusd < evening.today.cost_nusd / 20


def test_titles_can_be_switched_off() -> None:
    picture = DemoSource(7, BERLIN, titles=False).snapshot(NOW)
    assert "fix the flaky retry test" not in {r.title for r in picture.rows}


def test_an_invented_agent_can_be_looked_into(first: Snapshot) -> None:
    source = DemoSource(seed=7)
    picture = source.snapshot(first.at_ms)
    row = burning(picture)
    look = source.look(row.key, picture.at_ms)
    assert {step.kind for step in look.steps} == {"tool", "answer"}
    assert look.minutes is not None
    assert sum(look.minutes.output) > 0
    inside = source.inside(row.key)
    assert inside.pid == row.pid
    assert ("ANTHROPIC_API_KEY", "***", False) in inside.env
    assert source.tail(row.key, picture.at_ms).steps == look.steps
    assert source.tail("gone", picture.at_ms).note
    assert source.inside("gone").refusal
    assert source.look("gone", picture.at_ms).steps == ()


def test_limits_and_bill_are_of_the_same_world_and_worth_a_picture() -> None:
    source = DemoSource(7, BERLIN)
    picture, found = source.snapshot(NOW), source.statement(NOW)
    assert found == DemoSource(7, BERLIN).statement(NOW)
    assert found.today == picture.today
    assert found.forecast is not None
    assert picture.forecast is not None
    assert found.forecast.projected_nusd == picture.forecast.projected_nusd
    assert found.day is not None
    assert found.day.spent[-1] == (NOW, picture.today.cost_nusd)
    assert all(one[1] <= other[1] for one, other in pairwise(found.day.spent))
    assert found.day.end_ms - found.day.start_ms == 24 * 3_600_000
    assert len({one.state for one in found.providers}) >= 6
    assert len({(quota.provider, quota.account) for quota in found.quotas}) == 3
    assert any(0 < quota.resets_at_ms < NOW for quota in found.quotas)
    assert {one.exhausted_ms > 0 for one in found.budgets} == {True, False}
    assert found.plans is not None
    assert found.plans.leverage is not None
    assert found.bills is not None
    assert {"match", "uncovered", "pending", "price"} == {day.verdict.value for day in found.bills.days}
    assert found.corrected is not None


def test_the_curve_of_the_demo_begins_anew_at_midnight() -> None:
    source = DemoSource(7, BERLIN)
    source.snapshot(NOW)
    day = 24 * 3_600_000
    for at_ms in range(NOW, NOW + day, 600_000):
        source.snapshot(at_ms)
    found = source.statement(NOW + day)
    assert found.day is not None
    assert found.day.start_ms > NOW
    assert found.day.spent[0] == (found.day.start_ms, 0)
    assert found.day.spent[-1][1] == found.today.cost_nusd
    assert all(one[1] <= other[1] for one, other in pairwise(found.day.spent))
