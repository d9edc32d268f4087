"""Alerts of the live screen: what deserves a look. They act on nothing. Pure but for its memory of since."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from tokentop.nouns.money import Budget
from tokentop.nouns.picture import Alert, Row
from tokentop.nouns.sessions import State
from tokentop.text import at_clock

NUSD = 1_000_000_000
NEAR_BUDGET = 0.8  # an alert from this share of a budget on, another text from the whole
DIP_MS = 120_000  # usage reaches the log when a call ends: between two long calls the burn rate dips


class Thresholds(Struct, frozen=True):
    """When an alert begins. 0 turns that alert off."""

    runaway_nusd_per_h: int = 50 * NUSD
    runaway_ms: int = 300_000
    context_pct: float = 90.0
    no_progress_ms: int = 600_000


class Rules:
    """Evaluates the rows of each snapshot; remembers since when each condition has held."""

    def __init__(self, thresholds: Thresholds) -> None:
        self.thresholds = thresholds
        self._since: dict[tuple[str, str], int] = {}
        self._burning: dict[
            str, tuple[int, int]
        ] = {}  # row key -> (over the threshold since, last seen over)

    def evaluate(
        self, rows: Iterable[Row], budgets: Iterable[Budget], unpriced: dict[str, str], at_ms: int
    ) -> tuple[Alert, ...]:
        """Return the alerts that hold at `at_ms`, oldest first.

        `unpriced` maps a row key to the model in use that has no price.
        """
        found: dict[tuple[str, str], tuple[str, int]] = {}
        burning: dict[str, tuple[int, int]] = {}
        for row in rows:
            for kind, text, since_ms in self._of_row(row, burning, at_ms):
                found[(kind, row.key)] = (text, since_ms)
            if row.key in unpriced:
                found[("unpriced", row.key)] = (f"no price for {unpriced[row.key]}: its cost is unknown", 0)
        for budget in budgets:
            if budget.used >= NEAR_BUDGET and budget.start_ms <= at_ms < budget.end_ms:
                found[("budget", f"budget:{budget.label}")] = (_of_budget(budget, at_ms), 0)
        self._burning = burning
        self._since = {key: min(self._since.get(key, at_ms), at_ms) for key in found}
        alerts = [
            Alert(kind, row_key, text, min(since_ms or self._since[(kind, row_key)], at_ms))
            for (kind, row_key), (text, since_ms) in found.items()
        ]
        return tuple(sorted(alerts, key=lambda a: (a.since_ms, a.kind, a.row_key)))

    def _runs_away(self, row: Row, burning: dict[str, tuple[int, int]], at_ms: int) -> int | None:
        """Return since when a tree of agents burns over the threshold, dips of two minutes included."""
        threshold = self.thresholds.runaway_nusd_per_h
        if row.depth or not threshold:
            return None
        since, over_ms = self._burning.get(row.key, (at_ms, 0))
        if row.tree.burn_nusd_per_h >= threshold:
            over_ms = at_ms
        if not over_ms or at_ms - over_ms > DIP_MS:
            return None
        burning[row.key] = (min(since, at_ms), over_ms)
        return min(since, at_ms)

    def _of_row(
        self, row: Row, burning: dict[str, tuple[int, int]], at_ms: int
    ) -> Iterable[tuple[str, str, int]]:
        limits = self.thresholds
        since = self._runs_away(row, burning, at_ms)
        if since is not None and at_ms - since >= limits.runaway_ms:
            minutes = (at_ms - since) // 60_000
            yield "runaway", f"burns over ${limits.runaway_nusd_per_h / NUSD:.0f}/h for {minutes} min", since
        still_ms = at_ms - row.unchanged_since_ms if row.unchanged_since_ms else 0
        spends = bool(row.unchanged_nusd) or row.tree.tokens_per_min > 0
        if limits.no_progress_ms and still_ms >= limits.no_progress_ms and spends and _works(row):
            spent = (
                f"${row.unchanged_nusd / NUSD:.2f}" if row.unchanged_nusd is not None else "an unknown sum"
            )
            yield "no-progress", f"spent {spent} without a change to a file", row.unchanged_since_ms
        if row.context_used is not None and row.context_window > 0 and limits.context_pct:
            used = 100 * row.context_used / row.context_window
            if used >= limits.context_pct and row.status.state is not State.DONE:
                yield "context", f"context {used:.0f} % full", 0
        state = row.status.state
        if state is State.PERMISSION:
            guess = "probably " if row.status.inferred else ""
            what = f": {row.status.detail}" if row.status.detail else ""
            yield "permission", f"{guess}waits for a permission{what}", row.status.since_ms
        elif state is State.LIMITED:
            what = f": {row.status.detail}" if row.status.detail else ""
            yield "limited", f"held back by a limit{what}", row.status.since_ms
        running = row.status.state in {State.WORKING, State.TOOL, State.PERMISSION}
        if (lost := row.own.unknown_calls - running) > 0:  # the step that runs has no usage yet
            calls = "1 call" if lost == 1 else f"{lost} calls"
            yield "lost", f"{calls} ended without usage in the log: cost unknown", 0


def _of_budget(budget: Budget, at_ms: int) -> str:
    spent = f"${budget.spent_nusd / NUSD:.2f} of ${budget.amount_nusd / NUSD:.2f}"
    if budget.used >= 1:
        return f"over the budget of the {budget.label}: {spent}"
    end = f", exhausted {at_clock(budget.exhausted_ms, at_ms)}" if budget.exhausted_ms > at_ms else ""
    return f"{100 * budget.used:.0f} % of the budget of the {budget.label}: {spent}{end}"


def _works(row: Row) -> bool:
    return row.status.state in {State.WORKING, State.TOOL}
