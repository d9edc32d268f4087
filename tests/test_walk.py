"""Walks that remember: a folder that stood still is not listed anew, and nothing is missed by it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tokentop.agents import agent
from tokentop.ingest.discover import walk
from tokentop.ingest.listing import LIST_EVERY, LogEntry, Names
from tokentop.store import db, reader

OLD_NS = 1_700_000_000_000_000_000


def logs(home: Path, names: Names, known: dict[str, LogEntry]) -> dict[str, LogEntry]:
    """One walk of Claude Code's logs, with what the walks before it have seen."""
    return walk([agent("claude")], {"HOME": str(home)}, {}, (), names.turn(time.time_ns(), known)).files


def settled(home: Path) -> Path:
    """A project folder with one log; every folder has been quiet for years."""
    folder = home / ".claude" / "projects" / "-src-app"
    folder.mkdir(parents=True)
    (folder / "one.jsonl").write_text("{}\n")
    rest(folder)
    return folder


def rest(folder: Path) -> None:
    for one in (folder, folder.parent):
        os.utime(one, ns=(OLD_NS, OLD_NS))


def test_a_file_that_grows_in_a_quiet_folder_is_seen_at_the_next_walk(tmp_path: Path) -> None:
    folder, names = settled(tmp_path), Names()
    first = logs(tmp_path, names, {})
    again = logs(tmp_path, names, first)
    path = str(folder / "one.jsonl")
    assert again[path] is first[path], "an entry that says the same is kept"
    with open(path, "a") as file:
        file.write("{}\n")
    assert folder.stat().st_mtime_ns == OLD_NS
    assert logs(tmp_path, names, again)[path].size == 6


def test_new_logs_and_folders_are_found_at_once_where_folders_keep_their_time(tmp_path: Path) -> None:
    folder, names = settled(tmp_path), Names()
    found = logs(tmp_path, names, {})
    (folder / "two.jsonl").write_text("{}\n")
    (folder.parent / "-src-web").mkdir()
    (folder.parent / "-src-web" / "three.jsonl").write_text("{}\n")
    found = logs(tmp_path, names, found)
    assert sorted(Path(path).name for path in found) == ["one.jsonl", "three.jsonl", "two.jsonl"]
    (folder / "one.jsonl").unlink()
    assert sorted(Path(path).name for path in logs(tmp_path, names, found)) == ["three.jsonl", "two.jsonl"]


def test_a_file_system_that_does_not_keep_the_time_of_folders_is_listed_every_few_walks(
    tmp_path: Path,
) -> None:
    folder, names = settled(tmp_path), Names()
    found = logs(tmp_path, names, {})
    (folder / "two.jsonl").write_text("{}\n")
    rest(folder)
    for _ in range(LIST_EVERY):
        found = logs(tmp_path, names, found)
    assert len(found) == 2


def test_a_log_that_was_deleted_from_a_folder_without_times_is_not_listed(tmp_path: Path) -> None:
    folder, names = settled(tmp_path), Names()
    found = logs(tmp_path, names, {})
    (folder / "one.jsonl").unlink()
    rest(folder)
    assert logs(tmp_path, names, found) == {}


def test_the_start_does_not_read_every_event_of_the_history(tmp_path: Path) -> None:
    connection = db.open_writer(tmp_path)
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    assert reader.recent_events(connection, 1) == []
    connection.set_trace_callback(None)
    [of_events] = [sql for sql in asked if "event" in sql]  # the others read few names
    plan = connection.execute(f"EXPLAIN QUERY PLAN {of_events}").fetchall()
    connection.close()
    assert not [row for row in plan if row[3].startswith("SCAN")], plan
