"""The line of time over a replayed table: that it is the past, which moment, and the day's burn with the place in it."""

from __future__ import annotations

from msgspec import Struct
from rich.style import Style
from textual import events
from textual.message import Message

from tokentop import text
from tokentop.ui.glyphs import SPARKS, safe
from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.theme import Palette

_HOURS = 24
_HOUR_MS = 3_600_000
_GAP = "·"  # nothing was recorded


class Day(Struct, frozen=True):
    """What is drawn of a day, by cell."""

    span: tuple[int, int] = (0, 1)
    curve: tuple[float | None, ...] = ()  # $/h, None = nothing was recorded
    alerts: frozenset[int] = frozenset()
    actions: frozenset[int] = frozenset()


class Track(Struct, frozen=True):
    """What the scrubber draws."""

    at_ms: int = 0
    clock: str = ""  # the moment as people write it
    ago: str = ""
    speed: str = ""  # `▶ 60x` while it plays, `‖ 60x` while it is held
    note: str = ""  # what is to be said about the moment
    day: Day = Day()
    selected: tuple[int, int] | None = None
    recorded_ms: int = 0  # the end of the recording


def cell_of(at_ms: int, span: tuple[int, int], cells: int) -> int:
    """The cell of a time in a span that has so many."""
    return min(cells - 1, max(0, (at_ms - span[0]) * cells // max(1, span[1] - span[0])))


class Scrubber(Painted):
    """Two lines, three where there is room; a click leads to a time of the day."""

    class Sought(Message):
        """A time of the day was clicked."""

        def __init__(self, at_ms: int) -> None:
            super().__init__()
            self.at_ms = at_ms

    DEFAULT_CSS = "Scrubber { height: 2; background: $panel; }"

    def __init__(self) -> None:
        super().__init__()
        self.track = Track()

    def show(self, track: Track) -> None:
        if track != self.track:
            self.track = track
            self.refresh()

    @property
    def cells(self) -> int:
        """How many cells the day has."""
        return max(1, self.size.width - 2)

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        if y == 0:
            return self._head(width, palette)
        if y == 1:
            return [(" ", palette.base), *self._curve(palette)]
        return [(" ", palette.base), *self._scale(palette)]

    def _head(self, width: int, palette: Palette) -> list[Piece]:
        track = self.track
        loud = palette["hot"] + Style(reverse=True, bold=True)
        pieces: list[Piece] = [(f" PAST  {track.clock} ", loud)]
        for piece, role in ((track.ago, "muted"), (track.speed, "key"), (track.note, "warm")):
            room = width - sum(len(shown) for shown, _ in pieces) - 2
            if piece and room > 8:
                pieces += [("  ", palette.base), (fit(safe(piece), min(room, len(piece))), palette[role])]
        return pieces

    def _curve(self, palette: Palette) -> list[Piece]:
        track, cells = self.track, self.cells
        day = track.day
        top = max((value for value in day.curve if value), default=0.0)
        here, last = (cell_of(at_ms, day.span, cells) for at_ms in (track.at_ms, track.recorded_ms))
        chosen = range(0)
        if track.selected is not None:
            first, final = (cell_of(at_ms, day.span, cells) for at_ms in track.selected)
            chosen = range(first, final + 1)
        pieces: list[Piece] = []
        for cell, value in enumerate(day.curve[:cells]):
            glyph, role = _glyph(value, top) if cell <= last else (" ", "faint")
            if cell in day.actions:
                glyph, role = "✗", "error"
            style = palette[role]
            if cell in chosen:
                style = palette["key"] + Style(reverse=True)
            if cell == here:
                glyph = glyph if glyph not in {" ", _GAP} else "│"
                style = palette["hot"] + Style(reverse=True)
            pieces.append((glyph, style))
        return pieces

    def _scale(self, palette: Palette) -> list[Piece]:
        """The hours, and between them the alerts."""
        day, cells = self.track.day, self.cells
        from_ms, until_ms = day.span
        every = next((step for step in (1, 2, 3, 6, 12) if cells * step // _HOURS >= 5), _HOURS)
        line = [(" ", "dim")] * cells
        for at_ms in range(from_ms, until_ms, every * _HOUR_MS):
            first = cell_of(at_ms, day.span, cells)
            for at, letter in enumerate(text.clock(at_ms)[:2]):
                if first + at < cells:
                    line[first + at] = (letter, "dim")
        for cell in day.alerts:
            if cell < cells and line[cell][0] == " ":
                line[cell] = ("!", "warm")
        for cell in day.actions:
            if cell < cells:
                line[cell] = ("✗", "error")
        return [(glyph, palette[role]) for glyph, role in line]

    def on_click(self, event: events.Click) -> None:
        event.stop()
        if event.y >= 1:
            from_ms, until_ms = self.track.day.span
            cell = min(max(event.x - 1, 0), self.cells - 1)
            self.post_message(
                self.Sought(from_ms + (2 * cell + 1) * (until_ms - from_ms) // (2 * self.cells))
            )


def _glyph(value: float | None, top: float) -> tuple[str, str]:
    if value is None:
        return _GAP, "faint"
    if top <= 0 or value <= 0:
        return SPARKS[0], "faint"
    level = min(len(SPARKS) - 1, int(value / top * (len(SPARKS) - 1) + 0.5))
    return SPARKS[level], ("graph1", "graph1", "graph2", "graph3")[level // 2]
