"""Claude's plan limits from the endpoint that Claude Code itself asks. Private: off without an explicit yes.

The token is Claude Code's own, only read; it is never renewed or written. Asked every 10 minutes at most, and only while
no log or hook has told the limits; silent for at least 300 s after a 429, twice as long after each further one.
"""

from __future__ import annotations

import re
from typing import Any

from tokentop.nouns.billing import ENDPOINT, Balance
from tokentop.nouns.money import Quota
from tokentop.text import is_key

from .base import HOUR, LIMIT_SPANS, Ask, Credential, Page, Provider, Request, Source
from .decoding import (
    CENT,
    BadReply,
    BadRow,
    currency,
    decode,
    maybe_nano,
    number,
    part,
    row_of,
    text,
    when_ms,
)

ID = "claude_oauth"
_FIVE_HOURS, _WEEK, _MONTH = 300, 10_080, 43_200
_KINDS = {"session": _FIVE_HOURS, "weekly": _WEEK, "monthly": _MONTH}
_MOST_PCT = 100_000

RISK = (
    "Anthropic's terms say that the login of a Claude subscription is for ordinary use of Claude Code and its other own"
    " applications. Asking for your limits with it is a risk under the consumer terms: the account could be warned or"
    " closed. The endpoint is undocumented and may change or refuse at any time. The status line hook of Claude Code"
    " tells the same limits without it."
)


def _requests(_ask: Ask) -> tuple[Request, ...]:
    return (Request("/api/oauth/usage"),)


def parse(body: bytes, ask: Ask, _request: Request) -> Page:
    """Windows by the `limits` list, else every top-level object with a utilization, by its own name.

    A percentage is 0 to 100 used; an answer without any window that is known is not "0 %".
    """
    document = decode(body)
    page = Page(balances=[], days=set())
    listed = document.get("limits")
    if isinstance(listed, list) and listed:
        for row in listed:
            with row_of(page):
                _listed(row, page, ask)
    else:
        for name, window in document.items():
            if isinstance(window, dict) and "utilization" in window and name != "extra_usage":
                with row_of(page):
                    _named(name, window, page, ask)
    with row_of(page):
        _extra(part(document, "extra_usage"), page, ask)
    if not page.quotas and not page.balances:
        raise BadReply("no window of a limit in the answer")
    return page


def _listed(row: dict[str, Any], page: Page, ask: Ask) -> None:
    if row.get("percent") is None:
        return
    model = text(part(part(row, "scope"), "model").get("display_name"))
    minutes = _KINDS.get(text(row.get("group")), 0)
    name = model or ("all" if minutes else text(row.get("kind"), "limit"))
    _quota(page, ask, minutes, name, row["percent"], row.get("resets_at"))


def _named(name: str, window: dict[str, Any], page: Page, ask: Ask) -> None:
    if window["utilization"] is None:
        return
    head, _, scope = text(name).partition("_day")
    minutes = _FIVE_HOURS if name == "five_hour" else _WEEK if head == "seven" else 0
    limit_id = (scope.strip("_") or "all") if minutes else text(name)
    _quota(page, ask, minutes, limit_id, window["utilization"], window.get("resets_at"))


def _quota(page: Page, ask: Ask, minutes: int, name: str, used: object, resets_at: object) -> None:
    percent = number(used)
    if not 0 <= percent <= _MOST_PCT:
        raise BadRow
    page.quotas.append(
        Quota("claude", "", minutes, "claude" if name == "all" else name, float(percent), when_ms(resets_at), ENDPOINT, ask.now_ms,
              ask.plan)
    )  # fmt: skip


def _extra(extra: dict[str, Any], page: Page, ask: Ask) -> None:
    """Extra usage that was bought, in the minor unit of its currency."""
    if not extra or extra.get("used_credits") is None or page.balances is None:
        return
    used, limit = maybe_nano(extra["used_credits"], CENT), maybe_nano(extra.get("monthly_limit"), CENT)
    page.balances.append(
        Balance(
            ID, f"{ID}.limits", "extra usage" + (" (off)" if extra.get("is_enabled") is False else ""),
            currency(extra.get("currency")), None if limit is None or used is None else limit - used, used, limit,
            "month", at_ms=ask.now_ms,
        )
    )  # fmt: skip


def token_of(raw: bytes) -> Credential:
    """The access token of Claude Code's `.credentials.json`."""
    try:
        login = part(decode(raw), "claudeAiOauth")
    except (BadReply, BadRow):
        return Credential("", problem="not as Claude Code writes it")
    token = login.get("accessToken")
    if not is_key(token):
        return Credential("", problem="no login in it; run: claude")
    return Credential(token, plan=plan_name(login.get("subscriptionType"), login.get("rateLimitTier")))


def plan_name(kind: object, tier: object) -> str:
    """`Max 20x`, `Pro`: the subscription as the login's file names it, "" = it does not."""
    if not isinstance(kind, str) or not kind:
        return ""
    times = re.search(r"_(\d{1,3}x)$", tier) if isinstance(tier, str) else None
    return text(f"{kind[:1].upper()}{kind[1:]}" + (f" {times[1]}" if times else ""))


PROVIDER = Provider(
    id=ID,
    label="Claude limits (unofficial)",
    base_url="https://api.anthropic.com",
    headers=(("anthropic-beta", "oauth-2025-04-20"),),
    needs="Claude Code's own login on this machine",
    private_risk=RISK,
    limits_of="claude",
    key_file=token_of,
    key_paths=(("CLAUDE_CONFIG_DIR", ".claude", ".credentials.json"),),
    floor_s=300,
    refused_s=HOUR,
    sources=(
        Source("limits", "plan limits", _requests, parse, LIMIT_SPANS,
               needs="this token may not read limits; run `claude` to log in again"),
    ),
)  # fmt: skip
