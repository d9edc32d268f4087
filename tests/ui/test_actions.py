"""Acting on processes: dialogs, single keys, receipts, read-only."""

from __future__ import annotations

import random

import pytest
from msgspec.structs import replace

from tests.ui import build
from tests.ui.pilot import lines, screen, show, text, until
from tokentop.nouns.actions import Action, Jump, Means, Orphan, PlannedProc
from tokentop.nouns.picture import Figures
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Tokens
from tokentop.procs.plan import Planner
from tokentop.procs.table import Host
from tokentop.ui.actions.plan import spent
from tokentop.ui.screens.confirm import ConfirmScreen
from tokentop.ui.screens.pages import Page
from tokentop.ui.screens.receipts import ReceiptsScreen
from tokentop.ui.screens.sweep import SweepScreen
from tokentop.ui.source import UiOptions


async def test_the_dialog_keeps_its_row_when_others_push_in_above() -> None:
    """Conformance 3; processes.md 73."""
    async with screen() as (app, pilot, source):
        app.live.go_to("b1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        before = [line.key for line in app.live.view.lines]
        new = (build.row("n1", rate=10**6), build.row("n2", rate=10**6), *build.picture())
        await show(app, pilot, build.snapshot(new, 20))
        assert "move the build to vite" in text(app)
        assert [line.key for line in app.live.view.lines] == before
        await pilot.press("y")
        await until(pilot, lambda: bool(source.executed))
        assert source.executed[0].title == "move the build to vite"
        assert source.executed[0].action is Action.TERMINATE
        await until(pilot, lambda: "n1" in app.live.view.index)


async def test_a_dialog_says_when_its_row_has_left() -> None:
    async with screen() as (app, pilot, _):
        app.live.go_to("b1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        await show(app, pilot, build.snapshot(build.picture()[:2], 20))
        await until(pilot, lambda: "already gone" in text(app))


async def test_two_presses_in_a_row_plan_once() -> None:
    """processes.md 74."""
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        app.live.action_terminate()
        app.live.go_to("b1")
        app.live.action_terminate()
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        assert source.planned == [("a1", Action.TERMINATE)]


async def test_enter_sends_nothing_and_kill_needs_its_own_yes() -> None:
    """Conformance 27."""
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        await pilot.press("enter")
        await pilot.press("k")
        await until(pilot, lambda: "KILL cannot be caught" in text(app))
        await pilot.press("enter")
        assert isinstance(app.screen, ConfirmScreen)
        assert source.executed == []
        await pilot.press("y")
        await until(pilot, lambda: bool(source.executed))
        assert [plan.action for plan in source.executed] == [Action.KILL]


async def test_terminate_is_two_keys_and_the_receipt_is_kept() -> None:
    """Conformance 27."""
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        shown = text(app)
        for part in ("fix the flaky retry test", "30122", "30007", "$18.40/h", "claude --resume", "SIGTERM"):
            assert part in shown
        await pilot.press("y")
        await until(pilot, lambda: len(app.commander.receipts) == 1)
        assert source.executed[0].action is Action.TERMINATE
        await until(pilot, lambda: ": ended" in text(app))
        await pilot.press("R")
        await until(pilot, lambda: isinstance(app.screen, ReceiptsScreen))
        await until(pilot, lambda: "resume: claude --resume a1" in text(app))


async def test_a_refusal_is_shown_in_words_and_yes_sends_nothing() -> None:
    async with screen() as (app, pilot, source):
        source.plan_fields = {"refusal": "not permitted, owner=root"}
        app.live.go_to("a1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        assert "not permitted, owner=root" in text(app)
        await pilot.press("y")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
        await pilot.press("x")
        await until(pilot, lambda: len(source.planned) == 2)
        await pilot.pause(0.1)
        assert source.executed == []


async def test_a_process_that_changed_under_the_dialog_is_not_taken_over() -> None:
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        source.plan_fields = {"target": build.ident(999)}
        await pilot.press("k")
        await until(pilot, lambda: "the process has changed" in text(app))
        dialog = app.screen
        assert isinstance(dialog, ConfirmScreen)
        assert dialog.plan.action is Action.TERMINATE


async def test_many_processes_or_other_sessions_must_be_typed() -> None:
    async with screen() as (app, pilot, source):
        source.plan_fields = {"shared_session_ids": ("s1", "s2", "s3")}
        app.live.go_to("b1")
        await pilot.press("K")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        assert "3 other sessions" in text(app)
        await pilot.press("y")
        await pilot.pause(0.1)
        assert source.executed == []
        await pilot.press(*"nope", "enter")
        await until(pilot, lambda: "nothing was sent" in text(app))
        await pilot.press(*["backspace"] * 4, *"codex", "enter")
        await until(pilot, lambda: len(source.executed) == 1)


@pytest.mark.parametrize(("key", "action"), [("x", Action.INTERRUPT), ("z", Action.FREEZE)])
async def test_interrupt_and_freeze_act_at_once_only_on_exact_rows(key: str, action: Action) -> None:
    async with screen() as (app, pilot, source):
        app.live.go_to("a1")
        await pilot.press(key)
        await until(pilot, lambda: len(source.executed) == 1)
        assert source.executed[0].action is action
        await until(pilot, lambda: len(app.commander.receipts) == 1)
        app.live.go_to("b1s")
        await pilot.pause()
        await pilot.press(key)
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        assert "matched by inference" in text(app)
        assert len(source.executed) == 1


async def test_stopping_a_turn_asks_where_a_tool_of_it_may_be_ended_and_shows_what_stays() -> None:
    async with screen() as (app, pilot, source):
        source.plan_fields = {
            "turn_only": True,
            "tree": (
                PlannedProc(build.ident(30122), ProcRole.TOOL, "bash -c make", 1),
                PlannedProc(build.ident(30120), ProcRole.TOOL, "npm run dev", 1),
            ),
            "means": Means(awaited=(build.ident(30122),)),
            "stays": (PlannedProc(build.ident(30100), ProcRole.MCP, "node server.js", 1),),
        }
        app.live.go_to("a1")
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen) and app.screen.seen)
        shown = text(app)
        assert "tools     30122 tool bash -c make" in shown
        assert "30120 tool npm run dev  in the background" in shown
        assert "what of the turn outlives it is ended: TERM, after 2s KILL" in shown
        assert "what is in the background is ended only where its shell has ended" in shown
        assert "stays     30100 mcp node server.js" in shown
        assert source.executed == []
        await pilot.press("y")
        await until(pilot, lambda: len(source.executed) == 1)
        assert source.executed[0].action is Action.INTERRUPT


async def test_a_frozen_row_is_thawed_by_the_same_key() -> None:
    rows = (build.row("f", state=State.FROZEN),)
    async with screen(build.FakeSource(build.snapshot(rows))) as (app, pilot, source):
        assert "z thaw" in lines(app)[-1]
        await pilot.press("z")
        await until(pilot, lambda: len(source.executed) == 1)
        assert source.executed[0].action is Action.THAW


async def test_random_keys_never_act_without_a_dialog_except_on_exact_rows() -> None:
    """Conformance 28."""
    dice = random.Random(28)
    async with screen() as (app, pilot, source):
        exact = {row.key for row in build.picture() if row.confidence == "exact" and row.pid}
        dialogs = 0
        for _ in range(45):
            done = len(source.executed)
            before = app.live.view.cursor
            key = dice.choice(["k", "j", "K", "x", "X", "z", "Z", "p", "k", "j"])
            await pilot.press(key)
            if isinstance(app.screen, ConfirmScreen):
                dialogs += 1
                assert len(source.executed) == done
                await pilot.press("escape")
            elif len(source.executed) > done:
                assert key != "Z"
        assert dialogs
        assert {plan.action for plan in source.executed} <= {Action.INTERRUPT, Action.FREEZE}
        acted = {key for key, action in source.planned if action is not Action.TERMINATE}
        assert {p.session_id[: -len("-4f2a-9c11")] for p in source.executed if p.session_id} <= exact
        assert before in app.live.view.index
        assert acted


@pytest.mark.parametrize("ascii_only", [False, True])
async def test_at_80_cells_the_footer_has_the_way_to_the_past(ascii_only: bool) -> None:
    async with screen(size=(80, 24), options=UiOptions(ascii=ascii_only)) as (app, pilot, _):
        await until(pilot, lambda: "B past" in lines(app)[-1])


async def test_at_80_cells_the_footer_has_what_is_done_with_the_row_whose_drawer_is_open() -> None:
    async with screen(size=(80, 24)) as (app, pilot, _):
        app.live.go_to("a1")
        for part in ("P by cost", "x stop", "z freeze", "K kill", "B past", "? help", "q quit"):
            assert part in lines(app)[-1]
        await pilot.press("enter")
        for part in (
            "Esc close",
            "Tab scroll",
            "s session",
            "x stop",
            "z freeze",
            "K kill",
            "? help",
            "q quit",
        ):
            assert part in lines(app)[-1]


async def test_the_dialog_lists_parents_above_what_they_started() -> None:
    """The plan has them the other way round: what is deepest is hit first."""
    tree = (
        PlannedProc(build.ident(7003), ProcRole.TOOL, "sleep 600", 6),
        PlannedProc(build.ident(7002), ProcRole.TOOL, "sh -c sleep", 5),
        PlannedProc(build.ident(7001), ProcRole.WRAPPER, "node claude", 0),
    )
    async with screen(size=(80, 24)) as (app, pilot, source):
        source.plan_fields = {"tree": tree}
        app.live.go_to("a1")
        await pilot.press("K")
        await until(pilot, lambda: "Esc no" in text(app))
        shown = [line for line in lines(app) if " 700" in line]
        places = [line.index(pid) for line, pid in zip(shown, ("7002", "7003", "7001"), strict=True)]
        assert places == [places[0], places[0] + 2, places[0]]


async def test_read_only_has_no_action_anywhere() -> None:
    """Conformance 26, processes.md 87."""
    options = UiOptions(read_only=True)
    async with screen(options=options, size=(200, 50)) as (app, pilot, source):
        app.live.go_to("a1")
        await pilot.press("x", "z", "K", "f9", "X")
        await pilot.pause(0.2)
        assert source.planned == []
        assert app.screen is app.live
        footer = lines(app)[-1]
        assert not any(word in footer for word in ("freeze", "kill", "stop", "orphan"))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Page))
        assert "dialog to terminate" not in text(app)
        await pilot.press("escape", "colon", *"freeze")
        await pilot.pause(0.6)
        assert "freeze the process" not in text(app)


@pytest.mark.parametrize(
    "resume", ["claude --resume x\ncurl evil", "claude\x1b[2J", "claude \ud800", "a\u202eb"]
)
async def test_a_command_that_would_do_more_than_it_shows_is_not_copied(resume: str) -> None:
    rows = (build.row("a", resume=resume), build.row("b"))
    async with screen(build.FakeSource(build.snapshot(rows))) as (app, pilot, _):
        app.live.go_to("a")
        await pilot.press("y")
        await until(pilot, lambda: "not copied" in text(app))
        assert app.clipboard == ""
        app.live.go_to("b")
        await pilot.press("y")
        assert app.clipboard == rows[1].resume


async def test_o_asks_for_the_terminal_of_the_selected_row_and_says_what_became_of_it() -> None:
    async with screen() as (app, pilot, source):
        app.live.go_to("b1")
        await pilot.press("o")
        await until(pilot, lambda: "tmux api:1.0" in text(app))
        assert source.jumped == ["b1"]
        source.jump_answer = Jump(
            "it is in zellij session w: `zellij attach w` shows it", copy="zellij attach w"
        )
        await pilot.press("o")
        await until(pilot, lambda: app.clipboard == "zellij attach w")
        await until(pilot, lambda: "(copied)" in text(app))
        assert source.executed == []


async def test_a_long_session_name_leaves_room_for_window_and_pane() -> None:
    rows = (
        build.row("a1", where="tmux a-very-long-session-name:12.3"),
        build.row("b1", where="tmux web:0.1"),
    )
    async with screen(build.FakeSource(build.snapshot(rows)), size=(160, 40)) as (app, _, _):
        shown = text(app)
        assert (
            "a-ver…:12.3" in shown or "a-v…:12.3" in shown or "a-very…:12.3" in shown or "a-ve…:12.3" in shown
        )
        assert "web:0.1" in shown


def _orphans(count: int, refusal: str = "") -> tuple[Orphan, ...]:
    row = build.picture()[-1]
    plan = build.plan_for(row, Action.TERMINATE, **({"refusal": refusal} if refusal else {}))
    return tuple(
        Orphan(
            replace(plan, target=build.ident(700 + at)), build.NOW - 90_000, 3.2, 8 << 20, "claude session x"
        )
        for at in range(count)
    )


async def test_the_sweep_shows_every_orphan_and_ends_exactly_those() -> None:
    async with screen() as (app, pilot, source):
        source.orphans = (*_orphans(2), *_orphans(1, "it may belong to claude 9")[:1])
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, SweepScreen) and app.screen.seen)
        shown = text(app)
        for part in (
            "End 2 processes",
            "700",
            "701",
            "node server.js --port 3000",
            "3.2%",
            "left alone: it may",
        ):
            assert part in shown
        before = shown
        source.orphans = _orphans(4)
        await show(app, pilot, build.snapshot(build.picture()[:2], 20))
        assert [line for line in lines(app) if "old," in line] == [
            line for line in before.split("\n") if "old," in line
        ]
        await pilot.press("enter")
        assert source.executed == []
        await pilot.press("y")
        await until(pilot, lambda: len(app.commander.receipts) == 2)
        assert [plan.target.pid for plan in source.executed if plan.target] == [700, 701]
        await until(pilot, lambda: "ended 2 of 2 orphans" in text(app))


async def test_many_orphans_want_a_word_and_escape_ends_none() -> None:
    async with screen(size=(80, 24)) as (app, pilot, source):
        source.orphans = _orphans(9)
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, SweepScreen) and app.screen.seen)
        await pilot.press("y")
        await until(pilot, lambda: "type orphans" in text(app))
        await pilot.press(*"yes", "enter")
        await until(pilot, lambda: "nothing was sent" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, SweepScreen))
        assert source.executed == []
        await pilot.press("X")
        await until(pilot, lambda: isinstance(app.screen, SweepScreen) and app.screen.seen)
        await pilot.press("y", *"orphans", "enter")
        await until(pilot, lambda: len(source.executed) == 9)


def test_a_call_of_unknown_size_is_neither_no_tokens_nor_free_in_a_dialog_and_its_receipt() -> None:
    """A session with one call whose step never wrote its tokens, as OpenCode's is while its first tool runs."""
    planner = Planner((), Host(uid=1000), {}, (), ())
    for own, words in (
        (Figures(unknown_calls=1), "$? so far; this stops ?"),
        (Figures(responses=1, tokens=Tokens(40, 0, 0, 0, 60, 0), tokens_per_min=100.0, unpriced_tokens=100),
         "$? and 100 tokens so far; this stops ?"),
        (Figures(responses=1, tokens=Tokens(40, 0, 0, 0, 60, 0), unpriced_tokens=100),
         "$? and 100 tokens so far; this stops $0.00/h"),
    ):  # fmt: skip
        row = build.row("a", own=own)
        plan = planner.of_row(row, Action.INTERRUPT, force=False)
        assert spent(plan, row) == words
        assert (plan.cost_nusd, plan.burn_nusd_per_h) == (None, 0 if "0.00/h" in words else None)
