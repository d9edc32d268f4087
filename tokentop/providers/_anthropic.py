"""The rows of Anthropic's reports, of the bucketed API and of the analytics API: the same facts from both."""

from __future__ import annotations

from typing import Any

from tokentop.nouns.billing import DEFAULT_PROJECT, NO_KEY, Bill
from tokentop.nouns.usage import Tokens

from .base import Ask, Page, dated
from .decoding import (
    CENT,
    BadRow,
    amount_text,
    count,
    currency,
    day_of,
    decode,
    nano,
    part,
    row_of,
    rows,
    text,
    when_ms,
)

ID = "anthropic"
_CLASSES = {
    "uncached_input_tokens": "input",
    "output_tokens": "output",
    "cache_read_input_tokens": "cache_read",
    "cache_creation.ephemeral_5m_input_tokens": "cache_write_5m",
    "cache_creation.ephemeral_1h_input_tokens": "cache_write_1h",
}


def tokens_of(row: dict[str, Any]) -> Tokens:
    """The disjoint classes of a usage row of either API. BadRow without the two that are always there."""
    if "uncached_input_tokens" not in row or "output_tokens" not in row:
        raise BadRow
    writes = part(row, "cache_creation")
    return Tokens(
        input=count(row["uncached_input_tokens"]),
        cache_read=count(row.get("cache_read_input_tokens")),
        cache_write_5m=count(writes.get("ephemeral_5m_input_tokens")),
        cache_write_1h=count(writes.get("ephemeral_1h_input_tokens")),
        output=count(row["output_tokens"]),
    )


def _grouped(row: dict[str, Any], name: str, grouped: bool, null: str) -> str:
    """A dimension: null means "all" where it was not asked for, and `null` where it was."""
    return text(row.get(name), null) if grouped else ""


def _searches(bill: Bill, row: dict[str, Any], page: Page) -> None:
    found = count(part(row, "server_tool_use").get("web_search_requests"))
    if found:
        page.bills.append(
            Bill(
                bill.provider, bill.source, bill.day_utc, "web_search", bill.model, bill.key, bill.project, bill.tier,
                bill.product, quantity=found, unit="requests", final=bill.final, fetched_ms=bill.fetched_ms,
            )
        )  # fmt: skip


def paged(document: dict[str, Any], page: Page) -> None:
    page.more = document.get("has_more") is True
    page.cursor = text(document.get("next_page"))


def buckets(document: dict[str, Any], page: Page) -> list[tuple[str, list[Any]]]:
    """(UTC day, results) of each bucket, however wide; a day is known when its bucket is there, empty or not."""
    found = []
    page.days = set()
    for bucket in rows(document):
        with row_of(page):
            if not isinstance(bucket, dict) or not isinstance(bucket.get("results"), list):
                raise BadRow
            day = day_of(bucket.get("starting_at"))
            page.days.add(day)
            found.append((day, bucket["results"]))
    paged(document, page)
    return found


def usage_page(body: bytes, ask: Ask, grouped: frozenset[str]) -> Page:
    """`usage_report/messages`: tokens by what it was grouped by."""
    page = Page()
    for day, results in buckets(decode(body), page):
        for row in results:
            with row_of(page, day):
                final, fetched = dated(day, ask)
                bill = Bill(
                    ID, f"{ID}.usage", day, "usage",
                    model=_grouped(row, "model", "model" in grouped, "(none)"),
                    key=_grouped(row, "api_key_id", "api_key_id" in grouped, NO_KEY),
                    project=_grouped(row, "workspace_id", "workspace_id" in grouped, DEFAULT_PROJECT),
                    tier=_grouped(row, "service_tier", "service_tier" in grouped, ""),
                    tokens=tokens_of(row), final=final, fetched_ms=fetched,
                )  # fmt: skip
                _searches(bill, row, page)
                page.bills.append(bill)
    return page


def cost_page(body: bytes, ask: Ask, grouped: frozenset[str]) -> Page:
    """`cost_report`: money by workspace and description, in decimal cents. `description` itself is never read."""
    page = Page()
    for day, results in buckets(decode(body), page):
        for row in results:
            with row_of(page, day):
                cost_type = text(row.get("cost_type"), "total")
                token_type = text(row.get("token_type"))
                final, fetched = dated(day, ask)
                page.bills.append(
                    Bill(
                        ID, f"{ID}.cost", day, _CLASSES.get(token_type, token_type) or cost_type,
                        model=text(row.get("model")),
                        project=_grouped(row, "workspace_id", "workspace_id" in grouped, DEFAULT_PROJECT),
                        tier=text(row.get("service_tier")),
                        amount_nusd=nano(row.get("amount"), CENT), amount_text=amount_text(row.get("amount")),
                        currency=currency(row.get("currency")), final=final, fetched_ms=fetched,
                    )
                )  # fmt: skip
    return page


def _analytics(body: bytes, page: Page) -> list[Any]:
    document = decode(body)
    paged(document, page)
    with row_of(page):
        page.as_of_ms = when_ms(document.get("data_refreshed_at"))
    return rows(document)


def _analytics_bill(row: dict[str, Any], source: str, kind: str, ask: Ask) -> Bill:
    """What both analytics reports share; a combination without use has no row, so every asked day is known."""
    group = part(row, "group")
    day = day_of(row.get("starting_at"))
    final, fetched = dated(day, ask)
    return Bill(
        ID, f"{ID}.{source}", day, kind,
        model=text(group.get("model")), key=text(group.get("api_key_id"), NO_KEY),
        project=text(group.get("workspace_id"), DEFAULT_PROJECT), tier=text(group.get("service_tier")),
        product=text(group.get("product")), final=final, fetched_ms=fetched,
    )  # fmt: skip


def analytics_usage_page(body: bytes, ask: Ask) -> Page:
    """`analytics/usage`: tokens and requests."""
    from msgspec.structs import replace

    page = Page()
    for row in _analytics(body, page):
        with row_of(page, _day_or_none(row)):
            bill, usage = _analytics_bill(row, "analytics_usage", "usage", ask), part(row, "usage")
            requests = None if usage.get("requests") is None else count(usage["requests"])
            _searches(bill, usage, page)
            page.bills.append(replace(bill, tokens=tokens_of(usage), requests=requests))
    return page


def analytics_cost_page(body: bytes, ask: Ask) -> Page:
    """`analytics/cost`: the amount after discount and the list price, in decimal cents."""
    from msgspec.structs import replace

    page = Page()
    for row in _analytics(body, page):
        with row_of(page, _day_or_none(row)):
            group, cost = part(row, "group"), part(row, "cost")
            token_type = text(group.get("token_type"))
            kind = _CLASSES.get(token_type, token_type) or text(group.get("cost_type"), "total")
            listed = cost.get("list_amount")
            page.bills.append(
                replace(
                    _analytics_bill(row, "analytics_cost", kind, ask),
                    amount_nusd=nano(cost.get("amount"), CENT), amount_text=amount_text(cost.get("amount")),
                    list_nusd=None if listed is None else nano(listed, CENT),
                    currency=currency(cost.get("currency")),
                    requests=None if cost.get("requests") is None else count(cost["requests"]),
                )
            )  # fmt: skip
    return page


def _day_or_none(row: object) -> str:
    """The day that a row belongs to, "" where not even that can be read."""
    try:
        return day_of(row.get("starting_at")) if isinstance(row, dict) else ""
    except BadRow:
        return ""


def claude_code_page(body: bytes, ask: Ask, day: str) -> Page:
    """`usage_report/claude_code`: the vendor's own estimate by model; people are summed up, never kept.

    Cache writes without a lifetime count as 5m. Only what is older than an hour is in it.
    """
    page = Page()
    document = decode(body)
    for record in rows(document):
        with row_of(page, day):
            if not isinstance(record, dict):
                raise BadRow
            for used in record.get("model_breakdown") or ():
                page.bills.append(_claude_code_bill(record, used, ask, day))
    paged(document, page)
    return page


def _claude_code_bill(record: dict[str, Any], used: dict[str, Any], ask: Ask, day: str) -> Bill:
    tokens, cost = part(used, "tokens"), part(used, "estimated_cost")
    final, fetched = dated(day, ask)
    amount = cost.get("amount")
    return Bill(
        ID, f"{ID}.claude_code", day, "estimate",
        model=text(used.get("model")), key=text(part(record, "actor").get("api_key_name")),
        tier=text(record.get("customer_type")), product="claude_code",
        tokens=Tokens(
            input=count(tokens.get("input")), output=count(tokens.get("output")),
            cache_read=count(tokens.get("cache_read")), cache_write_5m=count(tokens.get("cache_creation")),
        ),
        list_nusd=None if amount is None else nano(amount, CENT), amount_text=amount_text(amount),
        currency=currency(cost.get("currency")), final=final, fetched_ms=fetched,
    )  # fmt: skip
