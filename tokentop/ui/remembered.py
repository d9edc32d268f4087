"""What of the view survives a restart: columns, order, tree, grouping and time window. Pure.

It is kept by the source as one line of JSON; what another version wrote is taken as far as it is understood.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from tokentop.ui.columns import AS_DECLARED, MINUTE, SORTS, WINDOWS_MIN, Choice
from tokentop.ui.grouping import CYCLE
from tokentop.ui.view import View

_SORT_IDS = frozenset(column.id for column in SORTS)


class ViewState(Struct, frozen=True, omit_defaults=True):
    """The state as it is stored."""

    choice: Choice = AS_DECLARED
    sort: str = "status"
    reverse: bool = False
    tree: bool = True
    group: str = ""
    window_min: int = MINUTE


def state_of(view: View) -> str:
    """The state of `view` as text."""
    order = view.order
    state = ViewState(view.choice, order.sort_id, order.reverse, view.tree, view.groups.by, view.window_min)
    return msgspec.json.encode(state).decode()


def apply(kept: str, view: View) -> bool:
    """Put `view` into a kept state before rows are drawn; False where it cannot be understood."""
    try:
        state = msgspec.json.decode(kept, type=ViewState)
    except (msgspec.MsgspecError, UnicodeError):
        return False
    view.choice = state.choice
    view.tree = state.tree
    view.order.sort_id = state.sort if state.sort in _SORT_IDS else "status"
    view.order.reverse = state.reverse
    view.order.reset()
    view.groups.by = state.group if state.group in CYCLE else ""
    view.window_min = state.window_min if state.window_min in WINDOWS_MIN else MINUTE
    return True
