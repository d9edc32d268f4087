"""Copilot CLI as the operating system shows it. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokentop.agents.processes import (
    UUID,
    Processes,
    before_dashes,
    flag_value,
    plain_role,
    session_uuid,
)
from tokentop.nouns.processes import ProcRole

# The worker holds this file open while it has the session; the `.lock` beside it outlives a SIGKILL.
_HELD = re.compile(rf"/session-state/({UUID.pattern})/inuse\.\d+\.hold$")
_HELPERS = frozenset({"help", "version", "update", "login", "logout", "plugin", "mcp", "completion", "init"})


def role_of(argv: Sequence[str]) -> ProcRole | None:
    return None if len(argv) > 1 and argv[1] in _HELPERS else plain_role(argv)


def one_shot(argv: Sequence[str]) -> bool:
    return any(w in ("-p", "--prompt") or w.startswith("--prompt=") for w in before_dashes(argv))


def fd_session(path: str) -> str:
    """The session that a held file belongs to, or ""."""
    match = _HELD.search(path)
    return match.group(1).lower() if match else ""


PROCESSES = Processes(
    agent="copilot",
    label="Copilot CLI",
    names=("copilot",),
    common_name=True,  # a deployment tool has that name too
    package_dirs=("/node_modules/@github/copilot",),
    entry_names=("index", "npm-loader"),
    root_env="COPILOT_HOME",
    root_dirs=(".copilot",),
    session_markers=("COPILOT_AGENT_SESSION_ID",),
    role_of=role_of,
    one_shot=one_shot,
    argv_session=lambda argv: session_uuid(flag_value(argv, "--resume", "--session-id")),
    fd_session=fd_session,
    interrupt_keys=("Escape", "Escape"),  # its own footer: "esc esc interrupt"
    resume="copilot --resume {session_id}",
)
