"""When something last changed in a folder, as git sees it: commits, and files that differ from the index.

Cheap questions, with a time limit, at most every 30 s for a folder. Nothing is written (no refresh of the index)
and nothing of the repository is run: no hook, no filter, no file-system monitor.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from tokentop.nouns.looks import FolderChange

from .git import ask
from .repository import find_git

EVERY_S = 30.0
SLOW_EVERY_S = 300.0  # where git took too long, or there is none
GIT_S = 2.0
MAX_FOLDERS = 5_000
_PATHS = 2_000
_QUESTIONS = (
    ("diff-files", "--name-only", "-z", "--relative", "--ignore-submodules=all"),
    ("ls-files", "--others", "--exclude-standard", "--directory", "--no-empty-directory", "-z"),
)


class _Known(Struct):
    change: FolderChange
    due_s: float
    differing: frozenset[bytes] | None = None


class Changes:
    """Remembers each folder's last answer; `look` asks again only when it is due."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}

    def look(self, folder: str, now_s: float, wall_ms: int) -> FolderChange:
        """The newest change in `folder`; blocks for three times GIT_S at most."""
        known = self._known.get(folder)
        if known is not None and now_s < known.due_s:
            return known.change
        self._known.pop(folder, None)
        if len(self._known) >= MAX_FOLDERS:
            del self._known[next(iter(self._known))]  # the one whose answer is the oldest
        self._known[folder] = found = _look(folder, known, now_s, wall_ms)
        return found.change


def _look(folder: str, known: _Known | None, now_s: float, wall_ms: int) -> _Known:
    before = known.change.changed_ms if known is not None else 0
    git_dir = find_git(folder)
    if git_dir is None:
        return _Known(FolderChange(folder, "none", before, wall_ms), now_s + SLOW_EVERY_S)
    differing = _differing(folder)
    if differing is None:
        return _Known(FolderChange(folder, "slow", before, wall_ms), now_s + SLOW_EVERY_S)
    newest = max(before, _mtime_ms(git_dir / "logs" / "HEAD"))
    for path in differing:
        newest = max(newest, _mtime_ms(os.path.join(os.fsencode(folder), path)))
    if known is not None and known.differing is not None:
        gone = [
            one
            for one in differing - known.differing
            if not _mtime_ms(os.path.join(os.fsencode(folder), one))
        ]
        newest = wall_ms if gone else newest  # a deleted file has no time of its own
    return _Known(FolderChange(folder, "git", min(newest, wall_ms), wall_ms), now_s + EVERY_S, differing)


def _differing(folder: str) -> frozenset[bytes] | None:
    """Paths below `folder` that differ from the index or are not in it; None = git did not answer in time."""
    found: set[bytes] = set()
    off = _without_filters(folder)
    if off is None:
        return None
    for question in _QUESTIONS:
        out = _git(folder, (*off, *question))
        if out is None:
            return None
        found.update(out.split(b"\0")[:_PATHS])
    found.discard(b"")
    return frozenset(found)


def _without_filters(folder: str) -> tuple[str, ...] | None:
    """Options that switch off the filters of the repository's settings: a file as young as the index is compared
    by content, through programs that the repository names."""
    out = _git(
        folder, ("config", "-z", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$"), {0, 1}
    )
    if out is None:
        return None
    names = [name.decode("utf-8", "surrogateescape") for name in out.split(b"\0") if name]
    if any("=" in name for name in names):
        return None
    required = {f"{name.rpartition('.')[0]}.required" for name in names}
    settings = (*(f"{name}=" for name in names), *(f"{name}=false" for name in sorted(required)))
    return tuple(word for setting in settings for word in ("-c", setting))


def _git(folder: str, words: tuple[str, ...], fine: Collection[int] = (0,)) -> bytes | None:
    answer = ask(folder, words, seconds=GIT_S, fine=fine)
    return None if answer.problem else answer.out


def _mtime_ms(path: str | bytes | Path) -> int:
    try:
        return os.lstat(path).st_mtime_ns // 1_000_000
    except OSError:
        return 0
