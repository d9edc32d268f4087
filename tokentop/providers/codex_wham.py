"""Codex's plan limits from the endpoint that Codex itself asks. Private: off without an explicit yes.

The token is Codex's own, only read; it is never renewed or written. Active agents need none of this: their rollouts tell
the limits.
"""

from __future__ import annotations

from typing import Any

from tokentop.nouns.billing import ENDPOINT, Balance
from tokentop.nouns.money import Quota
from tokentop.text import is_key

from .base import HOUR, LIMIT_SPANS, Ask, Credential, Page, Provider, Request, Source
from .decoding import UNIT, BadReply, BadRow, decode, nano, number, part, row_of, seconds_ms, text

ID = "codex_wham"

RISK = (
    "The address is one that only Codex itself is meant to ask: there is no public contract for it, OpenAI may change it,"
    " refuse it or object to its use by other programs at any time. Codex writes the same limits into its logs while it"
    " works, without this."
)


def _requests(_ask: Ask) -> tuple[Request, ...]:
    return (Request("/backend-api/wham/usage"),)


def parse(body: bytes, ask: Ask, _request: Request) -> Page:
    """Windows by their length, never by their place; every member may be null or missing."""
    document = decode(body)
    plan = text(document.get("plan_type"))
    page = Page(balances=[], days=set())
    if "rate_limit" not in document:
        raise BadReply("no 'rate_limit' in the answer")
    _windows(document.get("rate_limit"), "codex", plan, page, ask)
    for more in document.get("additional_rate_limits") or ():
        with row_of(page):
            _windows(
                more.get("rate_limit"),
                text(more.get("metered_feature"), text(more.get("limit_name"))),
                plan,
                page,
                ask,
            )
    with row_of(page):
        left = part(document, "credits").get("balance")
        if left is not None and page.balances is not None:
            page.balances.append(
                Balance(ID, f"{ID}.limits", "credits", "credits", nano(left, UNIT), at_ms=ask.now_ms)
            )
    return page


def _windows(limit: object, limit_id: str, plan: str, page: Page, ask: Ask) -> None:
    if not isinstance(limit, dict):
        return
    for name in ("primary_window", "secondary_window"):
        with row_of(page):
            _window(part(limit, name), limit_id, plan, page, ask)


def _window(window: dict[str, Any], limit_id: str, plan: str, page: Page, ask: Ask) -> None:
    if window.get("used_percent") is None or not window.get("limit_window_seconds"):
        return
    used, seconds = number(window["used_percent"]), number(window["limit_window_seconds"])
    if not 0 <= used <= 10_000 or not 60 <= seconds <= 600_000_000:
        raise BadRow
    resets_ms = seconds_ms(window.get("reset_at"))
    page.quotas.append(
        Quota("codex", "", int(seconds // 60), limit_id, float(used), resets_ms, ENDPOINT, ask.now_ms, plan)
    )


def token_of(raw: bytes) -> Credential:
    """The access token and the account of Codex's `auth.json`."""
    try:
        tokens = part(decode(raw), "tokens")
    except (BadReply, BadRow):
        return Credential("", problem="not as Codex writes it")
    token, account = tokens.get("access_token"), tokens.get("account_id")
    if not is_key(token):
        return Credential("", problem="no login in it; run: codex login")
    if isinstance(account, str) and account.isascii() and account.replace("-", "").replace("_", "").isalnum():
        return Credential(token, (("ChatGPT-Account-Id", account),))
    return Credential(token)


PROVIDER = Provider(
    id=ID,
    label="Codex limits (unofficial)",
    base_url="https://chatgpt.com",
    needs="Codex's own login on this machine",
    private_risk=RISK,
    limits_of="codex",
    key_file=token_of,
    key_paths=(("CODEX_HOME", ".codex", "auth.json"),),
    floor_s=300,
    refused_s=HOUR,
    sources=(
        Source("limits", "plan limits", _requests, parse, LIMIT_SPANS,
               needs="this login may not read limits; run `codex` to log in again"),
    ),
)  # fmt: skip
