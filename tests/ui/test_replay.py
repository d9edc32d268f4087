"""The screen of the past: its keys, the same table as then, nothing that acts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from tests.test_recording import as_recorded
from tests.ui import build, film
from tests.ui.pilot import lines, screen, text, until
from tests.ui.told import told
from tokentop.nouns.recorded import STEP_MS
from tokentop.nouns.sessions import State
from tokentop.ui.app import TokentopApp
from tokentop.ui.keys import KEYS, REPLAY_KEYS, Key
from tokentop.ui.screens.replay import ReplayScreen
from tokentop.ui.screens.session import SessionScreen
from tokentop.ui.screens.spans import JumpsScreen, SpanScreen

MIDDLE = film.START + 200_000


@asynccontextmanager
async def past(
    at_ms: int = MIDDLE, size: tuple[int, int] = (120, 40), with_film: bool = True
) -> AsyncIterator[tuple[TokentopApp, Pilot[str], ReplayScreen, build.FakeSource]]:
    """The screen of the past at a time, its frame drawn."""
    async with screen(film.source(with_film), size) as (app, pilot, source):
        app.show_past(at_ms)
        await until(pilot, lambda: isinstance(app.screen, ReplayScreen))
        replay = app.screen
        assert isinstance(replay, ReplayScreen)
        await until(pilot, lambda: at_rest(replay) or bool(replay._failed))
        yield app, pilot, replay, source


def at_rest(replay: ReplayScreen) -> bool:
    """The table is that of the position."""
    return replay.scene is not None and replay.scene.at_ms == replay.reel.at_ms and not replay._loading


@pytest.mark.parametrize("at_ms", [film.START, MIDDLE, film.START + 590_000, film.END - STEP_MS])
async def test_the_table_is_that_of_then(at_ms: int) -> None:
    async with past(at_ms) as (app, pilot, replay, _):
        rows = {row.key: row for row in map(as_recorded, film.seen()[at_ms].rows)}
        assert replay.view.rows == rows
        shown = text(app)
        assert " PAST " in shown
        await until(pilot, lambda: "past" in lines(app)[3])


async def test_a_kill_appears_where_it_happened() -> None:
    victim = film.victim()
    async with past() as (app, pilot, replay, _):
        await pilot.press("right_square_bracket")
        while replay.reel.at_ms < film.KILLED_MS:
            await until(pilot, lambda: at_rest(replay))
            assert replay.view.rows[victim.key].status.state is not State.DONE
            await pilot.press("right_square_bracket")
        assert replay.reel.at_ms == film.KILLED_MS
        await until(pilot, lambda: "kill: ended" in lines(app)[0])
        assert "✗" in lines(app)[1]
        await pilot.press("right")
        await until(pilot, lambda: at_rest(replay))
        row = replay.view.rows.get(victim.key)
        assert row is None or row.status.state is State.DONE


async def test_a_gap_is_a_gap() -> None:
    async with past(film.GAP[0] + 100_000) as (app, pilot, replay, _):
        assert not replay.view.rows
        await until(pilot, lambda: "tokentop did not run" in text(app))
        await pilot.press("right")
        await until(pilot, lambda: at_rest(replay) and bool(replay.view.rows))
        assert replay.reel.at_ms == film.GAP[1]


async def test_playing_passes_over_the_gap_and_stops_at_the_end() -> None:
    async with past(film.GAP[0] - 20_000) as (_, pilot, replay, _):
        await pilot.press("plus", "plus", "plus", "space")
        await until(pilot, lambda: replay.reel.at_ms >= film.GAP[1])
        await until(pilot, lambda: not replay.reel.playing)
        assert replay.reel.at_end


async def test_nothing_acts_on_the_past() -> None:
    async with past() as (app, pilot, replay, source):
        for key in KEYS:
            if key.acts and key.id not in {"tag"}:
                app.clear_notifications()
                await pilot.press(key.keys.split(",")[0])
                if key.id != "untag":
                    await until(
                        pilot, lambda: any("this is the past" in n.message for n in app._notifications)
                    )
        assert not replay.view.tags
        assert app.screen is replay
        assert not source.executed
        assert not source.planned


async def test_without_a_recording_it_says_so() -> None:
    async with past(0, with_film=False) as (app, pilot, replay, _):
        await until(pilot, lambda: "nothing is recorded yet" in text(app))
        for key in REPLAY_KEYS:
            if key.id not in {"leave", "close"}:
                await pilot.press(key.keys.split(",")[0])
                await pilot.press("escape") if app.screen is not replay else None
        assert app.screen is replay


def _position(replay: ReplayScreen, _: TokentopApp) -> int:
    return (replay.reel.at_ms - film.START) // 1000


def becomes(value: object) -> Callable[[Any, Any], bool]:
    return lambda before, after: before != value and after == value


EFFECTS: dict[
    str, tuple[Callable[[ReplayScreen, TokentopApp], Any], Callable[[Any, Any], bool], Sequence[str]]
] = {
    "play": (_position, lambda before, after: after > before, ()),
    "frame_back": (_position, becomes(190), ()),
    "frame_on": (_position, becomes(210), ()),
    "minute_back": (_position, becomes(140), ()),
    "minute_on": (_position, becomes(260), ()),
    "hour_back": (_position, becomes(0), ()),
    "hour_on": (_position, lambda before, after: after > 1000, ()),
    "mark_back": (_position, lambda before, after: after < before, ()),
    "mark_on": (_position, lambda before, after: after > before, ()),
    "faster": (lambda replay, _: replay.reel.speed, becomes(120), ()),
    "slower": (lambda replay, _: replay.reel.speed, becomes(30), ()),
    "begin": (_position, becomes(0), ()),
    "end": (_position, lambda before, after: after > 1000, ()),
    "select": (lambda _, app: type(app.screen), becomes(SpanScreen), ("m", "right_curly_bracket")),
    "jumps": (lambda _, app: type(app.screen), becomes(JumpsScreen), ()),
    "leave": (lambda _, app: app.screen is app.live, becomes(True), ()),
    "close": (lambda _, app: app.screen is app.live, becomes(True), ()),
}
PRESSES = [(key, name) for key in REPLAY_KEYS for name in key.keys.split(",")]


@pytest.mark.parametrize(
    ("key", "name"), PRESSES, ids=lambda part: part.id if isinstance(part, Key) else part
)
async def test_a_key_of_the_past_does_what_it_says(key: Key, name: str) -> None:
    sees, differs, start = EFFECTS[key.id]
    async with past() as (app, pilot, replay, _):
        await pilot.press(*start)
        before = sees(replay, app)
        await pilot.press(name)
        await until(pilot, lambda: differs(before, sees(replay, app)))


async def test_a_span_ranks_its_sessions_and_leads_to_one() -> None:
    """From the jump of the bill to the session that made it: J, Enter, Enter."""
    async with past() as (app, pilot, replay, _):
        await pilot.press("J")
        await until(pilot, lambda: isinstance(app.screen, JumpsScreen))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SpanScreen))
        shown = text(app)
        assert "48.0%" in shown
        assert "by 4 sessions" in shown
        app.notify("not recorded", timeout=600)
        await until(pilot, lambda: "not recorded" in text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, SessionScreen))
        await until(pilot, lambda: "not recorded" not in text(app))  # it would hide the turn
        chosen = app.screen.session_id
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is replay and at_rest(replay))
        assert replay.view.selected is not None
        assert replay.view.selected.session_id == chosen
        assert replay.reel.at_ms > film.START + 300_000


async def test_from_the_jump_of_the_bill_to_the_turn_in_six_keys() -> None:
    """B, J, Enter, Enter: the session opens on the dearest of the turns of that time; m is the dearest of all."""
    async with past() as (app, pilot, replay, source):
        begins = [film.START + 60_000 * (t.number - (20 if t.number > 12 else 120)) for t in told().turns]
        turns = tuple(
            replace(t, at_ms=at, end_ms=at + 50_000) for t, at in zip(told().turns, begins, strict=True)
        )
        source.told = replace(told(), turns=turns)
        assert replay.recording.footage is not None
        jump = replay.recording.footage.jumps(film.START - 3_600_000, film.START + 3_600_000)[0]
        for key, there in (("J", JumpsScreen), ("enter", SpanScreen), ("enter", SessionScreen)):
            await pilot.press(key)
            await until(pilot, lambda there=there: isinstance(app.screen, there))  # type: ignore[misc]
        await until(pilot, lambda: isinstance(app.screen, SessionScreen) and app.screen.view.told is not None)
        opened = app.screen
        assert isinstance(opened, SessionScreen)
        assert source.asked == [(opened.agent, opened.session_id)]
        assert opened.view.turn is not None
        then = [t for t in turns if t.at_ms < jump.until_ms and t.end_ms >= jump.from_ms]
        assert 0 < len(then) < len(turns)
        assert opened.view.turn is max(then, key=lambda t: t.tree.cost_nusd)
        assert opened.view.turn is not max(turns, key=lambda t: t.tree.cost_nusd)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is replay)


async def test_on_the_way_to_the_turn_each_screen_names_the_next_key_at_80_cells() -> None:
    async with screen(film.source(), (80, 24)) as (app, pilot, source):
        source.told = told()
        app.live.go_to(next(row.key for row in app.live.view.rows.values() if row.resume))
        for named, key, there in (
            ("B past", "B", ReplayScreen),
            ("J jumps", "J", JumpsScreen),
            ("Enter go there", "enter", SpanScreen),
            ("Enter its page", "enter", SessionScreen),
        ):
            await until(pilot, lambda named=named: named in text(app))  # type: ignore[misc]
            await pilot.press(key)
            await until(pilot, lambda there=there: isinstance(app.screen, there))  # type: ignore[misc]
        await until(pilot, lambda: "m dearest" in lines(app)[-1])


async def test_the_list_of_jumps_goes_to_other_days() -> None:
    """The last 24 hours first; the day before has nothing, and the way back leads to them again."""
    async with past() as (app, pilot, replay, _):
        await pilot.press("J")
        await until(pilot, lambda: isinstance(app.screen, JumpsScreen))
        first = app.screen
        assert " to Sat 21" in text(app)
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: app.screen is not first and isinstance(app.screen, JumpsScreen))
        await until(
            pilot, lambda: "Fri 20 Nov" in text(app) and "nothing was spent in this time" in text(app)
        )
        before = app.screen
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: app.screen is not before and isinstance(app.screen, JumpsScreen))
        await until(pilot, lambda: " to Sat 21" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is replay)


async def test_the_order_and_the_filter_work_as_on_the_live_screen() -> None:
    async with past() as (app, pilot, replay, _):
        await pilot.press("P")
        assert replay.view.order.sort_id == "cost"
        await pilot.press("slash", *"agent:codex", "enter")
        await until(
            pilot,
            lambda: {row.agent for row in map(replay.view.drawn, replay.view.index) if row} == {"codex"},
        )
        await pilot.press("right")
        await until(pilot, lambda: at_rest(replay))
        assert {row.agent for row in map(replay.view.drawn, replay.view.index) if row} == {"codex"}
        await pilot.press("escape")
        await until(pilot, lambda: not replay.view.query)
        assert app.screen is replay
        assert app.live.view.order.sort_id != "cost"


async def test_help_tells_the_keys_of_time_and_none_that_act() -> None:
    async with past() as (app, pilot, replay, _):
        await pilot.press("question_mark")
        await until(pilot, lambda: app.screen is not replay)
        shown = text(app)
        assert "play, or hold" in shown
        assert "dialog to terminate" not in shown
