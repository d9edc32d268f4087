"""Several plans at once: what is left out, what ends with another, and one receipt for each. Pure.

A nested agent is in the tree of the agent that started it. Where both are to be ended, the outer one is acted on
and the sweep reaches the inner one; a second plan for it would signal it, and its tools, twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import structs

from tokentop.nouns.actions import Action, KillPlan, Receipt
from tokentop.procs.evidence import INFERRED

_ENDS = (Action.TERMINATE, Action.KILL)
_GUESSED = "its process was inferred from folder and start time only: act on it alone, after a look"

Act = Callable[[Sequence[KillPlan]], Sequence[Receipt]]


def arrange(plans: Sequence[KillPlan]) -> tuple[KillPlan, ...]:
    """The plans in their order; inferred ones are refused, those that end with another one say with which."""
    kept = [_unless_guessed(plan) for plan in plans]
    through = _coverers(kept)
    return tuple(
        plan if at not in through else structs.replace(plan, through=kept[through[at]].target)
        for at, plan in enumerate(kept)
    )


def _unless_guessed(plan: KillPlan) -> KillPlan:
    if plan.refusal or plan.confidence != INFERRED:
        return plan
    return structs.replace(plan, refusal=_GUESSED, rungs=(), way="")


def _coverers(plans: Sequence[KillPlan]) -> dict[int, int]:
    """Which plan (by place) ends with which other one; that one is acted on itself."""
    first: dict[tuple[int, int], int] = {}
    below: dict[tuple[int, int], list[int]] = {}
    for at, plan in enumerate(plans):
        if plan.target is None or plan.refusal:
            continue
        first.setdefault(plan.target.key, at)
        if plan.action in _ENDS:
            for planned in plan.tree:
                if planned.ident != plan.target:
                    below.setdefault(planned.ident.key, []).append(at)
    found: dict[int, int] = {}
    for at, plan in enumerate(plans):
        if plan.target is None or plan.refusal:
            continue
        top = _top(at, plans, first, below)
        if top != at and top not in found:  # it is, where two trees name each other
            found[at] = top
    return found


def _top(
    at: int,
    plans: Sequence[KillPlan],
    first: dict[tuple[int, int], int],
    below: dict[tuple[int, int], list[int]],
) -> int:
    """The outermost plan that ends the target of plan `at`; of two for one target the first."""
    seen: set[int] = set()
    while at not in seen:
        seen.add(at)
        target = plans[at].target
        assert target is not None
        above = [one for one in below.get(target.key, ()) if one not in seen]
        at = above[0] if above else first[target.key]
    return at


def carry_out(plans: Sequence[KillPlan], act: Act) -> tuple[Receipt, ...]:
    """The receipts in the order of the plans. `act` carries out several and gives theirs in order.

    What was to end with another one and was not reached by it gets its own turn afterwards.
    """
    done: dict[int, Receipt] = {}
    own = [at for at, plan in enumerate(plans) if plan.through is None]
    done.update(zip(own, act([plans[at] for at in own]), strict=True))
    by_target = {target.key: done[at] for at in own if (target := plans[at].target) is not None}
    left = []
    for at, plan in enumerate(plans):
        if plan.through is not None:
            found = _reached(plan, by_target.get(plan.through.key))
            if found is None:
                left.append(at)
            else:
                done[at] = found
    alone = [structs.replace(plans[at], through=None) for at in left]
    done.update(zip(left, act(alone) if alone else (), strict=True))
    return tuple(done[at] for at in range(len(plans)))


def _reached(plan: KillPlan, by: Receipt | None) -> Receipt | None:
    """The receipt of a target that ended with another one, None = it has not been touched."""
    target = plan.target
    if by is None or target is None:
        return None
    rungs = tuple(rung for rung in by.rungs if rung.pid == target.pid)
    ended, alive = target.pid in by.ended_pids, target.pid in by.survivors
    same = (by.pid, by.start_ticks) == target.key
    if not (ended or alive or rungs or same):
        return None
    result = by.result if same else "ended" if ended else "still alive"
    who = f"{by.agent or 'process'} {by.pid}"
    how = "the same process as" if same else "ended with" if ended else "was to end with"
    within = {planned.ident.pid for planned in plan.tree} | {target.pid}
    return Receipt(
        at_ms=by.at_ms, action=plan.action, reason=by.reason, agent=plan.agent,
        session_id=plan.session_id, pid=target.pid, start_ticks=target.start_ticks, argv0=target.argv0,
        cwd=plan.cwd, result=result, detail=f"{how} {who}",
        rungs=rungs, ended_pids=tuple(pid for pid in by.ended_pids if pid in within),
        survivors=tuple(pid for pid in by.survivors if pid in within), took_ms=by.took_ms,
        cost_nusd=plan.cost_nusd, burn_nusd_per_h=plan.burn_nusd_per_h, resume=plan.resume, title=plan.title,
        project=plan.project, way=f"with {who}, which it is below",
    )  # fmt: skip
