"""Rows with their rates over a longer window than the last minute. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.usage import Average, Figures
from tokentop.ui.cells import has_figures
from tokentop.ui.columns import MINUTE


def over_window(rows: dict[str, Row], snapshot: Snapshot, minutes: int) -> dict[str, Row]:
    """The rows with the rates of the asked window; until the snapshot has those, without any."""
    if minutes == MINUTE:
        return rows
    known: Mapping[str, tuple[Average | None, Average | None]] = (
        snapshot.averages if snapshot.window_min == minutes else {}
    )
    return {key: _over(row, *known.get(key, (None, None))) for key, row in rows.items()}


def _over(row: Row, own: Average | None, tree: Average | None) -> Row:
    """None = not known yet; tools and orphans have no rates."""
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
