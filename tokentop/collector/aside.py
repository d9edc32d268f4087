"""Slow looks beside the collector: questions to other programs, which may take long to answer.

The collector says what it wants to know and goes on; `Aside.look` asks, in a thread of its own where a screen
runs, and the collector takes the answer when it is there.
"""

from __future__ import annotations

import time

from msgspec import Struct

from tokentop.clock import now_ms
from tokentop.ingest.changes import Changes
from tokentop.nouns.looks import FolderChange
from tokentop.procs import panes

PANES_S = 5.0


class Wanted(Struct, frozen=True):
    """What the collector wants to know: (`socket,pane`, tty) of agents in tmux, folders of agents at work."""

    panes: tuple[tuple[str, str], ...] = ()
    folders: tuple[str, ...] = ()


class Seen(Struct, frozen=True):
    """The answers: where each tmux pane is, "" = the process is not there; when the folders last changed."""

    places: dict[str, str] = {}
    changes: tuple[FolderChange, ...] = ()


class Aside:
    """Asks; remembers what need not be asked again."""

    def __init__(self) -> None:
        self._changes = Changes()

    def look(self, wanted: Wanted) -> Seen:
        """Answer what can be answered. Blocks, at most some seconds for each server that does not answer."""
        places = panes.names(wanted.panes) if wanted.panes else {}
        changes = [self._changes.look(folder, time.monotonic(), now_ms()) for folder in wanted.folders]
        return Seen(places, tuple(changes))
