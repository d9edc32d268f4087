"""Hostile text through every field of every noun and every screen: shown, never obeyed, never a crash."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len

from tests.ui import build, hostile
from tests.ui.pilot import lines, screen, text, until
from tokentop.ui.app import TokentopApp
from tokentop.ui.screens.batch import BatchScreen
from tokentop.ui.screens.confirm import ConfirmScreen
from tokentop.ui.screens.pages import Page
from tokentop.ui.screens.receipts import ReceiptsScreen
from tokentop.ui.source import UiOptions

_FOREIGN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff]")
GROUPS = {
    "escapes": "".join(part[:40] for part in hostile.ESCAPES),
    "markup": " ".join(hostile.MARKUP),
    "wide": " ".join(hostile.WIDE),
}


def check(app: TokentopApp) -> None:
    """What is drawn is safe and every line has exactly the width of the terminal."""
    for line in lines(app):
        assert _FOREIGN.search(line) is None, ascii(line)
        assert cell_len(line) == app.size.width, ascii(line)


@pytest.mark.parametrize(
    ("name", "size"),
    [("escapes", (160, 50)), ("escapes", (80, 24)), ("markup", (160, 50)), ("wide", (80, 24))],
)
async def test_every_screen_survives_and_shows_hostile_text(name: str, size: tuple[int, int]) -> None:
    """Conformance 14, 15, 16."""
    bad = GROUPS[name]
    source = hostile.HostileSource(bad)
    async with screen(source, size=size) as (app, pilot, _):
        check(app)
        await pilot.press("enter", "j")
        check(app)
        app.live.go_to("a1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        check(app)
        await pilot.press("k")
        await pilot.pause(0.1)
        check(app)
        dialog = app.screen
        assert isinstance(dialog, ConfirmScreen)
        dialog.dismiss(dialog.plan)
        await until(pilot, lambda: len(app.commander.receipts) == 1)
        await pilot.pause(0.1)
        check(app)
        for key in ("R", "H", "question_mark"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Page | ReceiptsScreen))
            check(app)
            await pilot.press("escape")
        await pilot.press("y")
        await pilot.press("space", "A", "K")
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        check(app)
        await pilot.press("escape", "U")
        await pilot.press("colon", *"go to")
        await pilot.pause(0.5)
        check(app)
        await pilot.press("escape")
        exported = app.export_screenshot()
        assert _FOREIGN.search(exported) is None


@pytest.mark.parametrize("bad", hostile.MARKUP)
async def test_markup_is_shown_as_it_is(bad: str) -> None:
    """Conformance 15."""
    rows = (build.row("m", title=f"<{bad}>", project=bad, model=bad),)
    async with screen(build.FakeSource(build.snapshot(rows)), size=(160, 40)) as (app, pilot, _):
        await pilot.press("enter")
        await pilot.pause()
        table, drawer = next(line for line in lines(app) if line.startswith("> ")), text(app)
        assert f"<{bad[:20]}" in table
        assert f"<{bad}>" in drawer
        app.notify(bad, title=bad, markup=False)
        await pilot.press("slash")
        await pilot.pause(0.1)
        check(app)


async def test_an_empty_machine_with_hostile_places_and_a_refusal_survive() -> None:
    bad = GROUPS["escapes"] + GROUPS["markup"]
    empty = hostile.snapshot(bad)
    source = build.FakeSource(
        build.snapshot(rows=(), looked=empty.looked, health=empty.health, mode=bad), label=bad
    )
    async with screen(source) as (app, _, _source):
        check(app)


@pytest.mark.parametrize("bad", hostile.WIDE)
async def test_columns_stay_aligned_after_wide_titles(bad: str) -> None:
    """Conformance 16."""
    rows = (build.row("w", title=bad, rate=1234.0), build.row("x", title="plain", rate=1234.0))
    async with screen(build.FakeSource(build.snapshot(rows)), size=(100, 30)) as (app, _, _source):
        found = [line for line in lines(app) if "1.23k" in line]
        assert len(found) == 2
        assert len({cell_len(line[: line.index("1.23k")]) for line in found}) == 1


async def test_ascii_mode_keeps_widths_for_wide_text() -> None:
    rows = (build.row("w", title=hostile.WIDE[0], rate=1234.0), build.row("x", title="plain", rate=1234.0))
    source = build.FakeSource(build.snapshot(rows))
    async with screen(source, size=(100, 30), options=UiOptions(ascii=True)) as (app, _, _source):
        assert text(app).isascii()
        found = [line for line in lines(app) if "1.23k" in line]
        assert len({line.index("1.23k") for line in found}) == 1
