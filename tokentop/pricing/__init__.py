"""Tokens to money: the bundled price table and the rules that turn one response into nano-dollars."""

from tokentop.pricing.describe import Description
from tokentop.pricing.table import Price, PriceTable

__all__ = ["Description", "Price", "PriceTable"]
