"""Recording by a real `tokentop watch`, and `tokentop replay` beside it: moments, spans, jumps, what is not there."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path

import pytest

from tokentop.clock import now_ms
from tokentop.demo import DemoSource
from tokentop.engine.when import BadTime, parse_when
from tokentop.nouns.actions import Action
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.recorded import STEP_MS, Spent
from tokentop.runtime import DemoRuntime
from tokentop.store import db, left, spans
from tokentop.text import plural

from .faults import PROJECT, Scratch, line, one_line, stamp, wait_for

HOUR_MS = 3_600_000


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n, timestamp=stamp(now_ms() - 60_000 + 1000 * n)) for n in range(50))
    return home


@contextlib.contextmanager
def watching(scratch: Scratch) -> Iterator[subprocess.Popen[str]]:
    process = scratch.start("watch")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def frames(scratch: Scratch) -> int:
    with (
        contextlib.closing(sqlite3.connect(scratch.database)) as connection,
        contextlib.suppress(sqlite3.Error),
    ):
        return [row[0] for row in connection.execute("SELECT at_ms FROM frame ORDER BY at_ms")]
    return []


def responses(scratch: Scratch) -> int:
    """What the newest frame shows of the log."""
    rows = json.loads(scratch.run("replay", "--at", "0s", "--json").stdout)["rows"]
    return sum(row["responses"] for row in rows if row["project"] == PROJECT)


def test_a_watch_records_and_a_second_one_does_not(scratch: Scratch) -> None:
    """Two watches for some seconds: the frames are those of one, a step apart. `replay` reads them while they run."""
    with watching(scratch) as first:
        wait_for(lambda: scratch.database.exists() and frames(scratch))
        wait_for(lambda: responses(scratch) == 50)  # the first frame may be of before the log was read
        with watching(scratch):
            time.sleep(3)  # a writer of its own would have written its first frame by now
            before = len(frames(scratch))
            done = scratch.run("replay", "--at", "0s", "--json")
            found = frames(scratch)
        assert all(later - sooner >= STEP_MS for sooner, later in pairwise(found))
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert document["schema"] == "tokentop.snapshot/1"
        assert before <= document["replay"]["coverage"]["frames"] <= len(found)
        [row] = [row for row in document["rows"] if row["project"] == PROJECT]
        assert row["responses"] == 50
        assert row["children"] is None
        first.send_signal(signal.SIGTERM)
        first.wait(60)
    text = scratch.run("replay").stdout
    assert f": {plural(len(frames(scratch)), 'frame')}," in text
    assert "where today's bill rose" in text


def test_a_setting_switches_the_recording_off(scratch: Scratch) -> None:
    scratch.config.write_text("recording_mb = 0\n")
    with watching(scratch):
        wait_for(
            lambda: (scratch.state / left.NAME).exists()
        )  # left beside each picture that would be recorded
        time.sleep(1)
        assert not frames(scratch)


def test_a_span_is_ranked_from_the_events_without_any_recording(scratch: Scratch) -> None:
    scratch.log(
        (
            line(n, session="s-2", output=700, timestamp=stamp(now_ms() - 60_000 + 1000 * (n - 60)))
            for n in range(60, 70)
        ),
        "s-2.jsonl",
    )
    done = scratch.run("replay", "--from", "1h", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "tokentop.span/1"
    ours = [one for one in document["sessions"] if one["project"] == PROJECT]
    assert [one["session"] for one in ours] == ["s-2", "s-1"]
    assert [one["responses"] for one in ours] == [10, 50]
    usage = json.loads(scratch.run("usage", "--json", "--since", "1h").stdout)
    assert document["cost_usd"] == usage["totals"]["cost_usd"]
    assert sum(one["share"] for one in document["sessions"]) == pytest.approx(1, abs=1e-4)


def test_what_is_not_recorded_is_said(scratch: Scratch) -> None:
    assert "there is no database" in one_line(scratch.run("replay", "--at", "10m", "--once"))
    scratch.run("sync")
    done = scratch.run("replay", "--at", "10m", "--once")
    assert done.returncode == 3
    assert "nothing is recorded yet" in one_line(done)
    done = scratch.run("replay", "--at", "25:70", "--once")
    assert done.returncode == 2
    assert "not a time of day" in one_line(done)
    done = scratch.run("replay", "--at", "1h", "--from", "2h")
    assert done.returncode == 2


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("03:12", "2026-11-21T03:12:00+01:00"),
        ("3:12:40", "2026-11-21T03:12:40+01:00"),
        ("22:10", "2026-11-20T22:10:00+01:00"),  # it has not been that late today
        ("yesterday 22:10", "2026-11-20T22:10:00+01:00"),
        ("today 23:59", "2026-11-21T23:59:00+01:00"),
        ("2026-11-19 04:05", "2026-11-19T04:05:00+01:00"),
        ("2026-11-19T04:05:06Z", "2026-11-19T04:05:06+00:00"),
    ],
)
def test_times_of_day(words: str, wanted: str) -> None:
    zone = timezone(timedelta(hours=1))
    clock_ms = int(datetime(2026, 11, 21, 20, 0, tzinfo=UTC).timestamp() * 1000)
    expected = int(datetime.fromisoformat(wanted).timestamp() * 1000)
    assert parse_when(words, zone, clock_ms, end=False) == expected


@pytest.mark.parametrize("words", ["24:00", "12:60", "yesterday 7", "3:1", "12:00:61"])
def test_what_is_no_time_of_day(words: str) -> None:
    with pytest.raises(BadTime):
        parse_when(words, UTC, 0, end=False)


@pytest.mark.parametrize(
    ("begin", "end", "wanted"),
    [
        ("20:30", "21:00", "2026-11-21T21:00+01:00"),  # it is 20:45: the last 21:00 was yesterday's
        ("22:00", "02:00", "2026-11-21T02:00+01:00"),
        ("03:00", "05:00", "2026-11-21T05:00+01:00"),
        ("yesterday", "19:00", "2026-11-21T19:00+01:00"),
        ("yesterday", "yesterday 21:00", "2026-11-20T21:00+01:00"),
    ],
)
def test_the_end_of_a_span_comes_after_its_beginning(begin: str, end: str, wanted: str) -> None:
    zone = timezone(timedelta(hours=1))
    clock_ms = int(datetime(2026, 11, 21, 20, 45, tzinfo=zone).timestamp() * 1000)
    from_ms = parse_when(begin, zone, clock_ms, end=False)
    until_ms = parse_when(end, zone, clock_ms, end=True, after_ms=from_ms)
    assert until_ms == int(datetime.fromisoformat(wanted).timestamp() * 1000)


def test_spans_agree_with_the_events_whatever_the_lives_of_sessions(tmp_path: Path) -> None:
    """Random sessions and spans against sums over all events; sub-agents count for their session."""
    import random

    from tokentop.nouns.sessions import Session
    from tokentop.nouns.usage import Tokens, Usage
    from tokentop.pricing import PriceTable
    from tokentop.store.writer import Writer

    tmp_path.chmod(0o700)
    connection = db.open_writer(tmp_path)
    writer, rng = Writer(connection, PriceTable.load()), random.Random(11)
    events: list[tuple[int, str]] = []
    for number in range(60):
        sid = f"s{number // 2}/a{number}" if number % 2 else f"s{number // 2}"
        begin = rng.randrange(0, 40 * HOUR_MS)
        facts: list[object] = [Session("claude", sid, root_id=sid, model="claude-sonnet-4-5", first_ms=begin)]
        for call in range(rng.randrange(1, 30)):
            at_ms = begin + rng.randrange(0, 9 * HOUR_MS)
            facts.append(
                Usage("claude", sid, f"{sid}:{call}", at_ms, "claude-sonnet-4-5", Tokens(output=1000))
            )
            events.append((at_ms, sid.partition("/")[0]))
        writer.commit(facts)  # type: ignore[arg-type]
    for _ in range(40):
        since = rng.randrange(0, 45 * HOUR_MS)
        until = since + rng.randrange(1, 9 * HOUR_MS)
        found: Spent = spans.spent(connection, since, until)
        wanted: dict[str, int] = {}
        for at_ms, sid in events:
            if since <= at_ms < until:
                wanted[sid] = wanted.get(sid, 0) + 1
        assert {share.session_id: share.responses for share in found.shares} == wanted
        assert found.cost_nusd == 15_000_000 * sum(wanted.values())
        costs = [share.cost_nusd for share in found.shares]
        assert costs == sorted(costs, reverse=True)
    connection.close()


def test_a_jump_is_where_the_curve_rises(tmp_path: Path) -> None:
    """A quiet day with one steep quarter hour: it comes first, with who made it."""
    from tokentop.nouns.sessions import Session
    from tokentop.nouns.usage import Tokens, Usage
    from tokentop.pricing import PriceTable
    from tokentop.store.writer import Writer

    tmp_path.chmod(0o700)
    connection = db.open_writer(tmp_path)
    writer = Writer(connection, PriceTable.load())
    writer.commit(
        [
            Session("claude", sid, root_id=sid, title=sid, cwd=f"/w/{sid}", first_ms=0)
            for sid in ("calm", "wild")
        ]
    )
    minute = 60_000
    calm = [
        Usage("claude", "calm", f"c{n}", n * minute, "claude-sonnet-4-5", Tokens(output=100))
        for n in range(600)
    ]
    wild = [
        Usage(
            "claude",
            "wild",
            f"w{n}",
            300 * minute + n * 10_000,
            "claude-sonnet-4-5",
            Tokens(output=100 * (1 + n)),
        )
        for n in range(60)
    ]
    writer.commit([*calm, *wild])
    first, *others = spans.jumps(connection, 0, 600 * minute, 5)
    assert (first.from_ms, first.until_ms) == (300 * minute, 315 * minute)
    assert [(part.agent, part.project) for part in first.parts] == [("claude", "wild"), ("claude", "calm")]
    assert all(jump.rise_nusd < first.rise_nusd for jump in others)
    connection.close()


def test_the_demo_records_itself_with_what_is_done_in_it() -> None:
    """In memory: the table of the demo, and a kill where it happened."""
    pictures: queue.SimpleQueue[Snapshot] = queue.SimpleQueue()
    demo = DemoRuntime(DemoSource(7))
    demo.start(pictures.put)
    try:
        row = next(row for row in pictures.get(timeout=30).rows if row.kind == "agent" and row.pid)
        demo.execute(demo.plan(row, Action.KILL))
        footage = demo.footage()
    finally:
        demo.stop()
    assert footage is not None
    assert [mark.row_key for mark in footage.marks(0, 1 << 62) if mark.kind == "action"] == [row.key]
    snapshot = footage.at(footage.moments[0].at_ms).snapshot
    assert snapshot is not None
    assert row.key in {one.key for one in snapshot.rows}
    spent = footage.spent(row.last_ms - 3_600_000, row.last_ms + 1)
    assert row.session_id in {share.session_id for share in spent.shares}
    footage.close()
