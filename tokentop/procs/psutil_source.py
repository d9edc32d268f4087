"""The same table and the same acts on systems without `/proc` (macOS, BSD, Windows), through psutil.

There `start_ticks` is the creation time in epoch milliseconds. Environment, arguments and open files are
readable for processes of our own user only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeVar

import psutil
from msgspec import structs

from tokentop.agents.processes import Processes, identify
from tokentop.nouns.processes import Ident
from tokentop.procs.probe import GONE, SENT, Brief, Handle, same, wait_until
from tokentop.procs.table import Host, Proc, Table, family, wanted_env

YOUNG_MS = 5_000  # between fork and exec argv still is the parent's
_STATES = {
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_DISK_SLEEP: "D",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_DEAD: "X",
}
_T = TypeVar("_T")


def _or(default: _T, read: Callable[[], _T]) -> _T:
    """What `read` gives, or `default` where the process ended or belongs to someone else."""
    try:
        return read()
    except (psutil.Error, OSError):
        return default


def start_ticks(process: psutil.Process) -> int:
    return round(float(process.create_time()) * 1000)


def _uid() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0


def _uid_of(process: psutil.Process) -> int:
    return int(process.uids().real) if hasattr(process, "uids") else 0


def _state(process: psutil.Process) -> str:
    return _STATES.get(_or("", process.status), "S")


class PsutilSource:
    """`tick()` as in `LinuxSource`; arguments are read once per process, and again while it is young."""

    def __init__(self, specs: Sequence[Processes]) -> None:
        self.host = Host(uid=_uid())
        self._specs = tuple(specs)
        self._wanted = wanted_env(specs)
        self._markers = {name for spec in specs for name in (*spec.session_markers, *spec.pid_markers)}
        self._known: dict[tuple[int, int], Proc] = {}
        self._cpu: dict[tuple[int, int], tuple[float, float]] = {}  # (CPU seconds, at)
        self._tracked: set[tuple[int, int]] = set()

    def tick(self, now_ms: int) -> Table:
        found: dict[int, Proc] = {}
        objects: dict[int, psutil.Process] = {}
        for process in psutil.process_iter():
            try:
                with process.oneshot():
                    proc = self._meet(process, now_ms)
            except (psutil.Error, OSError):
                continue
            found[proc.pid], objects[proc.pid] = proc, process
        self._known = {proc.key: proc for proc in found.values()}
        roots = [p.pid for p in found.values() if p.identity or self._is_marked(p) or p.key in self._tracked]
        tracked = family({pid: proc.ppid for pid, proc in found.items()}, roots)
        self._tracked = {found[pid].key for pid in tracked}
        self._cpu = {key: value for key, value in self._cpu.items() if key in self._tracked}
        return MappingProxyType({pid: self._measured(found[pid], objects[pid]) for pid in tracked})

    def track(self, keys: Iterable[tuple[int, int]]) -> None:
        self._tracked.update(keys)

    def open_paths(self, pid: int) -> tuple[str, ...]:
        return _or((), lambda: tuple(file.path for file in psutil.Process(pid).open_files()))

    def listening(self, pids: Iterable[int]) -> frozenset[int]:
        def listens(pid: int) -> bool:
            sockets: list[Any] = _or([], lambda: psutil.Process(pid).net_connections("tcp"))
            return any(one.status == psutil.CONN_LISTEN for one in sockets)

        return frozenset(pid for pid in pids if listens(pid))

    def _meet(self, process: psutil.Process, now_ms: int) -> Proc:
        ticks, ppid = start_ticks(process), process.ppid()
        known = self._known.get((process.pid, ticks))
        if known is not None and now_ms - ticks > YOUNG_MS:
            return known if known.ppid == ppid else self._read(process, ticks, ppid)
        return self._read(process, ticks, ppid)

    def _read(self, process: psutil.Process, ticks: int, ppid: int) -> Proc:
        argv: tuple[str, ...] = tuple(_or((), process.cmdline))
        exe = _or("", process.exe)
        uid = _or(-1, lambda: _uid_of(process))
        identity = identify(argv, exe, self._specs)
        environ: dict[str, str] = _or({}, process.environ) if uid == self.host.uid and argv else {}
        return Proc(
            pid=process.pid,
            ppid=ppid,
            pgid=_or(0, lambda: os.getpgid(process.pid)) if hasattr(os, "getpgid") else 0,
            sid=_or(0, lambda: os.getsid(process.pid)) if hasattr(os, "getsid") else 0,
            start_ticks=ticks,
            started_ms=ticks,
            uid=uid,
            argv=argv,
            exe=exe,
            cwd="",
            state="S",
            cpu_pct=0.0,
            rss_bytes=0,
            env=tuple((name, environ[name]) for name in self._wanted if name in environ),
            identity=identity,
        )

    def _is_marked(self, proc: Proc) -> bool:
        return any(name in self._markers for name, _ in proc.env)

    def _measured(self, proc: Proc, process: psutil.Process) -> Proc:
        """Add what changes: state, CPU since the last tick, memory, directory."""
        at_s = time.monotonic()
        times = _or(None, process.cpu_times)
        cpu_s = times.user + times.system if times else 0.0
        before = self._cpu.get(proc.key)
        self._cpu[proc.key] = (cpu_s, at_s)
        elapsed_s = at_s - before[1] if before else 0.0
        memory = _or(None, process.memory_info)
        terminal = _or(None, process.terminal) if hasattr(process, "terminal") else None
        return structs.replace(
            proc,
            state=_state(process),
            cpu_pct=100 * max(0.0, cpu_s - before[0]) / elapsed_s if before and elapsed_s > 0 else 0.0,
            rss_bytes=memory.rss if memory else 0,
            cwd=_or("", process.cwd),
            tty=terminal or "",
        )


class PsutilProbe:
    def snapshot(self) -> Mapping[int, Brief]:
        found: dict[int, Brief] = {}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                found[process.pid] = _brief(process)
        return found

    def brief(self, pid: int) -> Brief | None:
        return _or(None, lambda: _brief(psutil.Process(pid)))

    def ident(self, pid: int) -> Ident | None:
        try:
            process = psutil.Process(pid)
            if process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return None
            argv: Sequence[str] = _or((), process.cmdline)
            exe = _or("", process.exe)
            return Ident(pid, start_ticks(process), _uid_of(process), "", exe, argv[0] if argv else "")
        except (psutil.Error, OSError, ValueError):
            return None

    def argv(self, pid: int) -> tuple[str, ...]:
        return _or((), lambda: tuple(psutil.Process(pid).cmdline()))

    def environ(self, pid: int, names: Iterable[str]) -> tuple[tuple[str, str], ...]:
        found: dict[str, str] = _or({}, lambda: psutil.Process(pid).environ())
        return tuple((name, found[name]) for name in names if name in found)

    def pid_ns(self, pid: int) -> str:  # noqa: ARG002 - namespaces of processes exist on Linux only
        return ""

    def ignores_hup(self, pid: int) -> bool:  # noqa: ARG002 - psutil does not tell
        return False

    def open(self, ident: Ident) -> Handle | None:
        try:
            process = psutil.Process(ident.pid)
        except (psutil.Error, ValueError):
            return None
        return _PsutilHandle(self, ident, process) if same(ident, self.ident(ident.pid)) else None


class _PsutilHandle:
    """psutil itself compares pid and creation time once more before it sends."""

    def __init__(self, probe: PsutilProbe, ident: Ident, process: psutil.Process) -> None:
        self._probe, self._ident, self._process = probe, ident, process

    def send(self, number: int) -> str:
        if not same(self._ident, self._probe.ident(self._ident.pid)):
            return GONE
        try:
            self._process.send_signal(signal.Signals(number))
        except psutil.NoSuchProcess:
            return GONE
        except (psutil.AccessDenied, OSError, ValueError) as error:
            return f"refused: {'not permitted' if isinstance(error, psutil.AccessDenied) else error}"
        return SENT

    def wait(self, timeout_s: float) -> bool:
        return wait_until(lambda: not same(self._ident, self._probe.ident(self._ident.pid)), timeout_s)

    def close(self) -> None:
        pass


def _brief(process: psutil.Process) -> Brief:
    with process.oneshot():
        pid = process.pid
        group, session = (os.getpgid(pid), os.getsid(pid)) if hasattr(os, "getsid") else (0, 0)
        return Brief(process.ppid(), group, session, start_ticks(process), _state(process))
