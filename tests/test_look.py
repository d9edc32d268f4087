"""The runtime answers about one row: from a real log, a real store and a real process; titles off means no words."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from tests import engine_build
from tests.engine_build import agent_proc, child, rows_of, session, usage
from tests.fake_agents.world import World, wait_for
from tokentop.answers.look import Target, target
from tokentop.engine.binding import proc_key
from tokentop.engine.live import LiveState
from tokentop.engine.meter import minutes_of
from tokentop.engine.rates import REMEMBERED, Rates
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.processes import AgentProc
from tokentop.nouns.usage import Figures
from tokentop.runtime import Runtime
from tokentop.settings.config import Settings
from tokentop.store import db, reader

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fake agents live in /proc")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@contextmanager
def runtime(world: World, settings: Settings | None = None) -> Iterator[tuple[Runtime, dict[str, Row]]]:
    """A running one on the world's home; the rows of its newest snapshot by session id."""
    rows: dict[str, Row] = {}
    changed = threading.Event()

    def publish(snapshot: Snapshot) -> None:
        fresh = {row.session_id: row for row in snapshot.rows if row.kind == "agent"}
        rows.clear()
        rows.update(fresh)
        changed.set()

    subject = Runtime(world.home.parent / "state", {"HOME": str(world.home)}, settings or Settings())
    subject.start(publish)
    try:
        yield subject, rows
    finally:
        subject.stop()


def stamp(at_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms / 1000)) + f".{at_ms % 1000:03}Z"


def write(world: World, session_id: str, *contents: object, ago_s: float = 5) -> Path:
    """Responses of a session, appended to its log as Claude Code does."""
    path = world.home / ".claude/projects/-work" / f"{session_id}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    at_ms = int((time.time() - ago_s) * 1000)
    with path.open("a") as file:
        for content in contents:
            number = path.stat().st_size
            message = {
                "id": f"msg_{session_id[:8]}_{number}", "role": "assistant", "model": "claude-opus-5-5",
                "content": [content], "stop_reason": "tool_use",
                "usage": {"input_tokens": 7, "output_tokens": 100, "cache_read_input_tokens": 5_000},
            }  # fmt: skip
            record = {
                "type": "assistant", "sessionId": session_id, "uuid": f"u{number}", "timestamp": stamp(at_ms),
                "cwd": str(world.work), "version": "2.1.330", "message": message,
            }  # fmt: skip
            file.write(json.dumps(record) + "\n")
            file.flush()
    return path


CALL = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"command": "curl --token abcdefgh1234 x"}}
SAID = {"type": "text", "text": "a word for nobody"}


def test_the_look_of_a_real_session_and_its_process(world: World) -> None:
    fake = world.claude(children=[{"argv": ["/bin/sh", "-c", "sleep 600; :"]}])
    path = write(world, fake.session_id, SAID, CALL)
    with runtime(world) as (subject, rows):
        row = wait_for(lambda: rows.get(fake.session_id) if rows.get(fake.session_id, None) and rows[fake.session_id].pid
                       and rows[fake.session_id].own.responses else None)  # fmt: skip
        look = subject.look(row)
        assert [(s.kind, s.detail) for s in look.steps] == [
            ("answer", "a word for nobody"), ("tool", "curl --token *** x"),
        ]  # fmt: skip
        assert look.minutes is not None
        assert sum(look.minutes.output) == row.own.tokens.output
        assert (look.quality, look.minutes.source) == ("exact", "memory")
        assert "claude-opus-5" in look.price or look.price == ""
        inside = subject.inside(row)
        assert inside.refusal == ""
        assert inside.pid == fake.pid
        env = {name: value for name, value, _ in inside.env}
        assert env["HOME"] == str(world.home)
        assert env["WORLD"] == "***"
        tail = subject.tail(row, (0, 0, 0))
        assert tail is not None
        assert len(tail.lines) == 2
        assert subject.tail(row, tail.state) is None
        write(world, fake.session_id, SAID)
        longer = subject.tail(row, tail.state)
        assert longer is not None
        assert len(longer.lines) == 3
        path.unlink()
        gone = subject.tail(row, longer.state)
        assert gone is not None
        assert "gone" in gone.note
        fake.process.kill()
        fake.process.wait()
        assert subject.inside(row).refusal


def test_with_titles_off_no_words_of_a_conversation_are_shown(world: World) -> None:
    fake = world.claude()
    write(world, fake.session_id, SAID, CALL)
    with runtime(world, Settings(titles=False)) as (subject, rows):
        row = wait_for(lambda: rows.get(fake.session_id) if rows.get(fake.session_id)
                       and rows[fake.session_id].own.responses else None)  # fmt: skip
        assert [step.kind for step in subject.look(row).steps] == ["tool"]


def test_nothing_of_a_look_is_stored(world: World) -> None:
    fake = world.claude()
    write(world, fake.session_id, {"type": "text", "text": "xylophone-words"},
          {"type": "tool_use", "id": "t2", "name": "Bash", "input": {"command": "echo xylophone-command"}})  # fmt: skip
    with runtime(world) as (subject, rows):
        row = wait_for(lambda: rows.get(fake.session_id) if rows.get(fake.session_id)
                       and rows[fake.session_id].own.responses else None)  # fmt: skip
        assert "xylophone" in repr(subject.look(row).steps)
    kept = b"".join(path.read_bytes() for path in (world.home.parent / "state").iterdir() if path.is_file())
    assert b"xylophone" not in kept


# ---------------------------------------------------------------- which process


def known(*procs: AgentProc) -> LiveState:
    live = LiveState()
    live.advance(engine_build.NOW)
    live.load_session(session("s"), Figures())
    live.set_procs(procs, engine_build.NOW)
    return live


def test_the_process_of_a_row_is_exactly_the_one_that_is_shown() -> None:
    tool = child(20)
    live = known(agent_proc(10, "s", children=(tool,)))
    rows = rows_of(live)
    row = rows["claude:s"]
    assert target(live, row) == Target(live.binding.procs[0].ident, (tool,))
    assert target(live, structs.replace(row, pid=11)).ident is None
    shown = structs.replace(row, key=proc_key(tool.ident), parent_key=row.key, kind="tool", pid=20)
    assert target(live, shown).ident == tool.ident
    gone = structs.replace(shown, key="proc:20:1")
    assert (target(live, gone).ident, target(live, gone).note) == (None, "the process has ended")


def test_an_inferred_or_shared_process_is_said_and_none_is_none() -> None:
    live = known(agent_proc(10, "s", confidence="inferred"))
    assert "inference" in target(live, rows_of(live)["claude:s"]).note
    live = known(agent_proc(10, "s", shared_session_ids=("s", "t")))
    assert "share" in target(live, rows_of(live)["claude:s"]).note
    live = known()
    assert target(live, first_row(live)).note.startswith("no process")


def first_row(live: LiveState) -> Row:
    return next(iter(rows_of(live).values()))


# ---------------------------------------------------------------- tokens over time


NOW = 1_795_295_645_000


def test_minutes_hold_each_token_once_however_long_the_response_took() -> None:
    events = [(NOW - 150_000, 150_000, (300, 30, 3, 1)), (NOW - 50_000, 0, (7, 0, 0, 0))]
    found = minutes_of(events, NOW, "store")
    assert sum(found.output) == 307
    assert (sum(found.writes), sum(found.input), sum(found.reads)) == (30, 3, 1)
    assert len(found.output) == 60
    assert sum(value > 0 for value in found.output) >= 3
    assert minutes_of([(NOW - 7_200_000, 1_000, (5, 5, 5, 5))], NOW, "store").output == (0,) * 60


def test_memory_and_store_tell_the_same_minutes(world: World) -> None:
    fake = world.claude()
    write(world, fake.session_id, SAID, SAID, ago_s=200)
    write(world, fake.session_id, CALL, ago_s=20)
    with runtime(world) as (subject, rows):
        row = wait_for(lambda: rows.get(fake.session_id) if rows.get(fake.session_id)
                       and rows[fake.session_id].own.responses == 3 else None)  # fmt: skip
        look = subject.look(row)
    assert look.minutes is not None
    connection = db.open_reader(world.home.parent / "state")
    try:
        events = reader.recent_tokens(connection, "claude", fake.session_id, 0)
    finally:
        connection.close()
    stored = minutes_of(events, look.minutes.from_ms + 59 * 60_000, "store")
    assert (stored.output, stored.reads) == (look.minutes.output, look.minutes.reads)
    assert sum(stored.output) == 300


def test_when_more_was_fed_than_is_remembered_memory_says_so() -> None:
    rates = Rates()
    rates.advance(NOW)
    assert rates.whole
    for number in range(REMEMBERED + 1):
        rates.add(usage(number), "claude:s")
    assert not rates.whole
