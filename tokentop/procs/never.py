"""What is never signalled, whoever asks: checked for targets and again for everything swept."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from msgspec import Struct

from tokentop.agents.processes import Processes, identify, stem
from tokentop.nouns.processes import Ident, ProcRole
from tokentop.procs.kin import is_multiplexer
from tokentop.procs.probe import Brief, Probe

BriefOf = Callable[[int], Brief | None]  # what a look at a pid says, None = there is none

SHELLS = {"sh", "bash", "zsh", "fish", "dash", "ksh", "csh", "tcsh", "nu"}
_SERVICE_ROLES = {
    ProcRole.DAEMON: "it is a shared daemon",
    ProcRole.PTY_HOST: "it is the terminal host of a supervised agent",
    ProcRole.SPARE: "it is a pre-warmed spare, not a session",
    ProcRole.UPDATER: "it is an updater",
}


class Own(Struct, frozen=True):
    """tokentop itself: its process, those above it, its group and owner."""

    pid: int
    pgid: int
    uid: int
    ancestors: frozenset[int]
    pid_ns: str


def read_own(probe: Probe, brief_of: BriefOf) -> Own:
    above: set[int] = set()
    step = brief_of(os.getpid())
    while step is not None and step.ppid > 0 and step.ppid not in above:
        above.add(step.ppid)
        step = brief_of(step.ppid)
    pid = os.getpid()
    return Own(pid, os.getpgid(0), os.getuid(), frozenset(above), probe.pid_ns(pid))


def owner_name(uid: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)


def why_never(ident: Ident, own: Own, brief_of: BriefOf, probe: Probe) -> str:
    """Why a process may not be signalled, in words; "" = it may."""
    pid = ident.pid
    if pid <= 1:
        return f"pid {pid} is the system's"
    if pid == own.pid:
        return "it is tokentop itself"
    if pid in own.ancestors:
        return "tokentop runs inside it"
    brief = brief_of(pid)
    if brief is None:
        return ""
    if ident.uid != own.uid:
        return f"not permitted, owner={owner_name(ident.uid)}"
    if brief.pgid == own.pgid:
        return "it is in tokentop's own process group"
    namespace = probe.pid_ns(pid)
    if own.pid_ns and namespace and namespace != own.pid_ns:
        return "it runs in another PID namespace (a container)"
    argv = probe.argv(pid)
    if not argv and brief.state not in "ZX" and not brief.pgid and not brief.sid:
        return "it is a kernel thread"  # one that is about to end has no argv either, but a group
    if is_multiplexer(argv):
        return "it is a terminal multiplexer"
    if argv and stem(argv[0]).lstrip("-") in SHELLS and is_multiplexer(probe.argv(brief.ppid)):
        return "it is the shell of a pane"
    return ""


def why_service(argv: Sequence[str], exe: str, specs: Sequence[Processes]) -> str:
    """Why a process of an agent needs the forced path: it serves more than one session. "" = it does not."""
    identity = identify(argv, exe, specs)
    return _SERVICE_ROLES.get(identity.role, "") if identity else ""
