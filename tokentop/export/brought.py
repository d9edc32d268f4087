"""What the tokens of a session or a group bought, as values and in a line. docs/outcome.md defines the figures. Pure."""

from __future__ import annotations

from typing import Any

from tokentop.engine.tally import Bought, Pair, Sum
from tokentop.text import plural

from .values import dollars, usd


def figures(one: Sum) -> dict[str, Any]:
    """One group. `null` = not known; `sure` and `guessed` add up."""
    return {
        "sessions": one.sessions,
        "cost_usd": usd(one.cost_nusd) if one.priced else None,
        "cost_at_least": one.at_least,
        "cost_estimated": one.estimated,
        "commits": _pair(one.commits),
        "lines_added": _pair(one.added),
        "lines_removed": _pair(one.removed),
        "lines_survived": _pair(one.survived),
        "lines_survived_so_far": _round(one.young),
        "lines_waiting": _round(one.waiting),
        "commits_with_unknown_lines": _round(one.unread),
        "files": len(one.files),
        "pull_requests": sorted(one.pulls),
        "tests": {"passed": one.passed, "failed": one.failed, "unknown": one.untold},
        "cost_per_commit_usd": _each(one.per_commit_nusd),
        "cost_per_surviving_line_usd": _each(one.per_line_nusd),
        "ended_unchanged": {
            "sessions": one.unchanged,
            "cost_usd": _spent(one, one.unchanged, one.unchanged_nusd),
        },
        "ended_unclear": {"sessions": one.unclear, "cost_usd": _spent(one, one.unclear, one.unclear_nusd)},
        "abandoned": {"sessions": one.abandoned, "cost_usd": _spent(one, one.abandoned, one.abandoned_nusd)},
        "loops_usd": usd(one.loops_nusd) if tools_told(one) else None,
        "retries_usd": usd(one.retries_nusd) if tools_told(one) else None,
        "hidden_usd": usd(one.hidden_nusd),
        "waiting_usd": usd(one.waiting_nusd),
        "waste_of_unknown_cost": one.waste_unknown,
        "sessions_without_tools": one.silent,
    }


def _spent(one: Sum, sessions: int, nusd: int) -> str | None:
    """What some of its sessions cost; None = nothing of the group has a price."""
    return usd(nusd) if one.priced or not sessions else None


def tools_told(one: Sum) -> bool:
    """Whether the log of any session tells its tools: without one, nothing is known of loops and retries."""
    return not one.silent or one.silent < one.sessions


def _pair(pair: Pair) -> dict[str, float | int]:
    return {"sure": _round(pair.sure), "guessed": _round(pair.guessed)}


def _round(amount: float) -> float | int:
    """A share is a fraction; three digits are enough."""
    near = round(amount, 3)
    return int(near) if near == int(near) else near


def _each(nusd: float | None) -> str | None:
    return None if nusd is None else usd(round(nusd))


def one_line(bought: Bought) -> str:
    """The same of one session in a line."""
    one, days = bought.sum, bought.days
    parts = []
    if one.commits.both:
        noun = "commit" if one.commits.both == 1 else "commits"
        young = f" so far ({days} days)" if one.young else ""
        parts.append(
            f"{both(one.commits)} {noun}, +{both(one.added) or 0} -{both(one.removed) or 0} lines,"
            f" {survived(one) or 0} survived{young}"
        )
    elif one.edits:
        parts.append(f"{plural(one.edits, 'file')} changed, no commit is known to be its own")
    if one.passed or one.failed:
        parts.append(f"tests {one.passed}/{one.passed + one.failed}")
    parts += [f"opened {name}" for name in sorted(one.pulls)]
    if one.unchanged:
        parts.append("ended with nothing changed")
    if one.loops_nusd:
        parts.append(f"loops {dollars(one.loops_nusd)}")
    if one.retries_nusd:
        parts.append(f"retries {dollars(one.retries_nusd)}")
    nothing = "not known: neither git nor its log tells whether anything changed" if one.unclear else ""
    return "; ".join(parts) or nothing or "no commit is known to be its own"


def both(pair: Pair) -> str:
    """`12 ~3`: 12 are sure, 3 more are guessed."""
    sure = f"{round(pair.sure):,}" if pair.sure else ""
    guessed = f"~{_short(pair.guessed)}" if pair.guessed else ""
    return " ".join(part for part in (sure, guessed) if part)


def survived(one: Sum) -> str:
    """0 where it is known that none did; `?` = of some it is not known."""
    known = both(one.survived) or "0" * bool(one.added.both > one.waiting)
    return known + ("+?" if known else "?") * bool(one.waiting or one.unread)


def _short(amount: float) -> str:
    return f"{amount:.1f}" if amount < 10 and amount != int(amount) else f"{round(amount):,}"
