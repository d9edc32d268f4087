"""The HTTP side: one asyncio server on 127.0.0.1 with bounds on connections, bodies and time.

Parsing is left to h11. Nothing is answered but a status, a sentence and, as OTLP wants it, how many records could not
be read; a GET changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

import h11

from tokentop.nouns.telemetry import Heard

from . import wire
from .gate import MAX_BODY, Head, Refusal, check, too_big, unpacked

MAX_CONNECTIONS = 64
HEAD_BYTES = 16 << 10
READ_BYTES = 64 << 10
REQUEST_S = 20.0  # for a whole request and its answer
IDLE_S = 90.0  # between two requests of a connection
LINGER_S, LINGER_BYTES = 1.0, 16 << 20  # of a refused body, so that the answer arrives
TURNS = 6
_REJECTED = {"/v1/logs": "rejectedLogRecords", "/v1/metrics": "rejectedDataPoints"}


class Receiver:
    """Listens on `port` (0 = any, see `port` afterwards) until it is cancelled.

    `hear` takes what was told, in this thread, and says whether there was room for it.
    """

    def __init__(self, port: int, token: str, hear: Callable[[Heard], bool]) -> None:
        self.port = port
        self._token, self._hear = token, hear
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, ready: Callable[[], object] = lambda: None) -> None:
        """Raises OSError where the port cannot be had."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, backlog=MAX_CONNECTIONS)
        self.port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        ready()
        try:
            await loop.create_future()
        finally:
            # First no more come, then all are closed: asyncio leaks a connection whose server closes while it begins.
            for listening in server.sockets:
                loop.remove_reader(listening.fileno())
            await self._close_all()
            server.close()

    async def _close_all(self) -> None:
        """Close what is open. asyncio takes some turns to make a connection known that has just come."""
        for _ in range(TURNS):
            for writer in tuple(self._writers):
                writer.transport.abort()
            await asyncio.sleep(0)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin a connection; it is known from here on, so that the end closes it though it has not begun."""
        self._writers.add(writer)
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        try:
            if len(self._writers) > MAX_CONNECTIONS:
                await _answer(connection, writer, 503, {"message": "too many connections"}, close=True)
                return
            while await self._one(connection, reader, writer):
                connection.start_next_cycle()
            await _linger(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, h11.ProtocolError):
            pass  # it has gone, or is no HTTP client: there is nobody to tell
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """One request; whether another one may follow on the connection."""
        try:
            async with asyncio.timeout(IDLE_S):
                request = await _next(connection, reader, writer)
            if not isinstance(request, h11.Request):
                return False
            head = Head(request.method, request.target, request.headers)
            async with asyncio.timeout(REQUEST_S):
                check(head, self.port, self._token)
                body = unpacked(head, await _body(connection, reader, writer))
                document = self._told(head.target.split(b"?")[0].decode(), body)
                await _answer(connection, writer, 200, document)
        except Refusal as refusal:
            document = {"code": refusal.status, "message": refusal.text}
            await _answer(connection, writer, refusal.status, document, close=True)
        except h11.RemoteProtocolError as error:
            if connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                status = error.error_status_hint
                await _answer(connection, writer, status, {"code": status, "message": "not HTTP"}, close=True)
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    def _told(self, path: str, body: bytes) -> dict[str, object]:
        """Hand on what a body tells; the answer, with what could not be read."""
        try:
            heard = (
                wire.logs(body)
                if path == "/v1/logs"
                else wire.metrics(body)
                if path == "/v1/metrics"
                else Heard()
            )
        except wire.BadBody as error:
            raise Refusal(400, str(error)) from None
        if not self._hear(heard):
            raise Refusal(503, "what came before has not been stored yet; send it again")
        if not heard.rejected:
            return {}
        said = f"{heard.rejected} could not be read"
        return {"partialSuccess": {_REJECTED[path]: str(heard.rejected), "errorMessage": said}}


async def _next(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> h11.Event | type[h11.PAUSED]:
    """The next event of the connection."""
    while True:
        event = connection.next_event()
        if event is not h11.NEED_DATA:
            return event  # type: ignore[return-value]
        if connection.they_are_waiting_for_100_continue:
            writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        connection.receive_data(await reader.read(READ_BYTES))


async def _body(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bytes:
    parts = bytearray()
    while isinstance(event := await _next(connection, reader, writer), h11.Data):
        parts += event.data
        if len(parts) > MAX_BODY:
            raise too_big()
    return bytes(parts)


async def _answer(
    connection: h11.Connection, writer: asyncio.StreamWriter, status: int, document: dict[str, object], *,
    close: bool = False,
) -> None:  # fmt: skip
    body = json.dumps(document).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    headers += [("Connection", "close")] if close else []
    headers += [("Retry-After", "5")] if status == 503 else []
    headers += [("WWW-Authenticate", "Bearer")] if status == 401 else []
    data = connection.send(h11.Response(status_code=status, headers=headers)) or b""
    data += connection.send(h11.Data(data=body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    writer.write(data)
    await writer.drain()


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let a client that still sends read the answer: closing at once would take it away from under it."""
    with contextlib.suppress(OSError, TimeoutError):
        writer.write_eof()
        async with asyncio.timeout(LINGER_S):
            seen = 0
            while seen < LINGER_BYTES and (data := await reader.read(READ_BYTES)):
                seen += len(data)
