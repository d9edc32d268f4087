"""The filter line: an input that filters while it is typed, and says what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Static

from tokentop.ui.keyboard import TypedInput
from tokentop.ui.paint import Bare, Painted, Piece
from tokentop.ui.theme import Palette


class FilterNote(Painted):
    """What the filter does: an error, or how many rows match."""

    DEFAULT_CSS = "FilterNote { width: 34; height: 1; background: $panel; }"

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._role = "dim"

    def show(self, text: str, role: str) -> None:
        if (text, role) != (self._text, self._role):
            self._text, self._role = text, role
            self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        return [(f" {self._text}", palette[self._role])]


class FilterInput(TypedInput):
    """Text of the filter. Escape clears it and leaves, Enter keeps it and leaves: `left` is told which."""

    BINDINGS = [Binding("escape", "leave", "clear filter", show=False)]  # noqa: RUF012

    class Entered(Message):
        """The input has got the focus."""

    def __init__(self, left: Callable[[bool], None]) -> None:
        super().__init__(
            placeholder="agent:claude state:perm cost>5 rate>10k !idle ~regex", compact=True, max_length=200
        )
        self.left = left

    def on_focus(self) -> None:
        self.post_message(self.Entered())

    async def action_submit(self) -> None:
        self.left(True)

    def action_leave(self) -> None:
        self.left(False)


class FilterLine(Horizontal, Bare):
    """Input and note side by side."""

    DEFAULT_CSS = """
    FilterLine { height: 1; background: $panel; display: none; }
    FilterLine.open { display: block; }
    FilterLine Static { width: 2; padding: 0 0 0 1; color: $primary; }
    FilterLine FilterInput { width: 1fr; height: 1; border: none; padding: 0 1; background: $panel; }
    FilterLine FilterInput:focus { border: none; background-tint: $foreground 0%; }
    """

    def __init__(self, left: Callable[[bool], None]) -> None:
        super().__init__()
        self.note = FilterNote()
        self.input = FilterInput(left)

    def compose(self) -> ComposeResult:
        yield Static("/", markup=False)
        yield self.input
        yield self.note
