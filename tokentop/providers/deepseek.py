"""DeepSeek's balance, one for each currency."""

from __future__ import annotations

from tokentop.nouns.billing import Balance

from .base import Ask, Page, Provider, Request, Source
from .decoding import UNIT, currency, decode, nano, row_of, rows

ID = "deepseek"


def _requests(_ask: Ask) -> tuple[Request, ...]:
    return (Request("/user/balance"),)


def parse(body: bytes, ask: Ask, _request: Request) -> Page:
    page = Page(balances=[])
    assert page.balances is not None
    for row in rows(decode(body), "balance_infos"):
        with row_of(page):
            left = nano(row.get("total_balance"), UNIT)
            unit = currency(row.get("currency"))
            page.balances.append(
                Balance(ID, f"{ID}.balance", "balance", unit, remaining_nano=left, at_ms=ask.now_ms)
            )
    return page


PROVIDER = Provider(
    id=ID,
    label="DeepSeek",
    base_url="https://api.deepseek.com",
    variables=("DEEPSEEK_API_KEY",),
    needs="any key",
    sources=(Source("balance", "money left", _requests, parse),),
)
