"""What the table shows: rows, folds, filter, order and the cursor, which is a key. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tokentop.nouns.picture import Row, Snapshot
from tokentop.ui import filtering
from tokentop.ui.averages import over_window
from tokentop.ui.columns import AS_DECLARED, MINUTE
from tokentop.ui.grouping import Groups, Head
from tokentop.ui.lines import Line, flat_lines, successor, tree_lines, with_parents
from tokentop.ui.ordering import RERANK_MS, Order
from tokentop.ui.tags import Tags


class Change(NamedTuple):
    """What a redraw has to do."""

    structure: bool  # lines came, went or moved
    keys: frozenset[str]  # rows whose content changed


_NO_KEYS: frozenset[str] = frozenset()
_NOTHING = Change(False, _NO_KEYS)


class View:
    """The state of the table. Nothing moves while it is `held` (a dialog is open) or paused."""

    def __init__(self) -> None:
        self.order = Order()
        self.rows: dict[str, Row] = {}
        self.lines: list[Line] = []
        self.index: dict[str, int] = {}
        self.versions: dict[str, int] = {}
        self._serial = 0  # no two states of a row have one version, also where it left in between
        self.cursor: str | None = None
        self.tree = True
        self.choice = AS_DECLARED
        self.groups = Groups()
        self._restated: set[str] = set()  # headers that have changed and are to be drawn
        self.window_min = MINUTE  # what tok/min and $/h are averages over
        self.follow = False
        self.folded: set[str] = set()
        self.tags = Tags()
        self.query = ""
        self.matched = (0, 0)  # rows that the filter lets through, folded ones too, and all rows
        self.changes = 0  # changed rows since the pause began
        self.paused = False
        self._window_drawn = MINUTE
        self._predicate: filtering.Predicate | None = None
        self._held = False
        self._latest: Snapshot | None = None  # newest one, shown or not
        self._seen: dict[str, Row] = {}  # rows of `_latest`
        self._built_ms = -RERANK_MS
        self._at_ms = 0
        self._moment = filtering.Moment()  # of the rows that are shown, for the filter

    # ------------------------------------------------------------ data in

    def feed(self, snapshot: Snapshot) -> Change:
        """Take a snapshot; returns what changed on the screen."""
        new = {row.key: row for row in snapshot.rows}
        lost = self.tags.see(new)
        if self.paused:
            self.changes += len(_changed(self._seen, new)) + len(self._seen.keys() - new.keys())
            self._latest, self._seen = snapshot, new
            return Change(False, lost) if lost else _NOTHING
        self._latest, self._seen = snapshot, new
        change = self._show(snapshot, new)
        return Change(change.structure, change.keys | lost) if lost else change

    def set_window(self, minutes: int) -> Change:
        """Show rates over so many minutes; those of the newest snapshot, if it has them."""
        self.window_min = minutes
        self._window_drawn = 0
        return self._catch_up()

    def plain(self, row: Row) -> Row:
        """The row with the rates of the last minute, which are what an action is told."""
        return row if self.window_min == MINUTE else self._seen.get(row.key, row)

    def _show(self, snapshot: Snapshot, new: dict[str, Row]) -> Change:
        new = over_window(new, snapshot, self.window_min)
        self.order.see_alerts(snapshot)
        self.groups.alerts = self.order.alerts
        changed = _changed(self.rows, new)
        if self._held:  # values stay live, but no line comes, goes or moves
            known = frozenset(key for key in changed if key in self.rows)
            self.rows.update((key, new[key]) for key in known)
            self._bump(known)
            return Change(False, known | self._sum_up())
        moved = new.keys() != self.rows.keys() or any(
            self._moved(self.rows[key], new[key]) for key in changed if key in self.rows
        )
        self.rows = new
        self._at_ms = snapshot.at_ms
        self._moment = filtering.Moment(snapshot.at_ms, snapshot.alerts)
        self._bump(changed)
        if snapshot.window_min != self._window_drawn:  # other rates: an order of their own
            self._window_drawn, self._built_ms = snapshot.window_min, -RERANK_MS
            self.order.reset()
        due = not 0 <= snapshot.at_ms - self._built_ms < RERANK_MS
        if moved or due or self._predicate is not None:
            structure = self.rebuild()
            restated, self._restated = frozenset(self._restated), set()
            return Change(structure, changed | restated)
        return Change(False, changed | self._sum_up())

    def _moved(self, old: Row, new: Row) -> bool:
        """It hangs below another row, or belongs to another group."""
        return old.parent_key != new.parent_key or self.groups.parted(old, new)

    def _sum_up(self) -> frozenset[str]:
        """The sums of the groups with the rows as they are; returns the headers that have changed."""
        changed = self.groups.sum_up(self.rows)
        self._bump(changed)
        return changed

    def _bump(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._serial += 1
            self.versions[key] = self._serial

    def set_paused(self, paused: bool) -> Change:
        self.paused, self.changes = paused, 0
        return self._catch_up()

    def set_held(self, held: bool) -> Change:
        """Freeze the lines while a dialog is open."""
        self._held = held
        return self._catch_up()

    def _catch_up(self) -> Change:
        if self._held or self.paused or self._latest is None:
            return _NOTHING
        return self._show(self._latest, self._seen)

    # ------------------------------------------------------------ lines

    def rebuild(self) -> bool:
        """Lay the lines out anew; True where any line came, went or moved."""
        self._built_ms = self._at_ms
        rows = self.rows if self.tree else {key: row for key, row in self.rows.items() if row.kind != "tool"}
        matched, shown = self._filtered(rows)
        self.matched = (len(matched), len(rows))
        restated = self.groups.lay_out(rows, shown, self.tree)
        self._restated |= restated
        self._bump(restated)
        heads = self.groups.heads
        self.versions = {key: self.versions.get(key, 0) for key in (*self.rows, *heads)}
        everything = (*rows.values(), *(head.row for head in heads.values()))
        ordered = self.order.arrange(everything, self._at_ms, self.tree, self.groups.head_of)
        if self.tree or self.groups.by:
            lines = tree_lines(ordered, matched, shown, self.folded, self.groups, self.tree)
        else:
            lines = flat_lines(ordered, shown)
        if lines == self.lines:
            return False
        old, self.lines = self.lines, lines
        self.index = {line.key: at for at, line in enumerate(lines)}
        self._keep_cursor(old)
        return True

    def _filtered(self, rows: Mapping[str, Row]) -> tuple[frozenset[str], frozenset[str]]:
        """Keys that match, and keys to show: those and, in the tree, what stands above them."""
        if self._predicate is None:
            everything = frozenset(rows)
            return everything, everything
        matched = filtering.matches(rows.values(), self._predicate)
        return matched, with_parents(matched, rows) if self.tree else matched

    def _keep_cursor(self, old: Sequence[Line]) -> None:
        """The cursor stays on its key; where that left, it goes to a neighbour, else to the first row."""
        if self.cursor not in self.index:
            first = next((line.key for line in self.lines if line.key in self.rows), None)
            top = self.lines[0].key if self.lines else None
            self.cursor = successor(self.cursor, old, self.index) or first or top

    # ------------------------------------------------------------ commands

    @property
    def selected(self) -> Row | None:
        """The row under the cursor; None on the header of a group, so that nothing can act on it."""
        return self.rows.get(self.cursor) if self.cursor is not None else None

    @property
    def selected_head(self) -> Head | None:
        """The header of a group under the cursor."""
        return self.groups.heads.get(self.cursor) if self.cursor is not None else None

    def drawn(self, key: str) -> Row | None:
        """What a line is drawn from: a row or a header."""
        row = self.rows.get(key)
        if row is None and (head := self.groups.heads.get(key)) is not None:
            return head.row
        return row

    def move(self, by: int) -> None:
        """Move the cursor by lines, stopping at the ends."""
        if self.lines:
            at = self.index.get(self.cursor or "", 0)
            self.cursor = self.lines[min(max(at + by, 0), len(self.lines) - 1)].key

    def next_match(self, step: int) -> bool:
        """The next or previous line that matches the filter, round the end; False without one."""
        at = self.index.get(self.cursor or "", 0)
        count = len(self.lines)
        for distance in range(1, count + 1):
            line = self.lines[(at + step * distance) % count]
            if line.match and line.key in self.rows:
                self.cursor = line.key
                return True
        return False

    @property
    def tagged(self) -> list[Row]:
        """The tagged rows as they are now, in the order of the screen; hidden ones come last."""
        return self.tags.rows(self.index)

    # ------------------------------------------------------------ filter, folds

    def set_filter(self, query: str) -> bool:
        """Apply a filter; raises FilterError and keeps the last good one."""
        self._predicate = filtering.parse(query, lambda: self._moment)
        self.query = query if self._predicate else ""
        return self.rebuild()

    def fold(self, key: str | None, folded: bool) -> bool:
        """Fold or unfold one row, or (None) all: groups where there are any."""
        heads = self.groups.heads
        if key is not None:
            keys = {key}
        elif folded and heads:
            keys = {*heads}
        else:
            keys = {row.parent_key for row in self.rows.values() if row.parent_key} | heads.keys()
        if folded:
            self.folded |= keys
        else:
            self.folded -= keys
        return self.rebuild()

    def set_group(self, by: str) -> bool:
        """Group by project, model, agent or ("") nothing."""
        self.groups.by = by
        self.folded = {key for key in self.folded if not key.startswith("group:")}
        self.order.reset()
        return self.rebuild()

    def set_tree(self, tree: bool) -> bool:
        self.tree = tree
        self.order.reset()
        return self.rebuild()


def _changed(old: dict[str, Row], new: dict[str, Row]) -> frozenset[str]:
    out = []
    for key, row in new.items():
        before = old.get(key)
        if before is not row and before != row:
            out.append(key)
    return frozenset(out)
