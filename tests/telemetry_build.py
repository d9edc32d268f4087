"""What the tests of telemetry share: bodies as real clients sent them, a socket to send them, logs of the same calls."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from tokentop.nouns.usage import Usage
from tokentop.receiver import wire

from .faults import PROJECT, dumps, stamp

BODIES = Path(__file__).parent / "telemetry"
TOKEN = "t" * 43


def body(name: str) -> bytes:
    """A body that a real client sent, shortened; ids of users and folders are invented."""
    return (BODIES / f"{name}.json").read_bytes()


def moved(data: bytes, now_ns: int) -> bytes:
    """The same calls, a second ago."""
    document = json.loads(data)
    for batch in document["resourceLogs"]:
        for record in (one for scope in batch["scopeLogs"] for one in scope["logRecords"]):
            record["timeUnixNano"] = record["observedTimeUnixNano"] = str(now_ns - 1_000_000_000)
    return json.dumps(document).encode()


def calls(agent: str) -> tuple[Usage, ...]:
    return wire.logs(body(f"{agent}_logs")).calls


def request(
    port: int,
    data: bytes,
    *,
    path: str = "/v1/logs",
    method: str = "POST",
    token: str = TOKEN,
    **headers: str | None,
) -> bytes:
    """A request as bytes; a header that is None is left out."""
    given: dict[str, str | None] = {
        "Host": f"127.0.0.1:{port}", "Authorization": f"Bearer {token}", "Content-Type": "application/json",
        "Content-Length": str(len(data)),
    }  # fmt: skip
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in given.items() if value is not None),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + data


def exchange(port: int, data: bytes) -> tuple[int, dict[str, Any]]:
    """Send the bytes on a connection of its own; (status, document) of the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        return answer(connection)


def answer(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += (more := connection.recv(65536))
        assert more, received
    head, _, rest = received.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    while len(rest) < int(fields[b"content-length"]):
        rest += (more := connection.recv(65536))
        assert more, received
    assert fields[b"content-type"] == b"application/json"
    assert not any(name.startswith(b"access-control") for name in fields)
    return int(head.split()[1]), json.loads(rest)


def claude_line(call: Usage, number: int, **changes: Any) -> bytes:
    """The line of Claude Code's transcript for a call that its telemetry told."""
    tokens = call.tokens
    written = {
        "ephemeral_5m_input_tokens": tokens.cache_write_5m,
        "ephemeral_1h_input_tokens": tokens.cache_write_1h,
    }
    usage = {
        "input_tokens": tokens.input, "cache_read_input_tokens": tokens.cache_read, "output_tokens": tokens.output,
        "cache_creation_input_tokens": sum(written.values()), "cache_creation": written,
    }  # fmt: skip
    message = {
        "id": f"msg_{number}",
        "model": call.model,
        "role": "assistant",
        "stop_reason": "end_turn",
        "usage": usage,
    }
    line = {
        "type": "assistant", "message": message, "sessionId": call.session_id, "uuid": f"u-{number}",
        "requestId": call.request_id, "cwd": f"/home/me/{PROJECT}", "version": "2.1.330", "timestamp": stamp(call.at_ms),
    }  # fmt: skip
    return dumps(line | changes)
