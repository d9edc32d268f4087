"""Waiting, and finding processes by a mark in their environment (`/proc`, so Linux only)."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class Timeout(AssertionError):
    """A condition did not come true; the message says what was seen instead."""


def until(what: str, probe: Callable[[], T | None], seconds: float = 30.0, say: Callable[[], Any] = str) -> T:
    """The first truthy result of `probe`; `say()` is added to the message when none comes."""
    deadline = time.monotonic() + seconds
    while True:
        if found := probe():
            return found
        if time.monotonic() > deadline:
            raise Timeout(f"not within {seconds:g} s: {what}\n{say()}")
        time.sleep(0.1)


def stat_fields(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; empty when the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []


def alive(pid: int) -> bool:
    fields = stat_fields(pid)
    return bool(fields) and fields[0] not in "ZX"


def start_ticks(pid: int) -> str:
    fields = stat_fields(pid)
    return fields[19] if fields else ""


def marked(mark: str) -> dict[int, str]:
    """{pid: command} of the live processes whose environment carries E2E_RUN=`mark`, and of those below them.

    A program that sets its title may overwrite its environment.
    """
    wanted = f"E2E_RUN={mark}".encode()
    pids = [int(e.name) for e in Path("/proc").iterdir() if e.name.isdigit() and int(e.name) != os.getpid()]
    found: dict[int, str] = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") and alive(pid):
                found[pid] = command(pid)
    for pid in tree(found):
        found.setdefault(pid, command(pid))
    return found


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def parent(pid: int) -> int:
    fields = stat_fields(pid)
    return int(fields[1]) if fields else 0


def tree(roots: Iterable[int]) -> set[int]:
    """The live ones of `roots`, and all that is below them."""
    found = {pid for pid in roots if alive(pid)}
    parents = {int(e.name): parent(int(e.name)) for e in Path("/proc").iterdir() if e.name.isdigit()}
    while more := {p for p, above in parents.items() if above in found and p not in found and alive(p)}:
        found |= more
    return found


def end_marked(mark: str) -> None:
    """End every process that carries `mark`, by its id, until none is left."""
    for sig in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        deadline = time.monotonic() + 2
        while marked(mark) and time.monotonic() < deadline:
            time.sleep(0.05)
