"""Lines of text and roles: one that stands alone, and those of a list with a cursor."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.theme import Palette

Line = Sequence[tuple[str, str]]  # pieces (text, role)


class Note(Painted):
    """One line: a title, or what the keys do."""

    DEFAULT_CSS = "Note { height: 1; }"

    def __init__(self, pieces: Line) -> None:
        super().__init__()
        self._pieces = pieces

    def show(self, pieces: Line) -> None:
        self._pieces = pieces
        self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        return [(piece, palette[role]) for piece, role in self._pieces]


def entry_line(line: Line, width: int, palette: Palette, *, chosen: bool, first: bool = True) -> list[Piece]:
    """A line of an entry in `width` cells; the chosen entry is marked on its `first` line."""
    style = palette.selected if chosen else palette.__getitem__
    out = [("> " if chosen and first else "  ", style("strong"))]
    room = width - 2
    for piece, role in line:
        shown = fit(piece, min(room, cell_len(piece)))
        out.append((shown, style(role)))
        room -= cell_len(shown)
    out.append((" " * max(0, room), style("")))
    return out
