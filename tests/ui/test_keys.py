"""Every key of the key map does what it says: each has an effect here, and a key without one fails."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from textual.command import CommandPalette
from textual.strip import Strip

from tests.ui import build
from tests.ui.pilot import screen, text, until
from tests.ui.screens import demo, orphans
from tokentop.nouns.actions import Action
from tokentop.ui.app import TokentopApp
from tokentop.ui.keys import KEYS, Key
from tokentop.ui.screens.confirm import ConfirmScreen
from tokentop.ui.screens.history import HistoryScreen
from tokentop.ui.screens.limits import LimitsScreen
from tokentop.ui.screens.lookpages import InsidePage, LogPage, OriginsPage
from tokentop.ui.screens.pages import HelpPage, Page
from tokentop.ui.screens.receipts import ReceiptsScreen
from tokentop.ui.screens.replay import ReplayScreen
from tokentop.ui.screens.session import SessionScreen
from tokentop.ui.screens.settings import SettingsScreen
from tokentop.ui.screens.sweep import SweepScreen

Sees = Callable[[TokentopApp, build.FakeSource], Any]
_FILTERED = ("slash", *"agent:codex", "enter")


class Effect(Struct, frozen=True):
    """What is looked at, and how it differs after the key from before."""

    sees: Sees
    differs: Callable[[Any, Any], bool]
    start: Sequence[str] = ()  # keys before
    parent: bool = False  # on an agent whose process is certain and that has others below it
    empty: bool = False  # on a machine without agents
    few: bool = False  # on the small picture, whose sessions have logs


def becomes(value: object) -> Callable[[Any, Any], bool]:
    return lambda before, after: before != value and after == value


def _index(app: TokentopApp, source: build.FakeSource) -> int:
    return app.live.view.index[app.live.view.cursor or ""]


def _sort(app: TokentopApp, source: build.FakeSource) -> str:
    return app.live.view.order.sort_id


def _done(app: TokentopApp, source: build.FakeSource) -> list[Action]:
    return [plan.action for plan in source.executed]


def _screen(app: TokentopApp, source: build.FakeSource) -> type:
    return type(app.screen)


def _page_with(title: str) -> Sees:
    return lambda app, source: isinstance(app.screen, Page) and title in text(app)


def _folded(app: TokentopApp, source: build.FakeSource) -> int:
    return len(app.live.view.folded)


def _tagged(app: TokentopApp, source: build.FakeSource) -> int:
    return len(app.live.view.tagged)


def _kinds(app: TokentopApp, source: build.FakeSource) -> set[str]:
    return {app.live.view.rows[line.key].kind for line in app.live.view.lines}


def _forgets_what_is_shown(app: TokentopApp, _: build.FakeSource) -> bool:
    """Whether a line that only this function has put down is gone since it was asked last."""
    lines = app._shown._lines
    gone = not lines.get(10**6)
    lines[10**6] = {0: (1, Strip.blank(1))}
    return gone


# fmt: off
def _scrolled(app: TokentopApp, _: build.FakeSource) -> int:
    return app.live.detail.scroll_offset.y


EFFECTS: dict[str, Effect] = {
    "down": Effect(_index, becomes(1)),
    "up": Effect(_index, becomes(1), ("j", "j")),
    "page_down": Effect(_index, lambda before, after: before == 0 and 9 < after < 40),
    "page_up": Effect(_index, lambda before, after: before > after > 9, ("G",)),
    "top": Effect(_index, becomes(0), ("G",)),
    "bottom": Effect(lambda app, _: _index(app, _) == len(app.live.view.lines) - 1, becomes(True)),
    "detail": Effect(lambda app, _: app.live.drawer_open, becomes(True)),
    "back": Effect(lambda app, _: app.live.drawer_open, becomes(False), ("enter",)),
    "scroll": Effect(_scrolled, lambda before, after: after > before, ("enter",), parent=True),
    "scroll_back": Effect(_scrolled, lambda before, after: after < before, ("enter", "tab"), parent=True),
    "log": Effect(_screen, becomes(LogPage)),
    "session": Effect(_screen, becomes(SessionScreen)),
    "inside": Effect(_screen, becomes(InsidePage)),
    "origins": Effect(_screen, becomes(OriginsPage)),
    "copy_log": Effect(lambda app, _: app.clipboard, lambda before, after: after.endswith(".jsonl"), few=True),
    "filter": Effect(lambda app, _: app.focused is app.live.filter_line.input, becomes(True)),
    "next": Effect(_index, lambda before, after: after > before, (*_FILTERED, "g")),
    "previous": Effect(_index, lambda before, after: after > before, (*_FILTERED, "g")),  # round the end
    "interrupt": Effect(_done, becomes([Action.INTERRUPT]), parent=True),
    "freeze": Effect(_done, becomes([Action.FREEZE]), parent=True),
    "terminate": Effect(_screen, becomes(ConfirmScreen)),
    "sweep": Effect(_screen, becomes(SweepScreen)),
    "jump": Effect(lambda _, source: len(source.jumped), becomes(1)),
    "resume": Effect(lambda app, _: "resume" in app.clipboard, becomes(True)),
    "receipts": Effect(_screen, becomes(ReceiptsScreen)),
    "replay": Effect(_screen, becomes(ReplayScreen)),
    "follow": Effect(lambda app, _: app.live.view.follow, becomes(True)),
    "tree": Effect(lambda app, _: app.live.view.tree, becomes(False)),
    "view_flat": Effect(lambda app, _: app.live.view.tree, becomes(False)),
    "view_tree": Effect(lambda app, _: (app.live.view.tree, app.live.view.query), becomes((True, "")), ("5",)),
    "view_limits": Effect(lambda app, source: isinstance(app.screen, LimitsScreen) and source.stated, becomes(1)),
    "view_history": Effect(_screen, becomes(HistoryScreen)),
    "view_orphans": Effect(_kinds, becomes({"orphan"})),
    "unfold": Effect(_folded, becomes(0), ("minus",), parent=True),
    "fold": Effect(_folded, becomes(1), parent=True),
    "fold_all": Effect(_folded, lambda before, after: before == 0 and after > 1),
    "pause": Effect(lambda app, _: app.live.view.paused, becomes(True)),
    "sort_rate": Effect(_sort, becomes("rate")),
    "sort_cost": Effect(_sort, becomes("cost")),
    "sort_memory": Effect(_sort, becomes("memory")),
    "sort_context": Effect(_sort, becomes("ctx")),
    "sort_next": Effect(_sort, becomes("agent")),
    "sort_previous": Effect(_sort, becomes("age")),
    "reverse": Effect(lambda app, _: app.live.view.order.reverse, becomes(True)),
    "health": Effect(_page_with("Problems"), becomes(True)),
    "demo": Effect(lambda app, _: app.return_value, becomes("demo"), empty=True),
    "redraw": Effect(_forgets_what_is_shown, lambda _, after: after),
    "palette": Effect(_screen, becomes(CommandPalette)),
    "tag": Effect(_tagged, becomes(1)),
    "tag_tree": Effect(_tagged, lambda before, after: before == 0 and after > 0, parent=True),
    "untag": Effect(_tagged, becomes(0), ("space",)),
    "window_longer": Effect(lambda app, _: app.live.view.window_min, lambda before, after: after > before),
    "window_shorter": Effect(
        lambda app, _: app.live.view.window_min, lambda before, after: after < before, ("right_square_bracket",)
    ),
    "group": Effect(lambda app, _: app.live.view.groups.by, lambda before, after: before == "" != after),
    "columns": Effect(lambda app, _: app.screen is not app.live, becomes(True)),
    "settings": Effect(_screen, becomes(SettingsScreen)),
    "help": Effect(_screen, becomes(HelpPage)),
    "quit": Effect(lambda app, _: app._exit, becomes(True)),
}
# fmt: on
PRESSES = [(key, name) for key in KEYS for name in key.keys.split(",")]


@pytest.mark.parametrize(
    ("key", "name"), PRESSES, ids=lambda part: part.id if isinstance(part, Key) else part
)
async def test_a_key_does_what_it_says(key: Key, name: str) -> None:
    assert key.id in EFFECTS, "this key has no effect in EFFECTS"
    effect = EFFECTS[key.id]
    few = build.snapshot() if effect.few else demo()
    source = build.FakeSource(build.snapshot(rows=(), alerts=()) if effect.empty else few)
    source.orphans = orphans(2)
    async with screen(source) as (app, pilot, _):
        if effect.parent:
            above = {row.parent_key for row in demo().rows}
            app.live.go_to(next(r.key for r in demo().rows if r.key in above and r.confidence == "exact"))
        await pilot.press(*effect.start)
        await pilot.pause()
        before = effect.sees(app, source)
        app.simulate_key(name)
        await until(pilot, lambda: effect.differs(before, effect.sees(app, source)))


@pytest.mark.parametrize(("key", "step"), [("plus", 2.0), ("minus", 0.5)])
async def test_outside_of_the_tree_plus_and_minus_change_the_refresh_rate(key: str, step: float) -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("1", key)
        await until(pilot, lambda: app.live.table.period_s == step)
        await until(pilot, lambda: f"repainted every {step:g} s" in text(app))
        assert not app.live.view.folded
        await pilot.press(*[key] * 9)
        await until(pilot, lambda: app.live.table.period_s == (10.0 if key == "plus" else 0.25))


def test_no_effect_is_for_a_key_that_is_gone() -> None:
    assert EFFECTS.keys() <= {key.id for key in KEYS}


def test_no_two_keys_are_the_same() -> None:
    names = [name for _, name in PRESSES]
    assert len(names) == len(set(names))


def test_the_table_of_keys_in_the_readme_is_that_of_the_key_map() -> None:
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "scripts/make_keys_table.py", "--check"], cwd=root, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
