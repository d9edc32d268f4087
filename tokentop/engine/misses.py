"""Cache misses: what a call pays again although the call before had it in the cache. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from tokentop.nouns.usage import Kind, Priced, Tokens

if TYPE_CHECKING:
    from tokentop.pricing.table import PriceTable

LEAST = 1_024  # tokens: providers cache in blocks, what is below is no miss
_SHORT_MS, _LONG_MS = 5 * 60_000, 60 * 60_000


class Miss(Struct, frozen=True, gc=False):
    """`why` = expired (the pause was longer than the cache lives), "" = the log does not tell."""

    tokens: int = 0
    nusd: int = 0  # above what a cache read costs; 0 = no price is known
    why: str = ""


NO_MISS = Miss()


class Misses:
    """Takes the calls of one session by time."""

    def __init__(self, prices: PriceTable | None = None) -> None:
        self._prices = prices
        self._before: dict[tuple[str, str], Priced] = {}

    def of(self, event: Priced) -> Miss:
        usage = event.usage
        if usage.kind is not Kind.RESPONSE or usage.estimated:
            return NO_MISS
        key = usage.provider, usage.model
        before = self._before.get(key)
        self._before[key] = event
        if before is None:
            return NO_MISS
        was = before.usage.tokens
        cached = was.cache_read + was.cache_write_5m + was.cache_write_1h
        tokens = usage.tokens
        missed = cached - tokens.cache_read
        if (
            missed < LEAST or tokens.prompt < cached
        ):  # a shorter prompt is another conversation: compacted, wound back
            return NO_MISS
        pause_ms = (usage.start_ms or usage.at_ms) - before.usage.at_ms
        lives_ms = _LONG_MS if was.cache_write_1h or not was.cache_write_5m else _SHORT_MS
        return Miss(missed, self._extra(event, missed), "expired" if pause_ms > lives_ms else "")

    def _extra(self, event: Priced, missed: int) -> int:
        """What the call cost more than if it had read the missed tokens from the cache."""
        if self._prices is None:
            return 0
        paid, other = (
            self._price(event, event.usage.tokens),
            self._price(event, _read(event.usage.tokens, missed)),
        )
        return max(0, paid - other) if paid is not None and other is not None else 0

    def _price(self, event: Priced, tokens: Tokens) -> int | None:
        usage = event.usage
        assert self._prices is not None
        return self._prices.price(
            provider=usage.provider, model=usage.model, at_ms=usage.at_ms, tokens=tokens, tier=usage.tier, geo=usage.geo,
        ).nusd  # fmt: skip


def _read(tokens: Tokens, missed: int) -> Tokens:
    """`tokens` with so many of them read from the cache: those that were written first."""
    left, taken = missed, {}
    for name in ("cache_write_5m", "cache_write_1h", "input"):
        part = min(left, getattr(tokens, name))
        taken[name] = getattr(tokens, name) - part
        left -= part
    return replace(tokens, cache_read=tokens.cache_read + missed - left, **taken)
