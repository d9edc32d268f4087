"""A sweep in words: the processes without a living owner, and what became of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tokentop import text
from tokentop.nouns.actions import Orphan, Receipt
from tokentop.ui.actions.plan import below, process_count, processes
from tokentop.ui.glyphs import safe

_GONE = frozenset({"ended", "already gone"})


def sweep_count(doomed: Sequence[Orphan]) -> int:
    return sum(process_count(orphan.plan) for orphan in doomed)


def sweep_heading(doomed: Sequence[Orphan]) -> str:
    count = sweep_count(doomed)
    if not count:
        return "No process without a living owner can be ended"
    return f"End {processes(count)} without a living owner: TERM, after a grace KILL"


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
    done = sum(receipt.result in _GONE for receipt in receipts)
    bad = [receipt for receipt in receipts if receipt.result not in _GONE or receipt.survivors]
    line = f"ended {done} of {text.plural(len(receipts), 'orphan')}"
    if bad:
        line += "; " + ", ".join(f"{one.pid} {safe(one.result, 40)}" for one in bad[:4])
    return f"{line}; R shows the receipts", "warning" if bad else "information"
