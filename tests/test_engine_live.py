"""The live state: which rows there are, the tree, sums, replacement, alerts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine_build import NOW, START, act, agent_proc, child, rows_of, session, spent, sub_agent, usage
from tokentop.engine.binding import LINGER_MS
from tokentop.engine.live import LiveState
from tokentop.engine.rules import NUSD, Thresholds
from tokentop.engine.snapshot import take
from tokentop.engine.status import LOG_ONLY_MS
from tokentop.nouns.money import Budget, Quota
from tokentop.nouns.processes import Ident, ProcRole
from tokentop.nouns.sessions import Context, Role, State
from tokentop.nouns.usage import Figures
from tokentop.text import clock_near


def test_a_process_without_a_log_is_a_row() -> None:
    live = LiveState()
    live.set_procs((agent_proc(11, ""), agent_proc(12, "named")), NOW)
    rows = rows_of(live)
    assert set(rows) == {"proc:11:1100", "claude:named"}
    assert {r.title for r in rows.values()} == {"no log yet"}
    assert {r.pid for r in rows.values()} == {11, 12}
    assert {r.context_used for r in rows.values()} == {None}


def test_a_log_without_a_process_is_a_row_for_15_minutes_and_then_done() -> None:
    live = LiveState()
    live.load_session(session(last_ms=NOW), Figures())
    live.apply_activity(act(State.IDLE, 0))
    row = rows_of(live, NOW + LOG_ONLY_MS - 1)["claude:s"]
    assert (row.pid, row.status.state, row.status.inferred) == (None, State.IDLE, True)
    assert rows_of(live, NOW + LOG_ONLY_MS)["claude:s"].status.state is State.DONE
    assert rows_of(live, NOW + LOG_ONLY_MS + LINGER_MS) == {}


def test_an_ended_process_lingers_for_10_s_and_does_not_come_back_as_a_log() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    live.set_procs((agent_proc(), agent_proc(11, "")), NOW)
    live.set_procs((), NOW)
    states = {key: row.status.state for key, row in rows_of(live, NOW + LINGER_MS - 1).items()}
    assert states == {"claude:s": State.DONE, "proc:11:1100": State.DONE}
    live.set_procs((), NOW + LINGER_MS)
    assert rows_of(live, NOW + LINGER_MS) == {}


def test_a_process_that_gets_its_log_changes_into_its_session() -> None:
    live = LiveState()
    live.set_procs((agent_proc(10, ""),), NOW)
    live.set_procs((agent_proc(10, "s"),), NOW + 1)
    assert set(rows_of(live, NOW + 1)) == {"claude:s"}


def test_two_processes_on_one_session_are_two_rows() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    live.set_procs((agent_proc(10), agent_proc(11, started_ms=NOW)), NOW)
    rows = rows_of(live)
    assert {key: row.pid for key, row in rows.items()} == {"claude:s": 11, "proc:10:1000": 10}
    assert rows["proc:10:1000"].title == "also runs: title of s"


def test_a_daemon_lends_its_pid_to_its_sessions_and_is_no_row() -> None:
    live = LiveState()
    daemon = agent_proc(50, "", agent="codex", role=ProcRole.DAEMON, shared_session_ids=("a", "b"))
    for sid in "ab":
        live.load_session(session(sid, "codex"), Figures())
    live.set_procs((daemon,), NOW)
    rows = rows_of(live)
    assert {key: row.pid for key, row in rows.items()} == {"codex:a": 50, "codex:b": 50}
    assert "lives in a daemon with 2 sessions" in rows["codex:a"].notes


def test_a_daemon_with_a_thread_that_has_no_log_yet_is_no_row_beside_its_client() -> None:
    """A terminal client opens its thread in the daemon before the first prompt; no log and no row say whose."""
    live = LiveState()
    daemon = agent_proc(50, "", agent="codex", role=ProcRole.DAEMON, shared_session_ids=("a",))
    live.set_procs((daemon, agent_proc(51, "", agent="codex")), NOW)
    assert [row.pid for row in rows_of(live).values()] == [51]
    live.load_session(session("a", "codex"), Figures())
    live.set_procs((daemon, agent_proc(51, "a", agent="codex")), NOW)
    assert {key: row.pid for key, row in rows_of(live).items()} == {"codex:a": 51}


def test_a_session_whose_client_is_gone_lives_in_its_daemon_until_its_turn_ends() -> None:
    live = LiveState()
    live.load_session(session("a", "codex"), Figures())
    fields = {"agent": "codex", "role": ProcRole.DAEMON, "shared_session_ids": ("a",)}
    live.set_procs((agent_proc(50, "", **fields), agent_proc(51, "a", agent="codex")), NOW - 3_000)
    live.apply_activity(act(State.WORKING, 9_000, "a", "codex"))
    left = agent_proc(50, "", left_session_ids=("a",), **fields)
    live.set_procs((left,), NOW - 2_000)
    row = rows_of(live)["codex:a"]
    assert (row.status.state, row.pid) == (State.WORKING, 50)
    live.apply_activity(act(State.IDLE, 1_000, "a", "codex"))
    live.set_procs((left,), NOW)
    row = rows_of(live)["codex:a"]
    assert (row.status.state, row.status.since_ms, row.pid) == (State.DONE, NOW, None)
    live.set_procs((left,), NOW + LINGER_MS)
    assert rows_of(live, NOW + LINGER_MS) == {}
    live.apply_activity(act(State.WORKING, -20_000, "a", "codex"))
    live.set_procs((left,), NOW + 20_000)
    assert rows_of(live, NOW + 20_000)["codex:a"].status.state is State.WORKING, "a turn started by itself"


def test_a_session_whose_client_left_before_we_looked_is_not_shown_as_alive() -> None:
    live = LiveState()
    live.load_session(session("a", "codex"), Figures())
    live.apply_activity(act(State.IDLE, 60_000, "a", "codex"))
    fields = {"shared_session_ids": ("a",), "left_session_ids": ("a",)}
    live.set_procs((agent_proc(50, "", agent="codex", role=ProcRole.DAEMON, **fields),), NOW)
    assert rows_of(live) == {}


def test_a_left_session_stays_while_a_sub_agent_of_it_is_in_a_turn() -> None:
    live = LiveState()
    live.load_session(session("a", "codex"), Figures())
    live.load_session(session("k", "codex", role=Role.SUB_AGENT, parent_id="a"), Figures())
    live.apply_activity(act(State.IDLE, 60_000, "a", "codex"))
    live.apply_activity(act(State.WORKING, 50_000, "k", "codex"))
    fields = {"shared_session_ids": ("a", "k"), "left_session_ids": ("a",)}
    live.set_procs((agent_proc(50, "", agent="codex", role=ProcRole.DAEMON, **fields),), NOW)
    assert rows_of(live)["codex:a"].status.state is State.WORKING


def test_a_client_and_its_daemon_are_one_row_with_the_daemons_tools() -> None:
    live = LiveState()
    live.load_session(session("a", "codex"), Figures())
    daemon = agent_proc(
        50, "", agent="codex", role=ProcRole.DAEMON, shared_session_ids=("a",), children=(child(ppid=50),)
    )
    live.set_procs((daemon, agent_proc(51, "a", agent="codex")), NOW)
    live.apply_activity(act(State.TOOL, 9_000, "a", "codex", tool="exec"))
    rows = rows_of(live)
    assert [(r.kind, r.pid) for r in rows.values()] == [("agent", 51), ("tool", 20)]
    assert rows["codex:a"].status.state is State.TOOL


def test_a_daemon_with_tools_of_some_session_makes_no_prompt_of_an_open_tool_call() -> None:
    live = LiveState()
    daemon = agent_proc(
        50, "", agent="codex", role=ProcRole.DAEMON, shared_session_ids=("a", "b"), children=(child(ppid=50),)
    )
    for sid in "ab":
        live.apply_activity(act(State.TOOL, 9_000, sid, "codex", tool="exec"))
    live.set_procs((daemon,), NOW)
    assert {r.status.state for r in rows_of(live).values()} == {State.TOOL}


def test_sub_agents_leave_with_the_process_of_their_parent() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    live.load_session(sub_agent("s/a", last_ms=NOW), Figures())
    live.load_session(sub_agent("s/b", "s/a", last_ms=NOW), Figures())
    live.set_procs((agent_proc(),), NOW)
    assert len(rows_of(live)) == 3
    live.set_procs((), NOW)
    assert {r.status.state for r in rows_of(live).values()} == {State.DONE}
    assert rows_of(live, NOW + LINGER_MS) == {}


def test_a_session_of_which_only_the_store_and_a_process_tell_is_idle_by_inference() -> None:
    live = LiveState()
    live.set_procs((agent_proc(), agent_proc(11, "")), NOW)
    live.load_session(session(last_ms=START), Figures())
    status = rows_of(live)["claude:s"].status
    assert (status.state, status.inferred) == (State.IDLE, True)


def test_sub_agents_hang_below_their_parent_and_roll_up() -> None:
    live = LiveState()
    live.load_session(session(), spent(100))
    live.load_session(sub_agent("s/a"), spent(20))
    live.load_session(sub_agent("s/b", "s/a"), spent(3))
    live.set_procs((agent_proc(),), NOW)
    for event_id, sid in enumerate(("s", "s/a", "s/b")):
        live.apply_usage(usage(event_id, sid, 1_000))
    rows = rows_of(live)
    assert [(r.key, r.depth, r.parent_key, r.kind) for r in rows.values()] == [
        ("claude:s", 0, "", "agent"),
        ("claude:s/a", 1, "claude:s", "sub-agent"),
        ("claude:s/b", 2, "claude:s/a", "sub-agent"),
    ]
    assert [r.own.cost_nusd for r in rows.values()] == [100, 20, 3]
    assert [r.tree.cost_nusd for r in rows.values()] == [123, 23, 3]
    assert [r.tree.tokens_per_min for r in rows.values()] == [300, 200, 100]
    assert [r.sub_agents for r in rows.values()] == [2, 1, 0]
    assert [r.pid for r in rows.values()] == [10, None, None]


def test_a_nested_agent_of_another_vendor_hangs_below_the_session_that_started_it() -> None:
    live = LiveState()
    live.load_session(session("outer", "codex"), spent(5))
    live.load_session(session("inner"), spent(7))
    outer = agent_proc(10, "outer", agent="codex")
    live.set_procs((outer, agent_proc(11, "inner", parent_session_id="outer")), NOW)
    rows = rows_of(live)
    inner = rows["claude:inner"]
    assert (inner.parent_key, inner.depth, inner.kind) == ("codex:outer", 1, "agent")
    assert rows["codex:outer"].tree.cost_nusd == 12
    assert rows["codex:outer"].status.detail != "1 sub-agent"


def test_tools_that_live_longer_than_2_s_are_rows_and_shells_give_way_to_their_child() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    tools = (
        child(20, command="/bin/zsh -c x"),
        child(21, ppid=20, command="python -m pytest"),
        child(30, age_ms=1_500),
        child(40, role=ProcRole.MCP),
    )
    live.set_procs((agent_proc(children=tools),), NOW)
    rows = rows_of(live)
    assert [(r.key, r.kind, r.depth) for r in list(rows.values())[1:]] == [("proc:21:2100", "tool", 1)]
    assert rows["proc:21:2100"].status.detail == "pytest"


def test_an_orphan_is_a_row_and_keeps_no_session_alive() -> None:
    live = LiveState()
    live.set_procs((agent_proc(70, "old", role=ProcRole.ORPHAN, command="node server.js"),), NOW)
    rows = rows_of(live)
    assert set(rows) == {"proc:70:7000"}
    row = rows["proc:70:7000"]
    assert (row.kind, row.status.state, row.title) == ("orphan", State.ORPHAN, "node server.js")


def test_finished_sub_agents_of_a_living_parent_stay_but_many_fold() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    for number in range(9):
        live.load_session(sub_agent(f"s/{number}"), spent(1))
        live.apply_activity(act(State.IDLE, 9_000 - number, f"s/{number}"))
    live.set_procs((agent_proc(),), NOW)
    assert rows_of(live, NOW + 900_000)["claude:s"].sub_agents == 9
    rows = rows_of(live, NOW)
    assert [k for k in rows if "/" in k] == ["claude:s/7", "claude:s/8"]
    assert rows["claude:s"].sub_agents == 9
    assert rows["claude:s"].tree.cost_nusd == 9
    assert "7 finished sub-agents folded" in rows["claude:s"].notes
    assert [k for k in rows_of(live, NOW + 3_600_000) if "/" in k] == []


def test_a_sub_agent_left_open_by_an_earlier_process_is_done() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    live.load_session(sub_agent("s/a", last_ms=NOW - 120_000), Figures())
    live.apply_activity(act(State.WORKING, 120_000, "s/a", call_id="x"))
    live.set_procs((agent_proc(started_ms=NOW - 60_000),), NOW)
    assert rows_of(live)["claude:s/a"].status.state is State.DONE


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), max_size=30), st.integers(0, 9))
@settings(max_examples=80)
def test_cycles_in_hostile_logs_end_and_every_session_stays_visible_once(
    edges: list[tuple[int, int]], alive: int
) -> None:
    live = LiveState()
    parents = dict(edges)
    for number, parent in parents.items():
        live.load_session(sub_agent(str(number), str(parent), last_ms=NOW), spent(1 << number))
    live.set_procs((agent_proc(10, str(alive)),), NOW)
    rows = take(live, NOW).rows
    keys = [r.key for r in rows]
    assert len(keys) == len(set(keys))
    assert {f"claude:{n}" for n in parents} <= set(keys)
    assert sum(r.tree.cost_nusd for r in rows if not r.parent_key) == sum(1 << n for n in parents)
    for row in rows:
        below = [r for r in rows if r.parent_key == row.key]
        assert row.tree.cost_nusd == row.own.cost_nusd + sum(r.tree.cost_nusd for r in below)


def test_a_chain_of_2000_sub_agents_costs_no_recursion() -> None:
    live = LiveState()
    for number in range(2_000):
        live.load_session(sub_agent(str(number + 1), str(number), last_ms=NOW), spent(1))
    rows = rows_of(live)
    assert rows["claude:1"].tree.cost_nusd == 2_000


def test_a_fork_of_an_ended_session_does_not_bring_it_back() -> None:
    live = LiveState()
    live.load_session(session("old", last_ms=START), spent(9))
    live.load_session(session("fork", parent_id="old", role=Role.FORK), spent(1))
    live.set_procs((agent_proc(10, "fork"),), NOW)
    rows = rows_of(live)
    assert set(rows) == {"claude:fork"}
    assert rows["claude:fork"].kind == "agent"


def test_a_session_is_an_upsert_and_can_change_its_parent() -> None:
    live = LiveState()
    live.load_session(session("p"), Figures())
    live.load_session(session("q"), Figures())
    live.set_procs((agent_proc(1, "p"), agent_proc(2, "q")), NOW)
    live.load_session(sub_agent("x", "p"), spent(1))
    live.load_session(sub_agent("x", "q"), spent(2))
    rows = rows_of(live)
    assert (rows["claude:p"].tree.cost_nusd, rows["claude:q"].tree.cost_nusd) == (0, 2)


def test_a_revision_grows_with_each_change_and_not_without() -> None:
    live = LiveState()
    seen = [live.revision]
    for change in (
        lambda: live.load_session(session(), Figures()),
        lambda: live.apply_usage(usage(1)),
        lambda: live.apply_activity(act(State.IDLE)),
        lambda: live.apply_context(Context("claude", "s", NOW, 10)),
        lambda: live.set_procs((agent_proc(),), NOW),
        lambda: live.set_today(spent(1)),
    ):
        change()
        seen.append(live.revision)
    assert seen == sorted(set(seen))
    live.set_procs((agent_proc(),), NOW + 1)
    assert live.revision == seen[-1]


def test_the_newest_reading_of_each_quota_window_counts() -> None:
    live = LiveState()
    for at_ms, used, window in ((5, 50.0, 300), (4, 40.0, 300), (1, 10.0, 10_080)):
        live.apply_quota(Quota("anthropic", "me", window, "five_hour", used, 0, "log", at_ms))
    assert [(q.window_minutes, q.used_pct) for q in take(live, NOW).quotas] == [(300, 50.0), (10_080, 10.0)]


def test_counts_are_of_agents_and_totals_are_not_counted_twice_in_the_tree() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    live.load_session(sub_agent("s/a"), Figures())
    live.set_procs((agent_proc(children=(child(),)), agent_proc(70, "", role=ProcRole.ORPHAN)), NOW)
    live.apply_activity(act(State.WORKING, 1_000, "s/a"))
    live.apply_usage(usage(1, "s", 1_000))
    live.apply_usage(usage(2, "s/a", 1_000))
    live.set_today(spent(77))
    picture = take(live, NOW)
    assert sum(n for _, n in picture.counts) == 2
    assert picture.totals.tokens_per_min == 200
    assert picture.totals.cost_nusd == 77


def test_titles_off_shows_ids_and_the_resume_command_is_filled_in() -> None:
    live = LiveState(titles=False, resume={"claude": "claude --resume {session_id}"})
    live.load_session(session("0123456789"), Figures())
    live.set_procs((agent_proc(10, "0123456789"),), NOW)
    row = rows_of(live)["claude:0123456789"]
    assert (row.title, row.resume) == ("01234567", "claude --resume 0123456789")


def test_the_context_window_comes_from_the_log_or_else_from_the_model() -> None:
    live = LiveState(window_of=lambda agent, model: 1_000 if model == "opus" else 0)
    live.set_procs((agent_proc(),), NOW)
    live.apply_usage(usage(1))
    live.apply_context(Context("claude", "s", NOW, 910))
    live.apply_context(Context("claude", "s", NOW - 1, 5))
    picture = take(live, NOW)
    assert (picture.rows[0].context_used, picture.rows[0].context_window) == (910, 1_000)
    assert [a.kind for a in picture.alerts] == ["context"]


def test_alerts_runaway_after_5_minutes_unpriced_lost_limited_permission() -> None:
    live = LiveState(thresholds=Thresholds(runaway_nusd_per_h=10 * NUSD))
    live.set_procs((agent_proc(state=State.PERMISSION, state_since_ms=NOW), agent_proc(11, "t")), NOW)
    kinds = []
    for minute in range(7):
        at = NOW + minute * 60_000
        for part in range(6):
            event = usage(minute * 6 + part, "s", 0, NUSD)
            moved = event.usage.__class__(**{**_fields(event.usage), "at_ms": at - part * 10_000})
            live.apply_usage(event.__class__(event.id, moved, event.cost_nusd))
        kinds.append({a.kind for a in take(live, at).alerts})
    assert "runaway" not in kinds[4]
    assert "runaway" in kinds[6]
    live.apply_usage(usage(99, "t", 0, None))
    live.apply_activity(act(State.LIMITED, -1, "t", detail="5 h limit"))
    live.set_budgets((budget(1, 2),))
    kinds.append({a.kind for a in take(live, NOW + 420_000).alerts})
    assert {"permission", "unpriced", "limited", "budget"} <= kinds[-1]


def budget(
    amount: float, spent_usd: float, exhausted_ms: int = 0, period: str = "day", name: str = ""
) -> Budget:
    return Budget(
        "project" if name else "all", name, period, round(amount * NUSD), round(spent_usd * NUSD), None,
        exhausted_ms, NOW - 3_600_000, NOW + 3_600_000,
    )  # fmt: skip


def test_budgets_alert_at_80_and_at_100_per_cent() -> None:
    live = LiveState()
    live.set_budgets(
        (budget(100, 79.9), budget(200, 164, NOW + 60_000, "week"), budget(50, 50, 0, "day", "api"))
    )
    texts = [(a.kind, a.text) for a in take(live, NOW).alerts]
    clock = clock_near(NOW + 60_000, NOW)
    assert texts == [
        ("budget", "over the budget of the day of project api: $50.00 of $50.00"),
        ("budget", f"82 % of the budget of the week: $164.00 of $200.00, exhausted at {clock}"),
    ]


def test_a_budget_of_a_period_that_is_over_is_silent() -> None:
    live = LiveState()
    live.set_budgets((budget(100, 500),))
    assert [a.kind for a in take(live, NOW + 3_599_999).alerts] == ["budget"]
    assert take(live, NOW + 3_600_000).alerts == ()


def _fields(struct: object) -> dict[str, object]:
    return {name: getattr(struct, name) for name in struct.__struct_fields__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("start_ticks", [1, 2])
def test_a_reused_pid_is_another_process(start_ticks: int) -> None:
    live = LiveState()
    live.set_procs((agent_proc(10, "", ident=Ident(10, 1, 1000)),), NOW)
    live.set_procs((agent_proc(10, "", ident=Ident(10, start_ticks, 1000)),), NOW)
    states = {k: r.status.state for k, r in rows_of(live).items()}
    assert (states["proc:10:1"] is State.DONE) is (start_ticks == 2)


def test_a_launcher_is_not_left_as_ended_when_its_worker_is_the_row() -> None:
    live = LiveState()
    launcher = agent_proc(10, "")
    live.set_procs((launcher,), NOW)
    live.set_procs((agent_proc(11, "", wrapper=launcher.ident),), NOW + 1_000)
    assert set(rows_of(live, NOW + 1_000)) == {"proc:11:1100"}
    live.set_procs((), NOW + 2_000)
    assert [row.status.state for row in rows_of(live, NOW + 2_000).values()] == [State.DONE]


def test_a_piped_child_that_began_with_the_logs_tool_is_that_tool_and_an_older_one_is_not() -> None:
    live = LiveState()
    live.load_session(session(), Figures())
    live.apply_activity(act(State.TOOL, 10_000, tool="Bash"))
    server = child(20, ProcRole.MCP, age_ms=60_000)
    live.set_procs((agent_proc(children=(server,)),), NOW)
    assert rows_of(live)["claude:s"].status.state is State.PERMISSION
    tool = child(21, ProcRole.MCP, age_ms=9_900, command="make all")
    live.set_procs((agent_proc(children=(server, tool)),), NOW)
    rows = rows_of(live)
    assert (rows["claude:s"].status.state, rows["claude:s"].status.inferred) == (State.TOOL, False)
    assert [row.title for row in rows.values() if row.kind == "tool"] == ["make all"]
    assert [c.role for c in rows["claude:s"].children] == [ProcRole.MCP, ProcRole.TOOL]


def test_a_process_without_a_terminal_is_in_no_pane_whatever_its_environment_names() -> None:
    """What outlives its agent keeps the name of the pane, also when that is closed."""
    live = LiveState()
    orphan = {"role": ProcRole.ORPHAN, "state": State.ORPHAN, "tmux": "/tmp/tmux-0/default,%3"}
    live.set_procs((agent_proc(20, "", **orphan), agent_proc(21, "", tty="/dev/pts/4", **orphan)), NOW)
    assert sorted(row.where for row in rows_of(live).values()) == ["", "tmux %3"]


def test_a_session_that_grew_by_records_without_usage_is_as_young_as_these() -> None:
    live = LiveState()
    live.load_session(session(last_ms=NOW - 60_000), Figures())
    live.apply_activity(act(State.WORKING, 5_000))
    assert live.grown(session(last_ms=NOW - 60_000)).last_ms == NOW - 5_000
    assert live.grown(session("unknown", last_ms=7)).last_ms == 7


def test_a_launcher_that_outlives_its_worker_for_a_moment_is_no_row() -> None:
    live = LiveState()
    launcher = agent_proc(10, "")
    live.load_session(session(), Figures())
    live.set_procs((agent_proc(11, wrapper=launcher.ident),), NOW)
    live.set_procs((launcher,), NOW + 1_000)
    assert {key: row.status.state for key, row in rows_of(live, NOW + 1_000).items()} == {
        "claude:s": State.DONE
    }
    live.set_procs((), NOW + 2_000)
    assert set(rows_of(live, NOW + 2_000)) == {"claude:s"}
    live.set_procs((launcher,), NOW + 2_000 + LINGER_MS)
    assert set(rows_of(live, NOW + 2_000 + LINGER_MS)) == {"proc:10:1000"}, (
        "it stays: it is at something else"
    )


def test_a_log_that_is_written_at_the_end_of_its_process_ends_with_it() -> None:
    live = LiveState()
    live.set_procs((agent_proc(10, "", started_ms=NOW - 20_000),), NOW)
    live.set_procs((), NOW + 1_000)
    live.load_session(session(first_ms=NOW, last_ms=NOW + 1_500), Figures())
    live.load_session(session("else", cwd="/w/else", first_ms=NOW, last_ms=NOW), Figures())
    live.load_session(session("old"), Figures())
    live.set_procs((), NOW + 2_000)
    rows = rows_of(live, NOW + 2_000)
    assert (rows["claude:s"].status.state, rows["claude:s"].status.inferred) == (State.DONE, False)
    assert "proc:10:1000" not in rows, "one row of it is enough"
    assert {key for key, row in rows.items() if row.status.state is not State.DONE} == {
        "claude:else", "claude:old"
    }  # fmt: skip
    live.set_procs((), NOW + 2_000 + LINGER_MS)
    assert "claude:s" not in rows_of(live, NOW + 2_000 + LINGER_MS)


def test_a_limit_tells_when_it_is_full_at_the_recent_pace() -> None:
    live = LiveState()
    hour = 3_600_000
    for ago, used in ((2, 20.0), (1, 40.0), (0, 60.0)):
        live.apply_quota(Quota("codex", "", 300, "codex", used, NOW + 4 * hour, "log", NOW - ago * hour))
    (limit,) = take(live, NOW).quotas
    assert (limit.used_pct, limit.full_at_ms) == (60.0, NOW + 2 * hour)
    live.apply_quota(Quota("codex", "", 300, "codex", 61.0, NOW + hour, "log", NOW + 1))
    assert take(live, NOW + 1).quotas[0].full_at_ms == 0  # it is reset before
