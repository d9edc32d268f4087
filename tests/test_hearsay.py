"""The search in prompts and replies: only where it is switched on, in logs that are still there, kept nowhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC
from pathlib import Path

import pytest

from tokentop.answers.hearsay import _Looker, scan
from tokentop.nouns.history import Scan
from tokentop.store.db import open_reader

from .faults import REPOSITORY, Scratch, dumps, record

NOW = 1_795_330_000_000


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    """Three sessions; the word is in a prompt of the first, in a reply of the second, in a tool's output of the third."""
    made = Scratch(tmp_path)
    said = {
        "s-1": ("please tune the Marimba", "done"),
        "s-2": ("go on", "the marimba is tuned"),
        "s-3": ("go on", "done"),
    }
    for number, (sid, (prompt, reply)) in enumerate(said.items(), 1):
        answer = record(number)
        answer["sessionId"] = sid
        answer["message"]["content"] = [{"type": "text", "text": reply}]
        lines = [{"type": "user", "sessionId": sid, "timestamp": answer["timestamp"],
                  "message": {"role": "user", "content": prompt}}, answer]  # fmt: skip
        if sid == "s-3":
            result = {"type": "tool_result", "tool_use_id": "t1", "content": "a marimba"}
            lines.append({"type": "user", "sessionId": sid, "message": {"role": "user", "content": [result]}})
        made.log([dumps(line) for line in lines], f"{sid}.jsonl")
    made.config.write_text("search_prompts = true\ntitles = false\n")
    return made


def found(scratch: Scratch, *words: str) -> set[str]:
    done = scratch.run("sessions", "--said", "--json", *words)
    if done.returncode == 3:
        return set()
    assert done.returncode == 0, done.stderr
    return {row["session"] for row in json.loads(done.stdout)["rows"]}


def test_prompts_and_replies_are_found_and_nothing_is_kept(scratch: Scratch) -> None:
    assert found(scratch, "marimba") == {"s-1", "s-2"}
    assert found(scratch, "TUNE", "marimba") == {"s-1", "s-2"}
    assert found(scratch, "please") == {"s-1"}
    assert found(scratch, "marimba", "agent:codex") == set()
    assert found(scratch, "glockenspiel") == set()
    kept = b"".join(path.read_bytes() for path in scratch.state.iterdir() if path.is_file())
    assert b"arimba" not in kept


def test_without_the_setting_no_log_is_looked_into(scratch: Scratch) -> None:
    scratch.config.write_text("titles = false\n")
    done = scratch.run("sessions", "--said", "marimba")
    assert done.returncode == 2
    assert "search_prompts" in done.stderr
    assert scratch.run("sessions", "marimba").returncode == 3


def test_a_log_that_is_gone_is_counted(scratch: Scratch) -> None:
    scratch.run("sync")
    (scratch.project / "s-1.jsonl").unlink()
    done = scratch.run("sessions", "--said", "marimba")
    assert done.returncode == 0
    assert "3 of 3 sessions looked at, 1 without a log" in done.stderr
    assert "s-2" in done.stdout


def test_a_scan_ends_when_it_is_told_to(scratch: Scratch) -> None:
    scratch.run("sessions")
    steps: list[Scan] = []

    def told(now: Scan) -> bool:
        steps.append(now)
        return len(steps) < 2

    connection = open_reader(scratch.state)
    last = scan(connection, "marimba", UTC, NOW, told)
    assert (last.looked, last.total, len(steps)) == (2, 3, 2)
    assert scan(connection, "agent:claude", UTC, NOW, told).problem
    assert scan(connection, "cost>x", UTC, NOW, told).problem
    connection.close()


SEARCHES = """
import sys
from pathlib import Path
from tokentop.answers.hearsay import _Looker
for _ in range(60):
    assert not _Looker(["marimbaphone"])._search(Path(sys.argv[1]))
"""


def test_a_log_that_is_cut_short_while_it_is_searched_ends_nothing(scratch: Scratch) -> None:
    """A log that is truncated under a memory map is SIGBUS, which nothing survives."""
    log = scratch.project / "s-3.jsonl"
    searches = subprocess.Popen([sys.executable, "-c", SEARCHES, str(log)], cwd=REPOSITORY)
    while searches.poll() is None:
        os.truncate(log, 32 << 20)
        time.sleep(0.002)
        os.truncate(log, 10)
    assert searches.returncode == 0


def test_words_over_the_edge_of_a_block_and_escaped_ones_are_found(scratch: Scratch) -> None:
    log = scratch.project / "s-1.jsonl"
    edge = (1 << 20) - 4 - len(b'{"n":"')
    log.write_bytes(b'{"n":"' + b"x" * edge + b'GlockenSpiel"}\n')
    looker = _Looker(["glockenspiel", "n"])
    assert looker._search(log)
    assert not _Looker(["glockenspiele"])._search(log)
    assert _Looker(["a<b"])._search(log), "some write < in another way: the texts themselves are asked"
    assert not _Looker(["n"])._search(scratch.project / "gone.jsonl")
