"""Several plans at once on real processes: one look, nothing signalled twice, a receipt for each."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.fake_agents.world import IGNORE_TERM, SLEEP, SPECS, World, agents, is_alive, now_ms, row
from tests.test_procs_kill import nested
from tokentop.nouns.actions import Action, KillPlan, PlannedProc, Receipt, Rung
from tokentop.nouns.processes import Ident, ProcRole
from tokentop.procs import execute
from tokentop.procs.batch import arrange, carry_out


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def side_by_side(plans):
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda plan: execute(plan, now_ms=now_ms, agents=SPECS), plans))


def plans_of(world, procs, action=Action.TERMINATE):
    return world.watcher.plan_many([world.row(proc) for proc in procs], action, now_ms())


def test_many_agents_that_ignore_term_are_ended_side_by_side_with_a_receipt_each(world):
    """The grace period runs once for all: the first KILL of one comes before the last one has ended."""
    fakes = [world.claude(ignore=["TERM"], children=[{"argv": IGNORE_TERM}]) for _ in range(6)]
    beside = world.claude(children=[{"argv": SLEEP}])
    mine = [proc for proc in agents(world.tick()) if proc.ident.pid != beside.pid]
    plans = plans_of(world, mine)
    plans = [msgspec.structs.replace(plan, rungs=(("TERM", 0.5), ("KILL", 2.0))) for plan in plans]
    receipts = carry_out(plans, side_by_side)
    assert [receipt.pid for receipt in receipts] == [proc.ident.pid for proc in mine]
    for fake, receipt in zip(
        fakes, sorted(receipts, key=lambda r: [f.pid for f in fakes].index(r.pid)), strict=True
    ):
        assert receipt.result == "ended"
        assert [rung.signal for rung in receipt.rungs if rung.pid == fake.pid] == ["TERM", "KILL"]
        assert set(receipt.ended_pids) >= {fake.pid, fake.children[0]}
        assert not is_alive(fake.pid)
        assert not is_alive(fake.children[0])
    begun = [min(rung.at_ms for rung in receipt.rungs) for receipt in receipts]
    done = [max(rung.at_ms for rung in receipt.rungs) for receipt in receipts]
    assert max(begun) < min(done)
    assert is_alive(beside.pid)
    assert is_alive(beside.children[0])


def test_a_nested_agent_ends_with_its_parent_and_is_signalled_once(world):
    outer, inner = nested(world)
    procs = {proc.session_id: proc for proc in agents(world.tick())}
    plans = plans_of(world, [procs[inner], procs[outer]])
    assert plans[0].through == procs[outer].ident
    assert plans[1].through is None
    child, parent = carry_out(plans, side_by_side)
    pid = procs[inner].ident.pid
    assert (child.session_id, child.pid, child.result) == (inner, pid, "ended")
    assert child.detail == f"ended with claude {procs[outer].ident.pid}"
    terms = [
        rung for rung in parent.rungs if rung.pid == pid and rung.signal == "TERM" and rung.result == "sent"
    ]
    assert len(terms) == 1
    assert set(child.rungs) == {rung for rung in parent.rungs if rung.pid == pid}
    assert pid in parent.ended_pids
    assert not is_alive(pid)


def test_stopping_turns_or_freezing_touches_each_of_them_itself(world):
    outer, inner = nested(world)
    procs = {proc.session_id: proc for proc in agents(world.tick())}
    plans = plans_of(world, [procs[outer], procs[inner]], Action.FREEZE)
    assert [plan.through for plan in plans] == [None, None]
    assert [receipt.result for receipt in carry_out(plans, side_by_side)] == ["frozen", "frozen"]


def test_one_that_exits_before_the_yes_is_already_gone(world):
    """processes.md case 114."""
    fakes = [world.claude() for _ in range(3)]
    plans = plans_of(world, agents(world.tick()))
    fakes[1].process.kill()
    fakes[1].process.wait()
    receipts = {receipt.pid: receipt.result for receipt in carry_out(plans, side_by_side)}
    assert receipts == {fakes[0].pid: "ended", fakes[1].pid: "already gone", fakes[2].pid: "ended"}


def test_an_inferred_process_and_a_row_that_is_gone_are_left_out_with_the_reason(world):
    fake = world.claude()
    (proc,) = agents(world.tick())
    guessed = msgspec.structs.replace(
        world.watcher.plan(world.row(proc), Action.TERMINATE, now_ms()), confidence="inferred"
    )
    (plan,) = arrange([guessed])
    assert "inferred" in plan.refusal
    assert plan.rungs == ()
    gone = row("claude", str(uuid.uuid4()), key="proc:4194000:12")
    there, away = world.watcher.plan_many([world.row(proc), gone], Action.TERMINATE, now_ms())
    assert (there.refusal, away.refusal) == ("", "already gone")
    assert is_alive(fake.pid)


# ---------------------------------------------------------------- without processes


def ident(pid):
    return Ident(pid, pid * 10, 1000, "boot", "/bin/claude", "claude")


def plan(pid, below=(), **more):
    fields = {
        "action": Action.TERMINATE, "agent": "claude", "session_id": f"s{pid}", "title": "", "project": "", "cwd": "",
        "target": ident(pid), "command": "", "confidence": "exact", "rungs": (("TERM", 1.0),),
        "tree": tuple(PlannedProc(ident(one), ProcRole.AGENT, "", 1) for one in below), "wrapper": None,
        "cost_nusd": None, "burn_nusd_per_h": None, "resume": "",
    }  # fmt: skip
    return KillPlan(**(fields | more))


def answer(acted, ended, result="ended"):
    def act(plans):
        acted.append([one.target.pid for one in plans])
        return [
            Receipt(
                1, one.action, "manual", "claude", one.session_id, one.target.pid, one.target.start_ticks, "", "",
                result, "", (Rung(one.target.pid, "TERM", 1, "sent"),), tuple(ended.get(one.target.pid, ())), (), 5,
                None, None, "",
            )
            for one in plans
        ]  # fmt: skip

    return act


def test_the_outermost_of_three_is_acted_on_wherever_it_stands():
    plans = arrange([plan(3), plan(1, (2, 3)), plan(2, (3,))])
    assert [one.through for one in plans] == [ident(1), None, ident(1)]
    acted = []
    receipts = carry_out(plans, answer(acted, {1: (1, 2, 3)}))
    assert acted == [[1]]
    assert [one.result for one in receipts] == ["ended"] * 3
    assert receipts[2].ended_pids == (2, 3)


def test_what_its_parent_did_not_reach_gets_its_own_turn():
    plans = arrange([plan(1, (2,)), plan(2)])
    acted = []
    receipts = carry_out(plans, answer(acted, {1: (1,), 2: (2,)}))
    assert acted == [[1], [2]]
    assert [one.pid for one in receipts] == [1, 2]


def test_a_refused_parent_covers_nothing_and_two_rows_of_one_process_are_one():
    refused = plan(1, (2,), refusal="not permitted, owner=root")
    assert [one.through for one in arrange([refused, plan(2)])] == [None, None]
    twice = arrange([plan(4), plan(4, session_id="other")])
    assert [one.through for one in twice] == [None, ident(4)]
    acted = []
    one, other = carry_out(twice, answer(acted, {4: (4,)}))
    assert acted == [[4]]
    assert other.detail == "the same process as claude 4"
    assert (one.result, other.result) == ("ended", "ended")


def test_trees_that_name_each_other_do_not_hang_and_one_of_them_is_acted_on():
    plans = arrange([plan(1, (2,)), plan(2, (1,))])
    acted = []
    carry_out(plans, answer(acted, {1: (1, 2), 2: (1, 2)}))
    assert len(acted[0]) == 1
