"""A dialog about several things: a head, a list that scrolls, and the question, which stays in view."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Static

from tokentop.ui.gate import guard
from tokentop.ui.keyboard import TypedInput
from tokentop.ui.screens.dialog import Answer, Dialog


class ListDialog(Dialog[Answer]):
    """Subclasses give the head, the lines and the verb of the yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll(1)", "", show=False),
        Binding("up,k", "scroll(-1)", "", show=False),
        Binding("pagedown,space", "scroll(10)", "", show=False),
        Binding("pageup", "scroll(-10)", "", show=False),
    ]
    DEFAULT_CSS = """
    ListDialog #box { max-width: 110; }
    ListDialog #list { height: auto; max-height: 100%; overflow-y: auto; scrollbar-size-vertical: 1; }
    """

    def heading(self) -> str:
        raise NotImplementedError

    def lines(self) -> Iterator[tuple[str, str]]:
        """(text, role), one a line; a longer one wraps."""
        raise NotImplementedError

    def verb(self) -> str:
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(id="head", markup=False)
            with Vertical(id="list"):
                yield Static(id="body", markup=False)
            yield Static(id="choices", markup=False)
            yield TypedInput(id="typed", compact=True, max_length=40)

    def on_mount(self) -> None:
        self._fit()
        self.show()

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        self.query_one("#list").styles.max_height = max(3, int(self.app.size.height * 0.96) - 7)

    def show(self) -> None:
        palette = self.palette
        head = Text()
        self.add(head, self.heading(), palette["title"])
        self.query_one("#head", Static).update(head)
        body = Text()
        for text, role in self.lines():
            body.append(guard(text) + "\n", style=palette[role])
        body.rstrip()
        self.query_one("#body", Static).update(body)
        choices = Text("\n")
        if self.hint:
            self.add(choices, self.hint + "\n", palette["warm"])
        self.add_end(choices, self.verb())
        self.query_one("#choices", Static).update(choices)

    def action_scroll(self, by: int) -> None:
        self.query_one("#list").scroll_relative(y=by, animate=False)
