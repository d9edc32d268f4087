"""OpenRouter: credits, the key's own limits, and activity by day, which takes a management key. US dollars."""

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
    row_of,
    rows,
    text,
)

ID = "openrouter"
_ROOT = "/api/v1"
_PERIODS = {"daily": "day", "weekly": "week", "monthly": "month"}


def _credits(_ask: Ask) -> tuple[Request, ...]:
    return (Request(f"{_ROOT}/credits"),)


def _key(_ask: Ask) -> tuple[Request, ...]:
    return (Request(f"{_ROOT}/key"),)


def _activity(ask: Ask) -> tuple[Request, ...]:
    """Without a date: the completed days of the last month. The day that is not over has to be named."""
    found = []
    if ask.until_day - ask.since_day > 1:
        found.append(Request(f"{_ROOT}/activity", about="completed"))
    if ask.open_end:
        today = iso_day(ask.until_day - 1)
        found.append(Request(f"{_ROOT}/activity", (("date", today),), about=today))
    return tuple(found)


def _data(body: bytes) -> dict[str, Any]:
    found = decode(body).get("data")
    if not isinstance(found, dict):
        raise BadReply("no object 'data' in the answer")
    return found


def parse_credits(body: bytes, ask: Ask, _request: Request) -> Page:
    page, data = Page(balances=[]), _data(body)
    assert page.balances is not None
    with row_of(page):
        bought, used = nano(data.get("total_credits"), UNIT), nano(data.get("total_usage"), UNIT)
        page.balances.append(
            Balance(ID, f"{ID}.credits", "credits", remaining_nano=bought - used, used_nano=used, limit_nano=bought,
                    at_ms=ask.now_ms)
        )  # fmt: skip
    return page


def parse_key(body: bytes, ask: Ask, _request: Request) -> Page:
    """The limit of this key and what it has spent: in all, today, this week and month (UTC)."""
    page, data = Page(balances=[]), _data(body)
    assert page.balances is not None
    with row_of(page):
        if "usage" not in data:
            raise BadRow
        reset, used_in_all = text(data.get("limit_reset")), maybe_nano(data["usage"], UNIT)
        # A limit that begins anew counts its own period alone, `usage` everything since the key was made.
        used_of_limit = maybe_nano(data.get(f"usage_{reset}"), UNIT) if reset else used_in_all
        page.balances.append(
            Balance(ID, f"{ID}.key", "key", remaining_nano=maybe_nano(data.get("limit_remaining"), UNIT),
                    used_nano=used_of_limit, limit_nano=maybe_nano(data.get("limit"), UNIT),
                    period=_PERIODS.get(reset, reset), at_ms=ask.now_ms)
        )  # fmt: skip
        if reset:
            page.balances.append(
                Balance(ID, f"{ID}.key", "key, in all", used_nano=used_in_all, at_ms=ask.now_ms)
            )
        for name, period in _PERIODS.items():
            if data.get(f"usage_{name}") is not None:
                used = nano(data[f"usage_{name}"], UNIT)
                page.balances.append(
                    Balance(
                        ID,
                        f"{ID}.key",
                        f"key, this {period}",
                        used_nano=used,
                        period=period,
                        at_ms=ask.now_ms,
                    )
                )
    return page


def parse_activity(body: bytes, ask: Ask, request: Request) -> Page:
    """Use by day, model and endpoint; the provider that served it is the product. A day without rows had none."""
    page = Page()
    document = decode(body)
    today = iso_day(ask.until_day - 1) if ask.open_end else ""
    wanted = {request.about} if request.about != "completed" else set(ask.days()) - {today}
    page.days = set(wanted)
    for row in rows(document):
        day = ""
        with row_of(page, day):
            day = day_of(row.get("date"))
        if day not in wanted:
            continue
        with row_of(page, day):
            final, fetched = dated(day, ask)
            own = nano(row.get("usage"), UNIT)
            page.bills.append(
                Bill(
                    ID, f"{ID}.activity", day, "total", model=text(row.get("model")), product=text(row.get("provider_name")),
                    item=text(row.get("endpoint_id")),
                    tokens=Tokens(input=count(row.get("prompt_tokens")), output=count(row.get("completion_tokens")),
                                  reasoning=count(row.get("reasoning_tokens"))),
                    requests=count(row.get("requests")), amount_nusd=own, amount_text=amount_text(row.get("usage")),
                    final=final, fetched_ms=fetched,
                )
            )  # fmt: skip
    return page


PROVIDER = Provider(
    id=ID,
    label="OpenRouter",
    base_url="https://openrouter.ai",
    variables=("OPENROUTER_API_KEY",),
    needs="any key for its own limits; a management key for activity",
    sources=(
        Source("credits", "credits bought and used", _credits, parse_credits),
        Source("key", "limit and use of this key", _key, parse_key),
        Source("activity", "cost and tokens by day and model", _activity, parse_activity,
               (Span("today", 0, HOUR), Span("closed", 3, HOUR, closed=True), Span("history", 29, DAY)),
               needs="it needs a management key", own_host_only=True),
    ),
)  # fmt: skip
