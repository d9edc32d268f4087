"""What can be done to the invented agents: plans, and carrying them out in the world.

Nothing here can signal a process: pids lie beyond every real one, and an action changes only the world.
"""

from __future__ import annotations

from tokentop.demo.actor import Actor
from tokentop.demo.world import World
from tokentop.nouns.actions import Action, KillPlan, Means, PlannedProc, Receipt, Rung, receipt_of
from tokentop.nouns.picture import Row
from tokentop.nouns.processes import ProcRole

_RUNGS = {
    Action.INTERRUPT: (("INT", 2.0),),
    Action.FREEZE: (("STOP", 1.0),),
    Action.THAW: (("CONT", 1.0),),
    Action.TERMINATE: (("TERM", 5.0), ("KILL", 2.0)),
    Action.KILL: (("KILL", 2.0),),
}
_INFERRED = "the process was inferred from its directory and start time only"
_RESULTS = {Action.INTERRUPT: "interrupted", Action.FREEZE: "frozen", Action.THAW: "thawed"}


def actor_of(world: World, row: Row | None) -> Actor | None:
    """Who a row of the table shows, or whose tool."""
    return None if row is None else world.actors.get(row.parent_key if row.kind == "tool" else row.key)


def plan(world: World, row: Row | None, action: Action) -> KillPlan:
    """Return what `action` would hit; `refusal` says why it cannot."""
    actor = actor_of(world, row)
    refusal = _refusal(world, row, actor, action)
    tree = _tree(world, row, actor)
    turn_only = action is Action.INTERRUPT and not refusal
    return KillPlan(
        action=action,
        agent=row.agent if row else "",
        session_id=row.session_id if row else "",
        title=row.title if row else "",
        project=row.project if row else "",
        cwd=row.cwd if row else "",
        target=tree[0].ident if tree else None,
        command=row.command if row else "",
        confidence=row.confidence if row else "",
        rungs=() if refusal else _RUNGS[action],
        tree=tree[1:] if turn_only else tree,
        wrapper=None,
        cost_nusd=row.tree.cost_nusd if row else None,
        burn_nusd_per_h=row.tree.burn_nusd_per_h if row else None,
        resume=row.resume if row else "",
        refusal=refusal,
        way="" if refusal else f"{', then '.join('SIG' + name for name, _ in _RUNGS[action])} (invented)",
        warning=_INFERRED if row is not None and row.confidence == "inferred" else "",
        turn_only=turn_only,
        means=Means(awaited=tuple(one.ident for one in tree[1:])) if turn_only else Means(),
    )


def _refusal(world: World, row: Row | None, actor: Actor | None, action: Action) -> str:
    if row is None:
        return "already gone"
    if row.kind == "sub-agent":
        return "a sub-agent has no process of its own: stop its parent"
    if row.kind == "orphan":
        if world.orphan is None:
            return "already gone"
        return "" if action in {Action.TERMINATE, Action.KILL} else "an orphan can only be ended"
    if actor is None or (row.kind == "tool" and row.pid != _tool_pid(actor)):
        return "already gone"
    if row.kind == "tool" and action not in {Action.TERMINATE, Action.KILL}:
        return "a tool can only be ended"
    if action is Action.INTERRUPT and actor.frozen:
        return "it is frozen: thaw it first"
    if action is Action.FREEZE and actor.frozen:
        return "already frozen"
    return "not frozen" if action is Action.THAW and not actor.frozen else ""


def _tool_pid(actor: Actor) -> int:
    return actor.tool_ident.pid if actor.has_tool_process() else 0


def _tree(world: World, row: Row | None, actor: Actor | None) -> tuple[PlannedProc, ...]:
    if row is not None and row.kind == "orphan" and world.orphan is not None:
        return (PlannedProc(world.orphan.ident, ProcRole.ORPHAN, world.orphan.command, 0),)
    if row is None or actor is None or row.kind == "sub-agent":
        return ()
    found = [] if row.kind == "tool" else [PlannedProc(actor.ident, ProcRole.AGENT, row.command, 0)]
    depth = len(found)
    if actor.has_tool_process():
        found.append(PlannedProc(actor.tool_ident, ProcRole.TOOL, actor.command, depth))
    for other in world.actors.values():
        if other.nested_in is actor:
            command = f"{other.agent} -p {other.title!r}"
            found.append(PlannedProc(other.ident, ProcRole.AGENT, command, depth + 1, other.session_id))
    return tuple(found)


def execute(world: World, plan: KillPlan, now_ms: int) -> Receipt:
    """Do in the world what the plan says, if what it names is still there."""
    below = tuple(p.ident.pid for p in plan.tree)
    pids = (plan.target.pid,) if plan.turn_only and plan.target is not None else below
    result, detail = "refused", plan.refusal
    if not plan.refusal and plan.target is not None:
        done = _do(world, plan, now_ms)
        result, detail = (_RESULTS.get(plan.action, "ended"), "") if done else ("already gone", "")
    ends = result == "ended"
    acted = result not in ("refused", "already gone")
    return receipt_of(
        plan,
        now_ms,
        "manual",
        result,
        detail,
        rungs=tuple(Rung(pid, plan.rungs[0][0], now_ms, "sent") for pid in pids) if acted else (),
        ended_pids=below if ends or (plan.turn_only and acted) else (),
        took_ms=40 if ends else 0,
    )


def _do(world: World, plan: KillPlan, now_ms: int) -> bool:
    if plan.target is None:
        return False
    if world.orphan is not None and plan.target == world.orphan.ident:
        world.orphan = None
        return True
    for actor in list(world.actors.values()):
        if actor.has_tool_process() and actor.tool_ident == plan.target:
            world.end_tool(actor, now_ms)
            return True
        if actor.ident == plan.target and actor.parent is None:
            _act(world, actor, plan.action, now_ms)
            return True
    return False


def _act(world: World, actor: Actor, action: Action, now_ms: int) -> None:
    if action is Action.INTERRUPT:
        world.interrupt(actor, now_ms)
    elif action in {Action.FREEZE, Action.THAW}:
        world.freeze(actor, now_ms, action is Action.FREEZE)
    else:
        world.end(actor, now_ms)
