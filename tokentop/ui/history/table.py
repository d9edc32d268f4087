"""The list of the history, drawn line by line: of 50,000 sessions those that are in view."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tokentop import text
from tokentop.nouns.history import Entry, Group
from tokentop.nouns.sessions import State
from tokentop.ui.glyphs import LOOKS
from tokentop.ui.history import cells
from tokentop.ui.history.cells import NAME, Column
from tokentop.ui.history.lines import Item, Lines
from tokentop.ui.paint import Piece, fit, palette_of, strip
from tokentop.ui.theme import Palette

_UNSEEN = frozenset({State.DONE, State.UNKNOWN})  # states without a mark
_NAMED = 32  # cells for the name of a group, so that the counts stand below each other
AHEAD = 40  # lines beyond the visible ones whose entries are asked for with them


class HistoryTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws `Lines`; tells when other lines have come into view and when the cursor has moved."""

    class Moved(Message):
        """Other lines are in view, or the cursor is on another one."""

    class Opened(Message):
        """The chosen line was clicked again."""

    class Resized(Message):
        """Columns have to be placed anew."""

    DEFAULT_CSS = """
    HistoryTable { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self.lines = lines
        self.now_ms = 0
        self.running: dict[tuple[str, str], State] = {}  # by agent and session id
        self.note = ""  # what stands there while there is no line; lines of it
        self.placed: list[tuple[Column, int]] = []

    def lay_out(self) -> None:
        """Lines came, went or moved."""
        self.virtual_size = Size(self.room, len(self.lines.items))
        self.show_cursor()
        self.refresh()
        self.post_message(self.Moved())

    def place(self) -> None:
        """Columns for the room there is."""
        self.placed = cells.placed(self.room)
        self.virtual_size = Size(self.room, len(self.lines.items))
        self.refresh()

    @property
    def room(self) -> int:
        """Cells of a line that the scroll bar leaves."""
        return self.scrollable_content_region.width or self.size.width

    @property
    def in_view(self) -> tuple[int, int]:
        """(first line, count) of what is seen and a little round it."""
        first = max(0, self.scroll_offset.y - AHEAD)
        return first, self.size.height + 2 * AHEAD

    def on_resize(self) -> None:
        self.place()
        self.show_cursor()
        self.post_message(self.Resized())
        self.post_message(self.Moved())

    def watch_show_vertical_scrollbar(self) -> None:
        self.call_after_refresh(self.place)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Moved())

    def show_cursor(self) -> None:
        """Scroll until the cursor line is visible."""
        at, height, top = self.lines.at, self.size.height, self.scroll_offset.y
        if height > 0 and at < top:
            self.scroll_to(y=at, animate=False, immediate=True)
        elif height > 0 and at >= top + height:
            self.scroll_to(y=at - height + 1, animate=False, immediate=True)

    def move(self, by: int) -> None:
        before = self.lines.at
        self.lines.move(by)
        self.show_cursor()
        self.refresh_lines(before)
        self.refresh_lines(self.lines.at)
        self.post_message(self.Moved())

    def on_click(self, event: events.Click) -> None:
        at = event.y + self.scroll_offset.y
        if not 0 <= at < len(self.lines.items):
            return
        event.stop()
        if at == self.lines.at:
            self.post_message(self.Opened())
        else:
            self.move(at - self.lines.at)

    # ------------------------------------------------------------ drawing

    def render_line(self, y: int) -> Strip:
        palette, width, at = palette_of(self), self.room, y + self.scroll_offset.y
        if at >= len(self.lines.items):
            notes = self.note.split("\n") if not self.lines.items else []
            note = f"  {notes[at - 1]}" if 1 <= at <= len(notes) else ""
            return strip([(note, palette["muted"])], width, palette.base)
        chosen = at == self.lines.at
        style = palette.selected if chosen else palette.__getitem__
        pieces = [(piece, style(role)) for piece, role in self._pieces(self.lines.items[at], chosen, at)]
        return strip(pieces, width, style(""))

    def _pieces(self, item: Item, chosen: bool, at: int) -> Iterable[tuple[str, str]]:
        yield "> " if chosen else "  ", "strong"
        if isinstance(item, Group):
            yield from self._group(item)
            return
        entry = item if isinstance(item, Entry) else self.lines.entries.get(item)
        if entry is None:
            return  # it is being asked for
        last = at + 1 >= len(self.lines.items) or not isinstance(self.lines.items[at + 1], Entry)
        lead = ("└ " if last else "├ ") if isinstance(item, Entry) else self._fold_mark(entry)
        for number, (column, width) in enumerate(self.placed):
            if number:
                yield " ", ""
            if column.id == NAME:
                yield from _name(entry, lead, width)
            elif column.id == "last":
                yield from self._last(entry, column, width)
            else:
                shown, role = column.cell(entry, self.now_ms)
                yield fit(shown, width, column.right), "dim" if lead in ("└ ", "├ ") and not role else role

    def _last(self, entry: Entry, column: Column, width: int) -> Iterable[tuple[str, str]]:
        """The time of the last activity; before it the state of what runs, as on the live screen."""
        by_day = self.lines.listing.ask.group == "day"
        shown = text.clock(entry.last_ms) if by_day else column.cell(entry, self.now_ms)[0]
        state = self.running.get((entry.agent, entry.session_id), State.DONE)
        mark = "" if state in _UNSEEN else f"{LOOKS[state].glyph} "
        yield " " * (width - len(mark) - len(shown)) + mark, state.value
        yield shown, "muted"

    def _fold_mark(self, entry: Entry) -> str:
        if entry.root != entry.id:
            return "└ "  # a sub-agent that was found by itself
        if not entry.below:
            return "  "
        return "▾ " if entry.id in self.lines.unfolded else "▸ "

    def _group(self, group: Group) -> Iterable[tuple[str, str]]:
        figures = cells.group_figures(group)
        mark = "▸ " if group.name in self.lines.folded else "▾ "
        name = f"{mark}{cells.group_name(group, self.lines.listing.ask.group)}"
        told = f" {group.count:>6,} session{'s' * (group.count != 1)}"
        right = [(c, width) for c, width in self.placed if c.id in figures]
        room = self.room - 2 - sum(width + 1 for _, width in right)
        named = min(_NAMED, room // 2)
        yield fit(name, named), "title"
        yield fit(told, room - named), "dim"
        for column, width in right:
            cell, role = figures[column.id]
            yield " " + fit(cell, width, right=True), role


def _name(entry: Entry, lead: str, width: int) -> Iterable[tuple[str, str]]:
    tail = f" +{entry.below}" if entry.below and entry.root == entry.id and width > 16 else ""
    shown, role = cells.name(entry)
    yield lead, "dim"
    yield fit(shown, width - len(lead) - len(tail)), role
    yield tail, "tool"


class HistoryHead(ScrollView):
    """The heads of the columns; a click sorts."""

    class Chosen(Message):
        """The head of a column that can be sorted by was clicked."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    DEFAULT_CSS = "HistoryHead { height: 1; scrollbar-size: 0 0; overflow: hidden hidden; }"

    def __init__(self, table: HistoryTable) -> None:
        super().__init__()
        self.table = table
        self.sort, self.ascending = "", False

    def show(self, sort: str, ascending: bool) -> None:
        self.sort, self.ascending = cells.sorted_column(sort), ascending
        self.refresh()

    def render_line(self, y: int) -> Strip:
        palette: Palette = palette_of(self)
        pieces: list[Piece] = [(" ", palette["head"])]
        for column, width in self.table.placed:
            here = column.id == self.sort
            role = "key" if here else "head"
            pieces.append((("↑" if self.ascending else "↓") if here else " ", palette[role]))
            head = "  " + column.head if column.id == NAME else column.head
            pieces.append((fit(head, width, column.right), palette[role]))
        return strip(pieces, self.size.width, palette.base)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        x = 2
        for column, width in self.table.placed:
            if x <= event.x < x + width and column.sort:
                self.post_message(self.Chosen(column.sort))
                return
            x += width + 1
