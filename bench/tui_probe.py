#!/usr/bin/env python3
"""Run a terminal program in a pseudo-terminal and measure it from outside (Linux).

    tui_probe.py [--seconds 30] [--settle 8] [--expect REGEX] --home DIR [--dump FILE] -- COMMAND [ARG ...]

Prints one JSON object:
  match_s, match_cpu_s    start to the first screen on which REGEX matches, and the CPU seconds spent by then
  cpu_pct                 CPU of the whole process tree after --settle seconds, in % of one core
  rss_mib                 resident memory of the tree at the end
  bytes_per_s, alive      output rate after --settle; whether it still ran at the end
  stamps                  with --stamps: latency from append to screen (see replay_writer.py)

The screen is rebuilt by a small terminal emulator, so REGEX sees what a person would see, one line per row.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from proctree import clean_env, cpu_seconds, rss_mib
from terminal import Screen

STAMP = re.compile(r"stamp-\d{8}")


@dataclass
class Probe:
    """What was measured; None = it did not come to that."""

    match_s: float | None = None
    match_cpu_s: float | None = None
    settle_cpu_s: float | None = None  # spent before the steady part
    cpu_pct: float | None = None
    rss_mib: float = 0.0
    bytes_per_s: float | None = None
    alive: bool = True
    stamps: dict[str, float] | None = None
    screen: str = ""


@dataclass(frozen=True)
class Plan:
    """How long to run, when the steady part begins, what to look for."""

    seconds: float = 30.0
    settle: float = 8.0
    expect: str = ""
    columns: int = 160
    rows: int = 45
    stamps: Path | None = None
    stop_at_match: bool = False


class Terminal:
    """A program in a pseudo-terminal."""

    def __init__(self, command: list[str], env: dict[str, str], columns: int, rows: int) -> None:
        self.screen, self.total, self.started = Screen(columns, rows), 0, time.monotonic()
        env = env | {"COLUMNS": str(columns), "LINES": str(rows)}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.chdir(env["HOME"])
                os.execvpe(command[0], command, env)
            except OSError as error:
                os.write(2, str(error).encode())
            os._exit(127)

    def age(self) -> float:
        return time.monotonic() - self.started

    def read(self, wait: float) -> bool | None:
        """True if there was output, None if the program has ended."""
        if not select.select([self.fd], [], [], wait)[0]:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:
            data = b""
        if not data:
            return None
        self.total += len(data)
        if answers := self.screen.feed(data):
            os.write(self.fd, answers)
        return True

    def end(self) -> int:
        """Ask the program to end, insist after 3 s, and return its exit status."""
        for sig, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 5)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, sig)
            limit = time.monotonic() + patience
            while time.monotonic() < limit:
                self.read(0.02)  # a program that restores the screen must not block
                done, status = os.waitpid(self.pid, os.WNOHANG)
                if done:
                    os.close(self.fd)
                    return os.waitstatus_to_exitcode(status)
        raise RuntimeError(f"process {self.pid} does not end")


def probe(command: list[str], env: dict[str, str], plan: Plan) -> Probe:
    """Run `command` as `plan` says, and end it."""
    pattern = re.compile(plan.expect, re.M) if plan.expect else None
    terminal, out = Terminal(command, env, plan.columns, plan.rows), Probe()
    seen: dict[str, float] = {}
    steady: tuple[float, float, int] | None = None  # (when, CPU seconds, bytes)
    try:
        while terminal.age() < plan.seconds:
            if steady is None and terminal.age() >= plan.settle:
                steady = (terminal.age(), cpu_seconds(terminal.pid), terminal.total)
                out.settle_cpu_s = steady[1]
            had = terminal.read(0.05)
            if had is None:
                out.alive = False
                break
            if not had or not (plan.stamps or (pattern and out.match_s is None)):
                continue
            text = terminal.screen.text()
            if pattern and out.match_s is None and pattern.search(text):
                out.match_s, out.match_cpu_s = terminal.age(), cpu_seconds(terminal.pid)
                if plan.stop_at_match:
                    break
            for stamp in STAMP.findall(text) if plan.stamps else ():
                seen.setdefault(stamp, time.monotonic())
        if steady and out.alive:
            lasted = terminal.age() - steady[0]
            out.cpu_pct = 100 * (cpu_seconds(terminal.pid) - steady[1]) / lasted
            out.bytes_per_s = (terminal.total - steady[2]) / lasted
        out.rss_mib = rss_mib(terminal.pid)
        out.screen = terminal.screen.text()
    finally:
        terminal.end()
    if plan.stamps:
        until = terminal.started + plan.seconds - 2
        out.stamps = latencies(plan.stamps, seen, terminal.started + plan.settle, until)
    return out


def latencies(path: Path, seen: dict[str, float], since: float, until: float) -> dict[str, float]:
    """Milliseconds from append to screen, for the stamps that replay_writer.py noted between two times."""
    rows = [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    rows = [r for r in rows if r.get("stamp") and since <= r["t"] < until]
    values = sorted((seen[r["stamp"]] - r["t"]) * 1000 for r in rows if r["stamp"] in seen)
    counts = {"sent": float(len(rows)), "seen": float(len(values))}
    if not values:
        return counts

    def at(p: float) -> float:
        return round(values[min(len(values) - 1, int(len(values) * p))], 1)

    return counts | {"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--settle", type=float, default=8)
    parser.add_argument("--expect", default="")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--size", default="160x45", metavar="COLUMNSxROWS")
    parser.add_argument("--stamps", type=Path)
    parser.add_argument("--stop-at-match", action="store_true")
    parser.add_argument("--dump", type=Path, help="write the last screen's text there")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    columns, rows = map(int, args.size.split("x"))
    plan = Plan(args.seconds, args.settle, args.expect, columns, rows, args.stamps, args.stop_at_match)
    state = {k: v for k, v in os.environ.items() if k.startswith("TOKENTOP_")}
    result = probe(command, clean_env(args.home.absolute(), **state), plan)
    if args.dump:
        args.dump.write_text(result.screen + "\n")
    print(json.dumps({k: v for k, v in asdict(result).items() if k != "screen"}))
    sys.exit(0 if result.alive and (not plan.expect or result.match_s is not None) else 1)


if __name__ == "__main__":
    main()
