"""When the next picture is published, and the figures that are left for `tokentop status`."""

from __future__ import annotations

from datetime import tzinfo
from pathlib import Path

from tokentop.engine.days import day_bounds
from tokentop.nouns.picture import Snapshot
from tokentop.store import left

POLL_S = 0.2
BUSY_POLL_S = 1.0  # while each picture brings much: it shows what several short looks would
PUBLISH_S = 0.25
BUSY_PUBLISH_S = 0.85
BUSY_CHANGES = 40
IDLE_PUBLISH_S = 1.0
LEAVE_MS = 2_000


class Pace:
    """How often there is a picture, by how much changes."""

    def __init__(self, refresh_s: float) -> None:
        """`refresh_s` = the period of the screen."""
        self._refresh_s = refresh_s
        self._revision, self._at_s = -1, 0.0  # of the last picture
        self._busy = False  # it brought many changes

    @property
    def begun(self) -> bool:
        """Whether there has been a picture."""
        return self._revision >= 0

    def poll_s(self, *, incomplete: bool) -> float:
        """How long to wait where nothing waits to be read."""
        return BUSY_POLL_S if self._busy and self._refresh_s >= 1 and not incomplete else POLL_S

    def take(self, revision: int, now_s: float) -> bool:
        """Whether it is time for a picture of this revision; it is then taken as published."""
        changes = revision - self._revision
        period_s = PUBLISH_S if changes else IDLE_PUBLISH_S
        if changes > BUSY_CHANGES and self._busy:
            # The rows would be painted no sooner, each at most once in the period of the screen.
            period_s = max(PUBLISH_S, BUSY_PUBLISH_S * min(1.0, self._refresh_s))
        if now_s - self._at_s < period_s:
            return False
        self._busy = changes > BUSY_CHANGES
        self._revision, self._at_s = revision, now_s
        return True


class Leaving:
    """Leaves the newest figures in the state directory now and then."""

    def __init__(self, folder: Path, zone: tzinfo) -> None:
        self._folder, self._zone = folder, zone
        self._left: left.Left | None = None

    def leave(self, picture: Snapshot) -> None:
        """Before the day's sum is known there is nothing true to leave."""
        if picture.forecast is None:
            return
        if self._left is not None and abs(picture.at_ms - self._left.at_ms) < LEAVE_MS:
            return
        start_ms, _, _ = day_bounds(picture.at_ms, self._zone)
        self._left = left.of(picture, start_ms)
        left.leave(self._folder, self._left)
