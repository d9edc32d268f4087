"""What a provider is: reports, each a pure `requests(ask)` and a pure `parse(body, ask) -> Page`. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct, field

from tokentop.nouns.billing import DAY_MS, Balance, Bill, Name, is_final
from tokentop.nouns.money import Quota

MINUTE, HOUR, DAY = 60, 3600, 86_400
_EPOCH = date(1970, 1, 1)


def iso_day(number_of_day: int) -> str:
    return (_EPOCH + timedelta(days=number_of_day)).isoformat()


def day_number(at_ms: int) -> int:
    return at_ms // DAY_MS


def rfc3339(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def dated(bill_day: str, ask: Ask) -> tuple[bool, int]:
    """(final, fetched_ms) of a bill of that UTC day."""
    end_ms = ((date.fromisoformat(bill_day) - _EPOCH).days + 1) * DAY_MS
    return is_final(end_ms, ask.now_ms), ask.now_ms


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
HISTORY = Span("history", 30, DAY)
CLOSED = Span("closed", 4, HOUR, closed=True)
TODAY = Span("today", 0, 600, HOUR)
DAILY = (Span("daily", 0, DAY),)
LIMIT_SPANS = (Span("now", 0, 600, 1800),)  # of the limits that another tool's login may read
BILL_SPANS = (TODAY, CLOSED, HISTORY)


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
