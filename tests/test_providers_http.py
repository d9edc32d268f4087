"""The client and one pull against a server that fails in every way: a named state, nothing half, no tight loop.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tokentop.nouns.billing import Health
from tokentop.polling.pull import MOST_PAGES
from tokentop.providers import all_providers
from tokentop.providers.base import Request
from tokentop.providers.http import Client, Target, Trouble
from tokentop.settings.credentials import Secret

from .provider_build import ACCOUNTS, Fake, request, serving

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture
def fake() -> Iterator[Fake]:
    with serving() as server:
        yield server


OFFICIAL = [(one.id, source.id) for one in all_providers() for source in one.sources if not one.private_risk]


@pytest.mark.parametrize(("provider_id", "source"), OFFICIAL)
@pytest.mark.parametrize("mode", ["ok", "drift", "strnum", "gzip"])
def test_every_official_report_parses(fake: Fake, provider_id: str, source: str, mode: str) -> None:
    """56: also with unknown fields and nulls, with amounts as text, and packed though that was not asked for."""
    fake.mode(mode)
    went, pulled = fake.pull(provider_id, source, days=2)
    assert (went.state, went.reason, went.dropped) == (Health.OK, "", 0)
    if pulled.balances is None and pulled.names is None:
        assert pulled.days == {"2026-11-19", "2026-11-20", "2026-11-21"}
    assert pulled.bills or pulled.balances or pulled.names or source == "usage_other"


# mode: (state, attempts, words of the reason)
FAILURES: dict[str, tuple[Health, int, str]] = {
    "401": (Health.UNAUTHORIZED, 1, "authentication_error"),
    "403": (Health.FORBIDDEN, 1, "permission_error"),
    "404": (Health.GONE, 1, "not_found_error"),
    "400": (Health.REFUSED, 1, "invalid_request_error"),
    "403-html": (Health.LIMITED, 1, "proxy"),
    "429": (Health.LIMITED, 1, "429"),
    "429-none": (Health.LIMITED, 1, "429"),
    "429-zero": (Health.LIMITED, 1, "429"),
    "429-date:3600": (Health.LIMITED, 1, "429"),
    "500": (Health.SERVER, 3, "500 api_error"),
    "502-html": (Health.SERVER, 3, "502"),
    "503:3600": (Health.SERVER, 1, "503"),
    "503:1": (Health.SERVER, 3, "503"),
    "529": (Health.OVERLOADED, 3, "overloaded_error"),
    "slow:8": (Health.TIMEOUT, 3, "within 1 s"),
    "drip:8": (Health.TIMEOUT, 3, "within 1 s"),
    "truncate": (Health.CUT_OFF, 3, "cut off"),
    "drop": (Health.CUT_OFF, 3, "cut off"),
    "empty": (Health.NOT_JSON, 3, "not JSON"),
    "badjson": (Health.NOT_JSON, 3, "not JSON"),
    "html": (Health.NOT_JSON, 3, "content type"),
    "huge:9": (Health.TOO_BIG, 1, "8 MiB"),
    "bomb:64": (Health.TOO_BIG, 1, "8 MiB"),
    "zstd": (Health.NOT_JSON, 1, "zstd"),
    "redirect": (Health.REDIRECTED, 1, "localhost"),
    "nan": (Health.BAD_DATA, 1, "could not be read"),
}


@pytest.mark.parametrize("mode", FAILURES)
def test_each_failure_has_a_name(fake: Fake, mode: str) -> None:
    """47, 48 and the table of providers: nothing of the pull is given on, and the requests are counted."""
    state, attempts, words = FAILURES[mode]
    fake.pull("anthropic", "usage")
    fake.control("reset", {})
    fake.mode(mode)
    hurried = mode.startswith(("slow", "drip"))
    went, pulled = fake.pull("anthropic", "usage", deadline_s=1.0 if hurried else 20.0)
    assert (went.state, words in went.reason) == (state, True), went
    assert (pulled.bills, pulled.days) == ([], frozenset())
    assert len(fake.log()) == attempts
    assert "fake" not in went.reason  # neither the key nor the address


def test_a_redirect_takes_no_key_along(fake: Fake) -> None:
    """46."""
    fake.mode("redirect")
    for provider_id, source in OFFICIAL:
        went, _ = fake.pull(provider_id, source)
        assert (went.state, "localhost" in went.reason) == (Health.REDIRECTED, True)
    assert fake.control("log")["leaks"] == []


@pytest.mark.parametrize(
    ("mode", "seconds"),
    [("429:3037", 3037), ("429-none", None), ("429-zero", None), ("429:-5", None), ("429:99999999", 86_400),
     ("429:nan", None), ("429:1.5", 1.5)],
)  # fmt: skip
def test_retry_after_in_seconds(fake: Fake, mode: str, seconds: float | None) -> None:
    """36."""
    fake.mode(mode)
    assert fake.pull("anthropic", "cost")[0].retry_after_s == seconds


@pytest.mark.parametrize("skew_s", [0, -40 * 86_400, 40 * 86_400])
def test_a_retry_date_counts_by_the_providers_clock(skew_s: int) -> None:
    """36: our clock may be weeks off."""
    import email.utils
    import time

    now_s = time.time() + skew_s
    dates = {
        "Date": email.utils.formatdate(now_s, usegmt=True),
        "Retry-After": email.utils.formatdate(now_s + 600, usegmt=True),
    }

    with answering(429, b"{}", {"Content-Type": "application/json"} | dates) as (base, _):
        answer = asyncio.run(get(Target(base, None, gap_s=0), Request("/x")))
    assert answer.retry_after_s == 600
    assert abs(answer.date_ms / 1000 - now_s) < 3


def test_a_flaky_server_is_asked_again(fake: Fake) -> None:
    """53."""
    fake.mode("flaky:2")
    waits: list[float] = []
    went, pulled = fake.pull("openai", "costs", waits=waits)
    assert (went.state, len(pulled.bills) > 0, len(fake.log())) == (Health.OK, True, 3)
    assert waits == [1.0, 1.0]  # its Retry-After, which is more than our own pause


def test_pauses_grow_between_attempts(fake: Fake) -> None:
    fake.mode("500")
    waits: list[float] = []
    fake.pull("openai", "costs", waits=waits)
    assert waits == [0.5, 1.0]


# ---------------------------------------------------------------- pages


def test_buckets_of_any_width_and_any_pages_sum_to_the_same(fake: Fake) -> None:
    """3, 5."""
    from tokentop.providers import anthropic, provider
    from tokentop.providers.base import Source

    from .provider_build import ask

    sums = {}
    for width, limit, pages in (("1d", "31", 1), ("1d", "1", 2), ("1h", "7", 7), ("1m", "1440", 2)):

        def requests(wanted: Any, width: str = width, limit: str = limit) -> tuple[Request, ...]:
            return (anthropic.usage_request(wanted, width, limit),)

        source = Source("usage", "", requests, provider("anthropic").source("usage").parse)
        before = len(fake.log())
        pulled = pull_source(fake, source, ask(1))
        rows = [(b.day_utc, b.kind, b.model, b.key, b.tokens, b.quantity) for b in pulled.bills]
        sums[width, limit] = sorted(rows, key=repr)
        assert len(fake.log()) - before == pages
    first = sums["1d", "31"]
    assert len(first) > 10
    assert all(one == first for one in sums.values())


def pull_source(fake: Fake, source: Any, wanted: Any) -> Any:
    from tokentop.polling.pull import pull

    async def run() -> Any:
        client = Client()
        try:
            return await pull(client, fake.target("anthropic"), source, wanted, chance=lambda: 0.0)
        finally:
            await client.close()

    went, pulled = asyncio.run(run())
    assert went.state is Health.OK
    return pulled


@pytest.mark.parametrize("mode", ["same-page", "no-page"])
@pytest.mark.parametrize(
    ("provider_id", "source"), [("anthropic", "usage"), ("anthropic", "analytics_cost"), ("openai", "costs")]
)
def test_pages_that_never_end_give_nothing(fake: Fake, mode: str, provider_id: str, source: str) -> None:
    """49."""
    fake.mode(mode)
    went, pulled = fake.pull(provider_id, source)
    assert (went.state, "next page" in went.reason) == (Health.BAD_DATA, True)
    assert (pulled.bills, pulled.days) == ([], frozenset())
    assert len(fake.log()) <= 2


def test_a_chain_of_new_cursors_has_an_end() -> None:
    count = iter(range(10_000))

    def page(_path: str) -> bytes:
        return b'{"data": [], "has_more": true, "next_page": "p%d"}' % next(count)

    with answering(200, page, {"Content-Type": "application/json"}) as (base, asked):
        fake = Fake.__new__(Fake)
        fake.base = base
        went, _ = fake.pull("anthropic", "usage")
    assert (went.state, len(asked)) == (Health.TOO_BIG, MOST_PAGES)


def test_a_failure_on_a_later_page_publishes_nothing(fake: Fake) -> None:
    """49: two of three requests come whole."""
    fake.mode("500", "/v1/organization/usage/web_search_calls")
    went, pulled = fake.pull("openai", "usage_other", days=3)
    assert (went.state, pulled.bills, pulled.days) == (Health.SERVER, [], frozenset())


def test_all_rows_of_a_page_are_taken_though_there_are_more_than_the_limit(fake: Fake) -> None:
    """8, 9: rows by cost and token type do not count toward the limit."""
    from tokentop.providers import anthropic, provider
    from tokentop.providers.base import Source

    from .provider_build import ask

    def requests(wanted: Any) -> tuple[Request, ...]:
        return (anthropic.analytics_request(wanted, "cost", ("cost_type", "token_type"), limit="1"),)

    source = Source("analytics_cost", "", requests, provider("anthropic").source("analytics_cost").parse)
    kinds = {bill.kind for bill in pull_source(fake, source, ask()).bills}
    assert kinds == {"input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "web_search"}


# ---------------------------------------------------------------- who may what


@pytest.mark.parametrize(
    ("provider_id", "source", "key", "state", "words"),
    [
        ("anthropic", "analytics_cost", "sk-ant-analytics-fake", Health.OK, ""),
        ("anthropic", "cost", "sk-ant-analytics-fake", Health.FORBIDDEN, "Admin key"),
        ("anthropic", "cost", "sk-ant-api03-xyz", Health.FORBIDDEN, "Admin key"),
        ("anthropic", "cost", "wrong", Health.UNAUTHORIZED, "not accepted"),
        ("openai", "costs", "sk-proj-xyz", Health.FORBIDDEN, "missing_scope: it needs an admin key"),
        ("openrouter", "activity", "sk-or-v1-fake", Health.FORBIDDEN, "management key"),
        ("openrouter", "key", "sk-or-v1-fake", Health.OK, ""),
        ("claude_oauth", "limits", "sk-ant-oat01-setup", Health.FORBIDDEN, "may not read limits"),
        ("codex_wham", "limits", "stale", Health.UNAUTHORIZED, "token_expired"),
    ],
)  # fmt: skip
def test_a_key_that_may_not_is_told_what_it_takes(
    fake: Fake, provider_id: str, source: str, key: str, state: Health, words: str
) -> None:
    """12, 13, 22, 41."""
    went, _ = fake.pull(provider_id, source, key=key)
    assert (went.state, words in went.reason) == (state, True), went
    assert key not in went.reason


def test_headers_that_reports_need_are_sent(fake: Fake) -> None:
    """7, 10: the analytics beta always, and our own name."""
    fake.pull("anthropic", "analytics_usage")
    fake.pull("claude_oauth", "limits")
    first, second = fake.log()
    assert first["beta"] == "analytics-usage-cost-2026-08-24"
    assert second["beta"] == "oauth-2025-04-20"
    assert first["user_agent"].startswith("tokentop/")


def test_claude_code_of_the_last_hour_is_not_there_yet(fake: Fake) -> None:
    """16: the day is known as far as it goes and is not final."""
    went, pulled = fake.pull("anthropic", "claude_code")
    assert went.state is Health.OK
    assert pulled.bills
    assert not any(bill.final for bill in pulled.bills)


def test_no_credential_is_in_an_address(fake: Fake) -> None:
    for one in all_providers():
        for source in one.sources:
            fake.pull(one.id, source.id, key="sk-CANARY-in-no-url-1234567890")
    for entry in fake.log():
        assert "CANARY" not in entry["path"] + str(entry["query"])


# ---------------------------------------------------------------- the client alone


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        status, body, headers, asked = self.server.script  # type: ignore[attr-defined]
        asked.append((self.path, dict(self.headers)))
        raw = body(self.path) if callable(body) else body
        self.send_response_only(status)
        for name, value in (headers | {"Content-Length": str(len(raw))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw)

    do_CONNECT = do_GET

    def log_message(self, *_: Any) -> None:
        pass


class answering:
    """A server with one answer; gives its address and what it was asked."""

    def __init__(self, status: int, body: Any, headers: dict[str, str]) -> None:
        self.server = HTTPServer(("127.0.0.1", 0), _Answering)
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.server.script = (status, body, headers, self.asked)  # type: ignore[attr-defined]

    def __enter__(self) -> tuple[str, list[tuple[str, dict[str, str]]]]:
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}", self.asked

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


async def get(target: Target, wanted: Request) -> Any:
    client = Client(deadline_s=5)
    try:
        return await client.get(target, wanted)
    finally:
        await client.close()


JSON = {"Content-Type": "application/json; charset=utf-8"}


def test_a_key_goes_in_its_header_and_unpacked_bodies_are_asked_for() -> None:
    with answering(200, b"{}", JSON) as (base, asked):
        asyncio.run(
            get(Target(base, Secret("sk-own"), "x-api-key", "", gap_s=0), Request("/v1/x", (("a[]", "b c"),)))
        )
        asyncio.run(get(Target(base, None, gap_s=0), Request("/v1/x")))
    (path, headers), (_, without) = asked
    assert path == "/v1/x?a%5B%5D=b+c"
    assert (headers["x-api-key"], headers["Accept-Encoding"]) == ("sk-own", "identity")
    assert "x-api-key" not in without


def test_loopback_is_asked_without_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """N10."""
    with answering(200, b"{}", JSON) as (base, asked), answering(200, b"{}", JSON) as (proxy, seen):
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy)
        monkeypatch.delenv("NO_PROXY", raising=False)
        asyncio.run(get(Target(base, None, gap_s=0), Request("/x")))
    assert (len(asked), seen) == (1, [])


@pytest.mark.parametrize("path", ["x", "//evil.example/x", "/a/../b", "http://evil.example/"])
def test_an_address_stays_below_its_base(path: str) -> None:
    with pytest.raises(Trouble):
        asyncio.run(get(Target("http://127.0.0.1:9", Secret("k")), Request(path)))


def test_trouble_holds_neither_key_nor_request() -> None:
    with pytest.raises(Trouble) as caught:
        asyncio.run(get(Target("http://127.0.0.1:9", Secret("sk-CANARY-1"), gap_s=0), Request("/x")))
    error: BaseException | None = caught.value
    assert (caught.value.state, caught.value.again) == (Health.UNREACHABLE, True)
    assert error is not None
    assert (error.__cause__, error.__context__) == (None, None)


def test_an_invalid_certificate_is_not_tried_again(tmp_path: Path) -> None:
    import shutil
    import ssl

    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
         "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True,
    )  # fmt: skip
    server = answering(200, b"{}", JSON)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    server.server.handle_error = lambda *_: None  # type: ignore[method-assign]
    with server as (base, asked), pytest.raises(Trouble) as caught:
        asyncio.run(get(Target(base.replace("http:", "https:"), Secret("k"), gap_s=0), Request("/x")))
    assert (caught.value.state, caught.value.again, "certificate" in caught.value.text) == (
        Health.UNREACHABLE,
        False,
        True,
    )
    assert asked == []


def test_a_bomb_is_never_unpacked_in_memory() -> None:
    """48: 512 MiB of spaces in a packed answer, in a process of its own that may not grow so far."""
    script = (
        "import asyncio, resource, sys\n"
        "sys.path.insert(0, '.')\n"
        "from tests.provider_build import serving\n"
        "from tests import fake_provider\n"
        "with serving() as fake:\n"
        "    fake.pull('anthropic', 'cost')\n"
        "    packed = fake_provider.bomb(512)\n"
        "    fake_provider.bomb = lambda mib: packed\n"
        "    fake.mode('bomb:512')\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "    went, _ = fake.pull('anthropic', 'cost')\n"
        "    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "    print(went.state, grown)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, check=False
    )
    state, grown_kib = done.stdout.rsplit(" ", 1)
    assert (state, done.stderr) == ("too big", "")
    assert int(grown_kib) < 64 * 1024 * (1 if sys.platform == "linux" else 1024)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_requests_to_a_host_keep_their_distance() -> None:
    async def run(base: str) -> float:
        client = Client()
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for _ in range(3):
            await client.get(Target(base, None, gap_s=0.1), Request("/x"))
        await client.close()
        return loop.time() - began_s

    with answering(200, b"{}", JSON) as (base, _):
        assert asyncio.run(run(base)) >= 0.2  # a least distance, not a speed


def test_httpx_comes_with_the_first_request_and_not_before() -> None:
    script = (
        "import sys\n"
        "import tokentop.polling.loop, tokentop.runtime, tokentop.collector, tokentop.report.providers\n"
        "from tokentop.providers import all_providers\n"
        "from tokentop.providers.http import Client\n"
        "all_providers(); Client()\n"
        "print([m for m in ('httpx', 'httpcore', 'textual') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY, check=True,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.stdout == "[]\n"


def test_accounts_of_the_settings_are_in_the_path() -> None:
    assert request("xai", "balance").path == f"/v1/billing/teams/{ACCOUNTS['xai']}/prepaid/balance"
    assert request("github", "ai_credit").path == "/organizations/acme/settings/billing/ai_credit/usage"
