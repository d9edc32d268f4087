"""`tokentop reconcile`: our figures beside the provider's, per UTC day, provider and model."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tokentop.billing import DAY_MS
from tokentop.clock import now_ms
from tokentop.engine.reconcile import Ours, Row, Verdict, discount, reconcile
from tokentop.errors import NothingMatched, UsageError
from tokentop.model import Tokens
from tokentop.pricing.names import HOST_BY_NAME
from tokentop.store import bills, reader
from tokentop.store.reader import Filter
from tokentop.text import digits3

from . import access
from .out import iso, money, plain_table, print_json, usd

DAYS = 7
_EPOCH = date(1970, 1, 1)


def run(since: str | None, keys: Sequence[str], as_json: bool) -> int:
    """Exit status 1 where a final day is out of tolerance. Raises UsageError, Failure, NothingMatched."""
    at_ms = now_ms()
    today = datetime.fromtimestamp(at_ms / 1000, UTC).date()
    first = today - timedelta(days=DAYS)
    if since is not None:
        try:
            first = date.fromisoformat(since)
        except ValueError:
            raise UsageError(f"--since {since}: a UTC day such as 2026-11-21 is wanted") from None
    with access.opened(quiet=as_json) as store:
        rows = compare(store.db, first, today + timedelta(days=1), frozenset(keys))
    if as_json:
        print_json(_document(rows, first, at_ms))
    elif rows:
        print(_text(rows))
    if not rows:
        raise NothingMatched("no provider has told a day since then; see: tokentop providers")
    return 1 if any(row.final and row.verdict in (Verdict.OVER, Verdict.PRICE) for row in rows) else 0


def compare(
    db: sqlite3.Connection, first: date, until: date, keys: frozenset[str] = frozenset()
) -> list[Row]:
    """The rows of the UTC days [first, until)."""
    since_day, until_day = first.isoformat(), until.isoformat()
    known: dict[tuple[str, str], bool] = {}
    for one in bills.known_days(db, since_day, until_day):
        provider, _, source = one.source.partition(".")
        if source in bills.COST_SOURCES.get(provider, ()) + bills.USAGE_SOURCES.get(provider, ()):
            known[one.day, provider] = known.get((one.day, provider), True) and one.final
    lines = bills.lines(db, since_day, until_day)
    places = [(day, provider, final) for (day, provider), final in known.items()]
    return reconcile(_ours(db, first, until), lines, places, keys=keys, same=same_model)


def same_model(name: str) -> str:
    """One name for what means the same model: without a date, a host in front or a window behind."""
    plain = name.rsplit("/", 1)[-1].lower().removesuffix("[1m]")
    return re.sub(r"-(?:\d{8}|\d{4}-\d\d-\d\d)$", "", plain)


def _ours(db: sqlite3.Connection, first: date, until: date) -> list[Ours]:
    """What the logs say, by UTC day. Estimates are marked; what no key paid cannot be told from them."""
    found = []
    for n in range((until - first).days):
        day = first + timedelta(days=n)
        start_ms = (day - _EPOCH).days * DAY_MS
        for slot in reader.usage(db, Filter(start_ms, start_ms + DAY_MS), by_slot=False):
            provider = HOST_BY_NAME.get(slot.provider.lower(), slot.provider.lower())
            found.append(
                Ours(day.isoformat(), provider, slot.model, slot.tokens, slot.cost_nusd, slot.unpriced_tokens,
                     slot.unknown_calls, slot.responses, slot.estimated or slot.cost_estimated)
            )  # fmt: skip
    return found


def _document(rows: Sequence[Row], first: date, at_ms: int) -> dict[str, Any]:
    share = discount(rows)
    return {
        "schema": "tokentop.reconcile/1",
        "generated_at": iso(at_ms),
        "since": first.isoformat(),
        "discount_pct": None if share is None else round(share * 100, 3),
        "rows": [_row(row) for row in rows],
    }


def _row(row: Row) -> dict[str, Any]:
    def dollars(nusd: int | None) -> str | None:
        return None if nusd is None else usd(nusd)

    return {
        "day_utc": row.day, "provider": row.provider, "model": row.model or None, "verdict": str(row.verdict),
        "reasons": list(row.reasons), "final": row.final, "ours_tokens": _counts(row.ours),
        "theirs_tokens": None if row.theirs is None else _counts(row.theirs),
        "coverage": None if row.coverage is None else round(row.coverage, 6), "ours_usd": usd(row.ours_nusd),
        "ours_unpriced_tokens": row.unpriced_tokens, "theirs_usd": dollars(row.theirs_nusd),
        "billed_usd": dollars(row.billed_nusd), "difference_usd": dollars(row.difference_nusd),
        "missing_usd": dollars(row.missing_nusd), "residual_usd": dollars(row.residual_nusd),
    }  # fmt: skip


def _counts(tokens: Tokens) -> dict[str, int]:
    names = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
    return {name: getattr(tokens, name) for name in names}


def _text(rows: Sequence[Row]) -> str:
    heads = [
        "DAY (UTC)",
        "PROVIDER",
        "MODEL",
        "VERDICT",
        "OURS TOK",
        "THEIRS TOK",
        "COVER",
        "OURS $",
        "THEIRS $",
        "DIFF",
    ]
    table = [
        [row.day + ("" if row.final else " *"), row.provider, row.model or "(no model)", str(row.verdict),
         digits3(row.ours.total), "?" if row.theirs is None else digits3(row.theirs.total),
         "?" if row.coverage is None else f"{row.coverage * 100:.1f}%",
         ("≥" if row.unpriced_tokens else "") + money(row.ours_nusd),
         "?" if row.theirs_nusd is None else money(row.theirs_nusd),
         "?" if row.difference_nusd is None else money(row.difference_nusd)]
        for row in rows
    ]  # fmt: skip
    lines = [plain_table(heads, table, left=4)]
    reasons = dict.fromkeys(f"{row.verdict}: {'; '.join(row.reasons)}" for row in rows if row.reasons)
    lines += ["", *reasons] if reasons else []
    if any(not row.final for row in rows):
        lines.append("* not final: a day is settled 48 hours after its end")
    share = discount(rows)
    if share is not None:
        lines.append(f"billed {share * 100:.1f} % below the provider's list price")
    return "\n".join(lines)
