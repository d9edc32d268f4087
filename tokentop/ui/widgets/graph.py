"""Braille graph in a frame: dots are computed once per sample, each line is one segment."""

from __future__ import annotations

from collections.abc import Sequence

from tokentop.ui.paint import Painted, Piece, fit
from tokentop.ui.theme import Palette

# Dots of a braille cell from the bottom up, left and right column (Unicode 2800 block).
_LEFT = (0x40, 0x04, 0x02, 0x01)
_RIGHT = (0x80, 0x20, 0x10, 0x08)
_ASCII_LEVELS = " .:=#"
SEPARATOR = " ∙ "  # between the parts of a caption


def resample(samples: Sequence[float], count: int) -> list[float]:
    """`samples` stretched or squeezed to `count` values; a squeezed value is the mean of its part."""
    have = len(samples)
    if have == 0 or count <= 0:
        return [0.0] * max(0, count)
    if have <= count:
        return [samples[at * have // count] for at in range(count)]
    out = []
    for at in range(count):
        part = samples[at * have // count : max(at * have // count + 1, (at + 1) * have // count)]
        out.append(sum(part) / len(part))
    return out


def nice_top(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten: a scale that does not jump with each sample."""
    if value <= 0:
        return 0.0
    power = 1.0
    while power * 10 < value:
        power *= 10
    while power >= value:
        power /= 10
    return next(power * step for step in (1, 2, 5, 10) if power * step >= value)


def plot(samples: Sequence[float], width: int, height: int, top: float, ascii_only: bool) -> list[str]:
    """`height` lines of `width` cells, top line first; any value above 0 shows at least one dot."""
    steps = 4 * height
    per_cell = 1 if ascii_only else 2
    levels = [
        min(steps, max(1, round(value / top * steps))) if value > 0 and top > 0 else 0
        for value in resample(samples, width * per_cell)
    ]
    lines = []
    for line in range(height):
        floor = 4 * (height - 1 - line)
        if ascii_only:
            lines.append("".join(_ASCII_LEVELS[min(4, max(0, level - floor))] for level in levels))
        else:
            lines.append("".join(_cell(a - floor, b - floor) for a, b in zip(*_pairs(levels), strict=True)))
    return lines


def _pairs(levels: list[int]) -> tuple[list[int], list[int]]:
    return levels[0::2], levels[1::2]


def _cell(left: int, right: int) -> str:
    if left <= 0 and right <= 0:
        return " "
    dots = sum(_LEFT[: max(0, min(4, left))]) + sum(_RIGHT[: max(0, min(4, right))])
    return chr(0x2800 + dots)


def frame_line(
    y: int, height: int, width: int, title: str, caption: str, palette: Palette
) -> list[Piece] | None:
    """The top or bottom border with its text, None inside."""
    if y not in {0, height - 1}:
        return None
    left, right, text = ("╭", "╮", title) if y == 0 else ("╰", "╯", caption)
    frame = palette["frame"]
    room = width - 4
    if not text or room < 1:
        return [(left + "─" * (width - 2) + right, frame)]
    while len(text) > room and SEPARATOR in text:
        text = text.rpartition(SEPARATOR)[0]  # parts are left out whole
    shown = fit(text, min(room, len(text)))
    rest = "─" * (width - 4 - len(shown))
    role = "muted" if y == 0 else "dim"
    return [(left + " ", frame), (shown, palette[role]), (" " + rest + right, frame)]


class Graph(Painted):
    """Samples over time, oldest left. Framed from 3 lines on, a bare line below."""

    DEFAULT_CSS = "Graph { width: 1fr; height: 100%; }"

    def __init__(self, title: str, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.ascii_only = ascii_only
        self._title = title
        self._samples: tuple[float, ...] = ()
        self._caption = ""
        self._top_label = ""
        self._top = 0.0
        self._plotted: tuple[tuple[int, int], list[str]] | None = None

    def set_ascii(self, ascii_only: bool) -> None:
        self.ascii_only, self._plotted = ascii_only, None
        self.refresh()

    def show(self, samples: tuple[float, ...], top: float, top_label: str, caption: str) -> None:
        """New samples on a scale from 0 to `top`."""
        if (samples, top, top_label, caption) == (self._samples, self._top, self._top_label, self._caption):
            return
        self._samples, self._top, self._top_label, self._caption = samples, top, top_label, caption
        self._plotted = None
        self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        height = self.size.height
        framed = height >= 3 and width >= 6
        if framed:
            border = frame_line(y, height, width, self._title, self._caption, palette)
            if border is not None:
                return border
        inner, at = (height - 2, y - 1) if framed else (height, y)
        label = 5 if framed and width >= 24 else 0
        room = width - (2 if framed else 0) - (label + 1 if label else 0)
        body = self._body(room, inner)[at]
        role = f"graph{min(3, (inner - 1 - at) * 4 // max(inner, 1))}" if inner > 1 else "graph1"
        pieces: list[Piece] = []
        if framed:
            pieces.append(("│", palette["frame"]))
        if label:
            text = self._top_label if at == 0 else "0" if at == inner - 1 else ""
            pieces.append((fit(text, label, right=True) + " ", palette["dim"]))
        pieces.append((body, palette[role]))
        if framed:
            pieces.append(("│", palette["frame"]))
        return pieces

    def _body(self, width: int, height: int) -> list[str]:
        size = (width, height)
        if self._plotted is None or self._plotted[0] != size:
            self._plotted = (size, plot(self._samples, max(0, width), height, self._top, self.ascii_only))
        return self._plotted[1]
