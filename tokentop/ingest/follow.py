"""Which file to read next: the backlog newest first, live files at once, each in slices.

Follows by `stat`: the active files at each poll, folders whose time changed, everything at each walk. That
works on every file system and costs no watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tokentop.agents.base import Agent, Database
from tokentop.latelog import LateLog
from tokentop.nouns.facts import Cursor, Fact, Looked, Progress
from tokentop.nouns.sessions import Session

from .active import ACTIVE_S, Active
from .archive import Archive
from .backlog import Backlog
from .document import Document
from .failures import Failures
from .folders import Folders
from .forks import Forks
from .listing import LogEntry, state_of
from .openfile import open_log
from .openlogs import MAX_OPEN, OpenLogs, Reader
from .signs import last_signs
from .tail import Tail

log = LateLog(__name__)

INT64 = (1 << 63) - 1  # inode numbers are unsigned, the store's integers are not
SLICE_BYTES = 8 << 20
SLICE_FACTS = 5_000
SIDECAR_BYTES = 1 << 20
REST_S = 0.4  # between two looks at a document or a database that changes all the time
REREAD_BYTES_PER_S = 5 << 20  # a document of 50 MB is read anew every 10 s at most


class Batch(Struct):
    """What one step read: facts, and the cursors to commit with them."""

    facts: list[Fact]
    cursors: list[Cursor]
    bytes: int
    live: bool  # nothing of it comes from the first read of the backlog
    forget: list[tuple[str, str]]  # sessions whose facts are read anew (agent, session id)


class Follower:
    """All log files of all agents. One thread only; no clock: `now_s` is monotonic seconds."""

    def __init__(
        self, agents: Sequence[Agent], environ: Mapping[str, str],
        cursors: Callable[[Sequence[str]], Iterable[Cursor]],
        extra_roots: Mapping[str, Sequence[str]], live: bool = True, projects: Iterable[str] = (),
        calm_s: float = 0.0,
    ) -> None:  # fmt: skip
        self._agents = {agent.id: agent for agent in agents}
        self.folders = Folders(self._agents, environ, extra_roots, projects)
        self.failures = Failures()
        self._live = live  # False: a report, which wants no status
        self._recall = cursors  # of files, by their paths; those of files that are gone are never asked for
        self._cursors: dict[str, Cursor] = {}
        self._files: dict[str, LogEntry] = {}
        self._active = Active()
        self._urgent: dict[str, None] = {}
        self._todo: dict[str, None] = {}
        self._rests: dict[str, float] = {}  # documents and databases that are left alone until then
        self._forks = Forks(self._cursors)
        self._logs = OpenLogs(self._agents, self._cursors, self._forks, calm_s)
        self._anew: set[str] = set()  # to be read from the start, after its session was forgotten
        self._held: list[Fact] = []  # read outside of a step, committed with the next one
        self._walked = False
        self._backlog = Backlog()
        self.looked: tuple[Looked, ...] = ()

    # ------------------------------------------------------------ what there is

    def walk(self, now_s: float, wall_ns: int) -> None:
        """Look for files everywhere. What is new or changed is queued, newest first."""
        first = not self._walked
        self._walked = True
        listing = self.folders.walk(wall_ns, self._files)
        self.looked = tuple(listing.looked)
        unknown = [path for path in listing.files if path not in self._files and path not in self._cursors]
        self._cursors.update((cursor.path, cursor) for cursor in self._recall(unknown))
        self.failures.walked(listing)
        changed = [entry for entry in listing.files.values() if self._changed(entry, now_s)]
        self._files = listing.files
        self._rests = {path: due_s for path, due_s in self._rests.items() if path in listing.files}
        for path in self._forks.index(changed, listing.files):
            self._anew.add(path)
            self._logs.drop(path)
            self._cursors.pop(path, None)
            self._urgent[path] = None
        changed.sort(key=lambda entry: entry.mtime_ns, reverse=True)
        fresh = wall_ns - int(ACTIVE_S * 1e9)
        if first and self._live:
            self._prime([e for e in listing.files.values() if e.mtime_ns > fresh and not e.sidecar], now_s)
        for entry in changed:
            if not first and entry.mtime_ns > fresh and not entry.sidecar:
                self._active.add(entry.path, now_s)
                self._urgent[entry.path] = None
                continue
            self._todo[entry.path] = None
            if first:
                cursor = self._cursors.get(entry.path)
                unread = entry.size - (cursor.offset if cursor else 0)
                # little of a database is ever read
                self._backlog.add(entry.path, 0 if isinstance(entry.source, Database) else unread)
        self._active.limit(now_s, self._files, self._logs.drop)

    def _changed(self, entry: LogEntry, now_s: float) -> bool:
        old = self._files.get(entry.path)
        if old is not None and (old.ino, old.size, old.mtime_ns) == (entry.ino, entry.size, entry.mtime_ns):
            return False
        cursor = self._cursors.get(entry.path)
        if old is None and cursor is not None:
            version = self._agents[entry.agent].version
            known = (cursor.size, cursor.mtime_ns, cursor.agent_version, cursor.ino)
            if known == (entry.size, entry.mtime_ns, version, entry.ino & INT64):
                return False
        if old is not None:
            self._active.add(entry.path, now_s)
        return True

    def _prime(self, recent: Sequence[LogEntry], now_s: float) -> None:
        """At the start: files of the last minutes are active; what they did last is read again, not counted."""
        for entry in recent:
            self._active.add(entry.path, now_s)
        for entry in sorted(recent, key=lambda e: e.mtime_ns)[-MAX_OPEN:]:
            if entry.path in self._cursors:
                self._held += last_signs(entry)
                self._logs.hold(entry, live=self._live)

    def poll(self, now_s: float, all_folders: bool = False) -> bool:
        """Queue active files that changed; True if a folder changed, so that a walk is due."""
        if not self.look(now_s, all_folders):
            return False
        return self.folders.changed(list if all_folders else self._active.folders)

    def look(self, now_s: float, everything: bool = False) -> bool:
        """Queue active files that changed; True when it was the turn of all of them."""
        if everything:
            self._logs.rouse()
        due, slow = self._active.due(now_s, everything=everything)
        for path in due:
            if not self._logs.is_calm(path, now_s):
                self._look_at(path, now_s)
        return slow

    def _look_at(self, path: str, now_s: float) -> None:
        entry = self._files.get(path)
        if entry is None:
            return
        try:
            dev, ino, size, mtime_ns = state_of(path, entry.source)
        except OSError:
            self._retire(path)
            self._active.remove(path)
            return
        if (ino, size, mtime_ns) != (entry.ino, entry.size, entry.mtime_ns):
            if ino != entry.ino:
                self._retire(path)
            self._files[path] = replace(entry, dev=dev, ino=ino, size=size, mtime_ns=mtime_ns)
            self._active.add(path, now_s)
            self._urgent[path] = None

    def _retire(self, path: str) -> None:
        """The file was deleted, moved or replaced: read what is open to its end, then let go of it."""
        tail = self._logs.get(path)
        if isinstance(tail, Tail) and tail.is_open:
            try:
                while not tail.read(self._held)[1]:
                    pass
            except OSError as error:
                log.warning("the end of a replaced log could not be read: %s", error)
            tail.flush(self._held)
        self._logs.drop(path)

    # ------------------------------------------------------------ reading

    @property
    def waiting(self) -> bool:
        """Whether another step has something to read."""
        return bool(self._todo or self._urgent or self._held)

    def step(self, now_s: float, slice_bytes: int = SLICE_BYTES) -> Batch | None:
        """Read the next part of what is queued; None if nothing is."""
        if not self.waiting:
            self._backlog.clear()
            return None
        batch = Batch(self._held, [], 0, True, [])
        self._held = []
        while (self._urgent or self._todo) and batch.bytes < slice_bytes and len(batch.facts) < SLICE_FACTS:
            queue = self._urgent or self._todo
            path = next(iter(queue))
            first, before = path in self._backlog, batch.bytes
            if first:
                batch.live = False
            done = self._read(path, batch, now_s)
            if first:
                self._backlog.read(path, batch.bytes - before, done=done)
            if done:
                queue.pop(path, None)
            elif batch.bytes >= slice_bytes or len(batch.facts) >= SLICE_FACTS:
                self._pause(path, batch)
        for fact in batch.facts:
            if isinstance(fact, Session):
                self.folders.add_project(fact.cwd)
        return batch

    def _pause(self, path: str, batch: Batch) -> None:
        """Commit the position inside a large file, so that a killed run goes on from there."""
        tail = self._logs.get(path)
        if tail is not None:
            try:
                self._commit(path, tail, batch, at_end=False)
            except OSError as error:
                log.warning("no position inside a log: %s", error)
                self._logs.drop(path)

    def _commit(self, path: str, tail: Reader, batch: Batch, *, at_end: bool) -> None:
        tail.flush(batch.facts)
        cursor = tail.cursor()
        if cursor is not None:
            if not at_end:
                cursor = replace(cursor, mtime_ns=0)  # looks changed to the next walk: there is more to read
            batch.cursors.append(cursor)
            self._cursors[path] = cursor

    def _read(self, path: str, batch: Batch, now_s: float) -> bool:
        """Read one slice of one file into the batch; True if that file is done for now."""
        entry = self._files.get(path)
        if entry is None:
            return True
        if self._live and now_s < self._rests.get(path, 0.0):
            self._files[path] = replace(entry, mtime_ns=-1)  # looks changed to a later poll
            return True
        if now_s < self.failures.until_s.get(path, 0.0):
            self._files.pop(path, None)  # the next walk queues it again
            return True
        try:
            if path in self._anew:
                self._begin_anew(entry, batch)
            at_end = self._sidecar(entry, batch) if entry.sidecar else self._slice(entry, batch, now_s)
        except Exception as error:  # whatever is wrong with one log, the others go on
            if not isinstance(error, OSError | ImportError):
                log.exception("a log could not be decoded")
            self._logs.drop(path)
            self._files.pop(path, None)  # the next walk queues it again
            if not isinstance(error, FileNotFoundError):
                self.failures.failed(entry, error, now_s)
            return True
        return at_end

    def _slice(self, entry: LogEntry, batch: Batch, now_s: float) -> bool:
        """Read one slice; True at the end of the file."""
        path = entry.path
        tail = self._logs.reader(entry, live=self._live and path in self._active)
        read, at_end = tail.read(batch.facts)
        if at_end:
            self._commit(path, tail, batch, at_end=True)
        batch.bytes += read
        if at_end:
            self._files[path] = tail.entry if not isinstance(tail, Archive) else entry
            if path in self._active:
                self._logs.keep(path, now_s)
            else:
                self._logs.drop(path)
            if not isinstance(tail, Tail | Archive):
                self._rests[path] = now_s + max(REST_S, read / REREAD_BYTES_PER_S)
        if path in self.failures.diagnostics:
            self.failures.clear(path)
        if isinstance(tail, Document) and not tail.is_whole:
            self.failures.half(entry)
        return at_end

    def _begin_anew(self, entry: LogEntry, batch: Batch) -> None:
        """Forget what was counted of this log, together with the position that says it was read."""
        self._anew.discard(entry.path)
        batch.forget.append((entry.agent, entry.session_id))
        batch.cursors.append(self._cursor(entry, 0, 0))

    def _sidecar(self, entry: LogEntry, batch: Batch) -> bool:
        with open_log(entry.path) as file:
            data = file.read(SIDECAR_BYTES)
        if entry.source.read_sidecar is not None:
            batch.facts.extend(entry.source.read_sidecar(entry.file, data))
        cursor = self._cursor(entry, entry.size, entry.mtime_ns)
        batch.cursors.append(cursor)
        batch.bytes += len(data)
        self._cursors[entry.path] = cursor
        self.failures.clear(entry.path)
        return True

    def _cursor(self, entry: LogEntry, size: int, mtime_ns: int) -> Cursor:
        """The cursor of a file that was read up to `size`, and whose beginning is not looked at."""
        version = self._agents[entry.agent].version
        return Cursor(entry.path, entry.agent, entry.dev, entry.ino, 0, 0, size, 0, size, mtime_ns, version)

    # ------------------------------------------------------------ for the screen

    def progress(self, seconds: float) -> Progress:
        """How far the backlog is; `seconds` since it began."""
        return self._backlog.progress(len(self._files), seconds)

    def close(self) -> None:
        self._logs.close()
