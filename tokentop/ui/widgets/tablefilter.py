"""The filter line of the live screen: the table is filtered while one types."""

from __future__ import annotations

from collections.abc import Callable

from textual import on
from textual.widgets import Input

from tokentop.ui.filtering import FilterError
from tokentop.ui.view import View
from tokentop.ui.widgets.filterline import FilterLine


class TableFilter(FilterLine):
    """Sets the filter of a View, and says how many rows match or what cannot be understood."""

    def __init__(self, view: View, changed: Callable[[bool], None], left: Callable[[], None]) -> None:
        """`changed` is told whether any line moved; `left`, that the next key is for the table."""
        super().__init__(self._leave)
        self._view, self._changed, self._left = view, changed, left
        self._faulty = False  # what is typed cannot be understood

    def apply(self, query: str) -> None:
        """Set the filter as if it had been typed."""
        if self.input.value == query:
            self._changed(self._view.set_filter(query))
        else:
            self.input.value = query
        self.set_class(bool(query), "open")

    def count(self) -> None:
        """Say how many of the rows match; an error in what is typed stays until it is corrected."""
        if self._faulty:
            return
        matched, total = self._view.matched
        hidden = self._view.tags.hidden(self._view.index)
        note = f"{matched} of {total} rows" + (f", {hidden} tagged hidden" if hidden else "")
        self.note.show(note if self._view.query else "", "warm" if hidden else "muted")

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        try:
            moved = self._view.set_filter(event.value)
        except FilterError as error:
            self._faulty = True
            self.note.show(f"✗ {error}", "error")
            return
        self._faulty = False
        self._changed(moved)

    def _leave(self, keep: bool) -> None:
        self._left()
        if keep:
            self.set_class(bool(self.input.value.strip()), "open")
        else:
            self.apply("")
