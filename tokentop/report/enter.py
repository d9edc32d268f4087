"""Enter on the terminal that a command runs in. The terminal keeps its modes; without a terminal nothing is read."""

from __future__ import annotations

import contextlib
import os
import select
import sys


class Enter:
    """Whether somebody presses Enter."""

    def __init__(self) -> None:
        there = sys.stdin is not None and sys.stdin.isatty() and hasattr(os, "tcgetpgrp")
        self._fd = sys.stdin.fileno() if there else -1

    @property
    def heard(self) -> bool:
        """There is a terminal, and what is typed on it is for this program: it is not in the background."""
        with contextlib.suppress(OSError):
            return self._fd >= 0 and os.tcgetpgrp(self._fd) == os.getpgrp()
        return False

    def pressed(self) -> bool:
        """Whether a line was ended since the last call."""
        with contextlib.suppress(OSError):
            if self.heard and select.select([self._fd], [], [], 0)[0]:
                return b"\n" in os.read(self._fd, 4096)
        return False
