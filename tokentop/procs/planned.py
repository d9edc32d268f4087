"""The plan against a process that is known: its ladder, its tree, what is spared, or why it is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, structs

from tokentop.agents.processes import Processes
from tokentop.nouns.actions import Action, KillPlan, Means, PlannedProc
from tokentop.nouns.processes import AgentProc, Ident, ProcRole
from tokentop.procs.evidence import INFERRED
from tokentop.procs.ladder import KEYS, SINGLE, TURN_INTERRUPT, TURN_INTERRUPT_S, Case, choose, way
from tokentop.procs.never import owner_name
from tokentop.procs.rows import command_of
from tokentop.procs.table import Host, Proc, Table
from tokentop.procs.tree import SERVICES, marks, planned_tree, spared, stop_argv
from tokentop.procs.turn import Turn, TurnTools, told_apart, turn_tools


class Facts(Struct, frozen=True):
    """What the row says about the session; all of it is for display and for the receipt."""

    agent: str = ""
    session_id: str = ""
    title: str = ""
    project: str = ""
    cwd: str = ""
    cost_nusd: int | None = None
    burn_nusd_per_h: int | None = None
    resume: str = ""
    turn: Turn = Turn()


class Planned:
    """Plans against the processes of one tick's table."""

    def __init__(
        self,
        specs: Mapping[str, Processes],
        host: Host,
        table: Table,
        procs: Sequence[AgentProc],
        never: Callable[[Ident], str],
        detached: Callable[[int], bool],
    ) -> None:
        """See `plan.Planner`; `specs` are by agent."""
        self._specs, self._host, self._table, self._procs = specs, host, table, procs
        self._never, self._detached = never, detached

    def of_agent(self, agent: AgentProc, action: Action, facts: Facts, force: bool) -> KillPlan:
        """An agent with a process of its own; with its tools only where its turn alone is stopped."""
        proc = self._table.get(agent.ident.pid)
        if proc is None or proc.start_ticks != agent.ident.start_ticks:
            return self.refused(action, facts, "already gone")
        spec = self._specs[agent.agent]
        daemon = self._daemon_of(agent, spec)
        parent = self._table.get(proc.ppid)
        supervised = bool(agent.background_id) or bool(
            parent and parent.identity and parent.identity.role is ProcRole.PTY_HOST
        )
        case = Case(agent, spec, proc.state, daemon, supervised, force)
        choice = choose(case, action)
        tools = self._tools(agent, proc, daemon, facts.turn) if _stops_turn(action, choice.rungs) else None
        if tools is not None:
            tree = tools.tree
        else:
            below = planned_tree(proc, agent, self._table, self._procs, self._host)
            tree = told_apart(below, facts.turn, self._table)
        means = Means(
            marks=marks(self._specs.values(), agent.agent, agent.session_id, tree),
            keep=spared(proc, tree, self._table, self._host, daemon.ident if daemon else None),
            daemon=daemon.ident if daemon else None,
            control_socket=self._socket(spec, daemon),
            supervised=supervised,
            stop_argv=stop_argv(spec, agent, proc) if supervised and not force else (),
            stop_env=((spec.root_env, agent.log_root),) if supervised and agent.log_root else (),
            keys=spec.interrupt_keys if action is Action.INTERRUPT else (),
            tmux=agent.tmux,
            tty=agent.tty,
            awaited=tools.awaited if tools else (),
        )
        refusal = self._why_not(proc) or choice.refusal
        plan = self._plan(action, facts, agent.ident, agent.command, choice.rungs, tree, refusal)
        shared = daemon.shared_session_ids if daemon else ()
        return structs.replace(
            plan,
            way=way(plan.rungs, means, agent.ident.pid),
            confidence=agent.confidence,
            wrapper=agent.wrapper,
            warning="; ".join(
                filter(None, (_inferred(agent), choice.warning, _nested(tree), _sleeping(proc)))
            ),
            shared_session_ids=shared,
            means=means,
            turn_only=tools is not None and not refusal,
            stays=tools.stays if tools else (),
        )

    def _tools(self, agent: AgentProc, proc: Proc | None, daemon: AgentProc | None, turn: Turn) -> TurnTools:
        """What a stopped turn of this agent may leave behind."""
        owner = self._table.get(daemon.ident.pid) if daemon else proc
        if owner is None:
            return TurnTools()
        return turn_tools(
            agent, owner, turn, self._table, self._procs, self._host, shared=daemon is not None,
            yields=self._specs[agent.agent].yields_tools, detached=self._detached,
        )  # fmt: skip

    def of_thread(self, daemon: AgentProc, action: Action, facts: Facts) -> KillPlan:
        """A session that is known to live in a shared daemon, without a client of its own."""
        spec = self._specs[daemon.agent]
        refusal = ""
        if action in (Action.FREEZE, Action.THAW):
            others = len(daemon.shared_session_ids) - 1
            refusal = (
                f"it lives in a shared daemon, {others} other sessions live there too: interrupt it instead"
            )
        proc = self._table.get(daemon.ident.pid)
        session = structs.replace(daemon, session_id=facts.session_id)
        tools = self._tools(session, None, daemon, facts.turn) if action is Action.INTERRUPT else None
        tree = tools.tree if tools else planned_tree(None, session, self._table, self._procs, self._host)
        plan = self._plan(action, facts, None, "", ((TURN_INTERRUPT, TURN_INTERRUPT_S),), tree, refusal)
        means = Means(
            marks=marks(self._specs.values(), daemon.agent, facts.session_id, tree),
            keep=spared(proc, tree, self._table, self._host, daemon.ident),
            daemon=daemon.ident,
            control_socket=self._socket(spec, daemon),
            awaited=tools.awaited if tools else (),
        )
        return structs.replace(
            plan,
            way=way(plan.rungs, means, 0),
            confidence="exact",
            shared_session_ids=daemon.shared_session_ids,
            means=means,
            turn_only=tools is not None,
            stays=tools.stays if tools else (),
        )

    def of_single(
        self,
        proc: Proc,
        role: ProcRole,
        action: Action,
        facts: Facts,
        force: bool,
        one: AgentProc | None = None,
    ) -> KillPlan:
        """A tool, a server, an orphan or (forced) a service: this process and what is below it."""
        rungs: tuple[tuple[str, float], ...] = SINGLE
        refusal, warning = "", ""
        if role in SERVICES:
            shared = len(one.shared_session_ids) if one else 0
            warning = f"{shared} other sessions live here" if shared else f"this is the agent's {role}"
            refusal = "" if force else f"{warning}: stop a session instead, or force it"
        elif role is not ProcRole.ORPHAN:
            warning = "its agent will see a failed tool and go on"
        match action:
            case Action.KILL:
                rungs = (("KILL", 2.0),)
            case Action.FREEZE:
                rungs = (("STOP", 1.0),)
            case Action.THAW:
                rungs = (("CONT", 1.0),)
            case Action.INTERRUPT:
                refusal = refusal or "it has no turn to interrupt"
            case Action.TERMINATE:
                pass
        tree = planned_tree(proc, None, self._table, self._procs, self._host)
        plan = self._plan(
            action,
            facts,
            proc.ident(self._host),
            command_of(proc),
            rungs,
            tree,
            self._why_not(proc) or refusal,
        )
        keep = spared(proc, tree, self._table, self._host, None)
        means = Means(keep=keep)
        return structs.replace(
            plan, way=way(plan.rungs, means, proc.pid), warning=warning, confidence="exact", means=means
        )

    def _why_not(self, proc: Proc) -> str:
        if proc.state == "Z":
            return "already dead (zombie)"
        if proc.uid != self._host.uid:
            return f"not permitted, owner={owner_name(proc.uid)}"
        if self._host.pid_ns and proc.pid_ns and proc.pid_ns != self._host.pid_ns:
            return "it runs in another PID namespace (a container)"
        return self._never(proc.ident(self._host))

    def _daemon_of(self, agent: AgentProc, spec: Processes) -> AgentProc | None:
        """The daemon that runs the turns of an interactive client, None = the client runs them itself."""
        if spec.daemon is None or agent.one_shot:
            return None
        found = [
            one
            for one in self._procs
            if one.role is ProcRole.DAEMON and one.agent == agent.agent and one.log_root == agent.log_root
        ]
        holding = [one for one in found if agent.session_id in one.shared_session_ids]
        if holding or not found:
            return holding[0] if holding else None
        named = agent.session_id and spec.argv_session(self._own_argv(agent)) == agent.session_id
        return None if agent.confidence == "exact" and not named else found[0]

    def _own_argv(self, agent: AgentProc) -> tuple[str, ...]:
        proc = self._table.get(agent.ident.pid)
        return proc.identity.argv if proc and proc.identity else ()

    def _socket(self, spec: Processes, daemon: AgentProc | None) -> str:
        if spec.daemon is None or daemon is None:
            return ""
        return str(Path(daemon.log_root) / spec.daemon.control_socket)

    def refused(self, action: Action, facts: Facts, why: str) -> KillPlan:
        """A plan that hits nothing."""
        return self._plan(action, facts, None, "", (), (), why)

    def _plan(
        self,
        action: Action,
        facts: Facts,
        target: Ident | None,
        command: str,
        rungs: tuple[tuple[str, float], ...],
        tree: tuple[PlannedProc, ...],
        refusal: str,
    ) -> KillPlan:
        return KillPlan(
            action=action,
            agent=facts.agent,
            session_id=facts.session_id,
            title=facts.title,
            project=facts.project,
            cwd=facts.cwd,
            target=target,
            command=command,
            confidence="",
            rungs=() if refusal else rungs,
            tree=tree,
            wrapper=None,
            cost_nusd=facts.cost_nusd,
            burn_nusd_per_h=facts.burn_nusd_per_h,
            resume=facts.resume,
            refusal=refusal,
        )


def _stops_turn(action: Action, rungs: Sequence[tuple[str, float]]) -> bool:
    """Whether the agent lives on: a one-shot and a supervised one end with their turn."""
    return action is Action.INTERRUPT and bool(rungs) and rungs[0][0] in (KEYS, TURN_INTERRUPT)


def _inferred(agent: AgentProc) -> str:
    if agent.confidence == INFERRED:
        return "the process was inferred from its directory and start time only: check its pid and command"
    return ""


def _nested(tree: Sequence[PlannedProc]) -> str:
    count = sum(planned.role is ProcRole.AGENT for planned in tree)
    return f"ends {count} nested agent{'s' if count > 1 else ''} too" if count else ""


def _sleeping(proc: Proc) -> str:
    return "it is in uninterruptible sleep: it ends when the kernel lets it" if proc.state == "D" else ""
