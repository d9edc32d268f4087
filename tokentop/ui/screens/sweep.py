"""The dialog of the sweep: every process that will be ended, as it was when the key was pressed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tokentop.model import Orphan
from tokentop.ui import words
from tokentop.ui.gate import guard
from tokentop.ui.keyboard import TypedInput
from tokentop.ui.paint import palette_of

_MANY = 5  # processes; from here on a word must be typed
_WORD = "orphans"


class SweepScreen(ModalScreen[bool]):
    """Returns whether to end what it shows. The list never changes while it is open; Enter never says yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes", show=False),
        Binding("enter", "enter", "", show=False),
        Binding("escape,n,q", "no", "no", show=False),
        Binding("down,j", "scroll(1)", "", show=False),
        Binding("up,k", "scroll(-1)", "", show=False),
    ]
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    SweepScreen { align: center middle; background: $background 55%; }
    SweepScreen #box {
        width: 92%; max-width: 110; height: auto; max-height: 96%; padding: 0 1;
        background: $surface; border: round $warning;
    }
    SweepScreen #list { height: auto; max-height: 100%; overflow-y: auto; scrollbar-size-vertical: 1; }
    SweepScreen Static { height: auto; width: 1fr; }
    SweepScreen Input { display: none; height: 1; border: none; padding: 0; }
    SweepScreen Input.on { display: block; }
    """

    def __init__(self, orphans: Sequence[Orphan], now_ms: int) -> None:
        super().__init__()
        self.orphans = tuple(orphans)
        self._now_ms = now_ms
        self._hint = ""
        self.seen = False  # painted; a key typed before cannot be meant for what the dialog asks

    @property
    def doomed(self) -> tuple[Orphan, ...]:
        return tuple(orphan for orphan in self.orphans if not orphan.plan.refusal)

    @property
    def _count(self) -> int:
        return words.sweep_count(self.doomed)

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(id="head", markup=False)
            with Vertical(id="list"):
                yield Static(id="body", markup=False)
            yield Static(id="choices", markup=False)
            yield TypedInput(id="typed", compact=True, max_length=40)

    def on_mount(self) -> None:
        self._fit()
        self._show()
        self.call_after_refresh(self._painted)

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        """The list scrolls, what is asked stays in view."""
        self.query_one("#list").styles.max_height = max(3, int(self.app.size.height * 0.96) - 7)

    def _painted(self) -> None:
        self.seen = True

    def _show(self) -> None:
        palette = palette_of(self.query_one("#box"))
        self.query_one("#head", Static).update(Text(words.sweep_heading(self.doomed), style=palette["title"]))
        body = Text()
        for text, role in self._lines():
            body.append(guard(text) + "\n", style=palette[role])
        body.rstrip()
        self.query_one("#body", Static).update(body)
        choices = Text("\n")
        if self._hint:
            choices.append(self._hint + "\n", style=palette["warm"])
        if self.doomed:
            choices.append("y", style=palette["key"])
            choices.append(f" yes, end {'it' if self._count == 1 else 'them'}   ", style=palette["strong"])
        choices.append("Esc", style=palette["key"])
        choices.append(" no", style=palette["muted"])
        self.query_one("#choices", Static).update(choices)

    def _lines(self) -> Iterator[tuple[str, str]]:
        for orphan in self.orphans:
            yield from words.orphan_lines(orphan, self._now_ms)

    def action_scroll(self, by: int) -> None:
        self.query_one("#list").scroll_relative(y=by, animate=False)

    def action_yes(self) -> None:
        if not self.doomed:
            self.dismiss(False)
        elif self._count >= _MANY:
            self._hint = f"{self._count} processes: type {_WORD} and press Enter"
            self._show()
            typed = self.query_one("#typed", Input)
            typed.add_class("on")
            self.set_focus(typed)
        else:
            self.dismiss(True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == _WORD:
            self.dismiss(True)
        else:
            self._hint = f"that was not {_WORD}; nothing was sent"
            self._show()

    def action_enter(self) -> None:
        self._hint = "Enter sends nothing; y confirms, Esc leaves"
        self._show()

    def action_no(self) -> None:
        self.dismiss(False)
