"""The nouns of what agents tell by telemetry (OTLP): records, calls, counters. Frozen values; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from .usage import Usage

PORT = 4398
PATHS = ("/v1/logs", "/v1/metrics", "/v1/traces")
SURFACE = "telemetry"  # of a session that no log has told of
CHAPTER = "telemetry"  # under this name the store keeps the tally


class Record(Struct, frozen=True, gc=False):
    """One log record as it was sent. `values` holds text, numbers and truth values; what else was sent is left out."""

    name: str  # of the event: claude_code.api_request, codex.sse_event ...
    at_ms: int
    values: Mapping[str, object]


class Telemetry(Struct, frozen=True):
    """What an agent can send of itself.

    its `service.name` begins with one of `services`; `read` gives the call that a record tells, None where it tells none;
    `counters` are its metrics of tokens, with the attribute that names the kind of token. `setup` are the lines that
    make it send, with {url}, {token} and {token_file}; those for a shell or for a file that `where` names.
    """

    services: tuple[str, ...]
    read: Callable[[Record], Usage | None]
    setup: str
    where: str = "in the shell that starts it"
    counters: tuple[tuple[str, str], ...] = ()


class Counter(Struct, frozen=True, gc=False):
    """One point of a metric of tokens. `series` tells one sum from another."""

    agent: str
    kind: str
    series: int
    start_ns: int
    at_ns: int
    value: int
    cumulative: bool


class Heard(Struct, frozen=True):
    """What one request has told."""

    calls: tuple[Usage, ...] = ()
    counters: tuple[Counter, ...] = ()
    records: int = 0
    rejected: int = 0  # could not be read
    state: str | None = None  # word of the receiver itself, nothing was sent: what is wrong, "" = it listens


class Tally(Struct):
    """What has come in so far, as `tokentop hook show telemetry` tells it; kept in the store."""

    since_ms: int = 0
    at_ms: int = 0  # the newest request
    records: int = 0
    rejected: int = 0
    calls: dict[str, int] = {}  # by agent
    logged: dict[str, int] = {}  # those of them that the logs told too
    tokens: dict[str, dict[str, int]] = {}  # by agent and kind, as its metrics told
