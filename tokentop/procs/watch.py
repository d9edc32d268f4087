"""Watches the processes of all agents: one scan, one look at their files, one matching pass per tick."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType

from tokentop.agents.processes import Processes, profile_of
from tokentop.nouns.actions import Action, KillPlan, Orphan, Receipt
from tokentop.nouns.facts import Diagnostic
from tokentop.nouns.picture import Row
from tokentop.nouns.processes import AgentProc, ProcRole
from tokentop.nouns.sessions import Session
from tokentop.procs.batch import arrange
from tokentop.procs.evidence import Evidence, Held
from tokentop.procs.kin import Known, Owner, Owners
from tokentop.procs.never import read_own, why_never
from tokentop.procs.orphans import orphan_plans
from tokentop.procs.plan import Planner
from tokentop.procs.probe import default_probe
from tokentop.procs.registry import Filed, Registry, Root, Thread, ThreadsError, find_roots, read_threads
from tokentop.procs.rows import picture
from tokentop.procs.standing import Standing
from tokentop.procs.table import Proc, Source, Table
from tokentop.procs.turn import Turn

FDS_EVERY_S = 2.0
LOOK_EVERY_S = 5.0
HELD_MAX = 1_000  # sessions whose last process is remembered
SOCKETS_EVERY_S = 20.0  # the kernel takes milliseconds to list the sockets
STALE_MS = 60_000  # a plan from an older table would name processes that nobody looked at since


def default_source(specs: Sequence[Processes]) -> Source:
    if sys.platform == "linux":
        from tokentop.procs.scan import LinuxSource

        return LinuxSource(specs)
    from tokentop.procs.psutil_source import PsutilSource

    return PsutilSource(specs)


def _is_here(spec: Processes, home: Path, environ: Mapping[str, str]) -> bool:
    """Whether programs of that name may be the agent's: not all names belong to one program."""
    return not spec.common_name or any(os.path.isdir(r.path) for r in find_roots((spec,), home, environ))


class ProcWatcher:
    """The processes of `agents`, with the sessions that they belong to. Not for use by several threads.

    `home` and `environ` say where the agents keep their files.
    """

    def __init__(
        self,
        agents: Sequence[Processes],
        home: Path,
        environ: Mapping[str, str],
        make_source: Callable[[Sequence[Processes]], Source] = default_source,
    ) -> None:
        self._agents = tuple(agents)
        self._home = home
        self._environ = dict(environ)
        self._make_source = make_source
        self._specs = self._find_specs()
        self._source = make_source(self._specs)
        self._specs_due_s = 0.0
        self._registry = Registry()
        self._table: Table = MappingProxyType({})
        self._filed: tuple[Filed, ...] = ()
        self._procs: tuple[AgentProc, ...] = ()
        self._owners: Owners = {}
        self._held: dict[tuple[str, str], Held] = {}
        self._fds: dict[tuple[int, int], tuple[float, tuple[str, ...]]] = {}
        self._threads: dict[str, Thread] = {}
        self._threads_due_s = 0.0
        self._listening: frozenset[int] = frozenset()
        self._listening_due_s = 0.0
        self._unreadable: tuple[Diagnostic, ...] = ()
        self._ticked_ms = 0
        self._revision: tuple[Source, object] | None = None  # of the table that these follow from
        self._running: list[Proc] = []
        self._roots: dict[int, str] = {}  # profile directory by pid
        self._names: frozenset[str] = frozenset()
        self._places: tuple[Root, ...] = ()
        self._standing = Standing()
        self._stood_ms = 0  # when the last picture was last used again, 0 = it was made at the last tick

    def tick(self, now_ms: int, candidates: Sequence[Session]) -> tuple[AgentProc, ...]:
        """Look once. `candidates` are known sessions that a process without better evidence may be."""
        tick_s = time.monotonic()
        self._ticked_ms = now_ms
        self._look_for_agents(tick_s)
        self._table = self._source.tick(now_ms)
        revision = (self._source, getattr(self._source, "revision", None))
        if revision != self._revision or revision[1] is None:
            self._revision = revision
            self._sort_out()
        agents, roots = self._running, self._roots
        self._filed = self._registry.refresh(self._places, self._names, roots.keys())
        fds = self._open_sessions(agents, tick_s)
        self._look_up_threads(agents, roots, fds, tick_s)
        self._look_for_sockets(tick_s)
        basis = (*revision, self._filed, fds, self._threads, self._listening) if revision[1] else None
        procs = self._standing.again(basis, now_ms, getattr(self._source, "used", set()), self._table)
        if procs is not None:
            self._procs = procs
            self._stood_ms = now_ms
            return procs
        if self._stood_ms:
            self._remember(self._procs, self._stood_ms)
            self._stood_ms = 0
        evidence = Evidence(
            specs=self._specs,
            now_ms=now_ms,
            host=self._source.host,
            table=self._table,
            filed=self._filed,
            fds=fds,
            threads=self._threads,
            roots=roots,
            candidates=candidates,
            listening=self._listening,
            own_pids=frozenset((os.getpid(),)),
            held=self._held,
        )
        found = picture(evidence, self._owners)
        self._owners, self._procs = found.owners, found.procs
        self._remember(found.procs, now_ms)
        self._standing.learn(basis, found.procs, self._table)
        return found.procs

    def _sort_out(self) -> None:
        """What follows from who runs: the agents, their profile directories, where they publish."""
        self._running = [proc for proc in self._table.values() if proc.identity and proc.state != "Z"]
        self._roots = {proc.pid: self._root(proc) for proc in self._running}
        seen = {
            (proc.identity.spec.agent, self._roots[proc.pid]): None for proc in self._running if proc.identity
        }
        self._names = frozenset(agent for agent, _ in seen)
        self._places = find_roots(self._specs, self._home, self._environ, seen)

    def plan(
        self, row: Row, action: Action, now_ms: int, *, force: bool = False, turn: Turn | None = None
    ) -> KillPlan:
        """What `action` on this row would do, with every identity as the last tick saw it.

        `turn` is what the logs say of its turn, where that is to be stopped.
        """
        return self._planner(now_ms).of_row(row, action, force=force, turn=turn)

    def plan_many(
        self, rows: Sequence[Row], action: Action, now_ms: int, turns: Sequence[Turn] = ()
    ) -> tuple[KillPlan, ...]:
        """The same for several rows at once, in their order; none of them would hit a process twice."""
        planner = self._planner(now_ms)
        known = turns or [Turn()] * len(rows)
        plans = [planner.of_row(row, action, force=False, turn=t) for row, t in zip(rows, known, strict=True)]
        return arrange(plans)

    def plan_pid(self, pid: int, action: Action, now_ms: int, *, force: bool = False) -> KillPlan:
        """The same for a pid; a process that is not an agent's business is refused."""
        return self._planner(now_ms).of_pid(pid, action, force=force)

    def plan_orphans(self, now_ms: int) -> tuple[Orphan, ...]:
        """Every process without a living owner that the last tick saw, with the plan to end it."""
        planner = self._planner(now_ms)
        return orphan_plans(self._procs, lambda pid, action: planner.of_pid(pid, action, force=False))

    def adopt(self, receipt: Receipt) -> None:
        """What a stopped turn has left behind belongs to its agent for as long as both live."""
        if not receipt.left_behind or not receipt.pid:
            return
        owner = Owner(receipt.agent, receipt.session_id, (receipt.pid, receipt.start_ticks), ProcRole.TOOL)
        found = {
            ident.key: owner for ident in receipt.left_behind if ident.boot_id == self._source.host.boot_id
        }
        self._owners = {**found, **self._owners}
        self._source.track(found)
        self._standing = Standing()

    def known_orphans(self) -> tuple[Known, ...]:
        """The orphans, with what is below them, whose agent this run or an earlier one has seen."""
        return tuple(
            Known(ident.pid, ident.start_ticks, ident.boot_id, owner.agent, owner.session_id, owner.key)
            for proc in self._procs
            if proc.role is ProcRole.ORPHAN
            for ident in (proc.ident, *(child.ident for child in proc.children))
            if (owner := self._owners.get(ident.key)) is not None
        )

    def adopt_orphans(self, known: Iterable[Known]) -> None:
        """Take for orphans what an earlier run knew as such, as far as it is the same processes still."""
        found = {
            (one.pid, one.start_ticks): Owner(one.agent, one.session_id, one.owner, ProcRole.TOOL)
            for one in known
            if one.boot_id == self._source.host.boot_id
        }
        self._owners = {**found, **self._owners}
        self._source.track(found)
        self._standing = Standing()

    def health(self) -> tuple[Diagnostic, ...]:
        """What could not be read at the last tick."""
        return (*self._registry.health(), *self._unreadable)

    def _planner(self, now_ms: int) -> Planner:
        stale = abs(now_ms - self._ticked_ms) > STALE_MS
        probe = default_probe()
        brief_of = cache(probe.brief)
        own = read_own(probe, brief_of)
        return Planner(
            self._specs, self._source.host, self._table, self._procs, self._filed, stale=stale,
            never=lambda ident: why_never(ident, own, brief_of, probe), detached=probe.ignores_hup,
        )  # fmt: skip

    def _remember(self, procs: Sequence[AgentProc], now_ms: int) -> None:
        for proc in procs:
            if proc.role is ProcRole.AGENT and proc.session_id:
                key = proc.agent, proc.session_id
                self._held.pop(key, None)
                self._held[key] = Held(proc.ident.key, now_ms)
        while len(self._held) > HELD_MAX:
            del self._held[next(iter(self._held))]

    def _find_specs(self) -> tuple[Processes, ...]:
        return tuple(spec for spec in self._agents if _is_here(spec, self._home, self._environ))

    def _look_for_agents(self, tick_s: float) -> None:
        """An agent that is used for the first time makes its data folder while we run."""
        if len(self._specs) == len(self._agents) or tick_s < self._specs_due_s:
            return
        self._specs_due_s = tick_s + LOOK_EVERY_S
        specs = self._find_specs()
        if specs != self._specs:
            self._specs = specs
            self._source = self._make_source(specs)

    def _root(self, proc: Proc) -> str:
        """The profile directory that a process uses: by its own environment, else by ours."""
        assert proc.identity is not None
        spec, home = proc.identity.spec, proc.env_value("HOME")
        named = proc.env_value(spec.root_env) or ("" if home else self._environ.get(spec.root_env, ""))
        usual = spec.root_dirs[0] if spec.root_dirs else ""
        return profile_of(spec, named) or f"{home.rstrip('/') or self._home}/{usual}"

    def _open_sessions(self, agents: Sequence[Proc], tick_s: float) -> dict[int, tuple[str, ...]]:
        """Session ids of open files, of candidate processes only; known ones are asked less often."""
        found: dict[int, tuple[str, ...]] = {}
        asked: dict[tuple[int, int], tuple[float, tuple[str, ...]]] = {}
        for proc in agents:
            spec = proc.identity.spec if proc.identity else None
            if spec is None or spec.fd_session is None or proc.identity is None:
                continue
            if proc.identity.role not in (ProcRole.AGENT, ProcRole.DAEMON):
                continue
            due_s, ids = self._fds.get(proc.key, (0.0, ()))
            if tick_s >= due_s or not ids:
                named = (spec.fd_session(path) for path in self._source.open_paths(proc.pid))
                ids = tuple(dict.fromkeys(sorted(one for one in named if one)))
                due_s = tick_s + FDS_EVERY_S
            found[proc.pid] = ids
            asked[proc.key] = (due_s, ids)
        self._fds = asked
        return found

    def _look_up_threads(
        self,
        agents: Sequence[Proc],
        roots: Mapping[int, str],
        fds: Mapping[int, Sequence[str]],
        tick_s: float,
    ) -> None:
        wanted: dict[tuple[Processes, str], set[str]] = {}
        for proc in agents:
            if proc.identity and proc.identity.spec.daemon and fds.get(proc.pid):
                wanted.setdefault((proc.identity.spec, roots[proc.pid]), set()).update(fds[proc.pid])
        ids = set().union(*wanted.values()) if wanted else set()
        if tick_s < self._threads_due_s and ids <= self._threads.keys():
            return
        self._threads_due_s = tick_s + FDS_EVERY_S
        threads: dict[str, Thread] = {}
        self._unreadable = ()
        for (spec, root), one in wanted.items():
            try:
                assert spec.daemon is not None
                threads.update(read_threads(root, spec.daemon, sorted(one)))
            except ThreadsError:
                self._unreadable += (Diagnostic(spec.agent, "unreadable", "thread database"),)
        self._threads = threads

    def _look_for_sockets(self, tick_s: float) -> None:
        children = [proc.pid for proc in self._table.values() if proc.identity is None]
        self._listening &= frozenset(children)
        if children and tick_s >= self._listening_due_s:
            self._listening_due_s = tick_s + SOCKETS_EVERY_S
            self._listening = self._source.listening(children)
