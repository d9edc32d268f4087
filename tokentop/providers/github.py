"""GitHub's billing of Copilot: AI credits by day and model, of an organisation or of a user who pays the plan.

`account` of the settings is `orgs/<name>` or `users/<name>`. Amounts are US dollars; an AI credit is one cent.
"""

from __future__ import annotations

from tokentop.nouns.billing import Bill

from .base import DAY, HOUR, Ask, Page, Provider, Request, Source, Span, dated, iso_day
from .decoding import UNIT, BadRow, amount_text, decode, nano, number, row_of, rows, text

ID = "github"


def _requests(ask: Ask, what: str) -> tuple[Request, ...]:
    """One request a day: without a day the answer is the sum of a month."""
    kind, _, name = ask.account.strip("/").partition("/")
    owner = f"organizations/{name}" if kind in ("orgs", "organizations") else f"users/{name or kind}"
    found = []
    for n in range(ask.since_day, ask.until_day):
        day = iso_day(n)
        year, month, of_month = (str(int(part)) for part in day.split("-"))
        query = (("year", year), ("month", month), ("day", of_month))
        found.append(Request(f"/{owner}/settings/billing/{what}/usage", query, about=day))
    return tuple(found)


def _credits(ask: Ask) -> tuple[Request, ...]:
    return _requests(ask, "ai_credit")


def _premium(ask: Ask) -> tuple[Request, ...]:
    return _requests(ask, "premium_request")


def _parse(body: bytes, ask: Ask, request: Request, source: str) -> Page:
    day = request.about
    page = Page(days={day})
    for row in rows(decode(body), "usageItems"):
        with row_of(page, day):
            final, fetched = dated(day, ask)
            units = number(row.get("grossQuantity"))
            if units != units.to_integral_value():
                units = units * 1000  # credits come in fractions
                unit = f"{text(row.get('unitType'), 'units')}/1000"
            else:
                unit = text(row.get("unitType"), "units")
            if not 0 <= units < 1 << 53:
                raise BadRow
            page.bills.append(
                Bill(
                    ID, f"{ID}.{source}", day, "total", model=text(row.get("model")), product=text(row.get("product")),
                    item=text(row.get("sku")), quantity=int(units), unit=unit,
                    amount_nusd=nano(row.get("netAmount"), UNIT), list_nusd=nano(row.get("grossAmount"), UNIT),
                    amount_text=amount_text(row.get("netAmount")), final=final, fetched_ms=fetched,
                )
            )  # fmt: skip
    return page


def parse_credits(body: bytes, ask: Ask, request: Request) -> Page:
    return _parse(body, ask, request, "ai_credit")


def parse_premium(body: bytes, ask: Ask, request: Request) -> Page:
    return _parse(body, ask, request, "premium_request")


_SPANS = (Span("today", 0, HOUR), Span("closed", 3, 6 * HOUR, closed=True), Span("history", 29, DAY))
_NEEDS = (
    "it needs a fine-grained token: Administration (read) of the organization, or Plan (read) of the user"
)
_MISSING = 'set account = "orgs/<name>" or "users/<name>"'

PROVIDER = Provider(
    id=ID,
    label="GitHub Copilot",
    base_url="https://api.github.com",
    variables=("GH_TOKEN", "GITHUB_TOKEN"),
    headers=(("X-GitHub-Api-Version", "2022-11-28"),),
    needs=_NEEDS.removeprefix("it needs "),
    account_is="orgs/<name> or users/<name>",
    sources=(
        Source("ai_credit", "Copilot's AI credits by day and model", _credits, parse_credits, _SPANS, needs=_NEEDS,
               missing=_MISSING),
        Source("premium_request", "Copilot's premium requests by day and model", _premium, parse_premium, _SPANS,
               instead_of="ai_credit", needs=_NEEDS, missing=_MISSING),
    ),
)  # fmt: skip
