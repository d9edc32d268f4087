"""The recording of the live table as the screen of the past reads it: in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tokentop.answers.footage import Footage
from tokentop.ui.source import Source

T = TypeVar("T")


class Recording:
    """One question after the other."""

    def __init__(self) -> None:
        self.footage: Footage | None = None
        self._ready = asyncio.Event()  # it is there, or it is known that there is none
        self._reader = ThreadPoolExecutor(1, "footage")

    async def open(self, source: Source) -> Footage | None:
        self.footage = await asyncio.to_thread(source.footage)
        return self.footage

    def opened(self) -> None:
        """What there is has been taken in, also where that is nothing."""
        self._ready.set()

    async def when_there(self) -> Footage | None:
        """The footage, None where there is none; waits until that is known."""
        await self._ready.wait()
        return self.footage

    async def ask(self, question: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, question, *arguments)

    def close(self) -> None:
        if self.footage is not None:  # behind what is being read: SQLite crashes the other way round
            self._reader.submit(self.footage.close)
        self._reader.shutdown(wait=False)
