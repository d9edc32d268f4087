"""Conformance of the OpenClaw reader."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import zstandard

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.processes import identify
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Activity, Role, State
from tokentop.nouns.usage import Tokens

START_MS = 1_795_294_680_000
A, B = "63eaede2-5de9-411b-8e2b-00000000000a", "63eaede2-5de9-411b-8e2b-00000000000b"
AGENT_FOLDER = ".openclaw/agents/main"

_SCHEMA = """
CREATE TABLE session_nodes (session_key TEXT NOT NULL PRIMARY KEY, current_session_id TEXT NOT NULL, label TEXT,
  display_name TEXT, spawned_by TEXT, fork_source_session_id TEXT) STRICT;
CREATE TABLE session_windows (session_id TEXT NOT NULL PRIMARY KEY, session_key TEXT NOT NULL,
  previous_session_id TEXT, reason TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, spawned_by TEXT,
  display_name TEXT) STRICT;
CREATE INDEX idx_agent_session_windows_updated_at ON session_windows(updated_at DESC, session_id);
CREATE TABLE transcript_events (session_id TEXT NOT NULL, seq INTEGER NOT NULL, event_json TEXT,
  created_at INTEGER NOT NULL, event_zstd BLOB, event_utf8_bytes INTEGER, navigation_json TEXT,
  PRIMARY KEY (session_id, seq)) STRICT;
CREATE TABLE session_transcript_archives (session_id TEXT NOT NULL, generation TEXT NOT NULL, encoding TEXT NOT NULL,
  archive_blob BLOB NOT NULL, PRIMARY KEY (session_id, generation)) STRICT;
CREATE TABLE session_transcript_cold_archives (session_id TEXT NOT NULL PRIMARY KEY, storage TEXT NOT NULL,
  archive_blob BLOB) STRICT;
CREATE TABLE transcript_rewrite_watermarks (session_id TEXT NOT NULL PRIMARY KEY, generation TEXT NOT NULL,
  updated_at INTEGER NOT NULL) STRICT;
"""


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def squeezed(data: str | bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data.encode() if isinstance(data, str) else data)


def header(session_id: str) -> dict[str, Any]:
    return {"type": "session", "version": 4, "id": session_id, "timestamp": START_MS, "cwd": "/home/dev/work"}


def message(number: int, role: str = "assistant", **fields: Any) -> dict[str, Any]:
    at_ms = START_MS + number * 1000
    said = {"role": role, "timestamp": at_ms - 400, **fields}
    return {"type": "message", "id": f"e{number}", "timestamp": at_ms, "message": said}


def answer(number: int, output: int = 10, **fields: Any) -> dict[str, Any]:
    used = {"input": 3, "output": output, "cacheRead": 100, "cacheWrite": 50, "cacheWrite1h": 20}
    about = {
        "api": "anthropic-messages",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5",
        "stopReason": "stop",
    }
    named = {"responseId": f"msg_{number:020d}", "content": [{"type": "text", "text": "x"}]}
    return message(number, **(about | named | {"usage": used} | fields))


class Store:
    """An agent's database."""

    def __init__(self, home: Scratch, name: str = "main") -> None:
        self.path = home.home / f".openclaw/agents/{name}/agent/openclaw-agent.sqlite"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as db:
            db.executescript(_SCHEMA)

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None)

    def run(self, sql: str, *values: object) -> None:
        with closing(self._open()) as db:
            db.execute(sql, values)

    def window(self, session_id: str, key: str = "", **fields: Any) -> None:
        node = {"session_key": key or session_id, "current_session_id": session_id}
        for name in ("label", "fork_source_session_id"):
            if name in fields:
                node[name] = fields.pop(name)
        row = {"session_id": session_id, "session_key": key or session_id, "created_at": START_MS,
               "updated_at": START_MS, **fields}  # fmt: skip
        for table, values in (("session_nodes", node), ("session_windows", row)):
            marks = ", ".join("?" * len(values))
            self.run(
                f"INSERT OR REPLACE INTO {table} ({', '.join(values)}) VALUES ({marks})", *values.values()
            )

    def put(self, session_id: str, *entries: dict[str, Any], seq: int = 0, zstd: bool = False) -> None:
        with closing(self._open()) as db:
            for index, entry in enumerate(entries, start=seq):
                data = json.dumps(entry, separators=(",", ":"))
                row = (None, squeezed(data), len(data), "{}") if zstd else (data, None, len(data), None)
                db.execute(
                    "INSERT INTO transcript_events (session_id, seq, event_json, event_zstd, event_utf8_bytes,"
                    " navigation_json, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (session_id, index, *row, START_MS),
                )  # fmt: skip


def lines(*entries: dict[str, Any]) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


def outputs(home: Scratch) -> list[int]:
    return sorted(event.tokens.output for event in home.read().responses)


def test_the_split_of_cache_writes_and_the_gauge(home: Scratch) -> None:
    """Conformance 104: `cacheWrite1h` is a part of `cacheWrite`."""
    store = Store(home)
    store.window(A, label="Rename a module")
    used = {"input": 3, "output": 10, "cacheRead": 100, "cacheWrite": 50, "cacheWrite1h": 20,
            "contextUsage": {"promptTokens": 153, "totalTokens": 163}}  # fmt: skip
    store.put(A, header(A), message(1, "user", content="go"), answer(2, usage=used))
    found = home.read()
    assert found.one.tokens == Tokens(3, 100, 30, 20, 10)
    assert found.one.took_ms == 400
    assert (found.sessions[A].title, found.sessions[A].cwd) == ("Rename a module", "/home/dev/work")


@pytest.mark.parametrize("zstd", [True, False])
def test_rows_are_read_as_they_come_compressed_or_not(home: Scratch, zstd: bool) -> None:
    """Conformance 104, first part."""
    store = Store(home)
    store.window(A)
    store.put(A, header(A), message(1, "user", content="go"), answer(2, 10), zstd=zstd)
    assert outputs(home) == [10]
    store.put(A, answer(3, 11), seq=3, zstd=zstd)
    assert outputs(home) == [10, 11]
    assert home.read().sessions[A].title == "go"


def test_deleted_and_reset_sessions_are_counted_once(home: Scratch) -> None:
    """Conformance 104, second part: rows, archives in the database, files that were set aside."""
    store = Store(home)
    store.window(A)
    store.put(A, header(A), answer(1, 10))
    old = lines(header(B), answer(2, 20), answer(3, 21))
    store.run("INSERT INTO session_transcript_archives VALUES (?, 'g1', 'zstd', ?)", B, squeezed(old))
    more = lines(header(B), answer(3, 21), answer(4, 22))
    store.run("INSERT INTO session_transcript_archives VALUES (?, 'g2', 'identity', ?)", B, more.encode())
    folder = f"{AGENT_FOLDER}/sessions"
    home.write(f"{folder}/{B}.jsonl.deleted.2026-11-22T01-39-00.774Z.1f00.zst", squeezed(old))
    home.write(f"{folder}/{B}.jsonl.reset.2026-11-20T01-39-00.774Z", lines(header(B), answer(5, 23)))
    home.write(f"{folder}/{B}.jsonl", lines(header(B), answer(6, 24)))
    assert outputs(home) == [10, 20, 21, 22, 23, 24]
    assert {event.session for event in home.read().events} == {A, B}
    store.run("DELETE FROM transcript_events")
    assert outputs(home) == [10, 20, 21, 22, 23, 24]


@pytest.mark.parametrize("in_file", [True, False])
def test_cold_sessions_are_read(home: Scratch, in_file: bool) -> None:
    records = [{"kind": "header", "version": 1, "sessionId": A, "generation": "g"}]
    for index, entry in enumerate((header(A), answer(1, 10))):
        records.append(
            {"kind": "event", "row": {"seq": index, "event_json": json.dumps(entry), "created_at": START_MS}}
        )
    packed = squeezed(lines(*records))
    store = Store(home)
    store.window(A)
    store.run(
        "INSERT INTO session_transcript_cold_archives VALUES (?, ?, ?)", A, "file" if in_file else "sqlite",
        None if in_file else packed,
    )  # fmt: skip
    if in_file:
        home.write(f"{AGENT_FOLDER}/sessions/cold/{A}.g.jsonl.zst", packed)
    found = home.read()
    assert (found.one.session, found.one.tokens.output) == (A, 10)


@pytest.mark.parametrize(
    "driven", [{"api": "cli", "provider": "anthropic"}, {"provider": "claude-cli"}, {"provider": "codex-cli"}]
)
def test_what_another_agent_did_is_in_its_own_log(home: Scratch, driven: dict[str, str]) -> None:
    """Conformance 104, third part."""
    store = Store(home)
    store.window(A)
    store.put(
        A, header(A), answer(1, 10, **driven), answer(2, 11, provider="openclaw", model="delivery-mirror")
    )
    store.put(A, answer(3, 12), seq=3)
    assert outputs(home) == [12]
    assert home.read().unknown == []


def test_ids_of_deleted_rows_come_again(home: Scratch) -> None:
    """A rowid that was read may belong to a new row: of another session, or of one that was rewritten."""
    store = Store(home)
    store.window(A)
    store.window(B)
    store.put(A, header(A), answer(1, 10))
    assert outputs(home) == [10]
    store.put(B, header(B), answer(2, 20), answer(3, 21))
    assert outputs(home) == [10, 20, 21]
    store.run("DELETE FROM transcript_events WHERE session_id = ?", B)
    store.put(A, *(answer(10 + n, 30 + n) for n in range(8)), seq=2)
    assert outputs(home) == [10, 20, 21, *range(30, 38)]
    store.run("DELETE FROM transcript_events WHERE session_id = ?", A)
    assert outputs(home) == [10, 20, 21, *range(30, 38)]
    store.put(A, header(A), answer(50, 90))
    assert outputs(home) == [10, 20, 21, *range(30, 38), 90]


def test_a_rewritten_session_is_read_again(home: Scratch) -> None:
    store = Store(home)
    store.window(A)
    store.put(A, header(A), answer(1, 10), answer(2, 11))
    assert outputs(home) == [10, 11]
    store.run("DELETE FROM transcript_events WHERE seq = 2")
    store.put(A, answer(3, 12), seq=2)
    store.run("INSERT INTO transcript_rewrite_watermarks VALUES (?, 'g', ?)", A, START_MS)
    assert outputs(home) == [10, 11, 12]


def test_many_rows_are_read_in_portions_and_never_again(home: Scratch) -> None:
    store = Store(home)
    store.window(A)
    store.put(A, header(A), *(answer(n, n) for n in range(1, 4500)))
    assert len(outputs(home)) == 4499
    store.put(A, answer(9000, 9000), seq=4500)
    found = home.read()
    assert len(found.responses) == 4500


def test_the_questions_use_the_row_ids(home: Scratch) -> None:
    """Work in proportion to what is new."""
    store = Store(home)
    with closing(sqlite3.connect(store.path)) as db:
        for sql in (
            "SELECT rowid, event_json FROM transcript_events WHERE rowid > 5 AND (event_json IS NULL OR seq < 8"
            " OR instr(event_json, 'x')) ORDER BY rowid LIMIT 100",
            "SELECT rowid, session_id, seq FROM transcript_events ORDER BY rowid DESC LIMIT 1",
            "SELECT event_json FROM transcript_events WHERE session_id = 'a' ORDER BY seq DESC LIMIT 12",
            "SELECT session_id FROM session_windows ORDER BY updated_at DESC LIMIT 4",
        ):
            plan = " ".join(str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}"))
            assert "TEMP B-TREE" not in plan
            assert "USING" in plan or "ORDER BY rowid DESC" in sql


def test_sub_agents_and_forks_have_their_parents(home: Scratch) -> None:
    store = Store(home)
    store.window(A, "agent:main:main")
    store.window(B, "agent:main:sub:1", spawned_by="agent:main:main")
    fork = f"{A[:-1]}c"
    store.window(fork, "agent:main:fork", reason="fork", previous_session_id=A, created_at=START_MS + 60_000)
    store.put(A, header(A), answer(1, 10))
    store.put(B, header(B), answer(2, 20))
    store.put(fork, header(fork) | {"timestamp": START_MS + 60_000}, answer(1, 10), answer(3, 30))
    found = home.read()
    assert (found.sessions[B].parent_id, found.sessions[B].role) == (A, Role.SUB_AGENT)
    assert (found.sessions[fork].parent_id, found.sessions[fork].role) == (A, Role.FORK)
    assert [event.tokens.output for event in found.of(A)] == [10]
    assert [event.tokens.output for event in found.of(fork)] == [30]


def test_status_of_the_newest_sessions(home: Scratch) -> None:
    store = Store(home)
    store.window(A)
    call = [{"type": "toolCall", "id": "t1", "name": "exec", "arguments": {}}]
    store.put(A, header(A), message(1, "user", content="go"), answer(2, content=call, stopReason="toolUse"))
    _, facts = home.follow(START_MS + 10_000)
    assert [(f.state, f.tool) for f in facts if isinstance(f, Activity)] == [
        (State.WORKING, ""), (State.TOOL, "exec"),
    ]  # fmt: skip
    store.put(A, message(3, "toolResult", toolCallId="t1"), answer(4), seq=3)
    _, facts = home.follow(START_MS + 10_000)
    assert [f.state for f in facts if isinstance(f, Activity)][-1] is State.IDLE


def test_a_turn_that_was_stopped_in_its_tool_is_over(home: Scratch) -> None:
    """As Escape in its terminal leaves it, in 2026.9.6: a result that it made up, and no request after it."""
    store = Store(home)
    store.window(A)
    call = [{"type": "toolCall", "id": "t1", "name": "exec", "arguments": {}}]
    made_up = {"openclawSyntheticMissingToolResult": True, "reason": "missing_tool_result"}
    store.put(
        A, header(A), message(1, "user", content="go"), answer(2, content=call, stopReason="toolUse"),
        message(3, "toolResult", toolCallId="t1", toolName="exec", details=made_up, isError=True),
    )  # fmt: skip
    _, facts = home.follow(START_MS + 10_000)
    last = [f for f in facts if isinstance(f, Activity)][-1]
    assert (last.state, last.call_id) == (State.IDLE, "")


def test_rows_only_in_the_wal_are_seen(home: Scratch) -> None:
    """Conformance 13."""
    store = Store(home)
    store.run("PRAGMA journal_mode=WAL")
    store.window(A)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as db:
        db.execute("PRAGMA wal_autocheckpoint=0")
        store.put(A, header(A), answer(1, 10))
        assert outputs(home) == [10]
        store.put(A, answer(2, 11), seq=2)
        assert outputs(home) == [10, 11]


def test_a_database_of_another_layout_or_with_damage_spoils_nothing(home: Scratch) -> None:
    store = Store(home)
    store.window(A)
    store.put(A, header(A), answer(1, 10))
    store.run("INSERT INTO transcript_events VALUES (?, 9, NULL, 0, ?, 5, '{}')", A, b"no zstd")
    store.run("INSERT INTO session_transcript_archives VALUES (?, 'g1', 'zstd', ?)", B, b"no zstd")
    other = home.home / ".openclaw/agents/new/agent/openclaw-agent.sqlite"
    other.parent.mkdir(parents=True)
    with closing(sqlite3.connect(other)) as db:
        db.execute("CREATE TABLE x (y)")
    home.write(".openclaw/agents/bad/agent/openclaw-agent.sqlite", b"not a database" * 100)
    assert outputs(home) == [10]
    assert home.health()["unparsed"] == 2


def test_older_places(home: Scratch) -> None:
    for name, number in ((".clawdbot", 1), (".moltbot", 2), (".moldbot", 3)):
        home.write(
            f"{name}/agents/main/sessions/{A[:-1]}{number}.jsonl", lines(header(A), answer(number, number))
        )
    assert outputs(home) == [1, 2, 3]


def test_only_workers_are_agents() -> None:
    spec = agent("openclaw").processes
    assert spec is not None
    worker = identify(["openclaw-agent"], "/usr/bin/node", [spec])
    gateway = identify(["openclaw-gateway"], "/usr/bin/node", [spec])
    assert worker is not None
    assert worker.role is ProcRole.AGENT
    assert gateway is not None
    assert gateway.role is ProcRole.DAEMON
    launcher = ["node", "/n/node_modules/.bin/openclaw", "agent", "--local"]
    started = identify(launcher, "/usr/bin/node", [spec])
    assert started is not None
    assert started.role is ProcRole.WRAPPER
