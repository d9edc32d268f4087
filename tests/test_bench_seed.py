"""The generated history of `make bench-seed` is what the writer would have stored of the same events."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tokentop.nouns.usage import Tokens
from tokentop.pricing import PriceTable
from tokentop.store.db import FILE_NAME
from tokentop.store.flags import FLAG_UNPRICED
from tokentop.store.slots import SLOT_MS

SEED = Path(__file__).parents[1] / "bench" / "seed_history.py"
SUMS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> sqlite3.Connection:
    folder = tmp_path_factory.mktemp("seed")
    words = [sys.executable, str(SEED), "--state", str(folder), "--events", "30000", "--sessions", "200"]
    made = subprocess.run(words, capture_output=True, text=True, check=True)
    assert json.loads(made.stdout)["events"] == 30_000
    return sqlite3.connect(folder / FILE_NAME)


def test_it_has_exactly_so_many_events_and_sessions(seeded: sqlite3.Connection) -> None:
    assert seeded.execute("SELECT count(*) FROM event").fetchone() == (30_000,)
    assert seeded.execute("SELECT count(*), count(DISTINCT sid) FROM session").fetchone() == (200, 200)
    assert seeded.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_prices_are_those_of_the_table(seeded: sqlite3.Connection) -> None:
    table, priced = PriceTable.load(), 0
    rows = seeded.execute(
        f"SELECT m.provider, m.name, e.at_ms, {', '.join('e.' + s for s in SUMS)}, e.cost_nusd, e.flags FROM event e"
        " JOIN model m ON m.id = e.model WHERE e.id % 7 = 0"
    )
    for provider, model, at_ms, *counts, cost, flags in rows:
        assert cost == table.price(provider=provider, model=model, at_ms=at_ms, tokens=Tokens(*counts)).nusd
        assert bool(flags & FLAG_UNPRICED) == (cost is None)
        priced += 1
    assert priced > 3000


def test_sums_of_sessions_and_rollups_are_those_of_the_events(seeded: sqlite3.Connection) -> None:
    unpriced = "sum(CASE WHEN cost_nusd IS NULL THEN input+cache_read+cache_write_5m+cache_write_1h+output ELSE 0 END)"
    sums = f"count(*), {', '.join(f'sum({name})' for name in SUMS)}, coalesce(sum(cost_nusd), 0), {unpriced}"
    events = seeded.execute(f"SELECT session, max(at_ms), {sums} FROM event GROUP BY 1 ORDER BY 1").fetchall()
    names = f"responses, {', '.join(SUMS)}, cost_nusd, unpriced_tokens"
    assert seeded.execute(f"SELECT id, last_ms, {names} FROM session ORDER BY id").fetchall() == events
    slots = seeded.execute(
        f"SELECT at_ms / {SLOT_MS}, s.project, e.model, e.flags, {sums} FROM event e"
        " JOIN (SELECT id, project FROM session) s ON s.id = e.session GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    ).fetchall()
    stored = seeded.execute(
        f"SELECT slot, project, model, flags, {names} FROM rollup ORDER BY 1, 2, 3, 4"
    ).fetchall()
    assert stored == slots


def test_names_are_of_many_kinds(seeded: sqlite3.Connection) -> None:
    for column, least in (("agent", 6), ("branch", 30), ("title", 100)):
        assert seeded.execute(f"SELECT count(DISTINCT {column}) FROM session").fetchone()[0] >= least
    assert seeded.execute("SELECT count(*) FROM session WHERE parent_sid != ''").fetchone()[0] > 30
    assert seeded.execute("SELECT count(*) FROM outline WHERE files != '' AND tools != ''").fetchone() == (
        200,
    )
