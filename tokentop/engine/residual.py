"""A difference in money, taken apart into named pieces that add up to it exactly. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from tokentop.nouns.usage import Tokens
from tokentop.pricing.rates import HALF, MILLION, Band

CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
_WRITES = ("cache_write_5m", "cache_write_1h")
_WORDS = {
    "input": "input", "cache_read": "cache reads", "cache_write_5m": "cache writes (5m)",
    "cache_write_1h": "cache writes (1h)", "output": "output",
}  # fmt: skip

ELSEWHERE = "used elsewhere: another machine, key or a call that no log has"
HERE_ONLY = "only in our logs"
NOT_YET = "not yet in the provider's report"
UNPRICED = "no price known here"
LIFETIME = "cache lifetime: 5m on one side, 1h on the other"
SURCHARGE = "tier, region or long context"
ROUNDING = "rounding"


class Part(Struct, frozen=True):
    """A named piece of ours minus theirs, in nano-dollars."""

    name: str
    nusd: int


class Sides(Struct, frozen=True):
    """What is compared. `by_class` = their list price of each token class, where the report splits by it."""

    ours: Tokens
    theirs: Tokens
    ours_nusd: int
    theirs_nusd: int
    by_class: Mapping[str, int]
    unpriced_tokens: int
    final: bool


def take_apart(sides: Sides, band: Band | None) -> tuple[Part, ...]:
    """The pieces of `ours_nusd - theirs_nusd`; `band` is our list price, None = the model has none."""
    rest = sides.ours_nusd - sides.theirs_nusd
    if rest == 0:
        return ()
    rates = None if band is None else _rates(band)
    if rates is None or sides.unpriced_tokens:
        return (Part(f"{UNPRICED}: {sides.unpriced_tokens or sides.theirs.total:,} tokens", rest),)
    parts = [*_amounts(sides, rates), *_prices(sides, rates)]
    surcharge = sides.ours_nusd - _nusd(sum(getattr(sides.ours, name) * rates[name] for name in CLASSES))
    if abs(surcharge) > 1:
        parts.append(Part(SURCHARGE, surcharge))
    parts = [part for part in parts if part.nusd]
    rest -= sum(part.nusd for part in parts)
    return (*parts, Part(ROUNDING, rest)) if rest else tuple(parts)


def _rates(band: Band) -> dict[str, int] | None:
    """Femto-dollars a token by class; None where one is not known."""
    known = {name: getattr(band, name) for name in CLASSES}
    return None if any(rate is None for rate in known.values()) else known


def _nusd(femto: int) -> int:
    return (femto + HALF) // MILLION


def _amounts(sides: Sides, rates: Mapping[str, int]) -> list[Part]:
    """Tokens that only one side has, at our price."""
    gaps = {name: getattr(sides.ours, name) - getattr(sides.theirs, name) for name in CLASSES}
    short, long = (gaps[name] for name in _WRITES)
    swapped = min(abs(short), abs(long)) if short * long < 0 else 0
    parts = []
    if swapped:
        sign = 1 if short > 0 else -1
        parts.append(
            Part(LIFETIME, _nusd(sign * swapped * (rates["cache_write_5m"] - rates["cache_write_1h"])))
        )
        gaps["cache_write_5m"] -= sign * swapped
        gaps["cache_write_1h"] += sign * swapped
    missing = sum(gap * rates[kind] for kind, gap in gaps.items() if gap < 0)
    extra = sum(gap * rates[kind] for kind, gap in gaps.items() if gap > 0)
    parts.append(Part(ELSEWHERE, _nusd(missing)))
    parts.append(Part(HERE_ONLY if sides.final else NOT_YET, _nusd(extra)))
    return parts


def _prices(sides: Sides, rates: Mapping[str, int]) -> list[Part]:
    """Their tokens at our price against what they list for them."""
    at_ours = {name: _nusd(getattr(sides.theirs, name) * rates[name]) for name in CLASSES}
    if not sides.by_class:
        return [Part("price", sum(at_ours.values()) - sides.theirs_nusd)]
    parts = [
        Part(f"price of {_WORDS[name]}", at_ours[name] - sides.by_class.get(name, 0)) for name in CLASSES
    ]
    return [part for part in parts if abs(part.nusd) > 1]  # a nano-dollar is our own rounding
