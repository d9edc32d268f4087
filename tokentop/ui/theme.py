"""Colours: themes that colour-blind eyes can read, and the style of each role."""

from __future__ import annotations

from rich.style import Style
from textual.theme import Theme

from tokentop.model import State

# Okabe & Ito, "Color Universal Design"
_ORANGE, _SKY, _GREEN, _YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
_BLUE, _VERMILLION, _PURPLE = "#0072B2", "#D55E00", "#CC79A7"

DEFAULT_THEME = "okabe-ito-dark"

THEMES: tuple[Theme, ...] = (
    Theme(
        name="okabe-ito-dark",
        primary=_SKY,
        secondary=_BLUE,
        warning=_ORANGE,
        error=_VERMILLION,
        success=_GREEN,
        accent=_ORANGE,
        foreground="#D8D8D8",
        background="#101214",
        surface="#181B1E",
        panel="#22262A",
        dark=True,
    ),
    Theme(
        name="okabe-ito-light",
        primary=_BLUE,
        secondary=_SKY,
        warning="#9A6A00",
        error="#A84800",
        success="#00704F",
        accent=_BLUE,
        foreground="#1C1C1C",
        background="#FAFAF7",
        surface="#F0F0EC",
        panel="#E4E4DE",
        dark=False,
    ),
    Theme(
        name="high-contrast",
        primary="#FFFFFF",
        secondary="#FFFFFF",
        warning="#FFD000",
        error="#FF7A4D",
        success="#4DFFB8",
        accent="#FFD000",
        foreground="#FFFFFF",
        background="#000000",
        surface="#000000",
        panel="#1A1A1A",
        text_alpha=1.0,
        dark=True,
    ),
)

_DARK = {
    "permission": f"bold {_ORANGE}",
    "input": f"bold {_YELLOW}",
    "error": _VERMILLION,
    "limited": _PURPLE,
    "orphan": f"underline {_VERMILLION}",
    "tool": _SKY,
    "working": "#1FBF92",
    "frozen": "reverse #4E9FD1",
    "warm": _YELLOW,
    "hot": f"bold {_ORANGE}",
    "spark": _SKY,
    "graph0": "#2F7FB0",
    "graph1": _SKY,
    "graph2": _YELLOW,
    "graph3": _ORANGE,
    "key": f"bold {_SKY}",
    "good": "#1FBF92",
}
_LIGHT = {
    "permission": "bold #9A6A00",
    "input": "bold #7A6F00",
    "error": "#A84800",
    "limited": "#A04A7C",
    "orphan": "underline #A84800",
    "tool": _BLUE,
    "working": "#00704F",
    "frozen": f"reverse {_BLUE}",
    "warm": "#7A6F00",
    "hot": "bold #9A6A00",
    "spark": _BLUE,
    "graph0": "#7FB4D6",
    "graph1": _BLUE,
    "graph2": "#9A6A00",
    "graph3": "#A84800",
    "key": f"bold {_BLUE}",
    "good": "#00704F",
}
_ANSI = {
    "permission": "bold yellow",
    "input": "bold bright_yellow",
    "error": "red",
    "limited": "magenta",
    "orphan": "underline red",
    "tool": "cyan",
    "working": "green",
    "frozen": "reverse blue",
    "warm": "yellow",
    "hot": "bold yellow",
    "spark": "cyan",
    "graph0": "blue",
    "graph1": "cyan",
    "graph2": "yellow",
    "graph3": "bright_yellow",
    "key": "bold cyan",
    "good": "green",
}
_RESTING = (State.IDLE.value, State.UNKNOWN.value, State.DONE.value, "inferred")


class Palette:
    """Styles by role on one background. `blend` mixes the foreground into the background for calm text."""

    def __init__(self, theme: Theme, base: Style, muted: str, dim: str, faint: str, cursor: Style) -> None:
        colours = _ANSI if theme.ansi else _DARK if theme.dark else _LIGHT
        self.base = base
        self.cursor = cursor
        self._selected: dict[str, Style] = {}
        self._styles = {name: base + Style.parse(text) for name, text in colours.items()}
        self._styles[""] = base
        self._styles["strong"] = base + Style(bold=True)
        for name, text in (("muted", muted), ("dim", dim), ("faint", faint), ("frame", faint)):
            self._styles[name] = base + Style.parse(text)
        for name in _RESTING:
            self._styles[name] = self._styles["dim"]
        self._styles["title"] = base + Style(bold=True)
        self._styles["head"] = self._styles["dim"] + Style(bold=True)

    @property
    def styles(self) -> tuple[Style, ...]:
        return tuple(self._styles.values())

    def __getitem__(self, role: str) -> Style:
        return self._styles.get(role, self.base)

    def selected(self, role: str) -> Style:
        """The same role on the cursor line."""
        found = self._selected.get(role)
        if found is None:
            style = self[role]
            found = self._selected[role] = style if style.reverse else style + self.cursor
        return found
