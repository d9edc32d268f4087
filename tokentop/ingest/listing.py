"""The logs that a walk lists, and what it remembers of the folders that held them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from msgspec import Struct

from tokentop.agents.base import Database, LogFile, Source
from tokentop.nouns.facts import Diagnostic, Looked
from tokentop.text import clean

LIST_EVERY = 4  # walks
SETTLED_NS = 5_000_000_000


class LogEntry(Struct, frozen=True, gc=False):
    """A log file as the last walk saw it."""

    path: str
    agent: str
    source: Source
    relative: str
    dev: int
    ino: int
    size: int
    mtime_ns: int
    sidecar: bool = False

    @property
    def file(self) -> LogFile:
        folder, _, name = self.relative.rpartition("/")
        stem = name
        for suffix in (self.source.sidecar, *sorted(self.source.suffixes, key=len, reverse=True)):
            if suffix and name.endswith(suffix):
                stem = name.removesuffix(suffix)
                break
        return LogFile(
            clean(self.path, 1000),
            clean(stem, 300),
            tuple(clean(part, 300) for part in folder.split("/")) if folder else (),
            self.mtime_ns // 1_000_000,
        )

    @property
    def session_id(self) -> str:
        """The session that the file name tells, where the agent puts it there."""
        return self.source.file_id(self.file.stem) if self.source.file_id else self.file.stem


class Held(Struct, gc=False):
    """The logs in a folder (paths) and the folders to look into (names), as of the folder's own time."""

    mtime_ns: int
    logs: tuple[str, ...]
    below: tuple[str, ...]
    walk: int = 0


class Names:
    """What the folders held at the last walk: one whose time has not moved need not be listed again.

    Not every file system keeps the time of a folder, so each one is listed anew at every fourth walk.
    """

    def __init__(self) -> None:
        self.files: Mapping[str, LogEntry] = {}  # of the last walk
        self._known: dict[tuple[str, int], Held] = {}
        self._walks = 0
        self._wall_ns = 0

    def turn(self, wall_ns: int, files: Mapping[str, LogEntry]) -> Names:
        """Begin a walk; `files` is what the last one found."""
        self._walks += 1
        self._wall_ns = wall_ns
        self.files = files
        return self

    def of(self, folder: str, number: int, mtime_ns: int) -> Held | None:
        """What the folder is known to hold; None where it has to be listed."""
        held = self._known.get((folder, number))
        if held is None or held.mtime_ns != mtime_ns or held.walk + LIST_EVERY <= self._walks:
            return None
        return held

    def keep(self, folder: str, number: int, held: Held) -> None:
        """Remember a listing, unless the folder may yet change without another time: a coarse clock."""
        if self._wall_ns - held.mtime_ns > SETTLED_NS:
            # The first listings are spread: not all are due at the same later walk.
            held.walk = self._walks - (len(self._known) % LIST_EVERY if self._walks == 1 else 0)
            self._known[folder, number] = held
        else:
            self._known.pop((folder, number), None)

    def forget_but(self, folders: Mapping[str, int]) -> None:
        """Drop folders that are gone."""
        if len(self._known) > 2 * len(folders) + 1000:
            self._known = {key: held for key, held in self._known.items() if key[0] in folders}


class Listing(Struct):
    """One walk: files, the folders that held them (with mtime_ns), what was looked for, what failed."""

    files: dict[str, LogEntry]
    folders: dict[str, int]
    looked: list[Looked]
    diagnostics: list[Diagnostic]
    absent: list[str] = []  # folders that an agent would make at its first start


def state_of(path: str, source: Source) -> tuple[int, int, int, int]:
    """(device, inode, size, mtime_ns) of a log, of a database together with its -wal. OSError."""
    about = os.stat(path)
    if not isinstance(source, Database):
        return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
    try:
        wal = os.stat(f"{path}-wal")
    except OSError:
        return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns
    # The main file can stand still for hours while the -wal grows.
    return (
        about.st_dev, about.st_ino, about.st_size + wal.st_size, max(about.st_mtime_ns, wal.st_mtime_ns)
    )  # fmt: skip
