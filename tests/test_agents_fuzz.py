"""Damaged and hostile records of every agent: no exception, no number that is negative, NaN or beyond bounds."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.agents.harness import BUCKETS, log_files, scratch
from tokentop.agents import all_agents
from tokentop.agents.base import Database, JsonDocument, JsonLines
from tokentop.agents.decoding import MAX_COUNT
from tokentop.ingest.rows import questions
from tokentop.nouns.facts import Fact
from tokentop.nouns.usage import RunningTotal, Tokens, Usage


def mutated(line: bytes, rng: random.Random) -> bytes:
    """A real line with members changed as no sane client would, or with damaged bytes."""
    if line and rng.random() < 0.3:
        out = bytearray(line)
        for _ in range(rng.randint(1, 4)):
            out[rng.randrange(len(out))] = rng.randrange(256)
        return bytes(out).replace(b"\n", b" ")
    try:
        record = json.loads(line)
    except ValueError:
        return line
    return json.dumps(_changed(record, rng)).encode()


_ODD = (
    None, True, -1, 0, 1, 1 << 41, 1 << 63, 1 << 80, 0.5, 1e308, -1e308, "", "x", "-1", "99999999999999999999", "12",
    [], {}, [[]], {"a": {}}, "\ud83d", "\x1b[2J", "2026-11-21T20:37:20Z", "9999-12-31T23:59:59Z", 10**18, "/../x", "a/b",
)  # fmt: skip


def _changed(value: Any, rng: random.Random) -> Any:
    if rng.random() < 0.04:
        return rng.choice(_ODD)
    if isinstance(value, dict):
        items = [(k, _changed(v, rng)) for k, v in value.items() if rng.random() > 0.02]
        return dict(items)
    if isinstance(value, list):
        return [_changed(v, rng) for v in value]
    return value


def bounded(tokens: Tokens) -> bool:
    values = [getattr(tokens, name) for name in BUCKETS]
    return all(type(v) is int and 0 <= v <= MAX_COUNT for v in values) and tokens.reasoning <= tokens.output


FUZZ = settings(max_examples=80, database=None, derandomize=True, suppress_health_check=list(HealthCheck))


def with_source(kind: type) -> list[str]:
    return [agent.id for agent in all_agents() if any(isinstance(s, kind) for s in agent.sources)]


@pytest.mark.parametrize("agent", with_source(JsonLines))
@FUZZ
@given(seed=st.integers(0, 1 << 32))
def test_no_line_makes_a_decoder_raise_or_count_beyond_bounds(agent: str, seed: int) -> None:
    rng = random.Random(seed)
    files = [entry for entry in log_files(agent) if isinstance(entry.source, JsonLines)]
    if not files:
        pytest.skip("no recorded case has lines")
    entry = rng.choice(files)
    source = entry.source
    assert isinstance(source, JsonLines)
    decoder = source.decoder(entry.file, b"")
    decoder.live = rng.random() < 0.5
    for line in Path(entry.path).read_bytes().splitlines():
        if decoder.ancestor:
            decoder.set_ancestor(rng.choice((None, [(1, 2, 3)], [])))
        decoder.line(bytearray(mutated(line, rng) if rng.random() < 0.7 else line))
        if rng.random() < 0.1:
            decoder.flush()
            decoder = source.decoder(entry.file, decoder.state()) if not decoder.facts else decoder
    decoder.flush()
    assert decoder.state() is not None
    assert_plausible(decoder.facts)


@pytest.mark.parametrize("agent", with_source(JsonDocument))
@FUZZ
@given(seed=st.integers(0, 1 << 32))
def test_no_document_makes_a_reader_raise_or_count_beyond_bounds(agent: str, seed: int) -> None:
    rng = random.Random(seed)
    files = [entry for entry in log_files(agent) if isinstance(entry.source, JsonDocument)]
    if not files:
        pytest.skip("no recorded case has documents")
    entry = rng.choice(files)
    assert isinstance(entry.source, JsonDocument)
    with contextlib.suppress(ValueError):
        assert_plausible(entry.source.read(entry.file, mutated(Path(entry.path).read_bytes(), rng)))


@pytest.mark.parametrize("agent", with_source(Database))
@settings(FUZZ, max_examples=25)
@given(seed=st.integers(0, 1 << 32))
def test_no_cell_makes_a_database_reader_fail_or_count_beyond_bounds(agent: str, seed: int) -> None:
    rng = random.Random(seed)
    files = [entry for entry in log_files(agent) if isinstance(entry.source, Database)]
    if not files:
        pytest.skip("no recorded case has a database")
    entry = rng.choice(files)
    source = entry.source
    assert isinstance(source, Database)
    with scratch() as home:
        copy = home.home / Path(entry.path).name
        shutil.copy(entry.path, copy)
        spoil_cells(copy, rng)
        with questions(str(copy)) as ask:
            reading = source.read(entry.file, ask, b"")
            facts = [*reading.facts, *source.read(entry.file, ask, reading.state).facts]
            facts += source.signs(entry.file, ask) if source.signs else []
        assert_plausible(facts)


def spoil_cells(path: Path, rng: random.Random) -> None:
    """Change cells of a database as no sane client would."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode=DELETE")
        found = db.execute(
            "SELECT name, sql FROM sqlite_master WHERE type='table' AND sql NOT NULL"
        ).fetchall()
        virtual = tuple(name for name, sql in found if "VIRTUAL" in sql.upper())
        tables = [
            name for name, _ in found if not (virtual and name.startswith(virtual))
        ]  # nor their shadows
        for table in tables:
            columns = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
            with contextlib.suppress(sqlite3.Error):
                for rowid, *cells in db.execute(f'SELECT rowid, * FROM "{table}" LIMIT 200').fetchall():
                    for name, cell in zip(columns, cells, strict=True):
                        if rng.random() < 0.15:
                            with contextlib.suppress(sqlite3.Error, OverflowError):
                                db.execute(
                                    f'UPDATE "{table}" SET "{name}"=? WHERE rowid=?', (_odd(cell, rng), rowid)
                                )
        db.commit()


def _odd(cell: object, rng: random.Random) -> object:
    if isinstance(cell, str) and cell[:1] in "{[":
        return mutated(cell.encode(), rng).decode("utf-8", "replace")
    if isinstance(cell, bytes) and rng.random() < 0.7:
        return mutated(cell, rng)
    odd = rng.choice(_ODD)
    return odd if isinstance(odd, str | int | float | None) and odd != "\ud83d" else None


def assert_plausible(facts: Iterable[Fact]) -> None:
    for fact in facts:
        if isinstance(fact, Usage):
            assert bounded(fact.tokens)
            assert fact.duration_ms >= 0
            assert 0 <= fact.at_ms < 1 << 42
            assert 0 <= fact.web_searches <= MAX_COUNT
            assert fact.session_id
            assert fact.key
            assert fact.logged_nusd is None or 0 <= fact.logged_nusd < 1 << 62
            assert fact.credits_milli is None or 0 <= fact.credits_milli < 1 << 62
        elif isinstance(fact, RunningTotal):
            assert all(bounded(tokens) or tokens.reasoning > tokens.output for _, tokens, _ in fact.models)
            assert all(0 <= cost < 1 << 62 for _, _, cost in fact.models)
