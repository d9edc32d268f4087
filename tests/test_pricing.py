"""Tokens to money: oracles of real bills, and the rules for tiers, speeds, regions and dates."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentop.nouns.usage import Tokens
from tokentop.pricing import Price, PriceTable
from tokentop.pricing.data import Document, Model, Row, day_ms

NOW = day_ms("2026-11-21") + 20 * 3_600_000
LIST = PriceTable.load()
OPUS_CALL = Tokens(input=3, cache_read=15_030, cache_write_5m=655, cache_write_1h=8_000, output=217)


def price(provider: str, model: str, tokens: Tokens, at_ms: int = NOW, **given: object) -> Price:
    return LIST.price(provider=provider, model=model, at_ms=at_ms, tokens=tokens, **given)


def table(**models: Model) -> PriceTable:
    raw = {name.replace("__", "/"): msgspec.Raw(msgspec.json.encode(model)) for name, model in models.items()}
    return PriceTable(document=Document(1, "2026-11-21", {"own": "1"}, "", {}, raw))


# ---------------------------------------------------------------- oracles of logged bills


def test_opus_call_costs_what_claude_code_logged() -> None:
    """119: $0.074633 a call, $0.149266 for the two calls that Claude Code logged."""
    one = price("anthropic", "claude-opus-5-5", OPUS_CALL)
    assert one == Price(74_633_000, False, "anthropic/claude-opus-5-5")
    assert 2 * one.nusd == 149_266_000


def test_sonnet_call_costs_what_claude_code_logged() -> None:
    """119: $0.10154055."""
    tokens = Tokens(input=83, cache_read=30_926, cache_write_5m=7_717, cache_write_1h=5_505, output=2_003)
    assert price("anthropic", "claude-sonnet-4-5", tokens).nusd == 101_540_550


def test_writes_of_both_lifetimes_cost_what_openclaw_logged() -> None:
    """119: 3,260 at 5m + 3,260 at 1h = $0.031785."""
    assert (
        price("", "claude-sonnet-4-5", Tokens(cache_write_5m=3_260, cache_write_1h=3_260)).nusd == 31_785_000
    )


def test_reasoning_is_a_part_of_output_and_not_charged_twice() -> None:
    with_reasoning = Tokens(output=1_000, reasoning=900)
    assert price("openai", "gpt-5.6", with_reasoning) == price("openai", "gpt-5.6", Tokens(output=1_000))


# ---------------------------------------------------------------- thresholds


@pytest.mark.parametrize(
    ("tokens", "nusd"),
    [
        (Tokens(input=272_000, output=1_000), 556_000_000),
        (Tokens(input=272_001, output=1_000), 1_106_004_000),
        (Tokens(input=1, cache_read=271_999, output=1_000), 2_000 + 54_399_800 + 12_000_000),
        (Tokens(input=1, cache_read=272_000, output=1_000), 4_000 + 108_800_000 + 18_000_000),
    ],
)
def test_openai_prompt_above_272k_takes_the_higher_rate_for_everything(tokens: Tokens, nusd: int) -> None:
    """120."""
    assert price("openai", "gpt-5.6-terra", tokens) == Price(nusd, False, "openai/gpt-5.6-terra")


@pytest.mark.parametrize(
    ("tokens", "nusd"),
    [
        (Tokens(input=200_000, output=1_000), 260_000_000),
        (Tokens(input=200_001, output=1_000), 515_002_500),
        (Tokens(cache_read=200_000, output=1_000), 25_000_000 + 10_000_000),
        (Tokens(cache_read=200_001, output=1_000), 50_000_250 + 15_000_000),
    ],
)
def test_gemini_prompt_above_200k_takes_the_higher_rate_for_everything(tokens: Tokens, nusd: int) -> None:
    """120."""
    assert price("gemini", "gemini-2.5-pro", tokens).nusd == nusd


@pytest.mark.parametrize(
    "model", ["claude-opus-5-5", "claude-sonnet-4-6", "claude-opus-4-7", "claude-sonnet-5"]
)
def test_million_token_claude_has_no_threshold(model: str) -> None:
    """121."""
    short = price("anthropic", model, Tokens(input=100_000, output=1_000))
    long = price("anthropic", model, Tokens(input=900_000, output=9_000))
    assert long.nusd == 9 * short.nusd


def test_haiku_5_5_pays_five_times_as_much_above_100k() -> None:
    """Both price lists have this threshold."""
    assert price("anthropic", "claude-haiku-5-5", Tokens(input=100_000)).nusd == 10_000_000
    assert price("anthropic", "claude-haiku-5-5", Tokens(input=100_001)).nusd == 50_000_500


@pytest.mark.parametrize(("prompt", "nusd"), [(272_000, 544_000_000), (272_001, 1_088_004_000)])
def test_threshold_is_the_same_for_resolved_rates_and_beside_web_searches(prompt: int, nusd: int) -> None:
    tokens = Tokens(input=prompt)
    rates = LIST.resolve(provider="openai", model="gpt-5.6-terra", at_ms=NOW)
    assert rates.cost(tokens) == (nusd, False)
    assert price("openai", "gpt-5.6-terra", tokens, web_searches=1).nusd == nusd + 10_000_000


@pytest.mark.parametrize(
    ("prompt", "rate"), [(32_000, 1_000), (32_001, 1_800), (128_001, 3_000), (256_001, 6_000)]
)
def test_of_several_thresholds_the_highest_that_is_passed_counts(prompt: int, rate: int) -> None:
    assert price("qwen", "qwen3-coder-plus", Tokens(input=prompt)).nusd == prompt * rate


def test_sonnet_4_5_pays_the_long_context_rate_only_above_200k() -> None:
    assert price("anthropic", "claude-sonnet-4-5", Tokens(input=200_000)).nusd == 600_000_000
    assert price("anthropic", "claude-sonnet-4-5", Tokens(input=1_000_000)).nusd == 6_000_000_000


def test_sum_over_requests_takes_the_base_rate_as_an_estimate() -> None:
    """121: no threshold can be applied to a cumulative source."""
    tokens = Tokens(input=300_000, output=1_000)
    assert price("openai", "gpt-5.6-terra", tokens, cumulative=True) == Price(
        612_000_000, True, "openai/gpt-5.6-terra"
    )
    assert not price("anthropic", "claude-opus-5-5", tokens, cumulative=True).estimated


# ---------------------------------------------------------------- tiers, speeds, regions


def test_priority_above_272k_takes_the_combined_rate_where_it_is_listed() -> None:
    """122: gpt-5.6 at 16 / 60 per M."""
    tokens = Tokens(input=300_000, output=1_000)
    assert price("openai", "gpt-5.6", tokens, tier="priority") == Price(
        4_860_000_000, False, "openai/gpt-5.6"
    )


@pytest.mark.parametrize("tier", ["priority", "fast"])
def test_priority_above_272k_without_a_listed_rate_is_an_estimate_at_the_priority_rate(tier: str) -> None:
    """122: gpt-5.5, 300k in + 1k out = $3.825; Codex logs the tier under either name."""
    tokens = Tokens(input=300_000, output=1_000)
    assert price("openai", "gpt-5.5", tokens, tier=tier) == Price(3_825_000_000, True, "openai/gpt-5.5")
    assert not price("openai", "gpt-5.5", Tokens(input=1_000), tier=tier).estimated


@pytest.mark.parametrize("tier", ["flex", "batch"])
@pytest.mark.parametrize("model", ["gpt-5.6", "gpt-5.5"])
@pytest.mark.parametrize("prompt", [1_000, 300_000])
def test_flex_and_batch_cost_half(tier: str, model: str, prompt: int) -> None:
    """122."""
    tokens = Tokens(input=prompt, cache_read=500, output=1_000)
    half = price("openai", model, tokens, tier=tier)
    assert 2 * half.nusd == price("openai", model, tokens).nusd
    assert not half.estimated


def test_batch_halves_every_claude_rate() -> None:
    assert 2 * price("anthropic", "claude-opus-5-5", OPUS_CALL, tier="batch").nusd == 74_633_000


@pytest.mark.parametrize("tier", ["", "standard", "default", "auto"])
def test_standard_has_several_names(tier: str) -> None:
    assert price("openai", "gpt-5.6", Tokens(input=1_000), tier=tier) == Price(
        4_000_000, False, "openai/gpt-5.6"
    )


@pytest.mark.parametrize(
    ("model", "factor"),
    [
        ("claude-opus-5-5", 2),
        ("claude-opus-5", 2),
        ("claude-opus-4-8", 2),
        ("claude-opus-4-7", 6),
        ("claude-opus-4-6", 6),
    ],
)
def test_fast_mode_multiplies_every_bucket(model: str, factor: int) -> None:
    """129: the factor 6 of Opus 4.6 and 4.7 is in no price list."""
    plain = price("anthropic", model, OPUS_CALL)
    assert price("anthropic", model, OPUS_CALL, tier="fast") == Price(
        plain.nusd * factor, False, plain.rates_id
    )


def test_fast_us_and_one_hour_writes_multiply() -> None:
    """123: 8 per M x2 x1.1."""
    tokens = Tokens(cache_write_1h=1_000_000)
    assert price("anthropic", "claude-opus-5-5", tokens, tier="fast", geo="us").nusd == 17_600_000_000
    assert price("anthropic", "claude-opus-5-5", OPUS_CALL, tier="fast", geo="us").nusd == 164_192_600


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-sonnet-5-5", "claude-fable-5-2", "gpt-5.6"])
def test_us_inference_costs_a_tenth_more(model: str) -> None:
    """129."""
    assert price("", model, OPUS_CALL, geo="us").nusd * 10 == price("", model, OPUS_CALL).nusd * 11


@pytest.mark.parametrize("geo", ["", "global", "not_available"])
def test_no_region_has_no_factor(geo: str) -> None:
    assert price("anthropic", "claude-opus-5-5", OPUS_CALL, geo=geo) == price(
        "anthropic", "claude-opus-5-5", OPUS_CALL
    )


def test_region_without_a_listed_factor_is_an_estimate() -> None:
    assert price("anthropic", "claude-opus-5-5", OPUS_CALL, geo="mars") == Price(
        74_633_000, True, "anthropic/claude-opus-5-5"
    )


def test_fast_mode_of_a_claude_without_a_known_factor_is_unpriced() -> None:
    assert price("anthropic", "claude-haiku-4-5", OPUS_CALL, tier="fast").nusd is None


def test_tier_by_rule_of_thumb_is_an_estimate() -> None:
    half = price("moonshot", "kimi-k3", Tokens(input=1_000_000), tier="batch")
    assert half == Price(price("moonshot", "kimi-k3", Tokens(input=500_000)).nusd, True, "moonshot/kimi-k3")
    assert price("moonshot", "kimi-k3", Tokens(input=1), tier="nonsense").estimated


def test_web_searches_cost_ten_dollars_a_thousand_and_no_factor() -> None:
    plain, fast = (
        price("anthropic", "claude-opus-5-5", OPUS_CALL, tier=t, web_searches=3) for t in ("", "fast")
    )
    assert (plain.nusd, fast.nusd) == (74_633_000 + 30_000_000, 149_266_000 + 30_000_000)


# ---------------------------------------------------------------- cache writes without a fee


def test_write_on_gpt_5_5_has_no_fee_and_costs_as_the_plain_input_it_is() -> None:
    """75: free of a surcharge before 5.6; the written tokens stay a part of the billed prompt."""
    written = price("openai", "gpt-5.5", Tokens(input=1_000, cache_write_5m=500))
    assert written == price("openai", "gpt-5.5", Tokens(input=1_500))
    assert written.nusd == 7_500_000


def test_write_on_gpt_5_6_is_charged_at_its_own_rate() -> None:
    """75: 5 per M beside 4 per M for input."""
    assert price("openai", "gpt-5.6", Tokens(cache_write_5m=100_000)).nusd == 500_000_000


def test_write_on_gemini_has_no_fee() -> None:
    assert price("google", "gemini-2.5-pro", Tokens(cache_write_5m=1_000)) == price(
        "google", "gemini-2.5-pro", Tokens(input=1_000)
    )


# ---------------------------------------------------------------- dates


def test_price_change_applies_from_its_day() -> None:
    """126: gpt-5.6 went from 5 / 30 to 4 / 20 per M on 2026-08-21."""
    change, tokens = day_ms("2026-08-21"), Tokens(input=1_000, output=1_000)
    assert price("openai", "gpt-5.6", tokens, at_ms=change - 1).nusd == 35_000_000
    assert price("openai", "gpt-5.6", tokens, at_ms=change).nusd == 24_000_000
    assert price("openai", "gpt-5.6", tokens, at_ms=0).nusd == 35_000_000


def test_announced_price_waits_for_its_day() -> None:
    rows = [Row("2026-01-01", {"": [1_000_000, None, None, None, 2_000_000]})]
    rows.append(Row("2026-01-01", {"": [3_000_000, None, None, None, 4_000_000]}, since="2026-12-01"))
    prices = table(openai__gpt_x_1=Model(rows))
    cost = [
        prices.price(provider="openai", model="gpt_x_1", at_ms=at_ms, tokens=Tokens(input=1_000_000)).nusd
        for at_ms in (NOW, day_ms("2026-12-01") - 1, day_ms("2026-12-01"))
    ]
    assert cost == [1_000_000_000, 1_000_000_000, 3_000_000_000]


@pytest.mark.parametrize(
    "model", ["claude-sonnet-4-20250514", "claude-3-5-sonnet-20241022", "claude-opus-4-1-20250805"]
)
def test_retired_model_is_still_priced(model: str) -> None:
    """126."""
    assert price("anthropic", model, OPUS_CALL).nusd


def test_off_peak_hours_have_their_own_rates() -> None:
    """DeepSeek: workdays 00-01, 04-06 and 10-24 UTC and the weekend cost half."""
    tokens, friday = Tokens(input=1_000_000), day_ms("2026-11-20")
    hour = 3_600_000
    day, night, weekend = (
        price("deepseek", "deepseek-v4-pro", tokens, at_ms=at_ms).nusd
        for at_ms in (friday + 2 * hour, friday + 10 * hour, friday + 26 * hour)
    )
    assert day == 2 * night == 2 * weekend


# ---------------------------------------------------------------- unpriced


@pytest.mark.parametrize("model", ["", "gpt-99", "composer-2", "<synthetic>", "unknown", "\x1b[31m"])
def test_unknown_model_is_unpriced_and_not_free(model: str) -> None:
    """124."""
    assert price("", model, OPUS_CALL) == Price(None, False, "")


def test_missing_rate_is_unpriced_only_where_it_is_needed() -> None:
    prices = table(openai__m1=Model([Row("2026-01-01", {"": [1_000_000, None, None, None, 2_000_000]})]))
    known, needed = (
        prices.price(provider="openai", model="m1", at_ms=NOW, tokens=tokens)
        for tokens in (Tokens(input=10, output=10), Tokens(input=10, cache_read=1))
    )
    assert (known.nusd, needed.nusd) == (30_000, None)


def test_dearer_reasoning_takes_its_own_rate() -> None:
    row = Row("2026-01-01", {"": [0, 0, None, None, 1_000_000, 4_000_000]})
    prices = table(dashscope__m1=Model([row]))
    cost = prices.price(provider="qwen", model="m1", at_ms=NOW, tokens=Tokens(output=100, reasoning=40))
    assert cost.nusd == 60 * 1_000 + 40 * 4_000


# ---------------------------------------------------------------- properties

COUNTS = st.integers(0, 10**9)
TOKENS = st.builds(Tokens, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
MODELS = st.sampled_from(
    ["claude-opus-5-5", "claude-haiku-5-5", "gpt-5.6", "gpt-5.5", "gemini-2.5-pro", "qwen3-coder-plus"]
)


@given(TOKENS, MODELS, st.sampled_from(["", "batch", "priority", "flex"]), st.integers(0, 100))
def test_cost_is_a_whole_number_and_never_negative(
    tokens: Tokens, model: str, tier: str, searches: int
) -> None:
    nusd = price("", model, tokens, tier=tier, web_searches=searches).nusd
    assert isinstance(nusd, int)
    assert nusd >= 0


@given(TOKENS, TOKENS)
def test_cost_is_additive_where_no_threshold_is(one: Tokens, other: Tokens) -> None:
    """Opus 5.5 has whole nano-dollars per token, so nothing is lost to rounding."""
    a, b, both = (price("anthropic", "claude-opus-5-5", t).nusd for t in (one, other, one + other))
    assert a + b == both


@given(TOKENS, MODELS, st.sampled_from(["", "batch", "priority", "fast"]), st.sampled_from(["", "us", "eu"]))
def test_resolved_rates_give_the_same_cost_as_price(tokens: Tokens, model: str, tier: str, geo: str) -> None:
    rates = LIST.resolve(provider="", model=model, at_ms=NOW, tier=tier, geo=geo)
    found = price("", model, tokens, tier=tier, geo=geo)
    assert rates.cost(tokens, at_ms=NOW) == (found.nusd, found.estimated)


@given(TOKENS)
def test_more_tokens_never_cost_less(tokens: Tokens) -> None:
    more = tokens + Tokens(input=1)
    assert price("openai", "gpt-5.6", more).nusd > price("openai", "gpt-5.6", tokens).nusd


def test_cost_is_rounded_once() -> None:
    """Three buckets of 0.4 nano-dollars are 1.2, not three times 0."""
    row = Row("2026-01-01", {"": [400, 400, None, None, 400]})
    prices = table(openai__m1=Model([row]))
    tokens = Tokens(input=1, cache_read=1, output=1)
    assert prices.price(provider="openai", model="m1", at_ms=NOW, tokens=tokens).nusd == 1
