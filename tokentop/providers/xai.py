"""xAI's prepaid balance of a team: inverted cents, "-1000" is $10.00 left."""

from __future__ import annotations

from tokentop.nouns.billing import Balance

from .base import Ask, Page, Provider, Request, Source
from .decoding import CENT, BadRow, decode, nano, row_of

ID = "xai"


def _requests(ask: Ask) -> tuple[Request, ...]:
    return (Request(f"/v1/billing/teams/{ask.account}/prepaid/balance"),)


def parse(body: bytes, ask: Ask, _request: Request) -> Page:
    document = decode(body)
    total = document.get("total", document.get("balance"))
    value = total.get("val") if isinstance(total, dict) else total
    page = Page(balances=[])
    assert page.balances is not None
    with row_of(page):
        if value is None:
            raise BadRow
        left = -nano(value, CENT)
        page.balances.append(
            Balance(ID, f"{ID}.balance", "prepaid balance", remaining_nano=left, at_ms=ask.now_ms)
        )
    return page


PROVIDER = Provider(
    id=ID,
    label="xAI",
    base_url="https://management-api.x.ai",
    variables=("XAI_MANAGEMENT_KEY",),
    needs="a management key; account has to name the team",
    account_is="the id of the team",
    sources=(Source("balance", "money left", _requests, parse, missing='set account = "<team id>"'),),
)
