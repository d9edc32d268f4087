"""Conformance of the Forge reader, built from the documented format."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import zstandard

from tests.agents.harness import HERE, Scratch, scratch
from tokentop.nouns.sessions import Role
from tokentop.nouns.usage import Tokens

PLACE = ".forge/.forge.db"
FIRST = "5b1e4b0c-0000-4000-8000-000000000001"
SECOND = "5b1e4b0c-0000-4000-8000-000000000002"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        shutil.copytree(HERE / "forge/documented/home", found.home, dirs_exist_ok=True)
        yield found


def change(home: Scratch, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(home.home / PLACE)) as db, db:
        db.execute(sql, values)


def answer(prompt: int, output: int, cached: int = 0, call: str = "", kind: str = "actual") -> dict[str, Any]:
    counts = {"prompt_tokens": prompt, "completion_tokens": output, "cached_tokens": cached}
    about: dict[str, Any] = {"role": "Assistant", "content": "", "model": "m"}
    if call:
        about["tool_calls"] = [{"name": "shell", "call_id": call, "arguments": {}}]
    return {"message": {"text": about}, "usage": {name: {kind: n} for name, n in counts.items()}}


def put(home: Scratch, sid: str, at: str, *messages: dict[str, Any]) -> None:
    change(
        home, "INSERT OR REPLACE INTO conversations VALUES (?, 'x', 1, ?, '2026-09-21 14:00:00', ?, NULL)",
        sid, json.dumps({"messages": messages}), at,
    )  # fmt: skip


def test_the_prompt_includes_what_was_cached(home: Scratch) -> None:
    found = home.read()
    assert [e.tokens for e in sorted(found.events, key=lambda e: e.tokens.input)] == [
        Tokens(200, 5000, 0, 0, 80), Tokens(2000, 3000, 0, 0, 120),
    ]  # fmt: skip
    assert all(event.at_estimated for event in found.events)


def test_a_compaction_that_drops_messages_changes_no_total(home: Scratch) -> None:
    put(home, SECOND, "2026-09-21 15:00:01", answer(10, 1, call="c1"), answer(20, 2), answer(30, 3))
    before = home.read()
    put(home, SECOND, "2026-09-21 15:00:02", answer(30, 3), answer(40, 4))
    found = home.read()
    assert len(found.of(SECOND)) == 4
    assert found.total.output - before.total.output == 4


def test_equal_counts_are_two_calls(home: Scratch) -> None:
    put(home, SECOND, "2026-09-21 15:00:01", answer(10, 1), answer(10, 1))
    assert len(home.read().of(SECOND)) == 2


def test_guessed_counts_are_estimates(home: Scratch) -> None:
    put(home, SECOND, "2026-09-21 15:00:01", answer(10, 1, kind="approx"))
    assert home.read().of(SECOND)[0].estimated


def test_many_conversations_are_read_in_parts_and_none_is_missed(home: Scratch) -> None:
    for number in range(50):
        put(home, f"conversation-{number}", "2026-09-21 15:00:01", answer(10 + number, 1))
    assert len(home.read().responses) == 52
    put(home, "late", "2026-09-21 15:00:01", answer(7, 1))
    assert len(home.read().responses) == 53


def test_compressed_contexts_and_parents(home: Scratch) -> None:
    for column in (
        "parent_id TEXT",
        "cwd TEXT",
        "context_zstd BLOB",
        "is_compressed INTEGER NOT NULL DEFAULT 0",
    ):
        change(home, f"ALTER TABLE conversations ADD COLUMN {column}")
    packed = zstandard.ZstdCompressor().compress(json.dumps({"messages": [answer(10, 5)]}).encode())
    change(
        home, "INSERT INTO conversations VALUES (?, 'x', 1, NULL, '2026-09-21 15:00:00', '2026-09-21 15:00:01', NULL,"
        " ?, '/home/dev/shop', ?, 1)", "packed", FIRST, packed,
    )  # fmt: skip
    change(
        home, "INSERT INTO conversations VALUES (?, 'x', 1, NULL, '2026-09-21 15:00:00', '2026-09-21 15:00:02', NULL,"
        " ?, '/home/dev/shop', ?, 1)", "damaged", FIRST, b"\x28\xb5\x2f\xfd----",
    )  # fmt: skip
    found = home.read()
    assert found.of("packed")[0].tokens.output == 5
    assert found.of("damaged") == []
    about = found.sessions["packed"]
    assert (about.parent_id, about.role, about.cwd) == (FIRST, Role.SUB_AGENT, "/home/dev/shop")


def test_hostile_contexts_are_read_without_an_error(home: Scratch) -> None:
    for number, context in enumerate(
        ("{", "[]", '{"messages": 7}', '{"messages": [{"message": {"text": 1}}, 2]}')
    ):
        change(
            home, "INSERT INTO conversations VALUES (?, 'x', 1, ?, 'never', '2026-09-21 15:00:01', NULL)",
            f"bad-{number}", context,
        )  # fmt: skip
    put(home, "odd", "2026-09-21 15:00:01", answer(-5, 1 << 60), {"message": {"text": {"role": "assistant"}}})
    found = home.read()
    assert found.of("odd") == found.unknown
    assert len(found.responses) == 2
