"""What the keys of the live screen do."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from tokentop.nouns.actions import Action
from tokentop.nouns.picture import Row, Snapshot
from tokentop.nouns.sessions import State
from tokentop.ui import keys, origins
from tokentop.ui.columns import WINDOWS_MIN, Choice
from tokentop.ui.glyphs import safe
from tokentop.ui.grouping import CYCLE
from tokentop.ui.keys import Key
from tokentop.ui.screens.lookpages import InsidePage, LogPage, OriginsPage
from tokentop.ui.screens.pages import HelpPage, Lines, LongPage, Page, help_lines, problem_page
from tokentop.ui.screens.receipts import ReceiptsScreen
from tokentop.ui.source import UiOptions
from tokentop.ui.view import View
from tokentop.ui.widgets.detail import Detail
from tokentop.ui.widgets.empty import ORPHANS
from tokentop.ui.widgets.filterline import FilterLine
from tokentop.ui.widgets.table import LiveTable, TableHead

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp


_AFTER_COUNTDOWN_S = 3.0
_REFRESH_S = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)


_ALWAYS = frozenset({"demo", "help", "quit", "filter", "view_history", "replay"})  # keys that want no row


class LiveActions(Screen[None]):
    """Key actions over the view and the app; the widgets are made by LiveScreen."""

    view: View
    table: LiveTable
    detail: Detail
    head: TableHead
    filter_line: FilterLine
    options: UiOptions
    snapshot: Snapshot | None
    read_only: bool
    drawer_open: bool
    counted_s: float = 0.0  # when a rule's countdown was last shown

    @property
    def tokentop(self) -> TokentopApp:
        return cast("TokentopApp", self.app)

    @property
    def past_ms(self) -> int:
        """The moment of the past that is shown, 0 = it is now."""
        return 0

    # implemented by LiveScreen
    def now_ms(self) -> int:
        raise NotImplementedError

    def redraw(self) -> None:
        raise NotImplementedError

    def set_drawer(self, shown: bool) -> None:
        raise NotImplementedError

    def show_footer(self) -> None:
        raise NotImplementedError

    def show_tags(self) -> None:
        raise NotImplementedError

    def apply_filter(self, query: str) -> None:
        raise NotImplementedError

    def place_columns(self) -> None:
        raise NotImplementedError

    def remember(self) -> None:
        raise NotImplementedError

    # ------------------------------------------------------------ what is possible

    def allowed(self, key: Key) -> bool:
        """Bound at all: read-only has no key that acts, a sweep needs an orphan, the demo an empty table."""
        if key.acts and self.read_only:
            return False
        if key.id == "sweep":
            return self.snapshot is not None and any(row.kind == "orphan" for row in self.snapshot.rows)
        if key.id == "untag":
            return bool(self.view.tags) or self.view.tags.ended > 0
        if key.id == "demo":
            return self.snapshot is not None and not self.view.rows
        if key.id in {"scroll", "scroll_back"}:
            return self.drawer_open
        return True

    def sensible(self, key: Key) -> bool:
        """Worth a place in the footer now."""
        if not self.allowed(key):
            return False
        row = self.view.selected
        if key.id == "detail" and self.view.selected_head is not None:
            return True
        if key.id in {"log", "session", "inside", "origins"}:
            return self.drawer_open and row is not None
        if key.id == "scroll":
            return self.detail.hidden_lines > 0
        if key.id in {"filter", "sort_cost"} and (self.drawer_open or self.view.tags):
            return False  # one row, or some, are looked at: what can be done with them has the room
        if key.id == "jump":
            return row is not None and bool(row.where)
        if key.id == "resume":
            return row is not None and bool(row.resume)
        return row is not None or key.id in _ALWAYS

    @property
    def frozen_target(self) -> bool:
        """Whether `z` thaws: what it acts on is frozen, of tagged rows all."""
        rows = self.view.tagged or [row for row in (self.view.selected,) if row is not None]
        return bool(rows) and all(row.status.state is State.FROZEN for row in rows)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        key = next((key for key in keys.KEYS if key.action.partition("(")[0] == action), None)
        return key is None or self.allowed(key)

    # ------------------------------------------------------------ moving and looking

    def action_move(self, by: int) -> None:
        self.table.move(by)

    def action_page(self, pages: int) -> None:
        self.table.move(pages * max(1, self.table.size.height - 1))

    def action_detail(self, shown: bool) -> None:
        if self.view.selected_head is not None:
            self.toggle_group()
        elif self.view.selected is not None:
            self.set_drawer(shown)

    def action_session(self) -> None:
        """The whole session of the row; of a tool that of the agent it belongs to."""
        row = self.view.selected
        if row is not None and row.kind == "tool":
            row = self.view.rows.get(row.parent_key)
        if row is None or not row.session_id:
            if not self.no_row():
                self.app.notify("no session is known of this row", markup=False, timeout=3)
            return
        self.tokentop.open_session(row.agent, row.session_id, row.title, self.past_ms)

    def action_back(self) -> None:
        if self.drawer_open:
            self.set_drawer(False)
        elif self.view.query:
            self.apply_filter("")
        self.set_focus(self.table)

    def action_filter(self) -> None:
        """The filter line has the keys from here on, although it is yet to be drawn."""
        self.filter_line.add_class("open")
        self.filter_line.input.select_all()
        self.set_focus(self.filter_line.input, scroll_visible=False)
        self.show_footer()

    def action_match(self, step: int) -> None:
        before = self.view.cursor
        if self.view.next_match(step):
            self.table.moved(before)

    def action_follow(self) -> None:
        self.view.follow = not self.view.follow
        self.table.forget()
        self.table.show_cursor()

    def action_pause(self) -> None:
        change = self.view.set_paused(not self.view.paused)
        self.table.apply(change)
        self.redraw()

    def action_tree(self) -> None:
        self.view.set_tree(not self.view.tree)
        self.table.forget()
        self.table.relayout()
        self.table.show_cursor()
        self.remember()

    def action_group(self) -> None:
        """The next way of grouping."""
        at = CYCLE.index(self.view.groups.by)
        self.view.set_group(CYCLE[(at + 1) % len(CYCLE)])
        self.table.forget()
        self.table.relayout()
        self.table.show_cursor()
        self.remember()

    def toggle_group(self) -> None:
        """Fold or unfold the group whose header the cursor is on."""
        key = self.view.cursor
        if key is not None and self.view.fold(key, key not in self.view.folded):
            self.table.relayout()

    def no_row(self) -> bool:
        """Nothing acts on the header of a group; True where the cursor is on one, and that is said."""
        head = self.view.selected_head
        if head is not None:
            self.app.notify(
                f"{safe(head.row.title, 40)} is a group: choose one of its rows", markup=False, timeout=3
            )
        return head is not None

    def action_view(self, name: str) -> None:
        """Flat, tree, or orphans: a flat table that a filter keeps to them."""
        orphans = name == "orphans"
        if orphans or self.view.query == ORPHANS:
            self.apply_filter(ORPHANS if orphans else "")
        if self.view.tree is not (name == "tree"):
            self.action_tree()

    def _step_refresh(self, by: int) -> None:
        """The next longer or shorter time between two repaints; kept only by the settings screen."""
        steps = [
            s for s in _REFRESH_S if (s > self.options.refresh_s if by > 0 else s < self.options.refresh_s)
        ]
        if steps:
            self.tokentop.use_refresh(steps[0] if by > 0 else steps[-1])
        self.app.notify(f"repainted every {self.options.refresh_s:g} s", markup=False, timeout=2)

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

    def go_to(self, key: str) -> None:
        """Put the cursor on a session, dropping the filter if that hides it."""
        before = self.view.cursor
        if key not in self.view.index:
            self.view.folded.clear()
            self.apply_filter("")
            self.view.set_filter("")
        if key in self.view.index:
            self.view.cursor = key
            self.table.relayout()
            self.table.moved(before)

    # ------------------------------------------------------------ sorting

    def action_sort(self, sort_id: str) -> None:
        self.view.order.sort_by(sort_id)
        self._sorted()

    def action_sort_step(self, by: int) -> None:
        self.view.order.step(by, tuple(placed.column.id for placed in self.table.placed))
        self._sorted()

    def action_reverse(self) -> None:
        self.view.order.sort_by(self.view.order.sort_id)
        self._sorted()

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
            self.app.notify(f"sorted by {order.sort_id}", markup=False, timeout=2)

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
            self.app.notify("paused: p goes on, then [ ] change the time", markup=False, timeout=3)
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

    # ------------------------------------------------------------ tags

    def action_tag(self) -> None:
        """Tag the selected row, or take its tag away, and go to the next one."""
        key = self.view.cursor
        if self.no_row():
            return
        if key is not None and self.view.tags.toggle(key):
            self._tagged([key])
            self.table.move(1)
        elif key is not None:
            self.app.notify("this row has ended: it cannot be tagged", markup=False, timeout=3)

    def action_tag_tree(self) -> None:
        if (
            not self.no_row()
            and self.view.cursor is not None
            and self.view.tags.toggle_tree(self.view.cursor)
        ):
            self._tagged(self.view.index)

    def action_untag(self) -> None:
        keys = tuple(self.view.tags)
        self.view.tags.clear()
        self._tagged(keys)

    def _tagged(self, keys: Iterable[str]) -> None:
        self.table.repaint_tags(keys)
        self.show_tags()

    # ------------------------------------------------------------ acting on processes

    def _act(self, action: Action, dialog: bool) -> None:
        """On the tagged rows, always through the dialog that lists them; else on the selected row."""
        row, tagged = self.view.selected, self.view.tagged
        if self.read_only:
            return
        if tagged:
            self.tokentop.commander.begin_batch(tagged, action)
        elif not self.no_row() and row is not None:
            self.tokentop.commander.begin(self.view.plain(row), action, dialog)

    def action_interrupt(self) -> None:
        """Stop the turn of the selected row, unless a rule counts down: then the key calls that off.

        Right after a countdown the key does nothing: it was meant for it, not for the row.
        """
        counting = self.snapshot.countdowns if self.snapshot else ()
        if counting:
            self.tokentop.source.cancel(counting[0].id)
            return
        if time.monotonic() - self.counted_s < _AFTER_COUNTDOWN_S:
            self.app.notify(
                "the countdown has just ended; nothing was sent to this row", markup=False, timeout=4
            )
            return
        self._act(Action.INTERRUPT, dialog=False)

    def action_freeze(self) -> None:
        self._act(Action.THAW if self.frozen_target else Action.FREEZE, dialog=False)

    def action_terminate(self) -> None:
        self._act(Action.TERMINATE, dialog=True)

    def action_sweep(self) -> None:
        self.tokentop.commander.begin_sweep()

    def action_jump(self) -> None:
        if not self.no_row() and self.view.selected is not None:
            self.tokentop.jumper.begin(self.view.selected)

    def action_copy_resume(self) -> None:
        row: Row | None = self.view.selected
        if self.no_row():
            return
        if row is None or not row.resume:
            self.app.notify("this row has no resume command", markup=False, timeout=3)
            return
        self.tokentop.copy_command(row.resume)

    # ------------------------------------------------------------ one row in depth

    def action_scroll_detail(self, step: int) -> None:
        self.detail.scroll_page(step)

    def action_log(self) -> None:
        row = self._session_row("no session is known for this row, so no log")
        if row is not None:
            self._page(LogPage(self.tokentop.source, row))

    def action_inside(self) -> None:
        if self.view.selected is not None:
            self._page(InsidePage(self.tokentop.source, self.view.selected))

    def action_origins(self) -> None:
        row = self.view.selected
        if row is None:
            return
        quotas = self.snapshot.quotas if self.snapshot is not None else ()
        name, now_ms = safe(row.title, 60) or safe(row.command, 60), self.now_ms()
        looking = self.tokentop.looking

        def build(width: int) -> Lines:
            return origins.page(origins.origins(row, looking.of(row), quotas, now_ms), name, width)

        self._page(OriginsPage(build))

    def action_copy_log(self) -> None:
        row = self._session_row("no log of this row is known")
        if row is None:
            return
        if not row.log_path:
            self.app.notify("no log of this row is known", markup=False, timeout=3)
            return
        self.tokentop.copy_command(row.log_path)

    def _session_row(self, otherwise: str) -> Row | None:
        """The selected row, or the session that the selected tool belongs to."""
        row = self.view.selected
        if row is not None and row.kind == "tool":
            row = self.view.rows.get(row.parent_key, row)
        if row is None or not row.session_id:
            self.app.notify(otherwise, markup=False, timeout=3)
            return None
        return row

    # ------------------------------------------------------------ pages

    def _page(self, page: Page) -> None:
        self.app.push_screen(page)

    def action_help(self) -> None:
        shown = [key for key in keys.KEYS if not (key.acts and self.read_only)]
        ascii_only = self.options.ascii
        self.app.push_screen(HelpPage(lambda width: help_lines(shown, width, ascii_only)), self._from_help)

    def _from_help(self, action: str | None) -> None:
        """A key that was pressed on the help page, once the page is gone."""
        if action is not None:
            self.call_later(self.run_action, action)

    def action_history(self) -> None:
        from tokentop.ui.screens.history import HistoryScreen  # not needed for the first paint

        self.app.push_screen(
            HistoryScreen(self.tokentop.source, self.now_ms, self.options.ascii), self._from_help
        )

    def action_limits(self) -> None:
        from tokentop.ui.screens.limits import LimitsScreen  # not needed for the first paint

        self.app.push_screen(LimitsScreen(self.tokentop.source, self.options.ascii), self._from_help)

    def action_receipts(self) -> None:
        app = self.tokentop
        app.clear_notifications()  # what they say is in the drawer, which they would hide
        resume = None if self.read_only else app.jumper.resume
        app.push_screen(ReceiptsScreen(app.commander, self.now_ms(), resume))

    def action_replay(self) -> None:
        self.tokentop.show_past(0)

    def action_health(self) -> None:
        health = self.snapshot.health if self.snapshot else ()
        self._page(LongPage("health", lambda width: problem_page(health, width)))

    def action_settings(self) -> None:
        from tokentop.ui.screens.settings import SettingsScreen

        options = self.options
        self.app.push_screen(
            SettingsScreen(options.config_path, {name: getattr(options, name) for name in options.overridden})
        )

    def action_palette(self) -> None:
        self.app.action_command_palette()

    def action_demo(self) -> None:
        self.tokentop.exit("demo")
