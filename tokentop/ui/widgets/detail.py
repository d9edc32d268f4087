"""The detail drawer: everything that is known about one row."""

from __future__ import annotations

from rich.cells import cell_len
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tokentop.ui.facts import Field
from tokentop.ui.paint import Piece, fit, palette_of, strip

_LABEL = 11
_COLUMN = 40  # cells of one column of fields
Slot = tuple[Field, int]  # a field and its width


class Detail(ScrollView, can_focus=True):
    """Fields in one column, or in several where there is room; `wide` ones use the whole width."""

    DEFAULT_CSS = """
    Detail {
        background: $surface; overflow-x: hidden;
        scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._title = ""
        self._fields: list[Field] = []
        self._lines: list[list[Slot]] = []
        self._laid_out = 0

    def show(self, title: str, fields: list[Field]) -> None:
        """New content; the scroll position stays."""
        if title == self._title and fields == self._fields:
            return
        if title != self._title:
            self.scroll_to(y=0, animate=False)
        self._title, self._fields = title, fields
        self._lay_out()
        self.refresh()

    def on_resize(self) -> None:
        self._lay_out()

    def _lay_out(self) -> None:
        width = self.size.width
        self._laid_out = width
        self._lines = lay_out(self._fields, width)
        self.virtual_size = Size(width, len(self._lines) + 1)

    def render_line(self, y: int) -> Strip:
        palette = palette_of(self)
        width = self.size.width
        if width != self._laid_out:
            self._lay_out()
        at = y + self.scroll_offset.y
        pieces: list[Piece] = []
        if at == 0:
            name = fit(self._title, max(0, min(width - 4, cell_len(self._title))))
            rule = "─" * max(0, width - 4 - cell_len(name))
            pieces += [("─ ", palette["frame"]), (name, palette["title"]), (f" {rule}", palette["frame"])]
        elif at <= len(self._lines):
            for field, room in self._lines[at - 1]:
                pieces.append((" " + fit(field.label, _LABEL) + " ", palette["dim"]))
                pieces.append((fit(field.value, max(0, room - _LABEL - 2)), palette[field.role]))
        return strip(pieces, width, palette.base)


def lay_out(fields: list[Field], width: int) -> list[list[Slot]]:
    """Lines of fields: short ones flow down the columns, long ones are wrapped over the whole width."""
    count = max(1, width // _COLUMN)
    room = width // count
    short = [f for f in fields if not f.wide and (count == 1 or cell_len(f.value) <= room - _LABEL - 3)]
    height = -(-len(short) // count)
    lines: list[list[Slot]] = [
        [(short[i], room) for i in range(at, len(short), height)] for at in range(height)
    ]
    for field in fields:
        if field not in short:
            lines += [[(part, width)] for part in wrap(field, max(8, width - _LABEL - 3))]
    return lines


def wrap(field: Field, room: int) -> list[Field]:
    """A long value over several lines, cut at `room` cells."""
    parts: list[str] = []
    current, cells = "", 0
    for char in field.value:
        size = cell_len(char)
        if cells + size > room and current:
            parts.append(current)
            current, cells = "", 0
        current, cells = current + char, cells + size
    parts.append(current)
    return [
        Field(field.label if at == 0 else "", part, field.role, True) for at, part in enumerate(parts[:4])
    ]
