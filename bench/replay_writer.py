#!/usr/bin/env python3
"""Play live agents: append usage lines to N Claude Code sessions at R events a second (Linux).

    replay_writer.py --home DIR [--files 50] [--rate 100] [--seconds 60] [--stamp] [--log FILE] [--ready FILE]

Makes N new sessions under DIR, each with its own working folder DIR/src/replay-NN and an idle process named
`claude` there, registered in DIR/.claude/sessions/<pid>.json as busy, so that a monitor finds N running
agents; processes and entries are gone when the writer ends. Then appends one API response after the other,
round robin, stamped with the time of the append. An event is what the client writes for one response: a line
with usage and a tool result.

  --stamp   each five seconds a session gets the title `stamp-00000042` (a custom-title record)
  --log     one JSON line per event: t (CLOCK_MONOTONIC seconds just before the write), stamp
  --ready   a file that is made when the sessions and agents are in place

Prints one JSON object at the end: the events, how late the slowest append was, and the exact totals of what
it wrote.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

MODEL = "claude-opus-4-5-20251101"
BUCKETS = ("input", "output", "cache_read", "cache_write")
STAMP_EVERY_S = 5.0
RESULT_BYTES = 2000


def dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")) + "\n"


def now_iso() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Session:
    """One session file that is appended to."""

    def __init__(self, home: Path, number: int) -> None:
        self.id, self.number, self.context = str(uuid.uuid4()), number, 15_000
        self.cwd = home / "src" / f"replay-{number:02d}"
        self.cwd.mkdir(parents=True, exist_ok=True)
        slug = re.sub(r"[^A-Za-z0-9]", "-", str(self.cwd))
        path = home / ".claude" / "projects" / slug / f"{self.id}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        prompt = {"role": "user", "content": f"replay session {number}"}
        os.write(self.fd, self.record("user", message=prompt).encode())

    def record(self, kind: str, **more: Any) -> str:
        head = {
            "parentUuid": None,
            "isSidechain": False,
            "userType": "external",
            "cwd": str(self.cwd),
            "sessionId": self.id,
            "version": "2.1.60",
            "gitBranch": "main",
            "type": kind,
            "uuid": str(uuid.uuid4()),
            "timestamp": now_iso(),
        }
        return dump(head | more)

    def append(self, n: int, stamp: str) -> tuple[int, int, int, int]:
        """Write event n; returns its buckets, in the order of BUCKETS."""
        self.context = self.context + 700 if self.context < 165_000 else 15_000
        inp, out, write, tool = 3 + n % 7, 100 + n % 900, 700, f"toolu_{uuid.uuid4().hex}"
        usage = {
            "input_tokens": inp,
            "cache_creation_input_tokens": write,
            "cache_read_input_tokens": self.context,
            "cache_creation": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": 0},
            "output_tokens": out,
            "service_tier": "standard",
        }
        call = {"type": "tool_use", "id": tool, "name": "Bash", "input": {"command": f"make test-{n}"}}
        message = {
            "model": MODEL,
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "stop_reason": "tool_use",
            "content": [call],
            "usage": usage,
        }
        text = self.record("assistant", requestId=f"req_{uuid.uuid4().hex}", message=message)
        result = {"type": "tool_result", "tool_use_id": tool, "content": "x" * RESULT_BYTES}
        text += self.record("user", message={"role": "user", "content": [result]})
        if stamp:
            text += dump({"type": "custom-title", "customTitle": stamp, "sessionId": self.id})
        os.write(self.fd, text.encode())
        return inp, out, self.context, write


class Agents:
    """Idle processes that look like running Claude Code sessions."""

    def __init__(self, home: Path, sessions: list[Session]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="replay-agents-"))
        self.running: list[tuple[subprocess.Popen[bytes], Path]] = []
        registry = home / ".claude" / "sessions"
        registry.mkdir(parents=True, exist_ok=True)
        program = self.folder / "claude"
        shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
        for session in sessions:
            process = subprocess.Popen([program, "86400"], cwd=session.cwd, stdin=subprocess.DEVNULL)
            entry = registry / f"{process.pid}.json"
            self.running.append((process, entry))
            started = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
            ms = int(time.time() * 1000)
            about = {"pid": process.pid, "sessionId": session.id, "cwd": str(session.cwd), "startedAt": ms}
            kind = {"version": "2.1.60", "kind": "interactive", "entrypoint": "cli", "status": "busy"}
            entry.write_text(dump(about | kind | {"procStart": started, "updatedAt": ms}))

    def stop(self) -> None:
        for process, entry in self.running:
            process.kill()
            process.wait()
            entry.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


def write(
    sessions: list[Session], rate: float, seconds: float, *, stamped: bool, log: Path | None
) -> dict[str, Any]:
    """Append until the time is over; returns what was written."""
    totals, made, latest_s, stamps = dict.fromkeys(BUCKETS, 0), 0, 0.0, 0
    next_stamp = [i % 10 * STAMP_EVERY_S / 10 for i in range(len(sessions))]
    start = time.monotonic()
    with (log or Path(os.devnull)).open("w", buffering=1) as file:
        while made < rate * seconds:
            due = start + made / rate
            if (wait := due - time.monotonic()) > 0:
                time.sleep(wait)
            place, stamp = made % len(sessions), ""
            if stamped and time.monotonic() - start >= next_stamp[place]:
                stamp, stamps = f"stamp-{stamps:08d}", stamps + 1
                next_stamp[place] += STAMP_EVERY_S
            t = time.monotonic()
            latest_s = max(latest_s, t - due)
            for name, value in zip(BUCKETS, sessions[place].append(made, stamp), strict=True):
                totals[name] += value
            file.write(dump({"t": t, "stamp": stamp}))
            made += 1
    buckets = totals | {"total": sum(totals.values())}
    return {"events": made, "stamps": stamps, "latest_ms": round(latest_s * 1000, 1), "buckets": buckets}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--files", type=int, default=50)
    parser.add_argument("--rate", type=float, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--stamp", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--ready", type=Path)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = args.home.absolute()
    sessions = [Session(home, i) for i in range(args.files)]
    agents = Agents(home, sessions)
    try:
        if args.ready:
            args.ready.touch()
        print(
            json.dumps(write(sessions, args.rate, args.seconds, stamped=args.stamp, log=args.log)), flush=True
        )
    finally:
        agents.stop()


if __name__ == "__main__":
    main()
