"""Conformance of the Goose reader."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.base import ROWS_MAX, LogFile
from tokentop.agents.goose import signs
from tokentop.agents.processes import identify
from tokentop.ingest.rows import questions
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

T = 1_795_294_800  # 2026-11-21 21:00 UTC
DB = ".local/share/goose/sessions/sessions.db"
MODEL = "claude-sonnet-4-5"
_OLD_COLUMNS = (
    "id TEXT PRIMARY KEY, name TEXT NOT NULL DEFAULT '', description TEXT NOT NULL DEFAULT '',"
    " user_set_name BOOLEAN DEFAULT FALSE, session_type TEXT NOT NULL DEFAULT 'user', working_dir TEXT NOT NULL,"
    " created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,"
    " extension_data TEXT DEFAULT '{}', total_tokens INTEGER, input_tokens INTEGER, output_tokens INTEGER,"
    " accumulated_total_tokens INTEGER, accumulated_input_tokens INTEGER, accumulated_output_tokens INTEGER,"
    " schedule_id TEXT, recipe_json TEXT, user_recipe_values_json TEXT, provider_name TEXT, model_config_json TEXT,"
    " goose_mode TEXT NOT NULL DEFAULT 'auto'"
)
_NEWER = (
    "archived_at TIMESTAMP", "project_id TEXT", "accumulated_cost REAL", "cache_read_tokens INTEGER",
    "cache_write_tokens INTEGER", "accumulated_cache_read_tokens INTEGER", "accumulated_cache_write_tokens INTEGER",
    "parent_session_id TEXT", "parent_delegation TEXT",
)  # fmt: skip
_TABLES = (
    "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
    f"CREATE TABLE sessions ({_OLD_COLUMNS})",
    "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT, session_id TEXT NOT NULL"
    " REFERENCES sessions(id), role TEXT NOT NULL, content_json TEXT NOT NULL, created_timestamp INTEGER NOT NULL,"
    " timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP, tokens INTEGER, metadata_json TEXT)",
    "CREATE INDEX idx_messages_session ON messages(session_id)",
    "CREATE INDEX idx_sessions_updated ON sessions(updated_at DESC)",
)
_LEDGER = (
    "CREATE TABLE usage_ledger (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT NOT NULL REFERENCES sessions(id)"
    " ON DELETE CASCADE, created_timestamp INTEGER NOT NULL, model TEXT, input_tokens INTEGER, output_tokens INTEGER,"
    " total_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER, cost REAL, cost_source TEXT,"
    " is_compaction INTEGER DEFAULT 0)",
    "CREATE INDEX idx_usage_ledger_session ON usage_ledger(session_id)",
)


class Goose:
    """A sessions.db as goose writes it: of schema 9, or of 17 with the ledger."""

    def __init__(self, path: Path, version: int = 17) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA page_size=1024")
        self.db.execute("PRAGMA journal_mode=WAL")
        for statement in _TABLES:
            self.db.execute(statement)
        self.db.execute(
            "INSERT INTO schema_version VALUES (?, datetime(?, 'unixepoch'))", (min(version, 9), T - 9000)
        )
        if version >= 15:
            self.upgrade(T - 9000, first=True)

    def upgrade(self, at_s: int, *, first: bool = False) -> None:
        for column in _NEWER:
            self.db.execute(f"ALTER TABLE sessions ADD COLUMN {column}")
        for statement in _LEDGER:
            self.db.execute(statement)
        if first:
            self.db.execute("DELETE FROM schema_version")
        self.db.execute("INSERT INTO schema_version VALUES (17, datetime(?, 'unixepoch'))", (at_s,))

    def session(self, sid: str, at_s: int = T, **columns: Any) -> None:
        row = {
            "id": sid, "name": "Fix the parser", "working_dir": "/home/dev/work/app", "provider_name": "anthropic",
            "model_config_json": json.dumps({"model_name": MODEL, "context_limit": 200_000}), **columns,
        }  # fmt: skip
        self.db.execute(
            f"INSERT INTO sessions ({', '.join(row)}, created_at, updated_at) VALUES"
            f" ({', '.join('?' * len(row))}, datetime(?, 'unixepoch'), datetime(?, 'unixepoch'))",
            (*row.values(), at_s, at_s),
        )

    def message(self, sid: str, number: int, at_s: int, role: str = "assistant", *parts: Any) -> None:
        self.db.execute(
            "INSERT INTO messages (message_id, session_id, role, content_json, created_timestamp)"
            " VALUES (?, ?, ?, ?, ?)",
            (f"msg_{sid}_{number}", sid, role, json.dumps(parts or [{"type": "text", "text": "ok"}]), at_s),
        )

    def add(self, sid: str, at_s: int, prompt: int, output: int, cached: int = 0, written: int = 0) -> None:
        """The columns of a session after one more call."""
        known = {row[1] for row in self.db.execute("PRAGMA table_info(sessions)")}
        for name, value in (
            ("input", prompt), ("output", output), ("total", prompt + output), ("cache_read", cached),
            ("cache_write", written),
        ):  # fmt: skip
            if f"{name}_tokens" in known:
                self.db.execute(
                    f"UPDATE sessions SET {name}_tokens=?, accumulated_{name}_tokens="
                    f"coalesce(accumulated_{name}_tokens, 0) + ? WHERE id=?",
                    (value, value, sid),
                )
        self.db.execute("UPDATE sessions SET updated_at=datetime(?, 'unixepoch') WHERE id=?", (at_s, sid))

    def call(
        self, sid: str, at_s: int, prompt: int, output: int, cached: int = 0, written: int = 0,
        *, model: str = MODEL, cost: float | None = None, source: str | None = None, compaction: int = 0,
    ) -> None:  # fmt: skip
        self.row(sid, at_s, model, prompt, output, cached, written, cost, source, compaction)
        self.add(sid, at_s, prompt, output, cached, written)

    def row(
        self, sid: str, at_s: int, model: str | None, prompt: int, output: int, cached: int = 0, written: int = 0,
        cost: float | None = None, source: str | None = None, compaction: int = 0,
    ) -> None:  # fmt: skip
        self.db.execute(
            "INSERT INTO usage_ledger (session_id, created_timestamp, model, input_tokens, output_tokens, total_tokens,"
            " cache_read_tokens, cache_write_tokens, cost, cost_source, is_compaction)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (sid, at_s, model, prompt, output, prompt + output, cached, written, cost, source, compaction),
        )


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def goose(home: Scratch, version: int = 17, path: str = DB) -> Goose:
    return Goose(home.home / path, version)


# ---------------------------------------------------------------- versions without a ledger


def test_the_accumulated_columns_count_and_the_plain_ones_are_the_context(home: Scratch) -> None:
    """Conformance 114: plain columns 900, accumulated 48,000 -> 48,000."""
    db = goose(home, 9)
    db.session("20261121_1", input_tokens=900, total_tokens=950, accumulated_input_tokens=48_000,
               accumulated_output_tokens=700, accumulated_total_tokens=48_700)  # fmt: skip
    live, _ = home.follow(T * 1000)
    assert home.read().total == Tokens(48_000, 0, 0, 0, 700)
    track = live.tracks["goose:20261121_1"]
    assert track.context is not None
    assert (track.context.used, track.context.window) == (950, 200_000)


def test_a_total_that_grows_is_counted_by_its_growth_at_the_times_of_the_answers(home: Scratch) -> None:
    db = goose(home, 9)
    db.session("20261121_1")
    db.message("20261121_1", 1, T + 10)
    db.add("20261121_1", T + 10, 1000, 50)
    assert home.read().total == Tokens(1000, 0, 0, 0, 50)
    db.message("20261121_1", 2, T + 20)
    db.add("20261121_1", T + 20, 1100, 60)
    found = home.read()
    assert [(e.at_ms, e.tokens) for e in found.hidden] == [
        ((T + 10) * 1000, Tokens(1000, 0, 0, 0, 50)), ((T + 20) * 1000, Tokens(1100, 0, 0, 0, 60))
    ]  # fmt: skip
    assert len(found.responses) == 2
    assert {e.model for e in found.hidden} == {MODEL}


def test_rows_that_are_still_in_the_wal_are_seen(home: Scratch) -> None:
    """Conformance 13."""
    db = goose(home, 9)
    db.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    main = home.home / DB
    before = main.stat().st_mtime_ns
    db.session("20261121_1")
    db.add("20261121_1", T, 1000, 50)
    assert main.stat().st_mtime_ns == before
    assert home.read().total == Tokens(1000, 0, 0, 0, 50)


# ---------------------------------------------------------------- the ledger


def test_the_ledger_has_a_row_per_call_with_everything_cached_in_its_input(home: Scratch) -> None:
    db = goose(home)
    db.session("20261121_1")
    db.call("20261121_1", T + 1, 5000, 80, 3000, 500)
    db.call("20261121_1", T + 9, 6000, 90, 5000, 0, model="claude-haiku-4-5", compaction=1)
    found = home.read()
    assert [(e.at_ms, e.model, e.tokens) for e in found.responses] == [
        ((T + 1) * 1000, MODEL, Tokens(1500, 3000, 500, 0, 80)),
        ((T + 9) * 1000, "claude-haiku-4-5", Tokens(1000, 5000, 0, 0, 90)),
    ]
    assert found.hidden == []
    assert {e.provider for e in found.events} == {"anthropic"}


def test_what_was_used_before_the_ledger_stays_counted_when_goose_carries_it_over(home: Scratch) -> None:
    db = goose(home, 9)
    db.session("20261121_1")
    db.message("20261121_1", 1, T + 1)
    db.add("20261121_1", T + 1, 1000, 50)
    assert home.read().total == Tokens(1000, 0, 0, 0, 50)
    db.upgrade(T + 100)
    db.row("20261121_1", T + 200, None, 1000, 50, source="carried_forward")
    db.call("20261121_1", T + 200, 2000, 60, 1500, 0)
    db.message("20261121_1", 2, T + 200)
    found = home.read()
    assert found.total == Tokens(1500, 1500, 0, 0, 110)
    assert [e.tokens for e in found.responses] == [Tokens(), Tokens(500, 1500, 0, 0, 60)]


@pytest.mark.parametrize("carried", [True, False])
def test_an_upgraded_database_that_is_read_for_the_first_time_gives_the_same(
    home: Scratch, carried: bool
) -> None:
    db = goose(home, 9)
    db.session("20261121_1")
    db.message("20261121_1", 1, T + 1)
    db.add("20261121_1", T + 1, 1000, 50)
    db.upgrade(T + 100)
    if carried:
        db.row("20261121_1", T + 200, None, 1000, 50, source="carried_forward")
        db.call("20261121_1", T + 200, 2000, 60)
        db.message("20261121_1", 2, T + 200)
    found = home.read()
    assert found.total == (Tokens(3000, 0, 0, 0, 110) if carried else Tokens(1000, 0, 0, 0, 50))
    assert len(found.responses) == (2 if carried else 1)


def test_the_cost_that_the_provider_told_is_kept_beside_the_list_price(home: Scratch) -> None:
    db = goose(home)
    db.session("20261121_1")
    db.call("20261121_1", T + 1, 1000, 10, cost=0.0125, source="provider_reported")
    db.call("20261121_1", T + 2, 1000, 10, cost=0.0999, source="estimated")
    home.read()
    with home.ledger() as ledger:
        rows = ledger.db.execute("SELECT logged_nusd FROM event_extra").fetchall()
    assert rows == [(12_500_000,)]


def test_a_sub_agent_has_a_session_of_its_own(home: Scratch) -> None:
    db = goose(home)
    db.session("20261121_1")
    db.session("20261121_2", session_type="sub_agent", parent_session_id="20261121_1")
    db.call("20261121_1", T + 1, 1000, 10)
    db.call("20261121_2", T + 2, 500, 5)
    found = home.read()
    child = found.sessions["20261121_2"]
    assert (child.parent_id, child.role, child.surface) == ("20261121_1", Role.SUB_AGENT, "sub_agent")
    assert found.of("20261121_1")[0].tokens.output == 10


def test_pages_of_calls_and_sessions_are_read_to_their_end(home: Scratch) -> None:
    db = goose(home)
    count = ROWS_MAX + 3
    db.db.execute("BEGIN")
    for number in range(count):
        db.session(f"20261121_{number}")
        db.row(f"20261121_{number}", T + number, MODEL, 10, 1)
    db.db.execute("COMMIT")
    assert len(home.read().responses) == count
    with home.ledger() as ledger:
        assert ledger.db.execute("SELECT count(*) FROM session WHERE title != ''").fetchone() == (count,)


def test_only_new_rows_are_looked_at(home: Scratch) -> None:
    db = goose(home)
    db.session("20261121_1")
    db.call("20261121_1", T, 10, 1)
    for sql in (
        "SELECT u.id FROM usage_ledger u LEFT JOIN sessions s ON s.id = u.session_id WHERE u.id > 5 ORDER BY u.id",
        "SELECT id FROM sessions WHERE updated_at >= 'a' AND (updated_at > 'a' OR id > 'b') ORDER BY updated_at, id",
        "SELECT sum(input_tokens) FROM usage_ledger WHERE session_id='a' AND cost_source IS NOT 'b'",
        "SELECT id FROM messages WHERE id > 5 ORDER BY id",
        "SELECT role FROM messages WHERE session_id='a' ORDER BY id DESC LIMIT 1",
    ):
        plan = [row[3] for row in db.db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        assert all("SCAN" not in step for step in plan), (sql, plan)


def test_a_database_in_place_of_another_one_is_read_from_its_start(home: Scratch) -> None:
    db = goose(home)
    db.session("20261121_1")
    for number in range(5):
        db.call("20261121_1", T + number, 10, 1)
    home.read()
    db.db.execute("DELETE FROM usage_ledger")
    db.db.execute("DELETE FROM sqlite_sequence")
    db.session("20261122_1")
    db.call("20261122_1", T + 90_000, 10, 7)
    found = home.read()
    assert [e.tokens.output for e in found.of("20261122_1")] == [7]
    assert len(found.of("20261121_1")) == 5


@pytest.mark.parametrize(
    "statement",
    ["DROP TABLE usage_ledger", "DROP TABLE messages", "DROP TABLE schema_version", "DROP TABLE sessions"],
)
def test_a_table_that_is_missing_stops_nothing(home: Scratch, statement: str) -> None:
    db = goose(home)
    db.session("20261121_1")
    db.call("20261121_1", T, 10, 1)
    db.db.execute("PRAGMA foreign_keys=0")
    db.db.execute(statement)
    home.read()
    home.follow(T * 1000)


def test_hostile_values_are_counted_as_nothing(home: Scratch) -> None:
    db = goose(home)
    db.session("20261121_1", name="\x1b[31mred", model_config_json="[[", provider_name=b"\xff\xfe")
    db.db.execute(
        "INSERT INTO usage_ledger (session_id, created_timestamp, model, input_tokens, output_tokens)"
        " VALUES ('20261121_1', 'never', 'x', -5, 1e300), ('20261121_1', ?, x'ff', 'many', 7)", (T,)
    )  # fmt: skip
    found = home.read()
    assert found.one.tokens == Tokens(output=7)
    assert "\x1b" not in found.sessions["20261121_1"].title
    assert home.health()["bad-number"] >= 1


# ---------------------------------------------------------------- status, places, processes


@pytest.mark.parametrize(
    ("role", "part", "state", "tool"),
    [
        ("user", {"type": "text", "text": "go"}, State.WORKING, ""),
        ("assistant", {"type": "toolRequest", "id": "t", "toolCall": {"status": "success", "value": {
            "name": "developer__shell", "arguments": {}}}}, State.TOOL, "developer.shell"),
        ("user", {"type": "toolResponse", "id": "t"}, State.WORKING, ""),
        ("assistant", {"type": "text", "text": "done"}, State.IDLE, ""),
    ],
)  # fmt: skip
def test_the_newest_message_tells_the_status(
    home: Scratch, role: str, part: Any, state: State, tool: str
) -> None:
    db = goose(home)
    db.session("20261121_1")
    db.message("20261121_1", 1, T + 1, role, part)
    with questions(str(home.home / DB)) as ask:
        (last,) = [fact for fact in signs(LogFile(DB, "sessions", ()), ask) if isinstance(fact, Activity)]
    assert (last.state, last.tool, last.at_ms) == (state, tool, (T + 1) * 1000)


@pytest.mark.parametrize(
    ("path", "environ"),
    [
        ("Library/Application Support/Block/goose/sessions/sessions.db", {}),
        ("elsewhere/data/sessions/sessions.db", {"GOOSE_PATH_ROOT": "{home}/elsewhere"}),
        ("data/goose/sessions/sessions.db", {"XDG_DATA_HOME": "{home}/data"}),
    ],
)
def test_every_usual_place_is_found(home: Scratch, path: str, environ: dict[str, str]) -> None:
    home.environ |= {name: value.format(home=home.home) for name, value in environ.items()}
    db = goose(home, path=path)
    db.session("20261121_1")
    db.call("20261121_1", T, 10, 3)
    with closing(db.db):
        assert home.read().total.output == 3


def test_processes() -> None:
    found = agent("goose").processes
    assert found is not None
    run = identify(["/usr/local/bin/goose", "run", "-t", "fix it"], "/usr/local/bin/goose", [found])
    assert run is not None
    assert found.one_shot(run.argv)
    assert found.common_name
    resumed = identify(
        ["goose", "session", "--resume", "--session-id", "20261121_1"], "/usr/bin/goose", [found]
    )
    assert resumed is not None
    assert found.argv_session(resumed.argv) == "20261121_1"
    assert identify(["goose", "configure"], "/usr/bin/goose", [found]) is None
    assert identify(["goose", "--version"], "/usr/bin/goose", [found]) is None
