"""Tags, actions on tagged rows, receipts, and keys that come before a dialog is shown."""

from __future__ import annotations

import random
import threading

import pytest
from msgspec.structs import replace
from textual import events

from tests.ui import build
from tests.ui.pilot import lines, screen, show, text, until
from tests.ui.terminal import Terminal, driver
from tokentop.nouns.actions import Action, After, KillPlan, PlannedProc, Receipt
from tokentop.nouns.picture import Row
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import State
from tokentop.ui.screens.batch import BatchScreen
from tokentop.ui.screens.confirm import ConfirmScreen
from tokentop.ui.screens.dialog import Dialog
from tokentop.ui.screens.receipts import ReceiptsScreen
from tokentop.ui.source import UiOptions
from tokentop.ui.view import View


def view_of(*rows: Row) -> View:
    view = View()
    view.feed(build.snapshot(rows))
    return view


def line_of(app, title: str) -> str:
    return next(line for line in lines(app) if title in line)


# ---------------------------------------------------------------- the tags themselves


def test_a_tag_is_a_key_and_ends_with_its_session() -> None:
    rows = (build.row("a"), build.row("b"), build.row("proc:7:70", session_id="", pid=7))
    view = view_of(*rows)
    for row in rows:
        assert view.tags.toggle(row.key)
    change = view.feed(build.snapshot((rows[0], build.row("c")), 2))
    assert list(view.tags) == ["a"]
    assert view.tags.ended == 2
    view.feed(build.snapshot((build.row("a", state=State.DONE),), 3))
    assert (list(view.tags), view.tags.ended) == ([], 3)
    again = (build.row("a"), build.row("proc:7:71", session_id="", pid=7))
    change = view.feed(build.snapshot(again, 4))
    assert not view.tags, "what is started later is another one, also with the same pid"
    assert change.structure
    assert not view.tags.toggle_tree("nobody")
    view.feed(build.snapshot((build.row("a", state=State.DONE),), 5))
    assert not view.tags.toggle("a"), "an ended row cannot be tagged"


def test_a_tag_ends_too_while_the_view_is_paused_or_held() -> None:
    rows = (build.row("a"), build.row("b"))
    for hold in (View.set_paused, View.set_held):
        view = view_of(*rows)
        view.tags.toggle("a")
        hold(view, True)
        change = view.feed(build.snapshot(rows[1:], 2))
        assert not view.tags
        assert change.keys >= {"a"}, "its mark is taken from the picture"
        assert view.tagged == []


def test_tagging_a_tree_takes_its_agents_and_no_tool_and_no_sub_agent() -> None:
    view = view_of(*build.picture(), build.row("b1n", parent_key="b1s", depth=2))
    view.fold("b1", True)
    assert view.tags.toggle_tree("b1")
    assert list(view.tags) == ["b1", "b1s", "b1n"]
    assert view.tags.toggle_tree("a1")
    assert "a1" in view.tags
    assert not {"a1s", "a1t"} & set(view.tags)
    assert view.tags.hidden(view.index) == 2
    assert view.tags.toggle_tree("b1"), "all of them are tagged: the tags are taken away"
    assert list(view.tags) == ["a1"]
    assert view.tags.toggle_tree("a1s"), "the row itself is tagged whatever it is"


def test_a_filter_never_hides_tagged_rows_silently() -> None:
    view = view_of(*build.picture())
    for key in ("a1", "c1", "d1"):
        view.tags.toggle(key)
    assert view.tags.hidden(view.index) == 0
    view.set_filter("agent:gemini")
    assert view.tags.hidden(view.index) == 2
    assert view.tagged[0].key == "d1"
    assert len(view.tagged) == 3


async def test_space_tags_and_goes_on_and_u_takes_all_away() -> None:
    async with screen(size=(160, 40)) as (app, pilot, _):
        app.live.action_move(-1000)
        first = app.live.view.cursor
        await pilot.press("space", "space")
        assert len(app.live.view.tags) == 2
        assert first in app.live.view.tags
        assert app.live.view.index[app.live.view.cursor or ""] == 2
        tagged = [line for line in lines(app) if line[1:2] == "◆"]
        assert len(tagged) == 2
        assert "◆ 2 tagged" in lines(app)[0]
        footer = lines(app)[-1]
        for part in ("x stop 2", "z freeze 2", "K kill 2", "U untag"):
            assert part in footer
        await pilot.press("k", "space")
        assert len(app.live.view.tags) == 1, "the same key takes the tag away"
        await pilot.press("U")
        assert not app.live.view.tags
        await until(pilot, lambda: "tagged" not in lines(app)[0])
        assert not [line for line in lines(app) if line[1:2] == "◆"]
        assert "U untag" not in lines(app)[-1]


async def test_the_ascii_twin_and_what_is_hidden_or_ended_is_said() -> None:
    async with screen(options=UiOptions(ascii=True), size=(120, 30)) as (app, pilot, _):
        for key in ("a1", "c1"):
            app.live.go_to(key)
            await pilot.press("space")
        assert line_of(app, "fix the flaky retry")[1] == "#"
        await pilot.press("slash", *"agent:gemini", "enter")
        await until(pilot, lambda: "2 tagged hidden" in text(app))
        assert "# 2 tagged, 2 hidden" in lines(app)[0]
        await pilot.press("escape")
        await show(app, pilot, build.snapshot(build.picture()[5:], 20))
        await until(pilot, lambda: "# 1 tagged, 1 ended" in lines(app)[0])


async def test_new_rows_do_not_push_the_cursor_off_the_screen_while_rows_are_tagged() -> None:
    rows = tuple(build.row(f"k{at:02d}", rate=1000.0 + at) for at in range(30))
    async with screen(build.FakeSource(build.snapshot(rows)), size=(100, 20)) as (app, pilot, _):
        app.live.go_to("k10")
        await pilot.press("space")
        app.live.go_to("k10")
        more = tuple(build.row(f"n{at:02d}", rate=90_000.0 + at) for at in range(40))
        await show(app, pilot, build.snapshot((*more, *rows), 20))
        assert any(line.startswith(">◆") and "title of k10" in line for line in lines(app))


# ---------------------------------------------------------------- acting on them


async def test_a_batch_lists_what_is_hit_and_what_is_left_out_and_hits_exactly_that() -> None:
    async with screen(size=(160, 50)) as (app, pilot, source):
        source.plans_of = {
            "c1": {"refusal": "not permitted, owner=root"},
            "d1": {"confidence": "inferred"},
            "b1": {"tree": (PlannedProc(build.ident(4711), ProcRole.MCP, "mcp-db", 1),)},
        }
        for key in ("a1", "b1", "c1", "d1"):
            app.live.go_to(key)
            await pilot.press("space")
        app.live.go_to("e1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        assert sorted(source.batches[0]) == ["a1", "b1", "c1", "d1"]
        shown = text(app)
        for part in (
            "Terminate 2 tagged rows, 5 processes; this stops $24.70/h; 2 left out",
            "fix the flaky retry test", "api", "pid 4", "2h07", "$31.20 and 2.58M tokens so far; this stops $18.40/h",
            "lost: this turn", "1 tool, 1 mcp (30122 python -m pytest -x, 30007 mcp-fs)", "resume: claude --resume a1",
            "1 mcp (4711 mcp-db)", "left out: not permitted, owner=root", "left out: its process was inferred",
        ):  # fmt: skip
            assert part in shown, part
        before = [line for line in lines(app) if "so far" in line]
        source.plans_of = {}
        await show(app, pilot, build.snapshot(build.picture()[:2], 20))
        assert [line for line in lines(app) if "so far" in line] == before, "frozen at the key press"
        await pilot.press("enter")
        assert source.executed == []
        await pilot.press("y")
        await until(pilot, lambda: len(app.commander.receipts) == 2)
        assert {plan.title for plan in source.executed} == {
            "fix the flaky retry test",
            "move the build to vite",
        }
        await until(pilot, lambda: "terminate 2 tagged" in text(app))
        assert "2 ended" in text(app)


@pytest.mark.parametrize(
    ("key", "action"), [("x", Action.INTERRUPT), ("z", Action.FREEZE), ("K", Action.TERMINATE)]
)
async def test_one_tag_already_makes_every_action_ask(key: str, action: Action) -> None:
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        await pilot.press("space", key)
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        assert source.executed == []
        assert app.screen.action is action
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)
        assert source.executed == []
        assert source.planned == []


async def test_many_processes_or_a_shared_one_want_the_word() -> None:
    async with screen() as (app, pilot, source):
        source.plans_of = {"a1": {"shared_session_ids": ("s1", "s2")}}
        app.live.go_to("a1")
        await pilot.press("space", "x")
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        assert "2 other sessions live in this process" in text(app)
        await pilot.press("y", *"yes", "enter")
        await until(pilot, lambda: "nothing was sent" in text(app))
        assert source.executed == []
        await pilot.press(*["backspace"] * 3, *"stop", "enter")
        await until(pilot, lambda: len(source.executed) == 1)
        many = tuple(build.row(f"k{at}", pid=5000 + at) for at in range(6))
        await show(app, pilot, build.snapshot(many, 20))
        app.live.action_move(-100)
        await pilot.press(*["space"] * 6, "z")
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        await pilot.press("y")
        await until(pilot, lambda: "type freeze" in text(app))
        assert len(source.executed) == 1
        await pilot.press(*"freeze", "enter")
        await until(pilot, lambda: len(source.executed) == 7)


async def test_tagged_frozen_rows_are_thawed_and_a_nested_agent_is_hit_once() -> None:
    rows = (
        build.row("f1", state=State.FROZEN, pid=6001),
        build.row("f2", state=State.FROZEN, pid=6002, parent_key="f1", depth=1),
    )
    async with screen(build.FakeSource(build.snapshot(rows)), size=(120, 40)) as (app, pilot, source):
        source.plans_of = {
            "f1": {"tree": (PlannedProc(build.ident(6002), ProcRole.AGENT, "claude -p", 1, "f2"),)}
        }
        app.live.go_to("f1")
        await pilot.press("A")
        assert "z thaw 2" in lines(app)[-1]
        await pilot.press("z")
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        await pilot.press("y")
        await until(pilot, lambda: len(source.executed) == 2)
        assert {plan.action for plan in source.executed} == {Action.THAW}
        source.executed.clear()
        source.receipt_fields = {"ended_pids": (6001, 6002)}
        await until(pilot, lambda: app.screen is app.live)
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        assert "ends with 6001, which it is below" in text(app)
        assert "6002 claude -p  an agent of its own" in text(app)
        await pilot.press("y")
        await until(pilot, lambda: len(app.commander.receipts) == 4)
        assert [plan.target.pid for plan in source.executed if plan.target] == [6001]
        child = next(receipt for receipt in app.commander.receipts if receipt.detail)
        assert (child.pid, child.detail, child.result) == (6002, "ended with claude 6001", "ended")


async def test_random_keys_never_act_on_tagged_rows_without_a_yes() -> None:
    """Conformance 28, with tags."""
    dice = random.Random(28)
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        await pilot.press("space", "A")
        dialogs = 0
        for _ in range(40):
            await pilot.press(dice.choice(["k", "j", "K", "x", "X", "z", "Z", "p", "A", "enter"]))
            if "a1" not in app.live.view.tags:  # `A` may have taken it away
                app.live.view.tags.toggle("a1")
            if isinstance(app.screen, Dialog):
                dialogs += 1
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is app.live)
            elif app.screen is not app.live:
                await pilot.press("escape")
        assert dialogs
        assert source.batches
        assert (source.planned, source.executed) == ([], [])


async def test_where_nothing_can_be_hit_a_yes_sends_nothing() -> None:
    async with screen() as (app, pilot, source):
        source.plans_of = {"a1": {"refusal": "tokentop runs inside it"}}
        app.live.go_to("a1")
        await pilot.press("space", "K")
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        assert "None of the 1 tagged row can be hit" in text(app)
        assert "left out: tokentop runs inside it" in text(app)
        await pilot.press("y")
        await until(pilot, lambda: app.screen is app.live)
        assert source.executed == []


async def test_read_only_has_no_tags_and_no_batch() -> None:
    """Conformance 26."""
    async with screen(options=UiOptions(read_only=True), size=(200, 50)) as (app, pilot, source):
        app.live.go_to("a1")
        await pilot.press("space", "A", "x", "z", "K")
        await pilot.pause(0.2)
        assert not app.live.view.tags
        assert (source.batches, source.planned, source.executed) == ([], [], [])
        assert app.screen is app.live
        assert not any(word in lines(app)[-1] for word in ("tag", "untag"))
        app.commander._keep(receipt("a1", build.NOW))
        await pilot.press("R", "o")
        await until(pilot, lambda: "y copy resume" in text(app))
        assert "resume in tmux" not in text(app)
        assert source.resumed == []
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)
        app.live.view.tags.toggle("a1")
        app.live.action_terminate()
        app.commander.begin_batch(app.live.view.tagged, Action.KILL)
        await pilot.pause(0.2)
        assert source.batches == []
        await pilot.press("colon", *"tag the row")
        await pilot.pause(0.6)
        assert "tag the row and go on" not in text(app)


@pytest.mark.parametrize("size", [(1, 1), (20, 5), (40, 10), (59, 24), (80, 8), (200, 60)])
async def test_the_dialog_and_the_drawer_survive_every_size(size: tuple[int, int]) -> None:
    async with screen(size=size) as (app, pilot, _):
        app.live.go_to("a1")
        await pilot.press("space", "K")
        await until(pilot, lambda: isinstance(app.screen, BatchScreen) and app.screen.seen)
        await pilot.resize_terminal(size[0] + 1, size[1] + 1)
        await pilot.press("j", "k", "pagedown")
        app.screen.dismiss(app.screen.said_yes())  # type: ignore[attr-defined]
        await until(pilot, lambda: len(app.commander.receipts) == 1)
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ReceiptsScreen))
        await pilot.press("enter", "j", "G", "g")
        await pilot.resize_terminal(*size)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)


# ---------------------------------------------------------------- keys that come too early


class SlowPlan(build.FakeSource):
    """Plans only when it is told to."""

    def __init__(self) -> None:
        super().__init__(build.snapshot())
        self.go = threading.Event()

    def plan(self, row: Row, action: Action) -> KillPlan:
        self.go.wait(20)
        return super().plan(row, action)


async def test_a_yes_before_the_dialog_is_shown_does_nothing_and_is_asked_for_again() -> None:
    source = SlowPlan()
    async with screen(source) as (app, pilot, _):
        app.live.go_to("a1")
        await pilot.press("K", "y")
        source.go.set()
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        assert "y was pressed before this was shown and did nothing: press it again" in text(app)
        assert source.executed == []
        await pilot.press("y")
        await until(pilot, lambda: len(source.executed) == 1)


async def test_between_the_opening_and_the_first_picture_a_key_gets_its_hint_and_escape_leaves() -> None:
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        dialog = ConfirmScreen(
            build.plan_for(build.picture()[0], Action.TERMINATE), build.picture()[0], None, 0
        )  # type: ignore[arg-type]
        dialog.too_early("y")
        dialog.too_early("enter")
        dialog.too_early("a")
        app.push_screen(dialog)
        await until(pilot, lambda: dialog.seen)
        assert "y was pressed before this was shown" in text(app)
        dialog.dismiss(None)
        await until(pilot, lambda: app.screen is app.live)
        leaving = ConfirmScreen(
            build.plan_for(build.picture()[0], Action.TERMINATE), build.picture()[0], None, 0
        )  # type: ignore[arg-type]
        leaving.too_early("escape")
        app.push_screen(leaving)
        await until(pilot, lambda: app.screen is app.live)
        assert source.executed == []


async def test_what_was_typed_before_the_picture_confirms_nothing_however_late_it_arrives() -> None:
    """The thread that reads the terminal may be stopped between two keys of one write."""
    async with screen() as (app, pilot, source):
        late = events.Key("y", "y")
        await pilot.press("K")
        await until(pilot, lambda: app.commander.dialog is not None and app.commander.dialog.seen)
        app.post_message(late)
        await until(pilot, lambda: "press it again" in text(app))
        assert source.executed == []
        await pilot.press("y")
        await until(pilot, lambda: len(source.executed) == 1)


def test_in_a_terminal_keys_in_one_write_never_confirm() -> None:
    with Terminal(driver("still"), 120, 40) as terminal:
        terminal.wait_for(b"terraform plan")
        terminal.send(b"Ky")
        terminal.wait_for(b"press it again")
        assert b": ended" not in terminal.output
        terminal.send(b"y")
        terminal.wait_for(b": ended")
        terminal.send(b"q")
        assert terminal.wait() == 0


@pytest.mark.parametrize("again", range(3))
def test_in_a_terminal_a_yes_to_the_first_picture_is_never_lost(again: int) -> None:
    """The dialog counts as seen with the picture that is sent, not some time after it."""
    with Terminal(driver("live"), 120, 40) as terminal:
        terminal.wait_for(b"terraform plan")
        terminal.send(b"K")
        terminal.wait_for(b"yes, terminate")
        terminal.send(b"y")
        terminal.wait_for(b": ended")
        terminal.send(b"q")
        assert terminal.wait() == 0


# ---------------------------------------------------------------- receipts


def receipt(key: str, at_ms: int, **fields: object) -> Receipt:
    row = build.row(key)
    plan = build.plan_for(row, Action.TERMINATE)
    return build.receipt_for(plan, **({"at_ms": at_ms, "title": row.title, "project": row.project} | fields))


async def test_the_drawer_lists_this_run_and_earlier_ones_and_copies_the_chosen_resume() -> None:
    async with screen(size=(120, 40)) as (app, pilot, source):
        mine, old = receipt("a1", build.NOW), receipt("older", build.NOW - 86_400_000)
        source.earlier = (
            mine,
            replace(old, after=After(10)),
            receipt("oldest", build.NOW - 2 * 86_400_000, resume=""),
        )
        app.commander._keep(mine)
        await pilot.press("R")
        await until(pilot, lambda: "3 actions, newest first" in text(app))
        drawer = app.screen
        assert isinstance(drawer, ReceiptsScreen)
        assert [one.session_id for one in drawer.list.receipts] == [
            mine.session_id,
            old.session_id,
            "oldest-4f2a-9c11",
        ]
        assert "no token in its log in the 10 s after" in text(app)
        await pilot.press("j", "y")
        assert app.clipboard == old.resume
        assert "o resume in tmux" in text(app)
        await pilot.press("o")
        await until(pilot, lambda: "resumed in tmux work:3" in text(app))
        assert source.resumed == [source.earlier[1]]
        await pilot.press("enter")
        await until(pilot, lambda: "SIGTERM to " in text(app))
        for part in ("still alive: none", "ended: ", "start ", "by manual: terminate", " s  SIGTERM to "):
            assert part in text(app)
        await pilot.press("j", "y")
        await until(pilot, lambda: "no resume command" in text(app))
        assert app.clipboard == old.resume
        watched = replace(mine, after=After(10, 2, 1204, 30_000_000, "a new call"))
        await show(app, pilot, build.snapshot(revision=20, watched=(watched,)))
        await until(pilot, lambda: "1,204 tokens, $0.03 in the 10 s after: a new call" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)


async def test_only_spend_is_told_by_a_second_toast_and_once() -> None:
    async with screen(size=(120, 40)) as (app, pilot, _):
        quiet, loud = receipt("a1", build.NOW), receipt("b1", build.NOW)
        for one in (quiet, loud):
            app.commander._keep(one)
        done = (replace(quiet, after=After(10)), replace(loud, after=After(10, 1, 900, None, "a new call")))
        await show(app, pilot, build.snapshot(revision=20, watched=done))
        await until(pilot, lambda: "900 tokens, no price in the 10 s after: a new call" in text(app))
        assert len(app._notifications) == 1
        await show(app, pilot, build.snapshot(revision=21, watched=done))
        assert len(app._notifications) == 1
        assert [one.after is not None for one in app.commander.receipts] == [True, True]


async def test_a_source_that_cannot_tell_of_earlier_ones_says_so() -> None:
    class Broken(build.FakeSource):
        def receipts(self) -> tuple[Receipt, ...]:
            raise OSError

    async with screen(Broken(build.snapshot()), size=(120, 40)) as (app, pilot, _):
        await pilot.press("R")
        await until(pilot, lambda: "earlier ones could not be read: OSError" in text(app))
