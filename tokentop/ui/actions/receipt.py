"""A receipt in words: what an action has done, and what it came to. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from tokentop import text
from tokentop.engine.aftermath import in_words
from tokentop.nouns.actions import Receipt
from tokentop.ui.actions.plan import processes
from tokentop.ui.glyphs import safe

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
    out += _left_and_stopped(receipt)
    if receipt.after is not None:
        out.append(safe(in_words(receipt.after), 300))
    if receipt.resume:
        out.append(f"resume: {safe(receipt.resume, 200)}" + (" (y copies it)" if keys else ""))
    return out


def _left_and_stopped(receipt: Receipt) -> Iterator[str]:
    """Who is still alive, and the burn rate that was stopped."""
    if receipt.survivors:
        yield f"still alive: {', '.join(str(pid) for pid in receipt.survivors[:6])}"
    if receipt.burn_nusd_per_h and receipt.result in _STOPS:
        yield f"stopped {text.money(receipt.burn_nusd_per_h, width=9)}/h"


def receipt_brief(receipt: Receipt) -> list[str]:
    """The two lines that matter later: what it came to, and how to resume."""
    what = []
    if receipt.ended_pids:
        what.append(f"ended {processes(len(receipt.ended_pids))} in {receipt.took_ms / 1000:.1f} s")
    what += _left_and_stopped(receipt)
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
