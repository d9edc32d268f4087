"""The keys of the live screen that act: tags, and what is done to the processes of rows."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tokentop.nouns.actions import Action
from tokentop.ui.hints import thaws
from tokentop.ui.screens.livepicture import LivePicture

_AFTER_COUNTDOWN_S = 3.0


class ProcessKeys(LivePicture):
    """Tag, stop, freeze, end, jump, resume."""

    # ------------------------------------------------------------ tags

    def action_tag(self) -> None:
        """Tag the selected row, or take its tag away, and go to the next one."""
        key = self.view.cursor
        if self.no_row():
            return
        if key is not None and self.view.tags.toggle(key):
            self._tagged([key])
            self.table.move(1)
        elif key is not None:
            self.say("this row has ended: it cannot be tagged")

    def action_tag_tree(self) -> None:
        key = self.view.cursor
        if not self.no_row() and key is not None and self.view.tags.toggle_tree(key):
            self._tagged(self.view.index)

    def action_untag(self) -> None:
        keys = tuple(self.view.tags)
        self.view.tags.clear()
        self._tagged(keys)

    def _tagged(self, keys: Iterable[str]) -> None:
        self.table.repaint_tags(keys)
        self.show_tags()

    # ------------------------------------------------------------ actions

    def act(self, action: Action, dialog: bool) -> None:
        """On the tagged rows, always through the dialog that lists them; else on the selected row."""
        if self.read_only:
            return
        row, tagged = self.view.selected, self.view.tagged
        if tagged:
            self.tokentop.commander.begin_batch(tagged, action)
        elif not self.no_row() and row is not None:
            self.tokentop.commander.begin(self.view.plain(row), action, dialog)

    def action_interrupt(self) -> None:
        """Stop the turn of the selected row, unless a rule counts down: then the key calls that off.

        Right after a countdown the key does nothing: it was meant for it, not for the row.
        """
        counting = self.snapshot.countdowns if self.snapshot else ()
        if counting:
            self.tokentop.source.cancel(counting[0].id)
            return
        if time.monotonic() - self.counted_s < _AFTER_COUNTDOWN_S:
            self.say("the countdown has just ended; nothing was sent to this row", timeout=4)
            return
        self.act(Action.INTERRUPT, dialog=False)

    def action_freeze(self) -> None:
        self.act(Action.THAW if thaws(self.view) else Action.FREEZE, dialog=False)

    def action_terminate(self) -> None:
        self.act(Action.TERMINATE, dialog=True)

    def action_sweep(self) -> None:
        self.tokentop.commander.begin_sweep()

    # ------------------------------------------------------------ to the agent

    def action_jump(self) -> None:
        if not self.no_row() and self.view.selected is not None:
            self.tokentop.jumper.begin(self.view.selected)

    def action_copy_resume(self) -> None:
        row = self.view.selected
        if self.no_row():
            return
        if row is None or not row.resume:
            self.say("this row has no resume command")
            return
        self.tokentop.copy_command(row.resume)
