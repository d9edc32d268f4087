"""The search in prompts and replies: it takes long, shows what it has found so far, and can be ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from textual.screen import Screen

from tokentop.nouns.history import Scan
from tokentop.ui.source import Source

log = logging.getLogger(__name__)
_SHOW_S = 0.3  # between two pictures of it


class SaidSearch:
    """One search at a time."""

    def __init__(self, screen: Screen[Any], source: Source, show: Callable[[Scan], None]) -> None:
        self._screen, self._source, self._show = screen, source, show
        self.scan: Scan | None = None  # as far as it has come; None = it is not shown
        self.running = False

    def toggle(self, query: str) -> None:
        """Look for the words; while that runs, end it."""
        if self.running:
            self.running = False
            return
        self.scan, self.running = Scan(), True
        self._screen.run_worker(self._run(query), group="said", exit_on_error=False)
        self._screen.set_timer(_SHOW_S, self._show_so_far)

    def leave(self) -> bool:
        """Away with it; False where it is not shown."""
        shown, self.scan, self.running = self.scan is not None, None, False
        return shown

    async def _run(self, query: str) -> None:
        def step(scan: Scan) -> bool:  # in the worker's thread: the screen looks at it when it is due
            if self.running:
                self.scan = scan
            return self.running and self._screen.is_attached

        try:
            found = await asyncio.to_thread(self._source.search_said, query, step)
        except Exception as error:
            log.exception("prompts and replies")
            found = Scan(problem=f"could not be searched ({type(error).__name__}); see the log file")
        self.running = False
        if not self._screen.is_attached or self.scan is None:
            return
        if found.problem:
            self.scan = None
            self._screen.app.notify(found.problem, markup=False, timeout=4)
        else:
            self.scan = found
            self._show_so_far()

    def _show_so_far(self) -> None:
        if self.scan is None or not self._screen.is_attached:
            return
        self._show(self.scan)
        if self.running:
            self._screen.set_timer(_SHOW_S, self._show_so_far)
