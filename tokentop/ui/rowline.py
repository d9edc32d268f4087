"""A line of the table in pieces of text and role: a row, or the header of a group. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from rich.cells import cell_len

from tokentop.nouns.picture import Row
from tokentop.ui.cells import Scene, stuck
from tokentop.ui.columns import Column, Placed
from tokentop.ui.glyphs import LOOKS, RESTING, safe
from tokentop.ui.grouping import Head
from tokentop.ui.lines import Line
from tokentop.ui.paint import fit

Pieces = Iterable[tuple[str, str]]  # text, role
SceneOf = Callable[[int], Scene]  # by the width of a column

_PLAIN = frozenset({"", "strong", "muted"})  # roles that tell nothing of the value


def row_pieces(row: Row, line: Line, placed: Sequence[Placed], scene_of: SceneOf) -> Pieces:
    resting = row.status.state in RESTING or not line.match

    def cell(column: Column, width: int) -> Pieces:
        text, role = column.cell(row, scene_of(width))
        note = stuck(row, scene_of(width)) if column.id == "status" else ""
        room = width - len(note) - 1 if note else width
        yield fit(text, room, column.right), "dim" if resting and role in _PLAIN else role
        if note:
            yield f" {note}", "hot"

    return _in_columns(placed, lambda width: _session(row, line, width), cell)


def head_pieces(head: Head, line: Line, placed: Sequence[Placed], scene_of: SceneOf) -> Pieces:
    """Its name, how many are in which state, and the sums."""

    def cell(column: Column, width: int) -> Pieces:
        text, role = column.cell(head.row, scene_of(width)) if column.summed else ("", "")
        yield fit(text, width, column.right), "title" if role in _PLAIN else role

    return _in_columns(placed, lambda width: _group(head, line, width), cell)


def _in_columns(
    placed: Sequence[Placed],
    session: Callable[[int], Pieces],
    cell: Callable[[Column, int], Pieces],
) -> Pieces:
    """Each column in its width, one space between two; SESSION is made of pieces of its own."""
    for at, (column, width) in enumerate(placed):
        if at:
            yield " ", ""
        if column.id == "session":
            yield from session(width)
        else:
            yield from cell(column, width)


def _group(head: Head, line: Line, width: int) -> Pieces:
    """`▾ api  ∅1 !1 ●3`; the counts are what a narrow screen keeps."""
    chips = [(f" ∅{head.stuck}", "hot")] * bool(head.stuck)
    chips += [(f" {LOOKS[state].glyph}{count}", state.value) for state, count in head.counts]
    while chips and sum(len(chip) for chip, _ in chips) > width - len(line.lead) - 4:
        chips.pop()  # the least urgent
    room = width - len(line.lead) - sum(len(chip) for chip, _ in chips)
    name = safe(head.row.title, 80)
    yield line.lead, "dim"
    shown = fit(name, min(room, max(cell_len(name), 1)))
    yield shown, "title"
    yield from chips
    yield " " * max(0, room - cell_len(shown)), ""


def _session(row: Row, line: Line, width: int) -> Pieces:
    """Tree lines, title, and how many rows are folded away."""
    room = width
    if line.lead:
        lead = line.lead if len(line.lead) <= width // 2 else line.lead[-(width // 2) :]
        room -= len(lead)
        yield lead, "dim"
    tail = f" +{line.hidden}" if line.hidden and room > 8 else ""
    name, role = name_of(row)
    if not line.match or (row.status.state in RESTING and role == ""):
        role = "dim"
    yield fit(name, room - len(tail)), role
    yield tail, "tool"


def name_of(row: Row) -> tuple[str, str]:
    """The name of a row and its role: title, command, or what is left to tell it by."""
    if row.kind in {"tool", "orphan"}:
        return safe(f"{row.pid or '?'} {row.command or row.title}"), "muted"
    if row.title:
        return safe(row.title), ""
    if row.session_id:
        return f"({safe(row.session_id, 13)})", "muted"
    return safe(row.command) or "(no session yet)", "muted"
