"""Our figures beside the provider's: per UTC day, provider and model, tokens first, then money. Pure.

Nothing of ours is ever adjusted. Different tokens say coverage (another machine, deleted logs, lag, counted twice);
equal tokens with different money say price. What a plan covers has no provider's dollar and is left out beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from msgspec import Struct

from tokentop.billing import CLASSES, BillLine
from tokentop.model import Tokens

TOLERANCE = 0.01
TOLERANCE_NUSD = 50_000_000
QUANTUM_NUSD = 5  # amounts are printed to a millionth of a cent: half of that for each row of a report


class Ours(Struct, frozen=True):
    """What local logs say of one UTC day and model, of use that an API key paid."""

    day: str
    provider: str
    model: str
    tokens: Tokens
    cost_nusd: int  # of what has a price
    unpriced_tokens: int = 0
    unknown_calls: int = 0
    responses: int = 0
    estimated: bool = False


class Verdict(StrEnum):
    MATCH = "match"
    PENDING = "pending"  # not final: it may still come
    UNCOVERED = "uncovered"  # the provider counted more: not an error
    PRICE = "price"
    OVER = "over"
    NONE = "none"  # nothing to compare


class Row(Struct, frozen=True):
    """One comparison. `theirs_nusd` is the list price where it is told, else the amount; `missing_nusd` values, at the
    provider's own prices, the tokens that only one side has; `residual_nusd` is what tokens do not explain."""

    day: str
    provider: str
    model: str
    verdict: Verdict
    reasons: tuple[str, ...]
    ours: Tokens
    theirs: Tokens | None
    coverage: float | None  # our tokens / theirs
    ours_nusd: int
    theirs_nusd: int | None
    billed_nusd: int | None  # after discounts
    difference_nusd: int | None  # ours minus theirs; 0 within the rounding of the reports
    missing_nusd: int | None
    residual_nusd: int | None
    final: bool
    unpriced_tokens: int = 0


class _Sum(Struct):
    tokens: Tokens | None = None
    amount: int | None = None
    listed: int | None = None
    classes: tuple[int | None, ...] = (None,) * len(CLASSES)
    final: bool = True
    rows: int = 0


def reconcile(
    ours: Iterable[Ours], theirs: Iterable[BillLine], known: Iterable[tuple[str, str, bool]], *,
    keys: frozenset[str] = frozenset(), same: Callable[[str], str] = lambda model: model,
) -> list[Row]:  # fmt: skip
    """Compare. `known` = (day, provider, final) of each day that a report has told; of other days nothing is said.

    `keys` = only these keys of the provider's (those that this machine uses); `same` maps model ids that mean the same.
    """
    days = {(day, provider): final for day, provider, final in known}
    mine: dict[tuple[str, str, str], Ours] = {}
    for one in ours:
        place = (one.day, one.provider, same(one.model))
        mine[place] = _both(mine[place], one) if place in mine else one
    told: dict[tuple[str, str, str], _Sum] = {}
    for line in theirs:
        if line.currency == "USD" and (not keys or line.key in keys):
            _take(told.setdefault((line.day, line.provider, same(line.model)), _Sum()), line)
    places = {place for place in (*mine, *told) if place[:2] in days}
    return [_row(place, mine.get(place), told.get(place), days[place[:2]]) for place in sorted(places)]


def _both(one: Ours, two: Ours) -> Ours:
    return Ours(
        one.day, one.provider, one.model, one.tokens + two.tokens, one.cost_nusd + two.cost_nusd,
        one.unpriced_tokens + two.unpriced_tokens, one.unknown_calls + two.unknown_calls,
        one.responses + two.responses, one.estimated or two.estimated,
    )  # fmt: skip


def _take(known: _Sum, line: BillLine) -> None:
    def add(one: int | None, two: int | None) -> int | None:
        return two if one is None else one if two is None else one + two

    if line.tokens is not None:
        known.tokens = line.tokens if known.tokens is None else known.tokens + line.tokens
    known.amount = add(known.amount, line.amount_nusd)
    known.listed = add(known.listed, line.list_nusd)
    known.classes = tuple(add(a, b) for a, b in zip(known.classes, line.classes, strict=True))
    known.final = known.final and line.final
    known.rows += line.rows


def _row(place: tuple[str, str, str], mine: Ours | None, told: _Sum | None, final: bool) -> Row:
    day, provider, model = place
    ours, theirs = mine or Ours(*place, Tokens(), 0), told or _Sum()
    price = theirs.amount if theirs.listed is None else theirs.listed
    rounding = QUANTUM_NUSD * theirs.rows + ours.responses
    difference = None if price is None else _beyond(ours.cost_nusd - price, rounding)
    missing = _missing(ours.tokens, theirs)
    residual = None
    if difference is not None and missing is not None:
        residual = _beyond(difference + missing, rounding)
    verdict, reasons = _judge(ours, theirs, price, difference, residual, final)
    their_total = theirs.tokens.total if theirs.tokens is not None else 0
    return Row(
        day, provider, model, verdict, reasons, ours.tokens, theirs.tokens,
        ours.tokens.total / their_total if their_total else None, ours.cost_nusd, price, theirs.amount, difference,
        missing, residual, final, ours.unpriced_tokens,
    )  # fmt: skip


def _beyond(nusd: int, rounding: int) -> int:
    """A difference, 0 where the rounding of the reports explains it."""
    return 0 if abs(nusd) <= rounding else nusd


def _missing(ours: Tokens, theirs: _Sum) -> int | None:
    """What the tokens that only the provider has (or only we, negative) cost at its own prices by class."""
    if theirs.tokens is None:
        return None
    total = 0
    for name, money in zip(CLASSES, theirs.classes, strict=True):
        one, two = getattr(ours, name), getattr(theirs.tokens, name)
        if one == two:
            continue
        if money is None or not two:
            return None  # no price of the provider's for this class
        total += round((two - one) * money / two)
    return total


def _judge(
    ours: Ours, theirs: _Sum, price: int | None, difference: int | None, residual: int | None, final: bool
) -> tuple[Verdict, tuple[str, ...]]:
    if theirs.tokens is None and price is None:
        return Verdict.NONE, ("the provider billed nothing: a plan, another account, or not yet there",)
    if theirs.tokens is None:
        if not ours.tokens.total:
            return Verdict.NONE, ("money without tokens: web search, code execution or the like",)
        return Verdict.NONE, ("its tokens are not told",)
    gap = theirs.tokens.total - ours.tokens.total
    if abs(gap) > TOLERANCE * theirs.tokens.total and not _small(residual, difference):
        return _by_tokens(ours, gap, final)
    if difference is None:
        return Verdict.NONE, ("its money is not told",)
    assert price is not None
    if abs(difference) <= max(TOLERANCE_NUSD, TOLERANCE * price):
        return Verdict.MATCH, ()
    return (Verdict.PRICE if final else Verdict.PENDING), _by_price(ours, theirs, difference)


def _small(residual: int | None, difference: int | None) -> bool:
    return residual == 0 and difference is not None and abs(difference) <= TOLERANCE_NUSD


def _by_tokens(ours: Ours, gap: int, final: bool) -> tuple[Verdict, tuple[str, ...]]:
    if gap > 0:
        reasons = ["another machine, user or key, or logs that are gone"]
        if ours.unknown_calls:
            reasons.append(f"{ours.unknown_calls} calls here ended without their usage")
        if not final:
            reasons.append("not final")
        return Verdict.UNCOVERED, tuple(reasons)
    if not final:
        return Verdict.PENDING, ("not final: the provider's figures come late",)
    return Verdict.OVER, ("counted twice here, or use that a plan covers",)


def _by_price(ours: Ours, theirs: _Sum, difference: int) -> tuple[str, ...]:
    """Why equal tokens may cost something else."""
    assert theirs.tokens is not None
    found = []
    if ours.unpriced_tokens:
        found.append(f"{ours.unpriced_tokens:,} tokens here have no price")
    writes = theirs.tokens.cache_write_5m + theirs.tokens.cache_write_1h
    if ours.tokens.cache_write_5m + ours.tokens.cache_write_1h == writes and (
        ours.tokens.cache_write_1h != theirs.tokens.cache_write_1h
    ):
        found.append("cache writes of another lifetime (5 m, 1 h)")
    elif difference < 0:
        found.append("a tier above standard, long context, a region, web search or code execution")
    else:
        found.append("a discount, the batch tier, or an old price here")
    if theirs.listed is None:
        found.append("the provider tells no list price")
    return tuple(found)


def discount(rows: Iterable[Row]) -> float | None:
    """The share of the list price that is not billed, over all rows; None = not told, or none."""
    listed = billed = 0
    for row in rows:
        if row.theirs_nusd is not None and row.billed_nusd is not None:
            listed, billed = listed + row.theirs_nusd, billed + row.billed_nusd
    share = 1 - billed / listed if listed > 0 else 0.0
    return share if share > 0.0005 else None
