"""The live state: what the facts and the process table say now. Pure: every time comes from a caller.

Sums of a session are the store's (`load_session` after each commit, an upsert); usage events move only
rates. So a figure on the screen cannot drift from the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import structs

from tokentop.engine.aftermath import Aftermath
from tokentop.engine.binding import Binding
from tokentop.engine.limits import Limits
from tokentop.engine.rates import FUTURE_MS, HOUR_MS, Rates
from tokentop.engine.rules import Rules, Thresholds
from tokentop.engine.track import session_key
from tokentop.engine.tracks import MAX_TRACKS, Tracks
from tokentop.engine.window import Window
from tokentop.nouns.actions import Receipt
from tokentop.nouns.facts import Diagnostic, Looked, Progress
from tokentop.nouns.looks import FolderChange
from tokentop.nouns.money import Budget, Forecast, Quota
from tokentop.nouns.processes import AgentProc
from tokentop.nouns.sessions import Activity, Context, Session
from tokentop.nouns.usage import Figures, Priced

if TYPE_CHECKING:
    from tokentop.engine.alone import Frame


class LiveState:
    """Folds facts and process passes; `snapshot.take()` draws it. `revision` grows with each change.

    `resume` holds a command template for each agent, such as `claude --resume {session_id}`;
    `window_of(agent, model)` gives a context window in tokens where the log does not, 0 = unknown; it is asked
    for each row that is made. `unlogged` are the agents that leave no log which could be read, `blind` those whose
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
        self.titles = titles
        self.rates = Rates()
        self.rules = Rules(thresholds or Thresholds())
        self.tracks = Tracks()
        self.binding = Binding(self.tracks)
        self.limits = Limits()
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
        self.frames: dict[str, Frame] = {}  # rows of the last picture that may be used again, by key

    # ------------------------------------------------------------ facts

    def load_session(self, session: Session, own: Figures) -> None:
        """Set a session as stored, with the sums of its own responses (rates in `own` are ignored)."""
        track = self.tracks.of(session.agent, session.id)
        self.tracks.link(track, session)
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
        track = self.tracks.of(usage.agent, usage.session_id)
        track.on_usage(priced, end_ms)
        before = self.tracks.get(self.rates.add(priced, key))
        if before is not None and before is not track:  # another session owns it now
            before.version += 1
        if self.aftermath.watching:
            self.aftermath.apply(priced, end_ms, self.tracks.lineage(track))
        self.revision += 1

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
        self.tracks.of(activity.agent, activity.session_id).on_activity(activity)
        self.revision += 1

    def apply_context(self, context: Context) -> None:
        track = self.tracks.of(context.agent, context.session_id)
        if track.context is None or context.at_ms >= self._seen_at(track.context.at_ms):
            track.context = context
            track.habits.on_context(context)
            track.version += 1
            self.revision += 1

    def apply_quota(self, quota: Quota) -> None:
        """Keep the newest reading of each limit window."""
        self.revision += self.limits.apply(quota, self._seen_at)

    def grown(self, session: Session) -> Session:
        """The session as of its newest record of any kind; the store knows those with usage."""
        track = self.tracks.get(session_key(session.agent, session.id))
        newest_ms = track.record_ms if track is not None else 0
        return structs.replace(session, last_ms=newest_ms) if newest_ms > session.last_ms else session

    def set_procs(self, procs: tuple[AgentProc, ...], at_ms: int) -> None:
        """Take the result of one whole pass over the process table."""
        self.revision += self.binding.take(procs, at_ms)

    # ------------------------------------------------------------ the rest of the picture

    def window(self, agent: str, model: str) -> int:
        """Return the context window of a model in tokens, 0 = unknown."""
        return self._window_of(agent, model) if self._window_of is not None and model else 0

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
        busy = {
            track.proc.cwd
            for track in self.binding.bound()
            if track.proc is not None
            and track.owns_proc
            and (track.in_turn(track.proc.started_ms) or self.rates.of(track.key).tokens_per_min > 0)
        }
        return sorted(folder for folder in busy if folder.startswith("/"))

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
            self.tracks.awake.update(self.tracks)  # what was too old may be young again
        self.rates.advance(now_ms)
        if len(self.tracks) > MAX_TRACKS:
            self.tracks.trim()

    def _seen_at(self, at_ms: int) -> int:
        """A record far in the future was written now at the latest: it must not stay the newest for years."""
        now_ms = self.rates.now_ms
        return now_ms if now_ms and at_ms > now_ms + FUTURE_MS else at_ms
