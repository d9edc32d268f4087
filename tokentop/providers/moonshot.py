"""Moonshot's balance: US dollars on `.ai`, yuan on `.cn` (`base_url = "https://api.moonshot.cn"`)."""

from __future__ import annotations

from tokentop.nouns.billing import Balance

from .base import Ask, Page, Provider, Request, Source
from .decoding import UNIT, BadReply, BadRow, decode, nano, row_of

ID = "moonshot"


def _requests(_ask: Ask) -> tuple[Request, ...]:
    return (Request("/v1/users/me/balance"),)


def parse(body: bytes, ask: Ask, _request: Request) -> Page:
    """`status` false or a `code` other than 0 is an error that came with 200."""
    document = decode(body)
    data = document.get("data")
    if document.get("status") is False or document.get("code") not in (0, None) or not isinstance(data, dict):
        raise BadReply("the answer says that it failed")
    page = Page(balances=[])
    assert page.balances is not None
    with row_of(page):
        if "available_balance" not in data:
            raise BadRow
        left = nano(data["available_balance"], UNIT)
        unit = "CNY" if ask.host.endswith(".cn") else "USD"
        page.balances.append(
            Balance(ID, f"{ID}.balance", "balance", unit, remaining_nano=left, at_ms=ask.now_ms)
        )
    return page


PROVIDER = Provider(
    id=ID,
    label="Moonshot",
    base_url="https://api.moonshot.ai",
    variables=("MOONSHOT_API_KEY",),
    needs="any key",
    sources=(Source("balance", "money left", _requests, parse),),
)
