"""The command palette: every action of the screen, every theme, every session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content

from tokentop.ui.glyphs import safe
from tokentop.ui.keys import KEYS
from tokentop.ui.screens.live import LiveScreen
from tokentop.ui.widgets.table import name_of

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp


class Entry(NamedTuple):
    text: str
    help: str
    run: Callable[[], object]


class Commands(Provider):
    """Finds by subsequence; texts are built without markup, session titles are foreign."""

    def _entries(self) -> Iterator[Entry]:
        app = cast("TokentopApp", self.app)
        live = app.live
        for key in KEYS:
            if key.palette and live.allowed(key):
                yield Entry(key.help, key.shown, partial(_run, live, key.action))
        for name in sorted(app.available_themes):
            yield Entry(f"theme {name}", "colours", partial(setattr, app, "theme", name))

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
            yield DiscoveryHit(Content(entry.text), entry.run, text=entry.text, help=None)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in (*self._entries(), *self._sessions()):
            score = max(matcher.match(entry.text), 0.9 * matcher.match(entry.help))
            if score > 0:
                yield Hit(score, Content(f"{entry.text}  {entry.help}"), entry.run, text=entry.text)


def _run(live: LiveScreen, action: str) -> None:
    live.call_later(live.run_action, action)
