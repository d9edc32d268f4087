"""Screens in a terminal that becomes as small as it can, and large again. Case U3 of the fault catalogue."""

from __future__ import annotations

import pytest

from tests.ui.pilot import screen, until
from tests.ui.screens import SHOTS, Shot
from tests.ui.test_snapshots import go_there

WHOLE = ("live", "session", "receipts", "past", "past-span")
SMALL = ((1, 1), (3, 40), (7, 5), (20, 3))


@pytest.mark.parametrize("shot", [shot for shot in SHOTS if shot.name in WHOLE], ids=lambda shot: shot.name)
async def test_no_screen_ends_when_its_terminal_becomes_tiny(shot: Shot) -> None:
    async with screen(shot.source(), size=(80, 24), options=shot.options) as (app, pilot, _):
        shot.before(app)
        await go_there(app, pilot, shot)
        shown = app.screen
        for size in (*SMALL, (80, 24)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda size=size: app.screen.size == size)  # type: ignore[misc]
            assert app.is_running
            assert app.screen is shown
