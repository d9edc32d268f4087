"""A text that is longer than the screen: the keys that go through it."""

from __future__ import annotations

from typing import TypeVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen

Answer = TypeVar("Answer")

LEAVES: tuple[BindingType, ...] = (
    Binding("g,home", "end(False)", show=False),
    Binding("G,end", "end(True)", show=False),
    Binding("pageup", "leaf(-1)", show=False),
    Binding("pagedown,space", "leaf(1)", show=False),
)


class Leafing(Screen[Answer]):
    """The text stands in the screen's one VerticalScroll. Which keys there are, subclasses say."""

    def action_scroll(self, by: int) -> None:
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)

    def action_leaf(self, step: int) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_relative(y=step * max(1, scroll.size.height - 1), animate=False)

    def action_end(self, bottom: bool) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.scroll_to(y=scroll.max_scroll_y if bottom else 0, animate=False)
