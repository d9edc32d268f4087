"""Reads the small files in which agents publish their live processes, and the threads of shared daemons.

A file is read only when it changed; a damaged one (rewrites are not atomic) keeps its last good value
and is read again at the next tick. Only files that match the agent's own patterns are ever opened.
"""

from __future__ import annotations

import fnmatch
import heapq
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path

from msgspec import Struct

from tokentop.agents.processes import Daemon, Processes, RegistryEntry, profile_of
from tokentop.nouns.facts import Diagnostic

FILE_BYTES_MAX = 1 << 20
NEWEST_MAX = 200  # of the entries of a folder: an agent that keeps its session files has thousands
THREADS_MAX = 512
_DB_TIMEOUT_S = 0.2


class Root(Struct, frozen=True):
    """One profile directory of one agent."""

    spec: Processes
    path: str


class Filed(Struct, frozen=True):
    """A registry entry and the root that it was found below."""

    root: Root
    entry: RegistryEntry


class Thread(Struct, frozen=True):
    """A session of a shared daemon, from the agent's own database."""

    id: str
    cwd: str
    created_ms: int
    client: str
    parent_id: str


class ThreadsError(Exception):
    """A daemon's database could not be read."""


class _File(Struct):
    mtime_ns: int
    size: int
    entry: RegistryEntry | None
    damaged: bool = False
    filed: Filed | None = None


def find_roots(
    specs: Sequence[Processes],
    home: Path,
    environ: Mapping[str, str],
    seen: Iterable[tuple[str, str]] = (),
) -> tuple[Root, ...]:
    """Every profile directory: the default ones, ours, and those of live processes.

    `seen` = (agent, profile directory of a live process). Our own variable may be a comma list.
    """
    found: dict[tuple[str, str], Root] = {}
    for spec in specs:
        paths = [str(home / directory) for directory in spec.root_dirs]
        paths += [profile_of(spec, part) for part in environ.get(spec.root_env, "").split(",")]
        paths += [part.strip() for agent, value in seen if agent == spec.agent for part in value.split(",")]
        for path in paths:
            if path.startswith("~/"):
                path = str(home / path[2:])
            if path.startswith("/"):
                path = path.rstrip("/")
                found.setdefault((spec.agent, path), Root(spec, path))
    return tuple(found.values())


class Registry:
    """The registry files of all agents, by profile directory."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self.reads = 0  # files opened so far; an unchanged file is not opened again

    def refresh(
        self, roots: Sequence[Root], running: Set[str], pids: Set[int] = frozenset()
    ) -> tuple[Filed, ...]:
        """What the files of the `running` agents say; without a process none of them is about a live one.

        A file that is named after one of `pids` is read however many newer ones there are.
        """
        found: list[Filed] = []
        present: set[str] = set()
        for root in roots:
            if root.spec.agent not in running:
                continue
            for pattern in root.spec.registry:
                for path, status in _matching(root.path, pattern.split("/"), pids):
                    present.add(path)
                    filed = self._filed(root, path, status)
                    if filed is not None:
                        found.append(filed)
        for path in self._files.keys() - present:
            del self._files[path]
        return tuple(found)

    def health(self) -> tuple[Diagnostic, ...]:
        damaged = sum(file.damaged for file in self._files.values())
        return (Diagnostic("registry", "unparsed", "live session files", damaged),) if damaged else ()

    def _filed(self, root: Root, path: str, status: os.stat_result) -> Filed | None:
        """The entry with its root: the same object while neither has changed."""
        entry = self._entry(root, path, status)
        if entry is None:
            return None
        file = self._files[path]
        if file.filed is None or file.filed.entry is not entry or file.filed.root != root:
            file.filed = Filed(root, entry)
        return file.filed

    def _entry(self, root: Root, path: str, status: os.stat_result) -> RegistryEntry | None:
        known = self._files.get(path)
        if (
            known
            and not known.damaged
            and (known.mtime_ns, known.size) == (status.st_mtime_ns, status.st_size)
        ):
            return known.entry
        last_good = known.entry if known else None
        file = _File(status.st_mtime_ns, status.st_size, last_good, damaged=True)
        self._files[path] = file
        try:
            self.reads += 1
            data = _read(path)
            file.entry = root.spec.parse_registry(os.path.relpath(path, root.path), data)
            file.damaged = False
        except (OSError, ValueError):
            pass  # counted in health(); the last good value stays
        return file.entry


def _matching(base: str, parts: Sequence[str], pids: Set[int]) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files below `base` that match the pattern, one path part at a time."""
    if len(parts) > 1 and "*" not in parts[0]:
        yield from _matching(f"{base}/{parts[0]}", parts[1:], pids)
        return
    try:
        if "*" not in parts[0]:
            status = os.stat(f"{base}/{parts[0]}")
            if stat.S_ISREG(status.st_mode):
                yield f"{base}/{parts[0]}", status
            return
        with os.scandir(base) as entries:
            names = [entry for entry in entries if fnmatch.fnmatchcase(entry.name, parts[0])]
    except OSError:
        return
    if len(names) > NEWEST_MAX:
        others = [entry for entry in names if _pid_in(entry.name) not in pids]
        names = [entry for entry in names if _pid_in(entry.name) in pids]
        names += heapq.nlargest(NEWEST_MAX, others, key=_changed_ns)
    for entry in names:
        if len(parts) > 1:
            yield from _matching(entry.path, parts[1:], pids)
            continue
        try:
            status = entry.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield entry.path, status


def _pid_in(name: str) -> int:
    """The process that a file is named after, 0 = none."""
    stem = name.partition(".")[0]
    return int(stem) if stem.isascii() and stem.isdigit() and len(stem) < 10 else 0


def _changed_ns(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat().st_mtime_ns
    except OSError:
        return 0


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise ValueError("larger than any registry file")
    return data


def read_threads(root: str, daemon: Daemon, ids: Iterable[str]) -> dict[str, Thread]:
    """Look up threads in the daemon's database; empty where there is none.

    Opened read-only for this one question, so that the owner's checkpoints are never held up.
    Raises ThreadsError where it is busy or of another layout.
    """
    import sqlite3

    wanted = tuple(ids)[:THREADS_MAX]
    path = _newest(root, daemon.threads_glob)
    if not wanted or not path:
        return {}
    uri = Path(path).as_uri() + "?mode=ro"
    try:
        database = sqlite3.connect(uri, uri=True, timeout=_DB_TIMEOUT_S)
        try:
            sql = daemon.threads_sql.format(ids=",".join("?" * len(wanted)))
            rows = database.execute(sql, wanted).fetchall()
        finally:
            database.close()
        found = [Thread(str(row[0]), str(row[1]), int(row[2] or 0), str(row[3]), str(row[4])) for row in rows]
    except (sqlite3.Error, ValueError, TypeError) as error:
        raise ThreadsError from error
    return {thread.id: thread for thread in found}


def _newest(root: str, pattern: str) -> str:
    """The database with the highest number in its name (a generation of the layout)."""
    try:
        names = [name for name in os.listdir(root) if fnmatch.fnmatchcase(name, pattern)]
    except OSError:
        return ""
    numbered = [(int("".join(filter(str.isdigit, name)) or 0), name) for name in names]
    return f"{root}/{max(numbered)[1]}" if numbered else ""
