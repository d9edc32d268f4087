"""An action on several rows in words: what it will hit, what is left out, what it came to. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tokentop import text
from tokentop.nouns.actions import Action, KillPlan, Receipt
from tokentop.nouns.picture import Row
from tokentop.nouns.processes import ProcRole
from tokentop.ui.actions.plan import (
    ENDING,
    VERBS,
    below,
    loss,
    process_line,
    processes,
    shared,
    short_verb,
    signals,
    spent,
)
from tokentop.ui.actions.receipt import receipt_title, severity
from tokentop.ui.cells import unread
from tokentop.ui.glyphs import safe


def batch_count(allowed: Sequence[KillPlan]) -> int:
    """The processes that are ended, or that are touched where nothing is ended; each once."""
    hit = set()
    for plan in allowed:
        if plan.target is not None:
            hit.add(plan.target.pid)
        if plan.action in ENDING:
            hit.update(proc.ident.pid for proc in plan.tree)
    return len(hit) + sum(plan.target is None for plan in allowed)


def batch_heading(plans: Sequence[KillPlan], rows: Sequence[Row], action: Action) -> str:
    """`Terminate 12 tagged rows, 31 processes; this stops $84.20/h; 2 left out`."""
    allowed = [plan for plan in plans if not plan.refusal]
    if not allowed:
        return f"None of the {text.plural(len(plans), 'tagged row')} can be hit: {short_verb(action)}"
    own = [
        (plan, row)
        for plan, row in zip(plans, rows, strict=True)
        if not plan.refusal and plan.through is None
    ]
    burn = sum(plan.burn_nusd_per_h or 0 for plan, _ in own)
    partly = any(plan.burn_nusd_per_h is None or unread(row, tree=True) for plan, row in own)
    count = text.plural(len(allowed), "tagged row")
    hit = batch_count(allowed)
    more = f", {processes(hit)}" if hit != len(allowed) else ""
    left = len(plans) - len(allowed)
    tail = f"; {left} left out" if left else ""
    saved = text.money(burn, "≥" if partly else "", width=9)
    return f"{VERBS[action].capitalize()} {count}{more}; this stops {saved}/h{tail}"


def batch_lines(plan: KillPlan, row: Row, now_ms: int) -> Iterator[tuple[str, str]]:
    """(line, role) of one plan: who it is, what it costs and has below it, how it is resumed, or why it is left out."""
    spared = bool(plan.refusal)
    who = f"{safe(plan.agent, 20) or 'process'} {process_line(plan, row, now_ms)}"
    name = safe(plan.title, 80) or safe(plan.session_id, 40) or safe(plan.command, 80)
    yield f"{name}  {safe(plan.project, 40)}", "dim" if spared else "strong"
    yield f"  {who}", "dim" if spared else ""
    if spared:
        yield f"  left out: {safe(plan.refusal, 200)}", "warm"
        return
    yield f"  {spent(plan, row)}; lost: {loss(row, plan.action)}", "muted"
    if plan.through is not None:
        same = plan.through == plan.target
        yield (
            f"  {'the same process' if same else f'ends with {plan.through.pid}, which it is below'}",
            "warm",
        )
        return
    yield f"  {safe(plan.way, 200) or signals(plan)}", "muted"
    if plan.action in ENDING and below(plan):
        yield f"  ends too: {_roles(plan)}", "muted"
    if plan.turn_only and plan.tree:
        yield f"  ends too, if it outlives the turn: {_roles(plan)}", "muted"
    for inner in (proc for proc in below(plan) if proc.role is ProcRole.AGENT):
        yield f"  └ {inner.ident.pid} {safe(inner.command, 120)}  an agent of its own", "warm"
    if others := shared(plan):
        yield f"  {others}", "hot"
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
        lines[0] += f"; {processes(len(ended))} ended"
    if burn and len(fine) == len(receipts):
        lines.append(f"stopped {text.money(burn, width=9)}/h")
    bad = [receipt for receipt in receipts if receipt not in fine]
    lines += [f"{receipt_title(receipt)} {safe(receipt.detail, 100)}" for receipt in bad]
    shown = lines[:6] + ([f"and {len(lines) - 6} more"] if len(lines) > 6 else [])
    return "\n".join([*shown, "R shows the receipts"]), "warning" if bad else "information"
