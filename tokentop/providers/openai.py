"""OpenAI's organisation reports: usage of every kind, costs, the spend limit, names of projects.

`input_tokens` of a completions row includes cached and cache-write tokens; ours are disjoint. Costs are dollars and lie
at `/organization/costs`, not under `/usage`. A line item is a name that contains a comma: it is kept whole.
"""

from __future__ import annotations

from typing import Any

from tokentop.nouns.billing import Balance, Bill, Name
from tokentop.nouns.usage import Tokens

from .base import (
    BILL_SPANS,
    DAILY,
    DAY,
    HOUR,
    Ask,
    Page,
    Provider,
    Request,
    Source,
    Span,
    dated,
    day_number,
    iso_day,
)
from .decoding import (
    CENT,
    UNIT,
    BadRow,
    amount_text,
    count,
    currency,
    decode,
    maybe_nano,
    nano,
    part,
    row_of,
    rows,
    seconds_ms,
    text,
)

ID = "openai"
_ROOT = "/v1/organization"
_WHO = ("project_id", "api_key_id", "model")
OTHER_KINDS = {  # kind: (what it is grouped by, the field that counts, its unit)
    "embeddings": (_WHO, "", "tokens"),
    "moderations": (_WHO, "", "tokens"),
    "images": (_WHO, "images", "images"),
    "audio_speeches": (_WHO, "characters", "characters"),
    "audio_transcriptions": (_WHO, "seconds", "seconds"),
    "vector_stores": (("project_id",), "usage_bytes", "bytes"),
    "code_interpreter_sessions": (("project_id",), "num_sessions", "sessions"),
    "file_search_calls": (("project_id", "api_key_id"), "num_requests", "requests"),
    "web_search_calls": (_WHO, "num_requests", "requests"),
}
_CLASSES = {
    "input_tokens": "input",
    "input": "input",
    "cached_input_tokens": "cache_read",
    "cached input": "cache_read",
    "cache_write_tokens": "cache_write_5m",
    "output_tokens": "output",
    "output": "output",
}


def _asked(ask: Ask, by: tuple[str, ...], width: str, limit: int) -> tuple[tuple[str, str], ...]:
    query = [("start_time", str(ask.since_s))]
    if not ask.open_end:
        query.append(("end_time", str(ask.until_s)))
    query += [("bucket_width", width), ("limit", str(limit))]
    return (*query, *(("group_by[]", name) for name in by))


def usage_request(ask: Ask, width: str = "1d", limit: int = 31) -> Request:
    by = (*_WHO, "service_tier", "batch")
    return Request(f"{_ROOT}/usage/completions", _asked(ask, by, width, limit), about="completions")


def _usage(ask: Ask) -> tuple[Request, ...]:
    return (usage_request(ask),)


def _other(ask: Ask) -> tuple[Request, ...]:
    return tuple(
        Request(f"{_ROOT}/usage/{kind}", _asked(ask, by, "1d", 31), about=kind)
        for kind, (by, _, _) in OTHER_KINDS.items()
    )


def _costs(ask: Ask) -> tuple[Request, ...]:
    """By project, key and line item; some organisations refuse combinations, then with less."""
    by = (("project_id", "api_key_id", "line_item"), ("project_id", "line_item"), ("line_item",))[ask.level]
    return (Request(f"{_ROOT}/costs", _asked(ask, by, "1d", 180)),)


def _limit(_ask: Ask) -> tuple[Request, ...]:
    return (Request(f"{_ROOT}/spend_limit"),)


def _projects(_ask: Ask) -> tuple[Request, ...]:
    return (Request(f"{_ROOT}/projects", (("limit", "100"), ("include_archived", "true"))),)


# ---------------------------------------------------------------- parsing


def _buckets(body: bytes, page: Page) -> list[tuple[str, list[Any]]]:
    """(UTC day, results) by the bucket's own start, which may not be the one that was asked for."""
    document = decode(body)
    page.days = set()
    page.more = document.get("has_more") is True
    page.cursor = text(document.get("next_page"))
    found = []
    for bucket in rows(document):
        with row_of(page):
            start_ms = seconds_ms(bucket.get("start_time"))
            results = bucket.get("results", bucket.get("result"))
            if not start_ms or not isinstance(results, list):
                raise BadRow
            day = iso_day(day_number(start_ms))
            page.days.add(day)
            found.append((day, results))
    return found


def tokens_of(row: dict[str, Any]) -> tuple[Tokens, bool]:
    """(disjoint tokens, whether the parts add up to the whole). Audio and image counts are parts, never added."""
    if "input_tokens" not in row or "output_tokens" not in row:
        raise BadRow
    whole, read = count(row["input_tokens"]), count(row.get("input_cached_tokens"))
    long = count(row.get("input_cache_write_12h_tokens"))
    if row.get("input_cache_write_tokens") is not None:
        writes = count(row["input_cache_write_tokens"])
    else:
        writes = long + count(row.get("input_cache_write_30m_tokens"))
    fresh = whole - read - writes
    if fresh < 0:
        raise BadRow
    told = row.get("input_uncached_tokens")
    tokens = Tokens(input=fresh, cache_read=read, cache_write_5m=writes, output=count(row["output_tokens"]))
    return tokens, told is None or count(told) == fresh


def parse_usage(body: bytes, ask: Ask, _request: Request) -> Page:
    page = Page()
    for day, results in _buckets(body, page):
        for row in results:
            with row_of(page, day):
                tokens, adds_up = tokens_of(row)
                page.bills.append(
                    _bill(row, "usage", "usage", day, ask, tokens=tokens, requests=count(row.get("num_model_requests")),
                          item="" if adds_up else "parts do not add up")
                )  # fmt: skip
    return page


def parse_other(body: bytes, ask: Ask, request: Request) -> Page:
    """What is not counted in tokens of a conversation, each kind in its own unit."""
    _, counts, unit = OTHER_KINDS[request.about]
    page = Page()
    for day, results in _buckets(body, page):
        for row in results:
            with row_of(page, day):
                tokens = None if counts else Tokens(input=count(row["input_tokens"]))
                requests = row.get("num_model_requests")
                page.bills.append(
                    _bill(row, "usage_other", request.about, day, ask, tokens=tokens,
                          requests=None if requests is None else count(requests),
                          quantity=count(row[counts]) if counts else None, unit=unit if counts else "")
                )  # fmt: skip
    return page


def parse_costs(body: bytes, ask: Ask, _request: Request) -> Page:
    """Dollars by line item; the number comes as a number or as text."""
    page = Page()
    for day, results in _buckets(body, page):
        for row in results:
            with row_of(page, day):
                amount = part(row, "amount")
                item = text(row.get("line_item"))
                model, kind = of_line_item(item)
                bill = _bill(row, "costs", kind, day, ask, item=item, model=model,
                             amount_nusd=nano(amount.get("value"), UNIT), amount_text=amount_text(amount.get("value")),
                             currency=currency(amount.get("currency")))  # fmt: skip
                page.bills.append(bill)
    return page


def of_line_item(item: str) -> tuple[str, str]:
    """(model, kind) where the name ends in a known class of tokens, else ("", "other"); the name itself stays whole."""
    model, comma, last = item.rpartition(", ")
    if comma and last in _CLASSES:
        return model, _CLASSES[last]
    return "", "other" if item else "total"


def _bill(row: dict[str, Any], source: str, kind: str, day: str, ask: Ask, **more: Any) -> Bill:
    final, fetched = dated(day, ask)
    tier = "batch" if row.get("batch") is True else text(row.get("service_tier"))
    dimensions = {"model": text(row.get("model")), "tier": tier}
    return Bill(
        ID, f"{ID}.{source}", day, kind, key=text(row.get("api_key_id")), project=text(row.get("project_id")),
        final=final, fetched_ms=fetched, **(dimensions | more),
    )  # fmt: skip


def parse_limit(body: bytes, ask: Ask, _request: Request) -> Page:
    """The spend limit in cents; `inactive` is only a threshold."""
    document = decode(body)
    page = Page(balances=[])
    assert page.balances is not None
    with row_of(page):
        if "threshold_amount" not in document:
            raise BadRow
        active = text(part(document, "enforcement").get("status")) == "enforcing"
        page.balances.append(
            Balance(
                ID, f"{ID}.spend_limit", "spend limit organization" + ("" if active else " (not enforced)"),
                currency(document.get("currency")), limit_nano=maybe_nano(document["threshold_amount"], CENT),
                period=text(document.get("interval")), at_ms=ask.now_ms,
            )
        )  # fmt: skip
    return page


def parse_projects(body: bytes, _ask: Ask, _request: Request) -> Page:
    document = decode(body)
    page = Page(names=[], more=document.get("has_more") is True, cursor=text(document.get("last_id")))
    assert page.names is not None
    for row in rows(document):
        with row_of(page):
            if not text(row.get("id")):
                raise BadRow
            page.names.append(Name(ID, "project", text(row["id"]), text(row.get("name"))))
    return page


_NEEDS = "it needs an admin key of the organization (sk-admin-...)"
_OTHER_SPANS = (Span("closed", 4, 6 * HOUR, closed=True), Span("history", 30, DAY))

PROVIDER = Provider(
    id=ID,
    label="OpenAI",
    base_url="https://api.openai.com",
    variables=("OPENAI_ADMIN_KEY",),
    needs="an admin key of the organization; it cannot do inference",
    sources=(
        Source("costs", "cost by day, line item, project and key", _costs, parse_costs,
               BILL_SPANS, levels=3, needs=_NEEDS),
        Source("usage", "tokens by day, model and key", _usage, parse_usage, BILL_SPANS, needs=_NEEDS),
        Source("usage_other", "images, audio, searches, embeddings and the like", _other, parse_other, _OTHER_SPANS,
               needs=_NEEDS, together=True),
        Source("spend_limit", "the spend limit", _limit, parse_limit, DAILY, needs=_NEEDS),
        Source("names", "names of projects", _projects, parse_projects, DAILY, cursor="after", needs=_NEEDS),
    ),
)  # fmt: skip
