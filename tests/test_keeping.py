"""Purging, importing, checking, backing up and compacting, through the real commands on a real database."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Session
from tokentop.nouns.usage import Tokens, Usage
from tokentop.pricing import PriceTable
from tokentop.store import purging
from tokentop.store.check import examine
from tokentop.store.db import FILE_NAME, open_writer
from tokentop.store.indexing import Indexer
from tokentop.store.recover import replace_damaged
from tokentop.store.writer import Writer

from .faults import Scratch, bytes_in

DAY = 86_400_000
NOW = 1_795_269_600_000  # 2026-11-21 14:00 UTC
CANARY = "xylophone"


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


def facts(machine: str = "", count: int = 30) -> list[Fact]:
    """Sessions over 60 days, each with some calls; those without a machine in their name are on every machine."""
    rng, found = random.Random(count), list[Fact]()
    for n in range(count):
        sid, at_ms = f"{machine if n % 2 else ''}s{n}", NOW - 2 * n * DAY
        found.append(Session("claude", sid, title=f"{CANARY} {sid}", title_rank=1, cwd=f"/home/dev/p{n % 4}",
                             branch=f"{CANARY}-branch", model="claude-sonnet-4-5", first_ms=at_ms - 9_000_000))  # fmt: skip
        for call in range(rng.randrange(1, 9)):
            tokens = Tokens(rng.randrange(900), rng.randrange(9000), 7, 0, rng.randrange(900), 3)
            model = rng.choice(["claude-sonnet-4-5", "gpt-5.2", "house-model"])
            logged = 5_000 if call == 3 else None
            found.append(
                Usage(
                    "claude", sid, f"{sid}:{call}", at_ms - call * 60_000, model, tokens, logged_nusd=logged
                )
            )
    return found


def fill(folder: Path, what: list[Fact]) -> None:
    connection = open_writer(folder)
    try:
        Writer(connection, PriceTable.load()).commit(what)
        indexer = Indexer(connection)
        while indexer.index_some():
            pass
    finally:
        connection.close()


def run(scratch: Scratch, *words: str) -> subprocess.CompletedProcess[str]:
    return scratch.run(*words)


def wait_for(true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def usage(scratch: Scratch, *by: str) -> Any:
    words = [word for one in by for word in ("--by", one)]
    return json.loads(run(scratch, "usage", *words, "--json").stdout)["rows"]


def responses(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """(responses, nano-dollars) of all rows."""
    return sum(row["responses"] for row in rows), sum(
        int((row["cost_usd"] or "0").replace(".", "")) for row in rows
    )


def check(scratch: Scratch) -> Any:
    done = run(scratch, "db", "check", "--json")
    assert done.returncode == 0, done.stdout
    return json.loads(done.stdout)


# ------------------------------------------------------------ purge


def test_purged_calls_leave_their_sums_and_are_not_counted_again(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    before = usage(scratch, "day", "model", "project")
    sessions = run(scratch, "sessions", "--json").stdout
    calls = check(scratch)["calls"]
    looked = run(scratch, "purge", "--before", "2026-11-01", "--dry-run")
    assert looked.returncode == 0
    assert "would purge" in looked.stdout
    assert check(scratch)["calls"] == calls
    assert run(scratch, "purge", "--before", "2026-11-01").returncode == 2  # nobody can be asked
    done = json.loads(run(scratch, "purge", "--before", "2026-11-01", "--yes", "--json").stdout)
    assert done["done"]
    assert done["sessions"] == 19
    found = check(scratch)
    assert (found["calls"], found["purged_calls"]) == (calls - done["calls"], done["calls"])
    assert usage(scratch, "day", "model", "project") == before
    assert json.loads(run(scratch, "sessions", "--json").stdout)["rows"] == json.loads(sessions)["rows"]
    fill(scratch.state, facts())  # the logs are read again
    assert usage(scratch, "day", "model", "project") == before
    check(scratch)
    assert run(scratch, "purge", "--before", "2026-11-01", "--yes").returncode == 3


def test_after_a_purge_every_report_still_tells_the_whole(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    before = {row["session"]: row for row in usage(scratch, "session")}
    run(scratch, "purge", "--before", "2026-11-01", "--yes")
    for by in (("session",), ("session", "model"), ("day", "session")):
        assert responses(usage(scratch, *by)) == responses(usage(scratch, "agent"))
    rows = {row["session"] for row in usage(scratch, "session")}
    assert rows - set(before) == {"(sums only)"}
    assert "s20" in set(before) - rows
    for words in (
        ("--from", "2026-09-01", "--until", "2026-11-21"),
        ("--from", "2026-10-11T14:00", "--until", "2026-10-12T14:00"),
    ):
        span = json.loads(run(scratch, "replay", *words, "--json").stdout)
        since, until = words[1], words[3]
        done = run(scratch, "usage", "--since", since, "--until", until, "--json")
        whole = json.loads(done.stdout)["totals"] if not done.returncode else {"responses": 0}
        assert sum(one["responses"] for one in span["sessions"]) == whole["responses"], words
    gone = json.loads(run(scratch, "session", "s20", "--json").stdout)
    assert (gone["cost_usd"], gone["tree"]["cost_usd"]) == (before["s20"]["cost_usd"],) * 2
    assert (gone["purged_calls"], gone["turns"]) == (before["s20"]["responses"], [])
    text = run(scratch, "session", "s20").stdout
    assert "known by their sum alone: in no turn" in text
    assert "cost     $0.00" not in text


def test_usage_says_what_of_a_cut_quarter_hour_it_cannot_tell(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    run(scratch, "purge", "--before", "2026-11-01", "--yes")
    with sqlite3.connect(scratch.state / "tokentop.db") as db:
        slot, calls, nusd = db.execute(
            "SELECT slot, sum(responses + unknown_calls), sum(cost_nusd) FROM purged_rollup GROUP BY slot ORDER BY slot LIMIT 1"
        ).fetchone()
    db.close()
    at = [datetime.fromtimestamp(slot * 900 + s, UTC).strftime("%Y-%m-%dT%H:%M") for s in (0, 300, 900)]
    told = {"left_out": {"calls": calls, "cost_usd": f"{nusd / 1e9:.9f}"}}
    for words in (
        ("usage",),
        ("usage", "--csv"),
        ("usage", "--md"),
        ("usage", "--cache"),
        ("usage", "--compare"),
    ):
        cut = run(scratch, *words, "--since", at[1])
        assert ("purged call" in cut.stderr, "purged call" in cut.stdout) == (True, False), words
        assert "purged call" not in run(scratch, *words, "--since", at[0], "--until", at[2]).stderr
    for words in (("usage",), ("usage", "--cache"), ("usage", "--compare")):
        found = json.loads(run(scratch, *words, "--since", at[1], "--json").stdout)
        assert {name: found.get(name) for name in told} == told, words
    assert "left_out" not in json.loads(run(scratch, "usage", "--since", at[0], "--json").stdout)


def test_a_session_that_goes_on_after_a_purge_is_counted_on(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    run(scratch, "purge", "--before", "2026-11-01", "--yes")
    (before,) = usage(scratch, "agent")
    more = Usage("claude", "s28", "s28:later", NOW, "claude-sonnet-4-5", Tokens(output=1000))
    fill(scratch.state, [*facts(), more])
    (after,) = usage(scratch, "agent")
    assert after["tokens"]["output"] == before["tokens"]["output"] + 1000
    check(scratch)


def test_a_damaged_store_keeps_the_sums_of_what_was_purged(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    before = usage(scratch, "day", "model", "project")
    run(scratch, "purge", "--before", "2026-11-01", "--yes")
    replace_damaged(scratch.state, NOW)
    assert usage(scratch, "day", "model", "project") == before
    check(scratch)


def test_a_session_with_a_running_total_and_a_log_keeps_its_calls(tmp_path: Path) -> None:
    fill(tmp_path, facts())
    connection = open_writer(tmp_path)
    (session,) = connection.execute("SELECT id FROM session WHERE sid = 's28'").fetchone()
    connection.execute("UPDATE session SET log_path = '/log' WHERE id = ?", (session,))
    connection.execute(
        "INSERT INTO running_total VALUES (?, 0, 'm', ?, 0, 1, 1, 1, 1, 1, 1, 1, '')", (session, NOW)
    )
    whole = purging.older_than(connection, NOW - 20 * DAY, exists=lambda _: False)
    some = purging.older_than(connection, NOW - 20 * DAY, exists=lambda path: path == "/log")
    connection.close()
    assert set(whole.sessions) - set(some.sessions) == {session}
    assert (whole.kept, some.kept) == (0, 1)


def test_of_a_forgotten_session_no_word_is_left_in_the_files(scratch: Scratch) -> None:
    fill(
        scratch.state,
        [*facts(count=4), Session("claude", "alone", title="glockenspiel", title_rank=1, branch="marimba")],
    )
    assert run(scratch, "sessions", "glockenspiel").returncode == 0
    done = run(scratch, "purge", "--session", "alone", "--yes")
    assert done.returncode == 0
    assert "receipts" in done.stdout
    assert run(scratch, "sessions", "glockenspiel").returncode == 3
    fill(scratch.state, [Session("claude", "alone", title="glockenspiel", title_rank=1, branch="marimba")])
    kept = bytes_in(scratch.state)
    assert b"glockenspiel" not in kept
    assert b"lockenspiel" not in kept
    assert b"marimba" not in kept
    assert CANARY.encode() in kept


def test_retention_purges_by_itself_and_says_so(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    before = usage(scratch, "agent")
    scratch.config.write_text("retention_days = 30\n")
    done = run(scratch, "doctor")
    assert "purged" not in done.stdout
    process = scratch.start("watch")
    try:
        wait_for(lambda: check(scratch)["purged_calls"] > 0)
    finally:
        process.kill()
        process.communicate()
    assert usage(scratch, "agent") == before
    assert "purged" in run(scratch, "doctor").stdout


# ------------------------------------------------------------ import


def test_an_import_brings_what_is_new_and_a_second_one_changes_nothing(
    scratch: Scratch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    fill(other, facts("b"))
    fill(scratch.state, facts("a"))
    first = json.loads(run(scratch, "import", str(other / FILE_NAME), "--json").stdout)
    assert first["new_calls"] > 0
    assert first["known_calls"] > 0
    both = tmp_path / "both"
    fill(both, [*facts("a"), *facts("b")])
    connection, wanted = sqlite3.connect(both / FILE_NAME), None
    wanted = connection.execute("SELECT sum(cost_nusd), sum(output), sum(logged_nusd) FROM rollup").fetchone()
    connection.close()
    assert sums(scratch) == wanted
    check(scratch)
    again = json.loads(run(scratch, "import", str(other / FILE_NAME), "--json").stdout)
    assert (again["new_calls"], again["known_calls"]) == (0, first["new_calls"] + first["known_calls"])
    assert sums(scratch) == wanted
    fill(scratch.state, facts("b"))  # its logs come here too
    assert sums(scratch) == wanted
    assert run(scratch, "sessions", "bs3").returncode == 0


def sums(scratch: Scratch) -> Any:
    connection = sqlite3.connect(scratch.database)
    try:
        return connection.execute(
            "SELECT sum(cost_nusd), sum(output), sum(logged_nusd) FROM rollup"
        ).fetchone()
    finally:
        connection.close()


def test_impossible_figures_of_another_database_are_left_out_and_said(
    scratch: Scratch, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    fill(other, facts("b", 6))
    fill(scratch.state, facts("a", 2))
    connection = sqlite3.connect(other / FILE_NAME)
    connection.execute("UPDATE event SET output = -5 WHERE id IN (SELECT min(id) FROM event)")
    connection.execute("UPDATE event SET cost_nusd = 'x' WHERE id IN (SELECT max(id) FROM event)")
    connection.commit()
    connection.close()
    assert json.loads(run(scratch, "import", str(other / FILE_NAME), "--json").stdout)["unusable_calls"] == 2
    check(scratch)


@pytest.mark.parametrize("content", [b"", b"{}", b"SQLite format 3\0" + b"x" * 5000, "empty"])
def test_what_is_no_database_of_tokentop_is_refused_in_one_line(
    scratch: Scratch, tmp_path: Path, content: bytes | str
) -> None:
    fill(scratch.state, facts("a", 2))
    path = tmp_path / "other.db"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        sqlite3.connect(path).execute("CREATE TABLE t (x)").connection.close()
    for words in (
        ("import", str(path)),
        ("import", str(tmp_path / "none")),
        ("import", str(scratch.database)),
    ):
        done = run(scratch, *words)
        assert done.returncode in (1, 2)
        assert done.stderr.count("\n") == 1, done.stderr


# ------------------------------------------------------------ db


def test_check_backup_and_compact(scratch: Scratch, tmp_path: Path) -> None:
    fill(scratch.state, facts())
    before = usage(scratch, "day")
    target = tmp_path / "backup.db"
    assert run(scratch, "db", "backup", str(target)).returncode == 0
    assert target.stat().st_mode & 0o777 == 0o600
    assert run(scratch, "db", "backup", str(target)).returncode == 2  # never over a file
    run(scratch, "purge", "--before", "tomorrow", "--yes")
    assert run(scratch, "db", "compact").returncode == 0
    assert check(scratch)["free_bytes"] == 0
    assert usage(scratch, "day") == before
    shutil.rmtree(scratch.state)
    scratch.state.mkdir(mode=0o700)
    assert run(scratch, "import", str(target)).returncode == 0
    assert usage(scratch, "day") == before


def test_a_running_tokentop_is_not_disturbed(scratch: Scratch, tmp_path: Path) -> None:
    """Check and backup work beside it; what has to write alone says so in one line."""
    fill(scratch.state, facts())
    process = scratch.start("watch")
    try:
        wait_for(
            lambda: (
                (scratch.state / "lock").exists() and (scratch.state / "lock").read_bytes() == b"collector\n"
            )
        )
        check(scratch)
        assert run(scratch, "db", "backup", str(tmp_path / "b.db")).returncode == 0
        looked = run(scratch, "purge", "--before", "2026-11-01", "--dry-run")
        assert (looked.returncode, looked.stderr) == (0, "")
        assert "would purge" in looked.stdout
        for words in (
            ("db", "compact"),
            ("purge", "--before", "2026-11-01", "--yes"),
            ("import", str(tmp_path / "b.db")),
        ):
            done = run(scratch, *words)
            assert done.returncode == 1
            assert "a running tokentop" in done.stderr
            assert done.stderr.count("\n") == 1
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def test_a_check_names_what_is_wrong(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    connection = sqlite3.connect(scratch.database)
    connection.execute(
        "UPDATE rollup SET cost_nusd = cost_nusd + 1 WHERE slot IN (SELECT max(slot) FROM rollup)"
    )
    connection.commit()
    connection.close()
    done = run(scratch, "db", "check")
    assert done.returncode == 1
    assert "cost_nusd" in done.stdout
    scratch.database.write_bytes(b"not a database" * 500)
    done = run(scratch, "db", "check")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "damaged" in done.stderr


@pytest.mark.parametrize(
    "words",
    [("db", "backup"), ("db", "check", "x"), ("db", "backup", "/nowhere/at/all/x.db"), ("purge",),
     ("purge", "--before", "never"), ("purge", "--before", "1d", "--session", "x")],
)  # fmt: skip
def test_wrong_use_is_one_line(scratch: Scratch, words: tuple[str, ...]) -> None:
    fill(scratch.state, facts(count=2))
    done = run(scratch, *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


def test_a_generated_history_is_sound(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    connection = sqlite3.connect(scratch.database)
    assert examine(connection, UTC).problems == ()
    connection.close()


def test_a_list_of_sessions_comes_in_by_its_sums_until_its_calls_are_read(
    scratch: Scratch, tmp_path: Path
) -> None:
    fill(scratch.state, facts("b"))
    (wanted,) = usage(scratch, "agent")
    path = tmp_path / "list.json"
    path.write_text(run(scratch, "sessions", "--json", "--limit", "999").stdout)
    part = tmp_path / "part.json"
    part.write_text(run(scratch, "sessions", "--json", "--limit", "5").stdout)
    assert "the list is not whole" in run(scratch, "import", str(part)).stdout
    shutil.rmtree(scratch.state)
    fill(scratch.state, facts("a", 8))
    (before,) = usage(scratch, "agent")
    first = json.loads(run(scratch, "import", str(path), "--json").stdout)
    assert first["known_calls"] > 0
    assert first["new_calls"] > 0
    assert not first["list_cut"]
    check(scratch)
    assert run(scratch, "sessions", "bs3").returncode == 0
    (after,) = usage(scratch, "agent")
    again = json.loads(run(scratch, "import", str(path), "--json").stdout)
    assert (again["new_calls"], again["known_calls"]) == (0, first["new_calls"] + first["known_calls"])
    assert usage(scratch, "agent") == [after]
    fill(scratch.state, facts("b"))  # its logs are read here: nothing is counted twice
    check(scratch)
    both = tmp_path / "both"
    fill(both, [*facts("a", 8), *facts("b")])
    connection = sqlite3.connect(both / FILE_NAME)
    whole = connection.execute("SELECT sum(responses), sum(cost_nusd), sum(output) FROM session").fetchone()
    connection.close()
    connection = sqlite3.connect(scratch.database)
    assert (
        connection.execute("SELECT sum(responses), sum(cost_nusd), sum(output) FROM session").fetchone()
        == whole
    )
    assert connection.execute("SELECT count(*) FROM imported_sum").fetchone() == (0,)
    connection.close()
    assert after["responses"] == before["responses"] + first["new_calls"]
    assert wanted["responses"] == first["new_calls"] + first["known_calls"]


def test_other_reports_are_refused_with_the_reason(scratch: Scratch, tmp_path: Path) -> None:
    fill(scratch.state, facts(count=2))
    path = tmp_path / "usage.json"
    path.write_text(run(scratch, "usage", "--json").stdout)
    done = run(scratch, "import", str(path))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1


def test_the_list_of_sessions_adds_up_to_usage(scratch: Scratch) -> None:
    fill(scratch.state, facts())
    rows = json.loads(run(scratch, "sessions", "--json", "--limit", "999").stdout)["rows"]
    assert sum(row["responses"] for row in rows) == sum(row["responses"] for row in usage(scratch, "agent"))
    assert sum(row["tokens"]["output"] for row in rows) == usage(scratch, "agent")[0]["tokens"]["output"]


def test_a_list_that_is_not_whole_says_so(scratch: Scratch) -> None:
    fill(scratch.state, facts(count=8))
    short = json.loads(run(scratch, "sessions", "--json", "--limit", "7").stdout)
    assert (len(short["rows"]), short["more"]) == (7, True)
    assert run(scratch, "sessions", "--limit", "7").stdout.endswith(
        "\nthe first 7; further ones with --limit 14\n"
    )
    whole = json.loads(run(scratch, "sessions", "--json", "--limit", "8").stdout)
    assert (len(whole["rows"]), whole["more"]) == (8, False)
    assert "further ones" not in run(scratch, "sessions", "--limit", "8").stdout
