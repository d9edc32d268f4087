"""In which order the rows stand: sorting that keeps still. Pure.

Rows move only when a re-rank is due (every 3 s) and only past a neighbour that they beat by more
than 5 %; so a cursor is not carried about by noise. Of very many rows each is sorted by a figure that it
keeps until its own has moved by more than 5 %: as still, at a fraction of the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tokentop.nouns.money import Quota
from tokentop.nouns.picture import Row, Snapshot
from tokentop.ui.cells import Scene, most_urgent
from tokentop.ui.columns import BY_ID, SORTS, SortKey

RERANK_MS = 3000
GAP = 0.05
_LOOK_BACK = 8
MANY = 250  # siblings; to compare each with those about it took a third of the screen's CPU for a thousand

_NO_KEY: SortKey = (0, 0.0, "")
_TOOLS = 100


class Order:
    """Remembers the order of the siblings under each parent ("" = top)."""

    def __init__(self) -> None:
        self.sort_id = "status"
        self.reverse = False
        self.limits: Mapping[str, Quota] = {}  # agent -> the fullest limit of who sets its limits
        self.alerts: Mapping[str, int] = {}  # row key -> since when it spends without progress
        self._ranked_ms = -RERANK_MS
        self._siblings: dict[str, list[str]] = {}
        self._held: dict[str, SortKey] = {}  # of very many: what each is sorted by

    def sort_by(self, sort_id: str) -> None:
        """Choose a column; the same one again turns the order round."""
        if sort_id == self.sort_id:
            self.reverse = not self.reverse
        else:
            self.sort_id, self.reverse = sort_id, False
        self.reset()

    def step(self, by: int, shown: Sequence[str] = ()) -> None:
        """The next sortable column to the right or left, of those that are shown (none told: of all)."""
        ids = [column.id for column in SORTS if not shown or column.id in shown]
        ids = sorted(ids, key=shown.index) if shown else ids
        at = ids.index(self.sort_id) if self.sort_id in ids else -1 if by > 0 else 0
        self.sort_id = ids[(at + by) % len(ids)]
        self.reverse = False
        self.reset()

    def see_limits(self, snapshot: Snapshot) -> bool:
        """Take the limits of the rows; True where they have changed."""
        before = self.limits
        agents = {row.agent for row in snapshot.rows}
        self.limits = most_urgent(snapshot.quotas, agents, snapshot.at_ms)
        return self.limits != before

    def see_alerts(self, snapshot: Snapshot) -> None:
        """Take which rows spend without progress: they stand with those that need somebody."""
        self.alerts = {a.row_key: a.since_ms for a in snapshot.alerts if a.kind == "no-progress"}

    def reset(self) -> None:
        """Rank anew at the next chance, without regard to the old order."""
        self._siblings, self._held = {}, {}
        self._ranked_ms = -RERANK_MS

    def arrange(
        self, rows: Sequence[Row], at_ms: int, tree: bool, heads: Mapping[str, str] | None = None
    ) -> list[Row]:
        """All rows in display order: every parent before what is below it.

        `heads` names the group header (one of `rows`) above each row that would else be at the top.
        """
        by_key = {row.key: row for row in rows}
        scene = Scene(at_ms, 0, tree, self.alerts, self.limits)
        groups: dict[str, list[Row]] = {}
        for row in rows:
            parent = row.parent_key if tree and row.parent_key in by_key else ""
            if not parent and heads:
                parent = heads.get(row.key, "")
            groups.setdefault("" if parent == row.key else parent, []).append(row)
        due = not 0 <= at_ms - self._ranked_ms < RERANK_MS
        if due:
            self._ranked_ms = at_ms
            self._held = {key: held for key, held in self._held.items() if key in by_key}
        order = {
            parent: self._rank(parent, siblings, by_key, due, scene) for parent, siblings in groups.items()
        }
        self._siblings = order
        return [by_key[key] for key in _walk(order, len(rows))]

    def _rank(
        self, parent: str, siblings: list[Row], by_key: Mapping[str, Row], due: bool, scene: Scene
    ) -> list[str]:
        names = {row.key for row in siblings}
        old = [key for key in self._siblings.get(parent, ()) if key in names]
        if len(old) == len(names) and not due:
            return old
        keys = {row.key: self._key(row, scene) for row in siblings}
        known = set(old)
        fresh = sorted((key for key in keys if key not in known), key=lambda k: self._plain(keys, by_key, k))
        if not old:
            return fresh
        if due and len(keys) > MANY:
            return self._settle_many([*old, *fresh], keys)
        ranked = self._settle(old, keys) if due else old
        for key in fresh:
            ranked.insert(_place(ranked, key, keys, self.reverse, look_back=len(ranked)), key)
        return ranked

    def _settle_many(self, old: Iterable[str], keys: Mapping[str, SortKey]) -> list[str]:
        held = self._held
        plain: dict[str, tuple[int, str, float]] = {}
        for key, now in keys.items():
            group, number, word = held.get(key, _NO_KEY)
            if group != now[0] or word != now[2] or _is_clear(number, now[1]):
                held[key] = group, number, word = now
            plain[key] = group, word, -number
        return sorted(old, key=plain.__getitem__, reverse=self.reverse)

    def _settle(self, old: Iterable[str], keys: Mapping[str, SortKey]) -> list[str]:
        """Most keys beat nobody: who does not beat the weakest of those just above it stays below them all."""
        ranked: list[str] = []
        plain: list[tuple[int, str, float]] = []  # of `ranked`, larger = weaker, or stronger in reverse
        weakest = min if self.reverse else max
        for key in old:
            group, number, word = keys[key]
            place = len(ranked)
            if ranked:
                its_group, its_word, its_number = weakest(plain[-_LOOK_BACK:])
                if _beats((group, number, word), (its_group, -its_number, its_word), self.reverse):
                    place = _place(ranked, key, keys, self.reverse, _LOOK_BACK)
            ranked.insert(place, key)
            plain.insert(place, (group, word, -number))
        return ranked

    def _key(self, row: Row, scene: Scene) -> SortKey:
        sort = BY_ID[self.sort_id].sort
        group, number, word = sort(row, scene) if sort else _NO_KEY
        if row.kind == "tool":  # below the sessions beside it, whichever way the order runs
            group += -_TOOLS if self.reverse else _TOOLS
        return group, number, word

    def _plain(
        self, keys: Mapping[str, SortKey], by_key: Mapping[str, Row], key: str
    ) -> tuple[int, float, tuple[int, ...], int, str]:
        group, number, word = keys[key]
        turn = -1 if self.reverse else 1
        letters = tuple(turn * ord(c) for c in word[:64])
        return turn * group, -turn * number, letters, -by_key[key].started_ms, key


def _place(ranked: list[str], key: str, keys: Mapping[str, SortKey], reverse: bool, look_back: int) -> int:
    """Where `key` belongs: above the highest entry that it clearly beats; give up after `look_back` others."""
    place = at = len(ranked)
    missed = 0
    while at > 0 and missed < look_back:
        at -= 1
        if _beats(keys[key], keys[ranked[at]], reverse):
            place, missed = at, 0
        else:
            missed += 1
    return place


def _beats(one: SortKey, other: SortKey, reverse: bool) -> bool:
    if reverse:
        one, other = other, one
    if one[0] != other[0]:
        return one[0] < other[0]
    if one[2] != other[2]:
        return one[2] < other[2]
    return one[1] > other[1] and _is_clear(one[1], other[1])


def _is_clear(one: float, other: float) -> bool:
    """Whether two numbers differ by more than noise."""
    return abs(one - other) > GAP * max(abs(one), abs(other))


def _walk(order: Mapping[str, list[str]], count: int) -> list[str]:
    """Depth first from the top; rows that only hang on each other (a cycle) come at the end."""
    out: list[str] = []
    seen: set[str] = set()

    def descend(roots: Sequence[str]) -> None:
        stack = list(reversed(roots))
        while stack:
            key = stack.pop()
            if key in seen:
                continue
            seen.add(key)
            out.append(key)
            stack.extend(reversed(order.get(key, ())))

    descend(order.get("", ()))
    if len(out) < count:
        for siblings in order.values():
            descend(siblings)
    return out
