"""The command line as a contract: verbs, exit status, one line of complaint, one JSON document, nothing else."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokentop.report.out import fitted_table, short_ids
from tokentop.report.usage import disarm
from tokentop.text import cell_len

from .faults import Scratch, line, one_line, record

DAY = "2026-11-21"


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    home = Scratch(tmp_path)
    home.log(line(n) for n in range(12))
    home.log((line(n, session="s-2", cwd="/home/me/web") for n in range(12, 15)), "s-2.jsonl")
    return home


READS = [
    (("--json",), "tokentop.snapshot/1"),
    (("usage", "--json"), "tokentop.usage/1"),
    (("usage", "--by", "day", "--by", "project", "--json"), "tokentop.usage/1"),
    (("sync", "--json"), "tokentop.sync/1"),
    (("sessions", "--json"), "tokentop.sessions/1"),
    (("session", "s-1", "--json"), "tokentop.session/1"),
    (("forecast", "--json"), "tokentop.forecast/1"),
    (("forecast", "--backtest", "--json"), "tokentop.backtest/1"),
    (("doctor", "--json"), "tokentop.doctor/1"),
    (("demo", "--json"), "tokentop.snapshot/1"),
]


@pytest.mark.parametrize(("arguments", "schema"), READS, ids=[" ".join(a) for a, _ in READS])
def test_json_is_one_document_and_nothing_else(
    scratch: Scratch, arguments: tuple[str, ...], schema: str
) -> None:
    done = scratch.run(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["schema"] == schema


@pytest.mark.parametrize(
    "arguments",
    [("--once",), (), ("usage",), ("usage", "--csv"), ("sync",), ("sessions",), ("sessions", "harbour"), ("session", "s-2"),
     ("forecast",), ("prices",), ("prices", "claude-sonnet-4-5"), ("doctor",), ("demo", "--once"), ("--version",),
     ("--help",), ("usage", "--help")],
    ids=" ".join,
)  # fmt: skip
def test_every_verb_prints_text_without_colours_and_exits_0(
    scratch: Scratch, arguments: tuple[str, ...]
) -> None:
    done = scratch.run(*arguments, env={"NO_COLOR": "1"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    assert "\x1b" not in done.stdout


def test_usage_document_holds_what_the_contract_names(scratch: Scratch) -> None:
    found = json.loads(scratch.run("usage", "--json", "--by", "agent").stdout)
    assert list(found) == ["schema", "generated_at", "since", "until", "by", "rows", "totals", "health"]
    tokens = {
        "input": 45, "cache_read": 1500, "cache_write_5m": 300, "cache_write_1h": 0, "output": 105, "reasoning": 0
    }  # fmt: skip
    nusd = 45 * 3000 + 1500 * 300 + 300 * 3750 + 105 * 15_000
    assert found["rows"] == [
        {"agent": "claude", "responses": 15, "tokens": tokens, "cost_usd": f"{nusd / 1e9:.9f}",
         "logged_cost_usd": None, "unpriced_tokens": 0}
    ]  # fmt: skip
    assert found["totals"]["tokens"] == tokens
    size = sum(path.stat().st_size for path in scratch.project.iterdir())
    assert found["health"] == {"files": 2, "bytes": size, "unparsed_lines": 0, "duplicates": 0, "errors": []}


WRONG = [
    (("--nonsense",), "--nonsense"),
    (("nonsense",), "nonsense"),
    (("usage", "--jso"), "--jso"),
    (("usage", "--by", "colour"), "choose from day"),
    (("usage", "--since", "soon"), "is not a time"),
    (("usage", "--since", "2026-13-01"), "is not a time"),
    (("usage", "--until", "9999-12-31"), "too far away"),
    (("usage", "--since", "999999w", "--json"), "too far away"),
    (("usage", "--since", DAY, "--until", "2026-11-01"), "is not before"),
    (("usage", "--agent", "nobody"), "no such agent"),
    (("usage", "--json", "--csv"), "not allowed with"),
    (("sessions", "--limit", "0"), "--limit"),
    (("sessions", "--limit", "many"), "--limit"),
    (("session",), "ID"),
    (("kill",), "TARGET"),
    (("kill", "x"), "too short"),
    (("demo", "--seed", "x"), "--seed"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_use_is_status_2_and_one_line(scratch: Scratch, arguments: tuple[str, ...], words: str) -> None:
    done = scratch.run(*arguments)
    assert done.returncode == 2
    assert words in one_line(done)
    assert done.stdout == ""


NOTHING = [
    ("usage", "--project", "nowhere"), ("usage", "--since", "2020-01-01", "--until", "2020-01-02", "--json"),
    ("sessions", "no such words"), ("session", "feedbeef"), ("prices", "no-such-model-at-all"),
    ("kill", "feedbeef", "--yes"),
]  # fmt: skip


@pytest.mark.parametrize("arguments", NOTHING, ids=" ".join)
def test_nothing_matched_is_status_3_and_one_line(scratch: Scratch, arguments: tuple[str, ...]) -> None:
    done = scratch.run(*arguments)
    assert done.returncode == 3
    one_line(done)
    if "--json" in arguments:
        assert json.loads(done.stdout)["rows"] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [('colour = "red"\n', ("line 1", "colour")), ("titles = true\n\nrefresh_s = 99\n", ("line 3", "refresh_s")),
     ("titles = [\n", ("line",)), (b"\xff\xfe", ("line 1", "UTF-8"))],
)  # fmt: skip
def test_broken_settings_are_status_2_with_line_and_key(
    scratch: Scratch, text: str | bytes, words: tuple[str, ...]
) -> None:
    scratch.config.write_bytes(text.encode() if isinstance(text, str) else text)
    for verb in ("usage", "--once", "sync"):
        done = scratch.run(verb)
        assert done.returncode == 2
        complaint = one_line(done)
        assert str(scratch.config) in complaint
        assert all(word in complaint for word in words)


def test_spans_of_time_cut_exactly(scratch: Scratch) -> None:
    """Times inside a quarter of an hour are exact, a day as the end means to its end."""
    by_hand = {("--since", f"{DAY}T15:05:03"): 12, ("--until", f"{DAY}T15:05:03"): 3, ("--since", DAY): 15,
               ("--until", DAY): 15}  # fmt: skip
    for span, responses in by_hand.items():
        assert scratch.totals(*span)["responses"] == responses
    assert scratch.totals("--since", f"{DAY}T15:05:02", "--until", f"{DAY}T15:05:04")["responses"] == 2


def test_a_csv_cannot_run_a_formula(scratch: Scratch) -> None:
    """Case N7: names from logs are text in a spreadsheet, figures stay figures."""
    for number, name in enumerate(["=cmd|'/C calc'!A0", "@SUM(A1)", "+1", "-2+3"]):
        scratch.log([line(100 + number, session=f"f-{number}", cwd=f"/home/me/{name}")], f"f-{number}.jsonl")
    scratch.log(
        [
            json.dumps(
                record(200, session="f-9") | {"message": record(200)["message"] | {"model": "=1+1"}}
            ).encode()
            + b"\n"
        ],
        "f-9.jsonl",
    )
    done = scratch.run("usage", "--csv", "--by", "project,model")
    rows = list(csv.reader(io.StringIO(done.stdout)))
    assert rows[0][:3] == ["project", "model", "responses"]
    assert {"'@SUM(A1)", "'+1", "'-2+3"} <= {row[0] for row in rows}
    assert not [cell for row in rows[1:] for cell in row[:2] if cell[:1] in tuple("=+-@\t\r")]
    assert all(row[2].isdigit() for row in rows[1:])
    assert disarm("\tx") == "'\tx"


HEAVY = ("textual", "rich", "httpx", "sqlite_utils", "psutil", "asyncio")


@pytest.mark.parametrize(
    "arguments", [("usage", "--json"), ("sync",), ("sessions",), ("doctor",)], ids=" ".join
)
def test_a_report_imports_nothing_heavy(scratch: Scratch, arguments: tuple[str, ...]) -> None:
    script = (
        "import sys; from tokentop.cli import main; status = main(sys.argv[1:]);"
        f" print([n for n in {HEAVY!r} if n in sys.modules], file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=scratch.environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")


def tree(root: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(root)): (path.lstat().st_size, path.lstat().st_mtime_ns)
        for path in root.rglob("*") if not path.is_dir()
    }  # fmt: skip


def test_nothing_is_written_below_home_but_in_the_state_directory(scratch: Scratch) -> None:
    before = tree(scratch.home)
    for arguments in [
        ("usage",),
        ("sync",),
        ("sessions",),
        ("doctor",),
        ("--once",),
        ("forecast",),
        ("demo", "--once"),
    ]:
        assert scratch.run(*arguments).returncode == 0
    assert tree(scratch.home) == before
    done = scratch.run("usage", env={"TOKENTOP_STATE_DIR": None, "XDG_STATE_HOME": None})
    assert done.returncode == 0
    new = {name for name in tree(scratch.home) if name not in before}
    assert new
    assert all(name.startswith(".local/state/tokentop/") for name in new)


def test_a_reader_that_leaves_early_is_no_error(scratch: Scratch) -> None:
    for arguments in (["usage"], ["usage", "--json"], ["sessions"], ["doctor"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [sys.executable, "-m", "tokentop", *arguments], env=scratch.environ(), stdout=writing,
            stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, "")


def test_output_that_cannot_be_written_is_status_1(scratch: Scratch) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    for arguments in (["usage"], ["usage", "--json"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "tokentop", *arguments], env=scratch.environ(), stdout=full,
                stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert done.returncode == 1
        one_line(done)


def test_a_terminal_that_knows_ascii_only_gets_replacements(scratch: Scratch) -> None:
    scratch.log([line(50, session="s-5", cwd="/home/me/größe…")], "s-5.jsonl")
    done = scratch.run("usage", "--by", "project", env={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "gr??e?" in done.stdout


def test_a_time_zone_that_is_not_known_is_said_once_beside_the_report(scratch: Scratch) -> None:
    said = "TZ=Mars/Olympus is no time zone that is known here: days and times are in UTC"
    for arguments in (("usage",), ("usage", "--json"), ("today",), ("doctor",)):
        done = scratch.run(*arguments, env={"TZ": "Mars/Olympus"})
        assert done.returncode == 0
        assert done.stderr.startswith(f"tokentop: {said}\n")
        assert done.stderr.count(said) == 1
    assert f"note         {said}" in done.stdout
    health = json.loads(scratch.run("--json", env={"TZ": "Mars/Olympus"}).stdout)["health"]
    assert said in json.dumps(health)
    assert said in scratch.run("--once", env={"TZ": "Mars/Olympus"}).stdout


def test_an_empty_home_says_where_it_looked(tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    home.project.rmdir()
    done = home.run("usage")
    assert (done.returncode, done.stderr) == (0, "")
    assert "doctor" in done.stdout
    assert home.run("sessions").returncode == 3
    assert f"{home.home / '.codex'}" in home.run("doctor").stdout


def test_without_history_and_spend_nothing_is_projected(tmp_path: Path) -> None:
    """Not known is not $0.00."""
    shown = Scratch(tmp_path).run("forecast").stdout
    assert "no projection yet" in shown
    assert "projected" not in shown
    assert "interval" not in shown


def test_nothing_is_read_from_the_current_directory(scratch: Scratch) -> None:
    (scratch.home / "config.toml").write_text("nonsense = 1\n")
    (scratch.home / "tokentop.py").write_text("raise SystemExit(9)\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tokentop", "usage"], env=scratch.environ(), cwd=scratch.home,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [("usage", "--by", "day,agent,model"), ("usage", "--by", "session"), ("usage", "--cache"), ("sessions",), ("today",),
     ("session", "s-1"), ("outcome", "--since", "2026-01-01"), ("outcome", "--since", "2026-01-01", "--by", "session"),
     ("replay",), ("replay", "--from", "2026-01-01", "--until", "0m")],
    ids=" ".join,
)  # fmt: skip
def test_a_report_stays_within_the_terminal(scratch: Scratch, arguments: tuple[str, ...]) -> None:
    for cells in (80, 132):
        done = scratch.run(*arguments, env={"COLUMNS": str(cells)})
        assert done.returncode == 0, done.stderr
        assert max(map(cell_len, done.stdout.splitlines())) <= cells


def test_a_table_that_is_too_wide_is_cut_thinned_and_stacked_in_this_order() -> None:
    heads = ["AGENT", "TITLE", "IN", "OUT", "COST"]
    rows = [
        ["claude", "fix the flaky retry test", "1,000", "2,000", "$3.00"],
        ["codex", "漢字の題名", "1", "2", "≥$4.00"],
    ]

    def fitted(cells: int) -> list[str]:
        return fitted_table(heads, rows, 2, cells, least={"TITLE": 8}, drop=("IN",)).splitlines()

    assert "fix the flaky retry test" in fitted(100)[1]
    for cells in (100, 50, 40, 34, 20):
        assert max(map(cell_len, fitted(cells))) <= cells
    assert " IN" in fitted(40)[0]
    assert " IN" not in fitted(34)[0]
    stacked = fitted(20)
    first = [row.split()[0] for row in stacked if row]
    assert first == ["AGENT", "claude", "codex"] * (stacked.count("") + 1)
    assert "$3.00" in "".join(stacked)


def test_a_stacked_table_names_its_rows_in_each_part() -> None:
    heads = ["DAY", "MODEL", "INPUT", "COST"]
    rows = [
        ["2026-11-20", "opus", "1,000,000,000", "$3.00"],
        ["2026-11-20", "haiku", "2,000", "$4.00"],
        ["total", "", "", ""],
    ]
    stacked = fitted_table(heads, rows, 2, 36, least={}).split("\n\n")
    assert [part.splitlines()[1].split()[:2] for part in stacked] == [["2026-11-20", "opus"]] * len(stacked)
    assert len(stacked) == 2


def test_session_ids_are_shown_as_far_as_tells_them_apart() -> None:
    ids = ["01a1ffda-1627", "01a1ffda-b5ab", "01a1ffda-b5ab/agent-1", "76253fbd-4017", "s"]
    assert list(short_ids(ids).values()) == ["01a1ffda-1", "01a1ffda-b", "01a1ffda-b", "76253fbd", "s"]
