"""Codex as the operating system shows it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from tokentop.agents.processes import (
    UUID,
    Daemon,
    Processes,
    RegistryEntry,
    before_dashes,
    flag_value,
    session_uuid,
)
from tokentop.nouns.processes import ProcRole

_VALUE_FLAGS = {
    *("-c", "--config", "-m", "--model", "-p", "--profile", "-C", "--cd", "-s", "--sandbox", "-i", "--image"),
    *("-a", "--ask-for-approval", "--add-dir", "--enable", "--disable", "--local-provider", "--remote"),
}
_HELPER_FLAGS = {"--help", "-h", "--version", "-V"}
_HELPER_COMMANDS = {
    *("login", "logout", "mcp", "mcp-server", "completion", "sandbox", "debug", "apply", "a", "features"),
    *("cloud", "help", "update", "doctor", "responses-api-proxy", "stdio-to-uds", "execpolicy", "plugin"),
}
_ONE_SHOT = {"exec", "e", "review"}
_ROLLOUT = re.compile(rf"/rollout-[^/]*?({UUID.pattern})\.jsonl(\.zst)?$")
_LOCK = re.compile(rf"/thread-writer-locks/({UUID.pattern})\.lock$")


class _Identity(msgspec.Struct, rename="camel"):
    boot_id: str = ""
    start_ticks: int = 0


class _DaemonPid(msgspec.Struct, rename="camel"):
    pid: int
    process_identity: _Identity = msgspec.field(default_factory=_Identity)


def parse_registry(name: str, data: bytes) -> RegistryEntry | None:
    """Read `app-server-daemon/daemon.pid` and its sibling. Raises ValueError on damaged bytes."""
    entry = msgspec.json.decode(data, type=_DaemonPid)
    identity = entry.process_identity
    if entry.pid <= 1 or not identity.boot_id or not identity.start_ticks:
        return None
    role = ProcRole.UPDATER if name.endswith("daemon-updater.pid") else ProcRole.DAEMON
    return RegistryEntry(entry.pid, role=role, start=str(identity.start_ticks), boot_id=identity.boot_id)


def operands(argv: Sequence[str]) -> tuple[str, ...]:
    """The words of argv that are neither options nor values of options."""
    found: list[str] = []
    skip = False
    for word in before_dashes(argv):
        if skip:
            skip = False
        elif word in _VALUE_FLAGS:
            skip = True
        elif not word.startswith("-"):
            found.append(word)
    return tuple(found)


def role_of(argv: Sequence[str]) -> ProcRole | None:
    words = operands(argv)
    if words[:1] == ("app-server",):
        if "pid-update-loop" in words:
            return ProcRole.UPDATER
        return None if len(words) > 1 and words[1] in {"daemon", "proxy", "generate-ts"} else ProcRole.DAEMON
    if words and words[0] in _HELPER_COMMANDS:
        return None
    return None if _HELPER_FLAGS & set(before_dashes(argv)) else ProcRole.AGENT


def one_shot(argv: Sequence[str]) -> bool:
    return operands(argv)[:1] != () and operands(argv)[0] in _ONE_SHOT


def argv_session(argv: Sequence[str]) -> str:
    """The thread of `codex resume <id>` and `codex exec resume <id>`; `fork` makes a new thread."""
    words = operands(argv)
    if words[:1] and words[0] in _ONE_SHOT:
        words = words[1:]
    return session_uuid(words[1]) if len(words) > 1 and words[0] == "resume" else ""


def fd_session(path: str) -> str:
    """The thread that an open rollout or writer lock belongs to, or ""."""
    match = _ROLLOUT.search(path) or _LOCK.search(path)
    return match.group(1).lower() if match else ""


PROCESSES = Processes(
    agent="codex",
    label="Codex",
    names=("codex",),
    package_dirs=("/node_modules/@openai/codex",),
    entry_names=(),
    root_env="CODEX_HOME",
    root_dirs=(".codex",),
    session_markers=("CODEX_THREAD_ID", "CODEX_SESSION_ID"),
    pid_markers=(),
    registry=("app-server-daemon/daemon.pid", "app-server-daemon/daemon-updater.pid"),
    parse_registry=parse_registry,
    role_of=role_of,
    one_shot=one_shot,
    argv_session=argv_session,
    argv_cwd=lambda argv: flag_value(argv, "-C", "--cd"),
    fd_session=fd_session,
    ladder=(("TERM", 5.0), ("KILL", 2.0)),
    # INT first: the client then writes `turn_aborted` into its log.
    one_shot_ladder=(("INT", 2.0), ("TERM", 5.0), ("KILL", 2.0)),
    yields_tools=True,
    daemon=Daemon(
        control_socket="app-server-control/app-server-control.sock",
        threads_glob="state_*.sqlite",
        # `source` says "vscode" for the terminal client too; `originator` tells them apart.
        threads_sql=(
            "SELECT t.id, t.cwd, COALESCE(t.created_at_ms, t.created_at * 1000), COALESCE(t.originator, ''),"
            " COALESCE(e.parent_thread_id, '') FROM threads t"
            " LEFT JOIN thread_spawn_edges e ON e.child_thread_id = t.id WHERE t.id IN ({ids})"
        ),
        clients=("codex-tui",),
    ),
    resume="codex resume {session_id}",
)
