"""Claude Code as the operating system shows it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tokentop.agents.processes import Processes, RegistryEntry, before_dashes, flag_value, session_uuid
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import State
from tokentop.text import clean

_HELPER_FLAGS = {"--help", "-h", "--version", "-v"}
_HELPER_COMMANDS = {
    "agents",
    "attach",
    "auth",
    "config",
    "doctor",
    "install",
    "logs",
    "mcp",
    "mcp-server",
    "migrate-installer",
    "plugin",
    "setup-token",
    "stop",
    "update",
    "upgrade",
}
_WAITS = {
    "permission prompt": State.PERMISSION,
    "worker request": State.PERMISSION,
    "sandbox request": State.PERMISSION,
    "dialog open": State.INPUT,
    "input needed": State.INPUT,
}
_STATUS = {"busy": State.WORKING, "shell": State.WORKING, "idle": State.IDLE, "waiting": State.INPUT}
_JOB = {
    "working": State.WORKING,
    "blocked": State.INPUT,
    "done": State.DONE,
    "stopped": State.DONE,
    "failed": State.ERROR,
    "crashed": State.ERROR,
}
_SERVICES = {"daemon": ProcRole.DAEMON, "daemon-worker": ProcRole.AGENT}


class _Session(msgspec.Struct, rename="camel"):
    pid: int
    session_id: str = ""
    cwd: str = ""
    proc_start: str | int = ""
    kind: str = ""
    entrypoint: str = ""
    pid_domain: str = ""
    status: str = ""
    waiting_for: str = ""
    updated_at: int | float = 0
    status_updated_at: int | float = 0
    job_id: str = ""


class _Job(msgspec.Struct):
    state: str = ""
    detail: str | None = None
    needs: object = None


def parse_registry(name: str, data: bytes) -> RegistryEntry | None:
    """Read `sessions/<pid>.json` or `jobs/<id>/state.json`. Raises ValueError on damaged bytes."""
    parts = name.split("/")
    if parts[0] == "jobs":
        job = msgspec.json.decode(data, type=_Job)
        needs = job.needs if isinstance(job.needs, str) else ""
        told = _JOB.get(job.state, State.UNKNOWN)
        detail = needs if told is State.INPUT and needs else job.detail or needs
        return RegistryEntry(0, state=told, state_detail=clean(detail), background_id=parts[1])
    entry = msgspec.json.decode(data, type=_Session)
    if entry.pid <= 1 or parts[-1] != f"{entry.pid}.json":
        return None
    state, detail = _state(entry)
    machine, _, namespace = entry.pid_domain.removeprefix("linux:").partition(":pid:")
    return RegistryEntry(
        pid=entry.pid,
        session_id=entry.session_id,
        role=_SERVICES.get(entry.kind, ProcRole.AGENT),
        start=str(entry.proc_start),
        machine_id=machine if namespace else "",
        pid_ns=f"pid:{namespace}" if namespace else "",
        cwd=entry.cwd,
        one_shot=entry.entrypoint.startswith("sdk-") if entry.entrypoint else None,
        state=state,
        state_detail=detail,
        state_since_ms=int(entry.status_updated_at or entry.updated_at),
        background_id=entry.job_id,
    )


def _state(entry: _Session) -> tuple[State | None, str]:
    if not entry.status:
        # 2.1.197 leaves the status out for `-p`, which works as long as it lives.
        return (State.WORKING, "") if entry.entrypoint.startswith("sdk-") else (None, "")
    state = _STATUS.get(entry.status)
    if state is None:
        return State.UNKNOWN, clean(entry.status, 40)
    if entry.status == "waiting":
        return _WAITS.get(entry.waiting_for, State.INPUT), clean(entry.waiting_for, 40)
    return state, ""


def role_of(argv: Sequence[str]) -> ProcRole | None:
    words = before_dashes(argv)
    if "--bg-pty-host" in words:
        return ProcRole.PTY_HOST
    if "--bg-spare" in words:
        return ProcRole.SPARE
    if words[:2] == ("daemon", "run"):
        return ProcRole.DAEMON
    if words and (words[0] in _HELPER_COMMANDS or words[0] == "daemon"):
        return None
    return None if _HELPER_FLAGS & set(words) else ProcRole.AGENT


def one_shot(argv: Sequence[str]) -> bool:
    return any(word in {"-p", "--print"} for word in before_dashes(argv))


def argv_session(argv: Sequence[str]) -> str:
    """The session that argv names. A fork gets a new id, so its `--resume` names only the parent."""
    named = flag_value(argv, "--session-id")
    if not named and "--fork-session" not in argv:
        named = flag_value(argv, "--resume", "-r")
    return session_uuid(named)


PROCESSES = Processes(
    agent="claude",
    label="Claude Code",
    names=("claude",),
    package_dirs=("/node_modules/@anthropic-ai/claude-code",),
    entry_names=("cli",),
    root_env="CLAUDE_CONFIG_DIR",
    root_dirs=(".claude", ".config/claude"),
    session_markers=("CLAUDE_CODE_SESSION_ID",),
    pid_markers=("CLAUDE_PID",),
    registry=("sessions/*.json", "jobs/*/state.json"),
    parse_registry=parse_registry,
    role_of=role_of,
    one_shot=one_shot,
    argv_session=argv_session,
    argv_cwd=lambda _argv: "",
    fd_session=None,
    ladder=(("TERM", 5.0), ("KILL", 2.0)),
    # INT first: the client then writes the partial result and its running total.
    one_shot_ladder=(("INT", 2.0), ("TERM", 5.0), ("KILL", 2.0)),
    stop_command=("stop", "{id}"),
    interrupt_keys=("Escape",),
    resume="claude --resume {session_id}",
)
