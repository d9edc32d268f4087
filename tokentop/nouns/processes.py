"""The processes of agents."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from .sessions import State


class ProcRole(StrEnum):
    AGENT = "agent"
    WRAPPER = "wrapper"
    TOOL = "tool"
    MCP = "mcp"
    SERVER = "server"
    DAEMON = "daemon"
    PTY_HOST = "pty-host"
    SPARE = "spare"
    UPDATER = "updater"
    ORPHAN = "orphan"


class Ident(Struct, frozen=True, gc=False):
    """Identity of a process: (pid, start) is what counts, the rest is checked before a signal."""

    pid: int
    start_ticks: int
    uid: int
    boot_id: str = ""
    exe: str = ""
    argv0: str = ""

    @property
    def key(self) -> tuple[int, int]:
        return self.pid, self.start_ticks


class ChildProc(Struct, frozen=True, gc=False):
    """A descendant of an agent (tool shell, MCP server, dev server)."""

    ident: Ident
    ppid: int
    role: ProcRole
    command: str  # cleaned, for display
    started_ms: int
    cpu_pct: float
    rss_bytes: int


class Terminal(Struct, frozen=True, gc=False):
    """A terminal that a process was started in, as its own environment says; `server` and `place` may be ""."""

    kind: str  # tmux, kitty, wezterm, zellij, screen, or what the terminal program calls itself
    server: str = ""  # socket
    place: str = ""  # pane, window or session


class AgentProc(Struct, frozen=True, gc=False):
    """One agent process (the leaf), or a process without a living owner (`role` orphan)."""

    ident: Ident
    agent: str
    role: ProcRole
    cwd: str
    command: str  # cleaned argv, for display
    started_ms: int
    cpu_pct: float
    rss_bytes: int
    run_state: str  # R, S, D, T, Z as the kernel says
    one_shot: bool = False  # -p / exec: never idle while alive
    session_id: str = ""  # "" = not mapped
    confidence: str = ""  # exact, strong, inferred
    parent_session_id: str = ""  # environment marker: started by a tool of this session
    state: State | None = None  # the agent's own live state, if it publishes one
    state_detail: str = ""
    state_since_ms: int = 0
    state_source: str = ""
    shared_session_ids: tuple[str, ...] = ()  # a daemon: the sessions that live in it
    left_session_ids: tuple[str, ...] = ()  # those of them whose terminal client is gone
    children: tuple[ChildProc, ...] = ()
    wrapper: Ident | None = None
    tty: str = ""
    tmux: str = ""  # "socket,pane" from the environment of the process
    terminals: tuple[Terminal, ...] = ()  # all that its environment names, the most likely first
    background_id: str = ""  # supervised: the id for the agent's own stop command
    log_root: str = ""  # profile directory that the process uses
    profile: str = ""  # the same, where its environment names one (CLAUDE_CONFIG_DIR, CODEX_HOME)
