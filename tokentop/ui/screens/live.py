"""The live screen: what `livepicture` draws, with its keys by subject."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from tokentop.ui import hints, keys
from tokentop.ui.screens.pagekeys import PageKeys
from tokentop.ui.screens.processkeys import ProcessKeys
from tokentop.ui.screens.tablekeys import TableKeys


class LiveScreen(TableKeys, ProcessKeys, PageKeys):
    """The table of agents as it is now."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key.keys, key.action, key.help, show=False, id=key.id) for key in keys.KEYS
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        key = hints.BY_ACTION.get(action)
        return key is None or self.allowed(key)
