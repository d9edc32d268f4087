"""The settings screen: look at every setting, change it, save it to the file. Files are read and written in a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.geometry import Region
from textual.widgets import Input, Static

from tokentop.settings.config import Settings, SettingsError
from tokentop.settings.file import Found, Name, look, save
from tokentop.ui import settings as listed
from tokentop.ui.gate import guard
from tokentop.ui.glyphs import safe
from tokentop.ui.keyboard import TypedInput
from tokentop.ui.over import Over
from tokentop.ui.paint import fit, palette_of
from tokentop.ui.screens.listpage import moves
from tokentop.ui.settings import AT_ONCE, Entry

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

log = logging.getLogger(__name__)
_NAME, _VALUE = 30, 22  # cells


class SettingsScreen(Over[None]):
    """Nothing is written before `s`; Esc leaves, and asks first where something is not saved."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,comma,f2", "leave", "leave", show=False),
        *moves("pagedown"),
        Binding("space", "change(1)", show=False),
        Binding("right,l", "change(1)", show=False),
        Binding("left,h", "change(-1)", show=False),
        Binding("enter", "edit", show=False),
        Binding("backspace", "reset", show=False),
        Binding("s", "save", show=False),
    ]
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    SettingsScreen { align: center middle; background: $background 55%; }
    SettingsScreen #box {
        width: 94%; max-width: 110; height: 94%; padding: 0 1; background: $surface; border: round $primary;
    }
    SettingsScreen #list { height: 1fr; scrollbar-size-vertical: 1; }
    SettingsScreen Static { height: auto; width: 1fr; }
    SettingsScreen Input { display: none; height: 1; border: none; padding: 0; }
    SettingsScreen Input.on { display: block; }
    """

    def __init__(self, path: str, overridden: Mapping[str, object]) -> None:
        """`overridden` are settings that the command line has set for this run."""
        super().__init__()
        self._path = path
        self._overridden = overridden
        self.entries = listed.entries()
        self.found = Found(Settings(), frozenset())
        self.changes: dict[Name, object] = {}
        self.at = 0
        self._hint = ""
        self._fault = ""
        self._ready = False
        self._asked = False  # whether to leave without saving
        self._busy = False

    @property
    def tokentop(self) -> TokentopApp:
        return cast("TokentopApp", self.app)

    @property
    def entry(self) -> Entry:
        return self.entries[self.at]

    def compose(self) -> ComposeResult:
        with Vertical(id="box"):
            yield Static(id="head", markup=False)
            with VerticalScroll(id="list", can_focus=False):
                yield Static(id="body", markup=False)
            yield Static(id="about", markup=False)
            yield TypedInput(id="typed", compact=True, max_length=80)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show())
        self._show()
        self.run_worker(self._load(), exit_on_error=False)

    def on_resize(self) -> None:
        self._show()

    # ------------------------------------------------------------ the file

    async def _load(self) -> None:
        try:
            if self._path:
                self.found = await asyncio.to_thread(look, Path(self._path))
        except SettingsError as error:
            self._fault = str(error)
        self._ready = True
        self._show()

    def action_save(self) -> None:
        if self._busy or not self._ready:
            return
        if not self.changes:
            self._say("nothing was changed")
        elif not self._path:
            self._say("there is no settings file here")
        else:
            self._busy = True
            self.run_worker(self._save(dict(self.changes)), exit_on_error=False)

    async def _save(self, changes: dict[Name, object]) -> None:
        try:
            await asyncio.to_thread(save, Path(self._path), changes)
            self.found = await asyncio.to_thread(look, Path(self._path))
        except SettingsError as error:
            self._say(str(error).removeprefix(f"{self._path}: "))  # which stands above
        else:
            self.changes = {name: v for name, v in self.changes.items() if changes.get(name, self) != v}
            later = [".".join(name) for name in changes if name not in AT_ONCE]
            self._fault = ""
            self._say("saved" + (f"; at the next start: {', '.join(later)}" if later else ""))
        finally:
            self._busy = False

    # ------------------------------------------------------------ keys

    def action_move(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), len(self.entries) - 1)
        self._say("")

    def action_change(self, by: int) -> None:
        """The next value of a switch or a choice."""
        value = listed.current(self.entry, self.found, self.changes, self._overridden)
        if self.entry.kind == "bool":
            self._put(not value)
        elif self.entry.kind == "choice":
            self._put(listed.step(value or self.app.theme, sorted(self.app.available_themes), by))
        else:
            self._say("Enter changes it" if self.entry.kind else "only the file can change it")

    def action_edit(self) -> None:
        if self.entry.kind in ("bool", "choice") or not self.entry.kind:
            self.action_change(1)
            return
        field = self.query_one("#typed", Input)
        value = listed.current(self.entry, self.found, self.changes, self._overridden)
        field.value = value if isinstance(value, str) else listed.shown(self.entry, value)
        field.add_class("on")
        field.select_all()
        self.set_focus(field)
        self._say("Enter takes it, Esc leaves it as it was")

    def action_reset(self) -> None:
        if self.entry.kind:
            self._put(self.entry.default)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        try:
            value = listed.typed(self.entry, event.value)
        except SettingsError as error:
            self._say(f"not taken: {error}")
            return
        self._close_input()
        self._put(value)

    def _close_input(self) -> None:
        self.query_one("#typed", Input).remove_class("on")
        self.set_focus(None)

    def _put(self, value: object) -> None:
        if value == listed.current(self.entry, self.found, {}):
            self.changes.pop(self.entry.name, None)
        else:
            self.changes[self.entry.name] = value
        self._apply(self.entry.name, value)
        self._say("" if self.entry.name in AT_ONCE else "takes effect at the next start, once it is saved")

    def _apply(self, name: Name, value: object) -> None:
        if name == ("theme",):
            self.tokentop.use_theme(str(value))
        elif name == ("ascii",):
            self.tokentop.use_ascii(bool(value))
        elif name == ("refresh_s",) and isinstance(value, float | int):
            self.tokentop.use_refresh(float(value))

    def action_leave(self) -> None:
        field = self.query_one("#typed", Input)
        if field.has_class("on"):
            self._close_input()
            self._say("")
        elif self.changes and not self._asked:
            count = len(self.changes)
            self._say(f"{count} not saved: s saves, Esc again leaves without")
            self._asked = True
        else:
            for name in self.changes:
                self._apply(name, listed.current(Entry(name, "", "", None), self.found, {}))
            self.dismiss(None)

    # ------------------------------------------------------------ drawing

    def _say(self, hint: str) -> None:
        self._hint, self._asked = hint, False
        self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        palette = palette_of(self.query_one("#box"))
        head = Text("Settings", style=palette["title"])
        head.append(f"   {guard(safe(self._path, 160)) or 'no file'}", style=palette["dim"])
        self.query_one("#head", Static).update(head)
        self.query_one("#body", Static).update(self._list())
        self.query_one("#about", Static).update(self._about())
        self.query_one("#list").scroll_to_region(Region(0, self._line, 1, 1), animate=False)

    @property
    def _line(self) -> int:
        """Where the selected entry stands in the list: each group has a head and a space above it."""
        groups = [entry.group for entry in self.entries[: self.at + 1]]
        return self.at + 2 * len(dict.fromkeys(groups)) - 1

    def _list(self) -> Text:
        palette = palette_of(self.query_one("#box"))
        out = Text(no_wrap=True, overflow="crop")
        group = ""
        for at, entry in enumerate(self.entries):
            if entry.group != group:
                group = entry.group
                out.append(f"\n{group}\n" if at else f"{group}\n", style=palette["head"])
            style = palette.selected if at == self.at else palette.__getitem__
            value = listed.current(entry, self.found, self.changes, self._overridden)
            text = guard(safe(listed.shown(entry, value), 60))
            changed = entry.name in self.changes
            origin = "not saved" if changed else listed.origin(entry, self.found, self._overridden)
            out.append("> " if at == self.at else "  ", style=style("strong"))
            out.append(fit(entry.label, _NAME) + " ", style=style("" if entry.kind else "dim"))
            out.append(fit(text, _VALUE) + " ", style=style("warm" if changed else "strong"))
            out.append(fit(origin, 13) + "\n", style=style("warm" if changed else "dim"))
        return out

    def _about(self) -> Text:
        palette = palette_of(self.query_one("#box"))
        entry = self.entry
        out = Text()
        out.append(f"\n{entry.help}\n", style=palette["muted"])
        if entry.kind:
            out.append(f"default: {listed.shown(entry, entry.default)}", style=palette["dim"])
            out.append("" if entry.name in AT_ONCE else "   at the next start", style=palette["dim"])
        out.append("\n")
        fault = self._fault and f"{self._fault}; nothing can be saved before that is put right"
        if fault or self._hint:
            out.append(guard(safe(self._hint or fault, 300)) + "\n", style=palette["warm"])
        for key, what in (("Space ← →", "change"), ("Enter", "edit"), ("Backspace", "default"), ("s", "save"),
                          ("Esc", "leave")):  # fmt: skip
            out.append(key, style=palette["key"])
            out.append(f" {what}   ", style=palette["muted"])
        return out
