"""The keys of the live screen that change what the table shows: cursor, drawer, filter, folds, order, columns."""

from __future__ import annotations

from textual import on

from tokentop.ui.columns import WINDOWS_MIN, Choice
from tokentop.ui.grouping import CYCLE
from tokentop.ui.screens.livepicture import LivePicture
from tokentop.ui.widgets.empty import ORPHANS
from tokentop.ui.widgets.strip import TotalsStrip
from tokentop.ui.widgets.table import LiveTable
from tokentop.ui.widgets.tablehead import TableHead

_REFRESH_S = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)


class TableKeys(LivePicture):
    """Move, look, filter, fold, sort."""

    # ------------------------------------------------------------ cursor and drawer

    def action_move(self, by: int) -> None:
        self.table.move(by)

    def action_page(self, pages: int) -> None:
        self.table.move(pages * max(1, self.table.size.height - 1))

    def action_detail(self, shown: bool) -> None:
        if self.view.selected_head is not None:
            self.toggle_group()
        elif self.view.selected is not None:
            self.set_drawer(shown)

    @on(LiveTable.Opened)
    def _opened(self) -> None:
        self.action_detail(True)

    def action_scroll_detail(self, step: int) -> None:
        self.detail.scroll_page(step)

    def action_back(self) -> None:
        if self.drawer_open:
            self.set_drawer(False)
        elif self.view.query:
            self.filter_line.apply("")
        self.set_focus(self.table)

    def action_follow(self) -> None:
        self.view.follow = not self.view.follow
        self.table.forget()
        self.table.show_cursor()

    def action_pause(self) -> None:
        change = self.view.set_paused(not self.view.paused)
        self.table.apply(change)
        self.redraw()

    def go_to(self, key: str) -> None:
        """Put the cursor on a session, dropping the filter if that hides it."""
        before = self.view.cursor
        if key not in self.view.index:
            self.view.folded.clear()
            self.filter_line.apply("")
            self.view.set_filter("")
        if key in self.view.index:
            self.view.cursor = key
            self.table.relayout()
            self.table.moved(before)

    # ------------------------------------------------------------ filter

    def action_filter(self) -> None:
        """The filter line has the keys from here on, although it is yet to be drawn."""
        self.filter_line.input.select_all()
        self.set_focus(self.filter_line.input, scroll_visible=False)
        self.show_footer()  # before the lines move: it is in their first picture then
        self.filter_line.add_class("open")

    def action_match(self, step: int) -> None:
        before = self.view.cursor
        if self.view.next_match(step):
            self.table.moved(before)

    def action_view(self, name: str) -> None:
        """Flat, tree, or orphans: a flat table that a filter keeps to them."""
        orphans = name == "orphans"
        if orphans or self.view.query == ORPHANS:
            self.filter_line.apply(ORPHANS if orphans else "")
        if self.view.tree is not (name == "tree"):
            self.action_tree()

    @on(TotalsStrip.Picked)
    def _chip_clicked(self, event: TotalsStrip.Picked) -> None:
        self.filter_line.apply("" if self.view.query == event.query else event.query)

    # ------------------------------------------------------------ tree, groups, folds

    def action_tree(self) -> None:
        self.view.set_tree(not self.view.tree)
        self._arranged()

    def action_group(self) -> None:
        """The next way of grouping."""
        at = CYCLE.index(self.view.groups.by)
        self.view.set_group(CYCLE[(at + 1) % len(CYCLE)])
        self._arranged()

    def _arranged(self) -> None:
        """What hangs below what is another question now: every line is drawn anew."""
        self.table.forget()
        self.table.relayout()
        self.table.show_cursor()
        self.remember()

    def toggle_group(self) -> None:
        """Fold or unfold the group whose header the cursor is on."""
        key = self.view.cursor
        if key is not None and self.view.fold(key, key not in self.view.folded):
            self.table.relayout()

    def action_fold(self, folded: bool) -> None:
        if not self.view.tree:
            self._step_refresh(-1 if folded else 1)
            return
        if self.view.cursor is not None and self.view.fold(self.view.cursor, folded):
            self.table.relayout()

    def action_fold_all(self) -> None:
        if self.view.fold(None, folded=not self.view.folded):
            self.table.relayout()
            self.table.show_cursor()

    def _step_refresh(self, by: int) -> None:
        """The next longer or shorter time between two repaints; kept only by the settings screen."""
        now_s = self.options.refresh_s
        steps = [s for s in _REFRESH_S if (s > now_s if by > 0 else s < now_s)]
        if steps:
            self.tokentop.use_refresh(steps[0] if by > 0 else steps[-1])
        self.say(f"repainted every {self.options.refresh_s:g} s", timeout=2)

    # ------------------------------------------------------------ order

    def action_sort(self, sort_id: str) -> None:
        self.view.order.sort_by(sort_id)
        self._sorted()

    def action_sort_step(self, by: int) -> None:
        self.view.order.step(by, tuple(placed.column.id for placed in self.table.placed))
        self._sorted()

    def action_reverse(self) -> None:
        self.view.order.sort_by(self.view.order.sort_id)
        self._sorted()

    @on(TableHead.Chosen)
    def _head_clicked(self, event: TableHead.Chosen) -> None:
        self.action_sort(event.column_id)

    def _sorted(self) -> None:
        """A new order was asked for: the cursor goes to its first row, unless it follows one."""
        self.view.rebuild()
        if not self.view.follow:
            self.view.move(-len(self.view.lines))
            if self.view.selected_head is not None:
                self.view.move(1)
        self.table.relayout()
        self.table.show_cursor()
        self.head.refresh()
        self.remember()
        order = self.view.order
        if not any(placed.column.id == order.sort_id for placed in self.table.placed):
            self.say(f"sorted by {order.sort_id}", timeout=2)

    # ------------------------------------------------------------ columns

    def action_columns(self) -> None:
        from tokentop.ui.screens.chooser import ChooserScreen  # not needed for the first paint

        self.app.push_screen(ChooserScreen(self.view.choice, self.view.window_min, self._choose))

    def _choose(self, choice: Choice) -> None:
        self.view.choice = choice
        self.place_columns()
        self.remember()

    def action_window(self, step: int) -> None:
        """A longer or shorter time that tok/min and $/h are averages over."""
        if self.view.paused:  # what is drawn is over the window of the moment when the pause began
            self.say("paused: p goes on, then [ ] change the time")
            return
        steps = list(WINDOWS_MIN)
        at = steps.index(self.view.window_min) + step
        if 0 <= at < len(steps):
            self.tokentop.source.look_back(steps[at])
            self.table.apply(self.view.set_window(steps[at]))
            self.place_columns()
            self.table.forget()
            self.head.refresh()
            self.redraw()
            self.remember()
