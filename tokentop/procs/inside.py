"""What one process was started with, and the ports on which it and those below it listen.

Read when somebody looks, of exactly the process that is named: pid and start are checked before and after, so that
a pid which was given to another process meanwhile shows nothing of it. Values of the environment are left out here,
but for names that are known to be harmless: what is not read cannot be shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from tokentop.nouns.looks import Inside, Port
from tokentop.nouns.processes import ChildProc, Ident
from tokentop.text import clean, one_line

HIDDEN = "***"
PIDS_MAX = 64
_ENV_MAX = 500
_GONE = "the process has ended"
_OTHER = "its pid belongs to another process now"
# fmt: off
_SHOWN = frozenset((
    "CI", "COLORTERM", "COLUMNS", "DEBIAN_FRONTEND", "DESKTOP_SESSION", "DISPLAY", "EDITOR", "GIT_EDITOR",
    "GIT_PAGER", "HOME", "HOSTNAME", "HOSTTYPE", "INSIDE_EMACS", "LANG", "LANGUAGE", "LINES", "LOGNAME", "MACHTYPE",
    "NODE_ENV", "NO_COLOR", "NVM_BIN", "NVM_DIR", "OLDPWD", "OSTYPE", "PAGER", "PATH", "PWD", "PYENV_ROOT",
    "SHELL", "SHLVL", "STY", "TERM", "TERMINFO", "TMPDIR", "TMUX", "TMUX_PANE", "TZ", "USER", "VIRTUAL_ENV",
    "VISUAL", "WAYLAND_DISPLAY", "WINDOWID", "WSL_DISTRO_NAME", "FORCE_COLOR", "GOPATH", "GOROOT", "CARGO_HOME",
    "RUSTUP_HOME", "JAVA_HOME", "CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SESSION_ID",
    "GEMINI_CLI_NO_RELAUNCH", "KITTY_WINDOW_ID", "WEZTERM_PANE", "ZELLIJ_SESSION_NAME",
))
_SHOWN_HEADS = ("LC_", "XDG_", "TERM_PROGRAM", "KONSOLE_", "VTE_", "OPENCODE_PID", "KILO_PID", "TOKENTOP_")
_SHOWN_TAILS = ("_HOME", "_CONFIG_DIR", "_STATE_DIR", "_DATA_DIR", "_CACHE_DIR")
# fmt: on
_FLAGS = ("key", "token", "secret", "passw", "credential", "auth")


def inside(ident: Ident, below: Sequence[ChildProc] = ()) -> Inside:
    """The arguments, directory, environment and ports of one process. What may not be read is said."""
    if refusal := _check(ident):
        return Inside(ident.pid, ident.start_ticks, refusal)
    argv, cwd, environ = _read(ident.pid)
    ports, note = listening_ports(ident, below)
    if refusal := _check(ident):  # it ended while it was read: what was read may be of another one
        return Inside(ident.pid, ident.start_ticks, refusal)
    env_note = "" if environ is not None else "its environment may not be read"
    return Inside(
        ident.pid, ident.start_ticks, "", masked_argv(argv), clean(cwd, 1000), masked_environment(environ or {}),
        env_note, ports, note,
    )  # fmt: skip


def masked_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """Arguments without secrets: also where the secret is the argument behind its flag."""
    out: list[str] = []
    hidden = False
    for argument in argv[:200]:
        out.append(HIDDEN if hidden else one_line(argument, 400))
        flag = argument.lower()
        hidden = flag[:1] == "-" and "=" not in flag and len(flag) < 40 and any(w in flag for w in _FLAGS)
    return tuple(out)


def masked_environment(environ: Mapping[str, str]) -> tuple[tuple[str, str, bool], ...]:
    """(name, value, shown) by name: a value is shown where its name is known to be harmless."""
    out = []
    for name in sorted(environ)[:_ENV_MAX]:
        shown = is_harmless(name)
        value = one_line(environ[name], 400) if shown else ""
        shown = shown and value == clean(" ".join(environ[name].split()), 400)  # nothing in it was masked
        out.append((one_line(name, 100), value if value else HIDDEN if environ[name] else "", shown))
    return tuple(out)


def is_harmless(name: str) -> bool:
    """Whether the value of a variable can be shown: by a list of names, so that an unknown one is not."""
    upper = name.upper()
    if any(word in upper for word in ("KEY", "TOKEN", "SECRET", "PASS", "AUTH", "CREDENTIAL", "COOKIE")):
        return False
    return upper in _SHOWN or upper.startswith(_SHOWN_HEADS) or upper.endswith(_SHOWN_TAILS)


def listening_ports(ident: Ident, below: Sequence[ChildProc] = ()) -> tuple[tuple[Port, ...], str]:
    """The TCP ports of a process and of those below it, and what could not be looked at."""
    commands = {ident.pid: ident.argv0} | {child.ident.pid: child.command for child in below}
    pids = list(commands)[:PIDS_MAX]
    note = f"only the first {PIDS_MAX} processes were looked at" if len(commands) > PIDS_MAX else ""
    try:
        found = _linux_ports(ident.pid, pids) if sys.platform == "linux" else _psutil_ports(pids)
    except OSError as error:
        return (), f"its sockets may not be read: {error.strerror or type(error).__name__}"
    ports = {
        (port, pid): Port(port, address, pid, one_line(commands[pid], 120)) for port, address, pid in found
    }
    return tuple(ports[key] for key in sorted(ports)), note


# ---------------------------------------------------------------- reading


def _check(ident: Ident) -> str:
    """ "" while the process of that identity is there, else what became of it."""
    ticks = _start_ticks(ident.pid)
    if ticks is None:
        return _GONE
    return "" if ticks == ident.start_ticks else _OTHER


def _start_ticks(pid: int) -> int | None:
    if sys.platform == "linux":
        from tokentop.procs import linux

        found = linux.stat(pid)
        return found.start_ticks if found is not None and found.state not in {"Z", "X"} else None
    from tokentop.procs.psutil_source import PsutilProbe

    about = PsutilProbe().ident(pid)
    return about.start_ticks if about is not None else None


def _read(pid: int) -> tuple[Sequence[str], str, Mapping[str, str] | None]:
    """(arguments, directory, environment); None = it may not be read."""
    if sys.platform != "linux":
        return _psutil_read(pid)
    from tokentop.procs import linux

    argv = linux.argv(pid) or ()
    try:
        data = linux.read_bytes(f"{linux.PROC}/{pid}/environ")
    except OSError:
        return argv, linux.link(pid, "cwd"), None
    pairs = (part.decode("utf-8", "replace").partition("=") for part in data.split(b"\0") if b"=" in part)
    return argv, linux.link(pid, "cwd"), {name: value for name, _, value in pairs if name}


def _psutil_read(pid: int) -> tuple[Sequence[str], str, Mapping[str, str] | None]:
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return process.cmdline(), process.cwd(), process.environ()
    except (psutil.Error, OSError):
        return (), "", None


def _linux_ports(root: int, pids: Iterable[int]) -> list[tuple[int, str, int]]:
    """(port, address, pid): the kernel's list of the network that `root` lives in, by the sockets of each process."""
    from tokentop.procs import linux

    sockets = linux.listening_sockets(root)
    if not sockets:
        return []
    return [
        (sockets[path][1], sockets[path][0], pid)
        for pid in pids
        for path in linux.open_paths(pid)
        if path in sockets
    ]


def _psutil_ports(pids: Iterable[int]) -> list[tuple[int, str, int]]:
    import psutil

    found = []
    for pid in pids:
        try:
            sockets = psutil.Process(pid).net_connections("tcp")
        except (psutil.Error, OSError):
            continue
        found += [
            (s.laddr.port, s.laddr.ip, pid) for s in sockets if s.status == psutil.CONN_LISTEN and s.laddr
        ]
    return found
