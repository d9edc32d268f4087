"""Conformance of the ZCode reader, built from the documented format."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.agents.harness import HERE, Scratch, scratch
from tokentop.nouns.sessions import Context, Role
from tokentop.nouns.usage import Tokens

PLACE = ".zcode/cli/db/db.sqlite"
MS = 1_790_000_100_000


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        shutil.copytree(HERE / "zcode/documented/home", found.home, dirs_exist_ok=True)
        yield found


def put(home: Scratch, key: str, **about: object) -> None:
    row = {"id": key, "session_id": "sess_a", "model_id": "GLM-5.2", "agent": "zcode-agent", "status": "completed",
           "started_at": MS, "completed_at": MS + 900, **about}  # fmt: skip
    with closing(sqlite3.connect(home.home / PLACE)) as db, db:
        db.execute(
            f"INSERT OR REPLACE INTO model_usage ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            tuple(row.values()),
        )


def counts(
    prompt: int, output: int, read: int = 0, written: int = 0, total: int | None = None
) -> dict[str, object]:
    return {
        "input_tokens": prompt, "output_tokens": output, "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "computed_total_tokens": prompt + output if total is None else total,
    }  # fmt: skip


def test_what_was_cached_is_taken_out_of_the_input(home: Scratch) -> None:
    found = home.read()
    assert found.total == Tokens(2500, 3300, 100, 0, 180, 40)
    assert len(found.unknown) == 1
    assert (found.sessions["sess_b"].role, found.sessions["sess_b"].parent_id) == (Role.SUB_AGENT, "sess_a")


def test_a_provider_whose_input_excludes_the_cache_is_known_by_its_total(home: Scratch) -> None:
    before = home.read().total
    put(home, "usage_9", **counts(500, 20, 300, total=820))
    assert home.read().total.input - before.input == 500
    put(home, "usage_10", **counts(100, 20, 300))
    assert home.read().total.input - before.input == 600


def test_a_running_request_is_unknown_until_it_ends(home: Scratch) -> None:
    put(home, "usage_9", status="running", completed_at=None)
    assert len(home.read().unknown) == 2
    put(home, "usage_9", **counts(100, 7))
    found = home.read()
    assert (len(found.unknown), len(found.responses)) == (1, 3)


def test_failed_requests_and_other_agents_inside_are_not_counted(home: Scratch) -> None:
    before = home.read()
    put(home, "usage_9", status="error")
    put(home, "usage_10", agent="claude-code", **counts(100, 7))
    assert len(home.read().events) == len(before.events)


def test_an_older_database_without_some_columns_is_read(home: Scratch) -> None:
    with closing(sqlite3.connect(home.home / PLACE)) as db, db:
        for column in ("agent", "provider_total_tokens", "reasoning_tokens", "query_source"):
            db.execute(f"ALTER TABLE model_usage DROP COLUMN {column}")
    assert home.read().total.output == 180


def test_the_gauge_is_the_newest_request_and_its_place_can_be_told(home: Scratch) -> None:
    moved = home.folder / "elsewhere"
    shutil.move(home.home / ".zcode", moved)
    home.environ["ZCODE_HOME"] = str(moved)
    _, facts = home.follow(MS)
    assert {f.session_id: f.used for f in facts if isinstance(f, Context)} == {"sess_a": 5120, "sess_b": 960}


def test_hostile_rows_are_read_without_an_error(home: Scratch) -> None:
    put(
        home,
        "usage_9",
        **counts(-4, 1 << 60, total=-1),
        model_id="\x1b[31m",
        started_at="soon",
        completed_at=None,
    )
    put(home, "usage_10", session_id=b"\xff", status=7)
    found = home.read()
    assert found.total.output == 180
    assert all("\x1b" not in event.model for event in found.events)
