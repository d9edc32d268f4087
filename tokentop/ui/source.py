"""What the screen needs from the rest of the program, and the options it is started with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from tokentop.nouns.actions import Action, Jump, KillPlan, Orphan, Receipt
from tokentop.nouns.history import Ask, Entry, Listing, Scan
from tokentop.nouns.looks import Inside, LogTail, Look
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import Session
from tokentop.settings.rulebook import Notify

if TYPE_CHECKING:
    from tokentop.agents._spoken import Said
    from tokentop.answers.footage import Footage
    from tokentop.engine.statement import Statement
    from tokentop.engine.tally import Bought
    from tokentop.engine.timeline import Timeline


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

    def plan_many(self, rows: Sequence[Row], action: Action) -> tuple[KillPlan, ...]:
        """The same for several rows from one look, in their order; no process would be hit twice. May block."""

    def plan_orphans(self) -> tuple[Orphan, ...]:
        """What a sweep would end: processes without a living owner. May block."""

    def execute(self, plan: KillPlan) -> Receipt:
        """Carry the plan out and verify it. May block."""

    def execute_many(self, plans: Sequence[KillPlan]) -> tuple[Receipt, ...]:
        """Carry several plans out side by side and verify each; receipts in their order. May block."""

    def receipts(self) -> tuple[Receipt, ...]:
        """What was done so far, by earlier runs too, newest first. May block."""

    def cancel(self, number: int) -> None:
        """Call the countdown of that id off. Does not block."""

    def look_back(self, minutes: int) -> None:
        """Give each snapshot the average rates over so many minutes from now on; 1 = none. Does not block."""

    def recall(self) -> str | None:
        """What `remember` kept in an earlier run, "" = nothing, None = not known yet. Does not block."""

    def remember(self, state: str) -> None:
        """Keep the state of the view for the next run, where something can be kept. Does not block."""

    def footage(self) -> Footage | None:
        """The recording of the live table, None where nothing is recorded. May block."""

    def jump(self, row: Row) -> Jump:
        """Show the terminal of the row's agent. May block."""

    def resume(self, receipt: Receipt) -> Jump:
        """Resume what a receipt ended, in a new window of the terminal, or say why not. May block."""

    def attach(self, argv: tuple[str, ...]) -> int:
        """Run a command of `jump` in the terminal that the screen has left. Blocks until it ends."""

    def look(self, row: Row) -> Look:
        """What is not in a Row: its last steps, tokens over time, ports. May block; asked for while it is seen."""

    def inside(self, row: Row) -> Inside:
        """Arguments, environment and ports of the row's process. May block."""

    def tail(self, row: Row, known: tuple[int, int, int]) -> LogTail | None:
        """The end of the row's log; None while it is as it was at `known` (`LogTail.state`). May block."""

    def history(self, ask: Ask) -> Listing | None:
        """The sessions of the history that are asked for. May block; None = a newer question came meanwhile."""

    def entries(self, ids: Sequence[int]) -> tuple[Entry, ...]:
        """The entries of sessions of a Listing, in their order; those that are gone are left out. May block."""

    def search_said(self, query: str, told: Callable[[Scan], bool]) -> Scan:
        """Search prompts and replies in the agents' own logs; `told` is given each step, False ends it. Blocks long."""

    def below(self, root: int) -> tuple[Entry, ...]:
        """The sub-agents of an entry, by time. May block."""

    def statement(self) -> Statement:
        """What the view "Limits & bill" shows. May block; asked for while it is seen."""

    def tell(self, agent: str, session_id: str) -> Timeline | None:
        """All turns of one session; None = it is not known. May block while its log is read."""

    def bought(self, agent: str, session_id: str) -> Bought | None:
        """What git and the logs told of a session's work, as it was last looked at; None = it was not. May block."""

    def transcript(self, session: Session) -> tuple[list[Said], str]:
        """What was said in a session, from its agent's own log, and what is missing of it. May block."""

    def export(self, told: Timeline, form: str) -> str:
        """Write a timeline as html, md or json; the path of the file. May block. Raises OSError."""


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
    replay_ms: int | None = None  # begin with the past at this time, 0 = its newest moment
    inline: int = 0  # rows of the strip below the prompt; 0 = the whole screen
    config_path: str = ""  # of the settings file, which need not exist
    overridden: tuple[str, ...] = ()  # settings that the command line has set
