"""A Textual app with nothing in it but a counter of keys: the least that any screen costs."""

from __future__ import annotations

from textual import events
from textual.app import App, ComposeResult
from textual.widgets import Static


class Empty(App[None]):
    keys = 0

    def compose(self) -> ComposeResult:
        yield Static("nothing here")

    def on_key(self, _: events.Key) -> None:
        self.keys += 1
        self.query_one(Static).update(f"nothing here but {self.keys} keys")


if __name__ == "__main__":
    Empty().run()
