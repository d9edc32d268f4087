"""The black box: the live table recorded into a real database, and read back."""

from __future__ import annotations

import random
import sqlite3
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from msgspec import structs

from tests.ui import build
from tokentop.answers.footage import Footage
from tokentop.blackbox import BlackBox
from tokentop.demo import DemoSource
from tokentop.engine.frames import pack
from tokentop.engine.frames.texts import program
from tokentop.nouns.actions import Action
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.recorded import KEY_MS, STEP_MS
from tokentop.nouns.sessions import State
from tokentop.settings.config import Settings
from tokentop.store import db
from tokentop.store import frames as stored
from tokentop.store.receipts import append_action
from tokentop.ui.cells import Scene
from tokentop.ui.columns import COLUMNS
from tokentop.ui.rowline import name_of
from tokentop.ui.view import View

START = build.NOW
HOUR_MS = 3_600_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def writer(folder: Path) -> Iterator[sqlite3.Connection]:
    connection = db.open_writer(folder)
    yield connection
    connection.close()


def as_recorded(row: Row) -> Row:
    """What of a row is kept: no arguments of commands, no processes below it, CPU as it is drawn."""
    detail = pack.detail_of(row.status)
    return structs.replace(
        row,
        children=(),
        command=program(row.command),
        title=row.title if row.kind in {"agent", "sub-agent"} else program(row.title),
        cpu_pct=pack.as_drawn(row.cpu_pct) / 10,
        rss_bytes=row.rss_bytes >> 10 << 10,
        status=structs.replace(row.status, detail=detail),
        same_call=row.same_call.partition(" ")[0],
    )


def drawn(snapshot: Snapshot, rows: tuple[Row, ...]) -> list[tuple[object, ...]]:
    """Every line of the table: tree lines, name, and the text and role of each cell, in the order of the screen."""
    view = View()
    view.feed(structs.replace(snapshot, rows=rows))
    alerts = {alert.row_key: alert.since_ms for alert in snapshot.alerts if alert.kind == "no-progress"}
    out = []
    for line in view.lines:
        row = view.rows[line.key]
        scenes = [Scene(snapshot.at_ms, column.width_at(200) or 10, True, alerts) for column in COLUMNS]
        cells = [column.cell(row, scene) for column, scene in zip(COLUMNS, scenes, strict=True)]
        out.append((line, name_of(row), *cells))
    return out


class Busy:
    """Rows whose figures change at random: quick to make, and never the same twice."""

    def __init__(self, rows: int) -> None:
        self._rng = random.Random(5)
        self._rows = [build.row(f"r{number:02}") for number in range(rows)]

    def snapshot(self, at_ms: int) -> Snapshot:
        rows = []
        for row in self._rows:
            rate, burn, cost = self._rng.randrange(90_000), self._rng.random(), 90 * self._rng.random()
            figures = build.figures(rate, burn, cost)
            rows.append(structs.replace(row, own=figures, tree=figures))
        return build.snapshot(tuple(rows), at_ms=at_ms)


def record(
    writer: sqlite3.Connection, source: DemoSource | Busy, times: range, **settings: int
) -> dict[int, Snapshot]:
    box = BlackBox(writer, Settings(**settings))
    seen = {}
    for at_ms in times:
        seen[at_ms] = source.snapshot(at_ms)
        box.look(seen[at_ms])
    return seen


def test_an_hour_of_the_demo_replays_to_the_same_table(folder: Path, writer: sqlite3.Connection) -> None:
    """Rows, cells as drawn, totals, graphs, limits and alerts, at moments in any order."""
    seen = record(writer, DemoSource(7), range(START, START + HOUR_MS, STEP_MS))
    footage = Footage.open(folder)
    times = list(seen)
    random.Random(3).shuffle(times)
    for at_ms in times:
        then, scene = seen[at_ms], footage.at(at_ms)
        assert scene.snapshot is not None
        now = scene.snapshot
        expected = tuple(map(as_recorded, then.rows))
        assert now.rows == expected
        assert now.counts == then.counts
        assert now.series == then.series
        assert now.quotas == then.quotas
        assert now.today == then.today
        assert now.totals == then.totals
        assert [(a.kind, a.row_key, a.since_ms) for a in now.alerts] == [
            (a.kind, a.row_key, a.since_ms) for a in then.alerts
        ]
        assert now.forecast is not None
        assert then.forecast is not None
        assert now.forecast.projected_nusd == then.forecast.projected_nusd
    for at_ms in times[:40]:
        now = footage.at(at_ms).snapshot
        assert now is not None
        cells = drawn(now, now.rows)
        then_rows = tuple(
            structs.replace(row, command=program(row.command), title=as_recorded(row).title)
            for row in seen[at_ms].rows
        )
        shown = [structs.replace(row, status=as_recorded(row).status) for row in then_rows]
        assert cells == drawn(seen[at_ms], tuple(shown))
    assert footage.coverage().gaps == ()
    # A fleet that never rests takes more than any two days bring.
    assert stored.size_bytes(writer) * 48 < Settings().recording_mb * 1_000_000


def test_a_kill_appears_where_it_happened(folder: Path, writer: sqlite3.Connection) -> None:
    source, box = DemoSource(7), BlackBox(writer, Settings())
    victim: Row | None = None
    killed_ms = START + 300_000 + 3_000
    for at_ms in range(START, START + 600_000, STEP_MS):
        snapshot = source.snapshot(at_ms)
        box.look(snapshot)
        if at_ms == START + 300_000:
            victim = next(
                r
                for r in snapshot.rows
                if r.kind == "agent" and r.status.state is State.WORKING and not r.depth
            )
            stored_receipt = source.execute(source.plan(victim.key, Action.KILL, killed_ms), killed_ms)
            append_action(writer, stored_receipt)
    assert victim is not None
    footage = Footage.open(folder)

    def state(at_ms: int) -> State | None:
        snapshot = footage.at(at_ms).snapshot
        assert snapshot is not None
        row = next((row for row in snapshot.rows if row.key == victim.key), None)
        return None if row is None else row.status.state

    assert state(killed_ms - 4_000) in {State.WORKING, State.TOOL}
    assert state(killed_ms + STEP_MS) in {State.DONE, None}
    marks = footage.marks(START, START + 600_000)
    [mark] = [mark for mark in marks if mark.kind == "action"]
    assert (mark.at_ms, mark.row_key, mark.text) == (killed_ms, victim.key, "kill: ended")
    assert [r.at_ms for r in footage.receipts()] == [killed_ms]
    went = [mark for mark in marks if mark.kind == "went" and mark.row_key == victim.key]
    assert len(went) == 1
    assert went[0].at_ms > killed_ms


def test_nothing_is_written_while_nothing_changes(folder: Path, writer: sqlite3.Connection) -> None:
    """A quiet table is one frame that goes on; its graphs move along with the clock."""
    box = BlackBox(writer, Settings())
    still = build.snapshot(series=build.Series(30, *((5.0, *(0.0,) * 119),) * 5))
    for step in range(100):
        at_ms = START + step * STEP_MS
        moved = ((5.0, *(0.0,) * 119),) if at_ms // 30_000 == START // 30_000 else ((0.0,) * 120,)
        rows = tuple(
            structs.replace(row, spark=(0.0,) * 12, own=quiet(row), tree=quiet(row)) for row in still.rows
        )
        box.look(
            structs.replace(
                still, at_ms=at_ms, rows=rows, series=build.Series(30, *moved * 5), own_cpu_pct=step / 10
            )
        )
    footage = Footage.open(folder)
    [moment] = footage.moments
    assert (moment.at_ms, moment.until_ms) == (START, START + 99 * STEP_MS)
    late = footage.at(START + 90 * STEP_MS).snapshot
    assert late is not None
    assert late.at_ms == START + 90 * STEP_MS
    assert late.series.output_per_min == (0.0,) * 120
    assert len(late.rows) == len(still.rows)


def quiet(row: Row) -> build.Figures:
    return structs.replace(row.own, tokens_per_min=0.0, reads_per_min=0.0, burn_nusd_per_h=0)


def test_a_restart_is_a_gap_and_the_recording_goes_on(folder: Path, writer: sqlite3.Connection) -> None:
    source = DemoSource(7)
    record(writer, source, range(START, START + 300_000, STEP_MS))
    again_ms = START + 900_000
    seen = record(writer, source, range(again_ms, again_ms + 200_000, STEP_MS))
    footage = Footage.open(folder)
    assert footage.coverage().gaps == ((START + 290_000, again_ms),)
    scene = footage.at(START + 600_000)
    assert scene.snapshot is None
    assert "did not run" in scene.note
    now = footage.at(again_ms + 150_000).snapshot
    assert now is not None
    assert now.rows == tuple(map(as_recorded, seen[again_ms + 150_000].rows))
    cells = footage.curve(START, again_ms + 200_000, 22)
    assert cells[8] is None
    assert cells[2]


def test_old_steps_are_thinned_to_a_minute(folder: Path, writer: sqlite3.Connection) -> None:
    seen = record(writer, Busy(9), range(START, START + 2 * HOUR_MS, STEP_MS), recording_full_hours=1)
    footage = Footage.open(folder)
    coverage = footage.coverage()
    border_ms = coverage.thinned_before_ms
    assert START + 30 * 60_000 <= border_ms <= START + HOUR_MS
    old = [moment.at_ms for moment in footage.moments if moment.at_ms < border_ms]
    assert [b - a for a, b in pairwise(old)] == [60_000] * (len(old) - 1)
    assert coverage.thinned_frames == (border_ms - START) // STEP_MS - len(old)
    assert coverage.gaps == ()
    scene = footage.at(old[3] + 30_000)
    assert scene.snapshot is not None
    assert scene.snapshot.at_ms == old[3]
    assert scene.snapshot.rows == tuple(map(as_recorded, seen[old[3]].rows))
    assert "one frame a minute" in scene.note


def test_the_limit_holds_and_what_went_is_told(folder: Path, writer: sqlite3.Connection) -> None:
    record(writer, Busy(80), range(START, START + 4 * HOUR_MS, 2 * STEP_MS), recording_mb=1)
    coverage = Footage.open(folder).coverage()
    assert coverage.size_bytes <= 1_000_000 + 100_000  # the block that is being written comes on top
    assert coverage.dropped_before_ms == coverage.from_ms > START
    assert coverage.dropped_frames + coverage.thinned_frames + coverage.frames == 4 * HOUR_MS // (2 * STEP_MS)
    assert stored.size_bytes(writer) == coverage.size_bytes


@pytest.mark.parametrize("damage", [b"", b"\x00\x01", "half", "other"])
def test_a_damaged_frame_is_told_and_skipped(
    folder: Path, writer: sqlite3.Connection, damage: object
) -> None:
    seen = record(writer, DemoSource(7), range(START, START + 2 * KEY_MS, STEP_MS))
    hurt_ms = START + 130_000
    (body,) = writer.execute("SELECT body FROM frame_body WHERE at_ms=?", (hurt_ms,)).fetchone()
    (other,) = writer.execute("SELECT body FROM frame_body WHERE at_ms=?", (START + 700_000,)).fetchone()
    new = {"half": body[: len(body) // 2], "other": other[::-1]}.get(str(damage), damage)
    writer.execute("UPDATE frame_body SET body=? WHERE at_ms=?", (new, hurt_ms))
    scene = Footage.open(folder).at(hurt_ms)
    assert scene.snapshot is not None
    assert (scene.damaged, scene.frame_ms) == (1, START + 120_000)
    assert "damaged" in scene.note
    assert scene.snapshot.rows == tuple(map(as_recorded, seen[START + 120_000].rows))


def test_without_its_key_frame_ten_minutes_are_lost_and_no_more(
    folder: Path, writer: sqlite3.Connection
) -> None:
    record(writer, DemoSource(7), range(START, START + 2 * KEY_MS, STEP_MS))
    writer.execute("DELETE FROM frame_body WHERE at_ms=?", (START,))
    footage = Footage.open(folder)
    scene = footage.at(START + 200_000)
    assert scene.snapshot is None
    assert "damaged" in scene.note
    assert footage.at(START + KEY_MS + 50_000).snapshot is not None


def test_no_argument_and_no_title_is_kept_where_titles_are_off(
    folder: Path, writer: sqlite3.Connection
) -> None:
    """Canaries in commands, in what a permission is asked for, in tool calls and in titles."""
    canary = "canary-7f3a"
    rows = tuple(
        structs.replace(
            row,
            title=f"cat {canary}" if row.kind == "tool" else f"title {canary}-title",
            command=f"bash -c '{canary}'",
            same_calls=3,
            same_call=f"Bash {canary}",
            status=structs.replace(row.status, state=State.PERMISSION, detail=f"Bash: rm {canary}"),
        )
        for row in build.picture()
    )
    alerts = tuple(
        build.Alert("permission", row.key, f"waits for a permission: rm {canary}", START) for row in rows
    )
    box = BlackBox(writer, Settings())
    box.look(build.snapshot(rows, alerts=alerts))
    assert said(writer, folder).count(canary) == said(writer, folder).count(f"{canary}-title") == 1
    BlackBox(writer, Settings(titles=False))
    assert canary not in said(writer, folder)
    footage = Footage.open(folder)
    snapshot = footage.at(footage.moments[0].at_ms).snapshot
    assert snapshot is not None
    assert {row.title for row in snapshot.rows if row.kind == "agent"} == {""}


def said(writer: sqlite3.Connection, folder: Path) -> str:
    """Everything that the recording holds in words."""
    bodies = [zlib.decompress(body) for (body,) in writer.execute("SELECT body FROM frame_body")]
    words = [text for (text,) in writer.execute("SELECT text FROM frame_text")]
    return b"\n".join(bodies).decode("latin-1") + "\n".join(words)


def test_a_clock_that_was_set_back_begins_anew(folder: Path, writer: sqlite3.Connection) -> None:
    box = BlackBox(writer, Settings())
    box.look(build.snapshot(at_ms=START))
    box.look(build.snapshot(at_ms=START - HOUR_MS))
    box.look(build.snapshot(at_ms=START - HOUR_MS + STEP_MS, revision=2))
    footage = Footage.open(folder)
    assert [moment.at_ms for moment in footage.moments] == [START - HOUR_MS, START]
    assert footage.moments[0].until_ms == START - HOUR_MS + STEP_MS
    assert footage.at(START - HOUR_MS + 5_000).snapshot is not None
