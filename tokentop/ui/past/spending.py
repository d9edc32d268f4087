"""Carries the questions who spent in a span and where the bill jumped: ask the recording, show a list, go where somebody chose."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tokentop.engine.days import DAY_MS, day_bounds, local
from tokentop.nouns.recorded import Jump, Spent
from tokentop.ui.screens.spans import JumpsScreen, SpanScreen

if TYPE_CHECKING:
    from tokentop.ui.screens.replay import ReplayScreen

log = logging.getLogger(__name__)
T = TypeVar("T")


class Spending:
    """Over the screen of the past."""

    def __init__(self, screen: ReplayScreen) -> None:
        self._screen = screen

    def rank(self, from_ms: int, until_ms: int) -> None:
        """Show who spent in a span."""
        self._screen.run_worker(self._rank(from_ms, until_ms), group="span", exit_on_error=False)

    def find_jumps(self, near_ms: int = 0) -> None:
        """Show where the bill jumped on the day of a time, 0 = where somebody stands."""
        self._screen.run_worker(self._find_jumps(near_ms), group="span", exit_on_error=False)

    async def _rank(self, from_ms: int, until_ms: int) -> None:
        footage = self._screen.recording.footage
        if footage is not None:
            spent = await self._ask("span", footage.spent, from_ms, until_ms)
            if spent is not None:
                self._show_span(spent)

    def _show_span(self, spent: Spent) -> None:
        screen = self._screen
        screen.app.push_screen(
            SpanScreen(spent, screen.zone), lambda share: screen.show_share(share, spent) if share else None
        )

    async def _find_jumps(self, near_ms: int) -> None:
        """Of the present day the 24 hours up to now are looked at."""
        screen = self._screen
        footage = await screen.recording.when_there()
        if footage is None:
            return
        at_ms = near_ms or screen.reel.at_ms
        now_ms = screen.tokentop.live.now_ms() or screen.reel.last_ms
        day = day_bounds(at_ms, screen.zone)
        span = (now_ms - DAY_MS, now_ms) if day[0] <= now_ms < day[1] else day[:2]
        found = await self._ask("day", footage.jumps, *span)
        if found is None:
            return

        def other_day(step: int) -> None:
            self.find_jumps(min(day[0] - 1 if step < 0 else day[1], now_ms))

        screen.app.push_screen(JumpsScreen(found, span, screen.zone, other_day), self._jumped)

    def _jumped(self, jump: Jump | None) -> None:
        if jump is None:
            return
        screen = self._screen
        first_ms = screen.reel.first_ms
        if jump.until_ms <= first_ms:  # what was spent is known without a recording, too
            begins = local(first_ms, screen.zone)
            screen.app.notify(
                f"not recorded: the recording begins {begins:%a %d %b %H:%M}", markup=False, timeout=4
            )
        screen.seek_in(jump.from_ms, jump.until_ms)
        self.rank(jump.from_ms, jump.until_ms)

    async def _ask(self, what: str, question: Callable[..., T], *arguments: object) -> T | None:
        """The answer; None where it could not be read, which is said."""
        try:
            return await self._screen.recording.ask(question, *arguments)
        except Exception as error:
            log.exception("spending: %s", what)
            self._screen.app.notify(
                f"the {what} cannot be read: {type(error).__name__}", severity="error", markup=False
            )
            return None
