"""Conformance of the Crush reader."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.agents.harness import HERE, Scratch, scratch
from tokentop.agents import agent, all_processes
from tokentop.agents.processes import identify
from tokentop.engine.snapshot import take
from tokentop.nouns.sessions import Context, State
from tokentop.nouns.usage import RunningTotal, Tokens

PLACE = "work/shop/.crush/crush.db"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        shutil.copytree(HERE / "crush/documented/home", found.home, dirs_exist_ok=True)
        yield found


def change(home: Scratch, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(home.home / PLACE)) as db, db:
        db.execute(sql, values)


def cost(home: Scratch) -> list[int | None]:
    return [event.cost_nusd for event in home.read().events]


def test_a_parents_cost_contains_its_childrens_and_there_are_no_tokens(home: Scratch) -> None:
    """Conformance 114."""
    found = home.read()
    assert sum(event.cost_nusd or 0 for event in found.events) == 300_000_000
    assert found.total == Tokens()
    assert found.responses == []
    assert set(found.sessions) == {"7d0f"}


def test_growth_is_counted_once(home: Scratch) -> None:
    home.read()
    change(home, "UPDATE sessions SET cost = 0.42, updated_at = updated_at + 30 WHERE id = '7d0f'")
    assert sum(c or 0 for c in cost(home)) == 420_000_000
    assert sum(c or 0 for c in cost(home)) == 420_000_000
    # Summarising resets the gauge, not the cost.
    change(home, "UPDATE sessions SET prompt_tokens = 10, updated_at = updated_at + 30 WHERE id = '7d0f'")
    assert sum(c or 0 for c in cost(home)) == 420_000_000


def test_times_are_seconds_or_milliseconds(home: Scratch) -> None:
    home.read()
    change(
        home,
        "INSERT INTO sessions VALUES ('ms', NULL, 'In ms', 0, 1, 1, 0.5, 1790000100000, 1790000090000, NULL)",
    )
    found = home.read()
    assert found.of("ms")[0].at_ms == 1_790_000_100_000
    change(home, "UPDATE sessions SET cost = 0.6, updated_at = 1790000200 WHERE id = 'ms'")
    assert sum(e.cost_nusd or 0 for e in home.read().of("ms")) == 600_000_000


def test_a_flat_rate_session_has_no_cost(home: Scratch) -> None:
    change(home, "UPDATE sessions SET cost = 0")
    assert home.read().events == ()


def test_a_session_has_its_project_title_and_model(home: Scratch) -> None:
    about = home.read().sessions["7d0f"]
    assert (about.title, about.cwd, about.model) == (
        "Sort the shelves",
        "/home/dev/work/shop",
        "claude-sonnet-4-5",
    )


def test_the_gauge_and_the_status_come_from_the_newest_rows(home: Scratch) -> None:
    _, facts = home.follow(1_790_000_061_000)
    assert [f.used for f in facts if isinstance(f, Context)] == [21_900]
    assert [f.only for f in facts if isinstance(f, RunningTotal)] == [True]
    now_s = int(time.time())
    calls = [
        {"type": "tool_call", "data": {"id": "c", "name": "bash"}},
        {"type": "finish", "data": {"reason": "tool_use"}},
    ]
    change(home, "UPDATE sessions SET updated_at = ? WHERE id = '7d0f'", now_s)
    change(
        home, "INSERT INTO messages VALUES ('m9', '7d0f', 'assistant', ?, 'claude-sonnet-4-5', ?, ?, ?, 'anthropic', 0)",
        json.dumps(calls), now_s, now_s, now_s,
    )  # fmt: skip
    live, _ = home.follow(now_s * 1000 + 500)
    row = next(row for row in take(live, now_s * 1000 + 500).rows if row.session_id == "7d0f")
    assert row.status.state is State.TOOL


def test_hostile_rows_are_read_without_an_error(home: Scratch) -> None:
    change(home, "UPDATE sessions SET cost = 1e300, title = x'ff00', updated_at = 'soon'")
    change(home, "UPDATE messages SET parts = '[[[', model = 7")
    assert home.read().total == Tokens()


def test_only_the_program_is_crush() -> None:
    found = identify(["crush", "run", "go"], "/usr/bin/crush", all_processes())
    assert found is not None
    assert found.spec.one_shot(found.argv)
    assert found.spec.common_name
    assert agent("crush").resume_command("7d0f") == ""
