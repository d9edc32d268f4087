"""Which files grew of late, and whose turn it is to be looked at. No clock: `now_s` is monotonic seconds. Pure."""

from __future__ import annotations

import os
from collections.abc import Callable, Container

MAX_ACTIVE = 2_000
LOOKS = 200  # files or folders in one poll; more than that take turns
HOT_S = 60.0
SLOW_S = 1.0
ACTIVE_S = 15 * 60.0  # a file is active for this long after its last change


class Active:
    """What changed within the last minute is due at each look, the rest once a second."""

    def __init__(self) -> None:
        self._changed_s: dict[str, float] = {}
        self._polls = self._slow_polls = 0
        self._slow_s = -SLOW_S

    def __contains__(self, path: str) -> bool:
        return path in self._changed_s

    def add(self, path: str, now_s: float) -> None:
        """It has changed."""
        self._changed_s[path] = now_s

    def remove(self, path: str) -> None:
        self._changed_s.pop(path, None)

    def limit(self, now_s: float, there: Container[str], let_go: Callable[[str], object]) -> None:
        """Let go of those that rest or are not `there`, and of the longest unchanged of too many."""
        gone = [p for p, since_s in self._changed_s.items() if now_s - since_s > ACTIVE_S or p not in there]
        for path in gone:
            del self._changed_s[path]
            let_go(path)
        if len(self._changed_s) > MAX_ACTIVE:
            oldest = sorted(self._changed_s, key=self._changed_s.__getitem__)
            for path in oldest[: len(self._changed_s) - MAX_ACTIVE]:
                del self._changed_s[path]
                let_go(path)

    def due(self, now_s: float, *, everything: bool = False) -> tuple[list[str], bool]:
        """Whose turn it is now, and whether it is that of the quiet ones too."""
        slow = everything or now_s - self._slow_s >= SLOW_S
        recent_s = now_s - HOT_S
        hot: list[str] = []
        quiet: list[str] = []
        for path, since_s in self._changed_s.items():
            (hot if since_s >= recent_s else quiet).append(path)
        if slow:
            self._slow_s = now_s
        if everything:
            return hot + quiet, slow
        self._polls += 1
        self._slow_polls += slow
        return _share(hot, self._polls) + (_share(quiet, self._slow_polls) if slow else []), slow

    def folders(self, known: Container[str]) -> list[str]:
        """Those `known` folders where a new log is likely: of active files, and their parents."""
        warm: dict[str, None] = {}
        for path in _share(list(self._changed_s), self._slow_polls):
            folder = os.path.dirname(path)
            for candidate in (folder, os.path.dirname(folder)):
                if candidate in known:
                    warm[candidate] = None
        return list(warm)


def _share(paths: list[str], turn: int) -> list[str]:
    """The part of `paths` whose turn it is: all of them while they are few."""
    parts = -(-len(paths) // LOOKS)
    return paths[turn % parts :: parts] if parts > 1 else paths
