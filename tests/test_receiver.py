"""The receiver of telemetry over real sockets: who may tell what, and that nothing else gets in or out.

Numbers in the docstrings are those of the conformance list in docs/providers.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import gzip
import json
import os
import socket
import stat
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tokentop.engine.sums import Sums
from tokentop.nouns.telemetry import Counter, Heard
from tokentop.nouns.usage import Tokens
from tokentop.receiver import gate, server, wire
from tokentop.receiver.secret import NAME, NoToken, token
from tokentop.receiver.server import Receiver

from .telemetry_build import TOKEN, answer, body, calls, exchange, request

EMPTY = b'{"resourceLogs": []}'


class Listening(Receiver):
    """A receiver in a thread of its own; `told` is what it was told."""

    def __init__(self) -> None:
        self.told: list[Heard] = []
        self.room = True
        super().__init__(0, TOKEN, self._take)
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        self._thread.start()
        assert self._ready.wait(60)

    def _take(self, heard: Heard) -> bool:
        if self.room:
            self.told.append(heard)
        return self.room

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.ensure_future(self.run(self._ready.set))
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def listening() -> Iterator[Listening]:
    subject = Listening()
    yield subject
    subject.close()


# ---------------------------------------------------------------- who may


def bomb(size: int) -> bytes:
    return gzip.compress(b" " * size, 9)


REFUSED: dict[str, tuple[int, dict[str, str | None], bytes]] = {
    "another name": (421, {"Host": "evil.example"}, EMPTY),
    "a name that points here": (421, {"Host": "evil.example:PORT"}, EMPTY),
    "another port": (421, {"Host": "127.0.0.1:1"}, EMPTY),
    "a web page": (403, {"Origin": "http://127.0.0.1:PORT"}, EMPTY),
    "a web page without a name": (403, {"Origin": "null"}, EMPTY),
    "a fetch": (403, {"Sec_Fetch_Site": "cross-site"}, EMPTY),
    "no token": (401, {"Authorization": None}, EMPTY),
    "another token": (401, {"Authorization": "Bearer x" + TOKEN[1:]}, EMPTY),
    "a part of the token": (401, {"Authorization": "Bearer " + TOKEN[:-1]}, EMPTY),
    "basic": (401, {"Authorization": "Basic " + TOKEN}, EMPTY),
    "protobuf": (415, {"Content_Type": "application/x-protobuf"}, b"\x0a\x00"),
    "text": (415, {"Content_Type": "text/plain"}, EMPTY),
    "brotli": (415, {"Content_Encoding": "br"}, EMPTY),
    "9 MB": (413, {}, b" " * 9_000_000),
    "9 MB announced": (413, {"Content_Length": "9000000"}, b"{"),
    "a gzip bomb": (413, {"Content_Encoding": "gzip"}, bomb(200 << 20)),
    "half a gzip body": (400, {"Content_Encoding": "gzip"}, gzip.compress(EMPTY)[:-4]),
    "no gzip body": (400, {"Content_Encoding": "gzip"}, EMPTY),
    "no JSON": (400, {}, b"{"),
    "deep JSON": (400, {}, b"[" * 200_000),
    "another shape": (400, {}, b'{"resourceLogs": 7}'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(listening: Listening, case: str) -> None:
    """71: and nothing of it is taken."""
    status, headers, data = REFUSED[case]
    named = {name: value and value.replace("PORT", str(listening.port)) for name, value in headers.items()}
    found, document = exchange(listening.port, request(listening.port, data, **named))
    assert (found, document["code"]) == (status, status)
    assert TOKEN not in str(document)
    assert listening.told == []


def test_protobuf_is_told_what_to_set(listening: Listening) -> None:
    """71: the word of the exporter's own log."""
    data = request(listening.port, b"\x0a\x00", Content_Type="application/x-protobuf")
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/json" in exchange(listening.port, data)[1]["message"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /v1/logs HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n", 405),
        (b"POST /v1/other HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n", 404),
        (b"POST /v1/logs HTTP/1.1\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.0\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n", 421),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        (b"POST /v1/logs HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nX: " + b"x" * 100_000, 431),
        (b"OPTIONS /v1/logs HTTP/1.1\r\nHost: 127.0.0.1:PORT\r\nOrigin: https://a.example\r\n\r\n", 403),
    ],
    ids=["GET", "another path", "no Host", "old HTTP", "TLS", "huge head", "preflight"],
)  # fmt: skip
def test_other_requests(listening: Listening, data: bytes, status: int) -> None:
    assert exchange(listening.port, data.replace(b"PORT", b"%d" % listening.port))[0] == status
    assert listening.told == []


def test_it_listens_on_loopback_alone(listening: Listening) -> None:
    bound = [
        c.laddr
        for c in psutil.Process().net_connections("tcp")
        if c.status == "LISTEN" and c.laddr.port == listening.port
    ]
    assert [address.ip for address in bound] == ["127.0.0.1"]


def test_a_bomb_costs_no_memory() -> None:
    """71: 200 MiB of spaces in 200 kB; what is unpacked is bounded."""
    packed = bomb(200 << 20)
    head = gate.Head(b"POST", b"/v1/logs", [(b"content-encoding", b"gzip")])
    tracemalloc.start()
    try:
        with pytest.raises(gate.Refusal) as refused:
            gate.unpacked(head, packed)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert refused.value.status == 413
    assert most < 3 * gate.MAX_BODY


# ---------------------------------------------------------------- how it is sent


def test_a_connection_is_used_again_and_bodies_come_in_pieces(listening: Listening) -> None:
    data = body("codex_logs")
    chunks = (
        b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:7], data[7:5000], data[5000:]))
        + b"0\r\n\r\n"
    )
    packed = gzip.compress(data)
    with socket.create_connection(("127.0.0.1", listening.port), timeout=30) as connection:
        for sent in (
            request(listening.port, data),
            request(listening.port, b"", Content_Length=None, Transfer_Encoding="chunked") + chunks,
            request(listening.port, packed, Content_Encoding="gzip"),
            request(listening.port, data, Authorization=f"Bearer%20{TOKEN}"),  # as some exporters send it
            request(listening.port, data, Host=f"localhost:{listening.port}"),
            request(listening.port, b'{"resourceSpans": 1}', path="/v1/traces"),
        ):
            connection.sendall(sent)
            assert answer(connection) == (200, {})
    assert [len(heard.calls) for heard in listening.told] == [2, 2, 2, 2, 2, 0]


def test_a_chunked_body_has_a_bound_too(listening: Listening) -> None:
    part = b"%x\r\n%b\r\n" % (1 << 20, b" " * (1 << 20))
    data = (
        request(listening.port, b"", Content_Length=None, Transfer_Encoding="chunked")
        + part * 9
        + b"0\r\n\r\n"
    )
    assert exchange(listening.port, data)[0] == 413


def test_who_asks_before_sending_is_told_to_go_on(listening: Listening) -> None:
    data = request(listening.port, EMPTY, Expect="100-continue")
    with socket.create_connection(("127.0.0.1", listening.port), timeout=30) as connection:
        connection.sendall(data[: -len(EMPTY)])
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(EMPTY)
        assert answer(connection) == (200, {})


def test_connections_are_bounded(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    held = [socket.create_connection(("127.0.0.1", listening.port), timeout=30) for _ in range(3)]
    try:
        for connection in held:
            connection.sendall(request(listening.port, EMPTY))
            assert answer(connection) == (200, {})
        with socket.create_connection(("127.0.0.1", listening.port), timeout=30) as one_more:
            assert answer(one_more)[0] == 503
    finally:
        for connection in held:
            connection.close()


def test_a_client_that_stops_in_the_middle_is_let_go(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "REQUEST_S", 0.2)
    with socket.create_connection(("127.0.0.1", listening.port), timeout=30) as connection:
        connection.sendall(request(listening.port, EMPTY)[:-3])
        assert connection.recv(100) == b""
    assert listening.told == []


def test_without_room_it_is_to_be_sent_again(listening: Listening) -> None:
    listening.room = False
    assert exchange(listening.port, request(listening.port, EMPTY))[0] == 503
    listening.room = True
    assert exchange(listening.port, request(listening.port, EMPTY)) == (200, {})


def test_what_cannot_be_read_is_counted_and_the_rest_is_taken(listening: Listening) -> None:
    """OTLP's partial success."""
    document = json.loads(body("claude_logs"))
    records = document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    good = len(records)
    records[1:1] = [{"attributes": 7}, {"timeUnixNano": "never"}, "text", {"attributes": []}]
    status, found = exchange(listening.port, request(listening.port, json.dumps(document).encode()))
    assert (status, found["partialSuccess"]["rejectedLogRecords"]) == (200, "4")
    assert (len(listening.told[0].calls), listening.told[0].records) == (2, good + 4)


# ---------------------------------------------------------------- what it means


def test_calls_of_real_clients() -> None:
    """67, 68: what Claude Code 2.1.330, Codex 0.169.0, Gemini CLI 0.61.0 and Qwen Code 0.24.4 sent of two calls."""
    assert [(c.request_id, c.tokens, c.duration_ms) for c in calls("claude")] == [
        ("req_964e0d_00001", Tokens(41, 11007, 5503, 5503, 1001), 97),
        ("req_964e0d_00002", Tokens(42, 19898, 2210, 0, 1002), 115),
    ]
    # Each response is told twice, once with counts; 9938 of input hold 4949 cached ones, and tool_token_count is a sum.
    assert [c.tokens for c in calls("codex")] == [
        Tokens(4989, 4949, output=1001),
        Tokens(1041, 8998, output=1304, reasoning=302),
    ]
    assert [c.tokens for c in calls("gemini")] == [
        Tokens(6143, 6102, output=1001),
        Tokens(1273, 11081, output=1304, reasoning=302),
    ]
    assert [c.tokens for c in calls("qwen")] == [
        Tokens(9903, 9862, output=1001),
        Tokens(2025, 17849, output=1304, reasoning=302),
    ]
    for agent in ("claude", "codex", "gemini", "qwen"):
        assert all(c.agent == agent and c.session_id and c.model and c.telemetry for c in calls(agent))


def test_integers_may_be_text() -> None:
    """68: `{"intValue": "800"}` is 800, in records and in points."""
    data = body("claude_logs")
    document = json.loads(data)
    for record in document["resourceLogs"][0]["scopeLogs"][0]["logRecords"]:
        for one in record["attributes"]:
            if "intValue" in one["value"]:
                one["value"]["intValue"] = str(one["value"]["intValue"])
    assert wire.logs(json.dumps(document).encode()) == wire.logs(data)


def test_no_text_of_a_prompt_or_an_answer_gets_past_the_decoder() -> None:
    """70: the bodies hold prompts and answers, what is told of them does not."""
    for agent, text in (("gemini", "response_text"), ("qwen", "prompt")):
        assert text in body(f"{agent}_logs").decode()
        told = repr(wire.logs(body(f"{agent}_logs")))
        assert "@@multi@@" in body(f"{agent}_logs").decode()
        assert "@@multi@@" not in told
        assert "scripted" not in told


def points(values: list[tuple[int, int, int]], temporality: int) -> bytes:
    """A metric body: (start, time, value) of one series each request."""
    document = json.loads(body("claude_metrics"))
    for scope in document["resourceMetrics"][0]["scopeMetrics"]:
        scope["metrics"] = [m for m in scope["metrics"] if m["name"] == "claude_code.token.usage"]
        for metric in scope["metrics"]:
            [point] = metric["sum"]["dataPoints"][:1]
            metric["sum"]["aggregationTemporality"] = temporality
            metric["sum"]["dataPoints"] = [
                point | {"startTimeUnixNano": str(start), "timeUnixNano": str(at), "asDouble": value}
                for start, at, value in values
            ]
    return json.dumps(document).encode()


def test_differences_and_running_sums_have_the_same_total() -> None:
    """69: also when a point is sent again, and when the client begins anew."""
    delta, running = Sums(), Sums()
    for values in ([(1, 10, 100)], [(10, 20, 50)], [(10, 20, 50)], [(30, 40, 7)]):
        delta.add(wire.metrics(points(values, 1)).counters)
    for values in ([(1, 10, 100)], [(1, 20, 150)], [(1, 20, 150)], [(30, 40, 7)]):
        running.add(wire.metrics(points(values, 2)).counters)
    assert delta.totals == running.totals == {"claude": {"input": 157}}


def test_metrics_of_real_clients() -> None:
    """69: Claude Code sends differences, Gemini CLI running sums."""
    found = Sums()
    for agent in ("claude", "gemini"):
        heard = wire.metrics(body(f"{agent}_metrics"))
        assert {one.cumulative for one in heard.counters} == {agent == "gemini"}
        found.add(heard.counters)
        found.add(heard.counters)
    assert found.totals == {
        "claude": {"input": 170, "output": 4010, "cacheRead": 70990, "cacheCreation": 17669},
        "gemini": {"input": 49637, "output": 4010, "cache": 39639, "thought": 302, "tool": 0},
    }


def test_sums_hold_a_bounded_number_of_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokentop.engine.sums.MAX_SERIES", 10)
    found = Sums()
    found.add(Counter("claude", "input", series, 1, 2, 1, True) for series in range(1000))
    assert found.totals == {"claude": {"input": 1000}}
    assert len(found._last) == 10


# ---------------------------------------------------------------- the token


def test_the_token_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    made = token(tmp_path)
    assert (len(made) >= 40, token(tmp_path)) == (True, made)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_a_token_that_others_know_is_not_used(tmp_path: Path) -> None:
    made = token(tmp_path)
    (tmp_path / NAME).chmod(0o644)
    with pytest.raises(NoToken, match="chmod 600") as refused:
        token(tmp_path)
    assert made not in str(refused.value)
    (tmp_path / NAME).rename(tmp_path / "real")
    os.symlink(tmp_path / "real", tmp_path / NAME)
    with pytest.raises(NoToken):
        token(tmp_path)
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).write_text("short\n")
    (tmp_path / NAME).chmod(0o600)
    with pytest.raises(NoToken, match="no token"):
        token(tmp_path)


def test_the_end_closes_what_has_just_come() -> None:
    """A connection that was accepted and not yet begun; warnings of what is left open are errors here."""
    for _ in range(20):
        subject = Listening()
        held = [socket.create_connection(("127.0.0.1", subject.port), timeout=30) for _ in range(5)]
        held[0].sendall(request(subject.port, EMPTY)[:-4])
        subject.close()
        for connection in held:
            connection.close()
    gc.collect()
