"""What the dialogs before an action share: what they ask, what must be typed, keys that came too early."""

from __future__ import annotations

import contextlib
import time
from typing import ClassVar, TypeVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.css.query import NoMatches
from textual.events import Event
from textual.widgets import Input, Static

from tokentop.ui.gate import guard
from tokentop.ui.over import Over
from tokentop.ui.paint import palette_of
from tokentop.ui.theme import Palette

MANY = 5  # more processes than this, or a shared one: a word must be typed
_LEAST_LINES = 8  # on fewer there may be no room for what a dialog shows
Answer = TypeVar("Answer")


class Dialog(Over[Answer]):
    """Shows something frozen and asks. Nothing is sent without `y`; Enter never says yes.

    A key that is typed before the first picture is out cannot be meant for what the dialog asks. It does nothing,
    and the dialog says so: `seen` turns true with that picture.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes", show=False),
        Binding("enter", "enter", "", show=False),
        Binding("escape,n,q", "no", "no", show=False),
    ]
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 55%; }
    Dialog #box {
        width: 92%; height: auto; max-height: 96%; padding: 0 1; background: $surface; border: round $warning;
    }
    Dialog Static { height: auto; width: 1fr; }
    Dialog Input { display: none; height: 1; border: none; padding: 0; }
    Dialog Input.on { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.hint = ""
        self.seen = False
        self._seen_s = 0.0
        self._leaving = False

    # ------------------------------------------------------------ what a dialog says of itself

    @property
    def word(self) -> str:
        """What must be typed for a yes."""
        raise NotImplementedError

    @property
    def must_type(self) -> bool:
        """A single key is too little."""
        raise NotImplementedError

    @property
    def possible(self) -> bool:
        """There is something that may be done."""
        raise NotImplementedError

    def said_yes(self) -> Answer:
        raise NotImplementedError

    def said_no(self) -> Answer:
        raise NotImplementedError

    def show(self) -> None:
        """Draw anew."""
        raise NotImplementedError

    # ------------------------------------------------------------ keys

    @property
    def busy(self) -> bool:
        """What it asks is about to change: no yes now."""
        return False

    def action_yes(self) -> None:
        if self.busy:
            return
        if not self.possible:
            self.dismiss(self.said_no())
        elif self.must_type:
            self.say(f"type {self.word} and press Enter")
            typed = self.query_one("#typed", Input)
            typed.add_class("on")
            self.set_focus(typed)
        else:
            self.dismiss(self.said_yes())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self.word and not self.busy:
            self.dismiss(self.said_yes())
        else:
            self.say(f"that was not {self.word}; nothing was sent")

    def action_enter(self) -> None:
        self.say("Enter sends nothing; y confirms, Esc leaves")

    def action_no(self) -> None:
        self.dismiss(self.said_no())

    def say(self, hint: str) -> None:
        """One line above the choices."""
        self.hint = hint
        if self.is_mounted:
            self.show()

    # ------------------------------------------------------------ before and after the first picture

    def painted(self) -> None:
        """The terminal has been sent a picture of the screen that is on top."""
        if self.seen or not self.is_mounted:
            return
        with contextlib.suppress(NoMatches):  # not composed yet
            laid_out = self.query_one("#body", Static).size.height > 0
            self.seen = laid_out or self.app.size.height < _LEAST_LINES
            self._seen_s = time.monotonic()

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.show())
        if self._leaving:
            self.call_later(self.action_no)

    def answers(self, event: Event) -> bool:
        """Whether what was typed may be an answer to the picture: it came after it."""
        return self.seen and event.time >= self._seen_s

    def too_early(self, key: str) -> None:
        """A key came before the first picture. To leave is always meant; anything else is asked for again."""
        if key == "escape":
            self._leaving = True
            if self.is_mounted:
                self.action_no()
        elif key != "enter" and key in self._bindings.key_to_bindings:
            self.say(f"{key} was pressed before this was shown and did nothing: press it again")

    # ------------------------------------------------------------ drawing

    @property
    def palette(self) -> Palette:
        return palette_of(self.query_one("#box"))

    def add(self, out: Text, text: str, style: Style) -> None:
        """Append foreign text, guarded line by line."""
        out.append("\n".join(guard(part) for part in text.split("\n")), style=style)

    def add_end(self, out: Text, verb: str) -> None:
        """The last choices: `y yes, terminate   Esc no`."""
        palette = self.palette
        if self.possible:
            self.add(out, "y", palette["key"])
            self.add(out, f" yes, {verb}   ", palette["strong"])
        self.add(out, "Esc", palette["key"])
        self.add(out, " no" if self.possible else " close", palette["muted"])
