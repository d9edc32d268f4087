"""Calls without usage, agents that keep only a running total, and what an agent logged as cost or credits."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.agents.harness import Picture, Scratch, picture, scratch
from tokentop.engine.live import LiveState
from tokentop.nouns.facts import Fact
from tokentop.nouns.sessions import Role, Session
from tokentop.nouns.usage import Kind, RunningTotal, Tokens, Usage
from tokentop.report import usage
from tokentop.store.reader import Filter

T = 1_795_000_000_000
NONE = Tokens()
MODEL = "claude-sonnet-4-5"


def total(at_ms: int, tokens: Tokens, model: str = MODEL, cost: int = 0, sid: str = "s") -> RunningTotal:
    return RunningTotal("claude", sid, 0, at_ms, 0, ((model, tokens, cost),), only=True)


def call(key: str, at_ms: int, tokens: Tokens = NONE, kind: Kind = Kind.RESPONSE, **more: object) -> Usage:
    return Usage("claude", "s", key, at_ms, MODEL, tokens, kind=kind, **more)  # type: ignore[arg-type]


def commit(home: Scratch, *batches: Sequence[Fact]) -> Picture:
    with home.ledger() as ledger:
        for facts in batches:
            ledger.writer.commit(facts)
            ledger.settle(1 << 62)
        return picture(ledger.db)


# ---------------------------------------------------------------- totals


def test_three_snapshots_of_a_total_give_three_growths() -> None:
    """Conformance 107."""
    with scratch() as home:
        found = commit(
            home,
            [total(T, Tokens(10, 100, 5, 0, 20))],
            [total(T + 1000, Tokens(15, 300, 5, 0, 50))],
            [total(T + 2000, Tokens(15, 300, 9, 0, 80))],
        )
        assert [e.tokens for e in found.events] == [
            Tokens(10, 100, 5, 0, 20), Tokens(5, 200, 0, 0, 30), Tokens(0, 0, 4, 0, 30)
        ]  # fmt: skip
        assert [e.at_ms for e in found.events] == [T, T + 1000, T + 2000]
        assert all(e.hidden and e.at_estimated and not e.estimated for e in found.events)
        assert found.responses == []


def test_a_smaller_total_adds_nothing() -> None:
    """Conformance 107: the same session id in two folders is the larger of the two, not their sum."""
    with scratch() as home:
        found = commit(
            home,
            [total(T, Tokens(100, 0, 0, 0, 50))],
            [total(T + 1, Tokens(60, 0, 0, 0, 20))],
            [total(T + 2, Tokens(100, 0, 0, 0, 50))],
        )
        assert found.total == Tokens(100, 0, 0, 0, 50)
        assert len(found.events) == 1


def test_the_growth_belongs_to_the_model_in_use() -> None:
    with scratch() as home:
        found = commit(
            home,
            [total(T, Tokens(100), "a")],
            [total(T + 1, Tokens(150), "b")],
            [total(T + 2, Tokens(170), "a")],
        )
        assert [(e.model, e.tokens.input) for e in found.events] == [("a", 100), ("b", 50), ("a", 20)]


def test_a_first_total_is_spread_over_the_responses() -> None:
    with scratch() as home:
        calls = [call(f"m{i}", T + i * 1000) for i in range(3)]
        found = commit(home, [*calls, total(T + 9000, Tokens(10, 0, 0, 0, 4))])
        hidden = found.hidden
        assert [e.at_ms for e in hidden] == [T, T + 1000, T + 2000]
        assert found.total == Tokens(10, 0, 0, 0, 4)
        assert sorted(e.tokens.input for e in hidden) == [3, 3, 4]
        assert len(found.responses) == 3


def test_a_session_that_goes_on_from_another_does_not_count_what_it_inherited() -> None:
    """Conformance 108, whichever file is read first."""
    parent = total(T, Tokens(100, 1000, 0, 0, 50), sid="p")
    child = [
        Session("claude", "c", "p", role=Role.FORK),
        total(T + 5000, Tokens(130, 1500, 0, 0, 60), sid="c"),
    ]
    for batches in ([[parent], child], [child, [parent]], [[*child, parent]]):
        with scratch() as home:
            found = commit(home, *batches)
            assert found.total == Tokens(130, 1500, 0, 0, 60)
            assert sum((e.tokens for e in found.of("c")), Tokens()) == Tokens(30, 500, 0, 0, 10)


def test_money_without_tokens_is_the_cost_and_its_tokens_are_unknown() -> None:
    """Conformance 114 (Crush)."""
    with scratch() as home:
        found = commit(
            home, [total(T, Tokens(), cost=300_000_000)], [total(T + 1, Tokens(), cost=450_000_000)]
        )
        assert [e.cost_nusd for e in found.events] == [300_000_000, 150_000_000]
        assert all(e.unknown for e in found.events)
        assert found.sessions["s"]


@settings(max_examples=60, derandomize=True, database=None)
@given(
    steps=st.lists(st.tuples(*[st.integers(0, 1 << 20)] * 5), min_size=1, max_size=8), seed=st.integers(0, 99)
)
def test_the_sum_is_the_largest_total_whatever_is_read_again(steps: list[tuple[int, ...]], seed: int) -> None:
    rng = random.Random(seed)
    vectors = list(accumulate(steps, lambda a, b: tuple(x + y for x, y in zip(a, b, strict=True))))
    totals = [total(T + i, Tokens(*vector)) for i, vector in enumerate(vectors)]
    again = [rng.choice(totals) for _ in range(4)]
    with scratch() as home:
        found = commit(home, *[[t] for t in totals], *[[t] for t in again])
        assert found.total == Tokens(*vectors[-1])


# ---------------------------------------------------------------- unknown


def test_a_running_step_is_unknown_until_its_usage_is_there() -> None:
    """Conformance 93."""
    with scratch() as home:
        running = call("k", T, kind=Kind.UNKNOWN)
        found = commit(home, [running])
        assert (len(found.responses), len(found.unknown), found.one.cost_nusd) == (0, 1, None)
        done = call("k", T + 5000, Tokens(5, 0, 0, 0, 7))
        found = commit(home, [done])
        assert (len(found.responses), len(found.unknown)) == (1, 0)
        assert found.one.tokens == Tokens(5, 0, 0, 0, 7)
        assert found.one.at_ms == T
        assert commit(home, [running]) == found  # an older copy does not undo it


def test_unknown_calls_are_reported_and_never_priced_at_zero() -> None:
    with scratch() as home:
        with home.ledger() as ledger:
            ledger.writer.commit([call("a", T, kind=Kind.UNKNOWN), call("b", T, kind=Kind.UNKNOWN)])
        report = home.run("usage")
        (row,) = report["rows"]
        assert (row["responses"], row["unknown_calls"], row["cost_usd"]) == (0, 2, None)
        assert report["totals"]["unknown_calls"] == 2
        (session,) = home.run("sessions")["rows"]
        assert session["cost_usd"] is None


def test_a_step_without_usage_is_no_success_for_the_live_state() -> None:
    with scratch() as home, home.ledger() as ledger:
        committed = ledger.writer.commit([call("a", T, kind=Kind.UNKNOWN)], recent_ms=0)
        live = LiveState()
        for priced in committed.priced:
            live.apply_usage(priced)
        live.advance(T + 1000)
        assert live.rates.total().burn_nusd_per_h == 0


# ---------------------------------------------------------------- logged cost, credits


@pytest.mark.parametrize("by", [["agent"], ["session"], ["day"]])
def test_what_the_agent_logged_stands_beside_the_list_price(by: list[str]) -> None:
    """Conformance 97."""
    with scratch() as home:
        one = call("a", T, Tokens(1_000_000), logged_nusd=2_460_000)
        two = call("b", T, Tokens(1_000_000), logged_nusd=40_000)
        again = call("b", T, Tokens(1_000_000, output=9), logged_nusd=50_000)
        commit(home, [one, two], [again])
        (row,) = home.run("usage", *[x for name in by for x in ("--by", name)])["rows"]
        assert row["logged_cost_usd"] == "0.002510000"
        assert float(row["cost_usd"]) > 6


def test_credits_stay_credits() -> None:
    """Conformance 102, 117."""
    with scratch() as home:
        commit(home, [call("a", T, kind=Kind.UNKNOWN, credits_milli=12_000)])
        commit(home, [call("a", T, kind=Kind.UNKNOWN, credits_milli=12_000), call("b", T, Tokens(5))])
        (row,) = home.run("usage")["rows"]
        assert row["credits"] == "12.000"
        with home.ledger() as ledger:
            (line,) = usage.collect(ledger.db, Filter(), ["agent"], UTC)
            assert (line.credits_milli, line.unknown_calls, line.cost_nusd) == (12_000, 1, 15_000)


def test_a_time_that_was_only_seen_gives_way_to_one_that_the_log_tells() -> None:
    with scratch() as home:
        seen = call("a", T, Tokens(5, 0, 0, 0, 1), at_estimated=True)
        told = call("a", T + 60_000, Tokens(5, 0, 0, 0, 1))
        assert commit(home, [seen], [told]).one.at_ms == T + 60_000
        assert commit(home, [seen]).one.at_ms == T + 60_000
        (row,) = home.run("usage")["rows"]
        assert "time_estimated" not in row


def test_a_session_that_has_begun_and_has_no_call_yet_is_news() -> None:
    with scratch() as home, home.ledger() as ledger:
        committed = ledger.writer.commit(
            [Session("claude", "s", cwd="/w", title="new", first_ms=T)], recent_ms=T - 1
        )
        assert [(s.id, s.cwd, s.last_ms) for s, _ in committed.sessions] == [("s", "/w", T)]
