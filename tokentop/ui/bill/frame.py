"""Boxes with a title, side by side or below each other. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tokentop.ui.paint import fit

Piece = tuple[str, str]  # text, role
Line = list[Piece]
Lines = list[Line]


def cells(line: Sequence[Piece]) -> int:
    return sum(len(text) if text.isascii() else cell_len(text) for text, _ in line)


def fitted(line: Sequence[Piece], width: int) -> Line:
    """`line` in exactly `width` cells; what does not fit is cut with `…`."""
    out: Line = []
    room = width
    for at, (text, role) in enumerate(line):
        size = cells([(text, role)])
        if size > room or (size == room and cells(line[at + 1 :])):
            out.append((fit(text + "…", room), role))
            return out
        out.append((text, role))
        room -= size
    return [*out, (" " * room, "")] if room else out


def box(title: str, lines: Sequence[Sequence[Piece]], width: int, note: str = "") -> Lines:
    """A frame around `lines`; `note` stands in its lower border."""
    inner = width - 4
    return [
        _border("╭", "╮", title, "head", width),
        *([("│ ", "frame"), *fitted(line, inner), (" │", "frame")] for line in lines),
        _border("╰", "╯", note, "dim", width),
    ]


def _border(left: str, right: str, text: str, role: str, width: int) -> Line:
    if not text or width < 8:
        return [(left + "─" * max(0, width - 2) + right, "frame")]
    shown = fit(text, min(cells([(text, "")]), width - 6))
    rest = width - 4 - cells([(shown, "")])
    return [(left + "─ ", "frame"), (shown, role), (" " + "─" * max(0, rest - 1) + right, "frame")]


def beside(left: Sequence[Line], right: Sequence[Line], width: int, gap: int = 1) -> Lines:
    """Two columns; `width` is that of the left one."""
    blank: Line = [(" " * width, "")]
    out: Lines = []
    for at in range(max(len(left), len(right))):
        first = left[at] if at < len(left) else blank
        second = right[at] if at < len(right) else []
        out.append([*first, (" " * gap, ""), *second])
    return out
