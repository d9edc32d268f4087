"""The live screen: totals, graphs, table, drawer, footer. What its keys do is in `liveactions`."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.geometry import Region
from textual.strip import Strip
from textual.widgets import Input

from tokentop import text
from tokentop.nouns.looks import Look
from tokentop.nouns.picture import Alert, Row, Snapshot
from tokentop.ui import facts, keys, remembered
from tokentop.ui.cells import most_urgent
from tokentop.ui.columns import MINUTE, place
from tokentop.ui.drawer import drawer
from tokentop.ui.filtering import FilterError
from tokentop.ui.layout import Layout, layout
from tokentop.ui.paint import BareContainer, BareVertical, bare_lines
from tokentop.ui.screens.liveactions import LiveActions
from tokentop.ui.source import UiOptions
from tokentop.ui.view import Change, View
from tokentop.ui.widgets.countdown import Countdowns, lift_toasts
from tokentop.ui.widgets.detail import Detail
from tokentop.ui.widgets.empty import Empty
from tokentop.ui.widgets.filterline import FilterInput, FilterLine
from tokentop.ui.widgets.footer import KeyFooter
from tokentop.ui.widgets.graph import SEPARATOR, Graph, nice_top
from tokentop.ui.widgets.limits import Limits
from tokentop.ui.widgets.strip import TotalsStrip
from tokentop.ui.widgets.table import LiveTable, TableHead, name_of

_BLURRED_S = 5.0
_TICK_S = 1.0
_JOIN_S = 0.2
_MANY = 10  # changed rows in one picture


class LiveScreen(LiveActions):
    """Draws the newest Snapshot; only `show` changes what is on it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.help, show=False, id=key.id) for key in keys.KEYS
    ]
    AUTO_FOCUS = "LiveTable"
    HOLDS = True  # no line moves behind a dialog
    keys_at_once = True  # each is carried out before the next one is looked at
    DEFAULT_CSS = """
    LiveScreen #top { height: 5; }
    LiveScreen #body { layout: vertical; height: 1fr; }
    LiveScreen #body.right { layout: horizontal; }
    LiveScreen #main { height: 1fr; width: 1fr; }
    LiveScreen Detail { display: none; }
    LiveScreen Detail.open { display: block; }
    """

    def __init__(self, options: UiOptions, label: str, read_only: bool) -> None:
        super().__init__()
        self.options = options
        self.read_only = read_only
        ascii_only = options.ascii
        self.view = View()
        self.snapshot: Snapshot | None = None
        self.received_s = 0.0
        self.totals = TotalsStrip(label)
        self.rate_graph = Graph("tok/min, 60 min", ascii_only, id="rate")
        self.burn_graph = Graph("$/h, 60 min", ascii_only, id="burn")
        self.limits = Limits()
        self.table = LiveTable(self.view, options.refresh_s)
        self.head = TableHead(self.table)
        self.empty = Empty()
        self.detail = Detail()
        self.countdowns = Countdowns()
        self.filter_line = FilterLine(self.leave_filter)
        self.key_footer = KeyFooter()
        self.drawer_open = False
        self._layout: Layout | None = None
        self._ticked_s = 0.0
        self.changed_by_hand = False  # a state that arrives late does not undo what a person has set
        self._joined = False  # the last tick came with data
        self._faulty = False  # what is typed as a filter cannot be understood

    def render_lines(self, crop: Region) -> list[Strip]:
        return bare_lines(self, crop)

    def compose(self) -> ComposeResult:
        yield self.totals
        with Horizontal(id="top"):
            yield self.rate_graph
            yield self.burn_graph
            yield self.limits
        with BareContainer(id="body"):
            with BareVertical(id="main"):
                yield self.head
                yield self.table
                yield self.empty
            yield self.detail
        yield self.countdowns
        yield self.filter_line
        yield self.key_footer

    def on_mount(self) -> None:
        self._fit()
        self.redraw()
        self.set_interval(_TICK_S, self._tick)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.table.forget())

    # ------------------------------------------------------------ time and data

    def now_ms(self) -> int:
        """The source's clock: its newest time and what has passed since."""
        if self.snapshot is None:
            return 0
        return self.snapshot.at_ms + int((time.monotonic() - self.received_s) * 1000)

    def show(self, snapshot: Snapshot) -> None:
        """Take a new picture; the table at once, everything else at the next second."""
        first = self.snapshot is None
        self.snapshot, self.received_s = snapshot, time.monotonic()
        self.table.now_ms = self.now_ms()
        self.table.alerts = {
            alert.row_key: alert.since_ms for alert in snapshot.alerts if alert.kind == "no-progress"
        }
        self._show_countdowns()
        self._follow_limits(snapshot)
        change = self.view.feed(snapshot)
        if change.structure or change.keys:
            self.table.apply(change)
        if first or change.structure:
            self._show_empty()
        self._count_matches()
        if first or self._joins_tick(change):
            self.redraw()
        elif self.view.cursor in change.keys:
            self.show_detail()

    def recall(self, kept: str | None) -> bool:
        """Put the view into the state of an earlier run; False = not known yet what that was."""
        if kept is None:
            return False
        if kept and not self.changed_by_hand and remembered.apply(kept, self.view):
            self.tokentop.source.look_back(self.view.window_min)
            self.view.rebuild()
            self.table.forget()
            self.place_columns()
            self.head.refresh()
        return True

    def remember(self) -> None:
        self.changed_by_hand = True
        self.tokentop.source.remember(remembered.state_of(self.view))

    def _follow_limits(self, snapshot: Snapshot) -> None:
        """The limits of the rows, while they are looked at."""
        order = self.view.order
        shown = order.sort_id == "limit" or any(one.column.id == "limit" for one in self.table.placed)
        if shown:
            agents = {row.agent for row in snapshot.rows}
            limits = most_urgent(snapshot.quotas, agents, snapshot.at_ms)
            if limits != order.limits:
                order.limits = limits
                self.table.forget()

    def _joins_tick(self, change: Change) -> bool:
        """Where many rows change each second, all else is painted with them: one paint, not two."""
        now = time.monotonic()
        if len(change.keys) < _MANY or now - self._ticked_s < _JOIN_S or not self.app.app_focus:
            return False
        self._ticked_s, self._joined = now, True
        return True

    def _tick(self) -> None:
        now = time.monotonic()
        if not self.app.app_focus and now - self._ticked_s < _BLURRED_S:
            return
        if self._joined and now - self._ticked_s < _TICK_S:
            return
        self._ticked_s, self._joined = now, False
        self.redraw()

    def redraw(self) -> None:
        """Everything but the table's changed rows."""
        now_ms = self.now_ms()
        self.table.tick(now_ms)
        self._show_totals()
        if self.snapshot is not None and not self.view.paused:
            self._show_graphs(self.snapshot)
            self.limits.show(self.snapshot.quotas, now_ms)
        self._show_countdowns()
        self._show_empty()
        self._count_matches()
        self.show_detail()
        self.show_footer()

    def _show_totals(self) -> None:
        view = self.view
        pause = f"PAUSED, {text.plural(view.changes, 'change')}" if view.paused else ""
        self.totals.show(self.snapshot, self.now_ms(), pause, view.tags.summary(view.index), view.window_min)

    def show_tags(self) -> None:
        """Tags changed: their count, what a filter hides of them, and what the keys now act on."""
        self._show_totals()
        self._count_matches()
        self.show_footer()

    def _show_countdowns(self) -> None:
        """What rules are about to do; also while the picture is held."""
        if self.snapshot is not None:
            if self.snapshot.countdowns:
                self.counted_s = time.monotonic()
            passed_ms = self.now_ms() - self.snapshot.at_ms
            if self.countdowns.show(self.snapshot.countdowns, passed_ms):
                lift_toasts(self, self.countdowns.lines)

    def _show_graphs(self, snapshot: Snapshot) -> None:
        series = snapshot.series
        fresh = tuple(
            sum(parts)
            for parts in zip(series.output_per_min, series.writes_per_min, series.input_per_min, strict=True)
        )
        top = nice_top(max(fresh, default=0.0))
        parts = (("output", series.output_per_min), ("writes", series.writes_per_min),
                 ("input", series.input_per_min), ("reads", series.reads_per_min))  # fmt: skip
        caption = SEPARATOR.join(f"{name} {text.rate(values[-1])}" for name, values in parts if values)
        self.rate_graph.show(fresh, top, text.trimmed(text.digits3(top)), caption)
        burn = series.burn_nusd_per_h
        top = nice_top(max(burn, default=0.0) / 1e9) * 1e9
        label = text.trimmed(text.money(int(top))) if top else ""
        now = "now" if self.view.window_min == MINUTE else "last 60 s"
        self.burn_graph.show(burn, top, label, f"{now} {text.money(snapshot.totals.burn_nusd_per_h)}")

    def _show_empty(self) -> None:
        nothing = not self.view.lines
        self.explain_empty()
        if self.empty.display != nothing:
            self.empty.display = nothing
            self.table.styles.height = 0 if nothing else "1fr"
            self.head.display = not nothing

    def explain_empty(self) -> None:
        """Why the table is empty, where it is."""
        self.empty.show(self.snapshot, self.view.query)

    # ------------------------------------------------------------ layout

    def on_resize(self) -> None:
        self._fit()

    def _fit(self) -> None:
        size = self.app.size
        plan = layout(size.width, size.height)
        self._layout = plan
        self.totals.display = plan.strip
        self.key_footer.display = plan.footer
        top = self.query_one("#top")
        top.display = plan.graphs > 0
        top.styles.height = plan.graphs
        self.burn_graph.display = plan.burn_graph
        self.limits.display = plan.limits > 0
        self.limits.styles.width = plan.limits
        self.query_one("#body").set_class(plan.drawer_right, "right")
        self.detail.styles.width = plan.drawer if plan.drawer_right else "100%"
        self.detail.styles.height = "100%" if plan.drawer_right else plan.drawer
        self.call_after_refresh(self.place_columns)

    def place_columns(self) -> None:
        """Columns for the room the table has; a scroll bar takes from SESSION only."""
        view = self.view
        placed = place(self.table.outer_size.width, self.table.room, view.choice, view.window_min)
        if placed != self.table.placed:
            self.table.put(placed)
            self.head.refresh()

    @on(LiveTable.Resized)
    def _table_resized(self) -> None:
        self.place_columns()

    # ------------------------------------------------------------ drawer and footer

    def set_drawer(self, shown: bool) -> None:
        self.drawer_open = shown
        self.detail.set_class(shown, "open")
        self.show_detail()
        self.show_footer()
        self.call_after_refresh(self.table.show_cursor)

    def show_detail(self) -> None:
        row = self.view.selected
        if not self.drawer_open:
            return
        if row is None:
            head = self.view.selected_head
            self.detail.show(*(("nothing selected", []) if head is None else facts.group(head)))
            return
        quotas = self.snapshot.quotas if self.snapshot else ()
        alerts: tuple[Alert, ...] = self.snapshot.alerts if self.snapshot else ()
        look = self.look_of(row)
        below = [r for r in self.view.rows.values() if r.parent_key == row.key and r.kind != "tool"]
        shown = drawer(row, look, below, self.now_ms(), alerts, quotas, self.view.window_min)
        self.detail.show(name_of(row)[0], shown)

    def look_of(self, row: Row) -> Look | None:
        """What is known of a row beyond its figures."""
        return self.tokentop.looking.of(row)

    @on(LiveTable.Moved)
    def _moved(self) -> None:
        self.show_detail()
        self.show_footer()

    @on(LiveTable.Opened)
    def _opened(self) -> None:
        self.action_detail(True)

    @on(TableHead.Chosen)
    def _head_clicked(self, event: TableHead.Chosen) -> None:
        self.action_sort(event.column_id)

    @on(TotalsStrip.Picked)
    def _chip_clicked(self, event: TotalsStrip.Picked) -> None:
        query = f"state:{event.state.value}"
        self.apply_filter("" if self.view.query == query else query)

    def show_footer(self) -> None:
        if self.focused is self.filter_line.input:  # `has_focus` follows later
            self.key_footer.show((("Enter", "keep the filter"), ("Esc", "clear it")))
            return
        hints = []
        for key in keys.footer_keys():
            if self.sensible(key):
                shown = keys.first(key)
                if key.id == "detail" and self.drawer_open:
                    hints.append(("Esc", "close"))
                    continue
                if key.id == "interrupt" and self.snapshot and self.snapshot.countdowns:
                    hints.append((keys.first(key), "call off"))
                    continue
                label = self._label(key)
                hints.append((keys.ascii_shown(shown) if self.options.ascii else shown, label))
        self.key_footer.show(hints)

    def _label(self, key: keys.Key) -> str:
        """What a key does now: `z` may thaw, and tagged rows are acted on together."""
        label = "thaw" if key.id == "freeze" and self.frozen_target else key.label
        if key.id == "detail" and self.view.selected_head is not None:
            return "fold"
        tags = len(self.view.tags)
        if tags and key.id in {"interrupt", "freeze", "terminate"}:
            return f"{label.split(' ')[0]} {tags}"
        return label

    # ------------------------------------------------------------ filter

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        try:
            moved = self.view.set_filter(event.value)
        except FilterError as error:
            self._faulty = True
            self.filter_line.note.show(f"✗ {error}", "error")
            return
        self._faulty = False
        self._filtered(moved)

    def apply_filter(self, query: str) -> None:
        """Set the filter as if it had been typed."""
        if self.filter_line.input.value == query:
            self._filtered(self.view.set_filter(query))
        else:
            self.filter_line.input.value = query
        self.filter_line.set_class(bool(query), "open")

    def _filtered(self, moved: bool) -> None:
        if moved:
            self.table.relayout()
            self.table.show_cursor()
        self._count_matches()
        self._show_empty()
        if self.view.tags:
            self._show_totals()

    def _count_matches(self) -> None:
        """How many of the rows match; an error in what is typed stays until it is corrected."""
        if self._faulty:
            return
        matched, total = self.view.matched
        hidden = self.view.tags.hidden(self.view.index)
        note = f"{matched} of {total} rows" + (f", {hidden} tagged hidden" if hidden else "")
        self.filter_line.note.show(note if self.view.query else "", "warm" if hidden else "muted")

    @on(FilterInput.Entered)
    def _entered(self) -> None:
        self.show_footer()

    def leave_filter(self, keep: bool) -> None:
        """Back to the table at once: the next key is for it."""
        if keep:
            self.filter_line.set_class(bool(self.filter_line.input.value.strip()), "open")
        else:
            self.apply_filter("")
        self.set_focus(self.table)
        self.show_footer()

    # ------------------------------------------------------------ dialogs

    def on_screen_suspend(self) -> None:
        self.view.set_held(self.HOLDS)

    def on_screen_resume(self) -> None:
        self.table.apply(self.view.set_held(False))
        self.redraw()
