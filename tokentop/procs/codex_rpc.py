"""Stops a Codex turn over the daemon's control socket: JSON-RPC in WebSocket frames over AF_UNIX.

The wire (RFC 6455, without TLS and extensions): an HTTP upgrade, then masked client frames. Messages have
no `jsonrpc` key; notifications come between replies, so replies are found by their id.
"""

from __future__ import annotations

import base64
import os
import socket
import struct
import time
from typing import Any

import msgspec

from tokentop import __version__
from tokentop.text import clean

LIMIT_S = 6.0
_MESSAGE_BYTES_MAX = 64 << 20
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class RpcError(Exception):
    """The daemon could not be asked or refused; the message is in words and safe to show."""


class ControlSocket:
    """One connection with a time limit over everything. Raises RpcError."""

    def __init__(self, path: str, limit_s: float = LIMIT_S) -> None:
        self._end_s = time.monotonic() + limit_s
        self._buffer = bytearray()
        self._id = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The name is a symlink because the path of a socket may have 107 bytes only.
            self._within_limit()
            self._socket.connect(os.path.realpath(path))
            self._upgrade()
            client = {"name": "tokentop", "title": "tokentop", "version": __version__}
            self.call("initialize", {"clientInfo": client})
            self._send({"method": "initialized"})
        except OSError as error:
            self.close()
            raise RpcError(f"the daemon's control socket does not answer: {_words(error)}") from error
        except RpcError:
            self.close()
            raise

    def close(self) -> None:
        self._socket.close()

    def over(self) -> bool:
        """Whether the time limit is reached."""
        return time.monotonic() >= self._end_s

    def call(self, method: str, params: dict[str, Any]) -> Any:
        """Send one request and return its `result`."""
        self._id += 1
        wanted = self._id
        try:
            self._send({"id": wanted, "method": method, "params": params})
            while True:
                message = self._receive()
                if isinstance(message, dict) and message.get("id") == wanted and "method" not in message:
                    break
        except OSError as error:
            raise RpcError(f"no reply to {method}: {_words(error)}") from error
        if "error" in message:
            error_text = message["error"].get("message", "") if isinstance(message["error"], dict) else ""
            raise RpcError(f"{method} was refused: {clean(str(error_text)) or 'no reason given'}")
        return message.get("result")

    def _within_limit(self) -> None:
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._socket.settimeout(left_s)

    def _upgrade(self) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        self._within_limit()
        self._socket.sendall(request.encode())
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
            if len(self._buffer) > 65536:
                raise RpcError("the control socket does not speak WebSocket")
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        status = head.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or status[1] != b"101":
            raise RpcError("the control socket does not speak WebSocket")
        self._buffer = bytearray(rest)

    def _fill(self) -> None:
        self._within_limit()
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("closed by the daemon")
        self._buffer += data

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._fill()
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _send(self, message: dict[str, Any]) -> None:
        self._send_frame(_TEXT, msgspec.json.encode(message))

    def _send_frame(self, opcode: int, data: bytes) -> None:
        head = bytes([0x80 | opcode])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        elif len(data) < 1 << 16:
            head += bytes([0x80 | 126]) + struct.pack(">H", len(data))
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", len(data))
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[index & 3] for index, byte in enumerate(data))
        self._within_limit()
        self._socket.sendall(head + mask + masked)

    def _receive(self) -> Any:
        """The next message; pings are answered, fragments put together."""
        message = bytearray()
        while True:
            first, second = self._take(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack(">H", self._take(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", self._take(8))[0]
            if size + len(message) > _MESSAGE_BYTES_MAX:
                raise RpcError("the daemon's reply is too large")
            mask = self._take(4) if second & 0x80 else b""
            data = self._take(size)
            if mask:
                data = bytes(byte ^ mask[index & 3] for index, byte in enumerate(data))
            opcode = first & 0x0F
            if opcode == _CLOSE:
                raise ConnectionError("closed by the daemon")
            if opcode == _PING:
                self._send_frame(_PONG, data)
            if opcode in (0, _TEXT):
                message += data
                if first & 0x80:
                    try:
                        return msgspec.json.decode(message)
                    except ValueError as error:
                        raise RpcError("the daemon's reply is not JSON") from error


def interrupt_turn(path: str, thread_id: str, limit_s: float = LIMIT_S) -> str:
    """Interrupt the running turn of a thread; returns its turn id, "" = no turn was running.

    Raises RpcError, also when the turn still runs at the end of the time limit.
    """
    control = ControlSocket(path, limit_s)
    try:
        turn_id = _running_turn(control, thread_id)
        if not turn_id:
            return ""
        control.call("turn/interrupt", {"threadId": thread_id, "turnId": turn_id})
        while _running_turn(control, thread_id) == turn_id:
            time.sleep(0.1)
        return turn_id
    finally:
        control.close()


def _running_turn(control: ControlSocket, thread_id: str) -> str:
    """The turn in progress, "" = none. Threads in the paginated form list their turns apart."""
    try:
        thread = _dict(
            _dict(control.call("thread/read", {"threadId": thread_id, "includeTurns": True})).get("thread")
        )
        turn_id = _in_progress(thread.get("turns"))
        if turn_id or _kind(thread.get("status")) != "active":
            return turn_id
    except RpcError:
        if control.over():
            raise
    page = _dict(control.call("thread/turns/list", {"threadId": thread_id}))
    return _in_progress(page.get("data"))


def _in_progress(turns: object) -> str:
    for turn in turns if isinstance(turns, list) else ():
        if _kind(_dict(turn).get("status")) == "inProgress":
            return str(_dict(turn).get("id", ""))
    return ""


def _kind(status: object) -> object:
    return _dict(status).get("type") if isinstance(status, dict) else status


def _dict(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "time limit reached"
    return clean(error.strerror or str(error))
