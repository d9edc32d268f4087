"""Columns and cells: widths of each breakpoint, and never 0 for unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from rich.cells import cell_len

from tests.ui import build
from tokentop.engine.binding import LINGER_MS
from tokentop.engine.status import LOG_ONLY_MS
from tokentop.engine.tree import DONE_SHOWN
from tokentop.nouns.money import Quota
from tokentop.nouns.picture import Status
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures
from tokentop.sevenbits import to_ascii, wants_ascii
from tokentop.ui import columns, facts, filtering
from tokentop.ui.cells import Scene, most_urgent
from tokentop.ui.columns import AS_DECLARED, BY_ID, FROZEN, Choice
from tokentop.ui.glyphs import LOOKS
from tokentop.ui.layout import layout
from tokentop.ui.paint import fit


def cell(column: str, row: object, width: int = 12, tree: bool = True) -> str:
    scene = Scene(build.NOW, width, tree, {})
    return BY_ID[column].cell(row, scene)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("width", "ids", "session"),
    [
        (20, "status session rate cost", 4),
        (40, "status session rate cost", 21),
        (60, "status agent session rate cost ctx", 20),
        (80, "status agent session rate burn cost ctx", 29),
        (120, "status agent project session model rate spark burn cost ctx age", 36),
        (150, "status agent project session model rate spark burn cost ctx in out cache age pid where", 19),
    ],
)
def test_each_breakpoint_has_its_columns_and_leaves_the_rest_to_the_session(
    width: int, ids: str, session: int
) -> None:
    """Section 3, conformance 6."""
    placed = columns.place(width)
    assert [p.column.id for p in placed] == ids.split()
    assert next(p.width for p in placed if p.column.id == "session") == session
    assert 2 + sum(p.width for p in placed) + len(placed) - 1 == width


def test_at_20_cells_a_scroll_bar_takes_from_the_session_and_not_from_the_cost() -> None:
    placed = columns.place(20, 19)
    assert 2 + sum(p.width for p in placed) + len(placed) - 1 == 19
    assert placed[-1].column.id == "cost"


@pytest.mark.parametrize("width", range(1, 220))
def test_the_four_fixed_columns_are_on_every_width(width: int) -> None:
    """Conformance 6."""
    ids = {p.column.id for p in columns.place(width)}
    assert {"status", "session", "rate", "cost"} <= ids


@given(
    st.integers(1, 300),
    st.lists(st.sampled_from(sorted(BY_ID)), unique=True),
    st.frozensets(st.sampled_from(sorted(BY_ID))),
    st.frozensets(st.sampled_from(sorted(BY_ID))),
)
def test_whatever_is_chosen_the_frozen_columns_stay_and_the_session_keeps_its_room(
    width: int, order: list[str], on: frozenset[str], off: frozenset[str]
) -> None:
    choice = AS_DECLARED
    for name in order:
        choice = choice.moved(name, -2).switched(name, name in on)
    choice = Choice(choice.order, choice.on | on, choice.off | (off - FROZEN))
    placed = columns.place(width, None, choice)
    ids = [one.column.id for one in placed]
    assert ids == [column.id for column in choice.columns() if column.id in ids]
    assert set(ids) >= FROZEN
    assert not set(ids) & (choice.off - FROZEN)
    session = next(one.width for one in placed if one.column.id == "session")
    assert session >= columns.LEAST_SESSION or set(ids) == FROZEN


def test_a_chosen_column_stays_where_one_that_nobody_asked_for_has_to_leave() -> None:
    choice = AS_DECLARED.switched("branch", True).switched("memory", True)
    ids = {one.column.id for one in columns.place(80, None, choice)}
    assert {"branch", "memory"} <= ids
    assert "ctx" not in ids
    assert {one.column.id for one in columns.place(30, None, choice)} == FROZEN


def test_a_choice_of_another_version_is_taken_as_far_as_it_is_known() -> None:
    choice = Choice(("cost", "gone", "cost", "status"), frozenset({"gone"}), frozenset({"gone"}))
    ids = [column.id for column in choice.columns()]
    assert ids[:2] == ["cost", "status"]
    assert sorted(ids) == sorted(BY_ID)


@pytest.mark.parametrize(
    ("column", "fields", "shown"),
    [
        ("memory", {"rss_bytes": 412 << 20}, "412M"),
        ("memory", {"pid": None}, "–"),
        ("cpu", {"cpu_pct": 3.42}, "3.4%"),
        ("cpu", {"pid": None}, "–"),
        ("subs", {"sub_agents": 3, "working_below": 1}, "1/3"),
        ("subs", {}, "0"),
        ("subs", {"last_ms": 0, "own": Figures()}, "?"),
        ("responses", {}, "41"),
        ("responses", {"session_id": ""}, "?"),
        ("hit", {}, "95%"),
        ("hit", {"own": Figures()}, "–"),
        ("tool", {"last_tool": "Bash"}, "Bash"),
        ("tool", {}, "?"),
        ("branch", {"branch": "feat/retry"}, "feat/retry"),
        ("host", {"host": "build-7"}, "build-7"),
        ("host", {}, "?"),
        ("since", {}, "42s"),
        ("since", {"status": Status(State.IDLE)}, "?"),
        ("rate", {"own": Figures(responses=1, rates_known=False)}, "?"),
        ("burn", {"own": Figures(responses=1, rates_known=False)}, "?"),
    ],
)
def test_columns_of_the_chooser_say_unknown_where_they_do_not_know(
    column: str, fields: dict[str, object], shown: str
) -> None:
    assert cell(column, build.row("a", **fields)) == shown


def test_the_limit_column_shows_the_fullest_window_and_no_figure_of_one_that_is_over() -> None:
    now = build.NOW
    weekly = Quota("anthropic", "me", 10080, "", 31.0, now + 1000, "log", now)
    daily = Quota("anthropic", "me", 300, "", 78.0, now + 1000, "log", now)
    other = Quota("openai", "me", 300, "", 12.0, now - 1, "log", now - 60_000)
    limits = most_urgent((weekly, daily, other), ("claude", "codex", "gemini"), now)
    scene = Scene(now, 8, True, {}, limits)
    assert BY_ID["limit"].cell(build.row("a"), scene) == ("5h 78%", "warm")
    assert BY_ID["limit"].cell(build.row("b", agent="codex"), scene)[0] == "5h ?"
    assert BY_ID["limit"].cell(build.row("c", agent="gemini"), scene)[0] == "?"
    sort = BY_ID["limit"].sort
    assert sort is not None
    assert sort(build.row("a"), scene) < sort(build.row("b", agent="codex"), scene)


def test_unknown_unpriced_and_zero_look_different() -> None:
    """Conformance 9."""
    unmapped = build.row("u", session_id="", pid=77)
    assert cell("rate", unmapped) == "?"
    assert cell("cost", unmapped) == "?"
    unpriced = build.row("p", own=Figures(unpriced_tokens=5000, tokens_per_min=10.0))
    assert cell("cost", unpriced) == "$?"
    assert cell("burn", unpriced) == "?"
    partly = build.row("q", own=Figures(unpriced_tokens=5000, cost_nusd=4_100_000_000))
    assert cell("cost", partly) == "≥$4.10"
    lost = build.row("l", own=Figures(unknown_calls=1, cost_nusd=4_100_000_000))
    assert cell("cost", lost) == "≥$4.10"
    guessed = build.row("e", own=Figures(estimated=True, cost_nusd=4_100_000_000))
    assert cell("cost", guessed) == "≈$4.10"
    assert cell("rate", build.row("z")) == "0"
    assert cell("rate", build.row("i", state=State.IDLE)) == "–"
    assert cell("pid", build.row("n", pid=None)) == "–"
    assert cell("pid", build.row("m", pid=4711, confidence="inferred")) == "~4711"
    assert cell("ctx", build.row("c", context_used=None)) == "?"
    assert cell("ctx", build.row("w", context_window=0)) == "?"
    assert cell("age", build.row("a", started_ms=0)) == "?"


def test_tree_figures_include_what_is_below_and_flat_ones_do_not() -> None:
    row = replace(build.row("a", rate=100.0), tree=build.figures(900.0, 2.0, 3.0))
    assert (cell("rate", row), cell("rate", row, tree=False)) == ("900", "100")


def test_an_inferred_state_says_so() -> None:
    row = build.row("a", status=Status(State.WORKING, inferred=True))
    assert cell("status", row) == "● ~work"


@pytest.mark.parametrize("state", list(State))
def test_every_state_fits_its_cell_and_differs_without_colour(state: State) -> None:
    """Conformance 10."""
    others = [LOOKS[other] for other in State if other is not state]
    look = LOOKS[state]
    assert look.glyph not in {other.glyph for other in others}
    assert look.ascii not in {other.ascii for other in others}
    assert to_ascii(look.glyph) == look.ascii
    assert cell_len(look.glyph) == 1
    row = build.row("a", state=state)
    for width in (1, 8, 12, 13):
        assert cell_len(cell("status", row, width)) <= width


@pytest.mark.parametrize(
    ("environ", "ascii_only"),
    [
        ({"TERM": "linux", "LANG": "C.UTF-8"}, True),
        ({"TERM": "xterm", "LANG": "C"}, True),
        ({"TERM": "xterm", "LANG": "C", "LC_CTYPE": "C.UTF-8"}, True),  # as Python makes of the line above
        ({"TERM": "xterm", "LANG": "de_DE.utf8", "LC_CTYPE": "C.UTF-8"}, False),
        ({"TERM": "xterm", "LC_CTYPE": "C.UTF-8"}, False),
        ({"TERM": "xterm", "LANG": "en_US.ISO-8859-1"}, True),
        ({"TERM": "xterm", "LANG": "de_DE.utf8"}, False),
        ({"TERM": "xterm"}, False),
        ({"TERM": "xterm", "LC_ALL": "POSIX", "LANG": "C.UTF-8"}, True),
    ],
)
def test_terminals_that_cannot_show_more_get_ascii(environ: dict[str, str], ascii_only: bool) -> None:
    """Conformance 12."""
    assert wants_ascii(environ) is ascii_only


def test_a_cut_never_splits_a_wide_character_and_always_fills_the_cell() -> None:
    """Conformance 16."""
    for title in ("漢字かな", "a漢字", "plain", "👩‍👩‍👧‍👦 x", "", "e\u0301\u0301"):
        for width in range(12):
            assert cell_len(fit(title, width)) == width
            assert cell_len(fit(title, width, right=True)) == width


@pytest.mark.parametrize(
    ("height", "strip", "graphs"),
    [(7, False, 0), (8, True, 0), (15, True, 0), (16, True, 1), (29, True, 1), (30, True, 5)],
)
def test_each_height_has_its_regions(height: int, strip: bool, graphs: int) -> None:
    """Section 3."""
    plan = layout(80, height)
    assert (plan.strip, plan.graphs, plan.footer) == (strip, graphs, strip)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("agent:claude state:perm", {"c1"}),
        ("cost>5", {"a1", "b1", "d1"}),
        ("agent:claude cost>5 !idle", {"a1"}),
        ("rate>=41k", {"a1", "d1"}),
        ("burn>30", {"d1"}),
        ("ctx>80", {"d1"}),
        ("proj:web", {"b1"}),
        ("!state:idle agent:opencode", set()),
        ("~^rew", {"d1"}),
        ("RETRY", {"a1", "a1s"}),
        ("state:idle", {"e1"}),
        ("model:glm", {"e1"}),
        ("pid:30122", {"a1t"}),
        ("cost<=0.31 !kind:tool agent:opencode", {"e1"}),
        ("branch:main agent:codex", {"b1"}),
        ("age>2h !kind:tool !kind:orphan agent:opencode", {"e1"}),
        ("age<90s", {"a1t"}),
        ("age>1h10m", None),
        ("tokens>1m agent:gemini", {"d1"}),
        ("responses>=41 agent:codex", {"b1"}),
        ("hit>90 agent:codex", {"b1"}),
        ("where:work:1 agent:codex", {"b1"}),
        ("title:vite", {"b1"}),
        ("session:e1-4f", {"e1"}),
        ("host:nowhere", set()),
        ("pid>30121 pid<30123", {"a1t"}),
        ("alert:no-progress", {"d1"}),
        ("alert:∅", {"d1"}),
        ("alert:runaway", set()),
        ("!alert:no-progress state:work cost>5", {"a1"}),
        ("unchanged>10m", {"d1"}),
        ("unchanged>30m", set()),
        ("https://example cost>5", set()),
        ("agnet:claude", None),
        ("brnch:x", None),
        ("alerts:x", None),
        ("unchanged>x", None),
        ("costs>5", None),
        ("cost>nan", None),
        ("ctx>", None),
    ],
)
def test_filters_find_the_right_rows(query: str, found: set[str] | None) -> None:
    """Conformance 24. None: it is refused, and what is wrong is said."""
    if found is None:
        with pytest.raises(filtering.FilterError, match=r"no field \w+; \w+\?|needs a number"):
            filtering.parse(query)
        return
    predicate = filtering.parse(query, lambda: filtering.Moment(build.NOW, build.snapshot().alerts))
    assert predicate is not None
    rows = [replace(row, unchanged_since_ms=build.NOW - 14 * build.MINUTE) if row.key == "d1" else row
            for row in build.picture()]  # fmt: skip
    assert filtering.matches(rows, predicate) == found


def test_the_words_for_what_has_ended_are_true() -> None:
    words = LOOKS[State.DONE].help
    assert f"stays {LINGER_MS // 1000} s" in words
    assert f"parent's last {DONE_SHOWN} sub-agents {LOG_ONLY_MS // 60_000} min" in words


@pytest.mark.parametrize(
    "query", ["~(", "~", "!", "cost>much", "~(a+)+$", "~(a|aa)*b", "~" + "a" * 90, "~.*.*.*.*.*x"]
)
def test_what_cannot_be_understood_or_may_never_end_is_refused_in_words(query: str) -> None:
    with pytest.raises(filtering.FilterError, match=r"\w"):
        filtering.parse(query)


@pytest.mark.parametrize("query", ["", "   "])
def test_an_empty_filter_is_no_filter(query: str) -> None:
    assert filtering.parse(query) is None


def test_the_drawer_tells_own_from_below_and_names_every_bucket() -> None:
    row = replace(
        build.row("a", cost=2.0), tree=build.figures(900.0, 2.0, 3.0), notes=("2 duplicates dropped",)
    )
    lines = {(f.label, f.value) for f in facts.fields(row, build.NOW, (), build.snapshot().quotas)}
    shown = "\n".join(value for _, value in lines)
    assert {("cost", "$2.00"), ("with below", "$3.00")} <= lines
    assert "reasoning 12.0k" in shown
    assert "1h 40.0k" in shown
    assert "2 duplicates dropped" in shown
    assert ("resume", row.resume) in lines
    assert any(label == "limit 5h" and value.startswith("78%") for label, value in lines)


def test_the_drawer_never_claims_exact_figures_for_what_is_not() -> None:
    assert facts.quality(build.row("a")) == ["exact: every response from the log, at list price"]
    lossy = build.row("b", own=Figures(unpriced_tokens=1200, unknown_calls=2, estimated=True))
    assert facts.quality(lossy) == [
        "1.20k tokens without a price",
        "2 calls without usage in the log",
        "a part of the tokens is an estimate",
    ]


@pytest.mark.parametrize("state", [State.DONE, State.IDLE, State.WORKING])
@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize("fields", [{"session_id": ""}, {"last_ms": 0}])
def test_a_row_without_any_log_says_unknown_in_every_figure(
    state: State, tree: bool, fields: dict[str, object]
) -> None:
    row = build.row("n1", state=state, own=Figures(), context_used=0, spark=(0.0,) * 12, **fields)
    for column in ("rate", "burn", "cost", "ctx", "in", "out", "cache"):
        assert BY_ID[column].cell(row, Scene(build.NOW, 7, tree, {}))[0] == "?", column
    assert BY_ID["spark"].cell(row, Scene(build.NOW, 7, tree, {}))[0] == ""
    shown = {field.label: field.value for field in facts.fields(row, build.NOW, (), ())}
    assert not any("$0" in value or "0 tok/min" in value for value in shown.values())
    assert shown["tokens"].startswith("?")
    assert not any("exact" in value for value in shown.values()) or not row.session_id


def test_a_session_that_has_been_read_and_cost_nothing_says_zero() -> None:
    row = build.row("n1", state=State.WORKING, own=Figures(), last_ms=build.NOW)
    assert BY_ID["cost"].cell(row, Scene(build.NOW, 7, True, {}))[0] == "$0.00"


def test_a_parent_without_a_log_shows_what_is_below_as_a_lower_bound() -> None:
    row = build.row("n1", own=Figures(), last_ms=0)
    row = replace(row, tree=build.figures(cost=0.42))
    assert BY_ID["cost"].cell(row, Scene(build.NOW, 7, True, {}))[0] == "≥$0.42"
    assert BY_ID["cost"].cell(row, Scene(build.NOW, 7, False, {}))[0] == "?"
    shown = {field.label: field.value for field in facts.fields(row, build.NOW, (), ())}
    assert shown["cost"].startswith("?")
    assert "no log of this session has been read yet" in shown["quality"]


def test_an_unknown_cost_is_neither_below_a_limit_nor_sorted_as_zero() -> None:
    row = build.row("n1", own=Figures(), last_ms=0)
    cheap = filtering.parse("cost<1")
    assert cheap is not None
    assert not cheap(row)
    sort = BY_ID["cost"].sort
    assert sort is not None
    scene = Scene(build.NOW, 0, True, {})
    assert sort(row, scene) > sort(build.row("n2", cost=0.0), scene)
