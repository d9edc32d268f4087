"""The drawer, and the pages of one row: log, process, sources. They cost nothing while nobody looks."""

from __future__ import annotations

import asyncio
import threading

import pytest
from msgspec.structs import replace

from tests.ui import build, hostile
from tests.ui.pilot import lines, screen, show, text, until
from tokentop.nouns.looks import Inside, LogTail, Look, Minutes, Port, Step
from tokentop.nouns.picture import Row
from tokentop.ui import drawer, origins
from tokentop.ui.glyphs import SPARKS
from tokentop.ui.screens.lookpages import InsidePage, LogPage
from tokentop.ui.screens.pages import Page
from tokentop.ui.widgets.detail import bars, lay_out

SECOND = 1_000
STEPS = (
    Step("prompt", "", "fix the flaky test", build.NOW - 60 * SECOND),
    Step("tool", "Bash", "python -m pytest -x", build.NOW - 40 * SECOND, "failed", 12_300),
    Step("answer", "claude-opus-5-5", "The retry holds the lock.", build.NOW - 20 * SECOND),
    Step("tool", "Edit", "src/retry.py", build.NOW - 5 * SECOND, "open"),
)
CELLS = tuple(range(60))
LOOKED = {
    "steps": STEPS, "minutes": Minutes(CELLS, CELLS, (0,) * 60, CELLS, build.NOW - 3_600_000, "memory"),
    "ports": (Port(5173, "127.0.0.1", 4711, "node vite"),), "compactions": 2, "compacted_ms": build.NOW - 720_000,
    "seen_ms": build.NOW - 3_600_000, "quality": "exact", "log": "Claude Code, 1.2 MB",
    "price": "anthropic/claude-opus-5-5: litellm, 2026-11-20",
}  # fmt: skip


def source() -> build.FakeSource:
    found = build.FakeSource(build.snapshot())
    found.look_fields = dict(LOOKED)
    return found


def shown(row: Row, look: Look | None = None, below: tuple[Row, ...] = ()) -> dict[str, str]:
    fields = drawer.drawer(row, look, below, build.NOW, (), build.snapshot().quotas)
    return {field.label: f"{field.value} {field.tail}".strip() for field in reversed(fields) if field.label}


# ---------------------------------------------------------------- what it says


def test_the_first_lines_say_what_it_does_spends_and_holds() -> None:
    row = build.row("a", cost=31.2, burn=18.4, rate=64_200.0, state=build.State.TOOL)
    found = shown(row, Look("a", build.NOW, **LOOKED))
    assert found["does"] == "Edit src/retry.py, 5s ago"
    assert found["spends"].startswith("$31.20 since ")
    assert found["spends"].endswith("$18.40/h, 64.2k tok/min")
    assert "71%, 142k of 200k, compacted 2 times, last 12m ago" in found["context"]
    assert "listens on :5173" in found["process"]
    assert found["port"] == ":5173 node vite (pid 4711, 127.0.0.1)"


def test_steps_are_newest_first_and_tell_failures_and_what_runs() -> None:
    row = build.row("a", state=build.State.TOOL)
    fields = list(drawer._steps(row, Look("a", build.NOW, **LOOKED), build.NOW))
    assert [(f.value, f.tail) for f in fields] == [
        ("Edit src/retry.py", "… 5s"), ("opus-5-5: The retry holds the lock.", ""),
        ("Bash python -m pytest -x", "✗ 12s"), ("you: fix the flaky test", ""),
    ]  # fmt: skip


def test_an_open_call_of_a_session_at_rest_does_not_run() -> None:
    row = build.row("a", state=build.State.IDLE)
    look = Look("a", build.NOW, **LOOKED)
    assert next(drawer._steps(row, look, build.NOW)).tail == "no result"
    assert shown(row, look)["does"].startswith("last: Edit")


def test_what_is_not_known_is_said() -> None:
    row = build.row("a", context_used=None)
    found = shown(row, Look("a", build.NOW, steps_note="the log is gone"))
    assert found["does"] == "the log is gone"
    assert found["context"] == "? not told yet"
    fields = drawer.drawer(row, Look("a", build.NOW), (), build.NOW, (), ())
    assert any("neither memory nor the store" in field.value for field in fields)


def test_limits_say_when_they_are_full_at_this_pace() -> None:
    quota = replace(build.snapshot().quotas[0], full_at_ms=build.NOW + 60 * build.MINUTE)
    row = build.row("a")
    fields = {f.label: f.value for f in drawer.drawer(row, None, (), build.NOW, (), (quota,))}
    assert fields["limit 5h"].startswith("78% full ")


def test_sub_agents_are_listed_with_state_rate_and_cost() -> None:
    rows = build.picture()
    fields = drawer.drawer(rows[0], None, (rows[1],), build.NOW, (), ())
    listed = next(f for f in fields if f.value == "explore: call sites of retry")
    assert listed.label == "● work"
    assert listed.tail == "8.10k/min $0.42"


def test_bars_show_a_little_as_a_mark_and_nothing_as_a_blank() -> None:
    assert bars((0.0, 0.001, 1000.0), 3) == f" {SPARKS[0]}{SPARKS[-1]}"
    assert bars((), 10) == ""
    assert len(bars(tuple(map(float, range(60))), 20)) == 20


def test_sections_keep_their_order_in_every_width() -> None:
    fields = drawer.drawer(build.row("a"), Look("a", build.NOW, **LOOKED), (), build.NOW, (), ())
    headings = [f.value for f in fields if f.role == "section"]
    for width in (10, 38, 58, 80, 120, 300):
        placed = lay_out(fields, width)
        assert [line[0][0].value for line in placed if line[0][0].role == "section"] == headings


# ---------------------------------------------------------------- where figures come from


def grades(row: Row, look: Look | None = None) -> dict[str, str]:
    return {one.what: one.grade for one in origins.origins(row, look, build.snapshot().quotas, build.NOW)}


def test_every_figure_says_how_good_it_is() -> None:
    look = Look("a", build.NOW, **LOOKED)
    exact = grades(build.row("a"), look)
    assert {exact[name] for name in ("tokens", "cost", "rate", "context", "state", "pid")} == {"exact"}
    figures = build.figures(cost=1.0)
    assert grades(build.row("a", own=replace(figures, estimated=True)), look)["cost"] == "estimated"
    assert grades(build.row("a", own=replace(figures, unpriced_tokens=5)), look)["cost"] == "at least"
    assert (
        grades(build.row("a", own=replace(figures, unpriced_tokens=5, cost_nusd=0)), look)["cost"]
        == "unpriced"
    )
    assert grades(build.row("a", own=replace(figures, unknown_calls=1)), look)["tokens"] == "at least"
    assert grades(build.row("a"), replace(look, price_estimated=True))["cost"] == "estimated"
    assert grades(build.row("a"), replace(look, quality="unknown"))["tokens"] == "unknown"
    assert grades(build.row("a", confidence="inferred"))["pid"] == "inferred"
    assert grades(build.row("a", pid=None))["pid"] == "unknown"
    assert grades(build.row("a", context_used=None))["context"] == "unknown"
    assert grades(build.row("a", last_ms=0, own=build.Figures()))["cost"] == "unknown"


def test_a_stale_limit_and_a_reset_one_are_not_exact() -> None:
    found = origins.origins(build.row("a"), None, build.snapshot().quotas, build.NOW)
    assert [one.grade for one in found if one.what.startswith("limit")] == ["exact", "exact", "stale"]
    over = replace(build.snapshot().quotas[0], resets_at_ms=build.NOW - 1)
    assert origins.origins(build.row("a"), None, (over,), build.NOW)[-1].grade == "unknown"


def test_the_short_line_names_what_is_not_exact() -> None:
    found = origins.origins(build.row("a", confidence="inferred"), None, (), build.NOW)
    assert origins.short(found) == "~ pid inferred; the rest exact"
    assert origins.short([one for one in found if one.what != "pid"]).startswith("exact: tokens, cost")


# ---------------------------------------------------------------- keys


async def test_nothing_is_looked_up_while_the_drawer_is_closed() -> None:
    async with screen(source()) as (app, pilot, found):
        await pilot.press("j", "k")
        await show(app, pilot, build.snapshot(revision=2))
        await pilot.pause(1.2)
        assert found.looked == []
        assert found.tailed == []
        app.live.go_to("a1")
        await pilot.press("enter")
        await until(pilot, lambda: found.looked == ["a1"])
        await pilot.press("escape")
        await show(
            app,
            pilot,
            build.snapshot(tuple(replace(r, last_ms=build.NOW) for r in build.picture()), revision=3),
        )
        await pilot.pause(1.2)
        assert found.looked == ["a1"]


async def test_the_open_drawer_asks_again_when_its_row_has_changed_and_only_then() -> None:
    async with screen(source(), size=(160, 50)) as (app, pilot, found):
        app.live.go_to("a1")
        await pilot.press("enter")
        await until(pilot, lambda: "python -m pytest -x" in text(app))
        await pilot.pause(1.5)
        assert found.looked == ["a1"]
        rows = build.change(build.picture(), "a1", cpu_pct=99.0)
        await show(app, pilot, build.snapshot(rows, revision=2))
        await pilot.pause(1.2)
        assert found.looked == ["a1"]
        await show(app, pilot, build.snapshot(build.change(rows, "a1", last_ms=build.NOW), revision=3))
        await until(pilot, lambda: found.looked == ["a1", "a1"])


async def test_a_slow_answer_holds_nothing_up_and_is_not_shown_for_another_row() -> None:
    found = source()
    gate = threading.Event()

    def slow(row: Row) -> Look:
        found.looked.append(row.key)
        if row.key == "a1":
            gate.wait(60)
        return Look(row.key, build.NOW, (Step("tool", "Grep", f"needle-{row.key}", build.NOW, "ok"),))

    found.look = slow  # type: ignore[method-assign]
    async with screen(found, size=(160, 50)) as (app, pilot, _):
        app.live.go_to("a1")
        await pilot.press("enter")
        await until(pilot, lambda: found.looked == ["a1"])
        app.live.go_to("e1")
        await until(pilot, lambda: "the log is being read" in text(app))
        gate.set()
        await until(pilot, lambda: "needle-e1" in text(app))
        assert "needle-a1" not in text(app)


async def test_a_source_that_fails_is_said() -> None:
    found = source()

    def fail(_row: Row) -> Look:
        raise OSError("no")

    found.look = fail  # type: ignore[method-assign]
    async with screen(found, size=(160, 50)) as (app, pilot, _):
        await pilot.press("enter")
        await until(pilot, lambda: "could not be looked up" in text(app))


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
async def test_tab_scrolls_the_drawer_and_comes_back_to_its_beginning(size: tuple[int, int]) -> None:
    async with screen(source(), size=size) as (app, pilot, found):
        app.live.go_to("a1")
        before = app.live.view.cursor
        await pilot.press("tab")
        assert app.live.detail.scroll_offset.y == 0
        await pilot.press("enter")
        await until(pilot, lambda: "Edit src/retry.py" in text(app))
        await until(pilot, lambda: "Tab scroll" in lines(app)[-1])
        for key in ("spends", "context", "process"):
            assert key in text(app)
        seen = set()
        for _ in range(40):
            await pilot.press("tab")
            await pilot.pause()
            seen.add(app.live.detail.scroll_offset.y)
            if app.live.detail.scroll_offset.y == 0:
                break
        assert len(seen) >= 2
        assert app.live.detail.scroll_offset.y == 0
        await pilot.press("tab", "shift+tab")
        assert app.live.detail.scroll_offset.y == 0
        assert app.live.view.cursor == before
        assert found.planned == []


async def test_the_log_page_shows_steps_then_lines_and_follows() -> None:
    found = source()
    found.tail_answer = LogTail(('{"type":"assistant"}',), STEPS, 2_000_000, "", (1, 2, 3))
    async with screen(found, size=(120, 40)) as (app, pilot, _):
        await pilot.press("L")
        await until(pilot, lambda: isinstance(app.screen, LogPage) and "pytest -x" in text(app))
        assert "2.0 MB before this are not shown" in text(app)
        await pilot.press("r")
        await until(pilot, lambda: '{"type":"assistant"}' in text(app))
        await pilot.press("r")
        found.tail_answer = LogTail(
            (), (*STEPS, Step("tool", "Grep", "needle-7", build.NOW)), state=(1, 9, 9)
        )
        await until(pilot, lambda: "needle-7" in text(app))
        found.tail_answer = LogTail(note="the log is gone: its agent has deleted or moved it")
        await until(pilot, lambda: "the log is gone" in text(app))
        assert "needle-7" in text(app)
        await pilot.press("L")
        await until(pilot, lambda: app.screen is app.live)
        asked = len(found.tailed)
        await pilot.pause(1.3)
        assert len(found.tailed) == asked


async def test_the_process_page_shows_what_it_was_started_with() -> None:
    found = source()
    found.inside_answer = Inside(
        4711, 9, "", ("claude", "--continue"), "/home/dev/api",
        (("HOME", "/home/dev", True), ("MY_API_KEY", "***", False)), ports=(Port(5173, "::", 4712, "node vite"),),
        note="this process was matched by inference (inferred)",
    )  # fmt: skip
    async with screen(found, size=(120, 40)) as (app, pilot, _):
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, InsidePage) and "MY_API_KEY=***" in text(app))
        for part in (
            "--continue",
            "/home/dev/api",
            "HOME=/home/dev",
            "::",
            "5173",
            "below it, pid 4712",
            "by inference",
        ):
            assert part in text(app)
        await pilot.press("e")
        await until(pilot, lambda: app.screen is app.live)


async def test_a_refused_process_page_says_why() -> None:
    found = source()
    found.inside_answer = Inside(0, 0, "its pid belongs to another process now")
    async with screen(found) as (app, pilot, _):
        await pilot.press("e")
        await until(pilot, lambda: "belongs to another process" in text(app))


async def test_the_sources_page_names_log_price_list_and_process_table() -> None:
    async with screen(source(), size=(120, 50)) as (app, pilot, _):
        app.live.go_to("a1")
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, Page))
        await until(pilot, lambda: "litellm, 2026-11-20" in text(app))
        for part in ("process table", "a1.jsonl", "registry", "stale"):
            assert part in text(app)
        await pilot.press("i")
        await until(pilot, lambda: app.screen is app.live)


async def test_the_path_of_the_log_is_copied_unless_it_would_do_more_than_it_shows() -> None:
    rows = (build.row("a1"), build.row("b1", log_path="/tmp/x\nrm -rf ~"), build.row("c1", log_path=""))
    async with screen(build.FakeSource(build.snapshot(rows)), size=(120, 40)) as (app, pilot, _):
        copied: list[str] = []
        app.copy_to_clipboard = copied.append  # type: ignore[method-assign]
        for key in ("a1", "b1", "c1"):
            app.live.go_to(key)
            await pilot.press("Y")
        await until(pilot, lambda: "no log of this row is known" in text(app))
        assert copied == [rows[0].log_path]


async def test_a_tool_line_leads_to_the_log_of_its_session() -> None:
    async with screen(source()) as (app, pilot, found):
        app.live.go_to("a1t")
        await pilot.press("L")
        await until(pilot, lambda: found.tailed == ["a1"])
        await pilot.press("escape")
        app.live.go_to("o1")
        await pilot.press("L")
        await until(pilot, lambda: "no session is known" in text(app))
        assert app.screen is app.live


@pytest.mark.parametrize("size", [(160, 50), (80, 24), (20, 8)])
async def test_hostile_answers_are_shown_and_never_obeyed(size: tuple[int, int]) -> None:
    bad = "".join(part[:40] for part in (*hostile.ESCAPES, *hostile.MARKUP, *hostile.WIDE))
    found = source()
    found.look_fields = {
        "steps": tuple(Step(kind, bad, bad, build.NOW, "open") for kind in ("tool", "answer", "prompt", "compaction")),
        "steps_note": bad, "log": bad, "ports": (Port(1, bad, 2, bad),), "ports_note": bad, "missing": bad, "price": bad,
    }  # fmt: skip
    found.tail_answer = LogTail((bad,), found.look_fields["steps"], 1, bad, (1, 1, 1))
    found.inside_answer = Inside(
        1, 1, "", (bad,), bad, ((bad, bad, True),), bad, (Port(1, bad, 2, bad),), bad, bad
    )
    async with screen(found, size=size) as (app, pilot, _):
        from tests.ui.test_hostile import check

        await pilot.press("enter")
        await until(pilot, lambda: bool(found.looked))
        await asyncio.sleep(0.1)
        for _ in range(3):
            check(app)
            await pilot.press("tab")
            await pilot.pause()
        for key in ("L", "e", "i"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, Page))
            await pilot.pause(0.2)
            check(app)
            await pilot.press("r")
            await pilot.pause(0.05)
            check(app)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.live)
