"""A recorded quarter of an hour of the demo, with a gap and a kill in it, and what its agents spent."""

from __future__ import annotations

import sqlite3
from functools import cache

from msgspec import structs

from tests.ui import build
from tokentop.answers.footage import Footage
from tokentop.blackbox import BlackBox
from tokentop.demo import DemoSource
from tokentop.nouns.actions import Action
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.recorded import STEP_MS
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Tokens, Usage
from tokentop.pricing import PriceTable
from tokentop.settings.config import Settings
from tokentop.store import db
from tokentop.store.receipts import append_action
from tokentop.store.writer import Writer

START = build.NOW - 1_200_000
GAP = (START + 600_000, START + 900_000)  # tokentop did not run
END = START + 1_200_000
KILLED_MS = START + 303_000


@cache
def _recorded() -> tuple[sqlite3.Connection, dict[int, Snapshot], Row]:
    connection = db.open_memory()
    source, box, seen, victim = DemoSource(7), BlackBox(connection, Settings()), {}, None
    for at_ms in range(START, END, STEP_MS):
        snapshot = source.snapshot(at_ms)
        if not GAP[0] < at_ms < GAP[1]:
            seen[at_ms] = snapshot
            box.look(snapshot)
        if at_ms == START + 300_000:
            victim = next(r for r in snapshot.rows if r.kind == "agent" and r.pid and r.tree.burn_nusd_per_h)
            append_action(
                connection, source.execute(source.plan(victim.key, Action.KILL, KILLED_MS), KILLED_MS)
            )
    assert victim is not None
    _spend(connection, seen[START])
    return connection, seen, victim


def _spend(connection: sqlite3.Connection, snapshot: Snapshot) -> None:
    """A few sessions spend, the first one most of all, in the fifth to the tenth minute."""
    writer = Writer(connection, PriceTable.load())
    agents = [
        row for row in snapshot.rows if row.kind == "agent" and row.session_id and row.agent == "claude"
    ][:4]
    for number, row in enumerate(agents):
        session = Session(
            row.agent, row.session_id, root_id=row.session_id, cwd=row.cwd, title=row.title, model="claude-opus-4-5",
            first_ms=START,
        )  # fmt: skip
        calls = [
            Usage(row.agent, row.session_id, f"{number}/{call}", START + 300_000 + call * 20_000, "claude-opus-4-5",
                  Tokens(0, 0, 0, 0, 40_000 // (number + 1)))
            for call in range(10)
        ]  # fmt: skip
        writer.commit([session, *calls])


def footage() -> Footage:
    """A copy of its own: closing it closes nobody else's."""
    return Footage(db.copy_memory(_recorded()[0]), 64_000_000)


def seen() -> dict[int, Snapshot]:
    """What the live screen was given when it was recorded."""
    return _recorded()[1]


def victim() -> Row:
    """Who was killed, as it was before."""
    return _recorded()[2]


def source(with_film: bool = True) -> build.FakeSource:
    """The live screen of now, over that past."""
    made = build.FakeSource(structs.replace(build.snapshot(), at_ms=END))
    if with_film:
        made.film = footage
    return made
