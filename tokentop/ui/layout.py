"""Which regions a screen of a given size has. Pure."""

from __future__ import annotations

from msgspec import Struct

DRAWER_RIGHT_FROM = 150


class Layout(Struct, frozen=True):
    """Heights and widths in cells; 0 = not shown."""

    strip: bool
    footer: bool
    graphs: int  # lines of the graph region
    burn_graph: bool
    limits: int  # width of the limits
    drawer_right: bool
    drawer: int  # width (right) or height (below) of the drawer


def layout(width: int, height: int) -> Layout:
    """The regions of a terminal of `width` x `height` cells."""
    graphs = 0 if height < 16 else 1 if height < 30 else 5 if height < 44 else 7
    right = width >= DRAWER_RIGHT_FROM
    limits = 0
    if graphs:
        limits = 38 if width >= 80 else 0
    if graphs > 1 and width >= 60:
        limits = 44 if width >= 110 else 36
    return Layout(
        strip=height >= 8,
        footer=height >= 8,
        graphs=graphs,
        burn_graph=graphs > 1 and width >= 100,
        limits=limits,
        drawer_right=right,
        drawer=min(66, width // 3 + 8) if right else max(3, min(14, (height - graphs - 3) // 2)),
    )
