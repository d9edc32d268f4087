"""What providers said, asked by UTC day, provider, model and key. Read-only."""

from __future__ import annotations

import sqlite3

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tokentop.nouns.billing import CLASSES, Balance, Bill, BillLine, ProviderState
from tokentop.nouns.usage import Tokens

KEY = ("kind", "model", "key", "project", "tier", "product", "item", "unit", "currency")
COUNTS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")

_STOPPED_MS = 6 * 3_600_000


class Revision(Struct, frozen=True):
    """An amount of a day that was over, changed later by the provider."""

    at_ms: int
    source: str
    day: str
    line: tuple[str, ...]  # kind, model, key, project, tier, product, item, unit, currency
    old_nusd: int | None
    new_nusd: int | None


class KnownDay(Struct, frozen=True):
    """A UTC day that a report has told completely, with or without use. `source` is "provider.report"."""

    source: str
    account: str
    day: str
    fetched_ms: int
    as_of_ms: int
    final: bool


def bills(
    db: sqlite3.Connection, since_day: str, until_day: str, *, provider: str = "", source: str = ""
) -> list[Bill]:
    """The rows of the UTC days [since_day, until_day), as reported: several reports may tell the same spend.

    Of a report that was read with two keys, one after the other, the newer reading counts.
    """
    where, values = "", [since_day, until_day]
    for column, value in (("provider", provider), ("source", source)):
        if value:
            where += f" AND b.{column}=?"
            values.append(value)
    rows = db.execute(
        f"SELECT b.provider, b.source, b.day, {', '.join('b.' + name for name in KEY)}, {', '.join(COUNTS)},"
        " b.requests, b.quantity, b.amount_nusd, b.list_nusd, b.amount_text, d.final, d.fetched_ms FROM bill b"
        " JOIN bill_day d ON d.source = b.source AND d.account = b.account AND d.day = b.day"
        " AND d.fetched_ms = (SELECT max(n.fetched_ms) FROM bill_day n WHERE n.source = b.source AND n.day = b.day)"
        f" WHERE b.day >= ? AND b.day < ?{where} ORDER BY b.day, b.source, b.model, b.key, b.kind",
        values,
    )
    return [_bill(row) for row in rows]


def _bill(row: tuple[object, ...]) -> Bill:
    provider, source, day, *rest = row
    texts, counts, (requests, quantity, amount, listed, said, final, fetched_ms) = (
        rest[:9],
        rest[9:15],
        rest[15:],
    )
    key = dict(zip(KEY, texts, strict=True))
    tokens = None if counts[0] is None else Tokens(*counts)  # type: ignore[arg-type]
    return Bill(
        provider, source, day, tokens=tokens, requests=requests, quantity=quantity,  # type: ignore[arg-type]
        amount_nusd=amount, list_nusd=listed, amount_text=said, final=bool(final),  # type: ignore[arg-type]
        fetched_ms=fetched_ms, **key,  # type: ignore[arg-type]
    )  # fmt: skip


def known_days(
    db: sqlite3.Connection, since_day: str, until_day: str, *, provider: str = ""
) -> list[KnownDay]:
    """Which UTC days each report has told completely: a day that is not here is unknown, not zero."""
    rows = db.execute(
        "SELECT source, account, day, fetched_ms, as_of_ms, final FROM bill_day WHERE day >= ? AND day < ?"
        + (" AND provider=?" if provider else "") + " ORDER BY day, source",
        (since_day, until_day, *([provider] if provider else [])),
    )  # fmt: skip
    return [
        KnownDay(source, account, day, fetched_ms, as_of_ms, bool(final))
        for source, account, day, fetched_ms, as_of_ms, final in rows
    ]


USAGE_SOURCES = {
    "anthropic": ("analytics_usage", "usage"),
    "openai": ("usage",),
    "openrouter": ("activity",),
    "litellm": ("activity",),
}
COST_SOURCES = {
    "anthropic": ("analytics_cost", "cost"),
    "openai": ("costs",),
    "openrouter": ("activity",),
    "litellm": ("activity",),
    "github": ("ai_credit", "premium_request"),
}


def lines(db: sqlite3.Connection, since_day: str, until_day: str, *, provider: str = "") -> list[BillLine]:
    """Spend by UTC day, provider, model and key, each figure from one report: the best that has told the day.

    Amounts that name no model (web search, code execution) have the model "".
    """
    told = {
        (known.source, known.day): known for known in known_days(db, since_day, until_day, provider=provider)
    }
    sums: dict[tuple[str, str, str, str, str, str], BillLine] = {}
    for bill in bills(db, since_day, until_day, provider=provider):
        is_usage = bill.source == _best(USAGE_SOURCES, bill.provider, bill.day_utc, told)
        is_cost = bill.source == _best(COST_SOURCES, bill.provider, bill.day_utc, told)
        if not is_usage and not is_cost:
            continue
        key = (bill.day_utc, bill.provider, bill.model, bill.key, bill.project, bill.currency)
        known = sums.get(key) or BillLine(*key[:5], None, None, None, bill.currency, bill.final)
        sums[key] = replace(
            known,
            tokens=_add_tokens(known.tokens, bill.tokens if is_usage else None),
            amount_nusd=_add(known.amount_nusd, bill.amount_nusd if is_cost else None),
            list_nusd=_add(known.list_nusd, bill.list_nusd if is_cost else None),
            final=known.final and bill.final,
            classes=_by_class(known.classes, bill) if is_cost else known.classes,
            rows=known.rows + 1,
        )
    return [sums[key] for key in sorted(sums)]


def _by_class(known: tuple[int | None, ...], bill: Bill) -> tuple[int | None, ...]:
    """The money by class of tokens, at list price where that is told; what is no class is in the sums alone."""
    price = bill.amount_nusd if bill.list_nusd is None else bill.list_nusd
    return tuple(
        _add(old, price if bill.kind == name else None) for name, old in zip(CLASSES, known, strict=True)
    )


def _best(
    order: dict[str, tuple[str, ...]], provider: str, day: str, told: dict[tuple[str, str], KnownDay]
) -> str:
    """The report that a figure of a day is taken from: the first, unless it stopped answering before the day was settled."""
    found = [
        told[f"{provider}.{name}", day]
        for name in order.get(provider, ())
        if (f"{provider}.{name}", day) in told
    ]
    newest_ms = max((one.fetched_ms for one in found), default=0)
    return next((one.source for one in found if one.final or newest_ms - one.fetched_ms <= _STOPPED_MS), "")


def _add(one: int | None, two: int | None) -> int | None:
    return two if one is None else one if two is None else one + two


def _add_tokens(one: Tokens | None, two: Tokens | None) -> Tokens | None:
    return two if one is None else one if two is None else one + two


def revisions(db: sqlite3.Connection, since_day: str, until_day: str) -> list[Revision]:
    """What providers changed afterwards, newest first."""
    rows = db.execute(
        "SELECT at_ms, source, day, line, old_nusd, new_nusd FROM bill_revision WHERE day >= ? AND day < ?"
        " ORDER BY id DESC",
        (since_day, until_day),
    )
    return [
        Revision(at_ms, source, day, msgspec.json.decode(line, type=tuple[str, ...]), old, new)
        for at_ms, source, day, line, old, new in rows
    ]


def balances(db: sqlite3.Connection) -> list[Balance]:
    return balances_where(db, "", ())


def balances_where(db: sqlite3.Connection, where: str, values: tuple[str, ...]) -> list[Balance]:
    rows = db.execute(
        "SELECT provider, source, name, currency, remaining_nano, used_nano, limit_nano, period, resets_at_ms, at_ms,"
        f" stale FROM balance {where} ORDER BY provider, source, name, period",
        values,
    )
    return [replace(Balance(*rest), stale=bool(stale)) for *rest, stale in rows]


def names(db: sqlite3.Connection) -> dict[tuple[str, str, str], str]:
    """(provider, kind, id) -> what people call it."""
    rows = db.execute("SELECT provider, kind, id, name FROM provider_name")
    return {(provider, kind, one): name for provider, kind, one, name in rows}


def states(db: sqlite3.Connection) -> list[ProviderState]:
    """Where each report stands, as it was last told. One that cannot be read is as if never asked."""
    found = []
    for (document,) in db.execute("SELECT document FROM provider_state ORDER BY provider, source, at_ms"):
        try:
            found.append(msgspec.json.decode(document, type=ProviderState))
        except msgspec.MsgspecError:
            continue
    return found
