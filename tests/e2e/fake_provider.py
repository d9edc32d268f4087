#!/usr/bin/env python3
"""A fake model provider on 127.0.0.1 that keeps a billing ledger. Standard library only.

    fake_provider.py --ledger ledger.jsonl [--port 0] [--bodies DIR]

It speaks Anthropic Messages and Gemini (clients point at http://127.0.0.1:PORT), OpenAI Responses and Chat
Completions (at .../v1), streaming and not. The first line on stdout is `listening on 127.0.0.1:PORT`. What is
answered is scripted by the prompt (see provider_script.py); every response has its own numbers.

Each model call becomes one ledger line when it ends: seq, ts_start, ts_end (UNIX seconds), api, model, id
(message or response id), request_id, key (the client's), session (what the client's headers call it), agent (a
sub-agent's id, or ""), tools (how many were offered), tags (of all user texts, the oldest first), scenario, step,
status, billed (disjoint buckets), usage (as sent), complete. `complete: false` = the client hung up, or the
provider was stopped, before the answer ended: `billed` is then what the whole answer would have cost. Failed
tries (429, 529) bill nothing. Every other request
goes to LEDGER.access; the number of calls under way, and of those that offer tools, stands in a file beside the ledger
with the suffix `.open`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import urlsplit

from provider_script import TAG, Answer, buckets, plan, to_json
from provider_wire import Reply, anthropic_reply, parse_anthropic, parse_responses, responses_reply
from provider_wire_more import chat_reply, gemini_reply, parse_chat, parse_gemini

APIS = {
    "anthropic": (parse_anthropic, anthropic_reply, "msg_"),
    "responses": (parse_responses, responses_reply, "resp_"),
    "chat": (parse_chat, chat_reply, "chatcmpl-"),
    "gemini": (parse_gemini, gemini_reply, "gem_"),
}
GONE = (BrokenPipeError, ConnectionResetError, TimeoutError)
DELTA_SECONDS = 0.01


class Ledger:
    """Numbers the calls and writes each of them once, when it ends or when the provider stops."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.run = uuid.uuid4().hex[:6]
        self.lock = threading.Lock()
        self.seq = 0
        self.under_way: dict[int, dict[str, Any]] = {}
        self.failed: set[str] = set()

    def open(self, row: dict[str, Any]) -> int:
        with self.lock:
            self.seq += 1
            self.under_way[self.seq] = row
            row["seq"] = self.seq
            self._count()
            return self.seq

    def close(self, row: dict[str, Any], *, complete: bool) -> None:
        with self.lock:
            if self.under_way.pop(row["seq"], None) is not None:
                self._append(self.path, row | {"complete": complete, "ts_end": time.time()})
                self._count()

    def _count(self) -> None:
        """Say in a file beside the ledger how many calls are under way, and how many of them offer tools."""
        path = os.path.splitext(self.path)[0] + ".open"
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(f"{len(self.under_way)} {sum(row['tools'] > 0 for row in self.under_way.values())}")
        os.replace(path + ".new", path)  # whoever reads it meanwhile finds a number

    def access(self, row: dict[str, Any]) -> None:
        with self.lock:
            self._append(self.path + ".access", row)

    def first_failure(self, key: str) -> bool:
        with self.lock:
            new = key not in self.failed
            self.failed.add(key)
            return new

    @staticmethod
    def _append(path: str, row: dict[str, Any]) -> None:
        with open(path, "a", encoding="utf-8") as file:
            file.write(to_json(row) + "\n")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ledger: ClassVar[Ledger]
    bodies: ClassVar[str] = ""

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._json({})

    def do_GET(self) -> None:
        self.ledger.access({"method": "GET", "path": self.path})
        if urlsplit(self.path).path.rstrip("/").endswith("/models"):
            self._json({"object": "list", "data": [], "models": [], "has_more": False})
        else:
            self._json({"error": {"type": "not_found_error", "message": "not found"}}, 404)

    def do_POST(self) -> None:
        raw = self._body()
        path = urlsplit(self.path).path
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            body = {}
        try:
            if path.endswith("/messages"):
                self._call("anthropic", body, raw)
            elif path.endswith("/responses"):
                self._call("responses", body, raw)
            elif path.endswith("/chat/completions"):
                self._call("chat", body, raw)
            elif ":generateContent" in path or ":streamGenerateContent" in path:
                name = path.rpartition("/")[2]
                streams = "stream" in name
                self._call("gemini", {**body, "model": name.partition(":")[0], "stream": streams}, raw)
            elif path.endswith(":countTokens"):
                self._json({"totalTokens": max(1, len(raw) // 4)})
            elif path.endswith("/count_tokens"):
                self._json({"input_tokens": max(1, len(raw) // 4)})
            else:
                self.ledger.access({"method": "POST", "path": self.path})
                self._json({"error": {"message": "not found"}}, 404)
        except GONE:
            self.close_connection = True

    def _call(self, api: str, body: dict[str, Any], raw: bytes) -> None:
        parse, reply_of, prefix = APIS[api]
        request = parse(body)
        model = body.get("model", "?")
        row: dict[str, Any] = {
            "ts_start": time.time(),
            "api": api,
            "model": model,
            "key": self._key(),
            "tools": len(request.tools),
            "tags": [tag for text, _ in request.users for tag, _ in TAG.findall(text)],
            "session": self.headers.get("x-claude-code-session-id") or self.headers.get("thread-id", ""),
            "agent": self.headers.get("x-claude-code-agent-id", ""),
            "user_agent": self.headers.get("user-agent", ""),
        }
        seq = self.ledger.open(row)
        if self.bodies:
            with open(os.path.join(self.bodies, f"{seq:04d}-{api}.json"), "w", encoding="utf-8") as file:
                json.dump({"headers": dict(self.headers), "body": body}, file, indent=1)
        answer = plan(request, seq)
        billed = buckets(answer, seq, len(raw), api)
        ident = f"{self.ledger.run}_{seq:05d}"
        row |= {"id": prefix + ident, "request_id": f"req_{ident}", "status": 200}
        row |= {"scenario": answer.scenario, "step": answer.step, "billed": vars(billed)}
        key = f"{row['session']} {answer.scenario} {request.users[-1:]}"
        if answer.fail and self.ledger.first_failure(key):
            self._fail(answer, row)
            return
        ids = (row["id"], row["request_id"], ident)
        reply = reply_of(answer, billed, request, ids, model, int(time.time()))
        row["usage"] = reply.usage
        try:
            if body.get("stream"):
                self._stream(reply, answer)
                # before the end of the stream: whoever has read it all finds it in the ledger
                self.ledger.close(row, complete=True)
                self._chunk(b"")
            else:
                self.ledger.close(row, complete=True)
                self._json(reply.whole, 200, reply.headers)
        except GONE:
            self.ledger.close(row, complete=False)
            self.close_connection = True

    def _key(self) -> str:
        """The key that the client calls with."""
        bearer = self.headers.get("authorization", "").removeprefix("Bearer ")
        return self.headers.get("x-api-key") or self.headers.get("x-goog-api-key") or bearer

    def _fail(self, answer: Answer, row: dict[str, Any]) -> None:
        row |= {"status": answer.fail, "billed": dict.fromkeys(row["billed"], 0)}
        self.ledger.close(row, complete=True)
        kind = "rate_limit_error" if answer.fail == 429 else "overloaded_error"
        error = {"type": kind, "message": f"scripted {answer.fail}"}
        headers = [("retry-after", "1"), ("request-id", row["request_id"])]
        self._json({"type": "error", "error": error}, answer.fail, headers)

    def _stream(self, reply: Reply, answer: Answer) -> None:
        self.send_response(200)
        for name, value in [("content-type", "text/event-stream"), ("transfer-encoding", "chunked")]:
            self.send_header(name, value)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        paced = sum(1 for _, _, wait in reply.events if wait)
        for name, payload, wait in reply.events:
            head = f"event: {name}\n" if name else ""
            data = payload if isinstance(payload, str) else to_json(payload)
            self._chunk(f"{head}data: {data}\n\n".encode())
            if wait:
                time.sleep(answer.seconds / paced if answer.seconds else DELTA_SECONDS)

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def _json(self, value: Any, status: int = 200, headers: list[tuple[str, str]] | None = None) -> None:
        data = to_json(value).encode()
        self.send_response(status)
        common = [("content-type", "application/json"), ("content-length", str(len(data)))]
        for name, header in [*common, *(headers or [])]:
            self.send_header(name, header)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        if (self.headers.get("transfer-encoding") or "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        raw = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            raw += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return raw


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], GONE):
            super().handle_error(request, client_address)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--ledger", required=True)
    parser.add_argument("--bodies", default="", help="dump every request into this folder")
    args = parser.parse_args()
    Handler.ledger = Ledger(os.path.abspath(args.ledger))
    Handler.bodies = args.bodies
    server = Server(("127.0.0.1", args.port), Handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"listening on 127.0.0.1:{server.server_address[1]}", flush=True)
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        server.serve_forever()
    for row in list(Handler.ledger.under_way.values()):
        Handler.ledger.close(row, complete=False)


if __name__ == "__main__":
    main()
