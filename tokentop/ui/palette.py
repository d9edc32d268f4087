"""The command palette: every action of the screen, every theme, every session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tokentop.ui.glyphs import safe
from tokentop.ui.keys import KEYS, shown_as
from tokentop.ui.paint import fit
from tokentop.ui.rowline import name_of

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp


_KEY = 10  # cells


class Entry(NamedTuple):
    text: str
    help: str
    run: Callable[[], object]
    key: str = ""

    @property
    def shown(self) -> str:
        """With its key, as it is learned, or with what else is known of it."""
        return f"{fit(self.key, _KEY)} {self.text}" if self.key else f"{self.text}  {self.help}"


class Commands(Provider):
    """Finds by subsequence; texts are built without markup, session titles are foreign."""

    def _entries(self) -> Iterator[Entry]:
        app = cast("TokentopApp", self.app)
        live = app.live
        for key in KEYS:
            if key.palette and live.allowed(key):
                shown = shown_as(key.shown, app.options.ascii)
                yield Entry(key.help, key.label, partial(live.run_chosen, key.action), shown)
        for name in sorted(app.available_themes):
            yield Entry(f"theme {name}", "", partial(setattr, app, "theme", name))

    def _sessions(self) -> Iterator[Entry]:
        live = cast("TokentopApp", self.app).live
        for row in live.view.rows.values():
            if row.kind == "tool":
                continue
            name = safe(name_of(row)[0], 80)
            note = safe(" ".join(part for part in (row.agent, row.project, row.session_id[:8]) if part), 80)
            yield Entry(f"go to {name}", note, partial(live.go_to, row.key))

    async def discover(self) -> Hits:
        for entry in self._entries():
            yield DiscoveryHit(Content(entry.shown), entry.run, text=entry.text, help=None)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in (*self._entries(), *self._sessions()):
            score = max(matcher.match(entry.text), 0.9 * matcher.match(entry.help))
            if score > 0:
                yield Hit(score, Content(entry.shown), entry.run, text=entry.text)
