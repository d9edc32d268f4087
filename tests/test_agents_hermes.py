"""Conformance of the Hermes Agent reader."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.base import ROWS_MAX, LogFile
from tokentop.agents.hermes import signs
from tokentop.agents.processes import identify
from tokentop.ingest.rows import questions
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

T = 1_795_294_800.25  # 2026-11-21 21:00 UTC, as Hermes writes times
DB = ".hermes/state.db"
MODEL, OTHER = "claude-sonnet-4-5", "claude-haiku-4-5"
_SESSIONS = (
    "CREATE TABLE sessions (id TEXT PRIMARY KEY, source TEXT NOT NULL, model TEXT, model_config TEXT,"
    " parent_session_id TEXT, started_at REAL NOT NULL, ended_at REAL, end_reason TEXT, message_count INTEGER DEFAULT 0,"
    " input_tokens INTEGER DEFAULT 0, output_tokens INTEGER DEFAULT 0, cache_read_tokens INTEGER DEFAULT 0,"
    " cache_write_tokens INTEGER DEFAULT 0, reasoning_tokens INTEGER DEFAULT 0, cwd TEXT, billing_provider TEXT,"
    " estimated_cost_usd REAL, actual_cost_usd REAL, title TEXT, api_call_count INTEGER DEFAULT 0)"
)
_MESSAGES = (
    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL REFERENCES sessions(id),"
    " role TEXT NOT NULL, content TEXT, tool_calls TEXT, tool_name TEXT, timestamp REAL NOT NULL, token_count INTEGER)"
)
_MODELS = (
    "CREATE TABLE session_model_usage (session_id TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,"
    " model TEXT NOT NULL, billing_provider TEXT NOT NULL DEFAULT '', billing_base_url TEXT NOT NULL DEFAULT '',"
    " billing_mode TEXT NOT NULL DEFAULT '', task TEXT NOT NULL DEFAULT '', api_call_count INTEGER NOT NULL DEFAULT 0,"
    " input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,"
    " cache_read_tokens INTEGER NOT NULL DEFAULT 0, cache_write_tokens INTEGER NOT NULL DEFAULT 0,"
    " reasoning_tokens INTEGER NOT NULL DEFAULT 0, estimated_cost_usd REAL NOT NULL DEFAULT 0,"
    " actual_cost_usd REAL NOT NULL DEFAULT 0, cost_status TEXT, cost_source TEXT, first_seen REAL, last_seen REAL,"
    " PRIMARY KEY (session_id, model, billing_provider, billing_base_url, billing_mode, task))"
)
_COUNTS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")


class Hermes:
    """A state.db as Hermes writes it; `models` = it has usage by model."""

    def __init__(self, path: Path, *, models: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.models = models
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA page_size=1024")
        self.db.execute("PRAGMA journal_mode=WAL")
        for statement in (_SESSIONS, _MESSAGES, "CREATE INDEX m ON messages(session_id, timestamp)"):
            self.db.execute(statement)
        if models:
            self.db.execute(_MODELS)

    def session(self, sid: str, at_s: float = T, **columns: Any) -> None:
        row = {
            "id": sid, "source": "cli", "model": MODEL, "started_at": at_s, "cwd": "/home/dev/work/app",
            "billing_provider": "anthropic", "title": "Fix the parser", **columns,
        }  # fmt: skip
        self.db.execute(
            f"INSERT INTO sessions ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", (*row.values(),)
        )

    def message(self, sid: str, at_s: float, role: str = "assistant", tool: str = "") -> None:
        calls = json.dumps([{"id": "c", "type": "function", "function": {"name": tool}}]) if tool else None
        self.db.execute(
            "INSERT INTO messages (session_id, role, content, tool_calls, timestamp) VALUES (?, ?, 'x', ?, ?)",
            (sid, role, calls, at_s),
        )

    def call(
        self, sid: str, at_s: float, *counts: int, model: str = MODEL, task: str = "", cost: float = 0
    ) -> None:
        """One call as Hermes books it: in the session unless it is a task beside it, and by model."""
        values = (*counts, *(0,) * (5 - len(counts)))
        if not task:
            self.message(sid, at_s)
            sets = ", ".join(f"{name}={name}+?" for name in _COUNTS)
            self.db.execute(
                f"UPDATE sessions SET {sets}, actual_cost_usd=coalesce(actual_cost_usd, 0)+? WHERE id=?",
                (*values, cost, sid),
            )
        if self.models:
            grow = ", ".join(f"{name}={name}+excluded.{name}" for name in (*_COUNTS, "actual_cost_usd"))
            self.db.execute(
                f"INSERT INTO session_model_usage (session_id, model, billing_provider, task, {', '.join(_COUNTS)},"
                " actual_cost_usd, first_seen, last_seen) VALUES (?, ?, 'anthropic', ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                f" ON CONFLICT DO UPDATE SET {grow}, last_seen=excluded.last_seen",
                (sid, model, task, *values, cost, at_s, at_s),
            )


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def hermes(home: Scratch, path: str = DB, *, models: bool = True) -> Hermes:
    return Hermes(home.home / path, models=models)


def by_model(found: Any) -> dict[str, Tokens]:
    sums: dict[str, Tokens] = {}
    for event in found.hidden:
        sums[event.model] = sums.get(event.model, Tokens()) + event.tokens
    return sums


@pytest.mark.parametrize("models", [True, False])
def test_totals_are_counted_by_their_growth(home: Scratch, models: bool) -> None:
    """Conformance 116: what Hermes adds to a session is counted once."""
    db = hermes(home, models=models)
    db.session("s1")
    db.call("s1", T + 10, 100, 20, 300, 40, 5)
    assert home.read().total == Tokens(100, 300, 40, 0, 20, 5)
    db.call("s1", T + 20, 150, 30, 400, 0, 7)
    found = home.read()
    assert [e.tokens for e in found.hidden] == [Tokens(100, 300, 40, 0, 20, 5), Tokens(150, 400, 0, 0, 30, 7)]
    assert [e.at_ms for e in found.responses] == [int((T + 10) * 1000), int((T + 20) * 1000)]
    assert home.read() == found


def test_reasoning_is_a_part_of_the_output(home: Scratch) -> None:
    db = hermes(home)
    db.session("s1")
    db.call("s1", T + 1, 100, 1000, 0, 0, 300)
    assert home.read().total == Tokens(100, 0, 0, 0, 1000, 300)


def test_each_model_and_the_tasks_beside_the_conversation_have_their_own_share(home: Scratch) -> None:
    db = hermes(home)
    db.session("s1")
    db.call("s1", T + 1, 100, 10)
    db.call("s1", T + 2, 200, 20, model="gpt-5.1")
    db.call("s1", T + 3, 50, 5, model=OTHER, task="title_generation")
    wanted = {MODEL: Tokens(100, output=10), "gpt-5.1": Tokens(200, output=20), OTHER: Tokens(50, output=5)}
    assert by_model(home.read()) == wanted
    db.call("s1", T + 9, 1000, 7, model="gpt-5.1")
    wanted["gpt-5.1"] = Tokens(1200, output=27)
    found = home.read()
    assert by_model(found) == wanted
    assert len(found.responses) == 3


def test_models_that_take_turns_between_two_looks_keep_their_shares(home: Scratch) -> None:
    db = hermes(home)
    db.session("s1")
    for number in range(6):
        db.call("s1", T + number, 100 + number, 10, model=(MODEL, OTHER)[number % 2])
        home.read()
    assert by_model(home.read()) == {MODEL: Tokens(306, output=30), OTHER: Tokens(309, output=30)}


def test_a_total_that_the_models_do_not_explain_belongs_to_the_session_s_own(home: Scratch) -> None:
    db = hermes(home)
    db.session("s1", input_tokens=500, output_tokens=50)
    db.call("s1", T + 1, 100, 10, model="gpt-5.1")
    assert by_model(home.read()) == {MODEL: Tokens(500, output=50), "gpt-5.1": Tokens(100, output=10)}


def test_totals_that_are_written_after_their_message_are_seen(home: Scratch) -> None:
    db = hermes(home)
    db.session("s1")
    db.message("s1", T + 1)
    assert home.read().total == Tokens()
    db.db.execute("UPDATE sessions SET input_tokens=10, output_tokens=2 WHERE id='s1'")
    assert home.read().total == Tokens(10, output=2)


def test_what_the_provider_charged_is_kept(home: Scratch) -> None:
    db = hermes(home)
    db.session("s1")
    db.call("s1", T + 1, 100, 10, cost=0.02)
    db.call("s1", T + 2, 100, 10, cost=0.03, model=OTHER)
    home.read()
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT sum(logged_nusd) FROM event_extra").fetchone() == (50_000_000,)


def test_a_session_goes_on_after_compaction_and_sub_agents_are_below_their_parent(home: Scratch) -> None:
    db = hermes(home)
    db.session("s1", ended_at=T + 50, end_reason="compression")
    db.call("s1", T + 1, 1000, 10)
    db.session("s2", T + 50, parent_session_id="s1")
    db.message("s2", T + 1)  # an answer that was taken over
    db.call("s2", T + 60, 2000, 20)
    db.session(
        "s3", T + 70, parent_session_id="s2", source="subagent", model_config='{"_delegate_from": "s2"}'
    )
    db.call("s3", T + 71, 30, 3)
    db.session("s4", T + 80, parent_session_id="s2", model_config='{"_branched_from": "s2"}')
    db.session("s5", T + 81, parent_session_id="s2")
    found = home.read()
    assert {s: (x.parent_id, x.role) for s, x in found.sessions.items()} == {
        "s1": ("", Role.MAIN), "s2": ("s1", Role.MAIN), "s3": ("s2", Role.SUB_AGENT), "s4": ("s2", Role.MAIN),
        "s5": ("s2", Role.SUB_AGENT),
    }  # fmt: skip
    assert {s: sum(e.tokens.output for e in found.of(s)) for s in ("s1", "s2", "s3")} == {
        "s1": 10,
        "s2": 20,
        "s3": 3,
    }
    assert len([e for e in found.responses if e.session == "s2"]) == 1


def test_each_profile_has_a_database(home: Scratch) -> None:
    one, two = hermes(home), hermes(home, ".hermes/profiles/work/state.db")
    one.session("s1")
    one.call("s1", T + 1, 10, 1)
    two.session("s2")
    two.call("s2", T + 1, 10, 2)
    assert home.read().total.output == 3
    home.environ["HERMES_HOME"] = str(home.home / "other")
    three = hermes(home, "other/state.db")
    three.session("s3")
    three.call("s3", T + 1, 10, 4)
    assert home.read().total.output == 7


def test_rows_that_are_still_in_the_wal_are_seen(home: Scratch) -> None:
    """Conformance 13: the main file stands still."""
    db = hermes(home)
    db.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (home.home / DB).stat().st_mtime_ns
    db.session("s1")
    db.call("s1", T + 1, 10, 1)
    assert (home.home / DB).stat().st_mtime_ns == before
    assert home.read().total.output == 1


def test_more_than_a_page_is_read_to_its_end(home: Scratch) -> None:
    db = hermes(home)
    db.db.execute("BEGIN")
    for number in range(1203):
        db.session(f"s{number}", T + number)
    for number in range(ROWS_MAX + 5):
        db.message("s1", T + 5000 + number)
    db.call("s1202", T + 99_000, 10, 9)
    db.db.execute("COMMIT")
    found = home.read()
    assert found.total.output == 9
    assert len(found.responses) == ROWS_MAX + 6
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT count(*) FROM session WHERE title != ''").fetchone() == (1203,)


def test_only_new_rows_are_looked_at(home: Scratch) -> None:
    db = hermes(home)
    for sql in (
        "SELECT m.id FROM messages m JOIN sessions s ON s.id = m.session_id WHERE m.id > 5 ORDER BY m.id",
        "SELECT rowid, id FROM sessions WHERE rowid > 5 ORDER BY rowid",
        "SELECT s.id FROM sessions s LEFT JOIN sessions p ON p.id = s.parent_session_id"
        " WHERE s.id IN (SELECT value FROM json_each('[]'))",
        "SELECT model FROM session_model_usage WHERE session_id IN (SELECT value FROM json_each('[]'))",
    ):
        plan = [row[3] for row in db.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert not [step for step in plan if step.startswith("SCAN") and "json_each" not in step], (sql, plan)


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE messages", "DROP TABLE session_model_usage", "ALTER TABLE sessions DROP COLUMN end_reason",
     "ALTER TABLE sessions DROP COLUMN cwd"],
)  # fmt: skip
def test_another_layout_gives_what_it_has(home: Scratch, statement: str) -> None:
    db = hermes(home)
    db.session("s1")
    db.call("s1", T + 1, 10, 1)
    db.db.execute("PRAGMA foreign_keys=0")
    db.db.execute(statement)
    assert home.read().total == Tokens(10, output=1)


def test_hostile_values_are_counted_as_nothing(home: Scratch) -> None:
    db = hermes(home)
    db.session(
        "s1", title="\x1b[31mred", model_config="[[", input_tokens=-5, output_tokens="many", source=b"\xff"
    )
    db.session("s2", started_at="never", cache_read_tokens=1 << 60)
    db.message("s1", float("inf"), "assistant")
    found = home.read()
    assert found.total == Tokens()
    assert "\x1b" not in found.sessions["s1"].title
    assert home.health()["bad-number"] >= 1


@pytest.mark.parametrize(
    ("role", "tool", "state"),
    [("user", "", State.WORKING), ("assistant", "terminal", State.TOOL), ("tool", "", State.WORKING),
     ("assistant", "", State.IDLE)],
)  # fmt: skip
def test_the_newest_message_tells_the_status(home: Scratch, role: str, tool: str, state: State) -> None:
    db = hermes(home)
    db.session("s1")
    db.message("s1", T + 1, "user")
    db.message("s1", T + 2, role, tool)
    with questions(str(home.home / DB)) as ask:
        (last,) = [fact for fact in signs(LogFile(DB, "", ()), ask) if isinstance(fact, Activity)]
    assert (last.state, last.tool, last.at_ms) == (state, tool, int((T + 2) * 1000))


def test_processes() -> None:
    found = agent("hermes").processes
    assert found is not None
    resumed = identify(
        ["/home/dev/.local/bin/hermes", "--resume", "20261121_2100_ab"], "/usr/bin/python3", [found]
    )
    assert resumed is not None
    assert found.argv_session(resumed.argv) == "20261121_2100_ab"
    asked = identify(["python3", "/home/dev/.local/bin/hermes", "-z", "go"], "/usr/bin/python3", [found])
    assert asked is not None
    assert found.one_shot(asked.argv)
    assert identify(["hermes", "update"], "/usr/bin/hermes", [found]) is None
