"""Charts for a terminal, in characters: bars, sparks, a year by days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from tokentop.text import clean

from .out import money

SPARKS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_HEAT = "·░▒▓█"
_NAMES = ("Mon", "", "Wed", "", "Fri", "", "Sun")


def sparks(values: Sequence[int]) -> str:
    """One character each, on a scale from 0 to the greatest; a space for nothing."""
    top = max(values, default=0)
    steps = len(SPARKS) - 1
    return "".join(SPARKS[min(steps, max(0, round(v / top * steps)))] if v and top else " " for v in values)


def bar(share: float, cells: int) -> str:
    """A bar in eighths of a cell; what is there is never invisible."""
    eighths = min(8 * cells, max(1 if share > 0 else 0, round(share * 8 * cells)))
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()).ljust(cells)


def bars(rows: Sequence[tuple[str, int, str]], head: str, width: int) -> list[str]:
    """A name, its money and a bar on a line each, `width` characters wide; the last is its mark (`≥`, `≈`).

    At least nothing is `?`: what was used has no price, or no usage in the logs.
    """
    if not rows:
        return [head, "nothing"]
    top = max(cost for _, cost, _ in rows)
    names = [clean(name, max(8, width - 26)) for name, _, _ in rows]
    costs = ["?" if "≥" in mark and not cost else mark + money(cost) for _, cost, mark in rows]
    left, right = max(len(one) for one in (*names, head)), max(len(one) for one in costs)
    cells = max(4, width - left - right - 2)
    return [
        head,
        *(
            f"{name.ljust(left)} {cost.rjust(right)} {bar(row[1] / top if top else 0, cells)}".rstrip()
            for name, cost, row in zip(names, costs, rows, strict=True)
        ),
    ]


def columns_beside(left: Sequence[str], right: Sequence[str], width: int) -> list[str]:
    """Two blocks of lines side by side, the right one `width` characters further."""
    count = max(len(left), len(right))
    pairs = zip([*left, *[""] * (count - len(left))], [*right, *[""] * (count - len(right))], strict=True)
    return [f"{a.ljust(width)}{b}".rstrip() for a, b in pairs]


def year(costs: Mapping[date, int], last: date) -> list[str]:
    """A year of days, a column a week, Monday first; shades by quarters of the days with spend.

    `·` = nothing was spent; a space = the day is not in the year.
    """
    first = last - timedelta(days=364)
    monday = first - timedelta(days=first.weekday())
    spent = sorted(cost for day, cost in costs.items() if cost > 0 and first <= day <= last)
    weeks = ((last - monday).days) // 7 + 1
    lines = [_months(monday, weeks)]
    for weekday in range(7):
        cells = []
        for week in range(weeks):
            day = monday + timedelta(days=7 * week + weekday)
            cells.append(_HEAT[level(costs.get(day, 0), spent)] if first <= day <= last else " ")
        lines.append(f"{_NAMES[weekday]:4}{''.join(cells)}".rstrip())
    return [*lines, "", f"    {_HEAT[0]} nothing  {_scale(spent)}" if spent else "    nothing was spent"]


def _scale(spent: Sequence[int]) -> str:
    """What each shade means, of those that some day has. `spent` is sorted and not empty."""
    said, before = [], 0
    for shade, mark in zip(_HEAT[1:4], _marks(spent), strict=True):
        if mark > before:
            said.append(f"{shade} to {money(mark)}")
        before = mark
    return "  ".join([*said, *([f"{_HEAT[4]} more"] if spent[-1] > before else [])])


def _marks(spent: Sequence[int]) -> list[int]:
    return [spent[min(len(spent) - 1, len(spent) * at // 4)] for at in range(1, 4)]


def level(cost: int, spent: Sequence[int]) -> int:
    """0 = nothing, else 1 to 4: the quarter of all days with spend that it is in. `spent` is sorted."""
    if cost <= 0:
        return 0
    return 1 + sum(cost > mark for mark in _marks(spent))


def _months(monday: date, weeks: int) -> str:
    """The names of the months above their first whole week."""
    line = [" "] * (weeks + 8)
    free = 0
    for week in range(weeks):
        day = monday + timedelta(days=7 * week)
        begins = day.day <= 7 or (week == 0 and (day + timedelta(days=21)).month == day.month)
        if begins and week >= free:
            name = day.strftime("%b")
            line[week : week + 3] = name
            free = week + 4
    return ("    " + "".join(line)).rstrip()
