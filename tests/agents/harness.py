"""A scratch home with logs, the real reading of it into a real database, and what the database then says."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import structs

from tokentop.agents import all_agents
from tokentop.agents.base import Source
from tokentop.engine.live import LiveState
from tokentop.ingest.discover import walk
from tokentop.ingest.listing import LogEntry
from tokentop.ledger import Ledger, Step, prices
from tokentop.nouns.facts import Diagnostic, Fact
from tokentop.nouns.money import Quota
from tokentop.nouns.sessions import Activity, Context, Session
from tokentop.nouns.usage import Tokens
from tokentop.pricing.table import PriceTable
from tokentop.settings.config import Settings
from tokentop.store import reader
from tokentop.store.flags import FLAG_AT_ESTIMATED, FLAG_ESTIMATED, FLAG_HIDDEN, FLAG_UNKNOWN

HERE = Path(__file__).parent
REPOSITORY = HERE.parent.parent
BUCKETS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
NOW_MS = 1_795_300_000_000
ALL = 1 << 62
_SCRATCH = re.compile(r"^/.*/tokentop-test-[^/]+/home")


@dataclass(frozen=True, repr=False)
class Case:
    """Recorded logs of one client: `home` is the tree it left, `expect` what is in it."""

    agent: str
    name: str
    home: Path
    expect: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"{self.agent}-{self.name}"

    @property
    def files(self) -> list[Path]:
        """Paths relative to the home."""
        return sorted(p.relative_to(self.home) for p in self.home.rglob("*") if p.is_file())


@cache
def cases() -> tuple[Case, ...]:
    """Every `<agent>/<case>/` beside this file."""
    return tuple(
        Case(path.parent.parent.name, path.parent.name, path.parent / "home", json.loads(path.read_bytes()))
        for path in sorted(HERE.glob("*/*/expect.json"))
    )


@cache
def price_table() -> PriceTable:
    return prices(Settings())


@dataclass(frozen=True)
class Event:
    id: int
    agent: str
    session: str
    at_ms: int
    took_ms: int
    provider: str
    model: str
    tier: str
    geo: str
    tokens: Tokens
    cost_nusd: int | None
    hidden: bool
    estimated: bool
    unknown: bool  # tokens that the log does not tell
    at_estimated: bool


@dataclass(frozen=True)
class Picture:
    """What a database says; equal pictures mean equal facts."""

    events: tuple[Event, ...]
    sessions: Mapping[str, Session]

    @property
    def responses(self) -> list[Event]:
        return [event for event in self.events if not event.hidden and not event.unknown]

    @property
    def hidden(self) -> list[Event]:
        return [event for event in self.events if event.hidden]

    @property
    def unknown(self) -> list[Event]:
        return [event for event in self.events if event.unknown]

    @property
    def total(self) -> Tokens:
        return sum((event.tokens for event in self.events), Tokens())

    @property
    def one(self) -> Event:
        assert len(self.events) == 1, self.events
        return self.events[0]

    def of(self, session: str) -> list[Event]:
        """Events of a session as its agent names it, sub-agents filed under it included."""
        return [event for event in self.events if event.session.partition("/")[0] == session]


_EVENTS = f"""
SELECT e.id, s.agent, s.sid, e.at_ms, e.took_ms, m.provider, m.name, coalesce(t.tier, ''), coalesce(t.geo, ''),
  e.flags, e.cost_nusd, {", ".join("e." + b for b in BUCKETS)}
FROM event e JOIN session s ON s.id = e.session JOIN model m ON m.id = e.model LEFT JOIN tier t ON t.id = e.tier
ORDER BY e.at_ms, e.id
"""


def picture(db: Any) -> Picture:
    """Read a database; the sums that it keeps must agree with its events."""
    events = []
    for number, agent, sid, at_ms, took, provider, model, tier, geo, flags, cost, *counts in db.execute(
        _EVENTS
    ):
        hidden, estimated = bool(flags & FLAG_HIDDEN), bool(flags & FLAG_ESTIMATED)
        events.append(
            Event(
                number, agent, sid, at_ms, took, provider, model, tier, geo, Tokens(*counts), cost, hidden, estimated,
                bool(flags & FLAG_UNKNOWN), bool(flags & FLAG_AT_ESTIMATED),
            )
        )  # fmt: skip
    columns = ", ".join(
        f"coalesce(sum({c}), 0)"
        for c in ("responses", *BUCKETS, "cost_nusd", "unpriced_tokens", "unknown_calls")
    )
    sums = db.execute(f"SELECT {columns} FROM rollup").fetchone()
    assert db.execute(f"SELECT {columns} FROM session").fetchone() == sums
    total = sum((event.tokens for event in events), Tokens())
    unpriced = sum(event.tokens.total for event in events if event.cost_nusd is None)
    assert sums == (
        sum(not event.hidden and not event.unknown for event in events), *(getattr(total, b) for b in BUCKETS),
        sum(event.cost_nusd or 0 for event in events), unpriced, sum(event.unknown for event in events),
    )  # fmt: skip
    found = reader.sessions(db, since_ms=-ALL)
    sessions = {session.id: session for session, *_ in found}
    return Picture(
        tuple(events),
        {
            sid: structs.replace(session, log_path="", cwd=_SCRATCH.sub("/home/dev", session.cwd))
            for sid, session in sessions.items()
        },
    )


def timeless(found: Picture) -> Picture:
    """Without the times that no log tells: they are when a record was seen."""
    seen = {event.session for event in found.events if event.at_estimated}
    events = [replace(event, at_ms=0) if event.at_estimated else event for event in found.events]
    sessions = {
        sid: structs.replace(session, first_ms=0, last_ms=0) if sid in seen else session
        for sid, session in found.sessions.items()
    }
    return Picture(tuple(sorted(events, key=lambda event: (event.at_ms, event.id))), sessions)


def assert_same(found: Picture, wanted: Picture) -> None:
    """Equal pictures; a failure shows only what differs."""
    found, wanted = timeless(found), timeless(wanted)
    gone = [event for event in wanted.events if event not in found.events]
    new = [event for event in found.events if event not in wanted.events]
    assert new == gone
    assert found.sessions.keys() == wanted.sessions.keys()
    for sid, session in wanted.sessions.items():
        assert structs.asdict(found.sessions[sid]) == structs.asdict(session)
    assert found == wanted


@dataclass
class Scratch:
    """A home and a state directory of one test."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.home = self.folder / "home"
        self.state = self.folder / "state"
        self.home.mkdir(parents=True, exist_ok=True)
        self.environ = {
            "HOME": str(self.home),
            "TZ": "UTC",
            "TOKENTOP_STATE_DIR": str(self.state),
            **self.environ,
        }

    def write(self, path: str | Path, data: str | bytes) -> Path:
        target = self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data if isinstance(data, bytes) else data.encode())
        return target

    def append(self, path: str | Path, data: str | bytes) -> None:
        target = self.home / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab") as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    @contextmanager
    def ledger(self, *, live: bool = False) -> Iterator[Ledger]:
        with closing(
            Ledger(self.state, self.environ, Settings(), now_ms=NOW_MS, live=live, table=price_table())
        ) as ledger:
            yield ledger

    def read(self) -> Picture:
        """Catch up as a report does; the picture afterwards."""
        with self.ledger() as ledger:
            ledger.catch_up(0.0, NOW_MS * 1_000_000)
            return picture(ledger.db)

    def follow(self, at_ms: int) -> tuple[LiveState, list[Fact]]:
        """Catch up as the live screen does; its state at `at_ms`, and all facts in the order of reading."""
        live, facts = LiveState(window_of=lambda _agent, model: price_table().window("", model)), []
        with self.ledger(live=True) as ledger:
            # As if it were now that the newest log was written: recorded ones are older than "recent".
            newest_ns = max((p.stat().st_mtime_ns for p in self.home.rglob("*") if p.is_file()), default=0)
            ledger.follower.walk(0.0, newest_ns)
            while (step := ledger.step(0.0, 0)) is not None:
                facts += step.batch.facts
                fold(live, step)
        live.advance(at_ms)
        return live, facts

    def health(self) -> dict[str, int]:
        """Diagnostics by kind, with counts."""
        with self.ledger() as ledger:
            ledger.catch_up(0.0, NOW_MS * 1_000_000)
            return kinds(ledger.health())

    def run(self, *arguments: str) -> dict[str, Any]:
        """A tokentop command with `--json` in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "tokentop", *arguments, "--json"],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), **self.environ},
            cwd=self.folder, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        assert done.stderr == b""
        document: dict[str, Any] = json.loads(done.stdout)
        return document


def fold(live: LiveState, step: Step) -> None:
    for session, own in step.committed.sessions:
        live.load_session(session, own)
    for event in step.committed.priced:
        live.apply_usage(event)
    for fact in step.batch.facts:
        if isinstance(fact, Activity):
            live.apply_activity(fact)
        elif isinstance(fact, Context):
            live.apply_context(fact)
        elif isinstance(fact, Quota):
            live.apply_quota(fact)


def kinds(diagnostics: tuple[Diagnostic, ...]) -> dict[str, int]:
    found: dict[str, int] = {}
    for diagnostic in diagnostics:
        found[diagnostic.kind] = found.get(diagnostic.kind, 0) + diagnostic.count
    return found


@contextmanager
def scratch() -> Iterator[Scratch]:
    """A scratch in the fastest place there is, for tests that make many."""
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() and os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="tokentop-test-", dir=place))
    try:
        yield Scratch(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def kinds_of(case: Case, path: Path) -> list[Source]:
    """The sources of the case's agent that a file of its home may belong to, by its name."""
    agent = {a.id: a for a in all_agents()}[case.agent]
    return [
        source
        for source in agent.sources
        if path.name.endswith(source.suffixes) and not (source.sidecar and path.name.endswith(source.sidecar))
    ]


def splittable(path: Path) -> bool:
    """Files that grow by appending, or may be met half-written; a database or a sidecar appears at once."""
    return path.suffix == ".jsonl" or (path.suffix == ".json" and not path.name.endswith(".meta.json"))


def _pieces(groups: Sequence[Mapping[Path, bytes]], rng: random.Random) -> Iterator[tuple[Path, bytes]]:
    """The files in pieces, in the order of each file but with the files of a group mixed at random."""
    count = rng.randint(2, 40)
    largest = max(sum(len(data) for files in groups for data in files.values()) // count, 1)
    for files in groups:
        rest = dict(files)
        while rest:
            path = rng.choice(sorted(rest))
            size = rng.choice((1, 7, 100, rng.randint(1, 2 * largest), rng.randint(1, 2 * largest)))
            if not splittable(path):
                size = len(rest[path])
            yield path, rest[path][:size]
            rest[path] = rest[path][size:]
            if not rest[path]:
                del rest[path]


def _advance(ledger: Ledger, rng: random.Random, now_s: float) -> None:
    """What the collector does at a tick: look, read, commit, and sometimes settle."""
    if rng.random() < 0.5 or ledger.follower.poll(now_s):
        ledger.follower.walk(now_s, NOW_MS * 1_000_000)
    while ledger.step(now_s, ALL) is not None:
        pass
    if rng.random() < 0.5:
        ledger.settle(ALL)


def grow(home: Scratch, groups: Sequence[Mapping[Path, bytes]], seed: int) -> Picture:
    """Write logs piece by piece under a ledger that is now and then closed and opened again.

    A group is begun when the one before is complete, as a fork begins after its parent.
    """
    rng = random.Random(seed)
    parts = _pieces(groups, rng)
    now_s, last = 0.0, False
    while not last:
        with home.ledger(live=rng.random() < 0.5) as ledger:
            for _ in range(rng.randint(1, 12)):
                part = next(parts, None)
                last = part is None
                if part is not None:
                    home.append(*part)
                now_s += 1.0
                _advance(ledger, rng, now_s)
    return home.read()


def log_files(agent_id: str) -> list[LogEntry]:
    """Every recorded file of an agent that one of its sources reads."""
    one = [agent for agent in all_agents() if agent.id == agent_id]
    homes = [case.home for case in cases() if case.agent == agent_id]
    return [
        entry
        for home in homes
        for entry in walk(one, {"HOME": str(home)}, {}).files.values()
        if not entry.sidecar
    ]
