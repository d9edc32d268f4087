"""The strip of `tokentop --inline`: totals and the most important rows, below the prompt, without the alternate screen."""

from __future__ import annotations

from tokentop.ui.keys import Key
from tokentop.ui.screens.live import LiveScreen
from tokentop.ui.source import UiOptions

_AROUND = 3  # lines beside the rows: totals, heads, keys
_KEYS = frozenset(
    {"down", "up", "page_down", "page_up", "top", "bottom", "sort_rate", "sort_cost", "sort_memory", "sort_context",
     "sort_next", "sort_previous", "reverse", "view_flat", "view_tree", "tree", "follow", "pause", "quit"}
)  # fmt: skip


class InlineScreen(LiveScreen):
    """A few lines of the live screen. Nothing can be done to a process here: there is no room to ask."""

    DEFAULT_CSS = """
    InlineScreen:inline { border: none; }
    InlineScreen Overview { display: none; }
    InlineScreen #body { height: 1fr; }
    """

    def __init__(self, options: UiOptions, label: str, read_only: bool) -> None:
        super().__init__(options, label, read_only)
        self.view.tree = False

    def on_mount(self) -> None:
        self.styles.height = self.options.inline + _AROUND

    def allowed(self, key: Key) -> bool:
        counting = self.snapshot is not None and self.snapshot.countdowns
        return key.id in _KEYS or (key.id == "interrupt" and bool(counting))

    def fit_regions(self) -> None:
        self.overview.display = False
        self.call_after_refresh(self.place_columns)

    def show_footer(self) -> None:
        self.key_footer.show(
            (("j k", "move"), ("p", "pause"), ("< >", "sort"), ("tokentop", "has all keys: stop, kill, filter"),
             ("q", "quit"))
        )  # fmt: skip
