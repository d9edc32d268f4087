#!/usr/bin/env python3
"""Coverage-guided fuzzing of every reader of every agent, outside the test suite.

    fuzz.py [AGENT ...] [--seconds 60]

Needs atheris (`pip install atheris`) beside tokentop. Each source of each agent gets a process of its own, seeded
with its recorded case. What counts as a failure: an exception, or a number that is negative, NaN or beyond bounds.
Prints one line a source; exit status 1 if one of them failed, with the input in `crash-*`.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
ROWS = 50


def sources(agent_id: str) -> list[Any]:
    """One recorded file for each source of an agent that has one."""
    from tests.agents.harness import log_files

    found = {id(entry.source): entry for entry in reversed(log_files(agent_id))}
    return list(found.values())


def fuzz(agent_id: str, number: int, seconds: int, seeds: str) -> None:
    """Fuzz one source; never returns."""
    import atheris

    with atheris.instrument_imports(include=["tokentop.agents"]):
        from tokentop.agents import all_agents
        from tokentop.agents.base import JsonDocument, JsonLines

        all_agents()
    from tests.test_agents_fuzz import assert_plausible

    entry = sources(agent_id)[number]
    source = entry.source
    if isinstance(source, JsonLines):
        _write(
            seeds,
            [b"\n".join(Path(entry.path).read_bytes().splitlines()[i : i + 4]) for i in range(0, 200, 4)],
        )

        def one(data: bytes) -> None:
            decoder = source.decoder(entry.file, b"")
            decoder.live = True
            for line in data.split(b"\n"):
                decoder.line(bytearray(line))
                if decoder.ancestor:
                    decoder.set_ancestor(None)
            decoder.flush()
            source.decoder(entry.file, decoder.state())
            assert_plausible(decoder.facts)

    elif isinstance(source, JsonDocument):
        _write(seeds, [Path(entry.path).read_bytes()])

        def one(data: bytes) -> None:
            with contextlib.suppress(ValueError):
                assert_plausible(source.read(entry.file, data))

    else:
        dump = _dump(entry.path)
        cells = [
            v if isinstance(v, bytes) else str(v).encode()
            for _, _, rows in dump
            for row in rows
            for v in row
            if v
        ]
        _write(seeds, sorted({cell for cell in cells if len(cell) > 20}, key=len)[:200])

        def one(data: bytes) -> None:
            assert_plausible(_ask(entry, dump, data))

    arguments = [sys.argv[0], seeds, f"-max_total_time={seconds}", "-max_len=65536", "-print_final_stats=1"]
    atheris.Setup(arguments, one)
    atheris.Fuzz()


def _write(folder: str, seeds: list[bytes]) -> None:
    for number, seed in enumerate(seeds):
        if seed:
            Path(folder, str(number)).write_bytes(seed[:65_536])


def _dump(path: str) -> list[tuple[str, list[str], list[tuple[Any, ...]]]]:
    """(create statement, columns, rows) of the tables of a database."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy.db")
        copy.write_bytes(Path(path).read_bytes())
        with contextlib.closing(sqlite3.connect(copy)) as db:
            db.text_factory = lambda data: data.decode("utf-8", "replace")
            found = []
            for name, create in db.execute(
                "SELECT name, sql FROM sqlite_master WHERE type='table'"
            ).fetchall():
                if create and not name.startswith("sqlite_") and "VIRTUAL" not in create.upper():
                    columns = [row[1] for row in db.execute(f'PRAGMA table_info("{name}")')]
                    rows = db.execute(f'SELECT * FROM "{name}" LIMIT {ROWS}').fetchall()
                    found.append((name, columns, rows))
    return found


def _ask(entry: Any, dump: list[tuple[str, list[str], list[tuple[Any, ...]]]], data: bytes) -> list[Any]:
    """What the reader says of the recorded rows with one cell replaced by the input."""
    from tokentop.ingest.rows import Questions

    place = data[0] if data else 0
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        for name, columns, rows in dump:
            db.execute(f'CREATE TABLE "{name}" ({", ".join(f"{chr(34)}{c}{chr(34)}" for c in columns)})')
            db.executemany(f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(columns))})', rows)
            if rows:
                column, row = columns[place % len(columns)], place // len(columns) % len(rows) + 1
                value: Any = data[1:] if place & 1 else data[1:].decode("utf-8", "replace")
                if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
                    value = int(value)
                db.execute(f'UPDATE "{name}" SET "{column}"=? WHERE rowid=?', (value, row))
        ask = Questions(db)
        reading = entry.source.read(entry.file, ask, b"")
        facts = [*reading.facts, *entry.source.read(entry.file, ask, reading.state).facts]
        return facts + (entry.source.signs(entry.file, ask) if entry.source.signs else [])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("agents", nargs="*", metavar="AGENT")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--one", nargs=3, metavar=("AGENT", "NUMBER", "SEEDS"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        fuzz(args.one[0], int(args.one[1]), args.seconds, args.one[2])
    from tokentop.agents import all_agents

    failed = False
    for agent_id in args.agents or [agent.id for agent in all_agents()]:
        for number, entry in enumerate(sources(agent_id)):
            with tempfile.TemporaryDirectory() as seeds:
                words = [
                    sys.executable,
                    __file__,
                    "--one",
                    agent_id,
                    str(number),
                    seeds,
                    "--seconds",
                    str(args.seconds),
                ]
                done = subprocess.run(words, capture_output=True, text=True, check=False)
            runs = re.search(r"number_of_executed_units: (\d+)", done.stderr)
            verdict = (
                f"{runs[1] if runs else '?'} inputs"
                if done.returncode == 0
                else "FAILED\n" + done.stderr[-2000:]
            )
            failed = failed or done.returncode != 0
            print(
                f"{agent_id:12} {type(entry.source).__name__:12} {entry.relative[-40:]:40} {verdict}",
                flush=True,
            )
    sys.exit(failed)


if __name__ == "__main__":
    main()
