"""Segments, strips and palettes: how the widgets draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple, Self

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.containers import Container, Vertical
from textual.filter import ANSIToTruecolor, LineFilter
from textual.geometry import Region, Size
from textual.reactive import Reactive
from textual.strip import Strip
from textual.widget import Widget

from tokentop.ui.theme import Palette

Piece = tuple[str, Style]


def fit(text: str, width: int, right: bool = False) -> str:
    """`text` in exactly `width` cells; a cut is marked with `…` and never splits a wide character."""
    if width <= 0:
        return ""
    cells = len(text) if text.isascii() else cell_len(text)
    if cells > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else set_cell_size(text, 1)
    if right:
        return " " * (width - cells) + text
    return text + " " * (width - cells)


class Line(Strip):
    """A strip that does not hold itself.

    Textual caches what it cuts out of a strip in the strip. Where that is the whole strip it becomes garbage that
    only a search finds: 8 MB a minute of a screen with twenty busy agents.
    """

    __slots__ = ()

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        width = self.cell_length
        cuts = [cut for cut in cuts if cut <= width]
        return [self] if cuts == [width] else super().divide(cuts)

    def crop_extend(self, start: int, end: int, style: Style | None) -> Strip:
        return self if start == 0 and end == self.cell_length else super().crop_extend(start, end, style)


class Way(NamedTuple):
    """The filters that a line passes on its way to the terminal, and the background that they are told."""

    filters: tuple[LineFilter, ...] = ()
    ground: Color = Color(0, 0, 0)


NO_WAY = Way()


def way_of(widget: Widget, palette: Palette) -> Way:
    """The way of a line that is drawn in the styles of `palette`."""
    filters = widget.app.get_line_filters()
    if _in_true_colour(palette):
        filters = [one for one in filters if not isinstance(one, ANSIToTruecolor)]
    return Way(tuple(filters), widget.background_colors[1])


@lru_cache(maxsize=64)
def _in_true_colour(palette: Palette) -> bool:
    """Whether no style of it leaves a colour to the terminal, so that none has to be translated."""
    styles = [*palette.styles, palette.cursor]
    colours = [colour for style in styles for colour in (style.color, style.bgcolor) if colour is not None]
    return all(colour.triplet is not None for colour in colours) and not any(style.dim for style in styles)


def strip(pieces: Iterable[Piece], width: int, base: Style, cells: int = -1, way: Way = NO_WAY) -> Strip:
    """A line of exactly `width` cells; neighbours of one style become one segment.

    `cells` is the width of the pieces where the caller knows it; it need not be counted then.
    """
    segments: list[Segment] = []
    run, style = "", base
    for text, piece_style in pieces:
        if not text:
            continue
        if run and piece_style is not style and piece_style != style:
            segments.append(Segment(run, style))
            run = ""
        run, style = run + text, piece_style
    if 0 <= cells < width and run and style is base:
        run, cells = run + " " * (width - cells), width
    if run:
        segments.append(Segment(run, style))
    if cells != width:
        segments = list(Line(segments).crop_extend(0, width, base))
    for line_filter in way.filters:  # before the strip is made: each strip brings six caches of its own
        segments = line_filter.apply(segments, way.ground)
    return Line(segments, width)


def bare_lines(widget: Widget, crop: Region) -> list[Strip]:
    """The ground of what only holds others: one blank line, drawn once for all of them.

    Textual draws each of them anew, a quarter of the time of a repaint of the whole screen.
    """
    blank = Strip.blank(crop.width, Style(bgcolor=widget.rich_style.bgcolor))
    for line_filter in widget.app.get_line_filters():
        blank = blank.apply_filter(line_filter, widget.background_colors[1])
    return [blank] * crop.height


class Bare(Widget):
    """Holds others and never scrolls: its own ground is all there is to draw, and another size changes none of it.

    It stands last among the bases: Textual takes the style of the first.
    """

    virtual_size = Reactive(Size(0, 0), layout=True, repaint=False)

    def render_lines(self, crop: Region) -> list[Strip]:
        return bare_lines(self, crop)


class BareContainer(Container, Bare):
    """A Container drawn so."""


class BareVertical(Vertical, Bare):
    """A Vertical drawn so."""


class Painted(Widget):
    """A widget drawn line by line from `line()`, with nothing round the lines."""

    _drawn: tuple[object, dict[int, Strip]] = (None, {})  # what the lines were drawn for, and the lines

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        """The pieces of line `y`."""
        raise NotImplementedError

    def refresh(
        self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False
    ) -> Self:
        if repaint:
            self._drawn = (None, {})
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def render_lines(self, crop: Region) -> list[Strip]:
        palette, size = palette_of(self), self.size
        way = way_of(self, palette)
        drawn_for = (palette, size, way)
        if self._drawn[0] != drawn_for:
            self._drawn = (drawn_for, {})
        lines, found = self._drawn[1], []
        first, last = crop.column_span
        for y in crop.line_range:
            if y not in lines:
                lines[y] = strip(self.line(y, size.width, palette), size.width, palette.base, way=way)
            line = lines[y]
            found.append(line if first <= 0 and last >= size.width else line.crop(first, last))
        return found

    def render_line(self, y: int) -> Strip:
        palette = palette_of(self)
        width = self.size.width
        return strip(self.line(y, width, palette), width, palette.base)


_LAST = "_tokentop_palette"
_palettes: dict[tuple[object, ...], Palette] = {}


def palette_of(widget: Widget, follow: bool = False) -> Palette:
    """The palette for the widget's background; few exist, so they are kept."""
    app = widget.app
    theme = app.current_theme
    styles, ground = widget.styles, widget.screen.styles.background
    seen = (theme.name, follow, styles.background, styles.color, ground, app.no_color)
    last: tuple[object, Palette] | None = getattr(widget, _LAST, None)
    if last is not None and last[0] == seen:  # working out a widget's own style walks up the tree
        return last[1]
    palette = _palette_for(widget, follow)
    setattr(widget, _LAST, (seen, palette))
    return palette


def _palette_for(widget: Widget, follow: bool) -> Palette:
    app = widget.app
    theme = app.current_theme
    own = widget.rich_style
    base = Style.from_color(own.color, own.bgcolor)
    colourless = theme.ansi or app.no_color
    key = (theme.name, base, colourless, follow)
    found = _palettes.get(key)
    if found is None:
        if len(_palettes) > 32:
            _palettes.clear()
        found = _palettes[key] = _build(widget, base, colourless, follow)
    return found


def _build(widget: Widget, base: Style, colourless: bool, follow: bool) -> Palette:
    theme = widget.app.current_theme
    if colourless or base.color is None or base.bgcolor is None:
        return Palette(theme, base, "none", "dim", "dim", Style(reverse=True, underline=follow))
    front, back = Color.from_rich_color(base.color), Color.from_rich_color(base.bgcolor)
    muted, dim, faint = (back.blend(front, share).hex6 for share in (0.72, 0.55, 0.32))
    accent = Color.parse(theme.accent or theme.primary) if follow else Color.parse(theme.primary)
    strong = theme.dark and not theme.name.startswith("high-contrast")
    bar = back.blend(accent, 0.30 if strong else 0.22)
    return Palette(theme, base, muted, dim, faint, Style(bgcolor=bar.rich_color, bold=True))
