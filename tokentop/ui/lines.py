"""The lines of the table: what hangs below what, what is folded away, and the marks in front. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tokentop.nouns.picture import Row
from tokentop.ui.grouping import Groups

Below = dict[str, list[str]]  # keys of the lines right below each key, "" = at the top


class Line(NamedTuple):
    """One line of the table."""

    key: str
    lead: str  # tree lines and fold mark
    hidden: int  # rows folded away below
    match: bool  # False: only here because something below matches the filter


def with_parents(matched: frozenset[str], rows: Mapping[str, Row]) -> frozenset[str]:
    """What matches, and what stands above it."""
    shown = set(matched)
    for key in matched:
        above = rows[key].parent_key
        while above in rows and above not in shown:
            shown.add(above)
            above = rows[above].parent_key
    return frozenset(shown)


def flat_lines(ordered: Sequence[Row], shown: Collection[str]) -> list[Line]:
    return [Line(row.key, "", 0, True) for row in ordered if row.key in shown]


def tree_lines(
    ordered: Sequence[Row], matched: Collection[str], shown: Collection[str], folded: Collection[str],
    groups: Groups, tree: bool,
) -> list[Line]:  # fmt: skip
    """`ordered` = rows and headers; below a header of a flat view stand its rows without tree lines."""
    below = _below(ordered, shown, groups, tree)
    heads = groups.heads
    lines: list[Line] = []
    seen: set[str] = set()
    stack = [(key, "", "") for key in reversed(below.get("", ()))]
    while stack:
        key, indent, branch = stack.pop()
        if key in seen:
            continue
        seen.add(key)
        children = below.get(key, [])
        closed = key in folded and bool(children)
        mark = "▸ " if closed else "▾ " if children else "" if branch else "  "
        hidden = _count_below(key, below) if closed else 0
        lines.append(Line(key, indent + branch + mark, hidden, key in matched or key in heads))
        if closed:
            continue
        inner = indent + ("│ " if branch == "├ " else "  ")
        if key in heads:
            stack.extend((child, inner if tree else indent, "") for child in reversed(children))
            continue
        stack.extend(
            (child, inner, "└ " if at == len(children) - 1 else "├ ")
            for at, child in reversed(list(enumerate(children)))
        )
    return lines


def _below(ordered: Sequence[Row], shown: Collection[str], groups: Groups, tree: bool) -> Below:
    below: Below = {}
    for row in ordered:
        if row.key in shown:
            parent = row.parent_key if tree and row.parent_key in shown else ""
            parent = "" if parent == row.key else parent
            below.setdefault(parent or groups.member_of.get(row.key, ""), []).append(row.key)
        elif row.key in groups.heads:
            below.setdefault("", []).append(row.key)
    return below


def _count_below(key: str, below: Below) -> int:
    count, stack, seen = 0, [key], {key}
    while stack:
        for child in below.get(stack.pop(), ()):
            if child not in seen:
                seen.add(child)
                count += 1
                stack.append(child)
    return count


def successor(cursor: str | None, old: Sequence[Line], index: Collection[str]) -> str | None:
    """The line that the cursor goes to when its own has left: its neighbour in the old order; None = there is none."""
    keys = [line.key for line in old]
    if cursor not in keys:
        return None
    at = keys.index(cursor)
    return next((key for key in (*keys[at + 1 :], *reversed(keys[:at])) if key in index), None)
