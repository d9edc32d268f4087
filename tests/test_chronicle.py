"""One session told to the screen by the real runtime: from the store and the log, kept by the collector, exported."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, tzinfo
from pathlib import Path

import pytest

from tests.agents.harness import Scratch
from tests.long_session import SID, long_session
from tests.test_exports import HOSTILE
from tokentop.answers.exporting import write_timeline
from tokentop.clock import now_ms
from tokentop.nouns.history import Ask
from tokentop.runtime import DemoRuntime, Runtime
from tokentop.settings.config import Settings
from tokentop.store import db, outlines

LOG = f".claude/projects/-home-dev-work/{SID}.jsonl"


@contextmanager
def running(home: Scratch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    home.state.mkdir(exist_ok=True)
    runtime = Runtime(home.state, {**os.environ, **home.environ}, Settings())
    runtime.start(lambda snapshot: None)
    try:
        yield runtime
    finally:
        runtime.stop()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def outline_count(home: Scratch) -> int:
    connection = db.open_reader(home.state)
    try:
        return outlines.state(connection)[0]
    finally:
        connection.close()


def test_the_store_is_one_file_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Scratch(tmp_path)
    home.write(LOG, long_session(20))
    home.read()
    with running(home, monkeypatch) as runtime:
        until(lambda: (found := runtime.history(Ask())) is not None and found.order != ())
        listing = runtime.history(Ask())
        assert listing is not None
        assert len(runtime.entries(listing.order)) == 1
        assert (home.state / "tokentop.db-wal").exists()
    assert [path.name for path in home.state.glob("tokentop.db*")] == ["tokentop.db"]


def test_a_session_is_told_exported_and_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Scratch(tmp_path)
    home.write(LOG, long_session(20, title=HOSTILE))
    home.read()
    with running(home, monkeypatch) as runtime:
        told = runtime.tell("claude", SID)
        assert told is not None
        assert len(told.turns) == 20
        assert told.tools_known
        assert sum(turn.tree.cost_nusd for turn in told.turns) == told.tree.cost_nusd > 0
        until(lambda: outline_count(home) == 1)
        for form in ("html", "md", "json"):
            path = Path(runtime.export(told, form))
            assert path.parent == home.state / "exports"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        said, note = runtime.transcript(told.session)
        assert note == ""
        assert sum(one.kind == "prompt" for one in said) == 20
        assert runtime.tell("claude", "no-such-session") is None
        (home.home / LOG).unlink()
        again = runtime.tell("claude", SID)
        assert again is not None
        assert again.tools_known
        assert [len(turn.items) for turn in again.turns] == [len(turn.items) for turn in told.turns]


def test_a_session_at_rest_is_remembered_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokentop.collector.sideline.OUTLINES_START_S", 0.0)
    home = Scratch(tmp_path)
    home.write(LOG, long_session(5, begin_ms=now_ms() - 86_400_000))
    home.read()
    with running(home, monkeypatch):
        until(lambda: outline_count(home) == 1)


def test_an_export_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Scratch(tmp_path)
    home.write(LOG, long_session(2))
    home.read()
    with running(home, monkeypatch) as runtime:
        told = runtime.tell("claude", SID)
    assert told is not None
    place = tmp_path / "blocked"
    place.write_text("a file")
    with pytest.raises(OSError, match=r"exists|Not a directory|No such file"):
        write_timeline(place / "x", told, "md", runtime_zone(), 0)
    folder = tmp_path / "folder"
    (folder / "exports" / f"claude-{SID}.md").mkdir(parents=True)
    with pytest.raises(OSError):  # noqa: PT011 - what the system calls it
        write_timeline(folder, told, "md", runtime_zone(), 0)
    assert [path.name for path in (folder / "exports").iterdir()] == [f"claude-{SID}.md"]


def runtime_zone() -> tzinfo:

    return UTC


def test_the_demo_tells_one_story_of_rows_sessions_days_and_jumps() -> None:
    from tokentop.demo import DemoSource
    from tokentop.nouns.history import Ask
    from tokentop.runtime.demobook import DemoBook

    now_ms = 1_795_295_645_000
    world = DemoSource(7)
    picture = world.snapshot(now_ms)
    book = DemoBook(world.prices, UTC, titles=True)
    told = world.told(now_ms)
    book.take(told.facts, told.outlines)
    rows = [r for r in picture.rows if r.kind in {"agent", "sub-agent"} and r.session_id and r.own.responses]
    assert len(rows) > 30
    for row in rows:
        session = book.tell(row.agent, row.session_id)
        assert session is not None
        assert (session.own.tokens, session.own.cost_nusd) == (row.own.tokens, row.own.cost_nusd)
        assert session.own.responses == row.own.responses
    listing = book.archive.answer(Ask(group="day"))
    assert listing is not None
    today, *before = listing.groups
    assert today.cost_nusd == pytest.approx(picture.today.cost_nusd, abs=10_000_000)
    assert len(before) == 3
    statement = world.statement(now_ms)
    assert statement is not None
    days = {day.day.isoformat(): day.total_nusd for day in world._book.days}
    assert all(group.cost_nusd == pytest.approx(days[group.name], abs=10_000_000) for group in before)
    footage = book.footage()
    [jump, *_] = footage.jumps(now_ms - 86_400_000, now_ms)
    spent = footage.spent(jump.from_ms, jump.until_ms)
    assert spent.cost_nusd == jump.cost_nusd
    assert all(book.tell(share.agent, share.session_id) is not None for share in spent.shares)
    bought = book.bought(rows[0].agent, rows[0].session_id)
    assert bought is not None
    assert bought.sum.edits > 0
    footage.close()
    assert DemoRuntime(world).transcript(session.session)[0] == []
