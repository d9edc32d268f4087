"""When the live screen paints what is not a changed row: totals, graphs, drawer, footer."""

from __future__ import annotations

import time

TICK_S = 1.0
_BLURRED_S = 5.0  # while the terminal is not looked at
_JOIN_S = 0.2
_MANY = 10  # changed rows in one picture


class Pace:
    """Once a second; where many rows change, together with them: one paint, not two."""

    def __init__(self) -> None:
        self._painted_s = 0.0
        self._joined = False  # the last time was with data

    def joins(self, rows: int, focus: bool) -> bool:
        """Whether it is painted now, with so many changed rows. `focus` = the terminal is looked at."""
        now = time.monotonic()
        if rows < _MANY or now - self._painted_s < _JOIN_S or not focus:
            return False
        self._painted_s, self._joined = now, True
        return True

    def due(self, focus: bool) -> bool:
        """Whether it is painted at this tick of the clock."""
        passed_s = (now := time.monotonic()) - self._painted_s
        if (not focus and passed_s < _BLURRED_S) or (self._joined and passed_s < TICK_S):
            return False
        self._painted_s, self._joined = now, False
        return True
