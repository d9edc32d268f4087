"""Columns, groups, the time window and what is kept of them, by the keys of the screen."""

from __future__ import annotations

import gc

import pytest
from textual.pilot import Pilot
from textual.strip import Strip

from tests.ui import build
from tests.ui.pilot import at_rest, lines, screen, show, text, until
from tests.ui.terminal import Terminal, driver
from tokentop.nouns.usage import Average
from tokentop.ui.app import TokentopApp
from tokentop.ui.columns import COLUMNS
from tokentop.ui.remembered import ViewState, state_of
from tokentop.ui.screens.chooser import ChooserScreen

_GROUPED = '{"choice":{"on":["branch"]},"sort":"cost","tree":false,"group":"project","window_min":60}'


def heads(app: TokentopApp) -> str:
    return next(line for line in lines(app) if "SESSION" in line and "TOK/MIN" in line)


async def chooser(app: TokentopApp, pilot: Pilot[str], column: str) -> ChooserScreen:
    """Open the chooser with the cursor on a column."""
    await pilot.press("w")
    await until(pilot, lambda: isinstance(app.screen, ChooserScreen) and app.screen.is_mounted)
    opened = app.screen
    assert isinstance(opened, ChooserScreen)
    at = next(at for at, one in enumerate(opened.list.columns) if one.id == column)
    await pilot.press(*["j"] * at)
    return opened


# ---------------------------------------------------------------- w


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_the_chooser_lists_every_column_and_what_is_switched_is_shown_at_once(
    size: tuple[int, int],
) -> None:
    async with screen(size=size) as (app, pilot, source):
        opened = await chooser(app, pilot, "branch")
        seen = set()
        for _ in COLUMNS:
            seen |= {one.header for one in COLUMNS if any(f"] {one.header} " in line for line in lines(app))}
            await pilot.press("k")
        assert seen >= {one.header for one in COLUMNS if one.header}
        await pilot.press(*["j"] * [one.id for one in COLUMNS].index("branch"), "space")
        assert "BRANCH" in "".join(one.column.header for one in app.live.table.placed)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)
        assert "BRANCH" in heads(app)
        assert "main" in next(line for line in lines(app) if "move the build" in line or "move the b" in line)
        assert source.remembered[-1] == state_of(app.live.view)
        opened = await chooser(app, pilot, "branch")
        assert "[x] BRANCH" in text(app)
        await pilot.press("r", "escape")
        await until(pilot, lambda: not opened.is_current)
        assert "BRANCH" not in heads(app)


async def test_a_column_moves_to_the_left_and_to_the_right() -> None:
    async with screen(size=(120, 40)) as (app, pilot, _):
        await chooser(app, pilot, "cost")
        await pilot.press("less_than_sign", "less_than_sign", "less_than_sign", "shift+up")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)
        assert heads(app).index("COST") < heads(app).index("MODEL")
        await chooser(app, pilot, "cost")
        await pilot.press("greater_than_sign", "shift+down", "escape")
        await until(pilot, lambda: app.screen is app.live)
        assert heads(app).index("MODEL") < heads(app).index("COST") < heads(app).index("$/H")


async def test_frozen_columns_cannot_be_switched_off_and_what_has_no_room_says_so() -> None:
    async with screen(size=(80, 30)) as (app, pilot, _):
        await chooser(app, pilot, "rate")
        await pilot.press("space")
        await until(pilot, lambda: "TOK/MIN is always shown" in text(app))
        assert app.live.view.choice.off == frozenset()
        await pilot.press("escape")
        for column in ("branch", "tool", "host", "limit"):
            await until(pilot, lambda: app.screen is app.live)
            await chooser(app, pilot, column)
            await pilot.press("space", "escape")
        await until(pilot, lambda: app.screen is app.live)
        await chooser(app, pilot, "limit")
        assert "no room" in text(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)
        for name in ("STATUS", "SESSION", "TOK/MIN", "COST"):
            assert name in heads(app)


async def test_sorting_by_a_column_that_is_not_shown_works_and_steps_go_over_those_that_are() -> None:
    rows = (build.row("a", rss_bytes=1 << 20), build.row("b", rss_bytes=1 << 30))
    async with screen(build.FakeSource(build.snapshot(rows)), size=(80, 24)) as (app, pilot, _):
        await pilot.press("M")
        assert [line.key for line in app.live.view.lines] == ["b", "a"]
        await until(pilot, lambda: "sorted by memory" in text(app))
        visited = []
        for _ in range(7):
            await pilot.press("greater_than_sign")
            visited.append(app.live.view.order.sort_id)
        assert visited == ["status", "agent", "session", "rate", "burn", "cost", "ctx"]


async def test_the_limit_column_follows_the_limits() -> None:
    quota = build.snapshot().quotas[0]
    async with screen(size=(120, 40)) as (app, pilot, _):
        await chooser(app, pilot, "limit")
        await pilot.press("space", "escape")
        await until(pilot, lambda: app.screen is app.live)
        await show(app, pilot, build.snapshot(revision=3))
        await until(pilot, lambda: "5h 78%" in next(line for line in lines(app) if "fix the flaky" in line))
        assert quota.provider == "claude"


# ---------------------------------------------------------------- b


async def test_groups_fold_by_enter_and_no_key_acts_on_a_header() -> None:
    async with screen(size=(120, 40)) as (app, pilot, source):
        await pilot.press("b")
        view = app.live.view
        assert view.groups.by == "project"
        await until(pilot, lambda: any("▾ api" in line for line in lines(app)))
        api = next(line for line in lines(app) if "▾ api" in line)
        assert "⊘1" in api
        assert "●1" in api
        assert "○1" in api
        before = view.cursor
        app.live.table.move(-100)
        assert view.cursor is not None
        assert view.cursor.startswith("group:")
        assert before != view.cursor
        for key in ("x", "z", "K", "o", "y"):
            await pilot.press(key)
            await until(pilot, lambda: "is a group: choose one of its rows" in text(app))
            app.clear_notifications()
            await pilot.pause()
        assert app.screen is app.live
        assert (source.planned, source.executed, source.jumped) == ([], [], [])
        count = len(view.lines)
        await pilot.press("enter")
        assert len(view.lines) < count
        assert app.live.drawer_open is False
        assert "fold" in lines(app)[-1]
        await pilot.press("enter", "asterisk")
        assert all(line.key.startswith("group:") for line in view.lines)
        await pilot.press("b", "b", "b")
        assert view.groups.by == ""
        assert len(view.lines) == len(build.picture())
        assert all(not line.key.startswith("group:") for line in view.lines)


async def test_the_drawer_tells_the_sums_of_a_group() -> None:
    async with screen(size=(120, 40)) as (app, pilot, _):
        await pilot.press("enter", "b", "g")
        await until(pilot, lambda: "group" in text(app) and "permission" in text(app))
        assert app.live.view.selected is None


async def test_one_changed_row_draws_its_line_and_that_of_its_group() -> None:
    """Conformance 22."""
    rows = tuple(build.row(f"r{at:03d}", rate=9000.0 - at, project=f"p{at % 4}") for at in range(40))
    async with screen(build.FakeSource(build.snapshot(rows)), size=(150, 60)) as (app, pilot, _):
        table = app.live.table
        await pilot.press("b")
        table.period_s = 0.0
        await until(pilot, lambda: at_rest(app))
        drawn = table.misses
        changed = build.change(rows, "r003", title="another title", tree=build.figures(1.0))
        app.live.show(build.snapshot(changed, 1))
        await until(pilot, lambda: "another title" in text(app))
        assert table.misses == drawn + 2


async def test_what_was_drawn_is_freed_at_once_without_a_search_for_cycles() -> None:
    """A screen that stays open for days is drawn anew each second."""
    rows = build.picture()
    async with screen(size=(160, 50)) as (app, pilot, _):
        for step in range(12):
            if step == 2:  # the first pictures fill what is kept
                gc.collect()
                gc.disable()
                gc.set_debug(gc.DEBUG_SAVEALL)
            rows = build.change(rows, rows[step % 3].key, tree=build.figures(rate=1000.0 * step, cost=step))
            await show(app, pilot, build.snapshot(rows, revision=step + 2))
            app.live.redraw()
            await pilot.pause()
        try:
            gc.collect()
            assert [one.text for one in gc.garbage if isinstance(one, Strip)] == []
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()


async def test_after_a_sort_the_cursor_is_on_a_row_not_on_a_header() -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("b", "P")
        assert app.live.view.selected is not None


@pytest.mark.parametrize("size", [(40, 24), (59, 24), (80, 24), (120, 40), (160, 50), (2, 2)])
async def test_groups_and_windows_draw_at_every_size(size: tuple[int, int]) -> None:
    async with screen(size=size) as (app, pilot, _):
        await pilot.press("b", "right_square_bracket", "w")
        await pilot.press("space", "escape", "asterisk", "t")
        assert app.is_running
        assert all(len(line) <= size[0] for line in lines(app))


# ---------------------------------------------------------------- [ ]


async def test_the_window_is_named_in_the_head_and_the_strip_and_unknown_until_it_is_there() -> None:
    async with screen(size=(120, 40)) as (app, pilot, source):
        rated = "64.2k"
        assert rated in text(app)
        await pilot.press("right_square_bracket")
        assert source.windows == [5]
        await until(pilot, lambda: "TOK/MIN 5m" in heads(app))
        assert "$/H 5m" in heads(app)
        assert "? tok/min 5m" in lines(app)[0]
        row = next(line for line in lines(app) if "fix the flaky" in line)
        assert rated not in row
        assert " ? " in row
        averages = {one.key: (Average(10.0, 1.0, build.USD), Average(1234.0, 1.0, 2 * build.USD)) for one in
                    build.picture()}  # fmt: skip
        answer = build.snapshot(
            revision=2, window_min=5, averages=averages, average=Average(5678.0, 1.0, 3 * build.USD)
        )
        await show(app, pilot, answer)
        app.live.redraw()
        await until(pilot, lambda: "1.23k" in next(line for line in lines(app) if "fix the flaky" in line))
        assert "5.68k tok/min 5m" in lines(app)[0]
        assert "$3.00/h 5m" in lines(app)[0]
        await pilot.press("enter")
        await until(pilot, lambda: "tok/min over 5m" in text(app))
        await pilot.press("escape", "right_square_bracket", "right_square_bracket", "right_square_bracket")
        assert source.windows == [5, 60, 1440]
        assert "TOK/MIN 24h" in heads(app)
        await pilot.press(*["left_square_bracket"] * 4)
        assert source.windows[-1] == 1
        await until(pilot, lambda: rated in text(app))
        assert "TOK/MIN " in heads(app)
        assert "tok/min 5m" not in text(app)


async def test_a_paused_picture_keeps_its_window() -> None:
    async with screen(size=(120, 40)) as (app, pilot, source):
        await pilot.press("p", "right_square_bracket")
        assert source.windows == []
        assert app.live.view.window_min == 1
        assert "64.2k" in text(app)


async def test_a_plan_is_made_for_the_row_with_the_rates_of_the_last_minute() -> None:
    rows = (build.row("a", rate=900.0, burn=18.0),)
    async with screen(build.FakeSource(build.snapshot(rows)), size=(120, 40)) as (app, pilot, source):
        await pilot.press("right_square_bracket")
        averages = {"a": (Average(1.0, 0.0, 5), Average(1.0, 0.0, 5))}
        await show(app, pilot, build.snapshot(rows, 2, window_min=5, averages=averages))
        await pilot.press("z")
        await until(pilot, lambda: bool(source.executed))
        assert source.executed[0].burn_nusd_per_h == 18 * build.USD


# ---------------------------------------------------------------- what is kept


async def test_a_kept_view_is_there_with_the_first_data() -> None:
    source = build.FakeSource(build.snapshot())
    source.recalled = _GROUPED
    async with screen(source, size=(160, 40)) as (app, _, _):
        view = app.live.view
        assert (view.groups.by, view.tree, view.order.sort_id, view.window_min) == (
            "project",
            False,
            "cost",
            60,
        )
        assert source.windows == [60]
        assert "BRANCH" in heads(app)
        assert "TOK/MIN 1h" in heads(app)
        assert view.lines[0].key.startswith("group:")
        assert view.selected is not None
        assert source.remembered == []


async def test_a_view_that_arrives_late_is_taken_unless_a_person_has_set_something() -> None:
    source = build.FakeSource(build.snapshot())
    source.recalled = None
    async with screen(source) as (app, pilot, _):
        source.recalled = _GROUPED
        await show(app, pilot, build.snapshot(revision=2))
        await until(pilot, lambda: app.live.view.groups.by == "project")
    source = build.FakeSource(build.snapshot())
    source.recalled = None
    async with screen(source) as (app, pilot, _):
        await pilot.press("P")
        source.recalled = _GROUPED
        await show(app, pilot, build.snapshot(revision=2))
        assert app.live.view.groups.by == ""
        assert app.live.view.order.sort_id == "cost"


async def test_every_change_is_handed_to_the_source() -> None:
    async with screen() as (app, pilot, source):
        for key in ("P", "I", "t", "b", "right_square_bracket"):
            count = len(source.remembered)
            await pilot.press(key)
            assert len(source.remembered) == count + 1, key
        assert source.remembered[-1] == state_of(app.live.view)
        assert ViewState() != state_of(app.live.view)


# ---------------------------------------------------------------- a real terminal


def test_the_keys_work_in_a_terminal() -> None:
    with Terminal(driver("live"), 120, 40) as terminal:
        terminal.wait_for(b"fix the flaky retry test")
        terminal.send(b"b")
        terminal.wait_for("⊘1".encode())  # counts stand in headers without a space
        terminal.send(b"]")
        terminal.wait_for(b"TOK/MIN 5m")
        terminal.send(b"w")
        terminal.wait_for(b"LAST TOOL")
        terminal.send(b"G  \x1b")
        terminal.read(1.0)
        assert terminal.leave() == 0
