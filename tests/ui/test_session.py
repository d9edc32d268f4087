"""The screen of one session: its keys, its jumps, what it does with a long one and with hostile text."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC
from typing import Any

import pytest
from msgspec.structs import replace

from tests.ui import build
from tests.ui.build import MINUTE
from tests.ui.pilot import lines, screen, show, text, until
from tests.ui.told import BEGIN, SAID, SID, call, told
from tokentop.engine.tally import Bought, Pair, Sum
from tokentop.engine.timeline import Part, Timeline, timeline
from tokentop.nouns.sessions import Session
from tokentop.ui.app import TokentopApp
from tokentop.ui.keys import SESSION_KEYS, Key
from tokentop.ui.screens.session import SessionScreen
from tokentop.ui.screens.sessionpages import SessionHelp, TranscriptPage
from tokentop.ui.turns import Entry, TurnView
from tokentop.ui.widgets.turnlist import cells_of

Sees = Callable[[TokentopApp, build.FakeSource], Any]


@pytest.fixture(autouse=True)
def read_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine: a session is read by its keys alone, where a test says nothing else."""
    monkeypatch.setattr("tokentop.ui.screens.session.LOOK_S", 3600.0)


def source_of(found: Timeline | None = None) -> build.FakeSource:
    source = build.FakeSource(build.snapshot())
    source.told, source.said = found if found is not None else told(), (SAID, "")
    return source


def page(app: TokentopApp) -> SessionScreen:
    found = app.screen
    assert isinstance(found, SessionScreen)
    return found


async def opened(app: TokentopApp, pilot: Any) -> SessionScreen:
    app.live.go_to("a1")
    await pilot.press("s")
    await until(pilot, lambda: isinstance(app.screen, SessionScreen) and app.screen.view.told is not None)
    await pilot.pause()
    return page(app)


def at(app: TokentopApp, _: build.FakeSource) -> int:
    return page(app).view.at


def unfolded(app: TokentopApp, _: build.FakeSource) -> int:
    return len(page(app).view.open)


def selected(app: TokentopApp, _: build.FakeSource) -> str:
    entry = page(app).view.selected
    if entry is None:
        return ""
    return (
        entry.item.kind
        if entry.item is not None
        else f"turn {entry.turn.number}"
        if entry.turn is not None
        else ""
    )


def top(app: TokentopApp, _: build.FakeSource) -> type:
    return type(app.screen)


# For each key: keys before, what is looked at, and what it is afterwards.
EFFECTS: dict[str, tuple[tuple[str, ...], Sees, Any]] = {
    "down": ((), at, 1),
    "up": (("j", "j"), at, 1),
    "page_down": ((), lambda app, _: at(app, _) > 5, True),
    "page_up": (("G",), lambda app, _: at(app, _) < 29, True),
    "top": (("G",), at, 0),
    "bottom": ((), at, 29),
    "unfold": ((), unfolded, 1),
    "fold": (("enter",), unfolded, 0),
    "fold_all": ((), unfolded, 30),
    "dearest": ((), selected, "turn 12"),
    "trouble": ((), selected, "tool"),
    "trouble_back": ((), selected, "action"),
    "agent": ((), selected, "tool"),
    "agent_back": ((), selected, "tool"),
    "parent": (("enter", "j"), at, 0),
    "resume": ((), lambda app, _: app.clipboard, f"claude --resume {SID}"),
    "transcript": ((), top, TranscriptPage),
    "html": ((), lambda _, source: source.exported, ["html"]),
    "markdown": ((), lambda _, source: source.exported, ["md"]),
    "json": ((), lambda _, source: source.exported, ["json"]),
    "again": ((), lambda _, source: len(source.asked), 2),
    "help": ((), top, SessionHelp),
    "back": ((), lambda app, _: app.screen is app.live, True),
}
PRESSES = [(key, name) for key in SESSION_KEYS for name in key.keys.split(",")]


@pytest.mark.parametrize(
    ("key", "name"), PRESSES, ids=lambda part: part.id if isinstance(part, Key) else part
)
async def test_a_key_does_what_it_says(key: Key, name: str) -> None:
    before, sees, after = EFFECTS[key.id]
    async with screen(source_of()) as (app, pilot, source):
        await opened(app, pilot)
        for one in before:
            await pilot.press(one)
        await pilot.pause()
        assert sees(app, source) != after
        await pilot.press(name)
        await until(pilot, lambda: sees(app, source) == after)


def test_every_key_has_an_effect() -> None:
    assert EFFECTS.keys() == {key.id for key in SESSION_KEYS}


async def test_what_is_asked_for_is_the_session_of_the_row() -> None:
    async with screen(source_of()) as (app, pilot, source):
        await opened(app, pilot)
        row = app.live.view.rows["a1"]
        assert source.asked == [(row.agent, row.session_id)]
        shown = text(app)
        assert "fix the flaky retry test" in shown
        assert "30 turns" in shown
        assert "src/retry.py" not in shown
        await pilot.press("enter")
        await pilot.pause()
        assert "src/retry.py  +12 -3" in text(app)


async def test_a_tool_row_opens_the_session_of_its_agent_and_an_orphan_has_none() -> None:
    async with screen(source_of()) as (app, pilot, source):
        app.live.go_to("a1t")
        await pilot.press("s")
        await until(pilot, lambda: source.asked != [])
        assert source.asked[0][1] == app.live.view.rows["a1"].session_id


async def test_from_the_table_to_the_turn_that_cost_most_in_two_keys() -> None:
    async with screen(source_of()) as (app, pilot, _):
        await opened(app, pilot)
        await pilot.press("m")
        await pilot.pause()
        [line] = [line for line in lines(app) if line.startswith("> ")]
        assert "▸ 12" in line
        assert "missed" not in line
        await pilot.press("enter", "j")
        await pilot.pause()
        [line] = [line for line in lines(app) if line.startswith("> ")]
        assert "missed the cache" in line


async def test_columns_line_up_with_their_heads_at_every_width() -> None:
    for size in ((80, 24), (120, 40), (200, 60)):
        async with screen(source_of(), size=size) as (app, pilot, _):
            await opened(app, pilot)
            await pilot.press("enter")
            await pilot.pause()
            shown = lines(app)
            head = next(line for line in shown if "TIME" in line and "TURN" in line)
            rows = shown[shown.index(head) + 1 : -2]
            end = head.rstrip().rfind("T") + 1
            assert all(row[:end].rstrip()[-1:].isdigit() for row in rows if "$" in row)
            assert all(len(row.rstrip()) <= size[0] for row in shown)


async def test_hostile_titles_are_text() -> None:
    title = "[bold red]x[/] \x1b[2J\x07 \u202eabc"
    async with screen(source_of(told(3, title, False))) as (app, pilot, _):
        await opened(app, pilot)
        shown = text(app)
        assert "[bold red]x[/]" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown


async def test_a_session_that_is_not_known_or_fails_says_so() -> None:
    async with screen(build.FakeSource(build.snapshot())) as (app, pilot, _):
        app.live.go_to("a1")
        await pilot.press("s")
        await until(pilot, lambda: "not in the store yet" in text(app))
        for key in ("m", "e", "a", "t", "w", "y", "enter", "u", "j"):
            await pilot.press(key)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)

    def fails(agent: str, session_id: str) -> Timeline | None:
        raise OSError("broken")

    source = source_of()
    source.tell = fails  # type: ignore[method-assign]
    async with screen(source) as (app, pilot, _):
        app.live.go_to("a1")
        await pilot.press("s")
        await until(pilot, lambda: "could not be read" in text(app))


async def test_the_head_tells_what_the_tokens_bought_and_how_it_gets_known() -> None:
    for bought, said in (
        (None, "not looked at yet: tokentop outcome"),
        (Bought(Sum(("total",), edits=3, passed=2, failed=1), 14), "3 files changed, no commit is known to be its own; tests 2/3"),
        (Bought(Sum(("total",), commits=Pair(2.0), added=Pair(31.0), survived=Pair(29.0)), 14),
         "2 commits, +31 -0 lines, 29 survived"),
    ):  # fmt: skip
        source = source_of()
        source.bought_answer = bought
        async with screen(source, size=(120, 40)) as (app, pilot, _):
            await opened(app, pilot)
            await until(pilot, lambda app=app, said=said: f"outcome  {said}" in text(app))  # type: ignore[misc]


async def test_nothing_waits_for_a_log_that_is_slow_to_read() -> None:
    gate = threading.Event()
    source = source_of()
    answer = source.told

    def slow(agent: str, session_id: str) -> Timeline | None:
        gate.wait(60)
        return answer

    source.tell = slow  # type: ignore[method-assign]
    async with screen(source) as (app, pilot, _):
        app.live.go_to("a1")
        await pilot.press("s")
        await until(pilot, lambda: "being read" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)
        gate.set()
        await pilot.pause(0.1)
        assert app.screen is app.live


async def test_a_session_that_goes_on_is_read_again_and_keeps_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tokentop.ui.screens.session.LOOK_S", 0.05)
    monkeypatch.setattr("tokentop.ui.screens.session.PATIENCE", 0)
    source = source_of(told(5))
    async with screen(source) as (app, pilot, _):
        found = await opened(app, pilot)
        await pilot.press("G", "enter")
        place = found.view.selected
        assert place is not None
        source.told = told(6)
        snapshot = app.live.snapshot
        assert snapshot is not None
        asked = source.asked[0][1]
        rows = tuple(replace(r, last_ms=build.NOW + 1) if r.session_id == asked else r for r in snapshot.rows)
        await show(app, pilot, replace(snapshot, revision=snapshot.revision + 1, rows=rows))
        await until(pilot, lambda: len(found.view.told.turns if found.view.told else ()) == 6)
        assert found.view.selected is not None
        assert found.view.selected.key == place.key
        assert place.key in found.view.open


async def test_the_parent_of_a_sub_agent_is_opened() -> None:
    whole = told()
    inner = next(item.branch for turn in whole.turns for item in turn.items if item.branch is not None)
    source = source_of(inner)
    async with screen(source) as (app, pilot, _):
        await opened(app, pilot)
        source.told = whole
        await pilot.press("g", "u")
        await until(pilot, lambda: len(source.asked) == 2)
        assert source.asked[1] == ("claude", SID)
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is app.live)


async def test_only_lines_that_are_seen_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    from tokentop.ui.widgets.turnlist import TurnList

    drawn: set[int] = set()
    old = TurnList._line

    def counted(self: TurnList, at: int, *rest: Any) -> Any:
        drawn.add(at)
        return old(self, at, *rest)

    monkeypatch.setattr(TurnList, "_line", counted)
    async with screen(source_of(told(20_000))) as (app, pilot, _):
        found = await opened(app, pilot)
        assert len(found.view.lines) == 20_000
        drawn.clear()
        await pilot.press("G")
        await until(pilot, lambda: 19_999 in drawn)
        assert len(drawn) <= 2 * app.size.height
        assert any(line.startswith("> ") and "20000" in line for line in lines(app))


def test_jumps_go_round_and_unfold_the_way() -> None:
    view = TurnView()
    view.show(told())
    assert view.agent(1)
    entry = view.selected
    assert entry is not None
    assert entry.item is not None
    assert entry.item.branch is not None
    assert view.fold(False)
    assert view.lines[view.at + 1].turn is not None
    seen = []
    for _ in range(40):
        view.trouble(1)
        entry = view.selected
        assert entry is not None
        seen.append(entry.key)
    assert seen[0] in seen[1:]
    places = [view.lines.index(one) for one in view.lines if one.key in set(seen)]
    assert places == sorted(places)


def test_a_turn_whose_length_no_log_tells_has_none() -> None:
    short = call(1, BEGIN + MINUTE)
    calls = (call(0, BEGIN), replace(short, usage=replace(short.usage, duration_ms=0)))
    turns = timeline({SID: Part(Session("claude", SID), "api", calls, None)}, SID).turns
    assert [cells_of(Entry(("",), 0, turn, None, opens=False), UTC)["took"][0] for turn in turns] == [
        "4.2s",
        "",
    ]


def test_a_timeline_without_anything_has_no_lines_and_no_errors() -> None:
    view = TurnView()
    for action in (
        view.fold,
        view.fold_all,
        view.up,
        view.dearest,
        lambda: view.trouble(1),
        lambda: view.agent(-1),
    ):
        action()
    view.show(replace(told(), turns=()))
    view.move(5)
    assert view.selected is None
    assert view.turn is None
