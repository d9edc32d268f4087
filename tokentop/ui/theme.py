"""Colours: themes that colour-blind eyes can read, and the style of each role."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color
from rich.color_triplet import ColorTriplet
from rich.style import Style
from textual.theme import Theme

from tokentop.nouns.sessions import State

# Okabe & Ito, "Color Universal Design"
_ORANGE, _SKY, _GREEN, _YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
_BLUE, _VERMILLION, _PURPLE = "#0072B2", "#D55E00", "#CC79A7"

DEFAULT_THEME = "okabe-ito-dark"


def _scrollbars(bar: str, track: str) -> dict[str, str]:
    """Scroll bars that are there and say nothing."""
    return {"scrollbar": bar, **{f"scrollbar-background{how}": track for how in ("", "-hover", "-active")}}


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
        variables=_scrollbars("#3E464D", "#16191C"),
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
        variables=_scrollbars("#BFBFB6", "#F2F2EE"),
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
    Theme(
        name="high-contrast-light",
        primary="#003A70",
        secondary="#003A70",
        warning="#6B3F00",
        error="#8A2500",
        success="#00452F",
        accent="#6B3F00",
        foreground="#000000",
        background="#FFFFFF",
        surface="#FFFFFF",
        panel="#EDEDED",
        text_alpha=1.0,
        dark=False,
    ),
)

READABLE = 4.5  # least contrast of text, WCAG 2.2 level AA; the high-contrast themes have level AAA
CALM = 3.0  # ... of what stays in the background: dim text, graphs
_READABLE_BY_THEME = {"high-contrast": 7.0, "high-contrast-light": 7.0}

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
_INK = "#1C1C1C"
_LIGHT = {
    # Orange and yellow that can be read on white are one brown to many eyes: they are grounds here.
    "permission": f"bold {_INK} on {_ORANGE}",
    "input": f"bold {_INK} on {_YELLOW}",
    "error": "#A84800",
    "limited": "#A04A7C",
    "orphan": "underline #A84800",
    "tool": _BLUE,
    "working": "#00704F",
    "frozen": f"reverse {_BLUE}",
    "warm": "#7A6400",
    "hot": "bold #8A4B00",
    "spark": _BLUE,
    "graph0": "#4E97C4",
    "graph1": _BLUE,
    "graph2": "#9A6A00",
    "graph3": "#8A4B00",
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
_ANSI_LIGHT = {  # yellow and cyan cannot be read on most terminals' white
    **_ANSI,
    "permission": "bold black on yellow",
    "input": "bold black on bright_yellow",
    "tool": "blue",
    "warm": "bold",
    "hot": "bold black on yellow",
    "spark": "blue",
    "graph0": "cyan",
    "graph1": "blue",
    "graph2": "magenta",
    "graph3": "bold magenta",
    "key": "bold blue",
}
_QUIET = frozenset({"dim", "faint", "frame", "head", "spark", "idle", "unknown", "done", "inferred"})
_RESTING = (State.IDLE.value, State.UNKNOWN.value, State.DONE.value, "inferred")


def contrast(one: ColorTriplet, other: ColorTriplet) -> float:
    """Contrast ratio of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@lru_cache(maxsize=512)
def _luminance(colour: ColorTriplet) -> float:
    parts = (value / 255 for value in colour)
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def readable(style: Style, ground: Color | None, least: float) -> Style:
    """`style` with a colour that has at least this contrast on its ground; the hue is kept as far as it goes."""
    back = style.bgcolor if style.bgcolor is not None else ground
    colour = style.color
    if colour is None or colour.triplet is None or back is None or back.triplet is None:
        return style  # the terminal's own colours: nobody knows them
    old = colour.triplet
    if contrast(old, back.triplet) >= least:
        return style
    end = max((ColorTriplet(0, 0, 0), ColorTriplet(255, 255, 255)), key=lambda e: contrast(e, back.triplet))  # type: ignore[arg-type]
    for step in range(1, 21):
        red, green, blue = (round(a + (b - a) * step / 20) for a, b in zip(old, end, strict=True))
        mixed = ColorTriplet(red, green, blue)
        if contrast(mixed, back.triplet) >= least:
            break
    return style + Style(color=Color.from_triplet(mixed))


class Palette:
    """Styles by role on one background; each is lifted until it can be read there."""

    def __init__(self, theme: Theme, base: Style, muted: str, dim: str, faint: str, cursor: Style) -> None:
        self.base = base
        self.cursor = cursor
        self._text = _READABLE_BY_THEME.get(theme.name, READABLE)
        self._selected: dict[str, Style] = {}
        self._styles = {name: self._on(text, self._least(name)) for name, text in _colours(theme).items()}
        self._styles[""] = base
        self._styles["strong"] = base + Style(bold=True)
        self._styles["frame"] = base + Style.parse(faint)
        self._styles["muted"] = self._on(muted, self._text)
        for name, text in (("dim", dim), ("faint", faint)):
            self._styles[name] = self._on(text, CALM)
        for name in _RESTING:
            self._styles[name] = self._styles["dim"]
        self._styles["title"] = base + Style(bold=True)
        self._styles["head"] = self._styles["dim"] + Style(bold=True)

    @property
    def styles(self) -> tuple[Style, ...]:
        return tuple(self._styles.values())

    def _on(self, text: str, least: float) -> Style:
        return readable(self.base + Style.parse(text), self.base.bgcolor, least)

    def _least(self, role: str) -> float:
        return CALM if role.startswith("graph") or role in _QUIET else self._text

    def __getitem__(self, role: str) -> Style:
        return self._styles.get(role, self.base)

    def selected(self, role: str) -> Style:
        """The same role on the cursor line; what has a ground of its own keeps it."""
        found = self._selected.get(role)
        if found is None:
            style = self[role]
            own = style.reverse or style.bgcolor != self.base.bgcolor
            found = self._selected[role] = (
                style if own else readable(style + self.cursor, None, self._least(role))
            )
        return found


def _colours(theme: Theme) -> dict[str, str]:
    if theme.ansi:
        return _ANSI if theme.dark else _ANSI_LIGHT
    return _DARK if theme.dark else _LIGHT
