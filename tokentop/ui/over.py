"""What every dialog and page over the live screen stands on: the dimmed picture of what is beneath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.widget import Widget

Answer = TypeVar("Answer")


class Over(ModalScreen[Answer]):
    """A modal screen whose background is drawn from a kept picture of the screen beneath.

    Textual draws all that is beneath anew for each repaint of a translucent modal screen: 40 to 90 ms for each key
    on a table of 50 lines. Here the picture is taken again only when the screen beneath has changed.
    """

    focused: Reactive[Widget | None] = Reactive(
        None, repaint=False
    )  # who has it draws it: not the whole screen

    def __init__(self) -> None:
        super().__init__()
        self._picture: list[Strip] | None = None
        self._covered = False  # by another screen, or was until now

    def render_lines(self, crop: Region) -> list[Strip]:
        """The kept lines as they are: they have passed the filters."""
        picture = self._picture
        if picture is None:
            picture = self._picture = self._take()
        first, last = crop.column_span
        style = self.rich_style  # for the moment in which the screen beneath has another size
        nothing = Strip.blank(last, style)
        lines = [picture[y] if y < len(picture) else nothing for y in crop.line_range]
        return [
            line if not first and last == line.cell_length else line.crop_extend(first, last, style)
            for line in lines
        ]

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Over[Answer]:
        """Regions are named by the screen beneath alone: it has changed there."""
        if regions:
            self._picture = None
        super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return self

    def notify_style_update(self) -> None:
        self._picture = None
        super().notify_style_update()

    def on_resize(self) -> None:
        if self._picture and (self._picture[0].cell_length, len(self._picture)) != self.app.size:
            self._picture = None

    def _screen_resized(self, size: Size) -> None:
        """A new screen is laid out when it is first shown; Textual tells it its size once more."""
        if size != self._compositor.size:
            super()._screen_resized(size)

    def on_screen_suspend(self) -> None:
        self._covered = True

    def on_screen_resume(self) -> None:
        if self._covered:
            self._picture, self._covered = None, False

    def _take(self) -> list[Strip]:
        stack = self.app.screen_stack
        at = stack.index(self) if self in stack else 0
        if not at:
            return []
        styles = _Styles(self.styles.background, self.app.get_line_filters(), self.background_colors[1])
        return [
            Strip([Segment(text, styles[style]) for text, style, _ in strip], strip.cell_length)
            for strip in stack[at - 1]._compositor.render_strips()
        ]


class _Styles(dict[Style | None, Style]):
    """Style of the screen beneath -> the same under `tint`, as the app's filters leave it."""

    def __init__(self, tint: Color, filters: Sequence[LineFilter], ground: Color) -> None:
        super().__init__()
        self._tint, self._filters, self._ground = tint, filters, ground

    def __missing__(self, style: Style | None) -> Style:
        one = [Segment("", _dimmed(style, self._tint))]
        for line_filter in self._filters:
            one = line_filter.apply(one, self._ground)
        found = self[style] = one[0].style or Style.null()
        return found


def _dimmed(style: Style | None, tint: Color) -> Style:
    """The style with `tint` laid over its colours, without links and what the mouse could do."""
    if style is None:
        return Style.null()
    style = style.clear_meta_and_links()
    if not tint.a:
        return style
    front, back = (
        None if colour is None else (Color.from_rich_color(colour) + tint).rich_color
        for colour in (style.color, style.bgcolor)
    )
    return style + Style.from_color(front, back)
