"""What tokentop itself costs: CPU and memory of this process."""

from __future__ import annotations

import sys
import time


class OwnUsage:
    """`sample()` gives (CPU % since the last sample, resident bytes). CPU % is of one core."""

    def __init__(self) -> None:
        self._cpu_s = time.process_time()
        self._at_s = time.monotonic()

    def sample(self) -> tuple[float, int]:
        cpu_s, at_s = time.process_time(), time.monotonic()
        elapsed_s = at_s - self._at_s
        pct = 100 * (cpu_s - self._cpu_s) / elapsed_s if elapsed_s > 0 else 0.0
        self._cpu_s, self._at_s = cpu_s, at_s
        return pct, _rss_bytes()


def _rss_bytes() -> int:
    if sys.platform == "linux":
        from tokentop.procs.linux import PAGE_BYTES, read_bytes

        return int(read_bytes("/proc/self/statm").split()[1]) * PAGE_BYTES
    import psutil

    return int(psutil.Process().memory_info().rss)
