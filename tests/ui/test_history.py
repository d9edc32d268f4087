"""The view History: what its keys do, and that the newest question wins."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.ui import build
from tests.ui.pilot import lines, screen, text, until
from tests.ui.screens import demo
from tokentop.nouns.history import Ask, Group, Listing, Scan
from tokentop.ui.app import TokentopApp
from tokentop.ui.history.cells import group_name
from tokentop.ui.keys import HISTORY_KEYS, Key
from tokentop.ui.screens.history import HistoryScreen
from tokentop.ui.screens.session import SessionScreen


def view(app: TokentopApp) -> HistoryScreen:
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


def listed(app: TokentopApp) -> int:
    return len(view(app).lines.items)


async def test_typing_searches_and_escape_goes_back_step_by_step() -> None:
    async with screen(build.FakeSource(demo())) as (app, pilot, source):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and listed(app) > 10)
        whole = listed(app)
        await pilot.press("slash", *"dokcer image")
        await until(pilot, lambda: 0 < listed(app) < whole and "shrink the docker image" in text(app))
        assert source.history_asked[-1].query == "dokcer image"
        await pilot.press("enter", "j", "k", "escape")
        await until(pilot, lambda: listed(app) == whole)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)


async def test_keys_sort_group_fold_open_and_leave() -> None:
    async with screen(build.FakeSource(demo())) as (app, pilot, _):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and listed(app) > 10)
        for key, said in (("P", "dearest first"), ("P", "cheapest first"), ("I", "dearest first"), ("T", "most tokens first"),
                          ("L", "newest first"), ("greater_than_sign", "dearest first"), ("less_than_sign", "newest first"),
                          ("b", "by day"), ("b", "by project")):  # fmt: skip
            await pilot.press(key)
            await until(pilot, lambda said=said: said in text(app))
        flat = listed(app)
        await pilot.press("enter")
        await until(pilot, lambda: listed(app) < flat)
        await pilot.press("plus")
        await until(pilot, lambda: listed(app) == flat)
        await pilot.press("asterisk")
        await until(pilot, lambda: listed(app) == len(view(app).lines.listing.groups))
        await pilot.press("asterisk", "G", "b", "b", "b", "g")
        await until(pilot, lambda: not view(app).lines.listing.groups and view(app).lines.chosen is not None)
        await pilot.press("y")
        await until(pilot, lambda: "resume" in app.clipboard)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SessionScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await pilot.press("4")
        await until(pilot, lambda: type(app.screen).__name__ == "LimitsScreen")


async def test_sub_agents_are_unfolded_below_their_session_and_put_away() -> None:
    async with screen(build.FakeSource(demo())) as (app, pilot, _):
        await pilot.press("3")
        await until(
            pilot, lambda: isinstance(app.screen, HistoryScreen) and view(app).lines.chosen is not None
        )
        while not view(app).lines.chosen.below:  # type: ignore[union-attr]
            await pilot.press("j")
        before, count = listed(app), view(app).lines.chosen.below  # type: ignore[union-attr]
        await pilot.press("plus")
        await until(pilot, lambda: listed(app) == before + count)
        await pilot.press("j", "minus")
        await until(pilot, lambda: listed(app) == before)
        assert view(app).lines.chosen.below == count  # type: ignore[union-attr]


async def test_a_late_answer_to_an_older_question_is_dropped() -> None:
    class Slow(build.FakeSource):
        """Answers the question "x" when it is allowed to, and late."""

        gate = threading.Event()

        def history(self, ask: Ask) -> Listing | None:
            if ask.query == "x":
                self.gate.wait(60)
                return Listing(ask, (1,))
            return Listing(ask, (1, 2, 3) if ask.query else ())

    source = Slow(demo())
    async with screen(source) as (app, pilot, _):
        await pilot.press("3", "slash", "x", "y")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and listed(app) == 3)
        source.gate.set()
        await pilot.pause(0.3)
        assert listed(app) == 3
        assert view(app).lines.listing.ask.query == "xy"


async def test_prompts_and_replies_are_searched_where_that_is_on() -> None:
    source = build.FakeSource(demo())
    async with screen(source) as (app, pilot, _):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and listed(app) > 10)
        await pilot.press("f")
        await until(pilot, lambda: "search_prompts" in text(app))
        source.said_scan = Scan(7, 7, 2, (3, 1))
        await pilot.press("slash", *"docker", "enter", "f")
        await until(pilot, lambda: "7 of 7 sessions looked at, 2 without a log" in text(app))
        assert listed(app) == 2
        await pilot.press("escape")
        await until(pilot, lambda: "prompts and replies" not in lines(app)[0])


def test_the_header_of_a_day_says_that_it_sums_sessions_and_not_the_day() -> None:
    group = Group("2026-11-20", 0, 2, 1_000, 5_000_000, unpriced=False)
    assert group_name(group, "day") == "last used Fri 2026-11-20"
    assert group_name(group, "project") == "2026-11-20"


async def test_typed_ahead_keys_reach_the_search_line_in_order() -> None:
    async with screen(build.FakeSource(demo())) as (app, pilot, _):
        await pilot.press("3")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        for key in ("slash", *"bPq"):
            app.simulate_key(key)
        await until(pilot, lambda: view(app).search.input.value == "bPq")


# ------------------------------------------------------------ every key


def _at(app: TokentopApp) -> int:
    return view(app).lines.at


def _title(app: TokentopApp) -> str:
    return lines(app)[0]


_BEFORE: dict[str, tuple[str, ...]] = {
    "up": ("j", "j"), "page_up": ("G",), "top": ("G",), "sort_last": ("P",), "fold": ("b",), "back": (), "fold_all": ("b",),
}  # fmt: skip
_SEEN: dict[str, Callable[[TokentopApp], object]] = {
    "down": _at, "up": _at, "page_down": _at, "page_up": _at, "top": _at, "bottom": _at,
    "open": lambda app: type(app.screen), "search": lambda app: type(app.focused), "group": _title, "sort_cost": _title,
    "sort_tokens": _title, "sort_last": _title, "sort_next": _title, "sort_previous": _title, "reverse": _title,
    "unfold": listed, "fold": listed, "fold_all": listed, "said": lambda app: "search_prompts" in text(app),
    "resume": lambda app: app.clipboard, "close": lambda app: app.screen is app.live,
    "help": lambda app: "Keys of the history" in text(app), "back": lambda app: app.screen is app.live,
}  # fmt: skip
PRESSES = [(key, name) for key in HISTORY_KEYS for name in key.keys.split(",")]


@pytest.mark.parametrize(
    ("key", "name"), PRESSES, ids=lambda part: part.id if isinstance(part, Key) else part
)
async def test_a_key_does_what_it_says(key: Key, name: str) -> None:
    async with screen(build.FakeSource(demo())) as (app, pilot, _):
        await pilot.press("3")
        await until(
            pilot, lambda: isinstance(app.screen, HistoryScreen) and view(app).lines.chosen is not None
        )
        if key.id in ("resume", "unfold"):
            while not view(app).lines.chosen.below:  # type: ignore[union-attr]
                await pilot.press("j")
        for before in _BEFORE.get(key.id, ()):
            shown = _title(app), _at(app)
            await pilot.press(before)
            await until(pilot, lambda shown=shown: (_title(app), _at(app)) != shown)
        sees = _SEEN[key.id]
        was = sees(app)
        app.simulate_key(name)
        await until(pilot, lambda: (sees(app) if _still(app, key) else True) != was)


def _still(app: TokentopApp, key: Key) -> bool:
    """Whether the view is on top; a key that leaves it has done its work."""
    return isinstance(app.screen, HistoryScreen) or key.id in ("open", "close", "back", "help")


def test_every_key_is_looked_at() -> None:
    assert _SEEN.keys() == {key.id for key in HISTORY_KEYS}
