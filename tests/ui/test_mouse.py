"""The mouse selects, sorts, scrolls, opens and filters; it never does anything to a process."""

from __future__ import annotations

import random

from textual import events

from tests.ui import build
from tests.ui.pilot import lines, screen, show, until
from tokentop.nouns.sessions import State


async def test_the_wheel_scrolls_and_the_cursor_stays_on_its_row() -> None:
    rows = tuple(build.row(f"r{at:03d}", rate=9000.0 - at) for at in range(90))
    async with screen(build.FakeSource(build.snapshot(rows))) as (app, pilot, _):
        table, cursor = app.live.table, app.live.view.cursor
        x, y = table.region.x + 5, table.region.y + 3
        for _ in range(4):
            app.screen._forward_event(
                events.MouseScrollDown(None, x, y, 0, 1, 0, False, False, False, screen_x=x, screen_y=y)
            )
            await pilot.pause()
        await until(pilot, lambda: table.scroll_offset.y > 0)
        assert app.live.view.cursor == cursor


async def test_a_chip_filters_and_the_same_chip_again_does_not() -> None:
    async with screen() as (app, pilot, _):
        chip = lines(app)[0].index("! 1")
        await pilot.click(offset=(chip, 0))
        await until(pilot, lambda: app.live.view.query == "state:permission")
        await pilot.click(offset=(chip, 0))
        await until(pilot, lambda: app.live.view.query == "")
        await pilot.click(offset=(lines(app)[0].index("∅ 1"), 0))
        await until(pilot, lambda: app.live.view.query == "alert:no-progress")
        assert {line.key for line in app.live.view.lines if line.match} == {"d1"}
        await show(app, pilot, build.snapshot(revision=2, alerts=()))
        assert not app.live.view.lines


async def test_agents_whose_state_nothing_tells_are_counted_and_their_chip_filters() -> None:
    rows = (build.row("a", state=State.UNKNOWN), build.row("b", state=State.UNKNOWN))
    async with screen(build.FakeSource(build.snapshot(rows))) as (app, pilot, _):
        head = lines(app)[0]
        assert "no agent runs" not in head
        await pilot.click(offset=(head.index("· 2"), 0))
        await until(pilot, lambda: app.live.view.query == "state:unknown")


async def test_no_click_anywhere_does_anything_to_a_process() -> None:
    """Section 10: a click never kills."""
    dice = random.Random(10)
    async with screen(size=(100, 30)) as (app, pilot, source):
        for _ in range(60):
            await pilot.click(offset=(dice.randrange(100), dice.randrange(30)), times=dice.choice((1, 2)))
        for y in (29, 28):  # the footer's keys are text
            for x in range(0, 100, 9):
                await pilot.click(offset=(x, y))
        await pilot.pause(0.1)
        assert source.planned == []
        assert source.executed == []
        assert app.screen is app.live
