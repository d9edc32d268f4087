"""What the tests of providers share: the fake server, a pull against it, states."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from tokentop.nouns.billing import DAY_MS
from tokentop.polling.pull import Pulled, pull
from tokentop.polling.schedule import Went
from tokentop.providers import provider
from tokentop.providers.base import Ask, Request
from tokentop.providers.http import Client, Target
from tokentop.settings.credentials import Secret

from . import fake_provider

NOW = datetime(2026, 11, 21, 20, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
TODAY = NOW_MS // DAY_MS
KEYS = {
    "anthropic": "sk-ant-admin01-fake", "openai": "sk-admin-fake", "openrouter": "sk-or-v1-mgmt-fake",
    "github": "gho_fake", "claude_oauth": "sk-ant-oat01-fake", "codex_wham": "eyJfake",
}  # fmt: skip
ACCOUNTS = {"github": "orgs/acme", "xai": "team-1"}


def ask(days: int = 0, *, level: int = 0, account: str = "") -> Ask:
    """Today and so many days before it."""
    return Ask(NOW_MS, TODAY - days, TODAY + 1, account, "127.0.0.1", level)


class Fake:
    """The fake server with its controls."""

    def __init__(self, server: fake_provider.Server) -> None:
        self.server = server
        self.base = f"http://127.0.0.1:{server.server_address[1]}"

    def control(self, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.base}/__fake__/{name}", data) as reply:
            found: dict[str, Any] = json.loads(reply.read())
        return found

    def mode(self, mode: str, prefix: str = "/") -> None:
        self.control("mode", {"prefix": prefix, "mode": mode})

    def log(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control("log")["requests"]
        return found

    def target(self, provider_id: str, key: str | None = None) -> Target:
        one = provider(provider_id)
        secret = Secret(key or KEYS.get(provider_id, "fake"))
        return Target(self.base, secret, one.header, one.scheme, one.headers, 0.0)

    def pull(
        self, provider_id: str, source: str, *, days: int = 0, key: str | None = None, deadline_s: float = 20.0,
        most_bytes: int = 8 << 20, waits: list[float] | None = None,
    ) -> tuple[Went, Pulled]:  # fmt: skip
        """One pull through the real client; what it waited between its attempts is noted, not waited."""

        async def run() -> tuple[Went, Pulled]:
            client = Client(deadline_s=deadline_s, most_bytes=most_bytes)

            async def no_wait(seconds: float) -> None:
                if waits is not None:
                    waits.append(seconds)

            try:
                wanted = ask(days, account=ACCOUNTS.get(provider_id, ""))
                report = provider(provider_id).source(source)
                target = self.target(provider_id, key)
                return await pull(client, target, report, wanted, sleep=no_wait, chance=lambda: 0.0)
            finally:
                await client.close()

        return asyncio.run(run())


@contextmanager
def serving(**options: Any) -> Iterator[Fake]:
    server = fake_provider.serve(0, **({"now": NOW} | options))
    try:
        yield Fake(server)
    finally:
        server.shutdown()
        server.server_close()


def request(provider_id: str, source: str, days: int = 0) -> Request:
    return provider(provider_id).source(source).requests(ask(days, account=ACCOUNTS.get(provider_id, "")))[0]
