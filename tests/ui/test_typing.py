"""Keys that come faster than the screen: each acts on what the one before it left."""

from __future__ import annotations

import threading
import time

import pytest
from textual import events
from textual.pilot import Pilot

from tests.ui import build
from tests.ui.pilot import PATIENCE_S, screen, text, until
from tests.ui.terminal import Terminal, driver
from tokentop.nouns.actions import Action, KillPlan
from tokentop.nouns.picture import Row
from tokentop.ui.app import TokentopApp
from tokentop.ui.screens.confirm import ConfirmScreen
from tokentop.ui.screens.pages import Page

_NAMES = {"/": "slash", "\r": "enter", "\x1b": "escape", "\x7f": "backspace", ":": "colon", " ": "space"}


def at_once(app: TokentopApp, typed: str) -> None:
    """Post all keys before the app can handle the first one."""
    for char in typed:
        app.post_message(events.Key(_NAMES.get(char, char), char))


class GatedSource(build.FakeSource):
    """Plans only when it is let."""

    def __init__(self) -> None:
        super().__init__(build.snapshot())
        self.gate = threading.Event()

    def plan(self, row: Row, action: Action) -> KillPlan:
        plan = super().plan(row, action)
        self.gate.wait(PATIENCE_S)
        return plan


async def settled(app: TokentopApp, pilot: Pilot[str]) -> None:
    await pilot.pause(0.1)
    await pilot.pause()


async def test_keys_right_after_the_slash_go_to_the_filter_and_nowhere_else() -> None:
    async with screen() as (app, pilot, source):
        at_once(app, "/pause xzKqtG")
        await until(pilot, lambda: app.live.view.query == "pause xzKqtG")
        await settled(app, pilot)
        assert app.live.filter_line.input.value == "pause xzKqtG"
        assert not app.live.view.paused
        assert app.live.view.tree
        assert app.screen is app.live
        assert source.planned == []


async def test_backspace_enter_and_what_follows_keep_their_order() -> None:
    async with screen() as (app, pilot, _):
        at_once(app, "/vitex\x7f\rp")
        await until(pilot, lambda: app.live.view.paused)
        await until(pilot, lambda: app.live.view.query == "vite")
        assert app.live.filter_line.input.value == "vite"
        assert app.live.focused is app.live.table
        assert "open" in app.live.filter_line.classes


async def test_escape_right_after_the_text_clears_it_and_the_next_key_is_for_the_table() -> None:
    async with screen() as (app, pilot, _):
        before = app.live.view.cursor
        at_once(app, "/vite\x1bj")
        await until(pilot, lambda: app.live.view.cursor != before)
        await settled(app, pilot)
        assert app.live.view.query == ""
        assert app.live.filter_line.input.value == ""
        assert len(app.live.view.lines) == len(build.picture())
        assert "open" not in app.live.filter_line.classes


async def test_a_second_slash_offers_the_old_text_for_replacing() -> None:
    async with screen() as (app, pilot, _):
        at_once(app, "/vite\r/api")
        await until(pilot, lambda: app.live.view.query == "api")
        assert app.live.filter_line.input.value == "api"


async def test_a_paste_into_the_filter_keeps_its_place_between_the_keys() -> None:
    async with screen() as (app, pilot, _):
        at_once(app, "/a")
        app.post_message(events.Paste("gent:codex\nq"))
        at_once(app, "x")
        await until(pilot, lambda: app.live.view.query == "agent:codexx")
        assert app.live.filter_line.input.value == "agent:codexx"


async def test_keys_between_the_kill_key_and_its_dialog_lead_nowhere() -> None:
    source = GatedSource()
    async with screen(source) as (app, pilot, _):
        app.live.go_to("b1")
        at_once(app, "KxzKjyp/tq")
        await until(pilot, lambda: bool(source.planned))
        at_once(app, "xzKjyp/tq")
        await settled(app, pilot)
        assert app.live.view.cursor == "b1"
        assert not app.live.view.paused
        assert app.live.view.tree
        assert app.live.focused is app.live.table
        source.gate.set()
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        await settled(app, pilot)
        assert isinstance(app.screen, ConfirmScreen)
        assert source.planned == [("b1", Action.TERMINATE)]
        assert source.executed == []
        await pilot.press("y")
        await until(pilot, lambda: len(source.executed) == 1)


async def test_escape_while_the_plan_is_made_opens_no_dialog_and_gives_the_keys_back() -> None:
    source = GatedSource()
    async with screen(source) as (app, pilot, _):
        at_once(app, "K")
        await until(pilot, lambda: bool(source.planned))
        at_once(app, "\x1bp")
        await until(pilot, lambda: app.live.view.paused)
        source.gate.set()
        await until(pilot, lambda: not app.commander._busy)
        assert app.screen is app.live
        assert source.executed == []


async def test_a_yes_before_the_dialog_is_painted_sends_nothing() -> None:
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        at_once(app, "K")
        end = time.monotonic() + PATIENCE_S
        while not isinstance(app.screen, ConfirmScreen):
            assert time.monotonic() < end
            at_once(app, "y")
            await pilot.pause(0)
        dialog = app.screen
        await until(pilot, lambda: dialog.seen)
        assert app.screen is dialog
        assert source.executed == []


async def test_the_name_typed_at_once_after_yes_changes_no_choice() -> None:
    """`k` and `i` of a typed name are letters, not KILL and interrupt."""
    async with screen() as (app, pilot, source):
        source.plan_fields = {"shared_session_ids": ("s1",), "agent": "kimi"}
        app.live.go_to("b1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        at_once(app, "ykimi\r")
        await until(pilot, lambda: len(source.executed) == 1)
        assert source.executed[0].action is Action.TERMINATE
        assert source.planned == [("b1", Action.TERMINATE)]


@pytest.mark.parametrize("typed", [b"/pause", b"/pausexzKq"])
def test_in_a_terminal_a_filter_sent_in_one_write_is_a_filter(typed: bytes) -> None:
    with Terminal(driver("still"), columns=120, lines=40) as terminal:
        terminal.wait_for(b"flaky retry")
        mark = len(terminal.output)
        terminal.send(typed)
        terminal.wait_for(b"no row matches", mark)
        terminal.wait_for(typed[1:], mark)
        terminal.read(0.3)
        assert terminal.wait(0) is None
        assert b"PAUSED" not in terminal.output[mark:]
        assert b"Terminate" not in terminal.output[mark:]
        mark = len(terminal.output)
        terminal.send(b"\x1b")
        terminal.wait_for(b"flaky retry", mark)


def test_in_a_terminal_keys_sent_with_the_kill_key_do_nothing() -> None:
    with Terminal(driver("still"), columns=120, lines=40) as terminal:
        terminal.wait_for(b"flaky retry")
        mark = len(terminal.output)
        terminal.send(b"KxzKjpt/")
        terminal.wait_for(b"Terminate", mark)
        terminal.read(0.5)
        assert b"PAUSED" not in terminal.output[mark:]
        mark = len(terminal.output)
        terminal.send(b"n")
        terminal.wait_for(b" quit", mark)
        mark = len(terminal.output)
        terminal.send(b"R")
        terminal.wait_for(b"nothing was done to any process", mark)
        terminal.send(b"qq")
        assert terminal.wait() == 0


async def test_a_page_closed_in_a_burst_hands_the_rest_to_the_table() -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Page))
        at_once(app, "qp")
        await until(pilot, lambda: app.live.view.paused)
        await until(pilot, lambda: "PAUSED" in text(app))
