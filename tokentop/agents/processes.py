"""What the operating system shows of an agent: how its processes are named, mapped and stopped.

One frozen `Processes` value per agent, in `agents/<agent>/processes.py`. Pure: no I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import State

UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")

_SUFFIXES = (".exe", ".cjs", ".mjs", ".js")
# argv[1] names the program only behind one of these: `vim claude` is no agent.
_INTERPRETERS = re.compile(r"(node(js)?|bun|deno|tsx|python[0-9.]*|ba?sh|dash|zsh|MainThread)$")


class RegistryEntry(Struct, frozen=True):
    """What one file of an agent says about a live process. All of it is a hint until verified.

    `start` is the start of the process as the agent wrote it: kernel ticks in digits, or the text of
    `ps -o lstart=`. Where it wrote no such thing, `session_ms` is when its session began, which is soon after.
    `pid` 0 = the file describes a job, joined by `background_id`.
    """

    pid: int
    session_id: str = ""
    role: ProcRole = ProcRole.AGENT
    start: str = ""
    session_ms: int = 0
    boot_id: str = ""
    machine_id: str = ""
    pid_ns: str = ""
    cwd: str = ""
    one_shot: bool | None = None
    state: State | None = None
    state_detail: str = ""
    state_since_ms: int = 0
    background_id: str = ""


class Daemon(Struct, frozen=True):
    """A shared daemon that owns the sessions of many clients.

    Paths are relative to the agent's root. `threads_sql` gives the rows (id, cwd, created_ms, client,
    parent_id) of the newest database that matches `threads_glob`; `clients` are the values of `client`
    that an interactive client has.
    """

    control_socket: str
    threads_glob: str
    threads_sql: str
    clients: tuple[str, ...]


def is_helper(argv: Sequence[str]) -> bool:
    """Whether a program only tells its version or serves another one."""
    return bool({"--help", "-h", "--version", "-V", "mcp-server"} & set(before_dashes(argv)))


def plain_role(argv: Sequence[str]) -> ProcRole | None:
    """The role of a program without daemons or launchers that name themselves."""
    return None if is_helper(argv) else ProcRole.AGENT


def role_without(commands: Collection[str]) -> Callable[[Sequence[str]], ProcRole | None]:
    """The role of a program of which these commands run no agent."""

    def role_of(argv: Sequence[str]) -> ProcRole | None:
        return None if is_helper(argv) or (len(argv) > 1 and argv[1] in commands) else ProcRole.AGENT

    return role_of


def editor_role(argv: Sequence[str]) -> ProcRole | None:
    """The program itself, not the helpers that an editor starts from its own binary."""
    helper = any(word.startswith("--type=") or word.endswith(".js") for word in argv[1:])
    return None if helper or is_helper(argv) else ProcRole.AGENT


def _no_registry(_name: str, _data: bytes) -> RegistryEntry | None:
    return None


def _never(_argv: Sequence[str]) -> bool:
    return False


def _nothing(_argv: Sequence[str]) -> str:
    return ""


class Processes(Struct, frozen=True, kw_only=True):
    """How to find, map and stop the processes of one agent.

    `role_of` takes argv from the agent's own name on (without an interpreter) and gives None for a
    helper such as `--version`. Ladders are (signal name, grace in seconds) in order. `parse_registry`
    takes the path below the root and raises ValueError where the bytes are damaged.
    """

    agent: str
    label: str
    names: tuple[str, ...]
    package_dirs: tuple[str, ...] = ()
    entry_names: tuple[str, ...] = ()  # files inside a package directory that are the agent
    common_name: bool = (
        False  # other programs have that name too: only where a data folder of the agent exists
    )
    root_env: str = ""
    root_below: str = ""  # appended to the value of `root_env`
    root_dirs: tuple[str, ...] = ()  # below HOME
    session_markers: tuple[str, ...] = ()  # environment of tool children: the session
    pid_markers: tuple[str, ...] = ()  # environment of tool children: the agent's pid
    registry: tuple[str, ...] = ()
    parse_registry: Callable[[str, bytes], RegistryEntry | None] = _no_registry
    role_of: Callable[[Sequence[str]], ProcRole | None] = plain_role
    one_shot: Callable[[Sequence[str]], bool] = _never
    argv_session: Callable[[Sequence[str]], str] = _nothing
    argv_cwd: Callable[[Sequence[str]], str] = _nothing
    fd_session: Callable[[str], str] | None = None
    ladder: tuple[tuple[str, float], ...] = (("TERM", 5.0), ("KILL", 2.0))
    one_shot_ladder: tuple[tuple[str, float], ...] = (("TERM", 5.0), ("KILL", 2.0))
    stop_command: tuple[str, ...] = ()  # arguments for a background agent; {id} is its background id
    stop_grace_s: float = 10.0
    interrupt_keys: tuple[str, ...] = ()  # tmux key names that stop the turn in the interactive client
    yields_tools: bool = False  # a call is answered while its command runs on, and the turn looks at it again
    daemon: Daemon | None = None
    any_directory: bool = (
        False  # its sessions have a folder of their own, wherever its processes were started
    )
    resume: str = ""


def profile_of(spec: Processes, value: str) -> str:
    """The data folder that the value of the agent's own variable names; "" for none."""
    first = value.split(",", maxsplit=1)[0].strip().rstrip("/")
    return f"{first}/{spec.root_below}".rstrip("/") if first else ""


class Identity(Struct, frozen=True):
    """A process recognised as one of an agent's programs. `argv` starts at the agent's own name."""

    spec: Processes
    role: ProcRole
    argv: tuple[str, ...]


def stem(path: str) -> str:
    """The file name of `path` without directories and script suffix."""
    name = path.rsplit("/", 1)[-1]
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and name != suffix:
            return name[: -len(suffix)]
    return name


def identify(argv: Sequence[str], exe: str, specs: Sequence[Processes]) -> Identity | None:
    """Return which agent's program a process is, or None. `argv` is split at NUL, never joined.

    The process name (comm) plays no part: any thread may rename itself.
    """
    if not argv or not argv[0]:
        return None
    start = _program_index(argv)
    program, name = argv[start], stem(argv[start])
    for spec in specs:
        if _is_program(spec, program, name) or (start == 0 and _is_exe(spec, exe, argv[0])):
            own = tuple(argv[start:])
            role = spec.role_of(own)
            return None if role is None else Identity(spec, role, own)
    return None


def _program_index(argv: Sequence[str]) -> int:
    """Index of the argument that names the program: behind an interpreter it is its first operand."""
    if not _INTERPRETERS.match(stem(argv[0]).lstrip("-")):
        return 0
    for index, word in enumerate(argv[1:4], start=1):
        if not word.startswith("-"):
            return index
        if word in {"-c", "-e", "-m", "--eval"}:
            return 0
    return 0


def _is_program(spec: Processes, program: str, name: str) -> bool:
    if name in spec.names:
        return True
    return name in spec.entry_names and any(directory in program for directory in spec.package_dirs)


def _is_exe(spec: Processes, exe: str, argv0: str) -> bool:
    # Agents re-execute their own binary under another name (a bundled `rg`): argv[0] must agree.
    name = stem(exe)
    versioned = any(f"/{known}/versions/" in exe for known in spec.names)
    packaged = any(directory in exe for directory in spec.package_dirs) and name in (
        *spec.names,
        *spec.entry_names,
    )
    return (versioned or packaged or name in spec.names) and stem(argv0) in (*spec.names, name)


def flag_value(argv: Sequence[str], *flags: str) -> str:
    """The value of the first of `flags` in argv (`--flag value` or `--flag=value`), or ""."""
    for index, word in enumerate(argv[1:], start=1):
        if word == "--":
            break
        if word in flags and index + 1 < len(argv):
            return argv[index + 1]
        for flag in flags:
            if flag.startswith("--") and word.startswith(flag + "="):
                return word[len(flag) + 1 :]
    return ""


def before_dashes(argv: Sequence[str]) -> tuple[str, ...]:
    """The arguments up to a bare `--`, without the program name."""
    words = tuple(argv[1:])
    return words[: words.index("--")] if "--" in words else words


def session_uuid(text: str) -> str:
    """`text` if it is a session id of the UUID form, else ""."""
    return text.lower() if UUID.fullmatch(text) else ""
