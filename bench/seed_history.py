#!/usr/bin/env python3
"""Fill a state folder with invented history, through tokentop's own store writer.

    seed_history.py --state DIR --events 1000000 [--days 365]

The history ends now: sessions of about 200 responses, spread over `--days`, several models and projects.
Prints the number of events, the seconds that it took and the bytes of the database per event.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from corpus_text import PROJECTS

sys.path.insert(0, str(Path(__file__).parents[1]))

from tokentop.model import Fact, Session, Tokens, Usage
from tokentop.pricing import PriceTable
from tokentop.store.db import FILE_NAME, open_writer
from tokentop.store.writer import Writer

MODELS = [("claude", "claude-opus-4-5-20251101"), ("claude", "claude-sonnet-4-5"), ("codex", "gpt-5.2-codex")]
DAY_MS = 86_400_000
BATCH = 5_000
PER_SESSION = 200


def history(events: int, days: int, now_ms: int, rng: random.Random) -> Iterator[Fact]:
    """Sessions and their responses, oldest session first; the newest ends a minute ago."""
    sessions = max(1, events // PER_SESSION)
    left = events
    for number in range(sessions):
        agent, model = rng.choice(MODELS)
        project, sid = rng.choice(PROJECTS), str(uuid.UUID(int=rng.getrandbits(128)))
        count = left if number == sessions - 1 else min(left, PER_SESSION)
        left -= count
        age_ms = days * DAY_MS * (sessions - 1 - number) // sessions
        at_ms = now_ms - age_ms - count * 20_000 - 60_000
        yield Session(
            agent,
            sid,
            root_id=sid,
            cwd=f"/home/dev/src/{project}",
            title=f"seeded session {number}",
            model=model,
            first_ms=at_ms,
        )
        cached = rng.randrange(12_000, 24_000)
        for i in range(count):
            at_ms += rng.randrange(1_000, 39_000)
            fresh = rng.randrange(150, 9_000)
            tokens = Tokens(rng.randrange(1, 12), cached, fresh, 0, rng.randrange(60, 2_600), 0)
            yield Usage(agent, sid, f"{sid}:{i}", min(at_ms, now_ms - 60_000), model, tokens)
            cached = cached + fresh if cached < 165_000 else rng.randrange(14_000, 30_000)


def database_bytes(folder: Path) -> int:
    """Size of the database after a checkpoint of its log."""
    connection = sqlite3.connect(folder / FILE_NAME)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
        return pages * int(connection.execute("PRAGMA page_size").fetchone()[0])
    finally:
        connection.close()


def seed(folder: Path, events: int, days: int, now_ms: int) -> None:
    connection = open_writer(folder)
    try:
        writer, batch = Writer(connection, PriceTable.load()), list[Fact]()
        for fact in history(events, days, now_ms, random.Random(7)):
            batch.append(fact)
            if len(batch) >= BATCH:
                writer.commit(batch)
                batch.clear()
        writer.commit(batch)
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=365)
    args = parser.parse_args()
    started = time.monotonic()
    seed(args.state, args.events, args.days, int(time.time() * 1000))
    seconds = time.monotonic() - started
    size = database_bytes(args.state) / args.events
    print(
        json.dumps({"events": args.events, "seconds": round(seconds, 1), "bytes_per_event": round(size, 1)})
    )


if __name__ == "__main__":
    main()
