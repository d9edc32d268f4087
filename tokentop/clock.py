"""The wall clock. Everything below takes the time as an argument."""

from __future__ import annotations

import time


def now_ms() -> int:
    """UTC milliseconds."""
    return int(time.time() * 1000)
