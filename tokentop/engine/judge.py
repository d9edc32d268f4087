"""Which rows fulfil the condition of which rule, and why. Pure but for its memory of how long.

Unknown is not zero: a cost that no price gives, a progress that no tool name tells and a context of unknown size
fulfil nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import State
from tokentop.settings.rulebook import (
    NUSD,
    BurnRate,
    ContextFull,
    DayBudget,
    Idle,
    Loop,
    NoProgress,
    Orphan,
    Rule,
    Rules,
    SessionCost,
    Waiting,
)
from tokentop.text import clean

DIP_MS = 120_000  # a condition that is back within two minutes has held on
JUMP_MS = 120_000  # two pictures further apart: the clock was set or the machine slept

_RUNS = frozenset({State.WORKING, State.TOOL})
_WAITS = frozenset({State.PERMISSION, State.INPUT})


class Hit(Struct, frozen=True):
    """A row that fulfils a rule's condition now. `sure` False: this rests on an inferred status."""

    row: Row
    why: str
    sure: bool = True


class Judge:
    """Looks at one picture after the other; pictures must come at least every two minutes."""

    def __init__(self, rules: Rules) -> None:
        self._rules = [(name, rule) for name, rule in rules.items() if rule.on]
        self._held: dict[tuple[str, str], tuple[int, int]] = {}  # since when, when it was last so
        self._at_ms = 0
        self._floor_ms = 0  # after a jump of the clock nothing has lasted longer than since then

    def look(self, snapshot: Snapshot) -> dict[tuple[str, str], Hit]:
        """Return (rule, row key) -> hit of all rules that are on."""
        at_ms = snapshot.at_ms
        if self._at_ms and not 0 <= at_ms - self._at_ms <= JUMP_MS:
            self._floor_ms = at_ms
            self._held.clear()
        self._at_ms = at_ms
        self._held = {key: held for key, held in self._held.items() if at_ms - held[1] <= DIP_MS}
        found: dict[tuple[str, str], Hit] = {}
        for name, rule in self._rules:
            for hit in self._hits(name, rule, snapshot):
                if may_hit(rule, hit.row):
                    found[(name, hit.row.key)] = hit
        return found

    def _hits(self, name: str, rule: Rule, snapshot: Snapshot) -> Iterator[Hit]:
        rows = snapshot.rows
        match rule:
            case SessionCost():
                return _cost(rule, rows)
            case BurnRate():
                return self._burns(name, rule, rows)
            case DayBudget():
                return _over_budget(rule, snapshot)
            case NoProgress():
                return self._without_progress(name, rule, snapshot)
            case Loop():
                return _loops(rule, rows)
            case Waiting():
                return self._waits(rule, rows)
            case Idle():
                return self._idles(rule, rows)
            case Orphan():
                return self._orphans(name, rule, rows)
            case ContextFull():
                return _full(rule, rows)
            case _:
                raise TypeError(f"no condition for {name}")

    def _burns(self, name: str, rule: BurnRate, rows: tuple[Row, ...]) -> Iterator[Hit]:
        for row in _roots(rows):
            burns = row.tree.burn_nusd_per_h >= rule.usd_per_h * NUSD > 0
            lasted_ms = self._lasted(name, row.key, burns)
            # Usage is logged when a call ends: in a dip it still burns if it works, not if it rests.
            if lasted_ms is not None and lasted_ms >= rule.minutes * 60_000 and (burns or _runs(row)):
                yield Hit(row, f"burns over ${rule.usd_per_h:,g}/h for {_span(lasted_ms)}")

    def _waits(self, rule: Waiting, rows: tuple[Row, ...]) -> Iterator[Hit]:
        for row in _agents(rows):
            waits_ms = self._since(row.status.since_ms)
            if row.status.state in _WAITS and waits_ms >= rule.minutes * 60_000:
                yield Hit(row, f"waits for a person for {_span(waits_ms)}", not row.status.inferred)

    def _idles(self, rule: Idle, rows: tuple[Row, ...]) -> Iterator[Hit]:
        for row in _agents(rows):
            idle_ms = self._since(row.status.since_ms)
            if row.status.state is State.IDLE and row.pid and idle_ms >= rule.hours * 3_600_000:
                yield Hit(row, f"idle in memory for {_span(idle_ms)}", not row.status.inferred)

    def _orphans(self, name: str, rule: Orphan, rows: tuple[Row, ...]) -> Iterator[Hit]:
        for row in rows:
            if row.kind != "orphan":
                continue
            lasted_ms = self._lasted(name, row.key, row.cpu_pct >= rule.cpu_pct)
            if lasted_ms is not None and lasted_ms >= rule.minutes * 60_000:
                yield Hit(row, f"an orphan that uses {row.cpu_pct:.0f} % CPU for {_span(lasted_ms)}")

    def _without_progress(self, name: str, rule: NoProgress, snapshot: Snapshot) -> Iterator[Hit]:
        for row in _roots(snapshot.rows):
            spends = row.tree.burn_nusd_per_h >= rule.usd_per_h * NUSD > 0
            known = row.unchanged_since_ms
            if self._lasted(name, row.key, spends and known > 0) is None or not known:
                continue
            if not spends and not _runs(row):
                continue
            quiet_ms = self._since(known)
            if quiet_ms >= rule.minutes * 60_000:
                rate = row.tree.burn_nusd_per_h / NUSD
                yield Hit(row, f"no file changed for {_span(quiet_ms)} while it spends ${rate:,.2f}/h")

    def _since(self, since_ms: int) -> int:
        """How long something has lasted that its log dates; never longer than since a jump of the clock."""
        return self._at_ms - max(since_ms, self._floor_ms) if since_ms > 0 else -1

    def _lasted(self, name: str, key: str, holds: bool) -> int | None:
        """How long it has been so by what we saw ourselves, short dips included; None = not so."""
        since, last = self._held.get((name, key), (self._at_ms, 0))
        if holds:
            last = self._at_ms
        if not last:
            return None
        self._held[(name, key)] = (since, last)
        return self._at_ms - since


def may_hit(rule: Rule, row: Row) -> bool:
    """Whether the rule's lists let it hit this row."""
    if any(is_named(row.agent, row.session_id, row.project, row.cwd, name) for name in rule.allow):
        return False
    return not rule.only or any(
        is_named(row.agent, row.session_id, row.project, row.cwd, name) for name in rule.only
    )


def is_named(agent: str, session_id: str, project: str, cwd: str, name: str) -> bool:
    """Whether `project:NAME or folder`, `agent:ID` or `session:ID or its beginning` means this session."""
    kind, _, value = name.partition(":")
    if kind == "agent":
        return agent == value
    if kind == "session":
        return bool(session_id) and session_id.startswith(value)
    folder = value.rstrip("/")
    return project == value or (folder.startswith("/") and f"{cwd.rstrip('/')}/".startswith(f"{folder}/"))


def _agents(rows: tuple[Row, ...]) -> Iterator[Row]:
    return (row for row in rows if row.kind == "agent")


def _roots(rows: tuple[Row, ...]) -> Iterator[Row]:
    """A nested agent is a part of the tree above it: it is judged, and ended, with its root."""
    return (row for row in rows if row.kind == "agent" and row.depth == 0)


def _runs(row: Row) -> bool:
    return row.status.state in _RUNS


def _cost(rule: SessionCost, rows: tuple[Row, ...]) -> Iterator[Hit]:
    for row in _roots(rows):
        if 0 < rule.usd * NUSD < row.tree.cost_nusd and _runs(row):
            least = "at least " if row.tree.unpriced_tokens or row.tree.unknown_calls else ""
            why = f"has cost {least}${row.tree.cost_nusd / NUSD:,.2f}, over ${rule.usd:,.2f}"
            yield Hit(row, why)


def _over_budget(rule: DayBudget, snapshot: Snapshot) -> Iterator[Hit]:
    spent = snapshot.today.cost_nusd
    if 0 < rule.usd * NUSD < spent:
        why = f"over the budget of the day: ${spent / NUSD:,.2f} of ${rule.usd:,.2f}"
        for row in _roots(snapshot.rows):
            if _runs(row):
                yield Hit(row, why)


def _loops(rule: Loop, rows: tuple[Row, ...]) -> Iterator[Hit]:
    """A sub-agent in a loop is stopped through the agent above it that has a process."""
    by_key = {row.key: row for row in rows}
    for row in rows:
        if row.same_calls < rule.times or row.status.state is State.DONE:
            continue
        above = row
        while above.kind == "sub-agent" and above.parent_key in by_key:
            above = by_key[above.parent_key]
        if above.kind == "agent":
            yield Hit(above, f"the same call {row.same_calls} times in a row: {clean(row.same_call, 60)}")


def _full(rule: ContextFull, rows: tuple[Row, ...]) -> Iterator[Hit]:
    for row in _agents(rows):
        if row.context_used is None or row.context_window <= 0 or row.status.state is State.DONE:
            continue
        used = 100 * row.context_used / row.context_window
        if used >= rule.pct and row.compactions >= rule.compactions:
            yield Hit(row, f"context {used:.0f} % full, compacted {row.compactions} times within the hour")


def _span(ms: int) -> str:
    minutes = ms // 60_000
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 2_880 else f"{minutes // 1440} d"
