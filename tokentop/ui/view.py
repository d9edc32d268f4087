"""What the table shows: rows, folds, filter, order and the cursor, which is a key. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Average, Figures
from tokentop.ui import filtering, grouping
from tokentop.ui.cells import has_figures
from tokentop.ui.columns import AS_DECLARED, MINUTE
from tokentop.ui.grouping import Head
from tokentop.ui.ordering import RERANK_MS, Order


class Line(NamedTuple):
    """One line of the table."""

    key: str
    lead: str  # tree lines and fold mark
    hidden: int  # rows folded away below
    match: bool  # False: only here because something below matches the filter


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
        self.group = ""  # what the rows are grouped by, one of `grouping.CYCLE`
        self.heads: dict[str, Head] = {}  # of the groups
        self._member_of: dict[str, str] = {}  # row key -> key of its head, as laid out
        self._top: dict[str, str] = {}
        self._restated: set[str] = set()  # heads that have changed and are to be drawn
        self.window_min = MINUTE  # what tok/min and $/h are averages over
        self.follow = False
        self.folded: set[str] = set()
        self.tags: dict[str, None] = {}  # row keys, in the order in which they were tagged
        self.tags_ended = 0  # since the last change of a tag by a person
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

    # ------------------------------------------------------------ data in

    def feed(self, snapshot: Snapshot) -> Change:
        """Take a snapshot; returns what changed on the screen."""
        new = {row.key: row for row in snapshot.rows}
        lost = self._drop_ended_tags(new) if self.tags else _NO_KEYS
        if self.paused:
            self.changes += len(_changed(self._seen, new)) + len(self._seen.keys() - new.keys())
            self._latest, self._seen = snapshot, new
            return Change(False, lost) if lost else _NOTHING
        self._latest, self._seen = snapshot, new
        change = self._show(snapshot, new)
        return Change(change.structure, change.keys | lost) if lost else change

    def _drop_ended_tags(self, new: dict[str, Row]) -> frozenset[str]:
        """A tag never outlives its session: what is started later under the same name is another one."""
        lost = frozenset(key for key in self.tags if key not in new or new[key].status.state is State.DONE)
        for key in lost:
            del self.tags[key]
        self.tags_ended += len(lost)
        return lost

    def _over_window(self, snapshot: Snapshot, new: dict[str, Row]) -> dict[str, Row]:
        """The rows with the rates of the asked window; until those are there, without any."""
        if self.window_min == MINUTE:
            return new
        known = snapshot.averages if snapshot.window_min == self.window_min else {}
        return {key: over(row, *known.get(key, (None, None))) for key, row in new.items()}

    def set_window(self, minutes: int) -> Change:
        """Show rates over so many minutes; those of the newest snapshot, if it has them."""
        self.window_min = minutes
        self._window_drawn = 0
        return self._catch_up()

    def plain(self, row: Row) -> Row:
        """The row with the rates of the last minute, which are what an action is told."""
        return row if self.window_min == MINUTE else self._seen.get(row.key, row)

    def _show(self, snapshot: Snapshot, new: dict[str, Row]) -> Change:
        new = self._over_window(snapshot, new)
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
        if old.parent_key != new.parent_key:
            return True
        return bool(self.group) and grouping.head_key(self.group, old) != grouping.head_key(self.group, new)

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
        rows: Sequence[Row] = list(self.rows.values())
        if not self.tree:
            rows = [row for row in rows if row.kind != "tool"]
        matched, shown = self._filtered(rows)
        self.matched = (len(matched), len(rows))
        tops = self._into_groups(rows, shown)
        self.versions = {key: self.versions.get(key, 0) for key in (*self.rows, *self.heads)}
        above = [head.row for head in self.heads.values()]
        ordered = self.order.arrange((*rows, *above), self._at_ms, self.tree, tops)
        lines = self._tree_lines(ordered, matched, shown) if self.tree or self.group else [
            Line(row.key, "", 0, True) for row in ordered if row.key in shown
        ]  # fmt: skip
        if lines == self.lines:
            return False
        old, self.lines = self.lines, lines
        self.index = {line.key: at for at, line in enumerate(lines)}
        self._keep_cursor(old)
        return True

    def _into_groups(self, rows: Sequence[Row], shown: frozenset[str]) -> dict[str, str]:
        """Sum the groups of the shown rows up; returns the head of each row that is at the top."""
        if not self.group:
            self.heads, self._member_of, self._top = {}, {}, {}
            return {}
        by_key = {row.key: row for row in rows}
        self._top = grouping.tops(by_key, self.tree)
        head_of = {key: grouping.head_key(self.group, by_key[key]) for key in set(self._top.values())}
        self._member_of = {key: head_of[top] for key, top in self._top.items() if key in shown}
        self.heads = {key: self.heads[key] for key in set(self._member_of.values()) & self.heads.keys()}
        self._restated |= self._sum_up()
        return head_of

    def _sum_up(self) -> frozenset[str]:
        """The sums of the groups as they are laid out; returns the heads that have changed."""
        if not self.group:
            return frozenset()
        members = [row for key in self._member_of if (row := self.rows.get(key)) is not None]
        new = grouping.heads(members, self._member_of, self._top, self.tree)
        changed = frozenset(key for key, head in new.items() if self.heads.get(key) != head)
        self.heads = new
        self._bump(changed)
        return changed

    def _filtered(self, ordered: Sequence[Row]) -> tuple[frozenset[str], frozenset[str]]:
        """Keys that match, and keys to show: those and, in the tree, what stands above them."""
        everything = frozenset(row.key for row in ordered)
        if self._predicate is None:
            return everything, everything
        matched = filtering.matches(ordered, self._predicate)
        if not self.tree:
            return matched, matched
        shown = set(matched)
        for key in matched:
            above = self.rows[key].parent_key
            while above in everything and above not in shown:
                shown.add(above)
                above = self.rows[above].parent_key
        return matched, frozenset(shown)

    def _tree_lines(
        self, ordered: Sequence[Row], matched: frozenset[str], shown: frozenset[str]
    ) -> list[Line]:
        below: dict[str, list[str]] = {}
        for row in ordered:
            if row.key in shown:
                parent = row.parent_key if self.tree and row.parent_key in shown else ""
                parent = "" if parent == row.key else parent
                below.setdefault(parent or self._member_of.get(row.key, ""), []).append(row.key)
            elif row.key in self.heads:
                below.setdefault("", []).append(row.key)
        lines: list[Line] = []
        seen: set[str] = set()
        stack = [(key, "", "") for key in reversed(below.get("", ()))]
        while stack:
            key, indent, branch = stack.pop()
            if key in seen:
                continue
            seen.add(key)
            children = below.get(key, [])
            folded = key in self.folded and bool(children)
            mark = "▸ " if folded else "▾ " if children else "" if branch else "  "
            hidden = _count_below(key, below) if folded else 0
            lines.append(Line(key, indent + branch + mark, hidden, key in matched or key in self.heads))
            if folded:
                continue
            inner = indent + ("│ " if branch == "├ " else "  ")
            if key in self.heads:
                stack.extend((child, inner if self.tree else indent, "") for child in reversed(children))
                continue
            stack.extend(
                (child, inner, "└ " if at == len(children) - 1 else "├ ")
                for at, child in reversed(list(enumerate(children)))
            )
        return lines

    def _keep_cursor(self, old: Sequence[Line]) -> None:
        """The cursor stays on its key; where that left, it goes to the neighbour in the old order."""
        if self.cursor in self.index:
            return
        keys = [line.key for line in old]
        at = keys.index(self.cursor) if self.cursor in keys else -1
        after = next((key for key in keys[at + 1 :] if key in self.index), None) if at >= 0 else None
        before = next((key for key in reversed(keys[: max(at, 0)]) if key in self.index), None)
        first = next((line.key for line in self.lines if line.key in self.rows), None)
        self.cursor = after or before or first or (self.lines[0].key if self.lines else None)

    # ------------------------------------------------------------ commands

    @property
    def selected(self) -> Row | None:
        """The row under the cursor; None on the header of a group, so that nothing can act on it."""
        return self.rows.get(self.cursor) if self.cursor is not None else None

    @property
    def selected_head(self) -> Head | None:
        """The header of a group under the cursor."""
        return self.heads.get(self.cursor) if self.cursor is not None else None

    def drawn(self, key: str) -> Row | None:
        """What a line is drawn from: a row or a header."""
        row = self.rows.get(key)
        if row is None and key in self.heads:
            return self.heads[key].row
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

    # ------------------------------------------------------------ tags

    def tag(self, key: str) -> bool:
        """Tag a row, or take its tag away; False for a row that has ended."""
        self.tags_ended = 0
        if key in self.tags:
            del self.tags[key]
            return True
        return self._tag(key)

    def tag_tree(self, key: str) -> bool:
        """Tag a row and the agents below it; where all of them are, take the tags away. False = nothing to tag.

        Sub-agents live in the process of the agent above them, tools are its own: neither is an agent to act on.
        """
        self.tags_ended = 0
        agents = [one for one in self._below(key) if one == key or self._seen[one].kind == "agent"]
        alive = [one for one in agents if self._seen[one].status.state is not State.DONE]
        if alive and all(one in self.tags for one in alive):
            for one in alive:
                del self.tags[one]
            return True
        return sum(self._tag(one) for one in alive) > 0

    def untag(self) -> None:
        self.tags.clear()
        self.tags_ended = 0

    def _tag(self, key: str) -> bool:
        row = self._seen.get(key)
        if row is None or row.status.state is State.DONE:
            return False
        self.tags[key] = None
        return True

    def _below(self, key: str) -> list[str]:
        """A row and all below it, folded and filtered ones too."""
        if key not in self._seen:
            return []
        below: dict[str, list[str]] = {}
        for row in self._seen.values():
            below.setdefault(row.parent_key, []).append(row.key)
        found = [key]
        for one in found:
            found += [child for child in below.get(one, ()) if child not in found]
        return found

    @property
    def tagged(self) -> list[Row]:
        """The tagged rows as they are now, in the order of the screen; hidden ones come last."""
        keys = sorted(self.tags, key=lambda key: self.index.get(key, len(self.lines)))
        return [self._seen[key] for key in keys if key in self._seen]

    @property
    def tags_hidden(self) -> int:
        """Tagged rows that a filter, a fold or the flat view keeps off the screen."""
        return sum(key not in self.index for key in self.tags)

    # ------------------------------------------------------------ filter, folds

    def set_filter(self, query: str) -> bool:
        """Apply a filter; raises FilterError and keeps the last good one."""
        self._predicate = filtering.parse(query, lambda: self._at_ms)
        self.query = query if self._predicate else ""
        return self.rebuild()

    def fold(self, key: str | None, folded: bool) -> bool:
        """Fold or unfold one row, or (None) all: groups where there are any."""
        parents = {row.parent_key for row in self.rows.values() if row.parent_key}
        if key is not None:
            keys = {key}
        elif folded and self.heads:
            keys = {*self.heads}
        else:
            keys = parents | self.heads.keys()
        if folded:
            self.folded |= keys
        else:
            self.folded -= keys
        return self.rebuild()

    def set_group(self, by: str) -> bool:
        """Group by project, model, agent or ("") nothing."""
        self.group = by
        self.folded = {key for key in self.folded if not key.startswith("group:")}
        self.order.reset()
        return self.rebuild()

    def set_tree(self, tree: bool) -> bool:
        self.tree = tree
        self.order.reset()
        return self.rebuild()


def over(row: Row, own: Average | None, tree: Average | None) -> Row:
    """`row` with the rates of a longer window, None = not known yet; tools and orphans have none."""
    if not has_figures(row):
        return row
    return replace(row, own=_with_rates(row.own, own), tree=_with_rates(row.tree, tree))


def _with_rates(numbers: Figures, average: Average | None) -> Figures:
    if average is None:
        return replace(numbers, tokens_per_min=0.0, reads_per_min=0.0, burn_nusd_per_h=0, rates_known=False)
    return replace(
        numbers, tokens_per_min=average.tokens_per_min, reads_per_min=average.reads_per_min,
        burn_nusd_per_h=average.burn_nusd_per_h,
    )  # fmt: skip


def _changed(old: dict[str, Row], new: dict[str, Row]) -> frozenset[str]:
    out = []
    for key, row in new.items():
        before = old.get(key)
        if before is not row and before != row:
            out.append(key)
    return frozenset(out)


def _count_below(key: str, below: dict[str, list[str]]) -> int:
    count, stack, seen = 0, [key], {key}
    while stack:
        for child in below.get(stack.pop(), ()):
            if child not in seen:
                seen.add(child)
                count += 1
                stack.append(child)
    return count
