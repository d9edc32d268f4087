"""Asks the source for what the drawer shows beyond the row: only while it is open, at most once a second."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tokentop.nouns.looks import Look
from tokentop.nouns.picture import Row
from tokentop.ui.source import Source

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

log = logging.getLogger(__name__)

LEAST_S = 1.0
NEXT_S = 0.25  # between two rows: the cursor may run down the table
AGAIN_S = 15.0  # a row that has not changed is looked at again after this: minutes pass, ports come


class Looking:
    """One question at a time; the newest answer for the row that was asked for last."""

    def __init__(self, app: TokentopApp, source: Source, arrived: Callable[[], None]) -> None:
        self._app, self._source, self._arrived = app, source, arrived
        self._look: Look | None = None
        self._asked: tuple[object, ...] = ()
        self._asked_s = -LEAST_S
        self._busy = self._later = False

    def of(self, row: Row) -> Look | None:
        """What is known of the row, None = nothing yet; asks for what is due."""
        self._ask(row)
        return self._look if self._look is not None and self._look.row_key == row.key else None

    def _ask(self, row: Row) -> None:
        """Ask for what is due. A row that was asked for too soon after another one is asked for a little later."""
        if self._busy:
            return  # the answer brings the next question
        passed_s, wanted = time.monotonic() - self._asked_s, _signature(row)
        if wanted == self._asked and passed_s < AGAIN_S:
            return
        same = wanted[:1] == self._asked[:1]
        if passed_s < (LEAST_S if same else NEXT_S):
            if not same and not self._later:
                self._later = True
                self._app.set_timer(NEXT_S, self._again)
            return
        self._asked, self._asked_s, self._busy = wanted, time.monotonic(), True
        self._app.run_worker(self._run(row), group="look", exit_on_error=False)

    def _again(self) -> None:
        self._later = False
        self._arrived()

    async def _run(self, row: Row) -> None:
        try:
            self._look = await asyncio.to_thread(self._source.look, row)
        except Exception:
            log.exception("look")
            self._look = Look(row.key, 0, steps_note="could not be looked up; see the log file")
        finally:
            self._busy = False
        self._arrived()


def _signature(row: Row) -> tuple[object, ...]:
    """What of a row makes another look worth it; its CPU and memory do not."""
    children = tuple(child.ident.pid for child in row.children)
    return row.key, row.last_ms, row.status.state, row.status.detail, row.own.responses, row.pid, children
