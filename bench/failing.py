#!/usr/bin/env python3
"""Every provider switched on and failing: a server on loopback that answers 500, 429, or only after eight seconds.

failing.py            serves on a free port, prints it
"""

from __future__ import annotations

import contextlib
import sys
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE, Popen

IDS = ("anthropic", "openai", "openrouter", "github", "litellm", "deepseek", "moonshot", "xai", "vercel")
PRIVATE = {
    "claude_oauth": (".claude/.credentials.json", '{"claudeAiOauth": {"accessToken": "sk-ant-oat01-bench"}}'),
    "codex_wham": (".codex/auth.json", '{"tokens": {"access_token": "eyJbench"}}'),
    "copilot_user": (".config/github-copilot/apps.json", '{"github.com": {"oauth_token": "gho_bench"}}'),
}
ACCOUNTS = {"github": "orgs/acme", "xai": "team-1"}
SLOW_S = 8.0


class Failing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind = zlib.crc32(self.path.split("?")[0].encode()) % 3
        if kind == 2:
            time.sleep(SLOW_S)
        with contextlib.suppress(OSError):  # who asked may have ended
            self.send_response(429 if kind == 1 else 500)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


def configure(home: Path, port: int) -> int:
    """Switch all providers on in this home, with a key each; how many there are."""
    folder = home / ".config" / "tokentop"
    folder.mkdir(parents=True)
    blocks = []
    for one in (*IDS, *PRIVATE):
        account = f'account = "{ACCOUNTS[one]}"\n' if one in ACCOUNTS else ""
        risk = "i_accept_the_risk = true\n" if one in PRIVATE else ""
        blocks.append(f'[providers.{one}]\non = true\nbase_url = "http://127.0.0.1:{port}"\n{account}{risk}')
    (folder / "config.toml").write_text("\n".join(blocks))
    secrets = folder / "secrets.toml"
    secrets.touch(mode=0o600)
    secrets.write_text("".join(f'{one} = "sk-bench-{one}"\n' for one in IDS))
    for place, text in PRIVATE.values():
        path = home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return len(blocks)


@contextmanager
def serving() -> Iterator[int]:
    """The port of a server in a process of its own: what it spends is not tokentop's."""
    with Popen([sys.executable, __file__], stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    print(server.server_port, flush=True)
    server.serve_forever()
