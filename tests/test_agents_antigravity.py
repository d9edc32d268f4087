"""Conformance of the Antigravity reader."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.agents.build_antigravity import MODEL, START_S, call, message, put, varint
from tests.agents.harness import NOW_MS, Scratch, scratch
from tokentop.agents.antigravity import field, fields
from tokentop.nouns.usage import Tokens

SESSION = "0f3c1f0a-6d9c-4f0e-9d43-2f6f8a1b2c3d"
ONE = Tokens(100, 900, 0, 0, 50, 20)


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def database(home: Scratch, name: str = "antigravity-cli") -> Path:
    return home.home / f".gemini/{name}/conversations/{SESSION}.db"


def test_a_row_is_a_call_whose_input_excludes_what_is_cached(home: Scratch) -> None:
    """Conformance 116."""
    put(database(home), (0, call(0)), (1, call(1, model="")), folder="/home/dev/my%20shop")
    found = home.read()
    assert [event.tokens for event in found.events] == [ONE, ONE]
    event = found.events[0]
    assert (event.session, event.model, event.provider) == (SESSION, MODEL, "google")
    assert (event.at_ms, event.took_ms) == (START_S * 1000 + 500, 2_000)
    assert found.events[1].model == MODEL
    assert found.sessions[SESSION].cwd == "/home/dev/my shop"


def test_the_three_programs_have_a_folder_each(home: Scratch) -> None:
    for name in ("antigravity-cli", "antigravity-ide", "antigravity"):
        put(database(home, name), (0, call(0)))
    assert len(home.read().events) == 1  # one conversation, copied
    put(database(home, "antigravity-ide").with_name("b.db"), (0, call(0)))
    assert len(home.read().events) == 2


def test_new_rows_are_read_and_a_running_call_is_unknown_until_it_ends(home: Scratch) -> None:
    """Conformance 14, 93."""
    put(database(home), (0, call(0)), (1, call(1, done=False)))
    assert unknown(home) == (1, 1)
    put(database(home), (1, call(1)), (2, call(2)))
    assert unknown(home) == (0, 3)
    assert [event.tokens for event in home.read().events] == [ONE] * 3


def unknown(home: Scratch) -> tuple[int, int]:
    with home.ledger() as ledger:
        ledger.catch_up(0.0, NOW_MS * 1_000_000)
        found: tuple[int, int] = ledger.db.execute(
            "SELECT sum(unknown_calls), sum(responses) FROM rollup"
        ).fetchone()
        return found


def test_many_rows_are_read_in_parts(home: Scratch) -> None:
    put(database(home), *((index, call(index)) for index in range(250)))
    assert len(home.read().events) == 250
    put(database(home), *((index, call(index)) for index in range(250, 260)))
    assert len(home.read().events) == 260


def test_rows_that_are_taken_back_were_spent(home: Scratch) -> None:
    put(database(home), *((index, call(index)) for index in range(4)))
    home.read()
    with closing(sqlite3.connect(database(home))) as db:
        db.execute("DELETE FROM gen_metadata WHERE idx > 1")
        db.commit()
    assert len(home.read().events) == 4


def test_damaged_rows_and_other_layouts_change_nothing(home: Scratch) -> None:
    put(database(home), (0, b"\xff" * 30), (1, call(1)), (2, message((1, b"\x22\x7f"))), (3, b""))
    found = home.read()
    assert [event.tokens for event in found.events if event.tokens.total] == [ONE]
    assert home.health()["unparsed"] == 2
    with closing(sqlite3.connect(database(home).with_name("other.db"))) as db:
        db.execute("CREATE TABLE gen_metadata (idx TEXT, other BLOB)")
        db.commit()
    assert [event.tokens for event in home.read().events if event.tokens.total] == [ONE]


def test_an_impossible_count_is_0_and_told(home: Scratch) -> None:
    put(database(home), (0, call(0, fresh=1 << 62)))
    assert home.read().one.tokens == Tokens(0, 900, 0, 0, 50, 20)
    assert home.health() == {"bad-number": 1}


def test_hostile_messages_end_soon() -> None:
    assert list(fields(message((1, 150), (2, "ab")))) == [(1, 150), (2, b"ab")]
    assert field(call(0), 1, 4, 2) == 100
    assert field(call(0), 1, 4, 2, 9) is None
    hostile = (
        b"\x80" * 50,
        b"\x0b\x08",
        b"\x0a\xff\xff\xff\xff\x7f",
        b"\x00\x00",
        b"\x08\x01" * 20_000,
        varint(1 << 80),
    )
    for data in hostile:
        with pytest.raises(ValueError, match=r"cut off|message|many"):
            list(fields(data))
    rng = random.Random(7)
    for _ in range(2_000):
        data = bytearray(call(0))
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        try:
            assert field(bytes(data), 1, 4, 2) is not False
        except ValueError:
            continue
