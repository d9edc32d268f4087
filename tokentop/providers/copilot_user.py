"""Copilot's plan limits from the endpoint that its editor extension asks. Private: off without an explicit yes.

The token is the extension's own, only read; it is never renewed or written. GitHub's billing (`github`) is the official
way, where it applies.
"""

from __future__ import annotations

from typing import Any

from tokentop.nouns.billing import ENDPOINT
from tokentop.nouns.money import Quota
from tokentop.text import is_key

from .base import HOUR, LIMIT_SPANS, Ask, Credential, Page, Provider, Request, Source
from .decoding import BadReply, BadRow, decode, number, part, row_of, text, when_ms

ID = "copilot_user"
_MONTH = 43_200

RISK = (
    "The address is one that only Copilot's own extensions are meant to ask: there is no public contract for it, GitHub"
    " may change it, refuse it or object to its use by other programs at any time. `github` asks GitHub's official"
    " billing instead, where you or your organization pay."
)


def _requests(_ask: Ask) -> tuple[Request, ...]:
    return (Request("/copilot_internal/user"),)


def parse(body: bytes, ask: Ask, _request: Request) -> Page:
    """One window of a month for each kind of use. `percent_remaining` counts down and goes below 0 when over.

    Nothing entitled and nothing left is a placeholder (seats of an organization), and what is unlimited has no window.
    """
    document = decode(body)
    snapshots = document.get("quota_snapshots")
    if not isinstance(snapshots, dict):
        raise BadReply("no 'quota_snapshots' in the answer")
    page = Page(days=set())
    resets_ms = when_ms(document.get("quota_reset_date_utc")) or when_ms(document.get("quota_reset_date"))
    plan = text(document.get("copilot_plan"))
    for name in snapshots:
        with row_of(page):
            _quota(part(snapshots, name), text(name), resets_ms, plan, page, ask)
    return page


def _quota(one: dict[str, Any], name: str, resets_ms: int, plan: str, page: Page, ask: Ask) -> None:
    left = one.get("percent_remaining")
    if left is None or one.get("unlimited") is True or not (one.get("entitlement") or one.get("remaining")):
        return
    used = 100 - number(left)
    if not 0 <= used <= 100_000:
        raise BadRow
    limit_id = "copilot" if name == "premium_interactions" else name
    page.quotas.append(
        Quota("copilot", "", _MONTH, limit_id, float(used), resets_ms, ENDPOINT, ask.now_ms, plan)
    )


def token_of(raw: bytes) -> Credential:
    """The token of the extension's `apps.json`: an object for each application that has logged in."""
    try:
        apps = decode(raw)
    except BadReply:
        return Credential("", problem="not as Copilot writes it")
    for app in apps.values():
        token = app.get("oauth_token") if isinstance(app, dict) else None
        if is_key(token):
            return Credential(token)
    return Credential("", problem="no login in it; log in to Copilot in the editor")


PROVIDER = Provider(
    id=ID,
    label="Copilot limits (unofficial)",
    base_url="https://api.github.com",
    scheme="token ",
    headers=(("X-GitHub-Api-Version", "2025-04-01"),),
    needs="the login of Copilot's editor extension on this machine",
    private_risk=RISK,
    limits_of="copilot",
    key_file=token_of,
    key_paths=(("", ".config/github-copilot", "apps.json"),),
    floor_s=300,
    refused_s=HOUR,
    sources=(
        Source("limits", "plan limits", _requests, parse, LIMIT_SPANS,
               needs="this login may not read limits; log in to Copilot in the editor again"),
    ),
)  # fmt: skip
