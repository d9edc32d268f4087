"""When a plan window is full: from readings that are rounded, late, repeated, or of the window before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentop.engine.pace import MINUTE_MS, ahead_pct, full_at, worth_keeping

NOW = 1_795_294_800_000
H = 60 * MINUTE_MS


def climb(start_pct: float, per_hour: float, minutes: int, every: int = 5) -> list[tuple[int, float]]:
    """Readings up to NOW, every few minutes."""
    return [
        (NOW - ago * MINUTE_MS, start_pct + per_hour * (minutes - ago) / 60)
        for ago in range(minutes, -1, -every)
    ]


def test_a_steady_climb_is_full_when_the_line_says_so() -> None:
    assert full_at(climb(40, 20, 60), NOW + 4 * H, NOW) == pytest.approx(NOW + 2 * H, abs=MINUTE_MS)


def test_not_full_before_the_reset_is_none() -> None:
    assert full_at(climb(40, 20, 60), NOW + H, NOW) is None


def test_the_recent_pace_counts_not_the_morning() -> None:
    morning = [(NOW - 8 * H + i * H, float(i)) for i in range(7)]
    burst = [(NOW - 30 * MINUTE_MS, 10.0), (NOW, 40.0)]
    assert full_at(morning + burst, NOW + 4 * H, NOW) == pytest.approx(NOW + H, abs=MINUTE_MS)


def test_whole_per_cents_of_a_week_are_a_pace_over_hours() -> None:
    slow = [(NOW - ago * H, float(50 - ago)) for ago in range(6, -1, -1)]  # 1 % an hour
    assert full_at(slow, NOW + 72 * H, NOW) == pytest.approx(NOW + 50 * H, abs=MINUTE_MS)


def test_readings_before_a_reset_are_another_window() -> None:
    old = [(NOW - 3 * H, 60.0), (NOW - 2 * H, 95.0)]
    new = [(NOW - H, 0.0), (NOW, 10.0)]
    assert full_at(old + new, 0, NOW) == pytest.approx(NOW + 9 * H, abs=MINUTE_MS)


def test_an_older_answer_of_another_session_is_no_reset() -> None:
    points = [*climb(40, 20, 60), (NOW - 7 * MINUTE_MS, 57.0)]
    assert full_at(points, NOW + 4 * H, NOW) == pytest.approx(NOW + 2 * H, abs=MINUTE_MS)


def test_idle_time_lowers_the_pace() -> None:
    points = climb(40, 20, 60)
    later = full_at(points, 0, NOW + H)
    assert later == pytest.approx(NOW + H + 6 * H, abs=MINUTE_MS)


def test_a_full_window_tells_since_when() -> None:
    points = [(NOW - H, 90.0), (NOW - 30 * MINUTE_MS, 100.0), (NOW, 104.0)]
    assert full_at(points, NOW + H, NOW) == NOW - 30 * MINUTE_MS


def test_what_is_not_known_is_none() -> None:
    assert full_at([], NOW + H, NOW) is None
    assert full_at([(NOW, 50.0)], NOW + H, NOW) is None
    assert full_at([(NOW - H, 50.0), (NOW, 50.0)], NOW + H, NOW) is None
    assert full_at(climb(40, 20, 60), NOW - 1, NOW) is None  # the window is over
    assert full_at([(NOW - H, float("nan")), (NOW, 50.0)], NOW + H, NOW) is None


def test_readings_of_the_future_are_left_out_after_the_clock_was_set_back() -> None:
    points = [(NOW - H, 40.0), (NOW, 60.0), (NOW + 8 * H, 99.0)]
    assert full_at(points, NOW + 9 * H, NOW) == pytest.approx(NOW + 2 * H, abs=MINUTE_MS)


@given(
    st.lists(st.tuples(st.integers(NOW - 9 * 24 * H, NOW + H), st.floats(0, 200)), max_size=30),
    st.one_of(st.just(0), st.integers(NOW - H, NOW + 200 * H)),
)
def test_the_answer_is_before_the_reset_and_does_not_hang_on_the_order(
    points: list[tuple[int, float]], resets_at_ms: int
) -> None:
    found = full_at(points, resets_at_ms, NOW)
    assert found == full_at(points[::-1], resets_at_ms, NOW)
    if found is not None and resets_at_ms and found > NOW:
        assert found < resets_at_ms


def test_pace_against_even_use() -> None:
    assert ahead_pct(50, 300, NOW + 2 * H, NOW) == pytest.approx(-10)
    assert ahead_pct(80, 300, NOW + 4 * H, NOW) == pytest.approx(60)
    assert ahead_pct(50, 300, NOW - 1, NOW) is None
    assert ahead_pct(50, 0, NOW + H, NOW) is None
    assert ahead_pct(50, 300, NOW + 20 * H, NOW) is None  # a reset that does not fit the window


def test_repeated_readings_are_not_kept() -> None:
    assert worth_keeping(None, NOW, 5.0)
    assert not worth_keeping((NOW - MINUTE_MS, 5.0), NOW, 5.0)
    assert worth_keeping((NOW - MINUTE_MS, 5.0), NOW, 6.0)
    assert worth_keeping((NOW - H, 5.0), NOW, 5.0)
    assert not worth_keeping((NOW, 5.0), NOW - MINUTE_MS, 6.0)
