"""Actions in words: what a plan will do, what a receipt says was done. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokentop import text
from tokentop.model import Action, KillPlan, Orphan, PlannedProc, Receipt, Row, State
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
_TREE_SHOWN = 8


def heading(plan: KillPlan) -> str:
    verb = VERBS[plan.action]
    pid = f" {plan.target.pid}" if plan.target is not None else ""
    return f"{verb[0].upper()}{verb[1:]} {safe(plan.agent, 20) or 'process'}{pid}"


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
        Field("process", _process(plan, row, now_ms)),
    ]
    if plan.rungs and not plan.refusal:
        out.append(Field("signals", _signals(plan)))
    out += _tree(plan)
    unknown = unread(row, tree=True)
    spent = "$?" if plan.cost_nusd is None or unknown else text.money(plan.cost_nusd, width=9)
    saved = (
        "?" if plan.burn_nusd_per_h is None or unknown else f"{text.money(plan.burn_nusd_per_h, width=9)}/h"
    )
    out.append(Field("spent", f"{spent} so far; this stops {saved}"))
    out.append(Field("lost", loss(row, plan.action)))
    out.append(
        Field("resume", safe(plan.resume, 200) or "– cannot be resumed", "key" if plan.resume else "dim")
    )
    if plan.shared_session_ids:
        others = text.plural(len(plan.shared_session_ids), "other session")
        out.append(Field("shared", f"{others} live in this process", "hot"))
    if plan.confidence not in {"", "exact"}:
        out.append(
            Field("caution", f"this process was matched by inference ({safe(plan.confidence, 20)})", "warm")
        )
    if plan.warning:
        out.append(Field("caution", safe(plan.warning), "warm"))
    if plan.refusal:
        out.append(Field("refused", safe(plan.refusal), "error"))
    return out


def _signals(plan: KillPlan) -> str:
    """`SIGTERM, after 5s SIGKILL`."""
    out, wait = "", 0.0
    for name, grace in plan.rungs:
        out += f", after {text.duration(wait)} {safe(name, 12)}" if out else safe(name, 12)
        wait = grace
    return out


def _process(plan: KillPlan, row: Row, now_ms: int) -> str:
    if plan.target is None:
        return "– none"
    age = ""
    if row.started_ms > 0 and row.pid == plan.target.pid:
        age = f", {text.duration_long((now_ms - row.started_ms) / 1000)}"
    return f"pid {plan.target.pid}{age}  {safe(plan.command, 160)}"


def _tree(plan: KillPlan) -> Iterator[Field]:
    label = "tree"
    for proc in plan.tree[:_TREE_SHOWN]:
        nested = "  an agent of its own" if proc.nested_session_id else ""
        indent = "  " * max(0, min(4, proc.depth - 1))
        role = "warm" if nested else "muted"
        yield Field(
            label, f"{indent}{proc.ident.pid} {proc.role.value} {safe(proc.command, 120)}{nested}", role
        )
        label = ""
    more = len(plan.tree) - _TREE_SHOWN
    if more > 0:
        yield Field(label, f"and {more} more", "muted")


_FINE = {"ended", "already gone", "frozen", "thawed", "interrupted"}


def severity(receipt: Receipt) -> str:
    """Textual's word for how a toast looks: information, warning or error."""
    if receipt.survivors:
        return "warning"
    return "information" if receipt.result in _FINE else "warning"


def receipt_title(receipt: Receipt) -> str:
    who = f"{safe(receipt.agent, 20) or 'process'} {receipt.pid or safe(receipt.session_id, 8)}"
    return f"{who}: {safe(receipt.result, 60)}{_by(receipt)}"


def _by(receipt: Receipt) -> str:
    """Who wanted it, where that was a rule."""
    return "" if receipt.reason == "manual" else f" ({safe(receipt.reason, 40)})"


def receipt_lines(receipt: Receipt) -> list[str]:
    """What was sent, what ended, what survived, how to resume."""
    out = []
    if receipt.rungs:
        sent = ", ".join(f"{safe(rung.signal, 12)} {safe(rung.result, 60)}" for rung in receipt.rungs[-4:])
        out.append(f"{sent} ({receipt.took_ms / 1000:.1f} s)")
    if receipt.detail:
        out.append(safe(receipt.detail, 200))
    if len(receipt.ended_pids) > 1:
        out.append(f"ended {len(receipt.ended_pids)} processes")
    if receipt.survivors:
        alive = ", ".join(str(pid) for pid in receipt.survivors[:6])
        out.append(f"still alive: {alive}")
    if receipt.burn_nusd_per_h and receipt.result == "ended":
        out.append(f"stopped {text.money(receipt.burn_nusd_per_h, width=9)}/h")
    if receipt.resume:
        out.append(f"resume: {safe(receipt.resume, 200)}")
    return out


# ---------------------------------------------------------------- orphans


def below(plan: KillPlan) -> tuple[PlannedProc, ...]:
    """What a plan ends beside its target."""
    return tuple(proc for proc in plan.tree if proc.ident != plan.target)


def sweep_count(doomed: Sequence[Orphan]) -> int:
    return sum(1 + len(below(orphan.plan)) for orphan in doomed)


def sweep_heading(doomed: Sequence[Orphan]) -> str:
    count = sweep_count(doomed)
    if not count:
        return "No process without a living owner can be ended"
    processes = "1 process" if count == 1 else f"{count} processes"
    return f"End {processes} without a living owner: TERM, after a grace KILL"


def orphan_lines(orphan: Orphan, now_ms: int) -> Iterator[tuple[str, str]]:
    """(line, role): what it is and what started it, its whole command, what is below it."""
    plan = orphan.plan
    pid = plan.target.pid if plan.target else "?"
    age = text.duration_long((now_ms - orphan.started_ms) / 1000)
    usage = f"{text.percent_fine(orphan.cpu_pct)} cpu, {text.memory(orphan.rss_bytes)}"
    spared = bool(plan.refusal)
    yield f"{pid}  {age} old, {usage}, of {safe(orphan.origin, 80)}", "dim" if spared else "strong"
    yield f"  {safe(plan.command, 400)}", "dim" if spared else ""
    for proc in below(plan):
        yield f"  └ {proc.ident.pid} {safe(proc.command, 200)}", "dim" if spared else "muted"
    if spared:
        yield f"  left alone: {safe(plan.refusal, 200)}", "warm"


def sweep_result(receipts: Sequence[Receipt]) -> tuple[str, str]:
    """(one line, severity) of a whole sweep."""
    done = sum(receipt.result in {"ended", "already gone"} for receipt in receipts)
    bad = [
        receipt
        for receipt in receipts
        if receipt.result not in {"ended", "already gone"} or receipt.survivors
    ]
    line = f"ended {done} of {text.plural(len(receipts), 'orphan')}"
    if bad:
        line += "; " + ", ".join(f"{one.pid} {safe(one.result, 40)}" for one in bad[:4])
    return f"{line}; R shows the receipts", "warning" if bad else "information"
