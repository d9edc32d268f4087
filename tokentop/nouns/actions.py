"""What is done to agents: plans, receipts, what rules announce."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from .processes import Ident, ProcRole


class Jump(Struct, frozen=True, gc=False):
    """What became of the wish to see an agent's terminal. `text` is one line for the user."""

    text: str
    done: bool = False
    attach: tuple[str, ...] = ()  # the command that shows it in tokentop's own terminal
    copy: str = ""  # a command for the user's clipboard


class Action(StrEnum):
    INTERRUPT = "interrupt"
    FREEZE = "freeze"
    THAW = "thaw"
    TERMINATE = "terminate"
    KILL = "kill"


class PlannedProc(Struct, frozen=True, gc=False):
    ident: Ident
    role: ProcRole
    command: str
    depth: int
    nested_session_id: str = ""  # an agent of its own, started by a tool


class Means(Struct, frozen=True, gc=False):
    """How a plan is carried out beyond signals, and what it must not touch."""

    marks: tuple[tuple[str, str], ...] = ()  # environment (name, value) of processes to sweep
    keep: tuple[Ident, ...] = ()  # not touched, nor anything below them
    daemon: Ident | None = None  # owns the session; never signalled
    control_socket: str = ""  # where the daemon takes requests
    supervised: bool = False  # a supervisor may start it again
    stop_argv: tuple[str, ...] = ()  # the agent's own stop command
    stop_env: tuple[tuple[str, str], ...] = ()
    keys: tuple[str, ...] = ()  # tmux key names
    tmux: str = ""  # "socket,pane"
    tty: str = ""  # what the pane must be on
    awaited: tuple[Ident, ...] = ()  # of a turn that is stopped: what it waits for, ended where it stays


class KillPlan(Struct, frozen=True, gc=False):
    """Everything an action will hit, frozen when the key was pressed. `refusal` "" = allowed."""

    action: Action
    agent: str
    session_id: str
    title: str
    project: str
    cwd: str
    target: Ident | None
    command: str
    confidence: str
    rungs: tuple[tuple[str, float], ...]  # (signal name, grace in seconds), in order
    tree: tuple[PlannedProc, ...]
    wrapper: Ident | None
    cost_nusd: int | None
    burn_nusd_per_h: int | None
    resume: str
    refusal: str = ""
    warning: str = ""
    shared_session_ids: tuple[str, ...] = ()
    means: Means = Means()
    way: str = ""  # how it is carried out, in words: a signal, keys, a request to a daemon
    through: Ident | None = None  # it ends with this target of the same batch and is not signalled itself
    turn_only: bool = False  # the agent lives on: of `tree` only what outlives its turn is ended
    stays: tuple[PlannedProc, ...] = ()  # below such an agent too, and not touched


class Orphan(Struct, frozen=True, gc=False):
    """A process without a living owner and what ending it would hit, both frozen at one look."""

    plan: KillPlan
    started_ms: int
    cpu_pct: float
    rss_bytes: int
    origin: str  # what started it, in words


class Rung(Struct, frozen=True, gc=False):
    pid: int
    signal: str
    at_ms: int
    result: str  # sent, gone, refused: why


class After(Struct, frozen=True, gc=False):
    """What a session, with everything below it, spent in the `seconds` after an action had ended.

    `unknown` says why nothing can be said; what was seen to be spent counts all the same.
    """

    seconds: int
    calls: int = 0
    tokens: int = 0
    cost_nusd: int | None = 0  # None = a part has no price
    where: str = ""
    unknown: str = ""


class Receipt(Struct, frozen=True, gc=False):
    """What an action did, verified afterwards. Stored in `actions`."""

    at_ms: int
    action: Action
    reason: str  # manual, or policy:<name>
    agent: str
    session_id: str
    pid: int
    start_ticks: int
    argv0: str
    cwd: str
    result: str  # ended, already gone, still alive, refused, respawned, frozen, thawed ...
    detail: str
    rungs: tuple[Rung, ...]
    ended_pids: tuple[int, ...]
    survivors: tuple[int, ...]
    took_ms: int
    cost_nusd: int | None
    burn_nusd_per_h: int | None
    resume: str
    title: str = ""
    project: str = ""
    way: str = ""  # how it was carried out, in words
    after: After | None = None  # None = not watched, or not to its end
    left_behind: tuple[Ident, ...] = ()  # of the survivors: tools of a stopped turn

    @property
    def key(self) -> tuple[int, str, int, str]:
        """What tells one receipt from another; it stays when `after` is added."""
        return self.at_ms, self.action.value, self.pid, self.session_id


def receipt_of(
    plan: KillPlan,
    at_ms: int,
    reason: str,
    result: str,
    detail: str,
    *,
    rungs: tuple[Rung, ...] = (),
    ended_pids: tuple[int, ...] = (),
    survivors: tuple[int, ...] = (),
    took_ms: int = 0,
    left_behind: tuple[Ident, ...] = (),
) -> Receipt:
    """The receipt of a plan; without more, of one that nothing was done of."""
    target = plan.target
    return Receipt(
        at_ms=at_ms,
        action=plan.action,
        reason=reason,
        agent=plan.agent,
        session_id=plan.session_id,
        pid=target.pid if target else 0,
        start_ticks=target.start_ticks if target else 0,
        argv0=target.argv0 if target else "",
        cwd=plan.cwd,
        result=result,
        detail=detail,
        rungs=rungs,
        ended_pids=ended_pids,
        survivors=survivors,
        took_ms=took_ms,
        cost_nusd=plan.cost_nusd,
        burn_nusd_per_h=plan.burn_nusd_per_h,
        resume=plan.resume,
        title=plan.title,
        project=plan.project,
        way=plan.way,
        left_behind=left_behind,
    )


class Countdown(Struct, frozen=True, gc=False):
    """A rule is about to act; until `left_ms` is 0 it can be called off."""

    id: int
    rule: str
    action: Action
    row_key: str
    agent: str
    session_id: str
    title: str
    project: str
    pid: int
    processes: int  # that will be hit, the tree included
    why: str
    left_ms: int


class Notice(Struct, frozen=True, gc=False):
    """Something a rule tells a person. `id` grows; the text is clean."""

    id: int
    at_ms: int
    rule: str
    title: str
    body: str
    row_key: str = ""
