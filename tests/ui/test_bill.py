"""The view "Limits & bill": axes and fan, what is shown of failures, any size, any text, and when it asks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import Struct
from msgspec.structs import fields, replace
from rich.cells import cell_len
from textual.containers import VerticalScroll
from textual.widgets import Static

from tests.ui import build
from tests.ui.pilot import screen, text, until
from tests.ui.screens import bill
from tests.ui.test_hostile import GROUPS, check
from tokentop.engine.days import day_bounds
from tokentop.engine.statement import Bills, Day, Statement
from tokentop.nouns.billing import Health, ProviderState, ReportStanding, Standing
from tokentop.nouns.money import Budget, Forecast, Quota
from tokentop.ui.bill import asked, fan, money
from tokentop.ui.bill.frame import Lines, cells
from tokentop.ui.bill.page import lines
from tokentop.ui.screens import fullview
from tokentop.ui.screens.limits import LimitsScreen

HOUR = 3_600_000
USD = 1_000_000_000
NOON = build.NOW - 9 * HOUR


def shown(found: Lines) -> list[str]:
    return ["".join(piece for piece, _ in line) for line in found]


def forecast(start_ms: int, now_ms: int, end_ms: int, **more: Any) -> Forecast:
    told: dict[str, Any] = {
        "today_nusd": 40 * USD, "projected_nusd": 80 * USD, "low_nusd": 60 * USD, "high_nusd": 120 * USD,
        "low_half_nusd": 70 * USD, "high_half_nusd": 95 * USD,
        "curve": ((now_ms, 40 * USD), (end_ms, 80 * USD)),
    }  # fmt: skip
    return Forecast(at_ms=now_ms, day="2026-11-21", method="profile", days_of_history=9, **{**told, **more})


# ---------------------------------------------------------------- the curve


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield ZoneInfo("Europe/Berlin")
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("at_ms", "hours", "noon"), [
    (1_792_929_600_000, 25, 13 / 25),  # 2026-10-25, clocks go back
    (1_774_789_200_000, 23, 11 / 23),  # 2026-03-29, clocks go forward
    (1_795_273_500_000, 24, 12 / 24),
])  # fmt: skip
def test_hours_stand_where_they_are_also_on_odd_days(
    berlin: ZoneInfo, at_ms: int, hours: int, noon: float
) -> None:
    start_ms, end_ms, _ = day_bounds(at_ms, berlin)
    assert end_ms - start_ms == hours * HOUR
    day = Day(start_ms, end_ms, ((start_ms, 0), (at_ms, 40 * USD)))
    axis = shown(fan.curve(day, forecast(start_ms, at_ms, end_ms), (), 119, 8, False))[-1]
    columns = 119 - fan._LABEL - fan._TAIL
    assert axis.index("12") == fan._LABEL + round(noon * columns)
    assert axis.split() == ["00", "03", "06", "09", "12", "15", "18", "21", "24"]


def test_the_curve_ends_now_and_the_fan_begins_there() -> None:
    start_ms, end_ms, _ = day_bounds(NOON, ZoneInfo("UTC"))
    day = Day(start_ms, end_ms, ((start_ms, 0), (NOON, 40 * USD)))
    found = fan.curve(day, forecast(start_ms, NOON, end_ms), (("budget $130", 130 * USD),), 100, 12, True)
    plot = [line[fan._LABEL : -fan._TAIL] for line in shown(found)[:-1]]
    now = round((NOON - start_ms) / (end_ms - start_ms) * len(plot[0]))
    assert all("#" not in line[now + 1 :] for line in plot)
    assert all(not set(line[: now - 1]) & set("*.=") or "budget" in line for line in plot)
    heights = {
        mark: [at for at, line in enumerate(plot) if mark in line[-4:] and "budget" not in line]
        for mark in "*=."
    }
    assert heights["*"][0] in range(heights["="][0], heights["="][-1] + 1)
    assert heights["."][0] <= heights["="][0] <= heights["="][-1] <= heights["."][-1]
    assert "budget $130" in plot[0] + plot[1]
    tails = [line[-fan._TAIL :].strip() for line in shown(found)[:-1]]
    assert [tail for tail in tails if tail] == ["$120", "$80.00", "$60.00"]


def test_nothing_spent_and_nothing_projected_is_an_empty_plane() -> None:
    start_ms, end_ms, _ = day_bounds(NOON, ZoneInfo("UTC"))
    day = Day(start_ms, end_ms, ((start_ms, 0), (NOON, 0)))
    nothing = Forecast(NOON, "2026-11-21", 0, 0, 0, 0, "none")
    found = shown(fan.curve(day, nothing, (), 80, 8, False))
    assert [line.strip() for line in found[:-1] if line.strip()] == ["$1", "$0.50", "$0"]
    flat = forecast(start_ms, NOON, end_ms, projected_nusd=40 * USD, low_nusd=40 * USD, low_half_nusd=40 * USD,
                    curve=((NOON, 40 * USD), (end_ms, 40 * USD)))  # fmt: skip
    assert "⡪" in "".join(shown(fan.curve(day, flat, (), 80, 12, False))), (
        "its upper half is open all the same"
    )


# ---------------------------------------------------------------- what others tell


def quota(used: float = 50.0, **more: Any) -> Quota:
    told: dict[str, Any] = {"resets_at_ms": NOON + HOUR, "at_ms": NOON, "source": "hook"}
    return Quota("claude", "work", 300, "claude", used, **{**told, **more})


def windows(*quotas: Quota, **more: Any) -> str:
    return "\n".join(shown(asked.windows(Statement(NOON, quotas=quotas, hooked=True, **more), 76)))


def test_a_window_tells_its_pace_its_age_and_never_an_old_value_after_its_reset() -> None:
    assert "134%" in windows(quota(134.2))
    assert "full 12:44" in windows(quota(90.0, full_at_ms=NOON + HOUR // 2))
    old = windows(quota(61.0, at_ms=NOON - 95 * 60_000))
    assert "hook, 1h35 ago" in old
    reset = windows(quota(61.0, resets_at_ms=NOON - 60_000, at_ms=NOON - HOUR))
    assert "unknown since" in reset
    assert "61" not in reset
    assert "0%" not in reset


def test_a_window_that_only_the_settings_know_is_marked_as_estimated() -> None:
    found = windows(quota(42.0, source="settings", resets_at_ms=0))
    assert "≈42%" in found
    assert "by list value" in found


def test_accounts_stand_together_and_the_agents_own_windows_come_first() -> None:
    found = windows(
        replace(quota(), limit_id="opus"), replace(quota(), account="home"), quota(),
        replace(quota(), window_minutes=10_080),
    ).splitlines()[1:]  # fmt: skip
    assert [" ".join(line.replace("█", " ").split()[:4]) for line in found] == [
        "claude home 5h ░░░░", "claude work 5h ░░░░", "claude work 7d ░░░░", "claude work 5h opus",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "health", [one for one in Health if one not in (Health.OK, Health.OFF, Health.WAITING)]
)
def test_every_failing_state_says_what_to_do(health: Health) -> None:
    from tokentop.polling.standing import in_a_word, todo
    from tokentop.providers import all_providers

    for provider in all_providers():
        source = provider.sources[0]
        state = ProviderState(provider.id, source.id, "k", health, "why", NOON, NOON - 3 * HOUR)
        report = ReportStanding(source.gives, state, NOON + HOUR, todo(provider, source.needs, health))
        one = Standing(provider.id, provider.label, in_a_word([health]), True, reports=(report,))
        found = "\n".join(shown(asked.providers([one], NOON, 110)))
        assert f"{source.id}: {health}, why" in found
        assert "→ " in found
        assert "3h00 ago" in found
        assert "in 1h00" in found


def test_what_is_not_known_is_never_zero() -> None:
    nothing = "\n".join(shown(lines(Statement(NOON), 79, 24, False)))
    assert "$0" not in nothing
    assert "0%" not in nothing
    assert "today's bill is not known" in nothing
    for hint in ("tokentop budget set", "tokentop hook install statusline", "the store cannot be read"):
        assert hint in nothing
    off = Statement(NOON, providers=(Standing("anthropic", "Anthropic", "off"),), bills=Bills())
    assert "tokentop providers enable" in "\n".join(shown(lines(off, 79, 24, False)))
    used = replace(off, agents=frozenset({"claude"}), quotas=(replace(quota(), provider="codex"),))
    assert "hook install statusline" in "\n".join(shown(lines(used, 79, 24, False)))


def test_a_budget_says_when_it_is_exhausted() -> None:
    def of(spent: int, projected: int | None, exhausted_ms: int = 0) -> str:
        one = Budget(
            "all", "", "day", 100 * USD, spent * USD, projected, exhausted_ms, NOON - HOUR, NOON + HOUR
        )
        return shown(money.budgets([one], NOON, 76))[0]

    assert "exhausted at 13:14" in of(50, 120 * USD, NOON + HOUR)
    assert of(100, 120 * USD).rstrip().endswith("exhausted")
    assert "holds" in of(50, 60 * USD)
    assert "? " in of(50, None)


def test_what_a_plan_covers_is_no_discrepancy_and_corrected_is_marked() -> None:
    found = bill()
    text_of = "\n".join(shown(lines(found, 199, 60, False)))
    assert "not compared: " in text_of
    assert "≈ " in text_of
    assert "corrected by bills" in text_of
    assert found.bills is not None
    assert {day.provider for day in found.bills.days} == {"litellm", "openrouter"}
    assert "used elsewhere" in text_of


# ---------------------------------------------------------------- any size, any text


@pytest.mark.parametrize("width", [1, 7, 8, 20, 39, 40, 59, 79, 80, 109, 139, 140, 159, 160, 199, 500])
def test_every_line_is_as_wide_as_it_has_to_be(width: int) -> None:
    for ascii_only in (False, True):
        for line in lines(bill(), width, 24, ascii_only):
            assert cells(line) <= max(width, 12), "".join(piece for piece, _ in line)
    if width >= 59:
        assert {cells(line) for line in lines(bill(), width, 24, False)[:8]} == {width}


def filled(value: Any, bad: str) -> Any:
    """The same value with `bad` in each text that is foreign."""
    if isinstance(value, Enum) or not isinstance(value, Struct | tuple | frozenset | str):
        return value
    if isinstance(value, str):
        return bad
    if isinstance(value, tuple):
        return tuple(filled(one, bad) for one in value)
    if isinstance(value, frozenset):
        return value
    kept = {"currency", "kind", "day", "day_utc", "month", "mode", "period", "method"}
    new = {
        field.name: filled(getattr(value, field.name), bad)
        for field in fields(type(value))
        if field.name not in kept
    }
    return replace(value, **new)


@pytest.mark.parametrize("name", GROUPS)
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_foreign_text_is_shown_and_never_obeyed(name: str, size: tuple[int, int]) -> None:
    source = build.FakeSource(build.snapshot())
    source.statement_answer = filled(bill(), GROUPS[name])
    async with screen(source, size=size) as (app, pilot, _):
        await pilot.press("4")
        await until(pilot, lambda: "as of" in text(app))
        for _ in range(6):
            check(app)
            await pilot.press("pagedown")
            await pilot.pause()


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (20, 5), (59, 24), (300, 1), (500, 200)])
async def test_any_terminal_will_do(size: tuple[int, int]) -> None:
    source = build.FakeSource(build.snapshot())
    source.statement_answer = bill()
    async with screen(source, size=size) as (app, pilot, _):
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, LimitsScreen) and app.screen._found is not None)
        await pilot.press("j", "G", "g", "escape")
        await until(pilot, lambda: app.screen is app.live)
        assert all(cell_len(line) == size[0] for line in text(app).splitlines())


# ---------------------------------------------------------------- asking


async def test_it_asks_only_while_it_is_seen_and_paints_only_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fullview, "ASK_S", 0.05)
    painted: list[object] = []
    update = Static.update

    def seen(self: Static, *words: Any, **how: Any) -> None:
        if self.id == "bill":
            painted.append(words)
        update(self, *words, **how)

    monkeypatch.setattr(Static, "update", seen)
    source = build.FakeSource(build.snapshot())
    source.statement_answer = bill()
    async with screen(source) as (app, pilot, _):
        await pilot.pause(0.3)
        assert source.stated == 0
        await pilot.press("4")
        await until(pilot, lambda: source.stated >= 4)
        assert len(painted) == 2, "that it is looked up, then what was found"
        source.statement_answer = replace(bill(), at_ms=bill().at_ms + 20_000)
        asked_before = source.stated
        await until(pilot, lambda: source.stated >= asked_before + 3)
        assert len(painted) == 2, "the same to the minute"
        source.statement_answer = replace(bill(), budgets=())
        await until(pilot, lambda: "no budget is set" in "\n".join(shown(app.screen._drawn[1])))  # type: ignore[attr-defined]
        assert len(painted) == 3
        app.screen.query_one(VerticalScroll)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.live)
        stated = source.stated
        await pilot.pause(0.4)
        assert source.stated <= stated + 1


async def test_what_cannot_be_looked_up_is_said_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fullview, "ASK_S", 0.05)
    source = build.FakeSource(build.snapshot())
    source.statement_answer = RuntimeError("no")
    async with screen(source) as (app, pilot, _):
        await pilot.press("4")
        await until(pilot, lambda: "could not be looked up (RuntimeError)" in text(app))
        source.statement_answer = bill()
        await until(pilot, lambda: "so far" in text(app) and "could not" not in text(app))
        source.statement_answer = RuntimeError("again")
        await until(pilot, lambda: "could not be looked up" in text(app))
        assert "so far" in text(app), "what was known stays"


@pytest.mark.parametrize(
    ("key", "tree", "query"), [("1", False, ""), ("2", True, ""), ("5", False, "kind:orphan")]
)
async def test_the_keys_of_the_other_views_lead_there(key: str, tree: bool, query: str) -> None:
    async with screen() as (app, pilot, _):
        await pilot.press("4")
        await until(pilot, lambda: isinstance(app.screen, LimitsScreen))
        await pilot.press(key)
        await until(pilot, lambda: app.screen is app.live)
        await until(pilot, lambda: (app.live.view.tree, app.live.view.query) == (tree, query))
