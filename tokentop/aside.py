"""Slow looks beside the collector: questions to other programs, which may take long to answer.

The collector says what it wants to know and goes on; `Aside.look` asks, in a thread of its own where a screen
runs, and the collector takes the answer when it is there.
"""

from __future__ import annotations

from msgspec import Struct

from .procs import panes

PANES_S = 5.0


class Wanted(Struct, frozen=True):
    """What the collector wants to know: (`socket,pane`, tty) of agents in tmux."""

    panes: tuple[tuple[str, str], ...] = ()


class Seen(Struct, frozen=True):
    """The answers: where each tmux pane is, "" = the process is not there."""

    places: dict[str, str] = {}


class Aside:
    """Asks; remembers what need not be asked again."""

    def look(self, wanted: Wanted) -> Seen:
        """Answer what can be answered. Blocks, at most some seconds for each server that does not answer."""
        return Seen(panes.names(wanted.panes) if wanted.panes else {})
