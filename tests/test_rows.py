"""Agents' own databases: read-only, without a trace, without waiting and without being waited for."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.agents.build_opencode import START_MS, Database
from tests.agents.harness import NOW_MS, Scratch, kinds, picture
from tokentop.agents import agent
from tokentop.agents.base import Ask, LogFile, Reading
from tokentop.agents.base import Database as BaseDatabase
from tokentop.agents.decoding import at_least
from tokentop.ingest.discover import walk
from tokentop.ingest.rows import Table, questions, reason
from tokentop.ledger import Ledger
from tokentop.nouns.facts import Fact

PLACE = Path(".local/share/opencode/opencode.db")


@pytest.fixture
def home(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


@pytest.fixture
def db(home: Scratch) -> Iterator[Database]:
    with closing(Database(home)) as database:
        yield database


def look(ledger: Ledger, now_s: float) -> int:
    """A later look of a screen; the number of responses known then."""
    ledger.follower.poll(now_s, all_folders=True)
    ledger.follower.walk(now_s, NOW_MS * 1_000_000)
    while ledger.step(now_s, 1 << 62) is not None:
        pass
    return len(picture(ledger.db).responses)


def test_rows_that_stand_only_in_the_wal_are_seen(home: Scratch, db: Database) -> None:
    """Conformance 13: the main file's time and size stand still."""
    session = db.session(1)
    db.message(session, 1, START_MS)
    with home.ledger() as ledger:
        assert look(ledger, 1.0) == 1
        before = (home.home / PLACE).stat()
        db.message(session, 2, START_MS + 1000)
        after = (home.home / PLACE).stat()
        assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
        assert look(ledger, 2.0) == 2


def test_the_agent_writes_while_it_is_read_and_tidies_up_after_itself(home: Scratch, db: Database) -> None:
    session = db.session(1)
    db.message(session, 1, START_MS)
    with questions(str(home.home / PLACE)) as ask:
        assert len(ask("SELECT id FROM message")) == 1
        db.message(session, 2, START_MS + 1000)  # does not wait for the reader
        assert len(ask("SELECT id FROM message")) == 1  # one transaction, one picture
    db.close()
    assert sorted(p.name for p in (home.home / PLACE).parent.iterdir()) == [PLACE.name]


def test_a_closed_database_is_read_without_a_trace(home: Scratch, db: Database) -> None:
    session = db.session(1)
    db.message(session, 1, START_MS)
    db.close()
    assert (home.home / PLACE).read_bytes()[18:20] == b"\2\2"  # in WAL mode
    assert len(home.read().responses) == 1
    assert sorted(p.name for p in (home.home / PLACE).parent.iterdir()) == [PLACE.name]


def test_a_locked_database_is_said_and_read_later(home: Scratch, db: Database) -> None:
    """Conformance 13."""
    session = db.session(1)
    db.message(session, 1, START_MS)
    db.close()
    with closing(sqlite3.connect(home.home / PLACE, isolation_level=None)) as agent:
        agent.execute("PRAGMA journal_mode=DELETE")
        agent.execute("BEGIN EXCLUSIVE")
        with home.ledger() as ledger:
            assert look(ledger, 1.0) == 0
            details = [d.detail for d in ledger.health()]
            assert any("locked by its agent" in detail for detail in details), details
            agent.execute("ROLLBACK")
            assert look(ledger, 100.0) == 1
            assert not [d for d in ledger.health() if d.kind == "unreadable"]


@pytest.mark.parametrize("damage", ["cut", "noise", "header", "empty"])
def test_a_damaged_database_is_one_finding_and_the_others_go_on(
    home: Scratch, db: Database, damage: str
) -> None:
    session = db.session(1)
    for number in range(200):
        db.message(session, number, START_MS + number)
    db.close()
    data = bytearray((home.home / PLACE).read_bytes())
    if damage == "cut":
        del data[len(data) // 2 :]
    elif damage == "noise":
        data[5000:] = os.urandom(len(data) - 5000)
    elif damage == "header":
        data[:16] = b"not a database!!"
    else:
        data.clear()
    (home.home / PLACE).write_bytes(data)
    home.write(".gemini/tmp/p/chats/session-1.json", '{"sessionId": "g", "messages": [')
    found = home.read()
    assert len(found.responses) <= 200
    with home.ledger() as ledger:
        ledger.catch_up(1.0, 1)
        problems = kinds(ledger.health())
    assert problems.get("unreadable", 0) == (0 if damage == "empty" else 1)
    assert problems["half"] == 1  # the other agent's document was looked at as well


def test_another_layout_is_said_in_words(home: Scratch) -> None:
    (home.home / PLACE).parent.mkdir(parents=True)
    with closing(sqlite3.connect(home.home / PLACE)) as agent:
        agent.execute("CREATE TABLE something_else (x)")
    assert home.read().events == ()
    assert reason(sqlite3.OperationalError("no such column: x")) == "has another layout than the known ones"


def test_a_question_without_an_end_is_ended(home: Scratch, db: Database) -> None:
    """A hostile database: a view that counts for ever must not hold up the screen."""
    db.session(1)
    began = time.process_time()
    with (
        questions(str(home.home / PLACE)) as ask,
        pytest.raises(sqlite3.OperationalError, match="interrupted"),
    ):
        ask("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
    assert time.process_time() - began < 120  # it ends at all


def test_a_view_is_no_table(home: Scratch) -> None:
    (home.home / PLACE).parent.mkdir(parents=True)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    names = "id, session_id, time_created, time_updated, data"
    with closing(sqlite3.connect(home.home / PLACE)) as agent:
        agent.execute(f"CREATE VIEW message ({names}) AS {endless} SELECT i, i, i, i, i FROM n")
    assert home.read().events == ()


def test_it_cannot_be_written_through_the_reader(home: Scratch, db: Database) -> None:
    db.session(1)
    with questions(str(home.home / PLACE)) as ask, pytest.raises(sqlite3.OperationalError):
        ask("DELETE FROM session")


def test_a_database_that_was_replaced_is_read_from_its_beginning(home: Scratch, db: Database) -> None:
    session = db.session(1)
    for number in range(5):
        db.message(session, number, START_MS + number * 1000)
    with home.ledger() as ledger:
        assert look(ledger, 1.0) == 5
        db.close()
        (home.home / PLACE).rename(home.home / "old.db")
        with closing(Database(home)) as other:
            second = other.session(2)
            for number in range(10, 13):
                other.message(second, number, START_MS + number * 1000)
            assert look(ledger, 2.0) == 8


def test_a_damaged_text_is_no_reason_to_leave_out_the_rest(home: Scratch, db: Database) -> None:
    session = db.session(1)
    db.message(session, 1, START_MS)
    db.message(session, 2, START_MS + 1000)
    db.close()
    with closing(sqlite3.connect(home.home / PLACE)) as agent:
        agent.execute("UPDATE message SET data = CAST(x'ff7b80' AS TEXT) WHERE id = 'msg_0001'")
        agent.commit()
    assert len(home.read().responses) == 1
    assert home.health()["unparsed"] == 1


def test_what_was_read_of_a_database_that_its_agent_opened_meanwhile_is_read_again(
    home: Scratch, db: Database
) -> None:
    session = db.session(1)
    db.message(session, 1, START_MS)
    db.close()
    seen: list[int] = []
    writers: list[Database] = []

    def read(_file: LogFile, ask: Ask, _state: bytes) -> Reading:
        seen.append(len(ask("SELECT id FROM message")))
        if not writers:
            writers.append(Database(home, new=False))
            writers[0].message(session, 2, START_MS + 1000)
        return Reading([], str(seen[-1]).encode())

    (entry,) = walk([agent("opencode")], home.environ, {}).files.values()
    table = Table(replace(entry, source=BaseDatabase(suffixes=(".db",), read=read)), None, 1)
    table.read([])
    writers[0].close()
    assert seen == [1, 2]
    assert table.cursor().state == b"2"


def test_a_database_in_rollback_mode_that_is_written_all_the_time_is_read(
    home: Scratch, db: Database
) -> None:
    """The reader's own transaction is its picture; a commit right behind it is no reason to read again."""
    session = db.session(1)
    db.message(session, 1, START_MS)
    db.close()
    place = home.home / PLACE
    with closing(sqlite3.connect(place)) as agent_db:
        agent_db.execute("PRAGMA journal_mode=DELETE")
    calls: list[int] = []

    def read(_file: LogFile, ask: Ask, _state: bytes) -> Reading:
        calls.append(len(ask("SELECT id FROM message")))
        os.utime(place, ns=(1, len(calls)))  # as if a commit had come
        return Reading([])

    (entry,) = walk([agent("opencode")], home.environ, {}).files.values()
    Table(replace(entry, source=BaseDatabase(suffixes=(".db",), read=read)), None, 1).read([])
    assert calls == [1]


def test_a_reader_that_does_not_get_on_is_not_asked_for_ever(home: Scratch, db: Database) -> None:
    db.session(1)
    stuck = BaseDatabase(suffixes=(".db",), read=lambda _file, _ask, _state: Reading([], b"here", more=True))
    (entry,) = walk([agent("opencode")], home.environ, {}).files.values()
    table = Table(replace(entry, source=stuck), None, 1)
    facts: list[Fact] = []
    assert table.read(facts)[1] is False
    assert table.read(facts)[1] is True


@pytest.mark.parametrize("value", ["text", 1.5, None, 1 << 63, True, -5])
def test_a_watermark_only_goes_on_to_numbers_of_rows(value: object) -> None:
    """Hostile tables have ids of any type; the mark must stay what a cursor can hold."""
    assert at_least(7, value) == 7
    assert at_least(7, 9) == 9
