"""Sessions that lie in a time with a part of their calls: what is kept of them by hour gives what their calls give."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tokentop.engine.work import Work
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Kind, Tokens, Usage
from tokentop.pricing import PriceTable
from tokentop.store import shares
from tokentop.store.db import open_writer
from tokentop.store.outcomes import Kept, keep_works
from tokentop.store.shares import SUMS, Sums, parts
from tokentop.store.writer import Writer

START_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
SESSIONS = 8


def usage(n: int, rng: random.Random) -> Usage:
    kind = (Kind.RESPONSE, Kind.RESPONSE, Kind.HIDDEN, Kind.UNKNOWN)[n % 4] if n % 5 else Kind.RESPONSE
    tokens = Tokens() if kind is Kind.UNKNOWN else Tokens(rng.randrange(99), 5, 3, 2, 7, 1)
    at_ms = START_MS + rng.randrange(40 * HOUR_MS)
    sid = n % SESSIONS
    if sid == 7 and n % 3 == 0:
        at_ms = 0  # its log does not tell when
    model = "no-such-model" if n % 7 == 0 else "claude-sonnet-4-5"
    return Usage(
        "claude", f"s{sid}", f"k{n}", at_ms, model, tokens, kind=kind, estimated=sid == 3 and n % 2 == 0
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Writer]:
    rng = random.Random(3)
    with closing(open_writer(tmp_path / "state")) as connection:
        writer = Writer(connection, PriceTable.load())
        sessions = [Session("claude", f"s{n}", cwd="/w/p") for n in range(SESSIONS)]
        writer.commit([*sessions, *(usage(n, rng) for n in range(400))])
        keep_works(connection, [(number, Kept(0, 0, 0, Work())) for number in own(connection)])
        yield writer


def own(connection: sqlite3.Connection) -> dict[int, Sums]:
    return {row[0]: row[1:] for row in connection.execute(f"SELECT id, {', '.join(SUMS)} FROM session")}


def spans() -> list[tuple[int, int]]:
    rng = random.Random(4)
    first_ms = START_MS // HOUR_MS * HOUR_MS
    aligned = [
        (first_ms + a * HOUR_MS, first_ms + b * HOUR_MS)
        for a, b in ((0, 50), (3, 20), (11, 12), (7, 7), (60, 61))
    ]
    odd = [(START_MS + rng.randrange(40 * HOUR_MS), rng.randrange(12 * HOUR_MS)) for _ in range(60)]
    return [
        *aligned, *((at_ms, at_ms + length_ms) for at_ms, length_ms in odd), (START_MS, START_MS + 5),
        (-(1 << 40), START_MS + 9 * HOUR_MS + 1), (0, 1), (1, 1 << 45), (START_MS + 9 * HOUR_MS + 1, 1 << 45),
    ]  # fmt: skip


def assert_exact(connection: sqlite3.Connection) -> None:
    whole = own(connection)
    for since_ms, until_ms in spans():
        query = f"{shares._OF_CALLS} e.at_ms >= ?2 AND e.at_ms < ?3 GROUP BY e.session"
        exact = dict(shares._read(connection, query, list(whole), since_ms, until_ms))
        found = parts(connection, whole, since_ms, until_ms)
        assert {n: list(sums) for n, sums in found.items()} == exact, (since_ms, until_ms)


def served(connection: sqlite3.Connection, since_ms: int, until_ms: int) -> set[int]:
    return set(shares._kept(connection, own(connection), since_ms, until_ms))


def test_hours_that_are_kept_tell_what_the_calls_of_any_span_tell(store: Writer) -> None:
    assert_exact(store.connection)
    numbers = set(own(store.connection))
    assert len(numbers - served(store.connection, START_MS, START_MS + 9 * HOUR_MS)) == 1  # without times


CHANGES = {
    "a new call": "",
    "a call at another time": f"UPDATE event SET at_ms = at_ms - {15 * HOUR_MS} WHERE at_ms > {START_MS + 30 * HOUR_MS}",
    "calls that were purged": f"DELETE FROM event WHERE at_ms > {START_MS + 20 * HOUR_MS}",
    "another price": "UPDATE session SET cost_nusd = cost_nusd + 5; UPDATE event SET cost_nusd = cost_nusd + 5"
    " WHERE id IN (SELECT min(id) FROM event WHERE cost_nusd > 0 GROUP BY session)",
    "no work": "DELETE FROM work",
    "a work of a version that kept no hours": "UPDATE work SET hours = x'90'",
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_hours_that_are_not_those_of_the_calls_any_more_are_not_used(store: Writer, change: str) -> None:
    connection = store.connection
    span = (START_MS + 18 * HOUR_MS, START_MS + 50 * HOUR_MS)
    before = served(connection, *span)
    if CHANGES[change]:
        connection.executescript(CHANGES[change])
    else:
        rng = random.Random(9)
        store.commit([usage(n, rng) for n in range(1000, 1000 + SESSIONS)])
    if change == "calls that were purged":
        rows = connection.execute("SELECT id FROM session").fetchall()
        connection.executemany("INSERT INTO purged VALUES (?, 0, 1, 0)", rows)
        assert not served(connection, *span)
        return
    assert not served(connection, *span)
    assert_exact(connection)
    keep_works(connection, [(number, Kept(0, 0, 0, Work())) for number in own(connection)])
    assert served(connection, *span) == before
    assert_exact(connection)
