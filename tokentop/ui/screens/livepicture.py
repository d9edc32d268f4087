"""What the live screen draws: totals, graphs, table, drawer, footer. Its keys are in `live`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.geometry import Region
from textual.reactive import Reactive
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from tokentop import text
from tokentop.nouns.looks import Look
from tokentop.nouns.picture import Row, Snapshot
from tokentop.ui import facts, hints, remembered
from tokentop.ui.columns import place
from tokentop.ui.drawer import drawer
from tokentop.ui.glyphs import safe
from tokentop.ui.keys import Key
from tokentop.ui.layout import layout
from tokentop.ui.pace import TICK_S, Pace
from tokentop.ui.paint import BareContainer, BareVertical, bare_lines
from tokentop.ui.rowline import name_of
from tokentop.ui.source import UiOptions
from tokentop.ui.view import View
from tokentop.ui.widgets.countdown import Countdowns, lift_toasts
from tokentop.ui.widgets.detail import Detail
from tokentop.ui.widgets.empty import Empty
from tokentop.ui.widgets.filterline import FilterInput
from tokentop.ui.widgets.footer import KeyFooter
from tokentop.ui.widgets.overview import Overview
from tokentop.ui.widgets.strip import TotalsStrip
from tokentop.ui.widgets.table import LiveTable
from tokentop.ui.widgets.tablefilter import TableFilter
from tokentop.ui.widgets.tablehead import TableHead

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp


class LivePicture(Screen[None]):
    """Draws the newest Snapshot; only `show` changes what is on it."""

    AUTO_FOCUS = "LiveTable"
    HOLDS = True  # no line moves behind a dialog
    keys_at_once = True  # each is carried out before the next one is looked at
    focused: Reactive[Widget | None] = Reactive(
        None, repaint=False
    )  # who has it draws it: not the whole screen
    DEFAULT_CSS = """
    LivePicture #body { layout: vertical; height: 1fr; }
    LivePicture #body.right { layout: horizontal; }
    LivePicture #main { height: 1fr; width: 1fr; }
    LivePicture Detail { display: none; }
    LivePicture Detail.open { display: block; }
    """

    def __init__(self, options: UiOptions, label: str, read_only: bool) -> None:
        super().__init__()
        self.options = options
        self.read_only = read_only
        self.view = View()
        self.snapshot: Snapshot | None = None
        self._received_s = 0.0
        self.totals = TotalsStrip(label)
        self.overview = Overview(options.ascii)
        self.table = LiveTable(self.view, options.refresh_s)
        self.head = TableHead(self.table)
        self.empty = Empty()
        self.detail = Detail()
        self.countdowns = Countdowns()
        self.counted_s = 0.0  # when a rule's countdown was last shown
        self.filter_line = TableFilter(self.view, self._filtered, self._left_filter)
        self.key_footer = KeyFooter()
        self.drawer_open = False
        self._pace = Pace()
        self._changed_by_hand = False  # a state that arrives late does not undo what a person has set

    @property
    def tokentop(self) -> TokentopApp:
        return cast("TokentopApp", self.app)

    def render_lines(self, crop: Region) -> list[Strip]:
        return bare_lines(self, crop)

    def compose(self) -> ComposeResult:
        yield self.totals
        yield self.overview
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
        self.fit_regions()
        self.redraw()
        self.set_interval(TICK_S, self._tick)
        self.app.theme_changed_signal.subscribe(self, lambda _: self.table.forget())

    # ------------------------------------------------------------ time and data

    def now_ms(self) -> int:
        """The source's clock: its newest time and what has passed since."""
        if self.snapshot is None:
            return 0
        return self.snapshot.at_ms + int((time.monotonic() - self._received_s) * 1000)

    def show(self, snapshot: Snapshot) -> None:
        """Take a new picture; the table at once, everything else at the next second."""
        first = self.snapshot is None
        self.snapshot, self._received_s = snapshot, time.monotonic()
        self.table.now_ms = self.now_ms()
        self._show_countdowns()
        self._follow_limits(snapshot)
        change = self.view.feed(snapshot)
        if change.structure or change.keys:
            self.table.apply(change)
        if first or change.structure:
            self._show_empty()
        self.filter_line.count()
        if first or self._pace.joins(len(change.keys), self.app.app_focus):
            self.redraw()
        elif self.view.cursor in change.keys:
            self.show_detail()

    def recall(self, kept: str | None) -> bool:
        """Put the view into the state of an earlier run; False = not known yet what that was."""
        if kept is None:
            return False
        if kept and not self._changed_by_hand and remembered.apply(kept, self.view):
            self.tokentop.source.look_back(self.view.window_min)
            self.view.rebuild()
            self.table.forget()
            self.place_columns()
            self.head.refresh()
        return True

    def remember(self) -> None:
        self._changed_by_hand = True
        self.tokentop.source.remember(remembered.state_of(self.view))

    def _follow_limits(self, snapshot: Snapshot) -> None:
        """The limits of the rows, while they are looked at."""
        order = self.view.order
        shown = order.sort_id == "limit" or any(one.column.id == "limit" for one in self.table.placed)
        if shown and order.see_limits(snapshot):
            self.table.forget()

    def _tick(self) -> None:
        if self._pace.due(self.app.app_focus):
            self.redraw()

    def redraw(self) -> None:
        """Everything but the table's changed rows."""
        now_ms = self.now_ms()
        self.table.tick(now_ms)
        self.show_totals()
        if self.snapshot is not None and not self.view.paused:
            self.overview.show(self.snapshot, now_ms, self.view.window_min)
        self._show_countdowns()
        self._show_empty()
        self.filter_line.count()
        self.show_detail()
        self.show_footer()

    def show_totals(self) -> None:
        view = self.view
        pause = f"PAUSED, {text.plural(view.changes, 'change')}" if view.paused else ""
        tags = view.tags.summary(view.index)
        self.totals.show(self.snapshot, self.now_ms(), pause, tags, view.window_min)

    def show_tags(self) -> None:
        """Tags changed: their count, what a filter hides of them, and what the keys now act on."""
        self.show_totals()
        self.filter_line.count()
        self.show_footer()

    def _show_countdowns(self) -> None:
        """What rules are about to do; also while the picture is held."""
        if self.snapshot is not None:
            if self.snapshot.countdowns:
                self.counted_s = time.monotonic()
            passed_ms = self.now_ms() - self.snapshot.at_ms
            if self.countdowns.show(self.snapshot.countdowns, passed_ms):
                lift_toasts(self, self.countdowns.lines)

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

    # ------------------------------------------------------------ regions and columns

    def on_resize(self) -> None:
        self.fit_regions()

    def fit_regions(self) -> None:
        size = self.app.size
        plan = layout(size.width, size.height)
        self.totals.display = plan.strip
        self.key_footer.display = plan.footer
        self.overview.fit(plan)
        self.query_one("#body").set_class(plan.drawer_right, "right")
        self.detail.styles.width = plan.drawer if plan.drawer_right else "100%"
        self.detail.styles.height = "100%" if plan.drawer_right else plan.drawer
        self.call_after_refresh(self.place_columns)

    def place_columns(self) -> None:
        """Columns for the room the table has; a scroll bar takes from SESSION only."""
        self._place(self.table.outer_size.width, self.table.room)

    def _place(self, width: int, room: int) -> None:
        placed = place(width, room, self.view.choice, self.view.window_min)
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
        self._place_beside(shown)
        self.show_detail()
        self.show_footer()
        self.call_after_refresh(self.table.show_cursor)

    def _place_beside(self, drawer: bool) -> None:
        """Columns for the room that the table will have: it is drawn once for its new width, not twice."""
        size = self.app.size
        plan = layout(size.width, size.height)
        if plan.drawer_right:
            width = size.width - (plan.drawer if drawer else 0)
            self._place(width, width - (self.table.outer_size.width - self.table.room))

    def show_detail(self) -> None:
        """Of the selected row, while the drawer is open."""
        if not self.drawer_open:
            return
        row = self.view.selected
        if row is None:
            head = self.view.selected_head
            self.detail.show(*(("nothing selected", []) if head is None else facts.group(head)))
            return
        quotas = self.snapshot.quotas if self.snapshot else ()
        alerts = self.snapshot.alerts if self.snapshot else ()
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

    @property
    def situation(self) -> hints.Situation:
        goes_on = self.detail.hidden_lines > 0
        return hints.Situation(self.view, self.snapshot, self.read_only, self.drawer_open, goes_on)

    def allowed(self, key: Key) -> bool:
        """Whether a key is bound at all."""
        return hints.allowed(key, self.situation)

    def show_footer(self) -> None:
        if self.focused is self.filter_line.input:  # `has_focus` follows later
            self.key_footer.show(hints.WHILE_FILTERING)
        else:
            self.key_footer.show(hints.footer(self.situation, self.options.ascii))

    def say(self, message: str, timeout: float = 3) -> None:
        """A short word to who pressed a key."""
        self.app.notify(message, markup=False, timeout=timeout)

    def no_row(self) -> bool:
        """Nothing acts on the header of a group; True where the cursor is on one, and that is said."""
        head = self.view.selected_head
        if head is not None:
            name = safe(head.row.title, 40)
            self.say(f"{name} is a group: choose one of its rows")
        return head is not None

    # ------------------------------------------------------------ filter

    def _filtered(self, moved: bool) -> None:
        if moved:
            self.table.relayout()
            self.table.show_cursor()
        self.filter_line.count()
        self._show_empty()
        if self.view.tags:
            self.show_totals()

    @on(FilterInput.Entered)
    def _entered_filter(self) -> None:
        self.show_footer()

    def _left_filter(self) -> None:
        """Back to the table at once: the next key is for it."""
        self.set_focus(self.table)
        self.show_footer()

    # ------------------------------------------------------------ dialogs

    def on_screen_suspend(self) -> None:
        self.view.set_held(self.HOLDS)

    def on_screen_resume(self) -> None:
        self.table.apply(self.view.set_held(False))
        self.redraw()
