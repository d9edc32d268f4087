"""Tells what rules say: a toast on the screen, and the terminal's own notices where they are switched on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tokentop.notify import Limiter, sequences
from tokentop.nouns.picture import Snapshot
from tokentop.settings.rulebook import Notify
from tokentop.ui.glyphs import safe

if TYPE_CHECKING:
    from tokentop.ui.app import TokentopApp

_TOASTS = 3  # from one picture; a person reads no more


class Herald:
    """Each notice once, in the order in which it came."""

    def __init__(self, app: TokentopApp, settings: Notify) -> None:
        self._app, self._settings = app, settings
        self._limiter = Limiter(settings.per_minute)
        self._told = 0

    def tell(self, snapshot: Snapshot) -> None:
        fresh = [notice for notice in snapshot.notices if notice.id > self._told]
        counting = {(one.rule, one.row_key) for one in snapshot.countdowns}
        toasts = [
            notice for notice in fresh if (notice.rule, notice.row_key) not in counting
        ]  # those have lines
        for notice in toasts[-_TOASTS:]:
            title = f"{notice.rule}: {safe(notice.title, 120)}"
            self._app.notify(safe(notice.body), title=title, severity="warning", markup=False, timeout=8)
        for notice in fresh:
            self._told = notice.id
            written = sequences(notice, self._settings, tmux=bool(os.environ.get("TMUX")))
            if written and self._limiter.allows(notice.at_ms):
                self._app.to_terminal(written)
