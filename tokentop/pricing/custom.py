"""The user's own prices, from the settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from tokentop.pricing.data import Quote, Row
from tokentop.pricing.names import host_of, normal

KEYS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")
_MICRO = 1_000_000
# Anthropic's rules for cached tokens, in hundredths of the input rate.
_CLAUDE = {"cache_read": 10, "cache_write_5m": 125, "cache_write_1h": 200}


def custom_rows(prices: Mapping[str, Mapping[str, object]]) -> dict[str, Row]:
    """Return table rows by the user's model names. Raises ValueError that names the wrong entry.

    Cache rates that the user leaves out follow Anthropic's rule for Claude models; for others a cache
    write is plain input, and a cache read is unpriced.
    """
    rows = {}
    for name, given in prices.items():
        unknown = sorted(set(given) - set(KEYS))
        if unknown:
            raise ValueError(f"prices.{name}: unknown key {unknown[0]!r}, use {', '.join(KEYS)}")
        rates = {key: _micro(name, key, value) for key, value in given.items()}
        if "input" not in rates or "output" not in rates:
            raise ValueError(f"prices.{name}: input and output are needed")
        if "claude" in name.lower():
            for key, hundredths in _CLAUDE.items():
                rates.setdefault(key, rates["input"] * hundredths // 100)
        quote: Quote = [rates.get(key) for key in KEYS]
        rows[_key(name)] = Row("1970-01-01", {"": quote}, source="user")
    return rows


def _key(name: str) -> str:
    first, slash, rest = name.partition("/")
    if slash and host_of(first):
        return f"{host_of(first)}/{normal(rest)}"
    return normal(name)


def _micro(name: str, key: str, value: object) -> int:
    """USD per million tokens as micro-dollars per million tokens."""
    try:
        usd = Decimal(str(value))
        micro = int((usd * _MICRO).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise ValueError(
            f"prices.{name}.{key}: {value!r} is not a number of USD per million tokens"
        ) from error
    if usd < 0 or isinstance(value, bool):
        raise ValueError(f"prices.{name}.{key}: {value!r} is not a price")
    if micro != usd * _MICRO:
        raise ValueError(f"prices.{name}.{key}: {value!r} has more than 6 decimals")
    return micro
