"""From one row of the table to integer rates: tiers, speeds, regions and thresholds. Pure.

Rates here are nano-dollars per million tokens, so that every list price and every factor in
thousandths stays an exact integer.
"""

from __future__ import annotations

from msgspec import Struct

from tokentop.nouns.usage import Tokens
from tokentop.pricing.data import OffPeak, Quote, Row

MILLION = 1_000_000
HALF = MILLION // 2
WEB_SEARCH_UUSD = 10_000  # $10 per 1,000 searches (Anthropic and OpenAI list prices)

_STANDARD = frozenset(
    {"", "standard", "default", "auto", "on_demand", "ondemand", "none", "null", "standard_only"}
)
_NO_GEO = frozenset({"", "global", "not_available", "none", "null", "unknown", "default"})
# Where the lists give a model no rates for a tier: the vendors' general rule, in thousandths.
_RULE = {"batch": 500, "flex": 500, "priority": 2000}
_MINUTE_MS = 60_000
_DAY_MINUTES = 1440
_THURSDAY = 3  # 1970-01-01, as days after Monday


class Band(Struct, frozen=True, gc=False):
    """Rates of requests whose prompt is longer than `above` tokens; -1 = any prompt. None = no rate known."""

    above: int
    input: int | None
    cache_read: int | None
    cache_write_5m: int | None
    cache_write_1h: int | None
    output: int | None
    reasoning: int | None  # None = as other output
    estimated: bool

    def femto(self, tokens: Tokens) -> int | None:
        """The price of these tokens in nano-dollars times a million; None = a needed rate is missing."""
        output = tokens.output
        total = 0
        if self.reasoning is not None and tokens.reasoning:
            thinking = min(tokens.reasoning, output)
            output -= thinking
            total = thinking * self.reasoning
        for count, rate in (
            (tokens.input, self.input),
            (tokens.cache_read, self.cache_read),
            (tokens.cache_write_5m, self.cache_write_5m),
            (tokens.cache_write_1h, self.cache_write_1h),
            (output, self.output),
        ):
            if count:
                if rate is None:
                    return None
                total += count * rate
        return total


class Rates(Struct, frozen=True):
    """Everything that prices a response of one model, tier, region and date.

    `bands` come with the longest prompt first, the last one is for any prompt; () = unpriced.
    """

    rates_id: str
    bands: tuple[Band, ...]
    web_search: int = WEB_SEARCH_UUSD * 1000  # nano-dollars per search
    off_peak: tuple[OffPeak, tuple[Band, ...]] | None = None

    def cost(
        self, tokens: Tokens, *, at_ms: int = 0, web_searches: int = 0, cumulative: bool = False
    ) -> tuple[int | None, bool]:
        """Nano-dollars, rounded once, and whether they are an estimate; (None, False) = unpriced.

        `cumulative`: the tokens are a sum over requests, so no threshold can be applied.
        """
        bands = self.bands
        if self.off_peak is not None and in_windows(self.off_peak[0], at_ms):
            bands = self.off_peak[1]
        if not bands:
            return None, False
        band = bands[-1]
        if len(bands) > 1 and not cumulative:
            prompt = tokens.prompt
            band = next(b for b in bands if prompt > b.above)
        femto = band.femto(tokens)
        if femto is None:
            return None, False
        femto += web_searches * self.web_search * MILLION
        estimated = band.estimated or (cumulative and len(bands) > 1)
        return (femto + HALF) // MILLION, estimated


def in_windows(off_peak: OffPeak, at_ms: int) -> bool:
    """True where the UTC weekday and minute of `at_ms` lie in one of the windows."""
    day, minute = divmod(at_ms // _MINUTE_MS, _DAY_MINUTES)
    weekday = str((day + _THURSDAY) % 7 + 1)
    return any(weekday in days and start <= minute < end for days, start, end in off_peak.windows)


def resolve(
    rates_id: str, row: Row, *, tier: str, geo: str, factor: int = 1000, estimated: bool = False
) -> Rates:
    """Apply tier and region to a row; `factor` (thousandths) and `estimated` come from the id's match."""
    quotes, scale, guessed = _tier(rates_id, row, tier.strip().lower())
    geo = geo.strip().lower()
    if geo not in _NO_GEO:
        guessed = guessed or f"geo:{geo}" not in row.factors
        scale = scale * row.factors.get(f"geo:{geo}", 1000) // 1000
    scale = scale * factor // 1000
    estimated = estimated or guessed
    bands = [_band(above, quote, scale, estimated or sure is False) for above, quote, sure in quotes]
    bands.sort(key=lambda band: -band.above)
    off_peak = None
    if row.off_peak is not None and bands:
        off_peak = (row.off_peak, (_band(-1, row.off_peak.rates, scale, estimated),))
    web = WEB_SEARCH_UUSD if row.web_search is None else row.web_search
    return Rates(rates_id, tuple(bands), web * 1000, off_peak)


_Quotes = list[tuple[int, Quote, bool]]  # (above, rates, taken from a list for exactly this case)


def _tier(rates_id: str, row: Row, tier: str) -> tuple[_Quotes, int, bool]:
    """Return the quotes of a tier, the factor for all of them, and whether they rest on a rule of thumb."""
    base = _quotes(row, "")
    if tier in _STANDARD:
        return base, 1000, False
    if tier == "fast" and not row.factors.get("fast") and "claude" not in rates_id:
        tier = "priority"  # Codex logs either name for the same service tier
    if tier in row.rates:
        own = _quotes(row, tier)
        listed = {above for above, _, _ in own}
        # gpt-5.5 and gpt-5.4 have no priority rate above 272k: the plain priority rate, as an estimate.
        own += [(above, row.rates[tier], False) for above, _, _ in base if above not in listed]
        return own, 1000, False
    if tier in row.factors:
        return base, row.factors[tier], False
    if "claude" in rates_id:
        if tier == "fast":
            return [], 1000, False  # a speed whose factor is not known: unpriced
        return base, _RULE[tier] if tier in ("batch", "flex") else 1000, True
    return base, _RULE.get(tier, 1000), True


def _quotes(row: Row, tier: str) -> _Quotes:
    found: _Quotes = []
    for key, quote in row.rates.items():
        name, _, above = key.partition(">")
        if name == tier:
            found.append((int(above) if above else -1, quote, True))
    return found


def _band(above: int, quote: Quote, scale: int, estimated: bool) -> Band:
    """A written token without a write rate is a plain input token.

    OpenAI before 5.6, Gemini and others charge nothing on top for a cache write, and the written tokens are
    a part of the uncached prompt, which is billed at the input rate.
    """
    rates = [None if rate is None else rate * scale for rate in quote]
    base_input, read, write_5m, write_1h, output = rates[:5]
    write_5m = base_input if write_5m is None else write_5m
    write_1h = write_5m if write_1h is None else write_1h
    return Band(
        above, base_input, read, write_5m, write_1h, output, rates[5] if len(rates) > 5 else None, estimated
    )
