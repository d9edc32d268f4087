"""Readings of plan limits: kept over a restart, thinned, dropped when they are old."""

from __future__ import annotations

from pathlib import Path

from tokentop.nouns.facts import Cursor
from tokentop.nouns.money import Quota
from tokentop.pricing.table import PriceTable
from tokentop.store import db, reader
from tokentop.store.limits import KEEP_READINGS_MS
from tokentop.store.writer import Writer

NOW = 1_795_294_800_000
MINUTE = 60_000
KEY = ("codex", "", "codex", 300)


def reading(at_ms: int, used: float) -> Quota:
    return Quota("codex", "", 300, "codex", used, NOW + 300 * MINUTE, "log", at_ms)


def test_readings_are_thinned_and_outlive_the_program(tmp_path: Path) -> None:
    connection = db.open_writer(tmp_path / "state")
    writer = Writer(connection, PriceTable())
    writer.commit([reading(NOW + second * 1000, 10.0) for second in range(600)])
    writer.commit([reading(NOW + 11 * MINUTE, 12.0), reading(NOW, 99.0)])
    connection.close()
    again = db.open_writer(tmp_path / "state")
    assert reader.quota_readings(again, 0) == {KEY: [(NOW, 10.0), (NOW + 11 * MINUTE, 12.0)]}
    assert reader.quota_readings(again, NOW + 1) == {KEY: [(NOW + 11 * MINUTE, 12.0)]}
    again.close()


def test_old_readings_go(tmp_path: Path) -> None:
    connection = db.open_writer(tmp_path / "state")
    writer = Writer(connection, PriceTable())
    writer.commit([reading(NOW, 1.0), reading(NOW + 1, 2.0)])
    writer.commit([reading(NOW + KEEP_READINGS_MS + 2, 3.0)])
    writer.commit([reading(NOW + KEEP_READINGS_MS + 3, 4.0)])
    kept = reader.quota_readings(connection, 0)[KEY]
    assert [used for _, used in kept] == [3.0, 4.0]
    connection.close()


def test_how_far_files_were_read_is_told_of_those_that_are_asked_for(tmp_path: Path) -> None:
    """A start asks for the files that there are: thousands that agents have deleted cost nothing."""
    connection = db.open_writer(tmp_path / "state")
    paths = ["/h/a.jsonl", "/h/b\udcff.jsonl", "/h/é'\".jsonl", "/h/gone.jsonl"]
    known = [Cursor(path, "claude", 1, 2, 3, 4, 100 + n, 5, 6, 7, 1, b"x") for n, path in enumerate(paths)]
    Writer(connection, PriceTable()).commit([], known)
    found = reader.cursors(connection, [*paths[:3], "/h/new.jsonl"])
    assert sorted(found, key=lambda one: one.offset) == known[:3]
    assert reader.cursors(connection, []) == []
    connection.close()
