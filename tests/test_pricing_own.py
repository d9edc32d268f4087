"""Prices without a list: models on the user's own machine, and the user's own figures."""

from __future__ import annotations

import pytest

from tokentop.nouns.usage import Tokens
from tokentop.pricing import Price, PriceTable
from tokentop.pricing.data import day_ms

NOW = day_ms("2026-11-21")
LIST = PriceTable.load()
OPUS_CALL = Tokens(input=3, cache_read=15_030, cache_write_5m=655, cache_write_1h=8_000, output=217)


def price(provider: str, model: str, tokens: Tokens) -> Price:
    return LIST.price(provider=provider, model=model, at_ms=NOW, tokens=tokens)


def test_own_prices_reproduce_the_cost_that_opencode_logged() -> None:
    """119: input 2,000, read 3,000, output 50 + 30 reasoning at 1 / 0.1 / 2 per M = $0.00246."""
    own = PriceTable.load({"p/m": {"input": 1, "cache_read": 0.1, "output": "2"}})
    tokens = Tokens(input=2_000, cache_read=3_000, output=80, reasoning=30)
    assert own.price(provider="p", model="m", at_ms=NOW, tokens=tokens) == Price(2_460_000, False, "user:p/m")


@pytest.mark.parametrize(
    ("provider", "model"), [("ollama", "llama3"), ("lmstudio", "qwen3-coder"), ("", "ollama/x")]
)
def test_local_model_costs_nothing(provider: str, model: str) -> None:
    assert price(provider, model, OPUS_CALL).nusd == 0


def test_cloud_model_of_a_local_provider_is_unpriced() -> None:
    assert price("ollama", "gpt-oss:120b-cloud", OPUS_CALL).nusd is None


def test_own_price_wins_over_the_list_and_keeps_its_factors() -> None:
    own = PriceTable.load({"claude-opus-5-5": {"input": 2, "output": 10}})
    plain, fast = (
        own.price(provider="anthropic", model="claude-opus-5-5", at_ms=NOW, tokens=OPUS_CALL, tier=tier).nusd
        for tier in ("", "fast")
    )
    assert plain == 3 * 2_000 + 15_030 * 200 + 655 * 2_500 + 8_000 * 4_000 + 217 * 10_000
    assert fast == 2 * plain


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"m": {"input": 1, "output": 1, "cached": 1}}, "unknown key 'cached'"),
        ({"m": {"input": 1}}, "input and output are needed"),
        ({"m": {"input": -1, "output": 1}}, "not a price"),
        ({"m": {"input": "dear", "output": 1}}, "not a number"),
        ({"m": {"input": float("nan"), "output": 1}}, "not a number"),
        ({"m": {"input": float("inf"), "output": 1}}, "not a number"),
        ({"m": {"input": "0.0000001", "output": 1}}, "more than 6 decimals"),
    ],
)
def test_wrong_own_price_is_refused_by_name(given: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PriceTable.load(given)
