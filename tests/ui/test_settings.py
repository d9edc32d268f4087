"""The settings screen on a real file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from tests.ui.pilot import lines, screen, text, until
from tokentop.ui.app import TokentopApp
from tokentop.ui.screens.settings import SettingsScreen
from tokentop.ui.source import UiOptions

MINE = "# mine\nascii = false\nread_only = false  # for now\n"


@asynccontextmanager
async def opened(
    path: Path, **fields: object
) -> AsyncIterator[tuple[TokentopApp, Pilot[str], SettingsScreen]]:
    async with screen(options=UiOptions(config_path=str(path), **fields)) as (app, pilot, _):  # type: ignore[arg-type]
        await pilot.press("comma")
        await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and app.screen._ready)
        shown = app.screen
        assert isinstance(shown, SettingsScreen)
        yield app, pilot, shown


async def at(pilot: Pilot[str], shown: SettingsScreen, label: str) -> None:
    shown.action_move(next(n for n, e in enumerate(shown.entries) if e.label == label) - shown.at)
    await pilot.pause()


async def test_changes_are_written_only_by_s_and_the_rest_of_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(MINE)
    async with opened(path) as (app, pilot, shown):
        await at(pilot, shown, "read_only")
        await pilot.press("space")
        assert path.read_text() == MINE
        await until(pilot, lambda: "at the next start" in text(app))
        await pilot.press("s")
        await until(pilot, lambda: "saved; at the next start: read_only" in text(app))
        assert path.read_text() == MINE.replace("read_only = false", "read_only = true")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)


async def test_leaving_with_something_not_saved_asks_and_takes_back_what_applied_at_once(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "config.toml") as (app, pilot, shown):
        before = app.theme
        await at(pilot, shown, "theme")
        await pilot.press("right")
        await until(pilot, lambda: app.theme != before)
        await at(pilot, shown, "ascii")
        await pilot.press("space")
        await until(pilot, lambda: all(line.isascii() for line in lines(app)))
        await pilot.press("escape")
        await until(pilot, lambda: "2 not saved" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)
        assert app.theme == before
        await until(pilot, lambda: "●" in text(app))
        assert not (tmp_path / "config.toml").exists()


async def test_a_number_is_checked_by_the_rules_of_the_settings(tmp_path: Path) -> None:
    async with opened(tmp_path / "config.toml") as (app, pilot, shown):
        await pilot.press("enter", "9", "9", "enter")
        await until(pilot, lambda: "not taken: " in text(app))
        await pilot.press("backspace", "backspace", *"2.5", "enter")
        await until(pilot, lambda: app.live.table.period_s == 2.5)
        await pilot.press("s")
        await until(pilot, lambda: (tmp_path / "config.toml").exists())
        assert "\nrefresh_s = 2.5\n" in (tmp_path / "config.toml").read_text()
        assert shown.changes.keys() <= {("refresh_s",)}


async def test_where_a_value_comes_from_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(MINE)
    async with opened(path, ascii=True, overridden=("ascii",)) as (app, _, _):

        def origin(label: str) -> str:
            return next(line for line in lines(app) if f" {label} " in line)

        assert "command line" in origin("ascii")
        assert "yes" in origin("ascii")
        assert "file" in origin("read_only")
        assert "default" in origin("mouse")


async def test_a_file_that_cannot_be_written_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(MINE)
    path.chmod(0o444)
    async with opened(path) as (app, pilot, shown):
        await at(pilot, shown, "mouse")
        await pilot.press("space", "s")
        await until(pilot, lambda: "not saved: the file is read-only" in text(app))
        assert shown.changes == {("mouse",): False}
        assert path.read_text() == MINE


async def test_a_broken_file_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mouse = maybe\n")
    async with opened(path) as (app, pilot, _):
        await until(pilot, lambda: "line 1" in text(app))
        await pilot.press("space", "s")
        await pilot.pause(0.1)
        assert path.read_text() == "mouse = maybe\n"
