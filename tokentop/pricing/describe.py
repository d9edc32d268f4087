"""What the table knows of one model, in words. Pure."""

from __future__ import annotations

from msgspec import Struct

from tokentop.pricing.data import Quote, Row

_BUCKETS = ("input", "cache read", "write 5m", "write 1h", "output", "reasoning")


class Description(Struct, frozen=True):
    """One model at one moment. All rates are micro-dollars per million tokens, as in `data.Row`."""

    model: str  # as asked for
    rates_id: str  # the entry that prices it
    estimated: bool  # the entry is another host's, or a shorter id's
    window: int
    row: Row  # valid at the moment asked for
    rows: tuple[Row, ...]  # the whole history
    version: str

    def lines(self) -> list[str]:
        """The answer of `tokentop prices MODEL`; rates in USD per million tokens."""
        found = [f"{self.model} is priced as {self.rates_id}" + (" (an estimate)" if self.estimated else "")]
        if self.window:
            found.append(f"context window {self.window:,} tokens")
        for row in reversed(self.rows):
            mark = "now" if row == self.row else "   "
            found.append(f"{mark} {_validity(row)}, source {row.source}, seen {row.seen}")
            for key, quote in row.rates.items():
                found.append(f"      {_case(key):24} {_quote(quote)}")
            if row.off_peak:
                found.append(f"      {'off-peak hours':24} {_quote(row.off_peak.rates)}")
            for name, factor in sorted(row.factors.items()):
                found.append(f"      {name:24} x{usd(factor * 1000)}")
            if row.web_search is not None:
                found.append(f"      {'web search':24} ${usd(row.web_search)}")
        found.append(f"price table of {self.version}")
        return found


def usd(micro: int) -> str:
    """Micro-dollars as dollars, without needless zeros: 125000 -> 0.125."""
    whole, part = divmod(micro, 1_000_000)
    return f"{whole}.{part:06}".rstrip("0").rstrip(".")


def _validity(row: Row) -> str:
    return "since the first known price" if row.since == "1970-01-01" else f"since {row.since}"


def _case(key: str) -> str:
    tier, _, above = key.partition(">")
    return (tier or "standard") + (f", prompt > {int(above):,}" if above else "")


def _quote(quote: Quote) -> str:
    named = zip(_BUCKETS, quote, strict=False)
    return "  ".join(f"{bucket} {'-' if rate is None else '$' + usd(rate)}" for bucket, rate in named)
