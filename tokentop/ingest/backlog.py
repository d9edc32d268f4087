"""How much of the logs is still to be read for the first time. Pure."""

from __future__ import annotations

from tokentop.nouns.facts import Progress


class Backlog:
    """The files of the first walk until each has been read to its end."""

    def __init__(self) -> None:
        self._paths: set[str] = set()
        self._bytes = self._done_bytes = 0

    def __contains__(self, path: str) -> bool:
        return path in self._paths

    def add(self, path: str, size: int) -> None:
        """`size` bytes of it are to be read."""
        self._paths.add(path)
        self._bytes += max(0, size)

    def read(self, path: str, size: int, *, done: bool) -> None:
        """So much of one of these was read; `done` = to its end."""
        self._done_bytes += size
        if done:
            self._paths.discard(path)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._paths.clear()
        self._bytes = self._done_bytes = 0

    def progress(self, files: int, seconds: float) -> Progress:
        """How far it is, of so many files; `seconds` since it began."""
        total = max(self._bytes, self._done_bytes)
        left = None
        if self._done_bytes > 0 and seconds > 0.5:
            left = (total - self._done_bytes) * seconds / self._done_bytes
        return Progress(files - len(self._paths), files, self._done_bytes, total, left, bool(self._paths))
