"""What rules and notices can be set to: `[rules.<name>]` and `[notify]` of the settings. Pure data.

Everything is off until it is switched on, and a rule that is on only tells, unless its ladder says more.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from tokentop.nouns.actions import Action

NUSD = 1_000_000_000
_Minutes = Annotated[float, Meta(ge=0, le=100_000)]
_Usd = Annotated[float, Meta(ge=0, le=1e9)]
_Percent = Annotated[float, Meta(ge=0, le=10_000)]
Named = Annotated[str, Meta(pattern=r"^(project|agent|session):.+")]


class Step(StrEnum):
    """The rungs of a rule's ladder, from the mildest."""

    NOTIFY = "notify"
    STOP = "stop"  # the turn
    FREEZE = "freeze"
    TERMINATE = "terminate"


ACTIONS = {Step.STOP: Action.INTERRUPT, Step.FREEZE: Action.FREEZE, Step.TERMINATE: Action.TERMINATE}


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all rules have in common."""

    on: Annotated[bool, Meta(description="Switch the rule on.")] = False
    dry_run: Annotated[
        bool, Meta(description="Only write down what would have been done (`tokentop actions`).")
    ] = False
    ladder: Annotated[
        tuple[Step, ...],
        Meta(
            min_length=1, max_length=8, description="Steps, mildest first: notify, stop, freeze, terminate."
        ),
    ] = (Step.NOTIFY,)
    cooldown_minutes: Annotated[
        float, Meta(ge=0.01, le=10_080, description="Rest of a session after a step; then the next step.")
    ] = 10.0
    per_hour: Annotated[
        int, Meta(ge=0, le=1000, description="At most so many actions in an hour; beyond, it only tells.")
    ] = 3
    countdown_s: Annotated[
        float, Meta(ge=1, le=600, description="Seconds before an action in which a key (x) calls it off.")
    ] = 30.0
    allow: Annotated[
        tuple[Named, ...],
        Meta(description='Never hit: "project:NAME", "agent:ID", "session:ID or its beginning".'),
    ] = ()
    only: Annotated[tuple[Named, ...], Meta(description="Hit nothing but these; empty = all.")] = ()


class SessionCost(Rule, frozen=True):
    """A session that works has cost more than `usd`, its sub-agents included."""

    usd: _Usd = 20.0


class BurnRate(Rule, frozen=True):
    """A session burns `usd_per_h` or more for `minutes`, dips of two minutes included."""

    usd_per_h: _Usd = 50.0
    minutes: _Minutes = 5.0


class DayBudget(Rule, frozen=True):
    """More than `usd` was spent today; every session that works is hit."""

    usd: _Usd = 100.0


class NoProgress(Rule, frozen=True):
    """It spends `usd_per_h` or more and no tool has changed a file, nor a commit been made, for `minutes`."""

    minutes: _Minutes = 20.0
    usd_per_h: _Usd = 1.0


class Loop(Rule, frozen=True):
    """The same tool call with the same argument `times` in a row."""

    times: Annotated[int, Meta(ge=2, le=10_000)] = 10


class Waiting(Rule, frozen=True):
    """It has waited for a person (a permission, an answer) for `minutes`."""

    minutes: _Minutes = 30.0


class Idle(Rule, frozen=True):
    """Its process has been idle in memory for `hours`."""

    hours: Annotated[float, Meta(ge=0, le=10_000)] = 12.0


class Orphan(Rule, frozen=True):
    """A process whose agent is gone uses `cpu_pct` of a core or more for `minutes`."""

    minutes: _Minutes = 10.0
    cpu_pct: _Percent = 50.0


class ContextFull(Rule, frozen=True):
    """The context is `pct` full and was compacted `compactions` times within the hour."""

    pct: _Percent = 95.0
    compactions: Annotated[int, Meta(ge=1, le=32)] = 3


class Rules(Struct, frozen=True, forbid_unknown_fields=True):
    """All rules by name; the name is in receipts as `policy:<name>`."""

    session_cost: SessionCost = SessionCost()
    burn_rate: BurnRate = BurnRate()
    day_budget: DayBudget = DayBudget()
    no_progress: NoProgress = NoProgress()
    loop: Loop = Loop()
    waiting: Waiting = Waiting()
    idle: Idle = Idle()
    orphan: Orphan = Orphan()
    context: ContextFull = ContextFull()

    def items(self) -> list[tuple[str, Rule]]:
        return [(name, getattr(self, name)) for name in self.__struct_fields__]


class Notify(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the notices of rules go beside the screen."""

    bell: Annotated[bool, Meta(description="Ring the terminal's bell.")] = False
    osc9: Annotated[bool, Meta(description="OSC 9: iTerm2, kitty, WezTerm, Ghostty, Windows Terminal.")] = (
        False
    )
    osc777: Annotated[bool, Meta(description="OSC 777: foot, WezTerm, Ghostty, rxvt-unicode.")] = False
    desktop: Annotated[bool, Meta(description="notify-send or osascript, where it is installed.")] = False
    per_minute: Annotated[int, Meta(ge=1, le=60, description="At most so many in a minute.")] = 4


def settings_of(rule: Rule) -> dict[str, object]:
    """The rule's own limits, without what all rules share."""
    shared = set(Rule.__struct_fields__)
    return {name: getattr(rule, name) for name in rule.__struct_fields__ if name not in shared}
