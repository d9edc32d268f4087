"""Anthropic's reports on an organisation: usage and cost of both official APIs, Claude Code, spend limits, names.

The analytics API is preferred (it tells the list price from the amount after discount, and splits by key); the
bucketed API is asked only while the other does not answer. Amounts are decimal cents. Priority Tier is in neither.
"""

from __future__ import annotations

from typing import Any

from tokentop.nouns.billing import Balance, Name

from . import _anthropic
from ._anthropic import ID
from .base import BILL_SPANS, DAILY, DAY, HOUR, Ask, Page, Provider, Request, Source, Span, iso_day, rfc3339
from .decoding import CENT, BadRow, currency, decode, maybe_nano, part, row_of, rows, text

_ROOT = "/v1/organizations"
_ANALYTICS_BETA = (("anthropic-beta", "analytics-usage-cost-2026-08-24"),)
_USAGE_BY = ("model", "api_key_id", "workspace_id", "service_tier")
_COST_BY = ("workspace_id", "description")
_ANALYTICS_BY = ("product", "model", "api_key_id", "workspace_id", "service_tier")  # five at most
_PERIODS = {"daily": "day", "weekly": "week", "monthly": "month"}
_PAGE_OF = {"1d": "31", "1h": "168", "1m": "1440"}


def _by(names: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(("group_by[]", name) for name in names)


def usage_request(ask: Ask, width: str = "1d", limit: str = "") -> Request:
    """Buckets of 1m, 1h or 1d. Without an end the day that is not over is in it."""
    query = [("starting_at", rfc3339(ask.since_s))]
    if not ask.open_end:
        query.append(("ending_at", rfc3339(ask.until_s)))
    query += [("bucket_width", width), ("limit", limit or _PAGE_OF[width]), *_by(_USAGE_BY)]
    return Request(f"{_ROOT}/usage_report/messages", tuple(query))


def cost_request(ask: Ask) -> Request:
    query = [("starting_at", rfc3339(ask.since_s))]
    if not ask.open_end:
        query.append(("ending_at", rfc3339(ask.until_s)))
    return Request(f"{_ROOT}/cost_report", (*query, ("bucket_width", "1d"), ("limit", "31"), *_by(_COST_BY)))


def analytics_request(ask: Ask, what: str, by: tuple[str, ...], limit: str = "1000") -> Request:
    """Rows by UTC day. The end may not lie ahead: it is now at the latest."""
    end_s = min(ask.until_s, ask.now_ms // 1000)
    query = (
        ("starting_at", rfc3339(ask.since_s)), ("ending_at", rfc3339(max(end_s, ask.since_s + 60))),
        ("time_bucket_width", "1d"), ("limit", limit), *_by(by),
    )  # fmt: skip
    return Request(f"{_ROOT}/analytics/{what}", query, _ANALYTICS_BETA)


def _usage(ask: Ask) -> tuple[Request, ...]:
    return (usage_request(ask),)


def _cost(ask: Ask) -> tuple[Request, ...]:
    return (cost_request(ask),)


def _analytics_usage(ask: Ask) -> tuple[Request, ...]:
    return (analytics_request(ask, "usage", _ANALYTICS_BY),)


def _analytics_cost(ask: Ask) -> tuple[Request, ...]:
    # Token types alone would leave web search and code execution out of the sum.
    return (analytics_request(ask, "cost", (*_ANALYTICS_BY, "cost_type", "token_type")),)


def _claude_code(ask: Ask) -> tuple[Request, ...]:
    """One request a day: the report takes exactly one."""
    days = (iso_day(n) for n in range(ask.since_day, ask.until_day))
    path = f"{_ROOT}/usage_report/claude_code"
    return tuple(Request(path, (("starting_at", day), ("limit", "1000")), about=day) for day in days)


def _names(_ask: Ask) -> tuple[Request, ...]:
    return (
        Request(f"{_ROOT}/api_keys", (("limit", "1000"),), about="key"),
        Request(f"{_ROOT}/workspaces", (("limit", "1000"), ("include_archived", "true")), about="project"),
    )


def _spend_limits(_ask: Ask) -> tuple[Request, ...]:
    return (Request(f"{_ROOT}/spend_limits", (("limit", "100"),), about="set"),)


def _members(_ask: Ask) -> tuple[Request, ...]:
    return (Request(f"{_ROOT}/spend_limits/effective", (("limit", "100"),), about="effective"),)


def parse_usage(body: bytes, ask: Ask, _request: Request) -> Page:
    return _anthropic.usage_page(body, ask, frozenset(_USAGE_BY))


def parse_cost(body: bytes, ask: Ask, _request: Request) -> Page:
    return _anthropic.cost_page(body, ask, frozenset(_COST_BY))


def parse_analytics_usage(body: bytes, ask: Ask, _request: Request) -> Page:
    return _anthropic.analytics_usage_page(body, ask)


def parse_analytics_cost(body: bytes, ask: Ask, _request: Request) -> Page:
    return _anthropic.analytics_cost_page(body, ask)


def parse_claude_code(body: bytes, ask: Ask, request: Request) -> Page:
    return _anthropic.claude_code_page(body, ask, request.about)


def parse_names(body: bytes, _ask: Ask, request: Request) -> Page:
    """What keys and workspaces are called."""
    document = decode(body)
    page = Page(names=[], more=document.get("has_more") is True, cursor=text(document.get("last_id")))
    assert page.names is not None
    for row in rows(document):
        with row_of(page):
            if not isinstance(row, dict) or not text(row.get("id")):
                raise BadRow
            page.names.append(Name(ID, request.about, text(row["id"]), text(row.get("name"))))
    return page


def parse_spend_limits(body: bytes, ask: Ask, request: Request) -> Page:
    """Limits as they are set, or with what each member has spent; an amount of null is no limit.

    A limit counts in the minor unit of its currency. `period_to_date_spend` reads "0" also when it cannot be told:
    the store keeps a higher value of the same period and marks it.
    """
    document = decode(body)
    page = Page(balances=[], cursor=text(document.get("next_page")))
    page.more = bool(page.cursor) or document.get("has_more") is True
    assert page.balances is not None
    for row in rows(document):
        with row_of(page):
            page.balances.append(_spend_limit(row, ask, request.about))
    return page


def _spend_limit(row: dict[str, Any], ask: Ask, about: str) -> Balance:
    if not isinstance(row, dict) or "amount" not in row:
        raise BadRow
    scope = part(row, "scope")
    period = text(row.get("period"))
    kind = text(scope.get("type"), "organization")
    whose = text(scope.get("user_id")) or text(scope.get("workspace_id"))
    name = f"spend limit {kind} {whose}".rstrip()
    if row.get("is_enabled") is False:
        name += " (off)"
    limit = maybe_nano(row["amount"], CENT)
    used = maybe_nano(row.get("period_to_date_spend"), CENT) if about == "effective" else None
    remaining = limit - used if limit is not None and used is not None else None
    return Balance(
        ID, f"{ID}.{'members' if about == 'effective' else 'spend_limits'}", name, currency(row.get("currency")),
        remaining, used, limit, _PERIODS.get(period, period), at_ms=ask.now_ms,
    )  # fmt: skip


_ADMIN = "it needs an Admin key (sk-ant-admin...); keys of a workspace cannot read reports"
_ANY = "it needs an analytics key (scope read:analytics) or an Admin key; keys of a workspace cannot read reports"
_CLAUDE_CODE_SPANS = (
    Span("today", 0, HOUR),
    Span("closed", 3, 6 * HOUR, closed=True),
    Span("history", 30, DAY),
)

PROVIDER = Provider(
    id=ID,
    label="Anthropic",
    base_url="https://api.anthropic.com",
    variables=("ANTHROPIC_ANALYTICS_KEY", "ANTHROPIC_ADMIN_KEY", "ANTHROPIC_ADMIN_API_KEY"),
    header="x-api-key",
    scheme="",
    headers=(("anthropic-version", "2023-06-01"),),
    needs="an analytics key (scope read:analytics), or an Admin key, which can do far more than read",
    sources=(
        Source("analytics_cost", "cost after discount and at list price, by day, model and key", _analytics_cost,
               parse_analytics_cost, BILL_SPANS, needs=_ANY),
        Source("analytics_usage", "tokens by day, model and key", _analytics_usage, parse_analytics_usage, BILL_SPANS,
               needs=_ANY),
        Source("cost", "cost by day, model and workspace", _cost, parse_cost, BILL_SPANS,
               instead_of="analytics_cost", needs=_ADMIN),
        Source("usage", "tokens by day, model and key", _usage, parse_usage, BILL_SPANS,
               instead_of="analytics_usage", needs=_ADMIN),
        Source("claude_code", "the vendor's estimate for Claude Code", _claude_code, parse_claude_code,
               _CLAUDE_CODE_SPANS, needs=_ADMIN),
        Source("spend_limits", "spend limits", _spend_limits, parse_spend_limits, DAILY, needs=_ADMIN),
        Source("members", "what members have spent of their limits", _members, parse_spend_limits,
               (Span("daily", 0, HOUR),), needs=_ADMIN),
        Source("names", "names of keys and workspaces", _names, parse_names, DAILY, cursor="after_id", needs=_ADMIN),
    ),
)  # fmt: skip
