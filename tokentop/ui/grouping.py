"""Groups of rows by project, model or agent: a header line with sums above the rows of each. Pure.

A header is drawn from a Row of the kind `group`, but it is none of the snapshot's: nothing can act on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from tokentop import text
from tokentop.nouns.picture import Row, Status
from tokentop.nouns.sessions import State
from tokentop.nouns.usage import Figures, Tokens
from tokentop.ui.cells import figures, has_figures, unread
from tokentop.ui.glyphs import LOOKS

GROUPINGS: dict[str, Callable[[Row], str]] = {
    "project": lambda row: row.project,
    "model": lambda row: text.short_model(row.model),
    "agent": lambda row: row.agent,
}
CYCLE = ("", *GROUPINGS)


class Head(NamedTuple):
    """A header: what is drawn of it, how many agents of the group are in which state, and how many make no progress."""

    row: Row
    counts: tuple[tuple[State, int], ...]
    stuck: int = 0


class Groups:
    """The headers of the rows that are shown, and which row stands below which of them."""

    def __init__(self) -> None:
        self.by = ""  # what the rows are grouped by, one of `CYCLE`
        self.heads: dict[str, Head] = {}
        self.member_of: dict[str, str] = {}  # row key -> key of its header, as laid out
        self.head_of: dict[str, str] = {}  # the same for each row at the top, shown or not
        self.alerts: Mapping[str, int] = {}  # row key -> since when it spends without progress
        self._top: dict[str, str] = {}
        self._tree = False

    def lay_out(self, rows: Mapping[str, Row], shown: frozenset[str], tree: bool) -> frozenset[str]:
        """Put the shown rows into groups; returns the headers that have changed."""
        if not self.by:
            self.heads, self.member_of, self.head_of, self._top = {}, {}, {}, {}
            return frozenset()
        self._tree = tree
        self._top = tops(rows, tree)
        self.head_of = {key: head_key(self.by, rows[key]) for key in set(self._top.values())}
        self.member_of = {key: self.head_of[top] for key, top in self._top.items() if key in shown}
        return self.sum_up(rows)

    def sum_up(self, rows: Mapping[str, Row]) -> frozenset[str]:
        """The sums of the groups as they are laid out; returns the headers that have changed."""
        if not self.by:
            return frozenset()
        members = [row for key in self.member_of if (row := rows.get(key)) is not None]
        new = heads(members, self.member_of, self._top, self._tree, self.alerts)
        changed = frozenset(key for key, head in new.items() if self.heads.get(key) != head)
        self.heads = new
        return changed

    def parted(self, old: Row, new: Row) -> bool:
        """Whether a row belongs to another group than before."""
        return bool(self.by) and head_key(self.by, old) != head_key(self.by, new)


def head_key(by: str, row: Row) -> str:
    """The key of the header that a top row stands below."""
    return f"group:{by}:{GROUPINGS[by](row)}"


def tops(rows: Mapping[str, Row], tree: bool) -> dict[str, str]:
    """For each row the key of the row at the top that it hangs below; in a flat view its own."""
    if not tree:
        return {key: key for key in rows}
    found: dict[str, str] = {}
    for key in rows:
        way = [key]
        while way[-1] not in found:
            parent = rows[way[-1]].parent_key
            if parent not in rows or parent in way:
                found[way[-1]] = way[-1]
                break
            way.append(parent)
        found.update(dict.fromkeys(way, found[way[-1]]))
    return found


def heads(
    rows: Iterable[Row], member_of: Mapping[str, str], top: Mapping[str, str], tree: bool, alerts: Mapping[str, int]
) -> dict[str, Head]:  # fmt: skip
    """The headers of `rows` by key. `member_of` = header of each row, `top` as of `tops`."""
    members: dict[str, list[Row]] = {}
    for row in rows:
        members.setdefault(member_of[row.key], []).append(row)
    return {key: _head(key, found, top, tree, alerts) for key, found in members.items()}


def _head(
    key: str, members: list[Row], top: Mapping[str, str], tree: bool, alerts: Mapping[str, int]
) -> Head:
    _, by, name = key.split(":", 2)
    summed = [row for row in members if top[row.key] == row.key and has_figures(row)]
    numbers = total([figures(row, tree) for row in summed if not unread(row, tree)])
    silent = sum(unread(row, tree) for row in summed)
    if silent:  # what they spend is not known: the sum is a lower bound
        numbers = replace(numbers, unknown_calls=numbers.unknown_calls + silent)
    agents = [row for row in members if row.kind in {"agent", "orphan"}]
    found = Counter(row.status.state for row in agents)
    counts = tuple((state, found[state]) for state in sorted(found, key=lambda s: LOOKS[s].rank))
    stuck = sum(row.key in alerts for row in members)
    state = counts[0][0] if counts else State.UNKNOWN
    if stuck and LOOKS[state].rank > LOOKS[State.ERROR].rank:
        state = State.ERROR  # by which it is sorted, as the row itself
    row = Row(
        key=key,
        parent_key="",
        depth=0,
        kind="group",
        agent=name if by == "agent" else "",
        session_id=key,
        title=name or f"(no {by})",
        project=name if by == "project" else "",
        cwd="",
        branch="",
        model=name if by == "model" else "",
        status=Status(state),
        own=numbers,
        tree=numbers,
        spark=(),
        context_used=None,
        context_window=0,
        started_ms=0,
        last_ms=max((row.last_ms for row in summed if not unread(row, tree)), default=0),
    )
    return Head(row, counts, stuck)


def total(parts: Iterable[Figures]) -> Figures:
    """The sum; its rates are known where all of them are."""
    tokens, counts, rates, estimated, known = Tokens(), [0, 0, 0, 0, 0], [0.0, 0.0], False, True
    for part in parts:
        tokens += part.tokens
        numbers = (
            part.responses,
            part.cost_nusd,
            part.unpriced_tokens,
            part.unknown_calls,
            part.burn_nusd_per_h,
        )
        counts = [a + b for a, b in zip(counts, numbers, strict=True)]
        rates = [rates[0] + part.tokens_per_min, rates[1] + part.reads_per_min]
        estimated, known = estimated or part.estimated, known and part.rates_known
    responses, cost, unpriced, unknown, burn = counts
    return Figures(tokens, responses, cost, unpriced, estimated, unknown, rates[0], rates[1], burn, known)
