"""A Textual app with nothing in it: the least that any screen costs."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Static


class Empty(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("nothing here")


if __name__ == "__main__":
    Empty().run()
