"""The detail drawer: everything that is known about one row."""

from __future__ import annotations

from rich.cells import cell_len
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tokentop.ui.facts import Field
from tokentop.ui.glyphs import SPARKS
from tokentop.ui.paint import Piece, fit, palette_of, strip
from tokentop.ui.theme import Palette
from tokentop.ui.widgets.graph import resample

_LABEL = 11
_COLUMN = 40  # cells of one column of fields
_ONE_LINE = frozenset({"muted", "tool"})  # a step is cut, not wrapped
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

    @property
    def _room(self) -> int:
        """The cells of a line: one is left free before the scroll bar."""
        return max(1, self.scrollable_content_region.width - 1)

    def _lay_out(self) -> None:
        width = self._room
        self._laid_out = width
        self._lines = lay_out(self._fields, width)
        self.virtual_size = Size(width, len(self._lines) + 1)

    @property
    def hidden_lines(self) -> int:
        """How many lines do not fit."""
        return max(0, len(self._lines) + 1 - self.size.height)

    def scroll_page(self, step: int) -> None:
        """A page on or back; from the end on to the beginning."""
        page = max(1, self.size.height - 1)
        top = self.scroll_offset.y + step * page
        if step > 0 and self.scroll_offset.y >= self.hidden_lines:
            top = 0
        self.scroll_to(y=max(0, min(top, self.hidden_lines)), animate=False)

    def render_line(self, y: int) -> Strip:
        palette = palette_of(self)
        width = self._room
        if width != self._laid_out:
            self._lay_out()
        at = y + self.scroll_offset.y
        pieces: list[Piece] = []
        if at == 0:
            pieces += _rule(self._title, width, palette, "title")
        elif at <= len(self._lines):
            for field, room in self._lines[at - 1]:
                if field.role == "section":
                    pieces += _rule(field.value, room, palette, "head")
                    continue
                pieces.append((" " + fit(field.label, _LABEL) + " ", palette["dim"]))
                inner = max(0, room - _LABEL - 2)
                tail = fit(field.tail, min(cell_len(field.tail), inner // 2)) if field.tail else ""
                value = bars(field.graph, inner - cell_len(tail) - 1) if field.graph else field.value
                pieces.append((fit(value, inner - cell_len(tail) - bool(tail)), palette[field.role]))
                if tail:
                    pieces.append((f" {tail}", palette[field.role if field.role == "error" else "dim"]))
        return strip(pieces, width + 1, palette.base)


def _rule(title: str, width: int, palette: Palette, role: str) -> list[Piece]:
    """`─ title ─────`"""
    name = fit(title, max(0, min(width - 4, cell_len(title))))
    rule = "─" * max(0, width - 4 - cell_len(name))
    return [("─ ", palette["frame"]), (name, palette[role]), (f" {rule}", palette["frame"])]


def bars(samples: tuple[float, ...], room: int) -> str:
    """Samples as blocks on a scale from 0 to their maximum; nothing is a blank, a little is a mark."""
    count = max(0, min(room, len(samples)))
    values = resample(samples, count)
    top = max(values, default=0.0)
    if top <= 0:
        return " " * count
    steps = len(SPARKS)
    return "".join(
        " " if value <= 0 else SPARKS[min(steps - 1, int(value / top * (steps - 1) + 0.5))]
        for value in values
    )


def lay_out(fields: list[Field], width: int) -> list[list[Slot]]:
    """Lines of fields, section by section."""
    lines: list[list[Slot]] = []
    group: list[Field] = []
    for field in fields:
        if field.role == "section":
            lines += _lay_out_group(group, width)
            lines.append([(field, width)])
            group = []
        else:
            group.append(field)
    return lines + _lay_out_group(group, width)


def _lay_out_group(fields: list[Field], width: int) -> list[list[Slot]]:
    """Short fields flow down the columns, long ones are wrapped over the whole width."""
    count = max(1, width // _COLUMN)
    room = width // count
    short = [f for f in fields if not f.wide and (count == 1 or cell_len(f.value) <= room - _LABEL - 3)]
    height = -(-len(short) // count)
    lines: list[list[Slot]] = [
        [(short[i], room) for i in range(at, len(short), height)] for at in range(height)
    ]
    for field in fields:
        if field in short:
            continue
        if field.tail or field.graph or field.role in _ONE_LINE:
            lines.append([(field, width)])
        else:
            lines += [[(part, width)] for part in wrap(field, max(8, width - _LABEL - 3))]
    return lines


def wrap(field: Field, room: int) -> list[Field]:
    """A long value over several lines of `room` cells; between words where one ends near the edge."""
    parts: list[str] = []
    current, cells = "", 0
    for char in field.value:
        size = cell_len(char)
        if cells + size > room and current:
            head, space, rest = current.rpartition(" ")
            if char == " " or not space or cell_len(head) < room * 3 // 4:
                head, rest = current, ""
            parts.append(head)
            current, cells = rest, cell_len(rest)
            if char == " " and not current:
                continue
        current, cells = current + char, cells + size
    parts.append(current)
    return [
        Field(field.label if at == 0 else "", part, field.role, True) for at, part in enumerate(parts[:4])
    ]
