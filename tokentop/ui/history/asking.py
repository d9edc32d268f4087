"""What the history asks the source for, each question in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from textual.screen import Screen

from tokentop.nouns.history import Ask, Entry, Listing
from tokentop.ui.source import Source

log = logging.getLogger(__name__)


class Asking:
    """Questions of one screen. What arrives after the screen has gone is dropped."""

    def __init__(
        self, screen: Screen[Any], source: Source, wanted: Callable[[], bool], take: Callable[[Listing | None], None]
    ) -> None:  # fmt: skip
        """`take` is given what is newer than the last answer, None = it could not be looked up; not while unwanted."""
        self._screen, self._source, self._wanted, self._take = screen, source, wanted, take
        self._asked = 0  # questions so far
        self._taken = 0  # the newest of them whose answer was taken
        self._loading = False
        self.failed = ""  # the type of the error of the last answer

    @property
    def answered(self) -> bool:
        return self._taken > 0

    def put(self, ask: Ask) -> None:
        self._asked += 1
        self._screen.run_worker(self._answer(self._asked, ask), group="history", exit_on_error=False)

    async def _answer(self, number: int, ask: Ask) -> None:
        try:
            found, self.failed = await asyncio.to_thread(self._source.history, ask), ""
        except Exception as error:
            log.exception("history")
            found, self.failed = None, type(error).__name__
        superseded = found is None and not self.failed
        if self._screen.is_attached and number > self._taken and not superseded and self._wanted():
            self._taken = number
            self._take(found)

    def load(self, wanted: list[int], learn: Callable[[Sequence[int], Sequence[Entry]], None]) -> None:
        """Ask for the entries of sessions; one such question at a time, others are left out."""
        if wanted and not self._loading:
            self._loading = True
            self._screen.run_worker(self._load(wanted, learn), group="entries", exit_on_error=False)

    async def _load(self, wanted: list[int], learn: Callable[[Sequence[int], Sequence[Entry]], None]) -> None:
        found: tuple[Entry, ...] = ()
        try:
            found = await asyncio.to_thread(self._source.entries, wanted)
        except Exception:
            log.exception("entries")
        finally:
            self._loading = False
        if self._screen.is_attached:
            learn(wanted, found)

    def below(self, root: int, unfold: Callable[[int, tuple[Entry, ...]], None]) -> None:
        """Ask for the sub-agents of a session; `unfold` is given them where there are any."""
        self._screen.run_worker(self._below(root, unfold), group="below", exit_on_error=False)

    async def _below(self, root: int, unfold: Callable[[int, tuple[Entry, ...]], None]) -> None:
        below = await asyncio.to_thread(self._source.below, root)
        if self._screen.is_attached and below:
            unfold(root, below)
