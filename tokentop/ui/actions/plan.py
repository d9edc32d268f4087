"""A plan in words: what an action will do, and what it costs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tokentop import text
from tokentop.nouns.actions import Action, KillPlan, PlannedProc
from tokentop.nouns.picture import Row
from tokentop.nouns.processes import ProcRole
from tokentop.nouns.sessions import State
from tokentop.ui.cells import unread
from tokentop.ui.facts import Field
from tokentop.ui.glyphs import safe

VERBS: dict[Action, str] = {
    Action.INTERRUPT: "stop the turn of",
    Action.FREEZE: "freeze",
    Action.THAW: "thaw",
    Action.TERMINATE: "terminate",
    Action.KILL: "kill",
}
ENDING = frozenset({Action.TERMINATE, Action.KILL})  # after these the process is gone
_TREE_SHOWN = 8
_OUTLIVES = "what of the turn outlives it is ended: TERM, after 2s KILL"
_BEHIND = "in the background"


def short_verb(action: Action) -> str:
    """The verb alone, as a question asks it."""
    return VERBS[action].split(" ")[0]


def processes(count: int) -> str:
    """`1 process`, `3 processes`."""
    return f"{count} process{'es' if count != 1 else ''}"


def below(plan: KillPlan) -> tuple[PlannedProc, ...]:
    """What a plan ends beside its target."""
    return tuple(proc for proc in plan.tree if proc.ident != plan.target)


def process_count(plan: KillPlan) -> int:
    """The processes that a plan ends, its target included."""
    return len(below(plan)) + (plan.target is not None)


def plan_heading(plan: KillPlan) -> str:
    pid = f" {plan.target.pid}" if plan.target is not None else ""
    return f"{VERBS[plan.action].capitalize()} {safe(plan.agent, 20) or 'process'}{pid}"


def loss(row: Row, action: Action) -> str:
    """What the action costs, from what the row is doing."""
    if action in {Action.FREEZE, Action.THAW}:
        return "nothing; an open request may time out while frozen"
    state = row.status.state
    tool = safe(row.status.detail, 40)
    if state is State.TOOL:
        return f"the running tool{f' ({tool})' if tool else ''} and this turn"
    if state in {State.WORKING, State.PERMISSION, State.INPUT}:
        return "this turn; what the request has used is billed"
    if row.kind in {"tool", "orphan"}:
        return "the work of this process"
    if row.resume:
        return "nothing that is not in the log"
    return "what the session keeps in memory"


def plan_fields(plan: KillPlan, row: Row, now_ms: int) -> list[Field]:
    """The body of the dialog."""
    out = [
        Field("agent", safe(plan.agent, 40)),
        Field("session", safe(plan.title, 200) or safe(plan.session_id, 60) or "– none"),
        Field("project", " ".join(p for p in (safe(plan.project, 60), safe(plan.cwd, 160)) if p) or "–"),
        Field("process", process_line(plan, row, now_ms)),
    ]
    if plan.rungs and not plan.refusal:
        if not plan.turn_only:
            out.append(Field("signals", signals(plan)))
        if plan.way and not plan.rungs[0][0].isupper():  # not by signals alone
            out.append(Field("way", safe(plan.way, 200)))
    out += _turn_tools(plan) if plan.turn_only else _tree("tree", below(plan))
    out.append(Field("spent", spent(plan, row)))
    out.append(Field("lost", loss(row, plan.action)))
    out.append(
        Field("resume", safe(plan.resume, 200) or "– cannot be resumed", "key" if plan.resume else "dim")
    )
    if others := shared(plan):
        out.append(Field("shared", others, "hot"))
    if plan.confidence not in {"", "exact"} and plan.confidence not in plan.warning:
        out.append(
            Field("caution", f"this process was matched by inference ({safe(plan.confidence, 20)})", "warm")
        )
    if plan.warning:
        out.append(Field("caution", safe(plan.warning), "warm"))
    if plan.refusal:
        out.append(Field("refused", safe(plan.refusal), "error"))
    return out


def spent(plan: KillPlan, row: Row) -> str:
    """`$31.20 and 2.6M tokens so far; this stops $18.40/h`."""
    unknown = unread(row, tree=True)
    cost = "$?" if plan.cost_nusd is None or unknown else text.money(plan.cost_nusd, width=9)
    unsized = unknown or (row.tree.unknown_calls and not row.tree.tokens.total)
    tokens = "" if unsized else f" and {text.digits3(row.tree.tokens.total)} tokens"
    saved = (
        "?" if plan.burn_nusd_per_h is None or unknown else f"{text.money(plan.burn_nusd_per_h, width=9)}/h"
    )
    return f"{cost}{tokens} so far; this stops {saved}"


def signals(plan: KillPlan) -> str:
    """`SIGTERM, after 5s SIGKILL`."""
    out, wait = "", 0.0
    for name, grace in plan.rungs:
        out += f", after {text.duration(wait)} {safe(name, 12)}" if out else safe(name, 12)
        wait = grace
    return out


def shared(plan: KillPlan) -> str:
    """How many other sessions the process or its daemon serves, "" for none."""
    count = sum(sid != plan.session_id for sid in plan.shared_session_ids)
    return (
        f"{text.plural(count, 'other session')} live in {'this process' if plan.means.daemon is None else 'its daemon'}"
        if count
        else ""
    )


def process_line(plan: KillPlan, row: Row, now_ms: int) -> str:
    if plan.target is None:
        return "– none"
    age = ""
    if row.started_ms > 0 and row.pid == plan.target.pid:
        age = f", {text.duration_long((now_ms - row.started_ms) / 1000)}"
    return f"pid {plan.target.pid}{age}  {safe(plan.command, 160)}"


def _turn_tools(plan: KillPlan) -> Iterator[Field]:
    """What of a turn may outlive it, what happens then, and what is not touched."""
    awaited = {ident.pid for ident in plan.means.awaited}
    behind = {one.ident.pid for one in plan.tree} - awaited
    if plan.tree:
        yield from _tree("tools", plan.tree, behind)
        if awaited:
            yield Field("", _OUTLIVES, "warm")
        if behind:
            yield Field("", f"what is {_BEHIND} is ended only where its shell has ended", "warm")
    yield from _tree("stays", plan.stays)


def _tree(label: str, procs: Sequence[PlannedProc], behind: Collection[int] = frozenset()) -> Iterator[Field]:
    """Parents above what they started, launchers last; a plan has them in the order in which they are hit."""
    launchers = [proc for proc in procs if proc.role is ProcRole.WRAPPER]
    inner = sorted((proc for proc in procs if proc.role is not ProcRole.WRAPPER), key=lambda proc: proc.depth)
    top = inner[0].depth if inner else 0
    for proc in [*inner, *launchers][:_TREE_SHOWN]:
        nested = "  an agent of its own" if proc.nested_session_id else ""
        tail = f"  {_BEHIND}" if proc.ident.pid in behind else nested
        indent = "  " * max(0, min(4, proc.depth - top))
        role = "warm" if nested else "muted"
        yield Field(
            label, f"{indent}{proc.ident.pid} {proc.role.value} {safe(proc.command, 120)}{tail}", role
        )
        label = ""
    more = len(procs) - _TREE_SHOWN
    if more > 0:
        yield Field(label, f"and {more} more", "muted")
