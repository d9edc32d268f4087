"""What one matching pass looks at, and which registry entries are about living processes. Pure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from tokentop.agents.processes import Processes, RegistryEntry
from tokentop.nouns.sessions import Session
from tokentop.procs.registry import Filed, Thread
from tokentop.procs.table import Host, Proc, Table

EXACT, STRONG, INFERRED = "exact", "strong", "inferred"
EARLY_MS = 5_000  # a log may be older than its process by the resolution of the clocks
SOON_MS = 30_000  # a client has begun its session this soon after its start


class Held(Struct, frozen=True):
    """The process that had a session last, and when it was last seen with it."""

    key: tuple[int, int]
    seen_ms: int


class Evidence(Struct, frozen=True):
    """Everything that one matching pass looks at. `fds` are session ids of open files by pid."""

    specs: tuple[Processes, ...]
    now_ms: int
    host: Host
    table: Table
    filed: tuple[Filed, ...]
    fds: Mapping[int, tuple[str, ...]]
    threads: Mapping[str, Thread]
    roots: Mapping[int, str]  # profile directory by pid of each agent process
    candidates: Sequence[Session]
    listening: frozenset[int]
    own_pids: frozenset[int]
    held: Mapping[tuple[str, str], Held] = MappingProxyType({})  # by (agent, session id)


class Mapped(Struct, frozen=True):
    """The session of one process, and the registry entry that is verified to be about it."""

    session_id: str = ""
    confidence: str = ""
    entry: RegistryEntry | None = None
    root: str = ""


def verified(evidence: Evidence) -> dict[int, Filed]:
    """Registry entries whose pid lives, with their start time, in our pid namespace, as that agent."""
    found: dict[int, Filed] = {}
    for filed in evidence.filed:
        proc = evidence.table.get(filed.entry.pid)
        if proc is None or proc.identity is None or proc.state == "Z":
            continue
        same_agent = proc.identity.spec.agent == filed.root.spec.agent
        if same_agent and is_local(filed.entry, evidence.host) and start_matches(filed.entry, proc):
            at_home = filed.root.path == evidence.roots.get(proc.pid)
            if at_home or proc.pid not in found:
                found[proc.pid] = filed
    return found


def is_local(entry: RegistryEntry, host: Host) -> bool:
    """Whether a pid in this entry is a pid of this machine, boot and namespace (as far as it says)."""
    pairs = ((entry.boot_id, host.boot_id), (entry.machine_id, host.machine_id), (entry.pid_ns, host.pid_ns))
    return all(not theirs or not ours or theirs == ours for theirs, ours in pairs)


def start_matches(entry: RegistryEntry, proc: Proc) -> bool:
    """Whether the entry is about this very process and not about an earlier owner of its pid."""
    if entry.session_ms:
        return -EARLY_MS <= entry.session_ms - proc.started_ms <= SOON_MS
    if entry.start.isdigit():
        return int(entry.start) == proc.start_ticks
    try:
        started_s = time.mktime(time.strptime(entry.start, "%a %b %d %H:%M:%S %Y"))
    except (ValueError, OverflowError):
        return False
    return abs(started_s * 1000 - proc.started_ms) <= 1_500
