"""The live screen under keys and mouse."""

from __future__ import annotations

import time

import pytest

from tests.ui import build
from tests.ui.pilot import at_rest, lines, screen, show, text, until
from tokentop.nouns.facts import Diagnostic, Progress
from tokentop.nouns.sessions import State
from tokentop.ui.paint import palette_of
from tokentop.ui.screens.confirm import ConfirmScreen
from tokentop.ui.source import UiOptions
from tokentop.ui.widgets.table import LiveTable

SIZES = [
    (1, 1),
    (2, 1),
    (59, 24),
    (60, 24),
    (79, 24),
    (80, 24),
    (119, 30),
    (120, 40),
    (149, 40),
    (150, 40),
    (200, 60),
    (500, 200),
    (80, 7),
    (80, 8),
    (80, 15),
    (80, 16),
    (80, 29),
    (80, 30),
]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
async def test_every_size_draws_its_regions_and_survives_the_dialog_and_the_drawer(
    size: tuple[int, int],
) -> None:
    """Conformance 6."""
    async with screen(size=size) as (app, pilot, _):
        shown = text(app)
        if size[0] >= 59:
            heads = next(line for line in lines(app) if "SESSION" in line)
            assert "TOK/MIN" in heads
            assert "COST" in heads
            assert ("AGENT" in heads) is (size[0] >= 60)
            assert ("$/H" in heads) is (size[0] >= 80)
            assert ("MODEL" in heads) is (size[0] >= 120)
            assert ("WHERE" in heads) is (size[0] >= 150)
            assert ("tok/min " in shown) is (size[1] >= 8)
            assert ("claude 5h" in shown) is (size[1] >= 16 and size[0] >= (60 if size[1] >= 30 else 80))
            assert ("╭ tok/min" in shown) is (size[1] >= 30)
        if size == (500, 200):  # drawing is what matters there, each key costs a second
            return
        await pilot.press("enter", "K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        await pilot.press("escape", "question_mark", "escape", "t", "slash", "x", "escape")
        assert app.is_running


async def test_the_cursor_sticks_to_its_row_while_rows_come_and_change_places() -> None:
    """Conformance 1 and 2 on the screen."""
    rows = tuple(build.row(f"r{at:02d}", rate=9000.0 - at * 100) for at in range(30))
    async with screen(build.FakeSource(build.snapshot(rows))) as (app, pilot, _):
        await pilot.press("j", "j")
        assert app.live.view.cursor == "r02"
        backwards = tuple(build.row(f"r{at:02d}", rate=100.0 + at * 100) for at in range(30))
        await show(app, pilot, build.snapshot(backwards, 10))
        assert app.live.view.cursor == "r02"
        assert app.live.view.index["r02"] == 27
        marked = next(line for line in lines(app) if line.startswith(("> ", "» ")))
        assert "title of r02" in marked
        await show(app, pilot, build.snapshot(tuple(r for r in backwards if r.key != "r02"), 11))
        assert app.live.view.cursor == "r01"


async def test_the_palette_finds_actions_and_sessions() -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("colon", *"vite")
        await until(pilot, lambda: "go to move the build to vite" in text(app))
        await pilot.press("enter", "enter")
        await until(pilot, lambda: app.live.view.cursor == "b1")


async def test_the_count_of_the_filter_follows_the_data_and_an_error_stays() -> None:
    empty = build.FakeSource(build.snapshot(rows=(), alerts=()))
    async with screen(empty) as (app, pilot, _):
        await pilot.press("slash", *"agent")
        await pilot.press("colon", *"codex")
        await until(pilot, lambda: "0 of 0 rows" in text(app))
        await show(app, pilot, build.snapshot(revision=2))
        await until(pilot, lambda: "1 of 9 rows" in text(app))
        assert "0 of 0" not in text(app)
        more = (*build.picture(), build.row("z9"))
        await show(app, pilot, build.snapshot(more, 3))
        await until(pilot, lambda: "1 of 10 rows" in text(app))
        await pilot.press("space", *"~(")
        await until(pilot, lambda: "✗ pattern" in text(app))
        await show(app, pilot, build.snapshot(revision=4))
        assert "✗ pattern" in text(app)


async def test_the_count_of_the_filter_holds_folded_rows() -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("asterisk", "slash", *"sonnet")
        await until(pilot, lambda: "1 of 9 rows" in text(app))


async def test_a_filter_hides_rows_while_it_is_typed_and_a_bad_one_keeps_the_last() -> None:
    """Conformance 24."""
    async with screen() as (app, pilot, _):
        await pilot.press("slash", *"agent:codex")
        await until(pilot, lambda: "1 of 9 rows" in text(app))
        await pilot.press("space", *"~(")
        await until(pilot, lambda: "✗ pattern" in text(app))
        assert [line.key for line in app.live.view.lines if line.match] == ["b1"]
        await pilot.press("escape")
        await until(pilot, lambda: len(app.live.view.lines) == 9)
        assert isinstance(app.focused, LiveTable)


async def test_pause_counts_changes_in_the_strip() -> None:
    """Conformance 5."""
    async with screen() as (app, pilot, _):
        await pilot.press("p")
        rows = build.picture()
        for at in range(40):
            app.live.show(build.snapshot(build.change(rows, "a1", cpu_pct=10.0 + at), at + 2))
        app.live.redraw()
        await pilot.pause()
        assert "PAUSED, 40 changes" in lines(app)[0]
        await pilot.press("p")
        await pilot.pause()
        assert "PAUSED" not in lines(app)[0]
        assert app.live.view.rows["a1"].cpu_pct == 49.0


async def test_one_changed_row_of_a_hundred_draws_one_line() -> None:
    """Conformance 22."""
    rows = tuple(build.row(f"r{at:03d}", rate=9000.0 - at) for at in range(100))
    async with screen(build.FakeSource(build.snapshot(rows)), size=(150, 50)) as (app, pilot, _):
        table = app.live.table
        table.period_s = 0.0
        await until(pilot, lambda: at_rest(app))
        drawn = table.misses
        app.live.show(build.snapshot(build.change(rows, "r003", title="another title"), 1))
        await until(pilot, lambda: "another title" in text(app))
        assert table.misses == drawn + 1


async def test_a_busy_row_is_repainted_once_per_period_and_ends_on_its_last_value() -> None:
    """performance.md 8.2."""
    rows = (build.row("a"), build.row("b"))
    async with screen(build.FakeSource(build.snapshot(rows)), options=UiOptions(refresh_s=0.4)) as (
        app,
        pilot,
        _,
    ):
        await until(pilot, lambda: at_rest(app))
        drawn, begun_s = app.live.table.misses, time.monotonic()
        for at in range(20):
            app.live.show(build.snapshot(build.change(rows, "b", title=f"step {at}"), 1))
            await pilot.pause(0)
        await until(pilot, lambda: "step 19" in text(app))
        periods = (time.monotonic() - begun_s) / 0.4
        assert app.live.table.misses - drawn <= 3 + periods  # not once for each of the 20


async def test_a_storm_of_snapshots_is_drawn_at_most_four_times_a_second() -> None:
    """Conformance 23."""
    async with screen() as (app, pilot, _):
        shown: list[int] = []
        real = app.live.show
        app.live.show = lambda snapshot: (shown.append(snapshot.revision), real(snapshot))[1]  # type: ignore[assignment, func-returns-value]
        begun = app._drawn_s
        for at in range(2000):
            app.publish(build.snapshot(revision=at + 2))
            if at % 50 == 0:
                app.refresh()
                await pilot.pause(0)
        await until(pilot, lambda: shown[-1:] == [2001])
        assert len(shown) <= (app._drawn_s - begun) / 0.25 + 1


async def test_sort_keys_heads_and_chips_work_with_the_mouse_too() -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("P")
        assert app.live.view.order.sort_id == "cost"
        head = next(at for at, line in enumerate(lines(app)) if "SESSION" in line)
        await pilot.click(offset=(lines(app)[head].index("TOK/MIN"), head))
        assert app.live.view.order.sort_id == "rate"
        assert "↓TOK/MIN" in lines(app)[head]
        await pilot.click(offset=(5, head + 3))
        assert app.live.view.index[app.live.view.cursor or ""] == 2
        assert app.live.drawer_open is False
        await pilot.click(offset=(5, head + 3))
        await pilot.pause()
        assert app.live.drawer_open is True
        chip = lines(app)[0].index("! 1")
        await pilot.click(offset=(chip, 0))
        await pilot.pause()
        assert app.live.view.query == "state:permission"


async def test_a_theme_change_keeps_the_selection_and_drops_old_colours() -> None:
    """Conformance 35."""
    async with screen() as (app, pilot, _):
        await pilot.press("j", "j")
        kept = app.live.view.cursor
        old = app.live.table.render_line(0)
        for name in ("okabe-ito-light", "high-contrast", "ansi-dark", "nord"):
            app.theme = name
            await pilot.pause()
            new = app.live.table.render_line(0)
            assert [s.style for s in new] != [s.style for s in old], name
            assert new.text == old.text
            old = new
        assert app.live.view.cursor == kept


async def test_an_empty_machine_says_where_it_looked_and_offers_the_demo() -> None:
    empty = build.snapshot(rows=(), alerts=(), history_events=12_345)
    async with screen(build.FakeSource(empty)) as (app, pilot, _):
        shown = text(app)
        for part in (
            "No agent is running",
            "~/.claude/projects",
            "no such folder",
            "12 files",
            "tokentop demo",
        ):
            assert part in shown
        assert "d demo" in lines(app)[-1]
        await pilot.press("d")
        await pilot.pause()
    assert app.return_value == "demo"


async def test_the_demo_key_does_nothing_while_agents_run() -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("d")
        await pilot.pause()
        assert app.is_running


async def test_reading_and_problems_are_told_and_the_bill_is_a_lower_bound_meanwhile() -> None:
    reading = Progress(3, 12, 1_200_000_000, 4_800_000_000, 12.0, reading=True)
    health = (Diagnostic("codex", "unparsed", "line", 3),)
    source = build.FakeSource(build.snapshot(progress=reading, health=health))
    async with screen(source, size=(170, 40)) as (app, pilot, _):
        strip = lines(app)[0]
        assert "reading 1.2 of 4.8 GB, 12s left" in strip
        assert "≥$212.40" in strip
        assert "3 problems" in strip
        await pilot.press("H")
        await until(pilot, lambda: "unparsed" in text(app))


async def test_stale_limits_show_their_age_and_a_window_that_is_over_shows_no_figure() -> None:
    """Conformance 36 in small: never 0 % or 100 % for not known."""
    async with screen(size=(120, 40)) as (app, pilot, _):
        shown = text(app)
        assert "42m old" in shown
        over = build.snapshot(revision=5, at_ms=build.NOW + 3 * 3_600_000)
        await show(app, pilot, over)
        app.live.redraw()
        await pilot.pause()
        assert "unknown since" in text(app)
        assert "78%" not in text(app)


async def test_a_source_that_fails_to_start_is_reported_and_the_screen_lives() -> None:
    """faults.md U5."""

    class Broken(build.FakeSource):
        def start(self, publish):  # type: ignore[no-untyped-def]
            self.started.set()
            raise RuntimeError("sk-CANARY")

    async with screen(Broken()) as (app, pilot, _):
        await until(pilot, lambda: "could not start: RuntimeError" in text(app))
        assert "CANARY" not in text(app)
        assert "starting" in text(app)


async def test_losing_the_focus_slows_the_screen_and_focus_brings_it_back_at_once() -> None:
    """Conformance 31."""
    async with screen() as (app, _pilot, _):
        app.on_app_blur()
        assert app.live.table.period_s == 5.0
        app.on_app_focus()
        assert app.live.table.period_s == 1.0


async def test_the_mark_of_no_progress_stands_in_the_status() -> None:
    """design.md section 8: burning for 14 minutes without a change to any file."""
    for size, sign in (((120, 40), "∅14m"), ((80, 24), "∅14m"), ((70, 24), "work ∅ ")):
        async with screen(size=size) as (app, _, _):
            line = next(line for line in lines(app) if "rewrite the guide" in line)
            assert sign in line
            assert f"∅{' ' if size[0] == 120 else ''}1" in lines(app)[0]  # the strip counts them


async def test_the_projected_bill_stays_while_counts_of_those_at_rest_and_the_clock_give_way() -> None:
    counts = ((State.WORKING, 13), (State.TOOL, 8), (State.PERMISSION, 2), (State.LIMITED, 1), (State.ORPHAN, 1),
              (State.IDLE, 20))  # fmt: skip
    full = build.snapshot(
        counts=counts, totals=build.figures(293_000, 221, 1100), today=build.figures(cost=1100)
    )
    for width, there, gone in (
        (90, ("21:14", "○20", "●13", "∅1", "tok/min", "/h"), ()),
        (72, ("○20", "∅1", "◷1", "●13", "tok/min", "/h"), ("21:14",)),
        (64, ("∅1", "◷1", "●13", "tok/min", "/h"), ("21:14", "○20")),
        (40, ("!2", "∅1"), ("●13", "tok/min")),
    ):
        async with screen(build.FakeSource(full), size=(width, 24)) as (app, _, _):
            head = lines(app)[0]
            assert "today $212 → $388" in head, (width, head)
            assert all(one in head for one in there), (width, head)
            assert not any(one in head for one in gone), (width, head)


async def test_the_parts_of_the_rate_are_those_of_the_head() -> None:
    """design.md section 8: 41k output, 96k writes and 47k input are the 184k of the head."""
    async with screen(size=(200, 60)) as (app, pilot, _):
        assert "184k tok/min" in lines(app)[0]
        assert "output 41.0k ∙ writes 96.0k ∙ input 47.0k ∙ reads" in text(app)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "last 60 s output 41.0k" in text(app))


async def test_the_mark_of_no_progress_has_the_colour_of_alarm_not_that_of_the_state_beside_it() -> None:
    async with screen(size=(80, 24)) as (app, _, _):
        table = app.screen.query_one(LiveTable)
        strip = table.render_line(table.view.index["d1"])
        styles = {segment.text.strip(): segment.style for segment in strip}
        palette = palette_of(table)
        assert styles["∅14m"] == palette["hot"] != styles["● work"] == palette["working"]


async def test_a_sort_key_selects_the_first_row_of_the_new_order_unless_one_is_followed() -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("G", "P")
        assert app.live.view.cursor == app.live.view.lines[0].key
        await pilot.press("G", "F")
        followed = app.live.view.cursor
        await pilot.press("T")
        assert app.live.view.cursor == followed


async def test_a_key_on_the_help_page_closes_it_and_does_what_it_says_unless_it_acts() -> None:
    async with screen() as (app, pilot, source):
        await pilot.press("question_mark")
        await until(pilot, lambda: "press one; w explains" in text(app))
        await pilot.press("P")
        await until(pilot, lambda: app.screen is app.live)
        await until(pilot, lambda: app.live.view.order.sort_id == "cost")
        await pilot.press("question_mark")
        await until(pilot, lambda: "press one; w explains" in text(app))
        await pilot.press("x", "z", "K", "X")
        await pilot.pause(0.2)
        assert app.screen is not app.live
        assert source.planned == []
