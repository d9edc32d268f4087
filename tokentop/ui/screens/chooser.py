"""The column chooser: which columns are shown and in which order. What is changed is applied at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message

from tokentop.ui.columns import AS_DECLARED, FROZEN, Choice, Column, place, wanted
from tokentop.ui.over import Over
from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.screens.listpage import moves
from tokentop.ui.theme import Palette

_NAME = 10  # cells of the head
_NOTE = 12


def note_of(column: Column, width: int, choice: Choice, window_min: int) -> str:
    """Why a column is or is not on a screen this wide, "" where the mark says it all."""
    if column.id in FROZEN:
        return "always"
    if any(one.column is column for one in place(width, None, choice, window_min)):
        return ""
    if any(one.column is column for one in wanted(width, choice, window_min)):
        return "no room"
    if column.id not in choice.off and column.first_width is not None:
        return f"≥{column.first_width} wide"
    return ""


class ColumnList(Painted):
    """The columns in their order, one to a line; scrolls so far that the cursor is in view."""

    class Clicked(Message):
        """A line was clicked."""

        def __init__(self, at: int) -> None:
            super().__init__()
            self.at = at

    DEFAULT_CSS = "ColumnList { height: 1fr; width: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self.choice = AS_DECLARED
        self.cursor = 0
        self.screen_width = 0
        self.window_min = 1

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.choice.columns()

    @property
    def _top(self) -> int:
        height = max(1, self.size.height)
        return max(0, min(self.cursor - height // 2, len(self.columns) - height))

    def on(self, column: Column) -> bool:
        return any(one.column is column for one in wanted(self.screen_width, self.choice))

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        at = y + self._top
        if at >= len(self.columns):
            return []
        column, selected = self.columns[at], at == self.cursor
        style = palette.selected if selected else palette.__getitem__
        on = self.on(column)
        note = note_of(column, self.screen_width, self.choice, self.window_min)
        room = max(0, width - _NAME - _NOTE - 7)
        return [
            ("> " if selected else "  ", style("strong")),
            ("[x] " if on else "[ ] ", style("key" if on else "dim")),
            (fit(column.header or "(graph)", _NAME) + " ", style("strong" if on else "dim")),
            (fit(column.help, room), style("muted" if on else "dim")),
            (fit(note, _NOTE, right=True), style("warm" if note == "no room" else "dim")),
        ]

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.post_message(self.Clicked(event.y + self._top))


class _Hint(Painted):
    """The selected column's help in full, and the keys."""

    DEFAULT_CSS = "_Hint { height: 2; width: 1fr; }"

    def __init__(self, columns: ColumnList) -> None:
        super().__init__()
        self._list = columns

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        if y == 0:
            return [(fit(" " + self._list.columns[self._list.cursor].help, width), palette["muted"])]
        pieces: list[Piece] = []
        for key, what in (("Space", "on/off"), ("< >", "move"), ("r", "reset"), ("Esc", "close")):
            pieces += [(f" {key} ", palette["key"]), (f"{what}  ", palette["muted"])]
        return pieces


class ChooserScreen(Over[None]):
    """Calls `changed` after each change; Esc closes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,w", "close", show=False),
        Binding("space,enter", "switch", show=False),
        *moves("pagedown"),
        Binding("greater_than_sign,shift+down", "shift(1)", show=False),
        Binding("less_than_sign,shift+up", "shift(-1)", show=False),
        Binding("r", "reset", show=False),
    ]
    DEFAULT_CSS = """
    ChooserScreen { align: center middle; background: $background 55%; }
    ChooserScreen #box {
        width: 92%; max-width: 104; height: 92%; max-height: 30; padding: 0 1;
        background: $surface; border: round $primary;
    }
    """

    def __init__(self, choice: Choice, window_min: int, changed: Callable[[Choice], None]) -> None:
        super().__init__()
        self.list = ColumnList()
        self.list.choice, self.list.window_min = choice, window_min
        self.hint = _Hint(self.list)
        self._changed = changed

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield self.list
            yield self.hint

    def on_mount(self) -> None:
        self.query_one("#box").border_title = "columns"
        self.on_resize()

    def on_resize(self) -> None:
        self.list.screen_width = self.app.size.width
        self._redraw()

    def _redraw(self) -> None:
        self.list.refresh()
        self.hint.refresh()

    @property
    def _selected(self) -> Column:
        return self.list.columns[self.list.cursor]

    def _set(self, choice: Choice) -> None:
        self.list.choice = choice
        self._redraw()
        self._changed(choice)

    def action_move(self, by: int) -> None:
        self.list.cursor = min(max(self.list.cursor + by, 0), len(self.list.columns) - 1)
        self._redraw()

    def action_switch(self) -> None:
        column = self._selected
        if column.id in FROZEN:
            self.notify(f"{column.header} is always shown", markup=False, timeout=2)
        else:
            self._set(self.list.choice.switched(column.id, not self.list.on(column)))

    def action_shift(self, by: int) -> None:
        column = self._selected
        self._set(self.list.choice.moved(column.id, by))
        self.list.cursor = self.list.columns.index(column)

    def action_reset(self) -> None:
        self._set(AS_DECLARED)

    def action_close(self) -> None:
        self.dismiss(None)

    def on_column_list_clicked(self, event: ColumnList.Clicked) -> None:
        if event.at < len(self.list.columns):
            self.list.cursor = event.at
            self.action_switch()
