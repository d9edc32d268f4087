"""What rules are about to do, on the screen: shown with its reason, called off with a key, kept as a receipt."""

from __future__ import annotations

import pytest

from tests.ui import build, hostile
from tests.ui.pilot import screen, show, text, until
from tokentop.nouns.actions import Action, Countdown, Notice
from tokentop.settings.rulebook import Notify
from tokentop.ui.app import TokentopApp
from tokentop.ui.source import UiOptions


def countdown(**fields: object) -> Countdown:
    values: dict[str, object] = {
        "id": 7, "rule": "burn_rate", "action": Action.TERMINATE, "row_key": "a1", "agent": "claude",
        "session_id": "s1", "title": "fix the flaky retry test", "project": "api", "pid": 30007, "processes": 4,
        "why": "burns over $50/h for 6 min", "left_ms": 23_400,
    }  # fmt: skip
    return Countdown(**{**values, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(160, 50), (80, 24)])
async def test_a_countdown_says_what_will_be_hit_and_why_and_x_calls_it_off(size: tuple[int, int]) -> None:
    """processes.md 118."""
    async with screen(size=size) as (app, pilot, source):
        app.live.go_to("b1")
        await show(app, pilot, build.snapshot(revision=20, countdowns=(countdown(),)))
        for part in ("rule burn_rate: terminate claude 30007", "and 3 below it", "burns over $50/h for 6 min",
                     "fix the flaky retry test", "x calls it off"):  # fmt: skip
            assert part in text(app), text(app)
        await pilot.press("x")
        assert source.cancelled == [7]
        assert source.planned == [], "the selected row is left alone"


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
@pytest.mark.parametrize(
    "keys",
    [
        ("4",),
        ("3",),
        ("s",),
        ("B",),
        ("K",),
        ("R",),
        ("w",),
        ("comma",),
        ("question_mark",),
        ("4", "question_mark"),
    ],
)
async def test_it_stands_on_every_screen_and_x_calls_it_off_there(
    keys: tuple[str, ...], size: tuple[int, int]
) -> None:
    async with screen(size=size) as (app, pilot, source):
        app.live.go_to("b1")
        await pilot.press(*keys)
        await until(pilot, lambda: app.screen is not app.live and app.screen.is_mounted)
        here = app.screen
        await show(app, pilot, build.snapshot(revision=20, countdowns=(countdown(),)))
        for part in ("rule burn_rate: terminate claude 30007", "x calls it off"):
            await until(pilot, lambda part=part: part in text(app))  # type: ignore[misc]
        await pilot.press("x")
        assert source.cancelled == [7]
        assert source.executed == []
        assert app.screen is here
        await show(app, pilot, build.snapshot(revision=21))
        await until(pilot, lambda: "calls it off" not in text(app))
        await pilot.press("x")
        assert source.cancelled == [7]


async def test_while_somebody_types_x_is_a_letter() -> None:
    async with screen() as (app, pilot, source):
        await pilot.press("3", "slash")
        await show(app, pilot, build.snapshot(revision=20, countdowns=(countdown(),)))
        await until(pilot, lambda: "Esc x calls it off" in text(app))
        await pilot.press("x")
        assert source.cancelled == []
        await pilot.press("escape", "x")
        assert source.cancelled == [7]


async def test_a_dialog_does_not_move_for_a_countdown_and_the_strip_has_the_key() -> None:
    async with screen(size=(80, 24)) as (app, pilot, _):
        app.live.go_to("a1")
        await pilot.press("K")
        await until(pilot, lambda: "Esc no" in text(app))
        before = app.screen.query_one("#box").region
        await show(app, pilot, build.snapshot(revision=20, countdowns=(countdown(),)))
        await until(pilot, lambda: "calls it off" in text(app))
        assert app.screen.query_one("#box").region == before
        assert "Esc no" in text(app)
    async with screen(options=UiOptions(inline=5)) as (app, pilot, source):
        await show(app, pilot, build.snapshot(revision=20, countdowns=(countdown(),)))
        assert "calls it off" in text(app)
        await pilot.press("x")
        assert source.cancelled == [7]


async def test_without_a_countdown_nothing_is_shown_and_right_after_one_x_hits_no_row() -> None:
    async with screen() as (app, pilot, source):
        assert "calls it off" not in text(app)
        await show(app, pilot, build.snapshot(revision=20, countdowns=(countdown(),)))
        await show(app, pilot, build.snapshot(revision=21))
        assert "calls it off" not in text(app)
        app.live.go_to("a1")
        await pilot.press("x")
        assert source.planned == []
        assert source.cancelled == []
        app.live.counted_s -= 10
        await pilot.press("x")
        await until(pilot, lambda: bool(source.planned))


async def test_what_a_rule_did_is_told_once_and_stands_among_the_receipts() -> None:
    async with screen() as (app, pilot, _):
        receipt = build.receipt_for(
            build.plan_for(build.picture()[0], Action.TERMINATE), reason="policy:burn_rate"
        )
        told = Notice(
            1, build.NOW, "burn_rate", "terminate claude 30007: ended", "resume: claude --resume s1"
        )
        for revision in (20, 21):
            await show(app, pilot, build.snapshot(revision=revision, acted=(receipt,), notices=(told,)))
        assert len(app.commander.receipts) == 1
        assert text(app).count("terminate claude 30007: ended") == 1
        await pilot.press("R")
        await until(pilot, lambda: "(policy:burn_rate)" in text(app))


async def test_hostile_text_in_a_countdown_or_a_notice_is_shown_as_text() -> None:
    async with screen() as (app, pilot, _):
        for at, evil in enumerate(hostile.ALL):
            told = Notice(at + 1, build.NOW, "loop", evil, evil)
            one = countdown(title=evil, why=evil, project=evil, agent=evil)
            await show(app, pilot, build.snapshot(revision=20 + at, countdowns=(one,), notices=(told,)))
            shown = text(app)
            assert not set(shown) & {"\x1b", "\x9b", "\x07"}


class _Kept(TokentopApp):
    written: list[str]

    def to_terminal(self, sequence: str) -> None:
        self.written = [*getattr(self, "written", []), sequence]


async def test_the_terminal_is_told_only_where_that_is_switched_on_and_not_too_often() -> None:
    for settings, expected in ((Notify(), 0), (Notify(osc9=True, bell=True, per_minute=2), 2)):
        app = _Kept(build.FakeSource(build.snapshot()), UiOptions(notify=settings))
        async with app.run_test(size=(120, 40), notifications=True) as pilot:
            await until(pilot, lambda app=app: app.live.snapshot is not None)  # type: ignore[misc]
            told = tuple(Notice(at, build.NOW, "loop", f"title {at}", "body") for at in range(1, 6))
            await show(app, pilot, build.snapshot(revision=20, notices=told))
            written = getattr(app, "written", [])
            assert len(written) == expected
            assert all(one.startswith("\x1b]9;") and one.endswith("\a\a") for one in written)
