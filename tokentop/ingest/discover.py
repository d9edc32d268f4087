"""Roots and folders -> log files, without following links out of them and without opening a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping

from msgspec import Struct

from tokentop.agents.base import Agent, JsonLines, LogFile
from tokentop.model import Diagnostic, Looked
from tokentop.text import clean

MAX_DEPTH = 50


class LogEntry(Struct, frozen=True):
    """A log file as the last walk saw it."""

    path: str
    agent: str
    source: JsonLines
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
        )

    @property
    def session_id(self) -> str:
        """The session that the file name tells, where the agent puts it there."""
        return self.source.file_id(self.file.stem) if self.source.file_id else self.file.stem


class Listing(Struct):
    """One walk: files, the folders that held them (with mtime_ns), what was looked for, what failed."""

    files: dict[str, LogEntry]
    folders: dict[str, int]
    looked: list[Looked]
    diagnostics: list[Diagnostic]
    absent: list[str] = []  # folders that an agent would make at its first start


def roots(agent: Agent, environ: Mapping[str, str], extra: Iterable[str] = ()) -> list[str]:
    """The agent's data folders: its variable (a comma list) or the usual places, and `extra` ones."""
    named = [part.strip() for part in environ.get(agent.roots.env, "").split(",") if part.strip()]
    home = environ.get("HOME") or os.path.expanduser("~")
    places = [*(named or agent.roots.dirs), *extra]
    expanded = [home + p[1:] if p == "~" or p.startswith("~/") else p for p in places]
    return list(dict.fromkeys(os.path.normpath(p) for p in expanded if os.path.isabs(p)))


def walk(agents: Iterable[Agent], environ: Mapping[str, str], extra: Mapping[str, Iterable[str]]) -> Listing:
    """List every log of every agent. A file reached twice (two roots, hard links) is listed once."""
    listing = Listing({}, {}, [], [])
    seen: set[tuple[int, int]] = set()
    for agent in agents:
        for root in roots(agent, environ, extra.get(agent.id, ())):
            before = len(listing.files)
            found = _root(agent, root, listing, seen)
            files = len(listing.files) - before
            listing.looked.append(
                Looked(agent.id, agent.label, clean(root, 200), f"{files} files" if found == "" else found)
            )
    return listing


def _root(agent: Agent, root: str, listing: Listing, seen: set[tuple[int, int]]) -> str:
    """Walk one root; return "" or what is wrong with it."""
    try:
        about = os.stat(root)
    except FileNotFoundError:
        listing.absent.append(root)
        return "no such folder"
    except OSError as error:
        listing.diagnostics.append(Diagnostic(agent.id, "unreadable", f"{clean(root)}: {error.strerror}"))
        return f"not readable: {error.strerror}"
    if not stat.S_ISDIR(about.st_mode):
        listing.diagnostics.append(Diagnostic(agent.id, "unreadable", f"{clean(root)} is not a folder"))
        return "not a folder"
    real = os.path.realpath(root)
    for source in agent.sources:
        folder = os.path.join(root, source.folder)
        if not os.path.isdir(folder):
            listing.absent.append(folder)
        _folder(agent, source, folder, "", real, listing, seen, 0)
    return ""


def _folder(
    agent: Agent, source: JsonLines, folder: str, relative: str, root: str,
    listing: Listing, seen: set[tuple[int, int]], depth: int,
) -> None:  # fmt: skip
    try:
        about = os.stat(folder, follow_symlinks=depth == 0)
        if not stat.S_ISDIR(about.st_mode) or (about.st_dev, about.st_ino) in seen:
            return
        seen.add((about.st_dev, about.st_ino))
        listing.folders[folder] = about.st_mtime_ns
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        listing.diagnostics.append(Diagnostic(agent.id, "unreadable", f"{clean(folder)}: {error.strerror}"))
        return
    names = {entry.name for entry in entries} if any(s.endswith(".zst") for s in source.suffixes) else set()
    below = []
    for entry in entries:
        name = entry.name
        if name.endswith(source.suffixes) or (source.sidecar and name.endswith(source.sidecar)):
            if name.endswith(".zst") and name.removesuffix(".zst") in names:
                continue  # a plain sibling always wins
            _file(agent, source, entry, relative + name, root, listing, seen)
        elif depth < MAX_DEPTH and entry.is_dir(follow_symlinks=False):
            below.append(name)
    for name in below:
        _folder(
            agent, source, f"{folder}/{name}", f"{relative}{name}/", root, listing, seen, depth + 1
        )  # fmt: skip


def _file(
    agent: Agent, source: JsonLines, entry: os.DirEntry[str], relative: str, root: str,
    listing: Listing, seen: set[tuple[int, int]],
) -> None:  # fmt: skip
    path = entry.path
    try:
        about = entry.stat(follow_symlinks=False)
        if stat.S_ISLNK(about.st_mode):
            path = os.path.realpath(path)
            if not path.startswith(root + os.sep):
                listing.diagnostics.append(
                    Diagnostic(agent.id, "outside", "a link that leaves the data folder")
                )
                return
            about = os.stat(path)
    except OSError:
        return
    if not stat.S_ISREG(about.st_mode):
        listing.diagnostics.append(Diagnostic(agent.id, "not-a-file", clean(relative, 120)))
        return
    if (about.st_dev, about.st_ino) in seen:
        return
    seen.add((about.st_dev, about.st_ino))
    sidecar = bool(source.sidecar) and path.endswith(source.sidecar)
    listing.files[path] = LogEntry(
        path,
        agent.id,
        source,
        relative,
        about.st_dev,
        about.st_ino,
        about.st_size,
        about.st_mtime_ns,
        sidecar,
    )
