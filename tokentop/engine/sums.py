"""Totals of counters, whether they are sent as differences (delta) or as running sums (cumulative). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tokentop.nouns.telemetry import Counter

MAX_SERIES = 10_000


class Sums:
    """Totals by agent and kind. A point that is sent again counts once; a sum that begins anew goes on from there."""

    def __init__(self, totals: dict[str, dict[str, int]] | None = None) -> None:
        self.totals = {} if totals is None else totals
        self._last: dict[int, tuple[int, int, int]] = {}  # series -> start, time, value of its newest point

    def add(self, counters: Iterable[Counter]) -> None:
        for one in counters:
            start_ns, at_ns, value = self._last.get(one.series, (0, 0, 0))
            if one.at_ns <= at_ns and one.at_ns:
                continue  # sent again, or overtaken
            grown = one.value
            if one.cumulative and start_ns == one.start_ns:
                grown = max(0, one.value - value)
            if one.series not in self._last and len(self._last) >= MAX_SERIES:
                del self._last[next(iter(self._last))]
            self._last[one.series] = one.start_ns, one.at_ns, one.value
            kinds = self.totals.setdefault(one.agent, {})
            kinds[one.kind] = kinds.get(one.kind, 0) + grown
