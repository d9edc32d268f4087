"""The last gate before the terminal: every segment of every widget passes it, Textual's own too."""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tokentop.sevenbits import to_ascii
from tokentop.text import clean


class Gate(LineFilter):
    """Lets printable text through and makes anything else visible; in ASCII mode, 7 bits only.

    Textual takes only five control codes out of what it is given, so an escape sequence in a title
    would reach the terminal; the widths that the layout has counted are kept.
    """

    def __init__(self, ascii_only: bool) -> None:
        super().__init__()
        self.ascii_only = ascii_only

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments with safe text; none is copied where nothing changes."""
        changed: list[Segment] | None = None
        for at, (text, style, control) in enumerate(segments):
            if text.isascii() and text.isprintable():
                continue
            new = _pass(text, self.ascii_only)
            if new != text:
                changed = changed or list(segments)
                changed[at] = Segment(new, style, control)
        return changed or segments


@lru_cache(maxsize=4096)  # the same glyphs, frames and names are drawn again and again
def _pass(text: str, ascii_only: bool) -> str:
    safe = guard(text)
    if ascii_only:
        safe = to_ascii(safe, cell_len)
    return safe if safe == text else set_cell_size(safe, cell_len(text))


def guard(text: str) -> str:
    """`text` itself where it is safe, as it nearly always is."""
    if text.isprintable() and text.isascii():
        return text
    return clean(text, len(text) + 8)
