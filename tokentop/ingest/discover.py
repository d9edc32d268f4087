"""Roots and folders -> log files, without following links out of them and without opening a file."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterable, Mapping

from msgspec import Struct

from tokentop.agents.base import Agent, Database, LogFile, Source
from tokentop.nouns.facts import Diagnostic, Looked
from tokentop.text import clean, plural

MAX_DEPTH = 50
PROJECTS_MAX = 500
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


def roots(agent: Agent, environ: Mapping[str, str], extra: Iterable[str] = ()) -> list[str]:
    """The agent's data folders: its variable (a comma list) or the usual places, and `extra` ones."""
    place, below = agent.roots, agent.roots.below
    named = [part.strip() for part in environ.get(place.env, "").split(",") if part.strip()]
    places = [f"{part}/{below}" if below else part for part in named] or list(place.dirs)
    expanded = [_expanded(one, environ) for one in (*places, *extra)]
    return list(dict.fromkeys(os.path.normpath(one) for one in expanded if os.path.isabs(one)))


def _expanded(place: str, environ: Mapping[str, str]) -> str:
    if place == "~" or place.startswith("~/"):
        return (environ.get("HOME") or os.path.expanduser("~")) + place[1:]
    if place.startswith("$"):
        name, _, rest = place[1:].partition("/")
        value = environ.get(name, "")
        return f"{value}/{rest}".rstrip("/") if value else ""
    return place


def projects(environ: Mapping[str, str], known: Iterable[str]) -> list[str]:
    """Folders that may be projects: `known` ones, HOME, and what is visible on its first two levels."""
    home = environ.get("HOME") or os.path.expanduser("~")
    found = [home, *(path for path in known if os.path.isabs(path))]
    level = [home]
    for _ in range(2):
        level = [path for folder in level for path in _visible_folders(folder)][:PROJECTS_MAX]
        found += level
    return list(dict.fromkeys(os.path.normpath(path) for path in found))


def _visible_folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.path for e in entries if e.name[:1] != "." and e.is_dir(follow_symlinks=False))
    except OSError:
        return []


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


def walk(
    agents: Iterable[Agent], environ: Mapping[str, str], extra: Mapping[str, Iterable[str]],
    known_projects: Iterable[str] = (), names: Names | None = None,
) -> Listing:  # fmt: skip
    """List every log of every agent. A file reached twice (two roots, hard links) is listed once.

    `names` remembers what folders hold from one walk to the next.
    """
    names = names or Names()
    listing = Listing({}, {}, [], [])
    seen: set[tuple[int, ...]] = set()
    folders: list[str] | None = None
    for agent in agents:
        own = roots(agent, environ, extra.get(agent.id, ()))
        for root in own:
            before = len(listing.files)
            found = _root(agent, root, listing, seen, names)
            files = len(listing.files) - before
            listing.looked.append(
                Looked(
                    agent.id, agent.label, clean(root, 200), plural(files, "file") if found == "" else found
                )
            )
        if agent.roots.in_projects:
            folders = projects(environ, known_projects) if folders is None else folders
            _in_projects(agent, folders, listing, seen, names.files)
    names.forget_but(listing.folders)
    return listing


def _in_projects(
    agent: Agent,
    folders: list[str],
    listing: Listing,
    seen: set[tuple[int, ...]],
    known: Mapping[str, LogEntry],
) -> None:
    """Look for logs with exact names in project folders; these are not watched: there are too many."""
    before = len(listing.files)
    for folder in folders:
        found = False
        for source in agent.sources:
            for name in source.suffixes:
                path = os.path.join(folder, source.folder, name)
                if os.path.isfile(path) and not (found and source.fallback):
                    _file(agent, source, path, name, os.path.realpath(folder), listing, seen, known)
                    found = True
    files = len(listing.files) - before
    listing.looked.append(
        Looked(agent.id, agent.label, f"{len(folders)} project folders", plural(files, "file"))
    )


def _root(agent: Agent, root: str, listing: Listing, seen: set[tuple[int, ...]], names: Names) -> str:
    """Walk one root; return "" or what is wrong with it."""
    try:
        about = os.stat(root)
    except FileNotFoundError:
        listing.absent.append(root)
        return "no such folder"
    except OSError as error:
        listing.diagnostics.append(Diagnostic(agent.id, "unreadable", f"{clean(root)}: {error.strerror}"))
        return f"not readable: {error.strerror}"
    if stat.S_ISREG(about.st_mode):
        name = os.path.basename(root)
        for source in agent.sources:
            if name.endswith(source.suffixes):
                _file(
                    agent,
                    source,
                    root,
                    name,
                    os.path.dirname(os.path.realpath(root)),
                    listing,
                    seen,
                    names.files,
                )
                return ""
    if not stat.S_ISDIR(about.st_mode):
        listing.diagnostics.append(Diagnostic(agent.id, "unreadable", f"{clean(root)} is not a folder"))
        return "not a folder"
    real = os.path.realpath(root)
    for number, source in enumerate(agent.sources):
        folder = os.path.join(root, source.folder)
        if not os.path.isdir(folder):
            listing.absent.append(folder)
        _folder(_Walk(agent, source, number, real, listing, seen, names), folder, "", 0)
    return ""


class _Walk(Struct, frozen=True):
    """What stays the same while the folders of one source are walked."""

    agent: Agent
    source: Source
    number: int
    root: str
    listing: Listing
    seen: set[tuple[int, ...]]
    names: Names


def _folder(walk: _Walk, folder: str, relative: str, depth: int) -> None:
    agent, source, listing, seen = walk.agent, walk.source, walk.listing, walk.seen
    try:
        about = os.stat(folder) if depth == 0 else os.lstat(folder)
        # Two sources of an agent may look into the same folders for different files.
        key = (about.st_dev, about.st_ino, walk.number)
        if not stat.S_ISDIR(about.st_mode) or key in seen:
            return
        seen.add(key)
        listing.folders[folder] = about.st_mtime_ns
        held = walk.names.of(folder, walk.number, about.st_mtime_ns)
        if held is None:
            held = _list(source, folder, depth, about.st_mtime_ns)
            walk.names.keep(folder, walk.number, held)
    except FileNotFoundError:
        return
    except OSError as error:
        listing.diagnostics.append(Diagnostic(agent.id, "unreadable", f"{clean(folder)}: {error.strerror}"))
        return
    start = len(folder) + (not folder.endswith("/"))
    for path in held.logs:
        _file(agent, source, path, relative + path[start:], walk.root, listing, seen, walk.names.files)
    for name in held.below:
        _folder(walk, f"{folder}/{name}", f"{relative}{name}/", depth + 1)


def _list(source: Source, folder: str, depth: int, mtime_ns: int) -> Held:
    """What the folder holds for this source. OSError."""
    with os.scandir(folder) as found:
        entries = list(found)
    archives = any(suffix.endswith(".zst") for suffix in source.suffixes)
    names = {entry.name for entry in entries} if archives else set()
    suffixes = (*source.suffixes, source.sidecar) if source.sidecar else source.suffixes
    logs, below = [], []
    for entry in entries:
        name = entry.name
        if name.endswith(suffixes):
            if name.endswith(".zst") and name.removesuffix(".zst") in names:
                continue  # a plain sibling always wins
            logs.append(entry.path)
        elif _enters(source.levels, depth, name) and entry.is_dir(follow_symlinks=False):
            below.append(name)
    return Held(mtime_ns, tuple(logs), tuple(below))


def _enters(levels: tuple[str, ...] | None, depth: int, name: str) -> bool:
    """Whether a folder on the given level is looked into."""
    if levels is None:
        return depth < MAX_DEPTH
    if levels and levels[-1] == "**" and depth >= len(levels) - 1:
        return depth < MAX_DEPTH
    return depth < len(levels) and fnmatch.fnmatchcase(name, levels[depth])


def _file(
    agent: Agent, source: Source, path: str, relative: str, root: str, listing: Listing,
    seen: set[tuple[int, ...]], known: Mapping[str, LogEntry],
) -> None:  # fmt: skip
    """List one file; `known` are the entries of the last walk."""
    try:
        about = os.lstat(path)
        if stat.S_ISLNK(about.st_mode):
            path = os.path.realpath(path)
            if not path.startswith(root + os.sep):
                listing.diagnostics.append(
                    Diagnostic(agent.id, "outside", "a link that leaves the data folder")
                )
                return
            about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            listing.diagnostics.append(Diagnostic(agent.id, "not-a-file", clean(relative, 120)))
            return
        if (about.st_dev, about.st_ino) in seen:
            return
        seen.add((about.st_dev, about.st_ino))
        state = state_of(path, source) if isinstance(source, Database) else None
    except OSError:
        return
    now = state or (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
    old = known.get(path)
    if (
        old is not None and old.source is source and old.relative == relative
        and now == (old.dev, old.ino, old.size, old.mtime_ns)
    ):  # fmt: skip
        listing.files[old.path] = old
        return
    sidecar = bool(source.sidecar) and path.endswith(source.sidecar)
    listing.files[path] = LogEntry(path, agent.id, source, relative, *now, sidecar)
