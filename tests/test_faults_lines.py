"""Hostile lines. Cases T2, T4-T8, T24 and T30 of the fault catalogue."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokentop.ledger import Ledger, prices
from tokentop.settings.config import Settings

from .faults import BASE_MS, Scratch, audit, audit_file, dumps, filler, kinds, line, read, record

TABLE = prices(Settings())


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(tmp_path)


GIANT = """
import sys
from tokentop.cli import main
status = main(["sync"])
print(*[line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")])
sys.exit(status)
"""


@pytest.mark.parametrize("needle", [False, True])
def test_a_line_of_100_mb_is_passed_over_in_bounded_memory(scratch: Scratch, needle: bool) -> None:
    """T5: without a needle no growth and no diagnostic, with one `oversize`; the next line counts."""
    if not Path("/proc/self/status").exists():
        pytest.skip("there is no /proc here: NO MEMORY MEASURED")
    path = scratch.log([line(1), line(2)])
    with path.open("ab") as file:
        file.write(b'{"type":"attachment","content":"')
        for _ in range(100):
            file.write(b"x" * (1 << 20))
        file.write(b'","input_tokens":1}\n' if needle else b'"}\n')
        file.write(line(3))
    done = subprocess.run(
        [sys.executable, "-c", GIANT], env=scratch.environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 75 << 10, "kB of memory at most"
    assert scratch.totals()["responses"] == 3
    assert kinds(scratch) == ({"oversize": 1} if needle else {})


def test_a_usage_line_of_25_mb_is_counted(scratch: Scratch) -> None:
    """Case 2 of reading."""
    big = record(2) | {"toolUseResult": "y" * (25 << 20)}
    scratch.log([line(1), filler(25 << 20), dumps(big), line(3)])
    assert scratch.totals()["responses"] == 3
    assert kinds(scratch) == {}


def nested(depth: int) -> bytes:
    return dumps(record(7))[:-2] + b',"deep":' + b"[" * depth + b"]" * depth + b"}\n"


@pytest.mark.parametrize(
    ("bad", "counted", "diagnostic"),
    [
        (nested(100_000), 0, "unparsed"),
        (nested(500), 1, ""),
        (b'{"type":"assistant","message":{"usage":{"input_tokens":1}}\n', 0, "unparsed"),
        (b'["usage",{"input_tokens":5}]\n', 0, "unparsed"),
        (b'{"type":"assistant","input_tokens":1,"message":{"usage":3}}\n', 0, "unparsed"),
        (b'{"type":"assistant","input_tokens":1,"message":["usage"]}\n', 0, ""),
        (b'null "input_tokens"\n', 0, "unparsed"),
        (b"\0" * 5000 + line(7), 1, ""),
        (b"\xef\xbb\xbf" + line(7), 1, ""),
        (line(7)[:-1] + b"\r\n", 1, ""),
        (line(7).replace(b"end_turn", b"\xff\xfe\x80"), 1, ""),
        (line(7).replace(b"/home/me", b"/home/\xff"), 1, ""),
        (line(7).replace(b"u-7", b"u\\ud83d-7"), 1, ""),
        (line(7).replace(b"harbour", b"\\ud83d"), 1, ""),
        (line(7).replace(b"harbour", b"a\x01\x1b[2Jb"), 1, ""),
        (line(7).replace(b'"uuid"', b'"x":NaN,"y":1e400,"z":-Infinity,"uuid"'), 1, ""),
        (line(7).replace(b'"uuid"', b'"x":' + b"9" * 5000 + b',"uuid"'), 1, ""),
        (line(7).replace(b'"uuid"', b'"x":"a\xe2\x80\xa8b","uuid"'), 1, ""),
        (line(7).replace(b'"type":"assistant",', b'"type":"from-the-future",'), 0, ""),
        (line(7).replace(b'"usage":{', b'"usage":{"input_tokens":4,"input_tokens":3,"n":{"a":[1]},'), 1, ""),
        (dumps({"type": "user", "message": {"content": json.dumps(record(9))}, "sessionId": "s-1"}), 0, ""),
    ],
    ids=["100,000 deep", "500 deep", "torn for ever", "a list", "usage is a number", "message is a list",
         "no JSON", "NULs", "BOM", "CRLF", "bytes that are no text",
         "bytes in a path", "half an emoji", "half an emoji as project", "control characters", "NaN and infinity",
         "5,000 digits", "U+2028", "unknown type", "key twice", "quoted usage"],
)  # fmt: skip
def test_a_strange_line_between_two_good_ones(
    scratch: Scratch, bad: bytes, counted: int, diagnostic: str
) -> None:
    """T4, T6, T8, T24 and cases 3-7 of reading: it counts, or it is a named diagnostic, or it is none of ours."""
    scratch.log([line(1), bad, line(2)])
    totals = scratch.totals()
    assert totals["responses"] == 2 + counted
    assert totals["tokens"]["output"] == 7 * (2 + counted)
    assert kinds(scratch) == ({diagnostic: 1} if diagnostic else {})
    audit_file(scratch.database)


def test_a_log_in_utf_16_is_named(scratch: Scratch) -> None:
    """T4: nothing of it can be counted, and that is said."""
    scratch.log([line(1)])
    (scratch.project / "s-2.jsonl").write_text(line(2).decode(), "utf-16")
    assert scratch.totals()["responses"] == 1
    assert kinds(scratch)["not-utf8"] == 1


def test_a_line_glued_to_a_torn_one_is_counted(scratch: Scratch) -> None:
    """T2: the writer died inside a line and its successor went on behind it."""
    scratch.log([line(1), line(2)[:150] + line(3), line(4)])
    assert scratch.totals()["responses"] == 3
    assert kinds(scratch) == {"unparsed": 1}


NUMBERS = [-1, -(2**63), 2**40 + 1, 2**63, 2**64, 10**30, 1.5, True, False, "x", "-3", [], {}, "9" * 40]


@pytest.mark.parametrize(
    "bucket", ["input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"]
)
def test_impossible_counts_change_no_total_and_are_named(scratch: Scratch, bucket: str) -> None:
    """T7: the response stays, the field counts 0, a diagnostic says so."""
    lines = []
    for number, value in enumerate(NUMBERS):
        one = record(number)
        one["message"]["usage"][bucket] = value
        lines.append(dumps(one))
    good = record(100)
    good["message"]["usage"] = {"input_tokens": 5.0, "output_tokens": "7", "cache_read_input_tokens": None}
    scratch.log([*lines, dumps(good)])
    totals = scratch.totals()
    field = {"input_tokens": "input", "output_tokens": "output", "cache_creation_input_tokens": "cache_write_5m",
             "cache_read_input_tokens": "cache_read"}[bucket]  # fmt: skip
    usual = {"input": 3, "cache_read": 100, "cache_write_5m": 20, "output": 7}
    lone = {"input": 5, "output": 7}
    assert totals["responses"] == len(NUMBERS) + 1
    for name, value in usual.items():
        assert totals["tokens"][name] == (0 if name == field else value * len(NUMBERS)) + lone.get(name, 0)
    assert kinds(scratch)["bad-number"] == len(NUMBERS)
    audit_file(scratch.database)


def test_counts_at_the_bound_do_not_overflow_the_sums(scratch: Scratch) -> None:
    """T7, M6: forged counts within the bounds; the money of such a response is not believed."""
    lines = []
    for number in range(300):
        one = record(number, session=f"s-{number % 3}")
        one["message"]["usage"] = {
            "input_tokens": 2**40,
            "output_tokens": 2**40,
            "server_tool_use": {"web_search_requests": 2**40},
        }
        lines.append(dumps(one))
    scratch.log([*lines, line(1000)])
    totals = scratch.totals()
    assert totals["responses"] == 301
    assert totals["tokens"]["output"] == 300 * 2**40 + 7
    assert totals["unpriced_tokens"] == 600 * 2**40
    assert totals["cost_usd"] == "0.000219000"
    assert scratch.run("--once").returncode == 0
    audit_file(scratch.database)


@pytest.mark.parametrize(
    "when", ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", None, "", "soon", "99999999999999999999",
             "2026-13-45T99:99:99Z"],
)  # fmt: skip
def test_an_unusable_time_is_unknown_and_the_tokens_count(scratch: Scratch, when: str | None) -> None:
    """T30: it takes the time of its log so far, else it is unknown; never a day of 1970, and nothing raises."""
    scratch.log([line(1), dumps(record(3) | {"timestamp": when})])
    scratch.log([dumps(record(2, session="s-2") | {"timestamp": when})], "s-2.jsonl")
    for by in ("day", "hour"):
        document = json.loads(scratch.run("usage", "--json", "--by", by).stdout)
        found = {row[by]: row["responses"] for row in document["rows"]}
        assert found.pop("unknown") == 1
        assert list(found.values()) == [2]
    for verb in ("--once", "sessions", "forecast"):
        assert scratch.run(verb).returncode == 0
    assert scratch.run("session", "s-2").returncode == 0


NAMES = ["usage", "message", "type", "id", "input_tokens", "output_tokens", "cache_creation", "iterations", "model",
         "timestamp", "sessionId", "payload", "info", "total_token_usage", "last_token_usage", "rate_limits", "primary",
         "used_percent", "resets_at", "modelUsage", "costUSD", "startTime", "content", "text", "tool_use", "name"]  # fmt: skip
TYPES = ["assistant", "user", "system", "cost-state", "api-request", "custom-title", "summary", "event_msg",
         "token_usage_record", "turn_context", "session_meta", "response_item"]  # fmt: skip
FIELDS = ["message", "payload", "timestamp", "sessionId", "requestId", "uuid", "cwd", "modelUsage", "startTime",
          "customTitle", "id", "params", "error", "subtype", "agentId", "isSidechain", "requestSessionId", "ordinal"]  # fmt: skip
any_text = st.text(st.characters(exclude_categories=()), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
hostile_lines = st.lists(
    st.tuples(st.sampled_from(TYPES), st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=5)),
    max_size=6,
)


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(hostile_lines, st.binary(max_size=60))
def test_no_line_can_stop_the_reading(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, dict[str, object]]], noise: bytes
) -> None:
    """T8, T24: any JSON of the right types in both agents' logs, and noise: the good lines are counted."""
    home = Scratch(tmp_path_factory.mktemp("any"))
    body = b"".join(
        json.dumps(
            {"type": kind, "tokens": 0, "message": {"usage": rest.get("payload")}, "t": {"token_": 1}} | rest
        ).encode()
        + b"\n"
        for kind, rest in lines
    )
    hostile = [body, noise.replace(b"\n", b" ") + b' "input_tokens" \n']
    home.log([line(900_001), *hostile, line(900_002)])
    codex = home.home / ".codex" / "sessions" / "2026"
    codex.mkdir(parents=True)
    (codex / "rollout-2026-11-21T15-05-00-01a2007e-c7ba-7823-a1e5-3b561aa7248b.jsonl").write_bytes(
        b"".join(hostile)
    )
    ledger = Ledger(home.state, home.environ(), Settings(), now_ms=BASE_MS, live=True, table=TABLE)
    try:
        read(ledger, 0.0)
        ledger.settle(1 << 62)
        audit(ledger.db)
        ids = "SELECT count(*) FROM event WHERE output=7 AND input=3 AND cache_read=100"
        assert ledger.db.execute(ids).fetchone()[0] >= 2
        assert not [d for d in ledger.health() if d.kind in ("bad-value", "unreadable", "failed-line")]
    finally:
        ledger.close()
