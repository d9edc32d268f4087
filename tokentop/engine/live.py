"""The live state: what the facts and the process table say now. Pure: every time comes from a caller.

Sums of a session are the store's (`load_session` after each commit, an upsert); usage events move only
rates. So a figure on the screen cannot drift from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import structs

from tokentop.engine.aftermath import Aftermath
from tokentop.engine.pace import full_at, worth_keeping
from tokentop.engine.rates import FUTURE_MS, HOUR_MS, Rates
from tokentop.engine.rules import Rules, Thresholds
from tokentop.engine.track import Track, parent_key, session_key
from tokentop.engine.window import Window
from tokentop.nouns.actions import Receipt
from tokentop.nouns.facts import Diagnostic, Looked, Progress
from tokentop.nouns.looks import FolderChange
from tokentop.nouns.money import Budget, Forecast, Quota
from tokentop.nouns.processes import AgentProc, Ident, ProcRole
from tokentop.nouns.sessions import Activity, Context, Session
from tokentop.nouns.usage import Figures, Priced

if TYPE_CHECKING:
    from tokentop.engine.alone import Frame

WRITTEN_MS = 5_000  # a log may be written this much before or after what the process table shows
LINGER_MS = 10_000  # an ended row stays this long as done
MAX_MODELS = 1_000
MAX_READINGS = 200  # of each limit window
MAX_TRACKS = 5_000  # sessions kept in memory; beyond, the oldest without a process are dropped


def _key(ident: Ident) -> tuple[int, int]:
    return ident.pid, ident.start_ticks


def proc_key(proc: AgentProc) -> str:
    """Return the row key of a process without a session."""
    return f"proc:{proc.ident.pid}:{proc.ident.start_ticks}"


class LiveState:
    """Folds facts and process passes; `snapshot.take()` draws it. `revision` grows with each change.

    `resume` holds a command template for each agent, such as `claude --resume {session_id}`;
    `window_of(agent, model)` gives a context window in tokens where the log does not, 0 = unknown; it is asked
    once for each model. `unlogged` are the agents that leave no log which could be read, `blind` those whose
    logs do not tell single calls, with the reason.
    """

    def __init__(
        self,
        *,
        resume: Mapping[str, str] | None = None,
        window_of: Callable[[str, str], int] | None = None,
        thresholds: Thresholds | None = None,
        titles: bool = True,
        unlogged: Iterable[str] = (),
        blind: Mapping[str, str] | None = None,
    ) -> None:
        self.revision = 0
        self.aftermath = Aftermath(blind or {})
        self.unlogged = frozenset(unlogged)
        self.resume = dict(resume or {})
        self._window_of = window_of
        self._windows: dict[tuple[str, str], int] = {}
        self.titles = titles
        self.rates = Rates()
        self.rules = Rules(thresholds or Thresholds())
        self.tracks: dict[str, Track] = {}
        self.awake: dict[str, Track] = {}  # may be lines; the others are old and nothing has come since
        self._bound: set[str] = set()  # sessions that have a process or had one
        self.kids: dict[str, dict[str, None]] = {}  # parent key -> keys of sessions with that parent
        self.procs: tuple[AgentProc, ...] = ()
        self._looked_at: tuple[AgentProc, ...] | None = None  # what `set_procs` was last given
        self._settled = False
        self.loose: dict[str, AgentProc] = {}  # agent processes without a session of their own
        self.orphans: dict[str, AgentProc] = {}
        self.gone: dict[str, tuple[AgentProc, int]] = {}  # loose processes that ended, and when
        self._launchers: dict[tuple[int, int], int] = {}  # and when they last had a worker
        self.frozen_since: dict[tuple[int, int], int] = {}
        self.proc_order: dict[str, int] = {}
        self.quotas: dict[tuple[str, str, str, int], Quota] = {}
        self.readings: dict[tuple[str, str, str, int], list[tuple[int, float]]] = {}
        self.today = Figures()
        self.forecast: Forecast | None = None
        self.budgets: tuple[Budget, ...] = ()
        self.progress = Progress()
        self.health: tuple[Diagnostic, ...] = ()
        self.looked: tuple[Looked, ...] = ()
        self.mode = "live"
        self.longer: Window | None = None  # asked for by a screen
        self.host = ""  # name of this machine
        self.places: dict[str, str] = {}  # `AgentProc.tmux` -> where that pane is, "" = not its pane
        self.changes: dict[str, FolderChange] = {}  # by folder
        self.own_cpu_pct = 0.0
        self.own_rss_bytes = 0
        self.history_events = 0
        self._seen = 0
        self.frames: dict[str, Frame] = {}  # rows of the last picture that may be used again, by key

    # ------------------------------------------------------------ facts

    def load_session(self, session: Session, own: Figures) -> None:
        """Set a session as stored, with the sums of its own responses (rates in `own` are ignored)."""
        track = self._track(session.agent, session.id)
        self._link(track, session)
        track.own = own
        track.loaded = True
        track.grew(self._seen_at(session.last_ms))
        self.revision += 1

    def apply_usage(self, priced: Priced) -> None:
        """Count a committed event in the rates; a newer version of the same `id` replaces the older one."""
        usage = priced.usage
        end_ms = self._seen_at((usage.start_ms or usage.at_ms) + max(0, usage.duration_ms))
        key = session_key(usage.agent, usage.session_id)
        if key not in self.tracks and end_ms < self.rates.now_ms - HOUR_MS:
            return
        track = self._track(usage.agent, usage.session_id)
        track.on_usage(priced, end_ms)
        before = self.tracks.get(self.rates.add(priced, key))
        if before is not None and before is not track:  # another session owns it now
            before.version += 1
        if self.aftermath.watching:
            self.aftermath.apply(priced, end_ms, self._lineage(track))
        self.revision += 1

    def _lineage(self, track: Track | None) -> list[tuple[str, str]]:
        """Return (agent, session id) of a session and of all that it is below, by its log or by its process."""
        found: list[tuple[str, str]] = []
        while track is not None and (name := (track.session.agent, track.session.id)) not in found:
            found.append(name)
            nested_in, above = track.nested_in, self.tracks.get(track.parent)
            if above is None and nested_in:
                above = next((t for t in self.tracks.values() if t.session.id == nested_in), None)
            track = above
        return found

    def watch(self, receipt: Receipt, now_s: float) -> None:
        """Watch what an action has stopped; `now_s` is a clock that is never set."""
        self.aftermath.begin(receipt, now_s)

    def watched(self, now_s: float) -> list[Receipt]:
        """Return the receipts whose time is over, each once."""
        told = self.aftermath.over(now_s)
        self.revision += bool(told)
        return told

    def apply_activity(self, activity: Activity) -> None:
        at_ms = self._seen_at(activity.at_ms)
        if at_ms != activity.at_ms:
            activity = structs.replace(activity, at_ms=at_ms)
        self._track(activity.agent, activity.session_id).on_activity(activity)
        self.revision += 1

    def apply_context(self, context: Context) -> None:
        track = self._track(context.agent, context.session_id)
        if track.context is None or context.at_ms >= self._seen_at(track.context.at_ms):
            track.context = context
            track.habits.on_context(context)
            track.version += 1
            self.revision += 1

    def apply_quota(self, quota: Quota) -> None:
        """Keep the newest reading of each limit window."""
        key = (quota.provider, quota.account, quota.limit_id, quota.window_minutes)
        old = self.quotas.get(key)
        if old is None or quota.at_ms >= self._seen_at(old.at_ms):
            if old is not None and old.plan and not quota.plan:  # a source that does not name the plan
                quota = structs.replace(quota, plan=old.plan)
            self.quotas[key] = quota
            self.add_readings(key, ((self._seen_at(quota.at_ms), quota.used_pct),))
            self.revision += 1

    def add_readings(self, key: tuple[str, str, str, int], readings: Iterable[tuple[int, float]]) -> None:
        """Add `(at_ms, used_pct)` of the limit window (provider, account, limit id, minutes), by time."""
        known = self.readings.setdefault(key, [])
        for at_ms, used_pct in readings:
            if worth_keeping(known[-1] if known else None, at_ms, used_pct):
                known.append((at_ms, used_pct))
        del known[:-MAX_READINGS]

    def limits(self, at_ms: int) -> tuple[Quota, ...]:
        """The newest reading of each limit window, with when it will be full at the recent pace."""
        out = []
        for key in sorted(self.quotas):
            quota = self.quotas[key]
            full_ms = full_at(self.readings.get(key, ()), quota.resets_at_ms, at_ms) or 0
            out.append(structs.replace(quota, full_at_ms=full_ms) if full_ms else quota)
        return tuple(out)

    def grown(self, session: Session) -> Session:
        """The session as of its newest record of any kind; the store knows those with usage."""
        track = self.tracks.get(session_key(session.agent, session.id))
        newest_ms = track.record_ms if track is not None else 0
        return structs.replace(session, last_ms=newest_ms) if newest_ms > session.last_ms else session

    # ------------------------------------------------------------ processes

    def set_procs(self, procs: tuple[AgentProc, ...], at_ms: int) -> None:
        """Take the result of one whole pass over the process table."""
        if procs is self._looked_at and self._settled:
            return
        self._looked_at = procs
        alive = tuple(p for p in procs if p.run_state != "Z")
        alive = self._without_launchers(alive, at_ms)
        owners, hosts, loose = self._sort_out(alive)
        bound = set()
        for key in {*self._bound, *owners, *hosts}:
            track = self.tracks.get(key)
            if track is None:
                continue
            host = hosts.get(key)
            if host is not None and key not in owners and self._is_left(track, host):
                host = None
                track.ended_ms = track.ended_ms or (at_ms if track.proc is not None else track.record_ms)
            self._bind(track, owners.get(key), host, at_ms)
            self.awake[key] = track
            bound.add(key)
        self._bound = {key for key in bound if self.tracks[key].proc or self.tracks[key].ended_ms}
        live_idents = {_key(p.ident) for p in alive} | self._launchers.keys()  # a launcher was the row before
        for key, proc in self.loose.items():
            if (proc.ident.pid, proc.ident.start_ticks) not in live_idents:
                self.gone[key] = (proc, at_ms)
        self.gone = {k: v for k, v in self.gone.items() if 0 <= at_ms - v[1] <= LINGER_MS and k not in loose}
        self.loose = loose
        self._end_with_their_process()
        self.orphans = {proc_key(p): p for p in alive if p.role is ProcRole.ORPHAN}
        self.frozen_since = {
            ident: self.frozen_since.get(ident, at_ms)
            for p in alive
            if p.run_state in {"T", "t"} and (ident := (p.ident.pid, p.ident.start_ticks))
        }
        self._number((*loose, *self.orphans))
        # Nothing ends, lingers or lives in a daemon: the same processes would change nothing later.
        bound_tracks = [self.tracks[key] for key in self._bound]
        lingers = self.gone or self._launchers or hosts
        self._settled = not lingers and all(t.proc is not None and not t.ended_ms for t in bound_tracks)
        if alive != self.procs:
            self.procs = alive
            self.revision += 1

    def _without_launchers(self, procs: tuple[AgentProc, ...], at_ms: int) -> tuple[AgentProc, ...]:
        """A launcher whose worker ended ends next, or starts another: for a moment it is no agent of its own."""
        self._launchers = {k: v for k, v in self._launchers.items() if 0 <= at_ms - v <= LINGER_MS}
        self._launchers |= {_key(p.wrapper): at_ms for p in procs if p.wrapper is not None}
        return tuple(p for p in procs if p.role is not ProcRole.AGENT or _key(p.ident) not in self._launchers)

    def _end_with_their_process(self) -> None:
        """Some agents write their log when an answer is whole, or at their end: it then came with a process."""
        for key, (proc, ended_ms) in list(self.gone.items()):
            begun_ms, late_ms = proc.started_ms - WRITTEN_MS, ended_ms + WRITTEN_MS
            if not proc.cwd or any(p.agent == proc.agent and p.cwd == proc.cwd for p in self.loose.values()):
                continue
            for track in self.awake.values():
                session = track.session
                ours = (session.agent, session.cwd) == (proc.agent, proc.cwd) and not track.sub_agent
                unbound = track.proc is None and not track.ended_ms
                if ours and unbound and begun_ms <= session.first_ms and track.record_ms <= late_ms:
                    track.ended_ms = ended_ms
                    self.gone.pop(key, None)

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
                hosts[self._track(proc.agent, session_id).key] = proc
            if proc.role is not ProcRole.AGENT:
                continue
            if proc.session_id:
                key = self._track(proc.agent, proc.session_id).key
                if key in owners:
                    loose[proc_key(owners[key])] = owners[key]
                owners[key] = proc
            elif not proc.shared_session_ids:
                loose[proc_key(proc)] = proc
        return owners, hosts, loose

    def _is_left(self, track: Track, host: AgentProc) -> bool:
        """A daemon keeps a session whose client is gone: it lives on only while a turn is open in it."""
        if track.session.id not in host.left_session_ids:
            return False
        seen, todo = {track.key}, [track]
        while todo:
            one = todo.pop()
            if one.in_turn(host.started_ms):
                return False
            kids = [self.tracks[key] for key in self.kids.get(one.key, ()) if key not in seen]
            seen.update(kid.key for kid in kids)
            todo += [kid for kid in kids if kid.sub_agent]
        return True

    def _bind(self, track: Track, owner: AgentProc | None, host: AgentProc | None, at_ms: int) -> None:
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

    def missing(self) -> tuple[tuple[str, str], ...]:
        """Return (agent, session id) of live processes' sessions that no `load_session` has told of yet.

        An agent that has been idle for days has no new record: the caller looks these up in the store.
        """
        bound = (self.tracks[key] for key in self._bound if key in self.tracks)
        tracks = sorted((t for t in bound if t.proc is not None and not t.loaded), key=lambda t: t.order)
        return tuple((t.session.agent, t.session.id) for t in tracks)

    def _number(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key not in self.proc_order:
                self._seen += 1
                self.proc_order[key] = self._seen
        if len(self.proc_order) > MAX_TRACKS:
            now = {*self.loose, *self.orphans, *self.gone}
            self.proc_order = {k: v for k, v in self.proc_order.items() if k in now}

    # ------------------------------------------------------------ the rest of the picture

    def window(self, agent: str, model: str) -> int:
        """Return the context window of a model in tokens, 0 = unknown."""
        if self._window_of is None or not model:
            return 0
        key = (agent, model)
        if key not in self._windows:
            if len(self._windows) >= MAX_MODELS:
                self._windows.clear()
            self._windows[key] = self._window_of(agent, model)
        return self._windows[key]

    def set_today(self, today: Figures) -> None:
        self.today = today
        self.revision += 1

    def set_forecast(self, forecast: Forecast | None) -> None:
        self.forecast = forecast
        self.revision += 1

    def set_budgets(self, budgets: tuple[Budget, ...]) -> None:
        self.budgets = budgets
        self.revision += 1

    def set_progress(self, progress: Progress) -> None:
        self.progress = progress
        self.revision += 1

    def set_health(self, health: tuple[Diagnostic, ...]) -> None:
        self.health = health
        self.revision += 1

    def set_looked(self, looked: tuple[Looked, ...]) -> None:
        self.looked = looked
        self.revision += 1

    def set_places(self, places: Mapping[str, str]) -> None:
        if places != self.places:
            self.places = dict(places)
            self.revision += 1

    def set_changes(self, changes: Iterable[FolderChange]) -> None:
        found = {change.folder: change for change in changes}
        if found != self.changes:
            self.changes = found
            self.revision += 1

    def busy_folders(self) -> list[str]:
        """Return the working directories of agents that spend something now."""
        tracks = (self.tracks[key] for key in self._bound if key in self.tracks)
        busy = {
            track.proc.cwd
            for track in tracks
            if track.proc is not None
            and track.owns_proc
            and (track.in_turn(track.proc.started_ms) or self.rates.of(track.key).tokens_per_min > 0)
        }
        return sorted(folder for folder in busy if folder.startswith("/"))

    def process_of(self, key: str) -> AgentProc | None:
        """Return the process of a row by its key: its own, else the one that a session above it has."""
        seen: set[str] = set()
        while key and key not in seen:
            seen.add(key)
            proc = self.loose.get(key) or self.orphans.get(key)
            track = self.tracks.get(key)
            if proc is None and track is not None:
                proc = track.proc
            if proc is not None or track is None:
                return proc
            key = track.parent
        return None

    def turn_ms(self, key: str) -> int:
        """When the turn of a row began, at the earliest; 0 = not known."""
        track = self.tracks.get(key)
        return track.turn_ms if track is not None else 0

    def set_mode(self, mode: str) -> None:
        self.mode = mode
        self.revision += 1

    def look_back(self, minutes: int) -> None:
        """Work out averages over so many minutes from now on; 1 = the rates of the last minute are enough."""
        if minutes != (self.longer.minutes if self.longer is not None else 1):
            self.longer = Window(minutes) if minutes > 1 else None
            self.revision += 1

    def set_self(self, cpu_pct: float, rss_bytes: int, history_events: int) -> None:
        """Our own use of the machine, and how many events the store holds; not worth a revision."""
        self.own_cpu_pct, self.own_rss_bytes, self.history_events = cpu_pct, rss_bytes, history_events

    def advance(self, now_ms: int) -> None:
        """Set the clock; call it before facts are applied, so that future timestamps can be told."""
        if now_ms < self.rates.now_ms:
            self.awake = dict(self.tracks)  # what was too old may be young again
        self.rates.advance(now_ms)
        if len(self.tracks) > MAX_TRACKS:
            self._trim()

    # ------------------------------------------------------------ tracks

    def _seen_at(self, at_ms: int) -> int:
        """A record far in the future was written now at the latest: it must not stay the newest for years."""
        now_ms = self.rates.now_ms
        return now_ms if now_ms and at_ms > now_ms + FUTURE_MS else at_ms

    def _track(self, agent: str, session_id: str) -> Track:
        key = session_key(agent, session_id)
        track = self.tracks.get(key)
        if track is None:
            self._seen += 1
            session = Session(agent, session_id)
            track = self.tracks[key] = Track(key, session, self._seen)
            self._link(track, session)
        self.awake[key] = track
        return track

    def _link(self, track: Track, session: Session) -> None:
        old, new = track.parent, parent_key(session)
        track.session = session
        if new == old:
            return
        if old:
            self.kids[old].pop(track.key, None)
            if not self.kids[old]:
                del self.kids[old]
        if new:
            self.kids.setdefault(new, {})[track.key] = None
        track.parent = new

    def _trim(self) -> None:
        """Drop the oldest sessions that no process and no child keeps; the store still has them."""
        old = sorted((t for t in self.tracks.values() if t.proc is None), key=lambda t: t.record_ms)
        for track in old[: len(self.tracks) - MAX_TRACKS * 3 // 4]:
            if track.key not in self.kids:
                self._link(track, Session(track.session.agent, ""))
                del self.tracks[track.key]
                self.awake.pop(track.key, None)
