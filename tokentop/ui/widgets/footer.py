"""The footer: the keys that make sense now, as many as fit."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tokentop.ui.paint import Painted, Piece
from tokentop.ui.theme import Palette

KeyHint = tuple[str, str]  # key, what it does


class KeyFooter(Painted):
    """One line of keys, the most useful first; the last two (help, quit) stay longest."""

    DEFAULT_CSS = "KeyFooter { height: 1; background: $panel; }"

    def __init__(self) -> None:
        super().__init__()
        self._hints: tuple[KeyHint, ...] = ()

    def show(self, hints: Sequence[KeyHint]) -> None:
        if tuple(hints) != self._hints:
            self._hints = tuple(hints)
            self.refresh()

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        pieces: list[Piece] = [(" ", palette.base)]
        for key, what in fitting(self._hints, width):
            pieces += [(key, palette["key"]), (f" {what}  ", palette["muted"])]
        return pieces


def fitting(hints: Sequence[KeyHint], width: int) -> list[KeyHint]:
    """The hints that fit into `width`, in their order; the last two are kept before others."""
    if not hints:
        return []
    sizes = [cell_len(key) + 1 + cell_len(what) + 2 for key, what in hints]
    room = width + 1
    kept: list[int] = []
    last = len(hints) - 1
    for at in (last, *([last - 1] if last else []), *range(last - 1)):
        if sizes[at] > room:
            break
        room -= sizes[at]
        kept.append(at)
    return [hints[at] for at in sorted(kept)]
