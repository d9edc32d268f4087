"""Our figures beside the provider's, by UTC day, provider and model: what agrees, what does not, and why. Pure.

Tokens are compared first, then money: other tokens mean coverage, equal tokens with other money mean price. Our rows
are never adjusted. Rules of verdicts: docs/reconcile.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from tokentop.engine.residual import CLASSES, Part, Sides, take_apart
from tokentop.nouns.billing import Bill
from tokentop.nouns.usage import Tokens
from tokentop.pricing.rates import Band, Rates

TOLERANCE = 0.01  # of the provider's figure ...
TOLERANCE_NUSD = 50_000_000  # ... and at least so much money
QUANTUM_NUSD = 5  # reports print money to a millionth of a cent: half of that for each of their rows
SAME_RATIO = 0.002  # billed / list of several models: nearer than this is one discount
WEB_SEARCH = "web_search"
TOKENS = "tokens"

RatesOf = Callable[[str, str, str], Rates]  # (provider, model, UTC day) -> our price
NameOf = Callable[[str, str], str]  # (provider, model) -> one name for all ids of a model


class Verdict(StrEnum):
    MATCH = "match"
    PENDING = "pending"  # the provider's report is not final
    UNCOVERED = "uncovered"  # the provider saw more than our logs
    PRICE = "price"  # equal tokens, other money
    OVER = "over"  # our logs hold more than the provider saw
    NONE = "none"  # nothing to compare


class Ours(Struct, frozen=True):
    """What our logs say of one UTC day, provider (who sends the bill) and model."""

    provider: str
    day_utc: str
    model: str
    tokens: Tokens = Tokens()
    cost_nusd: int = 0
    unpriced_tokens: int = 0
    unknown_calls: int = 0
    estimated: bool = False
    kind: str = TOKENS  # or WEB_SEARCH
    responses: int = 0  # each was rounded to a nano-dollar


class Line(Struct, frozen=True):
    """One compared row. `None` = that side does not say. `coverage` = ours / theirs in tokens."""

    provider: str
    day_utc: str
    model: str
    kind: str
    verdict: Verdict
    reason: str
    ours: Tokens
    theirs: Tokens | None
    ours_nusd: int
    list_nusd: int | None
    billed_nusd: int | None
    coverage: float | None
    parts: tuple[Part, ...]
    final: bool
    unpriced_tokens: int = 0
    unknown_calls: int = 0
    estimated: bool = False
    rounding_nusd: int = 0  # as much the rounding of both sides can make

    @property
    def difference_nusd(self) -> int | None:
        """Ours minus theirs at list price; 0 where rounding explains it, None where one side does not say."""
        if self.list_nusd is None:
            return None
        gap = self.ours_nusd - self.list_nusd
        return 0 if abs(gap) <= self.rounding_nusd else gap

    @property
    def off(self) -> bool:
        """A settled row that should agree and does not: what `tokentop reconcile` fails for."""
        return self.final and self.verdict in (Verdict.OVER, Verdict.PRICE)


class Report(Struct, frozen=True):
    lines: tuple[Line, ...]
    discounts: Mapping[str, float]  # provider -> billed / list, where one ratio holds


class _Theirs(Struct):
    tokens: Tokens = Tokens()
    counted: bool = False  # a report of tokens holds this row
    billed_nusd: int | None = None
    list_nusd: int | None = None
    by_class: dict[str, int] = {}
    rows: int = 0  # with money


_Key = tuple[str, str, str, str]  # provider, UTC day, model, kind


def reconcile(
    ours: Iterable[Ours], bills: Iterable[Bill], days: Mapping[tuple[str, str], bool], sources: Sequence[str],
    rates_of: RatesOf, name_of: NameOf, keys: frozenset[str] = frozenset(),
) -> Report:  # fmt: skip
    """Compare. `days` = {(provider, UTC day): settled} of every day that the provider has reported whole.

    `sources` are the reports to take figures from, the preferred first; `keys` leaves only their use in the
    provider's figures (ids of API keys), and no money of reports that do not split by key.
    """
    theirs = _theirs(bills, sources, name_of, keys)
    mine = _mine(ours, name_of)
    compared = [
        (key, mine.get(key), theirs.get(key))
        for key in sorted(mine.keys() | theirs.keys(), key=_place)
        if key[:2] in days or key in mine
    ]
    discounts = _discounts(compared)
    lines = [
        _line(
            key,
            own,
            their,
            days.get((key[0], key[1])),
            discounts.get(key[0]),
            rates_of(key[0], key[2], key[1]),
        )
        for key, own, their in compared
    ]
    return Report(tuple(lines), discounts)


def _place(key: _Key) -> tuple[str, str, bool, str, str]:
    """By provider and day; what is not tokens last."""
    provider, day, model, kind = key
    return provider, day, kind != TOKENS, model, kind


# ---------------------------------------------------------------- the two sides


def _mine(ours: Iterable[Ours], name_of: NameOf) -> dict[_Key, Ours]:
    from msgspec.structs import replace

    found: dict[_Key, Ours] = {}
    for row in ours:
        provider = row.provider
        # Reports do not say which model searched: one line for all.
        name = "" if row.kind == WEB_SEARCH else name_of(provider, row.model)
        key = (provider, row.day_utc, name, row.kind)
        known = found.get(key)
        if known is None:
            found[key] = replace(row, model=name)
            continue
        found[key] = replace(
            known, tokens=known.tokens + row.tokens, cost_nusd=known.cost_nusd + row.cost_nusd,
            unpriced_tokens=known.unpriced_tokens + row.unpriced_tokens,
            unknown_calls=known.unknown_calls + row.unknown_calls, estimated=known.estimated or row.estimated,
            responses=known.responses + row.responses,
        )  # fmt: skip
    return found


def _theirs(
    bills: Iterable[Bill], sources: Sequence[str], name_of: NameOf, keys: frozenset[str]
) -> dict[_Key, _Theirs]:
    """The rows of one report of tokens and one of money for each day, by model."""
    rank = {source: at for at, source in enumerate(sources)}
    usable = [bill for bill in bills if bill.source in rank and bill.currency == "USD"]
    best: dict[tuple[str, str, bool], str] = {}
    for bill in usable:
        for money in (False, True):
            if bill.amount_nusd is not None if money else bill.tokens is not None:
                place = (bill.provider, bill.day_utc, money)
                best[place] = min(best.get(place, bill.source), bill.source, key=lambda name: rank[name])
    found: dict[_Key, _Theirs] = {}
    for bill in usable:
        if keys and bill.key not in keys:
            continue
        kind = WEB_SEARCH if bill.kind == WEB_SEARCH else TOKENS if _of_tokens(bill) else bill.kind
        name = name_of(bill.provider, bill.model) if bill.model and kind == TOKENS else ""
        row = found.setdefault((bill.provider, bill.day_utc, name, kind), _Theirs(by_class={}))
        if bill.tokens is not None and best[bill.provider, bill.day_utc, False] == bill.source:
            row.tokens, row.counted = row.tokens + bill.tokens, True
        if bill.amount_nusd is not None and best[bill.provider, bill.day_utc, True] == bill.source:
            _add_money(row, bill)
    return {key: row for key, row in found.items() if row.counted or row.billed_nusd is not None}


def _of_tokens(bill: Bill) -> bool:
    return bill.kind in CLASSES or bill.kind == "usage" or (bill.kind == "total" and bool(bill.model))


def _add_money(row: _Theirs, bill: Bill) -> None:
    amount = bill.amount_nusd or 0
    row.rows += 1
    row.billed_nusd = (row.billed_nusd or 0) + amount
    if bill.list_nusd is not None:
        row.list_nusd = (row.list_nusd or 0) + bill.list_nusd
    if bill.kind in CLASSES:
        listed = amount if bill.list_nusd is None else bill.list_nusd
        row.by_class[bill.kind] = row.by_class.get(bill.kind, 0) + listed


def _discounts(compared: Sequence[tuple[_Key, Ours | None, _Theirs | None]]) -> dict[str, float]:
    """Billed / list of each provider: from its own list prices, else one ratio that all models share."""
    told: dict[str, list[int]] = {}
    seen: dict[str, list[float]] = {}
    for (provider, _, _, kind), own, their in compared:
        if their is None or their.billed_nusd is None or kind != TOKENS:
            continue
        if their.list_nusd is not None:
            sums = told.setdefault(provider, [0, 0])
            sums[0] += their.billed_nusd
            sums[1] += their.list_nusd
        elif own is not None and own.cost_nusd > TOLERANCE_NUSD and own.tokens.total == their.tokens.total:
            seen.setdefault(provider, []).append(their.billed_nusd / own.cost_nusd)
    found = {provider: billed / listed for provider, (billed, listed) in told.items() if listed}
    for provider, ratios in seen.items():
        if len(ratios) > 1 and max(ratios) - min(ratios) <= SAME_RATIO and provider not in found:
            found[provider] = sum(ratios) / len(ratios)
    return {provider: ratio for provider, ratio in found.items() if abs(ratio - 1) > SAME_RATIO}


# ---------------------------------------------------------------- one row


def _line(
    key: _Key, own: Ours | None, their: _Theirs | None, settled: bool | None, discount: float | None, rates: Rates
) -> Line:  # fmt: skip
    provider, day, model, kind = key
    own = own or Ours(provider, day, model, kind=kind)
    listed = _listed(their, discount)
    tokens = their.tokens if their is not None and their.counted else None
    rounding = own.responses + QUANTUM_NUSD * (their.rows if their is not None else 0)
    parts: tuple[Part, ...] = ()
    if (
        listed is not None
        and tokens is not None
        and their is not None
        and abs(own.cost_nusd - listed) > rounding
    ):
        by_class = their.by_class if discount is None or their.list_nusd is not None else {}
        parts = take_apart(
            Sides(own.tokens, tokens, own.cost_nusd, listed, by_class, own.unpriced_tokens, bool(settled)),
            _plain(rates),
        )
    verdict, reason = _judge(own, tokens, listed, settled, parts)
    return Line(
        provider, day, model, kind, verdict, reason, own.tokens, tokens, own.cost_nusd, listed,
        their.billed_nusd if their is not None else None,
        own.tokens.total / tokens.total if tokens is not None and tokens.total else None,
        parts, bool(settled), own.unpriced_tokens, own.unknown_calls, own.estimated, rounding,
    )  # fmt: skip


def _listed(their: _Theirs | None, discount: float | None) -> int | None:
    """The provider's figure at list price."""
    if their is None or their.billed_nusd is None:
        return None
    if their.list_nusd is not None:
        return their.list_nusd
    return their.billed_nusd if discount is None else round(their.billed_nusd / discount)


def _plain(rates: Rates) -> Band | None:
    return rates.bands[-1] if rates.bands else None


def _judge(
    own: Ours, tokens: Tokens | None, listed: int | None, settled: bool | None, parts: Sequence[Part]
) -> tuple[Verdict, str]:
    if settled is None:
        return Verdict.NONE, "the provider's report of this day is not here"
    if tokens is None and listed is None:
        return Verdict.NONE, "the provider billed none of it: a plan, another account, or not there yet"
    if tokens is not None and not _near(own.tokens.total, tokens.total):
        return _coverage(own, tokens, settled)
    if listed is None:
        return Verdict.MATCH, "in tokens; the report does not split money this way"
    gap = own.cost_nusd - listed
    if abs(gap) <= max(TOLERANCE_NUSD, TOLERANCE * abs(listed)):
        return Verdict.MATCH, "" if gap == 0 else "within tolerance"
    if tokens is None:  # money alone: more of it there is use that we did not see
        if gap < 0:
            return Verdict.UNCOVERED, "billed by the provider, not in our logs"
        return (
            (Verdict.OVER, "not billed by the provider") if settled else (Verdict.PENDING, "not billed yet")
        )
    if own.unpriced_tokens:
        return Verdict.PRICE, f"no price known here for {own.unpriced_tokens:,} tokens"
    largest = max(parts, key=lambda part: abs(part.nusd), default=None)
    return Verdict.PRICE, largest.name if largest is not None else "other prices"


def _near(ours: int, theirs: int) -> bool:
    return abs(ours - theirs) <= TOLERANCE * theirs


def _coverage(own: Ours, tokens: Tokens, settled: bool) -> tuple[Verdict, str]:
    if own.tokens.total < tokens.total:
        reason = "used elsewhere, or in no log"
        if own.unknown_calls:
            reason += f"; {own.unknown_calls} calls here whose tokens were not logged"
        return Verdict.UNCOVERED, reason
    if not settled:
        return Verdict.PENDING, "the provider's report is not final"
    return Verdict.OVER, "more in our logs than the provider billed: a plan may have paid, or counted twice"
