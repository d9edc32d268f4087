"""OpenCode: terminal client, `run`, and the server that its desktop application uses. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tokentop.nouns.processes import ProcRole

from ._opencode import roots, sources
from .base import Agent
from .processes import Processes, before_dashes, flag_value, is_helper

_DAEMONS = {"serve", "web"}
_HELPERS = {
    *(
        "auth",
        "login",
        "logout",
        "providers",
        "models",
        "agent",
        "mcp",
        "upgrade",
        "uninstall",
        "stats",
        "export",
    ),
    *("import", "github", "pr", "debug", "completion", "session", "db", "plugin", "plug"),
}


def _command(argv: Sequence[str]) -> str:
    return next((word for word in before_dashes(argv) if not word.startswith("-")), "")


def role_of(argv: Sequence[str]) -> ProcRole | None:
    """Also of Kilo, which has the same commands."""
    command = _command(argv)
    if command in _DAEMONS:
        return ProcRole.DAEMON
    return None if command in _HELPERS or is_helper(argv) else ProcRole.AGENT


def one_shot(argv: Sequence[str]) -> bool:
    return _command(argv) == "run"


def argv_session(argv: Sequence[str]) -> str:
    """The session of `-s <id>`; `--fork` makes a new one of it."""
    found = flag_value(argv, "-s", "--session")
    return found if found.startswith("ses_") and "--fork" not in argv else ""


AGENT = Agent(
    id="opencode",
    label="OpenCode",
    version=1,
    roots=roots("opencode", "OPENCODE_DB"),
    sources=sources("opencode"),
    processes=Processes(
        agent="opencode",
        label="OpenCode",
        names=("opencode",),
        package_dirs=("/node_modules/opencode-ai",),
        root_dirs=(".local/share/opencode",),
        pid_markers=("OPENCODE_PID",),
        role_of=role_of,
        one_shot=one_shot,
        argv_session=argv_session,
        # `run` ignores INT.
        ladder=(("TERM", 5.0), ("KILL", 2.0)),
        one_shot_ladder=(("TERM", 5.0), ("KILL", 2.0)),
        interrupt_keys=("Escape", "Escape"),  # its footer after the first: "esc again to interrupt"
        resume="opencode -s {session_id}",
    ),
    resume="opencode -s {session_id}",
    signs=("noreply@opencode.ai",),
    start_hint="run `opencode` in a project folder",
    missing="the call that makes a title; tokens of a step killed before its end; time to live of cache writes",
    tried=("1.18.33",),
)
