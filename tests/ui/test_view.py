"""The table's state without a terminal: selection by key, still order, folds, filter, pause."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui import build
from tokentop.model import Row, State
from tokentop.ui.filtering import FilterError
from tokentop.ui.ordering import Order
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
