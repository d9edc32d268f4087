"""What the screen needs from the rest of the program, and the options it is started with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from tokentop.model import Action, Inside, Jump, KillPlan, LogTail, Look, Orphan, Receipt, Row, Snapshot
from tokentop.rulebook import Notify


class Source(Protocol):
    """Where Snapshots come from and where actions go."""

    read_only: bool
    label: str  # where the data comes from, shown beside the name; "" = the live machine

    def start(self, publish: Callable[[Snapshot], None]) -> None:
        """Begin to call `publish`, from any thread, at most 4 times a second. Called once."""

    def stop(self) -> None:
        """End all work. May block; called after the terminal has been restored."""

    def plan(self, row: Row, action: Action) -> KillPlan:
        """What `action` on `row` would hit. May block; a refusal is a plan with `refusal`."""

    def plan_orphans(self) -> tuple[Orphan, ...]:
        """What a sweep would end: processes without a living owner. May block."""

    def execute(self, plan: KillPlan) -> Receipt:
        """Carry the plan out and verify it. May block."""

    def cancel(self, number: int) -> None:
        """Call the countdown of that id off. Does not block."""

    def jump(self, row: Row) -> Jump:
        """Show the terminal of the row's agent. May block."""

    def attach(self, argv: tuple[str, ...]) -> int:
        """Run a command of `jump` in the terminal that the screen has left. Blocks until it ends."""

    def look(self, row: Row) -> Look:
        """What is not in a Row: its last steps, tokens over time, ports. May block; asked for while it is seen."""

    def inside(self, row: Row) -> Inside:
        """Arguments, environment and ports of the row's process. May block."""

    def tail(self, row: Row, known: tuple[int, int, int]) -> LogTail | None:
        """The end of the row's log; None while it is as it was at `known` (`LogTail.state`). May block."""


class UiOptions(Struct, frozen=True):
    """How the screen looks and what it may do."""

    theme: str = ""  # "" = the default, or what TEXTUAL_THEME names
    ascii: bool = False  # also switched on by TERM=linux and a locale without UTF-8
    mouse: bool = True
    refresh_s: float = 1.0  # each line is repainted at most this often
    read_only: bool = False
    no_color: bool = False
    log_path: str = ""  # named by the crash screen
    notify: Notify = Notify()  # what else is told by the terminal
