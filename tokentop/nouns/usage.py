"""What one billed call used; sums and rates of calls."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Tokens(Struct, frozen=True, gc=False):
    """Disjoint token counts of one response, or a sum of them. `reasoning` is a part of `output`."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0

    @property
    def total(self) -> int:
        return self.prompt + self.output

    @property
    def prompt(self) -> int:
        """The whole prompt: what fills the context window and decides the price tier."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def fresh(self) -> int:
        """Tokens produced and newly read: what `tok/min` counts (cache reads are shown apart)."""
        return self.input + self.cache_write_5m + self.cache_write_1h + self.output

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.input + other.input,
            self.cache_read + other.cache_read,
            self.cache_write_5m + other.cache_write_5m,
            self.cache_write_1h + other.cache_write_1h,
            self.output + other.output,
            self.reasoning + other.reasoning,
        )


class Kind(StrEnum):
    """What a usage fact is: a response with a record of its own, spend seen only inside a total, or a call
    whose tokens the log does not tell (a running step, a step that was killed, a log of money or credits)."""

    RESPONSE = "response"
    HIDDEN = "hidden"
    UNKNOWN = "unknown"


class Usage(Struct, frozen=True, gc=False):
    """One billed API response.

    `key` is the natural identity of the response (unique within the agent, free of paths and machine
    names); the record with the highest output wins, the earliest `at_ms` is kept. A `kind` UNKNOWN gives way to
    any other record of its key. `logged_nusd` is the cost where there are no tokens to price.
    """

    agent: str
    session_id: str
    key: str
    at_ms: int
    model: str  # as logged; "" = the log has not named one yet
    tokens: Tokens
    provider: str = ""
    duration_ms: int = 0  # from the request to the last part of the answer; 0 = the log gives no start
    tier: str = ""  # "" or "standard", else fast, priority, flex, batch
    geo: str = ""  # inference region as logged, such as "us"
    web_searches: int = 0
    logged_nusd: int | None = None
    kind: Kind = Kind.RESPONSE
    estimated: bool = False
    start_ms: int = 0  # when the request was sent, if that is known; 0 = at_ms
    at_estimated: bool = False  # the log does not tell the time: `at_ms` is when it was seen
    credits_milli: int | None = None  # thousandths of the agent's own unit, where it logs one
    request_id: str = (
        ""  # the provider's name of the request, where it is not the key: joins log and telemetry
    )
    telemetry: bool = False  # no log has told it, the agent's telemetry did: a record in a log replaces it


class Priced(Struct, frozen=True, gc=False):
    """A usage fact as committed: `id` is the 63-bit hash of its natural key, the same on every machine."""

    id: int
    usage: Usage
    cost_nusd: int | None  # None = unpriced
    estimated: bool = False  # tokens or price are an estimate


class RunningTotal(Struct, frozen=True, gc=False):
    """A session's own running total.

    Beside calls with records of their own (Claude Code `cost-state`, sub-agents included): what it holds beyond
    them is hidden spend. `n` counts such records in the log from 0; `started_ms` is equal in a fork and its
    parent; `models` = (model, tokens, logged cost in nano-dollars) for each model.

    `only` = the agent keeps nothing but the total, of the whole session (Droid, Goose): its growth is what is
    counted. `n` and `started_ms` are then 0 and `models` has one entry: the model in use and the session's total.
    The growth is spread over the session's responses without tokens of their own since the total before.
    """

    agent: str
    session_id: str
    n: int
    at_ms: int
    started_ms: int
    models: tuple[tuple[str, Tokens, int], ...]
    only: bool = False
    provider: str = ""  # for the price of what has no record of its own


class Figures(Struct, frozen=True, gc=False):
    """Rates and sums of one session, or of a session with everything below it."""

    tokens: Tokens = Tokens()
    responses: int = 0
    cost_nusd: int = 0
    unpriced_tokens: int = 0
    estimated: bool = False  # some of it is an estimate
    unknown_calls: int = 0  # calls that ended without their usage on disk
    tokens_per_min: float = 0.0  # fresh tokens of the last 60 s
    reads_per_min: float = 0.0  # cache reads of the last 60 s
    burn_nusd_per_h: int = 0
    rates_known: bool = True  # False: averages over a longer time that have not been worked out yet


class Average(Struct, frozen=True, gc=False):
    """Rates over a longer time than the last 60 s."""

    tokens_per_min: float = 0.0
    reads_per_min: float = 0.0
    burn_nusd_per_h: int = 0
