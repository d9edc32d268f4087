"""A Codex control socket: WebSocket over AF_UNIX in a thread, with a turn in each of its threads."""

import base64
import hashlib
import json
import socket
import struct
import threading
import uuid
from pathlib import Path

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class ControlServer:
    """Answers as the daemon does. `mode`: normal, silent, refuse, http, paginated, drop, stubborn."""

    def __init__(self, path: Path, *thread_ids: str, turn_id: str = "turn-7", mode: str = "normal") -> None:
        self.turn_id, self.mode = turn_id, mode
        self.turns = {one for one in thread_ids if turn_id}  # the threads whose turn runs
        self.requests: list[tuple[str, dict]] = []
        self.faults: list[BaseException] = []
        # short: the name of a socket has 107 bytes
        real = path.parent.parent.parent / f"s{uuid.uuid4().hex[:8]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(real))
        self.listener.listen()
        path.symlink_to(real)
        self.worker = threading.Thread(target=self._serve, daemon=True)
        self.worker.start()

    @property
    def running(self) -> bool:
        return bool(self.turns)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.worker.join(5)
        assert self.faults == []

    def methods(self) -> list[str]:
        return [method for method, _ in self.requests]

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                try:
                    self._talk(peer)
                except (ConnectionError, EOFError):
                    pass
                except BaseException as error:
                    self.faults.append(error)

    def _talk(self, peer: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += _some(peer)
        if self.mode == "http":
            peer.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")
            return
        key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(key.split(b": ")[1] + GUID).digest())
        reply = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        peer.sendall(reply + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        while True:
            message = json.loads(_frame(peer))
            self.requests.append((message["method"], message.get("params", {})))
            assert "jsonrpc" not in message
            if self.mode == "drop" and message["method"] == "turn/interrupt":
                return
            if "id" in message and self.mode != "silent":
                self._answer(peer, message)

    def _answer(self, peer: socket.socket, message: dict) -> None:
        _send(peer, {"method": "thread/status/changed", "params": {"id": message["id"]}})
        _send(peer, {"id": 900, "method": "item/commandExecution/requestApproval", "params": {}})
        _raw(peer, 9, b"ping")
        body = {"id": message["id"], "result": self._result(message)}
        if self.mode == "refuse" and message["method"] != "initialize":
            body = {"id": message["id"], "error": {"code": -32600, "message": "thread not found\x1b[31m"}}
        _send(peer, body)

    def _result(self, message: dict) -> dict:
        thread_id = message.get("params", {}).get("threadId", "")
        if message["method"] == "turn/interrupt" and self.mode != "stubborn":
            self.turns.discard(thread_id)
        running = thread_id in self.turns
        turn = {"id": self.turn_id, "status": "inProgress" if running else "interrupted"}
        turns = [{"id": "turn-6", "status": "completed", "items": ["x" * 70_000]}, turn]
        if message["method"] == "thread/turns/list":
            return {"data": turns}
        if message["method"] == "thread/read":
            status = {"type": "active" if running else "idle"}
            return {
                "thread": {
                    "id": thread_id,
                    "status": status,
                    "turns": [] if self.mode == "paginated" else turns,
                }
            }
        return {}


def _some(peer: socket.socket) -> bytes:
    data = peer.recv(1 << 16)
    if not data:
        raise EOFError
    return data


def _exactly(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


def _frame(peer: socket.socket) -> bytes:
    """The next text frame; client frames must be masked."""
    while True:
        first, second = _exactly(peer, 2)
        assert second & 0x80, "a client frame must be masked"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", _exactly(peer, 2))
        mask = _exactly(peer, 4)
        data = bytes(byte ^ mask[index & 3] for index, byte in enumerate(_exactly(peer, size)))
        if first & 0x0F == 1:
            return data


def _raw(peer: socket.socket, opcode: int, data: bytes, *, last: bool = True) -> None:
    head = bytes([(0x80 if last else 0) | opcode])
    if len(data) < 126:
        head += bytes([len(data)])
    elif len(data) < 1 << 16:
        head += bytes([126]) + struct.pack(">H", len(data))
    else:
        head += bytes([127]) + struct.pack(">Q", len(data))
    peer.sendall(head + data)


def _send(peer: socket.socket, message: dict) -> None:
    """One message, in two fragments where it is long enough."""
    data = json.dumps(message).encode()
    if len(data) < 40:
        _raw(peer, 1, data)
        return
    middle = len(data) - 20
    _raw(peer, 1, data[:middle], last=False)
    _raw(peer, 0, data[middle:])


def socket_path(home: Path, folder: str = ".codex") -> Path:
    return home / folder / "app-server-control/app-server-control.sock"
