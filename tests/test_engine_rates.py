"""Rates: conservation, replacement, order, hostile times (faults T30, T31)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tokentop.engine.rates import FUTURE_MS, HOUR_MS, Rates
from tokentop.nouns.usage import Priced, Tokens, Usage

NOW = 1_795_294_800_000


def priced(event_id: int, at_ms: int, duration_ms: int = 0, cost: int | None = 0, **tokens: int) -> Priced:
    usage = Usage("claude", "s", f"k{event_id}", at_ms, "m", Tokens(**tokens), duration_ms=duration_ms)
    return Priced(event_id, usage, cost)


def rates_at(now_ms: int = NOW) -> Rates:
    rates = Rates()
    rates.advance(now_ms)
    return rates


def series_tokens(rates: Rates) -> tuple[float, ...]:
    """Whole-hour sums of the series: output, writes, input, reads, cost (newest half minute excluded)."""
    s = rates.series()
    per_min = (s.output_per_min, s.writes_per_min, s.input_per_min, s.reads_per_min)
    return (*(sum(x[:-1]) / 2 for x in per_min), sum(s.burn_nusd_per_h[:-1]) / 120)


def state(rates: Rates) -> tuple[object, ...]:
    return rates.of("a"), rates.of("b"), rates.spark("a"), rates.spark("b"), rates.series(), rates.total()


events = st.builds(
    priced,
    st.integers(1, 12),
    st.integers(NOW - HOUR_MS - 400_000, NOW + 2 * FUTURE_MS),
    st.integers(0, 400_000),
    st.one_of(st.none(), st.integers(0, 10**12)),
    output=st.integers(0, 10**6),
    input=st.integers(0, 10**6),
    cache_read=st.integers(0, 10**7),
    cache_write_1h=st.integers(0, 10**6),
)


def test_a_response_of_40_s_is_spread_over_its_40_s() -> None:
    """Conformance agent-logs 131."""
    rates = rates_at()
    rates.add(priced(1, NOW - 40_000, 40_000, output=4_000), "a")
    half = rates_at(NOW - 20_000)
    half.add(priced(1, NOW - 40_000, 40_000, output=4_000), "a")
    assert rates.of("a").tokens_per_min == 4_000
    assert half.of("a").tokens_per_min == pytest.approx(2_000, abs=500)
    rates.advance(NOW + 40_000)
    assert rates.of("a").tokens_per_min == pytest.approx(2_000, abs=1)
    rates.advance(NOW + 60_000)
    assert rates.of("a").tokens_per_min == 0


def test_cache_reads_stand_apart_and_burn_is_per_hour() -> None:
    rates = rates_at()
    rates.add(priced(1, NOW - 1_000, cost=10, input=1, cache_write_5m=2, output=4, cache_read=100), "a")
    rate = rates.of("a")
    assert (rate.tokens_per_min, rate.reads_per_min, rate.burn_nusd_per_h) == (7, 100, 600)


@given(
    st.lists(
        st.tuples(st.integers(60_000, HOUR_MS - 60_000), st.integers(0, 30_000), st.integers(0, 10**9)),
        max_size=20,
    )
)
@settings(max_examples=60)
def test_the_series_sums_to_exactly_the_tokens_fed(fed: list[tuple[int, int, int]]) -> None:
    rates = rates_at()
    for number, (ago, span, amount) in enumerate(fed):
        rates.add(
            priced(number, NOW - ago, span, amount, output=amount, input=amount // 3, cache_read=amount // 7),
            "a",
        )
    total = (
        sum(f[2] for f in fed),
        0,
        sum(f[2] // 3 for f in fed),
        sum(f[2] // 7 for f in fed),
        sum(f[2] for f in fed),
    )
    assert series_tokens(rates) == pytest.approx(total, rel=1e-9, abs=1e-3)


@given(st.lists(st.tuples(events, st.sampled_from("ab")), max_size=25, unique_by=lambda e: e[0].id))
@settings(max_examples=60)
def test_the_kinds_of_the_last_minute_make_up_the_rate_of_all(fed: list[tuple[Priced, str]]) -> None:
    rates = rates_at()
    for event, key in fed:
        rates.add(event, key)
    kinds, total = rates.series().minute, rates.total().tokens_per_min
    assert sum(kinds) == total if kinds else total > 0


def test_the_kinds_of_the_last_minute_are_told_apart() -> None:
    rates = rates_at()
    rates.add(priced(1, NOW - 50_000, input=10, cache_write_5m=20, output=40, cache_read=100), "a")
    rates.add(priced(2, NOW - 61_000, input=1_000), "a")
    assert rates.series().minute == (40, 20, 10)


@given(st.lists(st.tuples(events, st.sampled_from("ab")), max_size=25, unique_by=lambda e: e[0].id))
@settings(max_examples=60)
def test_the_order_of_events_does_not_matter(fed: list[tuple[Priced, str]]) -> None:
    shuffled = fed[:]
    random.Random(len(fed)).shuffle(shuffled)
    one, two = rates_at(), rates_at()
    for event, key in fed:
        one.add(event, key)
    for event, key in shuffled:
        two.add(event, key)
    assert state(one) == state(two)


@given(st.lists(st.tuples(events, st.sampled_from("ab"), st.integers(0, 90_000)), max_size=25))
@settings(max_examples=80)
def test_a_newer_version_takes_the_old_contribution_back(fed: list[tuple[Priced, str, int]]) -> None:
    """Only the last version of each id is left, whatever time passed between the versions."""
    grown, last = rates_at(), {}
    now = NOW
    for event, key, step in fed:
        now += step
        grown.advance(now)
        grown.add(event, key)
        last[event.id] = (event, key)
    fresh = rates_at(now)
    for event, key in last.values():
        fresh.add(event, key)
    future = any(e.usage.at_ms + e.usage.duration_ms > NOW + FUTURE_MS for e, _ in last.values())
    if not future:  # a future record is placed at the time it was seen, which differs between the two
        assert state(grown) == state(fresh)
    cells = [grown._all, *(m for s in grown._sessions.values() for m in (s.fine, s.coarse))]
    assert all(value >= 0 for meter in cells for part in meter.cells.values() for value in part)


@pytest.mark.parametrize("at_ms", [NOW + FUTURE_MS + 1, NOW + 10 * HOUR_MS, 253_402_300_799_000, 2**62])
def test_a_timestamp_far_in_the_future_counts_as_now(at_ms: int) -> None:
    """Faults T30."""
    rates = rates_at()
    rates.add(priced(1, at_ms, output=600), "a")
    assert rates.of("a").tokens_per_min == 600
    assert rates.series().output_per_min[-1] == 1_200


@pytest.mark.parametrize("at_ms", [0, 1, -(2**62), NOW - 2 * HOUR_MS])
def test_an_old_timestamp_moves_no_rate_and_no_memory(at_ms: int) -> None:
    rates = rates_at()
    rates.add(priced(1, at_ms, output=600), "a")
    assert state(rates) == state(rates_at())
    assert not rates._sessions


def test_a_hostile_duration_costs_no_more_than_an_hour_of_cells() -> None:
    rates = rates_at()
    rates.add(priced(1, NOW - 5_000, 2**60, output=600), "a")
    rates.add(priced(2, NOW - 5_000, -(2**60), output=60), "a")
    assert len(rates._all.cells) <= HOUR_MS // 10_000 + 2
    assert 0 < rates.of("a").tokens_per_min <= 660


@given(
    st.lists(st.integers(-4 * HOUR_MS, 4 * HOUR_MS), min_size=1, max_size=12), st.lists(events, max_size=8)
)
@settings(max_examples=60)
def test_clock_jumps_give_no_negative_and_no_infinite_rate(steps: list[int], fed: list[Priced]) -> None:
    """Faults T31."""
    rates, now, fed_tokens = rates_at(), NOW, 0
    for number, step in enumerate(steps):
        now += step
        rates.advance(now)
        if number < len(fed):
            rates.add(fed[number], "a")
            fed_tokens += fed[number].usage.tokens.fresh
        values = [*rates.spark("a"), rates.of("a").tokens_per_min, *rates.series().output_per_min]
        assert all(0 <= value <= 60 * max(1, fed_tokens) for value in values)


def test_memory_is_bounded_with_a_thousand_sessions() -> None:
    rates = rates_at()
    for number in range(20_000):
        rates.advance(NOW + number * 100)
        rates.add(priced(number, NOW + number * 100 - 40_000, 40_000, output=100), f"s{number % 1000}")
    assert len(rates._sessions) == 1000
    assert max(len(s.fine.cells) + len(s.coarse.cells) for s in rates._sessions.values()) < 60
    assert len(rates._entries) <= 16_384
    rates.advance(NOW + 2_000_000 + HOUR_MS)
    assert not rates._sessions


def test_an_unpriced_event_moves_tokens_and_no_money() -> None:
    rates = rates_at()
    rates.add(priced(1, NOW, cost=None, output=10), "a")
    assert rates.of("a").tokens_per_min == 10
    assert rates.of("a").burn_nusd_per_h == 0


def test_spent_since_counts_the_last_hour_and_follows_replaced_events() -> None:
    from tests.engine_build import NOW, usage

    rates = Rates()
    rates.advance(NOW)
    rates.add(usage(1, ago_ms=30 * 60_000, cost=500), "a")
    rates.add(usage(2, ago_ms=5 * 60_000, cost=70), "a")
    assert rates.spent_since("a", NOW - 10 * 60_000) == 70
    assert rates.spent_since("a", 0) == 570
    rates.add(usage(2, ago_ms=5 * 60_000, cost=90), "a")
    assert rates.spent_since("a", NOW - 10 * 60_000) == 90
    assert rates.spent_since("b", 0) == 0
    rates.advance(NOW + 40 * 60_000)
    assert rates.spent_since("a", 0) == 90
