#!/usr/bin/env python3
"""Fill a state folder with an invented history that ends now: `make bench-seed`.

    seed_history.py --state DIR [--events 10000000] [--sessions 50000] [--days 365]

Sessions of eleven agents in sixty projects, a third of them sub-agents; prices, session sums and rollups are what
the store's own writer would have made of the same events (tests/test_bench_seed.py). SQLite itself makes the
events, out of a stock of conversations: ten million take a minute or two.
Prints the number of events, the seconds that it took and the bytes of the database per event.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import seed_names

sys.path.insert(0, str(Path(__file__).parents[1]))

from seed_work import Worked

from tokentop.nouns.usage import Tokens
from tokentop.pricing import PriceTable
from tokentop.store.db import FILE_NAME, open_writer
from tokentop.store.flags import FLAG_UNPRICED
from tokentop.store.hours import HOUR_MS, hour
from tokentop.store.indexing import Indexer
from tokentop.store.slots import SLOT_MS

DAY_MS = 86_400_000
TEMPLATES, LONGEST = 48, 4000  # conversations in stock, turns of each
SUB_AGENTS = 0.3
_KINDS = ("input", "cache_read", "cache_write_5m", "output")

_STOCK = """
CREATE TEMP TABLE turn (template INTEGER, n INTEGER, at_ms INTEGER, took_ms INTEGER, input INTEGER, cache_read INTEGER,
  cache_write_5m INTEGER, output INTEGER, reasoning INTEGER, PRIMARY KEY (template, n)) WITHOUT ROWID;
CREATE TEMP TABLE plan (session INTEGER PRIMARY KEY, template INTEGER, count INTEGER, first_ms INTEGER, scale INTEGER,
  project INTEGER, model INTEGER, flags INTEGER, r0 INTEGER, r1 INTEGER, r2 INTEGER, r3 INTEGER);
CREATE TEMP VIEW made AS SELECT p.session, p.first_ms + t.at_ms AS at_ms, t.took_ms, p.project, p.model, p.flags,
  t.input, t.cache_read, t.cache_write_5m, t.output * p.scale / 100 AS output, t.reasoning * p.scale / 100 AS reasoning,
  CASE WHEN p.flags = 0 THEN t.input * p.r0 + t.cache_read * p.r1 + t.cache_write_5m * p.r2
    + (t.output * p.scale / 100) * p.r3 END AS cost_nusd
  FROM plan p CROSS JOIN turn t ON t.template = p.template AND t.n < p.count;
"""
_TOKENS = "input + cache_read + cache_write_5m + output"
_SUMS = (
    "count(*), sum(input), sum(cache_read), sum(cache_write_5m), 0, sum(output), sum(reasoning),"
    f" coalesce(sum(cost_nusd), 0), sum(CASE WHEN cost_nusd IS NULL THEN {_TOKENS} ELSE 0 END)"
)
_SUM_NAMES = "responses, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, cost_nusd, unpriced_tokens"


def conversations(rng: random.Random) -> Iterator[tuple[int, ...]]:
    """Turns of the stock: the cached prefix grows until it is compacted; somebody thinks or goes for lunch."""
    for template in range(TEMPLATES):
        at_ms, cached = 0, rng.randrange(12_000, 24_000)
        for n in range(LONGEST):
            pause = rng.random()
            at_ms += rng.randrange(1_500, 24_000) if pause < 0.93 else rng.randrange(30_000, 900_000)
            fresh, output = rng.randrange(150, 9_000), int(rng.lognormvariate(6, 1)) + 8
            took_ms = 600 + output * rng.randrange(8, 22)
            yield template, n, at_ms, took_ms, rng.randrange(1, 12), cached, fresh, output, output // 3
            cached = cached + fresh if cached < 165_000 else rng.randrange(14_000, 30_000)


def counts(events: int, sessions: int, rng: random.Random) -> list[int]:
    """Responses of each session: a few long ones hold much of them; the sum is `events`."""
    raw = [min(float(LONGEST), rng.lognormvariate(4.4, 1.25)) for _ in range(sessions)]
    scale = events / sum(raw)
    found = [max(1, min(LONGEST, int(value * scale))) for value in raw]
    missing = events - sum(found)
    for at in range(sessions):
        share = round(missing / (sessions - at))
        added = max(1, min(LONGEST, found[at] + share)) - found[at]
        found[at] += added
        missing -= added
    if missing:
        raise SystemExit(f"{sessions} sessions cannot hold {events} events")
    return found


def moment(days: int, now_ms: int, rng: random.Random) -> int:
    """When a session began: more of them lately, few at weekends and at night."""
    while True:
        day = int(days * (1 - math.sqrt(rng.random())))
        at_ms = (now_ms // DAY_MS - day) * DAY_MS
        weekday = (at_ms // DAY_MS + 3) % 7
        if weekday >= 5 and rng.random() < 0.7:
            continue
        hour = min(23.9, max(0.0, rng.gauss(13.5, 3.6) if rng.random() < 0.9 else 24 * rng.random()))
        began_ms = at_ms + int(hour * HOUR_MS)
        if began_ms < now_ms - 2 * HOUR_MS:
            return began_ms


class Seed:
    """One history, written to an open database."""

    def __init__(self, db: sqlite3.Connection, now_ms: int, rng: random.Random) -> None:
        self._db, self._now_ms, self._rng = db, now_ms, rng
        self._prices = PriceTable.load()
        self._models: dict[tuple[str, str], tuple[int, list[int] | None]] = {}
        self._project_ids: dict[tuple[str, str], int] = {}
        self._span_ms: dict[tuple[int, int], int] = {}

    def write(self, events: int, sessions: int, days: int) -> None:
        db, rng = self._db, self._rng
        db.execute("PRAGMA synchronous=OFF")
        db.execute("PRAGMA temp_store=FILE")
        db.execute("PRAGMA cache_size=-400000")
        db.executescript(_STOCK)
        db.execute("BEGIN")
        db.executemany(f"INSERT INTO turn VALUES ({', '.join('?' * 9)})", conversations(rng))
        self._ends = {(t, n): ms for t, n, ms in db.execute("SELECT template, n, at_ms FROM turn")}
        self._sessions(counts(events, sessions, rng), days)
        self._sum_up()
        db.execute("COMMIT")
        db.execute("BEGIN")
        db.execute("DROP INDEX event_id")
        db.execute(
            "INSERT INTO event SELECT random() & 0x7fffffffffffffff, session,"
            f" {hour('at_ms')}, at_ms % {HOUR_MS}, took_ms, model, 0, flags, input,"
            " cache_read, cache_write_5m, 0, output, reasoning, cost_nusd FROM made ORDER BY session, 3, 1"
        )
        db.execute("CREATE UNIQUE INDEX event_id ON event (id)")
        db.execute("COMMIT")
        indexer = Indexer(db)
        while indexer.index_some():
            pass
        Worked(db, self._now_ms, rng).write()

    def _sum_up(self) -> None:
        """Session sums and rollups from the same rows that become the events."""
        db = self._db
        db.execute(
            f"UPDATE session SET (last_ms, {_SUM_NAMES}) = (SELECT max(at_ms), {_SUMS} FROM made"
            " WHERE made.session = session.id)"
        )
        db.execute(
            f"INSERT INTO rollup (slot, project, model, flags, {_SUM_NAMES})"
            f" SELECT at_ms / {SLOT_MS}, project, model, flags, {_SUMS} FROM made GROUP BY 1, 2, 3, 4"
        )

    def _sessions(self, sizes: list[int], days: int) -> None:
        rng = self._rng
        folders = seed_names.projects(rng)
        popular = [1 / (rank + 1) ** 0.7 for rank in range(len(folders))]
        agents = [agent for *agent, _ in seed_names.AGENTS]
        weights = [weight for *_, weight in seed_names.AGENTS]
        begins = sorted(moment(days, self._now_ms, rng) for _ in sizes)
        mains: list[tuple[int, str, str, seed_names.Project, str, tuple[int, int]]] = []
        for number, (count, began_ms) in enumerate(zip(sizes, begins, strict=True), 1):
            template = rng.randrange(TEMPLATES)
            length_ms = self._ends[template, count - 1]
            first_ms = min(began_ms, self._now_ms - 60_000 - length_ms)
            parent = rng.choice(mains[-40:]) if mains and rng.random() < SUB_AGENTS else None
            if parent is not None:  # it begins while its parent is at work
                first_ms = min(rng.randrange(*parent[5]), self._now_ms - 60_000 - length_ms)
            if parent is None:
                agent, provider, models = rng.choices(agents, weights)[0]
                folder, sid = (
                    rng.choices(folders, popular)[0],
                    str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                )
                parent_sid, root_sid, role, branch = "", sid, "", seed_names.branch(rng)
                mains.append((number, agent, sid, folder, branch, (first_ms, first_ms + length_ms + 1)))
                title = seed_names.title(folder, rng)
            else:
                _, agent, root_sid, folder, branch, _ = parent
                provider, models = next((p, m) for a, p, m in agents if a == agent)
                sid = f"{root_sid}/agent-{rng.getrandbits(28):07x}"
                parent_sid, role = root_sid, "sub-agent"
                title = f"{rng.choice(seed_names.ROLES)}: {rng.choice(seed_names.THINGS)}"
            model = rng.choice(models)
            model_id, rates = self._model(provider, model)
            project = self._project(agent, folder.name)
            self._db.execute(
                "INSERT INTO session (id, agent, sid, parent_sid, root_sid, role, project, cwd, branch, title,"
                " title_rank, model, first_ms, version, surface, log_path, forked_at_ms, tool_use_id)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, '', '', '', 0, '')",
                (number, agent, sid, parent_sid, root_sid, role, project, f"/home/dev/src/{folder.name}", branch,
                 title, model, first_ms),
            )  # fmt: skip
            flags = 0 if rates else FLAG_UNPRICED
            self._db.execute(
                f"INSERT INTO plan VALUES ({', '.join('?' * 12)})",
                (number, template, count, first_ms, rng.randrange(60, 140), project, model_id, flags, *(rates or [0] * 4)),
            )  # fmt: skip
            self._outline(number, agent, folder, last_ms=first_ms + length_ms)

    def _outline(self, session: int, agent: str, folder: seed_names.Project, last_ms: int) -> None:
        tools, files = seed_names.tools(agent, self._rng), sorted(set(folder.touched(self._rng)))
        self._db.execute(
            "INSERT INTO outline (session, log_size, log_mtime_ns, version, read_ms, tools, files, deeds)"
            " VALUES (?, 0, 0, 1, ?, ?, ?, x'')",
            (session, last_ms, "\n".join(tools), "\n".join(files)),
        )

    def _project(self, agent: str, name: str) -> int:
        key = (agent, name)
        if key not in self._project_ids:
            self._db.execute("INSERT INTO project (agent, name) VALUES (?, ?)", key)
            self._project_ids[key] = int(self._db.execute("SELECT last_insert_rowid()").fetchone()[0])
        return self._project_ids[key]

    def _model(self, provider: str, name: str) -> tuple[int, list[int] | None]:
        """(id, nano-dollars per token of each kind); no rates where it has no price."""
        found = self._models.get((provider, name))
        if found is None:
            self._db.execute("INSERT INTO model (provider, name) VALUES (?, ?)", (provider, name))
            number = int(self._db.execute("SELECT last_insert_rowid()").fetchone()[0])
            found = self._models[provider, name] = number, self._rates(provider, name)
        return found

    def _rates(self, provider: str, name: str) -> list[int] | None:
        rates = []
        for kind in _KINDS:
            few, many = (
                self._prices.price(
                    provider=provider, model=name, at_ms=self._now_ms, tokens=Tokens(**{kind: 1000 * count})
                )
                for count in (1, 180)
            )
            if few.nusd is None or many.nusd is None:
                return None
            if few.nusd % 1000 or few.estimated or many.nusd != 180 * few.nusd:
                raise SystemExit(f"{name}: the price of {kind} is no plain figure; choose another model")
            rates.append(few.nusd // 1000)
        return rates


def database_bytes(folder: Path) -> int:
    """Size of the database after a checkpoint of its log."""
    connection = sqlite3.connect(folder / FILE_NAME)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = int(connection.execute("PRAGMA page_count").fetchone()[0])
        return pages * int(connection.execute("PRAGMA page_size").fetchone()[0])
    finally:
        connection.close()


def seed(folder: Path, events: int, sessions: int, days: int, now_ms: int) -> None:
    """Fill the database of `folder`, which must be new."""
    connection = open_writer(folder)
    try:
        Seed(connection, now_ms, random.Random(7)).write(events, sessions, days)
    finally:
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--sessions", type=int, default=0, help="0 = one for 200 events")
    parser.add_argument("--days", type=int, default=365)
    args = parser.parse_args()
    if (args.state / FILE_NAME).exists():
        parser.error(f"there is a database in {args.state} already: name a new folder")
    started = time.monotonic()
    seed(
        args.state,
        args.events,
        args.sessions or max(1, args.events // 200),
        args.days,
        int(time.time() * 1000),
    )
    seconds = time.monotonic() - started
    size = database_bytes(args.state) / args.events
    print(
        json.dumps({"events": args.events, "seconds": round(seconds, 1), "bytes_per_event": round(size, 1)})
    )


if __name__ == "__main__":
    main()
