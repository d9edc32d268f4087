"""The parts put together for a terminal of any size. Pure."""

from __future__ import annotations

from tokentop import text
from tokentop.engine.statement import Statement
from tokentop.ui.bill import asked, money
from tokentop.ui.bill.frame import Lines, beside, box
from tokentop.ui.glyphs import safe

TWO = 140  # cells: from here on parts stand side by side
THREE = 160  # ... and from here on the day takes the left half alone


def lines(found: Statement, width: int, height: int, ascii_only: bool) -> Lines:
    """Everything, in `width` cells; `height` is that of the screen and gives the curve its height."""
    tall = max(6, min(16, height // 4 + (2 if height >= 40 else 0)))
    notes: Lines = [[(f" ? {safe(problem, 200)}", "warm")] for problem in found.problems]
    if width >= THREE:
        left = (width - 1) * 11 // 20
        return notes + beside(
            _stack([("today", 16), ("bills", 0)], found, left, tall + 2, ascii_only),
            _stack([("windows", 0), ("plans", 0), ("budgets", 0), ("providers", 0)], found, width - 1 - left, tall,
                   ascii_only),
            left,
        )  # fmt: skip
    if width >= TWO:
        half = (width - 1) // 2
        rest = width - 1 - half
        return [
            *notes, *_part("today", found, width, tall, ascii_only),
            *_pair("windows", "plans", found, half, rest),
            *_part("budgets", found, width, tall, ascii_only),
            *_part("providers", found, width, tall, ascii_only), *_part("bills", found, width, tall, ascii_only),
        ]  # fmt: skip
    order = ("today", "windows", "plans", "budgets", "providers", "bills")
    return notes + [line for name in order for line in _part(name, found, width, tall, ascii_only)]


def _stack(names: list[tuple[str, int]], found: Statement, width: int, tall: int, ascii_only: bool) -> Lines:
    return [line for name, _ in names for line in _part(name, found, width, tall, ascii_only)]


def _pair(one: str, other: str, found: Statement, half: int, rest: int) -> Lines:
    """Two parts side by side, equally high."""
    high = max(len(_part(one, found, half, 0, False)), len(_part(other, found, rest, 0, False)))
    return beside(_part(one, found, half, 0, False, high), _part(other, found, rest, 0, False, high), half)


def _part(name: str, found: Statement, width: int, tall: int, ascii_only: bool, height: int = 0) -> Lines:
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
    return box(title, body, width, note, height)
