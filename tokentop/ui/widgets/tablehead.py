"""The heads of the table's columns."""

from __future__ import annotations

from textual import events
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tokentop.ui.paint import Piece, fit, palette_of, strip
from tokentop.ui.widgets.table import LiveTable


class TableHead(ScrollView):
    """The heads of the columns; a click sorts."""

    class Chosen(Message):
        """The head of a column was clicked."""

        def __init__(self, column_id: str) -> None:
            super().__init__()
            self.column_id = column_id

    DEFAULT_CSS = "TableHead { height: 1; scrollbar-size: 0 0; overflow: hidden hidden; }"

    def __init__(self, table: LiveTable) -> None:
        super().__init__()
        self.table = table

    def render_line(self, y: int) -> Strip:
        palette = palette_of(self)
        order = self.table.view.order
        pieces: list[Piece] = [(" ", palette["head"])]
        for column, width in self.table.placed:
            # The cell between two columns holds the arrow, so that no head moves when the sort does.
            sorted_here = column.id == order.sort_id and (column.id != "status" or order.reverse)
            role = "key" if sorted_here else "head"
            shown = fit(column.head(self.table.view.window_min) if width > 1 else "", width, column.right)
            gap = " "
            if sorted_here:
                head, gap = shown.lstrip(), "↑" if order.reverse else "↓"
                if column.right and head != shown:  # ... or the one before its own text, where that is free
                    shown, gap = (gap + head).rjust(len(shown)), " "
            pieces += [(gap, palette[role]), (shown, palette[role])]
        return strip(pieces, self.size.width, palette.base)

    def on_click(self, event: events.Click) -> None:
        event.stop()
        x = 2
        for column, width in self.table.placed:
            if x <= event.x < x + width:
                if column.sort is not None:
                    self.post_message(self.Chosen(column.id))
                return
            x += width + 1
