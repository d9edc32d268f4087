"""Which repository a folder is in, its work trees, and the logs that git keeps of where commits were made. Files only."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from tokentop.nouns.commits import Made

_ABOVE = 40
_WORK_TREES = 500
_LOG_BYTES = 8 << 20
_BRANCH_LOGS = 2_000
_MADE = re.compile(
    r"(?:commit|commit \((?:initial|amend|merge|cherry-pick)\)|cherry-pick|revert|am|rebase(?: -i| -m)?(?: \([a-z]+\))?"
    r"|rebase: \w+|pull.*\((?:pick|reword|squash|fixup|edit|continue)\)):"
)
_NOT_MADE = re.compile(r"(?:rebase|pull).*\((?:start|finish|abort|skip)\):|rebase finished|rebase: checkout")
_ENTRY = re.compile(rb"[0-9a-f]{40,64} ([0-9a-f]{40,64}) .*> (\d{1,12}) [+-]\d{4}\t(.*)")


class Place(Struct, frozen=True):
    """A work tree: its top folder, its own git directory, and the one that all work trees share."""

    top: str
    git_dir: str
    common: str


def place_of(folder: str) -> Place | None:
    """The work tree that `folder` is in; None = in none."""
    found = _upwards(folder)
    if found is None:
        return None
    top, git_dir = found
    common = git_dir
    text = _text(git_dir / "commondir").strip()
    common = (git_dir / text).resolve() if text else git_dir
    return Place(os.path.realpath(top), str(git_dir), os.path.realpath(common))


def find_git(folder: str) -> Path | None:
    """The git directory of the work tree that `folder` is in; None = in none."""
    found = _upwards(folder)
    return None if found is None else found[1]


def _upwards(folder: str) -> tuple[str, Path] | None:
    place = str(Path(folder))
    for _ in range(_ABOVE + 1):
        entry = os.path.join(place, ".git")
        try:
            about = os.stat(entry)
            if stat.S_ISDIR(about.st_mode):
                return place, Path(entry)
        except OSError:
            text = ""
        else:
            text = _text(entry)
        if text.startswith("gitdir:"):
            return place, (Path(place) / text.removeprefix("gitdir:").strip()).resolve()
        above = os.path.dirname(place)
        if above == place:
            break
        place = above
    return None


def work_trees(common: str) -> list[tuple[str, str]]:
    """(top folder, git directory) of the linked work trees of a repository, those that are there."""
    found = []
    try:
        names = sorted(os.listdir(os.path.join(common, "worktrees")))[:_WORK_TREES]
    except OSError:
        return []
    for name in names:
        git_dir = os.path.join(common, "worktrees", name)
        text = _text(os.path.join(git_dir, "gitdir")).strip()
        top = os.path.dirname(os.path.join(git_dir, text))
        if text and os.path.isdir(top):
            found.append((os.path.realpath(top), git_dir))
    return found


def made_since(common: str, tops: list[tuple[str, str]], since_ms: int) -> tuple[list[Made], bool]:
    """(commits that were made here since a time, oldest first; whether git keeps logs here at all).

    `tops` are the work trees with their git directories. What a branch's log alone tells has no work tree: it is gone.
    """
    found: dict[str, Made] = {}
    logs = False
    places = [(os.path.join(git_dir, "logs", "HEAD"), top) for top, git_dir in tops]
    for path, top in [*places, *((path, "") for path in _branch_logs(common))]:
        for made in _entries(path, top, since_ms):
            logs = True
            known = found.get(made.hash)
            if known is None or (made.top and (not known.top or made.at_ms < known.at_ms)):
                found[made.hash] = made
        logs = logs or os.path.exists(path)
    return sorted(found.values(), key=lambda made: made.at_ms), logs


def _branch_logs(common: str) -> Iterator[str]:
    count = 0
    for folder, _, names in os.walk(os.path.join(common, "logs", "refs", "heads")):
        for name in sorted(names):
            count += 1
            if count > _BRANCH_LOGS:
                return
            yield os.path.join(folder, name)


def _entries(path: str, top: str, since_ms: int) -> Iterator[Made]:
    for line in _end_of(path, _LOG_BYTES).split(b"\n"):
        entry = _ENTRY.fullmatch(line)
        if entry is None or int(entry[2]) * 1000 < since_ms:
            continue
        action = entry[3][:200].decode("utf-8", "replace")
        if _MADE.match(action) and not _NOT_MADE.match(action):
            yield Made(entry[1].decode(), int(entry[2]) * 1000, top)


def shallow(common: str) -> frozenset[str]:
    """Commits whose parents are not here."""
    return frozenset(_end_of(os.path.join(common, "shallow"), _LOG_BYTES).decode("ascii", "replace").split())


def _text(path: str | Path) -> str:
    return _end_of(path, 4096).decode("utf-8", "surrogateescape")


def _end_of(path: str | Path, most: int) -> bytes:
    """The last bytes of a file, b"" where it cannot be read; what is no file (a pipe) is not waited for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return b""
    with open(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            return b""
        file.seek(max(0, about.st_size - most))
        return file.read(most)
