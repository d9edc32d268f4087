"""What the views that take the whole screen have in common: ways to the other views, and questions while they are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.screen import Screen

from tokentop.ui.keys import BY_ID, KEYS, Key

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

ASK_S = 3.0  # between two looks at what has changed
_BLURRED_S = 15.0  # while the terminal is not looked at


class FullView(Screen[str | None]):
    """Returns the action of the view that was asked for next, None to go back. Its own key closes it."""

    OPENER: ClassVar[str]  # the id of its key

    def __init__(self) -> None:
        super().__init__()
        self._waited_s = 0.0
        self._bindings.bind(BY_ID[self.OPENER].keys, "close", show=False)
        for key in self.other_views():
            self._bindings.bind(key.keys, f"leave('{key.id}')", show=False)

    @classmethod
    def other_views(cls) -> list[Key]:
        return [key for key in KEYS if key.id.startswith("view_") and key.id != cls.OPENER]

    @property
    def tokentop(self) -> TokentopApp:
        return cast("TokentopApp", self.app)

    def on_mount(self) -> None:
        self.set_interval(ASK_S, self._tick)

    def ask_again(self) -> None:
        """Look for what has changed."""
        raise NotImplementedError

    def asked(self) -> None:
        """A question was put: the time to the next one begins."""
        self._waited_s = 0.0

    def _tick(self) -> None:
        """Ask again while the view is on top; more rarely while the terminal is not looked at."""
        self._waited_s += ASK_S
        if self.is_current and (self.app.app_focus or self._waited_s >= _BLURRED_S):
            self.ask_again()

    def action_close(self) -> None:
        self.dismiss(None)

    def action_leave(self, key_id: str) -> None:
        self.dismiss(BY_ID[key_id].action)
