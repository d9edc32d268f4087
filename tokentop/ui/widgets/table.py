"""The live table, on Textual's line API: a changed row redraws its own line and nothing else."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tokentop.nouns.picture import Row
from tokentop.ui.cells import Scene
from tokentop.ui.columns import Placed
from tokentop.ui.glyphs import TAG
from tokentop.ui.lines import Line
from tokentop.ui.paint import NO_WAY, Way, palette_of, strip, way_of
from tokentop.ui.rowline import head_pieces, row_pieces
from tokentop.ui.theme import Palette
from tokentop.ui.view import Change, View

_CACHE_LINES = 240  # each is kept as drawn and as filtered
_AFTER_TICK_S = 0.05  # the tick of the screen comes first: it paints what waits, and one paint is left out
_DOUBLE_CLICK_S = 0.5


class LiveTable(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws a View. The cursor is the View's key; this widget only knows where that key is."""

    class Moved(Message):
        """The cursor is on another row, or the row under it changed."""

    class Opened(Message):
        """The row under the cursor was double-clicked."""

    class Resized(Message):
        """The table has another size: columns have to be placed anew."""

    DEFAULT_CSS = """
    LiveTable { height: 1fr; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 0; overflow-x: hidden; }
    """

    def __init__(self, view: View, period_s: float = 1.0) -> None:
        super().__init__()
        self.view = view
        self.period_s = period_s  # a line is repainted at most this often by data
        self.now_ms = 0
        self.placed: tuple[Placed, ...] = ()
        self._timed: tuple[Placed, ...] = ()  # those whose text moves with the clock
        self._cache: OrderedDict[tuple[object, ...], Strip] = OrderedDict()
        self._painted_s: dict[str, float] = {}
        self._drawn_times: dict[str, tuple[str, ...]] = {}  # what each line said about time
        self._waiting: set[str] = set()
        self._flush_planned = False
        self._clicked: tuple[str | None, float] = (None, 0.0)
        self.misses = 0  # lines drawn anew, for tests and the budget

    # ------------------------------------------------------------ data

    def apply(self, change: Change) -> None:
        """Repaint what `change` names: moved lines at once, changed rows within their period."""
        if change.structure:
            self.relayout()
            return
        now = time.monotonic()
        ripe = [key for key in change.keys if now - self._painted_s.get(key, -1e9) >= self.period_s]
        self._waiting.difference_update(ripe)
        self._waiting.update(change.keys.difference(ripe))
        self._repaint(ripe, now)
        if self._waiting and not self._flush_planned:
            self._flush_planned = True
            due = min(self._painted_s.get(key, now) for key in self._waiting) + self.period_s
            self.set_timer(max(0.02, due - now) + _AFTER_TICK_S, self._flush)

    def _flush(self) -> None:
        self._flush_planned = False
        waiting, self._waiting = frozenset(self._waiting), set()
        self.apply(Change(False, waiting))

    def _repaint(self, keys: Iterable[str], now: float) -> None:
        index, seen = self.view.index, []
        for key in keys:
            at = index.get(key)
            if at is None:
                self._painted_s.pop(key, None)
            else:
                self._painted_s[key] = now
                seen.append(at)
        self._refresh_visible(seen)

    def _refresh_visible(self, lines: Iterable[int]) -> None:
        """Draw these lines anew, those that are on the screen; one message for all of them."""
        top, (width, height) = self.scroll_offset.y, self.size
        width = max(width, self.virtual_size.width)
        regions = [Region(0, at - top, width, 1) for at in lines if top <= at < top + height]
        if regions:
            self.refresh(*regions)

    def relayout(self) -> None:
        """Lines moved: new height, everything visible is drawn from the cache."""
        self._waiting.clear()
        self._painted_s = {key: at for key, at in self._painted_s.items() if key in self.view.index}
        self._drawn_times = {key: said for key, said in self._drawn_times.items() if key in self.view.index}
        self.virtual_size = Size(self.room, len(self.view.lines))
        if self.view.follow or self.view.tags:  # new rows do not push the cursor off while rows are tagged
            self.show_cursor()
        self.refresh()
        self.post_message(self.Moved())

    def put(self, placed: tuple[Placed, ...]) -> None:
        """Draw these columns from now on."""
        self.placed = placed
        self._timed = tuple(one for one in placed if one.column.timed)
        self.forget()

    def forget(self) -> None:
        """Drop all drawn lines: theme, width or figures changed."""
        self._cache.clear()
        self.refresh()

    def on_resize(self) -> None:
        self.virtual_size = Size(self.room, len(self.view.lines))
        self.show_cursor()
        self.post_message(self.Resized())

    @property
    def room(self) -> int:
        """Cells of a line that the scroll bar leaves."""
        return self.scrollable_content_region.width or self.size.width

    def watch_show_vertical_scrollbar(self) -> None:
        self.call_after_refresh(self.post_message, self.Resized())

    def tick(self, now_ms: int) -> None:
        """Time passed: visible lines whose age or alert text changed are drawn anew.

        Rows that wait for their period go with them: one paint a second for everything, not several.
        """
        self.now_ms = now_ms
        now = time.monotonic()
        least_s = 0.0 if self.period_s <= 1 else self.period_s / 2
        ripe = [key for key in self._waiting if now - self._painted_s.get(key, -1e9) >= least_s]
        self._waiting.difference_update(ripe)
        self._repaint(ripe, now)
        top, old = self.scroll_offset.y, []
        for at in range(top, min(top + self.size.height, len(self.view.lines))):
            row = self.view.drawn(self.view.lines[at].key)
            if row is not None and self._drawn_times.get(row.key) != self._times(row):
                old.append(at)
        self._refresh_visible(old)

    # ------------------------------------------------------------ cursor

    def show_cursor(self) -> None:
        """Scroll until the cursor line is visible."""
        at = self.view.index.get(self.view.cursor or "")
        height = self.size.height
        if at is None or height <= 0:
            return
        top = self.scroll_offset.y
        if at < top:
            self.scroll_to(y=at, animate=False, immediate=True)
        elif at >= top + height:
            self.scroll_to(y=at - height + 1, animate=False, immediate=True)

    def moved(self, before: str | None) -> None:
        """The cursor was on `before`: redraw both lines."""
        self.show_cursor()
        for key in (before, self.view.cursor):
            at = self.view.index.get(key or "")
            if at is not None:
                self.refresh_lines(at)
        self.post_message(self.Moved())

    def repaint_tags(self, keys: Iterable[str]) -> None:
        """Tags came or went: draw these rows anew, at once."""
        self._refresh_visible([at for key in keys if (at := self.view.index.get(key)) is not None])

    def move(self, by: int) -> None:
        before = self.view.cursor
        self.view.move(by)
        self.moved(before)

    def on_click(self, event: events.Click) -> None:
        at = event.y + self.scroll_offset.y
        if not 0 <= at < len(self.view.lines):
            return
        event.stop()
        before, now = self.view.cursor, time.monotonic()
        self.view.cursor = key = self.view.lines[at].key
        self.moved(before)
        again = self._clicked[0] == key and now - self._clicked[1] <= _DOUBLE_CLICK_S
        self._clicked = (None, 0.0) if again else (key, now)
        if again:
            self.post_message(self.Opened())

    # ------------------------------------------------------------ drawing

    def _on_focus(self, event: events.Focus) -> None:
        """It looks the same with the keys and without: no repaint, as any other widget's."""
        self._take_focus(event, True, events.DescendantFocus(self))

    def _on_blur(self, event: events.Blur) -> None:
        self._take_focus(event, False, events.DescendantBlur(self))

    def _take_focus(self, event: events.Event, has_focus: bool, told: events.Event) -> None:
        event.prevent_default()
        self.has_focus = has_focus
        if self.parent is not None:
            self.parent.post_message(told)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The visible lines of `crop`: nothing stands round them, so no style is laid over them again."""
        palette, width = palette_of(self, self.view.follow), self.room
        way = way_of(self, palette)
        first, last = crop.column_span
        lines = []
        for y in crop.line_range:
            line = self._line(y + self.scroll_offset.y, width, palette, way)
            lines.append(line if first <= 0 and last >= width else line.crop(first, last))
        return lines

    def render_line(self, y: int) -> Strip:
        return self._line(y + self.scroll_offset.y, self.room, palette_of(self, self.view.follow), NO_WAY)

    def _line(self, at: int, width: int, palette: Palette, way: Way) -> Strip:
        if at >= len(self.view.lines):
            return strip((), width, palette.base, way=way)
        line = self.view.lines[at]
        row = self.view.drawn(line.key)
        if row is None:
            return strip((), width, palette.base, way=way)
        selected = line.key == self.view.cursor
        times = self._drawn_times[line.key] = self._times(row)
        tagged = line.key in self.view.tags
        version = self.view.versions.get(line.key, 0)
        key = (line, version, width, selected, tagged, palette, times, self.view.tree, way)
        found = self._cache.get(key)
        if found is None:
            self.misses += 1
            style = palette.selected if selected else palette.__getitem__
            pieces = [(text, style(role)) for text, role in self._pieces(row, line, selected, tagged)]
            found = self._cache[key] = strip(pieces, width, style(""), self._cells, way)
            while len(self._cache) > _CACHE_LINES:
                self._cache.popitem(last=False)
        else:
            self._cache.move_to_end(key)
        return found

    @property
    def _cells(self) -> int:
        """How wide the columns are together, with the mark in front and the spaces between."""
        return 2 + sum(width for _, width in self.placed) + max(0, len(self.placed) - 1)

    def _scene(self, width: int) -> Scene:
        return Scene(self.now_ms, width, self.view.tree, self.view.order.alerts, self.view.order.limits)

    def _times(self, row: Row) -> tuple[str, ...]:
        """What a line says about time."""
        if row.kind == "group":
            return ()
        since = self.view.order.alerts.get(row.key)
        said = "" if since is None else str((self.now_ms - since) // 60_000)
        return (said, *(column.cell(row, self._scene(width))[0] for column, width in self._timed))

    def _pieces(self, row: Row, line: Line, selected: bool, tagged: bool) -> Iterable[tuple[str, str]]:
        mark = ("»" if self.view.follow else ">") if selected else " "
        if tagged:
            yield mark, "strong"
            yield TAG, "key"
        else:
            yield f"{mark} ", "strong"
        head = self.view.groups.heads.get(line.key)
        if head is not None:
            yield from head_pieces(head, line, self.placed, self._scene)
        else:
            yield from row_pieces(row, line, self.placed, self._scene)
