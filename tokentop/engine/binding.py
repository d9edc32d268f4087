"""Which process has which session, from one pass over the process table to the next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tokentop.engine.track import Track
from tokentop.engine.tracks import MAX_TRACKS, Tracks
from tokentop.nouns.processes import AgentProc, Ident, ProcRole

WRITTEN_MS = 5_000  # a log may be written this much before or after what the process table shows
LINGER_MS = 10_000  # an ended row stays this long as done


def proc_key(ident: Ident) -> str:
    """Return the row key of a process without a session."""
    return f"proc:{ident.pid}:{ident.start_ticks}"


class Binding:
    """Binds the processes of each pass to the sessions in `tracks`; those without one stand here, by row key."""

    def __init__(self, tracks: Tracks) -> None:
        self._tracks = tracks
        self._bound: set[str] = set()  # sessions that have a process or had one
        self.procs: tuple[AgentProc, ...] = ()
        self._looked_at: tuple[AgentProc, ...] | None = None  # what `take` was last given
        self._settled = False
        self.loose: dict[str, AgentProc] = {}  # agent processes without a session of their own
        self.orphans: dict[str, AgentProc] = {}
        self.gone: dict[str, tuple[AgentProc, int]] = {}  # loose processes that ended, and when
        self._launchers: dict[tuple[int, int], int] = {}  # and when they last had a worker
        self.frozen_since: dict[tuple[int, int], int] = {}
        self.order: dict[str, int] = {}  # of loose processes and orphans

    def take(self, procs: tuple[AgentProc, ...], at_ms: int) -> bool:
        """Take the result of one whole pass over the process table; whether it differs from the last one."""
        if procs is self._looked_at and self._settled:
            return False
        self._looked_at = procs
        alive = tuple(p for p in procs if p.run_state != "Z")
        alive = self._without_launchers(alive, at_ms)
        owners, hosts, loose = self._sort_out(alive)
        self._bind_all(owners, hosts, at_ms)
        self._note_ends(alive, loose, at_ms)
        self.loose = loose
        self._end_with_their_process()
        self.orphans = {proc_key(p.ident): p for p in alive if p.role is ProcRole.ORPHAN}
        self.frozen_since = {
            ident: self.frozen_since.get(ident, at_ms)
            for p in alive
            if p.run_state in {"T", "t"} and (ident := p.ident.key)
        }
        self._number((*loose, *self.orphans))
        # Nothing ends, lingers or lives in a daemon: the same processes would change nothing later.
        bound_tracks = [self._tracks[key] for key in self._bound]
        lingers = self.gone or self._launchers or hosts
        self._settled = not lingers and all(t.proc is not None and not t.ended_ms for t in bound_tracks)
        if alive == self.procs:
            return False
        self.procs = alive
        return True

    def bound(self) -> Iterator[Track]:
        """The sessions that have a process or had one."""
        return (self._tracks[key] for key in self._bound if key in self._tracks)

    def process_of(self, key: str) -> AgentProc | None:
        """Return the process of a row by its key: its own, else the one that a session above it has."""
        seen: set[str] = set()
        while key and key not in seen:
            seen.add(key)
            proc = self.loose.get(key) or self.orphans.get(key)
            track = self._tracks.get(key)
            if proc is None and track is not None:
                proc = track.proc
            if proc is not None or track is None:
                return proc
            key = track.parent
        return None

    # ------------------------------------------------------------ one pass

    def _without_launchers(self, procs: tuple[AgentProc, ...], at_ms: int) -> tuple[AgentProc, ...]:
        """A launcher whose worker ended ends next, or starts another: for a moment it is no agent of its own."""
        self._launchers = {k: v for k, v in self._launchers.items() if 0 <= at_ms - v <= LINGER_MS}
        self._launchers |= {p.wrapper.key: at_ms for p in procs if p.wrapper is not None}
        return tuple(p for p in procs if p.role is not ProcRole.AGENT or p.ident.key not in self._launchers)

    def _sort_out(
        self, procs: Iterable[AgentProc]
    ) -> tuple[dict[str, AgentProc], dict[str, AgentProc], dict[str, AgentProc]]:
        """Return owner by session, host (a daemon) by session, and agent processes without a session.

        Of two processes on one session the younger owns it and the other stays a row of its own.
        """
        owners: dict[str, AgentProc] = {}
        hosts: dict[str, AgentProc] = {}
        loose: dict[str, AgentProc] = {}
        for proc in sorted(procs, key=lambda p: (p.started_ms, p.ident.start_ticks, p.ident.pid)):
            if proc.role is ProcRole.ORPHAN:
                continue
            for session_id in proc.shared_session_ids:
                hosts[self._tracks.of(proc.agent, session_id).key] = proc
            if proc.role is not ProcRole.AGENT:
                continue
            if proc.session_id:
                key = self._tracks.of(proc.agent, proc.session_id).key
                if key in owners:
                    loose[proc_key(owners[key].ident)] = owners[key]
                owners[key] = proc
            elif not proc.shared_session_ids:
                loose[proc_key(proc.ident)] = proc
        return owners, hosts, loose

    def _bind_all(self, owners: dict[str, AgentProc], hosts: dict[str, AgentProc], at_ms: int) -> None:
        """Bind the sessions of this pass, and those of the last one that have lost their process."""
        bound = set()
        for key in {*self._bound, *owners, *hosts}:
            track = self._tracks.get(key)
            if track is None:
                continue
            host = hosts.get(key)
            if host is not None and key not in owners and self._is_left(track, host):
                host = None
                track.ended_ms = track.ended_ms or (at_ms if track.proc is not None else track.record_ms)
            _bind(track, owners.get(key), host, at_ms)
            self._tracks.awake[key] = track
            if track.proc or track.ended_ms:
                bound.add(key)
        self._bound = bound

    def _is_left(self, track: Track, host: AgentProc) -> bool:
        """A daemon keeps a session whose client is gone: it lives on only while a turn is open in it."""
        if track.session.id not in host.left_session_ids:
            return False
        seen, todo = {track.key}, [track]
        while todo:
            one = todo.pop()
            if one.in_turn(host.started_ms):
                return False
            kids = [self._tracks[key] for key in self._tracks.kids.get(one.key, ()) if key not in seen]
            seen.update(kid.key for kid in kids)
            todo += [kid for kid in kids if kid.sub_agent]
        return True

    def _note_ends(self, alive: Iterable[AgentProc], loose: dict[str, AgentProc], at_ms: int) -> None:
        """Which of the loose processes have ended since the last pass."""
        idents = {p.ident.key for p in alive} | self._launchers.keys()  # a launcher was the row before
        for key, proc in self.loose.items():
            if proc.ident.key not in idents:
                self.gone[key] = (proc, at_ms)
        self.gone = {k: v for k, v in self.gone.items() if 0 <= at_ms - v[1] <= LINGER_MS and k not in loose}

    def _end_with_their_process(self) -> None:
        """Some agents write their log when an answer is whole, or at their end: it then came with a process."""
        for key, (proc, ended_ms) in list(self.gone.items()):
            begun_ms, late_ms = proc.started_ms - WRITTEN_MS, ended_ms + WRITTEN_MS
            if not proc.cwd or any(p.agent == proc.agent and p.cwd == proc.cwd for p in self.loose.values()):
                continue
            for track in self._tracks.awake.values():
                session = track.session
                ours = (session.agent, session.cwd) == (proc.agent, proc.cwd) and not track.sub_agent
                unbound = track.proc is None and not track.ended_ms
                if ours and unbound and begun_ms <= session.first_ms and track.record_ms <= late_ms:
                    track.ended_ms = ended_ms
                    self.gone.pop(key, None)

    def _number(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key not in self.order:
                self.order[key] = self._tracks.number()
        if len(self.order) > MAX_TRACKS:
            now = {*self.loose, *self.orphans, *self.gone}
            self.order = {k: v for k, v in self.order.items() if k in now}


def _bind(track: Track, owner: AgentProc | None, host: AgentProc | None, at_ms: int) -> None:
    proc = owner or host
    if proc is None:
        if track.proc is not None:
            track.ended_ms = at_ms
        elif track.ended_ms and track.record_ms > track.ended_ms + LINGER_MS:
            track.ended_ms = 0  # its log grows again, written by a process that we do not see
    else:
        track.ended_ms = 0
        track.nested_in = proc.parent_session_id or track.nested_in
    track.proc, track.host = proc, host
    track.owns_proc = owner is not None
