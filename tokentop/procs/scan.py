"""The incremental scanner of Linux: reads what is new, what is young and what is tracked, not everything.

At 640 processes a pass over every `stat` costs 7 ms of CPU, a pass of this kind less than one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from tokentop.agents.processes import Identity, Processes, identify, stem
from tokentop.procs import linux
from tokentop.procs.table import TERMINAL_ENV, Proc, Table, family, wanted_env

YOUNG_S = 5.0  # between fork and exec argv still is the parent's
ROUND_TICKS = 12  # each tick also reads one part of all the others again: a new program, a reused pid
_RUNTIMES = re.compile(r"-?((ba|da|z|k|fi)?sh|node(js)?|bun|deno|python[0-9.]*|MainThread)$")


class _Seen(Struct):
    """What is remembered of a process between ticks, tracked or not."""

    pid: int
    stat: linux.Stat
    uid: int
    argv: tuple[str, ...]
    exe: str
    identity: Identity | None
    env: tuple[tuple[str, str], ...] | None = None  # None = not read
    cwd: str = ""
    pid_ns: str = ""
    piped: bool = False
    detailed: bool = False
    cpu_at_s: float = 0.0
    cpu_pct: float = 0.0
    raw: bytes = b""  # the stat line as last read: of a process that rests it stays the same
    proc: Proc | None = None  # as last given
    stale: bool = True  # `proc` is to be made anew


class LinuxSource:
    """`tick()` returns agents, all their descendants and marked processes of our uid."""

    def __init__(self, specs: Sequence[Processes]) -> None:
        self.host = linux.read_host()
        self.revision = 0  # grows when more than the use of CPU and memory has changed
        self.used: set[int] = set()  # tracked pids whose use of CPU or memory changed with the last tick
        self._specs = tuple(specs)
        self._wanted = wanted_env(specs)
        self._markers = frozenset(
            name for spec in specs for name in (*spec.session_markers, *spec.pid_markers)
        )
        self._seen: dict[int, _Seen] = {}
        self._tracked: dict[int, int] = {}  # pid -> start ticks
        self._asked: dict[int, int] = {}  # the same, to be tracked from the next tick on
        self._boot_ms: int | None = None
        self._changed = True  # somebody came, went, or got another parent or program
        self._ticks = 0
        self._tick_at_s = 0.0

    def tick(self, now_ms: int) -> Table:
        tick_s = time.monotonic()
        up_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self._boot_ms is None:
            self._boot_ms = now_ms - round(up_s * 1000)
        pids = linux.pids()
        gone = self._seen.keys() - pids
        for pid in gone:
            del self._seen[pid]
        self._changed = bool(gone or self._asked)
        self._ticks += 1
        turn = self._ticks % ROUND_TICKS
        young_ticks = (up_s - YOUNG_S) * linux.TICKS_PER_S
        for pid in pids:
            seen = self._seen.get(pid)
            if seen is None:
                self._meet(pid, tick_s, up_s)
            elif seen.stat.start_ticks > young_ticks:
                self._read_again(seen, tick_s, up_s, argv_too=True)
            elif pid in self._tracked or pid % ROUND_TICKS == turn or seen.stat.ppid in gone:
                self._read_again(seen, tick_s, up_s, argv_too=False)
        self._tick_at_s = tick_s
        before = self._tracked
        self._track(turn)
        self.used.clear()
        self.revision += self._tracked != before
        return MappingProxyType({pid: self._given(self._seen[pid]) for pid in self._tracked})

    def track(self, keys: Iterable[tuple[int, int]]) -> None:
        self._asked.update((pid, start_ticks) for pid, start_ticks in keys)

    def open_paths(self, pid: int) -> tuple[str, ...]:
        return linux.open_paths(pid)

    def listening(self, pids: Iterable[int]) -> frozenset[int]:
        return linux.listening(pids)

    def _meet(self, pid: int, tick_s: float, up_s: float) -> None:
        stat = linux.stat(pid)
        argv = linux.argv(pid)
        uid = linux.uid(pid)
        if stat is None or argv is None or uid < 0:
            self._seen.pop(pid, None)
            self._changed = True
            return
        seen = _Seen(pid, stat, uid, argv, "", None, cpu_at_s=tick_s)
        age_s = up_s - stat.start_ticks / linux.TICKS_PER_S
        if self._tick_at_s and 0 < age_s <= tick_s - self._tick_at_s:
            seen.cpu_pct = 100 * stat.cpu_ticks / linux.TICKS_PER_S / max(age_s, 0.01)
        self._learn(seen)
        self._seen[pid] = seen

    def _learn(self, seen: _Seen) -> None:
        """What follows from argv: whose program it is, and whether its environment is worth a look."""
        self._changed = True
        seen.stale = True
        seen.detailed = False
        seen.env = None
        seen.identity = None
        if not seen.argv or seen.stat.state == "Z":
            return
        seen.exe = linux.exe(seen.pid)
        seen.identity = identify(seen.argv, seen.exe, self._specs)
        own = seen.uid == self.host.uid
        if own and (seen.identity or seen.stat.ppid == 1 or _RUNTIMES.match(stem(seen.argv[0]))):
            seen.env = linux.environ(seen.pid, self._wanted)
        if (
            own
            and seen.identity
            and seen.stat.tty_nr
            and not any(name == "TMUX" for name, _ in seen.env or ())
        ):
            seen.env = (*(seen.env or ()), *self._terminal_above(seen))

    def _terminal_above(self, seen: _Seen) -> tuple[tuple[str, str], ...]:
        """The terminal that the parent on the same tty names.

        A program that sets its title may overwrite its own environment (Kimi CLI), and a launcher may start its
        worker with an environment of its own (Mistral Vibe).
        """
        above = linux.stat(seen.stat.ppid)
        if above is None or above.tty_nr != seen.stat.tty_nr:
            return ()
        known = {name for name, _ in seen.env or ()}
        return linux.environ(seen.stat.ppid, [name for name in TERMINAL_ENV if name not in known])

    def _read_again(self, seen: _Seen, tick_s: float, up_s: float, *, argv_too: bool) -> None:
        raw = linux.stat_bytes(seen.pid)
        if raw and raw == seen.raw and not argv_too and (seen.argv or not seen.exe):
            seen.stale = seen.stale or seen.cpu_pct != 0.0
            seen.cpu_pct, seen.cpu_at_s = 0.0, tick_s
            return
        try:
            stat = linux.parse_stat(raw)
        except ValueError:
            stat = None
        if stat is None:
            self._seen.pop(seen.pid, None)
            self._changed = True
            return
        seen.raw, seen.stale = raw, True
        if stat.start_ticks != seen.stat.start_ticks:
            self._meet(seen.pid, tick_s, up_s)
            return
        renamed = stat.comm != seen.stat.comm
        orphaned = stat.ppid != seen.stat.ppid  # to pid 1 or to a subreaper
        self._changed |= orphaned
        elapsed_s = tick_s - seen.cpu_at_s
        if elapsed_s > 0:
            spent = max(0, stat.cpu_ticks - seen.stat.cpu_ticks)
            seen.cpu_pct = 100 * spent / linux.TICKS_PER_S / elapsed_s
            seen.cpu_at_s = tick_s
        seen.stat = stat
        in_exec = not seen.argv and bool(seen.exe)  # caught while the kernel had no argv for it
        if argv_too or renamed or in_exec:
            argv = linux.argv(seen.pid)
            # An exec into the same argv is possible (a launcher that restarts itself): look at exe too.
            if argv is not None and (argv != seen.argv or linux.exe(seen.pid) != seen.exe):
                seen.argv = argv
                self._learn(seen)
        if orphaned and seen.env is None and seen.uid == self.host.uid:
            seen.env = linux.environ(seen.pid, self._wanted)

    def _track(self, turn: int) -> None:
        if self._changed:
            self._tracked = self._find_tracked()
        for pid in self._tracked:
            seen = self._seen[pid]
            if not seen.detailed:
                self._detail(seen)
            elif seen.identity and pid % ROUND_TICKS == turn:
                cwd = linux.link(pid, "cwd") or seen.cwd
                seen.stale = seen.stale or cwd != seen.cwd
                seen.cwd = cwd

    def _find_tracked(self) -> dict[int, int]:
        """pid -> start ticks. Once tracked, a process stays so: its parent may go before it."""
        parents = {pid: seen.stat.ppid for pid, seen in self._seen.items()}
        roots = {pid for pid, seen in self._seen.items() if seen.identity or self._is_marked(seen)}
        for pid, start_ticks in (*self._tracked.items(), *self._asked.items()):
            known = self._seen.get(pid)
            if known is not None and known.stat.start_ticks == start_ticks:
                roots.add(pid)
        self._asked.clear()
        return {pid: self._seen[pid].stat.start_ticks for pid in family(parents, roots)}

    def _is_marked(self, seen: _Seen) -> bool:
        return bool(seen.env) and any(name in self._markers for name, _ in seen.env or ())

    def _detail(self, seen: _Seen) -> None:
        seen.detailed = seen.stale = True
        seen.cwd = linux.link(seen.pid, "cwd")
        seen.pid_ns = linux.link(seen.pid, "ns/pid")
        seen.piped = linux.piped(seen.pid)
        if seen.env is None and seen.uid == self.host.uid:
            seen.env = linux.environ(seen.pid, self._wanted)

    def _given(self, seen: _Seen) -> Proc:
        """What the table says of a process: the same object while nothing of it has changed."""
        old = seen.proc
        if old is not None and not seen.stale:
            return old
        new = seen.proc = self._proc(seen)
        seen.stale = False
        if old is None or new != replace(old, cpu_pct=new.cpu_pct, rss_bytes=new.rss_bytes):
            self.revision += 1
        elif new != old:
            self.used.add(seen.pid)
        return new

    def _proc(self, seen: _Seen) -> Proc:
        stat = seen.stat
        boot_ms = self._boot_ms or 0
        return Proc(
            pid=seen.pid,
            ppid=stat.ppid,
            pgid=stat.pgid,
            sid=stat.sid,
            start_ticks=stat.start_ticks,
            started_ms=boot_ms + stat.start_ticks * 1000 // linux.TICKS_PER_S,
            uid=seen.uid,
            argv=seen.argv,
            exe=seen.exe,
            cwd=seen.cwd,
            state=stat.state,
            cpu_pct=seen.cpu_pct,
            rss_bytes=stat.rss_bytes,
            tty=linux.tty_name(stat.tty_nr),
            pid_ns=seen.pid_ns,
            env=seen.env or (),
            piped=seen.piped,
            identity=seen.identity,
        )
