"""What the words and figures of "Limits & bill" mean. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from tokentop.engine.reconcile import Verdict
from tokentop.ui.bill.frame import Line, Lines
from tokentop.ui.paint import fit

_NAME = 13  # cells
_PARTS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("today", (
        ("so far", "since local midnight, at list price"),
        ("→", "the projection to midnight, or to the month's end: half of such days end in the narrow interval, four of"
              " five in the wide one"),
        ("the curve", "spent by now, then the fan: the median as a line, 50 % dense, 80 % sparse; across: the day's budget"),
        ("corrected", "what the bills will probably say, as the settled days have taught; ours stays above it"),
    )),
    ("plan limits", (
        ("pace", "ahead or below: how far the use is from even use of the window"),
        ("full", "when it is full at the recent pace; → is its reset"),
        ("told by", "hook: Claude's status line; log: Codex; else the provider, or your settings (≈). Dim: not told for 15 min"),
        ("?", "reset since it was told: how full it is now, nobody has said"),
    )),
    ("plans", (
        ("today, month", "what the plan covers, at list price"),
        ("leverage", "that of the month / the fee"),
        ("cash", "what no plan covers; credits stay in their own unit"),
    )),
    ("budgets", (("exhausted", "when the projection reaches it; holds: not before the period ends"),)),
    ("providers", (
        ("last good", "age of the newest whole answer; an error never turns a value into 0"),
        ("next", "when it is asked again; – not by itself: the line below says what to do"),
    )),
    ("bills", (
        ("ours, theirs", "our logs and the provider's bill of that UTC day, both at list price; diff is the one less the other"),
        ("cover", "how much of the tokens of the bill our logs hold"),
        (Verdict.MATCH, "within 1 %, or 5 cents"),
        (Verdict.UNCOVERED, "the provider saw more: another machine or key, calls that no log holds. No error"),
        (Verdict.PENDING, "our logs hold more; the bill is not final for 48 hours"),
        (Verdict.OVER, "the same on a final day: a plan may have paid, or something was counted twice"),
        (Verdict.PRICE, "the same tokens for other money"),
        (Verdict.NONE, "nothing to compare with"),
    )),
)  # fmt: skip


def words(width: int) -> Lines:
    """Each part of the view with its words, in `width` cells."""
    lines: Lines = [[("Limits & bill", "title"), ("   what the words mean; j k scroll, Esc closes", "dim")]]
    for part, meanings in _PARTS:
        lines += [[], [(part, "head")]]
        for name, meaning in meanings:
            lines += _entry(name, meaning, width)
    return lines


def _entry(name: str, meaning: str, width: int) -> Iterator[Line]:
    for at, part in enumerate(wrap(meaning, max(20, width - _NAME - 3))):
        yield [("  " + fit("" if at else name, _NAME) + " ", "key"), (part, "muted")]
