#!/usr/bin/env python3
"""Time two commands in turn (A B A B ...): CPU, wall time, memory, and the ratio of each pair.

    pairs.py [-n 7] [--home DIR] [--state fresh|kept] --a 'COMMAND' [--b 'COMMAND']

A machine's speed drifts; a ratio taken pair by pair does not. Quote the median ratio of CPU (user + system)
seconds; wall times and absolute figures are good only on an idle machine. A command is split as a shell
splits words and runs without a shell, in a clean environment: --home as HOME, TOKENTOP_STATE_DIR, proxies
that point at a closed port. `--state fresh` gives each run an empty state folder (cold), `kept` all runs the
same one (warm from the second on). The first run of each command is never counted.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import proctree


@dataclass(frozen=True)
class Run:
    """One whole process with the children that it waited for. `mib` = peak of the largest single one."""

    cpu_s: float
    wall_s: float
    mib: float
    status: int
    out: str
    err: str


def measure(words: list[str], env: dict[str, str], limit_s: float = 600.0) -> Run:
    """Run a command to its end."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(
            words, env=env, cwd=env["HOME"], stdin=subprocess.DEVNULL, stdout=out, stderr=err
        )
        timer = threading.Timer(limit_s, process.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        finally:
            timer.cancel()
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        cpu = usage.ru_utime + usage.ru_stime
        return Run(cpu, wall, usage.ru_maxrss / 1024, process.returncode, texts[0], texts[1])


def in_turn(commands: dict[str, list[str]], home: Path, n: int, *, fresh: bool) -> dict[str, list[Run]]:
    """`n` counted runs of each command, in turn. Raises SystemExit when one of them fails."""
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(prefix="tokentop-bench-") as kept:
        for i in range(n + 1):
            for name, words in commands.items():
                with tempfile.TemporaryDirectory(prefix="tokentop-bench-") as empty:
                    state = empty if fresh else kept
                    run = measure(words, proctree.clean_env(home, TOKENTOP_STATE_DIR=state))
                if run.status:
                    raise SystemExit(f"{shlex.join(words)} exits {run.status}: {run.err[-300:]}")
                if i:
                    runs[name].append(run)
    return runs


def ratios(a: list[Run], b: list[Run]) -> list[float]:
    """CPU of A over CPU of B, pair by pair."""
    return [x.cpu_s / y.cpu_s for x, y in zip(a, b, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", type=int, default=7)
    parser.add_argument("--home", type=Path, default=Path())
    parser.add_argument("--state", choices=("fresh", "kept"), default="fresh")
    parser.add_argument("--a", required=True)
    parser.add_argument("--b")
    args = parser.parse_args()
    commands = {"A": shlex.split(args.a)} | ({"B": shlex.split(args.b)} if args.b else {})
    runs = in_turn(commands, args.home.absolute(), args.n, fresh=args.state == "fresh")
    table = {}
    for name, made in runs.items():
        table[f"{name} cpu s"] = [r.cpu_s for r in made]
        table[f"{name} wall s"] = [r.wall_s for r in made]
        table[f"{name} peak MiB"] = [r.mib for r in made]
    if args.b:
        table["A/B cpu"] = ratios(runs["A"], runs["B"])
    sys.stdout.write(f"{'':12}{'min':>10}{'median':>10}{'max':>10}   n = {args.n} each\n")
    for name, values in table.items():
        row = (min(values), statistics.median(values), max(values))
        sys.stdout.write(f"{name:12}" + "".join(f"{v:10.3f}" for v in row) + "\n")


if __name__ == "__main__":
    main()
