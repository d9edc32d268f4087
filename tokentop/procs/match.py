"""Ties processes to sessions: registry, argv, open files, shared daemon, then working directory and time.

Each answer carries a confidence: exact, strong, inferred. What does not fit stays unmapped: no guess. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tokentop.agents.processes import Processes
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import Role, Session
from tokentop.procs.evidence import EARLY_MS, EXACT, INFERRED, STRONG, Evidence, Mapped, verified
from tokentop.procs.registry import Filed, Thread
from tokentop.procs.roles import started_with
from tokentop.procs.table import Proc

NEAR_MS = 10_000
HELD_MS = 2_000  # the last records of a process may be seen this much later than its end


def map_sessions(evidence: Evidence, roles: Mapping[int, ProcRole]) -> dict[int, Mapped]:
    """The session of every process with the role AGENT; unmapped ones have an empty session id."""
    leaves = [evidence.table[pid] for pid, role in roles.items() if role is ProcRole.AGENT]
    entries = verified(evidence)
    mapped: dict[int, Mapped] = {}
    for proc in leaves:
        mapped[proc.pid] = _own_evidence(proc, entries.get(proc.pid), evidence, roles)
    for spec in {proc.identity.spec.agent: proc.identity.spec for proc in leaves if proc.identity}.values():
        unmapped = [p for p in leaves if _agent(p) == spec.agent and not mapped[p.pid].session_id]
        clients: list[Proc] = []
        for root, loaded in daemons(evidence, roles, spec).items():
            served = [p for p in unmapped if evidence.roots.get(p.pid, "") == root]
            claimed = {m.session_id for m in mapped.values() if m.session_id}
            for pid, session_id in _from_daemon(served, spec, loaded - claimed, evidence).items():
                mapped[pid] = Mapped(session_id, STRONG, root=root)
            clients += served
        alone = [p for p in unmapped if p not in clients]
        claimed = {m.session_id for m in mapped.values() if m.session_id}
        for pid, session_id in _from_directory(alone, spec, claimed, evidence).items():
            mapped[pid] = Mapped(session_id, INFERRED, root=evidence.roots.get(pid, ""))
    return mapped


def _agent(proc: Proc) -> str:
    return proc.identity.spec.agent if proc.identity else ""


def _own_evidence(
    proc: Proc, filed: Filed | None, evidence: Evidence, roles: Mapping[int, ProcRole]
) -> Mapped:
    """Steps 1 to 3: what the process itself proves."""
    assert proc.identity is not None
    spec = proc.identity.spec
    root = filed.root.path if filed else evidence.roots.get(proc.pid, "")
    entry = filed.entry if filed else None
    if entry and entry.session_id:
        return Mapped(entry.session_id, EXACT, entry, root)
    named = map(spec.argv_session, started_with(proc.pid, evidence.table, roles))
    session_id = next(filter(None, named), "") or _first_root(
        evidence.fds.get(proc.pid, ()), evidence.threads
    )
    return Mapped(session_id, EXACT if session_id else "", entry, root)


def _first_root(ids: Sequence[str], threads: Mapping[str, Thread]) -> str:
    """Of the sessions whose logs a process holds open, the one that started the others."""
    roots = [one for one in ids if not (one in threads and threads[one].parent_id)]
    return min(roots or ids, default="")  # the ids are time-ordered


def daemons(evidence: Evidence, roles: Mapping[int, ProcRole], spec: Processes) -> dict[str, set[str]]:
    """The sessions that live in the shared daemons of an agent, by profile directory."""
    found: dict[str, set[str]] = {}
    for pid, role in roles.items():
        if role is ProcRole.DAEMON and spec.daemon and _agent(evidence.table[pid]) == spec.agent:
            found.setdefault(evidence.roots.get(pid, ""), set()).update(evidence.fds.get(pid, ()))
    return found


def _from_daemon(
    clients: Sequence[Proc], spec: Processes, loaded: set[str], evidence: Evidence
) -> dict[int, str]:
    """Step 4: a client owns nothing but its terminal; its thread has its directory and its start.

    Only an answer without an alternative counts.
    """
    by_cwd: dict[str, list[Proc]] = {}
    for proc in clients:
        by_cwd.setdefault(_cwd(proc), []).append(proc)
    found: dict[int, str] = {}
    for cwd, group in by_cwd.items():
        threads = [t for t in evidence.threads.values() if is_client_thread(t, spec) and t.cwd == cwd]
        threads = [t for t in threads if t.id in loaded]
        until_ms = NEAR_MS if len(group) > 1 else evidence.now_ms
        choices = {
            proc.pid: {t.id for t in threads if -EARLY_MS <= t.created_ms - proc.started_ms <= until_ms}
            for proc in group
        }
        for pid, ids in choices.items():
            others = set().union(*(one for other, one in choices.items() if other != pid))
            if len(ids) == 1 and not ids & others:
                found[pid] = next(iter(ids))
    return found


def left_threads(
    pid: int, roles: Mapping[int, ProcRole], mapped: Mapping[int, Mapped], evidence: Evidence
) -> tuple[str, ...]:
    """Threads of a daemon whose client is gone: it outlives them and keeps their logs open.

    As long as it has a client whose thread is not known, any of them may be on that screen: none is left.
    """
    identity = evidence.table[pid].identity
    if identity is None or identity.spec.daemon is None:
        return ()
    spec, root = identity.spec, evidence.roots.get(pid, "")
    clients = {
        one: mapped[one].session_id
        for one, role in roles.items()
        if role is ProcRole.AGENT
        and one in mapped
        and _agent(evidence.table[one]) == spec.agent
        and evidence.roots.get(one, "") == root
    }
    if any(not session_id and not _is_one_shot(evidence.table[one]) for one, session_id in clients.items()):
        return ()
    known = (evidence.threads.get(one) for one in sorted(set(evidence.fds.get(pid, ()))))
    shown = set(clients.values())
    return tuple(t.id for t in known if t and is_client_thread(t, spec) and t.id not in shown)


def _is_one_shot(proc: Proc) -> bool:
    return proc.identity is not None and proc.identity.spec.one_shot(proc.identity.argv)


def is_client_thread(thread: Thread, spec: Processes) -> bool:
    """Whether an interactive client in a terminal made the thread, and no other thread did."""
    daemon = spec.daemon
    return daemon is not None and not thread.parent_id and thread.client in ("", *daemon.clients)


def _cwd(proc: Proc) -> str:
    """The directory of the session: named in argv, else that of the process."""
    if proc.identity is None:
        return proc.cwd
    named = proc.identity.spec.argv_cwd(proc.identity.argv)
    if named and not named.startswith("/"):
        named = f"{proc.cwd}/{named}"
    return named.rstrip("/") or proc.cwd


def _from_directory(
    unmapped: Sequence[Proc], spec: Processes, claimed: set[str], evidence: Evidence
) -> dict[int, str]:
    """Step 5: same directory, nearest start; one assignment, so that no session is claimed twice."""
    sessions = [
        s
        for s in evidence.candidates
        if s.agent == spec.agent
        and (s.cwd or spec.any_directory)
        and s.first_ms
        and s.role is not Role.SUB_AGENT
        and s.id not in claimed
    ]
    pairs = sorted(
        (abs(session.first_ms - proc.started_ms), session.id, proc.pid)
        for proc in unmapped
        for session in sessions
        if _is_place(session, proc)
        and session.first_ms >= proc.started_ms - EARLY_MS
        and (_held_by(session, proc, evidence) or session.last_ms >= _held_until(session, evidence))
    )
    found: dict[int, str] = {}
    taken: set[str] = set()
    for _, session_id, pid in pairs:
        if pid not in found and session_id not in taken:
            found[pid] = session_id
            taken.add(session_id)
    rest = [proc for proc in unmapped if proc.pid not in found]
    return found | _resumed(rest, [s for s in sessions if s.id not in taken], evidence)


def _is_place(session: Session, proc: Proc) -> bool:
    elsewhere = proc.identity is not None and proc.identity.spec.any_directory
    return elsewhere or session.cwd == _cwd(proc)


def _resumed(unmapped: Sequence[Proc], sessions: Sequence[Session], evidence: Evidence) -> dict[int, str]:
    """An older session that has grown since a process started, if no other could have written it."""
    choices: dict[int, set[str]] = {}
    for proc in unmapped:
        held = {s.id for s in sessions if _held_by(s, proc, evidence)}
        choices[proc.pid] = held or {
            s.id
            for s in sessions
            if _is_place(s, proc)
            and s.first_ms < proc.started_ms - EARLY_MS
            and s.last_ms > max(proc.started_ms, _held_until(s, evidence))
        }
    found: dict[int, str] = {}
    for pid, ids in choices.items():
        others = set().union(*(one for other, one in choices.items() if other != pid))
        if len(ids) == 1 and not ids & others:
            found[pid] = next(iter(ids))
    return found


def _held_by(session: Session, proc: Proc, evidence: Evidence) -> bool:
    held = evidence.held.get((session.agent, session.id))
    return held is not None and held.key == proc.key


def _held_until(session: Session, evidence: Evidence) -> int:
    """Until when the records of a session were those of another process."""
    held = evidence.held.get((session.agent, session.id))
    return held.seen_ms + HELD_MS if held is not None else 0
