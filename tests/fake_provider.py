"""A fake of the provider usage, cost and limit endpoints.  Standard library only, loopback only.

    python3 tests/fake_provider.py --port 8899 --now 2026-11-21T20:30:00Z
    python3 tests/fake_provider.py --now 2026-11-21T20:30:00Z --write-claude DIR --days 3
    srv = serve(0, now=...)              # in a test; the port is srv.server_address[1]

Every number comes from sha256(seed, minute, model, key): two servers with the same --seed and
--now answer byte for byte the same.  Buckets of 1m, 1h and 1d sum to each other exactly, and cost
is tokens x PRICES in Decimal, so a reconciliation test can expect a zero difference, or a known
one (--lag, --late-pct, one key only, the discount of analytics/cost).  Prices, volumes, names and
keys are invented; field names and units are those of docs/providers.md.

Local twin: --write-claude DIR (or write_claude_home(), or GET /__fake__/claude_jsonl) gives the
same usage as Claude Code transcripts under DIR/projects/, one assistant line per ledger row.
Point CLAUDE_CONFIG_DIR at DIR.  Price the lines with GET /__fake__/prices.

Credentials that it accepts
  Anthropic admin      x-api-key: sk-ant-admin01-fake      (+ anthropic-version)
    analytics only     x-api-key: sk-ant-analytics-fake    (403 outside /analytics/)
    workspace key      x-api-key: sk-ant-api03-...         (403)
  Anthropic OAuth      Authorization: Bearer sk-ant-oat01-fake  (+ anthropic-beta: oauth-2025-04-20)
    inference only     Authorization: Bearer sk-ant-oat01-setup  (403, scope user:profile missing)
  OpenAI admin         Authorization: Bearer sk-admin-fake ; sk-proj-... gives 403
  Codex turn costs     Authorization: Bearer sk-fake
  ChatGPT              Authorization: Bearer eyJfake
  OpenRouter           Authorization: Bearer sk-or-v1-fake ; management sk-or-v1-mgmt-fake
  GitHub               Authorization: token gho_fake (or Bearer)
  all other sources    Authorization: Bearer fake

Modes (all requests: --mode; a path prefix: POST /__fake__/mode {"prefix": "/v1/", "mode": "503"};
one request: header `X-Fake-Mode: 429:30` or query `__mode=429:30`)
  ok 400 401 403 404 500 529      a JSON error of the provider's own shape
  403-html 502-html               an edge proxy's HTML page
  429[:S] 429-none 429-zero 429-date:S    Retry-After in seconds, absent, 0, as an HTTP date
  503[:S]                         with Retry-After when S is given
  slow:S drip:S                   answer after S seconds; spread the body over S seconds
  truncate drop empty badjson nan huge:MIB      damaged, missing, non-finite or oversized bodies
  redirect                        302 to another origin of this server; see leaks in /__fake__/log
  drift strnum                    unknown fields, nulls, new enum values; amounts as strings
  same-page no-page               has_more stays true, the cursor repeats or is missing
  flaky:N                         the first N calls of a path answer 503
  skew:S                          a Date header S seconds ahead; with 429-date:S by that clock
  gzip bomb:MIB zstd              packed, though identity was asked for; a bomb of MIB of spaces; another coding
  html                            200 with an HTML page
  limit:N/S                       N calls per token and path in S seconds, then 429 + Retry-After

Control (no credential):  GET /__fake__/log /__fake__/prices /__fake__/ledger?day=YYYY-MM-DD
  /__fake__/claude_jsonl?day=YYYY-MM-DD[&key=apikey_01A]   POST /__fake__/mode /__fake__/now
  /__fake__/reset.   The log records method, path, query and whether a credential came, never its
value.
"""

from __future__ import annotations

import argparse
import base64
import email.utils
import gzip
import hashlib
import json
import math
import re
import sys
import threading
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, parse_qsl, urlsplit

DAY = 86400
WIDTH = {"1m": 60, "1h": 3600, "1d": DAY}
LIMITS = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 1440)}  # buckets a page: default, maximum
LOOPBACK = ("127.0.0.1", "localhost")

Query = dict[str, list[str]]
Headers = dict[str, str]

# --- the invented world ----------------------------------------------------------------------

PRICES = {  # USD per million tokens: input, output, 5m cache write, 1h cache write, cache read
    "claude-opus-5-5": ("5", "25", "6.25", "10", "0.5"),
    "claude-sonnet-4-6": ("3", "15", "3.75", "6", "0.3"),
    "claude-haiku-4-5-20251001": ("1", "5", "1.25", "2", "0.1"),
}
OAI_PRICES = {  # USD per million tokens: uncached input, cached input, cache write, output
    "gpt-5.6": ("1.25", "0.125", "1.25", "10"),
    "gpt-5.6-codex-mini": ("0.25", "0.025", "0.25", "2"),
}
WEB_SEARCH_USD = Decimal("0.01")
BATCH_FACTOR = Decimal("0.5")
DISCOUNT = Decimal("0.9")  # analytics/cost: amount = 0.9 x list_amount
NAMES = {
    "claude-opus-5-5": "Claude Opus 5.5",
    "claude-sonnet-4-6": "Claude Sonnet 4.6",
    "claude-haiku-4-5-20251001": "Claude Haiku 4.5",
}
WORKSPACES = ((None, "Default"), ("wrkspc_01FakeAgents", "agents"))
KEYS = (  # key id, name, workspace, weight
    ("apikey_01A", "ci-agents", "wrkspc_01FakeAgents", 5),
    ("apikey_01B", "laptop", None, 2),
    (None, "playground", None, 1),
)
OAI_KEYS = (  # key id, project, user, weight
    ("key_oai_1", "proj_fake1", "user-oai1", 4),
    ("key_oai_2", "proj_fake2", "user-oai2", 1),
)
TOKEN_TYPES = (
    "uncached_input_tokens",
    "output_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "cache_read_input_tokens",
)
TOKEN_LABELS = dict(
    zip(
        TOKEN_TYPES,
        (
            "Input Tokens",
            "Output Tokens",
            "Input Tokens, Cache Write (5m)",
            "Input Tokens, Cache Write (1h)",
            "Input Tokens, Cache Hit",
        ),
        strict=True,
    )
)
ORG_ID = "00000000-0000-4000-8000-000000000001"
REQUEST_ID = "req_011FakeFakeFake"


class ARow(NamedTuple):
    """One Anthropic response of the ledger; t is the start of its minute."""

    t: int
    model: str
    workspace: str | None
    key: str | None
    tier: str
    uncached: int
    output: int
    write_5m: int
    write_1h: int
    read: int
    searches: int
    rnd: int


class ORow(NamedTuple):
    """One OpenAI minute of the ledger; input includes cached and cache-write tokens."""

    t: int
    model: str
    project: str
    key: str
    user: str
    tier: str
    input: int
    cached: int
    write: int
    output: int
    requests: int
    rnd: int


class World:
    """The clock and the ledger."""

    def __init__(
        self,
        seed: int = 7,
        now: datetime | None = None,
        lag: int = 300,
        late_pct: int = 0,
        late_min: int = 120,
        step: int = 1,
    ) -> None:
        self.seed, self.lag, self.late_pct, self.late_min = seed, lag, late_pct, late_min
        self.step = step  # minutes between two entries of the ledger: a day is made faster with fewer
        self.pinned = now
        self._days: dict[tuple[int, str], list[Any]] = {}
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self.pinned or datetime.now(UTC).replace(microsecond=0)

    def epoch(self) -> int:
        return int(self.now().timestamp())

    def rnd(self, *parts: object) -> int:
        raw = "|".join(map(str, (self.seed, *parts))).encode()
        return int.from_bytes(hashlib.sha256(raw).digest()[:8], "big")

    def rows(self, start: int, end: int, kind: str) -> Iterator[Any]:
        """Rows visible now: older than the lag; late ones only after late_min minutes."""
        now = self.epoch()
        for day in range(start - start % DAY, end, DAY):
            for row in self._day(day, kind):
                age = now - row.t
                if not start <= row.t < end or age < self.lag:
                    continue
                if row.rnd % 100 < self.late_pct and age < self.late_min * 60:
                    continue
                yield row

    def _day(self, day: int, kind: str) -> list[Any]:
        with self._lock:
            if (day, kind) not in self._days:
                make = self._anthropic_minute if kind == "anthropic" else self._openai_minute
                rows: list[Any] = []
                for minute in range(0, 1440, self.step):
                    t = day + minute * 60
                    busy = 10 if 8 <= minute // 60 < 22 else 3  # of 12: agents run at night, too
                    if self.rnd("on", kind, t) % 12 < busy:
                        rows += make(t)
                self._days[day, kind] = rows
            return self._days[day, kind]

    def _anthropic_minute(self, t: int) -> Iterator[ARow]:
        for rank, model in enumerate(PRICES):
            for key, _name, workspace, weight in KEYS:
                x = self.rnd(t, model, key)
                if x % 10 >= weight + 2 - rank:
                    continue
                r = (x >> 8) % 1000
                yield ARow(
                    t, model, workspace, key,
                    "batch" if x % 97 == 0 else "standard",
                    40 + r * 3, 200 + r * weight, 1000 + r * 11, (x >> 20) % 400, 30000 + r * 211,
                    1 if x % 61 == 0 else 0, x,
                )  # fmt: skip

    def _openai_minute(self, t: int) -> Iterator[ORow]:
        for model in OAI_PRICES:
            for key, project, user, weight in OAI_KEYS:
                x = self.rnd(t, model, key)
                if x % 8 >= weight:
                    continue
                r = (x >> 8) % 1000
                cached, write, fresh = 20000 + r * 97, (x >> 20) % 900, 300 + r * 5
                yield ORow(
                    t, model, project, key, user, "default",
                    fresh + cached + write, cached, write, 150 + r * weight, 1 + x % 3, x,
                )  # fmt: skip


def usd(tokens: int, per_million: str) -> Decimal:
    return Decimal(tokens) * Decimal(per_million) / 1_000_000


def anthropic_costs(row: ARow) -> Iterator[tuple[str, str | None, Decimal]]:
    """(cost type, token type, USD) of one row."""
    factor = BATCH_FACTOR if row.tier == "batch" else Decimal(1)
    counts = (row.uncached, row.output, row.write_5m, row.write_1h, row.read)
    for token_type, n, price in zip(TOKEN_TYPES, counts, PRICES[row.model], strict=True):
        if n:
            yield "tokens", token_type, usd(n, price) * factor
    if row.searches:
        yield "web_search", None, WEB_SEARCH_USD * row.searches


def openai_costs(row: ORow) -> Iterator[tuple[str, int, Decimal]]:
    """(line item, tokens, USD) of one row."""
    fresh = row.input - row.cached - row.write
    labels = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
    counts = (fresh, row.cached, row.write, row.output)
    for label, n, price in zip(labels, counts, OAI_PRICES[row.model], strict=True):
        if n:
            yield f"{row.model}, {label}", n, usd(n, price)


# --- the local twin --------------------------------------------------------------------------


def claude_lines(
    world: World, start: int, end: int, keys: set[str | None] | None = None
) -> Iterator[tuple[str, str]]:
    """(session id, line): the ledger as Claude Code transcript lines; ids depend on the row."""
    for row in world.rows(start, end, "anthropic"):
        if keys is not None and row.key not in keys:
            continue
        tag = hashlib.sha256(f"{world.seed}|{row.t}|{row.model}|{row.key}".encode()).hexdigest()
        session = str(uuid.UUID(int=world.rnd("session", row.key, row.t // 3600) << 64 | 1))
        at = datetime.fromtimestamp(row.t + row.rnd % 60, UTC)
        line = {
            "type": "assistant",
            "uuid": str(uuid.UUID(tag[:32])),
            "parentUuid": None,
            "isSidechain": False,
            "userType": "external",
            "sessionId": session,
            "cwd": f"/home/dev/{row.key or 'playground'}",
            "gitBranch": "main",
            "version": "2.1.330",
            "timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{row.rnd % 1000:03d}Z",
            "requestId": f"req_01{tag[:20]}",
            "message": {
                "id": f"msg_01{tag[20:40]}",
                "type": "message",
                "role": "assistant",
                "model": row.model,
                "content": [{"type": "text", "text": "ok"}],
                "stop_reason": "end_turn",
                "usage": {
                    "input_tokens": row.uncached,
                    "cache_creation_input_tokens": row.write_5m + row.write_1h,
                    "cache_read_input_tokens": row.read,
                    "output_tokens": row.output,
                    "cache_creation": {
                        "ephemeral_5m_input_tokens": row.write_5m,
                        "ephemeral_1h_input_tokens": row.write_1h,
                    },
                    "server_tool_use": {"web_search_requests": row.searches},
                    "service_tier": row.tier,
                },
            },
        }
        yield session, json.dumps(line, separators=(",", ":"))


def write_claude_home(world: World, home: Path, days: list[date], keys: set[str | None] | None = None) -> int:
    """Write home/projects/<slug>/<session>.jsonl for these UTC days; the number of lines."""
    files: dict[Path, list[str]] = defaultdict(list)
    for day in days:
        start = day_start(day)
        for session, line in claude_lines(world, start, start + DAY, keys):
            slug = re.sub(r"[^A-Za-z0-9]", "-", json.loads(line)["cwd"])
            files[home / "projects" / slug / f"{session}.jsonl"].append(line)
    for path, lines in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        lines.sort(key=lambda line: json.loads(line)["timestamp"])
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return sum(map(len, files.values()))


# --- requests: helpers -----------------------------------------------------------------------


class Reply(Exception):
    """An answer that is not 200."""

    def __init__(self, status: int, body: Any, headers: Headers | None = None) -> None:
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


Fail = Callable[[str], Reply]


def a_error(status: int, kind: str, message: str, headers: Headers | None = None) -> Reply:
    error = {"type": kind, "message": message}
    return Reply(status, {"type": "error", "error": error, "request_id": REQUEST_ID}, headers)


def o_error(
    status: int,
    message: str,
    code: str | None = None,
    kind: str = "invalid_request_error",
    headers: Headers | None = None,
) -> Reply:
    error = {"message": message, "type": kind, "param": None, "code": code}
    return Reply(status, {"error": error}, headers)


def a_bad(message: str) -> Reply:
    return a_error(400, "invalid_request_error", message)


def o_bad(message: str) -> Reply:
    return o_error(400, message)


def iso(t: int) -> str:
    return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    at = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if at.tzinfo is None or not re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", text):
        raise ValueError("a time with a zone is needed")
    return at


def day_start(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def first(q: Query, name: str) -> str | None:
    return q[name][0] if name in q else None


def number(q: Query, name: str, fail: Fail) -> int | None:
    text = first(q, name)
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        raise fail(f"{name}: Input should be a valid integer") from None


def instant(q: Query, name: str) -> int | None:
    """An RFC 3339 parameter with a zone, as epoch seconds."""
    text = first(q, name)
    if text is None:
        return None
    try:
        return int(parse_time(text).timestamp())
    except ValueError:
        raise a_bad(f"{name}: Input should be a valid datetime with a timezone") from None


def listed(q: Query, name: str) -> list[str]:
    """The values of name=a&name=b or name[]=a; a comma never splits."""
    return [v for k in (name, name + "[]") for v in q.get(k, [])]


def grouping(q: Query, known: set[str], fail: Fail) -> list[str]:
    groups = listed(q, "group_by")
    for g in groups:
        if g not in known:
            raise fail(f"group_by: unexpected value {g!r}")
    return groups


def cursor(n: int) -> str:
    return "page_" + base64.urlsafe_b64encode(str(n).encode()).decode()


def uncursor(text: str | None, fail: Fail) -> int | None:
    if not text:
        return None
    try:
        return int(base64.urlsafe_b64decode(text.removeprefix("page_")))
    except ValueError:
        raise fail("Invalid page cursor") from None


def page_size(q: Query, default: int, maximum: int, fail: Fail, what: str = "") -> int:
    limit = number(q, "limit", fail)
    limit = default if limit is None else limit
    if not 1 <= limit <= maximum:
        raise fail(f"limit: must be between 1 and {maximum}{what}")
    return limit


class Buckets(NamedTuple):
    spans: list[tuple[int, int]]
    next_page: str | None


def buckets(
    world: World, q: Query, width: str, start: int, end: int | None, maximum: int | None, fail: Fail
) -> Buckets:
    """One page of time buckets, aligned to UTC.  Without an end, the running bucket is included."""
    w = WIDTH[width]
    default, most = LIMITS[width]
    limit = page_size(q, default, maximum or most, fail, " for this bucket_width")
    last = world.epoch() + (-world.epoch() % w) if end is None else end - end % w
    t = uncursor(first(q, "page"), fail) or start - start % w
    spans = []
    while t < last and len(spans) < limit:
        spans.append((t, t + w))
        t += w
    return Buckets(spans, cursor(t) if t < last else None)


def cents(amount: Decimal) -> str:
    return format((amount * 100).quantize(Decimal("0.000001")), "f")


# --- Anthropic: Admin API --------------------------------------------------------------------

A_DIMS = (
    "api_key_id", "workspace_id", "model", "service_tier", "context_window", "inference_geo",
    "account_id", "service_account_id",
)  # fmt: skip


def a_bucket_request(world: World, q: Query, widths: tuple[str, ...]) -> tuple[str, Buckets]:
    start = instant(q, "starting_at")
    if start is None:
        raise a_bad("starting_at: Field required")
    width = first(q, "bucket_width") or "1d"
    if width not in widths:
        raise a_bad(f"bucket_width: Input should be one of {', '.join(widths)}")
    return width, buckets(world, q, width, start, instant(q, "ending_at"), None, a_bad)


def a_usage(world: World, q: Query, headers: Headers) -> dict[str, Any]:
    width, page = a_bucket_request(world, q, ("1m", "1h", "1d"))
    groups = grouping(q, {*A_DIMS, "speed"}, a_bad)
    beta = headers.get("anthropic-beta", "")
    if ("speed" in groups or listed(q, "speeds")) and "fast-mode-2026-02-01" not in beta:
        raise a_bad("group_by: speed requires the fast-mode-2026-02-01 beta header")
    wanted = {
        "model": listed(q, "models"),
        "workspace_id": listed(q, "workspace_ids"),
        "api_key_id": listed(q, "api_key_ids"),
        "service_tier": listed(q, "service_tiers"),
    }
    sums: dict[int, dict[tuple[str | None, ...], list[int]]] = {s: {} for s, _ in page.spans}
    if page.spans:
        for row in world.rows(page.spans[0][0], page.spans[-1][1], "anthropic"):
            dims = {
                "api_key_id": row.key,
                "workspace_id": row.workspace,
                "model": row.model,
                "service_tier": row.tier,
                "context_window": "0-200k",
                "inference_geo": "not_available",
                "speed": "standard",
                "account_id": None,
                "service_account_id": None,
            }
            if any(values and dims[name] not in values for name, values in wanted.items()):
                continue
            bucket = sums[row.t - row.t % WIDTH[width]]
            total = bucket.setdefault(tuple(dims[g] for g in groups), [0] * 6)
            add(total, row.uncached, row.output, row.write_5m, row.write_1h, row.read, row.searches)
    data = []
    for start, end in page.spans:
        results = []
        for key in sorted(sums[start], key=str):
            total, dims = sums[start][key], dict(zip(groups, key, strict=True))
            result = a_tokens(total) | {name: dims.get(name) for name in A_DIMS}
            results.append(result | ({"speed": dims["speed"]} if "speed" in groups else {}))
        data.append({"starting_at": iso(start), "ending_at": iso(end), "results": results})
    return {"data": data, "has_more": page.next_page is not None, "next_page": page.next_page}


def add(total: list[int], *values: int) -> None:
    for i, value in enumerate(values):
        total[i] += value


def a_tokens(total: list[int]) -> dict[str, Any]:
    return {
        "uncached_input_tokens": total[0],
        "cache_creation": {
            "ephemeral_1h_input_tokens": total[3],
            "ephemeral_5m_input_tokens": total[2],
        },
        "cache_read_input_tokens": total[4],
        "output_tokens": total[1],
        "server_tool_use": {"web_search_requests": total[5]},
    }


def a_cost(world: World, q: Query, headers: Headers) -> dict[str, Any]:
    _, page = a_bucket_request(world, q, ("1d",))
    groups = grouping(q, {"workspace_id", "description"}, a_bad)
    data = []
    for start, end in page.spans:
        sums: dict[tuple[str | None, ...], Decimal] = defaultdict(Decimal)
        for row in world.rows(start, end, "anthropic"):
            for cost_type, token_type, amount in anthropic_costs(row):
                model, tier = (row.model, row.tier) if token_type else (None, None)
                detail = (model, tier, cost_type, token_type)
                sums[
                    (row.workspace if "workspace_id" in groups else None,)
                    + (detail if "description" in groups else (None,) * 4)
                ] += amount
        results = [
            {
                "currency": "USD",
                "amount": cents(amount),
                "workspace_id": workspace,
                "description": describe(model, tier, cost_type, token_type),
                "cost_type": cost_type,
                "context_window": "0-200k" if token_type else None,
                "model": model,
                "service_tier": tier,
                "token_type": token_type,
                "inference_geo": None,
            }
            for (workspace, model, tier, cost_type, token_type), amount in sorted(
                sums.items(), key=lambda item: str(item[0])
            )
        ]
        data.append({"starting_at": iso(start), "ending_at": iso(end), "results": results})
    return {"data": data, "has_more": page.next_page is not None, "next_page": page.next_page}


def describe(
    model: str | None, tier: str | None, cost_type: str | None, token_type: str | None
) -> str | None:
    if cost_type is None:
        return None
    if model is None or token_type is None:
        return "Web Search Usage"
    batch = " - Batch" if tier == "batch" else ""
    return f"{NAMES[model]} Usage - {TOKEN_LABELS[token_type]}{batch}"


def a_claude_code(world: World, q: Query, headers: Headers) -> dict[str, Any]:
    day = first(q, "starting_at") or ""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
        raise a_bad("starting_at: must be a UTC date in YYYY-MM-DD form")
    start = int(parse_time(day + "T00:00:00Z").timestamp())
    limit = page_size(q, 20, 1000, a_bad)
    seen_until = max(start, world.epoch() - 3600)  # only data older than an hour
    records = []
    for key, name, _workspace, _weight in KEYS:
        if key is None:
            continue
        models: dict[str, list[Any]] = {}
        for row in world.rows(start, min(start + DAY, seen_until), "anthropic"):
            if row.key == key:
                m = models.setdefault(row.model, [0, 0, 0, 0, Decimal(0)])
                add(m, row.uncached, row.output, row.read, row.write_5m + row.write_1h)
                m[4] += sum((c[2] for c in anthropic_costs(row) if c[0] == "tokens"), Decimal(0))
        for i, person in enumerate(("dev1@example.com", "dev2@example.com", None)):
            records.append(claude_code_record(world, day, key, name, i, person, models))
    offset = uncursor(first(q, "page"), a_bad) or 0
    more = offset + limit < len(records)
    return {
        "data": records[offset : offset + limit],
        "has_more": more,
        "next_page": cursor(offset + limit) if more else None,
    }


def claude_code_record(
    world: World,
    day: str,
    key: str,
    name: str,
    i: int,
    person: str | None,
    models: dict[str, list[Any]],
) -> dict[str, Any]:
    x = world.rnd("cc", day, key, i)
    tools = ("edit_tool", "multi_edit_tool", "write_tool", "notebook_edit_tool")
    return {
        "date": day + "T00:00:00Z",
        "actor": {"type": "user_actor", "email_address": person}
        if person
        else {"type": "api_actor", "api_key_name": name},
        "organization_id": ORG_ID,
        "customer_type": "subscription" if i == 1 else "api",
        "subscription_type": "team" if i == 1 else None,
        "terminal_type": ("tmux", "vscode", "non-interactive")[i],
        "core_metrics": {
            "num_sessions": 1 + x % 40,
            "lines_of_code": {"added": x % 5000, "removed": x % 1700},
            "commits_by_claude_code": x % 13,
            "pull_requests_by_claude_code": x % 4,
        },
        "tool_actions": {
            tool: {"accepted": (x >> s) % 60, "rejected": (x >> s) % 5} for s, tool in enumerate(tools)
        },
        "model_breakdown": [
            {
                "model": model,
                "tokens": {
                    "input": m[0] // 3,
                    "output": m[1] // 3,
                    "cache_read": m[2] // 3,
                    "cache_creation": m[3] // 3,
                },
                "estimated_cost": {"currency": "USD", "amount": round(float(m[4] * 100 / 3))},
            }
            for model, m in sorted(models.items())
        ],
    }


AN_DIMS = {
    "actor_type", "api_key_id", "inference_geo", "model", "product", "service_tier", "speed",
    "workspace_id",
}  # fmt: skip
AN_PRODUCT = {"apikey_01A": "claude_code", "apikey_01B": "messages_api", None: "claude_console"}


def a_analytics(world: World, q: Query, headers: Headers, what: str) -> dict[str, Any]:
    """analytics/usage and analytics/cost: rows, not buckets."""
    if "analytics-usage-cost-2026-08-24" not in headers.get("anthropic-beta", ""):
        raise a_bad("anthropic-beta: this endpoint requires analytics-usage-cost-2026-08-24")
    start, end, width = analytics_range(world, q)
    fan = {"cost_type", "token_type"} if what == "cost" else set()
    groups = grouping(q, AN_DIMS | fan, a_bad)
    dims = [g for g in groups if g not in fan]
    if len(dims) > 5:
        raise a_bad("group_by: at most 5 dimensions")
    rows: dict[tuple[Any, ...], dict[tuple[Any, ...], Any]] = {}
    for row in world.rows(start, end, "anthropic"):
        values = {
            "actor_type": "api_actor" if row.key else "user_actor",
            "api_key_id": row.key,
            "inference_geo": None,
            "model": row.model,
            "product": AN_PRODUCT[row.key],
            "service_tier": row.tier,
            "speed": "standard",
            "workspace_id": row.workspace,
        }
        if any(listed(q, k) and values[v] not in listed(q, k) for k, v in AN_FILTERS.items()):
            continue
        bucket = row.t - row.t % width if width else start
        split = rows.setdefault((bucket, *(values[d] for d in dims)), {})
        if what == "usage":
            total = split.setdefault((), [0] * 7)
            add(total, row.uncached, row.output, row.write_5m, row.write_1h, row.read, row.searches)
            total[6] += 1
        else:
            for part, amount in cost_parts(row, fan & set(groups)):
                total = split.setdefault(part, [Decimal(0), set()])
                total[0] += amount
                total[1].add((row.t, row.model, row.key))
    items = [
        analytics_row(what, key, part, total, dims, groups, width, end)
        for key, split in rows.items()
        for part, total in sorted(split.items(), key=str)
    ]
    return analytics_page(world, q, items, what)


AN_FILTERS = {
    "models": "model",
    "products": "product",
    "api_key_ids": "api_key_id",
    "workspace_ids": "workspace_id",
    "service_tiers": "service_tier",
}


def analytics_range(world: World, q: Query) -> tuple[int, int, int]:
    """(start, end, width in seconds or 0)."""
    start, end = instant(q, "starting_at"), instant(q, "ending_at")
    name = first(q, "time_bucket_width")
    if start is None:
        raise a_bad("starting_at: Field required")
    if name is not None and name not in WIDTH:
        raise a_bad("time_bucket_width: Input should be '1m', '1h' or '1d'")
    if name and end is None:
        raise a_bad("ending_at: required when time_bucket_width is set")
    if start < max(world.epoch() - 365 * DAY, day_start(date(2026, 1, 1))):
        raise a_bad("starting_at: must be within the last 365 days and not before 2026-01-01")
    end = min(world.epoch(), start + 31 * DAY) if end is None else end
    if end - start > (DAY if name == "1m" else 31 * DAY):
        raise a_bad("the range may span at most 31 days (24 hours with time_bucket_width=1m)")
    if name:
        return start - start % WIDTH[name], end, WIDTH[name]
    return start - start % 3600, end - end % 3600, 0


def cost_parts(row: ARow, fan: set[str]) -> Iterator[tuple[tuple[Any, ...], Decimal]]:
    """The fan-out of one row: token_type alone yields tokens only, as the API documents it."""
    for cost_type, token_type, amount in anthropic_costs(row):
        if fan == {"token_type"} and token_type is None:
            continue
        part = (cost_type,) if fan else (None,)
        yield (*part, token_type if "token_type" in fan else None), amount


def analytics_row(
    what: str,
    key: tuple[Any, ...],
    part: tuple[Any, ...],
    total: list[Any],
    dims: list[str],
    groups: list[str],
    width: int,
    end: int,
) -> dict[str, Any]:
    group: dict[str, Any] = dict.fromkeys(sorted(AN_DIMS))
    group |= zip(dims, key[1:], strict=True)
    row: dict[str, Any] = {
        "starting_at": iso(key[0]),
        "ending_at": iso(key[0] + width if width else end),
        "group": group,
    }
    if what == "usage":
        counts = {"requests": total[6], "total_tokens": sum(total[:5])}
        return row | {"usage": a_tokens(total) | counts}
    group |= {"cost_type": part[0], "token_type": part[1]}
    cost = {
        "amount": cents(total[0] * DISCOUNT),
        "list_amount": cents(total[0]),
        "currency": "USD",
        "requests": None if {"cost_type", "token_type"} & set(groups) else len(total[1]),
    }
    return row | {"cost": cost}


def analytics_page(world: World, q: Query, items: list[dict[str, Any]], what: str) -> dict[str, Any]:
    """Rank and cut.  cost_type and token_type rows do not count toward the limit."""

    def base(item: dict[str, Any]) -> str:
        group = {k: v for k, v in item["group"].items() if k not in ("cost_type", "token_type")}
        return item["starting_at"] + json.dumps(group, sort_keys=True)

    def metric(item: dict[str, Any]) -> Decimal:
        value = item["cost"]["amount"] if what == "cost" else item["usage"]["total_tokens"]
        return Decimal(value)

    weight: dict[str, Decimal] = defaultdict(Decimal)
    for item in items:
        weight[base(item)] += metric(item)
    by_time = first(q, "order_by") == "time" and "time_bucket_width" in q
    order = sorted(weight, key=lambda b: (b[:20] if by_time else "", weight[b], b))
    if first(q, "order") != "asc":
        order.reverse()
    limit = page_size(q, 20, 1000, a_bad)
    offset = uncursor(first(q, "page"), a_bad) or 0
    chosen = {b: i for i, b in enumerate(order[offset : offset + limit])}
    data = sorted((i for i in items if base(i) in chosen), key=lambda i: chosen[base(i)])
    more = offset + limit < len(order)
    return {
        "data": data,
        "has_more": more,
        "next_page": cursor(offset + limit) if more else None,
        "data_refreshed_at": iso(world.epoch() - 900),
    }


def a_lists(world: World, path: str) -> dict[str, Any] | None:
    """Names and limits of the organization."""
    if path == "/me":
        return {"id": ORG_ID, "type": "organization", "name": "Fake Org"}
    if path == "/api_keys":
        data = [
            {
                "id": key,
                "type": "api_key",
                "name": name,
                "status": "active",
                "partial_key_hint": f"sk-ant-api03-{key[-2:]}...AA",
                "scope": {"type": "workspace", "workspace_id": ws or "wrkspc_01FakeDefault"},
                "principal": None,
                "created_by": {"id": "user_01Fake", "type": "user"},
                "created_at": "2026-01-01T00:00:00Z",
                "expires_at": None,
            }
            for key, name, ws, _ in KEYS
            if key
        ]
        return listing(data)
    if path == "/workspaces":
        data = [
            {
                "id": ws,
                "type": "workspace",
                "name": name,
                "created_at": "2026-01-01T00:00:00Z",
                "archived_at": None,
                "display_color": "#6C5BB9",
            }
            for ws, name in WORKSPACES
            if ws
        ]
        return listing(data)
    if path == "/rate_limits":
        limits = {
            "requests_per_minute": 4000,
            "input_tokens_per_minute_cache_aware": 2000000,
            "output_tokens_per_minute": 400000,
        }
        data = [
            {
                "id": f"rl_fake_{model}",
                "type": "rate_limit",
                "group": {
                    "type": "model_group",
                    "id": f"rlg_{model}",
                    "display_name": NAMES[model],
                },
                "models": [model],
                "limits": [{"type": k, "value": v} for k, v in limits.items()],
            }
            for model in PRICES
        ]
        return {"data": data, "next_page": None}
    if path == "/spend_limits":
        limit = {"id": "spl_00", "scope": {"type": "organization"}, "period": "monthly", "amount": "500000"}
        more = {"currency": "USD", "is_enabled": True, "created_at": None, "updated_at": None}
        return {"data": [limit | more], "next_page": None}
    if path == "/spend_limits/effective":
        return {"data": [spend(1, "12050.5"), spend(2, "0")], "next_page": None}
    return None


def listing(data: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"],
        "last_id": data[-1]["id"],
    }


def spend(n: int, so_far: str) -> dict[str, Any]:
    user = f"user_0{n}Fake"
    return {
        "spend_limit_id": f"spl_0{n}",
        "actor": {
            "type": "user_actor",
            "user_id": user,
            "name": f"Dev {n}",
            "email_address": f"dev{n}@example.com",
            "deleted": False,
        },
        "scope": {"type": "user", "user_id": user},
        "source": {"type": "organization"},
        "period": "monthly",
        "amount": "50000",
        "period_to_date_spend": so_far,
        "currency": "USD",
    }


def anthropic(world: World, path: str, q: Query, headers: Headers) -> dict[str, Any]:
    key = headers.get("x-api-key", "")
    sub = path.removeprefix("/v1/organizations")
    if not key and not headers.get("authorization"):
        raise a_error(401, "authentication_error", "x-api-key header is required")
    if key.startswith("sk-ant-api"):
        raise a_error(403, "permission_error", "This endpoint requires an Admin API key")
    if key == "sk-ant-analytics-fake" and not sub.startswith("/analytics/"):
        raise a_error(403, "permission_error", "The API key lacks the scope this request needs")
    if key not in ("sk-ant-admin01-fake", "sk-ant-analytics-fake"):
        raise a_error(401, "authentication_error", "invalid x-api-key")
    if "anthropic-version" not in headers:
        raise a_bad("anthropic-version: header is required")
    if sub == "/usage_report/messages":
        return a_usage(world, q, headers)
    if sub == "/cost_report":
        return a_cost(world, q, headers)
    if sub == "/usage_report/claude_code":
        return a_claude_code(world, q, headers)
    if sub in ("/analytics/usage", "/analytics/cost"):
        return a_analytics(world, q, headers, sub.rsplit("/", 1)[1])
    body = a_lists(world, sub)
    if body is None:
        raise a_error(404, "not_found_error", "Not found")
    return body


# --- OpenAI ----------------------------------------------------------------------------------

WHO = {"project_id", "user_id", "api_key_id"}
O_GROUPS = {
    "completions": WHO | {"model", "batch", "service_tier", "api_source"},
    "decisions": WHO | {"model", "batch", "service_tier", "api_source"},
    "embeddings": WHO | {"model"},
    "moderations": WHO | {"model"},
    "images": WHO | {"model", "size", "source"},
    "audio_speeches": WHO | {"model"},
    "audio_transcriptions": WHO | {"model"},
    "vector_stores": {"project_id"},
    "code_interpreter_sessions": {"project_id"},
    "file_search_calls": WHO | {"vector_store_id"},
    "web_search_calls": WHO | {"model", "context_level", "api_source"},
}
O_DIMS = ("project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source")


def o_bucket_request(
    world: World, q: Query, widths: tuple[str, ...], maximum: int | None
) -> tuple[str, Buckets]:
    start = number(q, "start_time", o_bad)
    if start is None:
        raise o_error(400, "Missing required parameter: 'start_time'.", "missing_parameter")
    width = first(q, "bucket_width") or "1d"
    if width not in widths:
        raise o_bad("Invalid bucket_width")
    return width, buckets(world, q, width, start, number(q, "end_time", o_bad), maximum, o_bad)


def o_usage(world: World, q: Query, kind: str) -> dict[str, Any]:
    """Only completions holds data; the other kinds answer empty buckets."""
    width, page = o_bucket_request(world, q, ("1m", "1h", "1d"), None)
    groups = grouping(q, O_GROUPS[kind], o_bad)
    wanted = {
        "model": listed(q, "models"),
        "project_id": listed(q, "project_ids"),
        "api_key_id": listed(q, "api_key_ids"),
        "user_id": listed(q, "user_ids"),
    }
    sums: dict[int, dict[tuple[Any, ...], list[int]]] = {s: {} for s, _ in page.spans}
    if page.spans and kind == "completions":
        for row in world.rows(page.spans[0][0], page.spans[-1][1], "openai"):
            dims = o_dims(row)
            if any(values and dims[name] not in values for name, values in wanted.items()):
                continue
            bucket = sums[row.t - row.t % WIDTH[width]]
            total = bucket.setdefault(tuple(dims[g] for g in groups), [0] * 5)
            add(total, row.input, row.cached, row.write, row.output, row.requests)
    data = [
        {
            "object": "bucket",
            "start_time": start,
            "end_time": end,
            "results": [
                o_tokens(sums[start][key]) | {d: dict(zip(groups, key, strict=True)).get(d) for d in O_DIMS}
                for key in sorted(sums[start], key=str)
            ],
        }
        for start, end in page.spans
    ]
    return o_page(data, page)


def o_dims(row: ORow) -> dict[str, Any]:
    return {
        "project_id": row.project,
        "user_id": row.user,
        "api_key_id": row.key,
        "model": row.model,
        "batch": False,
        "service_tier": row.tier,
        "api_source": "unlabeled",
    }


def o_tokens(total: list[int]) -> dict[str, Any]:
    fresh = total[0] - total[1] - total[2]
    zero = dict.fromkeys(
        (
            "input_audio_tokens", "input_cached_audio_tokens", "output_audio_tokens",
            "input_image_tokens", "input_cached_image_tokens", "output_image_tokens",
        ),
        0,
    )  # fmt: skip
    return {
        "object": "organization.usage.completions.result",
        "input_tokens": total[0],
        "input_cached_tokens": total[1],
        "input_cache_write_tokens": total[2],
        "input_cache_write_30m_tokens": total[2] - total[2] // 5,
        "input_cache_write_12h_tokens": total[2] // 5,
        "input_uncached_tokens": fresh,
        "output_tokens": total[3],
        "input_text_tokens": fresh,
        "input_cached_text_tokens": total[1],
        "output_text_tokens": total[3],
        **zero,
        "num_model_requests": total[4],
    }


def o_costs(world: World, q: Query, strnum: bool) -> dict[str, Any]:
    _, page = o_bucket_request(world, q, ("1d",), 180)
    groups = grouping(q, WHO | {"line_item", "api_source"}, o_bad)
    only = listed(q, "line_items")
    data = []
    for start, end in page.spans:
        sums: dict[tuple[Any, ...], list[Any]] = {}
        for row in world.rows(start, end, "openai"):
            for item, n, amount in openai_costs(row):
                if only and item not in only:
                    continue
                dims = o_dims(row) | {"line_item": item}
                total = sums.setdefault(tuple(dims[g] for g in groups), [Decimal(0), 0])
                total[0] += amount
                total[1] += n
        results = []
        for key in sorted(sums, key=str):
            (amount, n), dims = sums[key], dict(zip(groups, key, strict=True))
            by_item = "line_item" in groups
            value = str(amount) if strnum else float(amount)
            results.append(
                {
                    "object": "organization.costs.result",
                    "amount": {"value": value, "currency": "usd"},
                    "line_item": dims.get("line_item"),
                    "project_id": dims.get("project_id"),
                    "api_key_id": dims.get("api_key_id"),
                    "user_id": dims.get("user_id"),
                    "api_source": dims.get("api_source"),
                    "quantity": n if by_item else None,
                    "quantity_unit": "tokens" if by_item else None,
                }
            )
        data.append({"object": "bucket", "start_time": start, "end_time": end, "results": results})
    return o_page(data, page)


def o_page(data: list[dict[str, Any]], page: Buckets) -> dict[str, Any]:
    more = page.next_page is not None
    return {"object": "page", "data": data, "has_more": more, "next_page": page.next_page}


def openai(world: World, path: str, q: Query, token: str, mode: str) -> dict[str, Any]:
    if not token:
        raise o_error(401, "You didn't provide an API key.")
    if token.startswith("sk-proj-"):
        message = "You have insufficient permissions for this operation."
        raise o_error(403, f"{message} Missing scopes: api.usage.read.", "missing_scope")
    if token != "sk-admin-fake":
        raise o_error(401, "Incorrect API key provided: sk-***.", "invalid_api_key")
    sub = path.removeprefix("/v1/organization")
    if sub.removeprefix("/usage/") in O_GROUPS and sub.startswith("/usage/"):
        return o_usage(world, q, sub.removeprefix("/usage/"))
    if sub == "/costs":
        return o_costs(world, q, mode == "strnum")
    if sub == "/spend_limit":
        return {
            "object": "organization.spend_limit",
            "threshold_amount": 5000000,
            "currency": "USD",
            "interval": "month",
            "enforcement": {"status": "inactive"},
        }
    if sub == "/projects":
        data = [
            {
                "id": project,
                "object": "organization.project",
                "name": project,
                "created_at": 1767225600,
                "archived_at": None,
                "status": "active",
            }
            for _, project, _, _ in OAI_KEYS
        ]
        return {"object": "list", **listing(data)}
    raise o_error(404, f"Invalid URL (GET {path})")


def turn_costs(world: World, token: str, body: bytes) -> dict[str, Any]:
    """What Codex 0.169 asks for turns that an API key pays."""
    if token not in ("sk-fake", "sk-proj-fake"):
        raise o_error(401, "Incorrect API key provided: sk-***.", "invalid_api_key")
    ids = json.loads(body or b"{}").get("turn_ids") or []
    if not ids or len(set(ids)) != len(ids):
        raise o_bad("turn_ids must be a non-empty list of unique ids")
    turns = []
    for turn in ids:
        x = world.rnd("turn", turn)
        if x % 5 == 0:
            turns.append({"turn_id": turn, "status": "pending"})
            continue
        turns.append(
            {
                "turn_id": turn,
                "status": "priced",
                "total_usd": format(Decimal(x % 10**9) / 10**10, "f"),
                "event_count": 1 + x % 4,
                "model": "gpt-5.6",
                "speed": "standard",
                "reasoning_effort": "high",
                "responses": [],
            }
        )
    return {"turns": turns}


# --- subscription limits ---------------------------------------------------------------------


def window(world: World, name: str, period: int) -> tuple[float, int]:
    """A window that climbs through its period: (percent used, epoch of the reset)."""
    now = world.epoch()
    start = now - now % period
    top = 40 + world.rnd(name, start) % 70
    return round(min(100.0, top * (now - start) / period), 1), start + period


def oauth_usage(world: World) -> dict[str, Any]:
    session, session_end = window(world, "5h", 18000)
    week, week_end = window(world, "7d", 604800)
    scoped, scoped_end = window(world, "7d-scoped", 604800)

    def at(t: int) -> str:
        return datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%dT%H:%M:%S.282668+00:00")

    def limit(kind: str, group: str, percent: float, end: int, scope: Any) -> dict[str, Any]:
        return {
            "kind": kind,
            "group": group,
            "percent": int(percent),
            "resets_at": at(end),
            "scope": scope,
            "is_active": kind == "session",
        }

    opus = {"model": {"id": None, "display_name": "Opus"}, "surface": None}
    return {
        "five_hour": {"utilization": session, "resets_at": at(session_end)},
        "seven_day": {"utilization": week, "resets_at": at(week_end)},
        "seven_day_oauth_apps": None,
        "seven_day_opus": None,
        "seven_day_sonnet": {"utilization": round(week / 3, 1), "resets_at": at(week_end)},
        "seven_day_cowork": None,
        "iguana_necktie": None,
        "extra_usage": {
            "is_enabled": True,
            "monthly_limit": 20000,
            "used_credits": 4325.0,
            "utilization": 21.625,
            "currency": "USD",
        },
        "limits": [
            limit("session", "session", session, session_end, None),
            limit("weekly_all", "weekly", week, week_end, None),
            limit("weekly_scoped", "weekly", scoped, scoped_end, opus),
        ],
    }


def oauth(world: World, path: str, token: str, headers: Headers) -> dict[str, Any]:
    if token == "sk-ant-oat01-setup":
        message = "OAuth token does not meet scope requirement user:profile"
        raise a_error(403, "permission_error", message)
    if token and token != "sk-ant-oat01-fake":
        raise a_error(401, "authentication_error", "Invalid bearer token")
    if not token or "oauth-2025-04-20" not in headers.get("anthropic-beta", ""):
        message = "OAuth authentication is currently not supported."
        raise a_error(401, "authentication_error", message)
    if path.endswith("/usage"):
        return oauth_usage(world)
    return {
        "account": {
            "uuid": "00000000-0000-4000-8000-0000000000aa",
            "email": "dev@example.com",
            "has_claude_max": True,
        },
        "organization": {
            "uuid": ORG_ID,
            "organization_type": "claude_max",
            "rate_limit_tier": "default_claude_max_20x",
        },
    }


def wham(world: World, token: str) -> dict[str, Any]:
    if token != "eyJfake":
        message = "Provided authentication token is expired."
        raise Reply(401, {"detail": {"code": "token_expired", "message": message}})

    def limit(name: str, seconds: int) -> dict[str, int]:
        percent, end = window(world, name, seconds)
        return {
            "used_percent": int(percent),
            "limit_window_seconds": seconds,
            "reset_after_seconds": end - world.epoch(),
            "reset_at": end,
        }

    def limits(primary: Any, secondary: Any) -> dict[str, Any]:
        return {
            "allowed": True,
            "limit_reached": False,
            "primary_window": primary,
            "secondary_window": secondary,
        }

    return {
        "user_id": "user-fake",
        "account_id": "acct_fake",
        "email": "dev@example.com",
        "plan_type": "pro",
        "rate_limit": limits(limit("cx5h", 18000), limit("cx7d", 604800)),
        "code_review_rate_limit": None,
        "additional_rate_limits": [
            {
                "limit_name": "GPT-5.3-Codex-Spark",
                "metered_feature": "codex_bengalfox",
                "rate_limit": limits(limit("spark5h", 18000), None),
            }
        ],
        "credits": {
            "has_credits": True,
            "unlimited": False,
            "balance": "150.00",
            "approx_local_messages": [30, 120],
            "approx_cloud_messages": [10, 40],
        },
        "spend_control": {"reached": False, "individual_limit": None},
        "rate_limit_reached_type": None,
        "rate_limit_reset_credits": {"available_count": 1},
    }


# --- routers, GitHub, small balances ---------------------------------------------------------


def openrouter(world: World, path: str, q: Query, token: str) -> dict[str, Any]:
    if token not in ("sk-or-v1-fake", "sk-or-v1-mgmt-fake"):
        raise Reply(401, {"error": {"message": "User not found.", "code": 401}})
    if path.endswith("/activity") and "mgmt" not in token:
        message = "Only management keys can fetch activity"
        raise Reply(403, {"error": {"message": message, "code": 403}})
    today = world.now().date()
    days = [today - timedelta(days=i) for i in range(31)]
    totals = {day: openrouter_day(world, day) for day in days}

    def spent(since: date) -> float:
        return float(round(sum((totals[d][3] for d in days if d >= since), Decimal(0)), 6))

    month = spent(today.replace(day=1))
    if path.endswith("/credits"):
        return {"data": {"total_credits": 5000.0, "total_usage": round(month + 1000, 6)}}
    if path.endswith("/key"):
        byok = dict.fromkeys(("byok_usage", "byok_usage_daily", "byok_usage_weekly", "byok_usage_monthly"), 0)
        return {
            "data": {
                "label": "sk-or-v1-fak...ake",
                "limit": 1000,
                "limit_remaining": round(max(0.0, 1000 - month), 6),
                "limit_reset": "monthly",
                "include_byok_in_limit": False,
                "usage": round(month + 1000, 6),
                "usage_daily": spent(today),
                "usage_weekly": spent(today - timedelta(days=today.weekday())),
                "usage_monthly": month,
                **byok,
                "is_free_tier": False,
                "is_management_key": "mgmt" in token,
                "is_provisioning_key": False,
                "creator_user_id": "user_fake",
                "expires_at": None,
                "rate_limit": {"requests": 1000, "interval": "1h", "note": "deprecated"},
            }
        }
    asked = first(q, "date")
    rows = []
    for day in days if asked else days[1:]:  # without a date: the last 30 completed UTC days
        if asked and day.isoformat() != asked:
            continue
        prompt, completion, requests, amount = totals[day]
        rows.append(
            {
                "date": day.isoformat(),
                "model": "openai/gpt-5.6",
                "model_permaslug": "openai/gpt-5.6-20260801",
                "endpoint_id": "ep-fake",
                "provider_name": "OpenAI",
                "usage": float(round(amount, 6)),
                "byok_usage_inference": 0.0,
                "requests": requests,
                "prompt_tokens": prompt,
                "completion_tokens": completion,
                "reasoning_tokens": completion // 3,
            }
        )
    return {"data": rows}


def openrouter_day(world: World, day: date) -> tuple[int, int, int, Decimal]:
    start = day_start(day)
    rows = list(world.rows(start, start + DAY, "openai"))
    amount = sum((c[2] for row in rows for c in openai_costs(row)), Decimal(0))
    return (
        sum(r.input for r in rows),
        sum(r.output for r in rows),
        sum(r.requests for r in rows),
        amount,
    )


def litellm_activity(world: World, q: Query) -> dict[str, Any]:
    """Two days a page, by model."""
    since, until = date.fromisoformat(q["start_date"][0]), date.fromisoformat(q["end_date"][0])
    page = int((q.get("page") or ["1"])[0])
    days = [since + timedelta(days=n) for n in range((until - since).days + 1)]
    results = []
    for day in days[2 * page - 2 : 2 * page]:
        models: dict[str, Any] = {}
        for row in world.rows(day_start(day), day_start(day) + DAY, "openai"):
            used = models.setdefault(row.model, [0, 0, 0, 0, 0, Decimal(0)])
            add(used, row.input, row.output, row.cached, row.write, row.requests)
            used[5] += sum((c[2] for c in openai_costs(row)), Decimal(0))
        names = (
            "prompt_tokens", "completion_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "api_requests",
        )  # fmt: skip
        broken = {
            model: {"metrics": dict(zip(names, used[:5], strict=True)) | {"spend": float(used[5])}}
            for model, used in models.items()
        }
        whole = {"spend": float(sum((u[5] for u in models.values()), Decimal(0)))}
        results.append({"date": day.isoformat(), "metrics": whole, "breakdown": {"models": broken}})
    about = {"page": page, "has_more": 2 * page < len(days), "total_spend": 0.0}
    return {"results": results, "metadata": about}


def copilot(world: World) -> dict[str, Any]:
    used, _ = window(world, "copilot", 30 * DAY)
    reset = (world.now().replace(day=1) + timedelta(days=32)).replace(day=1)
    left = 1500 * (100 - used) / 100
    free = {"entitlement": 0, "remaining": 0, "percent_remaining": 100.0, "unlimited": True}
    return {
        "login": "octofake",
        "copilot_plan": "individual_pro",
        "access_type_sku": "monthly_subscriber",
        "chat_enabled": True,
        "assigned_date": "2026-01-02T00:00:00Z",
        "quota_reset_date": reset.strftime("%Y-%m-%d"),
        "quota_reset_date_utc": reset.strftime("%Y-%m-%dT00:00:00.000Z"),
        "quota_snapshots": {
            "premium_interactions": {
                "quota_id": "premium_interactions",
                "entitlement": 1500,
                "remaining": round(left),
                "quota_remaining": round(left, 1),
                "percent_remaining": round(100 - used, 1),
                "unlimited": False,
                "overage_count": 0,
                "overage_permitted": True,
                "credits_used": round(1500 - left, 1),
            },
            "chat": {"quota_id": "chat", **free},
            "completions": {"quota_id": "completions", **free},
        },
    }


def github_billing(world: World, path: str, q: Query) -> dict[str, Any]:
    now = world.now()

    def item(model: str, gross: int) -> dict[str, Any]:
        free = min(gross, 300)
        return {
            "product": "Copilot",
            "sku": "Copilot Premium Request",
            "model": model,
            "unitType": "requests",
            "pricePerUnit": 0.04,
            "grossQuantity": gross,
            "grossAmount": round(gross * 0.04, 2),
            "discountQuantity": free,
            "discountAmount": round(free * 0.04, 2),
            "netQuantity": gross - free,
            "netAmount": round((gross - free) * 0.04, 2),
        }

    return {
        "timePeriod": {
            "year": int(first(q, "year") or now.year),
            "month": int(first(q, "month") or now.month),
        },
        "user": path.split("/")[2],
        "usageItems": [item("GPT-5.6", 412), item("Claude Sonnet 4.6", 118)],
    }


SMALL: dict[str, Any] = {
    "/user/balance": {  # DeepSeek
        "is_available": True,
        "balance_infos": [
            {
                "currency": "USD",
                "total_balance": "50.00",
                "granted_balance": "10.00",
                "topped_up_balance": "40.00",
            }
        ],
    },
    "/v1/users/me/balance": {  # Moonshot
        "code": 0,
        "data": {"available_balance": 49.58, "voucher_balance": 46.58, "cash_balance": 3.0},
        "scode": "0x0",
        "status": True,
    },
    "/coding/v1/usages": {  # Kimi Code
        "usage": {
            "limit": "2048",
            "used": "214",
            "remaining": "1834",
            "resetTime": "2026-11-27T15:23:13.716839300Z",
        },
        "limits": [
            {
                "window": {"duration": 300, "timeUnit": "TIME_UNIT_MINUTE"},
                "detail": {
                    "limit": "200",
                    "used": "139",
                    "remaining": "61",
                    "resetTime": "2026-11-21T23:33:02.717479433Z",
                },
            }
        ],
    },
    "/api/monitor/usage/quota/limit": {  # Z.ai
        "code": 200,
        "msg": "ok",
        "success": True,
        "data": {
            "planName": "GLM Coding Pro",
            "limits": [
                {
                    "type": "TOKENS_LIMIT",
                    "unit": 3,
                    "number": 5,
                    "usage": 40000000,
                    "currentValue": 12628343,
                    "remaining": 27371657,
                    "percentage": 31,
                    "nextResetTime": 1795312800000,
                },
                {
                    "type": "TIME_LIMIT",
                    "unit": 5,
                    "number": 1,
                    "usage": 100,
                    "currentValue": 12,
                    "remaining": 88,
                    "percentage": 12,
                    "usageDetails": [{"modelCode": "search-prime", "usage": 12}],
                },
            ],
        },
    },
    "/v1/credits": {"balance": "95.50", "total_used": "4.50"},  # Vercel AI Gateway
    "/key/info": {  # LiteLLM proxy
        "key": "sk-hash",
        "info": {
            "key_alias": "laptop",
            "spend": 12.34,
            "max_budget": 100.0,
            "budget_reset_at": "2026-12-01T00:00:00Z",
            "user_id": "u1",
            "team_id": None,
            "models": [],
        },
    },
    "/v1/billing/teams/team-1/prepaid/balance": {  # xAI
        "changes": [],
        "total": {"val": "-1000"},
    },
    "/v1internal:retrieveUserQuota": {  # Gemini CLI
        "buckets": [
            {
                "modelId": "gemini-3-pro",
                "tokenType": "REQUESTS",
                "remainingAmount": "91",
                "remainingFraction": 0.91,
                "resetTime": "2026-11-22T08:00:00Z",
            }
        ]
    },
    "/v1internal:loadCodeAssist": {
        "currentTier": {"id": "standard-tier", "name": "Gemini Code Assist"},
        "cloudaicompanionProject": "fake-project-1",
    },
}
POST_ONLY = {
    "/v1/analytics/codex/turn-costs",
    "/v1internal:retrieveUserQuota",
    "/v1internal:loadCodeAssist",
}


def route(
    world: World, method: str, path: str, q: Query, headers: Headers, body: bytes, mode: str
) -> dict[str, Any]:
    """The answer of one request, or Reply."""
    token = headers.get("authorization", "").partition(" ")[2]
    if (method == "POST") != (path in POST_ONLY):
        raise Reply(405, {"error": {"message": "Method not allowed"}})
    if path.startswith("/v1/organizations"):
        return anthropic(world, path, q, headers)
    if path in ("/api/oauth/usage", "/api/oauth/profile"):
        return oauth(world, path, token, headers)
    if path.startswith("/v1/organization/"):
        return openai(world, path, q, token, mode)
    if path == "/v1/analytics/codex/turn-costs":
        return turn_costs(world, token, body)
    if path in ("/backend-api/wham/usage", "/api/codex/usage"):
        return wham(world, token)
    if path in ("/api/v1/credits", "/api/v1/key", "/api/v1/activity"):
        return openrouter(world, path, q, token)
    if path == "/copilot_internal/user" or "/settings/billing/" in path:
        if token != "gho_fake":
            raise Reply(401, {"message": "Bad credentials", "status": "401"})
        billing = "/settings/billing/" in path
        return github_billing(world, path, q) if billing else copilot(world)
    if path == "/user/daily/activity" and token == "fake":
        return litellm_activity(world, q)
    if path in SMALL:
        if token != "fake":
            raise Reply(401, {"error": {"message": "unauthorized"}})
        return SMALL[path]
    raise Reply(404, {"error": {"message": f"no such route in the fake: {path}"}})


# --- failure modes ---------------------------------------------------------------------------

HTML = b"<html><head><title>%s</title></head><body>cloudflare</body></html>"
JSON_ERRORS = {
    "400": ("invalid_request_error", "forced 400"),
    "401": ("authentication_error", "forced 401"),
    "403": ("permission_error", "forced 403"),
    "404": ("not_found_error", "forced 404"),
    "500": ("api_error", "Internal server error"),
    "503": ("api_error", "Internal server error"),
    "529": ("overloaded_error", "Overloaded"),
}
THROTTLED = "Rate limited. Please try again later."


class State:
    """What control requests can see and change."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.modes: dict[str, str] = {}
        self.calls: dict[str, int] = defaultdict(int)
        self.windows: dict[str, list[float]] = {}
        self.log: list[dict[str, Any]] = []

    def mode_of(self, path: str) -> str:
        best = max((p for p in self.modes if path.startswith(p)), key=len, default=None)
        return self.modes[best] if best is not None else "ok"

    def set_mode(self, prefix: str, mode: str) -> None:
        """A new mode also starts the counts of flaky and limit again."""
        with self.lock:
            self.modes[prefix] = mode
            self.calls.clear()
            self.windows.clear()

    def reset(self) -> None:
        with self.lock:
            for part in (self.modes, self.calls, self.windows, self.log):
                part.clear()

    def over_limit(self, key: str, calls: int, seconds: float) -> int | None:
        """Seconds until the window ends, when this call is one too many."""
        with self.lock:
            now = time.monotonic()
            entry = self.windows.setdefault(key, [now, 0])
            if now - entry[0] > seconds:
                entry[:] = [now, 0]
            entry[1] += 1
            return int(seconds - (now - entry[0])) + 1 if entry[1] > calls else None


def forced_error(name: str, arg: str, shape: Callable[..., Reply]) -> Reply | None:
    if name in JSON_ERRORS:
        kind, message = JSON_ERRORS[name]
        return shape(int(name), kind, message, {"Retry-After": arg} if arg else None)
    if name.partition("-")[0] != "429":
        return None
    after: Headers | None = {"Retry-After": arg or "30"}
    if name == "429-none":
        after = None
    elif name == "429-zero":
        after = {"Retry-After": "0"}
    elif name == "429-date":
        when = email.utils.formatdate(time.time() + int(arg or 30), usegmt=True)
        after = {"Retry-After": when}
    return shape(429, "rate_limit_error", THROTTLED, after)


def bomb(mib: int) -> bytes:
    """That many MiB of spaces, packed small: a bit of JSON in front."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * (1 << 20)
    return (
        packer.compress(b'{"data": [') + b"".join(packer.compress(block) for _ in range(mib)) + packer.flush()
    )


def drifted(body: dict[str, Any]) -> dict[str, Any]:
    """The same answer after a release: unknown fields, nulls, new enum values."""
    body = {"zz_new_field": {"x": 1}, **json.loads(json.dumps(body))}
    if isinstance(body.get("data"), list):
        for row in body["data"]:
            if isinstance(row, dict):
                row["zz_unknown"] = None
    if "five_hour" in body:
        body["five_hour"] = None
        body["seven_day_moonshine"] = {"utilization": "12", "resets_at": None}
    if "plan_type" in body:
        body["plan_type"] = "galaxy_brain"
        body["rate_limit"]["primary_window"] = None
    return body


def with_nan(value: Any) -> Any:
    """Every number, and every string that is one, turned into NaN."""
    if isinstance(value, dict):
        return {k: with_nan(v) for k, v in value.items()}
    if isinstance(value, list):
        return [with_nan(v) for v in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, str):
        return "NaN" if re.fullmatch(r"-?\d+(\.\d+)?", value) else value
    return math.nan


# --- HTTP ------------------------------------------------------------------------------------


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "fake-usage/1"
    world: World
    state: State
    skew_s = 0.0

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string((timestamp or time.time()) + self.skew_s)

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.dispatch(b"")

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        self.dispatch(self.rfile.read(length) if length else b"")

    def dispatch(self, body: bytes) -> None:
        url = urlsplit(self.path)
        q = parse_qs(url.query, keep_blank_values=True)
        try:
            if url.path.startswith("/__fake__/"):
                self.control(url.path, q, body)
            else:
                self.answer(url.path, q, body)
        except Reply as reply:
            self.send(reply.status, reply.body, reply.headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send(
        self,
        status: int,
        body: Any,
        headers: Headers | None = None,
        content_type: str = "application/json",
    ) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
        self.head(status, len(raw), headers, content_type)
        self.wfile.write(raw)

    def head(
        self,
        status: int,
        length: int,
        headers: Headers | None = None,
        content_type: str = "application/json",
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def answer(self, path: str, q: Query, body: bytes) -> None:
        headers = {k.lower(): v for k, v in self.headers.items()}
        mode = headers.get("x-fake-mode") or q.pop("__mode", [""])[0] or self.state.mode_of(path)
        calls = self.note(path, headers, mode)
        official = path.startswith(("/v1/organizations", "/api/oauth"))

        def shape(status: int, kind: str, message: str, extra: Headers | None = None) -> Reply:
            if official:
                return a_error(status, kind, message, extra)
            return o_error(status, message, kind, kind, extra)

        name, _, arg = mode.partition(":")
        if name == "flaky" and calls <= int(arg):
            raise shape(503, "overloaded_error", "flaky", {"Retry-After": "1"})
        if name == "limit":
            n, _, seconds = arg.partition("/")
            secret = headers.get("authorization") or headers.get("x-api-key") or ""
            key = path + hashlib.sha256(secret.encode()).hexdigest()
            left = self.state.over_limit(key, int(n), float(seconds))
            if left is not None:
                raise shape(429, "rate_limit_error", THROTTLED, {"Retry-After": str(left)})
        error = forced_error(name, arg, shape)
        if error is not None:
            raise error
        if not self.damaged(name, arg):
            if name == "slow":
                time.sleep(float(arg or 5))
            result = route(self.world, self.command, path, q, headers, body, name)
            id_header = "request-id" if official else "x-request-id"
            self.deliver(name, arg, result, {id_header: REQUEST_ID})

    def note(self, path: str, headers: Headers, mode: str) -> int:
        state = self.state
        with state.lock:
            state.calls[path] += 1
            state.log.append(
                {
                    "n": len(state.log) + 1,
                    "method": self.command,
                    "path": path,
                    "query": parse_qsl(urlsplit(self.path).query),
                    "mode": mode,
                    "user_agent": headers.get("user-agent"),
                    "credentials": credentials_in(headers),
                    "beta": headers.get("anthropic-beta"),
                }
            )
            return state.calls[path]

    def damaged(self, name: str, arg: str) -> bool:
        """Answers that need no route."""
        if name == "403-html":
            self.send(403, HTML % b"403 Forbidden", content_type="text/html")
        elif name == "502-html":
            self.send(502, HTML % b"502 Bad Gateway", content_type="text/html")
        elif name == "html":
            self.send(200, HTML % b"200 OK", content_type="text/html")
        elif name == "zstd":
            self.send(200, b"(\xb5/\xfd", {"Content-Encoding": "zstd"})
        elif name == "bomb":
            self.send(200, bomb(int(arg or 200)), {"Content-Encoding": "gzip"})
        elif name == "empty":
            self.send(200, b"")
        elif name == "badjson":
            self.send(200, b'{"data": [NaN, ')
        elif name == "redirect":
            host, port = self.server.server_address[:2]
            asked = (self.headers.get("host") or "").partition(":")[0]
            other = host if asked == "localhost" else "localhost"
            self.send(302, b"", {"Location": f"http://{other}:{port}/__fake__/stolen"})
        elif name == "drop":
            self.close_connection = True
            self.connection.close()
        else:
            return False
        return True

    def deliver(self, name: str, arg: str, result: dict[str, Any], headers: Headers) -> None:
        if name == "drift":
            result = drifted(result)
        elif name == "nan":
            result = with_nan(result)
        elif name in ("same-page", "no-page"):
            result = result | {
                "has_more": True,
                "next_page": cursor(0) if name == "same-page" else None,
            }
        raw = json.dumps(result, separators=(",", ":")).encode()
        if name == "huge":
            raw += b" " * (int(arg or 64) << 20)
        if name == "truncate":
            self.head(200, len(raw), headers)
            self.wfile.write(raw[: len(raw) // 2])
            self.close_connection = True
        elif name == "gzip":
            self.send(200, gzip.compress(raw), headers | {"Content-Encoding": "gzip"})
        elif name == "skew":
            self.skew_s = float(arg)
            self.send(200, raw, headers)
        elif name == "drip":
            self.head(200, len(raw), headers)
            step = max(1, len(raw) // 20)
            for i in range(0, len(raw), step):
                self.wfile.write(raw[i : i + step])
                self.wfile.flush()
                time.sleep(float(arg or 5) / 20)
        else:
            self.send(200, raw, headers)

    def control(self, path: str, q: Query, body: bytes) -> None:
        sent = json.loads(body or b"{}")
        if path == "/__fake__/claude_jsonl":
            start = day_start(date.fromisoformat(q["day"][0]))
            keys = set(listed(q, "key")) or None
            lines = [line for _, line in claude_lines(self.world, start, start + DAY, keys)]
            raw = "".join(line + "\n" for line in lines).encode()
            self.send(200, raw, content_type="application/x-ndjson")
        elif path == "/__fake__/ledger":
            self.send(200, ledger(self.world, day_start(date.fromisoformat(q["day"][0]))))
        elif path == "/__fake__/prices":
            self.send(200, price_table())
        elif path == "/__fake__/stolen":  # where a followed redirect ends
            self.note(path, {k.lower(): v for k, v in self.headers.items()}, "stolen")
            self.send(200, {"data": []})
        elif path == "/__fake__/log":
            log = self.state.log
            leaks = [entry for entry in log if entry["mode"] == "stolen" and entry["credentials"]]
            self.send(200, {"requests": log, "leaks": leaks})
        elif path == "/__fake__/now":
            self.world.pinned = parse_time(sent["now"]) if sent.get("now") else None
            self.send(200, {"now": self.world.now().isoformat()})
        elif path == "/__fake__/mode":
            self.state.set_mode(sent.get("prefix", "/"), sent.get("mode", "ok"))
            self.send(200, {"modes": self.state.modes})
        elif path == "/__fake__/reset":
            self.state.reset()
            self.send(200, {"ok": True})
        else:
            self.send(404, {"error": "no such control"})


def credentials_in(headers: Headers) -> list[str]:
    return [h for h in ("authorization", "x-api-key", "cookie") if headers.get(h)]


def price_table() -> dict[str, Any]:
    a_names = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
    o_names = ("input", "cached_input", "cache_write", "output")
    return {
        "unit": "USD per million tokens",
        "anthropic": {m: dict(zip(a_names, p, strict=True)) for m, p in PRICES.items()},
        "openai": {m: dict(zip(o_names, p, strict=True)) for m, p in OAI_PRICES.items()},
        "web_search_usd": str(WEB_SEARCH_USD),
        "batch_factor": str(BATCH_FACTOR),
        "analytics_discount_factor": str(DISCOUNT),
    }


def ledger(world: World, start: int) -> dict[str, Any]:
    """Rows and USD by model of one UTC day, unrounded."""
    out: dict[str, dict[str, Any]] = {"anthropic": {}, "openai": {}}
    costs: dict[str, Callable[[Any], Iterator[Any]]] = {
        "anthropic": anthropic_costs,
        "openai": openai_costs,
    }
    for kind, cost_of in costs.items():
        for row in world.rows(start, start + DAY, kind):
            entry = out[kind].setdefault(row.model, {"rows": 0, "usd": Decimal(0)})
            entry["rows"] += 1
            entry["usd"] += sum((c[2] for c in cost_of(row)), Decimal(0))
        for entry in out[kind].values():
            entry["usd"] = format(entry["usd"], "f")
    return out


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is normal here; anything else is a bug of the fake."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


def serve(
    port: int = 0,
    host: str = "127.0.0.1",
    seed: int = 7,
    now: datetime | None = None,
    lag: int = 300,
    late_pct: int = 0,
    late_min: int = 120,
    mode: str = "ok",
    step: int = 1,
) -> Server:
    """Start in a thread.  Port: .server_address[1].  Stop: .shutdown(), .server_close()."""
    if host not in LOOPBACK:
        raise ValueError("this fake only binds to loopback")
    state = State()
    if mode != "ok":
        state.modes["/"] = mode
    world = World(seed, now, lag, late_pct, late_min, step)
    server = Server((host, port), type("FakeHandler", (Handler,), {"world": world, "state": state}))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def main(argv: list[str] | None = None) -> int:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--host", default="127.0.0.1", help="loopback only")
    ap.add_argument("--port", type=int, default=8899, help="0 picks a free one")
    ap.add_argument("--seed", type=int, default=7)
    ap.add_argument("--now", help="pin the clock, e.g. 2026-11-21T20:30:00Z")
    ap.add_argument("--lag", type=int, default=300, help="seconds until usage becomes visible")
    ap.add_argument("--late-pct", type=int, default=0, help="percent of the rows that come late")
    ap.add_argument("--late-min", type=int, default=120, help="how late, in minutes")
    ap.add_argument("--mode", default="ok", help="failure mode of every request")
    ap.add_argument("--write-claude", type=Path, metavar="DIR", help="write the twin and exit")
    ap.add_argument("--days", type=int, default=1, help="with --write-claude: full days before now")
    ap.add_argument("--key", action="append", help="with --write-claude: only this key id")
    a = ap.parse_args(argv)
    if a.host not in LOOPBACK:
        ap.error("this fake only binds to loopback")
    now = parse_time(a.now) if a.now else None
    if a.write_claude:
        world = World(a.seed, now, 0, 0, 0)
        today = world.now().astimezone(UTC).date()
        days = [today - timedelta(days=i) for i in range(a.days, 0, -1)]
        n = write_claude_home(world, a.write_claude, days, set(a.key) if a.key else None)
        print(f"{n} lines for {days[0]}..{days[-1]} under {a.write_claude}/projects")
        return 0
    server = serve(a.port, a.host, a.seed, now, a.lag, a.late_pct, a.late_min, a.mode)
    where = f"http://{a.host}:{server.server_address[1]}"
    print(f"fake usage server on {where} (seed {a.seed}, now {a.now or 'live'}, mode {a.mode})")
    sys.stdout.flush()
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
