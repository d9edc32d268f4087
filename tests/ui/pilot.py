"""Starts the app on a fake source without a terminal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual.pilot import Pilot

from tests.ui import build
from tokentop.nouns.picture import Snapshot
from tokentop.ui.app import TokentopApp
from tokentop.ui.source import UiOptions

PATIENCE_S = 120.0


@asynccontextmanager
async def screen(
    source: build.FakeSource | None = None,
    size: tuple[int, int] = (120, 40),
    options: UiOptions | None = None,
) -> AsyncIterator[tuple[TokentopApp, Pilot[str], build.FakeSource]]:
    """The app with the source's first snapshot drawn; toasts and tooltips are on."""
    source = source or build.FakeSource(build.snapshot())
    app = TokentopApp(source, options or UiOptions())
    async with app.run_test(size=size, notifications=True, tooltips=True) as pilot:
        await until(pilot, source.started.is_set)
        if source.first is not None:
            await until(pilot, lambda: app.live.snapshot is not None)
        await pilot.pause()
        yield app, pilot, source


async def until(pilot: Pilot[str], true: Callable[[], bool]) -> None:
    """Wait until a condition holds and what came with it is laid out; fails when it never does."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "the screen never got there"
        await pilot.pause(0.02)
    await pilot.pause(0)  # a screen that has just been pushed is empty still


def at_rest(app: TokentopApp) -> bool:
    """Nothing waits to be handled, laid out or drawn: what is drawn from here on is drawn for a reason."""
    screen = app.screen
    widgets = [screen, *screen.walk_children()]
    if screen._dirty_widgets or screen._callbacks:
        return False
    if any(pump.message_queue_size or pump._next_callbacks for pump in (app, *widgets)):
        return False
    return not any(one._layout_required or one._scroll_required or one._repaint_required for one in widgets)


async def show(app: TokentopApp, pilot: Pilot[str], snapshot: Snapshot) -> None:
    """Publish through the source's own way and wait until the screen has it."""
    app.publish(snapshot)
    await until(
        pilot, lambda: app.live.snapshot is not None and app.live.snapshot.revision == snapshot.revision
    )
    await pilot.pause()


def lines(app: TokentopApp) -> list[str]:
    """What the terminal shows, line by line."""
    width, height = app.size
    return [
        "".join(segment.text for segment in strip)
        for strip in app.screen._compositor.render_strips(app.size)[:height]
        if width
    ]


def text(app: TokentopApp) -> str:
    return "\n".join(lines(app))
