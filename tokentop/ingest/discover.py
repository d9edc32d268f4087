"""Roots and folders -> log files, without following links out of them and without opening a file."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterable, Mapping

from msgspec import Struct

from tokentop.agents.base import Agent, Database, Source
from tokentop.nouns.facts import Diagnostic, Looked
from tokentop.text import clean, plural

from .listing import Held, Listing, LogEntry, Names, state_of
from .roots import projects, roots

MAX_DEPTH = 50


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
