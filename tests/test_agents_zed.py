"""Conformance of the Zed reader."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Any

import pytest
import zstandard

from tests.agents.harness import Picture, Scratch, scratch
from tokentop.agents import agent
from tokentop.nouns.usage import Tokens

PATH = ".local/share/zed/threads/threads.db"
A, B = "5b1c1f7e-6a0e-4b71-9d0b-00000000000a", "5b1c1f7e-6a0e-4b71-9d0b-00000000000b"
HOSTED = {"provider": "zed.dev", "model": "claude-sonnet-4-5"}


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def used(fresh: int, output: int, read: int = 0) -> dict[str, int]:
    """Zeros are left out, as the editor does."""
    found = {"input_tokens": fresh, "output_tokens": output, "cache_read_input_tokens": read}
    return {name: value for name, value in found.items() if value}


def put(
    home: Scratch, thread_id: str, requests: Mapping[str, Any], *, kind: str = "zstd", minute: int = 0,
    total: Mapping[str, int] | None = None, model: Mapping[str, str] | None = None, parent: str | None = None,
    **fields: Any,
) -> None:  # fmt: skip
    path = home.home / PATH
    path.parent.mkdir(parents=True, exist_ok=True)
    updated = f"2026-11-21T20:{minute:02d}:00.5+00:00"
    thread = {"title": "t", "messages": [], "updated_at": updated, "request_token_usage": requests,
              "cumulative_token_usage": total or {}, "model": model or HOSTED, "version": "0.3.0", **fields}  # fmt: skip
    data = json.dumps(thread).encode()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE IF NOT EXISTS threads (id TEXT PRIMARY KEY, summary TEXT NOT NULL, updated_at TEXT NOT NULL,"
            " data_type TEXT NOT NULL, data BLOB NOT NULL, parent_id TEXT, folder_paths TEXT, folder_paths_order TEXT,"
            " created_at TEXT)"
        )
        db.execute(
            "INSERT INTO threads VALUES (?, 'Rename it', ?, ?, ?, ?, ?, '0', '2026-11-21T19:00:00+00:00')"
            " ON CONFLICT (id) DO UPDATE SET updated_at=excluded.updated_at, data=excluded.data",
            (thread_id, updated, kind, zstandard.compress(data) if kind == "zstd" else data, parent,
             "/home/dev/work\n/home/dev/other"),
        )  # fmt: skip


def settled(home: Scratch) -> Picture:
    home.read()
    return home.read()


def test_an_entry_that_grows_is_counted_once(home: Scratch) -> None:
    """Conformance 115, first part."""
    for output in (20, 40, 60):
        put(home, A, {"u1": used(10, output, 300)})
        assert home.read().one.tokens == Tokens(10, 300, 0, 0, output)
    put(home, A, {"u1": used(10, 60, 300), "u2": used(5, 7)}, minute=1)
    assert home.read().total == Tokens(15, 300, 0, 0, 67)


@pytest.mark.parametrize("kind", ["zstd", "json"])
def test_every_provider_and_both_kinds_of_row_are_counted(home: Scratch, kind: str) -> None:
    """Conformance 115, second part."""
    put(home, A, {"u1": used(10, 20)}, kind=kind, model={"provider": "anthropic", "model": "claude-opus-4-5"})
    found = home.read()
    assert (found.one.provider, found.one.model) == ("anthropic", "claude-opus-4-5")
    session = found.sessions[A]
    assert (session.cwd, session.title) == ("/home/dev/work", "Rename it")


def test_threads_of_other_agents_are_left_to_their_own_logs(home: Scratch) -> None:
    """Conformance 115, third part."""
    put(home, A, {"u1": used(10, 20)}, agent="claude-code")
    put(home, B, {"u1": used(10, 30)}, agent="Zed Agent")
    assert [event.session for event in home.read().events] == [B]


def test_the_total_is_what_counts_where_there_is_one(home: Scratch) -> None:
    """Tool rounds replace each other in the entry of a prompt; the total has them all."""
    put(home, A, {"u1": used(10, 20)}, total=used(100, 200, 3000))
    assert settled(home).total == Tokens(100, 3000, 0, 0, 200)
    put(home, A, {"u1": used(10, 25), "u2": used(1, 2)}, total=used(150, 260, 4000), minute=1)
    found = settled(home)
    assert found.total == Tokens(150, 4000, 0, 0, 260)
    assert all(event.at_estimated for event in found.events)
    assert found.sessions[A].model == "claude-sonnet-4-5"


def test_a_thread_from_before_the_totals_keeps_what_was_counted(home: Scratch) -> None:
    put(home, A, {"u1": used(10, 20)})
    assert settled(home).total == Tokens(10, 0, 0, 0, 20)
    put(home, A, {"u1": used(10, 20), "u2": used(1, 2)}, total=used(30, 40), minute=1)
    assert settled(home).total == Tokens(40, 0, 0, 0, 60)


def test_a_model_that_is_switched_is_billed_for_what_it_added(home: Scratch) -> None:
    put(home, A, {"u1": used(10, 20)}, total=used(100, 200))
    settled(home)
    put(
        home,
        A,
        {"u2": used(5, 5)},
        total=used(130, 260),
        minute=1,
        model={"provider": "openai", "model": "gpt-5"},
    )
    by_model = {}
    for event in settled(home).hidden:
        by_model[event.model] = by_model.get(event.model, Tokens()) + event.tokens
    assert by_model == {"claude-sonnet-4-5": Tokens(100, 0, 0, 0, 200), "gpt-5": Tokens(30, 0, 0, 0, 60)}


def test_sub_agents_have_their_parent(home: Scratch) -> None:
    put(home, A, {"u1": used(10, 20)})
    put(home, B, {"u1": used(1, 2)}, parent=A)
    assert home.read().sessions[B].parent_id == A


def test_many_threads_are_read_in_portions_and_only_changed_ones_again(home: Scratch) -> None:
    for number in range(50):
        put(home, f"{A}{number}", {"u1": used(1, number + 1)}, minute=number)
    assert len(home.read().events) == 50
    put(home, f"{A}3", {"u1": used(1, 1000)}, minute=3)
    assert home.read().total.output == sum(range(1, 51)) - 4 + 1000


def test_damaged_rows_and_odd_values_spoil_nothing(home: Scratch) -> None:
    put(home, A, {"u1": used(10, 20), "u2": 7, "u3": {"output_tokens": -1}})
    put(home, B, {"u1": used(1, 2)})
    with closing(sqlite3.connect(home.home / PATH)) as db, db:
        db.execute("UPDATE threads SET data=x'00ff' WHERE id=?", (B,))
    assert home.read().total == Tokens(10, 0, 0, 0, 20)
    assert home.health()["unparsed"] == 1


def test_it_has_no_process_of_its_own() -> None:
    assert agent("zed").processes is None
