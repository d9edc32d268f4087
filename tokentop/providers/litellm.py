"""A LiteLLM proxy, whose address the user names: the key's budget, and spend by day and model. US dollars."""

from __future__ import annotations

from typing import Any

from tokentop.nouns.billing import Balance, Bill
from tokentop.nouns.usage import Tokens

from .base import DAY, HOUR, Ask, Page, Provider, Request, Source, Span, dated, iso_day
from .decoding import (
    UNIT,
    BadReply,
    BadRow,
    amount_text,
    count,
    day_of,
    decode,
    maybe_nano,
    nano,
    part,
    row_of,
    rows,
    text,
    when_ms,
)

ID = "litellm"


def _key(_ask: Ask) -> tuple[Request, ...]:
    return (Request("/key/info"),)


def _activity(ask: Ask) -> tuple[Request, ...]:
    query = [
        ("start_date", iso_day(ask.since_day)),
        ("end_date", iso_day(ask.until_day - 1)),
        ("page_size", "1000"),
    ]
    if ask.account:
        query.append(("user_id", ask.account))
    return (Request("/user/daily/activity", tuple(query)),)


def parse_key(body: bytes, ask: Ask, _request: Request) -> Page:
    info = decode(body).get("info")
    if not isinstance(info, dict):
        raise BadReply("no object 'info' in the answer")
    page = Page(balances=[])
    assert page.balances is not None
    with row_of(page):
        if "spend" not in info:
            raise BadRow
        used, limit = nano(info["spend"], UNIT), maybe_nano(info.get("max_budget"), UNIT)
        page.balances.append(
            Balance(
                ID, f"{ID}.key", "key", used_nano=used, limit_nano=limit,
                remaining_nano=None if limit is None else limit - used,
                resets_at_ms=when_ms(info.get("budget_reset_at")), at_ms=ask.now_ms,
            )
        )  # fmt: skip
    return page


def parse_activity(body: bytes, ask: Ask, _request: Request) -> Page:
    """Spend by model where the proxy breaks it down, else of the day as a whole."""
    document = decode(body)
    page = Page()
    about = document.get("metadata")
    if isinstance(about, dict) and about.get("has_more") is True:
        page.more = True
        with row_of(page):
            page.cursor = str(count(about.get("page")) + 1)
    for row in rows(document, "results"):
        day = ""
        with row_of(page, day):
            day = day_of(row.get("date"))
        with row_of(page, day):
            models = part(part(row, "breakdown"), "models")
            whole = part(row, "metrics")
            page.bills += [_bill(name, part(one, "metrics"), day, ask) for name, one in models.items()] or [
                _bill("", whole, day, ask)
            ]
    return page


def _bill(model: str, metrics: dict[str, Any], day: str, ask: Ask) -> Bill:
    """`prompt_tokens` includes what was read from a cache and written into one."""
    final, fetched = dated(day, ask)
    read, written = (
        count(metrics.get("cache_read_input_tokens")),
        count(metrics.get("cache_creation_input_tokens")),
    )
    fresh = count(metrics.get("prompt_tokens")) - read - written
    requests = metrics.get("api_requests")
    return Bill(
        ID, f"{ID}.activity", day, "total", model=text(model),
        tokens=Tokens(input=max(0, fresh), cache_read=read, cache_write_5m=written,
                      output=count(metrics.get("completion_tokens"))),
        requests=None if requests is None else count(requests),
        amount_nusd=nano(metrics.get("spend"), UNIT), amount_text=amount_text(metrics.get("spend")),
        final=final, fetched_ms=fetched,
    )  # fmt: skip


PROVIDER = Provider(
    id=ID,
    label="LiteLLM proxy",
    base_url="",
    variables=("LITELLM_API_KEY",),
    needs="a virtual key of the proxy; base_url has to name it",
    sources=(
        Source("key", "budget and spend of this key", _key, parse_key),
        Source("activity", "spend and tokens by day and model", _activity, parse_activity,
               (Span("today", 0, HOUR), Span("closed", 3, HOUR, closed=True), Span("history", 29, DAY)),
               needs="who is no admin of the proxy sets account to the own user_id"),
    ),
)  # fmt: skip
