"""When something last changed in a folder, as git sees it: commits, and files that differ from the index.

Cheap questions, with a time limit, at most every 30 s for a folder. Nothing is written (no refresh of the index)
and nothing of the repository is run: no hook, no filter, no file-system monitor.
"""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from tokentop.model import FolderChange

EVERY_S = 30.0
SLOW_EVERY_S = 300.0  # where git took too long, or there is none
GIT_S = 2.0
MAX_FOLDERS = 500
_PATHS = 2_000
_ABOVE = 40
_GIT = ("git", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null")
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
        if len(self._known) >= MAX_FOLDERS:
            self._known.clear()
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


def find_git(folder: str) -> Path | None:
    """The git directory of the work tree that `folder` is in, by looking upwards; None = in none."""
    place = str(Path(folder))
    for _ in range(_ABOVE + 1):
        entry = os.path.join(place, ".git")
        try:
            about = os.stat(entry)
            if stat.S_ISDIR(about.st_mode):
                return Path(entry)
            text = Path(entry).read_text(errors="replace")[:4096]
            if text.startswith("gitdir:"):
                return (Path(place) / text.removeprefix("gitdir:").strip()).resolve()
        except OSError:
            pass
        above = os.path.dirname(place)
        if above == place:
            break
        place = above
    return None


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
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603 - git, in a folder where an agent of our own user runs
            (*_GIT, "-C", folder, *words),
            env=env | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode in fine else None


def _mtime_ms(path: str | bytes | Path) -> int:
    try:
        return os.lstat(path).st_mtime_ns // 1_000_000
    except OSError:
        return 0
