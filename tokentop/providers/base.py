"""What a provider is: reports, each a pure `requests(ask)` and a pure `parse(body, ask) -> Page`. No I/O, no clock.

A body that is not what the report documents raises `BadReply`; a row that cannot be read is dropped alone and its day
noted, because a day of which a part is missing must not be taken for the whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any

from msgspec import Struct, field

from tokentop.nouns.billing import DAY_MS, Balance, Bill, Name, is_final
from tokentop.nouns.money import Quota
from tokentop.text import clean, mask_secrets

CENT = 10_000_000  # nano-dollars of a cent, and nano-units of any currency's minor unit
UNIT = 1_000_000_000
MAX_TOKENS = 1 << 53
MAX_UNITS = Decimal(10**9)
MINUTE, HOUR, DAY = 60, 3600, 86_400
_EPOCH = date(1970, 1, 1)
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_TEXT_CHARS = 160
_WORD = re.compile(r"[A-Za-z][A-Za-z_]{2,39}")  # no digit and no dash: nothing that could be a key


class BadReply(Exception):
    """The body is not what the report documents; the text names what is missing, in our own words."""


class BadRow(Exception):
    """One row cannot be read."""


class Ask(Struct, frozen=True):
    """What a pull is for: the UTC days [since_day, until_day), counted from 1970-01-01, at the provider's time."""

    now_ms: int
    since_day: int
    until_day: int
    account: str = ""  # team, organisation or user of the settings
    host: str = ""  # that is asked
    level: int = 0  # how many plainer ways of asking were tried before
    plan: str = ""  # of the login, where the file that holds it names one

    @property
    def since_s(self) -> int:
        return self.since_day * DAY

    @property
    def until_s(self) -> int:
        return self.until_day * DAY

    @property
    def open_end(self) -> bool:
        """Whether the range reaches into a day that is not over."""
        return self.until_s * 1000 > self.now_ms

    def days(self) -> frozenset[str]:
        return frozenset(iso_day(n) for n in range(self.since_day, self.until_day))


class Request(Struct, frozen=True):
    """One GET. Path and query never hold a credential."""

    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    about: str = ""  # what `parse` needs to know of it, such as the day

    def with_query(self, name: str, value: str) -> Request:
        kept = tuple(pair for pair in self.query if pair[0] != name)
        return Request(self.path, (*kept, (name, value)), self.headers, self.about)


class Page(Struct):
    """What one answer held. `days` None = every day that was asked for is told completely."""

    bills: list[Bill] = field(default_factory=list)
    balances: list[Balance] | None = None
    names: list[Name] | None = None
    quotas: list[Quota] = field(default_factory=list)
    days: set[str] | None = None
    more: bool = False
    cursor: str = ""
    as_of_ms: int = 0
    dropped: int = 0
    bad_days: set[str] = field(default_factory=set)  # of dropped rows; "" = a row whose day is not known


class Span(Struct, frozen=True):
    """A range of days with its own rhythm: from `back` days ago to today, or to yesterday where `closed`."""

    name: str
    back: int
    every_s: int
    hidden_every_s: int = 0  # while nobody looks; 0 = the same
    closed: bool = False


NOW = (Span("now", 0, 300, HOUR),)


class Source(Struct, frozen=True):
    """One report of a provider."""

    id: str
    gives: str
    requests: Callable[[Ask], tuple[Request, ...]]
    parse: Callable[[bytes, Ask, Request], Page]
    spans: tuple[Span, ...] = NOW
    cursor: str = "page"  # the query parameter that takes the cursor of the next page
    levels: int = 1  # ways of asking; after a 400 the next one is tried
    instead_of: str = ""  # asked only while that report does not answer
    needs: str = ""  # what kind of key it takes, for the hint
    missing: str = ""  # the hint where `account` is needed and not set
    together: bool = False  # a day is known when every request tells it, not one of them
    own_host_only: bool = False  # never asked where `base_url` is set


class Provider(Struct, frozen=True):
    """A provider as it can be asked. `header` carries the key, `scheme` in front of it."""

    id: str
    label: str
    base_url: str  # "" = the user has to name it
    sources: tuple[Source, ...]
    variables: tuple[str, ...] = ()  # the vendor's own names of the key
    header: str = "Authorization"
    scheme: str = "Bearer "
    headers: tuple[tuple[str, str], ...] = ()
    needs: str = ""
    account_is: str = ""  # what `account` of the settings has to name, "" = nothing
    private_risk: str = ""  # "" = a public contract; else what the user has to accept
    limits_of: str = ""  # the agent whose limits it tells: a newer word from its logs makes asking needless
    key_file: Callable[[bytes], Credential] | None = None  # for a key that another tool owns
    key_paths: tuple[tuple[str, str, str], ...] = ()  # (variable of the folder, default folder, file)
    floor_s: int = MINUTE  # of the silence after a 429
    refused_s: int = 0  # how long a refusal holds; 0 = until the key changes
    gap_s: float = 1.0  # between two requests

    def source(self, source_id: str) -> Source:
        return {one.id: one for one in self.sources}[source_id]


class Credential(Struct, frozen=True):
    """A token that another tool keeps in its own file. `token` is taken out at once; it is never written."""

    token: str
    headers: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    plan: str = ""

    def __repr__(self) -> str:
        return "Credential(***)"


# ---------------------------------------------------------------- reading


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


# ---------------------------------------------------------------- days


def iso_day(number_of_day: int) -> str:
    return (_EPOCH + timedelta(days=number_of_day)).isoformat()


def day_number(at_ms: int) -> int:
    return at_ms // DAY_MS


def rfc3339(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day_of(value: object) -> str:
    """The UTC day of an RFC 3339 time or an ISO date. BadRow."""
    found = when_ms(value)
    if not found:
        raise BadRow
    return iso_day(day_number(found))


def dated(bill_day: str, ask: Ask) -> tuple[bool, int]:
    """(final, fetched_ms) of a bill of that UTC day."""
    end_ms = ((date.fromisoformat(bill_day) - _EPOCH).days + 1) * DAY_MS
    return is_final(end_ms, ask.now_ms), ask.now_ms


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


HISTORY = Span("history", 30, DAY)
CLOSED = Span("closed", 4, HOUR, closed=True)
TODAY = Span("today", 0, 600, HOUR)
DAILY = (Span("daily", 0, DAY),)
BILL_SPANS = (TODAY, CLOSED, HISTORY)
