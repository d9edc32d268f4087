#!/usr/bin/env python3
"""What the black box costs: bytes and CPU of a frame, and the time of a step through a full recording.

    replay_steps.py [--agents 40] [--steps 200]

Records an hour of an invented fleet, repeats it to two days of frames, then walks through them on the real screen
(without a terminal): from the key to the painted table. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tokentop.answers.footage import Footage
from tokentop.blackbox import BlackBox
from tokentop.demo import DemoSource, world
from tokentop.nouns.picture import Snapshot
from tokentop.nouns.recorded import STEP_MS
from tokentop.runtime import DemoRuntime
from tokentop.settings.config import Settings
from tokentop.store import db

HOUR_MS = 3_600_000
START = 1_795_291_200_000  # a whole hour


def fleet(agents: int) -> Iterator[Snapshot]:
    """An hour of snapshots, ten seconds apart."""
    world.FLEET = agents
    source = DemoSource(7)
    for at_ms in range(START, START + HOUR_MS, STEP_MS):
        yield source.snapshot(at_ms)


def record(connection: sqlite3.Connection, agents: int) -> dict[str, float]:
    """Record the hour; what a frame takes."""
    box = BlackBox(connection, Settings(recording_mb=10_000, recording_full_hours=8760))
    spent_s = 0.0
    for snapshot in fleet(agents):
        began = time.process_time()
        box.look(snapshot)
        spent_s += time.process_time() - began
    rows = connection.execute("SELECT level, count(*), avg(size) FROM frame GROUP BY level").fetchall()
    sizes = {f"{name}_bytes": rows[level][2] for level, name in enumerate(("key", "minute", "step"))}
    frames = sum(count for _, count, _ in rows)
    return {**sizes, "frame_bytes": sum(count * size for _, count, size in rows) / frames,
            "cpu_ms": 1000 * spent_s / frames, "rows": len(snapshot.rows)}  # fmt: skip


def repeat(connection: sqlite3.Connection, hours: int) -> None:
    """The hour again and again: frames tell times from their key frame, so that they may be moved."""
    for hour in range(1, hours):
        by = hour * HOUR_MS
        connection.execute(
            "INSERT INTO frame SELECT at_ms + ?1, until_ms + ?1, covered_ms + ?1, base_ms + ?1, level, burn_nusd_per_h,"
            " size FROM frame WHERE at_ms < ?2",
            (by, START + HOUR_MS),
        )
        connection.execute(
            "INSERT INTO frame_body SELECT at_ms + ?1, body FROM frame_body WHERE at_ms < ?2",
            (by, START + HOUR_MS),
        )


def reads(folder: Path, steps: int) -> list[float]:
    """Milliseconds from a time to its snapshot, anywhere in the recording."""
    footage, rng, found = Footage.open(folder), random.Random(5), []
    for _ in range(steps):
        at_ms = rng.randrange(footage.moments[0].at_ms, footage.moments[-1].end_ms)
        began = time.perf_counter()
        scene = footage.at(at_ms)
        found.append(1000 * (time.perf_counter() - began))
        assert scene.snapshot is not None
    footage.close()
    return found


async def walk(folder: Path, steps: int) -> list[float]:
    """Milliseconds from a key of time to the painted table of that time."""
    from tokentop.ui.app import TokentopApp
    from tokentop.ui.screens.replay import ReplayScreen
    from tokentop.ui.source import UiOptions

    source = DemoRuntime(DemoSource(3))
    source.footage = lambda: Footage.open(folder)  # type: ignore[method-assign]
    app, found = TokentopApp(source, UiOptions()), list[float]()
    async with app.run_test(size=(160, 50)) as pilot:
        app.show_past(START + 24 * HOUR_MS)
        await pilot.pause(0.5)
        screen = app.screen
        assert isinstance(screen, ReplayScreen)
        for key in ["right"] * (steps // 2) + ["shift+right"] * (steps // 4) + ["ctrl+left"] * (steps // 4):
            before, began = screen.scene, time.perf_counter()
            app.simulate_key(key)
            while screen.scene is before or screen._loading:  # noqa: ASYNC110 - no event tells it
                await asyncio.sleep(0)
            await pilot.pause(0)  # painted
            found.append(1000 * (time.perf_counter() - began))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--agents", type=int, default=40)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--hours", type=int, default=48)
    args = parser.parse_args()
    os.environ.setdefault("TERM", "xterm-256color")
    with tempfile.TemporaryDirectory(prefix="tokentop-bench-") as name:
        folder = Path(name)
        folder.chmod(0o700)
        connection = db.open_writer(folder)
        found = record(connection, args.agents)
        repeat(connection, args.hours)
        connection.close()
        found["hour_bytes"] = 360 * found["frame_bytes"]
        read, step = reads(folder, args.steps), asyncio.run(walk(folder, args.steps))
    found |= {
        "read_ms": statistics.median(read),
        "step_ms": statistics.median(step),
        "step_p95_ms": sorted(step)[-len(step) // 20],
    }
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    main()
