"""A terminal's picture as SVG that looks the same in every viewer.

Each word stands at its own place, and what is drawn rather than written (dots, blocks, frames) is drawn, so that neither
the width of a font's glyphs nor its lack of some moves anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from html import escape

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.app import App

CELL, LINE, SIZE = 8.4, 18, 14  # pixels: of a cell, of a line, of the letters
_BAR, _EDGE = 34, 10  # the window's title bar, the space around the screen
_FONTS = "'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', ui-monospace, monospace"
_DOTS = (
    (0, 0),
    (0, 1),
    (0, 2),
    (1, 0),
    (1, 1),
    (1, 2),
    (0, 3),
    (1, 3),
)  # (column, row) of the bits of a braille cell
_FRAMES = {  # strokes between the middle of the cell (0, 0) and its edges
    "─": ("l", "r"), "│": ("u", "d"), "├": ("u", "d", "r"), "└": ("u", "r"), "╭": ("r", "d"), "╮": ("l", "d"),
    "╰": ("u", "r"), "╯": ("u", "l"),
}  # fmt: skip
_BLOCKS = {**{chr(0x2581 + n): (0, 1 - (n + 1) / 8, 1, (n + 1) / 8) for n in range(8)},
           **{chr(0x2589 + n): (0, 0, (7 - n) / 8, 1) for n in range(7)}, "▔": (0, 0, 1, 1 / 8)}  # fmt: skip


def svg(app: App[str], title: str) -> str:
    """What the terminal shows now, in a window with a title."""
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    lines = [[s for strip in strips for s in strip if s.text] for strips in update.strips]  # type: ignore[union-attr]
    width, height = app.size.width * CELL + 2 * _EDGE, app.size.height * LINE + _BAR + _EDGE
    ground = app.current_theme.background or "#000000"
    body = "\n".join(part for y, line in enumerate(lines) for part in _line(line, y))
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" font-family="{_FONTS}" font-size="{SIZE}">
<title>{escape(title)}</title>
<rect width="{width:g}" height="{height:g}" rx="9" fill="{ground}"/>
<circle cx="20" cy="17" r="6" fill="#ff5f57"/>
<circle cx="40" cy="17" r="6" fill="#febc2e"/>
<circle cx="60" cy="17" r="6" fill="#28c840"/>
<text x="{width / 2:g}" y="22" fill="#9a9a9a" text-anchor="middle">{escape(title)}</text>
<g transform="translate({_EDGE} {_BAR})">
{body}
</g>
</svg>
"""


def _line(line: Iterable[Segment], y: int) -> Iterator[str]:
    """Grounds first, then what stands on them."""
    over: list[str] = []
    x = 0
    for text, style, _ in line:
        cells = cell_len(text)
        front, back, attributes = _look(style or Style.null())
        if back:
            yield f'<rect x="{x * CELL:g}" y="{y * LINE}" width="{cells * CELL + 0.3:g}" height="{LINE + 0.3}" fill="{back}"/>'
        over += _drawn(text, x, y, front)
        over += _written(text, x, y, f'fill="{front}"{attributes}')
        x += cells
    yield from over


def _look(style: Style) -> tuple[str, str, str]:
    """(colour, ground or "", attributes of the text)."""
    front = style.color.get_truecolor().hex if style.color else "#d8d8d8"
    back = style.bgcolor.get_truecolor(foreground=False).hex if style.bgcolor else ""
    if style.reverse:
        front, back = back or "#101214", front
    bold = ' font-weight="bold"' if style.bold else ""
    return front, back, bold + (' text-decoration="underline"' if style.underline else "")


def _is_drawn(char: str) -> bool:
    return char in _FRAMES or char in _BLOCKS or char == "░" or "\u2800" <= char <= "\u28ff"


def _written(text: str, x: int, y: int, attributes: str) -> Iterator[str]:
    """Words, and glyphs that are no letters each by itself."""
    word, start, at = "", x, x
    for char in [*text, " "]:
        lone = not char.isascii() and not char.isalnum()
        if word and (char == " " or lone or _is_drawn(char)):
            length = f' textLength="{cell_len(word) * CELL:g}"' if len(word) > 1 else ""
            yield f'<text x="{start * CELL:g}" y="{y * LINE + 13.5:g}"{length} {attributes}>{escape(word)}</text>'
            word = ""
        if char != " " and not _is_drawn(char):
            if lone:
                middle = at + cell_len(char) / 2
                yield (f'<text x="{middle * CELL:g}" y="{y * LINE + 13.5:g}" text-anchor="middle" {attributes}>'
                       f"{escape(char)}</text>")  # fmt: skip
            else:
                start = start if word else at
                word += char
        at += cell_len(char)


def _drawn(text: str, x: int, y: int, colour: str) -> Iterator[str]:
    """Dots, blocks and frames, each kind as one path."""
    paths: dict[str, list[str]] = defaultdict(list)
    for at, char in enumerate(text):
        left, top = (x + at) * CELL, y * LINE
        if "\u2800" < char <= "\u28ff":
            bits = ord(char) - 0x2800
            for column, row in (place for bit, place in enumerate(_DOTS) if bits >> bit & 1):
                paths["dots"].append(
                    f"M{left + 1.1 + column * CELL / 2:.2f} {top + 1.2 + row * LINE / 4:.2f}h2.4v2.4h-2.4z"
                )
        elif char in _BLOCKS or char == "░":
            begin, down, wide, tall = _BLOCKS.get(char, (0, 0, 1, 1))
            paths["░" if char == "░" else "blocks"].append(
                f"M{left + begin * CELL:.2f} {top + down * LINE + 1:.2f}h{wide * CELL + 0.2:.2f}v{max(1.5, tall * LINE - 2):.2f}"
                f"h-{wide * CELL + 0.2:.2f}z"
            )
        elif char in _FRAMES:
            paths["frames"].append(_strokes(char, left + CELL / 2, top + LINE / 2))
    for kind, parts in paths.items():
        fill = f'fill="{colour}"'
        how = {"░": f'{fill} opacity="0.25"', "frames": f'fill="none" stroke="{colour}"'}.get(kind, fill)
        yield f'<path d="{"".join(parts)}" {how}/>'


def _strokes(char: str, x: float, y: float) -> str:
    """From edge to edge through the middle of the cell; corners are round."""
    ends = {"l": (x - CELL / 2, y), "r": (x + CELL / 2, y), "u": (x, y - LINE / 2), "d": (x, y + LINE / 2)}
    sides = _FRAMES[char]
    if char in "╭╮╰╯":
        (x0, y0), (x1, y1) = ends[sides[0]], ends[sides[1]]
        return f"M{x0:.2f} {y0:.2f}Q{x:.2f} {y:.2f} {x1:.2f} {y1:.2f}"
    return "".join(f"M{x:.2f} {y:.2f}L{ends[side][0]:.2f} {ends[side][1]:.2f}" for side in sides)
