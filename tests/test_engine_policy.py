"""Judging of rules: each condition, how long it has held, ladders, rests, caps, lists, and clocks that jump."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from msgspec import structs

from tests.engine_build import NOW, act, agent_proc, rows_of, session, sub_agent
from tests.engine_build import usage as event
from tokentop.engine.habits import Habits
from tokentop.engine.live import LiveState
from tokentop.engine.policy import Policies
from tokentop.engine.replay import NOT_REPLAYED, Past, replay
from tokentop.nouns.actions import Action, Receipt
from tokentop.nouns.picture import Row, Snapshot, Status
from tokentop.nouns.sessions import Activity, Context, State
from tokentop.nouns.usage import Figures, Tokens
from tokentop.settings.rulebook import NUSD, Rules, Step

MINUTE = 60_000
HOUR = 3_600_000
ALL = (Step.NOTIFY, Step.STOP, Step.FREEZE, Step.TERMINATE)


def rules(name: str, **values: Any) -> Rules:
    """One rule that is on, the others off."""
    values = {"on": True, "ladder": (Step.TERMINATE,)} | values
    return structs.replace(Rules(), **{name: structs.replace(getattr(Rules(), name), **values)})


def row(key: str = "claude:s", **fields: Any) -> Row:
    agent, _, sid = key.partition(":")
    burn, cost = fields.pop("burn", 0.0), fields.pop("cost", 0.0)
    figures = Figures(cost_nusd=round(cost * NUSD), burn_nusd_per_h=round(burn * NUSD))
    state, since = fields.pop("state", State.WORKING), fields.pop("since", NOW)
    values: dict[str, Any] = {
        "key": key, "parent_key": "", "depth": 0, "kind": "agent", "agent": agent, "session_id": sid, "title": "t",
        "project": "api", "cwd": "/work/api", "branch": "", "model": "m", "own": figures, "tree": figures, "spark": (),
        "status": Status(state, "", "log", since, fields.pop("inferred", False)), "context_used": None,
        "context_window": 0, "started_ms": 0, "last_ms": NOW, "pid": 10, "confidence": "exact",
    }  # fmt: skip
    return Row(**values | fields)


def look(policies: Policies, at_ms: int, *rows: Row, today: float = 0.0) -> list[tuple[str, Step, str]]:
    snapshot = Snapshot(1, at_ms, rows, today=Figures(cost_nusd=round(today * NUSD)))
    return [(due.rule, due.step, due.hit.row.key) for due in policies.look(snapshot)]


def is_hit(policies: Policies, at_ms: int, *rows: Row, today: float = 0.0) -> bool:
    return bool(look(policies, at_ms, *rows, today=today))


def test_everything_is_off_until_it_is_switched_on() -> None:
    burning = row(burn=1e6, cost=1e6, same_calls=99, context_used=99, context_window=100, compactions=9)
    assert not any(rule.on for _, rule in Rules().items())
    assert not is_hit(Policies(Rules()), NOW, burning, today=1e6)


def test_the_cost_of_a_session_counts_while_it_works() -> None:
    policies = Policies(rules("session_cost", usd=5))
    assert not is_hit(policies, NOW, row(cost=5))
    assert not is_hit(policies, NOW, row(cost=9, state=State.IDLE))
    assert not is_hit(policies, NOW, row(cost=9, depth=1)), "a part of the tree above it"
    assert is_hit(policies, NOW, row(cost=5.01))


def test_a_session_without_a_price_is_not_taken_for_free_nor_for_dear() -> None:
    """processes.md 120."""
    policies = Policies(rules("session_cost", usd=0.01))
    unpriced = row()
    unpriced = structs.replace(unpriced, tree=Figures(Tokens(output=10**9), 1, 0, unpriced_tokens=10**9))
    assert not is_hit(policies, NOW, unpriced)
    partly = structs.replace(unpriced, tree=structs.replace(unpriced.tree, cost_nusd=NUSD))
    assert is_hit(policies, NOW, partly)
    assert "at least $1.00" in next(iter(policies.hits.values())).why


def test_a_burn_rate_must_last_and_may_dip_for_two_minutes() -> None:
    policies = Policies(rules("burn_rate", usd_per_h=50, minutes=5))
    for minute in range(5):
        assert not is_hit(policies, NOW + minute * MINUTE, row(burn=0 if minute == 3 else 60))
    assert not is_hit(policies, NOW + 5 * MINUTE, row(burn=0, state=State.IDLE)), "it rests"
    assert is_hit(policies, NOW + 6 * MINUTE, row(burn=0)), "a call that runs is logged when it ends"
    policies = Policies(rules("burn_rate", usd_per_h=50, minutes=5))
    for minute in range(10):
        assert not is_hit(policies, NOW + minute * MINUTE, row(burn=60 if minute in (0, 4, 8) else 0)), minute


@pytest.mark.parametrize("jump", [-HOUR, HOUR])
def test_a_clock_that_jumps_starts_every_duration_anew(jump: int) -> None:
    policies = Policies(rules("burn_rate", usd_per_h=50, minutes=5))
    for minute in range(5):
        assert not is_hit(policies, NOW + minute * MINUTE, row(burn=60))
    at_ms = NOW + 5 * MINUTE + jump
    assert not is_hit(policies, at_ms, row(burn=60)), "it was not seen to burn all the time"
    for minute in range(1, 5):
        assert not is_hit(policies, at_ms + minute * MINUTE, row(burn=60))
    assert is_hit(policies, at_ms + 5 * MINUTE, row(burn=60))


def test_a_wait_that_a_log_dates_does_not_grow_by_a_jump() -> None:
    policies = Policies(rules("waiting", minutes=30))
    waits = row(state=State.PERMISSION, since=NOW)
    assert not is_hit(policies, NOW + MINUTE, waits)
    asleep = NOW + 9 * HOUR
    assert not is_hit(policies, asleep, waits)
    assert not is_hit(policies, asleep + 2 * MINUTE, waits)
    for minute in range(3, 30):
        assert not is_hit(policies, asleep + minute * MINUTE, waits)
    assert is_hit(policies, asleep + 30 * MINUTE, waits)
    assert is_hit(Policies(rules("waiting", minutes=30)), asleep, waits), "a fresh start believes the log"


def test_waiting_idle_and_who_is_sure() -> None:
    waiting = Policies(rules("waiting", minutes=30))
    assert not is_hit(waiting, NOW, row(state=State.WORKING, since=NOW - HOUR))
    assert is_hit(waiting, NOW, row(state=State.INPUT, since=NOW - HOUR))
    assert look(waiting, NOW, row(state=State.PERMISSION, since=NOW - HOUR, inferred=True))
    assert not next(iter(waiting.hits.values())).sure
    idle = Policies(rules("idle", hours=2))
    assert not is_hit(idle, NOW, row(state=State.IDLE, since=NOW - HOUR))
    assert not is_hit(idle, NOW, row(state=State.IDLE, since=NOW - 3 * HOUR, pid=None)), "not resident"
    assert is_hit(idle, NOW, row(state=State.IDLE, since=NOW - 3 * HOUR))


def test_the_budget_of_the_day_hits_all_that_work() -> None:
    policies = Policies(rules("day_budget", usd=100))
    works, rests = row("claude:a"), row("claude:b", state=State.IDLE)
    assert not is_hit(policies, NOW, works, rests, today=100)
    assert [key for _, _, key in look(policies, NOW, works, rests, today=101)] == ["claude:a"]


def test_no_progress_needs_spending_and_a_known_clock() -> None:
    policies = Policies(rules("no_progress", minutes=20, usd_per_h=1))
    stuck = row(burn=9, unchanged_since_ms=NOW - 21 * MINUTE)
    assert not is_hit(policies, NOW, structs.replace(stuck, tree=Figures()))
    assert not is_hit(policies, NOW, structs.replace(stuck, unchanged_since_ms=0)), "it cannot be told"
    assert not is_hit(policies, NOW, structs.replace(stuck, unchanged_since_ms=NOW - MINUTE))
    assert is_hit(policies, NOW, stuck)


def test_a_loop_in_a_sub_agent_hits_the_agent_above_it() -> None:
    policies = Policies(rules("loop", times=10))
    child = row(
        "claude:s/a", parent_key="claude:s", depth=1, kind="sub-agent", same_calls=10, same_call="Bash make"
    )
    assert not is_hit(policies, NOW, row(), structs.replace(child, same_calls=9))
    assert look(policies, NOW, row(), child) == [("loop", Step.TERMINATE, "claude:s")]


def test_an_orphan_must_burn_for_long() -> None:
    policies = Policies(rules("orphan", minutes=3, cpu_pct=50))
    orphan = row("proc:9:99", kind="orphan", state=State.ORPHAN, cpu_pct=80.0)
    assert not any(is_hit(policies, NOW + at * MINUTE, orphan) for at in range(3))
    assert is_hit(policies, NOW + 3 * MINUTE, orphan)
    assert not is_hit(policies, NOW + 4 * MINUTE, structs.replace(orphan, kind="tool"))


def test_a_full_context_alone_is_no_reason() -> None:
    policies = Policies(rules("context", pct=95, compactions=3))
    full = row(context_used=196_000, context_window=200_000)
    assert not is_hit(policies, NOW, structs.replace(full, compactions=2))
    assert not is_hit(policies, NOW, structs.replace(full, compactions=3, context_window=0))
    assert is_hit(policies, NOW, structs.replace(full, compactions=3))


# ---------------------------------------------------------------- ladder, rest, caps, lists


def test_the_ladder_goes_on_after_each_rest_and_begins_anew_when_the_condition_has_gone() -> None:
    policies = Policies(rules("session_cost", usd=5, ladder=ALL, cooldown_minutes=10))
    at_ms = NOW
    for step in ALL:
        assert look(policies, at_ms, row(cost=9)) == [("session_cost", step, "claude:s")]
        policies.rest("session_cost", "claude:s", at_ms, next_step=True)
        for minute in range(1, 10):
            assert look(policies, at_ms + minute * MINUTE, row(cost=9)) == []
        at_ms += 10 * MINUTE
    assert look(policies, at_ms, row(cost=9)) == [], "the ladder has ended"
    for minute in range(5):
        look(policies, at_ms + minute * MINUTE)
    assert look(policies, at_ms + 6 * MINUTE, row(cost=9)) == [("session_cost", Step.NOTIFY, "claude:s")]


def test_a_dip_does_not_begin_the_ladder_anew() -> None:
    policies = Policies(rules("session_cost", usd=5, ladder=ALL, cooldown_minutes=1))
    look(policies, NOW, row(cost=9))
    policies.rest("session_cost", "claude:s", NOW, next_step=True)
    look(policies, NOW + MINUTE, row(cost=9, state=State.IDLE))
    assert look(policies, NOW + 2 * MINUTE, row(cost=9)) == [("session_cost", Step.STOP, "claude:s")]


def test_a_called_off_step_comes_again_after_the_rest_also_when_the_clock_went_back() -> None:
    """processes.md 118."""
    for back in (0, HOUR):
        policies = Policies(rules("session_cost", usd=5, ladder=ALL, cooldown_minutes=10))
        look(policies, NOW, row(cost=9))
        policies.rest("session_cost", "claude:s", NOW, next_step=False)
        assert look(policies, NOW - back + 9 * MINUTE, row(cost=9)) == []
        due = [look(policies, NOW - back + minute * MINUTE, row(cost=9)) for minute in range(10, 21)]
        assert [("session_cost", Step.NOTIFY, "claude:s")] in due


def test_an_hour_has_a_cap_and_it_outlives_a_restart() -> None:
    """processes.md 119."""
    policies = Policies(rules("session_cost", usd=5, per_hour=2, cooldown_minutes=10))
    assert not policies.capped("session_cost", NOW)
    policies.acts("session_cost", NOW - 59 * MINUTE)
    policies.acts("session_cost", NOW - MINUTE)
    assert policies.capped("session_cost", NOW)
    assert not policies.capped("session_cost", NOW + 2 * MINUTE)
    fresh = Policies(rules("session_cost", usd=5, per_hour=2, cooldown_minutes=10))
    receipts = [_receipt(NOW - ago * MINUTE, sid) for ago, sid in ((59, "old"), (5, "s"))]
    strangers = [
        structs.replace(receipts[1], reason="manual"),
        structs.replace(receipts[1], result="cancelled"),
    ]
    fresh.remember([*receipts, *strangers], NOW)
    assert fresh.capped("session_cost", NOW)
    assert look(fresh, NOW, row(cost=9)) == [], "it still rests"
    assert look(fresh, NOW + 5 * MINUTE, row(cost=9))


def _receipt(at_ms: int, sid: str) -> Receipt:
    return Receipt(
        at_ms, Action.TERMINATE, "policy:session_cost", "claude", sid, 10, 1, "claude", "/w", "ended", "", (), (10,),
        (), 5, 0, 0, "",
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", ["project:api", "project:/work/api/", "project:/work", "agent:claude", "session:abc"]
)
def test_lists_name_projects_agents_and_sessions(name: str) -> None:
    listed = row("claude:abcdef", cost=9)
    other = row("codex:zzz", cost=9, project="web", cwd="/workshop/web")
    allowed = Policies(rules("session_cost", usd=5, allow=(name,)))
    assert [key for _, _, key in look(allowed, NOW, listed, other)] == ["codex:zzz"]
    only = Policies(rules("session_cost", usd=5, only=(name,)))
    assert [key for _, _, key in look(only, NOW, listed, other)] == ["claude:abcdef"]


def test_only_the_last_step_stop_is_repeated() -> None:
    policies = Policies(rules("loop", ladder=(Step.NOTIFY, Step.STOP), times=2))
    assert not policies.stays("loop", "claude:s")
    policies.rest("loop", "claude:s", NOW, next_step=True)
    assert policies.stays("loop", "claude:s")
    assert not Policies(rules("loop", ladder=(Step.TERMINATE,))).stays("loop", "claude:s")


# ---------------------------------------------------------------- habits


def call(tool: str, detail: str, ago_ms: int) -> Activity:
    return act(State.TOOL, ago_ms, tool=tool, detail=detail)


def test_the_same_call_in_a_row_is_counted_once_each_time_it_is_made() -> None:
    habits = Habits()
    for ago in range(9, 4, -1):
        for _ in range(2):  # the ends of logs are read for status too
            habits.on_activity(call("Bash", "make test", ago * 1000))
        habits.on_activity(act(State.WORKING, ago * 1000 - 500))
    assert (habits.same_calls, habits.same_call) == (5, "Bash make test")
    habits.on_activity(call("Bash", "make lint", 4000))
    assert habits.same_calls == 1
    habits.on_activity(call("Edit", "a.py", 3000))
    habits.on_activity(call("Edit", "a.py", 2000))
    assert habits.same_calls == 0, "edits of one file differ in what no log line of ours keeps"
    habits.on_activity(call("exec", "", 1000))
    assert habits.same_calls == 0, "its argument is not logged"


def test_a_turn_that_ends_ends_the_row_of_calls() -> None:
    habits = Habits()
    habits.on_activity(call("Bash", "make", 9000))
    habits.on_activity(act(State.IDLE, 8000))
    habits.on_activity(call("Bash", "make", 7000))
    assert habits.same_calls == 1


def test_compactions_are_falls_of_the_context_within_the_hour() -> None:
    habits = Habits()
    for minute, used in enumerate((150_000, 190_000, 40_000, 180_000, 170_000, 30_000, 10_000, 500)):
        habits.on_context(Context("claude", "s", NOW + minute * MINUTE, used))
    assert habits.compactions(NOW + 10 * MINUTE) == 3
    assert habits.compactions(NOW + 70 * MINUTE) == 0


def test_rows_carry_the_habits_of_their_session() -> None:
    live = LiveState()
    live.advance(NOW)
    live.load_session(session(), Figures())
    live.load_session(sub_agent("s/a"), Figures())
    live.set_procs((agent_proc(),), NOW)
    for ago in (3000, 2000):
        live.apply_activity(call("Bash", "make", ago))
    live.apply_activity(Activity("claude", "s/a", NOW - 1000, State.TOOL, "Write", "b.py"))
    found = rows_of(live)
    assert (found["claude:s"].same_calls, found["claude:s"].same_call) == (2, "Bash make")


# ---------------------------------------------------------------- replay


def past(*costs: tuple[int, float], sid: str = "s", before: float = 0.0) -> Past:
    """Events at (minute, dollars) of one session."""
    events = [event(at, sid, -minute * MINUTE, round(cost * NUSD)) for at, (minute, cost) in enumerate(costs)]
    total = round((before + sum(cost for _, cost in costs)) * NUSD)
    return Past({f"claude:{sid}": (session(sid), Figures(cost_nusd=total), "app")}, events)


def test_a_replay_finds_the_minute_in_which_a_session_became_too_dear() -> None:
    chosen = rules("session_cost", usd=5, ladder=(Step.NOTIFY, Step.TERMINATE), cooldown_minutes=5)
    found = replay(chosen, past(*((minute, 1.0) for minute in range(20)), before=2.5), UTC)
    mine = [one for one in found if one.rule == "session_cost"]
    assert [(one.step, (one.at_ms - NOW) // MINUTE) for one in mine] == [
        (Step.NOTIFY, 3),
        (Step.TERMINATE, 8),
    ]
    assert mine[1].later_nusd == pytest.approx((20 - 8) * NUSD, abs=NUSD)
    assert mine[0].on


def test_a_replay_sees_burn_rates_and_the_budget_of_a_local_day() -> None:
    costs = [(minute, 2.0) for minute in range(10)]
    found = replay(rules("burn_rate", usd_per_h=100, minutes=5), past(*costs), UTC)
    assert {one.rule for one in found if one.on} == {"burn_rate"}
    assert next((one.at_ms - NOW) // MINUTE for one in found if one.rule == "burn_rate") in range(5, 8)
    next_day = [(0, 60.0), (24 * 60, 60.0)]
    assert not [
        one for one in replay(rules("day_budget", usd=100), past(*next_day), UTC) if one.rule == "day_budget"
    ]
    same_day = [(0, 60.0), (30, 60.0)]
    assert [
        one for one in replay(rules("day_budget", usd=100), past(*same_day), UTC) if one.rule == "day_budget"
    ]


def test_a_replay_marks_rules_that_are_off_and_counts_sub_agents_with_their_parent() -> None:
    known = past((0, 3.0), (1, 3.0), sid="s")
    child = [event(9, "s/a", 0, 3 * NUSD)]
    sessions = dict(known.sessions) | {"claude:s/a": (sub_agent("s/a"), Figures(cost_nusd=3 * NUSD), "app")}
    both = Past(sessions, sorted([*known.events, *child], key=lambda one: one.usage.at_ms))
    chosen = structs.replace(Rules(), session_cost=structs.replace(Rules().session_cost, usd=7))
    [one] = [one for one in replay(chosen, both, UTC) if one.rule == "session_cost"]
    assert (one.on, one.session_id, one.step) == (False, "s", Step.NOTIFY)


def test_every_rule_is_replayed_or_says_why_not() -> None:
    assert set(NOT_REPLAYED) | {"session_cost", "burn_rate", "day_budget"} == set(Rules.__struct_fields__)
