"""Who may tell what: decided from the head of a request, before a byte of its body is read. Pure."""

from __future__ import annotations

import hmac
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from tokentop.nouns.telemetry import PATHS

MAX_BODY = 8 << 20  # as sent, and unpacked
_HOSTS = (b"127.0.0.1", b"localhost", b"[::1]")
_JSON = b"application/json"
_HINT = (
    "only http/json is understood: set OTEL_EXPORTER_OTLP_PROTOCOL=http/json (tokentop hook show telemetry)"
)


class Refusal(Exception):
    """A request that is not taken: its status and a sentence that quotes nothing of it."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text


class Head(NamedTuple):
    method: bytes
    target: bytes
    headers: Sequence[tuple[bytes, bytes]]

    def get(self, name: bytes) -> bytes | None:
        return next((value for known, value in self.headers if known == name), None)


def check(head: Head, port: int, token: str) -> None:
    """Raise the Refusal that a request deserves: a web page's, a stranger's, one in another form."""
    hosts = [host + b":%d" % port for host in _HOSTS]
    named = [value for name, value in head.headers if name == b"host"]
    if len(named) != 1 or named[0].lower() not in hosts:
        raise Refusal(421, "this is 127.0.0.1 and answers to no other name")
    if head.get(b"origin") is not None or (head.get(b"sec-fetch-site") or b"none") != b"none":
        raise Refusal(403, "requests of web pages are refused")
    given = (head.get(b"authorization") or b"").replace(b"%20", b" ", 1)  # some exporters leave it encoded
    kind, _, secret = given.partition(b" ")
    if kind.lower() != b"bearer" or not hmac.compare_digest(secret.strip(), token.encode()):
        raise Refusal(401, "the token is missing or wrong: tokentop hook show telemetry")
    if head.target.split(b"?")[0].decode("ascii", "replace") not in PATHS:
        raise Refusal(404, "there are /v1/logs, /v1/metrics and /v1/traces")
    if head.method != b"POST":
        raise Refusal(405, "POST alone is understood")
    if (head.get(b"content-type") or b"").split(b";")[0].strip().lower() != _JSON:
        raise Refusal(415, _HINT)
    if _packing(head) not in (b"", b"identity", b"gzip"):
        raise Refusal(415, "bodies may be plain or gzip")
    length = head.get(b"content-length")
    if length is not None and int(length) > MAX_BODY:
        raise too_big()


def too_big() -> Refusal:
    return Refusal(413, f"a body has at most {MAX_BODY >> 20} MiB")


def _packing(head: Head) -> bytes:
    return (head.get(b"content-encoding") or b"").strip().lower()


def unpacked(head: Head, body: bytes) -> bytes:
    """The body as it was before it was packed; never more than MAX_BODY is held. Raises Refusal."""
    if _packing(head) != b"gzip":
        return body
    stream = zlib.decompressobj(wbits=31)
    try:
        found = stream.decompress(body, MAX_BODY + 1)
    except zlib.error:
        raise Refusal(400, "not a gzip body") from None
    if len(found) > MAX_BODY:
        raise too_big()
    if not stream.eof or stream.unused_data:
        raise Refusal(400, "not one whole gzip body")
    return found
