"""The table of processes that a source gives at each tick, and what a source must offer. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from msgspec import Struct

from tokentop.agents.processes import Identity, Processes
from tokentop.nouns.processes import Ident
from tokentop.text import one_line

TERMINAL_ENV = (
    "TMUX", "TMUX_PANE",
    "KITTY_LISTEN_ON", "KITTY_WINDOW_ID", "WEZTERM_UNIX_SOCKET", "WEZTERM_PANE",
    "ZELLIJ_SESSION_NAME", "STY", "TERM_PROGRAM",
)  # fmt: skip


class Host(Struct, frozen=True):
    """This machine as the agents name it. An empty string = not known here."""

    uid: int
    boot_id: str = ""
    machine_id: str = ""
    pid_ns: str = ""


class Proc(Struct, frozen=True):
    """One tracked process. Text is as the kernel gives it (lone surrogates for stray bytes)."""

    pid: int
    ppid: int
    pgid: int
    sid: int
    start_ticks: int
    started_ms: int
    uid: int
    argv: tuple[str, ...]
    exe: str
    cwd: str
    state: str
    cpu_pct: float
    rss_bytes: int
    tty: str = ""
    pid_ns: str = ""
    env: tuple[tuple[str, str], ...] = ()  # the wanted names only
    piped: bool = False  # stdin and stdout are pipes or sockets
    identity: Identity | None = None

    def env_value(self, *names: str) -> str:
        """The value of the first of `names` that is set, or ""."""
        for name in names:
            for key, value in self.env:
                if key == name and value:
                    return value
        return ""

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start_ticks

    def ident(self, host: Host) -> Ident:
        argv0 = program_of(self.argv)
        return Ident(self.pid, self.start_ticks, self.uid, host.boot_id, self.exe, argv0)


def program_of(argv: Sequence[str]) -> str:
    """The first argument as it may be shown and kept, secrets masked: some write a whole command line there."""
    return _shown(argv[0]) if argv else ""


@lru_cache(4096)
def _shown(argv0: str) -> str:
    return one_line(argv0, 400)


Table = Mapping[int, Proc]


class Source(Protocol):
    """One pass over the processes of this machine; `LinuxSource` and `PsutilSource` implement it."""

    host: Host

    def tick(self, now_ms: int) -> Table:
        """Tracked processes by pid: agents, everything below them, and marked processes of our uid."""

    def track(self, keys: Iterable[tuple[int, int]]) -> None:
        """Give these processes (pid, start ticks) from the next tick on, as long as they live."""

    def open_paths(self, pid: int) -> tuple[str, ...]:
        """Paths of the open files of a process; empty where they may not be read."""

    def listening(self, pids: Iterable[int]) -> frozenset[int]:
        """Which of `pids` hold a listening TCP socket."""


def family(parents: Mapping[int, int], roots: Iterable[int]) -> set[int]:
    """`roots` and all their descendants. `parents` is pid -> ppid of every process."""
    children: dict[int, list[int]] = {}
    for pid, ppid in parents.items():
        children.setdefault(ppid, []).append(pid)
    found: set[int] = set()
    queue = [pid for pid in roots if pid in parents]
    while queue:
        pid = queue.pop()
        if pid not in found:
            found.add(pid)
            queue.extend(children.get(pid, ()))
    return found


def wanted_env(specs: Iterable[Processes]) -> tuple[str, ...]:
    """Names of the environment variables worth keeping; values of all others are never stored."""
    names = ["HOME", *TERMINAL_ENV]
    for spec in specs:
        names.append(spec.root_env)
        names.extend(spec.session_markers)
        names.extend(spec.pid_markers)
    return tuple(dict.fromkeys(name for name in names if name))
