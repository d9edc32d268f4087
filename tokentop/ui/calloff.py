"""What rules count down stands on every screen, with the key that calls it off. The live screen has lines of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import events
from textual.screen import ModalScreen, Screen
from textual.timer import Timer
from textual.widgets import Input

from tokentop.nouns.actions import Countdown
from tokentop.nouns.picture import Snapshot
from tokentop.ui.keys import BY_ID
from tokentop.ui.widgets.countdown import Countdowns, lift_toasts
from tokentop.ui.widgets.footer import KeyFooter

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

_LOOK_S = 0.5
_OURS = "everywhere"  # the class of the lines that are put here
_LAYER = "counting"  # above a dialog, which does not move for them


class CallOff:
    """Puts the lines on whatever screen is on top. Without a countdown it has neither a widget nor a timer."""

    def __init__(self, app: TokentopApp) -> None:
        self._app = app
        self._counting: tuple[Countdown, ...] = ()
        self._timer: Timer | None = None

    def take(self, snapshot: Snapshot) -> None:
        """Follow what rules are about to do."""
        if not (snapshot.countdowns or self._counting):
            return
        self._counting = snapshot.countdowns
        if not self._counting:
            self._clear()
            return
        if self._timer is None:
            self._timer = self._app.set_interval(_LOOK_S, self._show)
        self._show()

    def takes(self, event: events.Event) -> bool:
        """Whether the key calls a countdown off; while somebody types it is a letter."""
        app = self._app
        if not self._counting or not isinstance(event, events.Key) or event.is_forwarded:
            return False
        if event.key not in BY_ID["interrupt"].keys.split(",") or app.screen is app.live or self._typing:
            return False
        app.source.cancel(self._counting[0].id)
        return True

    @property
    def _typing(self) -> bool:
        return isinstance(self._app.focused, Input)

    def _show(self) -> None:
        app = self._app
        screen, snapshot = app.screen, app.live.snapshot
        if screen is app.live or snapshot is None or not screen.is_mounted:
            return
        lines = _lines_of(screen)
        key = BY_ID["interrupt"].shown
        passed_ms = app.live.now_ms() - snapshot.at_ms
        if lines.show(self._counting, passed_ms, f"Esc {key}" if self._typing else key):
            lift_toasts(screen, lines.lines)

    def _clear(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        for screen in self._app.screen_stack:
            for lines in screen.query(f"Countdowns.{_OURS}"):
                lines.remove()
                lift_toasts(screen, 0)


def _lines_of(screen: Screen[Any]) -> Countdowns:
    """The lines on this screen: above its footer, over the lower edge of a dialog or a page."""
    found = screen.query(f"Countdowns.{_OURS}")
    if found:
        return found.first(Countdowns)
    footers = screen.query(KeyFooter)
    over = isinstance(screen, ModalScreen) or not footers
    lines = Countdowns(f"{_OURS} over" if over else _OURS)
    if over:
        screen.styles.layers = f"default {_LAYER}"
        lowest = max((one.region.bottom for one in screen.children if one.layer == "default"), default=0)
        if lowest <= screen.size.height - 3:  # on those of the live screen beneath, above its footer
            lines.styles.margin = (0, 0, 1, 0)
    screen.mount(lines, before=None if over else footers.first())
    return lines
