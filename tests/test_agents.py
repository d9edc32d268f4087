"""The contract of every agent, over every recorded case. A new agent brings a module and a folder of cases, no more."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.harness import (
    BUCKETS,
    NOW_MS,
    Case,
    Picture,
    Scratch,
    assert_same,
    cases,
    grow,
    kinds_of,
    scratch,
)
from tokentop.agents import all_agents
from tokentop.agents.base import JsonDocument, JsonLines
from tokentop.nouns.usage import Tokens

AGENTS = [agent.id for agent in all_agents()]
EACH = pytest.mark.parametrize("case", cases(), ids=str)
FUZZ = settings(database=None, derandomize=True)


def buckets(tokens: Tokens) -> dict[str, int]:
    return {name: getattr(tokens, name) for name in BUCKETS}


def expected(figures: dict[str, Any]) -> dict[str, int]:
    return {name: figures[name] for name in BUCKETS}


def copy(case: Case, to: Scratch) -> None:
    shutil.copytree(case.home, to.home, dirs_exist_ok=True)


def golden(case: Case) -> Picture:
    """The picture of a case that is read whole; computed once."""
    if str(case) not in _GOLDEN:
        with scratch() as home:
            copy(case, home)
            _GOLDEN[str(case)] = home.read()
    return _GOLDEN[str(case)]


_GOLDEN: dict[str, Picture] = {}


@pytest.mark.parametrize("agent", AGENTS)
def test_every_agent_has_recorded_cases(agent: str) -> None:
    found = [case for case in cases() if case.agent == agent]
    assert bool(found) == bool({a.id: a for a in all_agents()}[agent].sources)


@EACH
def test_totals_are_what_the_provider_counted(case: Case) -> None:
    found = golden(case)
    exact = [event for event in found.events if not event.estimated]
    assert buckets(sum((e.tokens for e in exact), Tokens())) == expected(case.expect["total"])
    assert sum(not e.hidden and not e.unknown for e in exact) == case.expect["total"]["responses"]
    estimate = sum((e.tokens for e in found.events if e.estimated), Tokens())
    assert buckets(estimate) == expected(case.expect.get("estimate") or dict.fromkeys(BUCKETS, 0))


@EACH
def test_each_session_has_its_own_totals_models_and_parent(case: Case) -> None:
    found = golden(case)
    assert {event.session.partition("/")[0] for event in found.events} == {
        s["id"] for s in case.expect["sessions"]
    }
    for session in case.expect["sessions"]:
        own = [event for event in found.of(session["id"]) if not event.estimated]
        assert buckets(sum((e.tokens for e in own), Tokens())) == expected(session)
        assert sum(not e.hidden and not e.unknown for e in own) == session["responses"]
        assert sorted({e.model for e in own} - {""}) == session["models"]
        assert found.sessions[session["id"]].agent == case.agent
        if session["parent"]:
            assert found.sessions[session["id"]].parent_id == session["parent"]


@EACH
def test_each_sub_agent_has_its_own_totals_and_its_place_in_the_tree(case: Case) -> None:
    found = golden(case)
    for session in case.expect["sessions"]:
        for part in session.get("agents", ()):
            sid = session["id"] if part["id"] == "main" else f"{session['id']}/{part['id']}"
            own = [event for event in found.events if event.session == sid]
            assert buckets(sum((e.tokens for e in own), Tokens())) == expected(part)
            if part["id"] != "main":
                above = session["id"] if part["parent"] == "main" else f"{session['id']}/{part['parent']}"
                assert found.sessions[sid].parent_id == above


@EACH
def test_keys_are_unique_and_buckets_are_integers_that_do_not_overlap(case: Case) -> None:
    found = golden(case)
    assert len({event.id for event in found.events}) == len(found.events)
    for event in found.events:
        values = buckets(event.tokens)
        assert all(type(value) is int and value >= 0 for value in values.values())
        assert event.tokens.reasoning <= event.tokens.output
        assert event.tokens.total == sum(values.values()) - values["reasoning"]


# ---------------------------------------------------------------- the command line


@EACH
def test_the_usage_command_gives_the_golden_totals_twice_in_a_row(case: Case, tmp_path: Path) -> None:
    home = Scratch(tmp_path)
    copy(case, home)
    first = home.run("usage", "--by", "agent")
    assert {r["agent"] for r in first["rows"]} == {case.agent}
    assert len([r for r in first["rows"] if "estimated" not in r]) <= 1
    for row in (*(r for r in first["rows"] if "estimated" not in r), first["totals"]):
        assert row["tokens"] == expected(case.expect["total"])
        assert row["responses"] == case.expect["total"]["responses"]
    assert first["health"]["unparsed_lines"] == 0
    assert first["health"]["errors"] == []
    second = home.run("usage", "--by", "session")
    assert second["health"]["duplicates"] == first["health"]["duplicates"]
    assert second["totals"] == first["totals"]
    exact = [r for r in second["rows"] if "estimated" not in r]
    wanted = [s for s in case.expect["sessions"] if "estimate" not in s]
    assert {r["session"]: (r["responses"], r["tokens"]) for r in exact} == {
        s["id"]: (s["responses"], expected(s)) for s in wanted
    }


@EACH
def test_nothing_is_left_in_the_home(case: Case) -> None:
    with scratch() as home:
        copy(case, home)
        home.read()
        home.follow(NOW_MS)
        found = sorted(p.relative_to(home.home) for p in home.home.rglob("*") if p.is_file())
        assert found == case.files
        assert all((home.home / path).read_bytes() == (case.home / path).read_bytes() for path in found)


def test_one_run_over_the_homes_of_all_agents() -> None:
    one = {case.agent: case for case in cases()}
    with scratch() as home:
        for case in one.values():
            copy(case, home)
        rows = home.run("usage", "--by", "agent")["rows"]
        found = {r["agent"]: (r["responses"], r["tokens"]) for r in rows if "estimated" not in r}
        for agent, case in one.items():
            total = case.expect["total"]
            assert found.get(agent, (0, dict.fromkeys(BUCKETS, 0))) == (
                total["responses"],
                expected(total),
            ), agent
        assert found.keys() <= one.keys()


# ---------------------------------------------------------------- order, pieces, repetition


@EACH
def test_reading_again_changes_nothing(case: Case) -> None:
    with scratch() as home:
        copy(case, home)
        assert_same(home.read(), golden(case))
        assert_same(home.read(), golden(case))


@EACH
def test_reading_everything_from_the_start_again_counts_nothing_twice(case: Case) -> None:
    with scratch() as home:
        copy(case, home)
        home.read()
        with home.ledger() as ledger:
            ledger.db.execute("DELETE FROM cursor")
        assert_same(home.read(), golden(case))


@EACH
def test_the_order_of_files_does_not_matter(case: Case) -> None:
    for seed in range(6):
        with scratch() as home:
            copy(case, home)
            files = case.files
            random.Random(seed).shuffle(files)
            for index, path in enumerate(files):  # the follower reads the newest first
                os.utime(home.home / path, (1_700_000_000 + index, 1_700_000_000 + index))
            assert_same(home.read(), golden(case))


@EACH
def test_a_log_that_goes_away_leaves_its_totals(case: Case) -> None:
    """Conformance 11, 51."""
    with scratch() as home:
        copy(case, home)
        before = home.read()
        for path in case.files:
            (home.home / path).unlink()
        assert_same(home.read(), before)


@EACH
def test_a_log_that_moves_to_another_folder_is_not_counted_again(case: Case) -> None:
    """Conformance 11."""
    with scratch() as home:
        copy(case, home)
        home.read()
        for path in case.files:
            target = home.home / path
            moved = target.parent.with_name(f"{target.parent.name}-moved")
            if "subagents" not in path.parts and target.exists():
                moved.mkdir(exist_ok=True)
                target.rename(moved / target.name)
        assert home.read().total == golden(case).total


@EACH
@settings(FUZZ, max_examples=20)
@given(seed=st.integers(0, 1 << 32))
def test_any_split_of_the_bytes_with_restarts_gives_the_same_facts(case: Case, seed: int) -> None:
    """Conformance 1, 10."""
    with scratch() as home:
        files = {path: (case.home / path).read_bytes() for path in case.files}
        assert_same(grow(home, [files], seed), golden(case))


# ---------------------------------------------------------------- damage


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Bytes flipped, cut out, doubled, or replaced by something hostile."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(out) + 1)
        width = rng.choice((1, 1, 2, 30, 400))
        kind = rng.randrange(5)
        if kind == 0:
            out[at : at + width] = rng.randbytes(min(width, len(out) - at))
        elif kind == 1:
            del out[at : at + width]
        elif kind == 2:
            out[at:at] = out[at : at + width]
        elif kind == 3:
            out[at:at] = rng.choice(
                (b"\0\0\0", b"\xff\xfe", b"\n", b'"', b"-", b"9" * 30, b"1e400", b"[" * 1200, b"\\ud83d")
            )
        else:
            del out[at:]
    return bytes(out)


@EACH
@settings(FUZZ, max_examples=20)
@given(seed=st.integers(0, 1 << 32))
def test_damaged_logs_are_read_without_an_error_or_an_absurd_number(case: Case, seed: int) -> None:
    rng = random.Random(seed)
    with scratch() as home:
        copy(case, home)
        for path in case.files:
            data = (case.home / path).read_bytes()
            (home.home / path).write_bytes(damaged(data, rng))
        found = home.read()
        plausible(found.events, limit=1 << 40)
        assert_same(home.read(), found)


def plausible(events: Iterable[Any], limit: int) -> None:
    for event in events:
        values = buckets(event.tokens)
        assert all(0 <= value <= limit for value in values.values()), event
        assert event.tokens.reasoning <= event.tokens.output
        assert event.cost_nusd is None or event.cost_nusd >= 0
        assert event.took_ms >= 0


@EACH
def test_fields_that_are_not_known_are_ignored(case: Case) -> None:
    """Conformance 5: the next version of a client writes more than this one."""

    def grown(value: Any) -> Any:
        if isinstance(value, dict):
            return (
                {"aNewField": {"deep": [1, None, "x"]}} | {k: grown(v) for k, v in value.items()} | {"n": 1.5}
            )
        return [grown(v) for v in value] if isinstance(value, list) else value

    with scratch() as home:
        rewrite(case, home, lambda record: _top_grown(record, grown), (",", ":"))
        for path in case.files:
            if any(isinstance(source, JsonLines) for source in kinds_of(case, path)):
                home.append(
                    path, '{"type":"a-new-type","payload":{"type":"new"},"usage":{"input_tokens":9}}\n'
                )
        found = home.read()
        assert found.total == golden(case).total
        assert len(found.responses) == len(golden(case).responses)


def rewrite(
    case: Case, home: Scratch, change: Callable[[Any], Any], separators: tuple[str, str] | None
) -> None:
    """Copy a case with every JSON record changed and written in another way."""
    copy(case, home)
    for path in case.files:
        kinds = kinds_of(case, path)
        if any(isinstance(source, JsonLines) for source in kinds) and path.suffix == ".jsonl":
            lines = (case.home / path).read_text().splitlines()
            texts = [json.dumps(change(json.loads(line)), separators=separators) for line in lines]
            home.write(path, "".join(f"{text}\n" for text in texts))
        elif any(isinstance(source, JsonDocument) for source in kinds) and path.suffix == ".json":
            record = json.loads((case.home / path).read_text())
            home.write(path, json.dumps(change(record), separators=separators))


def _top_grown(record: Any, grown: Any) -> Any:
    """Objects keyed by name (models) keep their members: a member there is data, not a field."""
    if not isinstance(record, dict):
        return grown(record)
    keyed = record.pop("modelUsage", None)
    out: dict[str, Any] = grown(record)
    if keyed is not None:
        out["modelUsage"] = keyed
    return out


@EACH
def test_spaced_json_gives_the_same_totals_as_compact(case: Case) -> None:
    """Conformance 6."""
    with scratch() as home:
        rewrite(case, home, lambda record: record, None)
        assert_same(home.read(), golden(case))


# ---------------------------------------------------------------- the fixtures themselves

_SECRETS = re.compile(
    rb"\bsk-(?=[\w-]*\d)[\w-]{12,}|gh[pousr]_\w{20,}|xox[bap]-\w+|AKIA[0-9A-Z]{16}|-----BEGIN|Bearer [A-Za-z0-9._-]{12,}"
    rb"|eyJ[A-Za-z0-9_-]{20,}\."
)
_HOMES = re.compile(rb"(?:/home/|/Users/|C:\\\\Users\\\\)(?!dev\b)\w+|(?<!<)/root\b")


@EACH
def test_recorded_logs_hold_no_secret_and_no_other_home(case: Case) -> None:
    for path in case.files:
        data = (case.home / path).read_bytes()
        assert _SECRETS.search(data) is None
        assert _HOMES.search(data) is None
