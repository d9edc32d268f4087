"""Actions in words: what a plan will do, what a receipt says was done. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from tokentop import text
from tokentop.engine.aftermath import in_words
from tokentop.nouns.actions import Action, KillPlan, Orphan, PlannedProc, Receipt
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
_TREE_SHOWN = 8
OUTLIVES = "what of the turn outlives it is ended: TERM, after 2s KILL"
BEHIND = "in the background"


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
        if not plan.turn_only:
            out.append(Field("signals", _signals(plan)))
        if plan.way and not plan.rungs[0][0].isupper():  # not by signals alone
            out.append(Field("way", safe(plan.way, 200)))
    out += _turn_tools(plan) if plan.turn_only else _tree("tree", below(plan))
    out.append(Field("spent", _spent(plan, row)))
    out.append(Field("lost", loss(row, plan.action)))
    out.append(
        Field("resume", safe(plan.resume, 200) or "– cannot be resumed", "key" if plan.resume else "dim")
    )
    if shared := _shared(plan):
        out.append(Field("shared", shared, "hot"))
    if plan.confidence not in {"", "exact"}:
        out.append(
            Field("caution", f"this process was matched by inference ({safe(plan.confidence, 20)})", "warm")
        )
    if plan.warning:
        out.append(Field("caution", safe(plan.warning), "warm"))
    if plan.refusal:
        out.append(Field("refused", safe(plan.refusal), "error"))
    return out


def _spent(plan: KillPlan, row: Row) -> str:
    """`$31.20 and 2.6M tokens so far; this stops $18.40/h`."""
    unknown = unread(row, tree=True)
    spent = "$?" if plan.cost_nusd is None or unknown else text.money(plan.cost_nusd, width=9)
    tokens = "" if unknown else f" and {text.digits3(row.tree.tokens.total)} tokens"
    saved = (
        "?" if plan.burn_nusd_per_h is None or unknown else f"{text.money(plan.burn_nusd_per_h, width=9)}/h"
    )
    return f"{spent}{tokens} so far; this stops {saved}"


def _signals(plan: KillPlan) -> str:
    """`SIGTERM, after 5s SIGKILL`."""
    out, wait = "", 0.0
    for name, grace in plan.rungs:
        out += f", after {text.duration(wait)} {safe(name, 12)}" if out else safe(name, 12)
        wait = grace
    return out


def _shared(plan: KillPlan) -> str:
    """How many other sessions the process or its daemon serves, "" for none."""
    count = sum(sid != plan.session_id for sid in plan.shared_session_ids)
    return (
        f"{text.plural(count, 'other session')} live in {'this process' if plan.means.daemon is None else 'its daemon'}"
        if count
        else ""
    )


def _process(plan: KillPlan, row: Row, now_ms: int) -> str:
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
            yield Field("", OUTLIVES, "warm")
        if behind:
            yield Field("", f"what is {BEHIND} is ended only where its shell has ended", "warm")
    yield from _tree("stays", plan.stays)


def _tree(label: str, procs: Sequence[PlannedProc], behind: Collection[int] = frozenset()) -> Iterator[Field]:
    """Parents above what they started, launchers last; a plan has them in the order in which they are hit."""
    launchers = [proc for proc in procs if proc.role is ProcRole.WRAPPER]
    inner = sorted((proc for proc in procs if proc.role is not ProcRole.WRAPPER), key=lambda proc: proc.depth)
    top = inner[0].depth if inner else 0
    for proc in [*inner, *launchers][:_TREE_SHOWN]:
        nested = "  an agent of its own" if proc.nested_session_id else ""
        tail = f"  {BEHIND}" if proc.ident.pid in behind else nested
        indent = "  " * max(0, min(4, proc.depth - top))
        role = "warm" if nested else "muted"
        yield Field(
            label, f"{indent}{proc.ident.pid} {proc.role.value} {safe(proc.command, 120)}{tail}", role
        )
        label = ""
    more = len(procs) - _TREE_SHOWN
    if more > 0:
        yield Field(label, f"and {more} more", "muted")


_FINE = {"ended", "already gone", "frozen", "thawed", "interrupted", "requested"}
_STOPS = {"ended", "interrupted", "frozen"}


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


def receipt_lines(receipt: Receipt, *, keys: bool = False) -> list[str]:
    """What was sent, what ended, what survived, how to resume; `keys` names the one that copies the command."""
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
    if receipt.burn_nusd_per_h and receipt.result in _STOPS:
        out.append(f"stopped {text.money(receipt.burn_nusd_per_h, width=9)}/h")
    if receipt.after is not None:
        out.append(safe(in_words(receipt.after), 300))
    if receipt.resume:
        out.append(f"resume: {safe(receipt.resume, 200)}" + (" (y copies it)" if keys else ""))
    return out


def receipt_brief(receipt: Receipt) -> list[str]:
    """The two lines that matter later: what it came to, and how to resume."""
    what = []
    if receipt.ended_pids:
        what.append(
            f"ended {_counted(len(receipt.ended_pids), 'process', 'processes')} in {receipt.took_ms / 1000:.1f} s"
        )
    if receipt.survivors:
        what.append(f"still alive: {', '.join(str(pid) for pid in receipt.survivors[:6])}")
    if receipt.burn_nusd_per_h and receipt.result in _STOPS:
        what.append(f"stopped {text.money(receipt.burn_nusd_per_h, width=9)}/h")
    if receipt.detail and not receipt.ended_pids:
        what.append(safe(receipt.detail, 200))
    if receipt.after is not None:
        what.append(safe(in_words(receipt.after), 200))
    out = ["; ".join(what)] if what else []
    if receipt.resume:
        out.append(f"resume: {safe(receipt.resume, 200)}")
    return out


def receipt_details(receipt: Receipt) -> list[str]:
    """Everything that a receipt holds."""
    spent = "$?" if receipt.cost_nusd is None else text.money(receipt.cost_nusd, width=9)
    out = [
        f"session {safe(receipt.session_id, 80) or '–'}  in {safe(receipt.cwd, 120) or '–'}",
        f"pid {receipt.pid or '–'}, start {receipt.start_ticks or '–'}, {safe(receipt.argv0, 80)}",
        f"by {safe(receipt.reason, 40)}: {receipt.action.value}, {safe(receipt.way, 200) or 'the way was not kept'}",
    ]
    if receipt.detail:
        out += [safe(part, 300) for part in receipt.detail.split("; ")]
    for rung in receipt.rungs:
        late = (rung.at_ms - receipt.at_ms) / 1000
        out.append(f"  +{late:.1f} s  {safe(rung.signal, 20)} to {rung.pid}: {safe(rung.result, 80)}")
    ended = ", ".join(str(pid) for pid in receipt.ended_pids) or "none"
    out.append(f"ended: {ended} after {receipt.took_ms / 1000:.1f} s")
    out.append(f"still alive: {', '.join(str(pid) for pid in receipt.survivors) or 'none'}")
    burn = "?" if receipt.burn_nusd_per_h is None else f"{text.money(receipt.burn_nusd_per_h, width=9)}/h"
    out.append(f"spent until then {spent}, at {burn}")
    out.append(safe(in_words(receipt.after), 300) or "what was spent afterwards was not watched to the end")
    out.append(f"resume: {safe(receipt.resume, 200)}" if receipt.resume else "cannot be resumed")
    return out


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


# ---------------------------------------------------------------- orphans


def process_count(plan: KillPlan) -> int:
    """The processes that a plan ends, its target included."""
    return len(below(plan)) + (plan.target is not None)


def below(plan: KillPlan) -> tuple[PlannedProc, ...]:
    """What a plan ends beside its target."""
    return tuple(proc for proc in plan.tree if proc.ident != plan.target)


def sweep_count(doomed: Sequence[Orphan]) -> int:
    return sum(process_count(orphan.plan) for orphan in doomed)


def sweep_heading(doomed: Sequence[Orphan]) -> str:
    count = sweep_count(doomed)
    if not count:
        return "No process without a living owner can be ended"
    processes = _counted(count, "process", "processes")
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


# ---------------------------------------------------------------- several rows at once

_ENDS = {Action.TERMINATE, Action.KILL}


def batch_count(allowed: Sequence[KillPlan]) -> int:
    """The processes that are ended, or that are touched where nothing is ended; each once."""
    hit = set()
    for plan in allowed:
        if plan.target is not None:
            hit.add(plan.target.pid)
        if plan.action in _ENDS:
            hit.update(proc.ident.pid for proc in plan.tree)
    return len(hit) + sum(plan.target is None for plan in allowed)


def batch_heading(plans: Sequence[KillPlan], rows: Sequence[Row], action: Action) -> str:
    """`Terminate 12 tagged rows, 31 processes; this stops $84.20/h; 2 left out`."""
    verb = VERBS[action]
    allowed = [plan for plan in plans if not plan.refusal]
    if not allowed:
        return f"None of the {text.plural(len(plans), 'tagged row')} can be hit: {verb.split(' ')[0]}"
    own = [
        (plan, row)
        for plan, row in zip(plans, rows, strict=True)
        if not plan.refusal and plan.through is None
    ]
    burn = sum(plan.burn_nusd_per_h or 0 for plan, _ in own)
    partly = any(plan.burn_nusd_per_h is None or unread(row, tree=True) for plan, row in own)
    count = text.plural(len(allowed), "tagged row")
    processes = f", {batch_count(allowed)} processes" if batch_count(allowed) != len(allowed) else ""
    left = len(plans) - len(allowed)
    tail = f"; {left} left out" if left else ""
    saved = text.money(burn, "≥" if partly else "", width=9)
    return f"{verb[0].upper()}{verb[1:]} {count}{processes}; this stops {saved}/h{tail}"


def batch_lines(plan: KillPlan, row: Row, now_ms: int) -> Iterator[tuple[str, str]]:
    """(line, role) of one plan: who it is, what it costs and has below it, how it is resumed, or why it is left out."""
    spared = bool(plan.refusal)
    who = f"{safe(plan.agent, 20) or 'process'} {_process(plan, row, now_ms)}"
    name = safe(plan.title, 80) or safe(plan.session_id, 40) or safe(plan.command, 80)
    yield f"{name}  {safe(plan.project, 40)}", "dim" if spared else "strong"
    yield f"  {who}", "dim" if spared else ""
    if spared:
        yield f"  left out: {safe(plan.refusal, 200)}", "warm"
        return
    yield f"  {_spent(plan, row)}; lost: {loss(row, plan.action)}", "muted"
    if plan.through is not None:
        same = plan.through == plan.target
        yield (
            f"  {'the same process' if same else f'ends with {plan.through.pid}, which it is below'}",
            "warm",
        )
        return
    yield f"  {safe(plan.way, 200) or _signals(plan)}", "muted"
    if plan.action in _ENDS and below(plan):
        yield f"  ends too: {_roles(plan)}", "muted"
    if plan.turn_only and plan.tree:
        yield f"  ends too, if it outlives the turn: {_roles(plan)}", "muted"
    for inner in (proc for proc in below(plan) if proc.role is ProcRole.AGENT):
        yield f"  └ {inner.ident.pid} {safe(inner.command, 120)}  an agent of its own", "warm"
    if shared := _shared(plan):
        yield f"  {shared}", "hot"
    if plan.warning:
        yield f"  caution: {safe(plan.warning, 200)}", "warm"
    yield (f"  resume: {safe(plan.resume, 200)}" if plan.resume else "  cannot be resumed"), "dim"


def _roles(plan: KillPlan) -> str:
    """`3 tool, 1 mcp (30122 pytest -x, 30007 mcp-fs)`: names where they are few."""
    counts = Counter(proc.role.value for proc in below(plan))
    out = ", ".join(f"{count} {role}" for role, count in counts.most_common())
    named = [f"{proc.ident.pid} {safe(proc.command, 40)}" for proc in below(plan)]
    return f"{out} ({', '.join(named)})" if len(named) <= 3 else out


def batch_result(receipts: Sequence[Receipt]) -> tuple[str, str]:
    """(lines, severity) of a whole batch."""
    fine = [receipt for receipt in receipts if severity(receipt) == "information"]
    done = Counter(receipt.result for receipt in receipts)
    ended = {pid for receipt in receipts for pid in receipt.ended_pids}
    burn = sum(
        receipt.burn_nusd_per_h or 0 for receipt in receipts if not receipt.detail.startswith("ended with ")
    )
    lines = [", ".join(f"{count} {safe(result, 40)}" for result, count in done.most_common())]
    if ended:
        lines[0] += f"; {_counted(len(ended), 'process', 'processes')} ended"
    if burn and len(fine) == len(receipts):
        lines.append(f"stopped {text.money(burn, width=9)}/h")
    bad = [receipt for receipt in receipts if receipt not in fine]
    lines += [f"{receipt_title(receipt)} {safe(receipt.detail, 100)}" for receipt in bad]
    shown = lines[:6] + ([f"and {len(lines) - 6} more"] if len(lines) > 6 else [])
    return "\n".join([*shown, "R shows the receipts"]), "warning" if bad else "information"


def tag_text(tags: int, hidden: int, ended: int) -> str:
    """`3 tagged, 2 hidden, 1 ended`, "" without any."""
    if not tags and not ended:
        return ""
    parts = [f"{tags} tagged"]
    parts += [f"{hidden} hidden"] if hidden else []
    parts += [f"{ended} ended"] if ended else []
    return ", ".join(parts)
