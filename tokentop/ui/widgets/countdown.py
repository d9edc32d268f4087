"""What rules are about to do: what will be hit and why, how long is left, and the key that calls it off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from textual.screen import Screen

from tokentop.nouns.actions import Countdown
from tokentop.ui.actions.plan import VERBS
from tokentop.ui.glyphs import safe
from tokentop.ui.paint import Painted, Piece
from tokentop.ui.theme import Palette

_SHOWN = 2  # countdowns at once; the others are counted


class Countdowns(Painted):
    """Two lines for each countdown; not there without one."""

    DEFAULT_CSS = """
    Countdowns { height: 0; display: none; background: $panel; }
    Countdowns.over { layer: counting; dock: bottom; }
    """

    def __init__(self, classes: str = "") -> None:
        super().__init__(classes=classes)
        self._lines: list[tuple[str, str, str]] = []  # text, role, key hint
        self._key = "x"

    @property
    def lines(self) -> int:
        return len(self._lines)

    def show(self, countdowns: Sequence[Countdown], passed_ms: int, key: str = "x") -> bool:
        """`passed_ms` since the picture was made, `key` = what calls it off; True if the height has changed."""
        lines = countdown_lines(countdowns, passed_ms)
        if lines == self._lines and key == self._key:
            return False
        self._key = key
        changed = len(lines) != len(self._lines)
        if changed:
            self.display = bool(lines)
            self.styles.height = len(lines)
        self._lines = lines
        self.refresh()
        return changed

    def line(self, y: int, width: int, palette: Palette) -> list[Piece]:
        if y >= len(self._lines):
            return []
        text, role, hint = self._lines[y]
        if not hint:
            return [(" ", palette.base), (text, palette[role])]
        return [
            (" ", palette.base),
            (self._key, palette["key"]),
            (f" {hint}   ", palette["strong"]),
            (text, palette[role]),
        ]


def countdown_lines(countdowns: Sequence[Countdown], passed_ms: int) -> list[tuple[str, str, str]]:
    """(text, role, what the key does) of each line."""
    lines: list[tuple[str, str, str]] = []
    for at, one in enumerate(countdowns[:_SHOWN]):
        seconds = -(-max(0, one.left_ms - passed_ms) // 1000)
        verb = VERBS[one.action]
        pid = f" {one.pid}" if one.pid else ""
        others = f" and {one.processes - 1} below it" if one.processes > 1 else ""
        who = f"{safe(one.agent, 20)}{pid}{others}"
        what = safe(one.title, 60) or safe(one.session_id, 12)
        where = f" in {safe(one.project, 30)}" if one.project else ""
        lines.append((f"! in {seconds} s rule {one.rule}: {verb} {who}", "hot", ""))
        lines.append((f"{safe(one.why, 120)}: {what}{where}", "warm", "calls it off" if at == 0 else ""))
    more = len(countdowns) - _SHOWN
    if more > 0:
        lines.append((f"and {more} more", "warm", ""))
    return lines


def lift_toasts(screen: Screen[Any], lines: int) -> None:
    """Toasts stand above so many lines of what is counted down."""
    for rack in screen.query("ToastRack"):
        rack.styles.margin = (0, 0, 1 + lines, 0)
