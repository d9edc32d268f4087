"""The view "Limits & bill": full screen, asked for while it is seen, painted when something has changed."""

from __future__ import annotations

import asyncio
import logging
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from tokentop import text
from tokentop.engine.statement import Statement
from tokentop.ui.bill.frame import Line, Lines, fitted
from tokentop.ui.bill.page import lines
from tokentop.ui.bill.words import words
from tokentop.ui.gate import guard
from tokentop.ui.glyphs import safe
from tokentop.ui.keys import BY_ID, first
from tokentop.ui.paint import palette_of
from tokentop.ui.screens.fullview import FullView
from tokentop.ui.screens.leafing import LEAVES, Leafing
from tokentop.ui.screens.pages import LongPage
from tokentop.ui.source import Source
from tokentop.ui.widgets.footer import KeyFooter

log = logging.getLogger(__name__)


class LimitsScreen(FullView, Leafing[str | None]):
    """Limits, plans, budgets, the day's curve and bills."""

    OPENER = "view_limits"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,left", "close", show=False),
        Binding("j,down", "scroll(1)", show=False),
        Binding("k,up", "scroll(-1)", show=False),
        *LEAVES,
        Binding(BY_ID["help"].keys, "help", show=False),
    ]
    DEFAULT_CSS = """
    LimitsScreen #head { height: 1; background: $panel; }
    LimitsScreen VerticalScroll { height: 1fr; scrollbar-size-vertical: 1; }
    LimitsScreen #bill { height: auto; }
    """

    def __init__(self, source: Source, ascii_only: bool) -> None:
        super().__init__()
        self._source, self._ascii = source, ascii_only
        self._found: Statement | None = None
        self._failed = ""
        self._drawn: tuple[object, ...] = ()
        self._busy = False

    def compose(self) -> ComposeResult:
        yield Static(id="head", markup=False)
        with VerticalScroll():
            yield Static(id="bill", markup=False)
        yield KeyFooter()

    def on_mount(self) -> None:
        views = [(first(key, self._ascii), key.label) for key in self.other_views()]
        self.query_one(KeyFooter).show(
            (*views, ("j k", "scroll"), ("g G", "top, end"), ("?", "words"), ("Esc", "back"))
        )
        self._draw()
        self.ask_again()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._draw())

    def on_resize(self) -> None:
        self._draw()

    # ------------------------------------------------------------ asking

    def ask_again(self) -> None:
        if not self._busy:
            self._busy = True
            self.asked()
            self.run_worker(self._run(), group="statement", exit_on_error=False)

    async def _run(self) -> None:
        try:
            self._found, self._failed = await asyncio.to_thread(self._source.statement), ""
        except Exception as error:
            log.exception("statement")
            self._failed = type(error).__name__
        finally:
            self._busy = False
        self.call_later(self._draw)

    # ------------------------------------------------------------ drawing

    def _draw(self) -> None:
        """Lay the newest answer out; the terminal gets it only if it differs from what is there."""
        if not self.is_attached:
            return
        scroll = self.query_one(VerticalScroll)
        width, height = self.app.size.width - 1, self.app.size.height  # one cell for the scroll bar
        if width < 1:
            return
        head, body = self._head(width + 1), self._body(width, height)
        drawn = (head, body, self.app.current_theme.name, self.app.no_color)
        if drawn == self._drawn:
            return
        self._drawn = drawn
        for name, shown in (("#head", [head]), ("#bill", body)):
            palette = palette_of(self.query_one(name) if name == "#head" else scroll)
            out = Text(no_wrap=True, overflow="crop")
            for at, line in enumerate(shown):
                if at:
                    out.append("\n")
                for piece, role in line:
                    out.append(guard(piece), style=palette[role])
            self.query_one(name, Static).update(out)

    def _head(self, width: int) -> Line:
        found = self._found
        title: Line = [(" Limits & bill", "title")]
        if found is None:
            return fitted(title, width)
        parts = {"live": "", "reader": "another tokentop writes"}.get(found.mode, safe(found.mode, 60))
        note = "   ".join(part for part in (parts, "reading logs" if found.reading else "") if part)
        as_of = f"as of {text.clock(found.at_ms)} "
        room = width - 14 - len(as_of)
        return [
            *title,
            *fitted(
                [(f"   {note}", "warm" if found.reading or found.mode.startswith("paused") else "dim")],
                max(0, room),
            ),
            (as_of, "dim"),
        ]

    def _body(self, width: int, height: int) -> Lines:
        failed: Lines = []
        if self._failed:
            failed = [[(f" could not be looked up ({self._failed}); see the log file", "error")]]
        if self._found is None:
            return failed or [[(" being looked up", "dim")]]
        return failed + lines(self._found, width, height, self._ascii)

    # ------------------------------------------------------------ keys

    def action_help(self) -> None:
        self.app.push_screen(LongPage("help", words))
