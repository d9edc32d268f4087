"""The lines of one session's timeline: turns that unfold, a cursor, jumps. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from msgspec import Struct

from tokentop.engine.timeline import Item, Timeline, Turn

Key = tuple[int, ...]  # places on the way down: turn, item, turn of its sub-agent, item ...
_TROUBLE = frozenset({"error", "limit", "interrupt", "action"})


class Entry(Struct, frozen=True, gc=False):
    """One line: a turn, or an item within one."""

    key: Key
    depth: int
    turn: Turn | None
    item: Item | None
    opens: bool  # there is something below it


class TurnView:
    """Flat lines of what is unfolded. Rebuilding costs what is seen, not what is folded."""

    def __init__(self) -> None:
        self.told: Timeline | None = None
        self.lines: list[Entry] = []
        self.open: set[Key] = set()
        self.at = 0

    def show(self, told: Timeline) -> None:
        """Take a timeline; what was unfolded stays so, and the cursor stays on its line."""
        before = self.selected
        first = self.told is None
        self.told = told
        if first and len(told.turns) == 1:
            self.open.add((0,))
        self._rebuild(before.key if before is not None else None)

    @property
    def selected(self) -> Entry | None:
        return self.lines[self.at] if self.at < len(self.lines) else None

    @property
    def turn(self) -> Turn | None:
        """The turn of the session itself in which the cursor is."""
        entry = self.selected
        if entry is None or self.told is None or not entry.key or entry.key[0] >= len(self.told.turns):
            return None
        return self.told.turns[entry.key[0]]

    def move(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), max(0, len(self.lines) - 1))

    def fold(self, shut: bool | None = None) -> bool:
        """Unfold or fold the line under the cursor; None = the other way. Folding an item goes up to its owner."""
        entry = self.selected
        if entry is None:
            return False
        is_open = entry.key in self.open
        if shut is None:
            shut = is_open
        if shut and not is_open:
            return self.up()
        if not entry.opens or shut is not is_open:
            return False
        self.open.symmetric_difference_update({entry.key})
        self._rebuild(entry.key)
        return True

    def fold_all(self) -> None:
        """Unfold all turns, or fold everything."""
        entry = self.selected
        if self.open:
            self.open.clear()
        elif self.told is not None:
            self.open = {(at,) for at, turn in enumerate(self.told.turns) if turn.items}
        self._rebuild(entry.key[:1] if entry is not None else None)

    def up(self) -> bool:
        """To the line that this one is below; False at the top."""
        entry = self.selected
        if entry is None or len(entry.key) < 2:
            return False
        shown = {one.key: at for at, one in enumerate(self.lines)}
        for size in range(len(entry.key) - 1, 0, -1):
            if entry.key[:size] in shown:
                self.at = shown[entry.key[:size]]
                return True
        return False

    # ------------------------------------------------------------ jumps

    def dearest(self) -> bool:
        """To the most expensive turn; from there to the next most expensive one."""
        if self.told is None or not self.told.turns:
            return False
        costs = [turn.tree.cost_nusd for turn in self.told.turns]
        order = sorted(range(len(costs)), key=lambda at: (-costs[at], at))
        entry = self.selected
        here = entry.key[0] if entry is not None and len(entry.key) == 1 else -1
        place = order.index(here) + 1 if here in order and self._jumped == here else 0
        wanted = order[place % len(order)]
        self._jumped = wanted
        self._go((wanted,))
        return True

    _jumped = -1

    def seek(self, at_ms: int, until_ms: int = 0) -> None:
        """To the turn that was under way at a time; of a span to the dearest turn in it."""
        if self.told is None or not self.told.turns:
            return
        turns = self.told.turns
        first = max(0, bisect_right([turn.at_ms for turn in turns], at_ms) - 1)
        inside = [
            at for at in range(first, len(turns)) if turns[at].at_ms < until_ms and turns[at].end_ms >= at_ms
        ]
        self._go((max(inside, key=lambda at: (turns[at].tree.cost_nusd, -at), default=first),))

    def trouble(self, step: int) -> bool:
        """To the next (1) or previous (-1) error, limit, interrupt, failed tool or action."""
        return self._next(step, is_trouble)

    def agent(self, step: int) -> bool:
        """To the next or previous sub-agent."""
        return self._next(step, lambda item: item.branch is not None)

    def _next(self, step: int, wanted: Callable[[Item], bool]) -> bool:
        """Round the end to the next item that is wanted, whether it is unfolded or not."""
        if self.told is None:
            return False
        found = list(_keys(self.told, (), wanted))
        if not found:
            return False
        entry = self.selected
        here = entry.key if entry is not None else ()
        if step > 0:
            target = next((key for key in found if key > here), found[0])
        else:
            target = next((key for key in reversed(found) if key < here), found[-1])
        self._go(target)
        return True

    def _go(self, key: Key) -> None:
        """Unfold the way to a line and put the cursor on it."""
        self.open.update(key[:size] for size in range(1, len(key)))
        self._rebuild(key)

    # ------------------------------------------------------------ lines

    def _rebuild(self, chosen: Key | None) -> None:
        lines: list[Entry] = []
        if self.told is not None:
            self._of_turns(self.told, (), 0, lines)
            lines += [
                Entry((len(self.told.turns), at), 0, None, item, False)
                for at, item in enumerate(self.told.untimed)
            ]
        self.lines = lines
        if chosen is not None:
            known = {entry.key: at for at, entry in enumerate(lines)} if chosen else {}
            for size in range(len(chosen), 0, -1):
                if chosen[:size] in known:
                    self.at = known[chosen[:size]]
                    break
        self.move(0)

    def _of_turns(self, told: Timeline, above: Key, depth: int, lines: list[Entry]) -> None:
        for at, turn in enumerate(told.turns):
            key = (*above, at)
            lines.append(Entry(key, depth, turn, None, bool(turn.items)))
            if key in self.open:
                self._of_items(turn, key, depth + 1, lines)

    def _of_items(self, turn: Turn, above: Key, depth: int, lines: list[Entry]) -> None:
        for at, item in enumerate(turn.items):
            key = (*above, at)
            lines.append(Entry(key, depth, None, item, item.branch is not None and bool(item.branch.turns)))
            if key in self.open and item.branch is not None:
                self._of_turns(item.branch, key, depth + 1, lines)


def is_trouble(item: Item) -> bool:
    if item.kind in _TROUBLE:
        return True
    deed = item.deed
    return deed is not None and (deed.result in {"failed", "denied"} or deed.tests == "failed")


def _keys(told: Timeline, above: Key, wanted: Callable[[Item], bool]) -> list[Key]:
    found: list[Key] = []
    for number, turn in enumerate(told.turns):
        for at, item in enumerate(turn.items):
            key = (*above, number, at)
            if wanted(item):
                found.append(key)
            if item.branch is not None:
                found += _keys(item.branch, key, wanted)
    return found
