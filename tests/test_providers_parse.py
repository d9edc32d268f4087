"""Reports as the providers document them: units, disjoint tokens, unknown fields, rows that cannot be read.

Numbers in the names of cases are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokentop.nouns.billing import DEFAULT_PROJECT, NO_KEY
from tokentop.nouns.usage import Tokens
from tokentop.providers import _anthropic, all_providers, provider
from tokentop.providers.base import Page, Request
from tokentop.providers.decoding import (
    CENT,
    UNIT,
    BadReply,
    BadRow,
    count,
    decode,
    error_word,
    nano,
    row_of,
    when_ms,
)
from tokentop.providers.openai import of_line_item, tokens_of

from .provider_build import NOW_MS, ask

DAY = "2026-11-21"


def body(document: Any) -> bytes:
    return json.dumps(document).encode()


def parsed(provider_id: str, source: str, document: Any, **about: str) -> Page:
    report = provider(provider_id).source(source)
    wanted = Request("/x", about=about.get("about", ""))
    return report.parse(document if isinstance(document, bytes) else body(document), ask(), wanted)


def anthropic_bucket(*results: Any, day: str = DAY) -> dict[str, Any]:
    bucket = {"starting_at": f"{day}T00:00:00Z", "ending_at": f"{day}T23:00:00Z", "results": list(results)}
    return {"data": [bucket], "has_more": False, "next_page": None}


COST_ROW = {
    "currency": "USD", "amount": "123.45", "workspace_id": None, "description": "Claude Opus 5.5 Usage - Output Tokens",
    "cost_type": "tokens", "model": "claude-opus-5-5", "token_type": "output_tokens", "service_tier": "standard",
    "context_window": "0-200k", "inference_geo": None,
}  # fmt: skip
USAGE_ROW = {
    "uncached_input_tokens": 2731, "output_tokens": 4685, "cache_read_input_tokens": 219267,
    "cache_creation": {"ephemeral_5m_input_tokens": 10867, "ephemeral_1h_input_tokens": 303},
    "server_tool_use": {"web_search_requests": 2}, "api_key_id": None, "workspace_id": "wrkspc_01Example",
    "model": "claude-opus-5-5", "service_tier": "standard", "context_window": None, "inference_geo": None,
}  # fmt: skip


def test_anthropic_cost_is_decimal_cents() -> None:
    """1: "123.45" is $1.2345."""
    [bill] = parsed("anthropic", "cost", anthropic_bucket(COST_ROW)).bills
    assert (bill.amount_nusd, bill.amount_text, bill.kind, bill.model) == (
        1_234_500_000,
        "123.45",
        "output",
        "claude-opus-5-5",
    )


def test_claude_code_estimate_is_cents_and_keeps_no_person() -> None:
    """2: 519 is $5.19; the e-mail address is nowhere."""
    record = {
        "date": f"{DAY}T00:00:00Z", "actor": {"type": "user_actor", "email_address": "dev@example.com"},
        "customer_type": "api", "terminal_type": "tmux",
        "model_breakdown": [{"model": "claude-opus-5-5", "tokens": {"input": 318134, "output": 557423,
            "cache_read": 27921504, "cache_creation": 1382746}, "estimated_cost": {"currency": "USD", "amount": 519}}],
    }  # fmt: skip
    [bill] = parsed("anthropic", "claude_code", {"data": [record], "has_more": False}, about=DAY).bills
    assert (bill.list_nusd, bill.amount_nusd) == (5_190_000_000, None)
    assert bill.tokens == Tokens(input=318134, output=557423, cache_read=27921504, cache_write_5m=1382746)
    assert "dev@example.com" not in repr(bill)


def test_an_empty_bucket_is_a_known_zero_and_a_missing_one_is_unknown() -> None:
    """4."""
    page = parsed("anthropic", "usage", anthropic_bucket())
    assert (page.bills, page.days) == ([], {DAY})
    assert parsed("anthropic", "usage", {"data": [], "has_more": False}).days == set()


def test_null_means_default_where_it_was_asked_for_and_all_where_not() -> None:
    """6."""
    document = body(anthropic_bucket(USAGE_ROW | {"workspace_id": None}))
    [grouped] = [
        b
        for b in _anthropic.usage_page(document, ask(), frozenset({"workspace_id", "api_key_id"})).bills
        if b.tokens
    ]
    assert (grouped.project, grouped.key) == (DEFAULT_PROJECT, NO_KEY)
    [ungrouped] = [b for b in _anthropic.usage_page(document, ask(), frozenset()).bills if b.tokens]
    assert (ungrouped.project, ungrouped.key, ungrouped.model) == ("", "", "")


def test_anthropic_token_classes_are_disjoint() -> None:
    found = parsed("anthropic", "usage", anthropic_bucket(USAGE_ROW)).bills
    [usage] = [bill for bill in found if bill.kind == "usage"]
    assert usage.tokens == Tokens(2731, 219267, 10867, 303, 4685)
    [searches] = [bill for bill in found if bill.kind == "web_search"]
    assert (searches.quantity, searches.unit, searches.tokens) == (2, "requests", None)


def test_analytics_tell_amount_and_list_price_by_day_and_class() -> None:
    row = {
        "starting_at": f"{DAY}T00:00:00Z", "ending_at": f"{DAY}T20:00:00Z",
        "group": {"product": "claude_code", "model": "claude-opus-5-5", "api_key_id": None, "cost_type": "tokens",
                  "token_type": "cache_creation.ephemeral_1h_input_tokens"},
        "cost": {"amount": "14034.246682", "list_amount": "15593.607425", "currency": "USD", "requests": None},
    }  # fmt: skip
    page = parsed("anthropic", "analytics_cost", {"data": [row], "has_more": False, "next_page": None,
                                                  "data_refreshed_at": f"{DAY}T20:15:00Z"})  # fmt: skip
    [bill] = page.bills
    assert (bill.amount_nusd, bill.list_nusd) == (140_342_466_820, 155_936_074_250)
    assert (bill.kind, bill.product, bill.key) == ("cache_write_1h", "claude_code", NO_KEY)
    assert page.as_of_ms == when_ms(f"{DAY}T20:15:00Z")
    assert page.days is None  # rows, not buckets: a day without rows had no use


OPENAI_ROW = {
    "object": "organization.usage.completions.result", "input_tokens": 34398407, "input_cached_tokens": 32833339,
    "input_cache_write_tokens": 215433, "input_cache_write_30m_tokens": 215433, "input_cache_write_12h_tokens": 0,
    "input_uncached_tokens": 1349635, "output_tokens": 903908, "num_model_requests": 907, "input_audio_tokens": 0,
    "project_id": None, "api_key_id": None, "model": "gpt-5.6", "batch": None, "service_tier": None,
}  # fmt: skip


def openai_bucket(*results: Any) -> dict[str, Any]:
    bucket = {"object": "bucket", "start_time": 1795219200, "end_time": 1795305600, "results": list(results)}
    return {"object": "page", "has_more": False, "next_page": None, "data": [bucket]}


def test_openai_input_includes_what_was_cached() -> None:
    """17."""
    [bill] = parsed("openai", "usage", openai_bucket(OPENAI_ROW)).bills
    assert bill.tokens == Tokens(input=1349635, cache_read=32833339, cache_write_5m=215433, output=903908)
    assert bill.tokens.prompt == OPENAI_ROW["input_tokens"]
    assert (bill.requests, bill.item, bill.day_utc) == (907, "", DAY)


def test_openai_parts_that_do_not_add_up_are_marked() -> None:
    tokens, adds_up = tokens_of(OPENAI_ROW | {"input_uncached_tokens": 7})
    assert (tokens.input, adds_up) == (1349635, False)


def test_openai_audio_is_a_part_and_never_added() -> None:
    """18."""
    assert tokens_of(OPENAI_ROW | {"input_audio_tokens": 50})[0] == tokens_of(OPENAI_ROW)[0]


@pytest.mark.parametrize(
    ("amount", "nusd"),
    [({"value": 0.06}, 60_000_000), ({"value": "2.25"}, 2_250_000_000), ({"value": float("nan")}, None),
     ({"value": "NaN"}, None), ({"value": "Infinity"}, None), ({}, None), ({"value": None}, None), (None, None)],
)  # fmt: skip
def test_openai_amounts(amount: Any, nusd: int | None) -> None:
    """19: a bad row is dropped and its page stays, but its day is not taken for whole."""
    row = {"amount": amount, "line_item": "gpt-5.6, output_tokens"}
    page = parsed("openai", "costs", openai_bucket(row, {"amount": {"value": 1, "currency": "usd"}}))
    good = [bill.amount_nusd for bill in page.bills]
    assert good == ([nusd] if nusd is not None else []) + [1_000_000_000]
    assert (page.dropped, page.bad_days) == ((0, set()) if nusd is not None else (1, {DAY}))


@pytest.mark.parametrize("written", ["1e309", "-1e309", "1e999", "1e10", "9" * 400])
def test_a_number_out_of_range_drops_its_row(written: str) -> None:
    """19."""
    text = json.dumps(openai_bucket({"amount": {"value": 12345}}, {"amount": {"value": 3}}))
    page = parsed("openai", "costs", text.replace("12345", written).encode())
    assert [bill.amount_nusd for bill in page.bills] == [3_000_000_000]
    assert page.bad_days == {DAY}


def test_a_line_item_stays_whole() -> None:
    """21."""
    [bill] = parsed(
        "openai", "costs", openai_bucket({"amount": {"value": 1}, "line_item": "gpt-5.6, input_tokens"})
    ).bills
    assert (bill.item, bill.model, bill.kind) == ("gpt-5.6, input_tokens", "gpt-5.6", "input")
    assert of_line_item("code interpreter, EU, sessions") == ("", "other")


def test_openai_costs_are_asked_plainer_after_a_400() -> None:
    """23: and never under /usage (20)."""
    levels = [provider("openai").source("costs").requests(ask(level=level))[0] for level in range(3)]
    assert [r.path for r in levels] == ["/v1/organization/costs"] * 3
    groups = [[value for name, value in r.query if name == "group_by[]"] for r in levels]
    assert groups == [["project_id", "api_key_id", "line_item"], ["project_id", "line_item"], ["line_item"]]


@pytest.mark.parametrize(
    "change", [{"input_cache_write_30m_tokens": None}, {"input_cache_write_tokens": None}]
)
def test_openai_cache_write_parts_may_be_missing(change: dict[str, Any]) -> None:
    """24."""
    row = {
        name: value for name, value in (OPENAI_ROW | change).items() if value is not None or name in change
    }
    assert tokens_of(row)[0].cache_write_5m == 215433
    del row[next(iter(change))]
    assert tokens_of(row)[0].cache_write_5m == 215433


def test_xai_cents_are_inverted() -> None:
    """45."""
    page = parsed("xai", "balance", {"total": {"val": "-1000"}})
    assert page.balances
    assert page.balances[0].remaining_nano == 10 * UNIT


def test_wham_survives_nulls_and_new_plans() -> None:
    """35: and windows are told by their length."""
    window = {"used_percent": 61, "limit_window_seconds": 2_592_000, "reset_at": 1795302000}
    page = parsed(
        "codex_wham", "limits",
        {"plan_type": "galaxy_brain", "rate_limit": {"primary_window": None, "secondary_window": window},
         "additional_rate_limits": [{"limit_name": None, "rate_limit": None}], "credits": {"balance": 150}},
    )  # fmt: skip
    [quota] = page.quotas
    assert (quota.window_minutes, quota.used_pct, quota.plan) == (43_200, 61.0, "galaxy_brain")
    assert page.balances
    assert page.balances[0].remaining_nano == 150 * UNIT


def test_claude_limits_by_name_where_the_list_is_missing() -> None:
    """40: a drifted answer shows what it still has, and an unknown window by its own name."""
    page = parsed(
        "claude_oauth", "limits",
        {"five_hour": None, "seven_day": {"utilization": 36.3, "resets_at": None}, "iguana_necktie": None,
         "seven_day_moonshine": {"utilization": "12", "resets_at": None}, "cinder": {"utilization": 3, "resets_at": None}},
    )  # fmt: skip
    assert [(q.window_minutes, q.limit_id, q.used_pct) for q in page.quotas] == [
        (10_080, "claude", 36.3), (10_080, "moonshine", 12.0), (0, "cinder", 3.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "document", [{}, {"five_hour": None}, {"limits": [], "five_hour": {"utilization": None}}]
)
def test_no_known_window_is_not_zero_percent(document: dict[str, Any]) -> None:
    """43."""
    with pytest.raises(BadReply):
        parsed("claude_oauth", "limits", document)


def test_percentages_above_100_are_kept() -> None:
    """28."""
    page = parsed(
        "claude_oauth", "limits", {"limits": [{"group": "session", "percent": 134.2, "resets_at": None}]}
    )
    assert page.quotas[0].used_pct == 134.2


# ---------------------------------------------------------------- units and decoding


def test_amounts_are_rounded_half_even_once() -> None:
    assert nano("0.00000005", CENT) == 0
    assert nano("0.00000015", CENT) == 2
    assert nano(Decimal("31156.943702"), CENT) == 311_569_437_020
    assert nano("-0.5", UNIT) == -500_000_000


@pytest.mark.parametrize(
    "value", [None, True, "", "x", "NaN", "sNaN", "-Infinity", "1e400000", [], {}, "1" * 200]
)
def test_what_is_no_amount_is_refused(value: Any) -> None:
    with pytest.raises((BadRow, ArithmeticError)):
        nano(value, CENT)


@pytest.mark.parametrize(
    "value", [-1, 1 << 53, True, "x", "-1", 1.5, Decimal("0.5"), Decimal("NaN"), [], "9" * 17]
)
def test_what_is_no_count_is_refused(value: Any) -> None:
    with pytest.raises(BadRow):
        count(value)


def test_counts_may_be_whole_fractions_text_or_null() -> None:
    assert [count(v) for v in (None, 0, "12", Decimal("3.0"))] == [0, 0, 12, 3]


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"null", b'{"a": ', b"\xff\xfe", b'{"a": 01}', b"[" * 100_000, b"{}x"]
)
def test_what_is_no_object_is_a_bad_reply(raw: bytes) -> None:
    with pytest.raises(BadReply):
        decode(raw)


def test_nine_digits_of_a_second_and_impossible_times() -> None:
    assert when_ms("2026-11-27T15:23:13.716839300Z") == 1_795_792_993_716
    for bad in ("tomorrow", "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", 5, []):
        with pytest.raises(BadRow):
            when_ms(bad)


@pytest.mark.parametrize(
    ("raw", "found"),
    [(b'{"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}', (True, "rate_limit_error")),
     (b'{"error": {"message": "m", "type": "x1", "code": "missing_scope"}}', (True, "missing_scope")),
     (b'{"detail": {"code": "token_expired"}}', (True, "token_expired")),
     (b'{"message": "Bad credentials", "status": "401"}', (True, "")),
     (b'{"error": {"code": "sk-ant-api03-verysecret", "type": "sk-x"}}', (True, "")),
     (b"<html>", (False, "")), (b"[]", (False, "")), (b"{}", (False, ""))],
)  # fmt: skip
def test_only_a_plain_word_is_taken_from_an_error(raw: bytes, found: tuple[bool, str]) -> None:
    assert error_word(raw) == found


# ---------------------------------------------------------------- every report, anything

ABOUT = {"claude_code": DAY, "usage_other": "images", "names": "key", "spend_limits": "set", "members": "effective",
         "activity": "completed", "ai_credit": DAY, "premium_request": DAY}  # fmt: skip
REPORTS = [(one.id, source.id) for one in all_providers() for source in one.sources]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["data", "results", "starting_at", "start_time", "amount", "tokens", "model", "x",
                                       "usage", "cost", "group", "limits", "percent", "info", "usageItems"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.parametrize(("provider_id", "source"), REPORTS)
@given(document=ANYTHING)
def test_no_body_raises_anything_but_a_bad_reply(provider_id: str, source: str, document: Any) -> None:
    """56, and worse."""
    try:
        page = parsed(provider_id, source, json.dumps(document).encode(), about=ABOUT.get(source, ""))
    except BadReply:
        return
    for bill in page.bills:
        assert bill.amount_nusd is None or abs(bill.amount_nusd) <= 10**18
        assert bill.tokens is None or bill.tokens.total < 1 << 60


def test_every_provider_says_what_it_is() -> None:
    for one in all_providers():
        assert one.label
        assert one.needs
        assert one.sources
        assert one.base_url.startswith("https://") or one.id == "litellm"
        assert one.id == one.sources[0].parse.__module__.rsplit(".", 1)[1]
        assert {source.instead_of for source in one.sources} <= {"", *(source.id for source in one.sources)}
        for source in one.sources:
            for wanted in source.requests(ask(3, account="orgs/x")):
                assert wanted.path.startswith("/")
                assert not any(
                    name.lower() in ("authorization", "x-api-key", "cookie") for name, _ in wanted.headers
                )


def test_a_row_that_breaks_a_parser_is_only_a_dropped_row() -> None:
    page = Page()
    with row_of(page, "d"):
        [].count.nothing  # type: ignore[attr-defined]  # noqa: B018
    assert (page.dropped, page.bad_days) == (1, {"d"})


def test_a_day_is_final_two_days_after_its_end() -> None:
    old = anthropic_bucket(COST_ROW, day="2026-11-18")
    assert [b.final for b in parsed("anthropic", "cost", old).bills] == [True]
    assert [b.final for b in parsed("anthropic", "cost", anthropic_bucket(COST_ROW)).bills] == [False]
    assert when_ms("2026-11-21T20:30:00Z") == NOW_MS


def test_what_is_used_of_a_limit_is_that_of_its_own_period() -> None:
    key = {
        "limit": 1000,
        "limit_remaining": 572.84,
        "usage": 1427.16,
        "usage_daily": 9.96,
        "usage_monthly": 427.16,
    }

    def used(**more: Any) -> dict[str, tuple[str, int | None]]:
        found = parsed("openrouter", "key", {"data": {**key, **more}}).balances or []
        return {one.name: (one.period, one.used_nano) for one in found}

    monthly = used(limit_reset="monthly")
    assert monthly["key"] == ("month", 427_160_000_000)
    assert monthly["key, in all"] == ("", 1_427_160_000_000)
    assert used(limit_reset="weekly")["key"] == ("week", None), "it does not say what this week has used"
    assert used(limit_reset=None)["key"] == ("", 1_427_160_000_000)
