"""Verdicts and residuals of the reconciliation, on built figures (providers.md 14, cases 60 to 64)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tokentop.engine import residual
from tokentop.engine.correction import learned
from tokentop.engine.reconcile import Line, Ours, Report, Verdict, reconcile
from tokentop.engine.residual import CLASSES, Sides, take_apart
from tokentop.nouns.billing import Bill
from tokentop.nouns.usage import Tokens
from tokentop.pricing.rates import Rates
from tokentop.pricing.table import PriceTable

DAY = "2026-11-20"
MODEL = "claude-opus-5-5"
TABLE = PriceTable()
SOURCES = ("anthropic.analytics_cost", "anthropic.analytics_usage", "anthropic.cost", "anthropic.usage")
USED = Tokens(100_000, 2_000_000, 300_000, 400_000, 50_000)


def rates_of(provider: str, model: str, _day: str = DAY) -> Rates:
    return TABLE.resolve(provider=provider, model=model, at_ms=1_795_000_000_000)


def name_of(provider: str, model: str) -> str:
    return rates_of(provider, model).rates_id


def cost(tokens: Tokens, model: str = MODEL) -> int:
    nusd = TABLE.price(provider="anthropic", model=model, at_ms=1_795_000_000_000, tokens=tokens).nusd
    assert nusd is not None
    return nusd


def class_cost(name: str, tokens: Tokens, model: str = MODEL) -> int:
    return cost(Tokens(**{name: getattr(tokens, name)}), model)


def used(tokens: Tokens = USED, model: str = MODEL, **fields: Any) -> Bill:
    return Bill("anthropic", "anthropic.usage", DAY, "usage", model, tokens=tokens, **fields)


def billed(tokens: Tokens = USED, model: str = MODEL, share: float = 1.0) -> list[Bill]:
    """What `cost_report` says: one row of money a token class."""
    return [
        Bill("anthropic", "anthropic.cost", DAY, name, model,
             amount_nusd=round(class_cost(name, tokens, model) * share))
        for name in CLASSES if getattr(tokens, name)
    ]  # fmt: skip


def ours(tokens: Tokens = USED, model: str = MODEL, nusd: int | None = None, **fields: Any) -> Ours:
    return Ours("anthropic", DAY, model, tokens, cost(tokens) if nusd is None else nusd, **fields)


def compare(mine: list[Ours], bills: list[Bill], final: bool = True, **more: Any) -> Report:
    return reconcile(mine, bills, {("anthropic", DAY): final}, SOURCES, rates_of, name_of, **more)


def only(report: Report) -> Line:
    assert len(report.lines) == 1
    return report.lines[0]


def test_equal_figures_match_to_the_last_nano_dollar() -> None:
    line = only(compare([ours()], [used(), *billed()]))
    assert (line.verdict, line.ours_nusd, line.list_nusd) == (Verdict.MATCH, line.list_nusd, line.ours_nusd)
    assert line.coverage == 1.0
    assert not line.off


def test_ids_of_one_model_are_one_row() -> None:
    half = Tokens(50_000, 0, 0, 0, 10_000)
    mine = [ours(half, "claude-haiku-4-5", cost(half, "claude-haiku-4-5")),
            ours(half, "claude-haiku-4-5-20251001", cost(half, "claude-haiku-4-5"))]  # fmt: skip
    line = only(compare(mine, [used(half + half, "claude-haiku-4-5-20251001")]))
    assert line.verdict is Verdict.MATCH
    assert line.ours == half + half


def test_more_at_the_provider_is_coverage_and_no_error() -> None:
    """Case 60."""
    line = only(compare([ours()], [used(USED + USED + USED, key="a"), *billed(USED + USED + USED)]))
    assert line.verdict is Verdict.UNCOVERED
    assert line.coverage == pytest.approx(1 / 3)
    assert [part.name for part in line.parts] == [residual.ELSEWHERE]
    assert not line.off


def test_with_the_keys_of_this_machine_its_use_alone_is_compared() -> None:
    """Case 60: `cost_report` does not split by key, so only tokens are compared."""
    bills = [used(key="apikey_01A"), used(key="apikey_01B"), *billed(USED + USED)]
    line = only(compare([ours()], bills, keys=frozenset({"apikey_01A"})))
    assert line.verdict is Verdict.MATCH
    assert line.list_nusd is None


def test_more_here_is_pending_until_the_day_is_settled() -> None:
    """Case 61."""
    part = Tokens(90_000, 1_900_000, 290_000, 390_000, 45_000)
    line = only(compare([ours()], [used(part), *billed(part)], final=False))
    assert line.verdict is Verdict.PENDING
    assert residual.NOT_YET in {part.name for part in line.parts}
    line = only(compare([ours()], [used(part), *billed(part)], final=True))
    assert line.verdict is Verdict.OVER
    assert line.off


def test_what_the_provider_billed_none_of_is_no_discrepancy() -> None:
    """Case 63: a plan may have paid."""
    line = only(compare([ours()], []))
    assert (line.verdict, line.difference_nusd) == (Verdict.NONE, None)
    assert "a plan" in line.reason
    unknown = only(reconcile([ours()], [], {}, SOURCES, rates_of, name_of))
    assert unknown.verdict is Verdict.NONE
    assert unknown.theirs is None


def test_rounding_of_rows_and_responses_is_no_difference() -> None:
    few = [replace(bill, amount_nusd=(bill.amount_nusd or 0) + 4) for bill in billed()]
    line = only(compare([ours(responses=3)], [used(), *few]))
    assert (line.difference_nusd, line.parts, line.verdict) == (0, (), Verdict.MATCH)
    more = [replace(bill, amount_nusd=(bill.amount_nusd or 0) + 6) for bill in billed()]
    assert only(compare([ours(responses=3)], [used(), *more])).difference_nusd == -30


def test_a_discount_is_told_once_and_the_rows_match() -> None:
    """Case 62, from the provider's own list prices."""
    bills = [
        Bill("anthropic", "anthropic.analytics_cost", DAY, name, MODEL,
             amount_nusd=class_cost(name, USED) * 9 // 10, list_nusd=class_cost(name, USED))
        for name in CLASSES
    ]  # fmt: skip
    report = compare([ours()], [used(), *bills])
    assert only(report).verdict is Verdict.MATCH
    assert report.discounts == {"anthropic": pytest.approx(0.9)}


def test_one_ratio_over_all_models_is_a_discount_but_one_model_alone_a_price() -> None:
    other = "claude-sonnet-4-6"
    mine = [ours(), ours(model=other, nusd=cost(USED, other))]
    bills = [used(), used(model=other), *billed(share=0.8), *billed(model=other, share=0.8)]
    report = compare(mine, bills)
    assert report.discounts == {"anthropic": pytest.approx(0.8)}
    assert {line.verdict for line in report.lines} == {Verdict.MATCH}
    report = compare([ours()], [used(), *billed(share=0.8)])
    assert report.discounts == {}
    assert only(report).verdict is Verdict.PRICE


def test_one_hour_writes_at_the_price_of_five_minutes_are_named() -> None:
    """Case 64: equal tokens, other money, and the pieces say why."""
    wrong = cost(USED) - class_cost("cache_write_1h", USED) + class_cost(
        "cache_write_5m", Tokens(cache_write_5m=USED.cache_write_1h)
    )  # fmt: skip
    swapped = Tokens(USED.input, USED.cache_read, USED.cache_write_5m + USED.cache_write_1h, 0, USED.output)
    line = only(compare([ours(swapped, nusd=wrong)], [used(), *billed()]))
    assert line.verdict is Verdict.PRICE
    assert line.reason == residual.LIFETIME
    assert line.off


def test_an_unpriced_model_is_named() -> None:
    line = only(compare([ours(nusd=0, unpriced_tokens=USED.total)], [used(), *billed()]))
    assert line.verdict is Verdict.PRICE
    assert "no price known here" in line.reason


def test_searches_are_one_row_whatever_model_searched() -> None:
    mine = [ours(), Ours("anthropic", DAY, MODEL, cost_nusd=30_000_000, kind="web_search"),
            Ours("anthropic", DAY, "claude-sonnet-4-6", cost_nusd=10_000_000, kind="web_search")]  # fmt: skip
    bills = [
        used(),
        *billed(),
        Bill("anthropic", "anthropic.cost", DAY, "web_search", amount_nusd=40_000_000),
    ]
    report = compare(mine, bills)
    assert [(line.kind, line.verdict) for line in report.lines] == [
        ("tokens", Verdict.MATCH), ("web_search", Verdict.MATCH)
    ]  # fmt: skip


def test_two_reports_of_one_day_are_never_added_up() -> None:
    again = Bill("anthropic", "anthropic.analytics_usage", DAY, "usage", MODEL, tokens=USED)
    assert only(compare([ours()], [used(), again, *billed()])).theirs == USED


def test_the_factor_needs_three_settled_days() -> None:
    def line(day: int, bill: int, final: bool = True) -> Line:
        return Line("anthropic", f"2026-11-{day:02}", MODEL, "tokens", Verdict.UNCOVERED, "", USED, USED, 100, bill,
                    bill, 1.0, (), final)  # fmt: skip

    assert learned([line(1, 110), line(2, 120)], "anthropic") is None
    factor = learned([line(1, 110), line(2, 120), line(3, 130), line(4, 500, final=False)], "anthropic")
    assert factor is not None
    assert (factor.ratio, factor.low, factor.high, factor.days) == (1.2, 1.1, 1.3, 3)
    assert factor.apply(1000) == (1200, 1100, 1300)


counts = st.integers(0, 10**9)
tokens = st.builds(Tokens, counts, counts, counts, counts, counts)


@given(mine=tokens, theirs=tokens, ours_nusd=st.integers(0, 10**14), by_class=st.dictionaries(
    st.sampled_from(CLASSES), st.integers(0, 10**13)), unpriced=st.sampled_from([0, 0, 7]), final=st.booleans(),
    known=st.booleans())  # fmt: skip
def test_the_pieces_of_a_difference_always_add_up_to_it(
    mine: Tokens, theirs: Tokens, ours_nusd: int, by_class: dict[str, int], unpriced: int, final: bool,
    known: bool,
) -> None:  # fmt: skip
    total = sum(by_class.values())
    sides = Sides(mine, theirs, ours_nusd, total, by_class, unpriced, final)
    band = rates_of("anthropic", MODEL).bands[-1] if known else None
    assert sum(part.nusd for part in take_apart(sides, band)) == ours_nusd - total
