"""The region above the table: tokens and money over the last hour, and how full the limits are."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal

from tokentop import text
from tokentop.nouns.picture import Snapshot
from tokentop.ui.columns import MINUTE
from tokentop.ui.layout import Layout
from tokentop.ui.widgets.graph import SEPARATOR, Graph, nice_top
from tokentop.ui.widgets.limits import Limits


class Overview(Horizontal):
    """Two graphs and the limits, as far as there is room."""

    DEFAULT_CSS = "Overview { height: 5; }"

    def __init__(self, ascii_only: bool) -> None:
        super().__init__()
        self._rate = Graph("tok/min, 60 min", ascii_only, id="rate")
        self._burn = Graph("$/h, 60 min", ascii_only, id="burn")
        self._limits = Limits()

    def compose(self) -> ComposeResult:
        yield self._rate
        yield self._burn
        yield self._limits

    def fit(self, plan: Layout) -> None:
        self.display = plan.graphs > 0
        self.styles.height = plan.graphs
        self._burn.display = plan.burn_graph
        self._limits.display = plan.limits > 0
        self._limits.styles.width = plan.limits

    def set_ascii(self, ascii_only: bool) -> None:
        self._rate.set_ascii(ascii_only)
        self._burn.set_ascii(ascii_only)

    def show(self, snapshot: Snapshot, now_ms: int, window_min: int) -> None:
        """`window_min` = what the rates of the table are averages over; here they are those of the last minute."""
        over = "" if window_min == MINUTE else "last 60 s "
        self._show_rate(snapshot, over)
        self._show_burn(snapshot, over or "now ")
        self._limits.show(snapshot.quotas, now_ms)

    def _show_rate(self, snapshot: Snapshot, over: str) -> None:
        series = snapshot.series
        fresh = tuple(
            sum(parts)
            for parts in zip(series.output_per_min, series.writes_per_min, series.input_per_min, strict=True)
        )
        top = nice_top(max(fresh, default=0.0))
        self._rate.show(fresh, top, text.trimmed(text.digits3(top)), _kinds(snapshot, over))

    def _show_burn(self, snapshot: Snapshot, now: str) -> None:
        burn = snapshot.series.burn_nusd_per_h
        top = nice_top(max(burn, default=0.0) / 1e9) * 1e9
        label = text.trimmed(text.money(int(top))) if top else ""
        self._burn.show(burn, top, label, f"{now}{text.money(snapshot.totals.burn_nusd_per_h)}")


def _kinds(snapshot: Snapshot, over: str) -> str:
    """What the rate of the head is made of, and what is read beside it."""
    rates = (*snapshot.series.minute, snapshot.totals.reads_per_min)
    names = ("output", "writes", "input", "reads") if snapshot.series.minute else ("reads",)
    shown = (f"{name} {text.rate(per_min)}" for name, per_min in zip(names, rates, strict=True))
    return over + SEPARATOR.join(shown)
