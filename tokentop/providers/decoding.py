"""What the answers of providers hold, read with care. No I/O, no clock.

A body that is not what the report documents raises `BadReply`; a row that cannot be read is dropped alone and its day
noted, because a day of which a part is missing must not be taken for the whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from tokentop.text import clean, mask_secrets

from .base import Page, day_number, iso_day

CENT = 10_000_000  # nano-dollars of a cent, and nano-units of any currency's minor unit
UNIT = 1_000_000_000
MAX_TOKENS = 1 << 53
MAX_UNITS = Decimal(10**9)
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_TEXT_CHARS = 160
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{2,39}")  # no digit and no dash: nothing that could be a key


class BadReply(Exception):
    """The body is not what the report documents; the text names what is missing, in our own words."""


class BadRow(Exception):
    """One row cannot be read."""


class _NotFinite:
    """What stands for NaN and Infinity in a decoded body: no parser takes it for a number."""


NOT_FINITE = _NotFinite()


def decode(body: bytes) -> dict[str, Any]:
    """The object of a JSON body; fractions are `Decimal`, NaN and Infinity something no parser takes. BadReply."""
    problem = ""
    found: Any = None
    try:
        found = json.loads(body.decode(), parse_float=_fraction, parse_constant=lambda _: NOT_FINITE)
    except (ValueError, RecursionError) as error:
        problem = "not JSON" if isinstance(error, ValueError) else "nested too deeply"
    if problem:
        raise BadReply(problem)
    if not isinstance(found, dict):
        raise BadReply("not a JSON object")
    return found


def _fraction(text: str) -> object:
    return Decimal(text) if len(text) <= 100 else NOT_FINITE


def rows(document: dict[str, Any], name: str = "data") -> list[Any]:
    """The list under `name`. BadReply without one: its absence is not an empty report."""
    found = document.get(name)
    if not isinstance(found, list):
        raise BadReply(f"no list {name!r} in the answer")
    return found


def part(row: object, name: str) -> dict[str, Any]:
    """The object under `name`; {} where it is missing or null. BadRow where it is something else."""
    if not isinstance(row, dict):
        raise BadRow
    found = row.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadRow
    return found


def text(value: object, otherwise: str = "") -> str:
    """Foreign text, cleaned, without what looks like a key; `otherwise` for null and what is no text."""
    return clean(mask_secrets(value), _TEXT_CHARS) if isinstance(value, str) and value else otherwise


def count(value: object) -> int:
    """A count of tokens or requests; null is 0. BadRow for anything that is no whole number below 2**53."""
    if value is None:
        return 0
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 16:
        value = int(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < MAX_TOKENS:
        raise BadRow
    return value


def number(value: object) -> Decimal:
    """A finite number, from a JSON number or text. BadRow for anything else, null included."""
    found: Decimal | None = None
    if isinstance(value, str) and len(value) <= 100:
        try:
            found = Decimal(value)
        except InvalidOperation:
            raise BadRow from None
    elif isinstance(value, Decimal):
        found = value
    elif isinstance(value, int) and not isinstance(value, bool):
        found = Decimal(value)
    if found is None or not found.is_finite():
        raise BadRow
    return found


def nano(value: object, factor: int) -> int:
    """An amount in nano-units, rounded half-even once; `factor` = nano-units of one. BadRow from 10^9 units on."""
    units = number(value)
    if abs(units) > MAX_UNITS * UNIT / factor:
        raise BadRow
    return int(_EXACT.multiply(units, Decimal(factor)).quantize(Decimal(1), context=_EXACT))


def maybe_nano(value: object, factor: int) -> int | None:
    """The same; None for null."""
    return None if value is None else nano(value, factor)


def amount_text(value: object) -> str:
    return text(str(value)) if isinstance(value, str | int | Decimal) else ""


def currency(value: object) -> str:
    """The code in capitals; US dollars where it is missing."""
    return text(value, "USD").upper()[:8]


def when_ms(value: object) -> int:
    """An RFC 3339 time with a zone as UTC milliseconds, 0 = none. BadRow for what is no time."""
    if value is None:
        return 0
    if not isinstance(value, str) or len(value) > 64:
        raise BadRow
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        found = int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadRow from None
    return _plausible_ms(found)


def _plausible_ms(found: int) -> int:
    if not 0 <= found < 4_102_444_800_000:  # 2100
        raise BadRow
    return found


def seconds_ms(value: object) -> int:
    """Epoch seconds as milliseconds; 0 for null. BadRow."""
    if value is None:
        return 0
    return _plausible_ms(int(number(value) * 1000))


def day_of(value: object) -> str:
    """The UTC day of an RFC 3339 time or an ISO date. BadRow."""
    found = when_ms(value)
    if not found:
        raise BadRow
    return iso_day(day_number(found))


@contextmanager
def row_of(page: Page, day: str = "") -> Iterator[None]:
    """Read one row inside: what cannot be read is dropped, counted, and its day noted."""
    try:
        yield
    except (BadRow, ValueError, ArithmeticError, AttributeError, TypeError, KeyError):
        page.dropped += 1
        page.bad_days.add(day)


def error_word(body: bytes) -> tuple[bool, str]:
    """(whether an error body is a JSON object as APIs send, its type or code where that is one plain word)."""
    try:
        document = decode(body)
    except BadReply:
        return False, ""
    places: list[Any] = [document.get("error"), document.get("detail"), document]
    for place in places:
        if isinstance(place, dict):
            for name in ("code", "type", "status"):
                word = place.get(name)
                if isinstance(word, str) and word != "error" and _WORD.fullmatch(word):
                    return True, word
    return any(name in document for name in ("error", "detail", "message", "type")), ""
