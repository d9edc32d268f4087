"""Keys act in the order in which they were typed, each on what the one before it left.

Textual hands a key to the focused widget through a queue, from there up to the screen and the app,
and gives the focus away later still: of `/pause` sent in one write, `p` was on its way to the table
before `/` had opened the filter line. On the live screen and in the dialog a key is therefore
carried out at once, before the next one is looked at.
"""

from __future__ import annotations

from textual import events
from textual.app import App
from textual.widgets import Input


class TypedInput(Input):
    """An input that takes keys and pasted text at once, not through its queue."""

    def __init__(self, **options: object) -> None:
        # A late Focus event would select what has been typed since, and the next key would replace it.
        super().__init__(select_on_focus=False, **options)  # type: ignore[arg-type]
        self.cursor_blink = False

    def type_in(self, text: str) -> None:
        """Put `text` at the cursor, in place of what is selected."""
        self.replace(text, *self.selection)


async def deliver(app: App[str], event: events.Key | events.Paste, heard: bool) -> None:
    """Carry a key or a paste out completely; where it is not `heard`, only the keys that always work."""
    focused = app.focused
    field = focused if isinstance(focused, TypedInput) else None
    if isinstance(event, events.Paste):
        if field is not None and heard and event.text:
            field.type_in(event.text.splitlines()[0])
        return
    if await app._check_bindings(event.key, priority=True) or not heard:
        return
    if field is not None and event.is_printable and event.character:
        field.type_in(event.character)
    else:
        await app._check_bindings(event.key)
