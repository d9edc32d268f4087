"""Conformance of the Cursor reader: conversations without counts, exported usage."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.harness import Scratch, scratch
from tokentop.agents import agent
from tokentop.agents.base import Database, LogFile
from tokentop.ingest.rows import questions
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Tokens, Usage

DATA = ".config/Cursor"
STATE = f"{DATA}/User/globalStorage/state.vscdb"
T = 1_795_294_660_000
ONE, TWO = "5c1d7e90-1111-4222-8333-444455556666", "5c1d7e90-7777-4888-9999-aaaabbbbcccc"
HEADER = "Date,Kind,Model,Max Mode,Input (w/ Cache Write),Input (w/o Cache Write),Cache Read,Output Tokens,Total Tokens,Cost"


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def put(home: Scratch, *rows: tuple[str, Any]) -> Path:
    path = home.home / STATE
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(path)
    for table in ("ItemTable", "cursorDiskKV"):
        database.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (key TEXT UNIQUE ON CONFLICT REPLACE, value BLOB)"
        )
    database.executemany(
        "INSERT INTO cursorDiskKV VALUES (?, ?)",
        [(key, value if isinstance(value, str | bytes) else json.dumps(value)) for key, value in rows],
    )
    database.commit()
    database.close()
    return path


def composer(session: str = ONE, **about: Any) -> tuple[str, Any]:
    known = {"name": "Sort", "createdAt": T, "lastUpdatedAt": T + 5000, "status": "completed"}
    return f"composerData:{session}", known | about


def bubble(
    name: str, session: str = ONE, *, kind: int = 2, tokens: tuple[int, int] = (0, 0), **about: Any
) -> tuple[str, Any]:
    counts = {"inputTokens": tokens[0], "outputTokens": tokens[1]}
    known = {"type": kind, "createdAt": "2026-11-21T20:57:45.000Z", "tokenCount": counts}
    return f"bubbleId:{session}:{name}", known | about


# ---------------------------------------------------------------- conversations


def test_answers_with_counts_of_zero_are_unknown_and_their_sessions_listed(home: Scratch) -> None:
    """Conformance 118, first part."""
    put(home, composer(), bubble("b1", kind=1), bubble("b2"), bubble("b3", tokenCount=None))
    found = home.read()
    assert [(e.session, e.unknown, e.tokens.total) for e in found.events] == [(ONE, True, 0)] * 2
    assert found.sessions[ONE].title == "Sort"


def test_the_rare_counts_are_estimates(home: Scratch) -> None:
    put(home, composer(), bubble("b1", tokens=(900, 40), modelInfo={"modelName": "gpt-5"}))
    one = home.read().one
    assert (one.tokens, one.estimated, one.model) == (Tokens(900, 0, 0, 0, 40), True, "gpt-5")


def test_the_steps_of_an_answer_are_no_answers(home: Scratch) -> None:
    put(home, composer(), bubble("b1"), bubble("b2", toolFormerData={"name": "edit_file"}))
    assert len(home.read().events) == 1


def test_an_answer_that_is_written_several_times_is_one_event_with_its_last_counts(home: Scratch) -> None:
    """Conformance 14."""
    for tokens in ((0, 0), (500, 10), (500, 90)):
        put(home, composer(), bubble("b1", tokens=tokens))
        home.read()
    assert home.read().one.tokens == Tokens(500, 0, 0, 0, 90)


def test_a_table_that_was_made_anew_is_read_from_its_start(home: Scratch) -> None:
    path = put(home, *(bubble(f"b{n}") for n in range(1500)))
    assert len(home.read().events) == 1500
    database = sqlite3.connect(path)
    database.execute("DELETE FROM cursorDiskKV")
    database.commit()
    database.close()
    put(home, composer(TWO), bubble("c1", TWO))
    assert len(home.read().events) == 1501


def test_the_number_of_a_deleted_row_may_belong_to_a_new_one(home: Scratch) -> None:
    path = put(home, bubble("b1"), bubble("b2"), bubble("b3"))
    home.read()
    database = sqlite3.connect(path)
    database.execute("DELETE FROM cursorDiskKV WHERE key LIKE '%b2' OR key LIKE '%b3'")
    database.commit()
    database.close()
    put(home, bubble("b4"))
    assert len(home.read().events) == 4


def test_values_that_are_no_conversation_are_passed_over(home: Scratch) -> None:
    odd = [
        ("bubbleId:x", "{"),
        ("bubbleId:x:y", b"\xff\xfe"),
        (f"composerData:{ONE}", "[1]"),
        ("bubbleId::z", {}),
    ]
    put(home, *odd, ("agentKv:blob:1", b"\x00\x01"), ("composerData:", composer()[1]), bubble("b1"))
    assert len(home.read().events) == 1
    assert home.health() == {}


def test_the_table_with_secrets_is_never_asked(home: Scratch) -> None:
    """Conformance 118, third part."""
    path = put(home, composer(), bubble("b1"))
    database = sqlite3.connect(path)
    database.execute("INSERT INTO ItemTable VALUES ('cursorAuth/accessToken', 'bubbleId:secret')")
    database.commit()
    database.close()
    source = next(s for s in agent("cursor").sources if isinstance(s, Database))
    with questions(str(path)) as ask:
        tables = ask.tables
        asked: list[str] = []

        class Watch:
            def __init__(self) -> None:
                self.tables = tables

            def __call__(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
                asked.append(sql)
                return ask(sql, *values)

        reading = source.read(LogFile(str(path), "", ()), Watch(), b"")
        assert source.signs is not None
        source.signs(LogFile(str(path), "", ()), Watch())
        assert any(isinstance(fact, Usage) for fact in reading.facts)
        assert asked
        assert not [sql for sql in asked if "ItemTable" in sql]
        for sql in asked:
            plan = ask(f"EXPLAIN QUERY PLAN {sql}", *([1] if "?" in sql else []))
            assert all(
                "SCAN" not in row[-1] or "ORDER BY rowid DESC" in sql or "max(rowid)" in sql for row in plan
            )


def test_what_was_read_is_not_read_again(home: Scratch) -> None:
    path = put(home, *(bubble(f"b{n}") for n in range(300)))
    source = next(s for s in agent("cursor").sources if isinstance(s, Database))
    with questions(str(path)) as ask:
        first = source.read(LogFile(str(path), "", ()), ask, b"")
        rest = source.read(LogFile(str(path), "", ()), ask, first.state)
        none = source.read(LogFile(str(path), "", ()), ask, rest.state)
    assert (first.more, rest.more, none.more) == (True, False, False)
    assert [len(r.facts) for r in (first, rest, none)] == [200, 100, 0]


def test_the_conversation_written_last_gives_status_and_context(home: Scratch) -> None:
    put(home, composer(status="generating", contextTokensUsed=14_000, contextTokenLimit=200_000))
    live, _ = home.follow(T + 6000)
    (track,) = live.tracks.values()
    assert track.last is not None
    assert track.context is not None
    assert (track.last.state, track.context.used, track.context.window) == (State.WORKING, 14_000, 200_000)


# ---------------------------------------------------------------- exports


def export(
    home: Scratch, *rows: str, name: str = "usage-events-2026-11-21.csv", header: str = HEADER
) -> None:
    home.write(f"{DATA}/{name}", "\n".join((header, *rows)) + "\n")


ROW = "2026-11-21T09:00:00.000Z,Included,claude-4.5-sonnet,No,100,50,200,30,380,$0.05"


def test_an_export_that_is_imported_twice_counts_once(home: Scratch) -> None:
    """Conformance 118, second part."""
    export(home, ROW)
    assert home.read().one.tokens == Tokens(50, 200, 100, 0, 30)
    export(home, ROW.replace("claude", '"claude').replace("sonnet", 'sonnet"'), name="cursor-usage (1).csv")
    assert len(home.read().events) == 1


def test_equal_rows_of_one_export_are_calls_of_their_own(home: Scratch) -> None:
    export(home, ROW, ROW)
    assert len(home.read().events) == 2


def test_columns_are_found_by_their_names(home: Scratch) -> None:
    header = HEADER.replace("Date,", "Date,Cloud Agent ID,Automation ID,")
    export(home, ROW.replace("Z,", "Z,,,"), header=header)
    export(home, ROW, name="usage-events-old.csv")
    assert home.read().one.tokens == Tokens(50, 200, 100, 0, 30)


def test_the_total_tells_whether_written_input_holds_the_rest(home: Scratch) -> None:
    export(home, "2026-11-21T09:00:00.000Z,Included,m,No,1200,1000,500,300,2000,0")
    assert home.read().one.tokens == Tokens(1000, 500, 200, 0, 300)


def test_rows_that_were_not_charged_or_say_nothing_are_left_out(home: Scratch) -> None:
    free = ROW.replace("Included", '"Errored, No Charge"')
    export(home, free, ROW.replace("100,50,200,30,380", "0,0,0,0,0"), "not a date,x,m,No,1,1,1,1,4,0", "")
    assert home.read().events == ()


def test_a_row_that_is_torn_is_not_counted(home: Scratch) -> None:
    home.write(f"{DATA}/usage-events-1.csv", f"{HEADER}\n{ROW}\n2026-11-21T10:00:00.000Z,Included,m,No,7,1")
    assert len(home.read().events) == 1


def test_other_tables_are_no_export(home: Scratch) -> None:
    export(home, ROW, name="notes.csv")
    assert home.read().events == ()
