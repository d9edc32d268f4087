"""The parts put together for a terminal of any size. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tokentop import text
from tokentop.engine.statement import Statement
from tokentop.ui.bill import asked, money
from tokentop.ui.bill.frame import Lines, beside, box
from tokentop.ui.glyphs import safe

TWO = 159  # cells: from here on, in a terminal of 160, the parts stand in two columns
_RIGHT = 78  # cells that the right column needs
_LEFT_PARTS, _RIGHT_PARTS = ("today", "bills"), ("windows", "plans", "budgets", "providers")


def lines(found: Statement, width: int, height: int, ascii_only: bool) -> Lines:
    """Everything, in `width` cells; `height` is that of the screen and gives the curve its height."""
    tall = max(6, min(16, height // 4 + (2 if height >= 40 else 0)))
    notes: Lines = [[(f" ? {safe(problem, 200)}", "warm")] for problem in found.problems]
    if width < TWO:
        order = ("today", "windows", "plans", "budgets", "providers", "bills")
        return [*notes, *_stack(order, found, width, tall, ascii_only)]
    right = max(_RIGHT, (width - 1) * 9 // 20)
    left = width - 1 - right
    return [
        *notes,
        *beside(
            _stack(_LEFT_PARTS, found, left, tall + 2, ascii_only),
            _stack(_RIGHT_PARTS, found, right, tall, ascii_only),
            left,
        ),
    ]


def _stack(names: Sequence[str], found: Statement, width: int, tall: int, ascii_only: bool) -> Lines:
    return [line for name in names for line in _part(name, found, width, tall, ascii_only)]


def _part(name: str, found: Statement, width: int, tall: int, ascii_only: bool) -> Lines:
    inner = width - 4
    title, note = name, ""
    if name == "today":
        body = money.today(found, inner, tall, ascii_only)
        if found.forecast is not None:
            title = f"today {found.forecast.day}"
        if found.today.unpriced_tokens:
            note = f"{text.digits3(found.today.unpriced_tokens)} tokens have no price and are not in it"
    elif name == "windows":
        title, body = "plan limits", asked.windows(found, inner)
    elif name == "plans":
        title, body = "plans, this month at list price", money.plans(found.plans, inner)
    elif name == "budgets":
        body = money.budgets(found.budgets, found.at_ms, inner)
    elif name == "providers":
        body = asked.providers(found.providers, found.at_ms, inner)
    else:
        title, body = (
            "bills of the last 7 UTC days, ours and theirs",
            money.bills(found.bills, inner, asked=any(one.on for one in found.providers)),
        )
    return box(title, body, width, note)
