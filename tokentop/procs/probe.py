"""Facts about single processes at the moment of acting, and signals that reach only the one meant.

`LinuxProbe` signals through a pidfd: a pid that was reused meanwhile cannot be hit. `PsutilProbe` checks
the creation time immediately before each signal, the best that other systems offer.
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from tokentop.nouns.processes import Ident
from tokentop.procs import linux

SENT, GONE = "sent", "gone"
_POLL_S = 0.02
_ENDING_S = 0.5


class Brief(NamedTuple):
    """What a snapshot says of each process."""

    ppid: int
    pgid: int
    sid: int
    start_ticks: int
    state: str


class Handle(Protocol):
    """One process, held by identity. `send` checks again each time and returns sent, gone or refused: why."""

    def send(self, number: int) -> str: ...

    def wait(self, timeout_s: float) -> bool:
        """True once the process has ended (a zombie has)."""

    def close(self) -> None: ...


class Probe(Protocol):
    def snapshot(self) -> Mapping[int, Brief]: ...

    def brief(self, pid: int) -> Brief | None: ...

    def ident(self, pid: int) -> Ident | None: ...

    def argv(self, pid: int) -> tuple[str, ...]: ...

    def environ(self, pid: int, names: Iterable[str]) -> tuple[tuple[str, str], ...]: ...

    def pid_ns(self, pid: int) -> str: ...

    def ignores_hup(self, pid: int) -> bool:
        """Whether it was made deaf to the end of its terminal, as `nohup` does; False = not known."""

    def open(self, ident: Ident) -> Handle | None:
        """None = the process of this identity is gone (or another has its pid)."""


def default_probe() -> Probe:
    if sys.platform == "linux":
        return LinuxProbe()
    from tokentop.procs.psutil_source import PsutilProbe

    return PsutilProbe()


def same(ident: Ident, now: Ident | None) -> bool:
    """Whether `now` is still the process of `ident`: pid, start, owner and program."""
    return (
        now is not None
        and (now.pid, now.start_ticks, now.uid) == (ident.pid, ident.start_ticks, ident.uid)
        and (not ident.boot_id or not now.boot_id or now.boot_id == ident.boot_id)
        and (not ident.exe or now.exe == ident.exe)
    )


class LinuxProbe:
    def __init__(self) -> None:
        self._boot_id = linux.read_host().boot_id

    def snapshot(self) -> Mapping[int, Brief]:
        found: dict[int, Brief] = {}
        for pid in linux.pids():
            brief = self.brief(pid)
            if brief is not None:
                found[pid] = brief
        return found

    def brief(self, pid: int) -> Brief | None:
        stat = linux.stat(pid)
        return None if stat is None else Brief(stat.ppid, stat.pgid, stat.sid, stat.start_ticks, stat.state)

    def ident(self, pid: int) -> Ident | None:
        stat, uid, argv = linux.stat(pid), linux.uid(pid), linux.argv(pid)
        if stat is None or uid < 0 or stat.state in "ZX":
            return None
        return Ident(pid, stat.start_ticks, uid, self._boot_id, linux.exe(pid), argv[0] if argv else "")

    def argv(self, pid: int) -> tuple[str, ...]:
        return linux.argv(pid) or ()

    def environ(self, pid: int, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        return linux.environ(pid, names)

    def pid_ns(self, pid: int) -> str:
        return linux.link(pid, "ns/pid")

    def ignores_hup(self, pid: int) -> bool:
        return linux.ignores(pid, signal.SIGHUP)

    def open(self, ident: Ident) -> Handle | None:
        if ident.pid <= 0:
            return None
        try:
            fd = os.pidfd_open(ident.pid)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", errno.ENOSYS) == errno.ESRCH:
                return None
            fd = -1  # a kernel before 5.3
        handle = _LinuxHandle(self, ident, fd)
        if same(ident, self._settled(ident)):
            return handle
        handle.close()
        return None

    def _settled(self, ident: Ident) -> Ident | None:
        """The process as it is now. One that is about to end has lost its program before it is gone."""
        now = self.ident(ident.pid)
        if now is not None and ident.exe and not now.exe:
            wait_until(lambda: (seen := self.ident(ident.pid)) is None or bool(seen.exe), _ENDING_S)
            now = self.ident(ident.pid)
        return now


class _LinuxHandle:
    def __init__(self, probe: LinuxProbe, ident: Ident, fd: int) -> None:
        self._probe, self._ident, self._fd = probe, ident, fd

    def send(self, number: int) -> str:
        if not same(self._ident, self._probe.ident(self._ident.pid)):
            return GONE
        try:
            if self._fd >= 0:
                signal.pidfd_send_signal(self._fd, number)
            else:
                os.kill(self._ident.pid, number)
        except ProcessLookupError:
            return GONE
        except OSError as error:
            return f"refused: {os.strerror(error.errno or 0).lower()}"
        return SENT

    def wait(self, timeout_s: float) -> bool:
        if self._fd >= 0:
            poll = select.poll()
            poll.register(self._fd, select.POLLIN)
            return bool(poll.poll(max(0, round(timeout_s * 1000))))
        return wait_until(lambda: not same(self._ident, self._probe.ident(self._ident.pid)), timeout_s)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def wait_until(holds: Callable[[], bool], timeout_s: float) -> bool:
    """Poll `holds()` until it is true or the time is over; the last answer counts."""
    end_s = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() >= end_s:
            return False
        time.sleep(_POLL_S)
    return True
