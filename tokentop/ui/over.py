"""What every dialog and page over the live screen stands on: the dimmed picture of what is beneath."""

from __future__ import annotations

from typing import TypeVar

from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.strip import Strip

Answer = TypeVar("Answer")


class Over(ModalScreen[Answer]):
    """A modal screen whose background is drawn from a kept picture of the screen beneath.

    Textual draws all that is beneath anew for each repaint of a translucent modal screen: 40 to 90 ms for each key
    on a table of 50 lines. Here the picture is taken again only when the screen beneath has changed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._picture: list[Strip] | None = None

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
        if regions or layout:
            self._picture = None
        super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
        return self

    def notify_style_update(self) -> None:
        self._picture = None
        super().notify_style_update()

    def on_resize(self) -> None:
        self._picture = None

    def on_screen_resume(self) -> None:
        self._picture = None

    def _take(self) -> list[Strip]:
        stack = self.app.screen_stack
        at = stack.index(self) if self in stack else 0
        if not at:
            return []
        tint, known = self.styles.background, dict[Style | None, Style]()
        lines = [_tinted(strip, tint, known) for strip in stack[at - 1]._compositor.render_strips()]
        for one in self.app.get_line_filters():
            lines = [line.apply_filter(one, self.background_colors[1]) for line in lines]
        return lines


def _tinted(strip: Strip, tint: Color, known: dict[Style | None, Style]) -> Strip:
    segments = []
    for text, style, _ in strip:
        dimmed = known.get(style)
        if dimmed is None:
            dimmed = known[style] = _dimmed(style, tint)
        segments.append(Segment(text, dimmed))
    return Strip(segments, strip.cell_length)


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
