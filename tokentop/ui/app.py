"""The Textual application: takes Snapshots from a Source, owns the screen, the themes and the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Iterable
from typing import Any, ClassVar

from msgspec.structs import replace
from rich.console import RenderableType
from rich.segment import Segments
from rich.text import Text
from textual import events
from textual._compositor import ChopsUpdate
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.screen import Screen
from textual.widget import Widget

from tokentop.nouns.picture import Snapshot
from tokentop.ui.calloff import CallOff
from tokentop.ui.commander import Commander
from tokentop.ui.ending import Ending, crash_words
from tokentop.ui.gate import Gate
from tokentop.ui.glyphs import safe
from tokentop.ui.herald import Herald
from tokentop.ui.jumper import Jumper
from tokentop.ui.keyboard import deliver
from tokentop.ui.looking import Looking
from tokentop.ui.palette import Commands
from tokentop.ui.screens.dialog import Dialog
from tokentop.ui.screens.inline import InlineScreen
from tokentop.ui.screens.live import LiveScreen
from tokentop.ui.screens.lookpages import OriginsPage
from tokentop.ui.shown import Shown
from tokentop.ui.source import Source, UiOptions
from tokentop.ui.theme import DEFAULT_THEME, THEMES

_LEAST_GAP_S = 0.25  # between two snapshots that are drawn
_CTRL_C_S = 2.0
_SETTLED_S = 5.0
log = logging.getLogger(__name__)


class TokentopApp(App[str]):
    """Draws what the source publishes and carries out what the keys ask for."""

    TITLE = "tokentop"
    COMMANDS: ClassVar = {Commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "quit", show=False, priority=True),
        Binding("ctrl+l", "redraw", "redraw", show=False, priority=True),
        Binding("ctrl+c", "help_quit", "quit", show=False, system=True),
    ]
    CSS = """
    Toast { max-width: 76; }
    """

    class Arrived(Message):
        """A snapshot is waiting."""

    def __init__(self, source: Source, options: UiOptions) -> None:
        super().__init__()
        self.source = source
        self.options = options
        self.read_only = options.read_only or source.read_only
        self.live = (InlineScreen if options.inline else LiveScreen)(options, source.label, self.read_only)
        self.commander = Commander(self, source)
        self.herald = Herald(self, options.notify)
        self.call_off = CallOff(self)
        self.jumper = Jumper(self, source)
        self.ending = Ending(lambda code: self.exit(return_code=code))
        self.looking = Looking(self, source, self._looked)
        self._inbox: Snapshot | None = None
        self._announced = False
        self._recalled = False  # the view is as an earlier run left it
        self._drawn_s = -_LEAST_GAP_S  # the first one is drawn as soon as it arrives
        self._ctrl_c_s = -_CTRL_C_S
        if options.no_color and not self.no_color:
            self.to_monochrome()
        self._shown = Shown()
        self._gate = Gate(options.ascii)
        self._filters.append(self._gate)
        for theme in THEMES:
            self.register_theme(theme)
        self._first_theme = "" if os.environ.get("TEXTUAL_THEME") else DEFAULT_THEME
        self.use_theme(options.theme)

    def to_monochrome(self) -> None:
        """As with NO_COLOR: bold, reverse, underline and greys are left."""
        from textual.filter import Monochrome

        self.no_color = True
        self._filters.append(Monochrome())

    # ------------------------------------------------------------ settings that apply at once

    def use_theme(self, name: str) -> None:
        """Change the colours; "" is the default."""
        named = name or self._first_theme
        if named in self.available_themes:
            self.theme = named

    def use_ascii(self, ascii_only: bool) -> None:
        """Draw in 7 bits or not."""
        self.options = self.live.options = replace(self.options, ascii=ascii_only)
        self._gate.ascii_only = ascii_only
        self.live.overview.set_ascii(ascii_only)
        self.live.table.forget()
        self.live.redraw()
        for screen in self.screen_stack:  # lines that are kept as drawn went through the gate already
            for widget in (screen, *screen.walk_children(Widget)):
                widget.refresh()
                if widget.show_vertical_scrollbar:
                    widget.vertical_scrollbar.refresh()

    def use_refresh(self, seconds: float) -> None:
        """Let a line be repainted this often at most."""
        self.options = self.live.options = replace(self.options, refresh_s=seconds)
        if self.app_focus:
            self.live.table.period_s = seconds

    def get_default_screen(self) -> Screen[Any]:
        return self.live

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """None of Textual's own: the palette is made from our list of keys."""
        return ()

    # ------------------------------------------------------------ snapshots

    def on_mount(self) -> None:
        if not self.is_headless:
            self.set_timer(_SETTLED_S, gc.freeze)  # what is there now stays: not to be searched again
        self.live.call_after_refresh(self._start_source)
        if self.options.replay_ms is not None:
            self.show_past(self.options.replay_ms, alone=True)

    def _start_source(self) -> None:
        """After the first paint."""
        self.ending.ready()
        self.run_worker(self._starting(), group="source", exit_on_error=False)

    async def _starting(self) -> None:
        try:
            await asyncio.to_thread(self.source.start, self.publish)
        except Exception as error:
            log.exception("source")
            self.notify(
                f"could not start: {type(error).__name__}, see the log", severity="error", markup=False
            )

    def publish(self, snapshot: Snapshot) -> None:
        """Hand over a snapshot, from any thread; never waits. Only the newest waiting one is drawn."""
        self._inbox = snapshot
        if not self._announced:
            self._announced = True
            try:
                self.post_message(self.Arrived())
            except RuntimeError:  # the loop has been closed: the screen is gone
                log.debug("snapshot after the end")

    def on_tokentop_app_arrived(self) -> None:
        wait = self._drawn_s + _LEAST_GAP_S - time.monotonic()
        if wait > 0:
            self.set_timer(wait, self._draw)
        else:
            self._draw()

    def _draw(self) -> None:
        self._announced = False
        snapshot, self._inbox = self._inbox, None
        self._drawn_s = time.monotonic()
        if snapshot is not None:
            if not self._recalled:
                self._recalled = self.live.recall(self.source.recall())
            self.live.show(snapshot)
            self.herald.tell(snapshot)
            self.call_off.take(snapshot)
            self.commander.take_over(snapshot)
            if self.commander.dialog is not None:
                self.commander.row_left(frozenset(row.key for row in snapshot.rows))

    def _looked(self) -> None:
        """An answer about one row: for the drawer, or for the page that waits for it."""
        self.live.show_detail()
        if isinstance(self.screen, OriginsPage):
            self.screen.looked()

    def to_terminal(self, sequence: str) -> None:
        """Hand a sequence of our own to the driver, which writes it between two frames in its own thread."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        if isinstance(renderable, ChopsUpdate):
            if not self._batch_count:
                renderable = self._shown.news(renderable)
        elif renderable is not None:
            self._shown.forget()
        super()._display(screen, renderable)

    def action_redraw(self) -> None:
        """Write the whole screen again: something else has written on the terminal."""
        self._shown.forget()
        self.screen.refresh()

    # ------------------------------------------------------------ focus, keys

    async def on_event(self, event: events.Event) -> None:
        """Keys for the live screen and the dialog are carried out before the next one is looked at."""
        if isinstance(event, events.Resize):
            self._shown.forget()
        if self.call_off.takes(event):
            return
        screen = self.screen_stack[-1] if self.screen_stack else None
        ours = isinstance(screen, Dialog)
        if screen is not None and getattr(screen, "keys_at_once", False):
            ours = screen.is_mounted
        if not ours or not isinstance(event, events.Key | events.Paste) or event.is_forwarded:
            await super().on_event(event)
            return
        if not self.app_focus:  # a terminal that sends keys has the focus
            self.app_focus = True
        if isinstance(screen, Dialog):
            heard = screen.answers(event)
            if not heard and isinstance(event, events.Key):
                screen.too_early(event.key)
            await deliver(self, event, heard=heard)
        elif screen is not self.live or not self.commander.asking:
            await deliver(self, event, heard=True)
        elif isinstance(event, events.Key) and event.key == "escape":
            self.commander.give_up()
        else:
            if isinstance(event, events.Key):
                self.commander.typed_early(event.key)
            await deliver(self, event, heard=False)

    def post_display_hook(self) -> None:
        """A picture has gone to the terminal: the dialog on top has been seen from here on."""
        screen = self.screen_stack[-1] if self.screen_stack else None
        if isinstance(screen, Dialog) and not self._batch_count:
            screen.painted()

    def on_app_blur(self) -> None:
        self.live.table.period_s = max(5.0, self.options.refresh_s)

    def on_app_focus(self) -> None:
        self.live.table.period_s = self.options.refresh_s
        self.live.redraw()

    def show_past(self, at_ms: int, *, alone: bool = False) -> None:
        """Open the screen of the past at a time, 0 = its newest moment."""
        from tokentop.ui.remembered import state_of
        from tokentop.ui.screens.replay import ReplayScreen  # not needed for the first paint

        self.push_screen(ReplayScreen(self.options, at_ms, state_of(self.live.view), alone=alone))

    def action_help_quit(self) -> None:
        now = time.monotonic()
        if now - self._ctrl_c_s < _CTRL_C_S:
            self.exit()
            return
        self._ctrl_c_s = now
        self.notify("ctrl+c again leaves, q too", markup=False, timeout=_CTRL_C_S)

    def open_session(
        self, agent: str, session_id: str, title: str = "", at_ms: int = 0, until_ms: int = 0
    ) -> None:
        """Show one session, turn by turn; the cursor on the turn of `at_ms`, of a span on its dearest one."""
        from tokentop.settings.zone import local_zone
        from tokentop.ui.screens.session import SessionScreen  # not at the start: most never open it

        zone = local_zone(os.environ)
        ascii_only = self.options.ascii
        self.push_screen(
            SessionScreen(agent, session_id, zone, title, at_ms, until_ms, ascii_only=ascii_only)
        )

    def copy_command(self, command: str) -> None:
        """Put a command on the clipboard, unless it would do more in a shell than it shows."""
        if not command.isprintable():
            self.notify("not copied: the command holds control characters", severity="warning", markup=False)
            return
        self.copy_to_clipboard(command)
        self.notify(f"copied: {safe(command, 160)}", markup=False, timeout=4)

    # ------------------------------------------------------------ the end

    def _fatal_error(self) -> None:
        """A crash names type and place, not values: locals and messages may hold secrets."""
        message = Text(crash_words(sys.exc_info()[1], self.options.log_path))
        self._exit_renderables.append(Segments(self.console.render(message, self.console.options)))
        self._close_messages_no_wait()
