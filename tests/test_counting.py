"""Conformance of reading: torn, damaged, giant, replaced and moved files, places and times."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents import build_claude, build_codex
from tests.agents.build_claude import FOLDER, Transcript
from tests.agents.build_codex import Rollout
from tests.agents.harness import NOW_MS, Event, Scratch, kinds, picture, scratch
from tokentop.agents import all_agents
from tokentop.nouns.usage import Tokens

A, B = (f"{digit * 8}-1111-4111-8111-111111111111" for digit in "ab")


def claude(calls: int, words: str = "Done.") -> tuple[str, bytes]:
    """(path, bytes) of a log with so many calls; the n-th has n tokens of output."""
    log = Transcript(A)
    log.user("fix the test")
    for number in range(1, calls + 1):
        log.reply(f"msg_{number}", build_claude.usage(output=number), build_claude.text(words))
    return log.path, log.bytes()


def codex(calls: int, words: str = "Done.") -> tuple[str, bytes]:
    log = Rollout(1)
    log.model()
    for number in range(1, calls + 1):
        log.prompt(words, role="assistant")
        log.both(f"resp_{number}", build_codex.counts(output=number))
    return log.path, log.bytes()


Maker = Callable[..., tuple[str, bytes]]
BOTH = pytest.mark.parametrize("make", [claude, codex])


@pytest.fixture
def home() -> Iterator[Scratch]:
    with scratch() as found:
        yield found


def outputs(events: tuple[Event, ...]) -> list[int]:
    return sorted(event.tokens.output for event in events)


# ---------------------------------------------------------------- lines


@BOTH
def test_a_line_torn_inside_a_character_counts_once_when_it_is_whole(home: Scratch, make: Maker) -> None:
    """Conformance 1."""
    path, data = make(2, "äöü € 🚀")
    cut = data.rindex("🚀".encode()) + 2
    if make is codex:
        cut = data.rindex(b"token_usage_record")
    home.write(path, data[:cut])
    assert outputs(home.read().events) == [1]
    assert home.health().get("unparsed") is None
    home.append(path, data[cut:])
    assert outputs(home.read().events) == [1, 2]


@BOTH
def test_a_log_without_a_newline_at_its_end_waits_for_it(home: Scratch, make: Maker) -> None:
    """Conformance 1."""
    path, data = make(1)
    record = (
        data.rindex(b"\n", 0, len(data) - 1)
        if make is claude
        else data.index(b"\n", data.index(b"resp_1")) - 1
    )
    home.write(path, data[: len(data) - 1 if make is claude else record + 1])
    assert home.read().events == ()
    home.write(path, data)
    assert outputs(home.read().events) == [1]


_GIANT = 25 << 20


@BOTH
def test_a_giant_line_before_a_usage_line_is_passed_over_in_bounded_memory(
    home: Scratch, make: Maker
) -> None:
    """Conformance 2."""
    path, data = make(2)
    last = data.rindex(b"\n", 0, data.index(b"msg_2" if make is claude else b"resp_2")) + 1
    home.write(path, data[:last])
    with (home.home / path).open("ab") as file:
        file.write(b'{"type":"attachment","image":"')
        for _ in range(_GIANT >> 20):
            file.write(b"iVBORw0K" * (1 << 17))
        file.write(b'"}\n' + data[last:])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert outputs(home.read().events) == [1, 2]
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < (_GIANT >> 10 if sys.platform == "linux" else _GIANT)


def test_a_giant_line_that_holds_usage_itself_is_counted(home: Scratch) -> None:
    """Conformance 2: a tool call with a large input."""
    path, data = claude(2, "x" * (3 << 20))
    home.write(path, data)
    assert outputs(home.read().events) == [1, 2]


@BOTH
def test_nuls_before_a_line_are_stripped_and_the_line_counts(home: Scratch, make: Maker) -> None:
    """Conformance 3."""
    path, data = make(3)
    lines = data.splitlines(keepends=True)
    home.write(path, b"".join(b"\0" * 50 + line for line in lines))
    assert outputs(home.read().events) == [1, 2, 3]
    assert home.health().get("unparsed") is None


@BOTH
@pytest.mark.parametrize(
    "bad",
    [
        b'{"type":"assistant","message":{"usage":{"input_tokens":1',
        b'"token_count" tokens" }{',
        b'\xff\xfe tokens" "token_count"',
    ],
)
def test_an_unreadable_line_between_two_good_ones_is_reported_once(
    home: Scratch, make: Maker, bad: bytes
) -> None:
    """Conformance 4."""
    path, data = make(2)
    at = data.rindex(b"\n", 0, data.index(b"msg_2" if make is claude else b"resp_2")) + 1
    bad = bad.replace(b'"input_tokens"', b'"token_count":1,"input_tokens"')
    home.write(path, data[:at] + bad + b"\n" + data[at:])
    document = home.run("usage")
    assert document["totals"]["responses"] == 2
    assert document["health"]["unparsed_lines"] == 1
    assert home.run("usage")["health"]["unparsed_lines"] == 1


@BOTH
def test_a_lone_surrogate_does_not_lose_the_line(home: Scratch, make: Maker) -> None:
    """Conformance 4: a string that was cut inside an emoji."""
    path, data = make(1)
    broken = data.replace(b'"main"', b'"ma\\ud83d"')
    assert broken != data
    home.write(path, broken)
    assert outputs(home.read().events) == [1]
    assert home.health().get("unparsed") is None


def test_a_lone_surrogate_in_a_forks_copy_does_not_make_it_the_forks_own(home: Scratch) -> None:
    log = Transcript(A)
    log.reply("msg_1", None, request=None)
    fork = log.fork(B)
    fork.reply("msg_2")
    home.write(fork.path, fork.bytes().replace(b'"Done."', b'"Done \\ud83d"', 1))
    assert {event.session for event in home.read().events} == {A, B}


@BOTH
def test_a_record_without_a_usable_time_bears_that_of_the_line_before(home: Scratch, make: Maker) -> None:
    path, data = make(2)
    lines = [json.loads(line) for line in data.splitlines()]
    for line in lines:
        if "msg_2" in json.dumps(line) or "resp_2" in json.dumps(line):
            line["timestamp"] = "soon"
    home.write(path, b"".join(map(build_claude.dumps, lines)))
    first, second = home.read().events
    assert first.at_ms <= second.at_ms <= first.at_ms + 5000


@BOTH
def test_null_counts_are_zero(home: Scratch, make: Maker) -> None:
    """Conformance 5."""
    path, data = make(1)

    def nulled(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: None if k.endswith("_tokens") and k != "output_tokens" else nulled(v)
                for k, v in value.items()
            }
        return value

    home.write(path, b"".join(build_claude.dumps(nulled(json.loads(line))) for line in data.splitlines()))
    assert home.read().one.tokens == Tokens(output=1)


@BOTH
@pytest.mark.parametrize("bad", [-5, 1 << 70, 1.5, "many", "12e3", True, [1], {"n": 1}, 1e300])
def test_a_count_that_is_none_is_zero_and_reported_and_the_rest_counts(
    home: Scratch, make: Maker, bad: Any
) -> None:
    path, data = make(1)

    def spoiled(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: bad if k == "output_tokens" else spoiled(v) for k, v in value.items()}
        return value

    home.write(path, b"".join(build_claude.dumps(spoiled(json.loads(line))) for line in data.splitlines()))
    tokens = home.read().one.tokens
    assert tokens.output == 0
    assert tokens.prompt == (1203 if make is claude else 500)
    assert home.health()["bad-number"] >= 1


@BOTH
def test_usage_that_is_quoted_in_text_is_not_counted(home: Scratch, make: Maker) -> None:
    """Conformance 7."""
    quoted = make(1)[1].decode()
    path, data = make(2, quoted)
    log = Transcript(B)
    log.user(quoted)
    log.user(
        [{"type": "tool_result", "tool_use_id": "t", "content": quoted}], toolUseResult={"stdout": quoted}
    )
    for record in list(log.records):
        record["toolUseResult"] = {
            "usage": build_claude.usage(),
            "message": json.loads(quoted.splitlines()[-1]),
        }
    home.write(path, data)
    home.write(log.path, log.bytes())
    rollout = Rollout(7)
    rollout.prompt(quoted)
    rollout.add("response_item", {"type": "function_call_output", "call_id": "c", "output": quoted})
    home.write(rollout.path, rollout.bytes())
    assert outputs(home.read().events) == [1, 2]


# ---------------------------------------------------------------- files


@BOTH
def test_a_file_that_is_replaced_is_not_counted_twice(home: Scratch, make: Maker) -> None:
    """Conformance 8."""
    path, data = make(4)
    home.write(path, data)
    home.read()
    for bigger in (False, True):
        other = home.write(path + ".tmp", make(5)[1] if bigger else data)
        other.rename(home.home / path)
        assert outputs(home.read().events) == [1, 2, 3, 4, *([5] if bigger else [])]


@BOTH
def test_a_file_that_is_truncated_and_written_anew_keeps_its_totals(home: Scratch, make: Maker) -> None:
    """Conformance 8."""
    path, data = make(4)
    home.write(path, data)
    with home.ledger(live=True) as ledger:
        ledger.catch_up(0.0, 1 << 61)
        for size in (0, len(data) // 2, len(data)):
            with (home.home / path).open("r+b") as file:
                file.truncate(0)
                file.write(data[:size])
            ledger.catch_up(1.0, 1 << 61)
            assert outputs(picture(ledger.db).events) == [1, 2, 3, 4]


@BOTH
def test_a_file_that_grows_between_two_slices_is_completed(home: Scratch, make: Maker) -> None:
    """Conformance 8."""
    path, data = make(400)
    half = len(data) // 2
    home.write(path, data[:half])
    with home.ledger(live=True) as ledger:
        ledger.follower.walk(0.0, 1 << 61)
        ledger.step(0.0, 0)
        home.append(path, data[half:])
        ledger.catch_up(1.0, 1 << 61)
        assert outputs(picture(ledger.db).events) == list(range(1, 401))


def test_a_small_file_that_is_caught_half_written_is_read_when_it_is_whole(home: Scratch) -> None:
    """Conformance 9: the description beside a sub-agent is rewritten in place."""
    log, child = Transcript(A), Transcript(A, agent="aaaa1111")
    log.reply("msg_1")
    child.reply("msg_2")
    path, about = build_claude.sub_agent(A, "aaaa1111")
    for part in (log, child):
        home.write(part.path, part.bytes())
    home.write(path, about)
    before = home.read().sessions[f"{A}/aaaa1111"]
    assert before.title == "general-purpose: look around"
    home.write(path, about[:20])
    assert home.read().sessions[f"{A}/aaaa1111"] == before
    home.write(path, about.replace("look around", "look again"))
    assert home.read().sessions[f"{A}/aaaa1111"].title == "general-purpose: look again"


@BOTH
def test_a_file_through_a_link_or_two_roots_counts_once(tmp_path: Path, make: Maker) -> None:
    """Conformance 11."""
    path, data = make(2)
    root = path.split("/")[0]
    variable = next(a.roots.env for a in all_agents() if a.id == make.__name__)
    home = Scratch(tmp_path, {variable: f"{tmp_path}/home/{root},{tmp_path}/home/again"})
    target = home.write(path, data)
    target.with_name(f"link-{target.name}").symlink_to(target)
    os.link(target, target.with_name(f"hard-{target.name}"))
    (home.home / "again").symlink_to(home.home / root)
    assert outputs(home.read().events) == [1, 2]


@BOTH
def test_times_come_from_the_records_and_an_append_to_an_old_file_is_seen(home: Scratch, make: Maker) -> None:
    """Conformance 12."""
    path, data = make(2)
    cut = data.rindex(b"\n", 0, data.index(b"msg_2" if make is claude else b"resp_2")) + 1
    target = home.write(path, data[:cut])
    os.utime(target, (1_000_000_000, 1_000_000_000))
    first = home.read()
    home.append(path, data[cut:])
    os.utime(target, (1_000_000_000, 1_000_000_000))
    second = home.read()
    assert outputs(second.events) == [1, 2]
    assert first.events == second.events[:1]
    start = build_claude.START_MS if make is claude else build_codex.START_MS
    assert all(start < event.at_ms < start + 60_000 for event in second.events)


def test_until_the_first_read_is_complete_it_says_so(home: Scratch) -> None:
    """Conformance 15."""
    for number in range(3):
        log = Rollout(number)
        log.record(f"resp_{number}", build_codex.counts())
        home.write(log.path, log.bytes())
    with home.ledger() as ledger:
        ledger.follower.walk(0.0, NOW_MS * 1_000_000)
        progress = ledger.follower.progress(0.0)
        assert progress.reading
        assert (progress.files_done, progress.files_total) == (0, 3)
        ledger.catch_up(1.0, NOW_MS * 1_000_000)
        assert not ledger.follower.progress(1.0).reading


def test_a_message_around_midnight_belongs_to_the_day_of_its_first_line(tmp_path: Path) -> None:
    """Conformance 16."""
    midnight = build_claude.START_MS // 86_400_000 * 86_400_000 + 86_400_000
    home = Scratch(tmp_path)
    log = Transcript(A)
    log.reply("msg_1", None, build_claude.text(), build_claude.tool(), at_ms=midnight - 400, step_ms=8000)
    home.write(log.path, log.bytes())
    rows = home.run("usage", "--by", "day")["rows"]
    assert [(row["day"], row["responses"]) for row in rows] == [("2026-11-21", 1)]
    home.environ["TZ"] = "Asia/Kathmandu"
    rows = home.run("usage", "--by", "day")["rows"]
    assert [(row["day"], row["responses"]) for row in rows] == [("2026-11-22", 1)]


@pytest.mark.parametrize("kind", ["missing", "empty", "file", "unreadable"])
def test_a_bad_root_is_one_finding_and_the_other_agents_go_on(home: Scratch, kind: str) -> None:
    """Conformance 17."""
    path, data = codex(2)
    home.write(path, data)
    root = home.home / ".claude"
    if kind == "empty":
        root.mkdir()
    elif kind == "file":
        root.write_text("x")
    elif kind == "unreadable":
        if os.getuid() == 0:
            root.symlink_to(root)  # root may read everything but a link to itself
        else:
            root.mkdir(mode=0)
    found = home.run("usage")
    assert found["totals"]["responses"] == 2
    problems = [e for e in found["health"]["errors"] if e["source"] == "claude"]
    assert len(problems) == (0 if kind in ("missing", "empty") else 1)
    looked = {a["agent"]: a["looked"][0]["found"] for a in home.run("doctor")["agents"]}
    assert looked["codex"] == "1 file"
    expected = {
        "missing": "no such folder",
        "empty": "0 files",
        "file": "not a folder",
        "unreadable": "not readable",
    }
    assert looked["claude"].startswith(expected[kind])


def test_an_unreadable_file_is_one_finding_and_the_others_count(home: Scratch) -> None:
    """Conformance 17: what cannot be opened is said, and read when it can be."""
    path, data = claude(2)
    home.write(path, data)
    (home.home / FOLDER / f"{B}.jsonl").mkdir()
    os.mkfifo(home.home / FOLDER / "pipe.jsonl")
    assert outputs(home.read().events) == [1, 2]
    with home.ledger() as ledger:
        ledger.catch_up(0.0, 1)
        assert kinds(ledger.health()).get("not-a-file", 0) >= 1
