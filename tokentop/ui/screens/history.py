"""The view "History": all sessions of all agents, searched while one types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from msgspec.structs import replace
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tokentop.nouns.history import BEST, GROUPS, LAST, SORTS, Ask, Entry, Listing, Scan
from tokentop.ui.history import told
from tokentop.ui.history.asking import Asking
from tokentop.ui.history.lines import Lines
from tokentop.ui.history.said import SaidSearch
from tokentop.ui.history.table import HistoryHead, HistoryTable
from tokentop.ui.keys import HISTORY_KEYS, first, footer_keys
from tokentop.ui.screens.fullview import FullView
from tokentop.ui.screens.pages import Page
from tokentop.ui.widgets.entries import Note
from tokentop.ui.widgets.filterline import FilterInput, FilterLine
from tokentop.ui.widgets.footer import KeyFooter

if TYPE_CHECKING:
    from tokentop.ui.source import Source

_BESIDE = 39  # cells of the line of the search that are not its text
_SESSIONS = ("agent", "sub-agent")  # kinds of rows
_NONE_YET = (
    "no session yet: what an agent logs stands here, and stays\n"
    "tokentop doctor tells where logs are looked for; tokentop demo shows one"
)
_SAID_NOWHERE = "it was said in no session whose log is still there; Esc goes back"


class HistoryScreen(FullView):
    """The list of all sessions."""

    OPENER = "view_history"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.help, show=False, id=f"history_{key.id}") for key in HISTORY_KEYS
    ]
    AUTO_FOCUS = "HistoryTable"
    keys_at_once = True
    DEFAULT_CSS = """
    HistoryScreen #title { height: 1; background: $panel; }
    HistoryScreen FilterLine { display: block; }
    """

    def __init__(self, source: Source, now_ms: Callable[[], int], ascii_only: bool) -> None:
        """`now_ms` is the clock of the source."""
        super().__init__()
        self._source, self._now_ms, self._ascii = source, now_ms, ascii_only
        self.ask = Ask()
        self.lines = Lines()
        self.table = HistoryTable(self.lines)
        self.head = HistoryHead(self.table)
        self.search = FilterLine(self._leave_search)
        self.key_footer = KeyFooter()
        self._title = Note(())
        self._title.id = "title"
        self._said = SaidSearch(self, source, self._show_scan)
        self._asking = Asking(self, source, lambda: self._said.scan is None, self._take)

    def compose(self) -> ComposeResult:
        yield self._title
        yield self.search
        yield self.head
        yield self.table
        yield self.key_footer

    def on_mount(self) -> None:
        self._show_title()
        self._show_footer()
        self._put_question()
        self.app.theme_changed_signal.subscribe(self, lambda _: self.table.refresh())

    def on_resize(self) -> None:
        self.search.input.placeholder = told.hint(self.app.size.width - _BESIDE)

    # ------------------------------------------------------------ questions

    def ask_again(self) -> None:
        if self._said.scan is None:
            self._put_question()

    def _put_question(self) -> None:
        self.asked()
        self._show_running()
        running = tuple((agent, sid, state) for (agent, sid), state in self.table.running.items())
        self._asking.put(
            replace(self.ask, running=running) if "state:" in self.ask.query.lower() else self.ask
        )

    def _show_running(self) -> None:
        """The state of what runs, as the live screen has it."""
        snapshot = self.tokentop.live.snapshot
        rows = snapshot.rows if snapshot is not None else ()
        found = {(row.agent, row.session_id): row.status.state for row in rows if row.kind in _SESSIONS}
        if found != self.table.running:
            self.table.running = found
            self.table.refresh()

    def _take(self, found: Listing | None) -> None:
        """Show an answer; what cannot be understood leaves the last good one where it is."""
        self.table.now_ms = self._now_ms()
        if found is None or found is self.lines.listing:
            self._show_title()
            return
        if found.problem:
            self.search.note.show(f"✗ {found.problem}", "error")
            return
        self.lines.put(found)
        self._show_found(found)
        self.head.show(told.sort_of(found.ask), found.ask.ascending)
        self.table.note = told.nothing_found(found.ask.query) or _NONE_YET
        self.table.lay_out()
        self._show_title()
        self._show_footer()

    @on(HistoryTable.Moved)
    def _load(self) -> None:
        """Ask for the entries of what is in view."""
        self._asking.load(self.lines.missing(*self.table.in_view), self._learn)

    def _learn(self, wanted: Sequence[int], found: Sequence[Entry]) -> None:
        self.lines.stale.difference_update(wanted)
        if found:
            self.lines.learn(found)
            self.table.refresh()
            self._load()  # it may have been scrolled on meanwhile

    # ------------------------------------------------------------ prompts and replies

    def action_said(self) -> None:
        """Look for the words in what was said; the same key, Escape or another question ends it."""
        self._said.toggle(self.ask.query)

    def _show_scan(self, scan: Scan) -> None:
        """What was found so far, newest first."""
        if scan.found != self.lines.listing.order or not scan.found:
            self.lines.put(Listing(replace(self.ask, sort=LAST, flat=True), scan.found))
            self.table.note = "" if self._said.running else _SAID_NOWHERE
            self.table.lay_out()
        self._show_title()

    # ------------------------------------------------------------ title, footer

    def _show_title(self) -> None:
        self._title.show(
            told.title(
                self.lines.listing,
                self._said.scan,
                self._asking.failed,
                scanning=self._said.running,
                answered=self._asking.answered,
                label=self._source.label,
            )
        )

    def _show_found(self, found: Listing) -> None:
        if not self.ask.query.strip():
            self.search.note.show("", "muted")
        elif not found.order:
            self.search.note.show("no session matches", "warm")
        else:
            count = f"{'the likest ' if found.cut else ''}{len(found.order):,} found"
            self.search.note.show(count, "muted")

    def _show_footer(self) -> None:
        if self.focused is self.search.input:
            hints = [("Enter", "to the list"), ("Esc", "clear")]
        else:
            groups = bool(self.lines.listing.groups)
            hints = [
                (first(key, self._ascii), key.label)
                for key in footer_keys(HISTORY_KEYS)
                if key.id != ("unfold" if groups else "fold_all")
            ]
        self.key_footer.show(hints)

    # ------------------------------------------------------------ search

    def action_search(self) -> None:
        self.set_focus(self.search.input)
        self._show_footer()

    @on(FilterInput.Entered)
    def _entered(self) -> None:
        self._show_footer()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if event.value != self.ask.query:
            self._change(replace(self.ask, query=event.value))

    def _leave_search(self, keep: bool) -> None:
        if not keep:
            self.search.input.value = ""
        self.set_focus(self.table)
        self._show_footer()

    def _change(self, ask: Ask) -> None:
        if ask != self.ask:
            self._said.leave()
            self.ask = ask
            self._put_question()

    # ------------------------------------------------------------ keys

    def action_back(self) -> None:
        """Leave prompts and replies, then the search, then the view."""
        if self._said.leave():
            self._put_question()
        elif self.ask.query:
            self.search.input.value = ""
        else:
            self.dismiss(None)

    def action_help(self) -> None:
        self.app.push_screen(Page("help", lambda _: told.history_help(self._ascii)))

    def action_move(self, by: int) -> None:
        self.table.move(by)

    def action_page(self, step: int) -> None:
        self.table.move(step * max(1, self.table.size.height - 1))

    def action_sort(self, sort: str) -> None:
        """Sort by a figure; the same key again turns the order round."""
        if told.sort_of(self.ask) == sort:
            self.action_reverse()
        else:
            self._change(replace(self.ask, sort=sort, ascending=False))

    @on(HistoryHead.Chosen)
    def _head_clicked(self, event: HistoryHead.Chosen) -> None:
        self.action_sort(event.sort)

    def action_sort_step(self, step: int) -> None:
        sorts = (BEST, *SORTS) if self.ask.query.strip() and not self.ask.group else SORTS
        at = sorts.index(told.sort_of(self.ask))
        self._change(replace(self.ask, sort=sorts[(at + step) % len(sorts)], ascending=False))

    def action_reverse(self) -> None:
        if told.sort_of(self.ask) != BEST:
            self._change(replace(self.ask, ascending=not self.ask.ascending))

    def action_group(self) -> None:
        at = GROUPS.index(self.ask.group)
        self._change(replace(self.ask, group=GROUPS[(at + 1) % len(GROUPS)]))

    def action_fold_all(self) -> None:
        self.lines.fold_all()
        self.table.lay_out()

    def action_fold(self, fold: bool) -> None:
        """Show or put away the sub-agents of a session, or the sessions of a group."""
        group, entry = self.lines.group, self.lines.chosen
        if group is not None:
            if fold != (group.name in self.lines.folded):
                self.lines.toggle_group(group.name)
                self.table.lay_out()
        elif entry is not None and fold:
            self.lines.fold(entry.root)
            self.table.lay_out()
        elif entry is not None and entry.below and entry.id not in self.lines.unfolded:
            self._asking.below(entry.id, self._unfold)

    def _unfold(self, root: int, below: tuple[Entry, ...]) -> None:
        self.lines.unfold(root, below)
        self.table.lay_out()

    @on(HistoryTable.Opened)
    def action_open(self) -> None:
        group, entry = self.lines.group, self.lines.chosen
        if group is not None:
            self.lines.toggle_group(group.name)
            self.table.lay_out()
        elif entry is not None:
            self.open_session(entry)

    def open_session(self, entry: Entry) -> None:
        """Show one session."""
        self.tokentop.open_session(entry.agent, entry.session_id, entry.title)

    def action_copy(self) -> None:
        entry = self.lines.chosen
        if entry is None:
            return
        command = told.resume_command(entry)
        if not command:
            self.app.notify("this session has no resume command", markup=False, timeout=3)
        else:
            self.tokentop.copy_command(command)
