"""What rules may do: countdowns, what is refused, who is told. Plans are made up; see test_rules_act.py for real ones."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from tests.engine_build import NOW
from tests.test_engine_policy import MINUTE, row, rules
from tokentop.enforce import Enforcer
from tokentop.notify import Limiter, desktop_command, sequences
from tokentop.nouns.actions import Action, KillPlan, Means, Notice, PlannedProc, Receipt
from tokentop.nouns.facts import Progress
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.processes import Ident, ProcRole
from tokentop.nouns.sessions import State
from tokentop.settings.rulebook import Notify, Rules, Step


class Desk:
    """An enforcer with everything that it asks for and says."""

    def __init__(self, chosen: Rules, *, read_only: bool = False, **plan: Any) -> None:
        self.plan_fields = plan
        self.planned: list[tuple[str, Action]] = []
        self.struck: list[tuple[KillPlan, str]] = []
        self.kept: list[Receipt] = []
        self.told: list[Notice] = []
        self.enforcer = Enforcer(
            chosen, read_only=read_only, plan=self._plan, keep=self.kept.append, tell=self.told.append,
            act=lambda plan, reason: self.struck.append((plan, reason)),
        )  # fmt: skip

    def _plan(self, row: Row, action: Action) -> KillPlan:
        self.planned.append((row.key, action))
        values: dict[str, Any] = {
            "action": action, "agent": row.agent, "session_id": row.session_id, "title": "", "project": "", "cwd": "",
            "target": Ident(row.pid or 0, 7, 1), "command": "claude", "confidence": "exact", "rungs": (("TERM", 5.0),),
            "tree": (), "wrapper": None, "cost_nusd": 1, "burn_nusd_per_h": 1, "resume": "",
        }  # fmt: skip
        return KillPlan(**values | self.plan_fields)

    def look(self, at_ms: int, *rows: Row, **fields: Any) -> Snapshot:
        snapshot = Snapshot(1, at_ms, rows, **fields)
        self.enforcer.step(snapshot)
        return self.enforcer.dress(snapshot)

    def watch(self, from_s: int, to_s: int, *rows: Row) -> None:
        for second in range(from_s, to_s):
            self.look(NOW + second * 1000, *rows)

    @property
    def said(self) -> str:
        return "\n".join(f"{notice.title}: {notice.body}" for notice in self.told)


def cost(**values: Any) -> Rules:
    return rules("session_cost", usd=5, **values)


DEAR = row(cost=9)


def test_a_countdown_of_thirty_seconds_comes_before_every_action() -> None:
    desk = Desk(cost())
    shown = desk.look(NOW, DEAR).countdowns
    assert (shown[0].left_ms, shown[0].pid, shown[0].rule) == (30_000, 10, "session_cost")
    assert "has cost $9.00" in shown[0].why
    desk.watch(1, 30, DEAR)
    assert desk.struck == []
    desk.watch(30, 32, DEAR)
    [(plan, reason)] = desk.struck
    assert (plan.action, reason) == (Action.TERMINATE, "policy:session_cost")
    assert len(desk.planned) == 2, "once before the countdown, anew at its end"


@pytest.mark.parametrize("jump_ms", [3_600_000, 60_000, -3_600_000])
def test_a_clock_that_jumps_does_not_shorten_a_countdown(jump_ms: int) -> None:
    desk = Desk(cost())
    desk.watch(0, 5, DEAR)
    later = NOW + 5_000 + jump_ms
    for second in range(20):
        desk.look(later + second * 1000, DEAR)
    assert desk.struck == []


def test_a_person_calls_it_off_and_it_comes_again_after_the_rest() -> None:
    """processes.md 118."""
    desk = Desk(cost(cooldown_minutes=1))
    [one] = desk.look(NOW, DEAR).countdowns
    assert desk.enforcer.cancel(one.id)
    assert not desk.enforcer.cancel(one.id)
    assert [receipt.result for receipt in desk.kept] == ["cancelled"]
    desk.watch(1, 60, DEAR)
    assert desk.struck == []
    assert desk.look(NOW + 61_000, DEAR).countdowns


def test_a_condition_that_goes_calls_the_countdown_off() -> None:
    desk = Desk(cost())
    desk.watch(0, 5, DEAR)
    resting = row(cost=9, state=State.IDLE)
    desk.watch(5, 10, resting)
    desk.watch(10, 12, DEAR)
    assert desk.look(NOW + 12_000, DEAR).countdowns, "a moment between two turns is none"
    desk.watch(13, 60, resting)
    assert desk.struck == []
    assert "the condition has gone" in desk.said


REFUSED = [
    ({"refusal": "not permitted, owner=root"}, "not permitted"),
    ({"confidence": "inferred"}, "only inferred"),
    ({"confidence": ""}, "only inferred"),
    ({"shared_session_ids": ("a", "b")}, "shared daemon"),
    ({"means": Means(daemon=Ident(5, 5, 1))}, "shared daemon"),
    ({"target": None}, "shared daemon"),
]


@pytest.mark.parametrize(("plan", "why"), REFUSED)
def test_what_a_rule_must_not_touch_is_only_told(plan: dict[str, Any], why: str) -> None:
    """processes.md 116."""
    desk = Desk(cost(), **plan)
    desk.watch(0, 90, DEAR)
    assert desk.struck == []
    assert why in desk.said
    assert len(desk.told) == 1


def test_a_rule_does_not_end_a_one_shot_by_stopping_its_turn() -> None:
    desk = Desk(cost(ladder=(Step.STOP,)), rungs=(("INT", 2.0),), action=Action.INTERRUPT)
    desk.watch(0, 90, DEAR)
    assert desk.struck == []
    assert "a one-shot run ends with its turn" in desk.said


def test_a_row_that_is_inferred_is_not_hit_whatever_the_plan_says() -> None:
    desk = Desk(cost())
    desk.watch(0, 90, structs.replace(DEAR, confidence="inferred"))
    assert desk.struck == []
    assert "only inferred" in desk.said


def test_what_is_not_possible_at_first_is_tried_again_for_a_moment() -> None:
    desk = Desk(cost(), refusal="no process of this session is known")
    desk.watch(0, 3, DEAR)
    assert desk.told == []
    desk.plan_fields = {}
    assert desk.look(NOW + 3_000, DEAR).countdowns


def test_a_nested_agent_that_is_allowed_saves_the_whole_tree() -> None:
    nested = PlannedProc(Ident(11, 8, 1), ProcRole.AGENT, "claude -p", 1, "precious-1")
    desk = Desk(cost(allow=("session:precious",)), tree=(nested,))
    desk.watch(0, 60, DEAR)
    assert desk.struck == []
    assert "allow list" in desk.said


def test_a_process_that_changes_during_the_countdown_is_not_hit() -> None:
    desk = Desk(cost())
    desk.watch(0, 20, DEAR)
    desk.plan_fields = {"target": Ident(10, 8, 1)}
    desk.watch(20, 120, DEAR)
    assert desk.struck == [], "it rests"
    assert "has changed" in desk.said


def test_read_only_an_inferred_status_and_a_dry_run_send_nothing() -> None:
    """processes.md 117."""
    desk = Desk(cost(), read_only=True)
    desk.watch(0, 60, DEAR)
    assert "read-only" in desk.said
    assert (desk.struck, desk.planned) == ([], [])
    desk = Desk(rules("idle", hours=0))
    desk.watch(0, 60, row(state=State.IDLE, inferred=True))
    assert "status is only inferred" in desk.said
    assert desk.struck == []
    desk = Desk(cost(dry_run=True))
    desk.watch(0, 60, DEAR)
    assert [receipt.result for receipt in desk.kept] == ["would terminate"]
    assert desk.struck == []


@pytest.mark.parametrize(
    "fields", [{"mode": "reader"}, {"mode": "paused: disk"}, {"progress": Progress(reading=True)}]
)
def test_only_the_one_that_writes_acts_and_only_on_complete_figures(fields: dict[str, Any]) -> None:
    desk = Desk(cost())
    for second in range(60):
        desk.look(NOW + second * 1000, DEAR, **fields)
    assert (desk.struck, desk.told) == ([], [])


def test_the_cap_of_an_hour_leaves_only_words() -> None:
    """processes.md 119."""
    desk = Desk(cost(per_hour=1))
    other = row("claude:t", cost=9, pid=11)
    desk.watch(0, 40, DEAR)
    assert len(desk.struck) == 1
    desk.watch(40, 100, DEAR, other)
    assert len(desk.struck) == 1
    assert "has used up its 1 action of the hour" in desk.said


def test_countdowns_that_run_count_for_the_hour() -> None:
    desk = Desk(cost(per_hour=2))
    desk.watch(0, 60, *(row(f"claude:{at}", cost=9, pid=10 + at) for at in range(5)))
    assert len(desk.struck) == 2


def test_an_allowed_agent_below_saves_the_tree_by_its_project_too() -> None:
    nested = row("codex:n", parent_key="claude:s", depth=1, project="release", pid=11)
    desk = Desk(cost(allow=("project:release",)))
    desk.watch(0, 60, DEAR, nested)
    assert desk.struck == []
    assert "allow list" in desk.said


def test_what_was_frozen_and_not_thawed_takes_the_next_step() -> None:
    desk = Desk(cost(ladder=(Step.FREEZE, Step.TERMINATE), cooldown_minutes=5))
    desk.watch(0, 32, DEAR)
    desk.enforcer.finished(_receipt(desk.struck[0]))
    frozen = row(state=State.FROZEN)
    desk.watch(32, 6 * 60 + 10, frozen)
    assert [plan.action for plan, _ in desk.struck] == [Action.FREEZE, Action.TERMINATE]
    thawed = Desk(cost(ladder=(Step.FREEZE, Step.TERMINATE), cooldown_minutes=5))
    thawed.watch(0, 32, DEAR)
    thawed.enforcer.finished(_receipt(thawed.struck[0]))
    thawed.watch(32, 15 * 60, row(cost=9, state=State.IDLE))
    assert len(thawed.struck) == 1


def test_one_target_has_one_countdown_and_rests_until_its_receipt() -> None:
    chosen = structs.replace(cost(), burn_rate=rules("burn_rate", minutes=0).burn_rate)
    desk = Desk(chosen)
    both = row(cost=9, burn=99)
    assert len(desk.look(NOW, both).countdowns) == 1
    desk.watch(1, 120, both)
    assert len(desk.struck) == 1, "the second rule waits for what the first one does"
    desk.enforcer.finished(_receipt(desk.struck[0]))
    assert desk.look(NOW + 121_000, both).acted


def test_a_receipt_of_a_person_is_not_taken_for_the_rules() -> None:
    desk = Desk(cost())
    desk.watch(0, 40, DEAR)
    receipt = _receipt(desk.struck[0])
    desk.enforcer.finished(structs.replace(receipt, reason="manual"))
    assert desk.look(NOW + 40_000, DEAR).acted == ()
    desk.enforcer.finished(receipt)
    assert desk.look(NOW + 41_000, DEAR).acted == (receipt,)


def _receipt(struck: tuple[KillPlan, str]) -> Receipt:
    plan, reason = struck
    assert plan.target is not None
    return Receipt(
        NOW, plan.action, reason, plan.agent, plan.session_id, plan.target.pid, 7, "claude", "", "ended", "", (), (10,),
        (), 5, 1, 1, "",
    )  # fmt: skip


def test_many_hits_of_one_rule_are_one_notice() -> None:
    desk = Desk(cost(ladder=(Step.NOTIFY,)))
    desk.look(NOW, *(row(f"claude:{at}", cost=9) for at in range(20)))
    assert len(desk.told) == 1
    assert "and 19 more" in desk.said
    desk.watch(1, 20 * 60, DEAR)
    assert len(desk.told) == 2, "one that has no step left says nothing more"


# ---------------------------------------------------------------- notices

EVIL = "a\x1b]52;c;aGk=\x07b\x9bc\x1b\\d;e\n\x00\u202ef"


def test_sequences_hold_clean_text_and_nothing_else() -> None:
    notice = Notice(1, NOW, "loop", EVIL, EVIL)
    assert sequences(notice, Notify(), tmux=False) == ""
    plain = sequences(notice, Notify(osc9=True, osc777=True, bell=True), tmux=False)
    assert plain.count("\x1b") == 2
    assert plain.count("\a") == 3
    assert plain.startswith("\x1b]9;tokentop loop: ")
    assert "\x9b" not in plain
    assert "\n" not in plain
    fields = plain.split("\a")[1].removeprefix("\x1b]").split(";")
    assert fields[:2] == ["777", "notify"]
    assert len(fields) == 4
    tmux = sequences(notice, Notify(osc9=True), tmux=True)
    assert tmux.startswith("\x1bPtmux;\x1b\x1b]9;")
    assert tmux.endswith("\a\x1b\\")
    assert tmux.count("\x1b") == 4


def test_the_desktop_gets_arguments_and_no_script(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    notice = Notice(1, NOW, "loop", "-x\x1b", '<b>" & do shell script "x"')
    monkeypatch.setenv("PATH", str(tmp_path))
    assert desktop_command(notice) == []
    for name in ("osascript", "notify-send"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
        argv = desktop_command(notice)
        assert argv[0] == str(tmp_path / name)
        assert argv[-2].startswith("tokentop loop: -x")
        assert not any("do shell" in part for part in argv[:-1])
    assert argv[-3] == "--"
    assert argv[-1].startswith("&lt;b&gt;")


def test_so_many_in_a_minute_and_not_more_also_when_the_clock_goes_back() -> None:
    limiter = Limiter(2)
    assert [limiter.allows(NOW + at) for at in (0, 1, 2)] == [True, True, False]
    assert limiter.allows(NOW + MINUTE + 1)
    assert limiter.allows(NOW - 3_600_000)
