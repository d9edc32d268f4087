"""The table's state without a terminal: selection by key, still order, folds, filter, pause."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.ui import build
from tokentop.nouns.picture import Alert, Row
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Average, Figures
from tokentop.text import short_model
from tokentop.ui import remembered
from tokentop.ui.cells import Scene
from tokentop.ui.columns import AS_DECLARED, BY_ID
from tokentop.ui.filtering import FilterError
from tokentop.ui.ordering import Order
from tokentop.ui.rowline import _group
from tokentop.ui.view import View


def fed(*rows: Row, revision: int = 1) -> View:
    view = View()
    view.feed(build.snapshot(rows, revision))
    return view


def keys(view: View) -> list[str]:
    return [line.key for line in view.lines]


def rated(**rates: float) -> tuple[Row, ...]:
    return tuple(build.row(key, rate=rate) for key, rate in rates.items())


def test_the_cursor_stays_on_its_key_when_the_order_is_reversed() -> None:
    """Conformance 1."""
    view = fed(*(build.row(f"r{at:02d}", rate=1000.0 - at * 10) for at in range(50)))
    view.cursor = "r02"
    assert view.index["r02"] == 2
    view.order.sort_by(view.order.sort_id)
    view.rebuild()
    assert view.cursor == "r02"
    assert view.index["r02"] == 47


def test_a_row_that_leaves_hands_the_cursor_to_its_old_neighbour() -> None:
    """Conformance 2."""
    rows = rated(a=900, b=700, c=500, d=300)
    view = fed(*rows)
    view.cursor = "c"
    view.feed(build.snapshot((rows[0], rows[1], rows[3]), 2))
    assert view.cursor == "d"
    view.feed(build.snapshot((rows[0], rows[1]), 3))
    assert view.cursor == "b"
    view.feed(build.snapshot((), 4))
    assert view.cursor is None


def test_nothing_moves_while_a_dialog_is_open_but_values_stay_live() -> None:
    """Conformance 3."""
    rows = rated(a=900, b=700)
    view = fed(*rows)
    view.cursor = "b"
    view.set_held(True)
    newer = (*rated(x=9000, y=8000, b=70_000), rows[0])
    moved = view.feed(build.snapshot(newer, 9))
    assert keys(view) == ["a", "b"]
    assert not moved.structure
    assert view.rows["b"].tree.tokens_per_min == 70_000
    view.set_held(False)
    assert set(keys(view)) == {"a", "b", "x", "y"}
    assert view.cursor == "b"


def test_two_rates_within_five_per_cent_never_swap() -> None:
    """Conformance 4."""
    view = fed(*rated(a=103, b=100))
    for second in range(1, 30):
        a, b = (100, 103) if second % 2 else (103, 100)
        view.feed(build.snapshot(rated(a=a, b=b), second))
        assert keys(view) == ["a", "b"]


def test_a_clear_lead_moves_up_once_and_only_when_a_re_rank_is_due() -> None:
    """Conformance 4."""
    view = fed(*rated(a=120, b=100), revision=1)
    orders = []
    for second in range(2, 9):
        view.feed(build.snapshot(rated(a=100, b=120), second))
        orders.append(keys(view))
    assert orders[:2] == [["a", "b"]] * 2
    assert orders[2:] == [["b", "a"]] * 5


def test_a_pause_counts_changes_and_ends_at_now() -> None:
    """Conformance 5."""
    view = fed(*rated(a=1, b=2))
    view.set_paused(True)
    for at in range(40):
        view.feed(build.snapshot(rated(a=10 + at, b=2), at + 2))
    assert view.changes == 40
    assert view.rows["a"].tree.tokens_per_min == 1
    changed = view.set_paused(False)
    assert view.rows["a"].tree.tokens_per_min == 49
    assert "a" in changed.keys


def test_who_needs_a_human_comes_first() -> None:
    view = fed(
        build.row("idle", state=State.IDLE),
        build.row("busy", rate=5000.0),
        build.row("asks", state=State.PERMISSION),
        build.row("input", state=State.INPUT),
        build.row("broken", state=State.ERROR),
    )
    assert keys(view) == ["asks", "input", "broken", "busy", "idle"]


def test_who_spends_without_progress_stands_with_those_that_need_somebody_until_it_has_some() -> None:
    rows = (
        build.row("asks", state=State.PERMISSION),
        build.row("limited", state=State.LIMITED),
        build.row("busy", rate=5000.0),
        build.row("stuck", rate=10.0),
    )
    stuck = (Alert("no-progress", "stuck", "spends", build.NOW), Alert("context", "busy", "full", build.NOW))
    view = View()
    view.feed(build.snapshot(rows, 1, alerts=stuck))
    assert keys(view) == ["asks", "stuck", "limited", "busy"]
    view.feed(build.snapshot(rows, 10, alerts=()))
    assert keys(view) == ["asks", "limited", "busy", "stuck"]


def test_the_tree_draws_what_hangs_below_whom() -> None:
    view = fed(
        build.row("p"),
        build.row("q", rate=9.0, parent_key="p", kind="sub-agent"),
        build.row("t", parent_key="q", kind="tool"),
        build.row("r", parent_key="p", kind="sub-agent"),
    )
    assert [(line.key, line.lead) for line in view.lines] == [
        ("p", "▾ "),
        ("q", "  ├ ▾ "),
        ("t", "  │ └ "),
        ("r", "  └ "),
    ]
    view.fold("p", folded=True)
    assert [(line.key, line.lead, line.hidden) for line in view.lines] == [("p", "▸ ", 3)]


def test_folding_the_parent_of_the_cursor_leaves_the_cursor_on_a_visible_row() -> None:
    view = fed(build.row("p"), build.row("q", parent_key="p"), build.row("z", rate=0.0))
    view.cursor = "q"
    view.fold("p", folded=True)
    assert view.cursor in view.index


def test_rows_that_hang_on_each_other_are_still_shown() -> None:
    view = fed(build.row("a", parent_key="b"), build.row("b", parent_key="a"), build.row("c", parent_key="c"))
    assert view.order.arrange(list(view.rows.values()), 10**15, tree=True)
    assert "c" in view.index


def test_the_flat_list_has_every_session_and_no_tool() -> None:
    view = fed(*build.picture())
    view.set_tree(False)
    assert set(keys(view)) == {row.key for row in build.picture() if row.kind != "tool"}
    assert all(line.lead == "" for line in view.lines)


def test_a_filter_shows_matches_and_what_stands_above_them() -> None:
    view = fed(*build.picture())
    view.set_filter("pytest")
    assert [(line.key, line.match) for line in view.lines] == [("a1", False), ("a1t", True)]
    assert view.next_match(1)
    assert view.cursor == "a1t"


def test_a_bad_filter_keeps_the_last_good_one() -> None:
    """Conformance 24."""
    view = fed(*build.picture())
    view.set_filter("agent:codex")
    before = keys(view)
    with pytest.raises(FilterError):
        view.set_filter("~(")
    view.feed(build.snapshot(build.picture(), 9))
    assert keys(view) == before
    assert view.query == "agent:codex"


def test_a_filter_that_hides_the_cursor_moves_it_and_esc_shows_all() -> None:
    view = fed(*build.picture())
    view.cursor = "e1"
    view.set_filter("agent:codex")
    assert view.cursor in view.index
    view.set_filter("")
    assert len(view.lines) == len(build.picture())


@given(st.data())
def test_every_row_is_shown_once_and_parents_stand_above_children(data: st.DataObject) -> None:
    names = [f"k{at}" for at in range(data.draw(st.integers(0, 12)))]
    rows = [
        build.row(
            name, rate=data.draw(st.floats(0, 1e6)), parent_key=data.draw(st.sampled_from(["", *names[:at]]))
        )
        for at, name in enumerate(names)
    ]
    order = Order()
    order.sort_by(data.draw(st.sampled_from(["rate", "cost", "agent", "pid", "memory"])))
    random.Random(1).shuffle(rows)
    shown = [row.key for row in order.arrange(rows, 0, tree=True)]
    assert sorted(shown) == sorted(names)
    for row in rows:
        assert row.parent_key == "" or shown.index(row.parent_key) < shown.index(row.key)


@given(st.lists(st.floats(0, 1e6), max_size=12), st.lists(st.floats(0, 1e6), max_size=12))
def test_a_re_rank_never_leaves_a_clear_lead_below_its_neighbour(old: list[float], new: list[float]) -> None:
    order = Order()
    order.sort_by("rate")
    count = min(len(old), len(new))
    order.arrange([build.row(f"k{at}", rate=old[at]) for at in range(count)], 0, tree=True)
    rows = order.arrange([build.row(f"k{at}", rate=new[at]) for at in range(count)], 5000, tree=True)
    rates = [row.tree.tokens_per_min for row in rows]
    assert all(below - above <= 0.05 * below + 1e-9 for above, below in pairwise(rates))


def test_a_row_that_comes_back_is_not_taken_for_an_earlier_state_of_it() -> None:
    """Drawn lines are kept by version."""
    view = fed(build.row("a"), build.row("b"))
    before = view.versions["a"]
    view.feed(build.snapshot((build.row("b"),), 2))
    assert "a" not in view.versions
    view.feed(build.snapshot((build.row("a", rate=5.0), build.row("b")), 3))
    assert view.versions["a"] != before


# ---------------------------------------------------------------- groups


def grouped(by: str, *rows: Row, tree: bool = True) -> View:
    view = fed(*rows)
    view.set_tree(tree)
    view.set_group(by)
    return view


def test_a_group_sums_its_top_rows_with_everything_below_and_counts_agents_by_state() -> None:
    view = grouped("project", *build.picture())
    api = view.groups.heads["group:project:api"]
    below = {"a1", "e1"}  # a1s and a1t hang below a1, the orphan has no figures
    rows = {row.key: row for row in build.picture()}
    assert api.row.tree.cost_nusd == sum(rows[key].tree.cost_nusd for key in below)
    assert api.row.tree.tokens_per_min == sum(rows[key].tree.tokens_per_min for key in below)
    assert dict(api.counts) == {State.ORPHAN: 1, State.WORKING: 1, State.IDLE: 1}
    flat = grouped("agent", *build.picture(), tree=False)
    claude = flat.groups.heads["group:agent:claude"].row.own.cost_nusd
    assert claude == sum(row.own.cost_nusd for row in build.picture() if row.agent == "claude" and row.kind in
                         {"agent", "sub-agent"})  # fmt: skip


def test_a_group_counts_who_spends_without_progress_and_ranks_as_they_do() -> None:
    rows = (
        replace(build.row("busy", rate=5000.0), project="api"),
        replace(build.row("stuck", rate=10.0), project="web"),
        replace(build.row("fine", rate=10.0), project="web"),
    )
    view = View()
    view.set_group("project")
    view.feed(build.snapshot(rows, 1, alerts=()))
    assert keys(view)[0] == "group:project:api"
    view.feed(
        build.snapshot(rows, 10, alerts=(Alert("no-progress", "stuck", "spends", build.NOW),)),
    )
    web = view.groups.heads["group:project:web"]
    assert keys(view)[0] == "group:project:web"
    pieces = [*_group(web, view.lines[0], 30)]
    assert [text for text, role in pieces if role == "hot"] == [" ∅1"]
    assert "".join(text for text, _ in pieces).rstrip().endswith("∅1 ●2")


def test_every_row_stands_once_below_the_header_of_its_group() -> None:
    for by in ("project", "model", "agent"):
        for tree in (True, False):
            view = grouped(by, *build.picture(), tree=tree)
            shown = [key for key in keys(view) if not key.startswith("group:")]
            assert sorted(shown) == sorted(row.key for row in build.picture() if tree or row.kind != "tool")
            head = ""
            for line in view.lines:
                if line.key in view.groups.heads:
                    head = line.key
                elif not tree or not view.rows[line.key].parent_key:
                    row = view.rows[line.key]
                    name = {"project": row.project, "model": short_model(row.model), "agent": row.agent}[by]
                    assert head == f"group:{by}:{name}"


def test_nothing_is_selected_on_a_header_and_it_folds() -> None:
    view = grouped("project", *build.picture())
    view.cursor = "group:project:api"
    assert view.selected is None
    assert view.selected_head is not None
    count = len(view.lines)
    view.fold("group:project:api", True)
    assert view.cursor == "group:project:api"
    line = view.lines[view.index["group:project:api"]]
    assert line.hidden == count - len(view.lines) == 5
    view.fold("group:project:api", False)
    view.fold("a1", True)
    view.fold(None, True)
    assert all(key.startswith("group:") for key in keys(view))
    view.set_group("")  # the headers were folded, the trees were not
    assert [key for key in view.folded if key in view.rows] == ["a1"]
    view.set_group("project")
    view.fold(None, False)
    assert len(view.lines) == count


def test_headers_stand_in_the_order_of_the_sort_and_move_only_when_they_clearly_lead() -> None:
    def rows(a: float, b: float) -> tuple[Row, ...]:
        return build.row("a", project="one", rate=a), build.row("b", project="two", rate=b)

    view = View()
    view.order.sort_by("rate")
    view.feed(build.snapshot(rows(103, 100), 1))
    view.set_group("project")
    assert keys(view) == ["group:project:one", "a", "group:project:two", "b"]
    for second in range(2, 20):
        view.feed(build.snapshot(rows(100, 103), second))
    assert keys(view)[0] == "group:project:one"
    for second in range(20, 25):
        change = view.feed(build.snapshot(rows(100, 120), second))
    assert keys(view) == ["group:project:two", "b", "group:project:one", "a"]
    view.order.sort_by("rate")  # the other way round
    view.rebuild()
    assert keys(view)[0] == "group:project:one"
    assert not change.structure


def test_a_changed_row_changes_its_header_and_no_other() -> None:
    rows = (build.row("a", project="one", rate=5.0), build.row("b", project="two", rate=7.0))
    view = grouped("project", *rows)
    before = dict(view.versions)
    change = view.feed(
        build.snapshot(build.change(rows, "a", own=build.figures(6.0), tree=build.figures(6.0)), 2)
    )
    assert change.keys == {"a", "group:project:one"}
    assert view.versions["group:project:two"] == before["group:project:two"]
    assert view.versions["group:project:one"] != before["group:project:one"]
    assert view.feed(build.snapshot(tuple(view.rows.values()), 2)).keys == frozenset()


def test_a_row_whose_group_changes_moves_below_the_other_header_at_once() -> None:
    rows = (build.row("a", model="opus"), build.row("b", model="haiku"))
    view = grouped("model", *rows)
    view.feed(build.snapshot(build.change(rows, "a", model="haiku"), 1))
    assert keys(view)[0] == "group:model:haiku"
    assert set(keys(view)[1:]) == {"a", "b"}


def test_a_group_with_an_unread_row_is_a_lower_bound_and_one_of_nothing_else_unknown() -> None:
    unread = build.row("u", session_id="", own=Figures(), last_ms=0)
    view = grouped("project", build.row("a", cost=2.0), unread, replace(unread, key="v", project="dark"))
    scene = Scene(build.NOW, 8, True, {})
    assert BY_ID["cost"].cell(view.groups.heads["group:project:api"].row, scene)[0] == "≥$2.00"
    assert BY_ID["cost"].cell(view.groups.heads["group:project:dark"].row, scene)[0] == "?"
    assert BY_ID["rate"].cell(view.groups.heads["group:project:dark"].row, scene)[0] == "?"


def test_a_filter_sums_what_it_shows_and_the_next_match_is_never_a_header() -> None:
    view = grouped("project", *build.picture())
    view.set_filter("agent:codex")
    assert [key for key in keys(view) if key.startswith("group:")] == ["group:project:web"]
    view.cursor = "group:project:web"
    assert view.next_match(1)
    assert view.cursor == "b1"
    assert view.next_match(1)
    assert view.cursor == "b1"


@given(st.data())
def test_groups_lose_no_row_whatever_hangs_below_what(data: st.DataObject) -> None:
    """Cycles included: parents come from hostile logs."""
    names = [f"k{at}" for at in range(data.draw(st.integers(1, 10)))]
    rows = tuple(
        build.row(name, parent_key=data.draw(st.sampled_from(["", *names])),
                  project=data.draw(st.sampled_from(["", "one", "two"])))
        for name in names
    )  # fmt: skip
    view = grouped(data.draw(st.sampled_from(["project", "model", "agent"])), *rows)
    ungrouped = fed(*rows)
    assert sorted(key for key in keys(view) if key in view.rows) == sorted(keys(ungrouped))


# ---------------------------------------------------------------- the time window


def test_rates_of_a_window_are_unknown_until_they_are_there_and_actions_get_the_last_minute() -> None:
    row = build.row("a", rate=900.0, burn=2.0)
    view = fed(row, build.row("o", kind="orphan"))
    view.set_window(60)
    assert not view.rows["a"].tree.rates_known
    assert view.rows["o"].tree.rates_known
    known = {"a": (Average(30.0, 5.0, 7), Average(45.0, 6.0, 8))}
    five = build.snapshot((row,), 2, window_min=5, averages=known)
    view.feed(five)  # the answer to an earlier question
    assert not view.rows["a"].tree.rates_known
    view.feed(build.snapshot((row,), 3, window_min=60, averages=known))
    assert (view.rows["a"].own.tokens_per_min, view.rows["a"].tree.tokens_per_min) == (30.0, 45.0)
    assert view.rows["a"].tree.cost_nusd == row.tree.cost_nusd
    selected = view.selected
    assert selected is not None
    assert view.plain(selected) == row
    view.set_window(1)
    assert view.rows["a"] == row


def test_unknown_rates_sort_last_and_pass_no_filter() -> None:
    rows = (build.row("a", rate=900.0), build.row("b", rate=5.0))
    view = fed(*rows)
    view.order.sort_by("rate")
    known = {"a": (None, None), "b": (Average(1.0), Average(1.0))}
    view.set_window(5)
    view.feed(build.snapshot(rows, 2, window_min=5, averages=known))
    assert keys(view) == ["b", "a"]
    view.set_filter("rate<100")
    assert keys(view) == ["b"]


# ---------------------------------------------------------------- what survives


def test_the_state_of_the_view_comes_back_as_it_was() -> None:
    view = View()
    view.choice = AS_DECLARED.switched("branch", True).switched("agent", False).moved("cost", -3)
    view.order.sort_by("memory")
    view.order.sort_by("memory")
    view.tree, view.groups.by, view.window_min = False, "model", 1440
    other = View()
    assert remembered.apply(remembered.state_of(view), other)
    assert remembered.state_of(other) == remembered.state_of(view)
    assert (other.choice, other.order.sort_id, other.order.reverse) == (view.choice, "memory", True)


@pytest.mark.parametrize(
    "kept",
    ["", "{", "[]", '{"sort": 5}', '{"sort": "gone", "group": "moon", "window_min": 7, "later": 1}',
     '{"choice": {"order": ["x"], "on": ["y"], "off": ["status"]}}'],
)  # fmt: skip
def test_a_state_that_is_damaged_or_of_another_version_leaves_a_view_that_works(kept: str) -> None:
    view = View()
    remembered.apply(kept, view)
    view.feed(build.snapshot())
    assert sorted(keys(view)) == sorted(row.key for row in build.picture())
    assert view.window_min == 1
