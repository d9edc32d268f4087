"""Which keys of the live screen do something now, and what its footer says of them. Pure."""

from __future__ import annotations

from typing import NamedTuple

from tokentop.nouns.picture import Snapshot
from tokentop.nouns.sessions import State
from tokentop.ui.keys import KEYS, Key, first, footer_keys
from tokentop.ui.view import View

Hint = tuple[str, str]  # a key, what it does

WHILE_FILTERING: tuple[Hint, ...] = (("Enter", "keep the filter"), ("Esc", "clear it"))
BY_ACTION = {key.action.partition("(")[0]: key for key in reversed(KEYS)}  # the first key of each action
_WITHOUT_ROW = frozenset({"demo", "help", "quit", "filter", "view_history", "replay"})
_IN_DRAWER = frozenset({"log", "session", "inside", "origins"})  # what is looked at once the drawer is open
_ON_TAGGED = frozenset({"interrupt", "freeze", "terminate"})


class Situation(NamedTuple):
    """What it depends on what the keys do."""

    view: View
    snapshot: Snapshot | None
    read_only: bool
    drawer_open: bool
    drawer_goes_on: bool  # it has lines out of sight


def allowed(key: Key, now: Situation) -> bool:
    """Bound at all: read-only has no key that acts, a sweep needs an orphan, the demo an empty table."""
    if key.acts and now.read_only:
        return False
    if key.id == "sweep":
        return now.snapshot is not None and any(row.kind == "orphan" for row in now.snapshot.rows)
    if key.id == "untag":
        return bool(now.view.tags) or now.view.tags.ended > 0
    if key.id == "demo":
        return now.snapshot is not None and not now.view.rows
    if key.id in {"scroll", "scroll_back"}:
        return now.drawer_open
    return True


def sensible(key: Key, now: Situation) -> bool:
    """Worth a place in the footer."""
    if not allowed(key, now):
        return False
    row = now.view.selected
    if key.id == "detail" and now.view.selected_head is not None:
        return True
    if key.id in _IN_DRAWER:
        return now.drawer_open and row is not None
    if key.id == "scroll":
        return now.drawer_goes_on
    if key.id in {"filter", "sort_cost", "replay"} and (now.drawer_open or now.view.tags):
        return False  # one row, or some, are looked at: what can be done with them has the room
    if key.id == "jump":
        return row is not None and bool(row.where)
    if key.id == "resume":
        return row is not None and bool(row.resume)
    return row is not None or key.id in _WITHOUT_ROW


def thaws(view: View) -> bool:
    """Whether `z` thaws: what it acts on is frozen, of tagged rows all."""
    rows = view.tagged or [row for row in (view.selected,) if row is not None]
    return bool(rows) and all(row.status.state is State.FROZEN for row in rows)


def footer(now: Situation, ascii_only: bool) -> list[Hint]:
    return [_hint(key, now, ascii_only) for key in footer_keys() if sensible(key, now)]


def _hint(key: Key, now: Situation, ascii_only: bool) -> Hint:
    if key.id == "detail" and now.drawer_open:
        return "Esc", "close"
    shown = first(key, ascii_only)
    if key.id == "interrupt" and now.snapshot is not None and now.snapshot.countdowns:
        return shown, "call off"
    return shown, _label(key, now.view)


def _label(key: Key, view: View) -> str:
    """`z` may thaw, Enter folds a group, and tagged rows are acted on together."""
    if key.id == "detail" and view.selected_head is not None:
        return "fold"
    label = "thaw" if key.id == "freeze" and thaws(view) else key.label
    if view.tags and key.id in _ON_TAGGED:
        return f"{label.split(' ')[0]} {len(view.tags)}"
    return label
