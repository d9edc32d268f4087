"""What lists over the live screen have in common: the keys through them, and their box."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from tokentop.ui.over import Answer, Over


def moves(page_down: str = "pagedown,space") -> list[BindingType]:
    """The keys through a list: the action `move` is told by how many lines."""
    return [
        Binding("j,down", "move(1)", show=False),
        Binding("k,up", "move(-1)", show=False),
        Binding(page_down, "move(10)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("g,home", "move(-100000)", show=False),
        Binding("G,end", "move(100000)", show=False),
    ]


class ListPage(Over[Answer]):
    """A list in a box. Esc, q and ← close it without an answer."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,left", "close", show=False), *moves()]
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    ListPage { align: center middle; background: $background 55%; }
    ListPage #box {
        width: 94%; max-width: 130; height: 94%; padding: 0 1; background: $surface; border: round $primary;
    }
    """

    def action_move(self, by: int) -> None:
        raise NotImplementedError

    def action_close(self) -> None:
        self.dismiss(None)
