"""One session told turn by turn: responses, tools, sub-agents, waits, errors and actions. Pure.

A turn goes from a prompt to the next one; where the log tells no prompts each response is a turn of its own. Every
event of the store stands in exactly one turn, so that the sums of the turns are the totals of the session.

A cache miss is what the call before, of the same session and model, had read from or written to the cache and this
one did not read although its prompt is at least as long: it was cached and is paid again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from tokentop.nouns.actions import Receipt
from tokentop.nouns.outline import Deed, Outline, starts_agents
from tokentop.nouns.sessions import Role, Session
from tokentop.nouns.usage import Figures, Kind, Priced, Tokens

from .misses import NO_MISS, Miss, Misses

if TYPE_CHECKING:
    from tokentop.pricing.table import PriceTable

_DEPTH = 12


class Item(Struct, frozen=True, gc=False):
    """One thing within a turn; the fields that its kind has not are empty.

    `kind` = call (a response), hidden (spend that only a total shows), tool, agent (a sub-agent that no tool call is
    known to have started), compaction, permission, error, limit, interrupt, action (a receipt).
    """

    kind: str
    at_ms: int
    event: Priced | None = None
    miss: Miss = NO_MISS
    deed: Deed | None = None
    receipt: Receipt | None = None
    branch: Timeline | None = None  # the sub-agent that a tool call started, or that stands alone


class Turn(Struct, frozen=True, gc=False):
    """`own` = of the session itself, `tree` = with the sub-agents that began in it."""

    number: int  # from 1
    at_ms: int
    end_ms: int
    prompted: bool  # it begins with a prompt
    models: tuple[str, ...]
    own: Figures
    tree: Figures
    missed: int  # tokens that were cached and are paid again, own and below
    missed_nusd: int  # what that cost above a cache read, as far as there is a price
    items: tuple[Item, ...]


class Timeline(Struct, frozen=True, gc=False):
    """All turns of one session, and what is not known of it."""

    session: Session
    project: str
    own: Figures
    tree: Figures
    turns: tuple[Turn, ...]
    untimed: tuple[Item, ...] = ()  # tools of a log without times
    tools_known: bool = False  # the log was read, or an outline of it is kept
    note: str = ""  # what is missing of the outline, "" = nothing
    unfinished: bool = False  # deeper sub-agents are not told
    purged: int = (
        0  # calls, own and below, that are in the sums and in no turn: the store keeps them no longer
    )


class Part(Struct, frozen=True):
    """What the store and the log know of one session.

    `purged` calls of it are not among `events`; `kept` is then its whole sum.
    """

    session: Session
    project: str
    events: tuple[Priced, ...]
    outline: Outline | None = None
    receipts: tuple[Receipt, ...] = ()
    purged: int = 0
    kept: Figures | None = None


def timeline(parts: Mapping[str, Part], session_id: str, prices: PriceTable | None = None) -> Timeline:
    """The session `session_id` with the sub-agents among `parts` (by session id) nested where they began.

    A sub-agent whose parent is not among them is left out. Raises KeyError for an unknown session.
    """
    below: dict[str, list[str]] = {}
    for sid, part in parts.items():
        above = part.session.parent_id
        if part.session.role is Role.SUB_AGENT and above in parts and sid not in {session_id, above}:
            below.setdefault(above, []).append(sid)
    return _Teller(parts, below, prices).tell(session_id, ())


class _Teller:
    def __init__(
        self, parts: Mapping[str, Part], below: dict[str, list[str]], prices: PriceTable | None
    ) -> None:
        self._parts, self._below, self._prices = parts, below, prices

    def tell(self, session_id: str, above: tuple[str, ...]) -> Timeline:
        part = self._parts[session_id]
        children = [sid for sid in self._below.get(session_id, ()) if sid not in above]
        deep = len(above) >= _DEPTH and bool(children)
        branches = [] if deep else [self.tell(sid, (*above, session_id)) for sid in children]
        deeds = part.outline.deeds if part.outline is not None else ()
        timed = [deed for deed in deeds if deed.at_ms]
        items, rest = self._items(part, timed, branches)
        untimed = tuple(
            Item(deed.kind, 0, deed=deed) for deed in deeds if not deed.at_ms and deed.kind != "prompt"
        )
        prompts = sorted(deed.at_ms for deed in timed if deed.kind == "prompt")
        turns = _turns(sorted([*items, *rest], key=_place), prompts)
        own = part.kept if part.kept is not None and part.purged else figures(part.events)
        return Timeline(
            part.session, part.project, own, _sum([own, *(branch.tree for branch in branches)]), turns, untimed,
            part.outline is not None and (bool(deeds) or not part.outline.note),
            part.outline.note if part.outline is not None else "",
            deep or any(branch.unfinished for branch in branches),
            part.purged + sum(branch.purged for branch in branches),
        )  # fmt: skip

    def _items(
        self, part: Part, deeds: Sequence[Deed], branches: Sequence[Timeline]
    ) -> tuple[list[Item], list[Item]]:
        """(responses, all else) of one session, sub-agents at the tool call that started them."""
        misses = Misses(self._prices)
        calls = []
        for event in sorted(part.events, key=lambda one: (one.usage.at_ms, one.id)):
            kind = "hidden" if event.usage.kind is Kind.HIDDEN else "call"
            calls.append(Item(kind, event.usage.at_ms, event, misses.of(event)))
        started, alone = _at_their_tools(deeds, branches)
        rest = [
            Item(deed.kind, deed.at_ms, deed=deed, branch=started.get(number))
            for number, deed in enumerate(deeds)
            if deed.kind != "prompt"
        ]
        rest += [Item("agent", _began(branch), branch=branch) for branch in alone]
        rest += [Item("action", receipt.at_ms, receipt=receipt) for receipt in part.receipts]
        return calls, rest


_ORDER = {"compaction": 0, "call": 1, "hidden": 1, "permission": 2, "tool": 3, "agent": 4}


def _place(item: Item) -> tuple[int, int]:
    """By time; of one moment the response stands before the tools that it calls."""
    return item.at_ms, _ORDER.get(item.kind, 5)


def _began(branch: Timeline) -> int:
    first = branch.turns[0].at_ms if branch.turns else 0
    return min((ms for ms in (branch.session.first_ms, first) if ms), default=0)


def _at_their_tools(
    deeds: Sequence[Deed], branches: Sequence[Timeline]
) -> tuple[dict[int, Timeline], list[Timeline]]:
    """Sub-agents by the number of the call that started them: the one that the log names, else the one that ran
    when they began."""
    by_id = {deed.call_id: number for number, deed in enumerate(deeds) if deed.call_id}
    found: dict[int, Timeline] = {}
    alone = []
    for branch in sorted(branches, key=_began):
        number = by_id.get(branch.session.tool_use_id) if branch.session.tool_use_id else None
        if number is None or number in found:
            began_ms = _began(branch)
            number = next(
                (
                    at
                    for at in range(len(deeds) - 1, -1, -1)
                    if at not in found and _started(deeds[at], began_ms)
                ),
                None,
            )
        if number is None:
            alone.append(branch)
        else:
            found[number] = branch
    return found, alone


def _started(deed: Deed, began_ms: int) -> bool:
    if deed.kind != "tool" or not began_ms or not starts_agents(deed.name):
        return False
    end_ms = deed.at_ms + (deed.took_ms if deed.took_ms is not None else 60_000)
    return deed.at_ms - 1_000 <= began_ms <= end_ms + 1_000


def _turns(items: Sequence[Item], prompts: Sequence[int]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    if prompts:
        waiting = list(prompts)
        held: list[Item] = []
        begun_ms, prompted = 0, False
        for item in items:
            while waiting and waiting[0] <= item.at_ms:
                if held or prompted:
                    turns.append(_turn(len(turns) + 1, begun_ms, prompted, held))
                begun_ms, prompted, held = waiting.pop(0), True, []
            held.append(item)
        if held or prompted:
            turns.append(_turn(len(turns) + 1, begun_ms, prompted, held))
        for at_ms in waiting:
            turns.append(_turn(len(turns) + 1, at_ms, True, []))
        return tuple(turns)
    held = []
    for item in items:
        if item.kind in {"call", "hidden"} and any(one.event is not None for one in held):
            turns.append(_turn(len(turns) + 1, 0, False, held))
            held = []
        held.append(item)
    if held:
        turns.append(_turn(len(turns) + 1, 0, False, held))
    return tuple(turns)


def _turn(number: int, at_ms: int, prompted: bool, items: Sequence[Item]) -> Turn:
    if len(items) == 1 and items[0].event is not None and items[0].branch is None:
        return _turn_of_one(number, at_ms, prompted, items[0], items[0].event)
    events = [item.event for item in items if item.event is not None]
    branches = [item.branch for item in items if item.branch is not None]
    own = figures(events)
    begins = at_ms or (items[0].at_ms if items else 0)
    ends = [begins, *(_end_of(item) for item in items)]
    below = [turn for branch in branches for turn in branch.turns]
    return Turn(
        number, begins, max(ends), prompted, tuple(dict.fromkeys(e.usage.model for e in events if e.usage.model)),
        own, _sum([own, *(branch.tree for branch in branches)]),
        sum(item.miss.tokens for item in items) + sum(turn.missed for turn in below),
        sum(item.miss.nusd for item in items) + sum(turn.missed_nusd for turn in below),
        tuple(items),
    )  # fmt: skip


def _turn_of_one(number: int, at_ms: int, prompted: bool, item: Item, event: Priced) -> Turn:
    """A response alone: a long session has thousands of them."""
    usage, cost, model = event.usage, event.cost_nusd, event.usage.model
    own = (
        Figures(usage.tokens, 1, cost or 0, usage.tokens.total if cost is None else 0, event.estimated)
        if usage.kind is Kind.RESPONSE
        else figures((event,))
    )
    begins = at_ms or item.at_ms
    return Turn(
        number, begins, max(begins, item.at_ms), prompted, (model,) if model else (), own, own, item.miss.tokens,
        item.miss.nusd, (item,),
    )  # fmt: skip


def _end_of(item: Item) -> int:
    if item.deed is not None:
        return item.at_ms + (item.deed.took_ms or 0)
    if item.branch is not None and item.branch.turns:
        return item.branch.turns[-1].end_ms
    return item.at_ms


# ---------------------------------------------------------------- sums


def figures(events: Iterable[Priced]) -> Figures:
    """The same sums as the store keeps of a session."""
    total, responses, cost, unpriced, unknown, estimated = Tokens(), 0, 0, 0, 0, False
    for event in events:
        usage = event.usage
        total += usage.tokens
        responses += usage.kind is Kind.RESPONSE
        unknown += usage.kind is Kind.UNKNOWN or (usage.kind is Kind.HIDDEN and not usage.tokens.total)
        cost += event.cost_nusd or 0
        unpriced += usage.tokens.total if event.cost_nusd is None else 0
        estimated = estimated or event.estimated
    return Figures(total, responses, cost, unpriced, estimated, unknown)


def _sum(several: Sequence[Figures]) -> Figures:
    total = several[0]
    for one in several[1:]:
        total = Figures(
            total.tokens + one.tokens, total.responses + one.responses, total.cost_nusd + one.cost_nusd,
            total.unpriced_tokens + one.unpriced_tokens, total.estimated or one.estimated,
            total.unknown_calls + one.unknown_calls,
        )  # fmt: skip
    return total


def everything(told: Timeline) -> list[Timeline]:
    """The timeline and all below it, each before those that it started."""
    found = [told]
    for turn in told.turns:
        for item in turn.items:
            if item.branch is not None:
                found += everything(item.branch)
    return found
