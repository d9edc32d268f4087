"""What the terminal shows already: a repaint writes only what differs.

Textual writes each region that was drawn anew, whether it looks different or not: a graph whose newest column has
changed, all rows below a line that was opened. A terminal, tmux and a slow line pay for each byte of it.
"""

from __future__ import annotations

from textual._compositor import ChopsUpdate
from textual.strip import Strip


class Shown:
    """The pieces of each line as they were last written: where one begins -> (where it ends, what it is)."""

    def __init__(self) -> None:
        self._lines: dict[int, dict[int, tuple[int, Strip]]] = {}

    def forget(self) -> None:
        """The terminal may show something else by now."""
        self._lines.clear()

    def news(self, update: ChopsUpdate) -> ChopsUpdate | None:
        """What of `update` the terminal does not show yet, taken as shown from here on; None = nothing."""
        spans: list[tuple[int, int, int]] = []
        for y, first, last in update.spans:
            held = self._lines.setdefault(y, {})
            for end, (start, piece) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if piece is None or start >= last or end <= first:
                    continue
                whole = first <= start and end <= last
                if whole and held.get(start) == (end, piece):
                    continue
                for other in [at for at, (until, _) in held.items() if at < end and until > start]:
                    del held[other]
                if whole:
                    held[start] = (end, piece)
                spans.append((y, max(start, first), min(end, last)))
        return ChopsUpdate(update.chops, spans, update.chop_ends) if spans else None
