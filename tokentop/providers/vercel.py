"""Vercel AI Gateway: credits left and used, US dollars as text."""

from __future__ import annotations

from tokentop.nouns.billing import Balance

from .base import Ask, Page, Provider, Request, Source
from .decoding import UNIT, decode, maybe_nano, nano, row_of

ID = "vercel"


def _requests(_ask: Ask) -> tuple[Request, ...]:
    return (Request("/v1/credits"),)


def parse(body: bytes, ask: Ask, _request: Request) -> Page:
    document = decode(body)
    page = Page(balances=[])
    assert page.balances is not None
    with row_of(page):
        left, used = nano(document.get("balance"), UNIT), maybe_nano(document.get("total_used"), UNIT)
        page.balances.append(
            Balance(ID, f"{ID}.credits", "credits", remaining_nano=left, used_nano=used, at_ms=ask.now_ms)
        )
    return page


PROVIDER = Provider(
    id=ID,
    label="Vercel AI Gateway",
    base_url="https://ai-gateway.vercel.sh",
    variables=("AI_GATEWAY_API_KEY",),
    needs="any key",
    sources=(Source("credits", "credits left and used", _requests, parse),),
)
