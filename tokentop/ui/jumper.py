"""Carries the jump to an agent's terminal: ask in a thread, say the outcome in one line."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SuspendNotSupported

from tokentop.nouns.actions import Jump, Receipt
from tokentop.nouns.picture import Row
from tokentop.ui.glyphs import safe
from tokentop.ui.source import Source

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

log = logging.getLogger(__name__)


class Jumper:
    """One jump at a time: a second press while other programs are asked does nothing."""

    def __init__(self, app: TokentopApp, source: Source) -> None:
        self._app, self._source = app, source
        self._busy = False

    def begin(self, row: Row) -> None:
        self._begin(partial(self._source.jump, row))

    def resume(self, receipt: Receipt) -> None:
        """Start what a receipt ended again; it says where, or what to do."""
        self._begin(partial(self._source.resume, receipt))

    def _begin(self, ask: Callable[[], Jump]) -> None:
        if not self._busy:
            self._busy = True
            self._app.run_worker(self._run(ask), group="jump", exit_on_error=False)

    async def _run(self, ask: Callable[[], Jump]) -> None:
        try:
            found = await asyncio.to_thread(ask)
            if found.attach:
                found = self._lend_terminal(found)
            if found.copy and found.copy.isprintable():
                self._app.copy_to_clipboard(found.copy)
            said = safe(found.text, 300) + (" (copied)" if found.copy else "")
            self._app.notify(
                said, severity="information" if found.done else "warning", markup=False,
                timeout=3 if found.done else 8,
            )  # fmt: skip
        except Exception as error:
            log.exception("jump")
            self._app.notify(
                f"jump failed: {type(error).__name__}, see the log", severity="error", markup=False
            )
        finally:
            self._busy = False

    def _lend_terminal(self, found: Jump) -> Jump:
        """Leave the terminal to the agent's own tmux until it is detached.

        It blocks, on purpose: there is no screen to draw on meanwhile, and Textual must not try.
        """
        try:
            with self._app.suspend():
                self._app.ending.lent = True
                try:
                    status = self._source.attach(found.attach)
                finally:
                    self._app.ending.lent = False
        except SuspendNotSupported:
            return Jump(
                f"this terminal cannot be lent: {' '.join(found.attach)}", copy=" ".join(found.attach)
            )
        return Jump(f"back from {found.text.partition(';')[0]}", done=True) if status == 0 else Jump(
            f"tmux could not attach: exit {status}"
        )  # fmt: skip
