"""Formatting at its boundaries (conformance 8, 9) and clean()."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentop import text

USD = 1_000_000_000


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (842, "842"),
        (999, "999"),
        (999.4, "999"),
        (999.6, "1.00k"),
        (1000, "1.00k"),
        (9874, "9.87k"),
        (9994, "9.99k"),
        (9996, "10.0k"),
        (99_940, "99.9k"),
        (99_960, "100k"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (12_345_678, "12.3M"),
        (1_040_000_000, "1.04B"),
        (-1500, "-1.50k"),
    ],
)
def test_three_digits_at_each_boundary(value: float, shown: str) -> None:
    """Conformance 8."""
    assert text.digits3(value) == shown


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0, "$0.00"),
        (0.418, "$0.42"),
        (31.2, "$31.20"),
        (99.99, "$99.99"),
        (99.996, "$100"),
        (388.4, "$388"),
        (999.4, "$999"),
        (999.6, "$1.00k"),
        (1240, "$1.24k"),
        (12_400, "$12.4k"),
        (1_240_000, "$1.24M"),
        (0.004, "<$0.01"),
        (0.005, "$0.01"),
    ],
)
def test_money_at_each_boundary(usd: float, shown: str) -> None:
    """Conformance 8."""
    assert text.money(round(usd * USD)) == shown


def test_money_gives_up_digits_before_it_grows_beyond_its_width() -> None:
    assert text.money(31_204_000_000, "≈") == "≈$31.2"
    assert text.money(1_240 * USD, "≥") == "≥$1.2k"
    assert text.money(212_400_000_000, width=8) == "$212.40"
    assert text.money(18_400_000_000, sign="") == "18.40"
    assert text.money(1, "≈") == "<1¢"


@given(st.integers(0, 10**18), st.sampled_from(["", "≈", "≥"]))
def test_money_never_exceeds_six_cells_and_is_never_zero_for_something(nusd: int, mark: str) -> None:
    shown = text.money(nusd, mark)
    assert len(shown) <= 6
    assert nusd == 0 or shown.strip("≈≥$") not in {"0", "0.0", "0.00"}


@given(st.floats(0, 9.99e17))
def test_counts_never_exceed_six_cells(value: float) -> None:
    assert len(text.digits3(value)) <= 6


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (42, "42s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (720, "12m"),
        (3599.6, "1h00"),
        (3 * 3600 + 420, "3h07"),
        (86_399.7, "1d0h"),
        (2 * 86_400 + 4 * 3600, "2d4h"),
        (34 * 86_400, "34d"),
        (3 * 366 * 86_400, "3y"),
        (-5, "0s"),
    ],
)
def test_durations_never_show_sixty_of_anything(seconds: float, shown: str) -> None:
    """Section 5: 59.6 s is 1m, never 60s; a clock that jumps back gives 0s, never a minus."""
    assert text.duration(seconds) == shown


@given(st.floats(-1e6, 3e9))
def test_durations_fit_five_cells(seconds: float) -> None:
    assert len(text.duration(seconds)) <= 5


def test_long_durations_have_seconds() -> None:
    shown = [text.duration_long(s) for s in (42, 192, 7620, 2 * 86_400)]
    assert shown == ["42s", "3m12s", "2h07m", "2d0h"]


def test_a_little_is_not_nothing() -> None:
    assert text.percent(0) == "0%"
    assert text.percent(0.2) == "<1%"
    assert text.rate(0.2) == "<1"
    assert text.rate(0) == "0"


def test_percent_bytes_and_memory() -> None:
    assert [text.percent(v) for v in (71.4, 99.6, 100)] == ["71%", "100%", "100%"]
    assert [text.percent_fine(v) for v in (0.04, 1.23, 9.96, 412)] == ["0.0%", "1.2%", "10%", "412%"]
    assert [text.size_bytes(v) for v in (842, 1000, 61_000_000, 4_800_000_000)] == [
        "842 B",
        "1.0 kB",
        "61 MB",
        "4.8 GB",
    ]
    assert [text.memory(v) for v in (61 << 20, 1200 << 20, 512)] == ["61M", "1.2G", "0K"]


def test_times_of_day_name_the_day_when_it_is_another_one() -> None:
    now = 1_795_295_645_000
    assert text.clock(now, UTC) == "21:14"
    assert text.clock(now, UTC, seconds=True) == "21:14:05"
    assert text.clock_near(now + 3_600_000, now, UTC) == "22:14"
    assert text.clock_near(now + 5 * 86_400_000, now, UTC) == "Thu 21:14"
    assert text.clock_near(now + 30 * 86_400_000, now, UTC) == "2026-12-21"
    assert text.clock(10**18, UTC) == "?"


@pytest.mark.parametrize(
    ("figure", "shown"),
    [("$2.50k", "$2.5k"), ("$40.0k", "$40k"), ("500k", "500k"), ("1.00M", "1M"), ("$20.00", "$20"), ("$0.50", "$0.50"),
     ("$388", "$388"), ("0", "0")],
)  # fmt: skip
def test_round_figures_lose_the_digits_that_say_nothing(figure: str, shown: str) -> None:
    assert text.trimmed(figure) == shown


def test_a_time_in_a_sentence() -> None:
    now = 1_795_000_000_000
    for away_ms, words in ((3_600_000, "at "), (5 * 86_400_000, "on "), (30 * 86_400_000, "on 20")):
        assert text.at_clock(now + away_ms, now) == words[:3] + text.clock_near(now + away_ms, now)
        assert text.at_clock(now + away_ms, now).startswith(words)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("claude-opus-5-5", "opus-5-5"),
        ("claude-haiku-5-20260101", "haiku-5"),
        ("gpt-5.6-codex", "gpt-5.6-codex"),
        ("x-ai/grok-5", "grok-5"),
        ("gpt-5-2026-01-09", "gpt-5"),
        ("gemini-3-pro", "3-pro"),
        ("claude-", "claude-"),
        ("", ""),
    ],
)
def test_model_names_keep_what_tells_them_apart(name: str, shown: str) -> None:
    assert text.short_model(name) == shown


def test_windows_and_plurals() -> None:
    assert [text.window_name(m) for m in (300, 10_080, 45)] == ["5h", "7d", "45m"]
    assert [text.plural(n, "change") for n in (0, 1, 40)] == ["0 changes", "1 change", "40 changes"]


@given(st.text(st.characters(exclude_categories=()), max_size=400), st.integers(1, 120))
def test_cleaned_text_is_printable_bounded_and_stays_as_it_is_when_cleaned_again(
    raw: str, limit: int
) -> None:
    once = text.clean(raw, limit)
    assert len(once) <= limit
    assert all(char.isprintable() or text.unicodedata.combining(char) for char in once)
    assert text.clean(once, limit) == once


def test_hostile_characters_become_visible_marks() -> None:
    """Conformance 14."""
    assert text.clean("\x1b[2J") == "␛[2J"
    assert text.clean("a\x00b\x7f\x9b") == "a␀b␡�"
    assert text.clean("\u202ex\u2066\u2028\ud800\u200d") == "�x����"
    assert len(text.clean("e" + "\u0301" * 10_000)) <= 4


def test_signs_above_and_below_a_letter_take_no_cell() -> None:
    assert [text.cell_len(word) for word in ("né", "ne\u0301", "ที่", "修复", "a\u200db")] == [2, 2, 1, 4, 2]
