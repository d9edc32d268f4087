"""Which entry of the table prices a logged model id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentop.nouns.usage import Tokens
from tokentop.pricing import PriceTable
from tokentop.pricing.data import day_ms
from tokentop.pricing.names import candidates, forms, normal

NOW = day_ms("2026-11-21")
LIST = PriceTable.load()


def found(provider: str, model: str) -> tuple[str, bool]:
    price = LIST.price(provider=provider, model=model, at_ms=NOW, tokens=Tokens(input=1))
    return price.rates_id, price.estimated


@pytest.mark.parametrize(
    ("provider", "model", "rates_id"),
    [
        ("anthropic", "claude-opus-5-5", "anthropic/claude-opus-5-5"),
        ("", "claude-opus-5-5", "anthropic/claude-opus-5-5"),
        ("anthropic", "claude-opus-5-5[1m]", "anthropic/claude-opus-5-5"),
        ("", "claude-sonnet-4.6", "anthropic/claude-sonnet-4-6"),
        ("", "Claude-Sonnet-4.6", "anthropic/claude-sonnet-4-6"),
        ("", "anthropic/claude-opus-5.5", "anthropic/claude-opus-5-5"),
        ("", "claude-opus-5-5:thinking", "anthropic/claude-opus-5-5"),
        ("", "claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ("", "claude-haiku-4-5@20251001", "anthropic/claude-haiku-4-5"),
        ("", "gpt-5.4-2026-03-05", "openai/gpt-5.4"),
        ("codex", "gpt-5.3-codex-high", "openai/gpt-5.3-codex"),
        ("", "glm-5.3-TEE", "zai/glm-5.3"),
        ("dashscope", "qwen3-coder-plus", "dashscope/qwen3-coder-plus"),
        ("qwen", "qwen3-coder-plus", "dashscope/qwen3-coder-plus"),
        ("xai", "grok-code-fast-1", "xai/grok-code-fast-1"),
        ("openrouter", "anthropic/claude-opus-5.5", "openrouter/anthropic/claude-opus-5-5"),
        ("", "openrouter/anthropic/claude-opus-5.5", "openrouter/anthropic/claude-opus-5-5"),
        ("bedrock", "us.anthropic.claude-opus-4-6-v1", "bedrock/us.anthropic.claude-opus-4-6-v1"),
        ("", "us.anthropic.claude-opus-4-6-v1", "bedrock/us.anthropic.claude-opus-4-6-v1"),
        ("amazon-bedrock", "claude-opus-4-6", "bedrock/anthropic.claude-opus-4-6-v1"),
        ("amazon-bedrock", "openai.gpt-5.6-sol", "bedrock/openai.gpt-5.6-sol"),
        ("vertex_ai", "claude-opus-4-6@default", "vertex/claude-opus-4-6"),
        ("github-copilot", "claude-sonnet-4.6", "copilot/claude-sonnet-4-6"),
        ("my-gateway", "gpt-5.6", "openai/gpt-5.6"),
    ],
)
def test_id_finds_its_own_entry(provider: str, model: str, rates_id: str) -> None:
    """124, 125."""
    assert found(provider, model) == (rates_id, False)


@pytest.mark.parametrize(
    ("provider", "model", "rates_id"),
    [
        ("", "gpt-5.6-codex", "openai/gpt-5.6"),
        ("anthropic", "gpt-5.6", "openai/gpt-5.6"),
        ("azure", "azure/eu/gpt-5.3-codex", "azure/gpt-5.3-codex"),
        ("bedrock", "apac.anthropic.claude-opus-4-6-v1", "bedrock/anthropic.claude-opus-4-6-v1"),
        ("openrouter", "claude-opus-4-7-next", "anthropic/claude-opus-4-7"),
    ],
)
def test_neighbouring_entry_is_an_estimate(provider: str, model: str, rates_id: str) -> None:
    assert found(provider, model) == (rates_id, True)


@pytest.mark.parametrize(
    "model",
    [
        "gpt-5.7",
        "gpt-5.99-codex",
        "gpt-6.9",
        "claude-opus-5-7",
        "claude-opus-5-7-20270101",
        "claude-opus-6",
        "gpt-5.6-giga-mini",
    ],
)
def test_newer_version_never_falls_to_an_older_family(model: str) -> None:
    """124: gpt-5.6 must never be priced as gpt-5."""
    assert found("", model) == ("", False)


@pytest.mark.parametrize("model", ["gpt-5.6", "gpt-5-6", "openai/gpt-5.6"])
def test_gpt_5_6_is_itself(model: str) -> None:
    """124."""
    assert found("", model)[0] in ("openai/gpt-5.6", "openai/gpt-5.6-sol")


def test_regional_bedrock_id_costs_more_than_the_plain_one() -> None:
    tokens = Tokens(input=1_000_000)
    plain, us = (
        LIST.price(provider="bedrock", model=model, at_ms=NOW, tokens=tokens).nusd
        for model in ("anthropic.claude-opus-5-5", "us.anthropic.claude-opus-5-5")
    )
    assert us * 10 == plain * 11


def test_zed_adds_a_tenth_to_the_list_price() -> None:
    tokens = Tokens(input=1_000_000)
    zed, list_price = (
        LIST.price(provider=provider, model="claude-opus-5-5", at_ms=NOW, tokens=tokens).nusd
        for provider in ("zed.dev", "anthropic")
    )
    assert zed * 10 == list_price * 11


def test_window_mark_keeps_the_window_and_not_the_price() -> None:
    assert LIST.window("anthropic", "claude-sonnet-4-5[1m]") == 1_000_000
    assert LIST.window("anthropic", "claude-sonnet-4-5") == 200_000
    assert LIST.window("anthropic", "no-such-model") == 0


def test_versions_of_other_makers_keep_their_dots() -> None:
    assert (normal("GPT-5.6"), normal("Claude-Opus-4.6")) == ("gpt-5.6", "claude-opus-4-6")


def test_version_word_is_not_taken_for_a_revision() -> None:
    assert forms("deepseek-v3") == ["deepseek-v3"]


@given(st.text(max_size=60), st.text(max_size=80))
def test_any_text_is_priced_or_unpriced_without_an_error(provider: str, model: str) -> None:
    price = LIST.price(provider=provider, model=model, at_ms=NOW, tokens=Tokens(input=1))
    assert price.nusd is None or price.nusd >= 0


@pytest.mark.parametrize("model", ["a/" * 5_000, "gpt-" + "x-" * 5_000, "a.b" * 5_000, "claude-1.1" * 2_000])
def test_giant_id_has_few_forms(model: str) -> None:
    assert len(forms(model)) <= 32


def test_thousands_of_models_do_not_fill_the_memory() -> None:
    prices = PriceTable.load()
    for number in range(5_000):
        prices.price(provider="", model=f"m{number}", at_ms=NOW, tokens=Tokens(input=1))
    assert len(prices._lines) <= 4_096


@given(st.sampled_from(["", "openai"]), st.integers(0, 99), st.integers(0, 99))
def test_candidates_of_a_version_name_that_version(provider: str, major: int, minor: int) -> None:
    keys = [key for key, _ in candidates(provider, f"gpt-{major}.{minor}-new")]
    assert keys
    assert all(f"gpt-{major}.{minor}" in key for key in keys)


def test_description_tells_rates_validity_and_source() -> None:
    told = LIST.describe("gpt-5.6", NOW)
    assert told is not None
    assert (told.rates_id, told.row.since, len(told.rows)) == ("openai/gpt-5.6", "2026-08-21", 2)
    text = "\n".join(told.lines())
    for part in (
        "openai/gpt-5.6",
        "prompt > 272,000",
        "$0.4",
        "since 2026-08-21",
        "litellm",
        "priority",
        "x2",
    ):
        assert part in text


def test_description_before_a_change_shows_the_old_row() -> None:
    told = LIST.describe("gpt-5.6", day_ms("2026-08-20"))
    assert told is not None
    assert told.row.rates[""][0] == 5_000_000


def test_unknown_model_has_no_description() -> None:
    assert LIST.describe("no-such-model", NOW) is None
