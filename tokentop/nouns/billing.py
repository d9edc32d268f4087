"""The nouns of what providers say: bills, balances, the state of each report. Frozen values; pure.

Money is an integer of nano-units of its currency (`*_nusd` where it is US dollars), rounded half-even once, with the
provider's own text kept beside it; times are UTC milliseconds, days are UTC days as ISO text. `None` = not told.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from .money import Quota
from .usage import Tokens

DEFAULT_PROJECT = "(default)"  # Anthropic's default workspace, which its reports call null
NO_KEY = "(none)"  # used without an API key, such as the console's playground
FINAL_MS = 48 * 3_600_000  # a UTC day is settled when it ended that long before it was asked for
DAY_MS = 86_400_000
ENDPOINT = "endpoint"  # `Quota.source` of limits that a private endpoint told


class Bill(Struct, frozen=True, gc=False):
    """What one report says about one UTC day.

    Rows of a report are told apart by all text fields but `amount_text`. An empty `model`, `key` or `project` means
    that the report does not split by it, never "unknown". Token rows carry `tokens` and no amount, money rows the
    reverse: `kind` is "usage" for tokens of all classes, a token class (`input`, `output`, `cache_read`,
    `cache_write_5m`, `cache_write_1h`) for its money, or what else was billed (`web_search`, ...).
    """

    provider: str
    source: str  # the report: "anthropic.analytics_cost"
    day_utc: str
    kind: str
    model: str = ""
    key: str = ""  # the provider's id of the API key, NO_KEY
    project: str = ""  # workspace or project, DEFAULT_PROJECT
    tier: str = ""
    product: str = ""
    item: str = ""  # the provider's own name of the line, where it bills by such
    tokens: Tokens | None = None
    requests: int | None = None
    quantity: int | None = None  # of `unit`, where it is not tokens
    unit: str = ""
    amount_nusd: int | None = None  # what is billed, after discounts
    list_nusd: int | None = None  # at list price, or the provider's own estimate
    amount_text: str = ""
    currency: str = "USD"  # another one is never added to dollars; the amounts are nano-units of it
    final: bool = False
    fetched_ms: int = 0


CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


class BillLine(Struct, frozen=True):
    """One UTC day, model and key of a provider: the tokens of its best usage report beside the money of its best cost
    report. None = no report tells it. "" = the report does not split by it; web search and the like have the model ""
    where the provider does not name one."""

    day: str
    provider: str
    model: str
    key: str
    project: str
    tokens: Tokens | None
    amount_nusd: int | None
    list_nusd: int | None
    currency: str
    final: bool
    classes: tuple[int | None, ...] = (None,) * len(
        CLASSES
    )  # nano-dollars by class of tokens, at list price if told
    rows: int = 0  # of the reports that are summed up in it


class Balance(Struct, frozen=True, gc=False):
    """Money left, spent or allowed at one moment. `period` "" = once and for all."""

    provider: str
    source: str
    name: str  # what it is of: "credits", "key", "spend limit ..."
    currency: str = "USD"
    remaining_nano: int | None = None
    used_nano: int | None = None
    limit_nano: int | None = None
    period: str = ""  # day, week, month
    resets_at_ms: int = 0
    at_ms: int = 0
    stale: bool = False  # the newest reading was not believable: this is an older one


class Name(Struct, frozen=True, gc=False):
    """What people call a key, workspace or project."""

    provider: str
    kind: str  # key, project
    id: str
    name: str


class Health(StrEnum):
    """Where a report stands. A failed one keeps its last good value, with its age."""

    OK = "ok"
    WAITING = "waiting"  # not asked yet
    OFF = "off"
    NO_KEY = "no key"
    UNAUTHORIZED = "unauthorized"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    LIMITED = "limited"
    REFUSED = "bad request"
    SERVER = "server error"
    OVERLOADED = "overloaded"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    CUT_OFF = "cut off"
    REDIRECTED = "redirected"
    TOO_BIG = "too big"
    NOT_JSON = "not JSON"
    BAD_DATA = "bad data"


class ProviderState(Struct, frozen=True, gc=False):
    """One report of one credential: where it stands, and all that must survive a restart.

    `account` is the first 12 hex digits of the key's SHA-256, "" without a key. `spans` = (name, when it was last
    whole) of each range of days that is asked for in its own rhythm.
    """

    provider: str
    source: str
    account: str
    state: Health = Health.WAITING
    reason: str = ""  # clean text without URL, header or body
    at_ms: int = 0  # when it was last asked; 0 = never
    ok_ms: int = 0  # when a whole answer last came; 0 = never
    as_of_ms: int = 0  # how far its data goes, where it says so
    next_ms: int = 0  # when it is asked again; 0 = not before something changes
    blocked_until_ms: int = 0
    failures: int = 0  # in a row
    skew_ms: int = 0  # the provider's clock minus ours, where they differ by more than a minute
    dropped: int = 0  # rows of the last answer that could not be read
    spans: tuple[tuple[str, int], ...] = ()


class Fetched(Struct, frozen=True):
    """What one look at a report brought, whole: the poller hands it over, the collector commits it.

    `days` are the UTC days that `bills` replaces, each known completely: a day without a bill had no use.
    `balances` and `names` replace all of that report where they are not None.
    """

    state: ProviderState
    days: frozenset[str] = frozenset()
    bills: tuple[Bill, ...] = ()
    balances: tuple[Balance, ...] | None = None
    names: tuple[Name, ...] | None = None
    quotas: tuple[Quota, ...] = ()


class KeySeen(Struct, frozen=True):
    """What may be told of a key: where it comes from, its last characters, else its fingerprint."""

    origin: str
    ends_with: str = ""
    fingerprint: str = ""

    def __str__(self) -> str:
        shown = (
            f"...{self.ends_with}" if self.ends_with else f"#{self.fingerprint}" if self.fingerprint else "?"
        )
        return f"{shown} ({self.origin})"


class ReportStanding(Struct, frozen=True):
    """One report as a person sees it. `next_ms` 0 = it is not asked before something changes; `todo` "" = nothing."""

    gives: str
    state: ProviderState
    next_ms: int = 0
    todo: str = ""


class Standing(Struct, frozen=True):
    """One provider as a person sees it: who is asked, with which key, and how it went.

    `state` is one word, the best of its reports; `problem` says why it cannot be asked at all.
    """

    provider: str
    label: str
    state: str
    on: bool = False
    private: bool = False
    key: KeySeen | None = None
    problem: str = ""
    needs: str = ""
    base_url: str = ""
    reports: tuple[ReportStanding, ...] = ()
    balances: tuple[Balance, ...] = ()


REFUSED_STATES = frozenset({Health.UNAUTHORIZED, Health.FORBIDDEN, Health.GONE})


def is_final(day_end_ms: int, fetched_ms: int) -> bool:
    """Whether a UTC day that ended then was settled when it was fetched."""
    return fetched_ms - day_end_ms >= FINAL_MS
