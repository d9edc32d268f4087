"""What the keys of the live screen do on the past: look, but never act."""

from __future__ import annotations

from tokentop.nouns.actions import Action
from tokentop.nouns.looks import Look
from tokentop.nouns.picture import Row
from tokentop.ui import keys
from tokentop.ui.keys import Key
from tokentop.ui.screens.live import LiveScreen

_PAST = "this is the past: nothing can be done to it. Esc goes back to now"
_NOT_HERE = frozenset(
    {"demo", "palette", "settings", "jump", "log", "inside", "window_longer", "window_shorter", "pause"}
)


class PastKeys(LiveScreen):
    """Keys that act say why they do not; what is about the present is left out of help and footer."""

    HOLDS = False  # no dialog asks about a row of the past

    def allowed(self, key: Key) -> bool:
        return key.id not in _NOT_HERE and (key.acts or super().allowed(key))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return True

    def remember(self) -> None:
        """How the past is looked at is not kept."""

    def look_of(self, row: Row) -> Look | None:
        return Look(row.key, row.last_ms, steps_note="not recorded: tokentop session tells them", missing="")

    def _refuse(self) -> None:
        self.say(_PAST, timeout=4)

    def act(self, action: Action, dialog: bool) -> None:
        self._refuse()

    action_interrupt = action_sweep = action_tag = action_tag_tree = action_jump = _refuse
    action_log = action_inside = action_palette = action_demo = _refuse

    def action_window(self, step: int) -> None:
        self.say("recorded are the rates of the last minute")

    # ------------------------------------------------------------ footer and help

    def show_footer(self) -> None:
        if self.focused is self.filter_line.input:
            super().show_footer()
            return
        ascii_only = self.options.ascii
        hints = [(keys.shown_as(key.shown, ascii_only), key.label) for key in keys.REPLAY_KEYS if key.footer]
        self.key_footer.show(hints)

    def help_keys(self) -> list[Key]:
        replaced = {name for key in keys.REPLAY_KEYS for name in key.keys.split(",")}
        usable = [
            key for key in keys.KEYS
            if not key.acts and key.id not in _NOT_HERE and not replaced.issuperset(key.keys.split(","))
        ]  # fmt: skip
        return [*(key for key in keys.REPLAY_KEYS if key.footer or key.id == "close"), *usable]
