"""The one careful HTTP client, and the only file that imports httpx.

No redirects, GET only, a cap on the bytes before and after decompression, one deadline over all of an exchange, gaps
between the requests to a host. A key is put into its header at the last moment, only for the host that it belongs to;
what goes wrong is raised as `Trouble` with our own words, never with the library's error behind it.
"""

from __future__ import annotations

import asyncio
import email.utils
import math
import zlib
from collections.abc import Generator
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from msgspec import Struct

from tokentop import __version__
from tokentop.nouns.billing import Health
from tokentop.settings.addresses import is_near
from tokentop.settings.credentials import Secret
from tokentop.text import clean

from .base import Request

if TYPE_CHECKING:
    import httpx

MOST_BYTES = 8 << 20
DEADLINE_S = 20.0
CONNECT_S = 5.0
READ_S = 10.0
_CHUNK = 1 << 16
_LONGEST_WAIT_S = 24 * 3600.0
USER_AGENT = f"tokentop/{__version__}"


class Trouble(Exception):
    """An exchange that gave no answer. `state` says why; `again` whether the same request may be tried at once."""

    def __init__(self, state: Health, text: str, *, again: bool = False) -> None:
        super().__init__(text)
        self.state, self.text, self.again = state, text, again


class Answer(Struct, frozen=True):
    """What came back. `retry_after_s` None = absent, not a time, or not in the future."""

    status: int
    body: bytes
    is_json: bool
    retry_after_s: float | None = None
    date_ms: int = 0  # the provider's clock, 0 = not told


class Target(Struct, frozen=True):
    """Where a provider's API is and how its key is sent. `secret` belongs to this `base_url` alone."""

    base_url: str
    secret: Secret | None
    header: str = "Authorization"
    scheme: str = "Bearer "
    headers: tuple[tuple[str, str], ...] = ()
    gap_s: float = 1.0

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).hostname or ""


class Client:
    """One client for all providers, in one event loop. httpx is imported by the first request."""

    def __init__(self, *, deadline_s: float = DEADLINE_S, most_bytes: int = MOST_BYTES) -> None:
        self._deadline_s, self._most_bytes = deadline_s, most_bytes
        self._clients: dict[bool, httpx.AsyncClient] = {}
        self._gates: dict[str, tuple[asyncio.Lock, list[float]]] = {}

    async def get(self, target: Target, request: Request) -> Answer:
        """Ask once. Raises `Trouble`; nothing else but cancellation."""
        url = _url(target, request)
        trouble = None
        try:
            client = self._client(near=is_near(target.host))  # imports httpx: not a part of the exchange
        except (
            Exception
        ) as error:  # a proxy of the environment that cannot be used; its address may hold a password
            trouble = Trouble(
                Health.UNREACHABLE, f"cannot be asked ({type(error).__name__}); is a proxy set?"
            )
        if trouble is not None:
            raise trouble
        await self._pass_gate(target)
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._exchange(client, target, request, url)
        except Trouble as error:
            trouble = error
        except TimeoutError:
            trouble = Trouble(Health.TIMEOUT, f"no whole answer within {self._deadline_s:g} s", again=True)
        except Exception as error:  # the library's errors hold the request with its headers: they end here
            trouble = _trouble(error)
        raise Trouble(trouble.state, trouble.text, again=trouble.again)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _pass_gate(self, target: Target) -> None:
        """Wait until the host may be asked again; one at a time."""
        loop = asyncio.get_running_loop()
        lock, free_s = self._gates.setdefault(urlsplit(target.base_url).netloc, (asyncio.Lock(), [0.0]))
        async with lock:
            wait_s = free_s[0] - loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            free_s[0] = loop.time() + target.gap_s

    async def _exchange(
        self, client: httpx.AsyncClient, target: Target, request: Request, url: str
    ) -> Answer:
        headers = [
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", USER_AGENT),
        ]
        headers += [*target.headers, *request.headers]
        async with client.stream("GET", url, headers=headers, auth=_with_key(target)) as response:
            if 300 <= response.status_code < 400:
                place = urlsplit(response.headers.get("location", "")).hostname or "another place"
                raise Trouble(Health.REDIRECTED, f"sent on to {clean(place, 80)}; not followed")
            body = await self._body(response)
            return Answer(
                response.status_code, body, _is_json(response.headers.get("content-type", "")),
                _retry_after(response), _date_ms(response.headers.get("date", "")),
            )  # fmt: skip
        raise Trouble(Health.CUT_OFF, "no answer")

    async def _body(self, response: httpx.Response) -> bytes:
        """The body, unpacked by ourselves: the library would unpack a whole chunk of a bomb before we see it."""
        coding = response.headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("", "identity", "gzip"):
            raise Trouble(Health.NOT_JSON, f"packed as {clean(coding, 20)}, which was not asked for")
        length = response.headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > self._most_bytes:
            raise self._too_big()
        unpack = zlib.decompressobj(wbits=31) if coding == "gzip" else None
        raw, body = 0, bytearray()
        async for chunk in response.aiter_raw(_CHUNK):
            raw += len(chunk)
            left = self._most_bytes - len(body)
            try:
                body += unpack.decompress(chunk, left + 1) if unpack is not None else chunk[: left + 1]
            except zlib.error:
                raise Trouble(Health.NOT_JSON, "packed badly", again=True) from None
            if raw > self._most_bytes or len(body) > self._most_bytes:
                raise self._too_big()
        if unpack is not None and not unpack.eof:
            raise Trouble(Health.CUT_OFF, "the answer ended before its end", again=True)
        return bytes(body)

    def _too_big(self) -> Trouble:
        return Trouble(Health.TOO_BIG, f"more than {self._most_bytes >> 20} MiB")

    def _client(self, *, near: bool) -> httpx.AsyncClient:
        """Proxies of the environment are for remote hosts; this machine is asked directly."""
        if near not in self._clients:
            import httpx

            self._clients[near] = httpx.AsyncClient(
                timeout=httpx.Timeout(READ_S, connect=CONNECT_S), follow_redirects=False, trust_env=not near,
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=4, keepalive_expiry=30),
            )  # fmt: skip
        return self._clients[near]


def _with_key(target: Target) -> httpx.Auth:
    """Puts the key into its header while the request is on its way to the host that the key belongs to."""
    import httpx

    class _Key(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
            own = urlsplit(target.base_url)
            here = request.url
            same = (here.scheme, here.host, here.port) == (
                own.scheme,
                own.hostname,
                _port(own.scheme, own.port),
            )
            if target.secret is not None and same:
                request.headers[target.header] = target.scheme + target.secret.reveal()
            yield request

    return _Key()


def _port(scheme: str, port: int | None) -> int | None:
    """As httpx counts: the usual port of a scheme is None."""
    return None if port == {"https": 443, "http": 80}.get(scheme) else port


def _url(target: Target, request: Request) -> str:
    """The address: always below the base, never with a credential."""
    path = request.path
    if not path.startswith("/") or path.startswith("//") or ".." in path.split("/"):
        raise Trouble(Health.REFUSED, "the address of the report cannot be used")
    query = f"?{urlencode(request.query)}" if request.query else ""
    return target.base_url.rstrip("/") + quote(path, safe="/:@-._~") + query


def _trouble(error: Exception) -> Trouble:
    """The library's error in our words."""
    import ssl

    import httpx

    if isinstance(error, httpx.TimeoutException):
        return Trouble(Health.TIMEOUT, "no answer in time", again=True)
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return Trouble(Health.CUT_OFF, "the answer was cut off", again=True)
    if isinstance(error, httpx.TransportError):
        causes = (error, error.__cause__, error.__context__)
        tls = "CERTIFICATE" in str(error).upper() or any(isinstance(one, ssl.SSLError) for one in causes)
        return Trouble(
            Health.UNREACHABLE, "its certificate is not valid" if tls else "no connection", again=not tls
        )
    return Trouble(Health.UNREACHABLE, f"cannot be asked ({type(error).__name__})")


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds to wait: a number, or a date by the provider's own clock, whatever ours says. At most a day."""
    value = response.headers.get("retry-after", "").strip()
    seconds = _seconds(value)
    if seconds is None and value:
        until_ms, now_ms = _date_ms(value), _date_ms(response.headers.get("date", ""))
        seconds = (until_ms - now_ms) / 1000 if until_ms and now_ms else None
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(seconds, _LONGEST_WAIT_S)


def _seconds(value: str) -> float | None:
    try:
        return float(value) if len(value) <= 20 else None
    except ValueError:
        return None


def _date_ms(value: str) -> int:
    """An HTTP date as UTC milliseconds; 0 for what is none."""
    if not value or len(value) > 64:
        return 0
    try:
        return int(email.utils.parsedate_to_datetime(value).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, OSError):
        return 0
